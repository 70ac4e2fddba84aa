"""The words that several models read: the same for all, whole, in pieces that all have room for."""

from pathlib import Path

import pytest

from lmcompare.data import Tokenizer, TokenizerConfig
from lmcompare.evaluation.states.word_states import pieces_of
from lmcompare.evaluation.states.words import Reader, Words, choose_labelled, choose_words
from tests.tiny import sentences

TEXTS = sentences(29).split("\n\n")


@pytest.fixture(scope="module")
def letters() -> Tokenizer:
    return Tokenizer.train(TEXTS, TokenizerConfig(kind="bytes"))


def chosen(readers: list[Reader], most: int = 10_000, texts: list[str] = TEXTS) -> Words:
    return choose_words(readers, texts, source="here", most=most)


def test_they_are_those_between_white_space_in_their_order(letters: Tokenizer) -> None:
    found = chosen([Reader(tokenizer=letters, room=1_009)], texts=["a  cat\n ran", " to  "])
    assert [sentence.text for sentence in found.sentences] == ["a  cat\n ran", "to"]
    assert [word.form for each in found.sentences for word in each.words] == [
        "a",
        "cat",
        "ran",
        "to",
    ]
    assert found.first.tolist() == [0, 3, 4]


def test_every_word_is_whole_for_every_reader(tokenizer: Tokenizer, letters: Tokenizer) -> None:
    readers = [Reader(tokenizer=each, room=37) for each in (tokenizer, letters)]
    found = chosen(readers)
    assert found.num_words == sum(len(text.split()) for text in TEXTS)
    for sentence in found.sentences:
        for reader in readers:
            (document,) = reader.tokenizer.encode([sentence.text])
            for start, stop in pieces_of(sentence, document):
                assert start < stop <= 37
        for word in sentence.words:
            assert sentence.text[slice(*word.span)] == word.form


def test_a_word_that_one_reader_has_no_room_for_is_left_out_for_all(
    tokenizer: Tokenizer, letters: Tokenizer
) -> None:
    text = "the cat " + "x" * 61 + " ran"
    readers = [Reader(tokenizer=each, room=31) for each in (tokenizer, letters)]
    forms = [word.form for each in chosen(readers, texts=[text]).sentences for word in each.words]
    assert forms == ["the", "cat", "ran"]


def test_so_many_are_taken_and_no_more(letters: Tokenizer) -> None:
    readers = [Reader(tokenizer=letters, room=53)]
    some, more = chosen(readers, 17), chosen(readers, 97)
    assert (some.num_words, more.num_words) == (17, 97)
    forms = [[word.form for each in one.sentences for word in each.words] for one in (some, more)]
    assert forms[1][:17] == forms[0]


def test_the_hash_says_which_they_are(letters: Tokenizer) -> None:
    wide, narrow = (Reader(tokenizer=letters, room=room) for room in (97, 41))
    assert chosen([wide]).hash == chosen([wide]).hash
    assert chosen([wide]).hash != chosen([narrow]).hash, "a state depends on the piece"
    assert chosen([wide], 17).hash != chosen([wide], 19).hash


def test_a_long_text_is_cut_where_words_end(letters: Tokenizer) -> None:
    text = " ".join(["word"] * 1_301)
    found = chosen([Reader(tokenizer=letters, room=53)], texts=[text])
    assert found.num_words == 1_301
    assert {word.form for each in found.sentences for word in each.words} == {"word"}


def test_those_of_a_treebank_are_its_own(letters: Tokenizer, tmp_path: Path) -> None:
    lines = [f"{form} O" for form in ("can", "not", "stop", ".")]
    bank = tmp_path / "bank.conll"
    bank.write_text("\n\n".join("\n".join(lines) for _ in range(40)) + "\n", encoding="utf-8")
    found = choose_labelled([Reader(tokenizer=letters, room=97)], [bank], most=11)
    assert found.num_words == 11
    assert [word.form for word in found.sentences[0].words] == ["can", "not", "stop", "."]
    assert found.source == "bank"
