"""What a set of texts is like, without any model: how varied, how repetitive, how much copied.

Texts are counted in words, as `lmcompare.data.words` cuts them: letters and digits make up a word,
so does a run of punctuation, and an ideograph is one by itself. So the texts of models with unlike
tokenizers compare. White space beyond the one space before a word counts too, character by
character: a model that writes forty line ends repeats itself. All counts grow or shrink with the
number and length of the texts: only sets of as many texts, about as long, compare.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib.util import find_spec
from itertools import pairwise
from typing import TypeVar

import numpy as np
from jaxtyping import Bool, Int, UInt
from numpy import ndarray

from lmcompare.data.words import word_boundaries

BLEU_ORDER = 4  # words of the longest n-grams that self-BLEU compares
T = TypeVar("T")


def words(text: str) -> list[str]:
    """Return the words of a text in order; white space as a backslash and its number in hex."""
    codes = np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)
    starts = np.flatnonzero(word_boundaries(codes)).tolist()
    pieces = (text[start:stop] for start, stop in pairwise([*starts, len(text)]))
    # no word of letters has a backslash, and so none looks like this
    return [piece.strip() or f"\\x{ord(piece):x}" for piece in pieces]


def entropy(texts: Iterable[Sequence[str]]) -> float | None:
    """Return bits a word, by the frequencies of words in all texts together; None without a word.

    Beside a likelihood it tells text that is probable from text that is the same word over and over
    (Zheng et al. 2024, https://arxiv.org/abs/2409.02908).
    """
    counts = Counter(word for text in texts for word in text)
    total = counts.total()
    if not total:
        return None
    return sum(num / total * math.log2(total / num) for num in counts.values())


def distinct(texts: Iterable[Sequence[str]], n: int) -> float | None:
    """Return distinct-n: unlike n-grams of words among those of all texts; None without one.

    Li et al. 2016 (https://arxiv.org/abs/1510.03055).
    """
    found = [ngram for text in texts for ngram in _ngrams(text, n)]
    return len(set(found)) / len(found) if found else None


def repetition(texts: Iterable[Sequence[str]], n: int = 4) -> float | None:
    """Return the share of n-grams of words that stand earlier in the same text; None without one.

    "seq-rep-n" of Welleck et al. 2020 (https://arxiv.org/abs/1908.04319), over the n-grams of all
    texts together.
    """
    total = repeated = 0
    for text in texts:
        found = list(_ngrams(text, n))
        total += len(found)
        repeated += len(found) - len(set(found))
    return repeated / total if total else None


def has_bleu() -> bool:
    """Tell whether sacrebleu is here, which is an extra."""
    return find_spec("sacrebleu") is not None


def self_bleu(texts: Sequence[Sequence[str]]) -> list[float | None] | None:
    """Return BLEU-4 of each text with all others as references, 0 to 1: high is alike.

    Zhu et al. 2018 (https://arxiv.org/abs/1802.01886), computed by sacrebleu with its
    usual smoothing, and with shorter n-grams alone where a text has fewer than four words.

    Returns:
        None of a text without words, and of all where there are no others or sacrebleu is missing.
    """
    lines = [" ".join(text) for text in texts]
    if sum(map(bool, lines)) < 2 or not has_bleu():
        return None
    from sacrebleu.metrics.bleu import BLEU

    bleu = BLEU(tokenize="none", effective_order=True, max_ngram_order=BLEU_ORDER)
    found: list[float | None] = []
    for number, line in enumerate(lines):
        others = [other for other in lines[:number] + lines[number + 1 :] if other]
        score = bleu.sentence_score(line, others).score if line else None
        found.append(None if score is None else min(score / 100, 1.0))
    return found


def standard_error(
    statistic: Callable[[Sequence[T]], float | None], texts: Sequence[T]
) -> float | None:
    """Return that of a statistic of some texts, by leaving out one at a time (the jackknife).

    A bootstrap draws some texts twice, and text that comes twice is what diversity is about. In the
    mean the jackknife says no less than the truth, of any symmetric statistic (Efron & Stein 1981,
    The Jackknife Estimate of Variance).

    Returns:
        None where the statistic is not known of all these sets, or there are fewer than two texts.
    """
    found = [statistic([*texts[:left], *texts[left + 1 :]]) for left in range(len(texts))]
    values = np.array([value for value in found if value is not None])
    if len(values) < max(2, len(texts)):
        return None
    return math.sqrt((len(values) - 1) * float(values.var()))


def ngram_keys(tokens: Int[ndarray, " N"], n: int) -> UInt[ndarray, " K"]:
    """Return a number for each n-gram of tokens; two unlike ones share it once in 2^64 pairs."""
    num = max(0, len(tokens) - n + 1)
    keys = np.zeros(num, dtype=np.uint64)
    factors = np.random.default_rng(0).integers(2**63, dtype=np.uint64, size=n) * 2 + 1
    for index, factor in enumerate(factors):
        keys += tokens[index : index + num].astype(np.uint64) * factor  # modulo 2^64
    return keys


def occurring(
    texts: Sequence[Int[ndarray, " _"]], stream: Iterable[Int[ndarray, " _"]], n: int
) -> list[Bool[ndarray, " _"]]:
    """Tell of each n-gram of each text whether it stands somewhere in a stream of tokens.

    Memory is that of the texts and of one part of the stream, however long that is.

    Args:
        texts: ids of each.
        stream: in parts that follow one another.
        n: tokens of an n-gram.
    """
    keys = [ngram_keys(text, n) for text in texts]
    wanted = np.unique(np.concatenate([np.empty(0, np.uint64), *keys]))
    found = np.zeros(len(wanted), dtype=bool)
    before = np.empty(0, dtype=np.int64)
    for part in stream if len(wanted) else ():
        joined = np.concatenate([before, part])
        there = ngram_keys(joined, n)
        near = np.searchsorted(wanted, there).clip(max=len(wanted) - 1)
        found[near[wanted[near] == there]] = True
        before = joined[max(0, len(joined) - n + 1) :]
    return [found[np.searchsorted(wanted, each)] for each in keys]


def _ngrams(text: Sequence[str], n: int) -> Iterator[tuple[str, ...]]:
    return zip(*(text[start:] for start in range(n)), strict=False)
