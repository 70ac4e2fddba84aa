"""Turning a stream of documents into one of tokens, in bounded memory and on all cores.

Documents go to the tokenizer in batches of bounded size, as its threads work on the texts of one
batch. A long document is cut at white space into pieces that are tokenised apart and joined again.
At such a seam, once in some 50,000 characters, a token that would have spanned it is two; the
bytes stay exact. (Where a piece has no white space at all the cut falls anywhere, and the seam also
counts as the start of a word.)
"""

from collections.abc import Iterable, Iterator

from lmcompare.data.tokenizer import Encoded, Tokenizer

PIECE = 50_000  # characters
BATCH = 1_000_000  # characters; the library needs some 100 bytes for each while it works on them


def encode_documents(texts: Iterable[str], tokenizer: Tokenizer) -> Iterator[Encoded]:
    """Yield each document tokenised, in order, without special tokens."""
    parts: list[Encoded] = []
    for batch in _batches(_pieces(texts)):
        encoded = tokenizer.encode([piece for piece, _ in batch])
        for part, (_, is_last) in zip(encoded, batch, strict=True):
            parts.append(part)
            if is_last:
                yield Encoded.join(parts)
                parts = []


def _pieces(texts: Iterable[str]) -> Iterator[tuple[str, bool]]:
    """Yield documents in pieces, each with whether it is its document's last."""
    for text in texts:
        start = 0
        while len(text) - start > PIECE:
            stop = _seam(text, start)
            yield text[start:stop], False
            start = stop
        yield text[start:], True


def _seam(text: str, start: int) -> int:
    """Return where to cut: before a piece's last white space, as a space goes with its word."""
    for index in range(start + PIECE, start, -1):
        if text[index].isspace() and not text[index - 1].isspace():
            return index
    return start + PIECE


def _batches(pieces: Iterable[tuple[str, bool]]) -> Iterator[list[tuple[str, bool]]]:
    batch: list[tuple[str, bool]] = []
    size = 0
    for piece in pieces:
        batch.append(piece)
        size += len(piece[0])
        if size >= BATCH:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
