"""What a token covers of the text: how many bytes, and whether a word begins with it.

Both are computed from the text and the character offset at which each token ends, in one way for
all tokenizers, so that bits per byte and whole words mean the same whatever the tokenizer. What a
tokenizer drops (white space, accents) counts for the token that follows, or the last one; the
pieces of one character count for the first of them.
"""

from unicodedata import category

import numpy as np
from jaxtyping import Bool, Int, UInt
from numpy import ndarray

SPACE, WORD, OTHER, IDEOGRAPH, UNSEEN = range(5)
_IDEOGRAPHS = ((0x3400, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x3FFFF))
_classes = np.full(
    0x110000, UNSEEN, dtype=np.uint8
)  # filled as characters are met: the whole takes a second


def measure(
    texts: list[str], counts: Int[ndarray, " N"], ends: Int[ndarray, " K"]
) -> tuple[Int[ndarray, " K"], Bool[ndarray, " K"]]:
    """Return the bytes of UTF-8 that each token covers, and whether it starts a word.

    Args:
        texts: what was tokenised.
        counts: the number of tokens of each text.
        ends: the character of its text before which each token ends, all texts in a row.

    Returns:
        The bytes, which add up to those of each text that has a token, and the starts.
    """
    lengths = np.fromiter(map(len, texts), np.int64, len(texts))
    text_starts = np.concatenate(([0], np.cumsum(lengths)))
    has_tokens = counts > 0
    last = np.cumsum(counts)[has_tokens] - 1
    first = last - counts[has_tokens] + 1
    codes = np.frombuffer("".join(texts).encode("utf-32-le"), dtype=np.uint32)

    end = np.minimum(ends, np.repeat(lengths, counts)) + np.repeat(text_starts[:-1], counts)
    end[last] = text_starts[1:][has_tokens]
    end = np.maximum.accumulate(end)
    start = np.concatenate(([0], end[:-1]))
    start[first] = text_starts[:-1][has_tokens]

    byte = np.zeros(len(codes) + 1, dtype=np.int64)
    np.cumsum(1 + (codes >= 0x80) + (codes >= 0x800) + (codes >= 0x10000), out=byte[1:])
    num_bytes = byte[end] - byte[start]
    starts_word = np.append(word_boundaries(codes), False)[start] & (num_bytes > 0)
    starts_word[first] = True
    return num_bytes, starts_word


def word_boundaries(codes: UInt[ndarray, " C"]) -> Bool[ndarray, " C"]:
    """Return True for the characters that begin a word.

    Letters, digits, marks and the underscore make up words, apostrophes between two of them
    included; so does a run of other characters. One space belongs to the word after it, other white
    space and each ideograph are words of their own.
    """
    kind = _classes[codes]
    if (kind == UNSEEN).any():
        for code in np.unique(codes[kind == UNSEEN]).tolist():
            _classes[code] = classify(chr(code))
        kind = _classes[codes]
    apostrophe = (codes == ord("'")) | (codes == ord("\N{RIGHT SINGLE QUOTATION MARK}"))
    inside = apostrophe[1:-1] & (kind[:-2] == WORD) & (kind[2:] == WORD)
    kind[1:-1][inside] = WORD
    boundary: ndarray = (kind == SPACE) | (kind == IDEOGRAPH)
    boundary[1:] |= (kind[1:] != kind[:-1]) & (codes[:-1] != ord(" "))
    boundary[1:] &= (kind[1:] != IDEOGRAPH) | (codes[:-1] != ord(" "))
    boundary[:1] = True
    return boundary


def classify(character: str) -> int:
    """Return the class of a character."""
    if character.isspace():
        return SPACE
    if any(low <= ord(character) <= high for low, high in _IDEOGRAPHS):
        return IDEOGRAPH
    if character.isalnum() or character == "_" or category(character).startswith("M"):
        return WORD
    return OTHER
