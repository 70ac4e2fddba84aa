"""What is kept of a likelihood: a record for each text and scoring, a line for each document."""

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict

from lmcompare.objectives import Likelihood, all_scorings
from lmcompare.runs.records import LN2, TextRecord


class LikelihoodRecord(TextRecord):
    """`eval/likelihood-*.json`: how probable a run's model finds a text, and in which sense."""

    prefix: ClassVar[str] = "likelihood"

    task: Literal["likelihood"] = "likelihood"
    # hash of the bytes scored, the same whatever the tokenizer; None where the tokens do not tell
    # them, and in earlier results
    bytes_hash: str | None = None
    scoring: str
    likelihood: Likelihood
    window: int  # tokens the model sees at once
    stride: int  # tokens between windows
    num_documents: int
    nats: float  # minus the log-probability of all tokens
    trigram_nats: float | None = None  # the same by trigrams; None where their text is gone

    @property
    def text_hash(self) -> str:
        """Return the hash of the scored bytes, or of the tokens where those are unknown."""
        return self.bytes_hash or self.text

    @property
    def named_by(self) -> Mapping[str, object]:
        return {"scoring": self.scoring, "likelihood": self.likelihood}

    @property
    def conditions(self) -> Mapping[str, object]:
        return {"window": self.window, "stride": self.stride, "bytes": self.num_bytes}

    @property
    def question(self) -> tuple[object, ...]:
        return self.task, self.source, self.scoring

    @property
    def headline(self) -> tuple[float, str]:
        return self.bits_per_byte, "bits/byte"

    @property
    def sampling_error(self) -> tuple[str, float] | None:
        if self.standard_error is None or not self.nats:
            return None
        return self.scoring, self.standard_error / self.nats

    @property
    def is_outdated(self) -> bool:
        return self.scoring not in all_scorings()

    @property
    def trigram_bits_per_byte(self) -> float | None:
        """Return the bits for each byte where counts of the two tokens before predict a token."""
        return None if self.trigram_nats is None else self.trigram_nats / self.num_bytes / LN2

    @property
    def stem(self) -> str:
        windows = f"w{self.window}-{self.stride}"
        return f"likelihood-{self.source}-{self.scoring}-{self.text[:8]}-{windows}"

    @property
    def bits_per_byte(self) -> float:
        """Return the bits for each byte of UTF-8."""
        return self.nats / self.num_bytes / LN2

    @property
    def bits_per_token(self) -> float:
        """Return the bits for each token."""
        return self.nats / self.num_tokens / LN2


class LikelihoodItem(BaseModel):
    """A line of `eval/likelihood-*.jsonl`: one document."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    document: int
    num_bytes: int
    num_tokens: int
    nats: float
