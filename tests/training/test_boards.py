"""What boards show of a run, with their packages as they are installed and without a network."""

import gc
import importlib
import json
import os
import signal
import sqlite3
import sys
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from time import sleep
from typing import Any, ClassVar

import pytest

from lmcompare.config.run import parse_run
from lmcompare.config.study import Planned
from lmcompare.errors import UserError
from lmcompare.runs.notes import NotesChange
from lmcompare.runs.records import MetricsLine
from lmcompare.runs.run import Run
from lmcompare.training import planning
from lmcompare.training.boards import feeding
from lmcompare.training.boards.base import About, Board, values_of
from lmcompare.training.boards.feeding import Boards
from tests.tiny import Trainer, tiny

Shown = dict[int, float]


def losses(run: Run) -> Shown:
    return {line.step: line.loss for line in run.metrics()}


@pytest.mark.parametrize(
    ("given", "boards"),
    [
        ({}, ()),
        ({"tensorboard": False}, ()),
        ({"tensorboard": True}, ("tensorboard",)),
        ({"boards": "wandb"}, ("wandb",)),
        ({"boards": ["wandb", "trackio", "wandb"]}, ("wandb", "trackio")),
        ({"boards": ["trackio"], "tensorboard": False}, ("trackio",)),
    ],
)
def test_boards_are_named_and_change_no_run(
    given: Mapping[str, Any], boards: tuple[str, ...]
) -> None:
    config = parse_run({"objective": "clm", "runtime": given})
    assert config.runtime.boards == boards
    assert config.identity == parse_run({"objective": "clm"}).identity
    assert parse_run(config.given) == config


@pytest.mark.parametrize("given", [{"tensorboard": "yes"}, {"boards": "comet"}, {"boards": 3}])
def test_unknown_boards_are_refused(given: Mapping[str, Any]) -> None:
    with pytest.raises(UserError, match="runtime"):
        parse_run({"objective": "clm", "runtime": given})


def test_tensorboard_shows_what_is_logged(corpus: Path, train: Trainer) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    config = tiny(corpus, "hybrid", "runtime.tensorboard=true", "budget=6 steps")
    run = train(config, stop_at=3)
    NotesChange.of(add=["first"], comment="<script>alert(1)</script>\x1b").apply(run.notes_file)
    train(config)
    events = EventAccumulator(str(run.path / "tensorboard"))
    events.Reload()
    shown = {event.step: event.value for event in events.Scalars("loss")}
    assert shown == pytest.approx(losses(run))
    parts = {line.step: line.parts for line in run.metrics()}
    for place in (0, 1):
        shown = {event.step: event.value for event in events.Scalars(f"parts/{place}")}
        assert shown == {step: each[place] for step, each in parts.items() if each}
    (about,) = events.Tensors("run/text_summary")[-1].tensor_proto.string_val
    assert b"<" not in about
    told = json.loads(about)
    assert (told["arm"], told["seed"], told["tags"]) == ("hybrid", 0, ["first"])
    assert told["comment"] == r"<script>alert(1)</script>\x1b"
    assert told["batch"]["rows"] == 4


@pytest.fixture
def trackio_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of its own, which trackio reads when it is imported."""
    pytest.importorskip("trackio", reason="the extra trackio is not installed")
    folder = tmp_path / "trackio"
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("TRACKIO_DIR", str(folder))
    for name in ("utils", "sqlite_storage"):
        monkeypatch.setattr(importlib.import_module(f"trackio.{name}"), "TRACKIO_DIR", folder)
    return folder


def of_trackio(folder: Path, question: str) -> list[Any]:
    (file,) = folder.glob("*.db")
    with sqlite3.connect(file) as database:
        found = database.execute(question).fetchall()
    database.close()
    return found


def test_trackio_shows_every_step_once_in_one_run(
    corpus: Path, train: Trainer, trackio_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tiny(corpus, "clm", "runtime.boards=trackio", "budget=16 steps")
    run = train(config, stop_at=9)
    NotesChange.of(add=["first"], comment="a comment").apply(run.notes_file)
    train(config)
    assert capsys.readouterr().out == ""  # stdout is for data
    rows = of_trackio(trackio_folder, "select step, run_name, metrics from metrics order by id")
    name = f"{run.path.name}-{run.hash[:8]}"
    assert {row[1] for row in rows} == {name}
    assert [row[0] for row in rows] == [*range(1, 17)]
    shown = {step: json.loads(metrics)["loss"] for step, _, metrics in rows}
    assert shown == pytest.approx(losses(run))
    ((about,),) = of_trackio(trackio_folder, "select config from configs")
    told = json.loads(about)
    assert (told["study"], told["arm"], told["seed"]) == ("study", "clm", 0)
    assert (told["tags"], told["comment"]) == (["first"], "a comment")
    assert told["optimizer"]["learning_rate"] == config.optimizer.learning_rate
    assert train.messages.count("trackio") == 0


def test_steps_that_were_trained_again_are_shown_once(
    corpus: Path, train: Trainer, trackio_folder: Path
) -> None:
    """As after a kill: the board is ahead of the last checkpoint."""
    config = tiny(corpus, "clm", "runtime.boards=trackio", "budget=5 steps")
    run = train(config, stop_at=3)
    with Boards(["trackio"], run, step=3, warn=pytest.fail) as boards:
        for step in (3, 4):
            boards.write(a_line(step))
    train(config)
    rows = of_trackio(trackio_folder, "select step from metrics order by id")
    assert rows == [(1,), (2,), (3,), (4,), (5,)]


def test_trackio_that_cannot_write_stops_nothing(
    corpus: Path, train: Trainer, trackio_folder: Path
) -> None:
    trackio_folder.write_text("a file, where a folder should be")
    run = train(tiny(corpus, "clm", "runtime.boards=trackio", "budget=3 steps"))
    assert run.state() == "finished"
    assert [text for text in train.messages if text.startswith("the board trackio")]


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Weights & Biases without a network, and none of its processes afterwards."""
    wandb = pytest.importorskip("wandb", reason="the extra wandb is not installed")
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("WANDB_MODE", "offline")
    yield wandb
    wandb.teardown()
    with warnings.catch_warnings():  # it does not wait for its process to end
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


def records_of(file: Path) -> Iterator[bytes]:
    """The records of an offline file: LevelDB's log format after seven bytes."""
    content, place, found = file.read_bytes(), 7, b""
    while place < len(content):
        left = -place % 32768 or 32768  # of the block
        if left < 7:
            place += left
            continue
        size, kind = int.from_bytes(content[place + 4 : place + 6], "little"), content[place + 6]
        found += content[place + 7 : place + 7 + size]
        place += 7 + size
        if kind in (1, 4):  # whole, or the last part of it
            yield found
            found = b""


def of_wandb(folder: Path) -> tuple[list[Any], Shown, dict[str, Any]]:
    """Runs in an offline folder, the losses of all their steps, and what was told of the last."""
    from wandb.proto import wandb_internal_pb2

    runs: list[Any] = []
    shown: Shown = {}
    told: dict[str, Any] = {}
    for file in sorted(folder.glob("wandb/offline-run-*/*.wandb")):
        for content in records_of(file):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(content)
            if record.WhichOneof("record_type") == "run":
                runs.append(record.run)
                told = {each.key: json.loads(each.value_json) for each in record.run.config.update}
            if record.WhichOneof("record_type") == "history":
                items = {
                    "/".join(each.nested_key) or each.key: json.loads(each.value_json)
                    for each in record.history.item
                }
                shown[record.history.step.num] = items["loss"]
    return runs, shown, told


@pytest.mark.slow
def test_wandb_keeps_every_step_offline_under_one_id(
    corpus: Path, train: Trainer, offline: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    config = tiny(corpus, "clm", "runtime.boards=wandb", "budget=6 steps")
    run = train(config, stop_at=3)
    NotesChange.of(add=["first", "second"], comment="a comment").apply(run.notes_file)
    train(config)
    assert capfd.readouterr().out == ""
    offline.teardown()  # as at the end of a process: all that it was told is on the disk then
    runs, shown, told = of_wandb(run.path)
    assert {each.run_id for each in runs} == {f"{run.path.name}-{run.hash[:8]}"}
    last = runs[-1]
    assert (last.project, last.run_group) == ("study", "clm")
    assert last.display_name == run.path.name
    assert ([*last.tags], last.notes) == (["first", "second"], "a comment")
    assert shown == pytest.approx(losses(run))
    assert (told["study"], told["arm"], told["seed"]) == ("study", "clm", 0)
    assert told["model"]["layers"] == 2
    assert not [text for text in train.messages if "wandb" in text]


def children() -> set[int]:
    return {
        int(each)
        for file in Path("/proc/self/task").glob("*/children")
        for each in file.read_text().split()
    }


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="processes are found in /proc")
def test_wandb_whose_process_dies_stops_nothing_and_is_said_once(
    corpus: Path, train: Trainer, offline: Any
) -> None:
    before, ended = children(), []

    def hear(event: Any) -> None:
        if getattr(event, "line", None) and event.line.step == 4 and not ended:
            for each in children() - before:
                if b"wandb-core" in Path(f"/proc/{each}/cmdline").read_bytes():
                    os.kill(each, signal.SIGKILL)
                    ended.append(each)
            sleep(0.5)

    run = train(tiny(corpus, "clm", "runtime.boards=wandb", "budget=9 steps"), hear=hear)
    assert ended
    assert run.state() == "finished"
    assert len([*run.metrics()]) == 9
    said = [text for text in train.messages if "wandb" in text]
    assert len(said) == 1
    assert said[0].startswith("the board wandb is given up and training goes on without it: ")


def test_wandb_without_a_login_is_said_before_training(
    corpus: Path, train: Trainer, offline: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    monkeypatch.setenv("HOME", str(tmp_path))
    config = tiny(corpus, "clm", "runtime.boards=wandb")
    with pytest.raises(UserError, match=r"no login here: run `wandb login`, set WANDB_MODE=off"):
        train(config)
    assert not train.folder.exists()
    monkeypatch.setenv("WANDB_API_KEY", "short")
    with pytest.raises(UserError, match="the board wandb cannot be begun"):
        train(config)


@pytest.mark.parametrize(
    ("name", "package"),
    [("tensorboard", "torch.utils.tensorboard"), ("wandb", "wandb"), ("trackio", "trackio")],
)
def test_a_missing_package_is_said_before_the_text_is_read(
    corpus: Path, tmp_path: Path, name: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    planned = Planned(arm="x", config=tiny(corpus, "clm", f"runtime.boards={name}"))
    with pytest.raises(UserError, match=rf"pip install 'lmcompare\[{name}\]'"):
        planning.require_resources([planned], study=tmp_path, again=False, warn=pytest.fail)


def a_line(step: int) -> MetricsLine:
    return MetricsLine(
        step=step,
        tokens=1,
        targets=1,
        flops=10**20,
        seconds=1.0,
        loss=0.5,
        learning_rate=0.1,
        gradient_norm=1.0,
        parts=[3, 5],
    )


def test_the_numbers_of_a_line() -> None:
    values = values_of(a_line(7))
    assert values["flops"] == 1e20
    assert (values["parts/0"], values["parts/1"]) == (3, 5)
    assert "step" not in values
    assert "validation" not in values


class Slow(Board):
    """A board that takes no line before the test says so."""

    name: ClassVar[str] = "slow"
    taken: ClassVar[list[int]] = []

    @classmethod
    def require(cls) -> None: ...

    def __init__(self, about: About) -> None:
        self.taken.clear()

    def write(self, line: MetricsLine) -> None:
        sleep(0.3)
        self.taken.append(line.step)

    def close(self) -> None: ...


def test_a_slow_board_is_waited_for_at_the_end_and_not_before(
    corpus: Path, train: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = train(tiny(corpus, "clm", "budget=1 steps"))
    monkeypatch.setitem(feeding.BOARDS, "slow", Slow)
    with Boards(["slow"], run, step=1, warn=pytest.fail) as boards:
        for step in (2, 3):
            boards.write(a_line(step))
        assert Slow.taken == []
    assert Slow.taken == [2, 3]


def test_a_board_that_hangs_is_given_up(
    corpus: Path, train: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = train(tiny(corpus, "clm", "budget=1 steps"))
    monkeypatch.setitem(feeding.BOARDS, "slow", Slow)
    monkeypatch.setattr(feeding, "PATIENCE", 0.01)
    monkeypatch.setattr(feeding, "FURTHEST_BEHIND", 3)
    said: list[str] = []
    with Boards(["slow"], run, step=1, warn=said.append) as boards:
        boards.write(a_line(2))
    assert said == [
        "the board slow is given up and training goes on without it: it had not taken all lines "
        "after 0 seconds"
    ]
    with Boards(["slow"], run, step=1, warn=said.append) as boards:
        for step in range(2, 9):
            boards.write(a_line(step))
    assert said[1:] == [
        "the board slow is given up and training goes on without it: it is 3 lines behind"
    ]
