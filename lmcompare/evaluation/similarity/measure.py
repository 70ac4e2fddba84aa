"""Comparing models pair by pair: the states of each once, each result kept as soon as it is there.

What was measured before is not again. The states of all models lie on disk meanwhile.
"""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from lmcompare import files
from lmcompare.errors import UserError
from lmcompare.evaluation.kind import Context, Report
from lmcompare.evaluation.similarity.layers import Layers, Places, bytes_of, layers_of
from lmcompare.evaluation.similarity.options import Measure, SimilarityOptions
from lmcompare.evaluation.similarity.pairs import ComparedLayers, compare_layers
from lmcompare.evaluation.similarity.record import Grid, Grids, SimilarityItem, SimilarityRecord
from lmcompare.evaluation.states.reading import example, ways_to_read
from lmcompare.evaluation.states.word_states import FOLDER, GB, states
from lmcompare.evaluation.states.words import Words, require_shared_text, words_for
from lmcompare.runs.loaded_model import LoadedModel, load_model
from lmcompare.runs.run import Run

VERSION = 1  # of the measures; raise it whenever the same states would give others


@dataclass(frozen=True, kw_only=True)
class Contestant:
    """A run's model, read in one way.

    Attributes:
        run: the run, or a checkpoint of it.
        hash: of its `run.json`.
        reading: which of two stacks, or which part of a mixture; empty where there is one only.
        tokenizer: the hash of its tokenizer.
        layers: the numbers of those that are compared.
        width: numbers of a state.
    """

    run: Run
    arm: str
    seed: int
    hash: str
    step: int
    reading: str
    tokenizer: str
    layers: tuple[int, ...]
    width: int

    @property
    def place(self) -> tuple[str, str, int, str]:
        """Return what contestants are sorted by: the first of two keeps the result."""
        return self.run.path.name, self.hash, self.step, self.reading

    @property
    def name(self) -> str:
        """Return what it is called."""
        return f"{self.run.path.name} {self.reading}".strip()


class Session:
    """All pairs of some runs, of which each is measured where its turn comes."""

    def __init__(self, runs: Sequence[Run], options: SimilarityOptions, context: Context) -> None:
        require_shared_text(runs, options)
        self._runs, self._options, self._context = runs, options, context
        self._kept = ExitStack()
        self._layers: dict[Contestant, Layers] = {}
        self._before: dict[Run, Sequence[SimilarityRecord]] = {}
        if len(runs) == 1:
            context.warn(f"{runs[0].path} is the only run, so its own layers alone are compared")

    def close(self) -> None:
        """Remove the states."""
        self._kept.close()
        self._layers.clear()

    def measure(self, run: Run, report: Report) -> list[SimilarityRecord]:
        """Compare a run with itself, and with those that come after it by name."""
        found = []
        for one in self._contestants:
            if one.run == run:
                for other in self._contestants:
                    if one.place <= other.place:
                        found.append(self._pair(one, other, report))
        return found

    @cached_property
    def _words(self) -> Words:
        found = words_for(
            self._runs, self._options, cache=self._context.cache, warn=self._context.warn
        )
        width = max(each.width for each in self._contestants)
        if found.num_words <= width:
            self._context.warn(
                f"{found.source} has {found.num_words:,} words and states have up to {width:,} "
                "numbers: trust cka and its null alone, as all else is close to 1 whatever the "
                "states are"
            )
        return found

    @cached_property
    def _places(self) -> Places:
        return Places.of(self._words.first)

    @cached_property
    def _contestants(self) -> list[Contestant]:
        found = [each for run in self._runs for each in self._read(run)]
        return sorted(found, key=lambda each: each.place)

    def _read(self, run: Run) -> Iterator[Contestant]:
        model = self._load(run)
        for reading in ways_to_read(model, self._options.stack):
            view = reading.view(example(model)).to(model.net.device)
            wanted = self._options.layers or None
            try:
                layers = tuple(number for number, _ in model.net.hidden_states(view, wanted))
            except UserError as error:
                raise UserError(f"{run.path}: {error}") from None
            yield Contestant(
                run=run,
                arm=model.arm,
                seed=model.seed,
                hash=run.hash,
                step=model.step,
                reading=reading.name,
                tokenizer=model.trained.tokenizer,
                layers=layers,
                width=model.net.width,
            )

    def _load(self, run: Run) -> LoadedModel:
        options = self._options
        return load_model(
            run, device=options.device, batch_size=options.batch_size, warn=self._context.warn
        )

    def _pair(self, one: Contestant, other: Contestant, report: Report) -> SimilarityRecord:
        blank = self._blank(one, other)
        known = self._measured(blank, one.run)
        missing = [
            name for name in self._options.measures if known is None or name not in known.grids
        ]
        if known is not None and not missing:
            return known
        self._require_disk()
        compared = compare_layers(
            self._layers_of(one, report),
            self._layers_of(other, report),
            missing,
            report=lambda share: report(f"{one.name} with {other.name}", share),
        )
        items = [] if known is None else one.run.results.items(known, SimilarityItem)
        grids = {} if known is None else known.grids
        made = {name: _grids(each) for name, each in compared.items()}
        order = [name for name in SimilarityOptions().measures if name in {**grids, **made}]
        record = blank.model_copy(
            update={"grids": {name: {**grids, **made}[name] for name in order}}
        )
        return one.run.results.write(record, _items(record, compared, items))

    def _blank(self, one: Contestant, other: Contestant) -> SimilarityRecord:
        words, places = self._words, self._places
        return SimilarityRecord(
            arm=one.arm,
            seed=one.seed,
            source=words.source,
            text=words.hash,
            step=one.step,
            states_of=one.reading or None,
            other=other.run.path.name,
            other_hash=other.hash,
            other_arm=other.arm,
            other_seed=other.seed,
            other_step=other.step,
            other_states_of=other.reading or None,
            words=self._options.words,
            wanted=self._options.layers,
            layers=one.layers,
            other_layers=other.layers,
            num_words=words.num_words,
            num_groups=len(places.groups),
            num_sampled=len(places.sample),
            same_tokenizer=one.tokenizer == other.tokenizer,
            version=VERSION,
            grids={},
        )

    def _measured(self, blank: SimilarityRecord, run: Run) -> SimilarityRecord | None:
        """Return the result of the same pair that was measured before, if it was."""
        if self._options.again:
            return None
        asked = blank.model_dump(exclude={"grids", "run_hash", "items_hash"})
        for each in self._known(run):
            if each.model_dump(exclude={"grids", "run_hash", "items_hash"}) == asked:
                return each
        return None

    def _known(self, run: Run) -> Sequence[SimilarityRecord]:
        """Return the results that a run had before this session; they are read once."""
        if run not in self._before:
            self._before[run] = run.results.read(SimilarityRecord, self._context.warn)
        return self._before[run]

    def _require_disk(self) -> None:
        """Make sure that the states of all models have room.

        Raises:
            UserError: they have not.
        """
        needed = sum(
            len(each.layers) * bytes_of(self._words.num_words, each.width)
            for each in self._contestants
        )
        place = self._context.cache / FOLDER
        with files.explained(place):
            place.mkdir(parents=True, exist_ok=True)
            free = shutil.disk_usage(place).free
        if not self._layers and needed > min(self._options.disk_gb * GB, free):
            allowed = needed > self._options.disk_gb * GB
            raise UserError(
                f"the states of {self._words.num_words:,} words in all layers of "
                f"{len(self._runs)} runs take {needed / GB:.3g} GB in {place}, more than the "
                f"{f'{self._options.disk_gb:g} GB that are allowed' if allowed else 'there is'}: "
                "choose fewer runs, `layers=` or `num_words=`, or a higher `disk_gb=`"
            )

    def _layers_of(self, contestant: Contestant, report: Report) -> Layers:
        if contestant not in self._layers:
            model, options = self._load(contestant.run), self._options
            reading = next(
                each
                for each in ways_to_read(model, options.stack)
                if each.name == contestant.reading
            )
            place = self._context.cache / FOLDER / f"{contestant.run.path.name}-layers"
            what = f"states of {contestant.name}"
            with states(
                model,
                self._words,
                reading,
                layers=options.layers or None,
                words=options.words,
                cache=self._context.cache,
                disk_gb=options.disk_gb,
                report=lambda share: report(what, 0.9 * share),
            ) as found:
                assert found.known.all(), "words were chosen such that every run reads them"
                folder = self._kept.enter_context(files.temporary_folder(place))
                self._layers[contestant] = layers_of(
                    found,
                    self._places,
                    folder,
                    report=lambda share: report(what, 0.9 + 0.1 * share),
                )
        return self._layers[contestant]


def _grids(compared: ComparedLayers) -> Grids:
    def grid(values: Sequence[Sequence[float | None]]) -> Grid:
        return tuple(tuple(row) for row in values)

    return Grids(
        value=grid([[each.value for each in row] for row in compared.found]),
        error=grid([[each.error for each in row] for row in compared.found]),
        null_mean=grid([[each.mean for each in row] for row in compared.nulls]),
        null_high=grid([[each.high for each in row] for row in compared.nulls]),
    )


def _items(
    record: SimilarityRecord,
    compared: Mapping[Measure, ComparedLayers],
    before: Sequence[SimilarityItem],
) -> Iterator[SimilarityItem]:
    known: dict[tuple[int, int], Mapping[Any, tuple[float, ...]]] = {
        (item.layer, item.other_layer): item.without for item in before
    }
    for row, layer in enumerate(record.layers):
        for column, other in enumerate(record.other_layers):
            made = {
                name: tuple(each.found[row][column].without.tolist())
                for name, each in compared.items()
            }
            yield SimilarityItem(
                layer=layer,
                other_layer=other,
                without={**known.get((layer, other), {}), **made},
            )
