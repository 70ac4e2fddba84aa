"""The options of `generate`, and what it and `eval` refuse in a line as it makes no sense.

All is looked at before any model is.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from lmcompare.errors import UserError
from lmcompare.paths import JSON_LINES, suffix_of
from lmcompare_cli import completion

if TYPE_CHECKING:
    from lmcompare.generation.prompts import Request
    from lmcompare.runs.run import Run

Form = Literal["text", "jsonl", "json"]
PrecisionName = Literal["float32", "bfloat16"]  # as in `lmcompare.devices`, without its imports

Runs = Annotated[
    list[Path],
    typer.Argument(
        readable=False,
        help="Runs, studies, or hf:NAME of models of Hugging Face.",
        metavar="RUN...",
        autocompletion=completion.places,
    ),
]
Prompt = Annotated[
    list[str] | None,
    typer.Option(
        "--prompt",
        "-p",
        help="The text to continue; ___ in it is a hole to fill. Repeat for several. Without a "
        "prompt the model starts from nothing.",
        show_default=False,
    ),
]
Prompts = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="A file with one prompt a line, or .jsonl with a field prompt; - for stdin.",
        show_default=False,
    ),
]
Num = Annotated[int, typer.Option("--num", "-n", min=1, help="How many samples of each prompt.")]
MaxNewTokens = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="How many tokens to write after a prompt; at most, with --end.",
        show_default="64",
    ),
]
HoleTokens = Annotated[
    int | None,
    typer.Option(min=1, help="How many tokens each hole has.", show_default="left to the model"),
]
End = Annotated[bool, typer.Option("--end", help="Let the model say where a text ends.")]
Method = Annotated[
    str | None,
    typer.Option(
        help="How to write: left-to-right, surest-first, ...",
        show_default="the objective's own",
    ),
]
Seed = Annotated[int, typer.Option(min=0, help="The seed of all samples.")]
Stop = Annotated[
    list[str] | None,
    typer.Option(help="End a text before this; repeat for several.", show_default=False),
]
Batch = Annotated[
    int,
    typer.Option(
        min=1,
        help="How many samples are written together; changes none of them, unless two choices are "
        "equal to within rounding.",
    ),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, mps")]
Precision = Annotated[
    PrecisionName,
    typer.Option(
        help="The precision of the weights; bfloat16 is faster, less exact, and --batch may "
        "change a text."
    ),
]
Format = Annotated[Form, typer.Option("--format", "-f", help="The format of what goes to stdout.")]
Trace = Annotated[
    Path | None,
    typer.Option(
        readable=False,
        help="A file to keep every step in, for `lmcompare show --replay`.",
        show_default=False,
    ),
]
Live = Annotated[
    bool | None,
    typer.Option(
        "--live/--no-live", help="Show texts as they are written.", show_default="on a terminal"
    ),
]

NO_PROMPTS = (".json", ".csv", ".tsv", ".parquet")  # whose source would be taken for prompts


def require_use(request: "Request", max_new_tokens: int | None) -> None:
    """Make sure that each option is of use to some prompt.

    Args:
        request: all of it.
        max_new_tokens: as given; None where it was not.

    Raises:
        UserError: one is not.
    """
    from lmcompare.generation.prompts import HOLE

    holed = [HOLE in prompt for prompt in request.prompts]
    for option, idle, why in (
        (
            "--hole-tokens",
            request.hole_tokens is not None and not any(holed),
            f"has a hole ({HOLE})",
        ),
        ("--end", request.any_length and all(holed), "is continued"),
        ("--stop", bool(request.stop) and all(holed), "is continued"),
        (
            "--max-new-tokens",
            max_new_tokens is not None and request.hole_tokens is not None and all(holed),
            "is continued, or has holes of any length",
        ),
    ):
        if idle:
            raise UserError(f"{option} is of no use, as no prompt {why}: leave it out")


def require_place(trace: Path, runs: "list[Run]", request: "Request") -> None:
    """Make sure that a trace can be written, before all the work.

    Raises:
        UserError: it cannot.
    """
    if len(runs) > 1:
        raise UserError(f"a trace is of one run, and {len(runs)} are given: name one of them")
    if request.sampler.beams > 1:
        raise UserError(
            "a search with beams writes several texts and keeps one, which leaves no steps to "
            "trace: leave out --trace or --beams"
        )
    if trace.is_dir():
        raise UserError(f"the trace {trace} is a folder: name a file, such as {trace}/trace.jsonl")
    if not trace.parent.is_dir():
        raise UserError(f"there is no folder {trace.parent} for the trace: make it first")


def read_prompts(given: list[str] | None, file: str | None) -> Iterator[str]:
    """Yield all prompts, those of the file last; where none is given, one of no text.

    Raises:
        UserError: a prompt is blank or unreadable.
    """
    if given is None and file is None:
        yield ""
    for prompt in given or []:
        yield _legal(prompt, "a --prompt")
    if file is not None:
        yield from _read(file)


def _read(file: str) -> Iterator[str]:
    from lmcompare.textfiles import as_text, lines_of, read_lines

    path = Path(file)
    suffix = "" if file == "-" else suffix_of(path)
    if suffix in NO_PROMPTS:
        raise UserError(
            f"{file} is of a type that prompts are not read from, '{suffix}': write one prompt a "
            'line into a .txt, or {"prompt": "..."} a line into a .jsonl'
        )
    name = "standard input" if file == "-" else file
    num = 0
    for number, line in (
        lines_of(as_text(sys.stdin.buffer, name=name), name=name)
        if file == "-"
        else read_lines(path)
    ):
        num += 1
        where = f"line {number} of {name}"
        yield _legal(_field(line, where) if suffix in JSON_LINES else line, where)
    if not num:
        raise UserError(f"{name} holds no prompt: write one a line, or leave out --prompts")


def _field(line: str, where: str) -> str:
    from lmcompare.parsing import parse_json

    record = parse_json(line, where=where) if line.strip() else None
    prompt = record.get("prompt") if isinstance(record, dict) else None
    if not isinstance(prompt, str):
        raise UserError(
            f'{where} is not a JSON object with a text "prompt": write {{"prompt": "..."}}'
        )
    return prompt


def _legal(prompt: str, where: str) -> str:
    if not prompt.strip():
        raise UserError(
            f"{where} is blank: leave it out; without a prompt, models start from nothing"
        )
    try:
        prompt.encode()
    except UnicodeEncodeError:
        raise UserError(f"{where} is not in UTF-8: convert it first") from None
    return prompt


def num_rows_of(given: str) -> int:
    """Return the rows of a forward pass.

    Raises:
        UserError: it is not a number of rows.
    """
    if not given.isdecimal() or int(given) == 0:
        raise UserError(f"--batch-size is a number of rows, 1 or more, or auto, not {given!r}")
    return int(given)
