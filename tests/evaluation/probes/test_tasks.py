"""What probes are asked: labels of trees that are drawn by hand, and which tasks are chosen."""

from collections import Counter

import pytest

from lmcompare.errors import UserError
from lmcompare.evaluation.probes import labels, tasks
from lmcompare.evaluation.probes.options import USUAL_TASKS
from lmcompare.evaluation.probes.tasks import ProbingTask, choose_tasks
from lmcompare.evaluation.probes.treebank import Treebank, is_swapped
from lmcompare.evaluation.readers.conllu import Sentence
from tests.evaluation.probes.banks import DRAWN, bank, sentence


def chain(num: int, *, word: str = "w") -> Sentence:
    """Each word depends on the next one, so that the tree is as deep as it can be."""
    words = [f"{word}{n} {n + 1 if n < num else 0} dep X" for n in range(1, num + 1)]
    return sentence(*words)


def flat(num: int, *, word: str = "w") -> Sentence:
    """All words depend on the first."""
    return sentence(*(f"{word}{n} {int(n > 1)} dep X" for n in range(1, num + 1)))


def task_of(name: str, treebank: Treebank | None = None) -> ProbingTask:
    (found,), _ = choose_tasks([name], treebank or bank([DRAWN] * 3, [DRAWN] * 2))
    return found


def words(name: str, of: Sentence = DRAWN) -> list[str | None]:
    task = task_of(name)
    assert task.words is not None
    return [*task.words(of)]


def test_labels_of_words() -> None:
    assert words("upos") == [
        *("DET", "ADJ", "NOUN", "VERB", "DET", "NOUN", "ADP", "DET", "ADJ", "NOUN", "ADV", "PUNCT")
    ]
    assert words("deprel")[:4] == ["det", "amod", "nsubj", "root"]
    right, left = "right", "left"
    assert words("head-direction") == [
        *(right, right, right, "root", right, left, right, right, right, left, left, left)
    ]
    assert words("head-distance") == [
        *("2", "1", "1", "root", "1", "2", "3-4", "2", "1", "5-8", "5-8", "5-8")
    ]


@pytest.mark.parametrize(
    ("distance", "label"),
    [(1, "1"), (2, "2"), (3, "3-4"), (4, "3-4"), (5, "5-8"), (8, "5-8"), (9, "9+"), (20, "9+")],
)
def test_bins_of_distances(distance: int, label: str) -> None:
    found = labels.head_distance(flat(23))
    assert found[0] == "root"
    assert found[distance] == label
    assert labels.head_distance(sentence("a _", "b 1")) == [None, "1"]
    assert labels.head_direction(sentence("a _", "b 1")) == [None, "left"]


def test_features_are_asked_of_words_that_have_them() -> None:
    several = bank([DRAWN, sentence("cats 0 root NOUN Number=Plur")], [DRAWN])
    number = task_of("Number", several)
    assert number.words is not None
    assert [*number.words(DRAWN)] == [
        *(None, None, "Sing", "Sing", None, "Sing", None, None, None, "Sing", None, None)
    ]


def test_neighbours() -> None:
    forms = [each.form for each in DRAWN.words]
    assert labels.neighbours(DRAWN, shift=0) == forms
    assert labels.neighbours(DRAWN, shift=-1) == [None, *forms[:-1]]
    assert labels.neighbours(DRAWN, shift=1) == [*forms[1:], None]
    assert labels.neighbours(sentence("a"), shift=1) == [None]


@pytest.mark.parametrize("tree", [DRAWN, chain(7), flat(11), sentence("a 2", "b 0")])
def test_pairs_with_and_without_an_arc(tree: Sentence) -> None:
    """A dependent stands once with its head, once with a word that has no arc with it."""
    heads = tree.heads
    assert heads is not None
    pairs = labels.arcs(tree)
    true = [(one, other) for one, other, label in pairs if label == "arc"]
    false = [(one, other) for one, other, label in pairs if label == "none"]
    assert [one for one, _ in true] == [one for one, _ in false]
    joined = {(one, head - 1) for one, head in enumerate(heads) if head}
    assert {*true} <= joined
    assert all(one != other and 0 <= other < len(heads) for one, other in false)
    assert not {(min(pair), max(pair)) for pair in false} & {
        (min(pair), max(pair)) for pair in joined
    }
    without = [
        [
            other
            for other in range(len(heads))
            if other != one and {(one, other), (other, one)}.isdisjoint(joined)
        ]
        for one in range(len(heads))
    ]
    assert {one for one, _ in true} == {
        one for one, head in enumerate(heads) if head and without[one]
    }
    for (one, head), (_, other) in zip(true, false, strict=True):
        off = [abs(abs(each - one) - abs(head - one)) for each in without[one]]
        assert abs(abs(other - one) - abs(head - one)) == min(off)


def test_pairs_of_no_tree_and_labels_of_arcs() -> None:
    assert labels.arcs(sentence("a 0", "b 0", "c 1")) == []
    assert labels.arc_labels(DRAWN)[:3] == [(0, 2, "det"), (1, 2, "amod"), (2, 3, "nsubj")]
    assert len(labels.arc_labels(DRAWN)) == len(DRAWN.words) - 1
    assert labels.arc_labels(sentence("a 2 x", "b _ y", "c 2")) == [(0, 1, "x")]


def test_bins_of_lengths_hold_as_many() -> None:
    label = labels.length_bins([flat(num) for num in range(1, 61)])
    found = Counter(label(flat(num)) for num in range(1, 61))
    assert len(found) == labels.NUM_LENGTHS
    assert {*found.values()} == {10}
    assert label(flat(1)) == label(flat(10)) == "1 to 10"
    assert label(flat(11)) == "11 to 20"
    assert label(flat(200)) == "51 or more"
    alike = labels.length_bins([flat(7)] * 5)
    assert [alike(flat(num)) for num in (3, 7, 8)] == ["1 to 7", "1 to 7", "8 or more"]


def test_depths() -> None:
    assert labels.depths([3, 3, 4, 0, 6, 4]) == [2, 2, 1, 0, 2, 1]
    assert labels.depths([0]) == [0]
    assert labels.depths([*range(2, 5001), 0])[0] == 4999


def test_depth_says_nothing_of_length() -> None:
    """A tree is judged among those with as many words: of each length as many are deeper."""
    train = [make(num) for num in range(3, 12) for make in (chain, flat)]
    label = labels.depth_classes(train)
    assert {label(chain(num)) for num in range(3, 12)} == {"deeper"}
    assert {label(flat(num)) for num in range(3, 12)} == {"flatter"}
    assert label(chain(20)) is None  # a length that was not learned from
    assert label(sentence("a", "b", "c")) is None
    assert labels.depth_classes([chain(5)])(chain(5)) is None
    of_three = labels.depth_classes(
        [chain(5), flat(5), sentence("a 3", "b 3", "c 0", "d 3", "e 4")]
    )
    assert of_three(sentence("a 3", "b 3", "c 0", "d 3", "e 4")) is None  # the median itself


def test_the_root_s_tense_and_its_subject_s_number() -> None:
    tense, number = labels.root_tense([]), labels.subject_number([])
    assert (tense(DRAWN), number(DRAWN)) == ("Past", "Sing")
    cats = "cats 2 nsubj:pass NOUN Number=Plur"
    assert number(sentence(cats, "slept 0 root VERB")) == "Plur"
    assert tense(sentence(cats, "slept 0 root VERB")) is None
    assert number(sentence(cats, "slept 0 root", cats)) is None  # two subjects
    assert number(sentence("x 0 root", "y 0 root VERB Tense=Past", cats)) is None  # two roots
    assert tense(sentence("x 0 root VERB Tense=Past", "y 0 root")) is None
    assert number(sentence("cats _ nsubj NOUN Number=Plur", "slept _ root")) is None  # no tree
    assert number(sentence("cats 2 nsubjx NOUN Number=Plur", "slept 0 root")) is None


def test_which_of_fifty_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labels, "CONTENT_WORDS", range(1, 3))
    train = [sentence("the", ".", "the", "The", "cat", "Cat", "dog", "1", "1", "1", "1", "1")]
    label = labels.content_words(train)
    assert label(sentence("a", "Cat", "the")) == "cat"
    assert label(sentence("dog", "dog")) == "dog"
    assert label(sentence("dog", "cat")) is None
    assert label(sentence("the", "1")) is None


def test_whether_words_are_exchanged() -> None:
    label = labels.word_order([])
    told = [sentence(f"a{n}", "b") for n in range(50)]
    assert {(is_swapped(each), label(each)) for each in told} == {
        (True, "swapped"),
        (False, "original"),
    }


def names(found: list[ProbingTask]) -> list[str]:
    return [each.name for each in found]


def plural(num: int) -> list[Sentence]:
    return [sentence(f"cats{n} 2 nsubj NOUN Number=Plur", "ran 0 root VERB") for n in range(num)]


def test_tasks_and_groups_and_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "FEWEST", 10)
    treebank = bank([DRAWN] * 3 + plural(3), [DRAWN] * 2)
    found, said = choose_tasks(["structure", "upos", "tree-depth"], treebank)
    assert names(found) == ["tree-distance", "tree-depth", "upos"]
    assert said == []
    assert names(choose_tasks(["features"], treebank)[0]) == ["Number"]  # not the rare Tense
    found, said = choose_tasks(["all"], treebank)
    assert {"upos", "Number", "arc", "word", "sentence-length"} <= {*names(found)}
    assert {"xpos", "entity", "Tense"}.isdisjoint(names(found))
    assert said == []  # that a group lacks some is no news
    found, said = choose_tasks([*USUAL_TASKS, "xpos"], treebank)
    assert names(found)[0] == "upos"
    assert len(said) == 1
    assert said[0].startswith("xpos needs parts of speech of the language (column XPOS), which")


def test_a_rare_feature_is_asked_by_its_name() -> None:
    treebank = bank([DRAWN, *plural(2)], [DRAWN])
    assert names(choose_tasks(["Number"], treebank)[0]) == ["Number"]
    with pytest.raises(UserError, match="has labels for nothing that features asks"):
        choose_tasks(["features"], treebank)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("upso", "there is no probing task 'upso': did you mean 'upos'?"),
        ("tree-distanz", "did you mean 'tree-distance'?"),
        ("Numbers", "did you mean 'Number'?"),
        ("sentences", "did you mean 'sentence'?"),
        ("zzz", "there is no probing task 'zzz': known: Number, Tense, all, arc"),
        ("xpos", r"xpos needs parts of speech of the language \(column XPOS\), which bank lacks"),
        ("entity", r"entity needs entity tags \(columns of words and tags\), which bank lacks"),
        ("Tense", r"Tense has one class only in bank \(Past\), and a probe needs two"),
        ("word-content", "word-content needs labels, which bank lacks: leave the task out"),
        ("root-tense", r"root-tense has one class only in bank \(Past\)"),
    ],
)
def test_what_cannot_be_asked_is_one_line(name: str, says: str) -> None:
    treebank = bank([DRAWN, *plural(2)], [DRAWN])
    with pytest.raises(UserError, match=says):
        choose_tasks([name], treebank)


@pytest.mark.parametrize("name", ["deprel", "arc", "tree-distance", "sentence-depth"])
def test_a_treebank_without_trees(name: str) -> None:
    bare = [sentence("a _ _ X", "b _ _ Y", "c _ _ Z")] * 3
    with pytest.raises(UserError, match=rf"{name} needs a tree \(columns HEAD and DEPREL\), which"):
        choose_tasks([name], bank(bare, bare))


@pytest.mark.parametrize("name", ["upos", "deprel", "arc", "tree-depth", "root-tense"])
def test_labels_in_one_part_only(name: str) -> None:
    bare = [sentence("a", "b", "c")] * 2
    now = sentence("ran 0 root VERB Tense=Fut", "x 1 dep", "y 1 dep")
    some = [DRAWN, now]
    with pytest.raises(UserError, match=f"{name} needs "):
        choose_tasks([name], bank(bare, some))
    with pytest.raises(UserError, match=f"{name} asks nothing of the test sentences of bank"):
        choose_tasks([name], bank(some, bare))
    found, said = choose_tasks([name, "word"], bank(some, bare))
    assert names(found) == ["word"]
    assert said == [f"{name} asks nothing of the test sentences of bank: leave it out"]
