"""Learning from rows: what stays as it was, what is the same again, what reads which states."""

# ruff: noqa: F401, F811 -- fixtures are imported and asked for by name

from collections import Counter
from itertools import islice

import pytest
import torch

from lmcompare.data import Tokenizer
from lmcompare.errors import Unsupported
from lmcompare.heldout import Subject
from lmcompare.objectives import OBJECTIVES, T5, Bart, Clm, Mlm, Objective, Prefix, parse_objective
from lmcompare.tasks import splitting, tuning
from lmcompare.tasks.classification import loss
from lmcompare.tasks.tuning import (
    Lesson,
    Row,
    batches,
    joined,
    num_steps,
    pooling,
    probe,
    reader,
    tune,
)
from lmcompare.view import View
from lmcompare.windows import Window, stack
from tests.tiny import WORDS
from tests.untrained import subject_of, tokenizer

ALL = [parse_objective(name) for name in OBJECTIVES]
THREE = [Clm(), Mlm(), Bart()]


@pytest.fixture(autouse=True)
def _brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few steps of two rates."""
    monkeypatch.setattr(tuning, "RATES", (1e-3, 3e-3))
    monkeypatch.setattr(tuning, "PROBE_RATES", (1e-2, 1e-1))
    monkeypatch.setattr(tuning, "FEWEST_STEPS", 5)
    monkeypatch.setattr(tuning, "MOST_STEPS", 5)


def texts(num: int) -> list[str]:
    """Of unlike lengths."""
    draws = torch.Generator().manual_seed(3)
    found = []
    for number in range(num):
        chosen = torch.randint(len(WORDS), (2 + number % 7,), generator=draws)
        found.append(" ".join(WORDS[each] for each in chosen))
    return found


def rows_of(subject: Subject, num: int = 23, *, last: bool = False) -> list[Row]:
    """Texts of two classes."""
    rows = []
    for number, document in enumerate(subject.tokenizer.encode(texts(num))):
        places = [len(document)] if last else range(1, 1 + len(document))
        rows.append(Row(document=document, places=places, target=[number % 2]))
    return rows


def lesson_of(subject: Subject, **changes: object) -> Lesson:
    rows = rows_of(subject)
    settings: dict = {
        "name": "a task",
        "train": rows[:17],
        "validation": rows[17:],
        "num_outputs": 2,
        "pools": True,
        "loss": loss,
        "judge": lambda outputs: float(sum(each[0, 0] > each[0, 1] for each in outputs)),
    }
    return Lesson(**{**settings, **changes})


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
    assert learned.model.head.weight.abs().sum() > 0
    own = {name: each for name, each in learned.model.named_parameters() if "head" not in name}
    if learn is probe:
        assert not own, "only the head learns"
    else:
        moved = [
            name for name, each in own.items() if not torch.equal(each, before[name[11:]])
        ]  # behind states.net.
        assert len(moved) == len(own), "all of the copy learns"


def test_what_is_learned_in_bfloat16_is_asked_in_float32(tokenizer: Tokenizer) -> None:
    subject = subject_of(Mlm(), tokenizer)
    exact = tune(subject, lesson_of(subject), report=silent)
    object.__setattr__(subject.record, "precision", "bfloat16")
    rough = tune(subject, lesson_of(subject), report=silent)
    assert [each.settings["learned in"] for each in (exact, rough)] == ["float32", "bfloat16"]
    apart = []
    learned = (each.model.state_dict().values() for each in (exact, rough))
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
    assert one.settings == two.settings
    for left, right in zip(one.outputs(rows), two.outputs(rows), strict=True):
        assert torch.equal(left, right)


@pytest.mark.parametrize("objective", ALL, ids=lambda given: given.name)
@pytest.mark.parametrize("pools", [True, False])
def test_other_rows_and_padding_change_nothing(
    objective: Objective, pools: bool, tokenizer: Tokenizer
) -> None:
    subject = subject_of(objective, tokenizer)
    rows = rows_of(subject)
    for row in rows if not pools else []:
        object.__setattr__(row, "target", [len(row.places) % 2] * len(row.places))
    lesson = lesson_of(subject, train=rows, validation=rows[:1], pools=pools)
    model = tune(subject, lesson, report=silent)
    together = model.outputs(rows)
    assert together[0].abs().max() > 1e-3
    for row, output in zip(rows, together, strict=True):
        (alone,) = model.outputs([row])
        assert alone.shape == (1 if pools else len(row.places), 2)
        torch.testing.assert_close(alone, output, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("objective", ALL, ids=lambda given: given.name)
def test_the_states_that_are_pooled_have_seen_all_of_the_text(
    objective: Objective, tokenizer: Tokenizer
) -> None:
    """Change a word far off: a state that has seen it moves."""
    subject = subject_of(objective, tokenizer)
    one, two, three = subject.tokenizer.encode(
        ["a cat saw a dog", "a cat saw a tree", "dog cat saw a dog"]
    )
    states = []
    for each in (one, two, three):
        whole = Window(document=0, start=0, stop=len(each), first=0, last=0)
        text, _ = stack([whole], [each], tokenizer.vocab)
        with torch.no_grad():
            states.append(subject.net.states(objective.read(text, tokenizer.vocab))[0])
    moved_by_the_end = (states[0][1] - states[1][1]).abs().max() > 1e-5
    moved_by_the_beginning = (states[0][-1] - states[2][-1]).abs().max() > 1e-5
    if pooling(subject) == "mean":
        assert moved_by_the_end, "the first has seen the last"
    assert moved_by_the_beginning


def test_what_reads_from_left_to_right_gives_its_last_state(tokenizer: Tokenizer) -> None:
    found = {each.name: pooling(subject_of(each, tokenizer)) for each in ALL}
    assert {name for name, how in found.items() if how == "last"} >= {"clm", "fim", "bart"}
    assert {name for name, how in found.items() if how == "mean"} >= {"mlm", "prefix", "plm", "t5"}
    decoder = Bart(architecture="decoder")
    assert pooling(subject_of(decoder, tokenizer)) == "mean"


def test_it_is_said_which_part_of_two_is_read(tokenizer: Tokenizer) -> None:
    """An encoder, unless the decoder writes whole texts."""
    found = {each.name: reader(subject_of(each, tokenizer)) for each in ALL}
    assert found.pop("bart") == {"states of": "the decoder"}
    for name in ("t5", "ul2"):
        assert found.pop(name) == {"states of": "the encoder"}
    assert not any(found.values()), "one stack has one kind of states"
    subject = subject_of(T5(), tokenizer)
    learned = tune(subject, lesson_of(subject), report=silent)
    assert learned.settings["states of"] == "the encoder"


def test_an_objective_that_hides_the_text_from_itself_is_refused(
    tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def backwards(self: Clm, text, vocab) -> View:
        order = torch.arange(text.tokens.shape[1]).flip(0).expand_as(text.tokens)
        return View.ordered(text.tokens, order, visible=text.visible)

    monkeypatch.setattr(Clm, "read", backwards)
    with pytest.raises(Unsupported, match="clm has seen all of a text"):
        pooling(subject_of(Clm(), tokenizer))


def test_of_rates_the_best_by_validation_is_taken(tokenizer: Tokenizer) -> None:
    """Of equal ones, the one whose loss is lower."""
    subject = subject_of(Mlm(), tokenizer)
    verdicts = iter([3.0, 5.0, 5.0, 3.0])
    chosen = []
    for _ in range(2):
        lesson = lesson_of(subject, judge=lambda outputs: next(verdicts))
        learned = tune(subject, lesson, report=silent)
        chosen.append(learned.settings["learning rate"])
    assert chosen == [3e-3, 1e-3]
    assert learned.settings["validation at 0.001"] == 5.0
    assert learned.settings["validation at 0.003"] == 3.0

    losses = []

    def spy(outputs, rows):
        found = loss(outputs, rows)
        if not found.requires_grad:
            losses.append(float(found))
        return found

    learned = tune(subject, lesson_of(subject, judge=lambda _: 1.0, loss=spy), report=silent)
    assert losses[0] != losses[1]
    assert learned.settings["learning rate"] == (1e-3, 3e-3)[losses.index(min(losses))]


def test_what_is_kept_is_what_the_chosen_rate_learned(
    tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not what the last one did."""
    subject = subject_of(Clm(), tokenizer)
    verdicts = iter([5.0, 3.0])
    kept = tune(subject, lesson_of(subject, judge=lambda _: next(verdicts)), report=silent)
    monkeypatch.setattr(tuning, "RATES", (1e-3,))
    alone = tune(subject, lesson_of(subject), report=silent)
    rows = rows_of(subject)
    for one, two in zip(kept.outputs(rows), alone.outputs(rows), strict=True):
        assert torch.equal(one, two)


def test_a_probe_reads_each_row_once(tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    subject = subject_of(Mlm(), tokenizer)
    read: list[int] = []
    states = subject.net.states

    def spy(view: View, *, wanted: torch.Tensor) -> torch.Tensor:
        read.append(len(view.tokens))
        return states(view, wanted=wanted)

    monkeypatch.setattr(subject.net, "states", spy)
    lesson = lesson_of(subject)
    learned = probe(subject, lesson, report=silent)
    learned.outputs([*lesson.train, *lesson.validation])
    assert sum(read) == 23


def test_a_head_that_has_learned_nothing_says_nothing(
    tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    subject = subject_of(Clm(), tokenizer)
    monkeypatch.setattr(tuning, "RATES", (1e-30,))
    learned = tune(subject, lesson_of(subject), report=silent)
    assert all(each.abs().max() < 1e-20 for each in learned.outputs(rows_of(subject)))


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


def test_steps_are_some_epochs_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning, "FEWEST_STEPS", 60)
    monkeypatch.setattr(tuning, "MOST_STEPS", 500)
    assert [num_steps(num) for num in (1, 100, 160, 161, 9_001)] == [60, 70, 100, 110, 500]


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
    rest, taken = splitting.every(letters, 2, of=lambda each: each[0])
    assert rest == ["aa", "ab", "ca", "cb", "ea"]
    assert taken == ["ba", "da"]


def test_validation_comes_off_the_training_examples_where_there_is_none() -> None:
    numbers = list(range(1, 31))
    found = splitting.held_out(numbers, [], of=lambda each: each)
    assert found["validation"] == [10, 20, 30]
    assert found["train"] == [each for each in numbers if each % 10]
    more = splitting.held_out(list(range(1, 7302)), [], of=lambda each: each)
    assert more["validation"] == list(range(15, 7302, 15)), "no more than are used"
    assert len(more["train"]) == 7301 - 486
    given = splitting.held_out(numbers, [41, 43], of=lambda each: each)
    assert given == {"train": numbers, "validation": [41, 43]}
    many = splitting.held_out(numbers, list(range(1009)), of=lambda each: each)["validation"]
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
    found = splitting.drawn(examples, num, task="t", of=lambda each: each[0])
    assert Counter(each[0] for each in found) == expected
    assert len(set(found)) == len(found)
    assert found == splitting.drawn(examples, num, task="t", of=lambda each: each[0])
    if num == 10:
        assert found != splitting.drawn(examples, num, task="u", of=lambda each: each[0])
        assert found[:6] != examples[:6], "from all over"
