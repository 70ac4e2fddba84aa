"""What is kept of hidden tokens: a record for each question, a line for each text."""

from collections.abc import Mapping
from typing import ClassVar, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict

from lmcompare.objectives import Form, Likelihood, Protocol, Question, all_scorings
from lmcompare.runs.records import LN2, TextRecord

# how much of a text is hidden: one token, a share of its tokens, or its end
Hidden = Literal["one", "15%", "50%", "second half"]


class HiddenTokens(NamedTuple):
    """What a question hides of a text, and what it asks of an objective."""

    share: float  # of the text's tokens; at least one token
    asks: Question
    given: str = "both sides"  # what the model is shown, in words


QUESTIONS: Mapping[Hidden, HiddenTokens] = {
    "one": HiddenTokens(0.0, "holes"),
    "15%": HiddenTokens(0.15, "holes"),
    "50%": HiddenTokens(0.5, "holes"),
    "second half": HiddenTokens(0.5, "continuation", "first half"),
}


class InfillingRecord(TextRecord):
    """`eval/infilling-*.json`: what a model makes of hidden tokens, or why it makes nothing."""

    prefix: ClassVar[str] = "infilling"

    task: Literal["infilling"] = "infilling"
    hidden: Hidden
    form: Form | None = None  # whether the length of each hole was told; None: not kept then
    protocol: Protocol | None = None  # how several tokens were asked for
    length: int  # tokens of a text at most, beside the start token
    num_texts: int
    scoring: str | None = None  # as all below: None where there is no answer
    likelihood: Likelihood | None = None
    given: Literal["left", "both"] | None = None  # what a token's score can make use of
    nats: float | None = None  # minus the log-probability of all that was asked for
    reason: str | None = None  # why there is no answer

    @property
    def stem(self) -> str:
        how = f"{self.hidden}-{self.form}-{self.protocol}"
        return f"infilling-{self.source}-{how}-{self.text[:8]}"

    @property
    def named_by(self) -> Mapping[str, object]:
        return {
            "scoring": self.scoring,
            "likelihood": self.likelihood,
            "hidden": self.hidden,
            "form": self.form,
            "protocol": self.protocol,
        }

    @property
    def conditions(self) -> Mapping[str, object]:
        return {"texts": self.num_texts, "length": self.length}

    @property
    def question(self) -> tuple[object, ...]:
        return self.task, self.source, self.form, self.protocol, self.hidden

    @property
    def headline(self) -> tuple[float, str] | None:
        bits = self.bits_per_byte
        return None if bits is None else (bits, "bits/hidden byte")

    @property
    def sampling_error(self) -> tuple[str, float] | None:
        if self.standard_error is None or not self.nats:
            return None
        return f"{self.scoring} {self.hidden}", self.standard_error / self.nats

    @property
    def hidden_share(self) -> float:
        return QUESTIONS[self.hidden].share

    @property
    def is_outdated(self) -> bool:
        unknown = self.scoring is not None and self.scoring not in all_scorings()
        return unknown or self.form is None

    @property
    def left_only(self) -> bool:
        """Tell whether what stands behind the hidden tokens was there, and of no use to it."""
        return self.given == "left" and QUESTIONS[self.hidden].asks == "holes"

    @property
    def bits_per_byte(self) -> float | None:
        """Return the bits for each hidden byte of UTF-8."""
        return None if self.nats is None else self.nats / self.num_bytes / LN2

    @property
    def bits_per_token(self) -> float | None:
        """Return the bits for each hidden token."""
        return None if self.nats is None else self.nats / self.num_tokens / LN2


class InfillingItem(BaseModel):
    """A line of `eval/infilling-*.jsonl`: the hidden tokens of one text."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: int
    num_bytes: int
    num_tokens: int
    nats: float
