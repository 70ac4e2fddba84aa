"""What a score of tokens is: the question it answers, of which kind it is, and what computes it.

Everything that scores or writes stands above this module, and so do the objectives.
"""

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, field, fields
from typing import Any, Literal

from jaxtyping import Bool, Float
from torch import Tensor

from lmcompare.objectives.network import Network
from lmcompare.view import Text
from lmcompare.vocab import Vocab

# What a log-probability is: the model's own, a lower limit on it, or a score that is no likelihood
# at all.
Likelihood = Literal["exact", "bound", "pseudo"]

# What may be asked about: all of a text; tokens of it, given what stands on both sides of them; its
# end, given its beginning.
Question = Literal["text", "holes", "continuation"]
EVERY: tuple[Question, ...] = ("text", "continuation", "holes")
HOLES: tuple[Question, ...] = ("holes", "continuation")  # a text's end is a hole too

# Whether the number of tokens of each hole is given, or is part of what is asked for.
Form = Literal["told", "untold"]

# How several tokens are asked for: one after another in the order of the text, each given those
# before it; all at once, each by itself; one after another, always the one whose guess is the
# surest; or in orders that are drawn, over which a bound is the mean.
Protocol = Literal["in-order", "at-once", "surest-first", "random-orders"]

NEARLY = 1.25  # times as much as was ever hidden in training is no new question


@dataclass(frozen=True, kw_only=True)
class Query:
    """Tokens of a text to be scored, none of them special.

    Attributes:
        text: rows; each may be padded at its end.
        score_mask: which tokens to score.
        replicate: of a sampled scoring: which of the estimates.
    """

    text: Text
    score_mask: Bool[Tensor, "B T"]
    replicate: int = 0


# Return the natural log-probability of each token that a query asks about, 0 elsewhere; raise
# `Unsupported` where these tokens cannot be scored so.
ScoreFunction = Callable[[Network, Query, Vocab], Float[Tensor, "B T"]]


@dataclass(frozen=True)
class Scoring:
    """A way to score tokens of a text.

    Attributes:
        likelihood: what the score is.
        log_prob: what computes it. Of a bound, only the sum over a row's tokens means something.
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
    log_prob: ScoreFunction = field(compare=False, repr=False)
    _: KW_ONLY
    given: Literal["left", "both"]
    answers: tuple[Question, ...]
    protocol: Protocol = "in-order"
    form: Form = "told"
    sampled: bool = False
    weighs_all: bool = False
    exact_alone: bool = False
    hides: float = 1.0

    @property
    def any_length(self) -> bool:
        """Tell whether it asks for holes whose length is not told."""
        return self.form == "untold"

    def facts(self) -> dict[str, Any]:
        """Return all that it says of itself, by name, without what computes it."""
        return {
            each.name: getattr(self, each.name) for each in fields(self) if each.name != "log_prob"
        }

    def likelihood_of(self, most: int) -> Likelihood:
        """Return what the score is where at most so many tokens of a text are asked for."""
        return "exact" if self.exact_alone and most == 1 else self.likelihood

    def is_new(self, share: float) -> bool:
        """Return whether training never hid so large a share of a text, nor nearly so large a one.

        Args:
            share: of the tokens of a text, 0 to 1.
        """
        return share > self.hides * NEARLY
