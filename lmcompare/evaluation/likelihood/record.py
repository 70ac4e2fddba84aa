"""What is kept of a likelihood: a record for each text and scoring, a line for each document."""

from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict

from lmcompare.objectives import Likelihood
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
        """The hash of what was scored: of its bytes, or of its tokens where those are unknown."""
        return self.bytes_hash or self.text

    @property
    def trigram_bits_per_byte(self) -> float | None:
        """Bits for each byte if every token were predicted from the two before it, by counting."""
        return None if self.trigram_nats is None else self.trigram_nats / self.num_bytes / LN2

    @property
    def stem(self) -> str:
        windows = f"w{self.window}-{self.stride}"
        return f"likelihood-{self.source}-{self.scoring}-{self.text[:8]}-{windows}"

    @property
    def bits_per_byte(self) -> float:
        """Bits for each byte of UTF-8."""
        return self.nats / self.num_bytes / LN2

    @property
    def bits_per_token(self) -> float:
        """Bits for each token."""
        return self.nats / self.num_tokens / LN2


class LikelihoodItem(BaseModel):
    """A line of `eval/likelihood-*.jsonl`: one document."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    document: int
    num_bytes: int
    num_tokens: int
    nats: float
