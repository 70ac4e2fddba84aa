"""A trace of a text that was written, and the file that holds it."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from lmcompare.errors import UserError
from lmcompare.generation.generate import Generated, generate
from lmcompare.generation.prompts import Request
from lmcompare.generation.trace import Heading, Trace
from lmcompare.generation.trace_recorder import Draft, Recorder
from lmcompare.objectives.decoding.sampler import Sampler
from lmcompare.runs.loaded_model import LoadedModel, load_model
from tests import ROOT
from tests.tiny import Trainer, tiny

LIBRARY = ROOT / "lmcompare"


@pytest.fixture(scope="module")
def subjects(
    corpus: Path, cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, LoadedModel]:
    """Models that hardly learned: what they write is full of halves of characters."""
    train = Trainer(tmp_path_factory.mktemp("study"), cache)
    names = ("clm", "mdlm", "t5", "glm", "bart", "plm", "fim")
    runs = {name: train(tiny(corpus, name, "budget=3 steps")) for name in names}
    return {name: load_model(run, device="cpu", warn=pytest.fail) for name, run in runs.items()}


def traced(model: LoadedModel, asked: Request) -> tuple[Generated, Trace]:
    recorder = Recorder(model.tokenizer)
    generated = generate(model, asked, on_step=recorder, warn=pytest.fail)
    heading = Heading(
        run=str(model.path),
        objective=model.objective.name,
        methods=("?",) * len(asked.prompts),
        prompts=asked.prompts,
        settings={},
        seed=asked.seed,
        num_samples=len(generated.samples),
    )
    return generated, Trace(heading, recorder.samples(generated.samples))


HOLED = Request(prompts=("the ___ saw", "___ café ___"), num=2, hole_tokens=3)
FREE = Request(prompts=("the ___ saw", "___ café"), num=3, max_new_tokens=11)
TAIL = Request(prompts=("the c", "", "café"), num=2, max_new_tokens=13)
CASES = [
    *(
        ("mdlm", method, asked)
        for method in ("ancestral", "mask-predict")
        for asked in (HOLED, TAIL)
    ),
    *(("mdlm", method, TAIL) for method in ("threshold", "entropy", "gibbs", "metropolis")),
    *(("plm", method, HOLED) for method in ("left-to-right", "right-to-left", "random")),
    *((name, None, FREE) for name in ("t5", "glm", "bart", "fim")),
    *((name, None, HOLED) for name in ("t5", "glm", "bart")),
    *((name, None, TAIL) for name in ("clm", "plm", "bart", "fim")),
    *((name, None, replace(TAIL, any_length=True)) for name in ("t5", "glm", "bart")),
    ("bart", None, Request(prompts=("a ___ b ___ c",), num=5, max_new_tokens=7)),
]


@pytest.mark.parametrize(("name", "method", "asked"), CASES)
def test_the_last_of_a_trace_is_the_text(
    name: str, method: str | None, asked: Request, subjects: dict[str, LoadedModel], tmp_path: Path
) -> None:
    """Of every way to write, through the file."""
    generated, trace = traced(subjects[name], replace(asked, method=method))
    trace.write(tmp_path / "trace.jsonl")
    read = Trace.read(tmp_path / "trace.jsonl")
    assert read == trace
    assert len(read.samples) == len(asked.prompts) * asked.num
    for sample, (start, steps) in zip(generated.samples, read.samples, strict=True):
        assert (start.prompt, start.number) == (sample.prompt, sample.number)
        assert start.text == sample.text
        draft = Draft(start)
        assert any(span.state == "open" for span in draft.spans())
        for step in steps:
            draft.put(step)
        assert not start.any_length or steps == [] or draft.spans()[-1].state != "fresh"
        draft.close()
        assert "".join(span.text for span in draft.spans()) == sample.text
        assert {span.state for span in draft.spans()} <= {"given", "written"}


@pytest.mark.parametrize("name", ["mdlm", "t5", "plm"])
def test_a_trace_does_not_depend_on_what_is_written_beside(
    name: str, subjects: dict[str, LoadedModel]
) -> None:
    asked = Request(
        prompts=("the ___ saw", "a ___ café ___ dog"), num=3, hole_tokens=5, sampler=Sampler()
    )
    _, alone = traced(subjects[name], replace(asked, rows=1))
    _, together = traced(subjects[name], replace(asked, rows=7))

    def shape(trace: Trace) -> list[object]:
        return [
            (start, [(s.step, s.places, s.ids) for s in steps]) for start, steps in trace.samples
        ]

    assert shape(alone) == shape(together)


def test_the_sure_ones_come_first(subjects: dict[str, LoadedModel]) -> None:
    """A step holds what the model said of what was written: here, the likeliest token."""
    asked = Request(prompts=("the cat",), sampler=Sampler(greedy=True), max_new_tokens=7)
    generated, trace = traced(subjects["clm"], asked)
    ((start, steps),) = trace.samples
    assert [step.places for step in steps] == [(place,) for place in range(8, 15)]
    assert tuple(step.ids[0] for step in steps) == generated.samples[0].tokens[-7:]
    size = subjects["clm"].tokenizer.vocab.size
    assert all(1 / size < step.probabilities[0] < 1 for step in steps)
    assert start.ids[8:] == (subjects["clm"].tokenizer.vocab.mask,) * 7


@pytest.fixture
def lines(subjects: dict[str, LoadedModel], tmp_path: Path) -> list[str]:
    """Of a good trace of two samples."""
    asked = Request(prompts=("the ___ saw",), num=2, hole_tokens=3)
    traced(subjects["mdlm"], asked)[1].write(tmp_path / "good.jsonl")
    return (tmp_path / "good.jsonl").read_text().splitlines()


def changed(line: str, **fields: object) -> str:
    return json.dumps(json.loads(line) | fields)


@pytest.mark.parametrize(
    ("number", "change", "reason"),
    [
        (0, {"schema_version": 2}, "written in schema 2 of traces and this lmcompare reads"),
        (0, {"num_samples": 1}, "more than its first line says, at line 6"),
        (0, {"num_samples": 3}, "it ends too early, at line 10"),
        (0, {"colour": "red"}, "colour: Extra inputs are not permitted, at line 1"),
        (1, {"num_steps": 4}, "at line 6"),
        (1, {"num_steps": 2}, "at line 5"),
        (1, {"ids": [1, 2]}, "ids, pieces and holes are not as many, at line 2"),
        (2, {"ids": []}, "places, ids, pieces and probabilities are not as many, at line 3"),
        (2, {"number": 1}, "a step does not belong to its sample"),
        (2, {"step": 2}, "a step does not belong to its sample"),
        (2, {"places": [1]}, "a step does not belong to its sample"),
        (2, {"places": [999]}, "a step does not belong to its sample"),
        (2, {"places": [-6]}, "a step does not belong to its sample"),
        (2, {"pieces": [[256]]}, "at line 3"),
    ],
)
def test_a_broken_trace_is_refused(
    number: int, change: dict[str, object], reason: str, lines: list[str], tmp_path: Path
) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text("\n".join(lines) + "\n")
    assert len(Trace.read(path).samples) == 2
    assert len(lines) == 9
    lines[number] = changed(lines[number], **change)
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(UserError) as error:
        Trace.read(path)
    assert reason in str(error.value)
    assert "\n" not in str(error.value)
    assert str(path) in str(error.value)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"[]\n", b"text\n", b"{}\n", b"\n"])
def test_another_file_is_no_trace(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "other"
    path.write_bytes(content)
    with pytest.raises(UserError, match="other is not a whole trace"):
        Trace.read(path)
    with pytest.raises(UserError, match="cannot be read"):
        Trace.read(tmp_path)
    with pytest.raises(UserError, match="cannot be read"):
        Trace.read(tmp_path / "nothing")


def test_a_file_that_is_cut_anywhere_is_refused(lines: list[str], tmp_path: Path) -> None:
    path, whole = tmp_path / "cut.jsonl", ("\n".join(lines)).encode()
    for size in range(0, len(whole), 31):
        path.write_bytes(whole[:size])
        with pytest.raises(UserError, match="is not a whole trace"):
            Trace.read(path)


def test_what_cannot_be_written_leaves_nothing_behind(
    lines: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trace = Trace.read(tmp_path / "good.jsonl")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match="the disk is full"):
        trace.write(tmp_path / "new.jsonl")
    assert [path.name for path in tmp_path.iterdir()] == ["good.jsonl"]


def test_a_trace_is_read_without_torch() -> None:
    """What is played again starts at once."""
    script = (
        "import sys, lmcompare.generation.trace, lmcompare.generation.trace_recorder\n"
        "print(*{'torch', 'numpy', 'tokenizers', 'pandas'} & sys.modules.keys())"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=LIBRARY
    )
    assert done.stdout == "\n"
