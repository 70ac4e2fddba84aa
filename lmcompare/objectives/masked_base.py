"""What masked objectives share: which tokens are hidden, and what stands in their place."""

from typing import Literal

import torch
from jaxtyping import Bool, Int
from pydantic import Field, model_validator
from torch import Tensor

from lmcompare.objectives.base import Objective
from lmcompare.objectives.corruption.noise import (
    replace_tokens,
    spans_at_rate,
    tokens_at_rate,
    words_at_rate,
)
from lmcompare.view import Text
from lmcompare.vocab import Vocab


class Masking(Objective):
    """The settings of BERT's corruption (Devlin et al. 2019, section 3.1) and of its variants."""

    rate: float = Field(0.15, gt=0, lt=1, description="share of tokens to predict")
    final_rate: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="if given, the rate moves to it in a straight line over training",
    )
    select: Literal["token", "word", "span"] = Field(
        "token", description="what is chosen as a whole"
    )
    masked: float = Field(0.8, ge=0, le=1, description="share of the chosen that becomes the mask")
    random: float = Field(0.1, ge=0, le=1, description="share that becomes a random token")

    @property
    def hides(self) -> float:
        """Return the greatest share of a text that it hides at once, in the mean."""
        return max(self.rate, self.final_rate or 0.0)

    @property
    def needs(self) -> tuple[str, ...]:
        return (*super().needs, "mask")

    @model_validator(mode="after")
    def _shares_fit(self) -> "Masking":
        if self.masked + self.random > 1:
            raise ValueError(
                f"masked {self.masked} and random {self.random} are shares of the same tokens and "
                "add up to more than 1: lower one of them"
            )
        return self

    def hide(
        self, text: Text, vocab: Vocab, rng: torch.Generator, *, progress: float
    ) -> tuple[Int[Tensor, "B T"], Bool[Tensor, "B T"]]:
        """Choose tokens to predict, and return what is fed and which ones were chosen."""
        final = self.rate if self.final_rate is None else self.final_rate
        rate = self.rate + (final - self.rate) * min(progress, 1.0)
        candidates = ~vocab.is_special(text.tokens)
        if self.select == "token":
            chosen = tokens_at_rate(candidates, rate, rng)
        elif self.select == "word":
            chosen = words_at_rate(candidates, text.word, rate, rng)
        else:
            chosen = spans_at_rate(candidates, text.word, rate, rng)
        tokens = replace_tokens(
            text.tokens, chosen, vocab, rng, masked=self.masked, random=self.random
        )
        return tokens, chosen
