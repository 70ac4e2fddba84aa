"""No table loses a column, a name or a digit on a narrow terminal."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len

from lmcompare.blocks import names, numbers, words
from lmcompare_cli.rendering.tables import print_table
from tests.conftest import values
from tests.terminals import be_terminal, in_terminal
from tests.tiny import Command, TrainOnce, flags

WIDTHS = [60, 80, 100, 120]
TASK = """
[agreement]
kind = "pairs"
group = "grammar"
files = ["benchmarks/pairs.jsonl"]
parts = {by = "UID"}
"""


@pytest.fixture
def lines(command: Command, train_once: TrainOnce, corpus: Path) -> list[list[str]]:
    """Commands that print tables of two runs, which were asked everything before."""
    for objective in ("clm", "mlm"):
        train_once("-o", objective, *flags(corpus, budget="2 steps"))
    Path("benchmarks").mkdir()
    pairs = [
        {"sentence_good": f"the cat {i}", "sentence_bad": f"cat the {i}", "UID": "ab"[i % 2]}
        for i in range(8)
    ]
    Path("benchmarks/pairs.jsonl").write_text("".join(json.dumps(each) + "\n" for each in pairs))
    Path("tasks.toml").write_text(TASK)
    study = "experiments/default"
    tasks = "likelihood,infilling,generation,tasks.toml"
    few = ["--limit", "60", "--texts", "2", "--prompt-tokens", "5", "--new-tokens", "7"]
    lines = [
        ["eval", study, "--tasks", tasks, *few],
        ["compare", study, "--no-write"],
        ["compare", study, "--no-write", "--table", "all"],
        ["runs"],
        ["tasks"],
        ["objectives"],
        ["objectives", "mlm"],
        ["check", "-o", "t5", "--data", Path(corpus.name), *flags(corpus)[2:]],
    ]
    Path(corpus.name).write_bytes(corpus.read_bytes())
    assert command(*lines[0]).code == 0
    return [[*map(str, each)] for each in lines]


def assert_all_there(narrow: str, piped: str, width: int) -> None:
    assert max(map(cell_len, narrow.splitlines())) <= width
    assert "…" not in narrow
    missing = Counter(piped.replace("─", " ").split()) - Counter(narrow.split())
    folded = "".join(narrow.split())
    lost = [word for word in missing if len(word) <= width or word not in folded]
    assert not lost, narrow


def assert_digits(narrow: str, results: list[dict[str, Any]]) -> None:
    shown = narrow.split()
    for row in results:
        assert Path(row["run"]).name in shown
        for name in ("bits_per_byte", "bits_per_token", "unigram_bits_per_byte"):
            if row.get(name) is not None:
                assert f"{row[name]:.4f}" in shown


@pytest.mark.parametrize("widths", values([80], slow=[WIDTHS]))
def test_every_table_is_whole(
    command: Command, lines: list[list[str]], widths: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    results = json.loads(command(*lines[0], "--format", "json").out)
    for arguments in lines:
        piped = command(*arguments)
        assert piped.code == 0, piped
        for width in widths:
            with monkeypatch.context() as patched:
                be_terminal(patched, width)
                narrow = command(*arguments).out
            assert_all_there(narrow, piped.out, width)
            if arguments is lines[0]:
                assert_digits(narrow, results)


@pytest.mark.slow
@pytest.mark.parametrize("width", WIDTHS)
def test_every_table_is_whole_in_a_pseudo_terminal(
    command: Command, lines: list[list[str]], width: int
) -> None:
    for arguments in lines[:-1]:  # check's times are measured anew in each process
        piped = command(*arguments)
        assert_all_there(in_terminal(arguments, width=width, cwd=Path.cwd()), piped.out, width)


@pytest.mark.slow
def test_a_pseudo_terminal_of_60_columns(command: Command, tmp_path: Path) -> None:
    """Columns that cannot be are as if unset."""
    shown = in_terminal(["tasks"], width=60, cwd=tmp_path, env={"COLUMNS": "0"})
    assert_all_there(shown, command("tasks").out, 60)


def printed(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().out.splitlines()


def test_words_are_folded_before_a_table_is_parted(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    be_terminal(monkeypatch, 40)
    print_table(
        [*names("name"), *words("what it is"), *numbers("value")],
        [["a", "some words that are too long for a line", "12.5"]],
    )
    assert printed(capsys) == [
        "name what it is                    value",
        "a    some words that are too long   12.5",
        "     for a line",
    ]


def test_what_does_not_fit_is_printed_in_several_tables(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    be_terminal(monkeypatch, 17)
    print_table(
        [*names("name"), *numbers("first", "second", "third")],
        [["a-name", "1.25", "2.5", "3.75"], ["b", "4", "5", "6"]],
    )
    assert printed(capsys) == [
        *("name   first", "a-name  1.25", "b          4", ""),
        *("name   second", "a-name    2.5", "b           5", ""),
        *("name   third", "a-name  3.75", "b          6"),
    ]


def test_where_names_leave_no_room_a_row_is_a_list(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    be_terminal(monkeypatch, 30)
    print_table(
        [*names("run"), *numbers("bits/\nbyte", "x")],
        [["a-run-whose-name-is-long-indeed", "1.25", "2"], ["b", "4", "5"]],
    )
    assert printed(capsys) == [
        *(
            "run       a-run-whose-name-is-",
            "          long-indeed",
            "bits/byte 1.25",
            "x         2",
        ),
        *("", "run       b", "bits/byte 4", "x         5"),
    ]
