"""From the results of pairs of runs to pairs of arms."""

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy import ndarray

from lmcompare.comparison.arms import Arm, Result
from lmcompare.comparison.tables.similarity import (
    ArmPair,
    Found,
    Gap,
    Grid,
    Means,
    Seeds,
    SimilarityTable,
    gap,
)
from lmcompare.evaluation.similarity.options import MEASURES, Measure
from lmcompare.evaluation.similarity.record import SimilarityItem, SimilarityRecord


class SameWords(NamedTuple):
    """Tell which results stand in one table: those about the same words, read alike."""

    source: str
    text: str
    words: str
    wanted: tuple[int, ...]
    version: int


@dataclass(frozen=True, kw_only=True, eq=False)
class PairOfRuns:
    """A result, turned such that the one arm's layers are the rows.

    Attributes:
        values: of each measure, layers by layers, and after each value those without a group.
        nulls: of each measure, layers by layers.
    """

    layers: tuple[int, ...]
    other_layers: tuple[int, ...]
    values: Mapping[Measure, ndarray]
    nulls: Mapping[Measure, ndarray]

    @staticmethod
    def of(result: Result, record: SimilarityRecord) -> "PairOfRuns":
        """Read a result with its items.

        Raises:
            UserError: they are missing or broken.
        """
        shape = (len(record.layers), len(record.other_layers))
        without = {
            (item.layer, item.other_layer): item.without
            for item in result.run.results.items(record, SimilarityItem)
        }
        values = {}
        for name, grids in record.grids.items():
            found = np.full((*shape, 1 + record.num_groups), np.nan)
            num = 1
            for row, layer in enumerate(record.layers):
                for column, other in enumerate(record.other_layers):
                    value = grids.value[row][column]
                    if value is not None:
                        left_out = without[layer, other][name]
                        num = 1 + len(left_out)
                        found[row, column, :num] = [value, *left_out]
            values[name] = found[:, :, :num]
        return PairOfRuns(
            layers=record.layers,
            other_layers=record.other_layers,
            values=values,
            nulls={
                name: np.array(grids.null_high, dtype=np.float64)
                for name, grids in record.grids.items()
            },
        )

    def turned(self) -> "PairOfRuns":
        """Return it with the two exchanged."""
        return PairOfRuns(
            layers=self.other_layers,
            other_layers=self.layers,
            values={name: each.swapaxes(0, 1) for name, each in self.values.items()},
            nulls={name: each.swapaxes(0, 1) for name, each in self.nulls.items()},
        )


Arms = tuple[str, str]  # labels


class Comparable(NamedTuple):
    """A result that is about models as they are now, and whether its first arm is the second."""

    result: Result
    record: SimilarityRecord
    is_turned: bool

    def read(self) -> PairOfRuns:
        """Read its items, which may be many; raises as `PairOfRuns.of` does."""
        found = PairOfRuns.of(self.result, self.record)
        return found.turned() if self.is_turned else found


@dataclass(frozen=True, kw_only=True, eq=False)
class Known:
    """All results of some arms that are about models as they are now; no items are read.

    Attributes:
        pairs: by what they are about, the labels of two arms in order, and the seeds.
        compared: pairs of runs that have a result, each by the hashes of both.
        outdated: the runs of which a result is about an earlier model of another run.
    """

    pairs: Mapping[SameWords, Mapping[Arms, Mapping[Seeds, Comparable]]]
    compared: Set[frozenset[str]]
    outdated: Sequence[str]

    @staticmethod
    def of(arms: Sequence[Arm]) -> "Known":
        """Return those of some arms."""
        runs = [(arm, result) for arm in arms for result in arm.results]
        by_hash = {result.run.hash: (arm, result) for arm, result in runs}
        names = {result.run.path.name for _, result in runs}
        pairs: dict[SameWords, dict[Arms, dict[Seeds, Comparable]]] = {}
        compared: set[frozenset[str]] = set()
        outdated: dict[str, None] = {}
        for arm, result in runs:
            for record in result.of(SimilarityRecord):
                if result.is_stale(record):
                    continue  # said elsewhere
                other = by_hash.get(record.other_hash)
                if other is None or other[1].is_stale_step(record.other_step):
                    if record.other in names:
                        outdated[str(result.run.path)] = None
                    continue
                about = SameWords(
                    record.source, record.text, record.words, record.wanted, record.version
                )
                compared.add(frozenset((result.run.hash, record.other_hash)))
                one = _label(arm, record.states_of)
                two = _label(other[0], record.other_states_of)
                seeds = (result.seed, other[1].seed)
                if one == two and seeds[0] == seeds[1]:
                    continue  # a model with itself
                if is_turned := (one, seeds[0]) > (two, seeds[1]):
                    one, two, seeds = two, one, seeds[::-1]
                found = Comparable(result, record, is_turned)
                pairs.setdefault(about, {}).setdefault((one, two), {})[seeds] = found
        return Known(pairs=pairs, compared=compared, outdated=[*outdated])


def _label(arm: Arm, states_of: str | None) -> str:
    """Return what an arm is called; of one that is read in several ways, with how."""
    return f"{arm.label} {states_of}" if states_of else arm.label


def similarity_tables(arms: Sequence[Arm]) -> list[SimilarityTable]:
    """Return a table for all that was compared on the same words.

    Raises:
        UserError: the items behind a result are missing or broken.
    """
    tables = []
    for about, found in sorted(Known.of(arms).pairs.items()):
        record = next(iter(next(iter(found.values())).values())).record
        pairs = {
            labels: {seeds: each.read() for seeds, each in own.items()}
            for labels, own in found.items()
        }
        made = [_pair(*labels, pairs, arms) for labels in pairs if labels[0] != labels[1]]
        tables.append(
            SimilarityTable(
                source=about.source,
                text=about.text,
                words=about.words,
                num_words=record.num_words,
                num_sampled=record.num_sampled,
                measures=[name for name in MEASURES if any(name in each.grids for each in made)],
                pairs=sorted(made, key=lambda each: (each.one, each.other)),
                notes=[*_notes(made)],
            )
        )
    return [each for each in tables if each.pairs]


def _pair(
    one: str, other: str, pairs: Mapping[Arms, Mapping[Seeds, PairOfRuns]], arms: Sequence[Arm]
) -> ArmPair:
    between = pairs[one, other]
    first = next(iter(between.values()))
    within = [pairs.get((label, label), {}) for label in (one, other)]
    apart = [seeds for seeds in between if seeds[0] != seeds[1]]
    measures = [name for name in MEASURES if all(name in each.values for each in between.values())]
    objectives = {arm.label: arm.objective for arm in arms}
    return ArmPair(
        one=one,
        other=other,
        objectives=(objectives[arm_of(one, objectives)], objectives[arm_of(other, objectives)]),
        layers=first.layers,
        other_layers=first.other_layers,
        num_pairs=len(apart or between),
        is_of_one_start=not apart,
        grids={name: _grid(name, between, within, first) for name in measures},
    )


def arm_of(label: str, arms: Iterable[str]) -> str:
    """Return which of some arms a label is of, which may say how the arm was read, too."""
    return max((each for each in arms if f"{label} ".startswith(f"{each} ")), key=len)


def _grid(
    name: Measure,
    between: Mapping[Seeds, PairOfRuns],
    within: Sequence[Mapping[Seeds, PairOfRuns]],
    first: PairOfRuns,
) -> Grid:
    apart = {seeds: each for seeds, each in between.items() if seeds[0] != seeds[1]}
    alike = {seeds: each for seeds, each in between.items() if seeds[0] == seeds[1]}
    floors = [{seeds: each for seeds, each in own.items() if name in each.values} for own in within]
    gaps: dict[int, Gap] = {}
    for layer in first.layers:
        if layer in first.other_layers:
            found = [_at(name, layer, each) for each in (between, *floors)]
            if found[0]:
                gaps[layer] = gap(found[0], found[1], found[2])
    return Grid(
        between=_means([each.values[name][:, :, 0] for each in (apart or between).values()]),
        same_seed=_means([each.values[name][:, :, 0] for each in alike.values()])
        if alike
        else None,
        floors=(_floor(name, floors[0]), _floor(name, floors[1])),
        null=_means([each.nulls[name] for each in (apart or between).values()]),
        gaps=gaps,
    )


def _at(name: Measure, layer: int, pairs: Mapping[Seeds, PairOfRuns]) -> Found:
    """Return what is known of layers of one number, of those pairs in which both vary."""
    found = {}
    for seeds, each in pairs.items():
        if layer in each.layers and layer in each.other_layers:
            row, column = each.layers.index(layer), each.other_layers.index(layer)
            if not np.isnan(each.values[name][row, column]).any():
                found[seeds] = each.values[name][row, column]
    return found


def _floor(name: Measure, pairs: Mapping[Seeds, PairOfRuns]) -> Means | None:
    """Return the mean over pairs of seeds, in either order."""
    values = [each.values[name][:, :, 0] for each in pairs.values()]
    return _means([*values, *(each.T for each in values)]) if values else None


def _means(grids: Sequence[ndarray]) -> Means:
    mean = np.mean(grids, axis=0)
    return tuple(tuple(None if np.isnan(each) else float(each) for each in row) for row in mean)


def _notes(pairs: Sequence[ArmPair]) -> Iterator[str]:
    """Yield which claims cannot be made, and how many were made."""
    if single := [f"{each.one} and {each.other}" for each in pairs if each.is_of_one_start]:
        yield (
            "of runs of one seed, which share their start and so are more alike than others: "
            + "; ".join(single)
        )
    gaps = [gap for each in pairs for grid in each.grids.values() for gap in grid.gaps.values()]
    asked = [each for each in gaps if each.differs is not None]
    if len(asked) < len(gaps):
        yield "no verdict where an arm has fewer than three seeds, as their spread is not known"
    if asked:
        num = sum(bool(each.differs) for each in asked)
        yield (
            f"{num} of {len(asked)} are below the floor; each by an interval of its own, so of "
            "pairs that are alike one in forty may be, too"
        )
