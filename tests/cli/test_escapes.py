"""Nothing that a user, a file or a model brings can act on the terminal, whatever prints it."""

import json
import os
import re
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest

from lmcompare.blocks.visible import visible
from lmcompare_cli.console import dumps, output
from tests.terminals import be_terminal
from tests.tiny import Command, Said, flags

# Colours, a title for the window, clearing it, the same in one character, and turned writing.
EVIL = "\x1b[31mX\x1b]0;t\x07\x9b2J\u202eY\u2066Z\rW"
DOUBTFUL = {"Cc", "Cf", "Cs", "Zl", "Zp"}


def assert_harmless(said: Said) -> None:
    for text in (said.out, said.err):
        found = {c for c in text if unicodedata.category(c) in DOUBTFUL} - {"\n", "\t"}
        assert not found, text
    assert "Traceback" not in said.err


@pytest.mark.parametrize(
    ("character", "shown"),
    [
        ("\x1b", "\\x1b"),
        ("\x07", "\\x07"),
        ("\r", "\\r"),
        ("\t", "\\t"),
        ("\x9b", "\\x9b"),
        ("\u202e", "\\u202e"),
        ("\u2028", "\\u2028"),
        ("\udc80", "\\udc80"),
        ("\U000e0001", "\\U000e0001"),
        ("\n", "\n"),
        ("é", "é"),
        ("\u3000", "\u3000"),
    ],
)
def test_what_is_visible(character: str, shown: str) -> None:
    assert visible(f"a{character}b") == f"a{shown}b"


def test_json_is_the_same_and_harmless() -> None:
    text = EVIL + "\U000e0001\x85\u2028é\n"
    written = dumps({"text": text})
    assert json.loads(written) == {"text": text}
    assert not {c for c in written if unicodedata.category(c) in DOUBTFUL}
    assert "é" in written or output.options.ascii_only


@pytest.mark.parametrize(
    "arguments",
    [
        [EVIL],
        [f"--{EVIL}"],
        ["train", f"--{EVIL}"],
        ["train", "--seed", EVIL],
        ["train", EVIL],
        ["train", "-o", EVIL],
        ["train", "-o", "clm", "--data", EVIL],
        ["train", "-o", "clm", "-b", EVIL],
        ["train", "-o", "clm", "-m", EVIL],
        ["train", "-o", "clm", "-s", EVIL],
        ["train", "-o", "clm", "-s", f"{EVIL}=1"],
        ["train", "-o", "clm", "-s", f"batch.rows={EVIL}"],
        ["train", "-o", "clm", "--arm", EVIL],
        ["train", "-o", "clm", "--study", EVIL],
        ["check", EVIL],
        ["check", "-o", "clm", "--data", EVIL],
        ["eval", EVIL],
        ["eval", "x", "--split", EVIL],
        ["eval", "x", "--limit", EVIL],
        ["eval", "x", "--tasks", EVIL],
        ["eval", "x", "--tasks", f"{EVIL}.toml"],
        ["eval", "x", "--batch-size", EVIL],
        ["eval", "x", "--tasks", "generation", "--decoding", EVIL],
        ["eval", "x", "--tasks", "blimp", "--task-data", EVIL],
        ["compare", EVIL],
        ["compare", "--name", f"/{EVIL}"],
        ["compare", "--format", EVIL],
        ["generate", EVIL],
        ["generate", "x", "--prompts", EVIL],
        ["generate", "x", "--top-k", EVIL],
        ["objectives", EVIL],
        ["cloze", "--data", EVIL],
        ["show", "--objective", EVIL],
        ["show", "-s", f"{EVIL}=1"],
        ["show", "--replay", EVIL],
        ["show", "--run", EVIL],
        ["show", "--tokenizer", EVIL],
        ["runs", EVIL],
        ["runs", "--format", EVIL],
        ["tasks", "--format", EVIL],
        ["export", EVIL, "there"],
    ],
    ids=lambda arguments: " ".join(arguments).replace(EVIL, "EVIL"),
)
def test_what_is_typed(command: Command, arguments: list[str]) -> None:
    said = command(*arguments)
    assert said.code in (1, 2)
    assert_harmless(said)


@pytest.mark.parametrize("place", ["key", "arm", "value", "table"])
@pytest.mark.parametrize("name", ["train", "check"])
def test_a_study_file(command: Command, name: str, place: str) -> None:
    evil = json.dumps(EVIL)
    lines = {
        "key": f'[shared]\n{evil} = 1\n[[arm]]\nobjective = "clm"\n',
        "arm": f'[[arm]]\nname = {evil}\nobjective = "clm"\n',
        "value": f"[[arm]]\nobjective = {evil}\n",
        "table": f'[{evil}]\nx = 1\n[[arm]]\nobjective = "clm"\n',
    }
    Path("s.toml").write_text(lines[place])
    said = command(name, "s.toml")
    assert said.code == 1
    assert_harmless(said)


def test_a_file_of_tasks(command: Command) -> None:
    evil = json.dumps(EVIL)
    for text in (f"[{evil}]\nkind = 1\n", f"[a]\nkind = {evil}\n", f"[a]\n{evil} = 1\n"):
        Path("t.toml").write_text(text)
        said = command("eval", "x", "--tasks", "t.toml")
        assert said.code == 1
        assert_harmless(said)


def test_a_text_and_a_run_of_such_names(
    command: Command, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a terminal and in a pipe; of tables, errors, headings and what is written."""
    name = EVIL.replace("/", "")
    source = Path(f"{name}.txt")
    source.write_bytes(corpus.read_bytes())
    assert_harmless(command("check", "-o", "clm", *flags(source, budget="2 steps")))
    said = command("train", "-o", "clm", *flags(source, budget="2 steps"))
    assert said.code == 0
    (run,) = Path("experiments/default").iterdir()
    evil = Path("experiments") / name
    run.parent.rename(evil)
    run = evil / run.name
    options = ["--limit", "60", "--texts", "2", "--tasks", "likelihood,infilling"]
    lines: list[list[str | Path]] = [
        ["runs", evil],
        ["runs", evil, "-f", "json"],
        ["eval", evil, *options, "-f", "json"],
        ["compare", evil],
        ["compare", evil, "--format", "json"],
        ["compare", evil, "--format", "md"],
        ["export", run, Path(name)],
        ["generate", run, "-p", EVIL, "--max-new-tokens", "3", "-f", "jsonl"],
        ["generate", run, "-p", EVIL, "--max-new-tokens", "3", "-f", "json"],
        ["show", "--run", run, "--text", EVIL],
    ]
    for arguments in lines:
        said = command(*arguments)
        assert said.code == 0, said
        assert_harmless(said)
        assert re.search(r"\\(x|u00)1b", said.out + said.err), "it is shown, not left out"
    be_terminal(monkeypatch, 80)
    for arguments in [*lines, ["generate", run, "-p", EVIL, "--max-new-tokens", "3", "--no-live"]]:
        said = command(*arguments, *(["--force"] if arguments[0] == "export" else []))
        assert said.code == 0, said
        assert_harmless(said)


@pytest.mark.slow
@pytest.mark.parametrize("size", ["0", "³", "-5", "many", "9" * 5000, "1"])
def test_an_impossible_size_is_as_if_unset(size: str, tmp_path: Path) -> None:
    def asked(columns: dict[str, str]) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "lmcompare_cli.app", "objectives"],
            env={**{k: v for k, v in os.environ.items() if k != "COLUMNS"}, **columns},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        )
        return done.stdout

    assert "clm" in asked({"COLUMNS": size, "LINES": size, "TERMINAL_WIDTH": size})
