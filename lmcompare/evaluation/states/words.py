"""The words of a text whose states are read: the same for several models, whatever their tokens.

They are those between white space, or those of a treebank. Each text is cut into pieces that every
model reads in one row; a word that one of them cannot read whole is left out for all.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int
from numpy import ndarray

from lmcompare import rng
from lmcompare.data import Tokenizer, open_corpus
from lmcompare.errors import UserError
from lmcompare.evaluation import heldout_text
from lmcompare.evaluation.probes.treebank import read_treebank
from lmcompare.evaluation.readers.conllu import Sentence, Word
from lmcompare.evaluation.states.options import WordsOptions
from lmcompare.evaluation.states.word_states import pieces_of
from lmcompare.runs.loaded_model import load_model
from lmcompare.runs.origin import trained
from lmcompare.runs.run import Run

STRETCH = 512  # words of a document that are cut into pieces at a time
FEWEST = 4  # words that anything is said about
MARGIN = 2  # tokens: a piece may have more by itself than within its document
_WORD = re.compile(r"\S+")
_VERSION = b"words 1"  # raise it whenever the same text would give others


@dataclass(frozen=True, kw_only=True, eq=False)
class Words:
    """Words of pieces of text, in order.

    Attributes:
        sentences: the pieces, each with those of its words that are read.
        source: what the text is called.
    """

    sentences: Sequence[Sentence]
    source: str

    @property
    def first(self) -> Int[ndarray, " R1"]:
        """Return the number of the first word of each piece, and that of all words at the end."""
        sizes = [len(sentence.words) for sentence in self.sentences]
        return np.concatenate(([0], np.cumsum(sizes))).astype(np.int64)

    @property
    def num_words(self) -> int:
        """Return the number of words of all pieces."""
        return int(self.first[-1])

    @property
    def hash(self) -> str:
        """Return a hash of the pieces, and of which words of them are read."""
        digest = blake2b(_VERSION, digest_size=16)
        for sentence in self.sentences:
            spans = [word.span for word in sentence.words]
            digest.update(repr((sentence.text, spans)).encode())
        return digest.hexdigest()


@dataclass(frozen=True, kw_only=True)
class Reader:
    """Tell how a model reads: with which tokenizer, and how many tokens behind the start token."""

    tokenizer: Tokenizer
    room: int


def readers_of(runs: Iterable[Run]) -> list[Reader]:
    """Return a reader for each tokenizer; all have as much room as the shortest row.

    Raises:
        UserError: a run or its tokenizer cannot be read.
    """
    tokenizers, lengths = {}, []
    for run in runs:
        record = run.record()
        lengths.append(record.config.batch.length)
        if record.sheet.tokenizer not in tokenizers:
            tokenizers[record.sheet.tokenizer] = run.tokenizer()
    return [Reader(tokenizer=each, room=min(lengths) - 1) for each in tokenizers.values()]


def words_for(
    runs: Sequence[Run], options: WordsOptions, *, cache: Path, warn: Callable[[str], None]
) -> Words:
    """Return the words that all of some runs read.

    Args:
        runs: at least one.
        options: of which text, and how many.
        cache: the folder of prepared corpora.
        warn: told of damaged files that were passed over.

    Raises:
        UserError: the text cannot be read, or has too few words that all runs read whole.
    """
    readers = readers_of(runs)
    if options.treebank:
        found = choose_labelled(readers, options.treebank, most=options.num_words)
    else:
        texts = _texts(_with_text(runs)[0], options, cache=cache, warn=warn)
        found = choose_words(readers, texts, source=options.source, most=options.num_words)
    if found.num_words < FEWEST:
        raise UserError(
            f"{found.source} has {found.num_words} words that "
            f"{'the run reads' if len(runs) == 1 else f'all {len(runs)} runs read'} whole in a row "
            f"of {readers[0].room + 1} tokens: choose another text (`data=`, `split=`)"
        )
    return found


def require_shared_text(runs: Sequence[Run], options: WordsOptions) -> None:
    """Make sure that there is a text that all of some runs hold out.

    Raises:
        UserError: no other text is named, and they were trained on different ones.
    """
    if options.treebank or options.data is not None:
        return
    first, *others = _with_text(runs)
    for run in others:
        if not trained(run).shares_text_with(trained(first)):
            raise UserError(
                f"{first.path} and {run.path} were trained on different texts, and hold out none "
                "in common: name one that all can read (`data=` or `treebank=`)"
            )


def _with_text(runs: Sequence[Run]) -> Sequence[Run]:
    """Return those whose text is known; all, if that of none is."""
    return [run for run in runs if trained(run).known] or runs[:1]


def _texts(
    run: Run, options: WordsOptions, *, cache: Path, warn: Callable[[str], None]
) -> Iterator[str]:
    if options.data is not None:
        yield from open_corpus(*options.data.names, data=options.data, cache=cache).texts()
        return
    model = load_model(run, device="cpu", warn=warn)
    for document in heldout_text.documents(model, options, cache=cache, warn=warn):
        text = model.tokenizer.exact_text(document)
        if text is not None:  # of unknown tokens nobody knows what stood there
            yield text


def choose_words(
    readers: Sequence[Reader], texts: Iterable[str], *, source: str, most: int
) -> Words:
    """Return the first words of some texts that all readers read.

    Args:
        readers: at least one.
        texts: documents, in order.
        source: what they are called.
        most: words that there are at most.
    """
    pieces = (
        piece for number, text in enumerate(texts) for piece in _pieces(text, number, readers)
    )
    return Words(sentences=[*_up_to(most, pieces)], source=source)


def choose_labelled(readers: Sequence[Reader], paths: Sequence[Path], *, most: int) -> Words:
    """Return words of a treebank that all readers read; its sentences are drawn from all over.

    Raises:
        UserError: there is no file, one is broken, or there is too little in it.
    """
    bank = read_treebank(paths)
    draws = rng.generator("words of a treebank", len(bank.sentences))
    order = torch.randperm(len(bank.sentences), generator=draws).tolist()
    read = (_readable(bank.sentences[number], readers) for number in order)
    return Words(sentences=[*_up_to(most, read)], source=bank.name)


def _up_to(most: int, sentences: Iterable[Sentence]) -> Iterator[Sentence]:
    left = most
    for each in sentences:
        if left <= 0:
            return
        if each.words:
            yield replace(each, words=each.words[:left])
            left -= len(each.words)


def _pieces(text: str, document: int, readers: Sequence[Reader]) -> Iterator[Sentence]:
    spans = [found.span() for found in _WORD.finditer(text)]
    for start in range(0, len(spans), STRETCH):
        own = spans[start : start + STRETCH]
        origin = own[0][0]
        stretch = Sentence(
            text=text[origin : own[-1][1]],
            document=document,
            words=tuple(
                Word(form=text[low:high], span=(low - origin, high - origin)) for low, high in own
            ),
        )
        for first, last in _cuts(stretch, readers):
            low, high = stretch.words[first].span[0], stretch.words[last - 1].span[1]
            piece = Sentence(
                text=stretch.text[low:high],
                document=document,
                words=tuple(
                    Word(form=word.form, span=(word.span[0] - low, word.span[1] - low))
                    for word in stretch.words[first:last]
                ),
            )
            yield _readable(piece, readers)


def _cuts(stretch: Sentence, readers: Sequence[Reader]) -> Iterator[tuple[int, int]]:
    """Yield from which to which word a piece goes, such that every reader has room for it."""
    tokens = [pieces_of(stretch, reader.tokenizer.encode([stretch.text])[0]) for reader in readers]
    first = 0
    for number in range(1, len(stretch.words)):
        if any(
            own[number][1] - own[first][0] > reader.room - MARGIN
            for own, reader in zip(tokens, readers, strict=True)
        ):
            yield first, number
            first = number
    yield first, len(stretch.words)


def _readable(sentence: Sentence, readers: Sequence[Reader]) -> Sentence:
    """Return a sentence with those of its words of which every reader has all tokens."""
    kept = sentence.words
    for reader in readers:
        found = pieces_of(sentence, reader.tokenizer.encode([sentence.text])[0])
        good = {
            word.span
            for word, (start, stop) in zip(sentence.words, found, strict=True)
            if start < stop <= reader.room
        }
        kept = tuple(word for word in kept if word.span in good)
    return replace(sentence, words=kept)
