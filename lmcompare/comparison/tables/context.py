"""The table of context use: what every arm gains from each side of the same tokens, and how far."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from lmcompare import files
from lmcompare.blocks import Block, Column, Notes, Part, Table, names
from lmcompare.comparison.arms import Arm, Result
from lmcompare.comparison.figures.context_curves import draw_context
from lmcompare.comparison.figures.drawing import can_draw
from lmcompare.comparison.tables.base import ResultTables
from lmcompare.evaluation.context.curves import ContextAnswers, EffectiveLength
from lmcompare.evaluation.context.kind import shown_length
from lmcompare.evaluation.context.metrics import GRADIENT, LENGTH
from lmcompare.evaluation.context.record import CHANGES, SIDES, ContextRecord, Side, key_of
from lmcompare.evaluation.metric import MISSING, with_interval
from lmcompare.stats.intervals import Estimate
from lmcompare.stats.significance import estimate

WHOLE = "Context: what each side is worth to the model that predicts a token"
BY_DISTANCE = "Context by distance: nats lost where a side ends after so many tokens"
BY_CHANGE = "Context by change: nats lost where a whole side is changed"
MARKS = (
    "nats: by which a token costs less given that side than with the text cut there, the other "
    "side whole. 95% within: so many tokens of the side give 95% of that, with its interval; ≥: "
    "more than that, as it is reached beyond the last distance that was cut at.",
    "gradient: the share of what moves the log-probability of the token that stands on that side. "
    "state: the cosine distance of the state that predicts the token, with and without the side.",
    "cut: the text ends there, as documents do. shuffled: its tokens in a random order. replaced: "
    "by those of another text.",
    "±: half of a 95% interval over texts and, of three seeds or more, over seeds. All arms are "
    "asked for the same tokens, and so differ at random by less than their intervals say.",
)
LEFT_ONLY = "l: sees nothing on the right of a token that it predicts, and so gains 0 there"


@dataclass(frozen=True, kw_only=True)
class ContextRow:
    """Hold what an arm makes of context; without an answer all below its reason is empty.

    Attributes:
        label: of the arm.
        objective: its name.
        seeds: those averaged.
        given: what an answer can make use of.
        reason: why there is no answer.
        gain: nats from each side.
        length: tokens of each side that give 95% of them; None where nothing is gained.
        state: how far the state moves without each side.
        gradient: the share of each side.
        gradient_by_distance: the mean share of the token at each distance from 1 on.
        lost: by change and side, what it costs from each distance on.
        moved: the same of the states.
        changed: by change and side, what it costs where all of the side is changed.
    """

    label: str
    objective: str
    seeds: Sequence[int]
    given: str | None = None
    reason: str = ""
    gain: Mapping[Side, Estimate] = field(default_factory=dict)
    length: Mapping[Side, EffectiveLength | None] = field(default_factory=dict)
    state: Mapping[Side, Estimate] = field(default_factory=dict)
    gradient: Mapping[Side, Estimate] = field(default_factory=dict)
    gradient_by_distance: Mapping[Side, Sequence[float]] = field(default_factory=dict)
    lost: Mapping[str, Sequence[Estimate]] = field(default_factory=dict)
    moved: Mapping[str, Sequence[Estimate]] = field(default_factory=dict)
    changed: Mapping[str, Estimate] = field(default_factory=dict)

    def sees(self, side: Side) -> bool:
        """Tell whether it can make use of a side."""
        return side == "left" or self.given == "both"


@dataclass(frozen=True, kw_only=True)
class ContextTable:
    """Answers about the same tokens of one text."""

    source: str
    text: str  # hash
    num_tokens: int
    num_curve_tokens: int
    num_changed_tokens: int
    distances: Sequence[int]
    rows: Sequence[ContextRow]
    notes: Sequence[str]

    @property
    def name(self) -> str:
        """Return what its picture is called."""
        return f"{self.source}-{self.text[:8]}"

    @property
    def subtitle(self) -> str:
        """Return what was asked about."""
        return (
            f"{self.num_tokens:,} tokens of {self.source} {self.text[:8]}, "
            f"{self.distances[-1]} tokens of context on each side at most"
        )


def context_tables(arms: Sequence[Arm]) -> list[ContextTable]:
    """Return a table for each set of tokens that an arm was asked for.

    Raises:
        UserError: the items behind a result are missing or broken.
    """
    measured = [(arm, [*_fresh(arm)]) for arm in arms]
    asked = {(each.source, each.text): each for _, own in measured for _, each in own}
    tables = []
    for (source, text), about in sorted(asked.items()):
        own = [
            (arm, [(result, each) for result, each in found if each.text == text])
            for arm, found in measured
        ]
        rows = [_row(arm, found) for arm, found in own if found]
        partly = [
            f"{arm.label}: {len(found)} of {len(arm.results)} seeds"
            for arm, found in own
            if 0 < len(found) < len(arm.results)
        ]
        reasons = dict.fromkeys(f"{MISSING} {row.label}: {row.reason}" for row in rows)
        tables.append(
            ContextTable(
                source=source,
                text=text,
                num_tokens=about.num_tokens,
                num_curve_tokens=about.num_curve_tokens,
                num_changed_tokens=about.num_changed_tokens,
                distances=about.distances,
                rows=rows,
                notes=[*(each for each in reasons if not each.endswith(": ")), *partly],
            )
        )
    return tables


def _fresh(arm: Arm) -> Iterator[tuple[Result, ContextRecord]]:
    for result in arm.results:
        for record in result.of(ContextRecord):
            if not result.is_stale(record):
                yield result, record


def _row(arm: Arm, found: Sequence[tuple[Result, ContextRecord]]) -> ContextRow:
    answers = ContextAnswers.of([(result.run, record) for result, record in found])
    objective = arm.results[0].record.config.objective.name
    if not answers.records:
        return ContextRow(
            label=arm.label,
            objective=objective,
            seeds=[],
            reason=found[0][1].reason or "no answer",
        )
    keys = [(change, side) for change in CHANGES for side in SIDES if answers.sees(side)]
    right = answers.gradient_right()
    curves = [each.gradient for each in answers.records if each.gradient is not None]
    return ContextRow(
        label=arm.label,
        objective=objective,
        seeds=[each.seed for each in answers.records],
        given=answers.records[0].given,
        gain={side: answers.mean("lost", side) for side in SIDES},
        length={side: answers.effective_length(side) for side in SIDES},
        state={side: answers.mean("moved", side) for side in SIDES},
        gradient={} if right is None else _shares(estimate(right)),
        gradient_by_distance={
            side: np.mean([each[side] for each in curves], axis=0).tolist()
            for side in SIDES
            if curves
        },
        lost={key_of(*each): answers.curve("lost", *each) for each in keys},
        moved={key_of(*each): answers.curve("moved", *each) for each in keys},
        changed={key_of(*each): answers.changed(*each) for each in keys},
    )


def _shares(right: Estimate) -> dict[Side, Estimate]:
    """Return the shares of both sides, which add up to 1."""
    low, high = right.low, right.high
    left = Estimate(
        mean=1 - right.mean,
        low=None if high is None else 1 - high,
        high=None if low is None else 1 - low,
        num=right.num,
    )
    return {"left": left, "right": right}


class ContextTables(ResultTables[ContextTable]):
    """A table for each set of tokens, and a picture of its curves."""

    key = "context"
    record = ContextRecord
    lacks = "context use not measured"

    def tables(
        self, arms: Sequence[Arm], frame: pd.DataFrame, *, reference: str | None
    ) -> Sequence[ContextTable]:
        return context_tables(arms)

    def blocks(self, tables: Sequence[ContextTable]) -> Iterator[Block]:
        for table in tables:
            yield from _blocks(table)
        if tables:
            left_only = any(row.given == "left" for table in tables for row in table.rows)
            yield Notes([*MARKS, *([LEFT_ONLY] if left_only else [])])

    def notes(
        self, arms: Sequence[Arm], tables: Sequence[ContextTable], *, reference: str | None
    ) -> Iterator[str]:
        if tables and not can_draw():
            yield "no picture of context: it needs pip install 'lmcompare[plots]'"

    def pictures(self, tables: Sequence[ContextTable]) -> Iterator[tuple[str, bytes]]:
        for table in tables:
            if any(row.lost for row in table.rows):
                yield f"context-{files.name_of(table.name)}", draw_context(table)


def _blocks(table: ContextTable) -> Iterator[Block]:
    """Yield what whole sides are worth, and below it what parts of them are: no page is as wide."""

    def numbered(*headings: str) -> list[Column]:
        return [*names("arm", "side"), *(Column(each, "number") for each in headings)]

    able = [row for row in table.rows if row.gain]
    seen = [(row, side) for row in able for side in SIDES if row.sees(side)]
    whole = [_whole(row, side) for row in able for side in SIDES]
    whole += [[row.label, "", *[MISSING] * 4] for row in table.rows if not row.gain]
    yield Table(
        columns=numbered("nats", "95% within", "gradient", "state"),
        parts=[Part(title=WHOLE, subtitle=table.subtitle, rows=whole)],
        notes=table.notes,
    )
    by_distance = [
        [row.label, side, *(f"{each.mean:.3f}" for each in row.lost[key_of("cut", side)])]
        for row, side in seen
    ]
    by_change = [
        [row.label, side, *(with_interval(row.changed[key_of(each, side)]) for each in CHANGES)]
        for row, side in seen
    ]
    for title, num, columns, rows in (
        (
            BY_DISTANCE,
            table.num_curve_tokens,
            numbered(*map(str, table.distances[:-1])),
            by_distance,
        ),
        (BY_CHANGE, table.num_changed_tokens, numbered(*CHANGES), by_change),
    ):
        if rows:
            part = Part(title=title, subtitle=f"{num:,} of these tokens", rows=rows)
            yield Table(columns=columns, parts=[part])


def _whole(row: ContextRow, side: Side) -> list[str]:
    share = row.gradient.get(side)
    if not row.sees(side):
        return [row.label, side, "0 l", MISSING, _percent(share), "0 l"]
    return [
        row.label,
        side,
        with_interval(row.gain[side]),
        shown_with_ends(row.length[side], side),
        _percent(share),
        with_interval(row.state[side]),
    ]


def shown_with_ends(length: EffectiveLength | None, side: Side) -> str:
    """Return an effective length with the ends of its interval."""
    if length is None:
        return MISSING
    metric = LENGTH[side]
    return (
        f"{shown_length(metric, length)} [{metric.shown(length.low)}, {metric.shown(length.high)}]"
    )


def _percent(share: Estimate | None) -> str:
    if share is None:
        return MISSING
    half = share.half_width
    return GRADIENT.shown(share.mean) + (f" ±{GRADIENT.shown(half)}" if half else "")
