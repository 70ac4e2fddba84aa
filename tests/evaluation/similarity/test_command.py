"""Toy runs go through the command: what is kept, not measured again, and refused."""

import json
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from lmcompare.comparison import compare
from lmcompare.evaluation.similarity.record import SimilarityItem, SimilarityRecord
from lmcompare.evaluation.states.word_states import FOLDER
from lmcompare.runs.finding import find_runs
from lmcompare.runs.run import Run
from tests.tiny import Command, TrainOnce, flags, sentences, the_error

FEW = ("--num-words", "101", "--measures", "cka")


@pytest.fixture
def study(train_once: TrainOnce, corpus: Path) -> Path:
    """Two seeds of a causal model, and one masked model."""
    for objective, seed in (("clm", 0), ("clm", 1), ("mlm", 0)):
        train_once("-o", objective, *flags(corpus, f"seed={seed}"))
    return Path("experiments/default")


def records(study: Path) -> dict[tuple[str, int, str, int], SimilarityRecord]:
    return {
        (each.arm, each.seed, each.other_arm, each.other_seed): each
        for run in find_runs([study])
        for each in run.results.read(SimilarityRecord)
    }


def files(study: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in study.glob("*/eval/*")}


def test_every_pair_is_measured_kept_and_not_measured_again(command: Command, study: Path) -> None:
    said = command("similarity", study, "--num-words", "101", "--format", "json")
    assert said.code == 0, said.err
    found = records(study)
    assert len(found) == 6
    own = found["clm", 0, "clm", 0]
    assert own.is_within
    assert not found["clm", 0, "mlm", 0].is_within
    for name, grids in own.grids.items():
        np.testing.assert_allclose(np.diag(grids.value), 1, atol=2e-3, err_msg=name)
        np.testing.assert_allclose(grids.value, np.transpose(grids.value), atol=1e-6)
    for record in found.values():
        assert record.num_words == 101
        assert record.layers == record.other_layers == (0, 1, 2)
        assert [*record.grids] == ["cka", "svcca", "procrustes", "neighbours", "rsa"]
        for grids in record.grids.values():
            assert (np.array(grids.null_mean) <= np.array(grids.null_high)).all()
            assert (np.array(grids.value) > np.array(grids.null_high)).all()
    first = next(run for run in find_runs([study]) if run.results.read(SimilarityRecord))
    (record, *_) = first.results.read(SimilarityRecord)
    items = first.results.items(record, SimilarityItem)
    assert [(item.layer, item.other_layer) for item in items][:4] == [
        (0, 0),
        (0, 1),
        (0, 2),
        (1, 0),
    ]
    assert {len(item.without["cka"]) for item in items} == {record.num_groups}
    before = files(study)
    again = command("similarity", study, "--num-words", "101", "--format", "json")
    assert again.out == said.out
    assert files(study) == before


def test_a_further_measure_is_added_to_what_is_there(command: Command, study: Path) -> None:
    assert command("similarity", study, *FEW).code == 0
    before = records(study)
    assert command("similarity", study, "--num-words", "101", "--measures", "cka,rsa").code == 0
    for key, record in records(study).items():
        assert [*record.grids] == ["cka", "rsa"]
        assert record.grids["cka"] == before[key].grids["cka"]


def test_states_leave_nothing_behind(command: Command, study: Path, cache: Path) -> None:
    assert command("similarity", study, *FEW).code == 0
    assert not [*(cache / FOLDER).glob("*")]


def test_a_comparison_shows_the_floor_of_seeds(command: Command, study: Path) -> None:
    assert command("similarity", study, *FEW).code == 0
    said = command("compare", study, "--no-write", "--table", "similarity")
    out = " ".join(said.out.split())
    assert "CKA of 101 words of validation" in out
    assert "clm and mlm" in out
    (table,) = compare(find_runs([study])).tables["similarity"]
    (pair,) = table.pairs
    assert pair.num_pairs == 1, "of unlike seeds"
    grid = pair.grids["cka"]
    assert grid.floors[0] is not None
    assert grid.floors[1] is None, "one seed"
    assert {gap.differs for gap in grid.gaps.values()} == {None}
    found = records(study)
    assert grid.between[2][2] == found["clm", 1, "mlm", 0].grids["cka"].value[2][2]


def test_a_new_run_is_compared_with_the_old_ones_alone(
    command: Command, study: Path, corpus: Path
) -> None:
    assert command("similarity", study, *FEW).code == 0
    before = files(study)
    assert command("train", "-o", "mlm", *flags(corpus, "seed=1")).code == 0
    assert command("similarity", study, *FEW).code == 0
    now = files(study)
    assert len(records(study)) == 10
    assert {path: now[path] for path in before} == before


def test_one_run_is_compared_with_itself_and_that_is_said(command: Command, study: Path) -> None:
    first = sorted(study.glob("clm-*"))[0]
    said = command("similarity", first, *FEW)
    assert said.code == 0
    assert "is the only run, so its own layers alone are compared" in " ".join(said.err.split())
    assert len(records(study)) == 1


def test_fewer_words_than_numbers_are_warned_of(command: Command, study: Path) -> None:
    said = command("similarity", study, "--num-words", "19", "--measures", "cka")
    assert said.code == 0
    assert "has 19 words and states have up to 24 numbers: trust cka" in " ".join(said.err.split())


def test_a_layer_that_is_not_there_is_named_with_the_run(command: Command, study: Path) -> None:
    error = the_error(command("similarity", study, *FEW, "--layers", "1,7"))
    assert "there is no layer 7 to read here: choose from 0 to 2" in error
    assert "clm-s0" in error


def test_an_unknown_measure_is_refused(command: Command, study: Path) -> None:
    error = the_error(command("similarity", study, "--measures", "cka,pwcca"))
    assert "--measures" in error
    assert "pwcca" in error


def test_runs_of_unlike_texts_need_one_to_be_named(
    command: Command, study: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.txt"
    other.write_text(sentences(211, seed=5), encoding="utf-8")
    assert command("train", "-o", "clm", "--study", "two", *flags(other)).code == 0
    error = the_error(command("similarity", study, "experiments/two", *FEW))
    assert "were trained on different texts, and hold out none in common: name one" in error
    assert command("similarity", study, "experiments/two", *FEW, "--data", other).code == 0
    assert {record.source for record in records(study).values()} == {str(other)}


def test_unlike_tokenizers_are_aligned_on_words_and_that_is_said(
    command: Command, study: Path, corpus: Path
) -> None:
    bpe = ("tokenizer.kind=bpe", "tokenizer.vocab_size=401")
    assert command("train", "-o", "clm", "--arm", "bpe", *flags(corpus, *bpe)).code == 0
    said = command("similarity", study, *FEW)
    assert said.code == 0, said.err
    assert "aligned on words" in " ".join(said.out.split())
    kept = {key: record.same_tokenizer for key, record in records(study).items()}
    assert not kept["bpe", 0, "clm", 0]
    assert kept["clm", 0, "mlm", 0]
    assert len({record.text for record in records(study).values()}) == 1


def test_states_that_are_no_numbers_are_named_with_run_and_layer(
    command: Command, study: Path, cache: Path
) -> None:
    first = sorted(study.glob("clm-*"))[0]
    (weights,) = [*Run(first).checkpoints.glob("*/model.safetensors")][-1:]
    found = safetensors.torch.load_file(weights)
    key = next(name for name in found if name.startswith("layers.1"))
    found[key] = torch.full_like(found[key], torch.nan)
    _replace(weights, found)
    error = the_error(command("similarity", study, *FEW))
    assert not [*(cache / FOLDER).glob("*")]
    assert f"layer 2 of {first} has states that are no numbers" in error


def _replace(weights: Path, tensors: dict[str, torch.Tensor]) -> None:
    """Write weights, and their checksum into the record of the checkpoint."""
    from lmcompare import files as written
    from lmcompare.runs.records import CheckpointRecord

    safetensors.torch.save_file(tensors, weights)
    place = weights.with_name("state.json")
    record = CheckpointRecord.read(place)
    checksums = {**record.checksums, weights.name: written.checksum(weights)}
    record.model_copy(update={"checksums": checksums}).write(place)


def test_results_are_listed_selected_and_removed(command: Command, study: Path) -> None:
    assert command("similarity", study, *FEW).code == 0
    listed = json.loads(command("results", study, "--format", "json").out)
    assert {each["record"]["task"] for each in listed} == {"similarity"}
    assert command("results", study, "--remove", "similarity", "--yes").code == 0
    assert not [*study.glob("*/eval/similarity-*")]


@pytest.fixture(autouse=True)
def _few_permutations(monkeypatch: pytest.MonkeyPatch) -> None:
    """A null of few permutations, as most time would go into it."""
    from lmcompare.evaluation.similarity import patterns

    for function, num in ((patterns.null_of_patterns, 5), (patterns.null_of_decompositions, 5)):
        monkeypatch.setitem(function.__kwdefaults__, "num", num)
