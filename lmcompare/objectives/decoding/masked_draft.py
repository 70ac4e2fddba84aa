"""A text whose holes are masks, while a model that sees both sides writes it."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lmcompare.objectives.decoding.fill_request import DecodeStep, FillRequest
from lmcompare.objectives.network import Writer
from lmcompare.view import Text, View
from lmcompare.vocab import Vocab


@dataclass(kw_only=True)
class MaskGuess:
    """What a model predicts of some tokens of a text; 0 elsewhere."""

    token: Int[Tensor, "B T"]
    sure: Float[Tensor, "B T"]  # probability of that token
    entropy: Float[Tensor, "B T"]  # nats
    drawn: Float[Tensor, "B T"]  # log-probability with which that token was drawn
    before: Float[Tensor, "B T"]  # the same of the token that stood there


@dataclass(kw_only=True)
class MaskedDraft:
    """A text that is being written, and what writes it."""

    net: Writer
    request: FillRequest
    vocab: Vocab
    read: Callable[[Text, Vocab], View]  # what the model sees of a text
    shift: int  # a token is predicted so many positions before its own
    tokens: Int[Tensor, "B T"]

    def guess(self, where: Bool[Tensor, "B T"]) -> MaskGuess:
        """Guess each of these tokens, all of which the model sees masked."""
        tokens = self.tokens.masked_fill(where, self.vocab.mask)
        view = self.read(replace(self.request.text, tokens=tokens), self.vocab)
        logits = self.net.logits(view, where.roll(-self.shift, dims=1))
        special = self.vocab.is_special(torch.arange(self.vocab.size))
        banned = special.nonzero()[:, 0].to(logits.device)
        shaped = self.request.sampler.shape(logits, banned=banned)
        chosen = self.request.sampler.choose(shaped, self.request.uniform_at(where)[where])
        log_prob, law = logits.float().log_softmax(1), shaped.log_softmax(1)
        here = self.tokens[where].to(logits.device)

        def back(found: Tensor) -> Tensor:
            blank = torch.zeros(where.shape, dtype=found.dtype)
            return blank.masked_scatter_(where, found.cpu())

        return MaskGuess(
            token=back(chosen),
            sure=back(log_prob.gather(1, chosen[:, None])[:, 0].exp()),
            entropy=back(-(log_prob.exp() * log_prob).sum(1)),
            drawn=back(law.gather(1, chosen[:, None])[:, 0]),
            before=back(law.gather(1, here[:, None])[:, 0]),
        )

    def put(self, chosen: Bool[Tensor, "B T"], guess: MaskGuess) -> None:
        """Write these tokens."""
        self.tokens = torch.where(chosen, guess.token, self.tokens)
        self._tell(chosen, guess.sure)

    def take_back(self, chosen: Bool[Tensor, "B T"]) -> None:
        """Mask these tokens."""
        self.tokens = self.tokens.masked_fill(chosen, self.vocab.mask)
        self._tell(chosen, torch.zeros(chosen.shape))

    def _tell(self, chosen: Bool[Tensor, "B T"], sure: Float[Tensor, "B T"]) -> None:
        if self.request.on_step is not None and chosen.any():
            row, index = chosen.nonzero(as_tuple=True)
            token = self.tokens[row, index]
            self.request.on_step(
                DecodeStep(row=row, index=index, token=token, probability=sure[row, index])
            )
