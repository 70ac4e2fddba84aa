"""Settings are added and defaults change, and what was written before still means the same.

A later version is played here by classes with more settings, or with other defaults.
"""

import json
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field

from lmcompare.config.run import RunConfig
from lmcompare.defaults import FIRST, VERSION, Until, completed, default_of, differing, given
from lmcompare.objectives import OBJECTIVES, Hybrid, Mlm
from lmcompare.optim import OptimizerConfig
from lmcompare.runs.records import RunRecord

IDENTITIES = Path(__file__).with_name("identities.json")
DEFAULTS = Path(__file__).with_name("defaults.json")
OLD_RUN = Path(__file__).parent / "runs" / "schema_2" / "clm-s0-ffde7380" / "run.json"
NOW, LATER = VERSION, VERSION + 1


class MoreOptimizer(OptimizerConfig):
    """A setting was added that leaves all as it was by default."""

    momentum: float = 0.0


class MoreConfig(RunConfig):
    optimizer: MoreOptimizer = MoreOptimizer()
    augmented: bool = False


class MoreRecord(RunRecord):
    config: MoreConfig


class MoreMlm(Mlm):
    focus: float = 1.0


class OtherOptimizer(OptimizerConfig):
    """A default has changed, and a setting was added that changes what is trained by default."""

    warmup: Annotated[float, Until(NOW, 0.05)] = 0.1
    sharpness: Annotated[str, Until(NOW, "off")] = "on"


class OtherConfig(RunConfig):
    optimizer: OtherOptimizer = OtherOptimizer()
    defaults: int = Field(LATER, ge=FIRST, le=LATER)


class OtherRecord(RunRecord):
    config: OtherConfig


def config_of(kind: type[RunConfig] = RunConfig, **settings: Any) -> RunConfig:
    return kind.model_validate({"objective": "mlm", **settings})


def test_a_new_setting_changes_no_identity_until_it_is_set() -> None:
    one, more = config_of(), config_of(MoreConfig)
    assert more.identity == one.identity
    assert config_of(MoreConfig, optimizer={"momentum": 0.5}).identity != one.identity
    assert config_of(MoreConfig, augmented=True).identity != one.identity
    longer = {"optimizer": {"warmup": 0.07}}
    assert config_of(MoreConfig, **longer).identity == config_of(**longer).identity


def test_a_new_setting_of_an_objective_changes_no_identity_until_it_is_set() -> None:
    one = config_of()
    same, other = (
        one.model_copy(update={"objective": MoreMlm(**settings)}) for settings in ({}, {"focus": 2})
    )
    assert same.identity == one.identity
    assert other.identity != one.identity
    mixed, more, most = (
        one.model_copy(update={"objective": Hybrid.model_validate({"parts": parts})})
        for parts in (
            [{"objective": "clm"}, {"objective": objective}]
            for objective in (Mlm(), MoreMlm(), MoreMlm(focus=2))
        )
    )
    assert more.identity == mixed.identity
    assert most.identity != mixed.identity


def test_a_finished_run_is_known_after_settings_were_added() -> None:
    old = RunRecord.read(OLD_RUN)
    read = MoreRecord.read(OLD_RUN)
    assert read.config.optimizer.momentum == 0
    assert read.config.identity == old.config.identity


def test_runs_before_and_after_a_changed_default_are_two() -> None:
    before, after = config_of(), config_of(OtherConfig)
    assert (before.optimizer.warmup, after.optimizer.warmup) == (0.05, 0.1)
    assert before.identity != after.identity
    assert config_of(optimizer={"warmup": 0.1}).identity != after.identity, "it is sharp besides"
    given_so = {"optimizer": {"warmup": 0.05, "sharpness": "off"}}
    assert config_of(OtherConfig, **given_so).identity == before.identity, "the same in other words"


def test_the_same_words_under_earlier_defaults_are_the_run_of_then() -> None:
    now = config_of(OtherConfig)
    then = now.under(NOW)
    assert then.identity == config_of().identity
    assert isinstance(then.optimizer, OtherOptimizer)
    assert (then.optimizer.warmup, then.optimizer.sharpness) == (0.05, "off")
    assert then.under(LATER) == then, "whoever names a version means it"
    own = config_of(OtherConfig, optimizer={"warmup": 0.1}).under(NOW)
    assert own.identity == config_of(optimizer={"warmup": 0.1}).identity, "what is given stays"


def test_what_a_record_lacks_is_what_it_was_when_it_was_written(tmp_path: Path) -> None:
    old = RunRecord.read(OLD_RUN)
    written = tmp_path / "run.json"
    old.write(written)
    for file in (OLD_RUN, written):
        read = OtherRecord.read(file)
        assert (read.config.optimizer.warmup, read.config.optimizer.sharpness) == (0.05, "off")
        assert read.config.identity == old.config.identity


def test_each_version_has_its_own_default() -> None:
    class Settings(BaseModel):
        depth: Annotated[int, Until(2, 3), Until(5, 7)] = 11
        width: int

    found = [default_of(Settings.model_fields["depth"], version) for version in range(1, 8)]
    assert found == [3, 3, 7, 7, 7, 11, 11]
    settings = Settings(width=13)
    assert completed(settings, 1).depth == 3
    assert completed(completed(settings, 1), 6) == settings
    assert completed(Settings(width=13, depth=5), 1).depth == 5
    assert given(completed(settings, 1)) == {"width": 13}
    assert differing(settings) == {"width": 13, "depth": 11}
    assert differing(completed(settings, 1)) == {"width": 13}


def test_a_default_within_a_default_is_of_its_version_too() -> None:
    class Inner(BaseModel):
        rate: Annotated[float, Until(1, 0.5)] = 0.25

    class Outer(BaseModel):
        one: Inner = Inner()
        several: tuple[Inner, ...] = (Inner(), Inner(rate=0.125))
        maybe: Inner | None = None

    now = Outer()
    then = completed(now, 1)
    assert [each.rate for each in (then.one, *then.several)] == [0.5, 0.5, 0.125]
    assert differing(then) == {}
    assert differing(now) == {"one": {"rate": 0.25}, "several": [{"rate": 0.25}, {"rate": 0.125}]}
    assert differing(Outer(one=Inner(rate=0.5), several=then.several, maybe=Inner(rate=0.5))) == {
        "maybe": {}
    }


def defaults_of(version: int) -> dict[str, dict[str, Any]]:
    """What each setting is where nothing is given, by table and name, in JSON."""

    def dumped(name: str) -> dict[str, Any]:
        config = RunConfig.model_validate({"objective": name, "defaults": version})
        return config.model_dump(mode="json")

    shared = {key: value for key, value in dumped("clm").items() if isinstance(value, dict)}
    return shared | {f"objective {name}": dumped(name)["objective"] for name in OBJECTIVES}


def test_no_default_of_a_version_is_ever_another() -> None:
    """To change one, raise `VERSION` and say with `Until` what it was."""
    kept = json.loads(DEFAULTS.read_text())
    for version, tables in kept.items():
        found = defaults_of(int(version))
        for table, expected in tables.items():
            assert {key: found[table].get(key) for key in expected} == expected, table
    assert kept.keys() == {str(each) for each in range(FIRST, VERSION + 1)}, (
        "keep those of the new version: python -m tests.test_defaults"
    )


@pytest.mark.parametrize("words", json.loads(IDENTITIES.read_text()))
def test_no_identity_is_ever_another(words: str) -> None:
    expected = json.loads(IDENTITIES.read_text())[words]
    assert RunConfig.model_validate_json(words).identity == expected


if __name__ == "__main__":
    kept = json.loads(DEFAULTS.read_text())
    found = {str(version): defaults_of(version) for version in range(FIRST, VERSION + 1)} | kept
    DEFAULTS.write_text(json.dumps(found, indent=1) + "\n")
