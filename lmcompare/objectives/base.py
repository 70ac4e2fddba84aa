"""What a pre-training objective is: a frozen value of hyper-parameters with verbs.

Corruption, attention, loss and scoring of an objective all stand behind the one class here, one
file per objective. Nothing outside this folder ever asks which objective it holds.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
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
from lmcompare.view import Text, View
from lmcompare.vocab import Vocab

# What a log-probability is: the model's own, a lower limit on it, or a score that is no likelihood
# at all.
Likelihood = Literal["exact", "bound", "pseudo"]

# What kind of model a trained network is to Hugging Face transformers.
Native = Literal["causal", "masked"]

# What may be asked about: all of a text; tokens of it, given what stands on both sides of them; its
# end, given its beginning.
Question = Literal["text", "holes", "continuation"]
EVERY: tuple[Question, ...] = ("text", "continuation", "holes")

# Whether the number of tokens of each hole is given, or is part of what is asked for.
Form = Literal["told", "untold"]

# How several tokens are asked for: one after another in the order of the text, each given those
# before it; all at once, each by itself; one after another, always the one whose guess is the
# surest; or in orders that are drawn, over which a bound is the mean.
Protocol = Literal["in-order", "at-once", "surest-first", "random-orders"]

NEARLY = 1.25  # times as much as was ever hidden in training is no new question

# what to do where a block has no room for a corruption
LONGER = "choose longer blocks (batch.length; in `lmcompare show`, a longer --text)"


@dataclass(frozen=True)
class Scoring:
    """A way to score tokens of a text.

    Attributes:
        likelihood: what the score is.
        given: what a token's score can make use of: only what stands before it, or both sides.
        answers: the questions that it answers.
        protocol: how several tokens are asked for.
        form: whether it is told how long each hole is; else it pays for where a hole ends, and
            its sum is the log-probability of the hidden tokens and of their ends.
        sampled: it is an estimate; another `replicate` is another estimate.
        weighs_all: it takes a pass for each token of the vocabulary.
        exact_alone: of a bound: over one token of a text there is nothing to bound.
        hides: the greatest share of a text that was hidden in training from a model that had to
            predict so.
    """

    likelihood: Likelihood
    given: Literal["left", "both"]
    answers: tuple[Question, ...]
    protocol: Protocol = "in-order"
    form: Form = "told"
    sampled: bool = False
    weighs_all: bool = False
    exact_alone: bool = False
    hides: float = 1.0

    def likelihood_of(self, most: int) -> Likelihood:
        """What the score is where so many tokens of a text are asked for at most."""
        return "exact" if self.exact_alone and most == 1 else self.likelihood

    def is_new(self, share: float) -> bool:
        """Whether training never hid so large a share of a text, nor nearly so large a one."""
        return share > self.hides * NEARLY


@dataclass(frozen=True, kw_only=True)
class Query:
    """Tokens of a text to be scored, none of them special, and how."""

    text: Text
    asked: Bool[Tensor, "B T"]
    scoring: str
    replicate: int


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
        """The ways in which it can score tokens; the first that answers a question is usual."""

    @property
    def fillings(self) -> Mapping[str, DecodingMethod]:
        """The ways in which it can write; the first is usual."""
        return {}

    @property
    def needs(self) -> tuple[str, ...]:
        """Roles of the vocabulary that it cannot do without."""
        return ("bos", "eos", "pad")

    @property
    def encodes(self) -> bool:
        """Whether its views have a source, which an encoder reads."""
        return False

    @property
    def native(self) -> Native | None:
        """Which kind of Hugging Face model its trained network is, if it is one."""
        return None

    @property
    def not_native(self) -> str:
        """Why it is none, as the end of a sentence."""
        return "transformers has no class that computes what its network does"

    @property
    def native_note(self) -> str:
        """What a user of that model must know of it, as a sentence; empty if nothing."""
        return ""

    def require(self, vocab: Vocab, *, length: int) -> None:
        """Make sure that blocks of `length` tokens of this vocabulary can be corrupted.

        Raises:
            UserError: the tokenizer lacks a token, or the blocks are too short or too long.
        """
        for role in self.needs:
            vocab.require(role)

    def which_scoring(self, scoring: str | None, question: Question = "text") -> str:
        """The scoring that is meant: the one named, or the usual one for a question.

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

    def which_filling(
        self, method: str | None, sampler: Sampler, *, holes: Holes, any_length: bool
    ) -> str:
        """The way to write that is meant: the one named, or the first that can fill such holes.

        Raises:
            Unsupported: it cannot write, or not in this way, or cannot fill such holes.
            UserError: the sampler has settings that are of no use to this way, or to such holes.
        """
        if not self.fillings:
            raise Unsupported(f"{self.name} does not write")
        if method is not None and method not in self.fillings:
            raise Unsupported(
                f"{self.name} does not write by '{method}': {did_you_mean(method, self.fillings)}"
            )
        ways = list(self.fillings) if method is None else [method]
        able = [way for way in ways if self._why_not(way, holes, any_length) is None]
        if not able:
            raise Unsupported(f"{self.name} {self._why_not(ways[-1], holes, any_length)}")
        method = able[0]
        filling = self.fillings[method]
        if idle := filling.idle(sampler, any_length=any_length):
            where = "" if filling.idle(sampler) else " where no number of tokens is given"
            raise UserError(
                f"{self.name} writes by {method}, which has no use for {' and '.join(idle)}"
                f"{where}: leave that out, or choose another method ({', '.join(self.fillings)})"
            )
        return method

    def _why_not(self, method: str, holes: Holes, any_length: bool) -> str | None:
        filling = self.fillings[method]
        if HOLES.index(holes) > HOLES.index(filling.holes):
            able = {"end": "writes at the end of a text only", "one": "fills one hole of a text"}
            found = {"one": "goes on behind its hole", "any": "has several holes"}[holes]
            wanted = {"one": "a hole", "any": "several"}[holes]
            return (
                f"{able[filling.holes]}, and this one {found}: "
                f"choose an objective that fills {wanted}"
            )
        if any_length and not filling.any_length:
            where, option = ("a text", "max-new") if holes == "end" else ("a hole", "hole")
            return f"does not say where {where} ends: give a number of tokens (--{option}-tokens)"
        return None

    @abstractmethod
    def corrupt(
        self, text: Text, vocab: Vocab, rng: torch.Generator, *, progress: float = 1.0
    ) -> View:
        """A training batch: what the network sees of `text` and must predict, weights adding up.

        Args:
            text: whole rows of a training step, so that weights can be normalised over all of it.
            vocab: which ids are text.
            rng: the only source of randomness.
            progress: share of the training budget spent, 0 to 1, for objectives with a schedule.
        """

    @abstractmethod
    def read(self, text: Text, vocab: Vocab) -> View:
        """Clean text as this objective's model reads it: for probes and fine-tuning. No targets.

        Position i of the view is token i of the text. A view without a source is read by the
        encoder, where there is one.
        """

    def score(
        self,
        net: Network,
        text: Text,
        vocab: Vocab,
        asked: Bool[Tensor, "B T"],
        *,
        scoring: str | None = None,
        replicate: int = 0,
    ) -> Float[Tensor, "B T"]:
        """Natural log-probability of each asked token, 0 elsewhere.

        Of a bound, only the sum over a row's asked tokens means something.

        Args:
            net: the model.
            text: rows to score; a row may be padded at its end.
            vocab: which ids are text.
            asked: which tokens to score; specials are never scored, asked or not.
            scoring: one of `scorings`; the first by default.
            replicate: of a sampled scoring: which of the estimates.

        Raises:
            Unsupported: it has no such scoring, or it cannot score what is asked.
        """
        scoring = self.which_scoring(scoring)
        asked = asked & ~vocab.is_special(text.tokens)
        query = Query(text=text, asked=asked, scoring=scoring, replicate=replicate)
        return self.answer(net, query, vocab)

    @abstractmethod
    def answer(self, net: Network, query: Query, vocab: Vocab) -> Float[Tensor, "B T"]:
        """The scores of a query that `score` has put; as there.

        Raises:
            Unsupported: it cannot score what is asked.
        """

    def fill(self, net: Writer, blanks: FillRequest, vocab: Vocab) -> FillResult:
        """Write into the holes of a text.

        Args:
            net: the model.
            blanks: the text, and how to fill its holes.
            vocab: which ids are text; others are never written.

        Raises:
            Unsupported: it cannot fill these holes.
        """
        method = self.which_filling(
            blanks.method, blanks.sampler, holes=blanks.kind, any_length=blanks.any_length
        )
        if not blanks.holes.any():
            nothing = blanks.holes.long()[:, :0]
            return FillResult(token=nothing, place=nothing, holes=blanks.holes)
        # nothing may come of what stands in a hole, and special tokens are no part of one
        tokens = blanks.text.tokens.masked_fill(blanks.holes, int(vocab.regular[0]))
        text = replace(blanks.text, tokens=tokens)
        return self.write(net, replace(blanks, text=text, method=method), vocab)

    def write(self, net: Writer, blanks: FillRequest, vocab: Vocab) -> FillResult:
        """What `fill` returns, of holes that a filling of this objective can fill."""
        raise Unsupported(f"{self.name} does not write")
