"""`lmcompare runs`."""

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from lmcompare.runs.places import EXPERIMENTS, find_places
from lmcompare_cli import options
from lmcompare_cli.console import print_json, say


def runs(
    places: Annotated[
        list[Path] | None,
        typer.Argument(
            readable=False, help="Runs, studies, or folders of studies.", show_default=False
        ),
    ] = None,
    out: options.Out = EXPERIMENTS,
    format: options.Format = "table",
) -> None:
    """List runs with their state, step and loss."""
    from lmcompare.blocks import names, numbers, words
    from lmcompare.errors import UserError
    from lmcompare.runs.finding import find_runs
    from lmcompare_cli.rendering.tables import print_table

    rows: list[dict[str, Any]] = []
    chosen = find_places(places, out=out) if places else [out]
    for run in find_runs(chosen, warn=partial(say, style="yellow")):
        try:
            record = run.record()
            last = run.last_metrics()
            rows.append(
                {
                    "run": str(run.path),
                    "arm": record.arm,
                    "seed": record.config.seed,
                    "state": run.state(),
                    "step": 0 if last is None else last.step,
                    "share": 0.0
                    if last is None
                    else min(1.0, record.config.budget.progress(last.spent)),
                    "loss": None if last is None else last.loss,
                    "validation": run.last_validation(),
                    "budget": str(record.config.budget),
                }
            )
        except UserError as error:
            say(f"left out: {error}", "yellow")
    if format == "json":
        print_json(rows)
        return
    print_table(
        [
            *names("run"),
            *words("state"),
            *numbers("step", "of budget", "loss", "validation"),
        ],
        (
            [
                row["run"],
                row["state"],
                f"{row['step']:,}",
                f"{row['share']:.0%} of {row['budget']}",
                "—" if row["loss"] is None else f"{row['loss']:.3f}",
                "—" if row["validation"] is None else f"{row['validation']:.3f}",
            ]
            for row in rows
        ),
    )
