"""`lmcompare generate`, and `lmcompare show --replay`, as a user meets them."""

import io
import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from lmcompare.generation import generate as generation
from lmcompare.generation.generate import generate
from lmcompare.generation.prompts import Request
from lmcompare.generation.trace import Start, Step, Trace
from lmcompare.objectives.decoding.sampler import Sampler
from lmcompare.runs.loaded_model import load_model
from lmcompare.runs.run import Run
from lmcompare_cli import console
from lmcompare_cli.rendering import live_text
from lmcompare_cli.rendering.live_text import LiveText
from tests.tiny import (
    COMMAND,
    Command,
    Said,
    Trainer,
    sentences,
    the_error,
    tiny,
)

MORE = ["--max-new-tokens", "7"]
SEED = ["--seed", "1"]  # of which no token is a part of a character


@pytest.fixture(scope="module")
def places(corpus: Path, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Runs that learned little: three in the folder `study`, and two elsewhere."""
    folder = tmp_path_factory.mktemp("study")
    train, other = Trainer(folder, cache), Trainer(folder.with_name("other"), cache)
    names = ("clm", "mdlm", "t5")
    runs = {name: train(tiny(corpus, name, "budget=61 steps")).path for name in names}
    words = ("tokenizer.kind=word", "tokenizer.vocab_size=131", "budget=3 steps")
    text = folder.with_name("words.txt")
    text.write_text(sentences(907), encoding="utf-8")
    return {
        **runs,
        "study": folder,
        "word": other(tiny(text, "clm", *words)).path,
        "fim": other(tiny(corpus, "fim", "budget=3 steps")).path,
    }


def texts(place: Path, *prompts: str, **settings: object) -> list[str]:
    """What the library writes."""
    subject = load_model(Run(place), device="cpu", warn=pytest.fail)
    asked = Request(prompts=prompts, **settings)
    return [sample.text for sample in generate(subject, asked).samples]


def jsonl(said: Said) -> list[dict[str, object]]:
    assert said.code == 0, said
    return [json.loads(line) for line in said.out.split("\n")[:-1]]


def test_one_text_is_all_there_is(command: Command, places: dict[str, Path]) -> None:
    for options, settings in (
        (["--prompt", "the c"], {}),
        (["-p", "the c", "--seed", "5"], {"seed": 5}),
        (["-p", "the c", "--top-k", "3"], {"sampler": Sampler(top_k=3)}),
        (["-p", "the c", "--greedy"], {"sampler": Sampler(greedy=True)}),
    ):
        said = command("generate", places["clm"], *options, *MORE)
        (text,) = texts(places["clm"], "the c", max_new_tokens=7, **settings)
        assert said == (0, f"{text}\n", "")
    (text,) = texts(places["clm"], "", max_new_tokens=7)
    assert command("generate", places["clm"], *MORE) == (0, f"{text}\n", "")


def test_holes(command: Command, places: dict[str, Path]) -> None:
    prompt = "the ___ saw a ___ café"
    said = command("generate", places["mdlm"], "-p", prompt, "--hole-tokens", "3")
    (text,) = texts(places["mdlm"], prompt, hole_tokens=3)
    assert said == (0, f"{text}\n", "")
    assert re.fullmatch("the.* saw a.* café", text, re.DOTALL)
    said = command("generate", places["t5"], "-p", prompt, "--max-new-tokens", "5")
    assert said == (0, texts(places["t5"], prompt, max_new_tokens=5)[0] + "\n", "")
    said = command("generate", places["t5"], "-p", "the", "--end", "--max-new-tokens", "5")
    assert said == (0, texts(places["t5"], "the", any_length=True, max_new_tokens=5)[0] + "\n", "")


def test_several_have_headings(command: Command, places: dict[str, Path]) -> None:
    """Which say no more than it takes to tell them apart."""

    def headings(*arguments: object) -> list[str]:
        said = command("generate", *arguments, *MORE)
        assert said.code == 0
        assert said.err == ""
        return re.findall("^=== (.*) ===$", said.out, re.MULTILINE)

    clm, two = places["clm"], ["-p", "the", "-p", "a"]
    assert headings(clm) == []
    assert headings(clm, *two) == ["prompt 0", "prompt 1"]
    assert headings(clm, "-n", "2") == ["sample 0", "sample 1"]
    assert headings(clm, places["t5"]) == [clm.name, places["t5"].name]
    assert headings(clm, places["t5"], *two, "-n", "2") == [
        f"{path.name}, prompt {prompt}, sample {number}"
        for path in (clm, places["t5"])
        for prompt in (0, 1)
        for number in (0, 1)
    ]
    assert headings(places["study"]) == [path.name for path in sorted(places["study"].iterdir())]
    said = command("generate", clm, *two, *MORE)
    one, other = texts(clm, "the", "a", max_new_tokens=7)
    assert said.out == f"=== prompt 0 ===\n{one}\n\n=== prompt 1 ===\n{other}\n"


def test_prompts_of_a_file(
    command: Command, places: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = command("generate", places["clm"], "-p", "the c", "-p", " été", *MORE).out
    assert "été" in wanted
    for name, content in (
        ("a.txt", "the c\n été\n"),
        ("b.txt", "the c\n été"),
        ("c.txt", "\ufeffthe c\r\n été\r\n"),
        ("d.jsonl", '{"prompt": "the c", "more": 1}\n{"prompt": " \\u00e9té"}\n'),
    ):
        Path(name).write_bytes(content.encode())
        assert command("generate", places["clm"], "--prompts", name, *MORE) == (0, wanted, "")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("the c\n été\n".encode())))
    assert command("generate", places["clm"], "--prompts", "-", *MORE) == (0, wanted, "")
    Path("e.txt").write_text(" été\n", encoding="utf-8")
    said = command("generate", places["clm"], "-p", "the c", "--prompts", "e.txt", *MORE)
    assert said.out == wanted


def test_jsonl_and_json_hold_it_all(command: Command, places: dict[str, Path]) -> None:
    options = ["-p", "the ___ saw", "-p", "café", "-n", "2", "--hole-tokens", "3", *MORE]
    options += ["--temperature", "0.7", "--seed", "3"]
    rows = jsonl(command("generate", places["mdlm"], *options, "-f", "jsonl"))
    again = json.loads(command("generate", places["mdlm"], *options, "--format", "json").out)
    subject = load_model(Run(places["mdlm"]), device="cpu", warn=pytest.fail)
    asked = Request(
        prompts=("the ___ saw", "café"),
        num=2,
        seed=3,
        hole_tokens=3,
        max_new_tokens=7,
        sampler=Sampler(temperature=0.7),
    )
    made = generate(subject, asked)
    for row, other, sample in zip(rows, again, made.samples, strict=True):
        for each in (row, other):
            assert each["cost"].pop("seconds") > 0
        assert row == other
        assert row == {
            "run": str(places["mdlm"]),
            "objective": "mdlm",
            "arm": "mdlm",
            "run_seed": 0,
            "step": 61,
            "seed": 3,
            "method": "ancestral",
            "precision": "float32",
            "settings": {
                "greedy": False,
                "temperature": 0.7,
                "top_k": None,
                "top_p": None,
                "min_p": None,
                "typical": None,
                "steps": None,
                "block": None,
            },
            "prompt": asked.prompts[sample.prompt],
            "prompt_number": sample.prompt,
            "number": sample.number,
            "text": sample.text,
            "written": [*sample.written],
            "num_tokens": sample.num_tokens,
            "cost": {
                "passes": made.cost.passes,
                "positions": made.cost.positions,
                "flops": made.cost.flops,
            },
        }
    assert [row["num_tokens"] for row in rows] == [3, 3, 7, 7]


def test_the_method_is_the_one_that_was_used(command: Command, places: dict[str, Path]) -> None:
    for options, method in (
        ([], "ancestral"),
        (["--method", "gibbs", "--steps", "2"], "gibbs"),
        (["--method", "surest-first", "--block", "3"], "surest-first"),
    ):
        (row,) = jsonl(command("generate", places["mdlm"], *options, *MORE, "-f", "jsonl"))
        assert row["method"] == method
        used = {name: row["settings"].get(name) for name in ("steps", "block")}
        assert used == {
            "steps": 2 if method == "gibbs" else None,
            "block": 3 if "--block" in options else None,
        }


def test_each_prompt_is_written_as_it_can_be(command: Command, places: dict[str, Path]) -> None:
    options = ["-p", "the ___ saw", "-p", "a", *MORE, "--trace", "t", "-f", "jsonl"]
    rows = jsonl(command("generate", places["fim"], *options))
    assert [row["method"] for row in rows] == ["fim", "left-to-right"]
    assert Trace.read(Path("t")).heading.methods == ("fim", "left-to-right")


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("clm", ["--stop", "a"]),
        ("clm", ["--repetition-penalty", "1.3", "--no-repeat-ngram", "2"]),
        ("clm", ["--beams", "3", "--length-penalty", "0.5"]),
        ("clm", ["--degeneration-penalty", "0.6", "--candidates", "3"]),
        ("clm", ["--min-p", "0.05", "--top-p", "0.9", "--typical", "0.9"]),
        ("mdlm", ["--method", "mask-predict", "--steps", "3"]),
        ("mdlm", ["--method", "threshold", "--threshold", "0.5"]),
        ("mdlm", ["--method", "entropy", "--entropy", "3"]),
        ("t5", ["--end"]),
    ],
)
def test_a_batch_changes_no_text(
    name: str, options: list[str], command: Command, places: dict[str, Path]
) -> None:
    prompts = [part for each in ("the c", "a", "under the old tr") for part in ("-p", each)]
    options = [*prompts, "-n", "3", *options, "--max-new-tokens", "11", "-f", "jsonl"]
    kept = [
        [(row["prompt"], row["number"], row["text"]) for row in jsonl(said)]
        for said in (
            command("generate", places[name], *options, "--batch", rows)
            for rows in ("1", "2", "16")
        )
    ]
    assert len(set(kept[0])) > 6 or "--beams" in options
    assert kept[0] == kept[1] == kept[2]


@pytest.mark.parametrize("name", ["clm", "mdlm", "t5"])
def test_weights_may_be_rounded(name: str, command: Command, places: dict[str, Path]) -> None:
    options = ["generate", places[name], "-p", "the c", "-n", "9", *MORE, "-f", "jsonl"]
    exact, same, rounded = (
        jsonl(command(*options, *(["--precision", each] if each else [])))
        for each in ("", "float32", "bfloat16")
    )
    assert {row["precision"] for row in exact + same} == {"float32"}
    assert {row["precision"] for row in rounded} == {"bfloat16"}
    assert [row["text"] for row in exact] == [row["text"] for row in same]
    subject = load_model(Run(places[name]), device="cpu", warn=pytest.fail)
    subject.net.bfloat16()
    made = generate(subject, Request(prompts=("the c",), num=9, max_new_tokens=7))
    assert [row["text"] for row in rounded] == [sample.text for sample in made.samples]
    refused = command("generate", places[name], "-p", "the c", "--precision", "float8")
    assert refused.code == 2
    assert "float8" in refused.err


@pytest.mark.parametrize("name", ["clm", "mdlm", "t5"])
def test_prompts_together_are_prompts_alone(
    name: str, command: Command, places: dict[str, Path]
) -> None:
    """Where nothing is drawn; what is drawn depends on a prompt's number too."""
    prompts = ["the c", "a", "under the old tr"]
    options = ["--greedy", *MORE, "-f", "jsonl"]
    if name == "mdlm":
        options += ["--method", "surest-first"]  # its own draws the order
    together = command(
        "generate", places[name], *options, *(f"--prompt={each}" for each in prompts)
    )
    alone = [command("generate", places[name], *options, "-p", each) for each in prompts]
    assert [row["text"] for row in jsonl(together)] == [jsonl(each)[0]["text"] for each in alone]


def test_a_run_that_cannot_takes_no_other_down(command: Command, places: dict[str, Path]) -> None:
    options = ["-p", "the ___ saw", "--hole-tokens", "3"]
    said = command("generate", places["study"], *options)
    assert said.code == 1
    assert said.err == (
        f"{places['clm'].name}: clm writes at the end of a text only, and this one continues after "
        "its hole: choose an objective that fills a hole\n"
    )
    assert said.out.count("===\n") == 2
    assert said.out.startswith(f"=== {places['mdlm'].name} ===\n")
    rows = command("generate", places["study"], *options, "-f", "jsonl").out.splitlines()
    assert [json.loads(row)["objective"] for row in rows] == ["mdlm", "t5"]
    said = command("generate", places["study"], *options, "-f", "json")
    assert (said.code, len(json.loads(said.out))) == (1, 2)
    said = command(
        "generate", places["study"], *options, "--method", "left-to-right", "--beams", "2"
    )
    assert [line.partition(": ")[2][:4] for line in said.err.splitlines()] == ["clm ", "mdlm"]


@pytest.mark.parametrize(
    ("name", "options", "reason"),
    [
        ("clm", ["-p", ""], "a --prompt is blank: leave it out"),
        ("clm", ["-p", "a", "-p", " \t"], "a --prompt is blank: leave it out"),
        ("clm", ["-p", "\udcff"], "a --prompt is not in UTF-8"),
        ("clm", ["--prompts", "nowhere"], "'nowhere' cannot be read: No such file"),
        ("clm", ["--prompts", "."], "'.' cannot be read: Is a directory"),
        ("clm", ["--prompts", "empty.txt"], "empty.txt holds no prompt"),
        ("clm", ["--prompts", "blank.txt"], "line 2 of blank.txt is blank"),
        ("clm", ["--prompts", "latin.txt"], "'latin.txt' is not UTF-8: in line 1, byte "),
        (
            "clm",
            ["--prompts", "a.jsonl"],
            "line 2 of a.jsonl is not JSON",
        ),
        (
            "clm",
            ["--prompts", "b.jsonl"],
            'line 1 of b.jsonl is not a JSON object with a text "prompt"',
        ),
        ("clm", ["--prompts", "c.jsonl"], "line 1 of c.jsonl is blank"),
        ("clm", ["-p", "a ___ b", *MORE], "clm writes at the end of a text only"),
        (
            "mdlm",
            ["-p", "a ___ b", *MORE],
            "mdlm does not say where a hole ends: give a number of tokens",
        ),
        ("clm", ["--end", *MORE], "clm does not say where a text ends"),
        ("mdlm", ["-p", "the old " * 5 + "___ b", "--hole-tokens", "3"], "prompt 0 has 41 tokens"),
        ("clm", ["--max-new-tokens", "97"], "97 new tokens do not fit into the rows of 33"),
        ("clm", ["--method", "banana", *MORE], "clm does not write by 'banana': known:"),
        ("mdlm", ["--method", "gibs", *MORE], "did you mean 'gibbs'?"),
        ("clm", ["--greedy", "--top-p", "0.9"], "greedy takes the likeliest token, which leaves"),
        ("clm", ["--beams", "2", "--top-k", "3"], "a search with 2 beams draws nothing"),
        ("clm", ["--length-penalty", "2"], "length_penalty compares beams, and there is one"),
        ("clm", ["--degeneration-penalty", "1", "--top-k", "3"], "leaves top_k without effect"),
        ("clm", ["--candidates", "3"], "candidates are those of a contrastive search"),
        (
            "t5",
            ["-p", "a ___", "--degeneration-penalty", "1"],
            "where no number of tokens is given: leave",
        ),
        ("clm", ["--temperature", "0"], "a temperature of 0 divides by nothing"),
        ("clm", ["--temperature", "nan"], "--temperature cannot be nan: input should be a finite"),
        ("clm", ["--top-p", "2"], "--top-p cannot be 2.0: input should be less than or equal to 1"),
        ("clm", ["--no-repeat-ngram", "0"], "--no-repeat-ngram cannot be 0: input should be"),
        ("clm", ["--steps", "3", *MORE], "clm writes by left-to-right, which has no use for steps"),
        ("mdlm", ["--beams", "1", *MORE], "mdlm writes by ancestral, which has no use for beams"),
        ("word", ["-p", "the zebra", *MORE], "the tokenizer knows no"),
        ("clm", ["--stop", "", *MORE], "an empty text to stop at is everywhere"),
        ("clm", ["--stop", "[EOS]", *MORE], "'[EOS]' is a special token of the tokenizer, and"),
        ("word", ["--stop", "\u00df", *MORE], "of the text to stop at '\u00df', which so is never"),
        ("clm", ["-p", "a", "--hole-tokens", "2"], "--hole-tokens is of no use, as no prompt has"),
        ("t5", ["-p", "a ___", "--stop", "b"], "--stop is of no use, as no prompt is continued"),
        ("t5", ["-p", "a ___", "--end"], "--end is of no use, as no prompt is continued"),
        ("t5", ["-p", "a ___", "--hole-tokens", "2", *MORE], "--max-new-tokens is of no use"),
        ("clm", ["--device", "banana"], "there is no device 'banana'"),
        ("clm", ["--live"], "--live draws text on a terminal"),
        ("clm", ["--trace", "nowhere/trace.jsonl"], "there is no folder nowhere for the trace"),
        ("clm", ["--trace", "."], "the trace . is a folder: name a file"),
        ("clm", ["--trace", "t", "--beams", "2"], "a search with beams writes several texts"),
        ("study", ["--trace", "t"], "a trace is of one run, and 3 are given"),
        ("nowhere", [], "there is no run or study at nowhere"),
    ],
)
def test_errors_are_one_line(
    name: str, options: list[str], reason: str, command: Command, places: dict[str, Path]
) -> None:
    for file, content in (
        ("empty.txt", b""),
        ("blank.txt", b"a\n\nb\n"),
        ("latin.txt", b"caf\xe9\n"),
        ("a.jsonl", b'{"prompt": "a"}\nb\n'),
        ("b.jsonl", b'{"prompt": 3}\n'),
        ("c.jsonl", b'{"prompt": ""}\n'),
    ):
        Path(file).write_bytes(content)
    before = sorted(Path().iterdir())
    said = command("generate", places.get(name, Path(name)), *options)
    assert reason in the_error(said)
    assert said.err.count("\n") == 1
    assert said.out == ""
    assert sorted(Path().iterdir()) == before


@pytest.mark.parametrize(
    "options",
    [
        ["--num", "0"],
        ["--max-new-tokens", "0"],
        ["--hole-tokens", "0"],
        ["--batch", "0"],
        ["--seed", "-1"],
        ["--temperature", "hot"],
        ["--format", "xml"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_two(options: list[str], command: Command) -> None:
    said = command("generate", "run", *options)
    assert said.code == 2
    assert said.out == ""
    assert options[0] in said.err


def test_only_what_was_asked_for_is_set(command: Command, places: dict[str, Path]) -> None:
    """A default that is given is asked for, and must be of use; one that is not, need not."""
    base = ["generate", places["mdlm"], "--method", "metropolis", *MORE]
    assert command(*base).code == 0
    assert command(*base, "--temperature", "1").code == 0
    assert "has no use for top_p" in the_error(command(*base, "--top-p", "1"))
    assert "has no use for greedy" in the_error(command(*base, "--greedy"))


def test_a_prompt_that_is_too_long_is_cut(command: Command, places: dict[str, Path]) -> None:
    said = command("generate", places["clm"], "-p", "the old " * 5, *MORE)
    assert said.code == 0
    assert said.err.startswith("warning: prompt 0 is 15 tokens too long for rows of 33")
    assert said.err.count("\n") == 1
    several = command("generate", places["clm"], places["t5"], "-p", "the old " * 5, *MORE).err
    assert several.splitlines()[0].startswith(f"warning: {places['clm'].name}: prompt 0 is 15 tok")


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


class Terminal(io.StringIO):
    """Remembers what was written at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self.parts.append(text)
        return super().write(text)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Standard output as a terminal, with colours."""
    made = Terminal()
    drawn = console.Printer(
        markup=False,
        emoji=False,
        highlight=False,
        file=made,
        force_terminal=True,
        width=80,
        height=30,
        color_system="standard",
        _environ={"TERM": "xterm"},
    )
    for module in (console, live_text):
        monkeypatch.setattr(module, "output", drawn)
    return made


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


def visible(text: str) -> str:
    """As a terminal shows it, and not obeys it."""
    return "".join(
        c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in text
    )


@pytest.mark.parametrize(
    ("name", "options", "settings"),
    [
        ("clm", ["-p", "the c"], {}),
        ("clm", ["-p", "the c", "--stop", "a", "--stop", "xyz"], {"stop": ("a", "xyz")}),
        ("t5", ["-p", "the ___ saw a ___"], {}),
        ("t5", ["-p", "the ___ café"], {}),
        ("mdlm", ["-p", "the c", "--method", "left-to-right"], {"method": "left-to-right"}),
    ],
)
def test_a_text_comes_as_it_is_written(
    name: str,
    options: list[str],
    settings: dict[str, object],
    command: Command,
    places: dict[str, Path],
    terminal: Terminal,
) -> None:
    for seed in range(3):
        terminal.parts.clear()
        said = command("generate", places[name], *options, "--seed", seed, "--max-new-tokens", 7)
        assert said == (0, "", "")
        prompt = options[1]
        (text,) = texts(places[name], prompt, seed=seed, max_new_tokens=7, **settings)
        assert plain("".join(terminal.parts)) == f"{visible(text)}\n"
        assert terminal.parts[0].startswith("\x1b[2mthe")  # dim
        assert "\x1b[1m" in "".join(terminal.parts) or text == prompt.replace(" ___", "")
        if prompt.endswith("café"):
            assert terminal.parts[-2] == "\x1b[2m café\x1b[0m"  # was given
        if name == "clm" and not settings:
            assert len(terminal.parts) > 4


def start(*pieces: str) -> Start:
    """Of masks, written as None."""
    return Start(
        prompt=0,
        number=0,
        ids=(1, *(3 if each == "■" else 9 for each in pieces)),
        pieces=("[BOS]", *pieces),
        holes=(False, *(each == "■" for each in pieces)),
        any_length=False,
    )


def told(place: int, piece: object) -> list[Step]:
    return [
        Step(
            prompt=0,
            number=0,
            step=1,
            places=(place,),
            ids=(5,),
            pieces=(piece,),
            probabilities=(0.5,),
        )
    ]


def streamed(terminal: Terminal, stop: list[str], *pieces: object) -> list[str]:
    """What was shown after each piece."""
    stream, seen = LiveText(stop), []
    stream.hear([start("a", *"■" * len(pieces))])
    for place, piece in enumerate(pieces, start=2):
        stream.hear(told(place, piece))
        seen.append(plain(terminal.getvalue()))
    return seen


def test_half_a_character_is_never_shown(terminal: Terminal) -> None:
    first, second, third = ((byte,) for byte in "☃".encode())
    assert streamed(terminal, [], "b", first, second, third, (0xC3,)) == [
        "ab",
        "ab",
        "ab",
        "ab☃",
        "ab☃",
    ]


def test_what_may_be_the_beginning_of_a_stop_is_held_back(terminal: Terminal) -> None:
    """Token by token: one that holds its beginning is no part of the text."""
    seen = streamed(terminal, ["STOP", ".."], "b", "c S", "T", "x", ".", "y", "z S", "TOP", "w")
    assert seen == ["ab", "ab", "ab", "abc STx", "abc STx", "abc STx.y", *["abc STx.y"] * 3]


def test_given_text_behind_a_hole_comes_when_the_hole_is_full(terminal: Terminal) -> None:
    stream, seen = LiveText([]), []
    stream.hear([start("a", "■", "■", "d", "■", "f")])
    for place, piece in ((2, "b"), (3, "c"), (5, "e")):
        stream.hear(told(place, piece))
        seen.append(plain(terminal.getvalue()))
    assert seen == ["ab", "abcd", "abcdef"]
    assert terminal.getvalue() == (
        "\x1b[2ma\x1b[0m\x1b[1mb\x1b[0m\x1b[1mc\x1b[0m\x1b[2md\x1b[0m\x1b[1me\x1b[0m\x1b[2mf\x1b[0m"
    )


def test_masks_are_blocks_that_give_way(
    command: Command, places: dict[str, Path], terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_text, "FRAME", 0.0)
    said = command("generate", places["mdlm"], "-p", "the ___ saw", "--hole-tokens", "5", *SEED)
    assert said == (0, "", "")
    frames = [part for part in terminal.parts if "■" in part]
    assert [frame.count("■") for frame in frames][:5] == [5, 4, 3, 2, 1]
    assert any("\x1b[7;32m" in frame for frame in frames[1:5])  # what is fresh is set apart
    (text,) = texts(places["mdlm"], "the ___ saw", hole_tokens=5, seed=int(SEED[1]))
    assert plain("".join(terminal.parts)).endswith(f"{visible(text)}\n")
    assert "\x1b[?25h" in terminal.getvalue(), "the cursor is there again"


def test_several_texts_are_drawn_together(
    command: Command, places: dict[str, Path], terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_text, "FRAME", 0.0)
    assert command("generate", places["clm"], "-p", "the c", "-n", "2", *MORE) == (0, "", "")
    frames = [plain(part) for part in terminal.parts if "■" in part]
    assert "0.0\nthe c■■■■■■■\n0.1\nthe c■■■■■■■" in frames[0]
    blocks = [frame.count("■") for frame in frames]
    assert blocks[0] == 14
    assert blocks[:8] == sorted(blocks[:8], reverse=True)
    assert blocks[6] < 5  # two, but for halves of characters
    one, two = map(visible, texts(places["clm"], "the c", num=2, max_new_tokens=7))
    shown = plain("".join(terminal.parts))
    assert shown.endswith(f"=== sample 0 ===\n{one}\n\n=== sample 1 ===\n{two}\n")


@pytest.mark.parametrize("options", [["--no-live"], ["--beams", "2"], ["--seed", "0"]])
def test_nothing_moves_where_it_should_not(
    options: list[str], command: Command, places: dict[str, Path], terminal: Terminal
) -> None:
    """A search with beams writes texts that it then drops; some terminals only print."""
    if "--seed" in options:
        live_text.output._environ = {"TERM": "dumb"}
        assert live_text.output.is_dumb_terminal
    said = command("generate", places["clm"], "-p", "the c", *options, *MORE)
    assert said == (0, "", "")
    sampler = Sampler(beams=2) if "--beams" in options else Sampler()
    (text,) = texts(places["clm"], "the c", max_new_tokens=7, sampler=sampler)
    assert plain("".join(terminal.parts)) == f"{visible(text)}\n"
    assert "■" not in terminal.getvalue()
    assert len([part for part in terminal.parts if part != "\n"]) <= 3


def test_data_is_data_on_a_terminal_too(
    command: Command, places: dict[str, Path], terminal: Terminal
) -> None:
    assert command("generate", places["clm"], *MORE, "-f", "jsonl") == (0, "", "")
    (line,) = terminal.getvalue().splitlines()
    assert json.loads(line)["objective"] == "clm"
    said = command("generate", places["clm"], *MORE, "-f", "jsonl", "--live")
    assert "--live draws text" in the_error(said)


def test_an_interruption_ends_the_line(
    command: Command, places: dict[str, Path], terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(generation, "_sample", interrupted)
    assert command("generate", places["clm"], "-p", "the c", *MORE).code == 130
    assert plain(terminal.getvalue()).startswith("the c")
    assert terminal.getvalue().endswith("\n")


def test_a_replay_moves_on_a_terminal(
    command: Command, places: dict[str, Path], terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(live_text, "sleep", waits.append)
    monkeypatch.setattr(live_text, "FRAME", 0.0)
    options = ["-p", "the ___ saw", "--hole-tokens", "5", "--no-live", *SEED]
    command("generate", places["mdlm"], *options, "--trace", "t")
    terminal.parts.clear()
    assert command("show", "--replay", "t") == (0, "", "")
    assert len(waits) == 6
    assert all(0 < wait <= live_text.STEP for wait in waits)
    frames = [plain(part) for part in terminal.parts if "the" in plain(part)]
    assert [frame.count("■") for frame in frames[:6]] == [5, 4, 3, 2, 1, 0]
    assert "step 1 of 5" in frames[1]
    (text,) = texts(places["mdlm"], "the ___ saw", hole_tokens=5, seed=int(SEED[1]))
    assert frames[-1].strip().startswith(visible(text))
    assert frames[-1].rstrip("\n").endswith("5 steps")
    waits.clear()
    live_text.replay(Path("t"), sample="0.0", speed=3.0)
    assert max(waits) <= live_text.STEP / 3


def test_what_a_terminal_would_obey_is_spelled_out(terminal: Terminal) -> None:
    live_text.write("\x1b[2J\ta\r\nb\x07")
    assert terminal.getvalue() == "\\x1b[2J\ta\\r\nb\\x07"


def test_a_real_terminal(places: dict[str, Path], cache: Path) -> None:
    """Through a pseudo-terminal: colours, and none where they are not wanted."""

    def run(*arguments: str | Path, **environment: str) -> str:
        master, slave = pty.openpty()
        process = subprocess.Popen(
            [sys.executable, "-c", COMMAND, *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=slave,
            stderr=slave,
            env={
                **{name: value for name, value in os.environ.items() if name != "NO_COLOR"},
                "TERM": "xterm",
                "LMCOMPARE_CACHE": str(cache),
                **environment,
            },
        )
        os.close(slave)
        parts = []
        try:
            while part := os.read(master, 4096):
                parts.append(part)
        except OSError:  # how Linux says that the other side is closed
            pass
        os.close(master)
        assert process.wait(timeout=120) == 0
        return b"".join(parts).decode(errors="replace").replace("\r\n", "\n")

    (text,) = texts(places["clm"], "the c", max_new_tokens=7, sampler=Sampler(greedy=True))
    arguments = ["generate", places["clm"], "-p", "the c", *MORE, "--greedy"]
    shown = run(*arguments)
    assert shown.startswith("\x1b[2mthe c\x1b[0m\x1b[1m")
    assert plain(shown) == f"{visible(text)}\n"
    arguments = ["generate", places["mdlm"], "-p", "the ___ saw", "--hole-tokens", "5"]
    shown = run(*arguments, NO_COLOR="1")
    assert "\x1b[?25l" in shown
    assert "■■■■■" in plain(shown)
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]m", shown)


def test_a_terminal_without_the_signs(places: dict[str, Path], cache: Path) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "LMCOMPARE_CACHE": str(cache)}

    def run(*arguments: str | Path) -> bytes:
        return subprocess.run(
            [sys.executable, "-c", COMMAND, *map(str, arguments)],
            env=environment,
            capture_output=True,
            check=True,
            timeout=120,
        ).stdout

    base = ["generate", places["mdlm"], "-p", "café ___ a", "--hole-tokens", "3"]
    assert run(*base, "--trace", cache / "t").startswith(b"caf?")
    assert run("show", "--replay", cache / "t").startswith(b"0\tcaf?### a\t\n")


def test_help_imports_nothing_heavy() -> None:
    script = (
        "import sys; from lmcompare_cli.app import app\n"
        "app(['generate', '--help'], standalone_mode=False)\n"
        "heavy = {'torch', 'numpy', 'tokenizers'}\n"
        "print('imported:', *heavy & sys.modules.keys(), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120
    )
    assert "--no-repeat-ngram" in plain(done.stdout)
    assert done.stderr.strip() == "imported:"
