"""Runs with known numbers, and what is said and not said about them."""

import csv
import io
import json
import math
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from scipy import stats
from typer.testing import CliRunner

from lmcompare import files
from lmcompare.blocks import Paragraph, Table
from lmcompare.comparison import (
    FORMATS,
    Comparison,
    ControlCheck,
    collect,
    compare,
    document,
    write_tables,
)
from lmcompare.comparison.figures.quality_diversity import frame_of, frontier, lines
from lmcompare.comparison.tables.generation import GenerationTable
from lmcompare.comparison.tables.likelihood import LikelihoodTables, cells
from lmcompare.comparison.tables.likelihood_sections import Row
from lmcompare.config.budget import Spent
from lmcompare.config.run import parse_run
from lmcompare.errors import UserError
from lmcompare.evaluation.generation.record import (
    GenerationRecord,
    JudgeRecord,
    TextMetrics,
    WritingCost,
)
from lmcompare.evaluation.infilling.record import InfillingItem, InfillingRecord
from lmcompare.evaluation.likelihood.record import LikelihoodRecord
from lmcompare.runs.finding import find_runs
from lmcompare.runs.records import ControlSheet, DoneRecord, Manifest, MetricsLine, RunRecord
from lmcompare.runs.run import Run
from tests.terminals import be_terminal

NUM_BYTES, NUM_TOKENS = 1013, 251
LN2 = 0.6931471805599453


def write_run(
    study: Path,
    arm: str,
    seed: int,
    *,
    settings: Mapping[str, Any] | None = None,
    record: Mapping[str, Any] | None = None,
    sheet: Mapping[str, Any] | None = None,
    steps: int = 100,
    finished: bool = True,
    read: Mapping[int, str] | None = None,
    undisturbed: float | None = None,
) -> Run:
    """A run directory with everything but its model."""
    settings = {"objective": arm} | dict(settings or {})
    config = parse_run({"seed": seed, **settings})
    run = Run(study / f"{arm}-s{seed}-{config.identity}")
    while run.path.exists():
        run = Run(run.path.with_name(run.path.name + "x"))
    facts = {
        "text": "7e47" * 4,
        "order": f"{seed:016x}",
        "tokenizer": "70ce" * 4,
        "weights": {"embedding.weight": f"e{seed}", "layers.0.weight": f"f{seed}"},
    }
    RunRecord(
        **{
            "arm": arm,
            "config": config,
            "identity": config.identity,
            "created": "2026-01-01T00:00:00+00:00",
            "text": "Python's documentation, 1.3 MB",
            "device": "Some CPU, 2 cores",
            "precision": "float32",
            "threads": 2,
            "git_commit": "0123456789abcdef",
            "versions": {"lmcompare": "0.1.0", "torch": "2.7.0"},
            "num_parameters": 1_000_003,
            "matmul_rate": 1e11,
            "sheet": ControlSheet(**{**facts, **(sheet or {})}),
            **(record or {}),
        }
    ).write(run.record_file)
    share = 0.15 if config.objective.name == "mlm" else 1.0
    spent = Spent(
        steps=steps,
        tokens=steps * 2032,
        targets=round(steps * 2032 * share),
        flops=steps * 10**10,
        seconds=steps / 10,
    )
    line = MetricsLine(
        step=steps,
        **spent.model_dump(exclude={"steps"}),
        loss=3.5,
        learning_rate=1e-3,
        gradient_norm=1.0,
        validation=3.25 + seed / 8,
    )
    run.metrics_file.write_text(line.model_dump_json() + "\n")
    if finished:
        DoneRecord(
            spent=spent,
            loss=3.5,
            validation=3.25 + seed / 8,
            wall_seconds=20.0,
            peak_memory=10**8,
            undisturbed_seconds=undisturbed,
            manifest=None
            if read is None
            else Manifest(
                run=run.hash,
                metrics=files.checksum(run.metrics_file),
                metrics_size=run.metrics_file.stat().st_size,
                read=read,
            ),
        ).write(run.done_file)
    return run


def evaluate(run: Run, bits_per_byte: float, **changes: Any) -> None:
    """Keep a likelihood of so many bits."""
    record = run.record()
    objective = record.config.objective
    scoring = changes.pop("scoring", objective.which_scoring(None))
    last = run.last_metrics()
    assert last is not None
    given = {
        "arm": record.arm,
        "seed": record.config.seed,
        "source": "validation",
        "text": "abcd" * 4,
        "scoring": scoring,
        "likelihood": objective.scorings[scoring].likelihood,
        "step": last.step,
        "window": 128,
        "stride": 64,
        "num_documents": 7,
        "num_bytes": NUM_BYTES,
        "num_tokens": NUM_TOKENS,
        "nats": bits_per_byte * NUM_BYTES * LN2,
        "unigram_nats": 2.5 * NUM_BYTES * LN2,
    }
    run.results.write(LikelihoodRecord(**(given | changes)), [])


NO = "it gives no likelihood of a continuation"


def ask(
    run: Run,
    one: float,
    some: float,
    half: float,
    end: float | None,
    unlike: float = 0.0,
    **changes: Any,
) -> list[InfillingRecord]:
    """Keep answers of so many bits about hidden tokens, and a reason for the one that is None.

    The texts have all the same bits a byte, or in turn so many more and less nats.
    """
    own, last = run.record(), run.last_metrics()
    assert last is not None
    kept = []
    for hidden, bits in {"one": one, "15%": some, "50%": half, "second half": end}.items():
        num_bytes = {"one": 61, "15%": 211}.get(hidden, 727)
        given = {
            "arm": own.arm,
            "seed": own.config.seed,
            "source": "validation",
            "text": "5678" * 4,
            "hidden": hidden,
            "form": "told",
            "protocol": "in-order",
            "step": last.step,
            "length": 32,
            "num_texts": 64,
            "num_bytes": num_bytes,
            "num_tokens": num_bytes // 4,
            "unigram_nats": 2.5 * num_bytes * LN2,
        }
        answer = {
            "scoring": own.config.objective.which_scoring(None, "holes"),
            "likelihood": "exact",
            "given": "both",
            "nats": None if bits is None else bits * num_bytes * LN2,
        }
        given |= {"reason": NO} if bits is None else answer
        for key, value in changes.items():
            given |= {} if bits is None and key in answer else {key: value}
        record = InfillingRecord(**given)
        kept.append(record)
        items = [
            InfillingItem(
                text=number,
                num_bytes=record.num_bytes,
                num_tokens=record.num_tokens,
                nats=record.nats + unlike * (-1) ** number,
            )
            for number in range(64)
            if record.nats is not None
        ]
        run.results.write(record, items)
    return kept


JUDGE = JudgeRecord(
    name="clm-s7-12345678", objective="clm", scoring="causal", step=500, num_parameters=9_000_001
)


def wrote(
    run: Run,
    bits: float | None,
    distinct_2: float = 0.5,
    *,
    method: str | None = None,
    reason: str | None = None,
    cost: Mapping[str, Any] | None = None,
    figures: Mapping[str, Any] | None = None,
    sampler: Mapping[str, Any] | None = None,
    **changes: Any,
) -> GenerationRecord:
    """Keep what was written, in which the judge finds so many bits a byte."""
    record, last = run.record(), run.last_metrics()
    assert last is not None

    def text(bits: float | None, distinct_2: float) -> TextMetrics:
        known = {
            "num_bytes": 997,
            "num_words": 211,
            "entropy": 6.5,
            "distinct_1": 0.25,
            "distinct_2": distinct_2,
            "distinct_3": 0.75,
            "distinct_2_error": 0.01,
            "repetition": 0.125,
            "self_bleu": 0.375,
            "verbatim": 0.0625,
            "judge_nats": None if bits is None else bits * 991 * LN2,
            "judge_bytes": None if bits is None else 991,
            "judge_error": None if bits is None else 0.125,
        }
        return TextMetrics(**(known | dict(figures or {})))

    known = {
        "passes_per_token": 0.5,
        "flops_per_token": 3e6,
        "tokens_per_second": 101.0,
        "tokens_per_second_together": 1009.0,
        "rows_together": 32,
        "first_token_seconds": 0.0103,
        "peak_memory": 13 * 10**6,
        "num_alone": 8,
        "device": "Some CPU",
        "threads": 2,
    }
    given = {
        "arm": record.arm,
        "seed": record.config.seed,
        "source": "validation",
        "text": "9abc" * 4,
        "step": last.step,
        "num_bytes": 1009,
        "num_tokens": 480,
        "unigram_nats": 2000.0,
        "method": method or next(iter(record.config.objective.fillings)),
        "sampler": {"temperature": 1.0} if sampler is None else sampler,
        "prompt_tokens": 16,
        "new_tokens": 48,
        "num_texts": 10,
        "judge": None if bits is None else JUDGE,
        "reference": text(None if bits is None else 2.125, 0.875),
    }
    if reason is None:
        given |= {"written": text(bits, distinct_2), "cost": WritingCost(**(known | (cost or {})))}
    else:
        given |= {"reason": reason, "method": None}
    kept = GenerationRecord(**(given | changes))
    run.results.write(kept, [])
    return kept


def arm(study: Path, name: str, bits: Sequence[float], **changes: Any) -> list[Run]:
    """Evaluated runs of an arm, of the seeds 0, 1, ..."""
    runs = [write_run(study, name, seed, **changes) for seed in range(len(bits))]
    for run, value in zip(runs, bits, strict=True):
        evaluate(run, value)
    return runs


def footnotes(comparison: Comparison) -> list[str]:
    return [*LikelihoodTables().footnotes(comparison.tables["likelihood"])]


@pytest.fixture
def study(tmp_path: Path) -> Path:
    return tmp_path / "first"


def rows(comparison: Comparison) -> dict[str, Row]:
    return {row.label: row for section in comparison.tables["likelihood"] for row in section.rows}


def fact(comparison: Comparison, name: str) -> ControlCheck:
    [found] = [each for each in comparison.facts if each.name == name]
    return found


def marks(comparison: Comparison) -> dict[str, str | None]:
    return {label: row.mark for label, row in rows(comparison).items()}


# the frame and the means


def test_the_frame_is_tidy_and_holds_the_known_values(study):
    frame = collect(arm(study, "clm", [1.25, 1.5]))
    assert not frame.duplicated(["run", "metric"]).any()
    values = frame.pivot(index="seed", columns="metric", values="value")
    assert values["bits_per_byte"].tolist() == pytest.approx([1.25, 1.5])
    assert values["bits_per_token"][0] == pytest.approx(1.25 * NUM_BYTES / NUM_TOKENS)
    assert values["unigram_bits_per_byte"].tolist() == pytest.approx([2.5, 2.5])
    assert values["validation_loss"].tolist() == [3.25, 3.375]
    assert values.loc[0, ["steps", "tokens", "targets", "flops"]].tolist() == [
        100,
        203_200,
        203_200,
        10**12,
    ]
    assert values["tokens_per_second"][0] == pytest.approx(20_320)
    first = frame[frame["metric"] == "bits_per_byte"].iloc[0]
    assert (first["n"], first["unit"], first["likelihood"]) == (NUM_BYTES, "bits/byte", "exact")


def test_an_arm_has_the_mean_and_t_interval_of_its_seeds(study):
    bits = [1.25, 1.5, 1.3, 1.45]
    estimate = rows(compare(arm(study, "clm", bits)))["clm"].estimates["bits_per_byte"]
    low, high = stats.t.interval(0.95, 3, loc=sum(bits) / 4, scale=stats.sem(bits))
    assert estimate.num == 4
    assert estimate.mean == pytest.approx(1.375)
    assert (estimate.low, estimate.high) == pytest.approx((low, high))


def test_one_seed_has_no_interval_and_is_not_ranked(study):
    runs = arm(study, "clm", [1.0]) + arm(study, "mlm", [2.0], settings={"objective": "clm"})
    comparison = compare(runs)
    assert rows(comparison)["clm"].estimates["bits_per_byte"].low is None
    assert marks(comparison) == {"clm": None, "mlm": None}
    assert any(note.startswith("one seed, so no interval") for note in comparison.notes)
    assert "1.000 ±—" in FORMATS["md"](comparison)


def test_two_seeds_are_called_few(study):
    assert any("fewer than 3 seeds" in note for note in compare(arm(study, "clm", [1, 2])).notes)
    assert not any("fewer than" in note for note in compare(arm(study, "mlm", [1, 2, 3])).notes)


# what is ranked


CLOSE, FAR, OVERLAPPING = [1.0, 1.01, 1.02], [2.0, 2.01, 2.02], [1.01, 1.02, 1.03]


def causal(study: Path, **arms: Sequence[float]) -> list[Run]:
    """Arms of one objective under several names."""
    return [
        run
        for name, bits in arms.items()
        for run in arm(study, name, bits, settings={"objective": "clm"})
    ]


def test_the_best_of_a_section_is_marked_and_first(study):
    comparison = compare(causal(study, a=FAR, b=CLOSE))
    [section] = comparison.tables["likelihood"]
    assert [row.label for row in section.rows] == ["b", "a"]
    assert marks(comparison) == {"b": "best", "a": None}


def test_overlapping_intervals_are_a_tie(study):
    comparison = compare(causal(study, a=FAR, b=CLOSE, c=OVERLAPPING))
    assert marks(comparison) == {"b": "tie", "c": "tie", "a": None}


@pytest.mark.parametrize(("exact", "pseudo"), [(1.0, 2.0), (2.0, 1.0)])
def test_unlike_kinds_are_never_ranked_together(study, exact, pseudo):
    """Whichever kind has the lower numbers, sections and marks are the same."""
    near, far = [0.0, 0.01, 0.02], [0.5, 0.51, 0.52]
    runs = causal(study, c1=[exact + each for each in near], c2=[exact + each for each in far])
    for name, offsets in (("m1", near), ("m2", far)):
        bits = [pseudo + each for each in offsets]
        runs += arm(study, name, bits, settings={"objective": "mlm"})
    comparison = compare(runs)
    order = [
        (each.scored.likelihood, [row.label for row in each.rows])
        for each in comparison.tables["likelihood"]
    ]
    assert order == [("exact", ["c1", "c2"]), ("pseudo", ["m1", "m2"])]
    assert marks(comparison) == {"c1": "best", "c2": None, "m1": "best", "m2": None}
    assert any("cannot be compared" in line for line in FORMATS["md"](comparison).splitlines())


@pytest.mark.parametrize(
    "change", [{"text": "ffff" * 4}, {"source": "wiki"}, {"window": 64}, {"stride": 32}]
)
def test_other_texts_and_windows_are_not_ranked_together(study, change):
    runs = causal(study, a=CLOSE, b=FAR)
    for run in runs[:3]:
        for file in run.path.glob("eval/*"):
            file.unlink()
        evaluate(run, 1.0 + run.record().config.seed / 100, **change)
    comparison = compare(runs)
    assert len(comparison.tables["likelihood"]) == 2
    assert set(marks(comparison).values()) == {None}


def test_scorings_are_not_ranked_together(study):
    runs = arm(study, "mlm", CLOSE)
    for run, value in zip(runs, FAR, strict=True):
        evaluate(run, value, scoring="pll-word")
    comparison = compare(runs)
    assert [each.scored.scoring for each in comparison.tables["likelihood"]] == ["pll", "pll-word"]
    assert set(marks(comparison).values()) == {None}


def mixed(study: Path, bits: Mapping[str, Sequence[float]]) -> list[Run]:
    """Arms of several objectives, each scored in its exact way."""
    runs = []
    for name, values in bits.items():
        for seed, value in enumerate(values):
            runs.append(write_run(study, name, seed))
            how = runs[-1].record().config.objective.scorings
            exact = next(scoring for scoring, each in how.items() if each.likelihood == "exact")
            evaluate(runs[-1], value, scoring=exact)
    return runs


def test_exact_likelihoods_are_ranked_whatever_the_scoring(study):
    comparison = compare(mixed(study, {"clm": FAR, "prefix": CLOSE, "ul2": [3.0, 3.01, 3.02]}))
    [section] = comparison.tables["likelihood"]
    assert section.scored.scoring is None
    assert section.subtitle == "validation abcdabcd, 1,013 bytes, window 128, stride 64"
    assert [(row.label, row.scoring, row.mark) for row in section.rows] == [
        ("prefix", "prefix", "best"),
        ("clm", "causal", None),
        ("ul2", "given-length", None),
    ]
    text = FORMATS["md"](comparison).partition("### Control sheet")[0]
    assert [line.split("|")[1].strip() for line in text.splitlines() if line.startswith("| ")] == [
        "arm",
        "prefix, prefix",
        "clm, causal",
        "ul2, given-length",
    ]


BYTES = {"bytes_hash": "b17e" * 8}
OTHER_TOKENS = {"text": "c4a2" * 4, "window": 512, "stride": 256, "num_tokens": NUM_BYTES}


def of_characters(study: Path, name: str, bits: Sequence[float], **changes: Any) -> list[Run]:
    """Runs of a tokenizer that makes more tokens of the same bytes."""
    sheet = {"tokenizer": "c4a2" * 4}
    runs = []
    for seed, value in enumerate(bits):
        runs.append(write_run(study, name, seed, sheet=sheet, record={"arm": f"{name}-char"}))
        evaluate(runs[-1], value, **(BYTES | OTHER_TOKENS | changes))
    return runs


def of_words(study: Path, name: str, bits: Sequence[float], **changes: Any) -> list[Run]:
    runs = []
    for seed, value in enumerate(bits):
        runs.append(write_run(study, name, seed))
        evaluate(runs[-1], value, **(BYTES | changes))
    return runs


def test_exact_likelihoods_of_the_same_bytes_meet_whatever_the_tokenizer(study):
    runs = of_words(study, "clm", FAR) + of_characters(study, "clm", CLOSE)
    comparison = compare(runs)
    [section] = comparison.tables["likelihood"]
    assert section.subtitle == "validation b17eb17e, 1,013 bytes"
    assert [(row.label, row.window, row.mark) for row in section.rows] == [
        ("clm-char", "window 512, stride 256", "best"),
        ("clm", "window 128, stride 64", None),
    ]
    first = cells(section.rows[0])[0]
    assert first == "clm-char: clm, causal, window 512, stride 256"
    assert any("Only their bits/byte compare" in note for note in footnotes(comparison))
    unequal = {fact.name for fact in comparison.facts if not fact.equal}
    assert {"tokenizer", "scoring window"} <= unequal
    assert "evaluated text" not in unequal


def test_one_tokenizer_needs_no_word_on_that(study):
    comparison = compare(causal(study, a=CLOSE, b=FAR))
    assert not any("tokenizers" in note for note in footnotes(comparison))


@pytest.mark.parametrize("change", [{"bytes_hash": "ffff" * 8}, {"bytes_hash": None}])
def test_other_or_unknown_bytes_do_not_meet(study, change):
    runs = of_words(study, "clm", FAR) + of_characters(study, "clm", CLOSE, **change)
    comparison = compare(runs)
    assert len(comparison.tables["likelihood"]) == 2
    assert set(marks(comparison).values()) == {None}


def test_earlier_results_meet_those_of_the_same_tokens(study):
    runs = of_words(study, "prefix", CLOSE, scoring="prefix", bytes_hash=None)
    runs += of_words(study, "clm", FAR)
    [section] = compare(runs).tables["likelihood"]
    assert [(row.label, row.mark) for row in section.rows] == [("prefix", "best"), ("clm", None)]


@pytest.mark.parametrize("objective", ["mlm", "mdlm"])
def test_bounds_and_scores_of_unlike_tokens_do_not_meet(study, objective):
    runs = of_words(study, objective, FAR) + of_characters(study, objective, CLOSE)
    sections = compare(runs).tables["likelihood"]
    assert [len(section.rows) for section in sections] == [1, 1]
    assert ["in tokens" in section.subtitle for section in sections] == [True, True]


def test_windows_of_one_tokenizer_beside_another_are_not_ranked(study):
    runs = of_words(study, "clm", FAR) + of_characters(study, "clm", CLOSE)
    for run in runs[:3]:
        evaluate(run, 1.5, **(BYTES | {"window": 64, "stride": 32}))
    [section] = compare(runs).tables["likelihood"]
    assert len(section.rows) == 3
    assert {row.mark for row in section.rows} == {None}


def test_only_what_was_selected_is_compared(study):
    runs = causal(study, a=CLOSE, b=FAR)
    for run in runs:
        evaluate(run, 3.0, text="7ea1" * 4, num_bytes=499)
        ask(run, 2.0, 2.1, 2.2, 2.3)
    assert len(compare(runs).tables["likelihood"]) == 2
    assert any("measured under several settings" in note for note in compare(runs).notes)
    chosen = compare(runs, only=["likelihood,abcdabcd"])
    assert [section.scored.text for section in chosen.tables["likelihood"]] == ["abcd" * 4]
    assert marks(chosen) == {"a": "best", "b": None}
    assert not chosen.tables["infilling"]
    [left_out] = [note for note in chosen.notes if "left out" in note]
    assert left_out.startswith("not selected, and left out: 30 of 36 results (6 likelihood")
    assert not any("not evaluated" in n or "not asked" in n for n in chosen.notes)
    both = compare(runs, only=["bytes=499", "infilling,hidden=one"])
    assert [section.num_bytes for section in both.tables["likelihood"]] == [499]
    assert both.tables["infilling"]
    [nothing] = compare(runs, only=["infilling"]).tables["likelihood"]
    assert nothing.title == "evaluated, and not selected"
    one = runs[0].results
    [first, _] = one.read(LikelihoodRecord)
    [section, unselected] = compare(runs, only=[one.id_of(first)]).tables["likelihood"]
    assert [(row.label, row.seeds) for row in section.rows] == [("a", [0])]
    assert [row.label for row in unselected.rows] == ["b"]


def test_the_latest_of_what_asks_the_same(study):
    runs = causal(study, a=CLOSE, b=FAR)
    for run in runs:
        evaluate(run, 3.0, text="7ea1" * 4, num_bytes=499)
        evaluate(run, 3.0, source="test", text="7e57" * 4)
    latest = compare(runs, latest=True)
    assert [(each.scored.source, each.num_bytes) for each in latest.tables["likelihood"]] == [
        ("test", NUM_BYTES),
        ("validation", 499),
    ]
    assert not any("several settings" in note for note in latest.notes)
    for run in runs:  # measured again
        evaluate(run, 2.0)
    assert [each.num_bytes for each in compare(runs, latest=True).tables["likelihood"]] == [
        NUM_BYTES
    ] * 2
    assert len(runs[0].results.read(LikelihoodRecord)) == 3, "nothing is removed"


def test_a_selection_of_nothing_says_what_there_is(study):
    runs = causal(study, a=CLOSE, b=FAR)
    for only, said in (
        ("boolq", "no result is 'boolq': to choose from: kind likelihood; source validation"),
        ("likelihoodd", "did you mean 'likelihood'?"),
        ("window=129", "no result has window=129: window is 128"),
        ("windw=128", "did you mean 'window'?"),
        ("", "lacks a word"),
    ):
        with pytest.raises(UserError, match=re.escape(said)):
            compare(runs, only=["exact", only])


def test_bounds_are_ranked_by_scoring(study):
    runs = [write_run(study, name, seed) for name in ("mdlm", "plm") for seed in range(3)]
    for run in runs:
        scoring = "bound" if run.record().config.objective.name == "mdlm" else "orders"
        evaluate(run, 2.0 + run.record().config.seed / 100, scoring=scoring)
    comparison = compare(runs)
    assert [each.scored.scoring for each in comparison.tables["likelihood"]] == ["bound", "orders"]
    assert marks(comparison) == {"mdlm": None, "plm": "new to it"}


def test_what_was_trained_for_something_else_is_not_ranked(study):
    """It stands below, however well it does; and `plm` that predicts all of a text is ranked."""
    runs = mixed(study, {"clm": FAR, "t5": CLOSE, "prefix": [3.0, 3.01, 3.02]})
    whole = {"objective": {"name": "plm", "rate": 1.0}}
    for seed, bits in enumerate([4.0, 4.01, 4.02]):
        runs.append(write_run(study, "whole", seed, settings=whole))
        evaluate(runs[-1], bits, scoring="left-to-right")
    comparison = compare(runs)
    [section] = comparison.tables["likelihood"]
    assert [(row.label, row.mark) for row in section.rows] == [
        ("clm", "best"),
        ("prefix", None),
        ("whole", None),
        ("t5", "new to it"),
    ]
    assert "new to it: training never hid a whole text" in FORMATS["md"](comparison)
    assert "new to it" not in FORMATS["md"](compare(runs[:3]))


def test_results_of_a_scoring_that_is_gone_are_left_out(study):
    """And it is said what to type, until that was done."""
    run = write_run(study, "t5", 0)
    evaluate(run, 2.0)
    [file] = run.path.glob("eval/likelihood-*.json")
    LikelihoodRecord.read(file).model_copy(update={"scoring": "given-source"}).write(file)
    note = "asked in a way that there is no longer, and left out: lmcompare eval --tasks "
    comparison = compare([run])
    assert [section.scored for section in comparison.tables["likelihood"]] == [None]
    assert f"{note}likelihood {run.path}" in comparison.notes
    evaluate(run, 2.1)
    comparison = compare([run])
    assert [row.scoring for row in comparison.tables["likelihood"][0].rows] == ["given-length"]
    assert not any(note in each for each in comparison.notes)


@pytest.mark.parametrize(("share", "said"), [(0.009, False), (0.023, True)])
def test_the_error_of_sampling_is_kept_and_a_wide_one_said(study, share, said):
    run = write_run(study, "mdlm", 0)
    evaluate(run, 2.0, standard_error=share * 2.0 * NUM_BYTES * LN2)
    evaluate(run, 2.1, scoring="left-to-right")
    comparison = compare([run])
    errors = comparison.frame.set_index(["metric", "scoring"])["standard_error"]
    assert errors["bits_per_byte", "bound"] == pytest.approx(2 * share)
    assert errors["bits_per_token", "bound"] == pytest.approx(2 * share * NUM_BYTES / NUM_TOKENS)
    assert errors.notna().sum() == 2
    notes = [note for note in comparison.notes if "standard error" in note]
    expected = "sampled, with a standard error above 1%: mdlm bound 2.3%"
    assert notes == ([expected] if said else [])


def test_validation_losses_are_said_to_rank_nothing(study):
    text = FORMATS["md"](compare(arm(study, "clm", CLOSE)))
    assert "it cannot rank objectives" in text


# which runs are an arm


def test_one_name_with_two_configurations_is_two_rows(study):
    runs = arm(study, "clm", CLOSE)
    runs += arm(study, "clm", FAR, settings={"optimizer": {"learning_rate": 1e-4}})
    comparison = compare(runs)
    assert set(rows(comparison)) == {"clm [learning_rate 0.003]", "clm [learning_rate 0.0001]"}
    assert all(row.estimates["bits_per_byte"].num == 3 for row in rows(comparison).values())
    assert any("kept apart" in note for note in comparison.notes)


def test_one_name_on_two_texts_is_two_rows(study):
    runs = arm(study, "clm", CLOSE) + arm(study, "clm", FAR, sheet={"text": "0000" * 4})
    assert len(rows(compare(runs))) == 2


def test_the_later_run_of_a_seed_counts(study):
    [old] = arm(study, "clm", [1.0])
    [new] = arm(study, "clm", [2.0], record={"created": "2026-02-01T00:00:00+00:00"})
    comparison = compare([new, old])
    assert rows(comparison)["clm"].estimates["bits_per_byte"].mean == pytest.approx(2.0)
    assert any(str(old.path) in note and "later run" in note for note in comparison.notes)


def test_arms_of_two_studies_are_kept_apart(study, tmp_path):
    comparison = compare(arm(study, "clm", CLOSE) + arm(tmp_path / "second", "clm", FAR))
    assert set(rows(comparison)) == {"first/clm", "second/clm"}


def test_hyper_parameters_off_their_defaults_are_shown(study):
    [row] = rows(
        compare(arm(study, "mlm", [1.0], settings={"objective": {"name": "mlm", "rate": 0.4}}))
    ).values()
    assert row.objective == "mlm (rate 0.4)"


# what was held equal


def test_all_is_held_equal_where_it_is(study):
    comparison = compare(arm(study, "clm", CLOSE) + arm(study, "mlm", FAR))
    assert [str(each) for each in comparison.facts if not each.equal] == []
    num = len(comparison.facts)
    held = f"all {num} facts checked (training text, order of the text, initial weights, ...)"
    assert comparison.summary[0] == Paragraph("Held equal", f"{held}; see the control sheet")
    assert not any(each.warns for each in comparison.summary)
    *_, sheet = document(comparison)
    assert isinstance(sheet, Table)
    assert [[*row] for row in sheet.parts[0].rows] == [
        [each.name, "yes", "; ".join(each.found)] for each in comparison.facts
    ]
    assert [each.name for each in comparison.consequences] == ["targets"]
    assert str(comparison.consequences[0]) == "targets (203k: clm; 30.5k: mlm)"


@pytest.mark.parametrize(
    ("name", "changes", "words"),
    [
        ("training text", {"sheet": {"text": "0000" * 4}}, "00000000: mlm"),
        ("order of the text", {"sheet": {"order": "1111" * 4}}, "11111111 in seed 0: mlm"),
        ("tokenizer", {"sheet": {"tokenizer": "2222" * 4}}, "22222222: mlm"),
        (
            "initial weights",
            {"sheet": {"weights": {"embedding.weight": "e0", "layers.0.weight": "other"}}},
            "1 of 2 shared parameters unlike those of clm, layers.0.weight first: mlm",
        ),
        ("backbone", {"settings": {"model": {"preset": "nano", "layers": 3}}}, "layers 3: mlm"),
        ("budget", {"settings": {"budget": "1M tokens"}}, "1M tokens: mlm"),
        ("batch", {"settings": {"batch": {"rows": 8}}}, "rows 8: mlm"),
        ("optimizer", {"settings": {"optimizer": {"beta2": 0.99}}}, "beta2 0.99: mlm"),
        ("validation", {"settings": {"validation": {"blocks": 32}}}, "blocks 32: mlm"),
        ("precision", {"record": {"precision": "bfloat16"}}, "bfloat16: mlm"),
        ("device", {"record": {"device": "Some GPU"}}, "computed on Some GPU: mlm"),
        ("device", {"record": {"threads": 5}}, "threads 5: mlm"),
        ("lmcompare", {"record": {"git_commit": "fedcba9876543210"}}, "commit fedcba98: mlm"),
        (
            "libraries",
            {"record": {"versions": {"lmcompare": "0.1.0", "torch": "2.8.0"}}},
            "torch 2.8.0: mlm",
        ),
    ],
)
def test_what_was_not_held_equal_is_said(study, name, changes, words):
    changes = {"settings": {}} | changes
    changes["settings"] = {"objective": "mlm"} | changes["settings"]
    runs = arm(study, "clm", [1.0]) + arm(study, "mlm", [2.0], **changes)
    comparison = compare(runs)
    found = fact(comparison, name)
    assert not found.equal
    assert words in str(found)
    assert [each.name for each in comparison.facts if not each.equal] == [name]
    assert comparison.summary[0] == Paragraph("Not held equal", str(found), warns=True)
    num = len(comparison.facts)
    assert comparison.summary[1].text.startswith(f"{num - 1} of the {num} facts checked (")
    assert str(found) not in comparison.notes[-1]


def test_other_evaluated_texts_are_not_equal(study):
    runs = arm(study, "clm", [1.0]) + arm(study, "mlm", [])
    runs.append(write_run(study, "mlm", 0))
    evaluate(runs[-1], 2.0, text="ffff" * 4)
    found = fact(compare(runs), "evaluated text")
    assert str(found) == "evaluated text (validation abcdabcd: clm; validation ffffffff: mlm)"


def test_an_evaluated_text_is_called_equal_only_between_those_evaluated(study):
    runs = [*arm(study, "clm", [1.0]), write_run(study, "mlm", 0)]
    assert "evaluated text" not in [each.name for each in compare(runs).facts]
    runs += arm(study, "b", [1.0], settings={"objective": "clm"})
    assert str(fact(compare(runs), "evaluated text")).endswith("abcdabcd; only in b, clm)")


def test_weights_are_compared_where_they_are_shared(study):
    more = {"embedding.weight": "e0", "layers.0.weight": "f0", "encoder.weight": "g0"}
    runs = arm(study, "clm", [1.0]) + arm(study, "mlm", [2.0], sheet={"weights": more})
    found = fact(compare(runs), "initial weights")
    assert found.equal
    assert "where shared, 2 by all" in str(found)


def test_arms_that_begin_with_the_same_weights_stand_together(study):
    other = {"embedding.weight": "x", "layers.0.weight": "f0"}
    runs = [write_run(study, name, 0, settings={"objective": "clm"}) for name in ("a", "b")]
    runs.append(write_run(study, "c", 0, settings={"objective": "clm"}, sheet={"weights": other}))
    assert str(fact(compare(runs), "initial weights")) == (
        "initial weights (as those of a: a, b; "
        "1 of 2 shared parameters unlike those of a, embedding.weight first: c)"
    )


def test_arms_that_all_begin_differently_are_all_named(study):
    runs = [
        write_run(
            study,
            name,
            0,
            settings={"objective": "clm"},
            sheet={"weights": {"embedding.weight": name}},
        )
        for name in ("a", "b", "c")
    ]
    found = fact(compare(runs), "initial weights").found
    assert sorted(label for labels in found.values() for label in labels) == ["a", "b", "c"]


def test_a_winner_of_unequal_runs_is_qualified(study):
    runs = causal(study, a=CLOSE)
    settings = {"objective": "clm", "budget": "1M tokens"}
    runs += arm(study, "b", FAR, settings=settings)
    assert any(
        note.endswith("objectives alone, as these differ: budget") for note in compare(runs).notes
    )


def test_order_and_weights_are_compared_within_a_seed(study):
    runs = [write_run(study, "clm", 0), write_run(study, "mlm", 1)]
    comparison = compare(runs)
    for name in ("order of the text", "initial weights"):
        assert "no seed in common with the others: clm, mlm" in str(fact(comparison, name))
    assert str(fact(comparison, "seeds")) == "seeds (0: clm; 1: mlm)"


def test_a_difference_between_the_seeds_of_an_arm_names_them(study):
    runs = [
        write_run(study, "clm", 0),
        write_run(study, "clm", 1, record={"precision": "bfloat16"}),
    ]
    assert str(fact(compare(runs), "precision")) == (
        "precision (float32: clm seed 0; bfloat16: clm seed 1)"
    )


def test_changes_in_no_commit_are_noted(study):
    runs = arm(study, "clm", [1.0], record={"git_commit": "0123456789+"})
    assert any("in no commit" in note for note in compare(runs).notes)


def test_an_encoder_that_an_objective_brings_is_no_other_backbone(study):
    comparison = compare([write_run(study, name, 0) for name in ("clm", "mlm", "t5")])
    assert str(fact(comparison, "backbone")) == "backbone (nano)"
    depth = next(each for each in comparison.consequences if each.name == "depth")
    assert str(depth) == "depth (4: clm, mlm; 1 + 2: t5)"
    assert comparison.summary[-1].text.startswith(str(depth))
    assert "depth: number of layers; encoder + decoder where there are both" in comparison.notes


def test_an_encoder_of_another_size_is_another_backbone(study):
    deep = {"model": {"preset": "nano", "encoder_layers": 4}}
    comparison = compare([write_run(study, "clm", 0), write_run(study, "t5", 0, settings=deep)])
    found = fact(comparison, "backbone")
    assert str(found) == "backbone (encoder_layers 0: clm; encoder_layers 4: t5)"
    assert "and from what was not held equal" in comparison.summary[-1].about
    assert str(comparison.consequences[0]) == "depth (4: clm; 4 + 4: t5)"


def test_depth_is_no_consequence_where_no_encoder_is(study):
    flat = {"model": {"preset": "nano", "layers": 3}}
    comparison = compare([write_run(study, "clm", 0), write_run(study, "mlm", 0, settings=flat)])
    assert "layers 3: mlm" in str(fact(comparison, "backbone"))
    assert "depth" not in [each.name for each in comparison.consequences]


# the same question to all


@pytest.fixture
def questioned(study) -> list[Run]:
    """Three seeds each: from both sides, from the left, and a bound; one does not answer all."""
    runs = arm(study, "mlm", FAR) + arm(study, "clm", CLOSE)
    runs += arm(study, "mdlm", FAR, settings={"objective": "mdlm"})
    for run in runs:
        record = run.record()
        more = record.config.seed / 100
        if record.arm == "mlm":
            ask(run, 1 + more, 1.5 + more, 2 + more, None)
        elif record.arm == "clm":
            ask(run, 1.1, 2 + more, 2.1 + more, 2.2 + more, scoring="causal", given="left")
        else:
            bound = {"scoring": "bound", "likelihood": "bound", "standard_error": 0.5}
            ask(run, 1.2, 2, 3, 4, protocol="random-orders", **bound)
    return runs


TABLE = [
    ["arm", "asked", "one", "15%", "50%", "second half"],
    ["clm", "in-order", "1.100 ±0.000 l", "2.010 ±0.025 l", "2.110 ±0.025 l", "2.210 ±0.025"],
    ["mlm", "in-order", "1.010 ±0.025", "1.510 ±0.025", "2.010 ±0.025 n", "—"],
    ["mdlm", "random-orders", "≤1.200 ±0.000", "≤2.000 ±0.000", "≤3.000 ±0.000", "≤4.000 ±0.000"],
    ["unigram anchor", "", "2.500", "2.500", "2.500", "2.500"],
]


def second(markdown: str) -> list[list[str]]:
    """The cells of the second table."""
    start, end = markdown.index("The same question to all"), markdown.find("### Control sheet")
    lines = markdown[start : end if end > 0 else None].splitlines()
    table = [line for line in lines if line.startswith("|") and not line.startswith("|:")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table]


def test_the_same_question_to_all_is_a_table_of_its_own(questioned):
    comparison = compare(questioned)
    [table] = comparison.tables["infilling"]
    assert second(FORMATS["md"](comparison)) == TABLE
    assert table.subtitle == "64 texts of validation 56785678, 32 tokens each at most"
    assert table.notes == [f"— second half of mlm: {NO}"]
    assert [section.scored.likelihood for section in comparison.tables["likelihood"]] == [
        "exact",
        "bound",
        "pseudo",
    ], "no question is ranked"
    assert not any(
        "hidden" in metric for row in rows(comparison).values() for metric in row.estimates
    )


def test_the_table_is_absent_where_nobody_was_asked(study):
    comparison = compare(arm(study, "clm", CLOSE))
    assert comparison.tables["infilling"] == []
    assert "hidden tokens" not in [each.name for each in comparison.facts]
    for layout in ("md", "tex"):
        assert "The same question" not in FORMATS[layout](comparison)


def test_answers_are_in_the_frame(questioned):
    frame = collect(questioned)
    assert not frame.duplicated(["run", "metric", "scoring", "hidden"]).any()
    assert {*frame["form"].dropna()} == {"told"}
    assert {*frame["protocol"].dropna()} == {"in-order", "random-orders"}
    answers = frame[frame["metric"] == "bits_per_hidden_byte"]
    assert len(answers) == 9 * 4 - 3, "what is not answered has no row"
    own = answers[(answers["arm"] == "clm") & (answers["seed"] == 2)].set_index("hidden")
    assert own.loc["15%", "value"] == pytest.approx(2.02)
    assert own.loc["15%", ["given", "scoring", "likelihood", "unit", "n"]].tolist() == [
        *("left", "causal", "exact", "bits/byte", 211)
    ]
    anchors = frame[frame["metric"] == "unigram_bits_per_hidden_byte"]
    assert anchors["value"].tolist() == pytest.approx([2.5] * len(anchors))
    errors = answers.set_index(["arm", "hidden", "seed"])["standard_error"]
    assert errors.notna().all(), "of those that are not sampled too: over texts"
    assert errors["mlm"].max() < 1e-9, "here they are all alike"


def test_texts_that_differ_widen_an_answer(study):
    """Of one seed too, and of three with those that seeds differ by."""
    runs = arm(study, "clm", CLOSE)
    for run in runs:
        ask(run, 1.0, 2.0, 3.0, 4.0, unlike=61 * LN2 / 4)
    error = 0.25 / math.sqrt(63)  # in bits a byte, of 64 texts that are off by a quarter
    for some in (runs[:1], runs):
        [row] = compare(some).tables["infilling"][0].rows
        answer = row.answers["one"]
        assert answer is not None
        assert answer.bits_per_byte.half_width == pytest.approx(
            stats.t(63).ppf(0.975) * error, rel=0.01
        )
    frame = collect(runs)
    one = frame[(frame["metric"] == "bits_per_hidden_byte") & (frame["hidden"] == "one")]
    assert one["standard_error"].tolist() == pytest.approx([error] * 3)


def test_answers_without_their_texts_are_left_out_and_said(study):
    run = arm(study, "clm", [1.0])[0]
    ask(run, 1.0, 2.0, 3.0, 4.0)
    files = [*run.path.glob("eval/infilling-*.jsonl")]
    for file in files:
        file.unlink()
    comparison = compare([run])
    assert comparison.tables["infilling"] == []
    said = [note for note in comparison.notes if "jsonl is missing or damaged" in note]
    assert len(said) == len(files) == 4


def test_json_and_tex_hold_the_second_table(questioned):
    comparison = compare(questioned)
    [table] = json.loads(FORMATS["json"](comparison))["tables"]["infilling"]
    answers = {row["label"]: row["answers"] for row in table["rows"]}
    assert answers["mlm"]["second half"] is None
    assert answers["clm"]["15%"]["left_only"]
    assert not answers["clm"]["second half"]["left_only"]
    assert answers["mdlm"]["one"]["likelihood"] == "bound"
    assert answers["mlm"]["15%"]["bits_per_byte"]["mean"] == pytest.approx(1.51)
    assert table["anchor"]["one"] == pytest.approx([2.5, 2.5])
    text = FORMATS["tex"](comparison)
    assert text.isascii()
    assert r"mdlm & random-orders & $\leq$1.200 $\pm$0.000 &" in text
    assert r"arm & asked & one & 15\% & 50\% \\" in text
    assert r"arm & asked & second half \\" in text, "a table that is too wide is parted"
    assert text.count("{") - text.count(r"\{") == text.count("}") - text.count(r"\}")


def test_answers_about_other_texts_stand_apart(study):
    runs = arm(study, "clm", CLOSE) + arm(study, "mlm", FAR)
    for run in runs:
        ask(run, 1, 2, 3, 4, **({"text": "ffff" * 4} if run.record().arm == "mlm" else {}))
    comparison = compare(runs)
    assert [[row.label for row in table.rows] for table in comparison.tables["infilling"]] == [
        ["clm"],
        ["mlm"],
    ]
    assert str(fact(comparison, "hidden tokens")) == (
        "hidden tokens (validation 56785678: clm; validation ffffffff: mlm)"
    )
    assert not any("unlike hidden tokens" in note for note in comparison.notes)


def test_forms_are_tables_apart_and_protocols_rows_apart(study):
    runs = arm(study, "t5", CLOSE) + arm(study, "mlm", FAR, settings={"objective": "mlm"})
    for run in runs:
        if run.record().arm == "t5":
            ask(run, 2, 2, 2, 2, scoring="with-ends", form="untold")
            ask(run, 1, 1, 1, 1)
        else:
            ask(run, 3, 3, 3, 3, scoring="joint", protocol="at-once")
            ask(run, 4, 4, 4, 4)
            ask(run, *[None] * 4, form="untold", reason="it must be told")
    comparison = compare(runs)
    told, untold = comparison.tables["infilling"]
    assert [(row.label, row.protocol) for row in told.rows] == [
        ("mlm", "in-order"),
        ("t5", "in-order"),
        ("mlm", "at-once"),
    ]
    assert [row[2][1:6] for row in told.cells[:-1]] == ["4.000", "1.000", "3.000"]
    assert [row[2].strip()[:5] for row in untold.cells[:-1]] == ["—", "2.000"]
    assert "the length of each hole told" in told.title
    assert "their ends counted" in untold.title
    assert untold.notes[1].endswith("second half of mlm: it must be told")
    assert all(row.answers["50%"].new for row in told.rows), "15% were hidden in training"
    assert not any(row.answers["15%"].new for row in told.rows)
    text = FORMATS["md"](comparison)
    assert text.index(told.title) < text.index(untold.title)


def test_answers_to_a_question_of_unknown_form_are_left_out(study):
    """As earlier versions kept them."""
    run = write_run(study, "clm", 0)
    ask(run, 1, 2, 3, 4, form=None, protocol=None)
    note = f"and left out: lmcompare eval --tasks infilling {run.path}"
    comparison = compare([run])
    assert comparison.tables["infilling"] == []
    assert any(note in each for each in comparison.notes)
    ask(run, 1, 2, 3, 4)
    comparison = compare([run])
    assert len(comparison.tables["infilling"]) == 1
    assert not any(note in each for each in comparison.notes)


def test_arms_that_were_not_asked_are_named(study):
    runs = arm(study, "clm", [1.0, 1.1]) + arm(study, "mlm", [2.0, 2.1])
    ask(runs[0], 1, 2, 3, 4)
    for file in runs[0].path.glob("eval/infilling-*50*"):
        file.unlink()
    comparison = compare(runs)
    [table] = comparison.tables["infilling"]
    assert [row.label for row in table.rows] == ["clm"]
    assert table.notes == [
        "— 50% of clm: not asked",
        "one of clm: 1 of 2 seeds",
        "15% of clm: 1 of 2 seeds",
        "second half of clm: 1 of 2 seeds",
    ]
    paths = " ".join(str(run.path) for run in runs[1:])
    assert (
        f"not asked for hidden tokens: lmcompare eval --tasks infilling {paths}" in comparison.notes
    )


def test_answers_of_an_earlier_step_are_left_out(study):
    run = write_run(study, "clm", 0)
    ask(run, 1, 2, 3, 4, step=50)
    comparison = compare([run])
    assert comparison.tables["infilling"] == []
    [note] = [note for note in comparison.notes if "at step 50 of 100 and left out" in note]
    assert note.endswith(f"lmcompare eval --tasks infilling {run.path}")


def test_seeds_that_answered_in_unlike_ways_have_no_mean(study):
    runs = arm(study, "clm", [1.0, 1.1])
    ask(runs[0], 1, 2, 3, 4)
    ask(runs[1], 1, 2, 3, 4, scoring="renormalised", given="left")
    [table] = compare(runs).tables["infilling"]
    assert all(answer is None for answer in table.rows[0].answers.values())
    assert table.notes[0].startswith("— one, 15%, 50%, second half of clm: its seeds answered in")


def test_anchors_that_differ_are_a_range(study):
    runs = arm(study, "clm", [1.0]) + arm(study, "mlm", [2.0])
    ask(runs[0], 1, 2, 3, 4)
    ask(runs[1], 1, 2, 3, 4, unigram_nats=3 * 61 * LN2)
    assert second(FORMATS["md"](compare(runs)))[-1][:3] == [
        *("unigram anchor", "", "2.500 to 3.000"),
    ]


# what was written


def third(comparison: Comparison) -> GenerationTable:
    [table] = comparison.tables["generation"]
    return table


def test_what_was_written_is_averaged_over_seeds(study):
    runs = arm(study, "clm", CLOSE)
    for run, bits, distinct in zip(runs, (1.5, 1.75, 2.0), (0.5, 0.625, 0.75), strict=True):
        wrote(run, bits, distinct)
    table = third(compare(runs))
    [row] = table.rows
    low, high = stats.t.interval(0.95, 2, loc=1.75, scale=stats.sem([1.5, 1.75, 2.0]))
    bits = row.estimates["judge_bits_per_byte"]
    assert (bits.mean, bits.low, bits.high) == pytest.approx((1.75, low, high))
    assert row.estimates["distinct_2"].mean == pytest.approx(0.625)
    assert (row.method, row.settings, row.seeds) == ("left-to-right", "temperature 1", [0, 1, 2])
    assert table.subtitle == (
        "10 texts of validation 9abc9abc: 48 tokens after 16; judge clm-s7-12345678 (clm, 9M "
        "parameters)"
    )
    shown, itself = table.cells
    assert shown == [
        *("clm", "left-to-right", "temperature 1", "1.750 ±0.622", "6.50"),
        *("0.625 ±0.311", "0.375", "12.5%", "6.2%", "21.1", "0.500", "3M", "101", "1,009"),
        *("10.3", "13"),
    ]
    assert itself == [
        *("the text itself", "", "", "2.125", "6.50", "0.875", "0.375"),
        *("12.5%", "6.2%", "21.1", *[""] * 6),
    ]
    assert table.notes == []


def test_one_seed_has_an_interval_over_its_texts(study):
    [run] = arm(study, "clm", [1.0])
    wrote(run, 1.5)
    table = third(compare([run]))
    [row] = table.rows
    for metric, error in (("judge_bits_per_byte", 0.125), ("distinct_2", 0.01)):
        estimate = row.estimates[metric]
        assert estimate.half_width == pytest.approx(stats.t.ppf(0.975, 10 - 1) * error)
        assert estimate.num == 1
    assert row.estimates["self_bleu"].half_width is None
    assert table.cells[0][3:6] == ["1.500 ±0.283", "6.50", "0.500 ±0.023"]


def test_what_has_no_error_has_no_interval(study):
    runs = arm(study, "clm", [1.0]) + arm(study, "mlm", [1.0], settings={"objective": "mlm"})
    wrote(runs[0], 1.5, figures={"judge_error": None, "distinct_2_error": None})
    wrote(runs[1], None, figures={"distinct_2_error": None})
    tables = compare(runs).tables["generation"]
    cells = {table.rows[0].label: table.cells[0] for table in tables}
    assert cells["clm"][3:6] == ["1.500 ±—", "6.50", "0.500 ±—"]
    assert cells["mlm"][3:6] == ["—", "6.50", "0.500 ±—"]


def test_a_figure_that_some_seeds_lack_is_said(study):
    runs = arm(study, "clm", CLOSE)
    for run in runs[:2]:
        wrote(run, 1.5)
    wrote(runs[2], 1.5, figures={"distinct_2": None, "distinct_2_error": None, "verbatim": None})
    table = third(compare(runs))
    assert table.notes == [
        "clm left-to-right, temperature 1: distinct-2 and verbatim of 2 of 3 seeds, the others "
        "have none"
    ]
    assert table.rows[0].estimates["judge_bits_per_byte"].num == 3


def test_each_way_of_writing_is_a_row(study):
    runs = arm(study, "mdlm", [1.0], settings={"objective": "mdlm"}) + arm(study, "clm", [1.0])
    for temperature in (1.0, 0.5):
        for steps in (32, 8):
            wrote(runs[0], 2.0, sampler={"temperature": temperature, "steps": steps})
    wrote(runs[0], 2.0, method="threshold", sampler={"temperature": 1.0, "top_p": 0.9})
    wrote(runs[1], 2.0)
    assert [row[:3] for row in third(compare(runs)).cells] == [
        ["clm", "left-to-right", "temperature 1"],
        ["mdlm", "ancestral", "temperature 0.5, steps 8"],
        ["mdlm", "ancestral", "temperature 0.5, steps 32"],
        ["mdlm", "ancestral", "temperature 1, steps 8"],
        ["mdlm", "ancestral", "temperature 1, steps 32"],
        ["mdlm", "threshold", "temperature 1, top-p 0.9"],
        ["the text itself", "", ""],
    ]


def test_what_was_written_is_in_the_frame_and_in_no_other_table(study):
    [run] = arm(study, "clm", [1.0])
    before = rows(compare([run]))["clm"].estimates
    wrote(run, 1.5, sampler={"temperature": 0.5, "steps": 7, "top_p": 0.9})
    comparison = compare([run])
    assert rows(comparison)["clm"].estimates == before
    frame = comparison.frame[comparison.frame["method"].notna()].set_index("metric")
    assert frame.loc["judge_bits_per_byte", "value"] == pytest.approx(1.5)
    assert frame.loc["reference_judge_bits_per_byte", "value"] == pytest.approx(2.125)
    assert frame.loc["judge_bits_per_byte", "standard_error"] == 0.125
    assert frame.loc["reference_distinct_2", "value"] == 0.875
    assert frame.loc["passes_per_written_token", ["value", "unit"]].tolist() == [
        0.5,
        "passes/token",
    ]
    about = ["temperature", "decoding_steps", "top_p", "settings", "judge", "text", "n"]
    assert frame.loc["verbatim", about].tolist() == [
        *(0.5, 7, 0.9, "temperature 0.5, top-p 0.9, steps 7"),
        *(JUDGE.name, "9abc" * 4, 10),
    ]
    assert not [note for note in comparison.notes if note.startswith("sampled")]
    assert "reference_passes_per_written_token" not in frame.index


def test_other_prompts_and_judges_have_tables_of_their_own(study):
    runs = [write_run(study, name, 0, settings={"objective": "clm"}) for name in "abcd"]
    other = JUDGE.model_copy(update={"step": 600})
    wrote(runs[0], 1.5)
    wrote(runs[1], 1.5, text="def0" * 4)
    wrote(runs[2], 1.5, judge=other)
    wrote(runs[3], None)
    comparison = compare(runs)
    found = [
        ([row.label for row in table.rows], table.judge)
        for table in comparison.tables["generation"]
    ]
    assert found == [(["d"], None), (["a"], JUDGE), (["c"], other), (["b"], JUDGE)]
    assert comparison.tables["generation"][0].cells[0][3] == "—"
    assert "no judge" in comparison.tables["generation"][0].subtitle
    assert any("what was written has no judge" in note for note in comparison.notes)
    assert not fact(comparison, "prompts").equal


def test_unlike_prompts_qualify_no_winner(study):
    runs = causal(study, a=CLOSE, b=FAR)
    wrote(runs[0], 1.5)
    wrote(runs[3], 1.5, text="def0" * 4)
    comparison = compare(runs)
    assert marks(comparison)["a"] == "best"
    assert not [note for note in comparison.notes if "objectives alone" in note]


def test_what_was_not_written_is_said(study):
    runs = arm(study, "clm", CLOSE) + arm(study, "mlm", FAR)
    for run in runs[:2]:
        wrote(run, 1.5)
    wrote(runs[2], 1.5, step=50)
    wrote(runs[3], 1.5, reason="mlm does not write")
    comparison = compare(runs)
    table = third(comparison)
    assert [row[:4] for row in table.cells[:2]] == [
        ["clm", "left-to-right", "temperature 1", "1.500 ±0.000"],
        ["mlm", "—", "temperature 1", "—"],
    ]
    assert "— mlm: mlm does not write" in table.notes
    assert "clm left-to-right, temperature 1: 2 of 3 seeds" in table.notes
    again = f"lmcompare eval --tasks generation {runs[2].path}"
    assert f"evaluated at step 50 of 100 and left out: {again}" in comparison.notes
    silent = f"not asked to write: lmcompare eval --tasks generation {runs[4].path} {runs[5].path}"
    assert silent in comparison.notes


def test_times_of_unlike_machines_are_said(study):
    runs = [write_run(study, name, 0) for name in ("clm", "mlm")]
    wrote(runs[0], 1.5)
    wrote(runs[1], 1.5, cost={"threads": 3})
    assert third(compare(runs)).notes == [
        "tokens/s do not compare, as they were taken on unlike machines (Some CPU, 2 threads: clm; "
        "Some CPU, 3 threads: mlm)"
    ]


def test_what_was_written_stands_in_every_file(study):
    runs = arm(study, "clm", [1.0])
    wrote(runs[0], 1.5)
    comparison = compare(runs)
    text = FORMATS["md"](comparison)
    assert "### What is written after the same prompts" in text
    [row] = [line for line in text.splitlines() if line.startswith("| the text itself")]
    assert "| 2.125" in row
    tex = FORMATS["tex"](comparison)
    assert r"the text itself & 2.125 & 6.50" in tex
    assert r"12.5\%" in tex
    read = json.loads(FORMATS["json"](comparison))
    assert read["tables"]["generation"][0]["judge"]["num_parameters"] == 9_000_001
    assert read["tables"]["generation"][0]["rows"][0]["estimates"]["distinct_2"]["mean"] == 0.5
    assert read["tables"]["generation"][0]["itself"]["distinct_2"] == [0.875, 0.875]


def test_the_picture_holds_every_way_and_the_text_itself(study):
    runs = [write_run(study, name, seed) for name in ("clm", "mdlm") for seed in (0, 1)]
    for run in runs:
        for temperature in (0.5, 1.0):
            flops = 1e6 if run.record().arm == "clm" else 1e8
            wrote(
                run,
                1.0 + temperature + run.record().config.seed / 8,
                temperature / 2,
                sampler={"temperature": temperature},
                cost={"flops_per_token": flops},
            )
    comparison = compare(runs)
    paths = write_tables(comparison, study / "tables", name="compare")
    assert [path.name for path in paths][-1] == "compare-generation.svg"
    drawn = paths[-1].read_text()
    for words in (
        *("clm, left-to-right", "mdlm, ancestral", "the text itself", "T 0.5", "T 1"),
        *(
            JUDGE.name,
            "bars: 95% intervals; area: FLOPs/token, 1M to 100M",
            "10 texts of 48 tokens",
        ),
    ):
        assert f">{words}<" in drawn or f"({words})<" in drawn, words
    again = write_tables(compare(runs), study / "tables", name="compare")
    assert again[-1].read_text() == drawn
    assert comparison.notes == compare(runs).notes
    png = frontier(third(comparison), format="png")
    assert png is not None
    assert png.startswith(b"\x89PNG")


def test_a_line_is_a_change_of_temperature_alone(study):
    run = write_run(study, "mdlm", 0)
    for sampler in (
        *({"temperature": temperature, "steps": 8} for temperature in (1.0, 0.5)),
        *({"temperature": temperature} for temperature in (0.5, 1.0)),
        *({"greedy": True, "steps": 8}, {"beams": 4}, {"beams": 2}),
    ):
        wrote(run, 1.5, sampler=sampler)
    table = third(compare([run]))
    found = {tuple(row.settings for row in line) for line in lines(table.rows)}
    assert found == {
        ("temperature 0.5, steps 8", "temperature 1, steps 8"),
        ("temperature 0.5", "temperature 1"),
        *(("greedy, steps 8",), ("beams 4",), ("beams 2",)),
    }
    drawn = frontier(table)
    assert drawn is not None
    assert all(f">{words}<" in drawn.decode() for words in ("T 1, steps 8", "greedy, steps 8"))


def test_a_picture_spans_its_points_whatever_the_bars_do():
    assert frame_of([1.0, 3.0], (2.0, 6.0)) == pytest.approx((0.5, 6.5))
    assert frame_of([2.0], None) == pytest.approx((1.9, 2.1))


def test_a_single_point_is_a_picture(study):
    run = write_run(study, "clm", 0)
    wrote(run, 1.5)
    assert frontier(third(compare([run]))) is not None


def test_each_judge_has_a_picture(study):
    runs = [write_run(study, name, 0, settings={"objective": "clm"}) for name in "ab"]
    wrote(runs[0], 1.5)
    wrote(runs[1], 1.5, text="def0" * 4)
    paths = write_tables(compare(runs), study / "tables", name="compare")
    names = [path.name for path in paths if path.suffix == ".svg"]
    assert names == ["compare-generation.svg", "compare-generation2.svg"]


def test_without_a_judge_or_matplotlib_there_is_no_picture(study, monkeypatch):
    run = write_run(study, "clm", 0)
    wrote(run, None)
    comparison = compare([run])
    assert frontier(third(comparison)) is None
    assert any(note.startswith("what was written has no judge") for note in comparison.notes)
    wrote(run, 1.5)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    comparison = compare([run])
    note = "no picture of what was written: it needs pip install 'lmcompare[plots]'"
    assert note in comparison.notes
    paths = write_tables(comparison, study / "tables", name="compare")
    assert {path.suffix for path in paths} == {".csv", ".md", ".tex", ".json"}


def test_comparing_needs_no_matplotlib():
    command = "import lmcompare.comparison, sys; assert 'matplotlib' not in sys.modules"
    subprocess.run([sys.executable, "-c", command], check=True)


# what is missing


def test_a_run_without_evaluation_has_dashes_and_a_note(study):
    runs = [*arm(study, "clm", CLOSE), write_run(study, "mlm", 0)]
    comparison = compare(runs)
    assert [each.scored is None for each in comparison.tables["likelihood"]] == [False, True]
    assert f"not evaluated: lmcompare eval {runs[-1].path}" in comparison.notes
    [line] = [line for line in FORMATS["md"](comparison).splitlines() if line.startswith("| mlm")]
    assert [cell.strip() for cell in line.split("|")][2:5] == ["—", "", "—"]


def test_seeds_without_evaluation_are_counted_out(study):
    runs = [*arm(study, "clm", [1.0, 1.2]), write_run(study, "clm", 2)]
    row = rows(compare(runs))["clm"]
    assert (row.seeds, row.num_runs) == ([0, 1], 3)
    assert row.estimates["validation_loss"].num == 2


def test_an_evaluation_of_an_earlier_step_is_left_out(study):
    run = write_run(study, "clm", 0)
    evaluate(run, 1.0, step=50)
    comparison = compare([run])
    assert comparison.tables["likelihood"][0].scored is None
    assert any("evaluated at step 50 of 100 and left out" in note for note in comparison.notes)


def test_unfinished_runs_are_left_out_and_named(study):
    runs = [*arm(study, "clm", CLOSE), write_run(study, "mlm", 0, finished=False, steps=17)]
    comparison = compare(runs)
    assert set(rows(comparison)) == {"clm"}
    assert comparison.notes[0] == f"left out because not finished: {runs[-1].path} (at step 17)"


def test_unfinished_runs_are_marked_and_not_ranked_nor_averaged(study):
    runs = causal(study, a=CLOSE, b=FAR)
    runs.append(write_run(study, "a", 3, settings={"objective": "clm"}, finished=False, steps=17))
    evaluate(runs[-1], 0.5)
    comparison = compare(runs, unfinished=True)
    [section] = comparison.tables["likelihood"]
    assert [row.finished for row in section.rows] == [True, True, False]
    assert [row.mark for row in section.rows] == ["best", None, None]
    assert section.rows[0].estimates["bits_per_byte"].num == 3
    assert section.rows[2].label == "a [unfinished]"
    assert "unfinished" in FORMATS["md"](comparison)


def test_only_unfinished_runs_are_an_error(study):
    run = write_run(study, "clm", 0, finished=False, steps=17)
    with pytest.raises(
        UserError, match=r"no run is finished: .* \(at step 17\) is not; .*--unfinished"
    ):
        compare([run])


def test_a_run_that_has_not_begun_is_left_out(study):
    run = write_run(study, "clm", 0, finished=False)
    run.metrics_file.unlink()
    with pytest.raises(UserError, match="no step yet"):
        compare([run], unfinished=True)


# the files


@pytest.fixture
def odd(study) -> Comparison:
    """Names that every format must escape."""
    runs = arm(
        study, "50%_a&b#|c", CLOSE, settings={"objective": {"name": "mlm", "final_rate": 0.4}}
    )
    return compare([*runs, write_run(study, "clm", 0)])


def test_the_files_are_written_whole(odd, study, monkeypatch):
    paths = write_tables(odd, study / "tables", name="compare")
    assert [path.name for path in paths] == [
        "compare.csv",
        "compare.md",
        "compare.tex",
        "compare.json",
    ]
    assert sorted((study / "tables").iterdir()) == sorted(paths)
    before = [path.read_bytes() for path in paths]
    monkeypatch.setattr("os.fsync", lambda _: (_ for _ in ()).throw(OSError(28, "no space")))
    with pytest.raises(UserError, match="disk is full"):
        write_tables(odd, study / "tables", name="compare")
    assert [path.read_bytes() for path in paths] == before


def test_csv_gives_the_frame_back(odd):
    read = pd.read_csv(io.StringIO(FORMATS["csv"](odd)))
    assert read["value"].tolist() == pytest.approx(odd.frame["value"].tolist(), rel=1e-15)
    assert read["metric"].tolist() == odd.frame["metric"].tolist()
    assert len(list(csv.reader(io.StringIO(FORMATS["csv"](odd))))) == len(odd.frame) + 1


def test_json_has_nulls_and_both_tables(odd):
    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    read = json.loads(FORMATS["json"](odd), parse_constant=refuse)
    assert len(read["measurements"]) == len(odd.frame)
    assert {each["scoring"] for each in read["measurements"]} == {None, "pll"}
    assert [section["scored"] is None for section in read["tables"]["likelihood"]] == [False, True]
    [row] = read["tables"]["likelihood"][0]["rows"]
    assert row["estimates"]["bits_per_byte"]["mean"] == pytest.approx(1.01)
    assert {each["name"] for each in read["facts"]} >= {"training text", "budget"}


def test_markdown_keeps_its_columns(odd):
    text = FORMATS["md"](odd).partition("### Control sheet")[0]
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert {len(re.split(r"(?<!\\)\|", line)) for line in lines} == {15}
    assert "**Held equal:** " in text


def test_tex_escapes_and_keeps_its_columns(odd):
    text = FORMATS["tex"](odd)
    body = text[text.index(r"\toprule") : text.index(r"\end{table}")]
    for tabular in body.split(r"\toprule")[1:]:
        lines = [line for line in tabular.splitlines() if line.endswith(r"\\")]
        assert len({len(re.split(r"(?<!\\)&", line)) for line in lines}) == 1
    assert r"50\%\_a\&b\#" in text
    assert text.isascii()
    tables = text[text.index(r"\begin{table}") :]
    assert not re.search(r"(?<!\\)[_#]", tables)
    assert text.count("{") - text.count(r"\{") == text.count("}") - text.count(r"\}")


# the command line


@pytest.fixture
def invoke():
    import typer

    from lmcompare_cli.commands.compare import compare as command

    app = typer.Typer()
    app.command()(command)

    def run(*arguments: object) -> Any:
        return CliRunner().invoke(app, list(map(str, arguments)))

    return run


def test_the_command_prints_and_writes(invoke, study):
    arm(study, "clm", CLOSE)
    arm(study, "mlm", FAR)
    result = invoke(study)
    assert result.exit_code == 0, result.output
    assert "Held equal: " in result.stdout
    assert "pseudo: each token given the others" in result.stdout
    assert "written to" in result.stderr
    assert "\x1b" not in result.stdout
    assert sorted(path.suffix for path in (study / "tables").iterdir()) == sorted(
        [".csv", ".json", ".md", ".tex"]
    )
    assert len(find_runs([study])) == 6


def test_the_table_fits_a_terminal_of_100_columns(invoke, study, monkeypatch):
    long = {"name": "mlm", "rate": 0.4, "select": "span", "final_rate": 0.2}
    arm(study, "an-arm-with-a-long-name", FAR, settings={"objective": long})
    arm(study, "clm", CLOSE)
    be_terminal(monkeypatch, 100)
    result = invoke(study, "--no-write")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert max(map(len, lines)) <= 100
    assert any(line.startswith("an-arm-with-a-long-name:") and "2.010 ±" in line for line in lines)
    assert any(line.startswith("an-arm-with-a-long-name:") and line.endswith("3") for line in lines)


def test_the_second_table_fits_a_terminal_of_100_columns(invoke, study, monkeypatch):
    for number in range(12):
        for run in arm(study, f"an-arm-of-{number:02}", FAR, settings={"objective": "clm"}):
            bits = 11 + run.record().config.seed
            ask(run, bits, bits, bits, None, likelihood="bound", given="left")
    be_terminal(monkeypatch, 100)
    result = invoke(study, "--no-write")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert max(map(len, lines)) <= 100
    shown = [" ".join(line.split()) for line in lines]
    cell = "≤12.000 ±2.485 l"
    assert [f"an-arm-of-{number:02} in-order {cell} {cell} {cell} —" for number in range(12)] == [
        line for line in shown if "≤" in line and line.startswith("an-arm")
    ]
    assert "unigram anchor 2.500 2.500 2.500 2.500" in shown


def test_the_third_table_fits_a_terminal_of_100_columns(invoke, study, monkeypatch):
    for run in arm(study, "an-arm-with-a-long-name", FAR, settings={"objective": "mdlm"}):
        wrote(run, 11.5 + run.record().config.seed, sampler={"temperature": 0.7, "steps": 128})
    be_terminal(monkeypatch, 100)
    result = invoke(study)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert max(map(len, lines)) <= 100
    shown = [" ".join(line.split()) for line in lines]
    assert any("12.500 ±2.485 6.50 0.500 ±0.000 0.375 12.5% 6.2%" in line for line in shown)
    assert any(line.endswith("0.500 3M 101 1,009 10.3 13") for line in shown)
    assert "the text itself 2.125 6.50 0.875 0.375 12.5% 6.2%" in shown
    assert "the text itself 21.1" in shown
    assert f"drawn in {study / 'tables' / 'compare-generation.svg'}" in result.stderr


@pytest.mark.parametrize("layout", ["table", "md"])
def test_ascii_is_enough(study, layout):
    [run] = arm(study, "clm", [1.0], record={"text": "Gödel"})
    ask(run, 1, 2, 3, None, likelihood="bound")
    command = "import typer, lmcompare_cli.commands.compare as c; typer.run(c.compare)"
    done = subprocess.run(
        [sys.executable, "-c", command, str(study), "--no-write", "--format", layout],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        check=True,
    )
    assert done.stdout.isascii()
    assert b"1.000 +--" in done.stdout
    assert b"<=2.000" in done.stdout.replace(b"\\<", b"<")


@pytest.mark.parametrize("layout", ["json", "csv", "md", "tex"])
def test_stdout_is_the_file(invoke, study, layout):
    arm(study, "clm", CLOSE)
    result = invoke(study, "--format", layout, "--name", "paper", "--out", study / "elsewhere")
    assert result.exit_code == 0, result.output
    assert result.stdout == (study / "elsewhere" / f"paper.{layout}").read_text()


def test_nothing_is_written_if_not_wanted(invoke, study):
    arm(study, "clm", CLOSE)
    assert invoke(study, "--no-write").exit_code == 0
    assert not (study / "tables").exists()


@pytest.mark.parametrize("name", ["", "a/b", "..", ".hidden"])
def test_a_name_is_no_path(invoke, study, name):
    arm(study, "clm", CLOSE)
    assert isinstance(invoke(study, "--name", name).exception, UserError)
    assert not (study / "tables").exists()


def test_no_run_at_all_is_an_error(invoke, tmp_path):
    assert isinstance(invoke(tmp_path / "nowhere").exception, UserError)


@pytest.mark.parametrize(
    ("read", "said", "equal"),
    [
        (({64: "a", 100: "b"}, {64: "a", 100: "b"}), "within each seed, as read", True),
        (({64: "a", 100: "b"}, {64: "a", 100: "c"}), "in seed 0", False),
        (({64: "a", 100: "b"}, {64: "c", 100: "b"}), "within each seed, as read", True),
        (
            ({64: "a", 100: "b"}, {32: "d", 64: "a", 90: "c"}),
            "within each seed, as read up to step 64, then as planned",
            True,
        ),
        (({64: "a", 100: "b"}, {64: "x", 90: "c"}), "in seed 0 up to step 64", False),
        (({64: "a", 100: "b"}, None), "as planned: what was read is not kept of all", True),
    ],
)
def test_the_order_is_that_in_which_text_was_read(
    tmp_path: Path, read: tuple[dict[int, str], dict[int, str] | None], said: str, equal: bool
) -> None:
    steps = [100 if each is None else max(each) for each in read]
    for arm, each, num in zip(("clm", "mlm"), read, steps, strict=True):
        write_run(tmp_path, arm, 0, read=each, steps=num)
    (fact,) = [
        each
        for each in compare(find_runs([tmp_path])).facts
        if each.name == ControlSheet.FACTS["order"]
    ]
    assert fact.equal is equal
    assert said in str(fact)


def test_the_time_of_a_disturbed_run_has_that_without_the_others_beside_it(tmp_path: Path) -> None:
    write_run(tmp_path, "clm", 0, undisturbed=3.1)
    write_run(tmp_path, "mlm", 0)
    comparison = compare(find_runs([tmp_path]))
    times = [cells(row)[10] for section in comparison.tables["likelihood"] for row in section.rows]
    assert sorted(times) == ["10", "10 (3.1 alone)"]
    (note,) = [each for each in comparison.notes if each.startswith("secs: ")]
    assert "clm-s0" in note
    assert "mlm-s0" not in note
