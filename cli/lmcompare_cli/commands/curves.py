"""`lmcompare curves`: what runs had learned, against what had been spent on them by then."""

import csv
from enum import StrEnum
from functools import partial
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from lmcompare.errors import UserError
from lmcompare.runs.places import EXPERIMENTS, find_places
from lmcompare_cli import options
from lmcompare_cli.console import print_json, say, write

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lmcompare.runs.curves import Axis, Curve, LearnedMetric

PRINTED = ("svg", "pdf", "png")  # formats of a picture that is saved


class Format(StrEnum):
    """How curves are printed."""

    table = "table"
    json = "json"
    csv = "csv"


def curves(
    places: options.Places = None,
    against: Annotated[
        Literal["tokens", "targets", "flops", "seconds"],
        typer.Option(help="What was spent."),
    ] = "tokens",
    metric: Annotated[
        Literal["common", "validation", "loss"],
        typer.Option(
            help="What was learned: common is about hidden tokens that are the same for every "
            "objective, validation and loss are each objective's own.",
        ),
    ] = "common",
    out: options.Out = EXPERIMENTS,
    layout: Annotated[
        Format, typer.Option("--format", "-f", help="A picture, or data: a row a point.")
    ] = Format.table,
    save: Annotated[
        Path | None,
        typer.Option(
            readable=False, help="Write the picture to this file instead: .svg, .pdf or .png."
        ),
    ] = None,
) -> None:
    """Draw what runs had learned against what had been spent on them by then.

    A line is a run; an arm's color and marker are those of its objective in every picture. Runs
    that still train are drawn as far as they are: the same command draws them anew.

    lmcompare curves experiments/first --against flops
    """
    from lmcompare.runs.curve_groups import cautions
    from lmcompare.runs.curves import read_curve
    from lmcompare.runs.finding import find_runs

    chosen = find_places(places, out=out) if places else [out]
    found: list[Curve] = []
    for run in find_runs(chosen, warn=partial(say, style="yellow")):
        try:
            found.append(read_curve(run))
        except UserError as error:
            say(f"left out: {error}", "yellow")
    shown = [curve for curve in found if curve.points(metric)]
    if not shown:
        raise UserError(f"no run has logged {metric} yet: {_why_none(found, metric)}")
    if lacking := [curve.run.path.name for curve in found if curve not in shown]:
        say(f"left out, as they have not logged {metric}: {', '.join(lacking)}", "yellow")
    for caution in cautions(shown, metric):
        say(caution, "yellow")
    if save is not None:
        _save(shown, metric, against, save)
        return
    if layout is Format.table:
        from lmcompare_cli.rendering.curves import print_curves

        print_curves(shown, metric, against)
        return
    rows = [row for curve in shown for row in _rows(curve, metric)]
    if layout is Format.json:
        print_json(rows)
        return
    table = StringIO()
    lines = csv.DictWriter(table, rows[0], lineterminator="\n")
    lines.writeheader()
    lines.writerows(rows)
    write(table.getvalue())


def _save(shown: "Sequence[Curve]", metric: "LearnedMetric", against: "Axis", path: Path) -> None:
    """Write the picture for print."""
    from lmcompare.comparison.figures.drawing import can_draw
    from lmcompare.comparison.figures.training_curves import draw
    from lmcompare.files import write_bytes
    from lmcompare.runs.curve_groups import by_arm

    format = path.suffix.removeprefix(".").lower()
    if format not in PRINTED:
        endings = ", ".join(f".{each}" for each in PRINTED)
        raise UserError(f"--save {path} has no ending of a picture: give it one of {endings}")
    if not can_draw():
        raise UserError("a picture for print needs matplotlib: pip install 'lmcompare[plots]'")
    write_bytes(path, draw(by_arm(shown), metric, against, format=format))
    say(f"wrote {path}")


def _why_none(found: "Sequence[Curve]", metric: "LearnedMetric") -> str:
    """Say what to do where no run has points."""
    if any(curve.points("validation") for curve in found):
        return "runs of earlier versions did not, choose --metric validation"
    if any(curve.points("loss") for curve in found):
        return "wait for the first validation, or choose --metric loss"
    return "train them first, or wait for the first checkpoint"


def _rows(curve: "Curve", metric: "LearnedMetric") -> "Iterator[dict[str, Any]]":
    """Yield a row for each point."""
    from lmcompare.runs.common_question import given_to, scoring_of

    record = curve.record
    for phase, points in curve.parts(metric):
        asked = metric == "common"
        for point in points:
            yield {
                "run": str(curve.run.path),
                "arm": record.arm,
                "objective": phase.objective.name,
                "phase": phase.number,
                "seed": record.config.seed,
                "state": curve.state,
                "metric": metric,
                "scoring": scoring_of(phase.objective) if asked else None,
                "given": given_to(phase.objective) if asked else None,
                **point.spent.model_dump(),
                "value": point.value,
            }
