"""Learning from rows: what stays as it was, what is the same again, when it stops."""

from dataclasses import replace
from itertools import count

import pytest
import torch

from lmcompare.data import Tokenizer
from lmcompare.evaluation.supervised import finetuning
from lmcompare.evaluation.supervised.finetuning import probe, steps_between, tune
from lmcompare.evaluation.supervised.pooling import poolings
from lmcompare.evaluation.supervised.spec import FineTuneSpec, LabelledRow, mean_cross_entropy
from lmcompare.model import Backbone
from lmcompare.objectives import OBJECTIVES, T5, Bart, Clm, Mlm, Objective, parse_objective
from tests.conftest import TINY, values
from tests.evaluation.supervised.lessons import accuracy, lesson_of, rows_of, texts
from tests.untrained import subject_of

ALL = [parse_objective(name) for name in OBJECTIVES]
THREE = [Clm(), Mlm(), Bart()]


@pytest.fixture(autouse=True)
def _brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few steps of two rates, 1e-3 and 3e-3."""
    monkeypatch.setattr(finetuning, "FACTORS", (1 / 3, 1.0))
    monkeypatch.setattr(finetuning, "FEWEST_BETWEEN", 3)
    monkeypatch.setattr(finetuning, "WARM_UP", 1)
    monkeypatch.setattr(finetuning, "MOST_STEPS", 6)
    monkeypatch.setattr("lmcompare.evaluation.supervised.linear_probe.STRENGTHS", (1e-3, 1e-2))


def silent(share: float) -> None:
    assert 0 < share <= 1


@pytest.mark.parametrize("objective", THREE, ids=lambda given: given.name)
@pytest.mark.parametrize("learn", [tune, probe])
def test_the_model_itself_stays_as_it_is(
    objective: Objective, learn: object, tokenizer: Tokenizer
) -> None:
    model = subject_of(objective, tokenizer)
    before = {name: each.clone() for name, each in model.net.state_dict().items()}
    addresses = [each.data_ptr() for each in model.net.parameters()]
    learned = learn(model, lesson_of(model), report=silent)
    for name, each in model.net.state_dict().items():
        assert torch.equal(each, before[name]), name
    assert [each.data_ptr() for each in model.net.parameters()] == addresses
    assert all(each.grad is None for each in model.net.parameters())
    assert learned.reader.head.weight.abs().sum() > 0
    net = learned.reader.states.net
    if learn is probe:
        assert net is model.net, "only the head learns"
    else:
        moved = [not torch.equal(each, before[name]) for name, each in net.state_dict().items()]
        assert all(moved), "all of the copy learns"
        assert learned.frozen.states.net is model.net


def test_what_is_learned_in_bfloat16_is_asked_in_float32(tokenizer: Tokenizer) -> None:
    model = subject_of(Mlm(), tokenizer)
    exact = tune(model, lesson_of(model), report=silent)
    object.__setattr__(model, "precision", "bfloat16")
    rough = tune(model, lesson_of(model), report=silent)
    assert [each.settings["learned in"] for each in (exact, rough)] == ["float32", "bfloat16"]
    apart = []
    learned = ([each.detach() for each in one.reader.parameters()] for one in (exact, rough))
    for one, two in zip(*learned, strict=True):
        assert two.dtype == torch.float32
        assert not torch.equal(two, two.bfloat16().float()), "small steps are not rounded away"
        apart.append(float((one - two).norm() / one.norm()))
    assert 0 < max(apart) < 0.1
    assert all(each.dtype == torch.float32 for each in rough.outputs(rows_of(model)))
    probed = probe(model, lesson_of(model), report=silent)
    assert probed.settings["learned in"] == "float32"


@pytest.mark.parametrize("learn", [tune, probe])
def test_again_is_the_same(learn: object, tokenizer: Tokenizer) -> None:
    model = subject_of(Mlm(), tokenizer)
    one, two = (learn(model, lesson_of(model), report=silent) for _ in range(2))
    rows = rows_of(model)
    assert (one.settings, one.trials) == (two.settings, two.trials)
    for left, right in zip(one.outputs(rows), two.outputs(rows), strict=True):
        assert torch.equal(left, right)


@pytest.mark.parametrize("objective", ALL, ids=lambda given: given.name)
@pytest.mark.parametrize("alone", values(False, slow=[True]))
def test_other_rows_and_padding_change_nothing(
    objective: Objective, alone: bool, tokenizer: Tokenizer
) -> None:
    model = subject_of(objective, tokenizer)
    rows = rows_of(model, alone=alone)
    spec = lesson_of(model, alone=alone, train=rows, validation=rows[:1])
    model = tune(model, spec, report=silent)
    together = model.outputs(rows)
    assert together[0].abs().max() > 1e-3
    for row, output in zip(rows, together, strict=True):
        (single,) = model.outputs([row])
        assert single.shape == (len(row.spans), 2)
        torch.testing.assert_close(single, output, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("learn", [tune, probe])
def test_same_weights_read_alike_score_alike(learn: object, tokenizer: Tokenizer) -> None:
    """One layer's last token sees the same whether or not the others see it."""
    found = []
    for objective in (Clm(), Mlm()):
        model = subject_of(objective, tokenizer)
        shape = TINY.model_copy(update={"layers": 1})
        net = Backbone(shape, vocab_size=tokenizer.vocab.size, seed=3).eval()
        model = replace(model, net=net)
        rows = rows_of(model)
        spec = lesson_of(model, poolings=("last",), judge=accuracy(rows[17:]))
        found.append(learn(model, spec, report=silent))
    one, two = found
    assert [each.validation for each in one.trials] == [each.validation for each in two.trials]
    assert [each.loss for each in one.trials] == pytest.approx(
        [each.loss for each in two.trials], rel=1e-3
    )
    for left, right in zip(one.outputs(rows), two.outputs(rows), strict=True):
        torch.testing.assert_close(left, right, rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize("names", [("clm", "fim"), ("mlm", "mdlm", "plm", "glm")])
def test_objectives_that_read_alike_score_alike(
    names: tuple[str, ...], tokenizer: Tokenizer
) -> None:
    """With the same weights and every pooling, whatever they were trained to predict."""
    found = []
    for name in names:
        model = subject_of(parse_objective(name), tokenizer)
        spec = lesson_of(model, poolings=poolings(model, None))
        spec = replace(spec, judge=accuracy(spec.validation))
        found.append(tune(model, spec, report=silent).trials)
    assert {each.pooling for each in found[0]} == {"mean", "last", "first"}
    assert all(each == found[0] for each in found)


def test_the_best_pooling_by_validation_is_kept(tokenizer: Tokenizer) -> None:
    """The label is the last word, and says nothing of the others."""
    model = subject_of(Clm(), tokenizer)
    ends = [f"{text} {('cat', 'dog')[number % 2]}" for number, text in enumerate(texts(47))]
    rows = [
        LabelledRow(document=each, spans=[range(1 + len(each))], target=[number % 2])
        for number, each in enumerate(tokenizer.encode(ends))
    ]
    spec = lesson_of(
        model,
        train=rows[:31],
        validation=rows[31:],
        poolings=("mean", "last", "first"),
        judge=accuracy(rows[31:]),
    )
    for learn in (probe, tune):
        learned = learn(model, spec, report=silent)
        scores = {each.pooling: each.validation for each in learned.trials}
        assert learned.settings["pooling"] == "last"
        assert scores["last"] == 1
        assert scores["first"] < 0.6, "the start token has seen nothing"
    assert {each.pooling for each in learned.trials if each.learning_rate == 1e-3} == {"last"}


def test_the_rates_begin_where_pre_training_does(tokenizer: Tokenizer) -> None:
    model = subject_of(Mlm(), tokenizer)
    learned = tune(model, lesson_of(model, poolings=("mean", "last")), report=silent)
    tried = [(each.pooling, each.learning_rate) for each in learned.trials]
    assert tried == [("mean", 3e-3), ("last", 3e-3), ("last", 1e-3)], "each is better"
    assert learned.settings["learning rate"] == 1e-3


def test_of_equals_the_surer_one_is_taken(tokenizer: Tokenizer) -> None:
    model = subject_of(Mlm(), tokenizer)
    learned = tune(model, lesson_of(model, judge=lambda _: 1.0), report=silent)
    losses = {each.loss: each.learning_rate for each in learned.trials}
    assert len(losses) == 2
    assert learned.settings["learning rate"] == losses[min(losses)]


def test_the_best_trial_goes_on(tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if it had learned without a stop, and the others have not."""
    model = subject_of(Mlm(), tokenizer)
    rows = rows_of(model)

    def spec() -> FineTuneSpec:
        return lesson_of(model, judge=accuracy(rows[17:]))

    monkeypatch.setattr(finetuning, "MOST_STEPS", 15)
    monkeypatch.setattr(finetuning, "TRIAL_STEPS", 6)
    learned = tune(model, spec(), report=silent)
    assert [each.chosen for each in learned.trials].count(True) == 1
    (chosen,) = [each for each in learned.trials if each.chosen]
    assert chosen.learning_rate == learned.settings["learning rate"]
    assert all(each.steps <= 6 for each in learned.trials if not each.chosen)
    monkeypatch.setattr(finetuning, "FACTORS", (chosen.learning_rate / 3e-3,))
    monkeypatch.setattr(finetuning, "TRIAL_STEPS", 15)
    at_once = tune(model, spec(), report=silent)
    assert at_once.trials == [chosen]
    for one, two in zip(learned.outputs(rows), at_once.outputs(rows), strict=True):
        assert torch.equal(one, two)


def judged(*values: float):
    """The start, the evaluations on the way, and what was kept."""
    given = iter(values)
    return lambda outputs: next(given)


@pytest.mark.parametrize(
    ("values", "best", "cut_off"),
    [
        ((0, 1, 2, 1, 1, 1, 1, 2), 6, False),
        ((0, 1, 1, 1, 1, 1, 1), 3, False),
        ((5, 1, 1, 1, 1, 5), 0, False),
        ((0, 1, 2, 3, 2, 2, 4, 5, 5), 21, True),
        ((0, 1, 2, 3, 4, 3, 3, 3, 4), 12, True),
    ],
)
def test_it_learns_until_validation_stops_improving(
    values: tuple[float, ...],
    best: int,
    cut_off: bool,
    tokenizer: Tokenizer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Evaluated every 3 of 21 steps; without a better one four times in a row it ends."""
    monkeypatch.setattr(finetuning, "MOST_STEPS", 21)
    monkeypatch.setattr(finetuning, "FACTORS", (1.0,))
    model = subject_of(Clm(), tokenizer)
    # of equals the lower loss is the better one, which it is not to be here
    losses = count(1)

    def loss(outputs, rows):
        found = mean_cross_entropy(outputs, rows)
        return found if found.requires_grad else torch.tensor(float(next(losses)))

    spec = lesson_of(model, judge=judged(*values), loss=loss, alone=True)
    (trial,) = tune(model, spec, report=silent).trials
    assert (trial.steps, trial.validation, trial.cut_off) == (best, values[-1], cut_off)


def test_what_is_kept_was_best_and_not_last(
    tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finetuning, "FACTORS", (1.0,))
    model = subject_of(Clm(), tokenizer)
    rows = rows_of(model, alone=True)
    kept = tune(model, lesson_of(model, alone=True, judge=judged(0, 2, 1, 2)), report=silent)
    monkeypatch.setattr(finetuning, "MOST_STEPS", 3)
    short = tune(model, lesson_of(model, alone=True, judge=judged(0, 2, 2)), report=silent)
    for one, two in zip(kept.outputs(rows), short.outputs(rows), strict=True):
        assert torch.equal(one, two)
    monkeypatch.setattr(finetuning, "MOST_STEPS", 6)
    longer = tune(model, lesson_of(model, alone=True, judge=judged(0, 1, 2, 2)), report=silent)
    assert not torch.equal(longer.outputs(rows)[0], short.outputs(rows)[0])


def test_fine_tuning_starts_from_the_probe(
    tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that it is no worse by validation."""
    monkeypatch.setattr(finetuning, "FACTORS", (1e-30,))
    model = subject_of(Mlm(), tokenizer)
    rows = rows_of(model)
    spec = lesson_of(model, judge=accuracy(rows[17:]))
    tuned, frozen = tune(model, spec, report=silent), probe(model, spec, report=silent)
    for one, two, three in zip(
        tuned.outputs(rows), frozen.outputs(rows), tuned.frozen.outputs(rows), strict=True
    ):
        torch.testing.assert_close(one, two)
        assert torch.equal(two, three)
    with_zeros = tune(model, lesson_of(model, alone=True), report=silent)
    assert with_zeros.frozen is None
    assert all(each.abs().max() < 1e-20 for each in with_zeros.outputs(rows))


def test_it_is_said_which_part_of_two_was_read(tokenizer: Tokenizer) -> None:
    model = subject_of(T5(), tokenizer)
    for learn in (tune, probe):
        learned = learn(model, lesson_of(model), report=silent)
        assert learned.settings["states of"] == "the encoder"


@pytest.mark.parametrize(("num", "steps"), [(1, 20), (320, 20), (321, 21), (9_001, 100)])
def test_an_evaluation_comes_every_epoch_within_bounds(
    num: int, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finetuning, "FEWEST_BETWEEN", 20)
    assert steps_between(num) == steps
