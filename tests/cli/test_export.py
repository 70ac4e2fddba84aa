"""`lmcompare export` as a user meets it."""

import json
import shutil
from pathlib import Path

import pytest

from lmcompare.objectives import Mlm
from tests.tiny import Command, TrainOnce, flags, the_error


@pytest.fixture
def run(train_once: TrainOnce, corpus: Path) -> Path:
    (found,) = train_once("-o", "mlm", *flags(corpus, budget="2 steps"))
    return found


def test_the_folder_is_data_and_the_rest_is_talk(command: Command, run: Path) -> None:
    said = command("export", run, "--to", "hf", "out/mlm")
    assert (said.code, said.out) == (0, "out/mlm\n")
    (line,) = said.err.splitlines()
    assert line == "AutoModelForMaskedLM.from_pretrained loads it as EuroBertForMaskedLM"
    shape = json.loads(Path("out/mlm/config.json").read_text())
    assert shape["architectures"] == ["EuroBertForMaskedLM"]
    assert Path("out/mlm/model.safetensors").exists()
    assert "# mlm, seed 0" in Path("out/mlm/README.md").read_text()


def test_a_study_of_one_run_and_no_option(command: Command, run: Path) -> None:
    assert command("export", run.parent, "out").out == "out\n"
    assert "out holds an export already" in the_error(command("export", run, "out"))
    assert command("export", run, "out", "--force").code == 0
    assert [path.name for path in Path().iterdir() if path.name != "experiments"] == ["out"]


def test_several_runs(command: Command, run: Path, corpus: Path) -> None:
    command("train", "-o", "clm", *flags(corpus, budget="2 steps"))
    error = the_error(command("export", run.parent, "out"))
    assert "holds 2 runs and one can be exported at a time: name it, such as" in error
    assert not Path("out").exists()


def test_what_cannot_be_exported(
    command: Command, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "there is no run or study at nowhere" in the_error(command("export", "nowhere", "out"))
    Path("nothing").mkdir()
    assert "nothing holds no run yet" in the_error(command("export", "nothing", "out"))
    with monkeypatch.context() as patched:
        patched.setattr(Mlm, "hf_class", property(lambda self: None))
        error = the_error(command("export", run, "out"))
    assert error.startswith("a model trained with mlm cannot be exported to Hugging Face: ")
    shutil.rmtree(run / "checkpoint")
    assert "the run is finished and this is its model" in the_error(command("export", run, "out"))
    (run / "done.json").unlink()
    assert "has no checkpoint yet" in the_error(command("export", run, "out"))
    assert not Path("out").exists()


def test_a_damaged_checkpoint_is_told(command: Command, corpus: Path) -> None:
    options = flags(corpus, "runtime.save_every=2", budget="4 steps")
    run = Path(command("train", "-o", "clm", *options).out.strip())
    (run / "checkpoint" / "step-00000004" / "model.safetensors").write_bytes(b"")
    assert "damaged" in the_error(command("export", run, "out")), "a finished run has one model"
    (run / "done.json").unlink()
    said = command("export", run, "out")
    assert (said.code, said.out) == (0, "out\n")
    assert said.err.startswith("warning: the checkpoint ")
    assert "damaged" in said.err
    assert "- spent: 2 steps" in Path("out/README.md").read_text()


def test_checkpoints_are_chosen_by_their_step(command: Command, corpus: Path) -> None:
    options = flags(corpus, "runtime.save_every=2", "runtime.keep=9", budget="4 steps")
    run = Path(command("train", "-o", "clm", *options).out.strip())
    assert command("export", run, "two", "--checkpoint", "2").out == "two\n"
    assert "- spent: 2 steps" in Path("two/README.md").read_text()
    said = command("export", run, "all", "--every-checkpoint")
    assert said.err == "AutoModelForCausalLM.from_pretrained loads each as LlamaForCausalLM\n"
    assert {path.name for path in Path("all").glob("step-*")} == {"step-00000002", "step-00000004"}
    error = the_error(command("export", run, "three", "--checkpoint", "3"))
    assert "has no checkpoint of step 3: it has those of steps 2, 4" in error
    error = the_error(command("export", run, "x", "--checkpoint", "2", "--every-checkpoint"))
    assert error == "--checkpoint is one, and --every-checkpoint all: leave out one"


@pytest.mark.parametrize("arguments", [["run"], ["run", "out", "--to", "onnx"]], ids=" ".join)
def test_wrong_usage_is_two(command: Command, arguments: list[str]) -> None:
    assert command("export", *arguments).code == 2
