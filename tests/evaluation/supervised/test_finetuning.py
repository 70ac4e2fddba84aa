"""Learning from rows: what stays as it was, what is the same again, when it stops."""

from collections import Counter
from dataclasses import replace
from itertools import count, islice

import pytest
import torch

from lmcompare.data import Tokenizer
from lmcompare.evaluation.supervised import finetuning
from lmcompare.evaluation.supervised.finetuning import probe, steps_between, tune
from lmcompare.evaluation.supervised.pooling import poolings
from lmcompare.evaluation.supervised.spec import (
    FineTuneSpec,
    Row,
    batches,
    joined,
    mean_cross_entropy,
)
from lmcompare.evaluation.tasks import splits
from lmcompare.model import Backbone
from lmcompare.objectives import OBJECTIVES, T5, Bart, Clm, Mlm, Objective, parse_objective
from lmcompare.runs.loaded_model import LoadedModel
from tests.conftest import TINY
from tests.tiny import WORDS
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


def texts(num: int) -> list[str]:
    """Of unlike lengths."""
    draws = torch.Generator().manual_seed(3)
    found = []
    for number in range(num):
        chosen = torch.randint(len(WORDS), (2 + number % 7,), generator=draws)
        found.append(" ".join(WORDS[each] for each in chosen))
    return found


def rows_of(subject: LoadedModel, num: int = 23, *, alone: bool = False) -> list[Row]:
    """Texts of two classes, or of as many as their tokens, each token being asked about alone."""
    rows = []
    for number, document in enumerate(subject.tokenizer.encode(texts(num))):
        size = len(document)
        spans = [range(each, each + 1) for each in range(1, 1 + size)]
        rows.append(
            Row(document=document, spans=spans, target=[size % 2] * size)
            if alone
            else Row(document=document, spans=[range(1 + size)], target=[number % 2])
        )
    return rows


def lesson_of(subject: LoadedModel, *, alone: bool = False, **changes: object) -> FineTuneSpec:
    """Every time that it is judged it is better than before."""
    rows = rows_of(subject, alone=alone)
    times = count(1)
    settings: dict = {
        "name": "a task",
        "train": rows[:17],
        "validation": rows[17:],
        "num_outputs": 2,
        "poolings": () if alone else ("mean",),
        "probed": not alone,
        "loss": mean_cross_entropy,
        "judge": lambda outputs: float(next(times)),
    }
    return FineTuneSpec(**{**settings, **changes})


def accuracy(rows: list[Row]):
    def judge(outputs):
        right = [
            int(each[0].argmax()) == row.target[0] for each, row in zip(outputs, rows, strict=True)
        ]
        return sum(right) / len(right)

    return judge


def silent(share: float) -> None:
    assert 0 < share <= 1


@pytest.mark.parametrize("objective", THREE, ids=lambda given: given.name)
@pytest.mark.parametrize("learn", [tune, probe])
def test_the_model_itself_stays_as_it_is(
    objective: Objective, learn: object, tokenizer: Tokenizer
) -> None:
    subject = subject_of(objective, tokenizer)
    before = {name: each.clone() for name, each in subject.net.state_dict().items()}
    addresses = [each.data_ptr() for each in subject.net.parameters()]
    learned = learn(subject, lesson_of(subject), report=silent)
    for name, each in subject.net.state_dict().items():
        assert torch.equal(each, before[name]), name
    assert [each.data_ptr() for each in subject.net.parameters()] == addresses
    assert all(each.grad is None for each in subject.net.parameters())
    assert learned.reader.head.weight.abs().sum() > 0
    net = learned.reader.states.net
    if learn is probe:
        assert net is subject.net, "only the head learns"
    else:
        moved = [not torch.equal(each, before[name]) for name, each in net.state_dict().items()]
        assert all(moved), "all of the copy learns"
        assert learned.frozen.states.net is subject.net


def test_what_is_learned_in_bfloat16_is_asked_in_float32(tokenizer: Tokenizer) -> None:
    subject = subject_of(Mlm(), tokenizer)
    exact = tune(subject, lesson_of(subject), report=silent)
    object.__setattr__(subject.record, "precision", "bfloat16")
    rough = tune(subject, lesson_of(subject), report=silent)
    assert [each.settings["learned in"] for each in (exact, rough)] == ["float32", "bfloat16"]
    apart = []
    learned = ([each.detach() for each in one.reader.parameters()] for one in (exact, rough))
    for one, two in zip(*learned, strict=True):
        assert two.dtype == torch.float32
        assert not torch.equal(two, two.bfloat16().float()), "small steps are not rounded away"
        apart.append(float((one - two).norm() / one.norm()))
    assert 0 < max(apart) < 0.1
    assert all(each.dtype == torch.float32 for each in rough.outputs(rows_of(subject)))
    probed = probe(subject, lesson_of(subject), report=silent)
    assert probed.settings["learned in"] == "float32"


@pytest.mark.parametrize("learn", [tune, probe])
def test_again_is_the_same(learn: object, tokenizer: Tokenizer) -> None:
    subject = subject_of(Mlm(), tokenizer)
    one, two = (learn(subject, lesson_of(subject), report=silent) for _ in range(2))
    rows = rows_of(subject)
    assert (one.settings, one.trials) == (two.settings, two.trials)
    for left, right in zip(one.outputs(rows), two.outputs(rows), strict=True):
        assert torch.equal(left, right)


@pytest.mark.parametrize("objective", ALL, ids=lambda given: given.name)
@pytest.mark.parametrize("alone", [False, True])
def test_other_rows_and_padding_change_nothing(
    objective: Objective, alone: bool, tokenizer: Tokenizer
) -> None:
    subject = subject_of(objective, tokenizer)
    rows = rows_of(subject, alone=alone)
    lesson = lesson_of(subject, alone=alone, train=rows, validation=rows[:1])
    model = tune(subject, lesson, report=silent)
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
        subject = subject_of(objective, tokenizer)
        shape = TINY.model_copy(update={"layers": 1})
        net = Backbone(shape, vocab_size=tokenizer.vocab.size, seed=3).eval()
        subject = replace(subject, net=net)
        rows = rows_of(subject)
        lesson = lesson_of(subject, poolings=("last",), judge=accuracy(rows[17:]))
        found.append(learn(subject, lesson, report=silent))
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
        subject = subject_of(parse_objective(name), tokenizer)
        lesson = lesson_of(subject, poolings=poolings(subject, None))
        lesson = replace(lesson, judge=accuracy(lesson.validation))
        found.append(tune(subject, lesson, report=silent).trials)
    assert {each.pooling for each in found[0]} == {"mean", "last", "first"}
    assert all(each == found[0] for each in found)


def test_the_best_pooling_by_validation_is_kept(tokenizer: Tokenizer) -> None:
    """The label is the last word, and says nothing of the others."""
    subject = subject_of(Clm(), tokenizer)
    ends = [f"{text} {('cat', 'dog')[number % 2]}" for number, text in enumerate(texts(47))]
    rows = [
        Row(document=each, spans=[range(1 + len(each))], target=[number % 2])
        for number, each in enumerate(tokenizer.encode(ends))
    ]
    lesson = lesson_of(
        subject,
        train=rows[:31],
        validation=rows[31:],
        poolings=("mean", "last", "first"),
        judge=accuracy(rows[31:]),
    )
    for learn in (probe, tune):
        learned = learn(subject, lesson, report=silent)
        scores = {each.pooling: each.validation for each in learned.trials}
        assert learned.settings["pooling"] == "last"
        assert scores["last"] == 1
        assert scores["first"] < 0.6, "the start token has seen nothing"
    assert {each.pooling for each in learned.trials if each.learning_rate == 1e-3} == {"last"}


def test_the_rates_begin_where_pre_training_does(tokenizer: Tokenizer) -> None:
    subject = subject_of(Mlm(), tokenizer)
    learned = tune(subject, lesson_of(subject, poolings=("mean", "last")), report=silent)
    tried = [(each.pooling, each.learning_rate) for each in learned.trials]
    assert tried == [("mean", 3e-3), ("last", 3e-3), ("last", 1e-3)], "each is better"
    assert learned.settings["learning rate"] == 1e-3


def test_of_equals_the_surer_one_is_taken(tokenizer: Tokenizer) -> None:
    subject = subject_of(Mlm(), tokenizer)
    learned = tune(subject, lesson_of(subject, judge=lambda _: 1.0), report=silent)
    losses = {each.loss: each.learning_rate for each in learned.trials}
    assert len(losses) == 2
    assert learned.settings["learning rate"] == losses[min(losses)]


def test_the_best_trial_goes_on(tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if it had learned without a stop, and the others have not."""
    subject = subject_of(Mlm(), tokenizer)
    rows = rows_of(subject)

    def lesson() -> FineTuneSpec:
        return lesson_of(subject, judge=accuracy(rows[17:]))

    monkeypatch.setattr(finetuning, "MOST_STEPS", 15)
    monkeypatch.setattr(finetuning, "TRIAL_STEPS", 6)
    learned = tune(subject, lesson(), report=silent)
    assert [each.chosen for each in learned.trials].count(True) == 1
    (chosen,) = [each for each in learned.trials if each.chosen]
    assert chosen.learning_rate == learned.settings["learning rate"]
    assert all(each.steps <= 6 for each in learned.trials if not each.chosen)
    monkeypatch.setattr(finetuning, "FACTORS", (chosen.learning_rate / 3e-3,))
    monkeypatch.setattr(finetuning, "TRIAL_STEPS", 15)
    at_once = tune(subject, lesson(), report=silent)
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
    subject = subject_of(Clm(), tokenizer)
    # of equals the lower loss is the better one, which it is not to be here
    losses = count(1)

    def loss(outputs, rows):
        found = mean_cross_entropy(outputs, rows)
        return found if found.requires_grad else torch.tensor(float(next(losses)))

    lesson = lesson_of(subject, judge=judged(*values), loss=loss, alone=True)
    (trial,) = tune(subject, lesson, report=silent).trials
    assert (trial.steps, trial.validation, trial.cut_off) == (best, values[-1], cut_off)


def test_what_is_kept_was_best_and_not_last(
    tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finetuning, "FACTORS", (1.0,))
    subject = subject_of(Clm(), tokenizer)
    rows = rows_of(subject, alone=True)
    kept = tune(subject, lesson_of(subject, alone=True, judge=judged(0, 2, 1, 2)), report=silent)
    monkeypatch.setattr(finetuning, "MOST_STEPS", 3)
    short = tune(subject, lesson_of(subject, alone=True, judge=judged(0, 2, 2)), report=silent)
    for one, two in zip(kept.outputs(rows), short.outputs(rows), strict=True):
        assert torch.equal(one, two)
    monkeypatch.setattr(finetuning, "MOST_STEPS", 6)
    longer = tune(subject, lesson_of(subject, alone=True, judge=judged(0, 1, 2, 2)), report=silent)
    assert not torch.equal(longer.outputs(rows)[0], short.outputs(rows)[0])


def test_fine_tuning_starts_from_the_probe(
    tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that it is no worse by validation."""
    monkeypatch.setattr(finetuning, "FACTORS", (1e-30,))
    subject = subject_of(Mlm(), tokenizer)
    rows = rows_of(subject)
    lesson = lesson_of(subject, judge=accuracy(rows[17:]))
    tuned, frozen = tune(subject, lesson, report=silent), probe(subject, lesson, report=silent)
    for one, two, three in zip(
        tuned.outputs(rows), frozen.outputs(rows), tuned.frozen.outputs(rows), strict=True
    ):
        torch.testing.assert_close(one, two)
        assert torch.equal(two, three)
    with_zeros = tune(subject, lesson_of(subject, alone=True), report=silent)
    assert with_zeros.frozen is None
    assert all(each.abs().max() < 1e-20 for each in with_zeros.outputs(rows))


def test_it_is_said_which_part_of_two_was_read(tokenizer: Tokenizer) -> None:
    subject = subject_of(T5(), tokenizer)
    for learn in (tune, probe):
        learned = learn(subject, lesson_of(subject), report=silent)
        assert learned.settings["states of"] == "the encoder"


def test_batches_hold_each_row_once_an_epoch(tokenizer: Tokenizer) -> None:
    rows = rows_of(subject_of(Clm(), tokenizer), 37)
    number = {row: place for place, row in enumerate(rows)}

    def order(name: str, num: int) -> list[list[int]]:
        return [
            [number[row] for row in batch] for batch in islice(batches(rows[:num], name=name), 6)
        ]

    first = order("one", 37)
    for epoch in (first[:3], first[3:]):
        assert Counter(each for batch in epoch for each in batch) == Counter(range(37))
    assert first[:3] != first[3:]
    assert first == order("one", 37)
    assert first != order("two", 37)
    for batch in first:
        sizes = [int(rows[each].document.bytes.sum()) for each in batch]
        assert sizes == sorted(sizes)


@pytest.mark.parametrize(("num", "steps"), [(1, 20), (320, 20), (321, 21), (9_001, 100)])
def test_an_evaluation_comes_every_epoch_within_bounds(
    num: int, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finetuning, "FEWEST_BETWEEN", 20)
    assert steps_between(num) == steps


def test_texts_are_joined_by_an_end_token(tokenizer: Tokenizer) -> None:
    subject = subject_of(Clm(), tokenizer)
    one, two, nothing = tokenizer.encode(["a cat", "dog", ""])
    whole = joined([one, two], subject)
    assert whole.ids.tolist() == [*one.ids, tokenizer.vocab.eos, *two.ids]
    assert whole.bytes.sum() == len("a catdog")
    assert joined([one], subject).ids.tolist() == one.ids.tolist()
    assert joined([nothing, two], subject).ids.tolist() == two.ids.tolist()
    assert joined([nothing], subject).ids.tolist() == [tokenizer.vocab.eos]


def test_every_takes_whole_groups() -> None:
    letters = ["aa", "ab", "ba", "ca", "cb", "da", "ea"]
    rest, taken = splits.every(letters, 2, of=lambda each: each[0])
    assert rest == ["aa", "ab", "ca", "cb", "ea"]
    assert taken == ["ba", "da"]


def test_validation_comes_off_the_training_examples_where_there_is_none() -> None:
    numbers = list(range(1, 31))
    found = splits.held_out(numbers, [], of=lambda each: each)
    assert found["validation"] == [10, 20, 30]
    assert found["train"] == [each for each in numbers if each % 10]
    few = splits.held_out([1, 2, 3], [], of=lambda each: each)
    assert few == {"train": [1, 2], "validation": [3]}, "never none"
    more = splits.held_out(list(range(1, 7302)), [], of=lambda each: each)
    assert more["validation"] == list(range(15, 7302, 15)), "no more than are used"
    assert len(more["train"]) == 7301 - 486
    given = splits.held_out(numbers, [41, 43], of=lambda each: each)
    assert given == {"train": numbers, "validation": [41, 43]}
    many = splits.held_out(numbers, list(range(1009)), of=lambda each: each)["validation"]
    assert len(set(many)) == 500
    assert many[-1] > 1000


@pytest.mark.parametrize(
    ("num", "expected"),
    [
        (2, {"a": 1, "b": 1}),
        (3, {"a": 1, "b": 1, "c": 1}),
        (10, {"a": 6, "b": 3, "c": 1}),
        (100, {"a": 60, "b": 31, "c": 9}),
        (101, {"a": 61, "b": 31, "c": 9}),
        (None, {"a": 61, "b": 31, "c": 9}),
    ],
)
def test_a_draw_has_each_class_by_its_share(num: int | None, expected: dict[str, int]) -> None:
    examples = [f"{'a' * (each < 61) or 'b' * (each < 92) or 'c'}{each}" for each in range(101)]
    found = splits.drawn(examples, num, task="t", of=lambda each: each[0])
    assert Counter(each[0] for each in found) == expected
    assert len(set(found)) == len(found)
    assert found == splits.drawn(examples, num, task="t", of=lambda each: each[0])
    if num == 10:
        assert found != splits.drawn(examples, num, task="u", of=lambda each: each[0])
        assert found[:6] != examples[:6], "from all over"
