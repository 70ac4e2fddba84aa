"""`lmcompare show`: what a model sees of a text under an objective, token by token.

Everything is read off the view that the objective makes, as the network would be given it; nothing
here knows an objective by its name, so a new one, or one with more positions than its text, just
shows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.table import Table
from rich.text import Text as Line

from lmcompare.errors import UserError, did_you_mean
from lmcompare.paths import cache_folder
from lmcompare.runs.places import find_place
from lmcompare.teaching import SENTENCE
from lmcompare_cli import show_options as options
from lmcompare_cli.console import dumps, output, talk, warn, write
from lmcompare_cli.rendering.live_text import replay as play
from lmcompare_cli.rendering.view import draw, draw_list
from lmcompare_cli.teaching import Result, objectives_shown, show_predictions, show_several

if TYPE_CHECKING:
    from lmcompare.config.run import RunConfig
    from lmcompare.data import Tokenizer
    from lmcompare.objectives import Objective
    from lmcompare.view import Text, View


def show(
    context: typer.Context,
    places: options.Runs = None,
    objective: options.Objectives = None,
    settings: options.Settings = None,
    text: options.TextOption = SENTENCE,
    seed: options.Seed = 0,
    step: options.Step = 0,
    draws: options.Draws = 1,
    run: options.RunOption = None,
    tokenizer: options.TokenizerOption = None,
    layout: options.Layout = None,
    replay: options.Replay = None,
    sample: options.Sample = None,
    every: options.All = False,
    svg: options.Svg = None,
    html: options.Html = None,
    predict: options.Predict = False,
    device: options.Device = "auto",
) -> None:
    """Show what a model sees of a text: what goes in, what it must predict, and who sees whom.

    Of several objectives, `--all` or `-o clm -o mlm`, each is drawn in brief. With `--predict`,
    show what the models of runs expect at each place of the text.
    """
    names = list(dict.fromkeys(objective or ()))
    several = every or len(names) > 1 or svg is not None or html is not None
    options.require_use(context, several=several)
    if replay is not None:
        return play(replay, sample=sample)
    sentence, to = options.read(text), Result(layout=layout, svg=svg, html=html)
    if predict:
        return show_predictions(sentence, places or [], seed=seed, device=device, to=to)
    run = None if run is None else find_place(run)
    alone = names[0] if len(names) == 1 else None
    config = _configuration(alone, settings or [], run=run, tokenizer=tokenizer)
    loaded = _tokenizer(config, run)
    if several:
        chosen = objectives_shown(names, config.objective, settings or [], every=every)
        show_several(sentence, chosen, loaded, seed=seed, to=to)
    else:
        steps = range(step, step + draws)
        _show_one(sentence, config.objective, loaded, seed=seed, steps=steps, layout=layout)
    if run is None and tokenizer is None and layout is not options.Format.json:
        talk.print(
            f"words are cut by a tokenizer of {config.data.names[0]} ({loaded.vocab.size:,} ids); "
            "--run RUN and --tokenizer FILE bring another",
            style="dim",
            soft_wrap=True,
        )


def _show_one(
    text: str,
    objective: "Objective",
    tokenizer: "Tokenizer",
    *,
    seed: int,
    steps: Sequence[int],
    layout: options.Format | None,
) -> None:
    """Show a text under one objective in full, or several draws of it."""
    from lmcompare import rng
    from lmcompare.teaching.slots import one_row

    row, vocab = one_row(text, tokenizer), tokenizer.vocab
    try:
        objective.require(vocab, length=row.tokens.shape[1])
    except UserError as error:
        warn(f"blocks this short are shown but never trained on: {error}")
    views = {
        number: objective.corrupt(row, vocab, rng.generator("corruption", seed, number))
        for number in steps
    }
    if layout is not options.Format.json:
        return _print_views(views, objective, row, tokenizer)
    content = {
        "objective": objective.model_dump(),
        "text": text,
        "pieces": tokenizer.pieces(row.tokens[0].tolist()),
        "seed": seed,
        "draws": [{"step": n, "view": _lists(view, tokenizer)} for n, view in views.items()],
    }
    write(dumps(content) + "\n")


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
