"""Sentences in three parts, wherever they come from, and with two words exchanged."""

import gzip
from pathlib import Path

import pytest

from lmcompare.errors import UserError
from lmcompare.evaluation.probes.treebank import (
    PARTS,
    Treebank,
    is_swapped,
    read_treebank,
    swapped,
)
from lmcompare.evaluation.readers.conllu import Sentence, Word, spaced


def conllu(num: int, *, word: str = "word", documents: int = 0) -> str:
    """Sentences of three words, in so many documents that the file names, or in none."""
    blocks = []
    for number in range(num):
        lines = [
            f"{n}\t{form}\t_\tX\t_\t_\t{head}\tdep\t_\t_"
            for n, (form, head) in enumerate([(f"{word}{number}", 2), ("is", 0), ("here", 2)], 1)
        ]
        if documents and number % -(-num // documents) == 0:
            lines.insert(0, "# newdoc")
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks) + "\n\n"


def columns(num: int) -> str:
    return "\n\n".join(f"Anna{n}\tB-PER\nsleeps\tO" for n in range(num)) + "\n"


def write(folder: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        raw = content.encode()
        path.write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)


def sizes(treebank: Treebank) -> list[int]:
    return [len(treebank.parts[part]) for part in PARTS]


@pytest.mark.parametrize(
    "names",
    [
        ("en_ewt-ud-train.conllu.gz", "en_ewt-ud-dev.conllu", "en_ewt-ud-test.conllu"),
        ("TRAIN.CONLLU", "Valid.conllu", "test.conllu"),
        ("a/b/train.conllup", "a/validation.conllu", "a/my-test.conllu"),
    ],
)
def test_names_say_which_part_is_which(names: tuple[str, ...], tmp_path: Path) -> None:
    write(
        tmp_path, {name: conllu(n, word=f"w{n}-") for name, n in zip(names, (7, 5, 3), strict=True)}
    )
    found = read_treebank([tmp_path])
    assert sizes(found) == [7, 5, 3]
    assert found.split == "by the names of its files"
    assert {each.words[0].form[:2] for each in found.parts["validation"]} == {"w5"}
    assert found.hash == read_treebank([tmp_path / name for name in names]).hash


def test_a_file_that_is_no_part_is_not_used_and_said(tmp_path: Path) -> None:
    parts = {f"x-{part}.conllu": conllu(3) for part in ("train", "dev", "test")}
    write(tmp_path, {**parts, "x-train-dev.conllu": conllu(5), "README.md": "x", ".y.conllu": "x"})
    found = read_treebank([tmp_path])
    assert sizes(found) == [3, 3, 3]
    assert found.split == "by the names of its files; not used: x-train-dev.conllu"


def test_two_parts_of_three_are_put_together_and_split_anew(tmp_path: Path) -> None:
    write(tmp_path, {"g-dev.conllu": conllu(31), "g-test.conllu": conllu(30)})
    found = read_treebank([tmp_path])
    assert sizes(found) == [49, 6, 6]
    assert found.split == (
        "every tenth document of g-dev.conllu, g-test.conllu is for validation, and every tenth "
        "for the test"
    )


def test_documents_stay_whole_where_there_are_enough(tmp_path: Path) -> None:
    write(tmp_path, {"many.conllu": conllu(120, documents=40), "few.conllu": conllu(120)})
    found = read_treebank([tmp_path / "many.conllu"])
    assert sizes(found) == [96, 12, 12]
    assert all(
        sum(each.document == one.document for each in found.parts[part]) == 3
        for part in PARTS
        for one in found.parts[part]
    )
    write(tmp_path, {"few.conllu": conllu(120, documents=3)})
    found = read_treebank([tmp_path / "few.conllu"])
    assert sizes(found) == [96, 12, 12]
    assert found.split.startswith("every tenth sentence of few.conllu")


def test_a_file_named_in_several_ways_is_read_once(tmp_path: Path) -> None:
    write(tmp_path, {"sub/a.conllu": conllu(41)})
    (tmp_path / "sub" / "b.conllu").symlink_to(tmp_path / "sub" / "a.conllu")
    (tmp_path / "linked").symlink_to(tmp_path / "sub")
    once = read_treebank([tmp_path / "sub" / "a.conllu"])
    for paths in (
        [tmp_path / "sub" / "a.conllu", tmp_path / "sub" / ".." / "sub" / "a.conllu"],
        [tmp_path / "sub", tmp_path / "sub" / "*.conllu"],
        [tmp_path],
        [tmp_path / "linked"],
    ):
        assert read_treebank(paths).hash == once.hash


def test_columns_of_words_and_tags(tmp_path: Path) -> None:
    write(tmp_path, {"w17train.conll": columns(25)})
    found = read_treebank([tmp_path])
    assert sizes(found) == [20, 3, 2]
    assert found.parts["train"][0].text == "Anna0 sleeps"
    assert [each.tag for each in found.parts["train"][0].words] == ["B-PER", "O"]
    assert found.parts["train"][0].heads is None


def test_names_for_tables(tmp_path: Path) -> None:
    for names, wanted in (
        (["en_ewt-ud-train", "en_ewt-ud-dev", "en_ewt-ud-test"], "en_ewt-ud"),
        (["train", "dev", "test"], tmp_path.name),
        (["one", "two"], "one+two"),
        (["latest"], "latest"),
    ):
        for name in names:
            write(tmp_path, {f"{name}.conllu": conllu(30)})
        assert read_treebank([tmp_path / f"{name}.conllu" for name in names]).name == wanted


def test_a_smaller_limit_gives_some_of_a_larger_one_s(tmp_path: Path) -> None:
    write(tmp_path, {"a.conllu": conllu(501)})
    some, more = (read_treebank([tmp_path], limit=limit) for limit in (11, 29))
    assert sizes(some) == [11, 11, 11]
    assert sizes(more) == [29, 29, 29]
    for part in PARTS:
        texts = [each.text for each in more.parts[part]]
        kept = [each.text for each in some.parts[part]]
        assert {*kept} < {*texts}
        assert kept == [text for text in texts if text in kept]
    assert some.hash != more.hash


def test_the_hash_is_of_words_labels_and_parts(tmp_path: Path) -> None:
    text = conllu(40)
    changes = [text, text.replace("dep", "dap", 1), text.replace("here", "hare", 1), conllu(41)]
    hashes = []
    for change in changes:
        write(tmp_path, {"a.conllu": change})
        hashes.append(read_treebank([tmp_path]).hash)
    assert len({*hashes}) == len(changes)
    write(tmp_path, {"a.conllu": text.replace("\n\n", "\n \n# a comment\n")})
    assert read_treebank([tmp_path]).hash == hashes[0]


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({}, r"there is no treebank in .*: name a folder or a file of CoNLL-U \(.conllu\)"),
        ({"README.md": "x"}, "there is no treebank in "),
        ({"a.conllu": ""}, r"a\.conllu holds no sentence: leave it out"),
        ({"a.conllu": conllu(40), "b.conllu": "# x\n"}, r"b\.conllu holds no sentence"),
        (
            {"a.conllu": conllu(1)},
            "a.conllu has too few sentences .*: 1 for train, 0 for validation, 0 for test; two",
        ),
        (
            {"a.conllu": conllu(19)},
            r"a(-train)?\.conllu.* has too few sentences to probe with: .*, 1 for test; two",
        ),
        ({"a.conllu": conllu(40), "b.conll": columns(40)}, "some files are CoNLL-U .* apart"),
        (
            {"a-train.conllu": conllu(9), "a-dev.conllu": conllu(2), "a-test.conllu": conllu(1)},
            r"a(-train)?\.conllu.* has too few sentences to probe with: .*, 1 for test; two",
        ),
        ({"a.conllu": conllu(40).replace("is\t", "is ", 1)}, r"a\.conllu, line 2 has 9 columns"),
        ({"a.conll": conllu(40)}, r"a\.conll, line 1: '_' is no BIO tag"),
    ],
)
def test_bad_input_is_one_line(files: dict[str, str], says: str, tmp_path: Path) -> None:
    folder = tmp_path / "bank"
    folder.mkdir()
    write(folder, files)
    with pytest.raises(UserError, match=says) as error:
        read_treebank([folder])
    assert "\n" not in str(error.value)


def test_a_file_that_is_not_there_or_of_no_kind(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"there is no treebank at .*nothing\.conllu"):
        read_treebank([tmp_path / "nothing.conllu"])
    write(tmp_path, {"prose.txt": "Word\nword\n"})
    with pytest.raises(UserError, match=r"prose\.txt is not a treebank that can be read: its name"):
        read_treebank([tmp_path / "prose.txt"])


def sentence(*words: tuple[str, bool]) -> Sentence:
    text, spans = spaced(words)
    made = [
        Word(form=form, span=span, upos="X") for (form, _), span in zip(words, spans, strict=True)
    ]
    return Sentence(text=text, words=tuple(made), document=0)


def test_two_neighbours_change_places() -> None:
    """The same words, in another order at one place, with the spaces where they were."""
    original = sentence(("I", True), ("saw", True), ("a", True), ("cat", False), (".", True))
    found = swapped(original)
    assert found is not None
    forms = [[each.form for each in one.words] for one in (original, found)]
    differs = [at for at, (one, other) in enumerate(zip(*forms, strict=True)) if one != other]
    assert len(differs) == 2
    assert differs[1] == differs[0] + 1
    assert sorted(forms[0]) == sorted(forms[1])
    assert [found.text[slice(*each.span)] for each in found.words] == forms[1]
    assert found.text.count(" ") == original.text.count(" ")
    assert all(each.upos is None for each in found.words)
    assert swapped(original) == found


def test_words_that_share_their_characters_go_together() -> None:
    """Nothing is spelled that nobody would write: "zum" stays, and is not made of zu and dem."""
    for number in range(20):
        words = [
            Word(form="Hin", span=(0, 3)),
            Word(form="zu", span=(4, 7)),
            Word(form="dem", span=(4, 7)),
            Word(form=f"Haus{number}", span=(8, 12 + len(f"{number}"))),
        ]
        found = swapped(Sentence(text=f"Hin zum Haus{number}", words=tuple(words), document=0))
        assert found is not None
        assert found.text in (f"zum Hin Haus{number}", f"Hin Haus{number} zum")
        assert len(found.words) == len(words)
        at = [each.form for each in found.words].index("zu")
        assert found.words[at + 1].form == "dem"
        assert found.words[at].span == found.words[at + 1].span
        assert found.text[slice(*found.words[at].span)] == "zum"


def test_like_neighbours_are_not_exchanged() -> None:
    assert swapped(sentence(("no", True), ("no", True))) is None
    assert swapped(sentence(("no", True))) is None
    assert not is_swapped(sentence(("no", True), ("no", True)))
    told = [is_swapped(sentence((f"a{n}", True), ("b", True))) for n in range(400)]
    assert 150 < sum(told) < 250
