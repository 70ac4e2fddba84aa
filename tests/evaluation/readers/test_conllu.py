"""Treebanks in CoNLL-U: words, the characters that they stand for, labels, and what is refused."""

import gzip
import random
import re
from collections import Counter
from pathlib import Path

import conllu as reference
import pytest

from lmcompare.errors import UserError
from lmcompare.evaluation.readers.conllu import Sentence, sentences
from lmcompare.textfiles import open_text
from tests.conftest import values


def word(
    number: object,
    form: str,
    head: object = "_",
    *,
    upos: str = "_",
    feats: str = "_",
    relation: str = "_",
    deps: str = "_",
    misc: str = "_",
) -> str:
    """A line of ten columns."""
    cells = (number, form, "_", upos, "_", feats, head, relation, deps, misc)
    return "\t".join(map(str, cells))


CAT = [
    "# text = The cat can't sleep.",
    word(1, "The", 2, upos="DET", feats="Definite=Def|PronType=Art", relation="det"),
    word(2, "cat", 5, upos="NOUN", feats="Number=Sing", relation="nsubj"),
    word("3-4", "can't"),
    word(3, "ca", 5, upos="AUX", relation="aux"),
    word(4, "n't", 5, upos="PART", relation="advmod"),
    word(5, "sleep", 0, upos="VERB", relation="root", misc="SpaceAfter=No"),
    word("5.1", "it", deps="5:obj"),
    word(6, ".", 5, upos="PUNCT", relation="punct", deps="5:punct|5.1:punct", misc="X=Y"),
]
ZUM = [
    "# text = Anna geht zum Haus",
    word(1, "Anna", 2),
    word(2, "geht", 0),
    word("3-4", "zum"),
    word(3, "zu", 5),
    word(4, "dem", 5),
    word(5, "Haus", 2, misc="SpaceAfter=No"),
]


def read(path: Path, content: bytes | str) -> tuple[list[Sentence], dict[str, int]]:
    """The sentences of a file, and what was counted."""
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    counts: Counter[str] = Counter()
    return [*sentences(path, counts=counts)], dict(+counts)


def file(*some: list[str]) -> str:
    return "\n\n".join("\n".join(each) for each in some) + "\n\n"


def written(sentence: Sentence) -> list[str]:
    """The characters that each word stands for."""
    return [sentence.text[slice(*each.span)] for each in sentence.words]


def test_words_with_their_characters_labels_and_tree(tmp_path: Path) -> None:
    (cat, zum), counts = read(tmp_path / "a.conllu", file(CAT, ZUM))
    assert cat.text == "The cat can't sleep."
    assert written(cat) == ["The", "cat", "ca", "n't", "sleep", "."]
    assert [each.form for each in cat.words] == written(cat)
    assert [each.upos for each in cat.words] == ["DET", "NOUN", "AUX", "PART", "VERB", "PUNCT"]
    assert [each.relation for each in cat.words][:2] == ["det", "nsubj"]
    assert cat.words[0].features == {"Definite": "Def", "PronType": "Art"}
    assert cat.words[2].features == {}
    assert cat.words[0].xpos is None
    assert cat.heads == (2, 5, 5, 5, 0, 5)

    assert zum.text == "Anna geht zum Haus"
    assert written(zum) == ["Anna", "geht", "zum", "zum", "Haus"]
    assert [each.form for each in zum.words][2:4] == ["zu", "dem"]
    assert zum.words[0].upos is None
    assert zum.words[0].relation is None
    assert (cat.document, zum.document) == (1, 2)
    assert counts == {
        "empty nodes left out": 1,
        "multi-word tokens, whose words are read together": 1,
    }


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_ends_of_lines_byte_order_marks_and_the_file_s_end(
    end: str, mark: str, tmp_path: Path
) -> None:
    for last in ("", end, end * 4):
        text = mark + file(CAT, ZUM).rstrip("\n").replace("\n", end) + last
        found, _ = read(tmp_path / "a.conllu", text)
        assert [each.text for each in found] == ["The cat can't sleep.", "Anna geht zum Haus"]


def test_a_compressed_file(tmp_path: Path) -> None:
    found, _ = read(tmp_path / "a.CONLLU.gz", gzip.compress(file(CAT, ZUM).encode()))
    assert len(found) == 2


def test_white_space_and_marks_within_words_stay_and_around_labels_go(tmp_path: Path) -> None:
    forms = ["10\u00a0000", "a  b", "\u00a0", " c ", "e\u0301", "\u00e9", "\u2028", "d "]
    text = file([word(n, form, upos="NOUN ") for n, form in enumerate(forms, 1)])
    (found,), counts = read(tmp_path / "a.conllu", text)
    kept = ["10\u00a0000", "a  b", "\u00a0", "c", "e\u0301", "\u00e9", "\u2028", "d"]
    assert written(found) == [each.form for each in found.words] == kept
    assert found.text == " ".join(kept)
    assert {each.upos for each in found.words} == {"NOUN"}
    assert counts == {"labels with white space around them": len(forms)}


def test_parts_of_another_normal_form_are_read_together(tmp_path: Path) -> None:
    lines = [word("1-2", "\u00e9t"), word(1, "e\u0301"), word(2, "t"), word(3, "x")]
    (found,), _ = read(tmp_path / "a.conllu", file(lines))
    assert written(found) == ["\u00e9t", "\u00e9t", "x"]


def test_what_is_not_said_is_none(tmp_path: Path) -> None:
    """No dependencies, some heads, or several roots make no tree, and are no fault."""
    none = [word(1, "a"), word(2, "b")]
    some = [word(1, "a", 2), word(2, "b")]
    two = [word(1, "a", 0), word(2, "b", 0)]
    found, _ = read(tmp_path / "a.conllu", file(none, some, two))
    assert [each.heads for each in found] == [None] * 3
    assert [[each.head for each in one.words] for one in found] == [
        [None, None],
        [2, None],
        [0, 0],
    ]


def test_documents_are_those_of_the_file_or_sentences(tmp_path: Path) -> None:
    one = [word(1, "a", 0)]
    found, _ = read(tmp_path / "a.conllu", file(one, one))
    assert [each.document for each in found] == [1, 2]
    named = [["# newdoc id = x", *one], one, ["#newdoc", *one], ["# text = newdoc", *one]]
    found, _ = read(tmp_path / "a.conllu", file(*named))
    assert [each.document for each in found] == [1, 1, 2, 2]


def test_columns_that_the_file_names(tmp_path: Path) -> None:
    lines = [
        "# global.columns = ID UPOS FORM PARSEME:MWE",
        "1\tDET\tThe\t*",
        "2\tNOUN\tcat\t*",
    ]
    (found,), _ = read(tmp_path / "a.conllup", file(lines))
    assert found.text == "The cat"
    assert [each.upos for each in found.words] == ["DET", "NOUN"]
    assert found.heads is None
    for names in ("UPOS FORM", "ID ID FORM", ""):
        with pytest.raises(UserError, match=r"a\.conllup, line 1 must name the columns"):
            read(tmp_path / "a.conllup", f"# global.columns = {names}\n1\ta\tb\n")


FAULTS = {
    "spaces": ("1  a  _  X  _  _  0  root  _  _", 5, "1 columns parted by tabs, and there should"),
    "columns": (word(1, "a", 0) + "\t_", 5, "has 11 columns"),
    "order": (word(2, "a", 0), 5, "2 stands where 1 should; is the empty line"),
    "twice": ([word(1, "a", 0), word(1, "b", 0)], 6, "1 stands where 2 should"),
    "no number": (word("_", "a", 0), 5, "has no number: mend it"),
    "letters": (word("x", "a", 0), 5, "has 'x' in column ID, which should hold a number"),
    "backwards": (word("2-1", "a"), 5, "has '2-1' in column ID"),
    "zero": ([word(1, "a", 0), word("1-0", "a")], 6, "has '1-0' in column ID"),
    "digits": (word("9" * 5000, "a", 0), 5, "in column ID, which should hold a number"),
    "head": (word(1, "a", "x"), 5, "has 'x' in column HEAD, which should hold the number"),
    "head's digits": (word(1, "a", "9" * 5000), 5, "in column HEAD, which should hold the number"),
    "beyond": (word(1, "a", 2), 5, "has the head 2, and its sentence has the words 1 to 1"),
    "below": ([word(1, "a", 0), word(2, "b", -1)], 6, "has the head -1"),
    "no root": ([word(1, "a", 2), word(2, "b", 1)], 5, "begins a sentence without a root"),
    "cycle": ([word(1, "a", 0), word(2, "b", 3), word(3, "c", 2)], 6, "word 2 lead back to it"),
    "itself": ([word(1, "a", 0), word(2, "b", 2)], 6, "the heads of word 2 lead back to it"),
    "some cycle": ([word(1, "a"), word(2, "b", 3), word(3, "c", 2)], 6, "lead back to it"),
    "empty word": (word(1, "", 0), 5, "has no word: mend it"),
    "empty range": ([word("1-2", ""), word(1, "a", 0), word(2, "b", 1)], 5, "has no word"),
    "past the end": ([word("1-3", "ab"), word(1, "a", 0), word(2, "b", 1)], 5, "ends beyond the 2"),
    "late range": ([word(1, "a", 0), word("1-2", "ab"), word(2, "b", 1)], 6, "1 stands where 2"),
    "overlap": (
        [word("1-2", "ab"), word(1, "a", 0), word("2-3", "bc"), word(2, "b", 1), word(3, "c", 1)],
        7,
        "begins a multi-word token within that of line 5",
    ),
    "no words": (word("1.1", "a"), 5, "begins a sentence without a word"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_told_with_its_file_and_line(name: str, tmp_path: Path) -> None:
    lines, number, says = FAULTS[name]
    wrong = [lines] if isinstance(lines, str) else lines
    text = file(["# a", word(1, "good", 0)], ["# b", *wrong, ""], CAT)
    with pytest.raises(UserError) as error:
        read(tmp_path / "a.conllu", text)
    assert re.search(rf"a\.conllu, line {number}\b", str(error.value)), error.value
    assert says in str(error.value)
    assert len(str(error.value)) < 300 + len(str(tmp_path))


def test_a_missing_line_between_sentences_is_seen(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"line 8: .* is the empty line before a sentence missing"):
        read(tmp_path / "a.conllu", "\n".join([*ZUM, *CAT[1:]]))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"1\ta\xe9\t_\t_\t_\t_\t_\t_\t_\t_\n", r"is not UTF-8: in line 1, byte 3 is 0xe9"),
        (b"1\ta\0b\t_\t_\t_\t_\t_\t_\t_\t_\n", "holds NUL bytes"),
        (file(CAT).encode("utf-16"), "not UTF-8|NUL bytes"),
        (bytes(range(1, 256)) * 7, "is not UTF-8|columns parted by tabs"),
        (file([word(1, "_", 0)], [word(1, "_", 0)]).encode(), "has _ for the word in line 1 and"),
    ],
)
def test_what_is_no_treebank_is_refused(content: bytes, says: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=says):
        read(tmp_path / "a.conllu", content)


def test_an_underscore_is_a_word(tmp_path: Path) -> None:
    (found,), _ = read(tmp_path / "a.conllu", file([word(1, "a", 0), word(2, "_", 1)]))
    assert found.text == "a _"


@pytest.mark.parametrize("content", [b"", b"\n \n\n", b"# text = nothing\n"])
def test_a_file_without_a_sentence_has_none(content: bytes, tmp_path: Path) -> None:
    assert read(tmp_path / "a.conllu", content) == ([], {})


def test_a_very_long_sentence_is_read(tmp_path: Path) -> None:
    """A chain of heads, and one token of all words: neither is gone through for each word."""
    num = 20_011
    lines = [word(f"1-{num}", "a" * num)]
    lines += [word(n, "a", n + 1 if n < num else 0) for n in range(1, num + 1)]
    (found,), _ = read(tmp_path / "a.conllu", file(lines))
    assert found.words[-1].span == (num - 1, num)


def _mutated(text: str, draws: random.Random) -> str:
    lines = text.split("\n")
    for _ in range(draws.randint(1, 3)):
        one, other = (draws.randrange(len(lines)) for _ in range(2))
        cells = lines[one].split("\t")
        cell = draws.randrange(len(cells))
        match draws.randrange(7):
            case 0:
                del lines[one]
            case 1:
                lines.insert(other, lines[one])
            case 2:
                lines[one], lines[other] = lines[other], lines[one]
            case 3:
                cells[cell] = draws.choice(lines[other].split("\t"))
            case 4:
                cells.insert(cell, cells.pop())
            case 5:
                cells[cell] = cells[cell][1:]
            case 6:
                at = draws.randrange(len(cells[cell]) + 1)
                odd = draws.choice("0 9-.|=_#\u00a0\u0301\u2028\x1b\U0001f600x")
                cells[cell] = cells[cell][:at] + odd + cells[cell][at:]
        if one < len(lines) and len(cells) > 1:
            lines[one] = "\t".join(cells)
        lines = lines or [""]
    return "\n".join(lines)


def test_a_file_with_slips_is_read_or_refused_with_a_line(tmp_path: Path) -> None:
    draws, outcomes = random.Random(7), Counter[bool]()
    for _ in range(701):
        text = _mutated(file(CAT, ZUM), draws)
        try:
            found, _ = read(tmp_path / "a.conllu", text)
        except UserError as error:
            assert re.search(r"a\.conllu, line \d+", str(error)), error  # noqa: PT017
            outcomes[False] += 1
            continue
        outcomes[True] += 1
        for each in found:
            assert each.text
            assert each.heads is None or sorted(each.heads)[0] == 0
            assert all(0 <= a < b <= len(each.text) for a, b in (w.span for w in each.words))
            spans = [one.span for one in each.words]
            assert spans == sorted(spans)
    assert min(outcomes.values()) > 100


# Real files, and how many of their sentences are not spelled as in their comment `# text =`: the
# format has one kind of space between words, and these texts have others there.
REAL = {
    "ud-en-ewt/en_ewt-ud-dev.conllu": 0,
    "ud-en-ewt/en_ewt-ud-test.conllu": 1,  # "have\u00a0been"
    "ud-de-gsd/de_gsd-ud-dev.conllu": 0,
    "ud-de-gsd/de_gsd-ud-test.conllu": 0,
}
SMALL, *OTHERS = REAL
TRAIN = "ud-en-ewt/en_ewt-ud-train.conllu.gz"


@pytest.mark.parametrize("name", values(SMALL, slow=[*OTHERS, TRAIN]))
def test_a_real_treebank_is_read_as_another_reader_has_it(name: str, shared_data: Path) -> None:
    path = shared_data / name
    counts: Counter[str] = Counter()
    found = [*sentences(path, counts=counts)]
    with open_text(path) as stream:
        others = [*reference.parse(stream.read().decode())]
    assert len(found) == len(others)
    odd = []
    for one, other in zip(found, others, strict=True):
        words = [each for each in other if isinstance(each["id"], int)]
        assert [each.form for each in one.words] == [each["form"] for each in words]
        assert [each.upos for each in one.words] == [each["upos"] for each in words]
        assert [each.head for each in one.words] == [each["head"] for each in words]
        assert [each.features for each in one.words] == [each["feats"] or {} for each in words]
        if one.text != other.metadata["text"]:
            odd.append((one.text, other.metadata["text"]))
    assert len(odd) == REAL.get(name, 0), odd
