import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import decoders, models, normalizers, pre_tokenizers

from lmcompare.data import Encoded, Tokenizer, TokenizerConfig, tokenizer_training
from lmcompare.data.encoding import PIECE, encode_documents
from lmcompare.data.tokenizer_training import sample
from lmcompare.errors import UserError
from lmcompare.vocab import ALIASES, NUM_SENTINELS, NUM_SPARES, sentinel, spare

KINDS = ("bpe", "word", "unigram", "bytes", "characters")
LOSSLESS = ("bpe", "unigram", "bytes")
SPECIALS = [names[0] for names in ALIASES.values()]
SPELLED = ["[MASK]", "a[PAD]b", "<extra_id_3>", " [UNK] [EOS]", "[BOS]", "<pad></s>"]
NASTY = [
    *SPELLED,
    "",
    " ",
    "\r\n\r\n\t  \v\f\x01\x7f\x85\u2028",
    "e\u0301\u0323 n\u0303 \u0e01\u0e33",
    "\N{GRINNING FACE}\N{WOMAN}\u200d\N{GIRL}\ufe0f\N{REGIONAL INDICATOR SYMBOL LETTER D}",
    "\u6f22\u5b57\u304b\u306a \U00020000",
    "\N{REPLACEMENT CHARACTER}\ufeff\u2581x\u2581",
    "\ufb01 \u2126 \u1e9e \u0130",  # normalisation changes their length
    "don't \u2019tis 'a' x_y 3.14",
    "x" * 40_009,
]


@pytest.fixture(scope="module")
def trained(python_docs: list[str]) -> dict[str, Tokenizer]:
    config = {"word": 997, "bpe": 1009, "unigram": 499}
    return {
        kind: Tokenizer.train(
            python_docs[:97], TokenizerConfig(kind=kind, vocab_size=config.get(kind, 4096))
        )
        for kind in KINDS
    }


@pytest.fixture(scope="module")
def loaded() -> dict[str, Tokenizer]:
    """Tokenizers from elsewhere, which drop and rewrite text and hold specials as words."""
    words = ["<pad>", "</s>", "<unk>", "a", "the", "e", "[MASK]", "b"]
    bert = tokenizers.Tokenizer(
        models.WordPiece({word: place for place, word in enumerate(words)}, unk_token="<unk>")
    )
    bert.normalizer = normalizers.BertNormalizer(lowercase=True)
    bert.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    scores = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("[MASK]", 0.0), ("\u2581", -2.0)]
    t5 = tokenizers.Tokenizer(models.Unigram([*scores, ("a", -3.0), ("pad", -4.0)], unk_id=2))
    t5.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Strip()])
    t5.pre_tokenizer = pre_tokenizers.Metaspace()
    plain = tokenizers.Tokenizer(models.WordLevel({"a": 0, "[MASK]": 1}, unk_token="a"))
    plain.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return {"bert": Tokenizer(bert), "t5": Tokenizer(t5), "plain": Tokenizer(plain)}


def check_bytes(tokenizer: Tokenizer, texts: list[str]) -> list[Encoded]:
    encoded = tokenizer.encode(texts)
    for text, each in zip(texts, encoded, strict=True):
        assert each.bytes.sum() == (len(text.encode()) if len(each) else 0)
        assert (each.bytes >= 0).all()
        assert len(each.ids) == len(each.bytes) == len(each.starts_word)
        assert each.starts_word[:1].all()
        specials = tokenizer.vocab.specials - {tokenizer.vocab.roles.get("unk")}
        assert not specials.intersection(each.ids.tolist())
    return encoded


@pytest.mark.parametrize("kind", KINDS)
def test_bytes_are_exact(trained: dict[str, Tokenizer], kind: str) -> None:
    encoded = check_bytes(trained[kind], NASTY)
    for text, each in zip(NASTY, encoded, strict=True):
        assert len(each) > 0 or not text
        if kind in LOSSLESS:
            assert trained[kind].decode(each.ids) == text


@settings(max_examples=30, deadline=None)
@given(texts=st.lists(st.text(max_size=40), max_size=4))
@pytest.mark.slow
def test_bytes_are_exact_for_any_text(
    trained: dict[str, Tokenizer], loaded: dict[str, Tokenizer], texts: list[str]
) -> None:
    for kind, tokenizer in trained.items():
        for text, each in zip(texts, check_bytes(tokenizer, texts), strict=True):
            assert kind not in LOSSLESS or tokenizer.decode(each.ids) == text
    for name in ("bert", "t5"):
        check_bytes(loaded[name], texts)


@pytest.mark.parametrize("name", ["bert", "t5", "plain"])
def test_bytes_are_exact_for_loaded_tokenizers(loaded: dict[str, Tokenizer], name: str) -> None:
    encoded = check_bytes(loaded[name], [text for text in NASTY if text != "[MASK]"])
    assert all(len(each) or name == "plain" for each in encoded[1:4])


def test_what_a_tokenizer_drops_counts_for_the_token_after_it(loaded: dict[str, Tokenizer]) -> None:
    (each,) = loaded["bert"].encode(["  the \n\u0301a  "])
    assert loaded["bert"].pieces(each.ids) == ["the", "a"]
    assert each.bytes.tolist() == [5, 7]  # the combining mark is dropped, too
    assert each.starts_word.tolist() == [True, True]


def test_pieces_of_a_character_count_for_the_first(trained: dict[str, Tokenizer]) -> None:
    (each,) = trained["bytes"].encode(["a\N{GRINNING FACE}"])
    assert each.bytes.tolist() == [1, 4, 0, 0, 0]
    assert trained["bytes"].pieces(each.ids) == ["a", "\\xf0", "\\x9f", "\\x98", "\\x80"]
    assert each.starts_word.tolist() == [True, True, False, False, False]


def test_bytes_of_a_vocabulary_that_falls_back_on_them_are_spelled_as_bytes() -> None:
    words = ["<pad>", "</s>", "<unk>", "a", *(f"<0x{byte:02X}>" for byte in range(256))]
    library = tokenizers.Tokenizer(
        models.BPE({word: place for place, word in enumerate(words)}, [], byte_fallback=True)
    )
    library.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    tokenizer = Tokenizer(library)
    (each,) = tokenizer.encode(["ab\N{GRINNING FACE}"])
    assert tokenizer.pieces(each.ids) == ["a", "b", "\\xf0", "\\x9f", "\\x98", "\\x80"]


@pytest.mark.parametrize("kind", KINDS)
def test_layout_of_ids(trained: dict[str, Tokenizer], kind: str) -> None:
    vocab = trained[kind].vocab
    num = len(ALIASES)
    assert trained[kind].pieces(range(num)) == SPECIALS
    assert [vocab.roles[role] for role in ALIASES] == list(range(num))
    assert vocab.sentinels == tuple(vocab.size - 1 - number for number in range(NUM_SENTINELS))
    assert trained[kind].pieces(vocab.sentinels[:2]) == [sentinel(0), sentinel(1)]
    first = vocab.size - NUM_SENTINELS - NUM_SPARES
    spares = range(first, first + NUM_SPARES)
    assert trained[kind].pieces(spares) == [spare(number) for number in range(NUM_SPARES)]
    assert vocab.specials == {*range(num), *spares, *vocab.sentinels}
    assert len(vocab.specials) == 128
    assert len(vocab.regular) == vocab.size - 128
    sizes = {"bpe": 1009, "word": 997, "unigram": 499, "bytes": 256 + 128}
    assert vocab.size == sizes.get(kind, vocab.size)


@pytest.mark.parametrize("kind", KINDS)
def test_text_that_spells_special_tokens_stays_text(
    trained: dict[str, Tokenizer], kind: str
) -> None:
    for text, each in zip(SPELLED, trained[kind].encode(SPELLED), strict=True):
        assert not trained[kind]._not_text[each.ids].any()
        if kind != "word":
            assert trained[kind].decode(each.ids) == text


def test_loaded_tokenizers_that_hold_specials_as_words(loaded: dict[str, Tokenizer]) -> None:
    (each,) = loaded["t5"].encode(["a <pad>a"])
    assert not {0, 1, 3}.intersection(each.ids.tolist())
    assert each.bytes.sum() == 8


@pytest.mark.parametrize("kind", KINDS)
def test_words_do_not_depend_on_the_tokenizer(trained: dict[str, Tokenizer], kind: str) -> None:
    text = "The  quick\n(brown) fox_1 isn't: fianc\u00e9!?"
    expected = ["The", " ", " quick", "\n", "(", "brown", ")", " fox_1", " isn't", ":"]
    expected += [" fianc\u00e9", "!?"]
    if kind != "word":  # which takes ideographs for a word
        text, expected = text + " \u6f22\u5b57", [*expected, " \u6f22", "\u5b57"]
    (each,) = trained[kind].encode([text])
    stops = np.cumsum(each.bytes)
    starts = (stops - each.bytes)[each.starts_word]
    raw = text.encode()
    words = [raw[a:b].decode() for a, b in zip(starts, [*starts[1:], len(raw)], strict=True)]
    assert words == expected


@pytest.mark.parametrize("kind", KINDS)
def test_saved_and_loaded_is_the_same(
    trained: dict[str, Tokenizer], kind: str, tmp_path: Path
) -> None:
    trained[kind].save(tmp_path / "tokenizer.json")
    again = Tokenizer.load(tmp_path / "tokenizer.json")
    assert again.hash == trained[kind].hash
    assert again.vocab == trained[kind].vocab
    for one, other in zip(again.encode(NASTY), trained[kind].encode(NASTY), strict=True):
        np.testing.assert_array_equal(one.ids, other.ids)


def test_training_is_reproducible(python_docs: list[str], trained: dict[str, Tokenizer]) -> None:
    for kind in ("bpe", "word", "bytes", "characters"):  # of unigram, the library's is not
        config = TokenizerConfig(kind=kind, vocab_size={"word": 997}.get(kind, 1009))
        assert Tokenizer.train(iter(python_docs[:97]), config).hash == trained[kind].hash


def test_missing_special_tokens(tmp_path: Path) -> None:
    bare = tokenizers.Tokenizer(models.WordLevel({"a": 0, "</s>": 1}, unk_token="a"))
    bare.save(str(tmp_path / "tokenizer.json"))
    without = Tokenizer.load(tmp_path / "tokenizer.json")
    assert without.vocab.eos == 1
    with pytest.raises(UserError, match="no mask token"):
        without.vocab.require("mask")
    added = Tokenizer.load(tmp_path / "tokenizer.json", complete_with=3)
    assert added.vocab.eos == 1
    assert added.vocab.mask > 1
    assert added.vocab.sentinels[0] == added.vocab.size - 1
    spares = range(added.vocab.size - NUM_SENTINELS - 3, added.vocab.size - NUM_SENTINELS)
    assert added.pieces(spares) == [spare(0), spare(1), spare(2)]
    assert {*spares} <= added.vocab.specials
    assert len(added.vocab.sentinels) == NUM_SENTINELS
    added.save(tmp_path / "added.json")
    again = Tokenizer.load(tmp_path / "added.json", complete_with=3)
    assert again.hash == added.hash


def test_padding_and_truncation_of_a_loaded_tokenizer_are_off(tmp_path: Path) -> None:
    library = tokenizers.Tokenizer(models.WordLevel({"a": 0, "[PAD]": 1}, unk_token="a"))
    library.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    library.enable_truncation(3)
    library.enable_padding(length=7)
    library.save(str(tmp_path / "tokenizer.json"))
    tokenizer = Tokenizer.load(tmp_path / "tokenizer.json")
    assert [len(each) for each in tokenizer.encode(["a", "a a a a a"])] == [1, 5]


def test_nothing_to_encode(trained: dict[str, Tokenizer]) -> None:
    assert trained["bpe"].encode([]) == []
    assert [len(each) for each in trained["bpe"].encode(["", ""])] == [0, 0]
    assert trained["bpe"].decode([]) == ""


@pytest.mark.parametrize("kind", ["bpe", "word", "characters"])
def test_a_long_document_is_cut_and_joined(trained: dict[str, Tokenizer], kind: str) -> None:
    sentence = "All that is gold does not \u6f22 glitter \N{GRINNING FACE}.\n"
    long = sentence * (3 * PIECE // len(sentence))
    unbroken = "x" * (2 * PIECE + 17)
    encoded = list(encode_documents([sentence, long, unbroken, sentence], trained[kind]))
    assert [each.bytes.sum() for each in encoded] == [
        len(text.encode()) for text in (sentence, long, unbroken, sentence)
    ]
    (whole,) = trained[kind].encode([long])
    np.testing.assert_array_equal(encoded[1].ids, whole.ids)
    np.testing.assert_array_equal(encoded[1].starts_word, whole.starts_word)


def test_sample_is_even_bounded_and_in_order() -> None:
    texts = [f"document number {number:05d}" for number in range(5003)]
    assert sample(texts, max_bytes=10**9) == texts
    chosen = sample(iter(texts), max_bytes=21 * 503)
    assert len(chosen) == 503
    assert chosen == sorted(chosen)
    assert chosen == sample(texts, max_bytes=21 * 503)
    middle = np.mean([texts.index(text) for text in chosen])
    assert abs(middle - 2501) < 4 * 5003 / (12 * 503) ** 0.5
    assert sample(["x" * 1009], max_bytes=101) == ["x" * 101]


def test_what_is_longer_than_a_word_is_learned_in_pieces() -> None:
    """Nothing is lost, and what has words is cut nowhere."""
    draw = np.random.default_rng(3)
    unbroken = "".join(draw.choice(list("abcdefgh"), 2503))
    texts = ["a few words " * 211, unbroken, " " * 2003, "-" * 1009 + unbroken]
    pieces = list(tokenizer_training._cut(texts))
    assert "".join(pieces) == "".join(texts)
    assert pieces[0] == texts[0]
    words = [word for piece in pieces for word in re.findall(r"\w+|[^\w\s]+|\s+", piece)]
    assert max(map(len, words)) == tokenizer_training.LONGEST_WORD


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_training_of_a_tokenizer(tmp_path: Path, number: signal.Signals) -> None:
    """The library does not look for signals itself."""
    script = (
        "import sys, tokenizers\n"
        "from lmcompare_cli import app\n"
        "def for_ever(*_):\n"
        "    print('training', flush=True)\n"
        "    while True:\n"
        "        pass\n"
        "tokenizers.Tokenizer.train_from_iterator = for_ever\n"
        "app.main()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, "train", "-o", "clm"],
        cwd=tmp_path,
        env={**os.environ, "LMCOMPARE_CACHE": str(tmp_path / "cache")},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"training\n"
        process.send_signal(number)
        assert process.wait(timeout=60) == -number
    assert not list((tmp_path / "cache").glob("prepared/*/")), "nothing half made is left"
