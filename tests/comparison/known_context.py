"""Context use with known answers."""

from typing import Any

from lmcompare.evaluation.context.record import CHANGES, ContextItem, ContextRecord, key_of
from lmcompare.runs.run import Run

DISTANCES = (0, 1, 2, 4, 7)
TEXTS = 11


def use_context(
    run: Run, *, left: float = 2.0, right: float | None = None, share: float = 0.25, **changes: Any
) -> ContextRecord:
    """Keep answers of two tokens of each text, between which gains differ by a tenth.

    All of the gain from the left is lost between a cut at 2 and one at 4 tokens; from the right, of
    a model that sees it, at once.
    """
    own, last = run.record(), run.last_metrics()
    assert last is not None
    shapes = {"left": (1.0, 1.0, 1.0, 0.0), "right": (1.0, 0.0, 0.0, 0.0)}
    gains = {"left": left, "right": right}
    items = [
        ContextItem(
            text=number // 2,
            nats=3.0,
            lost={
                key_of(change, side): tuple(gain * (1 + number % 2 / 10) * each for each in shape)
                for side, shape in shapes.items()
                if (gain := gains[side]) is not None
                for change in CHANGES
            },
            moved={
                key_of(change, side): tuple(each / 8 for each in shape)
                for side, shape in shapes.items()
                if gains[side] is not None
                for change in CHANGES
            },
            gradient_right=0.0 if right is None else share,
        )
        for number in range(2 * TEXTS)
    ]
    record = ContextRecord(
        **{
            "arm": own.arm,
            "seed": own.config.seed,
            "source": "validation",
            "text": "c0de" * 4,
            "step": last.step,
            "reach": DISTANCES[-1],
            "distances": DISTANCES,
            "num_tokens": len(items),
            "num_curve_tokens": len(items),
            "num_changed_tokens": len(items),
            "num_texts": TEXTS,
            "scoring": "causal" if right is None else "left-to-right",
            "likelihood": "exact",
            "given": "left" if right is None else "both",
            "nats": 3.0,
            "gain": {"left": left, "right": right or 0.0},
            "gradient": {"left": (0.5, 0.25), "right": (0.25, 0.0)},
            **changes,
        }
    )
    run.results.write(record, items if record.gain is not None else [])
    return record
