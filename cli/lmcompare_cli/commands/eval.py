"""`lmcompare eval`."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lmcompare.errors import UserError
from lmcompare.evaluation.registry import OPTIONS, read_options
from lmcompare.paths import cache_folder
from lmcompare.runs.places import find_places
from lmcompare_cli import completion, options
from lmcompare_cli.console import fail, output, print_json, say, warn
from lmcompare_cli.generate_options import num_rows_of
from lmcompare_cli.model_options import with_options_of
from lmcompare_cli.signals import Ended

if TYPE_CHECKING:
    from lmcompare.blocks import Block
    from lmcompare.evaluation.kind import AnyKind
    from lmcompare.evaluation.options import EvalOptions
    from lmcompare.runs.records import ResultRecord
    from lmcompare.runs.run import Run

DERIVED = (
    *("bits_per_byte", "bits_per_token"),
    *("settings", "judge_bits_per_byte", "reference_bits_per_byte"),
)


@with_options_of([each for each in OPTIONS if not each.command])
def evaluate(
    places: Annotated[
        list[Path],
        typer.Argument(
            readable=False,
            help="Runs, studies, or hf:NAME of models of Hugging Face.",
            metavar="RUN...",
            autocompletion=completion.places,
        ),
    ],
    tasks: Annotated[
        list[str] | None,
        typer.Option(
            help="likelihood scores whole texts, infilling hidden tokens that are the same for "
            "every run, and generation what the model writes; all means these three. context "
            "asks what a token gains from what stands around it, and lexical for words by how "
            "often each run has read them. Or a "
            "benchmark or group from `lmcompare tasks`, or a TOML file of your own. Repeat the "
            "option, or separate names by commas.",
            show_default="likelihood",
            autocompletion=completion.tasks,
        ),
    ] = None,
    split: options.Split = "validation",
    data: options.Data = None,
    document: options.Document = None,
    encoding_errors: options.EncodingErrors = None,
    field: options.Field = None,
    settings: options.SetData = None,
    study: options.StudyOfHf = None,
    device: options.Device = "auto",
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
    **given: Any,
) -> None:
    """Measure how probable each model finds held-out text, how well it writes, and benchmarks.

    The likelihood of a whole text is exact, a bound, or a pseudo-likelihood, which is not a
    likelihood at all: different kinds cannot be compared. Infilling asks every objective about the
    same hidden tokens, and generation lets each write after the same prompts, to the same length,
    and measures what really stood there too. Benchmarks have right and wrong answers, and ask each
    model as it is and as it was before training. If one task fails, the others still run.
    """
    names = [task.strip() for each in tasks or ["likelihood"] for task in each.split(",")]
    for each in OPTIONS:
        if each.command and each.name in names:
            raise UserError(
                f"there is a command for {each.name}: `lmcompare {each.command} --help`"
            )
    asked = {
        "split": split,
        "data": options.data_config(
            data, document=document, encoding_errors=encoding_errors, field=field, settings=settings
        ),
        "device": device,
        "batch_size": None if batch_size == "auto" else num_rows_of(batch_size),
        "again": force,
        **{name: value for name, value in given.items() if value is not None},
    }
    evaluate_runs(
        find_places(places, study=study), read_options(names, asked), format=format, force=force
    )


Results = Sequence[tuple["Run", "ResultRecord"]]


def evaluate_runs(
    places: Sequence[Path],
    asked: "Mapping[AnyKind, EvalOptions]",
    *,
    format: str,
    force: bool,
    more: "Callable[[Results], Iterable[Block]] | None" = None,
) -> None:
    """Measure all of it, run by run, and print what came of it, kind by kind.

    Args:
        places: of runs or studies.
        asked: the kinds of evaluation that are meant, with their options.
        format: table or json.
        force: whether what was measured before is measured again.
        more: what else is printed of the results of each kind, below their table.
    """
    found, num_faults = measure(places, asked, force=force)
    if format == "json":
        print_json([_as_json(*each) for results in found.values() for each in results])
    else:
        _print(found, more)
    if num_faults:
        raise typer.Exit(1)


def measure(
    places: Sequence[Path], asked: "Mapping[AnyKind, EvalOptions]", *, force: bool = False
) -> "tuple[Mapping[AnyKind, Results], int]":
    """Measure all of it, run by run; return the results, and how many things failed.

    What failed is said as it fails.

    Args:
        places: of runs or studies.
        asked: the kinds of evaluation that are meant, with their options.
        force: whether what was measured before is measured again.
    """
    from lmcompare.evaluation.evaluate import Evaluation
    from lmcompare.evaluation.kind import Context
    from lmcompare.runs.finding import find_models
    from lmcompare_cli.rendering.progress import EvaluationDisplay

    faults: list[UserError] = []

    def failed(error: UserError) -> None:
        faults.append(error)
        fail(str(error))

    runs = find_models(places, warn=warn)
    context = Context(cache=cache_folder(), warn=warn, fail=failed)
    evaluation = Evaluation.of(runs, asked, context)
    found: dict[AnyKind, list[tuple[Run, ResultRecord]]] = {
        kind: [] for kind, _ in evaluation.steps
    }
    with EvaluationDisplay(len(runs) * len(evaluation.steps)) as report:
        try:
            for run, kind, record in evaluation.results(
                report, begin=lambda run, step: report.begin(run.path, step.name)
            ):
                found[kind].append((run, record))
                report.result(run.path, record)
        except Ended as ended:
            ended.kept = report.kept(force=force)
            raise
    return found, len(faults)


def _as_json(run: "Run", record: "ResultRecord") -> dict[str, object]:
    """Return a result, with what follows from it and all settings of its run."""
    known = {name: getattr(record, name) for name in DERIVED if hasattr(record, name)}
    about = run.record()
    config = about.config
    return {
        "run": str(run.path),
        "objective": config.objective.name,
        "hyperparameters": config.objective.model_dump(exclude={"name"}),
        "changed": config.objective.model_dump(exclude={"name"}, exclude_defaults=True),
        **record.model_dump(exclude={"run"}),
        **known,
        "config": config.model_dump(),
        "imported": about.imported and about.imported.model_dump(),
    }


def _print(
    found: "Mapping[AnyKind, Results]", more: "Callable[[Results], Iterable[Block]] | None"
) -> None:
    """Print the results of each kind, and what must be known before they are compared."""
    from lmcompare_cli.rendering.pages import print_page

    shown = [(kind, results) for kind, results in found.items() if results]
    for number, (kind, results) in enumerate(shown):
        if number:
            output.print()
        print_page([*kind.page(results), *(more(results) if more else ())])
        for caution in kind.cautions(results):
            say(caution)
