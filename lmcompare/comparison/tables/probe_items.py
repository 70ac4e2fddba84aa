"""What probes gained, sentence by sentence.

Models may know different words of a sentence, as a short row cuts off its end, so what was gained
is put together sentence by sentence, beside what was possible.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from lmcompare.comparison.arms import Result
from lmcompare.errors import UserError
from lmcompare.evaluation.probes.record import ProbeItem, ProbeRecord
from lmcompare.stats.paired_bootstrap import Scores


@dataclass(frozen=True, kw_only=True, eq=False)
class Probed:
    """Hold what the probes of one model gained, sentence by sentence.

    Attributes:
        seed: of the run.
        record: the result.
        max_score: what there was to gain.
        score: by layer.
        control: the same of the control task; None where there is none.
        baselines: what each gained that needs no model, by name.
        unseen_max_score: what there was to gain of word types that no training example has.
        unseen: by layer, what was gained of it; None where there is nothing.
    """

    seed: int
    record: ProbeRecord
    max_score: Float[ndarray, " N"]
    score: Float[ndarray, "L N"]
    control: Float[ndarray, "L N"] | None
    baselines: Mapping[str, Float[ndarray, " N"]]
    unseen_max_score: Float[ndarray, " N"]
    unseen: Float[ndarray, "L N"] | None

    @property
    def layers(self) -> list[int]:
        """Return the numbers of the layers."""
        return [each.layer for each in self.record.layers]

    @property
    def best(self) -> int:
        """Return where among them the best one stands."""
        return self.layers.index(self.record.best.layer)


Row = Float[ndarray, " N"]
Score = Callable[[Probed], Row | None]


def scores(models: Sequence[Probed], score: Score) -> Scores | None:
    """Return what some models gained, as `score` says it; None where one of them has none."""
    rows = [score(each) for each in models]
    known = [each for each in rows if each is not None]
    if not known or len(known) < len(rows):
        return None
    return Scores(
        score=np.stack(known),
        max_score=np.stack([each.max_score for each in models]),
        seeds=tuple(each.seed for each in models),
    )


def at_best(each: Probed) -> Row:
    """Return what a model gained at its best layer."""
    row: Row = each.score[each.best]
    return row


@dataclass(frozen=True, kw_only=True, eq=False)
class Read:
    """The items of a result, over the sentences that they are of."""

    seed: int
    record: ProbeRecord
    sentences: ndarray
    rows: Mapping[str, Float[ndarray, "_ N"]]  # none where no item has any

    def over(self, sentences: ndarray) -> Probed:
        """Put them in the place of their sentences among some."""
        place = np.searchsorted(sentences, self.sentences)
        rows = {name: np.zeros((len(own), len(sentences))) for name, own in self.rows.items()}
        for name, own in self.rows.items():
            rows[name][:, place] = own
        return Probed(
            seed=self.seed,
            record=self.record,
            max_score=rows["max_score"][0],
            score=rows["score"],
            control=rows.get("control"),
            baselines={name: rows[f"baseline {name}"][0] for name in self.record.baselines},
            unseen_max_score=rows["unseen_max_score"][0],
            unseen=rows.get("unseen"),
        )


def read(result: Result, record: ProbeRecord) -> Read:
    """Read what was gained of each test sentence.

    Raises:
        UserError: it is missing or broken, or not as much as the record says.
    """
    items = result.run.results.items(record, ProbeItem)
    num_layers, names = len(record.layers), {*record.baselines}
    has_control = bool(items) and bool(items[0].control)
    has_unseen = bool(items) and bool(items[0].unseen)
    sound = len({item.sentence for item in items}) == record.num_items > 0 and all(
        len(item.score) == num_layers
        and len(item.control) == num_layers * has_control
        and len(item.unseen) == num_layers * has_unseen
        and {*item.baselines} == names
        for item in items
    )
    if not sound or len(items) != record.num_items:
        raise UserError(
            f"{result.run.path} has {len(items):,} lines about the {record.num_items:,} sentences "
            f"of {record.task}, or lines that lack a layer: {record.remedy}"
        )
    columns: dict[str, object] = {
        "max_score": [[item.max_score for item in items]],
        "score": [[*each] for each in zip(*(item.score for item in items), strict=True)],
        "unseen_max_score": [[item.unseen_max_score for item in items]],
        **{f"baseline {name}": [[item.baselines[name] for item in items]] for name in names},
    }
    if has_control:
        columns["control"] = [*zip(*(item.control for item in items), strict=True)]
    if has_unseen:
        columns["unseen"] = [*zip(*(item.unseen for item in items), strict=True)]
    return Read(
        seed=result.seed,
        record=record,
        sentences=np.array([item.sentence for item in items]),
        rows={name: np.array(rows, dtype=np.float64) for name, rows in columns.items()},
    )
