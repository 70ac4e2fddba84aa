"""Texts with holes, and what is written into them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lmcompare.objectives.corruption.spans import runs
from lmcompare.objectives.decoding.sampler import Sampler
from lmcompare.view import Text

# Which holes can be filled: one at the end of a text; one anywhere; any number of them.
Holes = Literal["end", "one", "any"]


HOLES: tuple[Holes, ...] = ("end", "one", "any")  # each is a case of the next


@dataclass(frozen=True)
class DecodingMethod:
    """A way to fill the holes of a text.

    Attributes:
        holes: which ones.
        settings: of the sampler, those that it obeys.
        any_length: it says itself how long a hole is.
        want_length: of the settings, those that are of no use where it does.
    """

    holes: Holes
    settings: frozenset[str]
    any_length: bool = False
    want_length: frozenset[str] = frozenset()

    def idle(self, sampler: Sampler, *, any_length: bool = False) -> list[str]:
        """What was set and is of no use: in all, or in a hole of any length."""
        useful = self.settings - self.want_length if any_length else self.settings
        return sorted(sampler.model_fields_set - useful)


@dataclass(frozen=True)
class DecodeStep:
    """What one step of decoding wrote: N tokens.

    A token may be written over later; the mask takes one back. In a hole of any length, the tokens
    of one place come one after another.
    """

    row: Int[Tensor, " N"]
    place: Int[Tensor, " N"]  # in the text
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
        method: one of the objective's `fillings`; by default the first that can.
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
        """Which holes these are."""
        if (runs(self.holes).total > 1).any():
            return "any"
        behind = self.text.visible & ~self.holes & (self.holes.cumsum(1) > 0)
        return "one" if behind.any() else "end"

    def uniform(self, num: int) -> Float[Tensor, "B {num}"]:
        """The next numbers of each row, 0 to 1."""
        return torch.stack(
            [torch.rand(num, generator=row, dtype=torch.float64) for row in self.generators]
        )

    def uniform_at(self, chosen: Bool[Tensor, "B T"]) -> Float[Tensor, "B T"]:
        """The same at the chosen places only, so that they do not depend on padding."""
        numbers = torch.zeros(chosen.shape, dtype=torch.float64)
        for row, generator in enumerate(self.generators):
            num = int(chosen[row].sum())
            numbers[row, chosen[row]] = torch.rand(num, generator=generator, dtype=torch.float64)
        return numbers


@dataclass(frozen=True, kw_only=True)
class FillResult:
    """Tokens that were written, in their order, row by row; NOTHING where there is none."""

    token: Int[Tensor, "B N"]
    place: Int[Tensor, "B N"]  # in the text
    holes: Bool[Tensor, "B T"]  # all of the text whose place they take
