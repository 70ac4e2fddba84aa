"""The table: an arm's mean over its seeds in each row, ranked only where that means something."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import pandas as pd

from lmcompare.compare.arms import Arm
from lmcompare.objectives import Likelihood
from lmcompare.statistics import Estimate, mean_interval

_WRITTEN: Mapping[str, str] = {  # of what is written, and of the text itself
    "judge_bits_per_byte": "bits/byte",
    "written_entropy": "bits/word",
    "distinct_1": "share",
    "distinct_2": "share",
    "distinct_3": "share",
    "self_bleu": "share",
    "repetition": "share",
    "verbatim": "share",
    "words_per_text": "words",
    "bytes_per_text": "bytes",
}

METRICS: Mapping[str, str] = {  # each with its unit
    "bits_per_byte": "bits/byte",
    "bits_per_token": "bits/token",
    "unigram_bits_per_byte": "bits/byte",
    "trigram_bits_per_byte": "bits/byte",
    "bits_per_hidden_byte": "bits/byte",
    "bits_per_hidden_token": "bits/token",
    "unigram_bits_per_hidden_byte": "bits/byte",
    "training_loss": "nats/target",
    "validation_loss": "nats/target",
    "steps": "steps",
    "unigram_of_targets": "nats/target",
    "steps_to_leave_unigram": "steps",
    "tokens": "tokens",
    "targets": "targets",
    "flops": "operations",
    "training_seconds": "seconds",
    "undisturbed_seconds": "seconds",  # of a run that other work on the machine slowed down
    "parameters": "parameters",
    "tokens_per_second": "tokens/second",
    "peak_memory": "bytes",
    **_WRITTEN,
    **{f"reference_{metric}": unit for metric, unit in _WRITTEN.items()},
    "passes_per_written_token": "passes/token",
    "flops_per_written_token": "operations/token",
    "written_tokens_per_second": "tokens/second",
    "written_tokens_per_second_together": "tokens/second",
    "first_token_seconds": "seconds",
    "writing_memory": "bytes",
}

KINDS: Mapping[Likelihood, str] = {
    "exact": "the model's own probability of the text",
    "bound": "an upper bound: the true bits are these or fewer",
    "pseudo": "each token given the others: a score, not a probability of the text",
}

MISSING = "—"


class Scored(NamedTuple):
    """How a likelihood was measured; two figures may be ranked only if they share all of it."""

    likelihood: Likelihood
    source: str
    text: str  # hash
    scoring: str | None  # None where it does not matter: of what is exact
    window: int  # tokens
    stride: int  # tokens


@dataclass(frozen=True, kw_only=True)
class Row:
    """An arm under one scoring."""

    label: str
    objective: str  # with the hyper-parameters that are not at their defaults
    finished: bool
    seeds: Sequence[int]  # those averaged
    num_runs: int  # of the arm: more than its seeds where some were not evaluated
    estimates: Mapping[str, Estimate]  # by metric
    scoring: str | None = None  # where rows of its section differ in it
    mark: Literal["best", "tie", "new to it"] | None = None  # the last: trained for something else


@dataclass(frozen=True, kw_only=True)
class Section:
    """Rows of one likelihood kind and text: those that may be ranked, best first.

    Whatever the scoring, an exact likelihood is the model's own probability of the same tokens in
    the same windows. Bounds and pseudo-likelihoods share a section only if they share a scoring.
    """

    scored: Scored | None  # None: not evaluated
    rows: Sequence[Row]

    @property
    def title(self) -> str:
        """What kind of figures these are, and what that means."""
        if self.scored is None:
            return "not evaluated"
        return f"{self.scored.likelihood}: {KINDS[self.scored.likelihood]}"

    @property
    def subtitle(self) -> str:
        """What was scored, and how."""
        if self.scored is None:
            return ""
        scored = self.scored
        how = f"{scored.scoring} scoring of " if scored.scoring else ""
        return (
            f"{how}{scored.source} {scored.text[:8]}, "
            f"window {scored.window}, stride {scored.stride}"
        )


def sections(arms: Iterable[Arm], frame: pd.DataFrame) -> list[Section]:
    """The rows of all arms, in sections.

    Args:
        arms: the arms.
        frame: the tidy frame of their runs.
    """
    found: dict[Scored | None, list[Row]] = {}
    for arm in arms:
        for scored, row in _rows(arm, frame[frame["label"] == arm.label]):
            found.setdefault(scored, []).append(row)
    kinds = list(KINDS)
    places = sorted(
        found,
        key=lambda scored: (3,) if scored is None else (kinds.index(scored.likelihood), scored),
    )
    return [Section(scored=scored, rows=_ranked(found[scored], scored)) for scored in places]


def _rows(arm: Arm, frame: pd.DataFrame) -> list[tuple[Scored | None, Row]]:
    costs = frame[frame["source"].isna()]
    ends = {result.seed: result.spent.steps for result in arm.results}
    fresh = frame["step"] == frame["seed"].map(ends) if arm.finished else True
    measured = frame[frame["window"].notna() & fresh]

    def row(figures: pd.DataFrame, seeds: Sequence[int], scoring: str | None = None) -> Row:
        own = pd.concat([costs[costs["seed"].isin(seeds)], figures])
        return Row(
            label=arm.label,
            objective=arm.objective,
            finished=arm.finished,
            seeds=seeds,
            num_runs=len(arm.results),
            estimates={
                str(metric): mean_interval(values)
                for metric, values in own.groupby("metric")["value"]
            },
            scoring=scoring,
        )

    if measured.empty:
        return [(None, row(measured, sorted(ends)))]
    found: list[tuple[Scored | None, Row]] = []
    for key, figures in measured.groupby(list(Scored._fields)):
        scored, seeds = Scored._make(key), sorted(figures["seed"].unique().tolist())
        exact = scored.likelihood == "exact"
        own = row(figures, seeds, scored.scoring if exact else None)
        how = arm.results[0].record.config.objective.scorings.get(scored.scoring or "")
        if how is not None and how.is_new(
            1.0
        ):  # training never hid a whole text from what answers so
            own = replace(own, mark="new to it")
        found.append((scored._replace(scoring=None) if exact else scored, own))
    return found


def _ranked(rows: Sequence[Row], scored: Scored | None) -> list[Row]:
    """Best first; the best is called so only if its interval meets no other's.

    What was trained for something else, or is not finished, stands below the others, unranked.
    """
    if scored is None:
        return sorted(rows, key=lambda row: row.label)
    rows = sorted(
        rows,
        key=lambda row: (
            row.mark is not None,
            not row.finished,
            row.estimates["bits_per_byte"].mean,
        ),
    )
    finished = [row for row in rows if row.finished and row.mark is None]
    figures = [row.estimates["bits_per_byte"] for row in finished]
    if len(finished) < 2 or any(figure.low is None for figure in figures):
        return rows
    tied = [
        row for row, figure in zip(finished, figures, strict=True) if figure.overlaps(figures[0])
    ]
    mark: Literal["best", "tie"] = "best" if len(tied) == 1 else "tie"
    return [replace(row, mark=mark) if row in tied else row for row in rows]


class Column(NamedTuple):
    """A column of the table: a heading of two lines, and how its cells stand."""

    heading: tuple[str, str]
    align: Literal["left", "right"] = "right"


COLUMNS = (
    Column(("", "arm"), "left"),
    Column(("", "bits/byte"), "left"),
    Column(("", ""), "left"),
    Column(("bits/", "token")),
    Column(("unigram", "anchor")),
    Column(("trigram", "anchor")),
    Column(("valid.", "loss")),
    Column(("", "tokens")),
    Column(("", "targets")),
    Column(("", "FLOPs")),
    Column(("", "secs")),
    Column(("", "params")),
    Column(("", "seeds")),
)


def cells(row: Row) -> list[str]:
    """What stands in each of `COLUMNS`."""

    def figure(metric: str, pattern: str = ".3f") -> str:
        estimate = row.estimates.get(metric)
        return MISSING if estimate is None else format(estimate.mean, pattern)

    def amount(metric: str) -> str:
        return short(row.estimates[metric].mean)

    undisturbed = row.estimates.get("undisturbed_seconds")
    alone = "" if undisturbed is None else f" ({short(undisturbed.mean)} alone)"
    same = row.objective.partition(" ")[0] == row.label
    name = row.objective if same else f"{row.label}: {row.objective}"
    bits = row.estimates.get("bits_per_byte")
    return [
        f"{name}, {row.scoring}" if row.scoring else name,
        MISSING if bits is None else with_interval(bits),
        row.mark or "",
        figure("bits_per_token", ".2f"),
        figure("unigram_bits_per_byte"),
        figure("trigram_bits_per_byte"),
        figure("validation_loss"),
        amount("tokens"),
        amount("targets"),
        amount("flops"),
        amount("training_seconds") + alone,
        amount("parameters"),
        str(len(row.seeds))
        if len(row.seeds) == row.num_runs
        else f"{len(row.seeds)} of {row.num_runs}",
    ]


def with_interval(estimate: Estimate) -> str:
    """A mean and its interval with three decimals; the interval is rounded up, never to nothing."""
    half = estimate.half_width
    if half is None:
        return f"{estimate.mean:.3f} ±{MISSING}"
    return f"{estimate.mean:.3f} ±{math.ceil(half * 1000 - 1e-9) / 1000:.3f}"


def short(value: float) -> str:
    """Three digits and k, M, G, T, P or E for powers of a thousand."""
    for exponent, prefix in enumerate(" kMGTPE"[::-1]):
        factor = 1000.0 ** (6 - exponent)
        if value >= 0.9995 * factor and factor > 1:
            return f"{float(f'{value / factor:.3g}'):g}{prefix}"
    return f"{value:.3g}"


def footnotes(all_sections: Sequence[Section]) -> list[str]:
    """How the table is to be read."""
    notes = [
        "±: half of a 95% interval of the mean over seeds (Student's t), of these documents alone; "
        "±—: one seed."
    ]
    marks = {row.mark for section in all_sections for row in section.rows}
    if marks & {"best", "tie"}:
        notes.append(
            "best: its interval meets no other of its section, on these documents; tie: intervals "
            "meet, no winner."
        )
    if "new to it" in marks:
        notes.append(
            "new to it: training never hid a whole text from this model, so it is asked for what "
            "it did not learn; it is not ranked."
        )
    notes += [
        "Each section is ranked by itself: different kinds of likelihood and different texts "
        "cannot be compared, nor can bounds or scores of different scorings.",
        "valid. loss: nats a target, on each objective's own targets; it cannot rank objectives.",
        "unigram anchor: bits/byte of the same text by the frequencies of tokens in the training "
        "text; trigram anchor: by their frequencies after each two tokens (Kneser-Ney).",
    ]
    return notes
