"""Tell what is kept of the use of context: a record for each model, a line for each asked token."""

from collections.abc import Mapping
from typing import ClassVar, Literal, get_args

from pydantic import BaseModel, ConfigDict

from lmcompare.objectives import Likelihood
from lmcompare.runs.records import ResultRecord

Side = Literal["left", "right"]
SIDES: tuple[Side, ...] = get_args(Side)

# What happens to a side from a distance on: the text ends there, or its tokens are put in a random
# order, or those of another text take their places.
Change = Literal["cut", "shuffled", "replaced"]
CHANGES: tuple[Change, ...] = get_args(Change)


def key_of(change: Change, side: Side) -> str:
    """Return the name under which an item keeps what a change of a side does."""
    return f"{change} {side}"


class ContextRecord(ResultRecord):
    """`eval/context-*.json`: what a model gains from the context of a token, or why it cannot say.

    Distances begin with 0 and end with the reach, from which on there is nothing to change.
    """

    prefix: ClassVar[str] = "context"

    task: Literal["context"] = "context"
    reach: int  # tokens of context on each side, as far as the document has them
    distances: tuple[int, ...]
    num_tokens: int  # that were asked for
    num_curve_tokens: int  # the first of them, which were cut at each distance; with gradients
    num_changed_tokens: int  # the first of them, whose sides were shuffled and replaced
    num_texts: int  # stretches of text that they stand in
    scoring: str | None = None  # as all below: None where it cannot be asked
    likelihood: Likelihood | None = None
    given: Literal["left", "both"] | None = None  # what an answer can make use of
    nats: float | None = None  # of a token given its whole context, in the mean
    gain: Mapping[Side, float] | None = None  # nats by which a token costs less for the side
    # by distance from 1 on, the mean share of the gradient that falls on the token there
    gradient: Mapping[Side, tuple[float, ...]] | None = None
    reason: str | None = None  # why there is no answer

    @property
    def stem(self) -> str:
        return f"context-{self.source}-{self.text[:8]}"

    @property
    def named_by(self) -> Mapping[str, object]:
        return {"scoring": self.scoring, "given": self.given}

    @property
    def conditions(self) -> Mapping[str, object]:
        return {"asked_tokens": self.num_tokens, "reach": self.reach}

    @property
    def question(self) -> tuple[object, ...]:
        return self.task, self.source

    @property
    def headline(self) -> tuple[float, str] | None:
        return None if self.gain is None else (sum(self.gain.values()), "nats from context")

    @property
    def sides(self) -> tuple[Side, ...]:
        """Return the sides that an answer can make use of."""
        return SIDES if self.given == "both" else SIDES[:1]


class ContextItem(BaseModel):
    """A line of `eval/context-*.jsonl`: one asked token.

    Of each change of a side there is a value for each distance from which on it was made, in the
    order of the record's `distances`; of tokens that are cut at one distance for the first one
    alone. Where the distance is the reach nothing is changed, and that value is left out.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: int  # the number of the stretch of text that it stands in
    nats: float  # given its whole context
    lost: Mapping[str, tuple[float, ...]]  # nats that it costs more, by `key_of`
    moved: Mapping[str, tuple[float, ...]]  # cosine distance of the state that predicts it
    gradient_right: float | None = None  # the share of the gradient that falls to its right
