"""Options that several commands share, and how they make a configuration."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from lmcompare.studies import Planned

EXPERIMENTS = Path("experiments")

Study = Annotated[
    Path | None,
    typer.Argument(help="A study file (TOML) of several arms and seeds.", show_default=False),
]
Objective = Annotated[
    str | None,
    typer.Option(
        "--objective",
        "-o",
        help="What to train for: clm, mlm, ... (see `lmcompare objectives`).",
        show_default=False,
    ),
]
Data = Annotated[
    str | None,
    typer.Option(
        help="Text: a file, folder, glob, .jsonl, .parquet (.gz .zst .xz too), hf:NAME, or - for "
        "standard input; the English inside Python's own documentation by default.",
        show_default=False,
    ),
]
Document = Annotated[
    str | None,
    typer.Option(help="What a document is: auto, file, record, block or line.", show_default=False),
]
EncodingErrors = Annotated[
    str | None,
    typer.Option(help="strict, or replace for bytes that are not UTF-8.", show_default=False),
]
VocabSize = Annotated[
    int | None, typer.Option(help="How many ids the tokenizer has.", show_default=False)
]
Size = Annotated[
    str | None,
    typer.Option(
        "--model", "-m", help="Size: nano, micro, small, base, medium or large.", show_default=False
    ),
]
BudgetOption = Annotated[
    str | None,
    typer.Option(
        "--budget",
        "-b",
        help='How long to train: "2M tokens", "500 steps", "1e15 flops", "60 seconds".',
        show_default=False,
    ),
]
Seed = Annotated[
    list[int] | None,
    typer.Option(help="The seed of the run; repeat for several runs.", show_default=False),
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set", "-s", help="Any setting, as batch.rows=32; repeat for several.", show_default=False
    ),
]
Out = Annotated[Path, typer.Option("--out", help="The folder of all studies.")]
Format = Annotated[
    Literal["table", "json"],
    typer.Option("--format", "-f", help="The format of what goes to stdout."),
]


def planned_runs(
    study: Path | None,
    *,
    arm: str | None,
    given: Mapping[str, Any],
    seeds: list[int] | None,
    settings: list[str] | None,
) -> "list[Planned]":
    """The runs that a command line asks for: those of a study file, or one for each seed.

    Args:
        study: a study file; then nothing else may be given.
        arm: the name of the arm; the objective's by default.
        given: dotted key to value; None where the option was not used.
        seeds: one run for each.
        settings: further `key=value`.
    """
    from lmcompare.config import assign, parse_run
    from lmcompare.errors import UserError
    from lmcompare.studies import Planned, read_study, require_name

    used = {key: value for key, value in given.items() if value is not None}
    if study is not None:
        if used or seeds or settings or arm:
            raise UserError(
                f"the study {study} says all of its runs itself, and other settings were given "
                "beside it: "
                "write them into its [shared] table"
            )
        return read_study(study)
    tables: dict[str, Any] = {}
    for key, value in used.items():
        section, _, name = key.rpartition(".")
        inner = tables.setdefault(section, {}) if section else tables
        inner[name] = value
    tables = assign(tables, settings or [])
    if "objective" not in tables:
        raise UserError(
            "no objective is given: say --objective mlm, for example, or name a study file"
        )
    configs = [
        parse_run({**tables, **({} if seed is None else {"seed": seed})})
        for seed in dict.fromkeys(seeds or (None,))
    ]
    return [
        Planned(arm=require_name(arm or config.objective.name), config=config) for config in configs
    ]
