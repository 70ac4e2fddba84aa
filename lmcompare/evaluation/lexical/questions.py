"""Tell which words of held-out text are asked for, and what stands around them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from lmcompare import rng
from lmcompare.data import Encoded, Split
from lmcompare.errors import UserError
from lmcompare.evaluation import heldout_text
from lmcompare.evaluation.lexical.options import LexicalOptions
from lmcompare.evaluation.lexical.record import BANDS, band_of
from lmcompare.evaluation.lexical.word_counts import counts_read, pair_keys, word_keys
from lmcompare.evaluation.windows import Window, stack
from lmcompare.runs.loaded_model import LoadedModel
from lmcompare.view import Text

LONGEST = 12  # tokens of a word that is asked for
MOST_WORDS = 200_000  # of the held-out text, from which words are drawn
MOST_OF_ONE = 20_000  # of a document
STRETCH = 512  # tokens of a document that are taken for one text: words of one are not independent


@dataclass(frozen=True, kw_only=True)
class AskedWord:
    """A word that is asked for.

    Attributes:
        document: the number of its document.
        window: what is shown of the document, and which tokens are the word.
        key: of the word.
        before: key of the word before it.
        repeated: whether it stands before in what is shown.
    """

    document: int
    window: Window
    key: int
    before: int
    repeated: bool

    @property
    def stretch(self) -> tuple[int, int]:
        """Return which part of which document it stands in."""
        return self.document, self.window.first // STRETCH


@dataclass(frozen=True, kw_only=True)
class LexicalQuestions:
    """Tell what every model of a text is asked.

    Attributes:
        documents: of held-out text.
        words: sorted by how many tokens they have.
        reach: tokens of context on each side, at most.
        digest: a hash of all of it.
    """

    documents: Sequence[Encoded]
    words: Sequence[AskedWord]
    reach: int
    digest: str

    @staticmethod
    def drawn(
        model: LoadedModel,
        options: LexicalOptions,
        training: Split,
        *,
        cache: Path,
        warn: Callable[[str], None],
    ) -> "LexicalQuestions":
        """Return as many words of each band of frequency in the whole text of training.

        Raises:
            UserError: an unreadable text, or one without words.
        """
        reach = max(1, min(options.word_reach, (model.length - 1 - LONGEST) // 2))
        found = heldout_text.documents(model, options, cache=cache, warn=warn)
        documents: list[Encoded] = []
        words: list[AskedWord] = []
        for document in found:
            words += islice(_words_of(document, len(documents), model, reach), MOST_OF_ONE)
            documents.append(document)
            if len(words) >= MOST_WORDS:
                break
        if not words:
            raise UserError(
                f"{options.source} has no document with a word between two others to ask for: "
                "choose another text with `data=` or `split=`"
            )
        counts, _ = counts_read(
            training,
            np.array([each.key for each in words], dtype=np.uint64),
            np.zeros(0, dtype=np.uint64),
            length=model.length,
            seed=0,
            num_blocks=training.num_blocks(model.length),
        )
        chosen = _of_each_band(words, [*map(band_of, counts.tolist())], options.words_per_band)
        chosen.sort(key=lambda each: each.window.last - each.window.first)
        places = [
            np.array([each.document, each.window.start, each.window.first, each.window.last])
            for each in chosen
        ]
        shown = (
            documents[each.document].ids[each.window.start : each.window.stop] for each in chosen
        )
        return LexicalQuestions(
            documents=documents,
            words=chosen,
            reach=reach,
            digest=heldout_text.digest([*places, *shown]),
        )

    def rows(
        self, words: Sequence[AskedWord], model: LoadedModel
    ) -> tuple[Text, Bool[Tensor, "B T"]]:
        """Return what is shown of some words, and which tokens are hidden."""
        return stack([each.window for each in words], [*self.documents], model.tokenizer.vocab)

    def counts(self, model: LoadedModel, training: Split) -> tuple[np.ndarray, ...]:
        """Return how often the model has read each word, the one before it, and the pair."""
        keys, before = (
            np.array([getattr(each, name) for each in self.words], dtype=np.uint64)
            for name in ("key", "before")
        )
        num_blocks = model.spent.tokens // (model.length - 1)
        words, pairs = counts_read(
            training,
            np.concatenate([keys, before]),
            pair_keys(before, keys),
            length=model.length,
            seed=model.seed,
            num_blocks=num_blocks,
        )
        return words[: len(keys)], words[len(keys) :], pairs


def _words_of(
    document: Encoded, number: int, model: LoadedModel, reach: int
) -> Iterator[AskedWord]:
    """Yield the words of a document that can be asked for: of letters, between two others."""
    if len(document) < 3:
        return
    starts = document.starts_word.copy()
    starts[0] = True
    keys, first = word_keys(document.ids, starts)
    ends = np.append(first[1:], len(document))
    able = heldout_text.is_text(document, model.tokenizer)
    for index in range(1, len(first) - 1):
        start, stop = int(first[index]), int(ends[index])
        if stop - start > LONGEST or not able[start:stop].all():
            continue
        if not _has_letter(model, document.ids[start:stop]):
            continue
        begin = max(0, start - reach)
        shown = keys[np.searchsorted(first, begin) : index]
        yield AskedWord(
            document=number,
            window=Window(
                document=number,
                start=begin,
                stop=min(len(document), stop + reach),
                first=start,
                last=stop,
            ),
            key=int(keys[index]),
            before=int(keys[index - 1]),
            repeated=bool((shown == keys[index]).any()),
        )


def _has_letter(model: LoadedModel, ids: np.ndarray) -> bool:
    return any(each.isalpha() for each in model.tokenizer.decode(ids.tolist()))


def _of_each_band(words: Sequence[AskedWord], bands: Sequence[str], most: int) -> list[AskedWord]:
    """Return words of each band at random; which ones follows from the text alone."""
    draw = torch.rand(len(words), generator=rng.generator("lexical")).argsort(stable=True).tolist()
    left = dict.fromkeys(BANDS, most)
    chosen = []
    for number in draw:
        if left[bands[number]]:
            left[bands[number]] -= 1
            chosen.append(words[number])
    return chosen
