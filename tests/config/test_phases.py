"""Phases as they are written: what they mean, and what is refused."""

from typing import Any

import pytest

from lmcompare.config.run import parse_run
from lmcompare.errors import UserError

PHASES = [{"objective": "clm", "budget": "60%"}, {"objective": "mlm"}]


@pytest.mark.parametrize(
    ("phases", "said"),
    [
        ([("clm", "60%"), ("mlm", "50%")], "the phases take 110% of the budget: lower a share"),
        ([("clm", "60%"), ("mlm", "30%")], "the phases take 90% of the budget: raise a share"),
        ([("clm", "60%")], "the phases take 60% of the budget: raise a share"),
        ([("clm", "100%"), ("mlm", None)], "100% of the budget and leave nothing to the last"),
        ([("clm", None), ("mlm", "30%")], "phase 1 of 2 has no budget, and only the last may"),
        ([("clm", "2k tokens"), ("mlm", None)], "'2k tokens' is no share of the budget"),
        ([("clm", 60), ("mlm", None)], "phase 1: budget cannot be 60"),
        ([("clm", "0%"), ("mlm", None)], "phase 1: budget cannot be '0%'"),
        ([("clm", "60%"), ("t5", None)], "clm and t5 do not train one backbone"),
        ([("clm", "60%"), ("mml", None)], "no objective is called 'mml': did you mean 'mlm'?"),
        ([({"name": "mlm", "ratee": 1}, "60%"), ("clm", None)], "phase 1: .*'objective.ratee' of"),
    ],
)
def test_phases_that_cannot_be(phases: list[tuple[Any, Any]], said: str) -> None:
    tables = [
        {"objective": objective, **({} if share is None else {"budget": share})}
        for objective, share in phases
    ]
    with pytest.raises(UserError, match=said) as error:
        parse_run({"phase": tables})
    assert "\n" not in str(error.value)


def test_phases_say_the_objective_and_the_last_takes_the_rest() -> None:
    config = parse_run({"phase": PHASES})
    assert config.objective.name == "mlm"
    assert [(each.start, each.stop) for each in config.phases] == [(0.0, 0.6), (0.6, 1.0)]
    assert parse_run(config.given) == config
    said = [PHASES[0], {"objective": "mlm", "budget": "40%"}]
    assert parse_run({"phase": said}).identity == config.identity
    with pytest.raises(UserError, match="the last phase is mlm, and the objective was given as"):
        parse_run({"phase": PHASES, "objective": "clm"})
    tenths = [{"objective": "clm", "budget": "10%"}, {"objective": "mlm", "budget": "20%"}]
    three = parse_run({"phase": [*tenths, {"objective": "mlm", "budget": "70%"}]})
    assert [each.stop for each in three.phases] == [0.1, 0.3, 1.0]
