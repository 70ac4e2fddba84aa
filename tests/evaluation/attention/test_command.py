"""Toy runs go through the command: what is kept, what is not measured again, what is refused."""

import json
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from lmcompare import files as written
from lmcompare.comparison import compare
from lmcompare.evaluation.attention.heads import MEASURES
from lmcompare.evaluation.attention.record import AttentionRecord, HeadsItem
from lmcompare.runs.finding import find_runs
from lmcompare.runs.records import CheckpointRecord
from lmcompare.runs.run import Run
from tests.evaluation.attention.attending import conllu, made_up
from tests.tiny import Command, TrainOnce, flags, the_error

FEW = ("--num-rows", "11")
PARTS = {"train": range(0, 23), "dev": range(23, 30), "test": range(30, 53)}


@pytest.fixture
def treebank(tmp_path: Path) -> Path:
    folder = tmp_path / "made-up"
    folder.mkdir()
    for part, numbers in PARTS.items():
        text = "".join(conllu(made_up(number)) for number in numbers)
        (folder / f"made-{part}.conllu").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def study(train_once: TrainOnce, corpus: Path) -> Path:
    for objective in ("clm", "mlm", "t5"):
        train_once("-o", objective, *flags(corpus))
    return Path("experiments/default")


def evaluate(command: Command, *more: str | Path) -> str:
    said = command("eval", "experiments/default", "--tasks", "attention", *FEW, *more)
    assert said.code == 0, said.err
    return " ".join(said.out.split())


def records(study: Path) -> list[AttentionRecord]:
    return [each for run in find_runs([study]) for each in run.results.read(AttentionRecord)]


def files(study: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in study.glob("*/eval/*")}


def test_it_is_measured_kept_and_not_measured_again(
    command: Command, study: Path, treebank: Path
) -> None:
    out = evaluate(command, "--treebank", treebank)
    assert "attention is a weight, and no explanation" in out
    found = {(each.arm, each.task, each.is_untrained): each for each in records(study)}
    assert len(found) == 3 * 2 * 2
    for (arm, task, _), each in found.items():
        assert each.layers == tuple(range(1, len(each.layers) + 1))
        assert each.num_heads == 2
        assert each.states_of == ("encoder" if arm == "t5" else None)
        assert each.sees_right == (arm != "clm")
        if task == "heads":
            assert each.num_items == 11
            shape = (len(each.layers), 2)
            assert {*each.means} == {*MEASURES}
            for name in MEASURES:
                assert np.shape(each.means[name]) == np.shape(each.errors[name]) == shape
            right = np.array(each.means["right"])
            assert (right == 0).all() if arm == "clm" else (right > 0).all()
        else:
            assert each.num_items == len(PARTS["test"])
            assert {one.relation for one in each.relations} <= {"det", "nsubj", "obj"}
    run = next(run for run in find_runs([study]) if run.record().arm == "mlm")
    (record,) = [
        each
        for each in run.results.read(AttentionRecord)
        if each.task == "heads" and not each.is_untrained
    ]
    items = run.results.items(record, HeadsItem)
    values = np.array([each.values["distance"] for each in items])
    np.testing.assert_allclose(values.mean(0), record.means["distance"])
    errors = values.std(0, ddof=1) / 11**0.5
    np.testing.assert_allclose(errors, np.array(record.errors["distance"]))
    before = files(study)
    assert evaluate(command, "--treebank", treebank) == out
    assert files(study) == before


def test_without_a_treebank_the_rest_is_measured_and_that_is_said(
    command: Command, study: Path
) -> None:
    out = evaluate(command, "--no-untrained")
    assert "whether heads follow dependencies was not measured: name a treebank" in out
    assert {(each.task, each.is_untrained) for each in records(study)} == {("heads", False)}


def test_too_few_arcs_are_counted_and_said(command: Command, study: Path, treebank: Path) -> None:
    out = evaluate(command, "--treebank", treebank, "--no-untrained")
    assert "3 relations have fewer than 30 arcs in the test sentences, and left out" in out
    assert "nsubj (23), obj (23), amod (" in out
    assert {
        one.relation for each in records(study) for one in each.relations if each.arm == "mlm"
    } == {"det"}
    out = evaluate(command, "--treebank", treebank, "--no-untrained", "--min-arcs", "23")
    assert "1 relation has fewer than 23 arcs" in out
    assert len(records(study)) == 3 * 3, "what was measured with another minimum is kept"


def test_the_decoder_is_measured_where_there_is_one(command: Command, study: Path) -> None:
    said = command(
        "eval", study, "--tasks", "attention", *FEW, "--stack", "decoder", "--no-untrained"
    )
    assert said.code == 1
    error = " ".join(said.err.split())
    assert "clm has one stack only" in error
    assert "mlm has one stack only" in error
    (record,) = records(study)
    assert (record.arm, record.states_of, record.sees_right) == ("t5", "decoder", False)
    assert (np.array(record.means["right"]) == 0).all()


def test_a_treebank_without_dependencies(command: Command, study: Path, tmp_path: Path) -> None:
    tags = tmp_path / "tags.conll"
    tags.write_text("the O\ncat B-ANIMAL\n\n" * 31, encoding="utf-8")
    error = the_error(command("eval", study, "--tasks", "attention", *FEW, "--treebank", tags))
    assert "tags has no dependencies, the heads and labels of words" in error
    assert not records(study)


def test_a_text_that_is_too_short(command: Command, study: Path, tmp_path: Path) -> None:
    short = tmp_path / "short.txt"
    short.write_text("a cat\n\nran\n", encoding="utf-8")
    said = command("eval", study, "--tasks", "attention", "--data", short)
    assert said.code == 1
    assert "has no text with 8 known tokens in a row, the least that" in " ".join(said.err.split())
    assert not records(study)


def test_one_text_has_no_interval(command: Command, study: Path, tmp_path: Path) -> None:
    one = tmp_path / "one.txt"
    one.write_text("the old cat saw a dog under the tree", encoding="utf-8")
    evaluate(command, "--data", one, "--no-untrained")
    for each in records(study):
        assert each.num_items == 1
        assert {*each.errors.values()} == {None}
    assert command("compare", study, "--no-write", "--table", "attention").code == 0


def test_attention_that_is_no_number_is_named_with_run_and_layer(
    command: Command, study: Path
) -> None:
    first = sorted(study.glob("clm-*"))[0]
    (weights,) = [*Run(first).checkpoints.glob("*/model.safetensors")][-1:]
    found = safetensors.torch.load_file(weights)
    key = next(name for name in found if name.startswith("layers.0.ffn") or "layers.0" in name)
    found[key] = torch.full_like(found[key], torch.nan)
    safetensors.torch.save_file(found, weights)
    place = weights.with_name("state.json")
    record = CheckpointRecord.read(place)
    checksums = {**record.checksums, weights.name: written.checksum(weights)}
    record.model_copy(update={"checksums": checksums}).write(place)
    said = command("eval", study, "--tasks", "attention", *FEW)
    assert said.code == 1
    assert f"of {first} has attention that is no number" in " ".join(said.err.split())
    assert {each.arm for each in records(study)} == {"mlm", "t5"}, "the others are measured"


def test_tables_fit_eighty_columns(command: Command, study: Path, treebank: Path) -> None:
    few = ("--min-arcs", "23", "--treebank", treebank)
    shown = command("eval", study, "--tasks", "attention", *FEW, *few).out
    compared = command("compare", study, "--no-write", "--table", "attention").out
    for page in (shown, compared):
        tables = [line for line in page.splitlines() if not line.startswith(("- ", "Follows "))]
        assert any("of max" in line and "distance" in line for line in tables)
        assert any("nsubj" in line for line in tables)
        assert max(map(len, tables[2:])) <= 80


def test_results_are_listed_selected_and_removed(command: Command, study: Path) -> None:
    evaluate(command)
    listed = json.loads(command("results", study, "--format", "json").out)
    assert {each["record"]["task"] for each in listed} == {"heads"}
    assert command("results", study, "--remove", "untrained", "--yes").code == 0
    assert {each.is_untrained for each in records(study)} == {False}
    assert command("results", study, "--remove", "attention", "--yes").code == 0
    assert not [*study.glob("*/eval/attention-*")]


def test_the_frame_has_every_head(command: Command, study: Path, treebank: Path) -> None:
    evaluate(command, "--treebank", treebank)
    frame = compare(find_runs([study])).frame
    right = frame[(frame["metric"] == "attention_right") & (frame["label"] == "clm")]
    assert {*zip(right["layer"], right["head"], strict=True)} == {(1, 1), (1, 2), (2, 1), (2, 2)}
    assert (right["value"] == 0).all()
    followed = frame[(frame["metric"] == "det to head accuracy") & (frame["label"] == "mlm")]
    assert len(followed) == 4
    assert followed["is_best"].sum() == 1
    assert "untrained det to head accuracy" in {*frame["metric"]}
