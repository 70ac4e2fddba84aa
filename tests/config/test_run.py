"""What a configuration accepts, how it says no, and what makes two of them the same run."""

import json
import tomllib
from typing import Any, Literal, get_args, get_origin

import pytest
import tomli_w
from pydantic import BaseModel

from lmcompare.config.budget import Budget
from lmcompare.config.run import (
    RunConfig,
    assign,
    known_keys,
    parse_data,
    parse_run,
)
from lmcompare.errors import UserError
from lmcompare.model import ModelConfig
from lmcompare.objectives import OBJECTIVES, Mlm


def sentence(*settings: str, objective: str = "clm") -> str:
    with pytest.raises(UserError) as error:
        parse_run(assign({"objective": objective}, settings))
    said = str(error.value)
    assert "\n" not in said
    assert "pydantic" not in said
    return said


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("batch.row=3", "there is no setting 'batch.row': did you mean 'batch.rows'?"),
        ("bath.rows=3", "there is no setting 'bath': did you mean 'batch'?"),
        ("learning_rate=1", "no setting 'learning_rate': did you mean 'optimizer.learning_rate'?"),
        ("vocab_size=100", "no setting 'vocab_size': did you mean 'tokenizer.vocab_size'?"),
        ("zzz=1", "there is no setting 'zzz': known: batch, budget, data, defaults, init, model"),
        ("batch.rows=0", "batch.rows cannot be 0: input should be greater than 0"),
        ("batch.rows=many", "batch.rows cannot be 'many': input should be a valid integer"),
        ("batch.length=7", "batch.length cannot be 7: input should be greater than or equal to 8"),
        ("seed=-1", "seed cannot be -1"),
        ("runtime.keep=1", "runtime.keep cannot be 1"),
        ("runtime.precision=half", "runtime.precision cannot be 'half': input should be 'auto'"),
        ("optimizer.schedule=sine", "optimizer.schedule cannot be 'sine': input should be 'cosine"),
        ("optimizer.warmup=1", "optimizer.warmup cannot be 1"),
        ("optimizer=3", "optimizer cannot be 3"),
        ("optimizer.learning_rate=inf", "optimizer.learning_rate cannot be inf"),
        ("model.preset=[1]", "no model size is called '[1]'"),
        ("tokenizer.vocab_size=0", "tokenizer.vocab_size cannot be 0"),
        ("data.source=3", "data.source cannot be 3"),
        ("data.shares=[1, 2, 3]", "data.shares: shares must be at least 0"),
        ("data.document=banana", "data.document cannot be 'banana'"),
        ("model=huge", "no model size is called 'huge': known: base, large"),
        ("model=mikro", "no model size is called 'mikro': did you mean 'micro'?"),
        ("model.preset=nanno", "no model size is called 'nanno': did you mean 'nano'?"),
        ("model.layers.x=1", "model.layers cannot be {'x': 1}"),
        ("model.width=130", "model: width 130 gives 2 heads no even share"),
        ("model.encoder_layers=-1", "model.encoder_layers cannot be -1"),
        (
            "model.encoder_layers=2",
            "model: clm reads no source, so an encoder would be idle: leave",
        ),
        ("model.match=width", "model.match cannot be 'width': input should be 'parameters' or"),
        ("seed.x=3", "seed cannot be {'x': 3}"),
        ("budget=banana", "'banana' is not a budget"),
        ("budget=0 steps", "budget cannot be 0"),
        ("budget=1e999 steps", "budget cannot be inf"),
        ("budget.amount=3", "budget is missing or not complete"),
        ("budget=1e300 steps", "budget cannot be 1e+300"),
        ("objective=bert", "no objective is called 'bert': what trains such a model is mlm"),
        ("objective=GPT-2", "no objective is called 'GPT-2': what trains such a model is clm"),
        ("objective=SpanBERT", "what trains such a model is mlm with objective.select=span"),
        ("objective=T5", "no objective is called 'T5': did you mean 't5'?"),
        ("optimizer.lr=1", "'optimizer.lr': here it is called optimizer.learning_rate"),
        ("batch_size=3", "there is no setting 'batch_size': here it is called batch.rows"),
        ("rate=0.3", "there is no setting 'rate': did you mean 'objective.rate'?"),
        ("length=3", "there is no setting 'length': did you mean 'batch.length'?"),
        ("tokenizer.vocab_size=1000000000", "tokenizer.vocab_size cannot be 1000000000"),
        ("runtime.threads=3000", "runtime.threads cannot be 3000"),
        ("objective=mlmm", "no objective is called 'mlmm': did you mean 'mlm'?"),
        ("objective=3", "objective cannot be 3"),
        ("objective.name=3", "objective cannot be"),
        ("objective={rate=0.3}", "objective is missing or not complete"),
        ("objective.rate=0.3", "no setting 'objective.rate' of clm: it belongs to another"),
        ("objective.rat=0.3", "there is no setting 'objective.rat' of clm"),
        ("rows", "'rows' sets nothing: write key=value, such as batch.rows=32"),
        ("=3", "'=3' sets nothing"),
        ("a..b=3", "there is no setting 'a'"),
    ],
)
def test_errors_are_one_sentence_that_names_the_setting(setting: str, said: str) -> None:
    assert said in sentence(setting)


def test_errors_of_an_objective_name_its_own_settings() -> None:
    assert "did you mean 'objective.rate'?" in sentence("objective.rat=0.3", objective="mlm")
    assert "objective.rate cannot be 2" in sentence("objective.rate=2", objective="mlm")
    found = sentence("objective.masked=0.9", "objective.random=0.3", objective="mlm")
    assert found.startswith("objective: masked 0.9 and random 0.3")


def test_a_part_of_what_has_none_is_refused() -> None:
    said = sentence("seed=1", "seed.x=3")
    assert said == "'seed.x=3' sets a part of seed, which is 1 and has none: write seed=value"
    assert "budget, which is '3 steps'" in sentence("budget=3 steps", "budget.amount=3")


def test_a_configuration_without_an_objective_is_refused() -> None:
    with pytest.raises(UserError, match="objective is missing"):
        parse_run({})


def test_text_by_itself_is_checked_alike() -> None:
    assert parse_data({"source": "x", "document": "line"}).document == "line"
    with pytest.raises(UserError, match=r"^data\.document cannot be 'banana': input should be"):
        parse_data({"source": "x", "document": "banana"})
    with pytest.raises(UserError, match=r"no setting 'data\.sauce': did you mean 'data\.source'"):
        parse_data({"sauce": "x"})


def test_short_forms_are_spelled_out_when_a_part_is_set() -> None:
    config = parse_run(
        assign({"objective": "mlm", "model": "micro"}, ["objective.rate=0.3", "model.layers=2"])
    )
    assert config.objective == Mlm(rate=0.3)
    assert (config.model.preset, config.model.layers, config.model.width) == ("micro", 2, 256)


def test_assignments_leave_what_they_were_given() -> None:
    tables: dict[str, Any] = {"batch": {"rows": 3}}
    assert assign(tables, ["batch.rows=5", "seed=7"]) == {"batch": {"rows": 5}, "seed": 7}
    assert tables == {"batch": {"rows": 3}}


def test_later_assignments_win() -> None:
    assert assign({}, ["seed=1", "seed=2", "batch.rows=1", "batch={rows=2}"]) == {
        "seed": 2,
        "batch": {"rows": 2},
    }


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("3", 3),
        ("0.5", 0.5),
        ("true", True),
        ("[0.8, 0.1, 0.1]", [0.8, 0.1, 0.1]),
        ("mlm", "mlm"),
        ('"3"', "3"),
        ("/a/path with spaces=and more.txt", "/a/path with spaces=and more.txt"),
        ("", ""),
    ],
)
def test_values_are_toml_or_else_bare_strings(written: str, value: object) -> None:
    assert assign({}, [f"key={written}"]) == {"key": value}


def other(value: object, kind: Any, name: str) -> object:
    """A valid value that is not `value`."""
    special = {
        "budget": Budget(amount=3, unit="steps"),
        "preset": "micro",
        "width": 256,
        "beta1": 0.5,
        "beta2": 0.5,
        "boards": ("wandb",),
        "phase": parse_run({"phase": PHASES}).phase,
    }
    if name in special:
        return special[name]
    if get_origin(kind) is Literal:
        return next(choice for choice in get_args(kind) if choice != value)
    if isinstance(value, tuple):
        return value[::-1]
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return 2 * value + 2
    if isinstance(value, float):
        return value / 2 or 0.5
    if isinstance(value, str):
        return value + "x"
    inner = [each for each in get_args(kind) if each is not type(None)]
    return {int: 3, float: 0.5, str: "x"}[inner[0]]


PHASES = [{"objective": "clm", "budget": "60%"}, {"objective": "mlm"}]


def changed(model: BaseModel, key: str) -> BaseModel:
    first, _, rest = key.partition(".")
    field = type(model).model_fields[first]
    value = getattr(model, first)
    new = changed(value, rest) if rest else other(value, field.annotation, first)
    found = model.model_copy(update={first: new})
    assert found != model
    return found


# What makes the text, or the first weights, is not part of it either: their hash is.
IMPARTIAL = {f"runtime.{name}" for name in ("device", "compile", "save_every", "keep")}
IMPARTIAL |= {"runtime.boards", "runtime.memory_gb", "defaults", "init"}
IMPARTIAL |= {key for key in known_keys() if key.startswith(("data.", "tokenizer."))}


@pytest.mark.parametrize("key", sorted({*known_keys()} - {"objective.name"}))
def test_only_what_cannot_change_the_result_is_left_out_of_the_identity(key: str) -> None:
    name = next(
        name
        for name, kind in OBJECTIVES.items()
        if not key.startswith("objective.") or key.split(".")[1] in kind.model_fields
    )
    config = parse_run({"objective": name})
    same = changed(config, key).identity == config.identity  # type: ignore[attr-defined]
    assert same == (key in IMPARTIAL)


def test_identities_of_objectives_differ() -> None:
    identities = {parse_run({"objective": name}).identity for name in OBJECTIVES}
    assert len(identities) == len(OBJECTIVES)


def test_the_identity_does_not_depend_on_how_a_configuration_is_written() -> None:
    one = parse_run({"objective": "mlm", "budget": "2M tokens", "model": "nano"})
    two = parse_run(
        {
            "model": {"layers": 4},
            "budget": {"unit": "tokens", "amount": 2_000_000},
            "objective": {"rate": 0.15, "name": "mlm"},
            "seed": 0,
        }
    )
    assert one.identity == two.identity
    assert len(one.identity) == 8


ROUND_TRIPS: list[dict[str, Any]] = [
    *({"objective": name} for name in OBJECTIVES),
    {"objective": {"name": "mlm", "rate": 0.3, "final_rate": 0.1}, "model": "small", "seed": 5},
    {
        "objective": "clm",
        "budget": "90 seconds",
        "data": {"source": ["a.txt", "b.txt"]},
        "optimizer": {"ema": 0.99},
        "runtime": {"micro_batch": 2},
    },
]


@pytest.mark.parametrize("given", ROUND_TRIPS, ids=str)
def test_round_trips(given: dict[str, Any]) -> None:
    config = parse_run(given)
    assert RunConfig.model_validate_json(config.model_dump_json()) == config
    assert parse_run(json.loads(config.model_dump_json())).identity == config.identity
    as_toml = tomli_w.dumps(config.model_dump(mode="json", exclude_none=True))
    assert parse_run(tomllib.loads(as_toml)) == config


@pytest.mark.parametrize("key", sorted({*known_keys()}))
def test_a_slip_in_any_key_is_answered_with_the_key(key: str) -> None:
    table, _, name = key.rpartition(".")
    slip = f"{table}.{name}z" if table else f"{name}z"
    assert f"did you mean '{key}'?" in sentence(f"{slip}=1", objective="mlm")


@pytest.mark.parametrize(
    ("model", "depths"),
    [
        (None, (1, 2)),
        ("nano", (1, 2)),
        ({"layers": 8}, (4, 3)),
        ({"match": "flops"}, (4, 4)),
        ({"layers": 3, "encoder_layers": 5}, (5, 3)),
    ],
)
def test_an_objective_that_reads_a_source_gets_an_encoder(
    model: Any, depths: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Mlm, "encodes", True)
    config = parse_run({"objective": "mlm"} | ({} if model is None else {"model": model}))
    assert (config.model.encoder_layers, config.model.depth) == depths
    again = parse_run(json.loads(config.model_dump_json()))
    assert again == config
    assert again.identity == config.identity
    assert parse_run({"objective": "clm"}).model == ModelConfig.model_validate("nano")


def test_an_encoder_hides_no_other_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Mlm, "encodes", True)
    assert "objective.rate cannot be 2" in sentence(
        "objective.rate=2", "model.encoder_layers=1", objective="mlm"
    )
    assert "model.layers cannot be 0" in sentence("model.layers=0", objective="mlm")


@pytest.mark.parametrize(
    ("settings", "rate"),
    [
        ((), 3e-3),
        (("model.width=32",), 3e-3),
        (("model=micro",), 1.5e-3),
        (("model=base", "optimizer.warmup=0.1"), 5e-4),
        (("model=base", "optimizer.learning_rate=3e-3"), 3e-3),
    ],
)
def test_wider_models_learn_more_slowly_unless_they_are_told(
    settings: tuple[str, ...], rate: float
) -> None:
    config = parse_run(assign({"objective": "clm"}, settings))
    assert config.optimizer.learning_rate == pytest.approx(rate)
    again = parse_run(config.model_dump())
    assert again == config
    assert again.identity == config.identity


ENCODER = {"encoder_layers": 0}
GIVEN: list[dict[str, Any]] = [
    {"objective": {"name": "clm"}},
    {"objective": {"name": "t5"}, "model": {"preset": "micro"}},
    {"objective": {"name": "t5"}, "model": {"layers": 8, "match": "flops"}},
    {"objective": {"name": "t5"}, "model": {"layers": 3, "encoder_layers": 5}},
    {"objective": {"name": "mlm", "rate": 0.15}, "model": {"preset": "micro", "width": 128}},
    {
        "objective": {
            "name": "hybrid",
            "parts": [{"objective": {"name": n}} for n in ("mlm", "clm")],
        },
        "optimizer": {"learning_rate": 0.003},
        "tokenizer": {"vocab_size": None},
        "runtime": {"precision": "auto", "compile": "auto", "micro_batch": None},
    },
]


@pytest.mark.parametrize("given", GIVEN, ids=str)
def test_what_was_given_is_kept_apart_from_what_was_made_of_it(given: dict[str, Any]) -> None:
    config = parse_run(given)
    assert config.given == given
    assert parse_run(config.given) == config
    assert RunConfig.model_validate(config) == parse_run(given), "as what holds it validates it"
    assert config.given == given
    again = parse_run(config.given)
    assert (again.given, again.identity) == (given, config.identity)
    full = parse_run(config.model_dump(mode="json"))
    assert full == config
    assert full.identity == config.identity
    for table, settings in given.items():
        for name, value in settings.items():
            kept = getattr(getattr(config, table), name)
            if name != "parts":
                assert kept == value


def test_no_layers_of_an_encoder_that_is_needed_are_as_many_as_it_takes() -> None:
    open_, given = (parse_run({"objective": "t5", "model": each}) for each in ({}, ENCODER))
    assert given == open_
    assert given.given == open_.given | {"model": {}}


def test_what_is_changed_counts_as_given_and_the_rest_as_before() -> None:
    config = parse_run({"objective": "t5", "model": "micro"})
    other = config.model_copy(update={"seed": 7})
    assert other.given == {**config.given, "seed": 7}
    assert RunConfig(objective=config.objective, optimizer=config.optimizer).optimizer == (
        parse_run({"objective": "t5"}).optimizer
    ), "what was made of another width was not given"
