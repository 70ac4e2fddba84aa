"""What all commands share: how they fail, what they say where, and what they do not import."""

import re
import signal
import subprocess
import sys
from inspect import cleandoc
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

import lmcompare_cli.commands
from lmcompare_cli import signals
from lmcompare_cli.app import app
from lmcompare_cli.commands import SUMMARIES, function_of
from tests.tiny import Command, the_error


def plain(text: str) -> str:
    """Without the colours that some build machines ask for."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def test_help_names_every_command() -> None:
    result = CliRunner().invoke(app, ["--help"])
    assert result.exit_code == 0
    shown = plain(result.stdout)
    assert all(f"│ {name} " in shown for name in SUMMARIES)
    assert "What does a pre-training objective buy?" in shown


def test_a_summary_is_what_the_command_says_first() -> None:
    files = Path(lmcompare_cli.commands.__file__).parent.glob("[!_]*.py")
    assert set(SUMMARIES) == {file.stem for file in files}
    for name, summary in SUMMARIES.items():
        first, *_ = cleandoc(function_of(name).__doc__ or "").split("\n\n")
        assert " ".join(first.split()) == summary


@pytest.mark.parametrize("name", SUMMARIES)
def test_every_command_has_help(name: str) -> None:
    for flag in ("--help", "-h"):
        result = CliRunner().invoke(app, [name, flag])
        assert result.exit_code == 0
        assert f"{name} [OPTIONS]" in plain(result.stdout)


def test_help_imports_nothing_heavy() -> None:
    """Not at start-up and not in saying what a command does."""
    script = (
        "import sys; from lmcompare_cli.app import app\n"
        "for arguments in (['--help'], ['train', '--help'], ['eval', '--help']):\n"
        "    app(arguments, standalone_mode=False)\n"
        "heavy = {'torch', 'pandas', 'numpy', 'tokenizers', 'scipy'}\n"
        "print('imported:', *sorted(heavy & sys.modules.keys()), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120
    )
    assert "Usage" in done.stdout
    assert done.stderr.strip() == "imported:"


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["train", "--nonsense"],
        ["train", "--seed", "one"],
        ["train", "--budget"],
        ["eval"],
        ["eval", "run", "--split", "nowhere"],
        ["eval", "run", "--limit", "-1"],
        ["eval", "run", "--window", "3"],
        ["runs", "--format", "xml"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_two(command: Command, arguments: list[str]) -> None:
    said = command(*arguments)
    assert said.code == 2
    assert said.out == ""
    assert "Error" in said.err
    assert "Traceback" not in said.err


def test_without_arguments_it_helps(command: Command) -> None:
    said = command()
    assert "Usage" in said.out + said.err
    assert said.code in (0, 2)


def test_an_error_is_one_line_whatever_it_holds(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is taken for markup, and nothing is folded."""
    name = "[red]" + "x" * 300 + ":cat:"
    assert f"'{name}'" in the_error(command("train", "-o", name))


@pytest.mark.parametrize(("number", "word"), [(2, "interrupted"), (15, "terminated")])
def test_an_interruption_is_said_in_a_word(
    command: Command, monkeypatch: pytest.MonkeyPatch, number: int, word: str
) -> None:
    monkeypatch.setattr("lmcompare.runs.finding.find_all", lambda *_, **__: signals.end(number))
    said = command("runs")
    assert (said.code, said.out, said.err) == (128 + number, "", f"{word}\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_process_dies_of_the_signal_that_ended_it(number: signal.Signals) -> None:
    """A shell stops its loop only then."""
    script = (
        "import os; from lmcompare_cli import app\n"
        f"app.app = lambda: os.kill(os.getpid(), {int(number)})\n"
        "app.main()"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert done.returncode == -number
    assert done.stderr in (b"interrupted\n", b"terminated\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a disk that is always full")
def test_an_output_that_cannot_be_written_is_one_line() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "lmcompare_cli.app", "objectives"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr.startswith("error: reading or writing failed (No space left on device)")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError(), "the memory of this machine is too small for that"),
        (
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
            "the memory of this machine is too small for that",
        ),
        (
            torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has"),
            "the memory of this machine is too small for that, or that of its GPU: choose a",
        ),
        (
            RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate`"),
            "the memory of this machine is too small for that, or that of its GPU: choose a",
        ),
        (PermissionError(13, "Permission denied", "x.json"), "x.json cannot be used (Permission"),
        (ZeroDivisionError("a\nb"), "this is a fault of lmcompare, ZeroDivisionError: a b; please"),
    ],
)
def test_whatever_goes_wrong_is_one_line(
    command: Command, monkeypatch: pytest.MonkeyPatch, error: Exception, said: str
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise error

    monkeypatch.delenv("LMCOMPARE_TRACEBACK")
    monkeypatch.setattr("lmcompare.runs.finding.find_all", fails)
    assert the_error(command("runs")).startswith(said)


def test_the_version(command: Command) -> None:
    said = command("--version")
    assert (said.code, said.err) == (0, "")
    assert re.fullmatch(r"lmcompare \d+\.\d+\.\d+\S*\n", said.out)


def test_an_output_that_nobody_reads_is_no_error(tmp_path: Path) -> None:
    script = "from lmcompare_cli.app import main; main()"
    done = subprocess.run(
        f'{sys.executable} -c "{script}" --help | true',
        shell=True,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert "Traceback" not in done.stderr
