"""`lmcompare generate`."""

from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.text import Text as Line

from lmcompare.blocks.visible import visible
from lmcompare.runs.places import find_places
from lmcompare_cli import generate_options as options
from lmcompare_cli import sampler_options as sampling
from lmcompare_cli.console import dumps, print_json, say, talk, write
from lmcompare_cli.console import warn as warn_of
from lmcompare_cli.rendering.live_text import LiveBatch, LiveText, is_moving
from lmcompare_cli.rendering.samples import Written, as_json, print_samples

if TYPE_CHECKING:
    from lmcompare.generation.prompts import Request
    from lmcompare.objectives import Objective
    from lmcompare.runs.run import Run


def generate(
    context: typer.Context,
    places: options.Runs,
    prompt: options.Prompt = None,
    prompts: options.Prompts = None,
    num: options.Num = 1,
    max_new_tokens: options.MaxNewTokens = None,
    hole_tokens: options.HoleTokens = None,
    end: options.End = False,
    method: options.Method = None,
    greedy: sampling.Greedy = None,
    temperature: sampling.Temperature = None,
    top_k: sampling.TopK = None,
    top_p: sampling.TopP = None,
    min_p: sampling.MinP = None,
    typical: sampling.Typical = None,
    repetition_penalty: sampling.RepetitionPenalty = None,
    no_repeat_ngram: sampling.NoRepeatNgram = None,
    beams: sampling.Beams = None,
    length_penalty: sampling.LengthPenalty = None,
    degeneration_penalty: sampling.DegenerationPenalty = None,
    candidates: sampling.Candidates = None,
    steps: sampling.Steps = None,
    threshold: sampling.Threshold = None,
    entropy: sampling.Entropy = None,
    block: sampling.Block = None,
    seed: options.Seed = 0,
    stop: options.Stop = None,
    batch: options.Batch = 16,
    device: options.Device = "auto",
    precision: options.Precision = "float32",
    format: options.Format = "text",
    trace: options.Trace = None,
    live: options.Live = None,
) -> None:
    """Let models continue a prompt, or fill its holes.

    Each run writes as its objective can: from left to right, or mask by mask in some order. A
    sample depends only on the seed, the number of its prompt, and its own number.
    """
    from lmcompare.generation.prompts import Request

    request = Request(
        prompts=tuple(options.read_prompts(prompt, prompts)),
        sampler=sampling.sampler_of(context.params),
        num=num,
        max_new_tokens=64 if max_new_tokens is None else max_new_tokens,
        hole_tokens=hole_tokens,
        any_length=end,
        method=method,
        seed=seed,
        stop=tuple(stop or ()),
        rows=batch,
    )
    options.require_use(request, max_new_tokens)
    how = _How(device=device, precision=precision, trace=trace, drawn=_is_drawn(format, live))
    _write_all(places, request, how, format)


@dataclass(frozen=True, kw_only=True)
class _How:
    """Where texts are written, and who watches.

    Attributes:
        device: as given.
        precision: of the weights.
        trace: a file to keep every step in.
        drawn: texts are shown as they are written.
    """

    device: str
    precision: options.PrecisionName
    trace: Path | None
    drawn: bool


def _is_drawn(format: options.Form, live: bool | None) -> bool:
    """Tell whether texts are shown as they are written.

    Raises:
        UserError: they are to be, and cannot be.
    """
    from lmcompare.errors import UserError

    can = format == "text" and is_moving()
    if live and not can:
        raise UserError(
            "--live draws text on a terminal, and stdout is none, or gets data: leave it out"
        )
    return can and live is not False


def _write_all(places: list[Path], request: "Request", how: _How, format: options.Form) -> None:
    """Let each run write, and print what it wrote; one that cannot takes no other down."""
    from lmcompare.devices import choose_device
    from lmcompare.errors import UserError
    from lmcompare.runs.finding import find_models

    choose_device(how.device)
    runs = find_models(find_places(places), warn=partial(say, style="yellow"))
    if how.trace is not None:
        options.require_place(how.trace, runs, request)
    several = len(runs) > 1
    failed, begun, rows = False, False, []
    for run in runs:
        try:
            written = _write(run, request, how, several=several)
        except UserError as error:
            if not several:
                raise
            say(f"{run.path.name}: {error}", "red")
            failed = True
            continue
        if format == "json":
            rows += [as_json(written, sample) for sample in written.generated.samples]
        elif format == "jsonl":
            for sample in written.generated.samples:
                write(dumps(as_json(written, sample)) + "\n")
        elif not written.shown:
            print_samples(written, several=several, first=not begun)
            begun = True
    if format == "json":
        print_json(rows)
    if failed:
        raise typer.Exit(1)


def _write(run: "Run", request: "Request", how: _How, *, several: bool) -> Written:
    """Let one run write."""
    from lmcompare.generation.generate import generate as write_samples
    from lmcompare.generation.prompts import rows_of
    from lmcompare.generation.trace import Heading, Trace
    from lmcompare.generation.trace_recorder import Recorder
    from lmcompare.runs.loaded_model import load_model

    def warn(text: str) -> None:
        warn_of(f"{run.path.name}: {text}" if several else text)

    with ExitStack() as around:
        if not how.drawn:
            status = talk.status(Line(visible(f"{run.path.name} is read")), spinner="line")
            around.enter_context(status)
        model = load_model(run, device=how.device, precision=how.precision, warn=warn)
        objective = model.objective
        methods = tuple(
            objective.choose_decoding_method(
                request.method,
                request.sampler,
                holes=row.kind.holes,
                any_length=row.kind.any_length,
            )
            for row in rows_of(model, replace(request, num=1), lambda _: None)
        )
        view: LiveText | LiveBatch | None = None
        if how.drawn and request.sampler.beams == 1:  # which beam is kept shows at the end
            view = _view_of(objective, methods[0], request, several=several)
            around.enter_context(view)
        recorder = None
        if view is not None:
            recorder = Recorder(model.tokenizer, hear=view.hear)
        elif how.trace is not None:
            recorder = Recorder(model.tokenizer)
        if not how.drawn:
            status.update(Line(visible(f"{run.path.name} writes")))
        generated = write_samples(model, request, on_step=recorder, warn=warn)
        if isinstance(view, LiveText):
            view.end(generated.samples[0], model.tokenizer)
    if how.trace is not None and recorder is not None:
        heading = Heading(
            run=str(run.path),
            objective=objective.name,
            methods=methods,
            prompts=request.prompts,
            settings=request.sampler.model_dump(exclude_unset=True),
            seed=request.seed,
            num_samples=len(generated.samples),
        )
        Trace(heading, recorder.samples(generated.samples)).write(how.trace)
    return Written(
        model=model,
        request=request,
        precision=how.precision,
        methods=methods,
        generated=generated,
        shown=isinstance(view, LiveText),
    )


def _view_of(
    objective: "Objective", method: str, request: "Request", *, several: bool
) -> LiveText | LiveBatch:
    """Return what draws texts while they are written: as they come if one comes in its order."""
    alone = len(request.prompts) == request.num == 1 and not several
    in_order = objective.decoding_methods[method].in_order
    return LiveText(request.stop) if alone and in_order else LiveBatch()
