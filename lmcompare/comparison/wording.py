"""Settings in words: what a table, a label or the control sheet says of a configuration."""

from collections.abc import Mapping
from typing import Any

from lmcompare.config.budget import Spent
from lmcompare.config.phases import in_words
from lmcompare.evaluation.metric import short
from lmcompare.objectives import Objective
from lmcompare.runs.records import RunRecord


def described(objective: Objective) -> str:
    """Return an objective's name and those of its settings that are not at their defaults."""
    changed = objective.model_dump(exclude={"name"}, exclude_defaults=True)
    settings = ", ".join(f"{key} {shown(value)}" for key, value in changed.items())
    return f"{objective.name} ({settings})" if settings else objective.name


def settings_of(record: RunRecord) -> dict[str, str]:
    """Return what may distinguish two runs of one name, in words; what tells most comes first."""
    config = flat(record.config.model_dump(exclude={"seed", "runtime"}))
    config |= flat({"runtime": record.config.runtime.model_dump()})
    config["phase"] = in_words(record.config.phases)
    settings = {key: f"{key.rpartition('.')[2]} {shown(value)}" for key, value in config.items()}
    return settings | {
        "sheet.text": f"training text {record.sheet.text[:8]}",
        "sheet.tokenizer": f"tokenizer {record.sheet.tokenizer[:8]}",
        **({"weights": f"weights {record.imported.weights[:8]}"} if record.imported else {}),
        "text_hash": f"whole text {(record.text_hash or 'unknown')[:8]}",
    }


def flat(tables: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested tables as one, with dotted keys."""
    found: dict[str, Any] = {}
    for key, value in tables.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found


def shown(value: object) -> str:
    """Return a setting's value for a reader."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def amounts(spent: Spent | None) -> str:
    """Return what was spent in words, but for seconds and steps; of None that it is not known."""
    if spent is None:
        return "not known how much"
    tokens, targets, flops = map(short, (spent.tokens, spent.targets, spent.flops))
    return f"{tokens} tokens, {targets} targets, {flops} FLOPs"
