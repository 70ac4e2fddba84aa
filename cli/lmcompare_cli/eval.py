"""`lmcompare eval`."""

import json
from collections.abc import Sequence
from functools import partial
from itertools import starmap
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from lmcompare_cli import options
from lmcompare_cli.console import cache_folder, output, talk

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from lmcompare.generation.judging import Judge
    from lmcompare.generation_records import GenerationRecord
    from lmcompare.records import InfillingRecord, LikelihoodRecord
    from lmcompare.runs import Run

TASKS = ("likelihood", "infilling", "generation")


def evaluate(
    places: Annotated[list[Path], typer.Argument(help="Runs or studies.", metavar="RUN...")],
    tasks: Annotated[
        list[str] | None,
        typer.Option(
            help="likelihood: of whole texts. infilling: of hidden tokens, the same for every run. "
            "generation: what is written behind prompts. all. Repeat, or part with commas.",
            show_default="likelihood",
        ),
    ] = None,
    split: Annotated[
        Literal["train", "validation", "test"], typer.Option(help="Of the runs' own text.")
    ] = "validation",
    data: options.Data = None,
    document: options.Document = None,
    limit: Annotated[
        int,
        typer.Option(
            help="Likelihood: bytes of text to score, the same for every run; 0 for all.", min=0
        ),
    ] = 50_000,
    window: Annotated[
        int | None,
        typer.Option(
            help="Likelihood: tokens the model sees at once; as in training by default.", min=4
        ),
    ] = None,
    stride: Annotated[
        int | None,
        typer.Option(help="Likelihood: tokens between windows; half a window by default.", min=1),
    ] = None,
    scoring: Annotated[
        list[str] | None,
        typer.Option(help="Likelihood: only these ways to score; repeat.", show_default=False),
    ] = None,
    texts: Annotated[
        int, typer.Option(help="Infilling: texts to hide tokens of. Generation: prompts.")
    ] = 64,
    length: Annotated[int, typer.Option(help="Infilling: tokens of such a text.")] = 32,
    judge: Annotated[
        Path | None,
        typer.Option(
            help="Generation: a run, none of the others, whose model says how probable it finds "
            "what they write.",
            metavar="RUN",
            show_default=False,
        ),
    ] = None,
    prompt_tokens: Annotated[int, typer.Option(help="Generation: tokens of a prompt.")] = 16,
    new_tokens: Annotated[int, typer.Option(help="Generation: tokens written behind it.")] = 48,
    method: Annotated[
        list[str] | None,
        typer.Option(
            help="Generation: ways to write, of each run those that it has; repeat.",
            show_default="the usual one",
        ),
    ] = None,
    temperature: Annotated[
        list[float] | None,
        typer.Option(help="Generation: of sampling; repeat.", show_default="1.0"),
    ] = None,
    steps: Annotated[
        list[int] | None,
        typer.Option(
            help="Generation: forward passes or rounds, where a way to write has them; repeat.",
            show_default=False,
        ),
    ] = None,
    top_p: Annotated[
        float | None,
        typer.Option(
            help="Generation: of the fewest tokens that have this probability together.",
            show_default=False,
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, mps")] = "auto",
    force: Annotated[
        bool, typer.Option("--force", help="Score again what was scored before.")
    ] = False,
    format: options.Format = "table",
) -> None:
    """Measure how probable each model finds held-out text, and how well it writes.

    The likelihood of whole texts is exact, a bound, or a pseudo-likelihood, which is no likelihood
    at all: unlike kinds cannot be compared with each other. Hidden tokens, given what stands around
    them, are a question that every objective is asked in the same way. So is writing: behind the
    same prompts, to the same length, beside what really stood there.
    """
    from rich.progress import Progress

    from lmcompare.config import parse_data
    from lmcompare.errors import UserError
    from lmcompare.evaluation import measure_likelihood
    from lmcompare.generation.assignment import Assignment, require
    from lmcompare.generation.freewriting import measure_generation
    from lmcompare.heldout import Asked
    from lmcompare.infilling import measure_infilling
    from lmcompare.runs import find_runs
    from lmcompare_cli import results

    chosen = _chosen(tasks or ["likelihood"])
    _require_generation(
        chosen, judge=judge, method=method, temperature=temperature, steps=steps, top_p=top_p
    )
    if document is not None and data is None:
        raise UserError("--document says how --data is read, and no --data is given: leave it out")
    text = None
    if data is not None:
        text = parse_data({"source": data, **({"document": document} if document else {})})
    asked = Asked(
        split=split,
        data=text,
        max_bytes=limit or None,
        window=window,
        stride=stride,
        scorings=tuple(scoring or ()),
        num_texts=texts,
        length=length,
        device=device,
        again=force,
    )
    assignment = Assignment(
        prompt_tokens=prompt_tokens,
        new_tokens=new_tokens,
        methods=tuple(method or ()),
        temperatures=tuple(temperature or (1.0,)),
        steps=tuple(steps or ()),
        top_p=top_p,
    )
    runs = find_runs(places)
    judging = None if judge is None else _judge(judge, device)
    if "generation" in chosen:
        require(runs, assignment, judge=judging, warn=_warn)
    likelihoods: list[tuple[Run, LikelihoodRecord]] = []
    infillings: list[tuple[Run, InfillingRecord]] = []
    generations: list[tuple[Run, GenerationRecord]] = []
    cache = cache_folder()
    with Progress(console=talk, transient=True, disable=not talk.is_terminal) as bar:
        for run in runs:
            report = partial(_advance, bar, bar.add_task(run.path.name, total=1.0), run.path.name)
            if "likelihood" in chosen:
                scored = measure_likelihood(run, asked, cache=cache, report=report, warn=_warn)
                likelihoods += [(run, record) for record in scored]
            if "infilling" in chosen:
                filled = measure_infilling(run, asked, cache=cache, report=report, warn=_warn)
                infillings += [(run, record) for record in filled]
            if "generation" in chosen:
                written = measure_generation(
                    run, asked, assignment, cache=cache, judge=judging, report=report, warn=_warn
                )
                generations += [(run, record) for record in written]
    if format == "json":
        rows = starmap(results.as_json, [*likelihoods, *infillings, *generations])
        output.print(json.dumps([*rows], indent=2), soft_wrap=True)
        return
    results.print_results(likelihoods=likelihoods, infillings=infillings, generations=generations)


def _chosen(given: Sequence[str]) -> set[str]:
    from lmcompare.errors import UserError

    tasks = [task.strip() for each in given for task in each.split(",")]
    for task in tasks:
        if task not in (*TASKS, "all"):
            raise UserError(f"there is no task '{task}': known: {', '.join(TASKS)}, all")
    return set(TASKS) if "all" in tasks else set(tasks)


def _require_generation(chosen: set[str], **given: object) -> None:
    """Make sure that options of generation are of use."""
    from lmcompare.errors import UserError

    idle = [f"--{name.replace('_', '-')}" for name, value in given.items() if value is not None]
    if idle and "generation" not in chosen:
        raise UserError(
            f"{', '.join(idle)} is about what is written, which is not asked for: add "
            "--tasks generation, or leave it out"
        )


def _judge(place: Path, device: str) -> "Judge":
    from lmcompare.errors import UserError
    from lmcompare.generation.judging import Judge
    from lmcompare.runs import find_runs

    run, *others = find_runs([place])
    if others:
        raise UserError(f"{place} holds {1 + len(others)} runs, and one is the judge: name that")
    return Judge.load(run, device=device, warn=_warn)


def _advance(bar: "Progress", task: "TaskID", run: str, what: str, share: float) -> None:
    bar.update(task, completed=share, description=f"{run} {what}")


def _warn(text: str) -> None:
    talk.print(f"warning: {text}", style="yellow", soft_wrap=True)
