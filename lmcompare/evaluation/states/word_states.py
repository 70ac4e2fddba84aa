"""The states of words, layer by layer, on disk: computed in one pass, read piece by piece."""

import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from torch import Tensor

from lmcompare import files
from lmcompare.data import Encoded
from lmcompare.errors import UserError
from lmcompare.evaluation.readers.conllu import Sentence
from lmcompare.evaluation.states.choices import WordPooling
from lmcompare.evaluation.states.reading import Reading, example
from lmcompare.evaluation.windows import Window, stack
from lmcompare.runs.loaded_model import LoadedModel

FOLDER = "states"  # in the cache
GB = 1e9
LARGEST = 65_504.0  # number that float16 has
BLOCK = 4_096  # words that are read from the disk together
POOL = 4_096  # sentences that are sorted by length together


class Sentences(Protocol):
    """Sentences whose words have numbers, one after another."""

    @property
    def sentences(self) -> Sequence[Sentence]:
        """Return the sentences in the order in which they are read."""

    @property
    def first(self) -> Int[ndarray, " R1"]:
        """Return the number of the first word of each, and that of all words at the end."""

    @property
    def num_words(self) -> int:
        """Return the number of words of all sentences."""


@dataclass(frozen=True, kw_only=True, eq=False)
class States:
    """The states of all words, in files of float16.

    Attributes:
        folder: a file for each layer.
        layers: their numbers.
        known: of each word whether it has a state.
        width: numbers of a state.
        counts: words that have none, by why.
        model: what the model is called in messages.
    """

    folder: Path
    layers: Sequence[int]
    known: Bool[ndarray, " W"]
    width: int
    counts: Mapping[str, int]
    model: Path = Path()

    def layer(self, number: int) -> Float[ndarray, "W D"]:
        """Return the states of a layer, which are read from the disk where they are used."""
        return np.lib.format.open_memmap(_file(self.folder, number), mode="r")

    def blocks(self, number: int) -> Iterator[Float[ndarray, "B D"]]:
        """Yield the states of a layer some words at a time, in float32 and in constant memory."""
        for start in range(0, len(self.known), BLOCK):
            # what is mapped counts as memory until it is let go, so each block is mapped by itself
            yield self.layer(number)[start : start + BLOCK].astype(np.float32)


def mean_of(states: States, layer: int) -> tuple[Float[ndarray, " D"], float]:
    """Return the mean of a layer's states, and the root mean square of their distance from it.

    Raises:
        UserError: a state is no number.
    """
    total, squares = np.zeros(states.width), 0.0
    origin = states.layer(layer)[0].astype(
        np.float64
    )  # near to all, where their mean is not near 0
    for block in states.blocks(layer):
        part = block - origin
        total += part.sum(0)
        squares += float((part**2).sum())
    if not np.isfinite(squares):
        raise UserError(
            f"layer {layer} of {states.model} has states that are no numbers (NaN or infinite), as "
            "after a training that diverged: leave the run out, or train it again"
        )
    num = len(states.known)
    mean = total / num
    return mean + origin, float(np.sqrt(max(squares / num - float(mean @ mean), 0.0)))


def _file(folder: Path, layer: int) -> Path:
    return folder / f"layer-{layer}.npy"


@contextmanager
def states(
    model: LoadedModel,
    readings: Sentences,
    reading: Reading,
    *,
    layers: Sequence[int] | None,
    words: WordPooling,
    cache: Path,
    disk_gb: float,
    report: Callable[[float], None] = lambda share: None,
) -> Iterator[States]:
    """Compute the states of all words, and remove them at the end.

    A sentence is read by itself, with the start token before it, and cut at the end of the rows
    that the model was trained on.

    Args:
        model: whose states.
        readings: the sentences.
        reading: how the model reads them.
        layers: their numbers; None for all.
        words: how the states of a word's pieces become one.
        cache: in whose folder `states` they lie meanwhile.
        disk_gb: that they may take.
        report: told the share that is done, 0 to 1.

    Raises:
        UserError: they would take more than that, or more than there is, or a layer is not there.
    """
    view = reading.view(example(model)).to(model.net.device)
    layers = [number for number, _ in model.net.hidden_states(view, layers)]
    width = model.net.width
    needed = 2 * readings.num_words * width * len(layers)
    place = cache / FOLDER
    with files.explained(place):
        place.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(place).free
    if needed > min(disk_gb * GB, free):
        limit = f"{disk_gb:g} GB that are allowed" if needed > disk_gb * GB else "there is"
        raise UserError(
            f"the states of {readings.num_words:,} words in {len(layers)} layers take "
            f"{needed / GB:.3g} GB in {place}, more than the {limit}: "
            "choose fewer `layers=`, a lower `limit=`, or a higher `disk_gb=`"
        )
    with files.temporary_folder(place / model.path.name) as folder:
        yield _computed(model, readings, reading, folder, layers=layers, words=words, report=report)


def _computed(
    model: LoadedModel,
    readings: Sentences,
    reading: Reading,
    folder: Path,
    *,
    layers: Sequence[int],
    words: WordPooling,
    report: Callable[[float], None],
) -> States:
    num_words, width = readings.num_words, model.net.width
    stored = {
        layer: np.lib.format.open_memmap(
            _file(folder, layer), mode="w+", dtype=np.float16, shape=(num_words, width)
        )
        for layer in layers
    }
    known = np.zeros(num_words, dtype=bool)
    counts: Counter[str] = Counter()
    num_read, num_sentences = 0, len(readings.sentences)
    for first in range(0, num_sentences, POOL):
        numbers = range(first, min(first + POOL, num_sentences))
        documents = model.tokenizer.encode([readings.sentences[each].text for each in numbers])
        order = sorted(numbers, key=lambda each: -len(documents[each - first]))
        while order:
            longest = min(len(documents[order[0] - first]), model.length - 1)
            num = model.net.rows_at_once(1 + longest)
            some, order = order[:num], order[num:]
            own = [documents[each - first] for each in some]
            rows, pieces = _rows_and_pieces(readings, some, own, model.length - 1, words, counts)
            known[rows] = True
            if len(rows):
                for layer, found in _pooled(model, reading, own, pieces, layers):
                    stored[layer][rows] = found
            num_read += len(some)
            report(num_read / num_sentences)
    for each in stored.values():
        each.flush()
    return States(
        folder=folder, layers=layers, known=known, width=width, counts=+counts, model=model.path
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Pieces:
    """Tell which pieces of some rows make up each word, one word after another."""

    row: ndarray
    position: ndarray  # in the row, after the start token
    sizes: ndarray  # pieces of each word


def _rows_and_pieces(
    readings: Sentences,
    numbers: Sequence[int],
    documents: Sequence[Encoded],
    room: int,
    words: WordPooling,
    counts: Counter[str],
) -> tuple[ndarray, _Pieces]:
    """Return the numbers of the words that have a state, and their pieces."""
    found: list[int] = []
    row: list[int] = []
    position: list[int] = []
    sizes: list[int] = []
    for index, (number, document) in enumerate(zip(numbers, documents, strict=True)):
        sentence, first = readings.sentences[number], int(readings.first[number])
        for word, (start, stop) in enumerate(pieces_of(sentence, document)):
            if start == stop:
                counts["words without a token"] += 1
            elif stop > room:
                counts["words after the cut of a long sentence"] += 1
            else:
                some = {"mean": range(start, stop), "first": [start], "last": [stop - 1]}[words]
                found.append(first + word)
                row += [index] * len(some)
                position += [1 + each for each in some]
                sizes.append(len(some))
    return np.array(found, dtype=np.int64), _Pieces(
        row=np.array(row), position=np.array(position), sizes=np.array(sizes)
    )


def pieces_of(sentence: Sentence, document: Encoded) -> list[tuple[int, int]]:
    """Return which tokens cover each word: from the first to the one after the last.

    A token that covers more than one word is a piece of each of them.
    """
    byte = np.concatenate(([0], np.cumsum([len(each.encode()) for each in sentence.text])))
    stops = np.cumsum(document.bytes)
    starts = stops - document.bytes
    found = []
    for word in sentence.words:
        low, high = byte[word.span[0]], byte[word.span[1]]
        first = int(np.searchsorted(stops, low, side="right"))
        last = int(np.searchsorted(starts, high, side="left"))
        found.append((first, max(first, last)))
    return found


@torch.no_grad()
def _pooled(
    model: LoadedModel,
    reading: Reading,
    documents: Sequence[Encoded],
    pieces: _Pieces,
    layers: Sequence[int],
) -> Iterator[tuple[int, Float[ndarray, "W D"]]]:
    """Yield the number of each layer with the states of the words of some rows."""
    whole = [
        Window(document=each, start=0, stop=min(len(own), model.length - 1), first=0, last=0)
        for each, own in enumerate(documents)
    ]
    text, _ = stack(whole, [*documents], model.tokenizer.vocab)
    device = model.net.device
    row, position, sizes = (
        torch.from_numpy(each).to(device) for each in (pieces.row, pieces.position, pieces.sizes)
    )
    view = reading.view(text).to(device)
    for layer, found in model.net.hidden_states(view, layers):
        states: Tensor = torch.segment_reduce(found[row, position], "mean", lengths=sizes)
        yield layer, states.clamp(-LARGEST, LARGEST).to(torch.float16).cpu().numpy()
