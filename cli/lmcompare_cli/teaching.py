"""Several objectives on one text, and what trained models expect of it: to stdout and to files."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from lmcompare.errors import UserError
from lmcompare.runs.places import find_places
from lmcompare_cli import show_options as options
from lmcompare_cli.console import dumps, output, say, warn, write
from lmcompare_cli.rendering.overview import draw_overview
from lmcompare_cli.rendering.pages import print_page

if TYPE_CHECKING:
    from lmcompare.data import Tokenizer
    from lmcompare.objectives import Objective
    from lmcompare.teaching.predictions import TextPredictions
    from lmcompare.teaching.views import Views


@dataclass(frozen=True, kw_only=True)
class Result:
    """Where what is shown goes: to stdout in some format, and to files."""

    layout: options.Format | None
    svg: Path | None
    html: Path | None

    @property
    def printed(self) -> options.Format | None:
        """Return the format of what goes to stdout; None where files are enough."""
        files = self.svg is not None or self.html is not None
        return self.layout or (None if files else options.Format.table)

    def write(
        self, text: str, views: "Views | None", predictions: "Sequence[TextPredictions]" = ()
    ) -> None:
        """Write the files."""
        from lmcompare.comparison.figures.views import draw_views
        from lmcompare.files import write_text
        from lmcompare.report.teaching import teaching_page

        if self.svg is not None and views is not None:
            write_text(self.svg, draw_views(views))
            say(f"wrote {self.svg}")
        if self.html is not None:
            write_text(self.html, teaching_page(text, views=views, predictions=predictions))
            say(f"wrote {self.html}")


def objectives_shown(
    names: list[str], own: "Objective", settings: list[str], *, every: bool
) -> "list[Objective]":
    """Return the objectives that are drawn beside each other; `own` with the settings it has."""
    from lmcompare.objectives import OBJECTIVES, parse_objective

    wanted = list(OBJECTIVES) if every else names or [own.name]
    of_one = [each for each in settings if not each.startswith("tokenizer.")]
    if of_one and len(wanted) > 1:
        raise UserError(
            f"{of_one[0]} is a setting of one objective, and {len(wanted)} are shown: leave it "
            "out, or show that one alone"
        )
    return [own if name == own.name else parse_objective(name) for name in wanted]


def show_several(
    text: str, objectives: "Sequence[Objective]", tokenizer: "Tokenizer", *, seed: int, to: Result
) -> None:
    """Show a text under several objectives, one below the other, and write the files."""
    from lmcompare.teaching.views import views_of

    views = views_of(text, objectives, tokenizer, seed=seed)
    to.write(text, views)
    if to.printed is options.Format.json:
        write(dumps(asdict(views)) + "\n")
    elif to.printed is not None:
        output.print(*draw_overview(views), sep="\n")


def show_predictions(text: str, places: list[Path], *, seed: int, device: str, to: Result) -> None:
    """Show what models expect of a text; one that cannot be asked takes no other down."""
    from lmcompare.devices import choose_device
    from lmcompare.runs.finding import find_models
    from lmcompare.runs.loaded_model import load_model
    from lmcompare.teaching.prediction_formats import FORMATS, blocks_of
    from lmcompare.teaching.predictions import predictions_of, readings
    from lmcompare.teaching.views import views_of

    choose_device(device)
    found: list[TextPredictions] = []
    drawn: dict[str, tuple[Objective, Tokenizer]] = {}
    for run in find_models(find_places(places), warn=partial(say, style="yellow")):
        model = load_model(run, device=device, warn=warn)
        drawn.setdefault(model.objective.name, (model.objective, model.tokenizer))
        found += [predictions_of(each, text) for each in readings(model)]
    views = None
    if to.html is not None:
        shown = [objective for objective, _ in drawn.values()]
        views = views_of(text, shown, next(iter(drawn.values()))[1], seed=seed)
    to.write(text, views, found)
    if to.printed is options.Format.table:
        print_page(blocks_of(found))
    elif to.printed is not None:
        write(FORMATS[to.printed.value](text, found))
