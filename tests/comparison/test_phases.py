"""Runs in phases, and runs on the weights of others, beside plain ones."""

from pathlib import Path

import pytest

from lmcompare.comparison import Comparison, compare
from lmcompare.comparison.arms import read_results
from lmcompare.config.study import Planned
from lmcompare.runs.curve_groups import cautions
from lmcompare.runs.curves import read_curve
from lmcompare.runs.run import Run
from lmcompare.training import launch
from tests.tiny import tiny

PHASES = 'phase=[{objective="clm", budget="60%"}, {objective="mlm"}]'


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, corpus: Path, cache: Path) -> dict[str, Run]:
    """A plain run, one in two phases, and one that goes on with the first."""
    folder = tmp_path_factory.mktemp("arms")
    plain = Planned(arm="clm", config=tiny(corpus, "clm"))
    planned = [
        plain,
        Planned(arm="both", config=tiny(corpus, "", PHASES)),
        Planned(arm="then", config=tiny(corpus, "mlm", "init=clm"), start=plain),
    ]
    found = {}
    for each in planned:
        ready = launch.prepare(each, study=folder, cache=cache)
        ready.train(report=lambda _: None)
        found[each.arm] = ready.run
    return found


@pytest.fixture(scope="module")
def compared(runs: dict[str, Run]) -> Comparison:
    return compare(runs.values())


def test_what_was_spent_before_is_not_held_equal(
    runs: dict[str, Run], compared: Comparison
) -> None:
    facts = {fact.name: fact for fact in compared.facts}
    trained, spent = facts["weights trained before"], facts["spent in all"]
    assert not trained.equal
    assert trained.found["no"] == ["both", "clm"]
    ((words, arms),) = ((key, found) for key, found in trained.found.items() if key != "no")
    assert arms == ["then"]
    assert words.startswith("by clm, 2.56k tokens, 2.51k targets, ")
    assert {arms[0]: words.split(",")[0] for words, arms in spent.found.items()}["then"] == (
        "5.12k tokens"
    )
    assert not facts["initial weights"].equal
    assert facts["order of the text"].equal


def test_nothing_is_asked_of_starts_where_there_is_none(runs: dict[str, Run]) -> None:
    names = {fact.name for fact in compare([runs["clm"], runs["both"]]).facts}
    assert not {"weights trained before", "spent in all"}.intersection(names)


def test_each_phase_says_what_it_took(runs: dict[str, Run], compared: Comparison) -> None:
    (fact,) = (each for each in compared.consequences if each.name == "phases")
    ((words, arms),) = fact.found.items()
    assert arms == ["both"]
    assert words.startswith("clm 60% 1.54k tokens, 1.51k targets, ")
    assert ", then mlm 40% 1.02k tokens, " in words
    (result,) = read_results([runs["both"]], unfinished=False, note=pytest.fail)
    (_, one), (_, two) = result.spent_in_phases
    assert one.plus(two) == result.spent.model_copy(update={"seconds": one.seconds + two.seconds})
    frame = compared.frame.set_index(["label", "metric"])["value"]
    assert frame["both", "tokens_of_phase_1"] == 12 * 128
    assert frame["both", "tokens_of_phase_2"] == 8 * 128
    assert frame["then", "tokens_in_all"] == 40 * 128
    assert frame["then", "tokens"] == 20 * 128


def test_an_arm_is_described_by_its_phases(compared: Comparison) -> None:
    described = {arm.label: arm.objective for arm in compared.arms}
    assert described == {"clm": "clm", "both": "clm 60%, mlm 40%", "then": "mlm"}


def test_curves_go_on_over_phases_and_losses_are_not_joined(runs: dict[str, Run]) -> None:
    curve = read_curve(runs["both"])
    common = [(point.spent.steps, point.phase) for point in curve.points("common")]
    assert common == [(10, 1), (12, 1), (12, 2), (20, 2)]
    assert [point.spent.steps for point in curve.points("validation")] == [12, 20]
    assert [point.spent.steps for point in curve.points("loss")] == list(range(13, 21))
    parts = [(phase.objective.name, len(points)) for phase, points in curve.parts("loss")]
    assert parts == [("clm", 12), ("mlm", 8)]
    assert any("objectives predict unlike things" in each for each in cautions([curve], "loss"))


def test_a_curve_on_the_weights_of_others_begins_where_theirs_ends(runs: dict[str, Run]) -> None:
    before, curve = read_curve(runs["clm"]), read_curve(runs["then"])
    points = curve.points("common")
    assert [point.spent.steps for point in points] == [20, 30, 40]
    assert points[0].spent == before.points("common")[-1].spent
    assert [curve.share(point) for point in points] == [0, 0.5, 1]
    assert curve.at(128, "tokens") is None, "so little was not spent on it in all"


def test_what_an_earlier_phase_answers_from_is_said(compared: Comparison) -> None:
    (rows,) = (rows for each, _, rows in compared.summary.aspects if each.name == "Learns")
    said = {row.cells["both"].why for row in rows}
    assert said == {"an earlier phase answers from what stands before the token alone"}


def test_no_plateau_is_told_of_what_others_trained(runs: dict[str, Run]) -> None:
    results = read_results(runs.values(), unfinished=False, note=pytest.fail)
    known = {each.record.arm: each.steps_to_leave_unigram for each in results}
    assert known["both"] is None
    assert known["then"] is None
    assert known["clm"] is not None
