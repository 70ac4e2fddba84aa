"""What an export writes, replaces and leaves as it was."""

import json
from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from lmcompare import files
from lmcompare.errors import UserError
from lmcompare.huggingface import HF_MODELS, export, export_every_checkpoint, export_hf
from lmcompare.runs import checkpoints
from lmcompare.runs.checkpoints import MODEL
from lmcompare.runs.finding import at_step
from lmcompare.runs.run import Run
from tests.huggingface.exports import EXPORTABLE, kind_of
from tests.tiny import Trainer, tiny


@pytest.mark.parametrize("name", EXPORTABLE)
def test_what_is_written(runs: dict[str, Run], exported: dict[str, Path], name: str) -> None:
    written = {path.name for path in exported[name].iterdir()}
    assert written <= export.WRITTEN
    assert export.WRITTEN - written == (
        {"generation_config.json"} if kind_of(name) == "masked" else set()
    )
    shape = json.loads((exported[name] / "config.json").read_text())
    assert shape["architectures"] == [HF_MODELS[kind_of(name)].name]
    assert shape["tie_word_embeddings"]
    described = json.loads((exported[name] / "tokenizer_config.json").read_text())
    assert described["mask_token"] == "[MASK]"
    assert described["model_max_length"] == 33 == shape["max_position_embeddings"]
    assert not list(exported[name].parent.glob(".*"))
    assert len({path.stat().st_mode for path in exported[name].iterdir()}) == 1, "all for all"


def test_a_run_that_is_not_finished(corpus: Path, train: Trainer, tmp_path: Path) -> None:
    run = train(tiny(corpus), stop_at=3)
    told: list[str] = []
    export_hf(run, tmp_path / "out", warn=told.append)
    assert told == [f"the run {run.path} is not finished: this is its model after 3 steps"]
    card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert "- budget: 20 steps, of which 15% were spent: the run is not finished" in card


def content(place: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in place.iterdir()}


def test_an_export_is_replaced_only_by_force(
    runs: dict[str, Run], exported: dict[str, Path], tmp_path: Path
) -> None:
    place = tmp_path / "out"
    place.mkdir()
    export_hf(runs["clm"], place)
    before = content(place)
    with pytest.raises(UserError, match=r"out holds an export already: .* with `force=True`"):
        export_hf(runs["mlm"], place)
    assert content(place) == before
    export_hf(runs["mlm"], place, force=True)
    assert set(content(place)) == set(content(exported["mlm"])), "nothing of the old one is left"
    assert content(place)[MODEL] == content(exported["mlm"])[MODEL]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("force", [False, True])
def test_nobodys_files_are_lost(runs: dict[str, Run], tmp_path: Path, force: bool) -> None:
    (tmp_path / "thesis.tex").write_text("Years.")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(
        UserError, match=r"holds files that are not of an export, thesis.tex for one"
    ):
        export_hf(runs["clm"], tmp_path, force=force)
    with pytest.raises(UserError, match=r"thesis.tex is a file: name a folder"):
        export_hf(runs["clm"], tmp_path / "thesis.tex", force=force)
    assert sorted(content(tmp_path)) == ["config.json", "thesis.tex"]


def test_the_working_folder_is_not_replaced(
    runs: dict[str, Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="and you are in it: name a new one"):
        export_hf(runs["clm"], Path())


def full(*_: object, **__: object) -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("module", [export, files], ids=["weights", "text"])
@pytest.mark.parametrize("there", [False, True])
def test_a_failed_export_leaves_nothing(
    runs: dict[str, Run],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    module: object,
    there: bool,
) -> None:
    place = tmp_path / "out"
    if there:
        export_hf(runs["mlm"], place)
    before = content(place) if there else {}
    with monkeypatch.context() as patched:
        patched.setattr(module, "write_tensors" if module is export else "write_text", full)
        with pytest.raises(UserError, match="the disk is full"):
            export_hf(runs["clm"], place, force=there)
    assert [path.name for path in tmp_path.iterdir()] == (["out"] if there else [])
    assert not there or content(place) == before


def test_an_export_that_cannot_take_its_place_leaves_the_old_one(
    runs: dict[str, Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "out"
    export_hf(runs["mlm"], place)
    before, really = content(place), Path.rename

    def rename(path: Path, target: Path) -> Path:
        if (path / "config.json").exists() and path.name.startswith(".lmcompare-new-"):
            full()
        return really(path, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", rename)
        with pytest.raises(UserError, match="the disk is full"):
            export_hf(runs["clm"], place, force=True)
    assert content(place) == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory, cache: Path, corpus: Path) -> Run:
    """A run that kept its checkpoints of steps 7, 14 and 20."""
    trainer = Trainer(tmp_path_factory.mktemp("kept"), cache)
    return trainer(tiny(corpus, "clm", "runtime.keep=1000"))


def test_a_checkpoint_is_exported_as_it_was(kept: Run, tmp_path: Path) -> None:
    export_hf(at_step(kept, 14), tmp_path / "out", warn=pytest.fail)
    was = checkpoints.check(checkpoints.place_of(kept.checkpoints, 14)).weights()
    written = load_file(tmp_path / "out" / MODEL)
    assert torch.equal(written["model.embed_tokens.weight"], was["embedding"])
    card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert "- budget: 20 steps, of which 70% were spent, a checkpoint on the way" in card
    with pytest.raises(UserError, match="no checkpoint of step 9: it has those of steps 7, 14, 20"):
        at_step(kept, 9)


def test_every_checkpoint_has_a_folder(kept: Run, tmp_path: Path) -> None:
    place = tmp_path / "out"
    export_every_checkpoint(kept, place, warn=pytest.fail)
    steps = pd.read_csv(place / "checkpoints.csv")
    assert steps["steps"].tolist() == [7, 14, 20]
    assert steps["tokens"].is_monotonic_increasing
    names = steps["folder"].tolist()
    assert sorted(path.name for path in place.iterdir()) == ["checkpoints.csv", *names]
    for name, step in zip(names, steps["steps"], strict=True):
        export_hf(at_step(kept, step), tmp_path / name)
        assert content(tmp_path / name) == content(place / name)
    with pytest.raises(UserError, match="holds an export already"):
        export_every_checkpoint(kept, place)
    export_every_checkpoint(kept, place, force=True)
    (place / names[0] / "thesis.tex").write_text("Years.")
    with pytest.raises(UserError, match=r"not of an export, step-00000007/thesis.tex for one"):
        export_every_checkpoint(kept, place, force=True)


def test_where_only_the_last_were_kept_it_is_said_how_to_keep_all(
    corpus: Path, train: Trainer, tmp_path: Path
) -> None:
    run, told = train(tiny(corpus)), list[str]()
    export_every_checkpoint(run, tmp_path / "out", warn=told.append)
    (line,) = told
    assert "the last 2 checkpoints are there, from step 14" in line
    assert "trained with runtime.keep=1000" in line
