"""Printing what runs wrote on stdout: texts with headings, or JSON."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lmcompare.blocks.visible import visible
from lmcompare_cli.console import write
from lmcompare_cli.rendering.live_text import write_sample

if TYPE_CHECKING:
    from lmcompare.generation.generate import Generated, Sample
    from lmcompare.generation.prompts import Request
    from lmcompare.runs.loaded_model import LoadedModel


@dataclass(frozen=True, kw_only=True)
class Written:
    """A run's texts, and how they were asked for.

    Attributes:
        methods: of each prompt, how it was written.
        shown: whether it is on the terminal already.
    """

    model: "LoadedModel"
    request: "Request"
    precision: str
    methods: tuple[str, ...]
    generated: "Generated"
    shown: bool


def print_samples(written: Written, *, several: bool, first: bool) -> None:
    """Print each text; a heading says of which run, prompt and sample, where there are others."""
    for sample in written.generated.samples:
        parts = [
            *([written.model.path.name] if several else []),
            *([f"prompt {sample.prompt}"] if len(written.request.prompts) > 1 else []),
            *([f"sample {sample.number}"] if written.request.num > 1 else []),
        ]
        if parts:
            heading = visible(", ".join(parts), keep="")
            write(("" if first else "\n") + f"=== {heading} ===\n", "cyan")
        first = False
        write_sample(sample, written.model.tokenizer)


def as_json(written: Written, sample: "Sample") -> dict[str, object]:
    """Return a sample, and how it was written."""
    request, cost = written.request, written.generated.cost
    method = written.methods[sample.prompt]
    obeyed = written.model.objective.decoding_methods[method].settings
    return {
        "run": str(written.model.path),
        "objective": written.model.objective.name,
        "arm": written.model.arm,
        "run_seed": written.model.seed,
        "step": written.model.step,
        "seed": request.seed,
        "method": method,
        "precision": written.precision,
        "settings": {
            name: value for name, value in request.sampler.model_dump().items() if name in obeyed
        },
        "prompt": request.prompts[sample.prompt],
        "prompt_number": sample.prompt,
        "number": sample.number,
        "text": sample.text,
        "written": sample.written,
        "num_tokens": sample.num_tokens,
        "cost": {
            "passes": cost.passes,
            "positions": cost.positions,
            "flops": cost.flops,
            "seconds": written.generated.seconds,
        },
    }
