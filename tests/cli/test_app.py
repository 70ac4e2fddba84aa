"""What all commands share: how they fail, what they say where, and what they do not import."""

# ruff: noqa: F401, F811 -- fixtures are imported and asked for by name

import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lmcompare_cli import app as module
from lmcompare_cli.app import app
from tests.tiny import Command, cache, command, the_error, unmeasured

COMMANDS = ["train", "eval", "compare", "show", "check", "runs", "export", "generate"]


def plain(text: str) -> str:
    """Without the colours that some build machines ask for."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def test_help_names_every_command() -> None:
    result = CliRunner().invoke(app, ["--help"])
    assert result.exit_code == 0
    shown = plain(result.stdout)
    assert all(name in shown for name in COMMANDS)
    assert "What does a pre-training objective buy?" in shown


@pytest.mark.parametrize("name", COMMANDS)
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


def test_an_interruption_is_130(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("lmcompare.runs.find_runs", interrupted)
    assert command("runs").code == 130
    monkeypatch.setattr(module, "app", interrupted)
    said = command("runs")
    assert said.code == 130
    assert said.err == "interrupted\n"


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
