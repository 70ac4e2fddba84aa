"""What a pre-training objective is: a frozen value of hyper-parameters with verbs.

Corruption, attention, loss and scoring of an objective all stand behind the one class here, one
file per objective. Nothing outside this folder ever asks which objective it holds.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar, Literal

import torch
from jaxtyping import Bool, Float
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from lmcompare.errors import Unsupported, UserError, did_you_mean
from lmcompare.objectives.decoding.fill_request import (
    HOLES,
    DecodingMethod,
    FillRequest,
    FillResult,
    Holes,
)
from lmcompare.objectives.decoding.sampler import Sampler
from lmcompare.objectives.network import Network, Writer
from lmcompare.objectives.scoring_types import Query, Question, Scoring
from lmcompare.view import Text, View
from lmcompare.vocab import Vocab

# What kind of model a trained network is to Hugging Face transformers.
HfClass = Literal["causal", "masked"]

# what to do where a block has no room for a corruption
LONGER = "choose longer blocks (batch.length; of `lmcompare show --text`, a longer text)"


class Objective(BaseModel, ABC):
    """A pre-training objective; its fields are its hyper-parameters.

    Class attributes, all in words for tables:
        paper: where it comes from.
        attention: who sees whom.
        predicts: what it predicts.
        generates: how it can write.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    paper: ClassVar[str]
    attention: ClassVar[str]
    predicts: ClassVar[str]
    generates: ClassVar[str]

    @property
    @abstractmethod
    def scorings(self) -> Mapping[str, Scoring]:
        """Return its ways to score tokens; the first that answers a question is the usual one."""

    @property
    def decoding_methods(self) -> Mapping[str, DecodingMethod]:
        """Return its ways to write; the first is the usual one."""
        return {}

    @property
    def needs(self) -> tuple[str, ...]:
        """Return the roles of the vocabulary that it cannot do without."""
        return ("bos", "eos", "pad")

    @property
    def encodes(self) -> bool:
        """Tell whether its views have a source, which an encoder reads."""
        return False

    @property
    def mixture(self) -> "Mapping[str, Objective]":
        """Return the objectives that this one mixes, by their names; none by default."""
        return {}

    @property
    def hf_class(self) -> HfClass | None:
        """Return which kind of Hugging Face model its trained network is, if it is one."""
        return None

    @property
    def why_no_hf_class(self) -> str:
        """Say why it is not one, as the end of a sentence."""
        return "transformers has no class that computes what its network does"

    @property
    def hf_note(self) -> str:
        """Say what a user of that model must know, as a sentence; empty if nothing."""
        return ""

    def require(self, vocab: Vocab, *, length: int) -> None:
        """Make sure that blocks of `length` tokens of this vocabulary can be corrupted.

        Raises:
            UserError: the tokenizer lacks a token, or the blocks are too short or too long.
        """
        for role in self.needs:
            vocab.require(role)

    def choose_scoring(self, scoring: str | None, question: Question = "text") -> str:
        """Return the scoring that is meant: the one named, or the usual one for a question.

        Raises:
            Unsupported: this objective has no such scoring.
        """
        if scoring is None:
            answers = (name for name, how in self.scorings.items() if question in how.answers)
            scoring = next(answers, None)
            if scoring is None:
                raise Unsupported(f"{self.name} gives no likelihood of a {question}")
        if scoring not in self.scorings:
            raise Unsupported(
                f"{self.name} cannot be scored by '{scoring}': "
                f"{did_you_mean(scoring, self.scorings)}"
            )
        return scoring

    def choose_decoding_method(
        self, method: str | None, sampler: Sampler, *, holes: Holes, any_length: bool
    ) -> str:
        """Return the method that is meant: the one named, or the first that can fill such holes.

        Raises:
            Unsupported: it cannot write, or not in this way, or cannot fill such holes.
            UserError: the sampler has settings that are of no use to this way, or to such holes.
        """
        known = self.decoding_methods
        if not known:
            raise Unsupported(f"{self.name} does not write")
        if method is not None and method not in known:
            raise Unsupported(
                f"{self.name} does not write by '{method}': {did_you_mean(method, known)}"
            )
        names = list(known) if method is None else [method]
        able = [name for name in names if self._why_not(name, holes, any_length) is None]
        if not able:
            raise Unsupported(f"{self.name} {self._why_not(names[-1], holes, any_length)}")
        chosen = known[able[0]]
        if idle := chosen.idle(sampler, any_length=any_length):
            where = "" if chosen.idle(sampler) else " where no number of tokens is given"
            raise UserError(
                f"{self.name} writes by {able[0]}, which has no use for {' and '.join(idle)}"
                f"{where}: leave that out, or choose another method ({', '.join(known)})"
            )
        return able[0]

    def _why_not(self, name: str, holes: Holes, any_length: bool) -> str | None:
        """Say why a method cannot fill such holes; None if it can."""
        method = self.decoding_methods[name]
        if HOLES.index(holes) > HOLES.index(method.holes):
            able = {"end": "writes at the end of a text only", "one": "fills one hole of a text"}
            found = {"one": "continues after its hole", "any": "has several holes"}[holes]
            wanted = {"one": "a hole", "any": "several"}[holes]
            return (
                f"{able[method.holes]}, and this one {found}: "
                f"choose an objective that fills {wanted}"
            )
        if any_length and not method.any_length:
            where, option = ("a text", "max_new") if holes == "end" else ("a hole", "hole")
            return f"does not say where {where} ends: give a number of tokens (`{option}_tokens=`)"
        return None

    @abstractmethod
    def corrupt(
        self, text: Text, vocab: Vocab, rng: torch.Generator, *, progress: float = 1.0
    ) -> View:
        """Make a training batch: what the network sees of `text` and must predict, with weights.

        Args:
            text: whole rows of a training step, so that weights can be normalised over all of it.
            vocab: which ids are text.
            rng: the only source of randomness.
            progress: share of the training budget spent, 0 to 1, for objectives with a schedule.
        """

    @abstractmethod
    def read(self, text: Text, vocab: Vocab) -> View:
        """Return clean text as this objective's model reads it, without targets.

        Probes and fine-tuning take it.

        Position i of the view is token i of the text. A view without a source is read by the
        encoder, where there is one.
        """

    def score(
        self,
        net: Network,
        text: Text,
        vocab: Vocab,
        score_mask: Bool[Tensor, "B T"],
        *,
        scoring: str | None = None,
        replicate: int = 0,
    ) -> Float[Tensor, "B T"]:
        """Return the natural log-probability of each token of a mask, 0 elsewhere.

        Of a bound, only the sum over a row's tokens means something.

        Args:
            net: the model.
            text: rows to score; a row may be padded at its end.
            vocab: which ids are text.
            score_mask: which tokens to score; specials never are, in the mask or not.
            scoring: one of `scorings`; the first by default.
            replicate: of a sampled scoring: which of the estimates.

        Raises:
            Unsupported: it has no such scoring, or it cannot score these tokens so.
        """
        chosen = self.scorings[self.choose_scoring(scoring)]
        mask = score_mask & ~vocab.is_special(text.tokens)
        return chosen.log_prob(net, Query(text=text, score_mask=mask, replicate=replicate), vocab)

    def fill(self, net: Writer, request: FillRequest, vocab: Vocab) -> FillResult:
        """Write into the holes of a text.

        Args:
            net: the model.
            request: the text, and how to fill its holes.
            vocab: which ids are text; others are never written.

        Raises:
            Unsupported: it cannot fill these holes.
        """
        method = self.choose_decoding_method(
            request.method, request.sampler, holes=request.kind, any_length=request.any_length
        )
        if not request.holes.any():
            none = request.holes.long()[:, :0]
            return FillResult(token=none, index=none, holes=request.holes)
        # nothing may come of what stands in a hole, and special tokens are no part of one
        tokens = request.text.tokens.masked_fill(request.holes, int(vocab.regular[0]))
        text = replace(request.text, tokens=tokens)
        return self.decoding_methods[method].fill(net, replace(request, text=text), vocab)
