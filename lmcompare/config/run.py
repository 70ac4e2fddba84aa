"""The configuration of a run: everything that decides what comes out of it, in one frozen value.

A configuration is written in TOML or as `key=value` with dotted keys; what it leaves out has a
default here.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from hashlib import blake2b
from typing import Any, Literal, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from lmcompare.config.budget import AnyBudget, Budget
from lmcompare.data import DataConfig, TokenizerConfig
from lmcompare.errors import UserError, did_you_mean
from lmcompare.model import ModelConfig
from lmcompare.objectives import OBJECTIVES, AnyObjective
from lmcompare.optim import OptimizerConfig
from lmcompare.parsing import Malformed, brief, parse_toml

Parsed = TypeVar("Parsed", bound=BaseModel)


class BatchConfig(BaseModel):
    """What one training step reads."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rows: int = Field(16, gt=0, description="blocks of text a step")
    length: int = Field(128, ge=8, description="tokens in a block")
    separate_documents: bool = Field(
        False, description="hide documents packed in one block from each other"
    )


class ValidationConfig(BaseModel):
    """The loss on held-out text while training: the same blocks, the same corruption."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    times: int = Field(
        10, ge=0, description="how often, spread evenly over the budget; the end included"
    )
    blocks: int = Field(64, gt=0, description="at most this many blocks")


COMPILED_WIDTH = 512


class RuntimeConfig(BaseModel):
    """How a run is carried out on a machine."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    device: str = Field("auto", description="auto, cpu, cuda, mps")
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    compile: Literal["auto"] | bool = Field(
        "auto",
        description="torch.compile, which takes a minute or two at first: auto does on a GPU, from "
        "the width of `small` on; needs a C++ compiler on a CPU",
    )
    micro_batch: int | None = Field(
        None, gt=0, description="rows of one forward pass; what suits the device by default"
    )
    memory_gb: float | None = Field(
        None,
        gt=0,
        strict=True,
        allow_inf_nan=False,
        description="GB that training may take, by the estimate of `lmcompare check`; what the "
        "machine has by default",
    )
    threads: int | None = Field(
        None, gt=0, le=1024, description="of the CPU; what torch chooses by default"
    )
    save_every: int = Field(500, gt=0, description="steps between checkpoints")
    keep: int = Field(
        2, ge=2, description="checkpoints kept; the one before the last is the fall-back"
    )
    tensorboard: bool = Field(False, description="write event files too (extra: tensorboard)")

    def compiles(self, device_type: str, width: int) -> bool:
        """Whether a model of `width` is compiled on such a device."""
        if self.compile == "auto":
            return device_type == "cuda" and width >= COMPILED_WIDTH
        return self.compile


# what changes how a run is carried out but not what comes out of it
_NOT_RESULT = {"runtime": {"device", "compile", "memory_gb", "save_every", "keep", "tensorboard"}}


class RunConfig(BaseModel):
    """A run in full."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    objective: AnyObjective
    model: ModelConfig = Field(
        default_factory=lambda: ModelConfig.model_validate("nano"), validate_default=True
    )
    seed: int = Field(0, ge=0)
    budget: AnyBudget = Budget(amount=2e6, unit="tokens")
    data: DataConfig = DataConfig()
    tokenizer: TokenizerConfig = TokenizerConfig()
    batch: BatchConfig = BatchConfig()
    optimizer: OptimizerConfig = Field(OptimizerConfig(), validate_default=True)
    validation: ValidationConfig = ValidationConfig()
    runtime: RuntimeConfig = RuntimeConfig()

    @field_validator("model")
    @classmethod
    def _encoder_where_needed(cls, model: ModelConfig, info: ValidationInfo) -> ModelConfig:
        objective = info.data.get("objective")
        if objective is None:  # it was refused itself
            return model
        if objective.encodes and not model.encoder_layers:
            return model.with_encoder()
        if model.encoder_layers and not objective.encodes:
            raise ValueError(
                f"{objective.name} reads no source, so an encoder would be idle: "
                "leave model.encoder_layers at 0"
            )
        return model

    @field_validator("optimizer")
    @classmethod
    def _slower_where_wider(
        cls, optimizer: OptimizerConfig, info: ValidationInfo
    ) -> OptimizerConfig:
        model = info.data.get("model")
        return optimizer if model is None else optimizer.suited_to(model.width)

    @property
    def identity(self) -> str:
        """Eight hexadecimal digits of all settings that decide what comes out, but for the text.

        The text, its splits and its tokenizer are known by the hash of what was read
        (`RunRecord.text_hash`), whatever it is called and however it was come by.
        """
        settings = self.model_dump_json(exclude={**_NOT_RESULT, "data": True, "tokenizer": True})
        return blake2b(settings.encode(), digest_size=4).hexdigest()

    def asks_the_same(self, other: "RunConfig") -> bool:
        """Tell whether the other asks for the same result of the same sources, by their names."""
        return self.model_dump(exclude=_NOT_RESULT) == other.model_dump(exclude=_NOT_RESULT)


def parse_run(given: Mapping[str, Any]) -> RunConfig:
    """A configuration from nested tables.

    Raises:
        UserError: an unknown key, a value out of range, and so on; one sentence on the first of
            them.
    """
    return _parse(RunConfig, given, table="")


def parse_data(given: Mapping[str, Any]) -> DataConfig:
    """What is read, by itself; raises as `parse_run` does."""
    return _parse(DataConfig, given, table="data")


def _parse(kind: type[Parsed], given: Mapping[str, Any], *, table: str) -> Parsed:
    try:
        config = kind.model_validate(given)
    except ValidationError as error:
        raise UserError(_sentence(error, table)) from None
    _require_storable(config.model_dump(), table)
    return config


def _require_storable(value: object, key: str) -> None:
    """Make sure that JSON can hold all that was set, as it is kept so.

    Raises:
        UserError: something is infinite or no number, or text that is no Unicode.
    """
    if isinstance(value, list | tuple):
        value = dict(enumerate(value))
    for name, each in value.items() if isinstance(value, Mapping) else ():
        _require_storable(each, f"{key}.{name}" if key else str(name))
    if isinstance(value, float) and not math.isfinite(value):
        raise UserError(f"{key} cannot be {value}: give it a finite number")
    if isinstance(value, str) and any("\ud800" <= each <= "\udfff" for each in value):
        raise UserError(f"{key} cannot be {value!r}: it holds bytes that are no UTF-8; rename it")


def assign(tables: Mapping[str, Any], assignments: Iterable[str]) -> dict[str, Any]:
    """`tables` with each `dotted.key=value` set; a value is read as TOML, or else as a bare string.

    Raises:
        UserError: not of that form, or a part is set of what has none.
    """
    changed = dict(tables)
    for assignment in assignments:
        dotted, equals, written = assignment.partition("=")
        if not equals or not dotted.strip():
            raise UserError(f"'{assignment}' sets nothing: write key=value, such as batch.rows=32")
        *parents, last = dotted.strip().split(".")
        table, path = changed, ""
        for parent in parents:
            path += parent
            inner = spelled_out(path, table.get(parent, {}))
            if not isinstance(inner, Mapping):
                raise UserError(
                    f"'{assignment}' sets a part of {path}, which is {brief(inner)} and has none: "
                    f"write {path}=value"
                )
            table[parent] = dict(inner)
            table, path = table[parent], f"{path}."
        table[last] = _value(written.strip(), where=f"the value of '{dotted.strip()}'")
    return changed


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

_SHORT_FOR = {"objective": "name", "model": "preset"}


def spelled_out(key: str, value: Any) -> Any:
    """A bare name, such as objective = "mlm", as the table that it is short for."""
    return {_SHORT_FOR[key]: value} if key in _SHORT_FOR and isinstance(value, str) else value


def _value(written: str, *, where: str) -> Any:
    try:
        found = parse_toml(f"value = {written}", where=where)
    except Malformed:
        return written
    return found["value"] if len(found) == 1 else written  # more lines are no value


def known_keys(model: type[BaseModel] = RunConfig, prefix: str = "") -> Iterator[str]:
    """Every dotted key of a configuration, those of all objectives included."""
    for name, field in model.model_fields.items():
        inner = field.annotation
        if name == "objective":
            for member in OBJECTIVES.values():
                yield from known_keys(member, f"{prefix}{name}.")
        elif isinstance(inner, type) and issubclass(inner, BaseModel) and inner is not Budget:
            yield from known_keys(inner, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def _sentence(error: ValidationError, table: str) -> str:
    first = error.errors()[0]
    location = [*filter(None, [table]), *map(str, first["loc"])]
    of, fields = "", list[str]()
    for place in range(len(location) - 1, 0, -1):
        if location[place - 1] == "objective" and location[place] in OBJECTIVES:
            name = location.pop(place)  # pydantic's name for the member of the union
            of = of or f" of {name}"
            fields = fields or list(OBJECTIVES[name].model_fields)
    key, message = ".".join(location), first["msg"].removeprefix("Value error, ")
    known = set(known_keys())
    known |= {name.partition(".")[0] for name in known}
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
    """The table that a dotted key is in, and its own name."""
    table, _, name = key.rpartition(".")
    return table, name
