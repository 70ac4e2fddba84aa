"""Masked diffusion: hide a share of the tokens that is drawn from 0 to 1, predict all hidden ones.

Sahoo et al. 2024, MDLM (https://arxiv.org/abs/2406.07524); Nie et al. 2025, LLaDA. With the
log-linear schedule a token is hidden at time t with probability t, and its loss weighs 1/t, so that
the expected loss is a bound on the negative log-likelihood. The network is not told the time.
"""

from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from jaxtyping import Bool, Float
from pydantic import Field
from torch import Tensor

from lmcompare import rng as streams
from lmcompare.objectives.base import HfClass, Objective
from lmcompare.objectives.corruption.noise import first_by
from lmcompare.objectives.decoding.fill_request import DecodingMethod
from lmcompare.objectives.decoding.unmasking import unmasking
from lmcompare.objectives.network import Network
from lmcompare.objectives.scoring.masked import chains
from lmcompare.objectives.scoring_types import EVERY, Query, Scoring
from lmcompare.view import IGNORE, Text, View
from lmcompare.vocab import Vocab

STRATA = 8  # forward passes of one estimate of the bound


class Mdlm(Objective):
    """Any share of the tokens hidden, those predicted from the rest."""

    name: Literal["mdlm"] = "mdlm"
    least_time: float = Field(1e-3, gt=0, lt=1, description="t is uniform between this and 1")

    paper: ClassVar[str] = "Sahoo et al. 2024, MDLM; LLaDA"
    attention: ClassVar[str] = "both sides"
    predicts: ClassVar[str] = "hidden tokens at every rate of hiding"
    generates: ClassVar[str] = "in parallel, over steps of unmasking"

    @property
    def scorings(self) -> Mapping[str, Scoring]:
        return {
            "bound": Scoring(
                "bound",
                self._bound,
                given="both",
                answers=EVERY,
                protocol="random-orders",
                sampled=True,
                exact_alone=True,
            ),
            **chains(1.0, answers=EVERY),
        }

    @property
    def decoding_methods(self) -> Mapping[str, DecodingMethod]:
        methods = unmasking(self.read)
        return {"ancestral": methods["ancestral"], **methods}

    @property
    def needs(self) -> tuple[str, ...]:
        return (*super().needs, "mask")

    @property
    def hf_class(self) -> HfClass:
        return "masked"

    @property
    def hf_note(self) -> str:
        return (
            "It was trained at every share of masks up to all tokens: unmask in steps to generate."
        )

    def corrupt(
        self, text: Text, vocab: Vocab, rng: torch.Generator, *, progress: float = 1.0
    ) -> View:
        """Hide tokens at rates that are stratified over the rows, for less variance.

        A target weighs one over its row's rate, divided by the number of all tokens.

        With seed 2, "We hold these truths to be self-evident" becomes

            reads     [BOS] We [MASK] these truths [MASK] [MASK] [MASK]
            predicts  .     .  hold   .     .      to     be     self-evident
            weight    .     .  0.23   .     .      0.23   0.23   0.23
        """
        num_rows = len(text.tokens)
        draw = (torch.arange(num_rows) + torch.rand(num_rows, generator=rng)) / num_rows
        time = (self.least_time + (1 - self.least_time) * draw)[:, None]
        candidates = ~vocab.is_special(text.tokens)
        hidden = candidates & (torch.rand(candidates.shape, generator=rng) < time)
        return self._hide(text, vocab, hidden).predicting(
            text.tokens.masked_fill(~hidden, IGNORE),
            hidden / time / candidates.sum().clamp(min=1),
        )

    def read(self, text: Text, vocab: Vocab) -> View:
        return View.bidirectional(text.tokens, visible=text.visible, document=text.document)

    def _bound(self, net: Network, query: Query, vocab: Vocab) -> Float[Tensor, "B T"]:
        """Estimate the bound: hide k of n tokens, k stratified over 1 to n, their loss times n/k.

        Unbiased for the mean over all orders, and of lower variance than independent draws (LLaDA,
        appendix A). The draws of a row depend on its tokens, not on the rows beside it.
        """
        text, score_mask = query.text, query.score_mask
        count = score_mask.sum(1)
        rows = [
            streams.generator("bound", query.replicate, *tokens[visible].tolist())
            for tokens, visible in zip(text.tokens, text.visible, strict=True)
        ]
        scores = torch.zeros(text.tokens.shape)
        for stratum in range(STRATA):
            draw = torch.stack([torch.rand((), generator=row) for row in rows])
            num = ((stratum + draw) / STRATA * count).long().add(1).minimum(count.clamp(min=1))
            keys = torch.ones(text.tokens.shape)
            for row, stream in enumerate(rows):
                keys[row, score_mask[row]] = torch.rand(int(count[row]), generator=stream)
            hidden = first_by(keys, score_mask, num)
            target = text.tokens.masked_fill(~hidden, IGNORE)
            view = self._hide(text, vocab, hidden).predicting(target, hidden.float())
            scores += net.log_prob(view) * (count / num)[:, None] / STRATA
        return scores

    def _hide(self, text: Text, vocab: Vocab, hidden: Bool[Tensor, "B T"]) -> View:
        return View.bidirectional(
            text.tokens.masked_fill(hidden, vocab.mask),
            visible=text.visible,
            document=text.document,
        )
