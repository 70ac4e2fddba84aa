"""What runs wrote, as it goes to stdout: texts with headings, or JSON."""

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
class Texts:
    """What a run wrote.

    Attributes:
        methods: of each prompt, how it was written.
        shown: it stands on the terminal already.
    """

    subject: "LoadedModel"
    asked: "Request"
    precision: str
    methods: tuple[str, ...]
    generated: "Generated"
    shown: bool


def print_texts(texts: Texts, *, several: bool, first: bool) -> None:
    """Each text; a heading says of which run, prompt and sample it is, where there are others."""
    for sample in texts.generated.samples:
        parts = [
            *([texts.subject.run.path.name] if several else []),
            *([f"prompt {sample.prompt}"] if len(texts.asked.prompts) > 1 else []),
            *([f"sample {sample.number}"] if texts.asked.num > 1 else []),
        ]
        if parts:
            heading = visible(", ".join(parts), keep="")
            write(("" if first else "\n") + f"=== {heading} ===\n", "cyan")
        first = False
        write_sample(sample, texts.subject.tokenizer)


def as_json(texts: Texts, sample: "Sample") -> dict[str, object]:
    """A sample, and how it was written."""
    record, asked, cost = texts.subject.record, texts.asked, texts.generated.cost
    method = texts.methods[sample.prompt]
    obeyed = texts.subject.objective.fillings[method].settings
    return {
        "run": str(texts.subject.run.path),
        "objective": texts.subject.objective.name,
        "arm": record.arm,
        "run_seed": record.config.seed,
        "step": texts.subject.step,
        "seed": asked.seed,
        "method": method,
        "precision": texts.precision,
        "settings": {
            name: value for name, value in asked.sampler.model_dump().items() if name in obeyed
        },
        "prompt": asked.prompts[sample.prompt],
        "prompt_number": sample.prompt,
        "number": sample.number,
        "text": sample.text,
        "written": sample.written,
        "num_tokens": sample.num_tokens,
        "cost": {
            "passes": cost.passes,
            "positions": cost.positions,
            "flops": cost.flops,
            "seconds": texts.generated.seconds,
        },
    }
