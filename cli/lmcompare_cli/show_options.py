"""Options of `lmcompare show`."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from lmcompare.errors import UserError
from lmcompare_cli import completion

SEVERAL, PREDICTING = "Several objectives in one picture", "What trained models expect"


class Format(StrEnum):
    """A format of the result."""

    table = "table"
    json = "json"
    csv = "csv"
    md = "md"


Runs = Annotated[
    list[Path] | None,
    typer.Argument(
        readable=False,
        metavar="RUN...",
        help="Of --predict: runs or studies.",
        show_default=False,
        autocompletion=completion.places,
    ),
]
Objectives = Annotated[
    list[str] | None,
    typer.Option(
        "--objective",
        "-o",
        help="Its name; repeat to see several in one picture.",
        show_default="mlm, or the run's",
        autocompletion=completion.objectives,
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set", "-s", metavar="KEY=VALUE", help="A setting of it, as rate=0.4; repeatable."
    ),
]
TextOption = Annotated[str, typer.Option("--text", help="What to look at; - reads standard input.")]
Seed = Annotated[int, typer.Option(min=0, help="Of the draw.")]
Step = Annotated[int, typer.Option(min=0, help="Of training: each draws anew.")]
Draws = Annotated[
    int, typer.Option(min=1, help="This many steps, one under the other, without a picture.")
]
RunOption = Annotated[
    Path | None,
    typer.Option(
        "--run",
        readable=False,
        help="A run to take the objective and the tokenizer from.",
        autocompletion=completion.places,
    ),
]
TokenizerOption = Annotated[
    Path | None,
    typer.Option(
        "--tokenizer",
        readable=False,
        help="A tokenizer.json.",
        show_default="trained on the built-in text",
    ),
]
Layout = Annotated[
    Format | None,
    typer.Option(
        "--format",
        "-f",
        help="To read, or all there is; csv and md of --predict.",
        show_default="table, or nothing beside a file",
    ),
]
All = Annotated[bool, typer.Option("--all", help="Every objective.", rich_help_panel=SEVERAL)]
Svg = Annotated[
    Path | None,
    typer.Option(readable=False, help="Write the picture to this file.", rich_help_panel=SEVERAL),
]
Html = Annotated[
    Path | None,
    typer.Option(
        readable=False,
        help="Write a page with the pictures, and tables beside them, to this file; with "
        "--predict also what the models expect.",
        rich_help_panel=SEVERAL,
    ),
]
Predict = Annotated[
    bool,
    typer.Option(
        "--predict",
        help="Ask the models of runs for each token of the text: its probability, its rank, and "
        "the likeliest five.",
        rich_help_panel=PREDICTING,
    ),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, ...", rich_help_panel=PREDICTING)]
Replay = Annotated[
    Path | None,
    typer.Option(readable=False, help="Play a trace of `lmcompare generate` instead."),
]
Sample = Annotated[
    str | None, typer.Option(metavar="PROMPT.NUMBER", help="Of the trace; all by default.")
]

# of each way to show something: what it is called, and the options that are of use to it
_USES: dict[str, set[str]] = {
    "--replay": {"replay", "sample"},
    "--predict": {"predict", "places", "text", "seed", "layout", "html", "device"},
    "several objectives in one picture": {
        *("objective", "every", "settings", "text", "seed", "run", "tokenizer"),
        *("layout", "svg", "html"),
    },
    "one objective": {
        *("objective", "settings", "text", "seed", "step", "draws", "run", "tokenizer", "layout")
    },
}


def require_use(context: typer.Context, *, several: bool) -> None:
    """Make sure that each option that was given is of use beside the others.

    Args:
        context: what was given.
        several: whether several objectives are drawn, or files written.

    Raises:
        UserError: one is not.
    """
    given = {
        str(each.name): each
        for each in context.command.params
        if str(context.get_parameter_source(str(each.name))).endswith("COMMANDLINE")
    }
    if "places" in given and "predict" not in given:
        raise UserError("runs are named for --predict: add it, or name one with --run")
    if "predict" in given and "places" not in given:
        raise UserError("no run is given to predict: name some, as in show --predict RUN...")
    if "every" in given and "objective" in given:
        raise UserError("--all shows every objective: leave out --objective, or --all")
    if "sample" in given and "replay" not in given:
        raise UserError("--sample is one of a trace: name its file with --replay, or leave it out")
    ways = {"--replay": "replay" in given, "--predict": "predict" in given}
    ways["several objectives in one picture"] = several
    way = next((name for name, holds in ways.items() if holds), "one objective")
    for name, option in given.items():
        if name not in _USES[way]:
            raise UserError(f"{option.opts[0]} is of no use with {way}: leave it out")
    layout = context.params["layout"]
    if layout in (Format.csv, Format.md) and way != "--predict":
        raise UserError(f"--format {layout.value} is of --predict: choose table or json")


def read(text: str) -> str:
    """Return the text that is meant; `-` is standard input.

    Raises:
        UserError: there is none, or it is not in UTF-8.
    """
    if text == "-":
        text = sys.stdin.read().rstrip("\n")
    if not text or text.isspace():
        raise UserError('there is no text: write --text "...", or --text - to read standard input')
    try:
        text.encode()
    except UnicodeEncodeError:
        raise UserError("the text is not in UTF-8: convert it first") from None
    return text
