"""From the results of runs to arms: what their heads are like, and what they follow."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from lmcompare.comparison.arms import Arm, Result
from lmcompare.comparison.tables.attention import (
    HeadFigures,
    HeadsOfArm,
    HeadsTable,
    LayerMeans,
    RelationBlock,
    RelationRow,
    RelationsTable,
)
from lmcompare.evaluation.attention.kind import notes_on
from lmcompare.evaluation.attention.record import (
    AttentionRecord,
    HeadsItem,
    RelationItem,
    RelationResult,
)
from lmcompare.stats.paired_bootstrap import Scores
from lmcompare.stats.share_intervals import paired_difference, share
from lmcompare.stats.significance import estimate


class AboutAttention(NamedTuple):
    """Tell which results stand in one table: those about the same text or treebank."""

    task: str
    source: str
    text: str
    min_arcs: int
    version: int


Measured = tuple[Result, AttentionRecord]


@dataclass(kw_only=True, eq=False)
class Attending:
    """The results of an arm that is read in one way: of its models, and of these as they started.

    Attributes:
        arm: the arm.
        label: what it is called; of one that is read in several ways, with how.
        trained: by seed, at least one.
        untrained: by seed, as far as they were measured.
    """

    arm: Arm
    label: str
    trained: dict[int, Measured] = field(default_factory=dict)
    untrained: dict[int, Measured] = field(default_factory=dict)

    @property
    def about(self) -> dict[str, object]:
        """Return the fields that all rows of it share."""
        return {
            "label": self.label,
            "arm": self.arm.label,
            "objective": self.arm.objective,
            "finished": self.arm.finished,
            "seeds": [*self.trained],
            "sees_right": next(iter(self.trained.values()))[1].sees_right,
        }

    @property
    def started(self) -> list[Measured]:
        """Return the results of the models as they started; none where one of them is not known."""
        known = {*self.untrained} >= {*self.trained}
        return [self.untrained[seed] for seed in self.trained] if known else []


def attending(arms: Sequence[Arm]) -> dict[AboutAttention, list[Attending]]:
    """Return what was measured of some arms, by what it is about."""
    found: dict[AboutAttention, dict[str, Attending]] = {}
    for arm in arms:
        for result in arm.results:
            for record in sorted(result.of(AttentionRecord), key=lambda each: each.step):
                if result.is_stale(record):
                    continue  # said elsewhere
                about = AboutAttention(
                    record.task, record.source, record.text, record.min_arcs, record.version
                )
                label = f"{arm.label} {record.states_of or ''}".strip()
                own = found.setdefault(about, {}).setdefault(label, Attending(arm=arm, label=label))
                kept = own.untrained if record.is_untrained else own.trained
                kept[result.seed] = (result, record)
    return {
        about: known
        for about in sorted(found)
        if (known := [each for each in found[about].values() if each.trained])
    }


def heads_table(about: AboutAttention, arms: Sequence[Attending]) -> HeadsTable:
    """Return what the heads of some arms are like on one text.

    Raises:
        UserError: the items behind a result are missing or broken.
    """
    first = next(iter(arms[0].trained.values()))[1]
    return HeadsTable(
        source=about.source,
        text=about.text,
        num_texts=first.num_items,
        num_tokens=first.num_tokens,
        arms=[
            HeadsOfArm(
                **each.about,  # type: ignore[arg-type]
                layers=_layers([*each.trained.values()]),
                untrained=_layers(each.started),
                heads=[*_heads(each)],
            )
            for each in arms
        ],
    )


def _layers(measured: Sequence[Measured]) -> list[LayerMeans]:
    if not measured:
        return []
    values = [_of_texts(*each) for each in measured]
    seeds = tuple(result.seed for result, _ in measured)
    record = measured[0][1]
    return [
        LayerMeans(
            layer=layer,
            means={
                name: estimate(
                    Scores(
                        score=(score := np.stack([each[name][:, place] for each in values])),
                        max_score=np.ones_like(score),
                        seeds=seeds,
                        highest=float("inf"),
                    )
                )
                for name in record.means
            },
        )
        for place, layer in enumerate(record.layers)
    ]


def _of_texts(result: Result, record: AttentionRecord) -> dict[str, Float[ndarray, "N L"]]:
    """Return the mean over heads of each measure, by text and layer."""
    items = sorted(result.run.results.items(record, HeadsItem), key=lambda each: each.text)
    return {name: np.array([each.values[name] for each in items]).mean(2) for name in record.means}


def _heads(arm: Attending) -> Iterator[HeadFigures]:
    for seed, (_, record) in arm.trained.items():
        for place, layer in enumerate(record.layers):
            for number in range(record.num_heads):
                yield HeadFigures(
                    seed=seed,
                    layer=layer,
                    head=number + 1,
                    values={name: each[place][number] for name, each in record.means.items()},
                )


def relations_table(about: AboutAttention, arms: Sequence[Attending]) -> RelationsTable:
    """Return how well the heads of some arms follow the relations of a treebank.

    Raises:
        UserError: the items behind a result are missing or broken.
    """
    records = [record for arm in arms for _, record in arm.trained.values()]
    followers = [_Follower.of(arm) for arm in arms]
    relations = dict.fromkeys(
        each.relation
        for record in sorted(records, key=lambda record: -len(record.relations))
        for each in record.relations
    )
    blocks = [
        RelationBlock(relation=relation, rows=rows)
        for relation in relations
        if (rows := _rows(relation, followers))
    ]
    return RelationsTable(
        source=about.source,
        text=about.text,
        min_arcs=about.min_arcs,
        num_sentences=records[0].num_items,
        blocks=blocks,
        notes=[*dict.fromkeys(note for record in records for note in notes_on(record))],
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Follower:
    """An arm with its results and their items, read once."""

    arm: Attending
    trained: Sequence[tuple[Mapping[str, RelationResult], Sequence[RelationItem]]]
    untrained: Sequence[tuple[Mapping[str, RelationResult], Sequence[RelationItem]]]

    @staticmethod
    def of(arm: Attending) -> "_Follower":
        trained, untrained = (
            [
                (
                    {each.key: each for each in record.relations},
                    result.run.results.items(record, RelationItem),
                )
                for result, record in some
            ]
            for some in ([*arm.trained.values()], arm.started)
        )
        return _Follower(arm=arm, trained=trained, untrained=untrained)

    def results(self, key: str) -> list[RelationResult]:
        """Return those of all seeds; none where one has none."""
        found = [results[key] for results, _ in self.trained if key in results]
        return found if len(found) == len(self.trained) else []

    def scores(self, key: str, what: str, *, untrained: bool = False) -> Scores | None:
        """Return the hits and cases of each test sentence; None where a seed has none."""
        some = self.untrained if untrained else self.trained
        if not some or any(key not in results for results, _ in some):
            return None
        return Scores(
            score=np.array(
                [[getattr(each, what).get(key, 0) for each in items] for _, items in some],
                dtype=np.float64,
            ),
            max_score=np.array(
                [[each.cases.get(key, 0) for each in items] for _, items in some],
                dtype=np.float64,
            ),
            seeds=tuple(self.arm.trained),
        )


def _rows(relation: str, followers: Sequence[_Follower]) -> list[RelationRow]:
    """Return how well each arm follows a relation, in each direction that it was asked in."""
    asked = []
    for follower in followers:
        keys = dict.fromkeys(
            each.key
            for results, _ in follower.trained
            for each in results.values()
            if each.relation == relation
        )
        gains = {
            key: float(np.mean([each.choice - each.offset_choice for each in found]))
            for key in keys
            if (found := follower.results(key))
        }
        best = max(gains, key=lambda key: gains[key], default="")
        asked += [(follower, key, key == best) for key in gains]
    rows = []
    for follower, key, is_shown in asked:
        results = follower.results(key)
        hits, offset_hits = follower.scores(key, "hits"), follower.scores(key, "offset_hits")
        assert hits is not None, "every seed has it"
        assert offset_hits is not None, "every seed has it"
        started = follower.scores(key, "hits", untrained=True)
        rows.append(
            RelationRow(
                **follower.arm.about,  # type: ignore[arg-type]
                direction=results[0].direction,
                num_cases=results[0].num_cases,
                num_out_of_sight=results[0].num_out_of_sight,
                heads=[(each.layer, each.head) for each in results],
                offsets=[each.offset for each in results],
                choice=float(np.mean([each.choice for each in results])),
                value=share(hits),
                offset_value=share(offset_hits),
                beyond=paired_difference(hits, offset_hits),
                untrained=None if started is None else share(started),
                is_shown=is_shown,
            )
        )
    return rows
