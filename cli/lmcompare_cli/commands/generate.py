"""`lmcompare generate`."""

from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.text import Text as Line

from lmcompare.blocks.visible import visible
from lmcompare_cli.console import dumps, print_json, say, talk, write
from lmcompare_cli.console import warn as warn_of
from lmcompare_cli.generate_options import (
    make_sampler,
    read_prompts,
    require_place,
    require_use,
)
from lmcompare_cli.places import find_places
from lmcompare_cli.rendering.live_text import Pages, Stream, is_moving
from lmcompare_cli.rendering.samples import Texts, as_json, print_texts

if TYPE_CHECKING:
    from lmcompare.generation.prompts import Request
    from lmcompare.runs.run import Run

Form = Literal["text", "jsonl", "json"]
Precision = Literal["float32", "bfloat16"]  # as in `lmcompare.devices`, without its imports


def generate(
    places: Annotated[
        list[Path], typer.Argument(readable=False, help="Runs or studies.", metavar="RUN...")
    ],
    prompt: Annotated[
        list[str] | None,
        typer.Option(
            "--prompt",
            "-p",
            help="The text to continue; ___ in it is a hole to fill. Repeat for several. Without a "
            "prompt the model starts from nothing.",
            show_default=False,
        ),
    ] = None,
    prompts: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="A file with one prompt a line, or .jsonl with a field prompt; - for stdin.",
            show_default=False,
        ),
    ] = None,
    num: Annotated[
        int, typer.Option("--num", "-n", min=1, help="How many samples of each prompt.")
    ] = 1,
    max_new_tokens: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="How many tokens to write after a prompt; at most, with --end.",
            show_default="64",
        ),
    ] = None,
    hole_tokens: Annotated[
        int | None,
        typer.Option(
            min=1, help="How many tokens each hole has.", show_default="left to the model"
        ),
    ] = None,
    end: Annotated[
        bool, typer.Option("--end", help="Let the model say where a text ends.")
    ] = False,
    method: Annotated[
        str | None,
        typer.Option(
            help="How to write: left-to-right, surest-first, ...",
            show_default="the objective's own",
        ),
    ] = None,
    greedy: Annotated[
        bool, typer.Option("--greedy", help="Always take the likeliest token.")
    ] = False,
    temperature: Annotated[
        float | None, typer.Option(help="Below 1 sharpens, above 1 flattens.", show_default="1")
    ] = None,
    top_k: Annotated[
        int | None,
        typer.Option(help="Sample from this many likeliest tokens only.", show_default=False),
    ] = None,
    top_p: Annotated[
        float | None,
        typer.Option(
            help="Sample from the fewest tokens that together have this probability.",
            show_default=False,
        ),
    ] = None,
    min_p: Annotated[
        float | None,
        typer.Option(
            help="Sample from tokens with at least this share of the likeliest one's probability.",
            show_default=False,
        ),
    ] = None,
    typical: Annotated[
        float | None,
        typer.Option(
            help="Typical sampling: from the tokens whose surprise is nearest to the entropy, "
            "with this probability together.",
            show_default=False,
        ),
    ] = None,
    repetition_penalty: Annotated[
        float | None,
        typer.Option(
            help="Above 1 makes tokens rarer that the text has already. With --beams it is applied "
            "before probabilities are normalised, in transformers after: other texts come first.",
            show_default="1",
        ),
    ] = None,
    no_repeat_ngram: Annotated[
        int | None,
        typer.Option(help="Never write this many tokens in a row twice.", show_default=False),
    ] = None,
    beams: Annotated[
        int | None,
        typer.Option(
            help="How many beams a search for the likeliest text keeps.", show_default="1"
        ),
    ] = None,
    length_penalty: Annotated[
        float | None,
        typer.Option(
            help="With --beams: divide a beam's score by its length to this power.",
            show_default="1",
        ),
    ] = None,
    degeneration_penalty: Annotated[
        float | None,
        typer.Option(
            help="Contrastive search: how much likeness to the text so far costs.",
            show_default=False,
        ),
    ] = None,
    candidates: Annotated[
        int | None,
        typer.Option(
            help="Contrastive search: how many tokens are weighed at each place.", show_default="5"
        ),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(
            help="How many forward passes, or rounds, the method takes.", show_default=False
        ),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(
            help="With --method threshold: write at once all tokens at least this probable.",
            show_default="0.9",
        ),
    ] = None,
    entropy: Annotated[
        float | None,
        typer.Option(
            help="With --method entropy: the joint entropy, in nats, of tokens written at once.",
            show_default="0.1",
        ),
    ] = None,
    block: Annotated[
        int | None,
        typer.Option(help="Write blocks of this many tokens, left to right.", show_default=False),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="The seed of all samples.")] = 0,
    stop: Annotated[
        list[str] | None,
        typer.Option(help="End a text before this; repeat for several.", show_default=False),
    ] = None,
    batch: Annotated[
        int,
        typer.Option(min=1, help="How many samples are written together; changes none of them."),
    ] = 16,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, mps")] = "auto",
    precision: Annotated[
        Precision,
        typer.Option(
            help="The precision of the weights; bfloat16 is faster, less exact, and --batch may "
            "change a text."
        ),
    ] = "float32",
    format: Annotated[
        Form, typer.Option("--format", "-f", help="The format of what goes to stdout.")
    ] = ("text"),
    trace: Annotated[
        Path | None,
        typer.Option(
            readable=False,
            help="A file to keep every step in, for `lmcompare show --replay`.",
            show_default=False,
        ),
    ] = None,
    live: Annotated[
        bool | None,
        typer.Option(
            "--live/--no-live", help="Show texts as they are written.", show_default="on a terminal"
        ),
    ] = None,
) -> None:
    """Let models continue a prompt, or fill its holes.

    Each run writes as its objective can: from left to right, or mask by mask in some order. A
    sample depends only on the seed, the number of its prompt, and its own number.
    """
    from lmcompare.devices import choose_device
    from lmcompare.errors import UserError
    from lmcompare.generation.prompts import Request
    from lmcompare.runs.finding import find_models

    asked = Request(
        prompts=tuple(read_prompts(prompt, prompts)),
        sampler=make_sampler(
            {
                "greedy": greedy or None,
                "temperature": temperature,
                "top_k": top_k,
                "top_p": top_p,
                "min_p": min_p,
                "typical": typical,
                "repetition_penalty": repetition_penalty,
                "no_repeat_ngram": no_repeat_ngram,
                "beams": beams,
                "length_penalty": length_penalty,
                "degeneration_penalty": degeneration_penalty,
                "candidates": candidates,
                "steps": steps,
                "threshold": threshold,
                "entropy": entropy,
                "block": block,
            }
        ),
        num=num,
        max_new_tokens=64 if max_new_tokens is None else max_new_tokens,
        hole_tokens=hole_tokens,
        any_length=end,
        method=method,
        seed=seed,
        stop=tuple(stop or ()),
        rows=batch,
    )
    require_use(asked, max_new_tokens)
    choose_device(device)
    if live and (format != "text" or not is_moving()):
        raise UserError(
            "--live draws text on a terminal, and stdout is none, or gets data: leave it out"
        )
    runs = find_models(find_places(places), warn=partial(say, style="yellow"))
    if trace is not None:
        require_place(trace, runs, asked)
    drawn = format == "text" and is_moving() and live is not False
    failed, begun, rows = False, False, []
    for run in runs:
        several = len(runs) > 1
        try:
            texts = _write(
                run,
                asked,
                device=device,
                precision=precision,
                trace=trace,
                drawn=drawn,
                several=several,
            )
        except UserError as error:
            if not several:
                raise
            say(f"{run.path.name}: {error}", "red")
            failed = True
            continue
        if format == "json":
            rows += [as_json(texts, sample) for sample in texts.generated.samples]
        elif format == "jsonl":
            for sample in texts.generated.samples:
                write(dumps(as_json(texts, sample)) + "\n")
        elif not texts.shown:
            print_texts(texts, several=several, first=not begun)
            begun = True
    if format == "json":
        print_json(rows)
    if failed:
        raise typer.Exit(1)


def _write(
    run: "Run",
    asked: "Request",
    *,
    device: str,
    precision: Precision,
    trace: Path | None,
    drawn: bool,
    several: bool,
) -> Texts:
    from lmcompare.generation.generate import generate as write_all
    from lmcompare.generation.prompts import rows_of
    from lmcompare.generation.trace import Heading, Trace
    from lmcompare.generation.trace_recorder import Recorder
    from lmcompare.runs.loaded_model import load_model

    def warn(text: str) -> None:
        warn_of(f"{run.path.name}: {text}" if several else text)

    with ExitStack() as around:
        if not drawn:
            status = talk.status(Line(visible(f"{run.path.name} is read")), spinner="line")
            around.enter_context(status)
        subject = load_model(run, device=device, precision=precision, warn=warn)
        objective = subject.objective
        methods = tuple(
            objective.which_filling(
                asked.method, asked.sampler, holes=row.kind[0], any_length=row.kind[1]
            )
            for row in rows_of(subject, replace(asked, num=1), lambda _: None)
        )
        view: Stream | Pages | None = None
        if drawn and asked.sampler.beams == 1:  # of beams, which one is kept shows at the end
            filling = objective.fillings[methods[0]]
            # who says where a hole ends goes through it from the left, whatever that is called
            in_turn = methods[0] == "left-to-right" or filling.any_length
            alone = len(asked.prompts) == asked.num == 1 and not several
            view = Stream(asked.stop) if in_turn and alone else Pages()
            around.enter_context(view)
        recorder = None
        if view is not None:
            recorder = Recorder(subject.tokenizer, hear=view.hear)
        elif trace is not None:
            recorder = Recorder(subject.tokenizer)
        if not drawn:
            status.update(Line(visible(f"{run.path.name} writes")))
        generated = write_all(subject, asked, on_step=recorder, warn=warn)
        if isinstance(view, Stream):
            view.end(generated.samples[0], subject.tokenizer)
    if trace is not None and recorder is not None:
        heading = Heading(
            run=str(run.path),
            objective=objective.name,
            methods=methods,
            prompts=asked.prompts,
            settings=asked.sampler.model_dump(exclude_unset=True),
            seed=asked.seed,
            num_samples=len(generated.samples),
        )
        Trace(heading, recorder.samples(generated.samples)).write(trace)
    return Texts(
        subject=subject,
        asked=asked,
        precision=precision,
        methods=methods,
        generated=generated,
        shown=isinstance(view, Stream),
    )
