"""Tokenizers as transformers has them give our ids."""

import json
from pathlib import Path
from typing import Any

import pytest
import tokenizers
from tokenizers import models, normalizers, pre_tokenizers

from lmcompare.data import Tokenizer, TokenizerConfig
from lmcompare.huggingface import HF_MODELS, hf_config
from lmcompare.huggingface.mapping import hf_tokenizer, tokenizer_config
from lmcompare.model import ModelConfig
from lmcompare.objectives import HfClass
from lmcompare.vocab import NUM_SPARES, spare
from tests.huggingface.exports import AWKWARD
from tests.tiny import sentences

transformers = pytest.importorskip("transformers", reason="needs the extra: pip install .[hf]")
KINDS = ("bpe", "word", "unigram", "bytes", "characters")
LOSSLESS = ("bpe", "unigram", "bytes")


@pytest.fixture(scope="module")
def ours() -> dict[str, Tokenizer]:
    """Tokenizers of every kind that we train."""
    texts = [sentences(101), *AWKWARD[:-3]]
    sizes = {"bpe": 400, "word": 144, "unigram": 390}
    return {
        kind: Tokenizer.train(texts, TokenizerConfig(kind=kind, vocab_size=sizes.get(kind, 4096)))
        for kind in KINDS
    }


def loaded(tokenizer: Tokenizer, place: Path, kind: HfClass = "masked") -> Any:
    """A tokenizer of ours as `AutoTokenizer` has it, beside the model that it is for."""
    place.mkdir()
    hf_model = HF_MODELS[kind]
    shape = hf_config(ModelConfig(), hf_model, tokenizer.vocab, length=1009)
    (place / "config.json").write_text(json.dumps(shape))
    (place / "tokenizer.json").write_text(hf_tokenizer(tokenizer), encoding="utf-8")
    described = tokenizer_config(tokenizer, hf_model, length=1009)
    (place / "tokenizer_config.json").write_text(json.dumps(described))
    return transformers.AutoTokenizer.from_pretrained(place)


@pytest.mark.parametrize("hf_class", HF_MODELS)
@pytest.mark.parametrize("kind", KINDS)
def test_texts_become_our_ids(
    ours: dict[str, Tokenizer], kind: str, hf_class: HfClass, tmp_path: Path
) -> None:
    tokenizer = ours[kind]
    theirs = loaded(tokenizer, tmp_path / "out", hf_class)
    for text, each in zip(AWKWARD, tokenizer.encode(AWKWARD), strict=True):
        found = theirs(text).input_ids
        assert found == [tokenizer.vocab.bos, *each.ids.tolist()], text
        if kind in LOSSLESS:
            assert theirs.decode(found, skip_special_tokens=True) == text
    one, two = tokenizer.encode(["the", "cat"])
    pair = [tokenizer.vocab.bos, *one.ids.tolist(), tokenizer.vocab.eos, *two.ids.tolist()]
    assert theirs("the", "cat").input_ids == pair


@pytest.mark.parametrize("kind", KINDS)
def test_special_tokens_have_their_roles(
    ours: dict[str, Tokenizer], kind: str, tmp_path: Path
) -> None:
    vocab, theirs = ours[kind].vocab, loaded(ours[kind], tmp_path / "out")
    for role, number in vocab.roles.items():
        assert getattr(theirs, f"{role}_token_id") == number
    assert len(theirs) == vocab.size
    assert theirs.model_max_length == 1009
    spares = {theirs.convert_tokens_to_ids(spare(number)) for number in range(NUM_SPARES)}
    assert vocab.specials == {*theirs.all_special_ids, *vocab.sentinels, *spares}
    spelled = "".join(ours[kind].pieces([*vocab.roles.values(), *vocab.sentinels[:2]]))
    found = theirs(spelled, add_special_tokens=False).input_ids
    assert found == [*vocab.roles.values(), *vocab.sentinels[:2]]
    assert theirs.decode(found, skip_special_tokens=True) == ""
    (as_text,) = ours[kind].encode([spelled])
    plain = theirs(spelled, add_special_tokens=False, split_special_tokens=True).input_ids
    assert plain == as_text.ids.tolist(), "as in training"


@pytest.mark.parametrize("kind", KINDS)
def test_a_mask_stands_for_a_token_as_in_training(
    ours: dict[str, Tokenizer], kind: str, tmp_path: Path
) -> None:
    tokenizer, theirs = ours[kind], loaded(ours[kind], tmp_path / "out")
    before = "the " if kind in ("bytes", "characters") else "the"  # where a space is a token
    left, right = (each.ids.tolist() for each in tokenizer.encode([before, " saw"]))
    expected = [tokenizer.vocab.bos, *left, tokenizer.vocab.mask, *right]
    assert theirs("the [MASK] saw").input_ids == expected


def test_tokenizers_from_elsewhere(tmp_path: Path) -> None:
    """Whose special tokens may be words of the model, and have other names or other uses."""
    words = ["<pad>", "</s>", "<s>", "<unk>", "[MASK]", "the", "cat", "saw", "##s"]
    bert = tokenizers.Tokenizer(
        models.WordPiece({word: place for place, word in enumerate(words)}, unk_token="<unk>")
    )
    bert.normalizer = normalizers.BertNormalizer(lowercase=True)
    bert.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    scores = [(word, 0.0) for word in words[:5]]
    scores += [("\u2581", -2.0), ("\u2581the", -3.0), ("\u2581cat", -3.0), ("s", -4.0), ("a", -5.0)]
    t5 = tokenizers.Tokenizer(models.Unigram(scores, unk_id=3))
    t5.normalizer = normalizers.NFKC()
    t5.pre_tokenizer = pre_tokenizers.Metaspace()
    symbols = {symbol: place for place, symbol in enumerate(["<mask>", *"the\u0120cas"])}
    gpt = tokenizers.Tokenizer(models.BPE(vocab=symbols, merges=[]))
    gpt.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    gpt.add_special_tokens(["<|endoftext|>", "<mask>"])
    for name, library in (("bert", bert), ("t5", t5), ("gpt", gpt)):
        tokenizer = Tokenizer(library)
        vocab, theirs = tokenizer.vocab, loaded(tokenizer, tmp_path / name)
        assert len(theirs) == vocab.size
        for text in ["the cats", "The  cat the", " cat "]:
            (each,) = tokenizer.encode([text])
            assert theirs(text).input_ids == [vocab.bos, *each.ids.tolist()], (name, text)
        left, right = (each.ids.tolist() for each in tokenizer.encode(["the", " cat"]))
        masked = theirs(f"the {theirs.mask_token} cat").input_ids
        before = [] if name != "gpt" else [symbols["\u0120"]]  # which has one-character tokens
        assert masked == [vocab.bos, *left, *before, vocab.mask, *right], name


def test_a_tokenizer_without_a_mask(tmp_path: Path) -> None:
    library = tokenizers.Tokenizer(models.WordLevel({"a": 0, "</s>": 1}, unk_token="a"))
    library.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    library.add_special_tokens(["<s>"])
    theirs = loaded(Tokenizer(library), tmp_path / "out", "causal")
    assert theirs.mask_token is None
    assert theirs("a a").input_ids == [2, 0, 0]
