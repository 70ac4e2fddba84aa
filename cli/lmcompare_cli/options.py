"""Options that several commands share, and how they make a configuration."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from lmcompare.runs.places import EXPERIMENTS
from lmcompare_cli import completion
from lmcompare_cli.console import talk

if TYPE_CHECKING:
    from lmcompare.config.study import Planned
    from lmcompare.data import DataConfig

# Paths have readable=False, since for a closed file typer would print how commands are used; what
# reads the file says in one line what is wrong.

Places = Annotated[
    list[Path] | None,
    typer.Argument(
        readable=False,
        metavar="RUN|STUDY",
        help="Runs, studies, folders of studies, or hf:NAME of models of Hugging Face.",
        show_default=str(EXPERIMENTS),
        autocompletion=completion.places,
    ),
]
Study = Annotated[
    Path | None,
    typer.Argument(
        readable=False,
        help="A study file (TOML) of several arms and seeds.",
        show_default=False,
        autocompletion=completion.places,
    ),
]
Objective = Annotated[
    str | None,
    typer.Option(
        "--objective",
        "-o",
        help="What to train for: clm, mlm, ... (see `lmcompare objectives`).",
        show_default=False,
        autocompletion=completion.objectives,
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
    typer.Option(
        help="What a document is: auto, file, record, block or line (data.document).",
        show_default=False,
    ),
]
EncodingErrors = Annotated[
    str | None,
    typer.Option(
        help="strict, or replace for bytes that are not UTF-8 (data.encoding_errors).",
        show_default=False,
    ),
]
Field = Annotated[
    str | None,
    typer.Option(help="Of records, the one that holds the text (data.field).", show_default=False),
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
Phases = Annotated[
    list[str] | None,
    typer.Option(
        "--phase",
        metavar="NAME[:SHARE]",
        help="In place of --objective, several one after another, each with its share of the "
        "budget: --phase clm:60% --phase mlm. The last takes the rest.",
        show_default=False,
    ),
]
Init = Annotated[
    str | None,
    typer.Option(
        metavar="RUN",
        help="Whose weights to start from: a run, a folder of one of its checkpoints, or hf:NAME.",
        show_default=False,
        autocompletion=completion.places,
    ),
]
Seed = Annotated[
    list[int] | None,
    typer.Option(help="The seed of the run; repeat for several runs.", show_default=False),
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        "-s",
        help="Any setting, as batch.rows=32; repeat for several.",
        show_default=False,
        autocompletion=completion.settings,
    ),
]
SetData = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        "-s",
        help="How --data is read, any setting of it: data.key=value; repeat.",
        show_default=False,
    ),
]
StudyName = Annotated[
    str | None,
    typer.Option(
        "--study",
        metavar="NAME",
        help="The study that a run given by options belongs to.",
        show_default="default",
        autocompletion=completion.studies,
    ),
]
StudyOfHf = Annotated[
    str | None,
    typer.Option(
        "--study",
        metavar="NAME",
        help="The study that models of Hugging Face (hf:NAME) stand in, whose held-out text they "
        "are asked about.",
        show_default="that of the other runs, or default",
        autocompletion=completion.studies,
    ),
]
Arm = Annotated[
    str | None,
    typer.Option(help="The name in tables; by default the objective's.", show_default=False),
]
StartAgain = Annotated[
    bool, typer.Option("--force", help="Start again in a new place, keeping the old run.")
]
Comment = Annotated[
    str | None,
    typer.Option(
        help="What to say of the runs, in place of what was said of them.", show_default=False
    ),
]
Tags = Annotated[
    list[str] | None,
    typer.Option(
        "--tag",
        metavar="WORD",
        help="A word to find the runs by, beside those that they have; repeat for several.",
        show_default=False,
        autocompletion=completion.tags,
    ),
]
Parallel = Annotated[
    int,
    typer.Option(
        min=1, help="Runs at a time, each in a process of its own; for small models on a GPU."
    ),
]
Out = Annotated[Path, typer.Option("--out", readable=False, help="The folder of all studies.")]
Split = Annotated[
    Literal["train", "validation", "test"],
    typer.Option(help="Which split of each run's own text."),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, mps")]
Unfinished = Annotated[
    bool,
    typer.Option("--unfinished", help="Show unfinished runs too; they are marked and not ranked."),
]
Format = Annotated[
    Literal["table", "json"],
    typer.Option("--format", "-f", help="The format of what goes to stdout."),
]


def data_config(
    data: str | None, *, settings: list[str] | None, **given: str | None
) -> "DataConfig | None":
    """Return how a text that is not a run's own is read; None where none is named.

    Args:
        data: the text.
        settings: further `data.key=value`.
        given: key to value; None where the option was not used.
    """
    from lmcompare.config.run import assign, parse_data
    from lmcompare.data.corpus import not_read
    from lmcompare.errors import UserError

    used = {key: value for key, value in given.items() if value is not None}
    if data is None:
        if used or settings:
            options = [f"--{key.replace('_', '-')}" for key in used] or ["--set"]
            raise UserError(
                f"{options[0]} says how --data is read, and no --data is given: leave it out"
            )
        return None
    tables = assign({"data": {"source": data, **used}}, settings or [])
    for key in tables:
        if key != "data":
            raise UserError(f"'{key}' is not a setting of how --data is read: write data.KEY=VALUE")
    config = parse_data(tables["data"])
    for sentence in not_read(config):
        _warn(sentence)
    return config


def planned_runs(
    study: Path | None,
    *,
    arm: str | None,
    given: Mapping[str, Any],
    seeds: list[int] | None,
    settings: list[str] | None,
    phases: list[str] | None = None,
) -> "list[Planned]":
    """Return the runs that a command line asks for: those of a study file, or one for each seed.

    Args:
        study: a study file; then nothing else may be given.
        arm: the name of the arm; the objective's by default.
        given: dotted key to value; None where the option was not used.
        seeds: one run for each.
        settings: further `key=value`.
        phases: objectives one after another, `clm:60%`.
    """
    from lmcompare.config.phases import parse_phases
    from lmcompare.config.run import assign
    from lmcompare.config.study import plan
    from lmcompare.errors import UserError

    tables: dict[str, Any] = {}
    if phases:
        tables["phase"] = parse_phases(phases)
    for key, value in given.items():
        if value is not None:
            section, _, name = key.rpartition(".")
            inner = tables.setdefault(section, {}) if section else tables
            inner[name] = value
    tables = assign(tables, settings or [])
    if study is None and not {"objective", "phase"}.intersection(tables):
        raise UserError(
            "no objective is given: say --objective mlm, for example, or name a study file"
        )
    if "init" in tables:
        from lmcompare.training.start import suited_to_start

        tables = suited_to_start(tables, out=EXPERIMENTS)
    return plan(study, tables, arm=arm, seeds=seeds, warn=_warn)


def _warn(sentence: str) -> None:
    talk.print(sentence, style="yellow", soft_wrap=True)
