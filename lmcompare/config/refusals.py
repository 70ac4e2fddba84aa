"""What is wrong with a configuration, in one sentence that names the setting by its dotted key."""

from collections.abc import Set as AbstractSet

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from lmcompare.errors import did_you_mean
from lmcompare.objectives import OBJECTIVES
from lmcompare.parsing import brief

# What settings are called elsewhere, by the last part of their names here.
_CALLED_ELSEWHERE = {
    **dict.fromkeys(("lr", "step_size"), "optimizer.learning_rate"),
    **dict.fromkeys(("wd", "l2"), "optimizer.weight_decay"),
    **dict.fromkeys(("warmup_steps", "warmup_ratio"), "optimizer.warmup"),
    **dict.fromkeys(("batch_size", "bs", "per_device_train_batch_size"), "batch.rows"),
    **dict.fromkeys(
        ("seq_len", "seq_length", "sequence_length", "block_size", "max_length", "context_length"),
        "batch.length",
    ),
    **dict.fromkeys(("epochs", "num_epochs", "steps", "max_steps", "num_steps"), "budget"),
    **dict.fromkeys(("hidden_size", "d_model", "dim", "n_embd", "embed_dim"), "model.width"),
    **dict.fromkeys(("n_layer", "n_layers", "num_layers", "num_hidden_layers"), "model.layers"),
    **dict.fromkeys(("n_head", "n_heads", "num_heads", "num_attention_heads"), "model.heads"),
    **dict.fromkeys(("d_ff", "intermediate_size", "ffn_dim"), "model.ffn"),
    **dict.fromkeys(
        (
            "mask_rate",
            "mask_prob",
            "mask_ratio",
            "masking_rate",
            "mlm_probability",
            "noise_density",
        ),
        "objective.rate",
    ),
    **dict.fromkeys(("mean_span_length", "mean_noise_span_length"), "objective.mean_span"),
    **dict.fromkeys(("gradient_accumulation_steps", "micro_batch_size"), "runtime.micro_batch"),
    **dict.fromkeys(("dtype", "bf16", "fp16"), "runtime.precision"),
    **dict.fromkeys(("path", "dataset", "file", "corpus"), "data.source"),
}


def sentence(error: ValidationError, keys: AbstractSet[str], *, table: str = "") -> str:
    """Return what the first thing is that is wrong, and what to do.

    Args:
        error: of pydantic.
        keys: all dotted keys that there are.
        table: the table of the configuration that was read, by its key; all of it by default.
    """
    first, where = error.errors()[0], ""
    location = [*filter(None, [table]), *map(str, first["loc"])]
    if location[:1] == ["phase"] and len(location) > 1:  # pydantic counts from 0
        where, location = f"phase {int(location[1]) + 1}: ", location[2:]
    return where + _sentence(first, location, keys)


def _sentence(first: ErrorDetails, location: list[str], keys: AbstractSet[str]) -> str:
    of, fields = "", list[str]()
    for index in range(len(location) - 1, 0, -1):
        if location[index - 1] == "objective" and location[index] in OBJECTIVES:
            name = location.pop(index)  # pydantic's name for the member of the union
            of = of or f" of {name}"
            fields = fields or list(OBJECTIVES[name].model_fields)
    key, message = ".".join(location), first["msg"].removeprefix("Value error, ")
    known = keys | {name.partition(".")[0] for name in keys}
    if first["type"] == "extra_forbidden":
        if key in known:
            return f"there is no setting '{key}'{of}: it belongs to another objective; leave it out"
        table, last = _parts(key)
        if (meant := _CALLED_ELSEWHERE.get(last.lower().replace("-", "_"))) and not of:
            return f"there is no setting '{key}': here it is called {meant}"
        if not table and (same := sorted(name for name in known if _parts(name)[1] == last)):
            meant = " or ".join(f"'{name}'" for name in same)
            return f"there is no setting '{key}': did you mean {meant}?"
        near = {name for name in known if _parts(name)[0] == _parts(key)[0]}
        if not near:  # of an objective inside of another
            near = {f"{_parts(key)[0]}.{name}" for name in fields}
        near |= {name for name in known if _parts(name)[1] == _parts(key)[1]}
        return f"there is no setting '{key}'{of}: {did_you_mean(key, near)}"
    whole = key
    while key not in known and "." in key:  # a part of a value, such as the second of a list
        key, _ = _parts(key)
    if whole.count(".") > key.count(".") + 1:  # deep inside of it
        key = whole
    if first["type"] == "value_error":
        return f"{key}: {message}"
    message = message[0].lower() + message[1:]
    if first["type"] in {"missing", "union_tag_not_found"}:
        return f"{key} is missing or not complete: {message}"
    return f"{key} cannot be {brief(first['input'])}: {message}"


def _parts(key: str) -> tuple[str, str]:
    """Return the table that a dotted key is in, and its own name."""
    table, _, name = key.rpartition(".")
    return table, name
