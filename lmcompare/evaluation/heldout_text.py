"""Held-out text, in an order of its own.

Which documents come first depends on the text alone, so all runs that read the same text are asked
about the same documents.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy import ndarray

from lmcompare import rng
from lmcompare.data import Encoded, Split, Tokenizer, encode_documents, open_corpus, shuffled
from lmcompare.errors import UserError
from lmcompare.evaluation.options import EvalOptions
from lmcompare.runs.loaded_model import LoadedModel
from lmcompare.runs.origin import Origin
from lmcompare.runs.run import Run


def documents(
    model: LoadedModel, options: EvalOptions, *, cache: Path, warn: Callable[[str], None]
) -> Iterator[Encoded]:
    """Return the documents to ask about, in their order; none is empty.

    Raises:
        UserError: the text cannot be read, or is not what the run was trained on.
    """
    return (each for each in _documents(model, options, cache, warn) if len(each))


def _documents(
    model: LoadedModel, options: EvalOptions, cache: Path, warn: Callable[[str], None]
) -> Iterable[Encoded]:
    if options.data is not None:
        corpus = open_corpus(*options.data.names, data=options.data, cache=cache)
        return encode_documents(corpus.texts(), model.tokenizer)
    prepared = model.origin.asked_about(cache=cache, warn=warn)
    split = prepared.split(options.split)
    # Neighbouring documents are alike: a sample from all over says more than the first ones.
    order = shuffled(np.arange(split.num_documents), num_blocks=split.num_documents, seed=0)
    return (split.document(int(number)) for number in order)


def training_text(
    model: LoadedModel, *, cache: Path, warn: Callable[[str], None], what: str
) -> Split | None:
    """Return what a model was trained on; None if that is gone, or was never known here.

    Args:
        model: of the run.
        cache: folder of prepared corpora.
        warn: told why it is gone.
        what: is not known then.
    """
    if not model.trained.known:
        return None
    try:
        return model.origin.training_text(cache=cache, warn=warn).split("train")
    except UserError as error:
        warn(f"{what} is not known: {error}")
        return None


def cut(document: Encoded, start: int, stop: int) -> Encoded:
    """Return some of its tokens."""
    return Encoded(
        ids=document.ids[start:stop],
        bytes=document.bytes[start:stop],
        starts_word=document.starts_word[start:stop],
    )


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """Tokens `start` to `stop` of a document, which is the given one in number."""

    document: Encoded
    number: int
    start: int
    stop: int


def stretches(
    documents: Iterable[Encoded], tokenizer: Tokenizer, length: int, *, shortest: int
) -> Iterator[Stretch]:
    """Yield a stretch of each document, then a second one of each, and so on, without overlaps.

    Args:
        documents: in the order in which they give stretches.
        tokenizer: says which tokens are text.
        length: tokens of a stretch at most.
        shortest: tokens of text that a stretch has at least; others are left out.
    """
    going = []
    for number, document in enumerate(documents):
        own = _stretches_of(document, number, tokenizer, length, shortest)
        if (stretch := next(own, None)) is not None:
            yield stretch
            going.append(own)
    while going:
        first = going.pop(0)
        if (stretch := next(first, None)) is not None:
            yield stretch
            going.append(first)


def pieces(
    documents: Iterable[Encoded], tokenizer: Tokenizer, length: int, *, shortest: int
) -> Iterator[Encoded]:
    """Yield the same as `stretches`, cut out of their documents."""
    for each in stretches(documents, tokenizer, length, shortest=shortest):
        yield cut(each.document, each.start, each.stop)


def _stretches_of(
    document: Encoded, number: int, tokenizer: Tokenizer, length: int, shortest: int
) -> Iterator[Stretch]:
    """Yield the stretches of a document, in random order."""
    starts = range(0, len(document), length)
    draw = torch.rand(len(starts), generator=rng.generator("pieces", number))
    for index in draw.argsort(stable=True).tolist():
        start, stop = starts[index], min(starts[index] + length, len(document))
        if is_text(cut(document, start, stop), tokenizer).sum() >= shortest:
            yield Stretch(document=document, number=number, start=start, stop=stop)


def is_text(document: Encoded, tokenizer: Tokenizer) -> Bool[ndarray, " N"]:
    """Return which tokens can be scored: unknown ones are no text."""
    ids = torch.from_numpy(document.ids.astype(np.int64))
    found: ndarray = ~tokenizer.vocab.is_special(ids).numpy()
    return found


def unigram_nats(origin: Origin | Run, tokenizer: Tokenizer) -> Float[ndarray, " V"] | None:
    """Return minus the log-probability of each id by its frequency in training, plus one.

    None where nobody here ever knew these frequencies.
    """
    found = origin.token_counts()
    if found is None:
        return None
    counts = found.astype(np.float64)
    special = tokenizer.vocab.is_special(torch.arange(tokenizer.vocab.size)).numpy()
    counts = np.where(special, 0, counts + 1)
    with np.errstate(divide="ignore"):
        cost: ndarray = -np.log(counts / counts.sum())
    return cost


def digest(parts: Iterable[ndarray]) -> str:
    """Return a hash of what is asked: of arrays, whose order counts."""
    found = blake2b(digest_size=16)
    for part in parts:
        found.update(part.astype("<u4").tobytes())
        found.update(b"end")
    return found.hexdigest()
