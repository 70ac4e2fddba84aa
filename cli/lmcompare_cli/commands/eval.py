"""`lmcompare eval`."""

from itertools import starmap
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from lmcompare_cli import eval_tasks, options
from lmcompare_cli.console import cache_folder, print_json, warn
from lmcompare_cli.generate_options import (
    num_rows_of,
    require_task,
)
from lmcompare_cli.places import find_place, find_places
from lmcompare_cli.sampler_options import read_decoding
from lmcompare_cli.signals import Ended

if TYPE_CHECKING:
    from lmcompare.evaluation.generation.judge import Judge
    from lmcompare.evaluation.generation.record import GenerationRecord
    from lmcompare.evaluation.infilling.record import InfillingRecord
    from lmcompare.evaluation.likelihood.record import LikelihoodRecord
    from lmcompare.evaluation.tasks.record import TaskRecord
    from lmcompare.runs.run import Run

TASKS = ("likelihood", "infilling", "generation")


def evaluate(
    places: Annotated[
        list[Path], typer.Argument(readable=False, help="Runs or studies.", metavar="RUN...")
    ],
    tasks: Annotated[
        list[str] | None,
        typer.Option(
            help="likelihood scores whole texts, infilling hidden tokens that are the same for "
            "every run, and generation what the model writes; all means these three. Or a "
            "benchmark or group from `lmcompare tasks`, or a TOML file of your own. Repeat the "
            "option, or separate names by commas.",
            show_default="likelihood",
        ),
    ] = None,
    split: Annotated[
        Literal["train", "validation", "test"],
        typer.Option(help="Which split of each run's own text."),
    ] = "validation",
    data: options.Data = None,
    document: options.Document = None,
    encoding_errors: options.EncodingErrors = None,
    field: options.Field = None,
    settings: options.SetData = None,
    limit: Annotated[
        int,
        typer.Option(
            help="Likelihood: how many bytes of text to score, the same for every run; 0 for all.",
            min=0,
        ),
    ] = 50_000,
    window: Annotated[
        int | None,
        typer.Option(
            help="Likelihood: how many tokens the model sees at once; by default as in training.",
            min=4,
        ),
    ] = None,
    stride: Annotated[
        int | None,
        typer.Option(
            help="Likelihood: tokens from one window to the next; by default half a window.", min=1
        ),
    ] = None,
    scoring: Annotated[
        list[str] | None,
        typer.Option(
            help="Likelihood: use only this scoring; repeat for several.", show_default=False
        ),
    ] = None,
    texts: Annotated[
        int,
        typer.Option(
            help="Infilling: how many texts have hidden tokens. Generation: how many prompts."
        ),
    ] = 64,
    length: Annotated[int, typer.Option(help="Infilling: how many tokens such a text has.")] = 32,
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
            readable=False,
            help="Generation: a run, not one of those evaluated, whose model says how probable it "
            "finds what they write.",
            metavar="RUN",
            show_default=False,
        ),
    ] = None,
    prompt_tokens: Annotated[
        int, typer.Option(help="Generation: how many tokens a prompt has.")
    ] = 16,
    new_tokens: Annotated[
        int, typer.Option(help="Generation: how many tokens are written after it.")
    ] = 48,
    method: Annotated[
        list[str] | None,
        typer.Option(
            help="Generation: a method of writing, used by each run that has it; repeat.",
            show_default="the usual one",
        ),
    ] = None,
    temperature: Annotated[
        list[float] | None,
        typer.Option(help="Generation: the temperature of sampling; repeat.", show_default="1.0"),
    ] = None,
    steps: Annotated[
        list[int] | None,
        typer.Option(
            help="Generation: forward passes or rounds, for methods that have them; repeat.",
            show_default=False,
        ),
    ] = None,
    top_p: Annotated[
        float | None,
        typer.Option(
            help="Generation: sample from the fewest tokens that together have this probability.",
            show_default=False,
        ),
    ] = None,
    decoding: Annotated[
        list[str] | None,
        typer.Option(
            help="Generation: further settings of sampling, used by each run that knows them: "
            "greedy, beams=4, top_k=40,temperature=0.7, degeneration_penalty=0.6, ...; repeat.",
            metavar="SETTINGS",
            show_default=False,
        ),
    ] = None,
    benchmarks: Annotated[
        Path,
        typer.Option(
            readable=False,
            help="Benchmarks: the folder that holds the files that `lmcompare tasks` lists.",
            metavar="FOLDER",
        ),
    ] = Path("benchmarks"),
    examples: eval_tasks.Examples = None,
    train_examples: eval_tasks.TrainExamples = None,
    pooling: eval_tasks.Pooling = None,
    way: eval_tasks.Way = None,
    untrained: Annotated[
        bool,
        typer.Option(
            "--untrained/--no-untrained",
            help="Benchmarks: ask each model as it was before training, too.",
        ),
    ] = True,
    every_checkpoint: Annotated[
        bool,
        typer.Option(
            "--every-checkpoint",
            help="Benchmarks: ask the models of all checkpoints that were kept (train with -s "
            "runtime.keep=1000), not only the last one.",
        ),
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, mps")] = "auto",
    batch_size: Annotated[
        str,
        typer.Option(
            help="How many rows a forward pass has; choose fewer where memory is short. auto suits "
            "the device. Changes no result.",
            metavar="N",
        ),
    ] = "auto",
    force: Annotated[
        bool, typer.Option("--force", help="Measure again what was measured before.")
    ] = False,
    format: options.Format = "table",
) -> None:
    """Measure how probable each model finds held-out text, how well it writes, and benchmarks.

    The likelihood of a whole text is exact, a bound, or a pseudo-likelihood, which is not a
    likelihood at all: different kinds cannot be compared. Infilling asks every objective about the
    same hidden tokens, and generation lets each write after the same prompts, to the same length,
    and measures what really stood there too. Benchmarks have right and wrong answers, and ask each
    model as it is and as it was before training. If one task fails, the others still run.
    """
    from lmcompare.evaluation.generation.measure import measure_generation
    from lmcompare.evaluation.generation.settings import Assignment, require
    from lmcompare.evaluation.infilling.measure import (
        measure_infilling,
        read_protocols,
    )
    from lmcompare.evaluation.likelihood.measure import measure_likelihood
    from lmcompare.evaluation.options import EvalOptions
    from lmcompare.evaluation.tasks.measure import TaskOptions
    from lmcompare.runs.finding import find_models
    from lmcompare_cli.rendering import results
    from lmcompare_cli.rendering.progress import EvaluationDisplay

    names = [task.strip() for each in tasks or ["likelihood"] for task in each.split(",")]
    chosen = {*TASKS} if "all" in names else {*TASKS}.intersection(names)
    benchmarks_asked = eval_tasks.Suites.of(
        [each for each in names if each not in (*TASKS, "all")],
        benchmarks,
        ways=way or (),
        pooling=pooling,
        train_examples=train_examples,
    )
    require_task(chosen, "infilling", "hidden tokens", protocol=protocol)
    require_task(
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
    num_rows = None if batch_size == "auto" else num_rows_of(batch_size)
    text = options.data_config(
        data, document=document, encoding_errors=encoding_errors, field=field, settings=settings
    )
    asked = EvalOptions(
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
    runs = find_models(find_places(places), warn=warn)
    judging = None if judge is None else _judge(judge, device)
    if "generation" in chosen:
        require(runs, assignment, judge=judging, warn=warn)
    likelihoods: list[tuple[Run, LikelihoodRecord]] = []
    infillings: list[tuple[Run, InfillingRecord]] = []
    generations: list[tuple[Run, GenerationRecord]] = []
    answered: list[tuple[Run, TaskRecord]] = []
    cache = cache_folder()
    num_steps = len(runs) * (len(chosen) + len(benchmarks_asked.read))
    with EvaluationDisplay(num_steps) as report:
        try:
            for run in runs:
                if "likelihood" in chosen:
                    report.begin(run.path, "likelihood")
                    scored = measure_likelihood(run, asked, cache=cache, report=report, warn=warn)
                    likelihoods += [(run, record) for record in scored]
                if "infilling" in chosen:
                    report.begin(run.path, "infilling")
                    filled = measure_infilling(run, asked, cache=cache, report=report, warn=warn)
                    infillings += [(run, record) for record in filled]
                if "generation" in chosen:
                    report.begin(run.path, "generation")
                    written = measure_generation(
                        run,
                        asked,
                        assignment,
                        cache=cache,
                        judge=judging,
                        report=report,
                        warn=warn,
                    )
                    generations += [(run, record) for record in written]
                answered += benchmarks_asked.ask(
                    run,
                    TaskOptions(
                        limit=examples,
                        train_limit=train_examples,
                        pooling=pooling,
                        ways=tuple(way or ()),
                        untrained=untrained,
                        every_checkpoint=every_checkpoint,
                        device=device,
                        batch_size=num_rows,
                        again=force,
                    ),
                    report=report,
                )
        except Ended as ended:
            ended.kept = report.kept(force=force)
            raise
    if format == "json":
        rows = starmap(results.as_json, [*likelihoods, *infillings, *generations, *answered])
        print_json([*rows])
    else:
        results.print_results(
            likelihoods=likelihoods,
            infillings=infillings,
            generations=generations,
            answered=answered,
        )
    if benchmarks_asked.failed:
        raise typer.Exit(1)


def _judge(place: Path, device: str) -> "Judge":
    from lmcompare.errors import UserError
    from lmcompare.evaluation.generation.judge import Judge
    from lmcompare.runs.finding import find_models

    run, *others = find_models([find_place(place)], warn=warn)
    if others:
        raise UserError(f"{place} holds {1 + len(others)} runs, and one is the judge: name that")
    return Judge.load(run, device=device, warn=warn)
