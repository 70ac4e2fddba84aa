"""Texts with holes, how they can be filled, and what is written into them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lmcompare.objectives.corruption.noise import NO_INDEX
from lmcompare.objectives.corruption.spans import runs
from lmcompare.objectives.decoding.sampler import Sampler
from lmcompare.objectives.network import Writer
from lmcompare.view import Text
from lmcompare.vocab import Vocab

# Which holes can be filled: one at the end of a text; one anywhere; any number of them.
Holes = Literal["end", "one", "any"]


HOLES: tuple[Holes, ...] = ("end", "one", "any")  # each is a case of the next


@dataclass(frozen=True)
class DecodeStep:
    """What one step of decoding wrote: N tokens.

    A token may be written over later; the mask takes one back. In a hole of any length, the tokens
    of one index come one after another.
    """

    row: Int[Tensor, " N"]
    index: Int[Tensor, " N"]  # in the text
    token: Int[Tensor, " N"]
    probability: Float[Tensor, " N"]  # that the model gave it, before the sampler


@dataclass(frozen=True, kw_only=True)
class FillRequest:
    """A text with holes, and how they are to be filled.

    Attributes:
        text: what stands in its holes is of no account.
        holes: tokens to be written.
        any_length: a run of holes stands for any number of tokens; else for as many as it has.
        limit: of any length: tokens of a hole at most.
        method: one of the objective's decoding methods; by default the first that can.
        sampler: how tokens are chosen.
        generators: the only source of randomness: one a row, so that rows do not depend on others.
        on_step: told of each step; not of a search with beams, which writes several texts.
        should_stop: asked after each step from left to right, beams excepted, whether to write no
            more.
    """

    text: Text
    holes: Bool[Tensor, "B T"]
    any_length: bool
    limit: int
    sampler: Sampler
    generators: tuple[torch.Generator, ...]
    method: str | None = None
    on_step: Callable[[DecodeStep], None] | None = None
    should_stop: Callable[[DecodeStep], bool] | None = None

    @property
    def kind(self) -> Holes:
        """Say which holes these are."""
        if (runs(self.holes).total > 1).any():
            return "any"
        after = self.text.visible & ~self.holes & (self.holes.cumsum(1) > 0)
        return "one" if after.any() else "end"

    def uniform(self, num: int) -> Float[Tensor, "B {num}"]:
        """Draw the next numbers of each row, 0 to 1."""
        return torch.stack(
            [torch.rand(num, generator=row, dtype=torch.float64) for row in self.generators]
        )

    def uniform_at(self, chosen: Bool[Tensor, "B T"]) -> Float[Tensor, "B T"]:
        """Draw them for the chosen tokens only, so that they do not depend on padding."""
        numbers = torch.zeros(chosen.shape, dtype=torch.float64)
        for row, generator in enumerate(self.generators):
            num = int(chosen[row].sum())
            numbers[row, chosen[row]] = torch.rand(num, generator=generator, dtype=torch.float64)
        return numbers


@dataclass(frozen=True, kw_only=True)
class FillResult:
    """Tokens that were written, row by row in the order in which they were.

    NO_TOKEN and NO_INDEX stand where a row has fewer than others.
    """

    token: Int[Tensor, "B N"]
    index: Int[Tensor, "B N"]  # in the text
    holes: Bool[Tensor, "B T"]  # all of the text that they take the place of

    def in_order(self, row: int) -> list[tuple[int, int]]:
        """Return index and token of all that was written into a row, in the order of the text."""
        pairs = zip(self.index[row].tolist(), self.token[row].tolist(), strict=True)
        return sorted((pair for pair in pairs if pair[0] != NO_INDEX), key=itemgetter(0))


# Fill the holes of a request, of a kind that the method can fill.
FillFunction = Callable[[Writer, FillRequest, Vocab], FillResult]


@dataclass(frozen=True)
class DecodingMethod:
    """A way to fill the holes of a text.

    Attributes:
        holes: which ones.
        fill: what fills them.
        settings: of the sampler, those that it obeys.
        in_order: it writes a hole from left to right.
        any_length: it says itself how long a hole is.
        want_length: of the settings, those that are of no use where it does.
    """

    holes: Holes
    fill: FillFunction = field(compare=False, repr=False)
    settings: frozenset[str]
    in_order: bool = False
    any_length: bool = False
    want_length: frozenset[str] = frozenset()

    def idle(self, sampler: Sampler, *, any_length: bool = False) -> list[str]:
        """Return what was set and is of no use: in all, or in holes of any length."""
        useful = self.settings - self.want_length if any_length else self.settings
        return sorted(sampler.model_fields_set - useful)
