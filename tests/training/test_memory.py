"""How much memory training takes is told before any of it is taken."""

import subprocess
import sys
from pathlib import Path

import pytest

from lmcompare import devices
from lmcompare.config.run import RunConfig, assign, parse_run
from lmcompare.errors import UserError
from lmcompare.objectives import OBJECTIVES
from lmcompare.training import memory
from lmcompare.training.memory import needed, require
from tests.tiny import Command, flags, the_error

GB = 10**9


def run(*settings: str) -> RunConfig:
    """A configuration on a processor, in float32 if nothing else is set."""
    usual = ("runtime.device=cpu", "runtime.precision=float32", "tokenizer.kind=bytes")
    return parse_run(assign({"objective": "clm"}, [*usual, *settings]))


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine of 8 GB."""
    monkeypatch.setattr(devices, "memory", lambda device: 8 * GB)


TRAIN = """
import resource, sys
from pathlib import Path
from lmcompare import devices
from lmcompare.config.run import RunConfig
from lmcompare.runs.training_text import place_of
from lmcompare.training import trainer
devices.matmul_rate = lambda *_, **__: 1e9
config, cache, folder = RunConfig.model_validate_json(sys.argv[1]), *map(Path, sys.argv[2:])
text = trainer.read_text(config, cache=cache)
run = place_of(config, text, arm="x", study=folder)
trainer.train(config, run, text, arm="x", report=lambda _: None)
print(devices.peak_memory(devices.choose_device("cpu")))
"""


@pytest.mark.parametrize(
    ("objective", "settings"),
    [
        ("clm", ["batch.rows=5"]),
        pytest.param("clm", ["batch.rows=128", "runtime.micro_batch=128"], marks=pytest.mark.slow),
        pytest.param(
            "mlm",
            ["batch.rows=64", "runtime.micro_batch=64", "runtime.precision=bfloat16"],
            marks=pytest.mark.slow,
        ),
        pytest.param("t5", ["batch.rows=128", "runtime.micro_batch=128"], marks=pytest.mark.slow),
        pytest.param(
            "plm",
            ["batch.rows=64", "runtime.micro_batch=64", "batch.length=256"],
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "glm", ["batch.rows=4096", "model.width=16", "model.ffn=32"], marks=pytest.mark.slow
        ),
        pytest.param(
            "clm",
            ["batch.rows=5", "model.width=512", "model.ffn=1024", "optimizer.ema=0.9"],
            marks=pytest.mark.slow,
        ),
    ],
)
def test_the_estimate_is_not_below_what_is_taken_and_not_twice_as_much(
    corpus: Path, cache: Path, tmp_path: Path, objective: str, settings: list[str]
) -> None:
    usual = ["model.layers=2", "runtime.threads=1", f"data.source={corpus}", "budget=2 steps"]
    config = run(f"objective={objective}", *usual, *settings)
    ended = subprocess.run(
        [sys.executable, "-c", TRAIN, config.model_dump_json(), cache, tmp_path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    taken = int(ended.stdout)
    assert 1 <= needed(config).total / taken <= 2, (needed(config), taken)


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_what_takes_it(objective: str, precision: str) -> None:
    def parts(*settings: str) -> memory.Memory:
        return needed(run(f"objective={objective}", f"runtime.precision={precision}", *settings))

    usual = parts("batch.rows=64", "runtime.micro_batch=8")
    rows = parts("batch.rows=640", "runtime.micro_batch=8")
    assert (rows.model, rows.one_pass) == (usual.model, usual.one_pass)
    assert rows.text == pytest.approx(10 * usual.text, rel=0.1)
    passes = parts("batch.rows=64", "runtime.micro_batch=16")
    assert (passes.model, passes.text) == (usual.model, usual.text)
    assert 1.5 < passes.one_pass / usual.one_pass <= 2
    large = parts("batch.rows=64", "runtime.micro_batch=8", "model.layers=8")
    assert large.text == usual.text
    assert large.model > usual.model
    assert large.one_pass > usual.one_pass
    longer = parts("batch.rows=64", "runtime.micro_batch=8", "batch.length=512")
    assert longer.one_pass > 3 * usual.one_pass


def test_as_many_rows_as_a_pass_takes() -> None:
    assert needed(run("batch.rows=3", "runtime.micro_batch=100000")).rows == 3
    assert needed(run("batch.rows=100000")).rows == 32  # of 4,096 tokens
    assert needed(run("batch.rows=100000", "runtime.micro_batch=7")).rows == 7


def test_no_size_is_too_large_to_tell() -> None:
    most = needed(run("batch.rows=1000000000000", "batch.length=1000000000000"))
    assert most.total > 10**24
    assert needed(run("batch.length=1000000000")).one_pass > 10**12


def test_the_vocabulary_counts() -> None:
    small, large = (
        needed(run("tokenizer.kind=bpe", f"tokenizer.vocab_size={size}")) for size in (500, 50_000)
    )
    width = 128
    assert large.model - small.model == 49_500 * width * 24


def test_far_too_much_is_refused(machine: None) -> None:
    said: list[str] = []
    for settings, remedy in (
        (["model=large"], "choose a smaller model"),
        (
            ["batch.rows=1000", "runtime.micro_batch=1000", "model=base"],
            "lower runtime.micro_batch",
        ),
        (["batch.rows=1000000"], "lower batch.rows"),
    ):
        with pytest.raises(UserError, match=f"train arm takes about .* 8.0 GB: .*{remedy}"):
            require([("arm", run(*settings))], warn=said.append)
    assert said == []


def test_nearly_too_much_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    config, said = run("model=small"), list[str]()
    total = needed(config).total
    for times, expected in ((1.3, 0), (1.2, 1), (0.85, 2)):
        monkeypatch.setattr(devices, "memory", lambda device, times=times: round(times * total))
        require([("arm", config)], warn=said.append)
        assert len(said) == expected
    assert "that may not be enough" in said[0]
    monkeypatch.setattr(devices, "memory", lambda device: round(total * 0.75))
    with pytest.raises(UserError, match="train arm takes about"):
        require([("arm", config)], warn=said.append)
    require([("arm", run("model=small", "runtime.memory_gb=50"))], warn=said.append)
    assert len(said) == 2
    with pytest.raises(UserError, match=r"runtime.memory_gb allows 0.1 GB"):
        require([("arm", run("runtime.memory_gb=0.1"))], warn=said.append)


def test_runs_side_by_side_share_it(machine: None) -> None:
    runs = [(name, run("model=base")) for name in ("one", "two", "three", "four")]
    require(runs, at_once=1, warn=pytest.fail)
    with pytest.raises(UserError, match="train one, two, three, four takes about"):
        require(runs, at_once=4, warn=pytest.fail)


def test_a_study_is_refused_before_its_first_run(
    command: Command, corpus: Path, machine: None
) -> None:
    Path("two.toml").write_text(
        f'[shared]\nbudget = "1 steps"\ndata.source = "{corpus}"\n'
        '[[arm]]\nobjective = "clm"\n'
        '[[arm]]\nobjective = "mlm"\nvaries = ["batch"]\nbatch.rows = 1000000\n'
    )
    for verb in ("train", "check"):
        assert the_error(command(verb, "two.toml")).startswith("to train mlm takes about")
    assert not Path("experiments").exists()


def test_a_finished_run_needs_none(
    command: Command, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ["train", "-o", "clm", *flags(corpus)]
    first = command(*options)
    monkeypatch.setattr(devices, "memory", lambda device: 10**6)
    assert command(*options).out == first.out
    assert the_error(command(*options, "--force")).startswith("to train clm takes about")


def test_what_was_set_is_no_part_of_the_result() -> None:
    assert run("runtime.memory_gb=3").identity == run().identity
