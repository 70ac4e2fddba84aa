"""Examples with their labels, and the controls that stand beside a score."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from lmcompare.errors import UserError
from lmcompare.evaluation.probes.classification import probe_classes
from lmcompare.evaluation.probes.controls import control_labels, is_unseen, most_frequent
from lmcompare.evaluation.probes.examples import NOT_ASKED, ProbeExamples, TaskLabels, examples_of
from lmcompare.evaluation.probes.tasks import ProbingTask, choose_tasks
from lmcompare.evaluation.probes.treebank import PARTS, Treebank, is_swapped
from lmcompare.evaluation.readers.conllu import Sentence
from lmcompare.evaluation.states.word_states import States
from tests.evaluation.probes.banks import DRAWN, bank, read, sentence

TAGS = {"the": "DET", "a": "DET", "cat": "NOUN", "dog": "NOUN", "ran": "VERB", "fast": "ADV"}


def tagged(*forms: str) -> Sentence:
    """Words that mostly have the same tag, each after the first depending on it."""
    return sentence(
        *(f"{form} {int(n > 0)} dep {TAGS.get(form, 'X')}" for n, form in enumerate(forms))
    )


TRAIN = [
    tagged("the", "cat", "ran"),
    tagged("the", "dog", "ran"),
    tagged("a", "cat", "ran", "fast"),
    sentence("the 2 dep PRON", "cat 0 root NOUN"),
]
TEST = [tagged("the", "new", "dog"), sentence("cat 0 root VERB", "ran 1 dep VERB")]
BANK = bank(TRAIN, TEST)


def made(treebank: Treebank, *names: str, swaps: bool = False) -> tuple[ProbeExamples, TaskLabels]:
    """The examples of tasks of one unit, and the first task's labels."""
    tasks, _ = choose_tasks(names, treebank)
    (examples,) = examples_of(read(treebank, swaps=swaps), tasks)
    return examples, examples.tasks[0]


def said(examples: ProbeExamples, labelled: TaskLabels, part: str) -> list[str | None]:
    """The labels of a part as words; ? where no training example has it."""
    names = [*labelled.classes, "?"]
    return [
        None if each == NOT_ASKED else names[each] for each in labelled.labels[examples.parts[part]]
    ]


def test_classes_are_ordered_by_frequency_and_then_by_name() -> None:
    examples, labelled = made(BANK, "upos")
    num = Counter(each.upos for one in TRAIN for each in one.words)
    assert labelled.classes == tuple(sorted(num, key=lambda tag: (-num[tag], tag)))
    assert labelled.classes[0] == "NOUN"
    train = examples.parts["train"]
    wanted = [num[name] / num.total() for name in labelled.classes]
    assert labelled.shares(train) == pytest.approx(wanted)
    assert said(examples, labelled, "test") == ["DET", "?", "NOUN", "VERB", "VERB"]
    assert labelled.num_unknown == 1  # counted, and wrong whatever is said


def test_examples_stand_where_their_sentences_are_read() -> None:
    readings = read(BANK)
    examples, labelled = made(BANK, "upos")
    assert (
        len(examples) == readings.num_words == sum(len(one.words) for one in (*TRAIN, *TEST, *TEST))
    )
    assert examples.rows[:, 0].tolist() == [*range(readings.num_words)]
    for row, reading, number in zip(
        examples.rows[:, 0], examples.reading, examples.number, strict=True
    ):
        original = readings.sentences[reading]
        part = next(part for part in PARTS if reading in readings.parts[part])
        assert BANK.parts[part][number] is original
        assert 0 <= row - readings.first[reading] < len(original.words)
    tags = [each.upos for one in readings.sentences for each in one.words]
    train = examples.parts["train"]
    assert said(examples, labelled, "train") == tags[train]


def test_pairs_of_two_tasks_share_their_examples() -> None:
    treebank = bank([DRAWN, *TRAIN], [DRAWN])
    examples, arcs = made(treebank, "arc", "arc-label")
    readings, labels = read(treebank), examples.tasks[1]
    of_test = examples.parts["test"]
    assert examples.rows.shape[1] == 2
    pairs = (examples.rows[of_test] - readings.first[readings.parts["test"].start]).tolist()
    assert len({*map(tuple, pairs)}) == len(pairs)
    heads = DRAWN.heads or ()
    for (one, other), arc, label in zip(
        pairs, said(examples, arcs, "test"), said(examples, labels, "test"), strict=True
    ):
        if heads[one] == other + 1:
            assert (arc, label) == ("arc", DRAWN.words[one].relation)
        else:
            assert (arc, label) == ("none", None)
    assert Counter(said(examples, arcs, "test")) == {"arc": 11, "none": 11}


def test_each_sentence_is_asked_in_one_version_only() -> None:
    many = [sentence(*(f"{word}{n} _" for word in "abc")) for n in range(60)]
    treebank = bank(many[:40], many[40:])
    examples, labelled = made(treebank, "bigram-shift", swaps=True)
    readings = read(treebank, swaps=True)
    assert len(examples) == len(readings.sentences) > 60
    for part in PARTS:
        own, start = said(examples, labelled, part), readings.parts[part].start
        asked = [n for n, label in enumerate(own) if label is not None]
        numbers = [int(examples.number[start + n]) for n in asked]
        assert sorted(numbers) == [*range(len(treebank.parts[part]))]
        for n in asked:
            original = readings.original[start + n]
            exchanged = readings.sentences[start + n] is not original
            assert exchanged == is_swapped(original) == (own[n] == "swapped")


def test_words_of_exchanged_sentences_are_not_asked_about() -> None:
    many = [sentence(*(f"{word}{n} _ _ {word}" for word in "abc")) for n in range(30)]
    treebank = bank(many, many[:5])
    tasks, _ = choose_tasks(["upos", "bigram-shift"], treebank)
    words, sentences = examples_of(read(treebank, swaps=True), tasks)
    assert (words.unit, sentences.unit) == ("word", "sentence")
    assert len(words) == 3 * (30 + 5 + 5) < sentences.rows[-1, 1]


def test_controls_are_a_function_of_the_type_alone() -> None:
    """Drawn from the frequencies of the task's labels; another seed gives others."""
    tags = ["A"] * 6 + ["B"] * 3 + ["C"]
    many = [
        sentence(*(f"w{(7 * n + m) % 997} _ _ {tags[(7 * n + m) % 10]}" for m in range(11)))
        for n in range(300)
    ]
    examples, labelled = made(bank(many[:200], many[200:]), "upos")
    forms = [
        each.form for one in read(bank(many[:200], many[200:])).sentences for each in one.words
    ]
    controls = [control_labels(examples, labelled, seed) for seed in range(3)]
    for control in controls:
        of_type: dict[str, set[int]] = {}
        for form, label in zip(forms, control.tolist(), strict=True):
            of_type.setdefault(form, set()).add(label)
        assert all(len(each) == 1 for each in of_type.values())
        types = np.array([each.pop() for each in of_type.values()])
        shares = np.bincount(types, minlength=3) / len(types)
        assert shares == pytest.approx(labelled.shares(examples.parts["train"]), abs=0.06)
        # equal by chance only: 0.6 * 0.6 + 0.3 * 0.3 + 0.1 * 0.1; of the task itself it would be 1
        assert (control == labelled.labels).mean() == pytest.approx(0.46, abs=0.08)
    assert (controls[0] == control_labels(examples, labelled, 0)).all()
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert (controls[one] == controls[other]).mean() == pytest.approx(0.46, abs=0.08)


def test_the_controls_of_two_tasks_differ_and_leave_out_what_is_not_asked() -> None:
    many = [
        sentence(*(f"w{n}x{m} _ _ {'AB'[m % 2]} {'F=1' if m % 3 else 'G=1'}" for m in range(11)))
        for n in range(60)
    ]
    many[0] = sentence("x _ _ A F=2 H=1", "y _ _ B F=2 H=2")
    examples, upos = made(bank(many, many), "upos", "F")
    feature = examples.tasks[1]
    one, other = (control_labels(examples, each, 0) for each in (upos, feature))
    assert ((other == NOT_ASKED) == (feature.labels == NOT_ASKED)).all()
    assert (one != NOT_ASKED).all()
    assert 0.2 < (one[other != NOT_ASKED] != other[other != NOT_ASKED]).mean() < 0.8


def test_the_probe_of_a_control_does_not_learn_the_task(tmp_path: Path) -> None:
    """States tell the label and nothing of the word: the task is solved, its control is chance."""
    many = [sentence(*(f"w{n}x{m} _ _ {'AB'[(n + m) % 2]}" for m in range(11))) for n in range(50)]
    examples, labelled = made(bank(many[:30], many[30:]), "upos")
    draws = np.random.default_rng(0)
    state = draws.normal(size=(len(examples), 3)) * 0.1
    state[:, 0] += labelled.labels
    np.save(tmp_path / "layer-0.npy", state.astype(np.float16))
    known = np.ones(len(examples), dtype=bool)
    states = States(folder=tmp_path, layers=[0], known=known, width=3, counts={})
    (found,) = probe_classes(
        states,
        examples,
        probe="linear",
        seeds=[0, 1],
        device=torch.device("cpu"),
        report=lambda share: None,
    )
    (layer,) = found.layers
    assert layer.value == 1
    assert layer.control == pytest.approx(0.5, abs=0.1)
    assert layer.selectivity == pytest.approx(0.5, abs=0.1)


def test_what_needs_no_model_beside_a_count_by_hand() -> None:
    examples, labelled = made(BANK, "upos")
    found = most_frequent(examples, labelled)
    names = labelled.classes
    test = examples.parts["test"]
    assert {names[each] for each in found["majority"]} == {"NOUN"}
    # the: DET twice, PRON once; new: never seen, so the most frequent of all; cat: NOUN; ran: VERB
    assert [names[each] for each in found["type"][test]] == ["DET", "NOUN", "NOUN", "NOUN", "VERB"]
    assert is_unseen(examples, labelled)[test].tolist() == [False, True, False, False, False]
    right = (found["type"][test] == labelled.labels[test]).tolist()
    assert right == [True, False, True, False, True]


def test_a_type_is_unseen_if_the_task_never_asked_about_it() -> None:
    train = [sentence("a _ _ X F=1", "b _ _ X", "c _ _ X F=2", "d _ _ Y")]
    test = [sentence("a _ _ X F=2", "b _ _ X F=1", "e _ _ X F=1")]
    examples, feature = made(bank(train, test), "F", "upos")
    of_test = examples.parts["test"]
    assert is_unseen(examples, feature)[of_test].tolist() == [False, True, True]
    assert is_unseen(examples, examples.tasks[1])[of_test].tolist() == [False, False, True]


def test_sentences_have_no_types_and_no_control() -> None:
    examples, labelled = made(bank([DRAWN, *TRAIN], [*TEST, DRAWN]), "sentence-length")
    assert examples.types is None
    assert [*most_frequent(examples, labelled)] == ["majority"]
    assert not is_unseen(examples, labelled).any()


def test_words_without_a_state_are_dropped_wherever_they_stand() -> None:
    treebank = bank([DRAWN, *TRAIN], [DRAWN, *TEST])
    readings = read(treebank)
    known = np.ones(readings.num_words, dtype=bool)
    gone = [0, 3, int(readings.first[readings.parts["test"].start]) + 2]
    known[gone] = False
    words, _ = made(treebank, "upos")
    kept = words.only(known)
    assert kept.rows[:, 0].tolist() == [n for n in range(readings.num_words) if n not in gone]
    for part in PARTS:
        before, after = words.parts[part], kept.parts[part]
        rows = [n for n in words.rows[before, 0].tolist() if n not in gone]
        assert kept.rows[after, 0].tolist() == rows
        assert said(kept, kept.tasks[0], part) == [
            label
            for label, row in zip(
                said(words, words.tasks[0], part), words.rows[before, 0], strict=True
            )
            if row not in gone
        ]
    pairs, _ = made(treebank, "arc")
    assert {*pairs.only(known).rows.ravel().tolist()}.isdisjoint(gone)
    assert len(pairs.only(known)) == (~np.isin(pairs.rows, gone).any(1)).sum()
    # a sentence is dropped where none of its words has a state
    first, last = readings.first[1], readings.first[2]
    known[first:last] = False
    sentences, _ = made(treebank, "sentence-length")
    assert sentences.only(known).reading.tolist() == [
        n for n in range(len(readings.sentences)) if n != 1
    ]
    assert sentences.only(known).parts["test"].start == sentences.parts["test"].start - 1


def test_the_most_frequent_words_only() -> None:
    words = [f"w{n:02}" for n in range(60)]
    train = [sentence(*(f"{word} _" for word in words[: n + 1])) for n in range(60)]
    examples, labelled = made(bank(train, [sentence("w00", "w49", "w50", "x")]), "word")
    assert labelled.classes == tuple(words[:50])
    assert said(examples, labelled, "test") == ["w00", "w49", None, None]
    assert labelled.num_unknown == 0


def test_a_task_with_too_little_after_all_is_one_line() -> None:
    task = ProbingTask(
        name="odd", group="token", unit="word", asks="", words=lambda own: ["x"] * len(own.words)
    )
    with pytest.raises(UserError, match="odd has 1 classes among the sentences that are learned"):
        examples_of(read(BANK), [task])
