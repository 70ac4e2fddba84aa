"""The layers of one model, ready to be compared: features on disk, and a sample of words."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray

from lmcompare import rng
from lmcompare.evaluation.similarity.measures import hsic_and_without, whitening
from lmcompare.evaluation.similarity.moments import Moments, Stored, features, groups_of, moments
from lmcompare.evaluation.similarity.patterns import SAMPLE, SampledLayers, centered
from lmcompare.evaluation.states.word_states import States, mean_of

GROUPS = 20  # of neighbouring words, over which the jackknife goes


@dataclass(frozen=True, kw_only=True, eq=False)
class Places:
    """Where the groups and the sample of some words lie among them.

    Attributes:
        groups: of neighbouring words.
        sample: the numbers of the words of the sample, in order.
    """

    groups: Sequence[range]
    sample: Int[ndarray, " M"]

    @staticmethod
    def of(first: Int[ndarray, " R1"]) -> "Places":
        """Return those of words that lie in texts; a text is in one group as a whole."""
        num = int(first[-1])
        draw = torch.randperm(num, generator=rng.generator("sample of words", num))
        return Places(
            groups=groups_of(first[:-1].tolist(), num, GROUPS),
            sample=np.sort(draw[:SAMPLE].numpy()),
        )

    @property
    def starts(self) -> Int[ndarray, " G"]:
        """Return where the groups begin among the words of the sample; none of them is empty."""
        found = np.unique(np.searchsorted(self.sample, [each.start for each in self.groups]))
        return found[found < len(self.sample)]


@dataclass(frozen=True, kw_only=True, eq=False)
class StoredLayer:
    """A layer of a model.

    Attributes:
        features: of all words.
        own: a file of its sums with itself, group by group.
        hsic: with itself, of all words and without each group.
        sampled: the states of the sample, centred.
    """

    features: Stored
    own: Path
    hsic: Float[ndarray, " G1"]
    sampled: Float[ndarray, "M D"]

    @property
    def sums(self) -> Moments:
        """Return its sums with itself."""
        return Moments(product=np.load(self.own).astype(np.float64))

    @cached_property
    def whitening(self) -> Float[ndarray, "D K"]:
        """Return what makes its leading directions uncorrelated."""
        return whitening(self.sums.total.centered)


@dataclass(frozen=True, kw_only=True, eq=False)
class Layers:
    """The layers of a model, read in one way."""

    numbers: Sequence[int]
    layers: Sequence[StoredLayer]
    places: Places

    @cached_property
    def sampled(self) -> SampledLayers:
        """Return the sample in all layers."""
        return SampledLayers(
            states=[each.sampled for each in self.layers], starts=self.places.starts
        )


def layers_of(
    states: States,
    places: Places,
    folder: Path,
    *,
    report: Callable[[float], None] = lambda share: None,
) -> Layers:
    """Make the layers of a model from the states of its words, in constant memory.

    Args:
        states: of all words.
        places: of their groups, and of the sample.
        folder: where they are put.
        report: told the share that is done, 0 to 1.

    Raises:
        UserError: a state is no number.
    """
    found = []
    for done, number in enumerate(states.layers, start=1):
        found.append(_layer(states, number, places, folder))
        report(done / len(states.layers))
    return Layers(numbers=[*states.layers], layers=found, places=places)


def _layer(states: States, number: int, places: Places, folder: Path) -> StoredLayer:
    mean, spread = mean_of(states, number)
    stored = Stored.of(
        folder / f"features-{number}",
        (features(block, mean, spread or 1.0) for block in states.blocks(number)),
    )
    sums = moments(stored, stored, places.groups)
    own = folder / f"own-{number}.npy"
    np.save(own, sums.product.astype(np.float32))
    return StoredLayer(
        features=stored,
        own=own,
        hsic=hsic_and_without(sums),
        sampled=centered(np.asarray(states.layer(number)[places.sample])),
    )


def bytes_of(num_words: int, width: int) -> int:
    """Return the bytes that a layer takes on disk."""
    return 4 * (width + 2) * (num_words + GROUPS * (width + 2))
