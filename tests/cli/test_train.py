"""`lmcompare train`, as a user meets it."""

import io
import json
import sys
from pathlib import Path

import pytest
import tokenizers
from tokenizers.models import WordLevel

from lmcompare.runs import checkpoints
from lmcompare.runs.run import Run
from tests.tiny import Command, flags, sentences, the_error


def test_the_path_is_data_and_the_rest_is_talk(command: Command, corpus: Path) -> None:
    said = command("train", "-o", "clm", *flags(corpus))
    assert said.code == 0
    (path,) = said.out.splitlines()
    assert path.startswith("experiments/default/clm-s0-")
    assert Run(Path(path)).state() == "finished"
    lines = said.err.splitlines()
    assert lines[0].startswith("  reading ")
    assert f"[1/1] {path}" in lines[:4]
    assert any("parameters, float32 on" in line for line in lines)
    assert any("100%  step 3  validation" in line for line in lines)
    assert lines[-1].startswith("  done: 3 steps, 384 tokens, ")
    assert lines[-1].endswith(" nats a target"), "in one line however long"


def test_what_is_finished_is_skipped(command: Command, corpus: Path) -> None:
    first = command("train", "-o", "clm", *flags(corpus))
    again = command("train", "-o", "clm", *flags(corpus))
    assert (again.code, again.out) == (0, first.out)
    assert "finished before; --force starts it again in a new place" in again.err
    assert "step" not in again.err.replace("steps", "")


def test_another_text_under_the_same_name_is_another_run(command: Command, corpus: Path) -> None:
    text = Path("my.txt")
    arguments = ("train", "-o", "clm", *flags(text))
    text.write_text(corpus.read_text())
    first = command(*arguments)
    text.write_text(sentences(299))
    other = command(*arguments)
    assert other.out != first.out
    said = f"the text behind 'my.txt' has changed since {first.out.strip()} was trained: this is an"
    assert other.err.count(said) == 1
    text.write_text(corpus.read_text())
    again = command(*arguments)
    assert (again.out, "finished before" in again.err) == (first.out, True)
    assert "has changed" not in again.err
    moved = command("train", "-o", "clm", *flags(text.rename("moved.txt")))
    assert (moved.out, "finished before" in moved.err) == (first.out, True)


def test_a_finished_run_whose_text_is_gone(command: Command, corpus: Path) -> None:
    text = Path("my.txt")
    text.write_text(corpus.read_text())
    arguments = ("train", "-o", "clm", *flags(text))
    first = command(*arguments)
    text.unlink()
    again = command(*arguments)
    assert (again.code, again.out) == (0, first.out)
    said = "finished before; whether its text is still the same was not checked: there is no file"
    assert said in again.err
    assert "there is no file" in the_error(command(*arguments, "--force"))
    assert "there is no file" in the_error(command("train", "-o", "mlm", *flags(text)))


def test_standard_input_is_known_by_its_content_and_never_read_again(
    command: Command, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pipe(text: str) -> None:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))

    arguments = ("train", "-o", "clm", *flags(Path("-")), "--seed", "0", "--seed", "1")
    pipe(corpus.read_text())
    first = command(*arguments)
    assert len(first.out.split()) == 2, "one read for both seeds"
    pipe(sentences(299))
    other = command(*arguments)
    assert not {*other.out.split()} & {*first.out.split()}
    pipe(corpus.read_text())
    assert command(*arguments).out == first.out
    pipe("the next lines of a shell's loop")
    for run in first.out.split():
        said = command("eval", run, "--limit", "50", "--format", "json")
        assert json.loads(said.out)[0]["trigram_nats"] > 0
    assert sys.stdin.read() == "the next lines of a shell's loop"
    pipe("the old tree and the cat")
    said = command("eval", *first.out.split(), "--data", "-", "--format", "json")
    assert [row["num_bytes"] for row in json.loads(said.out)] == [24, 24]
    pipe("")
    assert "'-' is empty" in the_error(command(*arguments)), "though there are finished runs"
    monkeypatch.setattr("sys.stdin", None)
    assert "standard input is closed" in the_error(command(*arguments))


def test_force_keeps_the_old_and_is_gone_on_with(command: Command, corpus: Path) -> None:
    arguments = ("train", "-o", "clm", *flags(corpus))
    first, forced = command(*arguments), command(*arguments, "--force")
    old, new = Path(first.out.strip()), Path(forced.out.strip())
    assert new == old.with_name(f"{old.name}-2")
    assert Run(old).state() == Run(new).state() == "finished"
    assert Run(old).metrics_file.read_text().count("\n") == 3
    Run(new).done_file.unlink()
    assert command(*arguments).out == forced.out, "the newest is the one that is meant"
    assert Run(new).state() == "finished"


def test_several_seeds_and_names(command: Command, corpus: Path) -> None:
    seeds = ("--seed", "3", "--seed", "5", "--seed", "3")
    said = command(
        "train", "-o", "clm", *flags(corpus), *seeds, "--arm", "left", "--study", "s", "--out", "o"
    )
    assert said.code == 0
    paths = said.out.splitlines()
    assert [path.rpartition("-")[0] for path in paths] == ["o/s/left-s3", "o/s/left-s5"]
    assert "[2/2]" in said.err


def test_a_study(command: Command, corpus: Path) -> None:
    options = flags(corpus)
    settings = [option.removeprefix("--set=") for option in options if option.startswith("--set")]
    quoted = [
        setting if setting.partition("=")[2][0].isdigit() else setting.replace("=", '="') + '"'
        for setting in settings
    ]
    shared = [f'data.source = "{corpus}"', 'budget = "2 steps"', *quoted]
    arms = '\n[[arm]]\nobjective = "clm"\n[[arm]]\nobjective = "mlm"\n'
    for file, folder in (("mine.toml", "experiments/mine"), ("here/study.toml", "here")):
        Path(file).parent.mkdir(exist_ok=True)
        Path(file).write_text("[shared]\n" + "\n".join(shared) + arms)
        said = command("train", file)
        assert said.code == 0, said.err
        assert [path.rpartition("-")[0] for path in said.out.splitlines()] == [
            f"{folder}/clm-s0",
            f"{folder}/mlm-s0",
        ]
        assert "beside it: write them" in the_error(command("train", file, "-o", "clm"))
    assert "there is no run or study at nowhere.toml" in the_error(command("train", "nowhere.toml"))


@pytest.fixture
def without_mask(tmp_path: Path) -> Path:
    library = tokenizers.Tokenizer(
        WordLevel({"[PAD]": 0, "[BOS]": 1, "[EOS]": 2, "[UNK]": 3, "the": 4}, unk_token="[UNK]")
    )
    library.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    path = tmp_path / "tokenizer.json"
    library.save(str(path))
    return path


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["-o", "mlmm"], "no objective is called 'mlmm': did you mean 'mlm'?"),
        (["-o", "clm", "-m", "huge"], "no model size is called 'huge'"),
        (["-o", "clm", "-b", "banana"], "'banana' is not a budget"),
        (["-o", "clm", "-b", "0 steps"], "budget cannot be 0"),
        (["-o", "clm", "-s", "bath.rows=3"], "no setting 'bath': did you mean 'batch'?"),
        (["-o", "clm", "-s", "batch.rows=0"], "batch.rows cannot be 0"),
        (["-o", "clm", "-s", "model.layers.x=1"], "sets a part of model.layers, which is 2"),
        (["-o", "clm", "-s", "seed.x=3"], "seed cannot be {'x': 3}"),
        (["-o", "clm", "-s", "seed=1", "-s", "seed.x=3"], "sets a part of seed"),
        (["-o", "clm", "-s", "budget=banana"], "'banana' is not a budget"),
        (["-o", "clm", "-s", "nothing"], "'nothing' sets nothing"),
        (["-o", "clm", "--seed", "-1"], "seed cannot be -1"),
        (["-o", "clm", "--vocab-size", "0"], "tokenizer.vocab_size cannot be 0"),
        (["-o", "clm", "--document", "banana"], "data.document cannot be 'banana'"),
        (["-o", "clm", "--data", "nowhere.txt"], "no file, folder or match for 'nowhere.txt'"),
        (["-o", "clm", "--arm", "a/b"], "'a/b' is no name"),
        (["-o", "clm", "--study", "../x"], "'../x' is no name"),
        (["-o", "clm", "-s", "batch.length=99999"], "fewer than one block of 99,999"),
        (["-o", "clm", "-s", "runtime.device=banana"], "there is no device 'banana' here"),
        (
            ["-o", "clm", "-s", "tokenizer.kind=bpe", "--vocab-size", "9999"],
            "a bpe vocabulary of 9,999 cannot be made: all that this text supports is",
        ),
        ([], "no objective is given: say --objective mlm"),
    ],
)
def test_errors_are_one_line(command: Command, corpus: Path, options: list[str], said: str) -> None:
    result = command("train", *flags(corpus), *options)
    assert said in the_error(result)
    assert result.out == ""
    assert not Path("experiments").exists(), "nothing is left behind"


def test_the_objective_may_be_a_setting(command: Command, corpus: Path) -> None:
    said = command("train", "-s", "objective.name=mlm", *flags(corpus, budget="1 steps"))
    assert said.code == 0
    assert "/mlm-s0-" in said.out


def test_a_tokenizer_without_a_mask(command: Command, tmp_path: Path, without_mask: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text(sentences(400))
    options = flags(text, f"tokenizer.file={without_mask}", "batch.length=9", budget="1 steps")
    error = the_error(command("train", "-o", "mlm", *options))
    assert error.startswith("the tokenizer has no mask token")
    assert "tokenizer.add_missing=true" in error
    assert command("train", "-o", "clm", *options).code == 0
    assert command("train", "-o", "mlm", *options, "-s", "tokenizer.add_missing=true").code == 0


def test_a_text_that_is_too_short(command: Command, tmp_path: Path) -> None:
    text = tmp_path / "short.txt"
    text.write_text("Too short.\n")
    assert "tokens" in the_error(command("train", "-o", "clm", *flags(text)))


@pytest.mark.parametrize("place", ["file", "file/below", "/proc/nowhere", "/dev/null/x"])
def test_a_folder_that_cannot_be_written(command: Command, corpus: Path, place: str) -> None:
    Path("file").touch()
    error = the_error(command("train", "-o", "clm", *flags(corpus), "--out", place))
    assert "cannot be written" in error
    assert place in error


def test_a_loss_that_is_no_number(command: Command, corpus: Path) -> None:
    options = flags(corpus, "optimizer.learning_rate=1e30", "optimizer.warmup=0", budget="9 steps")
    said = command("train", "-o", "clm", *options)
    error = the_error(said)
    assert " at step " in error
    assert "no checkpoint was saved yet" in error
    (path,) = Path("experiments/default").iterdir()
    assert not Run(path).done_file.exists()
    assert said.out == ""


def test_a_full_disk(command: Command, corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoints, "save_file", full)
    error = the_error(command("train", "-o", "clm", *flags(corpus)))
    assert error.startswith("the disk is full")


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("optimizer.learning_rate=inf", "optimizer.learning_rate cannot be inf"),
        ("optimizer.weight_decay=nan", "optimizer.weight_decay cannot be nan"),
        ("objective.mean_span=inf", "mean_span cannot be inf"),
    ],
)
def test_what_no_file_can_hold_is_no_setting(
    command: Command, corpus: Path, setting: str, said: str
) -> None:
    assert said in the_error(command("train", "-o", "t5", *flags(corpus), "-s", setting))


def test_a_long_name_of_an_arm_or_study_fits_into_a_folder(command: Command, corpus: Path) -> None:
    said = command("train", "-o", "clm", *flags(corpus), "--arm", "a" * 300, "--study", "s" * 300)
    assert said.code == 0, said.err
    (place,) = said.out.splitlines()
    assert max(map(len, place.split("/"))) < 130
    assert command("runs").code == 0


def test_a_study_file_has_a_name(command: Command, corpus: Path) -> None:
    Path("mine.toml").write_text(f'[[arm]]\nobjective = "clm"\ndata.source = "{corpus}"\n')
    said = the_error(command("train", "mine.toml", "--study", "other"))
    assert "and 'other' is another: leave that out" in said
    assert not Path("experiments").exists()
