"""The configuration of a run: everything that decides what comes out of it, in one frozen value.

A configuration is written in TOML or as `key=value` with dotted keys; what it leaves out has a
default here.
"""

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any, Self, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from lmcompare.config.budget import AnyBudget, Budget, Spent
from lmcompare.config.phases import Phase, PhaseConfig, complete, phases_of
from lmcompare.config.reading import BatchConfig, ValidationConfig
from lmcompare.config.refusals import sentence
from lmcompare.config.runtime import RuntimeConfig
from lmcompare.data import DataConfig, TokenizerConfig
from lmcompare.defaults import FIRST, VERSION, completed, differing, filled
from lmcompare.defaults import given as given_of
from lmcompare.errors import UserError
from lmcompare.model import ModelConfig
from lmcompare.objectives import OBJECTIVES, AnyObjective
from lmcompare.optim import OptimizerConfig
from lmcompare.parsing import Malformed, brief, parse_toml

Parsed = TypeVar("Parsed", bound=BaseModel)


# what changes how a run is carried out but not what comes out of it
_NOT_RESULT = {"runtime": {"device", "compile", "memory_gb", "save_every", "keep", "boards"}}
# what is known by its outcome: by the hash of the text or of weights, and by all that was left out
_KNOWN_OTHERWISE = {"data", "tokenizer", "defaults", "init"}


class RunConfig(BaseModel):
    """A run in full."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    objective: AnyObjective
    phase: tuple[PhaseConfig, ...] = Field(
        (),
        description="objectives one after another, each with its share of the budget; the last "
        "is `objective`",
    )
    init: str | None = Field(
        None,
        min_length=1,
        description="whose weights it starts from: a run, one of its checkpoints, or in a study "
        "another arm",
    )
    model: ModelConfig = Field(default_factory=lambda: ModelConfig.model_validate("nano"))
    seed: int = Field(0, ge=0)
    budget: AnyBudget = Budget(amount=2e6, unit="tokens")
    data: DataConfig = DataConfig()
    tokenizer: TokenizerConfig = TokenizerConfig()
    batch: BatchConfig = BatchConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    validation: ValidationConfig = ValidationConfig()
    runtime: RuntimeConfig = RuntimeConfig()
    defaults: int = Field(
        VERSION,
        ge=FIRST,
        le=VERSION,
        description="the version of the defaults of all that is left out; a study goes on with "
        "those that it was begun with",
    )

    @model_validator(mode="before")
    @classmethod
    def _objective_of_phases(cls, given: Any) -> Any:
        """Let the last phase say the objective; a single phase is a run without phases."""
        if not isinstance(given, Mapping) or not isinstance(given.get("phase"), list | tuple):
            return given
        last = given["phase"][-1] if given["phase"] else None
        if not isinstance(last, Mapping) or "objective" not in last:
            return given
        tables = {"objective": last["objective"], **given}
        if len(given["phase"]) == 1 and last.get("budget") in (None, "100%", 1):
            del tables["phase"]
        return tables

    @field_validator("phase")
    @classmethod
    def _whole_budget(
        cls, phases: tuple[PhaseConfig, ...], info: ValidationInfo
    ) -> tuple[PhaseConfig, ...]:
        objective = info.data.get("objective")
        if phases and objective is not None and objective != phases[-1].objective:
            raise ValueError(
                f"the last phase is {phases[-1].objective.name}, and the objective was given as "
                f"{objective.name}: leave the objective out, which is that of the last phase"
            )
        return complete(phases)

    @field_validator("model")
    @classmethod
    def _no_idle_encoder(cls, model: ModelConfig, info: ValidationInfo) -> ModelConfig:
        objective = info.data.get("objective")
        if objective is not None and model.encoder_layers and not objective.encodes:
            raise ValueError(
                f"{objective.name} reads no source, so an encoder would be idle: "
                "leave model.encoder_layers at 0"
            )
        return model

    @model_validator(mode="after")
    def _resolve(self) -> Self:
        """Fill in what was left out: defaults first, then what follows from other settings.

        What was given stays as it is, and stays known as `given`.
        """
        full = completed(self, self.defaults)
        model, optimizer = full.model, full.optimizer
        if full.objective.encodes and not model.encoder_layers:
            made = model.with_encoder()
            depths = {name: getattr(made, name) for name in ("encoder_layers", "decoder_layers")}
            model = filled(model, **depths)
            model.model_fields_set.discard("encoder_layers")  # 0, which leaves the number open
        rate = optimizer.suited_to(model.width).learning_rate
        optimizer = filled(optimizer, learning_rate=rate)
        for name in type(self).model_fields:
            self.__dict__[name] = getattr(full, name)  # frozen for all others
        self.__dict__.update(model=model, optimizer=optimizer)
        return self

    @property
    def phases(self) -> tuple[Phase, ...]:
        """Return its phases; one where it has none of its own."""
        return phases_of(self.phase, self.objective)

    def phase_after(self, spent: Spent) -> Phase:
        """Return the phase of the step that follows when so much is spent."""
        progress = self.budget.progress(spent)
        return next((each for each in self.phases if progress < each.stop), self.phases[-1])

    @property
    def given(self) -> dict[str, Any]:
        """Return what was given as JSON has it; `parse_run` makes the same configuration of it."""
        tables: dict[str, Any] = given_of(self)
        return tables

    def under(self, version: int) -> Self:
        """Return what is asked for under the defaults of a version, unless another one was given.

        Args:
            version: of the defaults.
        """
        if version == self.defaults or "defaults" in self.model_fields_set:
            return self
        return type(self).model_validate(self.given | {"defaults": version})

    @property
    def identity(self) -> str:
        """Return eight hexadecimal digits of all settings that decide the outcome, but the text.

        They are of what differs from the first defaults, so that a setting that is added changes
        no identity. The text, its splits and its tokenizer are known by the hash of what was read
        (`RunRecord.text_hash`), whatever it is called and however it was come by.
        """
        settings = {
            name: {key: value for key, value in found.items() if key not in _NOT_RESULT[name]}
            if name in _NOT_RESULT
            else found
            for name, found in differing(self).items()
            if name not in _KNOWN_OTHERWISE
        }
        kept = {name: found for name, found in settings.items() if found != {}}
        text = json.dumps(kept, sort_keys=True)
        return blake2b(text.encode(), digest_size=4).hexdigest()

    def asks_the_same(self, other: "RunConfig") -> bool:
        """Tell whether the other asks for the same result of the same sources, by their names."""
        one, two = (
            each.model_dump(exclude={**_NOT_RESULT, "defaults": True}) for each in (self, other)
        )
        return one == two


def parse_run(given: Mapping[str, Any]) -> RunConfig:
    """Read a configuration from nested tables.

    Raises:
        UserError: an unknown key, a value out of range, and so on; one sentence on the first of
            them.
    """
    return _parse(RunConfig, given, table="")


def parse_data(given: Mapping[str, Any]) -> DataConfig:
    """Read the table of the text alone; raises as `parse_run` does."""
    return _parse(DataConfig, given, table="data")


def data_table(
    given: str | Path | Sequence[str | Path] | Mapping[str, Any] | None,
) -> Mapping[str, Any] | None:
    """Return the table that a text, or several, is short for."""
    if given is None or isinstance(given, Mapping):
        return given
    if isinstance(given, Sequence) and not isinstance(given, str):
        return {"source": tuple(map(str, given))}
    return {"source": str(given)}


def _parse(kind: type[Parsed], given: Mapping[str, Any], *, table: str) -> Parsed:
    try:
        config = kind.model_validate(given)
    except ValidationError as error:
        raise UserError(sentence(error, {*known_keys()}, table=table)) from None
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
    """Return `tables` with each `dotted.key=value` set, each value read as TOML or as text.

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


_SHORT_FOR = {"objective": "name", "model": "preset"}


def spelled_out(key: str, value: Any) -> Any:
    """Return a bare name, such as objective = "mlm", as the table that it is short for."""
    return {_SHORT_FOR[key]: value} if key in _SHORT_FOR and isinstance(value, str) else value


def _value(written: str, *, where: str) -> Any:
    try:
        found = parse_toml(f"value = {written}", where=where)
    except Malformed:
        return written
    return found["value"] if len(found) == 1 else written  # more lines are no value


def known_keys(model: type[BaseModel] = RunConfig, prefix: str = "") -> Iterator[str]:
    """Yield every dotted key of a configuration, those of all objectives included."""
    for name, field in model.model_fields.items():
        inner = field.annotation
        if name == "objective":
            for member in OBJECTIVES.values():
                yield from known_keys(member, f"{prefix}{name}.")
        elif isinstance(inner, type) and issubclass(inner, BaseModel) and inner is not Budget:
            yield from known_keys(inner, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"
