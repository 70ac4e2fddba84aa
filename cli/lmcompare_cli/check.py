"""`lmcompare check`."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from lmcompare_cli import options
from lmcompare_cli.console import cache_folder, output, talk
from lmcompare_cli.places import find_study

if TYPE_CHECKING:
    from lmcompare.planning import Depth, Plan


def check(
    study: options.Study = None,
    objective: options.Objective = None,
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
    """Check a configuration or a study and say what it costs, without training anything."""
    from lmcompare.planning import plan
    from lmcompare_cli.tables import print_table

    planned = options.planned_runs(
        find_study(study),
        arm=None,
        given={
            "objective": objective,
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
    )
    plans = [(each, plan(each.config, cache=cache_folder(), warn=_warn)) for each in planned]
    if format == "json":
        rows = [
            {"arm": each.arm, "seed": each.config.seed, **asdict(costs)} for each, costs in plans
        ]
        output.print(json.dumps(rows, indent=2), soft_wrap=True)
        return
    for text in dict.fromkeys(costs.text for _, costs in plans):
        output.print(text, soft_wrap=True)
    print_table(
        words=("arm",),
        numbers=(
            "seed",
            "size",
            "parameters",
            "steps",
            "tokens",
            "epochs",
            "targets",
            "FLOPs",
            "memory",
        ),
        rows=(
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
                f"~{costs.memory / 1e6:,.0f} MB",
            ]
            for each, costs in plans
        ),
    )
    depths = {each.arm: costs.depths for each, costs in plans if costs.depths}  # of the last seed
    if depths:
        output.print()
        print_table(
            words=("arm", "matched on"),
            numbers=("encoder + decoder", "parameters", "ratio", "FLOPs a step", "ratio"),
            rows=(
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


def _warn(text: str) -> None:
    talk.print(f"warning: {text}", style="yellow", soft_wrap=True)


def _size(preset: str, costs: "Plan") -> str:
    return f"{preset}, {_layers(costs)} layers" if costs.encoder_layers else preset


def _layers(of: "Plan | Depth") -> str:
    return f"{of.encoder_layers} + {of.layers}"


def _count(number: float | None) -> str:
    return "—" if number is None else f"{number:,.0f}"
