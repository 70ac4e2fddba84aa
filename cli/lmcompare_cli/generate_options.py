"""What `generate` and `eval` are asked for, refused in a line where it makes no sense.

All is looked at before any model is.
"""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from lmcompare.errors import UserError, did_you_mean
from lmcompare.paths import JSON_LINES, suffix_of

if TYPE_CHECKING:
    from lmcompare.generation.prompts import Request
    from lmcompare.objectives.decoding.sampler import Sampler
    from lmcompare.runs.run import Run

NO_PROMPTS = (".json", ".csv", ".tsv", ".parquet")  # whose source would be taken for prompts


def make_sampler(given: Mapping[str, object]) -> "Sampler":
    """The settings that were asked for (not None), and no others.

    Raises:
        UserError: some contradict each other, or are out of range.
    """
    from pydantic import ValidationError

    from lmcompare.objectives.decoding.sampler import Sampler

    try:
        return Sampler.model_validate({k: v for k, v in given.items() if v is not None})
    except ValidationError as error:
        first = error.errors()[0]
        message = first["msg"].removeprefix("Value error, ")
        if not first["loc"]:
            raise UserError(message) from None
        option = str(first["loc"][0]).replace("_", "-")
        message = message[0].lower() + message[1:]
        raise UserError(f"--{option} cannot be {first['input']}: {message}") from None


def read_decoding(text: str) -> "Sampler":
    """Settings such as `greedy` or `top_k=40,temperature=0.7`.

    Raises:
        UserError: there is no such setting, or as `make_sampler`.
    """
    from lmcompare.objectives.decoding.sampler import Sampler

    given: dict[str, object] = {}
    for part in text.split(","):
        name, _, value = (each.strip() for each in part.partition("="))
        name = name.replace("-", "_")
        if name not in Sampler.model_fields:
            raise UserError(
                f"--decoding {text!r} sets '{name}', which is not a setting of sampling: "
                f"{did_you_mean(name, Sampler.model_fields)}"
            )
        given[name] = value or "true"
    return make_sampler(given)


def require_use(asked: "Request", max_new_tokens: int | None) -> None:
    """Make sure that each option is of use to some prompt.

    Args:
        asked: all of it.
        max_new_tokens: as given; None where it was not.

    Raises:
        UserError: one is not.
    """
    from lmcompare.generation.prompts import HOLE

    holed = [HOLE in prompt for prompt in asked.prompts]
    for option, idle, why in (
        ("--hole-tokens", asked.hole_tokens is not None and not any(holed), f"has a hole ({HOLE})"),
        ("--end", asked.any_length and all(holed), "is continued"),
        ("--stop", bool(asked.stop) and all(holed), "is continued"),
        (
            "--max-new-tokens",
            max_new_tokens is not None and asked.hole_tokens is not None and all(holed),
            "is continued, or has holes of any length",
        ),
    ):
        if idle:
            raise UserError(f"{option} is of no use, as no prompt {why}: leave it out")


def require_place(trace: Path, runs: "list[Run]", asked: "Request") -> None:
    """Make sure that a trace can be written, before all the work.

    Raises:
        UserError: it cannot.
    """
    if len(runs) > 1:
        raise UserError(f"a trace is of one run, and {len(runs)} are given: name one of them")
    if asked.sampler.beams > 1:
        raise UserError(
            "a search with beams writes several texts and keeps one, which leaves no steps to "
            "trace: leave out --trace or --beams"
        )
    if trace.is_dir():
        raise UserError(f"the trace {trace} is a folder: name a file, such as {trace}/trace.jsonl")
    if not trace.parent.is_dir():
        raise UserError(f"there is no folder {trace.parent} for the trace: make it first")


def read_prompts(given: list[str] | None, file: str | None) -> Iterator[str]:
    """All prompts, those of the file last; where none is given, one of no text.

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


def require_task(chosen: set[str], task: str, what: str, **given: object) -> None:
    """Make sure that options of a task are of use.

    Args:
        chosen: tasks.
        task: the one that the options are about.
        what: they say of it.
        given: options by name; None where one was not used.

    Raises:
        UserError: the task is not chosen, and some are given.
    """
    idle = [f"--{name.replace('_', '-')}" for name, value in given.items() if value is not None]
    if idle and task not in chosen:
        raise UserError(
            f"{', '.join(idle)} is about {what}, which is not asked for: add --tasks {task}, or "
            "leave it out"
        )
