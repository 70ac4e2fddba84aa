"""Measuring the attention of a model, trained and as it started; results are kept at once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from lmcompare.errors import UserError
from lmcompare.evaluation import heldout_text
from lmcompare.evaluation.attention.choosing import Tally, choose, grid, item_of
from lmcompare.evaluation.attention.dependencies import Dependencies
from lmcompare.evaluation.attention.heads import MEASURES, measured
from lmcompare.evaluation.attention.maps import batches, layer_by_layer
from lmcompare.evaluation.attention.options import AttentionOptions
from lmcompare.evaluation.attention.record import DIRECTIONS, AttentionRecord, HeadsItem, key_of
from lmcompare.evaluation.attention.relations import HeadJudge
from lmcompare.evaluation.heldout_text import Stretch
from lmcompare.evaluation.kind import Report, not_measured_again
from lmcompare.evaluation.states.reading import Reading, example, ways_to_read
from lmcompare.runs.loaded_model import Contestant, LoadedModel, opened, untrained

VERSION = 1  # of the measures; raise it whenever the same text would give others
SHORTEST = 8  # tokens of a row of text: of fewer all distances are short


def measure_attention(
    contestant: Contestant,
    options: AttentionOptions,
    dependencies: Dependencies | None = None,
    *,
    cache: Path,
    report: Report = lambda what, share: None,
    warn: Callable[[str], None] = lambda text: None,
) -> list[AttentionRecord]:
    """Measure the attention of a model; what was measured before is not measured again.

    Args:
        contestant: a model, or a run, of which the last one is meant.
        options: on which text.
        dependencies: which relations heads may follow; None to ask for none.
        cache: the folder of prepared corpora.
        report: told what is measured, and the share that is done.
        warn: told of a damaged checkpoint that was passed over.

    Raises:
        Unsupported: the decoder is wanted of a model that has none.
        UserError: no checkpoint, an unreadable or too short text, or attention that is no number.
    """
    trained = opened(contestant, device=options.device, batch_size=options.batch_size, warn=warn)
    rows = _rows(trained, options, cache=cache, warn=warn)
    models = [trained, *(untrained(trained) if options.untrained else [])]
    found = []
    for model in models:
        for reading in ways_to_read(model, options.stack):
            asking = Asking(model=model, reading=reading, options=options, report=report, warn=warn)
            found.append(asking.heads(rows))
            if dependencies is not None:
                found.append(asking.relations(dependencies))
    return found


def _rows(
    model: LoadedModel,
    options: AttentionOptions,
    *,
    cache: Path,
    warn: Callable[[str], None],
) -> list[Stretch]:
    documents = heldout_text.documents(model, options, cache=cache, warn=warn)
    shortest = min(SHORTEST, model.length - 1)
    found = heldout_text.stretches(documents, model.tokenizer, model.length - 1, shortest=shortest)
    rows = [*islice(found, options.num_rows)]
    if not rows:
        raise UserError(
            f"{options.source} has no text with {shortest} known tokens in a row, the least that "
            "attention is measured on: choose another text with `data=` or `split=`"
        )
    return rows


@dataclass(frozen=True, kw_only=True)
class Asking:
    """A model that is read in one way."""

    model: LoadedModel
    reading: Reading
    options: AttentionOptions
    report: Report
    warn: Callable[[str], None]

    def heads(self, rows: Sequence[Stretch]) -> AttentionRecord:
        """Return what heads are like on some rows of text."""
        ids = (row.document.ids[row.start : row.stop] for row in rows)
        numbers = np.array([row.number for row in rows])
        facts: dict[str, object] = {
            "task": "heads",
            "source": self.options.source,
            "text": heldout_text.digest([numbers, *ids]),
        }
        if (known := self._known(facts)) is not None:
            return known
        layers, values = self._values(rows)
        sizes = np.array([row.stop - row.start for row in rows])
        texts = np.unique(numbers)
        means = np.stack(
            [
                np.average(values[numbers == each], axis=0, weights=sizes[numbers == each])
                for each in texts
            ]
        )
        errors = means.std(0, ddof=1) / len(texts) ** 0.5 if len(texts) > 1 else None
        record = AttentionRecord(
            **self._facts(facts),
            **self._about(layers, values.shape[3]),
            num_items=len(texts),
            num_tokens=int(sizes.sum()),
            means={name: grid(each) for name, each in zip(MEASURES, means.mean(0), strict=True)},
            errors={
                name: None if errors is None else grid(errors[number])
                for number, name in enumerate(MEASURES)
            },
        )
        items = (
            HeadsItem(
                text=int(text),
                num_tokens=int(sizes[numbers == text].sum()),
                values={name: grid(each) for name, each in zip(MEASURES, own, strict=True)},
            )
            for text, own in zip(texts, means, strict=True)
        )
        return self.model.results.write(record, items)

    def _values(self, rows: Sequence[Stretch]) -> tuple[tuple[int, ...], Float[ndarray, "R M L H"]]:
        """Return the numbers of the layers, and of each row what `MEASURES` are of each head."""
        parts: dict[int, ndarray] = {}
        layers: tuple[int, ...] = ()
        cut = [heldout_text.cut(row.document, row.start, row.stop) for row in rows]
        for numbers, text in batches(self.model, cut):
            view = self.reading.view(text).to(self.model.net.device)
            asked = text.visible.clone()
            asked[:, 0] = False
            sees, asked = view.sees(), asked.to(self.model.net.device)
            found = layer_by_layer(
                self.model,
                view,
                lambda weights, sees=sees, asked=asked: (  # type: ignore[misc]
                    measured(weights, sees, asked).cpu().numpy()
                ),
            )
            layers = tuple(found)
            parts.update(zip(numbers, np.stack([*found.values()], axis=2), strict=True))
            self.report(self._what("attention"), len(parts) / len(rows))
        return layers, np.stack([parts[each] for each in range(len(rows))])

    def relations(self, dependencies: Dependencies) -> AttentionRecord:
        """Return how well heads follow the relations of a treebank."""
        treebank = dependencies.treebank
        facts = {
            "task": "relations",
            "source": treebank.name,
            "text": treebank.hash,
            "min_arcs": dependencies.min_arcs,
        }
        if (known := self._known(facts)) is not None:
            return known
        total, done = len(dependencies.choice) + len(dependencies.test), [0]

        def report(num: int) -> None:
            done[0] += num
            self.report(self._what("relations"), done[0] / total)

        keys = dependencies.keys
        judge = HeadJudge(model=self.model, reading=self.reading, keys=keys)
        choice = Tally.of(judge.judge(dependencies.choice, report), len(keys))
        judged = [*judge.judge(dependencies.test, report)]
        test = Tally.of(judged, len(keys))
        results = []
        for relation in dependencies.relations:
            for direction in DIRECTIONS:
                number = keys[key_of(relation, direction)]
                result = choose(
                    relation,
                    direction,
                    number,
                    choice=choice,
                    test=test,
                    layers=judge.layers,
                    fewest=dependencies.min_arcs,
                )
                if result is not None:
                    results.append((number, result))
        record = AttentionRecord(
            **self._facts(facts),
            **self._about(judge.layers, test.hits.shape[2]),
            num_items=len(judged),
            split=treebank.split,
            relations=tuple(result for _, result in results),
            too_few=dependencies.too_few,
            counts={**treebank.counts, **judge.counts},
        )
        items = (item_of(number, each, results, judge.layers) for number, each in enumerate(judged))
        return self.model.results.write(record, items)

    def _facts(self, facts: dict[str, object]) -> dict[str, object]:
        """Return what tells whether the same was measured before."""
        read = {"states_of": self.reading.name or None}
        return {**facts, **read, "step": self.model.step, "version": VERSION}

    def _known(self, facts: dict[str, object]) -> AttentionRecord | None:
        again, results = self.options.again, self.model.results
        known = not_measured_again(
            results, AttentionRecord, self._facts(facts), again=again, warn=self.warn
        )
        return next(iter(known), None)

    def _about(self, layers: Sequence[int], num_heads: int) -> dict[str, object]:
        sees = self.reading.view(example(self.model)).sees()
        return {
            "arm": self.model.arm,
            "seed": self.model.seed,
            "sees_right": bool(sees.triu(1).any()),
            "layers": tuple(layers),
            "num_heads": num_heads,
        }

    def _what(self, name: str) -> str:
        state = "" if self.model.step else "untrained"
        return " ".join(filter(None, [name, state, self.reading.name]))
