"""`lmcompare curves` as a user meets it."""

import csv
import json
import re
from io import StringIO
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.color import ColorSystem

from lmcompare.runs.run import Run
from lmcompare_cli.console import output
from lmcompare_cli.rendering.curves import amount
from lmcompare_cli.stopping import Stop
from tests.terminals import CONTROL, be_terminal, in_terminal
from tests.tiny import Command, TrainOnce, flags, the_error

ESCAPE = "\x1b"


@pytest.fixture
def study(train_once: TrainOnce, corpus: Path) -> Path:
    """Two seeds of a causal model, and one of a masked one."""
    few = flags(corpus, "validation.blocks=2", budget="4 steps")
    for settings in (("clm", "--seed", "0", "--seed", "1"), ("mlm",)):
        train_once("-o", *settings, *few)
    return Path("experiments/default")


def forget_answers(run: Path) -> None:
    """Make a run one of an earlier version, that was not asked: its manifests are not checked."""
    lines = [json.loads(line) for line in Run(run).metrics_file.read_text().splitlines()]
    for line in lines:
        del line["common"]
    Run(run).done_file.unlink()
    for each in Run(run).checkpoints.glob("*/state.json"):
        each.parent.rename(each.parents[2] / each.parent.name)
    Run(run).metrics_file.write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.mark.parametrize("width", [40, 80])
@pytest.mark.parametrize("axis", ["tokens", "flops"])
def test_a_picture_fits_the_terminal(
    command: Command, study: Path, monkeypatch: pytest.MonkeyPatch, width: int, axis: str
) -> None:
    be_terminal(monkeypatch, width)
    for metric in ("common", "validation", "loss"):
        said = command("curves", study, "--against", axis, "--metric", metric)
        assert said.code == 0, said.err
        assert ESCAPE not in said.out
        lines = said.out.splitlines()
        assert max(map(cell_len, lines)) <= width
        picture = [line for line in lines if "│" in line]
        assert any("●" in line for line in picture)
        assert any("■" in line for line in picture)


@pytest.mark.parametrize(
    ("ending", "start"), [("svg", b"<?xml"), ("pdf", b"%PDF"), ("png", b"\x89PNG")]
)
def test_the_picture_can_be_saved(command: Command, study: Path, ending: str, start: bytes) -> None:
    path = Path(f"new/curves.{ending}")
    said = command("curves", study, "--save", path)
    assert (said.code, said.out) == (0, "")
    assert f"wrote {path}" in said.err
    assert path.read_bytes().startswith(start)
    if ending == "svg":
        assert len(re.findall(r">\s*clm\s*<", path.read_text())) == 1  # of two seeds


def test_a_picture_of_no_format_is_refused(command: Command, study: Path) -> None:
    said = command("curves", study, "--save", "curves.doc")
    assert said.code != 0
    assert the_error(said).startswith("--save curves.doc has no ending of a picture")
    assert not Path("curves.doc").exists()


def test_each_run_stands_below_the_picture(command: Command, study: Path) -> None:
    out = command("curves", study).out.splitlines()
    number = r"\d+\.\d{3} at 512"
    assert re.fullmatch(rf"● clm \(left side only\): seed 0 {number}; seed 1 {number}", out[-2])
    assert re.fullmatch(rf"■ mlm: seed 0 {number}", out[-1])
    assert "a line for each run" in out[0]


def test_colors_are_for_terminals(
    command: Command, study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blue = f"{ESCAPE}[38;2;0;114;178m"  # clm's, in every picture
    plain = command("curves", study).out
    assert ESCAPE not in plain
    be_terminal(monkeypatch, 80)
    monkeypatch.setattr(output, "_color_system", ColorSystem.TRUECOLOR)
    colored = command("curves", study).out
    assert f"{blue}●" in colored
    assert "x1b" not in colored, "the escapes of the picture are obeyed"
    assert CONTROL.sub("", colored).split() == plain.split()
    monkeypatch.setattr(output, "no_color", True)
    assert blue not in command("curves", study).out


def test_characters_of_ascii(command: Command, study: Path, tmp_path: Path) -> None:
    env = {"LMCOMPARE_CACHE": str(tmp_path), "PYTHONIOENCODING": "ascii"}
    said = in_terminal(["curves", study], width=60, cwd=Path.cwd(), env=env)
    assert said.isascii()
    assert "?" not in said
    assert re.search(r"^o clm \(left", said, re.MULTILINE)
    assert re.search(r"^s mlm: ", said, re.MULTILINE)


def test_data_is_a_row_a_point(command: Command, study: Path) -> None:
    said = command("curves", study, "--format", "json")
    rows = json.loads(said.out)
    assert len(rows) == 3 * 2
    (run,) = study.glob("mlm-*")
    lines = [line for line in Run(run).metrics() if line.common is not None]
    own = [row for row in rows if row["arm"] == "mlm"]
    assert [row["value"] for row in own] == [line.common for line in lines]
    assert [row["flops"] for row in own] == [line.flops for line in lines]
    assert {(row["arm"], row["scoring"], row["given"]) for row in rows} == {
        ("clm", "causal", "left"),
        ("mlm", "left-to-right", "both"),
    }
    table = list(csv.DictReader(StringIO(command("curves", study, "--format", "csv").out)))
    assert [float(row["value"]) for row in table] == [row["value"] for row in rows]
    losses = json.loads(command("curves", study, "--metric", "loss", "-f", "json").out)
    assert len(losses) == 3 * 4
    assert {row["scoring"] for row in losses} == {None}


def test_what_does_not_compare_is_said(command: Command, study: Path) -> None:
    err = command("curves", study).err
    assert err == (
        "clm: given the left side of a hidden token only, which cannot be compared with answers "
        "from both sides\n"
    )
    assert (
        "their validation does not compare"
        in command("curves", study, "--metric", "validation").err
    )
    clm = [*study.glob("clm-*")]
    assert command("curves", *clm).err == ""
    assert command("curves", *clm, "--metric", "loss").err == ""


def test_unlike_questions_are_said(command: Command, study: Path, corpus: Path) -> None:
    other = flags(corpus, "validation.blocks=1", budget="1 steps")
    assert command("train", "-o", "clm", *other).code == 0
    clm = [*study.glob("clm-*")]
    assert "not all were asked for the same tokens" in command("curves", *clm).err


def test_an_unfinished_run_is_marked(
    command: Command, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(Stop, "__call__", lambda stop: True)
        command("train", "-o", "mlm", *flags(corpus, "validation.times=8", budget="8 steps"))
    last = command("curves").out.splitlines()[-1]
    assert re.fullmatch(r"■ mlm: seed 0 \d\.\d{3} at 128, stopped, 12% of 8 steps", last)


def test_runs_without_the_metric_are_named_in_one_line(command: Command, study: Path) -> None:
    (old,) = study.glob("mlm-*")
    forget_answers(old)
    said = command("curves", study)
    assert said.code == 0
    assert said.err.count("\n") == 1
    assert said.err == f"left out, as they have not logged common: {old.name}\n"
    assert "mlm" not in said.out
    assert the_error(command("curves", old)) == (
        "no run has logged common yet: runs of earlier versions did not, choose --metric validation"
    )


def test_a_run_before_its_first_validation(
    command: Command, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(Stop, "__call__", lambda stop: True)
        command("train", "-o", "clm", *flags(corpus, budget="1k steps"))
    assert "wait for the first validation" in the_error(command("curves"))
    assert command("curves", "--metric", "loss").code == 0, "one point is a picture"


@pytest.mark.parametrize(
    ("spent", "axis", "written"),
    [
        (0, "tokens", "0"),
        (999, "tokens", "999"),
        (12_800, "tokens", "12.8k"),
        (999_600, "targets", "1M"),
        (1.5e15, "flops", "1.5P"),
        (12.34, "seconds", "12.3 s"),
        (12_340, "seconds", "12,340 s"),
    ],
)
def test_amounts(spent: float, axis: str, written: str) -> None:
    assert amount(spent, axis) == written  # type: ignore[arg-type]
