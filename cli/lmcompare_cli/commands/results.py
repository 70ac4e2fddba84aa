"""`lmcompare results`: what was measured of runs and kept, and how to drop it."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import groupby
from typing import TYPE_CHECKING, Annotated

import typer

from lmcompare.errors import UserError
from lmcompare.runs.places import EXPERIMENTS, find_places
from lmcompare_cli import options
from lmcompare_cli.asking import confirmed
from lmcompare_cli.console import paragraph, print_json, say, warn

if TYPE_CHECKING:
    from lmcompare.evaluation.stored_results import StoredResult
    from lmcompare.runs.records import ResultRecord


def results(
    places: options.Places = None,
    only: Annotated[
        list[str] | None,
        typer.Option(
            metavar="WHAT",
            help="List these alone: an id, likelihood, infilling, generation, benchmark or probe, "
            "a benchmark, a probing task or a group of these, a text's name or hash, a scoring, a "
            "method, damaged, unfinished, or a setting such as window=128 or probe=mlp. Words "
            "joined by commas must all hold; repeat the option for more.",
            show_default="all",
        ),
    ] = None,
    remove: Annotated[
        list[str] | None,
        typer.Option(
            metavar="WHAT",
            help="Remove those of the list that are named in the same way, or all.",
            show_default=False,
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Remove without a question.")] = False,
    format: options.Format = "table",
) -> None:
    """List what was measured of runs, and remove what is not wanted any more.

    A result that was removed is as if it had never been measured: `compare` does not show it, and
    `eval` measures it again.

    lmcompare results experiments/first --only likelihood --remove bytes=2998
    """
    from lmcompare.evaluation.stored_results import stored_results
    from lmcompare.runs.finding import find_runs

    if remove is not None and not places:
        raise UserError("removing needs the runs or studies to remove from: name them")
    runs = find_runs(find_places(places) if places else [EXPERIMENTS], warn=warn)
    found = _chosen(stored_results(runs), only)
    if remove is None:
        _print(found, format)
        return
    going = _chosen(found, remove)
    _print(going, format)
    if not going:
        say("there is nothing to remove")
    elif confirmed(f"{_num(len(going))} and the items", yes=yes, verb="Remove", done="removed"):
        for result in going:
            result.remove()
        say(f"removed {_num(len(going))}")
    else:
        say("nothing was removed")


def _chosen(found: "list[StoredResult]", wanted: Sequence[str] | None) -> "list[StoredResult]":
    """Return those that are meant; everything where nothing is said.

    Raises:
        UserError: a selection means no result.
    """
    from lmcompare.evaluation.selection import Selection

    if wanted is None:
        return found
    selection = Selection.parse(wanted)
    facets = [result.facets for result in found]
    selection.require(facets)
    return [result for result, own in zip(found, facets, strict=True) if selection.matches(own)]


def _num(num: int) -> str:
    return f"{num:,} result{'' if num == 1 else 's'}"


def _print(found: "Sequence[StoredResult]", format: str) -> None:
    if format == "json":
        print_json([_as_json(result) for result in found])
        return
    if not found:
        say("nothing was measured yet: lmcompare eval")
        return
    from lmcompare.blocks import Part, names, numbers, words
    from lmcompare_cli.rendering.tables import print_parts

    print_parts(
        [
            *names("id"),
            *words("measured", "of", "settings"),
            *numbers("step"),
            *words("when"),
            *numbers("value"),
            *words("unit"),
        ],
        [
            Part(rows=[[*_cells(result)] for result in own], title=path)
            for path, own in groupby(found, key=lambda result: str(result.run.path))
        ],
    )
    for result in found:
        if result.fault:
            paragraph(f"{result.id}: {result.fault}")


def _cells(result: "StoredResult") -> Iterator[str]:
    from lmcompare.evaluation.selection import settings_of
    from lmcompare.runs.records import ELSEWHERE

    when = datetime.fromisoformat(result.measured).astimezone().strftime("%Y-%m-%d %H:%M")
    value, unit = result.headline or (None, "")
    record = result.record
    if record is None:
        kind, state = (*result.facets.values["kind"], *result.facets.values["state"])
        yield from (result.id, f"{kind}, {state}", result.file.name, "", "", when, "—", "")
        return
    yield result.id
    yield _what(record)
    yield f"{record.source} {record.text_hash[:8]}"
    yield " ".join(f"{key}={setting}" for key, setting in settings_of(record).items())
    yield "—" if record.step == ELSEWHERE else f"{record.step:,}"
    yield when
    yield "—" if value is None else f"{value:.3f}"
    yield unit


def _what(record: "ResultRecord") -> str:
    """Return the words of a result, beside its text: all of them select it."""
    from lmcompare.evaluation.selection import facets_of

    values = facets_of(record, id="").values
    wanted = ("task", "kind", "hidden", "form", "protocol", "method", "scoring", "state")
    found = [values[name][0] for name in wanted if name in values and name != "state"]
    if "untrained" in values.get("state", ()):
        found.append("untrained")
    return ", ".join(found)


def _as_json(result: "StoredResult") -> dict[str, object]:
    """Return a result with all that it may be selected by, and its record in full."""
    value, unit = result.headline or (None, None)
    return {
        "run": str(result.run.path),
        "id": result.id,
        "measured": result.measured,
        "selected_by": {key: [*values] for key, values in result.facets.values.items()},
        "value": value,
        "unit": unit,
        "fault": result.fault,
        "files": [str(file) for file in result.files if file.exists()],
        "record": None if result.record is None else result.record.model_dump(mode="json"),
    }
