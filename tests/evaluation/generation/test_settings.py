"""In which ways a run writes, and by which settings."""

from pathlib import Path
from typing import Any

import pytest

from lmcompare.errors import Unsupported
from lmcompare.evaluation.generation.options import GenerationOptions
from lmcompare.evaluation.generation.record import GenerationRecord
from lmcompare.evaluation.generation.settings import ways_to_write
from lmcompare.objectives import OBJECTIVES, Clm
from lmcompare.objectives.decoding.fill_request import DecodingMethod
from lmcompare.objectives.decoding.sampler import Sampler
from lmcompare.runs.run import Run
from tests.evaluation.generation.writing import items, write


def settings(objective: str, **given: Any) -> list[tuple[str, dict[str, Any]]]:
    found = ways_to_write(GenerationOptions(**given), OBJECTIVES[objective]())
    return [(method, sampler.model_dump(exclude_unset=True)) for method, sampler in found]


def test_a_way_gets_the_settings_that_it_obeys() -> None:
    given = {"temperatures": (0.5, 1.0, 0.5), "steps": (3, 5), "top_p": 0.9}
    assert settings("clm", **given) == [
        ("left-to-right", {"temperature": 0.5, "top_p": 0.9}),
        ("left-to-right", {"temperature": 1.0, "top_p": 0.9}),
    ]
    assert settings("mdlm", **given) == [
        ("ancestral", {"temperature": temperature, "steps": steps, "top_p": 0.9})
        for temperature in (0.5, 1.0)
        for steps in (3, 5)
    ]
    assert settings("mlm", methods=("metropolis",), steps=(3,), top_p=0.5) == [
        ("metropolis", {"temperature": 1.0, "steps": 3})
    ]
    assert settings("mdlm") == [("ancestral", {"temperature": 1.0})]


def test_further_settings_are_for_the_ways_that_obey_them() -> None:
    given = {
        "decodings": (Sampler(greedy=True), Sampler(beams=3), Sampler(temperature=0.5, steps=7)),
    }
    assert settings("clm", **given) == [
        ("left-to-right", {"temperature": 1.0}),
        ("left-to-right", {"greedy": True}),
        ("left-to-right", {"beams": 3}),
    ]
    assert settings("mdlm", **given) == [
        ("ancestral", {"temperature": 1.0}),
        ("ancestral", {"greedy": True}),
        ("ancestral", {"temperature": 0.5, "steps": 7}),
    ]
    same = {"temperatures": (0.5,), "decodings": (Sampler(temperature=0.5),)}
    assert settings("clm", **same) == [("left-to-right", {"temperature": 0.5})]


def test_a_search_writes_as_much_as_a_draw(trained: dict[str, Run], cache: Path) -> None:
    searches = (Sampler(beams=3), Sampler(degeneration_penalty=0.6, candidates=3))
    drawn, *searched = write(trained["clm"], cache, decodings=searches)
    assert [record.settings for record in searched] == [
        "beams 3",
        "degeneration-penalty 0.6, candidates 3",
    ]
    assert drawn.cost is not None
    for record in searched:
        assert record in trained["clm"].results.read(GenerationRecord)
        assert record.cost is not None
        assert record.cost.flops_per_token > 2 * drawn.cost.flops_per_token
        assert [len(item.tokens) for item in items(trained["clm"], record)] == [
            len(item.tokens) for item in items(trained["clm"], drawn)
        ]


def test_a_run_writes_in_the_ways_that_it_has(trained: dict[str, Run], cache: Path) -> None:
    methods = ("threshold", "left-to-right")
    assert [method for method, _ in settings("mdlm", methods=methods)] == [*methods]
    assert [method for method, _ in settings("clm", methods=methods)] == ["left-to-right"]
    before = [path.name for path in trained["clm"].path.glob("eval/*")]
    (record,) = write(trained["clm"], cache, methods=("threshold",))
    assert record.reason == "clm does not write by 'threshold': known: left-to-right"
    assert (record.method, record.written, record.cost) == (None, None, None)
    assert [path.name for path in trained["clm"].path.glob("eval/*")] == before, "no result"


def test_what_cannot_write_says_why(
    trained: dict[str, Run], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise Unsupported("not today")

    refusing = {"left-to-right": DecodingMethod("end", refuse, frozenset({"temperature"}))}
    monkeypatch.setattr(Clm, "decoding_methods", property(lambda _: refusing))
    (record,) = write(trained["clm"], cache, temperatures=(0.3,))
    assert (record.reason, record.method) == ("not today", "left-to-right")
    assert record in trained["clm"].results.read(GenerationRecord)
    assert items(trained["clm"], record) == []
    monkeypatch.setattr(Clm, "decoding_methods", property(lambda _: {}))
    (record,) = write(trained["clm"], cache)
    assert record.reason == "clm does not write"
    assert record in trained["clm"].results.read(GenerationRecord)
    (trained["clm"].path / "eval" / f"{record.stem}.json").unlink()


def test_results_have_names_of_their_own(trained: dict[str, Run], cache: Path) -> None:
    run = trained["mdlm"]
    found = write(
        run,
        cache,
        methods=("ancestral", "surest-first"),
        temperatures=(0.5, 1.0),
        steps=(2, 3),
        num_texts=2,
    )
    assert len({record.stem for record in found}) == 8
    assert [record for record in run.results.read(GenerationRecord) if record in found] != []
    assert all(record in run.results.read(GenerationRecord) for record in found)
    assert [record.settings for record in found][:2] == [
        "temperature 0.5, steps 2",
        "temperature 0.5, steps 3",
    ]
