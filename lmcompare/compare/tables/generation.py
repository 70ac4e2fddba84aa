"""The third table: what every arm writes behind the same prompts, ranked nowhere."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lmcompare.compare.arms import Arm
from lmcompare.compare.tables.likelihood import MISSING, short, with_interval
from lmcompare.evaluation.generation.record import (
    VERBATIM,
    GenerationRecord,
    JudgeRecord,
    TextMetrics,
    WritingCost,
)
from lmcompare.stats.intervals import Estimate, error_interval, mean_interval

TITLE = "What is written after the same prompts"
HEADINGS = (
    *("arm", "method", "settings", "judge bits/byte", "entropy", "distinct-2", "self-BLEU"),
    *(
        "repetition",
        "verbatim",
        "words/text",
        "passes/token",
        "FLOPs/token",
        "tokens/s",
        "together",
        "first token, ms",
        "memory, MB",
    ),
)
NUM_WORDS, NUM_COSTS = 3, 6  # of the headings, the first and the last
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
    estimates: Mapping[str, Estimate]  # over seeds, by metric; see `text_errors` for one seed

    @property
    def in_words(self) -> str:
        """Which row it is."""
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
        """What was asked, and who judged."""
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
        """The rows under `HEADINGS`, the text itself last."""
        shown = [
            [row.label, row.method or MISSING, row.settings, *_cells(row.estimates)]
            for row in self.rows
        ]
        return [*shown, [ITSELF, "", "", *map(self._itself, _SHOWN)]]

    def _itself(self, metric: str) -> str:
        if metric not in self.itself:
            return ""
        ends = dict.fromkeys(_SHOWN[metric](end) for end in self.itself[metric])
        return " to ".join(ends)


# How a figure is shown.
_SHOWN: Mapping[str, Callable[[float], str]] = {
    "judge_bits_per_byte": "{:.3f}".format,
    "written_entropy": "{:.2f}".format,
    "distinct_2": "{:.3f}".format,
    "self_bleu": "{:.3f}".format,
    "repetition": "{:.1%}".format,
    "verbatim": "{:.1%}".format,
    "words_per_text": "{:.1f}".format,
    "passes_per_written_token": "{:.3f}".format,
    "flops_per_written_token": short,
    "written_tokens_per_second": "{:,.0f}".format,
    "written_tokens_per_second_together": "{:,.0f}".format,
    "first_token_seconds": lambda seconds: f"{seconds * 1e3:.1f}",
    "writing_memory": lambda num_bytes: f"{num_bytes / 1e6:,.0f}",
}
_WITH_INTERVAL = ("judge_bits_per_byte", "distinct_2")  # what the picture is made of


def text_metrics(figures: TextMetrics | None, num_texts: int) -> dict[str, float | None]:
    """What the texts are like, by metric."""
    if figures is None:
        return {}
    return {
        "judge_bits_per_byte": figures.judge_bits_per_byte,
        "written_entropy": figures.entropy,
        "distinct_1": figures.distinct_1,
        "distinct_2": figures.distinct_2,
        "distinct_3": figures.distinct_3,
        "self_bleu": figures.self_bleu,
        "repetition": figures.repetition,
        "verbatim": figures.verbatim,
        "words_per_text": figures.num_words / num_texts,
        "bytes_per_text": figures.num_bytes / num_texts,
    }


def text_errors(figures: TextMetrics | None) -> dict[str, float]:
    """The standard errors of what the texts are like, over texts, by metric, where known."""
    if figures is None:
        return {}
    errors = {
        "judge_bits_per_byte": figures.judge_error,
        "distinct_2": figures.distinct_2_error,
    }
    return {metric: error for metric, error in errors.items() if error is not None}


def cost_metrics(cost: WritingCost | None) -> dict[str, float | None]:
    """What writing them took, by metric."""
    if cost is None:
        return {}
    return {
        "passes_per_written_token": cost.passes_per_token,
        "flops_per_written_token": cost.flops_per_token,
        "written_tokens_per_second": cost.tokens_per_second,
        "written_tokens_per_second_together": cost.tokens_per_second_together,
        "first_token_seconds": cost.first_token_seconds,
        "writing_memory": cost.peak_memory,
    }


def generation_tables(arms: Sequence[Arm]) -> list[GenerationTable]:
    """A table for each set of prompts that an arm wrote behind at its end, and for each judge."""
    found: dict[_About, dict[str, list[tuple[int, GenerationRecord]]]] = {}
    for arm in arms:
        for result in arm.results:
            for record in result.generations:
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
        for metric, value in text_metrics(record.reference, record.num_texts).items():
            if value is not None:
                low, high = itself.get(metric, (value, value))
                itself[metric] = (min(low, value), max(high, value))
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
        known = text_metrics(record.written, record.num_texts) | cost_metrics(record.cost)
        for metric, value in known.items():
            if value is not None:
                values.setdefault(metric, []).append(value)
    record = found[0][1]
    estimates = {metric: mean_interval(each) for metric, each in values.items()}
    if len(found) == 1:
        for metric, error in text_errors(record.written).items():
            estimates[metric] = error_interval(values[metric][0], error, record.num_texts)
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


def _known_of_some(row: GenerationRow) -> Iterator[str]:
    """Figures that some seeds do not have: what has no two words in a row has no pairs of them."""
    found: dict[int, list[str]] = {}
    for metric, heading in zip(_SHOWN, HEADINGS[NUM_WORDS:], strict=True):
        if metric in row.estimates and row.estimates[metric].num < len(row.seeds):
            found.setdefault(row.estimates[metric].num, []).append(heading)
    for num, headings in found.items():
        figures = " and ".join(headings)
        yield f"{row.in_words}: {figures} of {num} of {len(row.seeds)} seeds, the others have none"


def _cells(estimates: Mapping[str, Estimate]) -> Iterator[str]:
    for metric, shown in _SHOWN.items():
        estimate = estimates.get(metric)
        if estimate is None:
            yield MISSING
        elif metric in _WITH_INTERVAL:
            yield with_interval(estimate)
        else:
            yield shown(estimate.mean)


def _reasons(found: Mapping[str, Sequence[tuple[int, GenerationRecord]]]) -> Iterator[str]:
    """Why nothing was written."""
    for label, own in found.items():
        for reason in dict.fromkeys(record.reason for _, record in own if record.reason):
            yield f"{MISSING} {label}: {reason}"


def _machines(found: Mapping[str, Sequence[tuple[int, GenerationRecord]]]) -> Iterator[str]:
    """On what it was timed, where that differs."""
    machines: dict[str, list[str]] = {}
    for label, own in found.items():
        for cost in (record.cost for _, record in own if record.cost is not None):
            where = f"{cost.device}, {cost.threads} threads"
            machines.setdefault(where, []).append(label)
    if len(machines) > 1:
        parts = (f"{where}: {', '.join(dict.fromkeys(own))}" for where, own in machines.items())
        yield f"tokens/s do not compare, as they were taken on unlike machines ({'; '.join(parts)})"
