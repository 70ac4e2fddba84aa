"""`lmcompare show`: what a model sees of a text under an objective, token by token.

Everything is read off the view that the objective makes, as the network would be given it; nothing
here knows an objective by its name, so a new one, or one with more positions than its text, just
shows.
"""

import json
import sys
from collections.abc import Mapping
from dataclasses import fields
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text as Line

from lmcompare.errors import UserError, did_you_mean
from lmcompare.paths import cache_folder
from lmcompare.runs.places import find_place
from lmcompare_cli import completion
from lmcompare_cli.console import output, talk, warn
from lmcompare_cli.rendering.live_text import replay as play
from lmcompare_cli.rendering.view import draw, draw_list

if TYPE_CHECKING:
    from lmcompare.config.run import RunConfig
    from lmcompare.data import Tokenizer
    from lmcompare.objectives import Objective
    from lmcompare.view import Text, View

SENTENCE = "A list is a sequence of values, and a tuple is a list that never changes."


class Format(StrEnum):
    """A format of the result."""

    table = "table"
    json = "json"


def show(
    objective: Annotated[
        str | None,
        typer.Option(
            help="Its name.", show_default="mlm, or the run's", autocompletion=completion.objectives
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", "-s", metavar="KEY=VALUE", help="A setting of it, as rate=0.4; repeatable."
        ),
    ] = None,
    text: Annotated[str, typer.Option(help="What to look at; - reads standard input.")] = SENTENCE,
    seed: Annotated[int, typer.Option(min=0, help="Of the draw.")] = 0,
    step: Annotated[int, typer.Option(min=0, help="Of training: each draws anew.")] = 0,
    draws: Annotated[
        int, typer.Option(min=1, help="This many steps, one under the other, without a picture.")
    ] = 1,
    run: Annotated[
        Path | None,
        typer.Option(
            readable=False,
            help="A run to take the objective and the tokenizer from.",
            autocompletion=completion.places,
        ),
    ] = None,
    tokenizer: Annotated[
        Path | None,
        typer.Option(
            readable=False, help="A tokenizer.json.", show_default="trained on the built-in text"
        ),
    ] = None,
    layout: Annotated[
        Format, typer.Option("--format", help="To read, or all there is.")
    ] = Format.table,
    replay: Annotated[
        Path | None,
        typer.Option(readable=False, help="Play a trace of `lmcompare generate` instead."),
    ] = None,
    sample: Annotated[
        str | None, typer.Option(metavar="PROMPT.NUMBER", help="Of the trace; all by default.")
    ] = None,
) -> None:
    """Show what a model sees of a text: what goes in, what it must predict, and who sees whom."""
    if replay is not None:
        return play(replay, sample=sample)
    if sample is not None:
        raise UserError("--sample is one of a trace: name its file with --replay, or leave it out")
    from lmcompare import rng

    run = None if run is None else find_place(run)
    sentence = _read(text)
    config = _configuration(objective, settings or [], run=run, tokenizer=tokenizer)
    loaded = _tokenizer(config, run)
    row = one_row(sentence, loaded)
    try:
        config.objective.require(loaded.vocab, length=row.tokens.shape[1])
    except UserError as error:
        warn(f"blocks this short are shown but never trained on: {error}")
    views = {
        number: config.objective.corrupt(
            row, loaded.vocab, rng.generator("corruption", seed, number)
        )
        for number in range(step, step + draws)
    }
    if layout is Format.json:
        content = {
            "objective": config.objective.model_dump(),
            "text": sentence,
            "pieces": loaded.pieces(row.tokens[0].tolist()),
            "seed": seed,
            "draws": [{"step": n, "view": _lists(view, loaded)} for n, view in views.items()],
        }
        output.out(json.dumps(content, ensure_ascii=output.options.ascii_only), highlight=False)
        return
    _print_views(views, config.objective, row, loaded)
    if run is None and tokenizer is None:
        talk.print(
            f"words are cut by a tokenizer of {config.data.names[0]} ({loaded.vocab.size:,} ids); "
            "--run RUN and --tokenizer FILE bring another",
            style="dim",
            soft_wrap=True,
        )


def _print_views(
    views: "Mapping[int, View]", objective: "Objective", row: "Text", tokenizer: "Tokenizer"
) -> None:
    """Print one view as tables and a picture, or several one under the other."""
    output.print(*_description(objective), "", sep="\n")
    if len(views) > 1:
        output.print(draw_list(views, row, tokenizer))
    else:
        (view,) = views.values()
        output.print(*draw(view, row, tokenizer), _sums(view, row, tokenizer), sep="\n")
    if not any(view.num_targets for view in views.values()):
        talk.print("chance left nothing to predict: another --step draws again")
    elif len(views) > 1 and len({str(_lists(view, tokenizer)) for view in views.values()}) == 1:
        talk.print("the draws are alike: this text is too short for chance to make a difference")


def _read(text: str) -> str:
    if text == "-":
        text = sys.stdin.read().rstrip("\n")
    if not text or text.isspace():
        raise UserError('there is no text: write --text "...", or --text - to read standard input')
    try:
        text.encode()
    except UnicodeEncodeError:
        raise UserError("the text is not in UTF-8: convert it first") from None
    return text


def _configuration(
    objective: str | None, settings: list[str], *, run: Path | None, tokenizer: Path | None
) -> "RunConfig":
    """Return the configuration of a run that is shown: that of `run`, or the usual one."""
    from lmcompare.config.run import assign, parse_run
    from lmcompare.runs.run import Run

    if run and (tokenizer or any(setting.startswith("tokenizer.") for setting in settings)):
        raise UserError("a run brings its own tokenizer: leave out --run, or what sets another")
    tables = Run(run).record().config.model_dump() if run else {"objective": {"name": "mlm"}}
    if objective:
        tables["objective"] = {"name": objective}
    if tokenizer:
        tables["tokenizer"] = {"file": str(tokenizer)}
    chosen = parse_run(tables).objective
    return parse_run(assign(tables, [_dotted(setting, chosen) for setting in settings]))


def _dotted(setting: str, objective: "Objective") -> str:
    """Return a setting as a configuration spells it: of the objective, or `tokenizer.`KEY."""
    if setting.startswith("tokenizer."):
        return setting
    setting = setting.removeprefix("objective.")
    key = setting.partition("=")[0].strip()
    known = set(type(objective).model_fields) - {"name"}
    if key not in known:
        hint = did_you_mean(key, known) if known else "it has none"
        raise UserError(f"{objective.name} has no setting '{key}': {hint}")
    return f"objective.{setting}"


def _tokenizer(config: "RunConfig", run: Path | None) -> "Tokenizer":
    from lmcompare.data import Tokenizer, prepare
    from lmcompare.runs.run import Run

    if run:
        return Run(run).tokenizer()
    if config.tokenizer.file:
        return Tokenizer.of_file(config.tokenizer)
    with talk.status("", spinner="line") as status:
        prepared = prepare(
            config.data,
            config.tokenizer,
            cache=cache_folder(),
            report=lambda message: status.update(Line(message)),
            warn=warn,
        )
    return prepared.tokenizer


def one_row(text: str, tokenizer: "Tokenizer") -> "Text":
    """Return the text as one row, which begins as rows do in training."""
    import torch

    from lmcompare.view import Text

    encoded = tokenizer.encode([text])[0]
    if not len(encoded):
        raise UserError("the tokenizer keeps nothing of this text: give another text or tokenizer")
    return Text(
        tokens=torch.tensor([[tokenizer.vocab.bos, *encoded.ids.tolist()]]),
        visible=torch.ones(1, 1 + len(encoded), dtype=torch.bool),
        word=torch.tensor([[0, *encoded.starts_word.cumsum().tolist()]]),
    )


def _description(objective: "Objective") -> list[Line | Table]:
    """Return what the objective does, in the words of its module, and its settings."""
    from lmcompare.training.objective_table import about, brief, settings

    table = Table.grid(padding=(0, 2))
    for name, value, what in settings(objective):
        if value is not None:
            table.add_row(f"  {name}", brief(value), Line(what, style="dim"))
    first = Line(about(objective).splitlines()[0], style="bold")
    return [first, *([table] if table.row_count else [])]


def _sums(view: "View", text: "Text", tokenizer: "Tokenizer") -> str:
    num_tokens = int((~tokenizer.vocab.is_special(text.tokens)).sum())
    share, total = view.num_targets / max(num_tokens, 1), float(view.weight.sum())
    source = "" if view.source is None else f"{view.source.tokens.numel()} of the source and "
    return (
        f"{num_tokens} tokens, {source}{view.tokens.numel()} positions, "
        f"{view.num_targets} targets ({share:.1%} predicted), weights add up to {total:.4g}"
    )


def _lists(view: "View", tokenizer: "Tokenizer") -> dict[str, Any]:
    """Return a view in full for JSON, with the pieces of what goes in and what is predicted."""
    from lmcompare.view import IGNORE

    columns = {field.name: getattr(view, field.name) for field in fields(view)}
    source = view.source
    return {
        **{
            name: None if each is None else each.tolist()
            for name, each in columns.items()
            if name != "source"
        },
        "pieces": [tokenizer.pieces(row) for row in view.tokens.tolist()],
        "target_pieces": [
            [None if number == IGNORE else tokenizer.pieces([number])[0] for number in row]
            for row in view.target.tolist()
        ],
        "sees": view.sees().tolist(),
        "source": None if source is None else _lists(source, tokenizer),
        "sees_source": None if source is None else view.sees_source().tolist(),
    }
