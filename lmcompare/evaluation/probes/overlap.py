"""Whether a model was trained on sentences that it is probed on."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Integer, UInt
from numpy import ndarray

from lmcompare.data.prepared import Prepared
from lmcompare.errors import UserError
from lmcompare.evaluation.probes.treebank import Treebank
from lmcompare.runs.loaded_model import LoadedModel

WINDOW = (
    48  # bytes in a row that must be equal, about; shorter sentences are common, and say nothing
)
AT_ONCE = 4_000_000  # tokens of the training text
_FACTOR = np.uint64(0x9E3779B97F4A7C15)
WHAT = "sentences that the model was trained on"


def sentences_read(
    model: LoadedModel,
    treebank: Treebank,
    *,
    cache: Path,
    warn: Callable[[str], None],
) -> dict[str, int]:
    """Return how many sentences stand in the text that a model was trained on, if any.

    A sentence is known by a hash of its tokens from the second on, as the first one may have been
    tokenised with a space before it: of as many as `WINDOW` bytes have in this tokenizer.

    Args:
        model: whose training text is looked at.
        treebank: the sentences.
        cache: of prepared texts.
        warn: told of it, and where the training text is not known any more.
    """
    documents = model.tokenizer.encode([each.text for each in treebank.sentences])
    num_bytes = sum(int(each.bytes.sum()) for each in documents)
    window = max(1, round(WINDOW * sum(map(len, documents)) / num_bytes))
    starts = [each.ids[1 : 1 + window] for each in documents if len(each) > window]
    if not starts:
        return {}
    try:
        text = model.origin.training_text(cache=cache, warn=warn)
    except UserError as error:
        warn(f"whether {treebank.name} was in the training text is not known: {error}")
        return {}
    wanted = np.unique(_hashes(np.concatenate(starts), window)[::window])
    found = np.zeros(len(wanted), dtype=bool)
    for hashes in _of_training(text, window):
        index = np.searchsorted(wanted, hashes).clip(max=len(wanted) - 1)
        found[index[wanted[index] == hashes]] = True
    if not found.any():
        return {}
    warn(
        f"{int(found.sum()):,} of {len(treebank.sentences):,} sentences of {treebank.name} stand "
        f"in the text that {model.path} was trained on: what its states tell of these may be "
        "remembered; probe another treebank, or train on another text"
    )
    return {WHAT: int(found.sum())}


def _of_training(text: Prepared, window: int) -> Iterator[UInt[ndarray, " N"]]:
    """Yield the hashes of all windows of a training text, piece by piece."""
    tokens = text.split("train").tokens
    for start in range(0, len(tokens), AT_ONCE):
        part = np.asarray(tokens[start : start + AT_ONCE + window - 1])
        if len(part) >= window:
            yield _hashes(part, window)


def _hashes(tokens: Integer[ndarray, " N"], window: int) -> UInt[ndarray, " M"]:
    """Return a hash of each window of tokens, in order."""
    num = len(tokens) - window + 1
    found = np.zeros(num, dtype=np.uint64)
    wide = tokens.astype(np.uint64) + np.uint64(1)
    for offset in range(window):
        found *= _FACTOR
        found += wide[offset : offset + num]
    found ^= found >> np.uint64(29)
    return found
