"""`lmcompare eval`."""

import json
from functools import partial
from itertools import starmap
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from lmcompare_cli import options
from lmcompare_cli.asking import read_decoding
from lmcompare_cli.console import cache_folder, output, talk

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from lmcompare.generation.judging import Judge
    from lmcompare.generation_records import GenerationRecord
    from lmcompare.records import InfillingRecord, LikelihoodRecord
    from lmcompare.runs import Run
    from lmcompare.task_records import TaskRecord

TASKS = ("likelihood", "infilling", "generation")


def evaluate(
    places: Annotated[list[Path], typer.Argument(help="Runs or studies.", metavar="RUN...")],
    tasks: Annotated[
        list[str] | None,
        typer.Option(
            help="likelihood: of whole texts. infilling: of hidden tokens, the same for every run. "
            "generation: what is written behind prompts. all: of these three. Any of `lmcompare "
            "tasks` or a group of them; tasks.toml: of your own. Repeat, or part with commas.",
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
    protocol: Annotated[
        list[str] | None,
        typer.Option(
            help="Infilling: how several hidden tokens are asked for, the same for every run: "
            "in-order, one after another; at-once; surest-first; random-orders, a bound; repeat.",
            show_default="in-order, and what else a run can do",
        ),
    ] = None,
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
    decoding: Annotated[
        list[str] | None,
        typer.Option(
            help="Generation: further settings of sampling, of each run those that it obeys: "
            "greedy, beams=4, top_k=40,temperature=0.7, degeneration_penalty=0.6, ...; repeat.",
            metavar="SETTINGS",
            show_default=False,
        ),
    ] = None,
    benchmarks: Annotated[
        Path,
        typer.Option(
            help="Benchmarks: the folder that holds the files that `lmcompare tasks` lists.",
            metavar="FOLDER",
        ),
    ] = Path("benchmarks"),
    examples: Annotated[
        int | None,
        typer.Option(
            help="Benchmarks: examples of each, the same for every run.",
            min=2,
            show_default="all",
        ),
    ] = None,
    way: Annotated[
        list[str] | None,
        typer.Option(
            help="Benchmarks that models learn from examples: only so many of them (10, 100, all), "
            "or a probe of their states (probe); repeat.",
            show_default="all ways",
        ),
    ] = None,
    untrained: Annotated[
        bool,
        typer.Option(
            "--untrained/--no-untrained", help="Benchmarks: ask each model as it started, too."
        ),
    ] = True,
    every_checkpoint: Annotated[
        bool,
        typer.Option(
            "--every-checkpoint",
            help="Benchmarks: ask the models of all checkpoints that were kept (in training, -s "
            "runtime.keep=1000), not of the last alone.",
        ),
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, mps")] = "auto",
    batch_size: Annotated[
        str,
        typer.Option(
            help="Rows of a forward pass, fewer where memory is short; auto: as many as suits the "
            "device. Changes no result.",
            metavar="N",
        ),
    ] = "auto",
    force: Annotated[
        bool, typer.Option("--force", help="Score again what was scored before.")
    ] = False,
    format: options.Format = "table",
) -> None:
    """Measure how probable each model finds held-out text, how well it writes, and benchmarks.

    The likelihood of whole texts is exact, a bound, or a pseudo-likelihood, which is no likelihood
    at all: unlike kinds cannot be compared with each other. Hidden tokens, given what stands around
    them, are a question that every objective is asked in the same way. So is writing: behind the
    same prompts, to the same length, beside what really stood there. Benchmarks ask for what can be
    right or wrong, of each model as it is and as it started. A task that fails takes no other down.
    """
    from rich.progress import Progress

    from lmcompare.config import parse_data
    from lmcompare.errors import UserError
    from lmcompare.evaluation import measure_likelihood
    from lmcompare.generation.assignment import Assignment, require
    from lmcompare.generation.freewriting import measure_generation
    from lmcompare.heldout import Asked
    from lmcompare.infilling import measure_infilling, read_protocols
    from lmcompare.runs import find_runs
    from lmcompare.tasks.measuring import Asked as BenchmarkAsked
    from lmcompare_cli import results
    from lmcompare_cli.suites import Suites

    names = [task.strip() for each in tasks or ["likelihood"] for task in each.split(",")]
    chosen = {*TASKS} if "all" in names else {*TASKS}.intersection(names)
    suites = Suites.of(
        [each for each in names if each not in (*TASKS, "all")], benchmarks, ways=way or ()
    )
    _require_use(chosen, "infilling", "hidden tokens", protocol=protocol)
    _require_use(
        chosen,
        "generation",
        "what is written",
        judge=judge,
        method=method,
        temperature=temperature,
        steps=steps,
        top_p=top_p,
        decoding=decoding,
    )
    if document is not None and data is None:
        raise UserError("--document says how --data is read, and no --data is given: leave it out")
    num_rows = None if batch_size == "auto" else _num_rows(batch_size)
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
        protocols=read_protocols(protocol or ()),
        device=device,
        batch_size=num_rows,
        again=force,
    )
    assignment = Assignment(
        prompt_tokens=prompt_tokens,
        new_tokens=new_tokens,
        methods=tuple(method or ()),
        temperatures=tuple(temperature or (1.0,)),
        steps=tuple(steps or ()),
        top_p=top_p,
        decodings=tuple(map(read_decoding, decoding or ())),
    )
    runs = find_runs(places)
    judging = None if judge is None else _judge(judge, device)
    if "generation" in chosen:
        require(runs, assignment, judge=judging, warn=_warn)
    likelihoods: list[tuple[Run, LikelihoodRecord]] = []
    infillings: list[tuple[Run, InfillingRecord]] = []
    generations: list[tuple[Run, GenerationRecord]] = []
    answered: list[tuple[Run, TaskRecord]] = []
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
            answered += suites.ask(
                run,
                BenchmarkAsked(
                    limit=examples,
                    ways=tuple(way or ()),
                    untrained=untrained,
                    every_checkpoint=every_checkpoint,
                    device=device,
                    batch_size=num_rows,
                    again=force,
                ),
                report=report,
            )
    if format == "json":
        rows = starmap(results.as_json, [*likelihoods, *infillings, *generations, *answered])
        output.print(json.dumps([*rows], indent=2), soft_wrap=True)
    else:
        results.print_results(
            likelihoods=likelihoods,
            infillings=infillings,
            generations=generations,
            answered=answered,
        )
    if suites.failed:
        raise typer.Exit(1)


def _num_rows(given: str) -> int:
    from lmcompare.errors import UserError

    if not given.isdecimal() or int(given) == 0:
        raise UserError(f"--batch-size is a number of rows, 1 or more, or auto, not {given!r}")
    return int(given)


def _require_use(chosen: set[str], task: str, what: str, **given: object) -> None:
    """Make sure that options of a task are of use."""
    from lmcompare.errors import UserError

    idle = [f"--{name.replace('_', '-')}" for name, value in given.items() if value is not None]
    if idle and task not in chosen:
        raise UserError(
            f"{', '.join(idle)} is about {what}, which is not asked for: add "
            f"--tasks {task}, or leave it out"
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
