"""Entities of tagged sentences: what is read, what is learned, and how they are counted."""

from collections import Counter
from pathlib import Path

import pytest
import tokenizers
import torch

from lmcompare.data import Tokenizer
from lmcompare.errors import Unsupported, UserError
from lmcompare.evaluation.readers.conll import entities, sentences
from lmcompare.evaluation.supervised import finetuning
from lmcompare.evaluation.tasks.measure import ratio
from lmcompare.evaluation.tasks.record import TaskItem
from lmcompare.evaluation.tasks.registry import known
from lmcompare.evaluation.tasks.tagging import (
    TaggedSentence,
    Tagging,
    _items,
    _Read,
    _rows,
)
from lmcompare.objectives import T5, Clm, Mlm, Objective
from tests.tiny import WORDS
from tests.untrained import subject_of


def task_of(**changes: object) -> Tagging:
    settings = {
        "name": "names",
        "group": "extraction",
        "train": ["train.txt"],
        "test": ["test.txt"],
    }
    return Tagging.model_validate({**settings, **changes})


@pytest.mark.parametrize(
    ("tags", "expected", "mended"),
    [
        ("O O", set(), 0),
        ("B-a I-a O B-a", {(0, 2, "a"), (3, 4, "a")}, 0),
        ("B-a B-a I-a", {(0, 1, "a"), (1, 3, "a")}, 0),
        ("B-a I-b I-b", {(0, 1, "a"), (1, 3, "b")}, 1),
        ("I-a I-a O I-a", {(0, 2, "a"), (3, 4, "a")}, 2),
        ("I-a B-a", {(0, 1, "a"), (1, 2, "a")}, 1),
        ("O I-creative-work I-creative-work", {(1, 3, "creative-work")}, 1),
        ("I-a I-b I-a", {(0, 1, "a"), (1, 2, "b"), (2, 3, "a")}, 3),
    ],
)
def test_entities_are_those_of_the_shared_tasks(
    tags: str, expected: set[tuple[int, int, str]], mended: int
) -> None:
    assert entities(tags.split()) == (expected, mended)


def said_of(given: str, said: str) -> tuple[float, float, dict[str, float]]:
    """What one sentence counts for, of a model that says this."""
    tags = sorted({*given.split(), *said.split()})
    numbers = torch.tensor([tags.index(each) for each in said.split()])
    outputs = torch.nn.functional.one_hot(numbers, len(tags)).float()
    spans = [range(1, 2)] * len(numbers)
    sentence = TaggedSentence(number=7, words=("w",) * len(numbers), tags=tuple(given.split()))
    row = _Read(document=None, spans=spans, words=range(len(numbers)))
    (item,) = _items([sentence], [row], tags, [outputs])
    assert item.item == 7
    return item.score, item.max_score, dict(item.figures)


def test_counts_of_a_sentence_by_hand() -> None:
    # right: a at 0-2; its type wrong: b at 3; its end wrong: a at 5-6; not given: c at 8
    given = "B-a I-a O B-b O B-a I-a O O"
    said = "B-a I-a O B-a O B-a O   O B-c"
    score, max_score, figures = said_of(given, said)
    tp, fp, fn = 1, 3, 2
    assert (score, max_score) == (2 * tp, 2 * tp + fp + fn)
    assert figures == {"right": 1, "predicted": 4, "given": 3}
    assert said_of("O O", "O O")[:2] == (0, 0)
    assert said_of("B-a I-a", "I-a I-a")[:2] == (2, 2), "what is said is mended too"


def test_f1_precision_and_recall_are_of_all_sentences_together() -> None:
    """Seqeval's example: F1 0.5 of two entities, one right, two said."""
    one = items_of(["O O O B-m I-m I-m O", "B-p I-p O"], ["O O B-m I-m I-m I-m O", "B-p I-p O"])
    assert ratio(one) == 0.5
    assert task_of().figures(one) == {"precision": 0.5, "recall": 0.5}
    two = items_of(["B-a O B-a", "B-a O"], ["B-a O O", "B-b B-b"])
    assert ratio(two) == pytest.approx(2 * 1 / (3 + 3))
    assert task_of().figures(two) == {"precision": 1 / 3, "recall": 1 / 3}
    three = items_of(["B-a O B-a"], ["B-a O O"])
    assert task_of().figures(three) == {"precision": 1.0, "recall": 0.5}
    nothing = items_of(["O"], ["O"])
    assert task_of().figures(nothing) == {"precision": 0.0, "recall": 0.0}


def items_of(given: list[str], said: list[str]) -> list[TaskItem]:
    found = [said_of(one, two) for one, two in zip(given, said, strict=True)]
    return [
        TaskItem(item=number, score=score, max_score=max_score, figures=figures)
        for number, (score, max_score, figures) in enumerate(found)
    ]


def test_columns_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.conll"
    path.write_text(
        "-DOCSTART- -X- O\n\nthe DT O\nold JJ B-a\n\t\n \n\N{ACUTE ACCENT}\tB-b\ncafé\tI-b", "utf-8"
    )
    counts: Counter[str] = Counter()
    assert list(sentences(path, word=0, tag=-1, counts=counts)) == [
        (("the", "old"), ("O", "B-a")),
        (("\N{ACUTE ACCENT}", "café"), ("B-b", "I-b")),
    ]
    path.write_text("1\tthe\tO\tx\n2\told\tB-a\tx\n", "utf-8")
    assert list(sentences(path, word=1, tag=2, counts=counts)) == [(("the", "old"), ("O", "B-a"))]
    assert not counts.total()


@pytest.mark.parametrize("space", ["\u00a0", "\u0085", "\u2003", "\u2028", "\u2029", "\u3000"])
@pytest.mark.parametrize("between", ["\t", " "])
def test_other_spaces_are_part_of_words(space: str, between: str, tmp_path: Path) -> None:
    lines = [f"10{space}km{between}B-a", f"{space}{between}O", f"old{between}O"]
    path = tmp_path / "a.conll"
    path.write_bytes("\r\n".join(lines).encode())
    found = sentences(path, word=0, tag=-1, counts=Counter())
    assert list(found) == [((f"10{space}km", space, "old"), ("B-a", "O", "O"))]


def test_tags_are_stripped_and_counted(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("cat\tB-a \n\ndog\tB-a\n", encoding="utf-8")
    (tmp_path / "test.txt").write_text("cat\tB-a\u00a0\n", encoding="utf-8")
    examples = task_of().read(tmp_path)
    assert [each.tags for each in examples.test] == [("B-a",)]
    assert examples.counts == {"labels with white space around them": 2}


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        ("cat\tB-a\ndog\n", "dog\tO\n", "train.txt, line 2 has 1 of the 2 columns"),
        ("cat\tB-a\n", "dog\tS-a\n", "test.txt, line 1: 'S-a' is no BIO tag"),
        ("cat\tB-a\n", "dog\tB-\n", "test.txt, line 1: 'B-' is no BIO tag"),
        ("cat\tB-a\n", "\tB-a\n", "test.txt, line 1 has a tag and no word"),
        ("cat\tB-a\n", "dog\tB-b\n", "names asks for the type 'b', and no example to learn"),
        ("cat\tB-a\n", "dog\tB-a\n", "names has one sentence to learn from in train.txt, test.txt"),
        ("cat\tO\n", "dog\tO\n", "names has no entity to learn from in train.txt, test.txt"),
        ("cat\tB-a\n", "\n", "names asks nothing in train.txt, test.txt"),
        ("", "cat\tB-a\n", "names has no entity to learn from"),
    ],
)
def test_what_is_wrong_with_files_is_one_line(
    train: str, test: str, message: str, tmp_path: Path
) -> None:
    (tmp_path / "train.txt").write_text(train, encoding="utf-8")
    (tmp_path / "test.txt").write_text(test, encoding="utf-8")
    with pytest.raises(UserError) as error:
        task_of().read(tmp_path)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_that_is_not_in_utf_8(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_bytes("café\tB-a\n".encode("latin-1"))
    (tmp_path / "test.txt").write_bytes(b"cat\tB-a\n")
    with pytest.raises(
        UserError, match=r"train.txt' is not UTF-8: in line \d+, byte .* convert it"
    ):
        task_of().read(tmp_path)


def test_given_tags_that_are_mended_are_counted(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("cat\tI-a\n\ndog\tB-a\n", encoding="utf-8")
    (tmp_path / "test.txt").write_text("cat\tB-a\ndog\tI-a\ntree\tO\ncat\tI-a\n", encoding="utf-8")
    examples = task_of().read(tmp_path)
    assert examples.counts == {"entities that begin with an I- in the files": 2}
    assert task_of().chance(examples) == 0


def test_words_are_judged_at_their_last_piece(tokenizer: Tokenizer) -> None:
    model = subject_of(Clm(), tokenizer)
    words = ("a", "zebra's", "café", "ü", "dog")
    tags = ("O", "B-a", "I-a", "B-b", "I-unknown")
    counts: Counter[str] = Counter()
    (row,) = _rows(
        model,
        [TaggedSentence(number=0, words=words, tags=tags)],
        ["B-a", "B-b", "I-a", "O"],
        "words",
        counts,
    )
    assert tokenizer.decode(row.document.ids) == " ".join(words)
    assert len(row.document) > len(words)
    assert list(row.words) == [0, 1, 2, 3, 4]
    said = [tokenizer.decode(row.document.ids[: span.stop - 1]) for span in row.spans]
    assert said == [" ".join(words[: number + 1]) for number in range(5)]
    assert list(row.target) == [3, 0, 2, 1, -100]
    assert not counts


def test_words_behind_the_cut_are_outside(tokenizer: Tokenizer) -> None:
    model, counts = subject_of(Clm(), tokenizer), Counter()
    pieces = [len(each) for each in tokenizer.encode(["a", " a", " zebra"])]
    assert pieces[:2] == [1, 1]
    num = 33 - pieces[2]  # so that the last piece alone is cut off
    words = ("a",) * num + ("zebra",) + ("a",) * 5
    sentence = TaggedSentence(number=0, words=words, tags=("B-a",) * (num + 6))
    (row,) = _rows(model, [sentence], ["B-a"], "words", counts)
    assert len(row.document) == 32
    assert list(row.words) == list(range(num))
    assert counts == {"words behind the cut": 6}
    (item,) = _items([sentence], [row], ["B-a"], [torch.ones(num, 1)])
    assert item.figures == {"right": num, "predicted": num, "given": num + 6}


def test_words_without_a_token_are_outside() -> None:
    """A word-level vocabulary without an unknown token drops what it does not know."""
    library = tokenizers.Tokenizer(
        tokenizers.models.WordPiece({"[PAD]": 0, "[BOS]": 1, "[EOS]": 2, "cat": 3}, unk_token="cat")
    )
    library.normalizer = tokenizers.normalizers.Replace("~", "")
    library.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    library.add_special_tokens(["[PAD]", "[BOS]", "[EOS]"])
    dropping = Tokenizer(library)
    model, counts = subject_of(Clm(), dropping), Counter()
    sentence = TaggedSentence(number=0, words=("~", "cat", "~~", "cat", "~"), tags=("B-a",) * 5)
    silent = TaggedSentence(number=1, words=("~",), tags=("B-a",))
    rows = _rows(model, [sentence, silent], ["B-a"], "words", counts)
    assert list(rows[0].words) == [1, 3]
    assert [*rows[0].spans] == [range(1, 2), range(2, 3)]
    assert not rows[1].spans
    assert counts == {"words without a token": 4}
    outputs = [torch.ones(2, 1), torch.ones(0, 1)]
    items = list(_items([sentence, silent], rows, ["B-a"], outputs))
    assert [item.figures["predicted"] for item in items] == [2, 0]
    assert [item.figures["given"] for item in items] == [5, 1]


def tagged(num: int, *, seed: int) -> str:
    """`old cat` is an animal in two words, and so is `dog` alone."""
    draws = torch.Generator().manual_seed(seed)
    lines = []
    for _ in range(num):
        for each in torch.randint(len(WORDS), (5,), generator=draws).tolist():
            word = WORDS[each]
            if word == "cat":
                lines += ["cat\tB-animal", "café\tI-animal"]
            else:
                lines.append(f"{word}\t{'B-animal' if word == 'dog' else 'O'}")
        lines.append("")
    return "\n".join(lines)


@pytest.mark.slow
@pytest.mark.parametrize("objective", [Mlm(), Clm(), T5()], ids=lambda given: given.name)
def test_words_that_are_names_are_learned(
    objective: Objective, tokenizer: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finetuning, "FACTORS", (10 / 3,))
    monkeypatch.setattr(finetuning, "MOST_STEPS", 200)
    (tmp_path / "train.txt").write_text(tagged(151, seed=3), encoding="utf-8")
    (tmp_path / "test.txt").write_text(tagged(53, seed=5), encoding="utf-8")
    task, model = task_of(), subject_of(objective, tokenizer)
    examples = task.read(tmp_path)
    shares: list[float] = []
    answers = task.evaluate(
        model, examples, protocol="all", done=frozenset({0, 5}), report=shares.append
    )
    items = list(answers.items)
    assert [item.item for item in items] == [1, 2, 3, 4, *range(6, 53)]
    assert ratio(items) > 0.9
    assert (
        answers.description
        == "fine-tuned on 136 sentences, pieces of a word pooled as validation chooses"
    )
    assert {each.pooling for each in answers.trials} == {"last", "mean", "first"}
    assert max(each.validation for each in answers.trials) > 0.8
    assert {type(each) for each in answers.settings.values()} == {float, str}, (
        "as a record has them"
    )
    assert shares == sorted(shares)
    assert shares[-1] == 1
    few = task.evaluate(
        model, examples, protocol="100 first", done=frozenset(), report=lambda share: None
    )
    assert few.description == "fine-tuned on 100 sentences, pieces of a word pooled by first"
    assert {each.pooling for each in few.trials} == {"first"}
    with pytest.raises(Unsupported, match="the pieces of a word have no pooling 'encoder'"):
        task.evaluate(
            model, examples, protocol="all encoder", done=frozenset(), report=lambda share: None
        )


def test_the_real_files_are_read(shared_data: Path) -> None:
    if not (shared_data / "wnut17").is_dir():
        pytest.skip("wnut17 does not lie beside the checkout")
    examples = known()["wnut17"].read(shared_data)
    assert len(examples.test) == 1287
    assert sum(len(entities(each.tags)[0]) for each in examples.test) == 1079  # as its paper says
    assert len(examples.learned["train"]) == 3394
    assert len(examples.learned["validation"]) == 500
