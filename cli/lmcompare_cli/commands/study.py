"""`lmcompare study`: everything that the summary wants, by one command."""

from pathlib import Path
from typing import Annotated, Any

import typer

from lmcompare.runs.places import EXPERIMENTS
from lmcompare_cli import options
from lmcompare_cli.commands.compare import compare
from lmcompare_cli.commands.eval import measure
from lmcompare_cli.commands.train import train
from lmcompare_cli.console import say

# what the summary is made of, with options that keep it short
KINDS = ("likelihood", "generation", "speed", "context")
OPTIONS = {
    **{"limit": 10_000, "texts": 16, "new_tokens": 32, "rounds": 8},
    **{"asked_tokens": 400, "curve_tokens": 60, "changed_tokens": 20},
}


def study(
    name: Annotated[str, typer.Argument(help="The study's name.", metavar="NAME")] = "textbook",
    objectives: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES", help="Objectives, by commas, or all.", show_default="clm,mlm"
        ),
    ] = None,
    data: options.Data = None,
    model: options.Size = None,
    budget: options.BudgetOption = None,
    seed: options.Seed = None,
    settings: options.Set = None,
    out: options.Out = EXPERIMENTS,
) -> None:
    """Train some objectives at a small budget, ask all that the summary wants, and show it.

    The study is a file like any other: it is written to its folder, where it can be changed. What
    was trained and measured before is not again, so the same command goes on where it was stopped.

    lmcompare study textbook

    lmcompare study mine --data my.txt --objectives clm,mlm,t5
    """
    from lmcompare.config.run import assign
    from lmcompare.evaluation.registry import read_options
    from lmcompare.training import textbook

    given: dict[str, Any] = {
        name: value
        for name, value in (
            ("data", data and {"source": data}),
            ("model", model),
            ("budget", budget),
            ("seeds", seed),
        )
        if value
    }
    chosen = [each.strip() for each in (objectives or "").split(",") if each.strip()]
    path = textbook.write_study(out / name, chosen, given=assign(given, settings or []))
    asked = read_options(KINDS, OPTIONS)
    train(study=path, out=out)
    measure([path.parent], asked)
    compare(places=[path.parent])
    _report(path.parent)


def _report(folder: Path) -> None:
    """Write the report, or say what it lacks: the study itself is done."""
    from lmcompare.errors import UserError
    from lmcompare_cli.commands.report import report

    try:
        report(places=[folder])
    except UserError as error:
        say(f"no report: {error}", "yellow")
