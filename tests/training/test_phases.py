"""Objectives one after another: what goes on over the border between them, and what is said."""

from pathlib import Path

import pytest

from lmcompare.config.phases import Phase
from lmcompare.config.run import RunConfig
from lmcompare.errors import UserError
from lmcompare.objectives import Clm, Mlm
from lmcompare.optim import learning_rate
from lmcompare.runs import checkpoints
from lmcompare.runs.finding import every_checkpoint
from lmcompare.runs.loaded_model import load_checkpoints, load_model
from lmcompare.runs.run import Run
from lmcompare.training import trainer
from lmcompare.training.cost import plan
from lmcompare.training.planning import planned_runs
from tests.tiny import Trainer, assert_equal, outcome, tiny

PHASES = 'phase=[{objective="clm", budget="60%"}, {objective="mlm"}]'


def phased(corpus: Path, *settings: str, phases: str = PHASES) -> RunConfig:
    return tiny(corpus, "", phases, *settings)


def test_a_single_phase_is_the_plain_run(corpus: Path) -> None:
    plain = tiny(corpus, "clm")
    for written in ('objective="clm"', 'objective="clm", budget="100%"'):
        one = phased(corpus, phases=f"phase=[{{{written}}}]")
        assert (one, one.identity, one.given) == (plain, plain.identity, plain.given)


def test_two_phases_of_one_objective_are_one(corpus: Path, train: Trainer) -> None:
    """The text, its order, the optimizer and its schedule go on over the border."""
    twice = 'phase=[{objective="mlm", budget="30%"}, {objective="mlm"}]'
    plain = outcome(train(tiny(corpus, "mlm")))
    both = outcome(train(phased(corpus, phases=twice), run=Run(train.folder / "both")))
    assert [line["phase"] for line in both.metrics] == 6 * [1] + 14 * [2]
    for one, two in zip(plain.metrics, both.metrics, strict=True):
        for name in ("loss", "learning_rate", "gradient_norm", "targets", "flops"):
            assert one[name] == two[name]
    assert (plain.loss, plain.validation) == (both.loss, both.validation)
    for name, tensor in plain.tensors.items():
        assert tensor.equal(both.tensors[name])


def test_an_arm_in_phases_reads_what_the_others_read(corpus: Path, train: Trainer) -> None:
    alone, both = train(tiny(corpus, "clm")), train(phased(corpus))
    read = [done.manifest.read for run in (alone, both) if (done := run.done()) and done.manifest]
    assert read[0] == read[1]
    assert alone.record().sheet == both.record().sheet
    lines = [list(run.metrics()) for run in (alone, both)]
    same = [one.loss == two.loss for one, two in zip(*lines, strict=True)]
    assert same == 12 * [True] + 8 * [False]


@pytest.mark.parametrize("step", [11, 12, 13, 16])
def test_a_run_goes_on_within_and_over_phases(corpus: Path, train: Trainer, step: int) -> None:
    config = phased(corpus, "optimizer.ema=0.9", "optimizer.per_phase=true")
    whole = train(config, run=trainer.Run(train.folder / "whole"))
    run = train(config, stop_at=step)
    assert_equal(train(config), whole)
    border = outcome(run).metrics[12]
    assert border["validation_before"] is not None
    assert border["common_before"] is not None


@pytest.mark.parametrize(
    ("budget", "within"),
    [("20 steps", 12), ("2560 tokens", 12), ("1k targets", 5), ("200M flops", 8)],
)
def test_shares_are_of_the_budget(corpus: Path, train: Trainer, budget: str, within: int) -> None:
    config = phased(corpus, f"budget={budget}", "validation.times=0")
    lines = list(train(config).metrics())
    first = [line for line in lines if line.phase == 1]
    assert len(first) == within
    share = [config.budget.progress(line.spent) for line in first]
    assert share[-2] < 0.6 <= share[-1]
    foretold = plan(config, cache=train.cache)
    steps = [each.steps for each in foretold.phases]
    assert steps == pytest.approx([len(first), len(lines) - len(first)], rel=0.2)


def test_the_learning_rate_across_and_within(corpus: Path, train: Trainer) -> None:
    across = phased(corpus, "validation.times=0", "optimizer.warmup=0.25")
    within = phased(
        corpus, "validation.times=0", "optimizer.warmup=0.25", "optimizer.per_phase=true"
    )
    rates = [[line.learning_rate for line in train(each).metrics()] for each in (across, within)]
    optimizer = across.optimizer
    assert rates[0] == [learning_rate(optimizer, step / 20) for step in range(1, 21)]
    expected = [
        *(learning_rate(optimizer, step / 12) for step in range(1, 13)),
        *(learning_rate(optimizer, step / 8) for step in range(1, 9)),
    ]
    assert rates[1] == pytest.approx(expected)
    assert max(rates[1][12:]) == pytest.approx(optimizer.learning_rate)


def test_an_objective_with_a_schedule_goes_through_it_in_its_phase() -> None:
    phase = Phase(number=2, objective=Mlm(), start=0.25, stop=0.75)
    assert [phase.progress(spent) for spent in (0.25, 0.5, 0.75)] == [0, 0.5, 1]
    assert Phase(number=1, objective=Clm(), start=0.0, stop=1.0).progress(0.3) == 0.3


def test_ends_of_phases_are_kept_and_read_by_their_own_objective(
    corpus: Path, train: Trainer
) -> None:
    three = (
        'phase=[{objective="clm",budget="25%"},{objective="prefix",budget="50%"},{objective="mlm"}]'
    )
    run = train(phased(corpus, "runtime.save_every=2", phases=three))
    models = list(load_checkpoints(run, device="cpu", warn=pytest.fail))
    assert [(each.step, each.objective.name) for each in models] == [
        (5, "clm"),
        (15, "prefix"),
        (19, "mlm"),
        (20, "mlm"),
    ]
    assert load_model(run, device="cpu", warn=pytest.fail).objective.name == "mlm"
    ends = [each.record.ends_phase for each in every_checkpoint(run, warn=pytest.fail)]
    assert ends == [True, True, False, False]
    assert checkpoints.newest_record(run.checkpoints, run=run.hash)


def test_what_an_objective_makes_of_the_weights_of_another_is_said(
    corpus: Path, train: Trainer
) -> None:
    run = train(phased(corpus))
    before, first = (line for line in run.metrics() if line.step in (12, 13))
    assert before.validation is not None, "asked where a phase ends"
    assert before.validation_before is None
    assert first.validation_before is not None
    assert first.validation_before != before.validation
    assert train.messages[-1] == (
        "phase 2 of 2, mlm on the weights of clm: before its first step "
        f"validation {first.validation_before:.4f}, common {first.common_before:.4f}"
    )


def test_the_final_loss_is_of_the_last_phase(corpus: Path, train: Trainer) -> None:
    late = 'phase=[{objective="clm", budget="95%"}, {objective="mlm"}]'
    run = train(phased(corpus, phases=late))
    last = [line for line in run.metrics() if line.phase == 2]
    done = run.done()
    assert done is not None
    assert len(last) == 1
    assert done.loss == last[0].loss


def test_a_phase_without_a_step_is_refused_where_it_is_known_ahead(
    corpus: Path, tmp_path: Path
) -> None:
    def planned(share: str, budget: str) -> None:
        phases = ["clm:50.2%", f"mlm:{share}", "clm"]
        given = {"data": {"source": str(corpus)}, "phase": phases, "budget": budget}
        planned_runs(None, given, study=tmp_path / "study", warn=print)

    for budget in ("100 steps", "203200 tokens"):  # a step reads 16 x 127 of them
        planned("1%", budget)
        with pytest.raises(UserError, match=r"phase 2 of 3, mlm 0.1%, is shorter than a step, "):
            planned("0.1%", budget)


def test_a_phase_that_had_no_step_is_said(corpus: Path, train: Trainer) -> None:
    """Some budgets do not tell ahead how much of them a step takes."""
    phases = 'phase=[{objective="clm", budget="50%"}, {objective="mlm", budget="0.01%"}, '
    train(phased(corpus, 'budget="9000 targets"', phases=phases + '{objective="clm"}]'))
    assert "phase 2, mlm 0.01%, was shorter than a step" in train.messages
