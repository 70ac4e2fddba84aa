"""Tell what is kept of lexical knowledge: a record for each model, a line for each word."""

from collections.abc import Callable, Mapping
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict

from lmcompare.objectives import Likelihood
from lmcompare.runs.records import ResultRecord

# how often a word was read: the bands by their lowest numbers
BANDS: Mapping[str, int] = {"0": 0, "1-9": 1, "10-99": 10, "100-999": 100, "≥1000": 1_000}


def band_of(count: int) -> str:
    """Return the band that a number of times is in."""
    return [band for band, lowest in BANDS.items() if count >= lowest][-1]


class LexicalItem(BaseModel):
    """A line of `eval/lexical-*.jsonl`: one word."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: int  # the number of the stretch of text that it stands in
    nats: float  # minus the log-probability of all of its tokens
    num_tokens: int
    count: int  # how often the model has read it
    before: int  # how often it has read the word before it
    pair: int  # how often both after each other
    repeated: bool  # whether it stands before in what is shown of its text

    @property
    def band(self) -> str:
        """Return its band of frequency."""
        return band_of(self.count)


# The words that are put beside each other. A pair is new where both words were read, and never
# after each other.
GROUPS: Mapping[str, Callable[[LexicalItem], bool]] = {
    "all words": lambda item: True,
    "in the text before": lambda item: item.repeated,
    "not in it before": lambda item: not item.repeated,
    "known pair": lambda item: item.pair > 0,
    "new pair": lambda item: item.pair == 0 and item.count > 0 and item.before > 0,
}


class LexicalRecord(ResultRecord):
    """`eval/lexical-*.json`: what words cost a model, or why that is not known."""

    prefix: ClassVar[str] = "lexical"

    task: Literal["lexical"] = "lexical"
    num_words: int
    reach: int  # tokens of context on each side, as far as the document has them
    tokens_read: int
    scoring: str | None = None  # as all below: None where it cannot be asked
    likelihood: Likelihood | None = None
    given: Literal["left", "both"] | None = None
    nats: float | None = None  # of a word, in the mean over all that were asked for
    reason: str | None = None

    @property
    def stem(self) -> str:
        return f"lexical-{self.source}-{self.text[:8]}"

    @property
    def named_by(self) -> Mapping[str, object]:
        return {"scoring": self.scoring, "given": self.given}

    @property
    def conditions(self) -> Mapping[str, object]:
        return {"words": self.num_words, "word_reach": self.reach}

    @property
    def question(self) -> tuple[object, ...]:
        return self.task, self.source

    @property
    def headline(self) -> tuple[float, str] | None:
        return None if self.nats is None else (self.nats, "nats/word")
