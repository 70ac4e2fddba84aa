"""Sections of the table of likelihoods: which rows may be ranked beside which."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple, cast

import pandas as pd

from lmcompare.comparison.arms import Arm
from lmcompare.evaluation.likelihood.record import LikelihoodRecord
from lmcompare.objectives import Likelihood
from lmcompare.stats.intervals import Estimate, mean_interval

KINDS: Mapping[Likelihood, str] = {
    "exact": "the model's own probability of the text",
    "bound": "an upper bound: the true bits are these or fewer",
    "pseudo": "each token given the others: a score, not a probability of the text",
}


class Scored(NamedTuple):
    """How a likelihood was measured; two figures may be ranked only if they share all of it."""

    likelihood: Likelihood
    source: str
    text: str  # hash of its bytes, or of its tokens where those are not known
    # hash of its tokens; None where it does not matter: of what is exact, and where all have the
    # same
    tokens: str | None
    scoring: str | None  # None where it does not matter: of what is exact
    # tokens; None where rows of several tokenizers share a section, and each says its own
    window: int | None
    stride: int | None


@dataclass(frozen=True, kw_only=True)
class LikelihoodRow:
    """An arm under one scoring."""

    label: str
    objective: str  # with the hyper-parameters that are not at their defaults
    finished: bool
    seeds: Sequence[int]  # those averaged
    num_runs: int  # of the arm: more than its seeds where some were not evaluated
    estimates: Mapping[str, Estimate]  # by metric
    scoring: str | None = None  # where rows of its section differ in it
    window: str | None = None  # in words, where rows of its section differ in it
    # new to it: trained for something else; elsewhere: trained there, and so not ranked
    mark: Literal["best", "tie", "new to it", "elsewhere"] | None = None


@dataclass(frozen=True, kw_only=True)
class LikelihoodSection:
    """Rows of one likelihood kind and text: those that may be ranked, best first.

    Whatever the scoring and the tokenizer, an exact likelihood is the model's own probability of
    the same bytes. Bounds and pseudo-likelihoods share a section only if they are of the same
    tokens by the same scoring: how loose a bound is, and what each token is given, depends on both.
    """

    scored: Scored | None  # None: there are no figures
    rows: Sequence[LikelihoodRow]
    num_bytes: int | None = None  # that were scored
    selected: bool = True  # False of rows without figures whose results were not selected

    @property
    def title(self) -> str:
        """Return what kind of figures these are, and what that means."""
        if self.scored is None:
            return "not evaluated" if self.selected else "evaluated, and not selected"
        return f"{self.scored.likelihood}: {KINDS[self.scored.likelihood]}"

    @property
    def subtitle(self) -> str:
        """Return what was scored, and how."""
        if self.scored is None:
            return ""
        scored = self.scored
        how = f"{scored.scoring} scoring of " if scored.scoring else ""
        tokens = f" in tokens {scored.tokens[:8]}" if scored.tokens else ""
        size = "" if self.num_bytes is None else f", {self.num_bytes:,} bytes"
        windows = "" if scored.window is None else f", {_windows(scored)}"
        return f"{how}{scored.source} {scored.text[:8]}{tokens}{size}{windows}"


def _windows(scored: Scored) -> str:
    return f"window {scored.window}, stride {scored.stride}"


class _Measured(NamedTuple):
    """A row with all that tells in which section it belongs."""

    scored: Scored
    row: LikelihoodRow
    num_bytes: int


def sections(arms: Iterable[Arm], frame: pd.DataFrame) -> list[LikelihoodSection]:
    """Return the rows of all arms, in sections.

    Args:
        arms: the arms.
        frame: the tidy frame of their runs.
    """
    arms = list(arms)
    bytes_of = {  # by tokenizer and hash of tokens, also of earlier results of the same tokens
        (result.record.sheet.tokenizer, each.text): each.bytes_hash
        for arm in arms
        for result in arm.results
        for each in result.of(LikelihoodRecord)
        if each.bytes_hash is not None
    }
    measured, without = list[_Measured](), list[tuple[bool, LikelihoodRow]]()
    for arm in arms:
        costs = frame[frame["label"] == arm.label]
        if scored_rows := _rows(arm, costs, bytes_of):
            measured += scored_rows
        else:
            row = _row(arm, costs, sorted(result.seed for result in arm.results))
            without.append(
                (not any(each.is_unselected(LikelihoodRecord) for each in arm.results), row)
            )
    found: dict[Scored, list[_Measured]] = {}
    for each in measured:
        found.setdefault(_section_of(each.scored, measured), []).append(each)
    kinds = list(KINDS)
    places = sorted(found, key=lambda scored: (kinds.index(scored.likelihood), *map(_key, scored)))
    return [
        *(
            LikelihoodSection(
                scored=scored,
                rows=_ranked(found[scored], scored),
                num_bytes=max(each.num_bytes for each in found[scored]),
            )
            for scored in places
        ),
        *(
            LikelihoodSection(
                scored=None,
                rows=sorted(rows, key=lambda row: row.label),
                selected=selected,
            )
            for selected in (True, False)
            if (rows := [row for each, row in without if each is selected])
        ),
    ]


def _key(value: str | int | None) -> tuple[bool, str | int]:
    return value is not None, 0 if value is None else value


def _section_of(scored: Scored, measured: Sequence[_Measured]) -> Scored:
    """Leave out of what was scored, and how, all that the rows of a section may differ in.

    Of one tokenizer, rows with unlike windows stand apart. Between tokenizers windows of as many
    tokens are not of as much text, and so cannot tell sections apart.
    """
    about = (scored.likelihood, scored.source, scored.text)
    same_tokens = len({each.scored.tokens for each in measured if each.scored[:3] == about}) == 1
    if scored.likelihood != "exact":
        return scored._replace(tokens=None) if same_tokens else scored
    scored = scored._replace(scoring=None, tokens=None)
    return scored if same_tokens else scored._replace(window=None, stride=None)


def _row(arm: Arm, figures: pd.DataFrame, seeds: Sequence[int]) -> LikelihoodRow:
    """Return an arm's row, with the means over those of its seeds."""
    costs = figures["source"].isna() & figures["seed"].isin(seeds)
    own = figures[costs | figures["source"].notna()]
    return LikelihoodRow(
        label=arm.label,
        objective=arm.objective,
        finished=arm.finished,
        seeds=seeds,
        num_runs=len(arm.results),
        estimates={
            str(metric): mean_interval(values) for metric, values in own.groupby("metric")["value"]
        },
    )


def _rows(
    arm: Arm, frame: pd.DataFrame, bytes_of: Mapping[tuple[str, str], str]
) -> list[_Measured]:
    """Return a row for each way in which an arm was scored, before sections are made of them."""
    costs = frame[frame["source"].isna()]
    ends = {result.seed: result.spent.steps for result in arm.results}
    fresh = frame["step"] == frame["seed"].map(ends) if arm.finished else True
    measured = frame[frame["window"].notna() & fresh]
    tokenizer = arm.results[0].record.sheet.tokenizer
    found: list[_Measured] = []
    keys = ["likelihood", "source", "text", "scoring", "window", "stride"]
    for key, figures in measured.groupby(keys):
        likelihood, source, tokens, scoring, window, stride = cast(tuple[Any, ...], key)
        seeds = sorted(figures["seed"].unique().tolist())
        row = _row(arm, pd.concat([costs, figures]), seeds)
        how = arm.results[0].record.config.objective.scorings.get(scoring or "")
        if how is not None and how.is_new(
            1.0
        ):  # training never hid a whole text from what answers so
            row = replace(row, mark="new to it")
        if not arm.judged:
            row = replace(row, mark="elsewhere")
        scored = Scored(
            likelihood=likelihood,
            source=source,
            text=bytes_of.get((tokenizer, tokens), tokens),
            tokens=tokens,
            scoring=scoring,
            window=int(window),
            stride=int(stride),
        )
        sizes = figures.loc[figures["metric"] == "bits_per_byte", "n"]
        found.append(_Measured(scored, row, int(sizes.iloc[0])))
    return found


def _ranked(measured: Sequence[_Measured], scored: Scored) -> list[LikelihoodRow]:
    """Sort rows, best first; the best is called so only if its interval meets no other's.

    What was trained for something else, or is not finished, stands below the others, unranked.
    Nothing is ranked where windows of one tokenizer differ.
    """
    rows = [
        replace(
            row,
            scoring=own.scoring if scored.scoring is None else None,
            window=_windows(own) if scored.window is None else None,
        )
        for own, row, _ in measured
    ]
    rows.sort(
        key=lambda row: (
            row.mark is not None,
            not row.finished,
            row.estimates["bits_per_byte"].mean,
        ),
    )
    windows = {
        (own.tokens, own.window, own.stride) for own, row, _ in measured if row.mark != "elsewhere"
    }
    finished = [row for row in rows if row.finished and row.mark is None]
    figures = [row.estimates["bits_per_byte"] for row in finished]
    if (
        len(finished) < 2
        or any(figure.low is None for figure in figures)
        or len(windows) > len({tokens for tokens, _, _ in windows})
    ):
        return rows
    tied = [
        row for row, figure in zip(finished, figures, strict=True) if figure.overlaps(figures[0])
    ]
    mark: Literal["best", "tie"] = "best" if len(tied) == 1 else "tie"
    return [replace(row, mark=mark) if row in tied else row for row in rows]
