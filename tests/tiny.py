"""Runs of a fraction of a second on a made-up text, to test what surrounds training."""

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch

from lmcompare import devices
from lmcompare.config.run import RunConfig, assign, parse_run
from lmcompare.runs import checkpoints
from lmcompare.runs.records import DoneRecord
from lmcompare.runs.run import Run
from lmcompare.runs.training_text import place_of
from lmcompare.training import events, trainer
from lmcompare_cli import app, signals

WORDS = ["the", "a", "cat", "dog", "old", "tree", "saw", "ran", "to", "under", "slept", "café"]
# What a subprocess runs: the command line, without the measurement that takes seconds.
COMMAND = (
    "from lmcompare import devices; devices.matmul_rate = lambda *_, **__: 1e9; "
    "from lmcompare_cli.app import main; main()"
)


def sentences(num_paragraphs: int, *, seed: int = 1) -> str:
    """Paragraphs of made-up sentences, the same on every machine."""
    state, paragraphs = seed, []
    for _ in range(num_paragraphs):
        words = []
        for _ in range(11):
            state = (1103515245 * state + 12345) % 2**31
            words.append(WORDS[(state >> 16) % len(WORDS)])
        paragraphs.append(" ".join(words) + ".")
    return "\n\n".join(paragraphs) + "\n"


@pytest.fixture(scope="session", autouse=True)
def unmeasured() -> Iterator[None]:
    """Do not measure how fast this machine multiplies."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(devices, "matmul_rate", lambda *_, **__: 1e9)
        yield


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("text") / "sentences.txt"
    path.write_text(sentences(307), encoding="utf-8")
    return path


SETTINGS = [
    "tokenizer.kind=bytes",
    "model.layers=2",
    "model.width=24",
    "model.heads=2",
    "model.ffn=29",
    "batch.rows=4",
    "batch.length=33",
    "validation.times=2",
    "validation.blocks=3",
    "runtime.precision=float32",
    "runtime.threads=1",
    "runtime.save_every=7",
    "runtime.device=cpu",
]


def tiny(corpus: Path, objective: str = "clm", *settings: str) -> RunConfig:
    """The configuration of a run of 20 steps, with changes; of no objective, they give phases."""
    tables: dict[str, Any] = {
        **({"objective": objective} if objective else {}),
        "budget": "20 steps",
        "data": {"source": str(corpus)},
    }
    return parse_run(assign(tables, [*SETTINGS, *settings]))


class Trainer:
    """Trains runs in a folder and remembers what they said."""

    def __init__(self, folder: Path, cache: Path):
        self.folder, self.cache = folder, cache
        self.messages: list[str] = []

    def place(self, config: RunConfig) -> Run:
        text = trainer.read_text(config, cache=self.cache)
        return place_of(config, text, arm=config.objective.name, study=self.folder)

    def __call__(
        self,
        config: RunConfig,
        *,
        run: Run | None = None,
        stop_at: int | None = None,
        hear: Callable[[Any], None] = lambda event: None,
    ) -> Run:
        """Train to the end, or till a step, where it is stopped as by Ctrl-C."""
        text = trainer.read_text(config, cache=self.cache, warn=self.messages.append)
        run = run or self.place(config)
        steps = [0]

        def report(event: events.Message | events.Progress) -> None:
            if isinstance(event, events.Message):
                self.messages.append(event.text)
            else:
                steps.append(event.line.step)
            hear(event)

        def should_stop() -> bool:
            return steps[-1] == stop_at

        def go() -> DoneRecord:
            return trainer.train(
                config,
                run,
                text,
                arm=config.objective.name,
                report=report,
                should_stop=should_stop,
            )

        if stop_at is None:
            go()
        else:
            with pytest.raises(events.Interrupted):
                go()
        return run


@pytest.fixture
def train(tmp_path: Path, cache: Path) -> Trainer:
    return Trainer(tmp_path / "study", cache)


class Outcome(NamedTuple):
    """All that a run leaves behind that must not depend on how often it was interrupted."""

    tensors: dict[str, torch.Tensor]
    metrics: list[dict[str, Any]]
    loss: float | None
    validation: float | None


def outcome(run: Run) -> Outcome:
    found = checkpoints.latest(run.checkpoints, warn=pytest.fail)
    assert found is not None
    tensors = {f"weights {name}": each for name, each in found.weights().items()}
    tensors |= {f"optimizer {name}": each for name, each in found.optimizer().items()}
    lines = [json.loads(line) for line in run.metrics_file.read_text().splitlines()]
    for line in lines:
        del line["seconds"]
    done = run.done()
    return Outcome(tensors, lines, done and done.loss, done and done.validation)


def assert_equal(one: Run, two: Run) -> None:
    """Both runs are the same bit for bit, but for the time that they took."""
    left, right = outcome(one), outcome(two)
    assert left[1:] == right[1:]
    assert left.tensors.keys() == right.tensors.keys()
    for name, tensor in left.tensors.items():
        assert torch.equal(tensor, right.tensors[name]), name


class Said(NamedTuple):
    code: int
    out: str
    err: str


Command = Callable[..., Said]


@pytest.fixture
def command(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Command]:
    """The command line as a user meets it, in an empty folder."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("LMCOMPARE_CACHE", str(cache))
    monkeypatch.setenv("LMCOMPARE_TRACEBACK", "1")  # a fault of ours is no error of a user's
    monkeypatch.setattr(signals, "die", lambda number: sys.exit(128 + number))
    monkeypatch.delenv("FORCE_COLOR", raising=False)

    def call(*arguments: str | Path) -> Said:
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["lmcompare", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            app.main()
        code = ended.value.code
        return Said(code if isinstance(code, int) else 0, *capsys.readouterr())

    return call


TrainOnce = Callable[..., list[Path]]


@pytest.fixture(scope="session")
def _trained_before(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, ...], list[Path]]:
    return {}


@pytest.fixture
def train_once(
    command: Command,
    _trained_before: dict[tuple[str, ...], list[Path]],
    tmp_path_factory: pytest.TempPathFactory,
) -> TrainOnce:
    """Do as `lmcompare train` does, or copy what it made of the same words before."""

    def call(*arguments: str | Path) -> list[Path]:
        words = tuple(map(str, arguments))
        if words not in _trained_before:
            said = command("train", *arguments)
            assert said.code == 0, said
            kept = tmp_path_factory.mktemp("trained")
            runs = [Path(line) for line in said.out.splitlines()]
            for run in runs:
                shutil.copytree(run, kept / run)
            _trained_before[words] = [kept, *runs]
        kept, *runs = _trained_before[words]
        for run in runs:
            if not run.exists():
                shutil.copytree(kept / run, run)
        return runs

    return call


def flags(corpus: Path, *settings: str, budget: str = "3 steps") -> list[str]:
    """Options for a tiny run."""
    chosen = [f"--set={setting}" for setting in [*SETTINGS, *settings]]
    return ["--data", str(corpus), "--budget", budget, *chosen]


def the_error(said: Said) -> str:
    """The one line that a user's error is."""
    assert said.code == 1, said
    assert said.err.count("error:") == 1
    line = said.err.splitlines()[-1]
    assert line.startswith("error: ")
    assert said.err.endswith("\n")
    assert "Traceback" not in said.err
    return line.removeprefix("error: ")
