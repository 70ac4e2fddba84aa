"""What cannot be written is said in one line."""

from pathlib import Path

import pytest

from tests.cli.generate.written import MORE
from tests.tiny import Command, the_error


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
