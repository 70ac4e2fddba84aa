"""`lmcompare check`."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from lmcompare.blocks import names, numbers
from lmcompare.blocks.visible import visible
from lmcompare.paths import cache_folder
from lmcompare.runs.places import EXPERIMENTS, find_study
from lmcompare_cli import options
from lmcompare_cli.console import output, paragraph, print_json, warn
from lmcompare_cli.rendering.tables import print_table

if TYPE_CHECKING:
    from lmcompare.config.study import Planned
    from lmcompare.data import TokenizerConfig
    from lmcompare.training.cost import MatchedDepth, PhaseCost, Plan
    from lmcompare.training.forecast import Forecast

TIMES = ("training time", "FLOPs to evaluate", "time", "FLOPs for infilling", "time")
MEMORY = "Memory is what training takes at most, an estimate that is rather too high. There are"
NOTE = (
    "To evaluate: `lmcompare eval RUN`; infilling: `lmcompare eval RUN --tasks infilling`; both "
    "with their default options. Times are estimates from how fast this machine multiplies "
    "matrices now: right within a factor of about two if nothing else runs, and some seconds more "
    "for starting. Generation and "
    "benchmarks are not forecast: their cost depends on what is written and on the files."
)


def check(
    study: options.Study = None,
    objective: options.Objective = None,
    phase: options.Phases = None,
    init: options.Init = None,
    data: options.Data = None,
    model: options.Size = None,
    budget: options.BudgetOption = None,
    document: options.Document = None,
    encoding_errors: options.EncodingErrors = None,
    field: options.Field = None,
    vocab_size: options.VocabSize = None,
    settings: options.Set = None,
    format: options.Format = "table",
) -> None:
    """Check a configuration or a study and say what it costs to train and evaluate; do neither."""
    from lmcompare.training import memory
    from lmcompare.training.cost import plan
    from lmcompare.training.forecast import Forecaster
    from lmcompare.training.start import named_start
    from lmcompare.training.trainer import read_text

    planned = options.planned_runs(
        find_study(study),
        arm=None,
        given={
            "objective": objective,
            "init": init,
            "data.source": data,
            "model": model,
            "budget": budget,
            "data.document": document,
            "data.encoding_errors": encoding_errors,
            "data.field": field,
            "tokenizer.vocab_size": vocab_size,
        },
        seeds=None,
        settings=settings,
        phases=phase,
    )
    memory.require([(each.arm, each.config) for each in planned], warn=warn)
    cache = cache_folder()
    for each in planned:
        if each.config.init and each.start is None:
            named_start(each.config, read_text(each.config, cache=cache), out=EXPERIMENTS)
    plans = [(each, plan(each.config, cache=cache, warn=warn)) for each in planned]
    forecaster = Forecaster(cache)
    forecasts: dict[str, Forecast] = {}
    for each, costs in plans:
        if each.arm not in forecasts:  # its seeds cost the same
            forecasts[each.arm] = forecaster.forecast(each.config, costs.flops)
    if format == "json":
        rows = [
            {
                **{"arm": each.arm, "seed": each.config.seed},
                **asdict(costs),
                **asdict(forecasts[each.arm]),
            }
            for each, costs in plans
        ]
        print_json(rows)
        return
    for text in dict.fromkeys(costs.text for _, costs in plans):
        paragraph(visible(text, keep=""))
    for each, _ in plans:
        if each.config.tokenizer.file is not None:
            _say_tokenizer(each.config.tokenizer)
            break  # all arms of a study have one
    _print_costs(plans)
    _print_phases({each.arm: costs.phases for each, costs in plans if costs.phases})
    _print_depths({each.arm: costs.depths for each, costs in plans if costs.depths})
    output.print()
    print_table(
        [*names("arm"), *numbers(*TIMES)],
        ([arm, *_times(forecast)] for arm, forecast in forecasts.items()),
    )
    paragraph(NOTE)
    there_are = [f"{memory.available(each.config) / 1e9:,.1f} GB" for each in planned]
    paragraph(f"{MEMORY} {', '.join(dict.fromkeys(there_are))}.")


def _say_tokenizer(config: "TokenizerConfig") -> None:
    """Print which special tokens a tokenizer from elsewhere has."""
    from lmcompare.data import Tokenizer

    told = Tokenizer.of_file(config).described()
    paragraph(visible(f"The tokenizer {config.file} has {told}.", keep=""))


def _print_costs(plans: "list[tuple[Planned, Plan]]") -> None:
    """Print what each run is and what its training costs."""
    print_table(
        [
            *names("arm"),
            *numbers("seed", "size", "parameters", "steps", "tokens", "epochs", "targets"),
            *numbers("FLOPs", "memory"),
        ],
        (
            [
                each.arm,
                str(each.config.seed),
                _size(each.config.model.preset, costs),
                f"{costs.num_parameters:,}",
                _count(costs.steps),
                _count(costs.tokens),
                "—" if costs.epochs is None else f"{costs.epochs:.2f}",
                _count(costs.targets),
                "—" if costs.flops is None else f"{costs.flops:.3g}",
                f"~{costs.memory / 1e9:,.1f} GB",
            ]
            for each, costs in plans
        ),
    )


def _print_phases(phases: "Mapping[str, Sequence[PhaseCost]]") -> None:
    """Print what each phase of an arm is; nothing where no arm has any."""
    if not phases:
        return
    output.print()
    print_table(
        [*names("arm", "phase"), *numbers("budget", "steps", "targets/step", "FLOPs/step")],
        (
            [
                arm,
                each.objective,
                f"{100 * each.share:g}%",
                _count(each.steps),
                _count(each.targets_per_step),
                f"{each.flops_per_step:.3g}",
            ]
            for arm, own in phases.items()
            for each in own
        ),
    )


def _print_depths(depths: "Mapping[str, Sequence[MatchedDepth]]") -> None:
    """Print how deep the encoder-decoders are, if there are any, and what that costs."""
    if not depths:
        return
    output.print()
    print_table(
        [
            *names("arm", "matched on"),
            *numbers("encoder + decoder", "parameters", "ratio", "FLOPs a step", "ratio"),
        ],
        (
            [
                arm,
                depth.match or "— (causal decoder)",
                _layers(depth),
                f"{depth.num_parameters:,}",
                f"{depth.parameters_ratio:.2f}",
                f"{depth.flops_per_step:.3g}",
                f"{depth.flops_ratio:.2f}",
            ]
            for arm in depths
            for depth in depths[arm]
        ),
    )


def _times(forecast: "Forecast") -> list[str]:
    """Return the cells under the headings `TIMES`."""
    from lmcompare_cli.rendering.progress import clock

    training = forecast.training_seconds
    return [
        "—" if training is None else f"~{clock(training)}",
        f"{forecast.likelihood_flops:.3g}",
        f"~{clock(forecast.likelihood_seconds)}",
        f"{forecast.infilling_flops:.3g}",
        f"~{clock(forecast.infilling_seconds)}",
    ]


def _size(preset: str, costs: "Plan") -> str:
    return f"{preset}, {_layers(costs)} layers" if costs.encoder_layers else preset


def _layers(shape: "Plan | MatchedDepth") -> str:
    return f"{shape.encoder_layers} + {shape.layers}"


def _count(number: float | None) -> str:
    return "—" if number is None else f"{number:,.0f}"
