"""How tokenizers of our own are made: five kinds, all without loss and over the same words.

Byte-pair encoding (Sennrich et al. 2016, https://arxiv.org/abs/1508.07909) and unigram (Kudo 2018,
https://arxiv.org/abs/1804.10959) work on the bytes of what GPT-2 takes for a word, with the space
before it; so do words and bytes, which makes the kinds comparable. Ids are: the special tokens, the
text, spare special tokens, and at the very top the sentinels in descending order, as T5 has them.

The same text gives the same tokenizer, but for unigram: the library's trainer goes through its
words in an order of chance. A run keeps its tokenizer, and hashes tell two apart.
"""

import heapq
import re
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from threading import Thread
from typing import Annotated, Literal

import tokenizers
from pydantic import BaseModel, ConfigDict, Field
from tokenizers import Regex, decoders, models, pre_tokenizers, trainers

from lmcompare.defaults import Until
from lmcompare.errors import UserError
from lmcompare.vocab import ALIASES, NUM_SENTINELS, NUM_SPARES, sentinel, spare

_SPARES = {spare(number) for number in range(NUM_SPARES)}
SPECIALS = [first for first, *_ in ALIASES.values() if first not in _SPARES]
UNKNOWN = ALIASES["unk"][0]
# GPT-2's, with words that hold digits and apostrophes; like there, a space goes with what follows
# it.
WORDS = r" ?\w+(?:['\x{2019}]\w+)*| ?[^\s\w]+|\s+(?!\S)|\s+"
NUM_BYTES = 256
USUAL_SIZE = 4096  # of a vocabulary; less where the text does not fill it
SIZED = ("bpe", "word", "unigram")  # kinds whose size is chosen
# A trainer's time grows with the square of a word's length, and nothing so long is a word.
LONGEST_WORD = 1000  # characters
_SPACES = re.compile(rf"\s{{{LONGEST_WORD}}}")
_TOO_LONG = re.compile(rf"\w{{{LONGEST_WORD}}}|[^\w\s]{{{LONGEST_WORD}}}|{_SPACES.pattern}")


class TokenizerConfig(BaseModel):
    """Which tokenizer: one trained on the training text, or any `tokenizer.json`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["bpe", "word", "unigram", "bytes", "characters"] = Field(
        "bpe", description="what is trained"
    )
    vocab_size: int | None = Field(
        None,
        gt=0,
        le=2**20,
        description="all ids; 4,096 by default, or as many as the text fills; bytes and characters "
        "take what they need",
    )
    file: str | None = Field(
        None,
        description="a tokenizer.json to use instead of training one, or `hf:` and a folder or a "
        "name of Hugging Face",
    )
    add_missing: bool = Field(
        False, description="give such a file the special tokens that it lacks"
    )
    spare: Annotated[int, Until(1, 0)] = Field(
        NUM_SPARES,
        ge=0,
        le=1000,
        description="special tokens that stand for nothing yet, so that a mark which a later "
        "version needs changes no text; 0 in studies that were begun without them",
    )
    train_mb: int = Field(32, gt=0, description="train on an even sample of at most so much text")


def byte_characters() -> list[str]:
    """Return the printable character for each byte in byte-level vocabularies, as in GPT-2."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(NUM_BYTES) if byte not in printable]
    table = {byte: chr(byte) for byte in printable}
    table |= {byte: chr(NUM_BYTES + index) for index, byte in enumerate(others)}
    return [table[byte] for byte in range(NUM_BYTES)]


def train(texts: Iterable[str], config: TokenizerConfig) -> tokenizers.Tokenizer:
    """Make a tokenizer from `texts`, with all special tokens, spare ones and sentinels.

    Args:
        texts: the training text, of which an even sample is used.
        config: what is made; without a size, the usual one, or fewer ids where the text does not
            fill it. Bytes and characters take as many as they need.

    Raises:
        UserError: the text does not support a vocabulary of this size.
    """
    build = {
        "bpe": _bpe,
        "word": _word,
        "unigram": _unigram,
        "bytes": _bytes,
        "characters": _characters,
    }
    kind, sized = config.kind, config.kind in SIZED
    asked = USUAL_SIZE if config.vocab_size is None else config.vocab_size
    added = config.spare + NUM_SENTINELS
    least = added + len(SPECIALS) + (1 if kind == "word" else NUM_BYTES)
    if sized and asked < least:
        raise UserError(
            f"a {kind} vocabulary of {asked:,} cannot be made: the least it can have is "
            f"{least:,}, special tokens and sentinels included; raise tokenizer.vocab_size"
        )
    sampled = sample(texts, max_bytes=config.train_mb * 1_000_000)
    tokenizer = build[kind](sampled, asked - added)
    add_spares(tokenizer, config.spare)
    add_sentinels(tokenizer)
    made = tokenizer.get_vocab_size()
    if sized and made != asked and config.vocab_size is not None:
        raise UserError(
            f"a {kind} vocabulary of {asked:,} cannot be made: all that this text supports is "
            f"{made:,}, special tokens included; lower tokenizer.vocab_size to that, leave "
            "it out, or give more text"
        )
    return tokenizer


def add_spares(tokenizer: tokenizers.Tokenizer, num: int) -> None:
    """Append special tokens that stand for nothing yet."""
    tokenizer.add_special_tokens([spare(number) for number in range(num)])


def add_sentinels(tokenizer: tokenizers.Tokenizer) -> None:
    """Append the sentinels, the first with the highest id."""
    tokenizer.add_special_tokens([sentinel(number) for number in reversed(range(NUM_SENTINELS))])


def sample(texts: Iterable[str], *, max_bytes: int) -> list[str]:
    """Take an even sample of the documents, in their order: all of them if they fit in `max_bytes`.

    Which ones are taken depends on their text alone. At most `max_bytes` and one document are held.
    """
    kept: list[tuple[int, int, str, int]] = []  # a heap, the highest hash on top
    total, highest = 0, 2**64
    for index, text in enumerate(texts):
        raw = text.encode()
        rank = int.from_bytes(blake2b(raw, digest_size=8, person=b"sample").digest(), "little")
        if rank >= highest:
            continue
        heapq.heappush(kept, (-rank, index, text, len(raw)))
        total += len(raw)
        while total > max_bytes and len(kept) > 1:
            negative, _, _, size = heapq.heappop(kept)
            total, highest = total - size, -negative
    chosen = [text for _, _, text, _ in sorted(kept, key=lambda item: item[1])]
    return [chosen[0][:max_bytes]] if len(chosen) == 1 else chosen


def _learn(
    tokenizer: tokenizers.Tokenizer, texts: Iterable[str], trainer: trainers.Trainer
) -> None:
    """Train on a thread of its own, so that the main one hears signals meanwhile."""
    failures: list[BaseException] = []

    def work() -> None:
        try:
            tokenizer.train_from_iterator(texts, trainer)
        except BaseException as error:
            failures.append(error)

    thread = Thread(target=work, daemon=True)
    thread.start()
    thread.join()
    if failures:
        raise failures[0]


def _cut(texts: Iterable[str]) -> Iterator[str]:
    """Yield the texts, with what is longer than a word can be in pieces."""
    for text in texts:
        unbroken = len(max(text.split(), key=len, default=""))
        if unbroken <= LONGEST_WORD and not _SPACES.search(text):  # found much sooner than by parts
            yield text
            continue
        start = 0
        for found in _TOO_LONG.finditer(text):
            yield text[start : found.end()]
            start = found.end()
        yield text[start:]


def _byte_level(model: models.Model) -> tokenizers.Tokenizer:
    tokenizer = tokenizers.Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def _bpe(texts: Iterable[str], vocab_size: int) -> tokenizers.Tokenizer:
    tokenizer = _byte_level(models.BPE())
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=2,
        special_tokens=SPECIALS,
        initial_alphabet=byte_characters(),
        show_progress=False,
    )
    _learn(tokenizer, _cut(texts), trainer)
    return tokenizer


def _unigram(texts: Iterable[str], vocab_size: int) -> tokenizers.Tokenizer:
    tokenizer = _byte_level(models.Unigram())
    trainer = trainers.UnigramTrainer(
        vocab_size=vocab_size,
        special_tokens=SPECIALS,
        unk_token=UNKNOWN,
        initial_alphabet=byte_characters(),
        show_progress=False,
    )
    _learn(tokenizer, _cut(texts), trainer)
    return tokenizer


def _word(texts: Iterable[str], vocab_size: int) -> tokenizers.Tokenizer:
    tokenizer = tokenizers.Tokenizer(models.WordLevel(vocab={}, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(WORDS), behavior="isolated")
    tokenizer.decoder = decoders.Fuse()
    trainer = trainers.WordLevelTrainer(
        vocab_size=vocab_size, special_tokens=SPECIALS, show_progress=False
    )
    _learn(tokenizer, texts, trainer)
    return tokenizer


def _bytes(texts: Iterable[str], vocab_size: int) -> tokenizers.Tokenizer:
    return _byte_level(models.BPE(vocab=_numbered(byte_characters()), merges=[]))


def _characters(texts: Iterable[str], vocab_size: int) -> tokenizers.Tokenizer:
    characters = sorted({character for text in texts for character in set(text)})
    tokenizer = tokenizers.Tokenizer(
        models.BPE(vocab=_numbered(characters), merges=[], unk_token=UNKNOWN, fuse_unk=False)
    )
    tokenizer.decoder = decoders.Fuse()
    return tokenizer


def _numbered(symbols: list[str]) -> dict[str, int]:
    return {symbol: number for number, symbol in enumerate([*SPECIALS, *symbols])}
