"""The third table: what every arm writes behind the same prompts, ranked nowhere."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lmcompare.comparison.arms import Arm
from lmcompare.evaluation.generation.metrics import (
    COST_METRICS,
    TEXT_METRICS,
    CostMetric,
    TextMetric,
)
from lmcompare.evaluation.generation.record import VERBATIM, GenerationRecord, JudgeRecord
from lmcompare.evaluation.metric import MISSING, Metric, short, with_interval
from lmcompare.stats.intervals import Estimate, error_interval, mean_interval

TITLE = "What is written after the same prompts"
SHOWN_TEXT = [metric for metric in TEXT_METRICS if metric.heading and metric.in_comparison]
SHOWN: Sequence[Metric] = [*SHOWN_TEXT, *COST_METRICS]
ITSELF = "the text itself"
MARKS = (
    "±: half of a 95% interval of the mean over seeds; of one seed: over its texts, which says "
    "nothing of another seed.",
    "judge bits/byte: what the judge needs for what was written; far below the text itself means "
    "bland, not good. entropy: bits a word, from the frequencies of the words written.",
    "distinct-2: different pairs of words, as a share of all pairs. self-BLEU: how alike the "
    "texts are, 0 to 1. repetition: share of four words in a row that stood earlier in the same "
    f"text. verbatim: share of {VERBATIM} tokens in a row that stand in the training text.",
    "passes and FLOPs/token: of a text that is written alone, prompt included. tokens/s: of one "
    "alone, and of many together. first token: of one alone; some ways change it later. memory: of "
    "the model, and of all that is held beyond it while many are written together.",
)


@dataclass(frozen=True, kw_only=True)
class GenerationRow:
    """An arm that writes in one way; what is not known of it is missing."""

    label: str
    objective: str
    finished: bool
    method: str | None
    sampler: Mapping[str, Any]
    settings: str  # the same in words
    seeds: Sequence[int]
    estimates: Mapping[str, Estimate]  # over seeds, by metric; of one seed over its texts

    @property
    def in_words(self) -> str:
        """Return which row it is."""
        return f"{self.label} {self.method}, {self.settings}"


@dataclass(frozen=True, kw_only=True)
class GenerationTable:
    """What was written behind the same prompts, and judged by the same judge."""

    source: str
    text: str  # hash
    num_texts: int
    prompt_tokens: int
    new_tokens: int
    judge: JudgeRecord | None
    rows: Sequence[GenerationRow]
    itself: Mapping[str, tuple[float, float]]  # by metric: lowest and highest of all runs
    notes: Sequence[str]

    @property
    def subtitle(self) -> str:
        """Return what was asked, and who judged."""
        judge = self.judge
        by = "no judge"
        if judge is not None:
            by = f"judge {judge.name} ({judge.objective}, {short(judge.num_parameters)} parameters)"
        return (
            f"{self.num_texts} texts of {self.source} {self.text[:8]}: {self.new_tokens} tokens "
            f"after {self.prompt_tokens}; {by}"
        )

    @property
    def cells(self) -> list[list[str]]:
        """Return the rows under label, method, settings and `SHOWN`, the text itself last."""
        shown = [
            [row.label, row.method or MISSING, row.settings, *_cells(row.estimates)]
            for row in self.rows
        ]
        return [*shown, [ITSELF, "", "", *map(self._itself, SHOWN)]]

    def _itself(self, metric: Metric) -> str:
        ends = self.itself.get(metric.name, ())
        return " to ".join(dict.fromkeys(map(metric.shown, ends)))


def generation_tables(arms: Sequence[Arm]) -> list[GenerationTable]:
    """Return a table for each set of prompts that an arm continued at its end, and each judge."""
    found: dict[_About, dict[str, list[tuple[int, GenerationRecord]]]] = {}
    for arm in arms:
        for result in arm.results:
            for record in result.of(GenerationRecord):
                if not result.is_stale(record):
                    own = found.setdefault(_about(record), {}).setdefault(arm.label, [])
                    own.append((result.seed, record))
    return [_table(arms, found[about]) for about in sorted(found)]


_About = tuple[str, str, str, int]


def _about(record: GenerationRecord) -> _About:
    judge = record.judge
    return (
        record.source,
        record.text,
        "" if judge is None else judge.name,
        0 if judge is None else judge.step,
    )


def _table(
    arms: Sequence[Arm], found: Mapping[str, Sequence[tuple[int, GenerationRecord]]]
) -> GenerationTable:
    records = [record for own in found.values() for _, record in own]
    about = records[0]
    rows, notes = [], []
    for arm in arms:
        ways: dict[tuple[Any, ...], list[tuple[int, GenerationRecord]]] = {}
        for seed, record in found.get(arm.label, ()):
            ways.setdefault(_way(record), []).append((seed, record))
        for way in sorted(ways):
            rows.append(_row(arm, ways[way]))
            if len(ways[way]) < len(arm.results):
                num = f"{len(ways[way])} of {len(arm.results)} seeds"
                notes.append(f"{rows[-1].in_words}: {num}")
            notes += _known_of_some(rows[-1])
    itself: dict[str, tuple[float, float]] = {}
    for record in records:
        for metric in TEXT_METRICS:
            if (value := metric.of(record.reference, record.num_texts)) is not None:
                low, high = itself.get(metric.name, (value, value))
                itself[metric.name] = (min(low, value), max(high, value))
    return GenerationTable(
        source=about.source,
        text=about.text,
        num_texts=about.num_texts,
        prompt_tokens=about.prompt_tokens,
        new_tokens=about.new_tokens,
        judge=about.judge,
        rows=rows,
        itself=itself,
        notes=[*_reasons(found), *notes, *_machines(found)],
    )


def _way(record: GenerationRecord) -> tuple[Any, ...]:
    sampler = record.sampler
    return (
        record.method or "",
        sampler.temperature,
        sampler.steps or 0,
        sampler.top_p or 0.0,
        record.settings,
    )


def _row(arm: Arm, found: Sequence[tuple[int, GenerationRecord]]) -> GenerationRow:
    values: dict[str, list[float]] = {}
    for _, record in found:
        for name, value in _values(record):
            values.setdefault(name, []).append(value)
    record = found[0][1]
    estimates = {metric: mean_interval(each) for metric, each in values.items()}
    if len(found) == 1 and record.written is not None:
        for metric in TEXT_METRICS:
            error = metric.error_of(record.written) if metric.error_of else None
            if error is not None:
                value = values[metric.name][0]
                estimates[metric.name] = error_interval(value, error, record.num_texts)
    return GenerationRow(
        label=arm.label,
        objective=arm.objective,
        finished=arm.finished,
        method=record.method,
        sampler=record.model_dump()["sampler"],
        settings=record.settings,
        seeds=sorted(seed for seed, _ in found),
        estimates=estimates,
    )


def _values(record: GenerationRecord) -> Iterator[tuple[str, float]]:
    """Yield all that is known of what was written, and of what it took."""
    values: dict[str, float | None] = {}
    if record.written is not None:
        values |= {each.name: each.of(record.written, record.num_texts) for each in TEXT_METRICS}
    if record.cost is not None:
        values |= {each.name: each.of(record.cost) for each in COST_METRICS}
    yield from ((name, value) for name, value in values.items() if value is not None)


def _known_of_some(row: GenerationRow) -> Iterator[str]:
    """Yield metrics that some seeds lack: what has no two words in a row has no pairs of them."""
    found: dict[int, list[str]] = {}
    for metric in SHOWN:
        estimate = row.estimates.get(metric.name)
        if estimate is not None and estimate.num < len(row.seeds):
            found.setdefault(estimate.num, []).append(heading_of(metric))
    for num, headings in found.items():
        figures = " and ".join(headings)
        yield f"{row.in_words}: {figures} of {num} of {len(row.seeds)} seeds, the others have none"


def heading_of(metric: Metric) -> str:
    """Return what stands above the column of a metric in a comparison."""
    return metric.brief or metric.heading if isinstance(metric, CostMetric) else metric.heading


def _cells(estimates: Mapping[str, Estimate]) -> Iterator[str]:
    for metric in SHOWN:
        estimate = estimates.get(metric.name)
        if estimate is not None and isinstance(metric, TextMetric) and metric.error_of is not None:
            yield with_interval(estimate)
        else:
            yield metric.shown(None if estimate is None else estimate.mean)


def _reasons(found: Mapping[str, Sequence[tuple[int, GenerationRecord]]]) -> Iterator[str]:
    """Yield why nothing was written."""
    for label, own in found.items():
        for reason in dict.fromkeys(record.reason for _, record in own if record.reason):
            yield f"{MISSING} {label}: {reason}"


def _machines(found: Mapping[str, Sequence[tuple[int, GenerationRecord]]]) -> Iterator[str]:
    """Yield on what it was timed, where that differs."""
    machines: dict[str, list[str]] = {}
    for label, own in found.items():
        for cost in (record.cost for _, record in own if record.cost is not None):
            where = f"{cost.device}, {cost.threads} threads"
            machines.setdefault(where, []).append(label)
    if len(machines) > 1:
        parts = (f"{where}: {', '.join(dict.fromkeys(own))}" for where, own in machines.items())
        yield f"tokens/s do not compare, as they were taken on unlike machines ({'; '.join(parts)})"
