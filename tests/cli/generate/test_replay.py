"""`lmcompare generate --trace`, and `lmcompare show --replay`."""

import json
from pathlib import Path

import pytest

from lmcompare.generation import generate as generation
from lmcompare.generation.trace import Trace
from tests.cli.generate.written import MORE, jsonl
from tests.tiny import Command, the_error

TRACED = ["-p", "the ___ saw", "-p", "a", "-n", "2", "--hole-tokens", "3", *MORE]


def test_a_trace_and_its_replay(command: Command, places: dict[str, Path]) -> None:
    options = [*TRACED, "--temperature", "0.7", "--seed", "3", "--trace", "trace.jsonl"]
    said = command("generate", places["mdlm"], *options, "-f", "jsonl")
    trace = Trace.read(Path("trace.jsonl"))
    heading = json.loads(Path("trace.jsonl").read_text().splitlines()[0])
    assert heading == {
        "schema_version": 1,
        "run": str(places["mdlm"]),
        "objective": "mdlm",
        "methods": ["ancestral", "ancestral"],
        "prompts": ["the ___ saw", "a"],
        "settings": {"temperature": 0.7},
        "seed": 3,
        "num_samples": 4,
    }
    rows = jsonl(said)
    assert [start.text for start, _ in trace.samples] == [row["text"] for row in rows]
    for number, name in enumerate(["0.0", "0.1", "1.0", "1.1"]):
        shown = command("show", "--replay", "trace.jsonl", "--sample", name)
        assert (shown.code, shown.err) == (0, "")
        lines = [line.split("\t") for line in shown.out.split("\n")[:-1]]
        start, steps = trace.samples[number]
        assert [line[0] for line in lines] == [str(n) for n in range(len(steps) + 1)]
        masks = [line[1].count("■") for line in lines]
        assert masks[0] == rows[number]["num_tokens"]
        assert masks[-1] == 0
        assert masks == sorted(masks, reverse=True)
        assert lines[0][2] == ""
        for (place,), (sure,), line in zip(
            (step.places for step in steps),
            (step.probabilities for step in steps),
            lines[1:],
            strict=True,
        ):
            assert line[2].startswith(f"{place}:")
            assert line[2].endswith(f" {sure:.2f}")
        last = "".join(
            c if c.isprintable() else c.encode("unicode_escape").decode() for c in start.text
        )
        assert lines[-1][1] == last
    every = command("show", "--replay", "trace.jsonl").out
    assert every.count("=== prompt ") == 4
    assert shown.out in every


def test_what_is_taken_back_shows_as_a_block(command: Command, places: dict[str, Path]) -> None:
    options = ["--method", "mask-predict", "--steps", "3", "-p", "a", *MORE]
    command("generate", places["mdlm"], *options, "--trace", "t")
    lines = [line.split("\t") for line in command("show", "--replay", "t").out.splitlines()]
    # all 7; then two thirds and one third of them taken back and written anew
    assert [line[2].count("■") for line in lines] == [0, 0, 4, 0, 2, 0]
    assert [
        line[1].count("■") >= count for line, count in zip(lines, [7, 0, 4, 0, 2, 0], strict=True)
    ]


def test_bad_traces(command: Command, places: dict[str, Path]) -> None:
    command("generate", places["clm"], *MORE, "--trace", "t")
    said = command("show", "--replay", "t", "--sample", "1.0")
    assert the_error(said) == "t has no sample '1.0': known: 0.0"
    said = command("show", "--replay", "t", "--sample", "x")
    assert the_error(said) == "t has no sample 'x' (PROMPT.NUMBER, each from 0): known: 0.0"
    assert "'nowhere' cannot be read" in the_error(command("show", "--replay", "nowhere"))
    assert "--replay, or leave it out" in the_error(command("show", "--sample", "0.0"))
    text = Path("t").read_text()
    Path("t").write_text(text.replace('"schema_version":1', '"schema_version":9'))
    assert "schema 9 of traces" in the_error(command("show", "--replay", "t"))


def test_a_trace_is_written_whole_or_not_at_all(
    command: Command, places: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    command("generate", places["clm"], *MORE, "--trace", "t")
    before = Path("t").read_bytes()
    monkeypatch.setattr(generation, "_sample", interrupted)
    assert command("generate", places["clm"], *MORE, "--seed", "2", "--trace", "t").code == 130
    assert Path("t").read_bytes() == before
    assert [path.name for path in Path().iterdir()] == ["t"]
