"""`lmcompare generate`, as a user meets it."""

import io
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from lmcompare import devices
from lmcompare.generation.generate import generate
from lmcompare.generation.prompts import Request
from lmcompare.generation.trace import Trace
from lmcompare.objectives.decoding.sampler import Sampler
from lmcompare.runs.loaded_model import load_model
from lmcompare.runs.run import Run
from tests.cli.generate.written import MORE, jsonl, plain, texts
from tests.conftest import values
from tests.tiny import Command


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
    model = load_model(Run(places["mdlm"]), device="cpu", warn=pytest.fail)
    asked = Request(
        prompts=("the ___ saw", "café"),
        num=2,
        seed=3,
        hole_tokens=3,
        max_new_tokens=7,
        sampler=Sampler(temperature=0.7),
    )
    made = generate(model, asked)
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
        ("t5", ["--end"]),
    ],
)
def test_a_batch_changes_no_text(
    name: str, options: list[str], command: Command, places: dict[str, Path]
) -> None:
    prompts = [part for each in ("the c", "a", "under the old tr") for part in ("-p", each)]
    options = [*prompts, "-n", "3", *options, "--max-new-tokens", "11"]
    assert _different_texts(command, places[name], options) >= 3


@pytest.mark.parametrize(
    "options",
    values(
        ["--method", "mask-predict", "--steps", "3"],
        ["--method", "entropy", "--entropy", "3", "--block", "5"],
        ["--method", "metropolis", "--steps", "1"],
        slow=[
            ["--method", "surest-first", "--steps", "3"],
            ["--method", "threshold", "--threshold", "0.5"],
            ["--method", "entropy", "--entropy", "3"],
            ["--method", "ancestral", "--steps", "3", "--block", "5"],
            ["--method", "gibbs", "--steps", "2"],
        ],
    ),
)
def test_a_batch_changes_no_order_of_unmasking(
    options: list[str],
    command: Command,
    places: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In float64: this model finds masks so much alike that float32 may rank them by its rounding.

    Rows of one batch have unlike numbers of tokens and of holes.
    """
    monkeypatch.setitem(devices.DTYPES, "float32", torch.float64)
    prompts = ("the c", "under the old tr", "a ___ saw ___", "___ under the ___ old ___ tr")
    asked = [part for each in prompts for part in ("-p", each)]
    options = [*asked, "-n", "3", *options, "--max-new-tokens", "11", "--hole-tokens", "4"]
    assert _different_texts(command, places["mdlm"], options) > 9


def _different_texts(command: Command, place: Path, options: list[str]) -> int:
    """Count the unlike texts that are written, which are the same in batches of any size."""
    kept = [
        [(row["prompt"], row["number"], row["text"]) for row in jsonl(said)]
        for said in (
            command("generate", place, *options, "-f", "jsonl", "--batch", rows)
            for rows in ("1", "2", "16")
        )
    ]
    assert kept[0] == kept[1] == kept[2]
    return len({text for _, _, text in kept[0]})


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
    model = load_model(Run(places[name]), device="cpu", warn=pytest.fail)
    model.net.bfloat16()
    made = generate(model, Request(prompts=("the c",), num=9, max_new_tokens=7))
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
