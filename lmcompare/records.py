"""What is written into a run directory: one pydantic record for each JSON file.

Every file carries the version of the schema it was written by, and a checksum of what it holds. A
file of an unknown version, or one that was changed, is refused with a sentence, never guessed at.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict

from lmcompare.budget import Spent
from lmcompare.config import RunConfig
from lmcompare.objectives import Form, Likelihood, Protocol
from lmcompare.record_files import Record

LN2 = 0.6931471805599453

# how much of a text is hidden: one token, a share of its tokens, or its end
Hidden = Literal["one", "15%", "50%", "second half"]


class ControlSheet(BaseModel):
    """Hashes of what must be equal for two runs to differ in their objective only."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: str  # the training text, tokenized
    order: str  # which block is read when
    tokenizer: str
    weights: Mapping[str, str]  # each parameter as it starts, by name

    FACTS: ClassVar[Mapping[str, str]] = {
        "text": "training text",
        "order": "order of the text",
        "tokenizer": "tokenizer",
    }


class RunRecord(Record):
    """`run.json`: what a run is; written before its first step."""

    arm: str
    config: RunConfig
    identity: str
    created: str  # ISO 8601, UTC
    text: str  # the corpus in words
    text_hash: str | None = None  # of the corpus and its tokenizer; None in earlier records
    device: str
    precision: str
    threads: int
    git_commit: str | None
    versions: Mapping[str, str]
    num_parameters: int
    matmul_rate: float  # operations a second, measured at start
    sheet: ControlSheet
    counts: str | None = None  # hash of `counts.safetensors`; None of schema 1


class MetricsLine(BaseModel):
    """A line of `metrics.jsonl`: one step, with all that was spent up to its end."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    step: int
    tokens: int
    targets: int
    flops: int
    seconds: float
    loss: float  # nats a target
    learning_rate: float
    gradient_norm: float
    validation: float | None = None  # nats a target, on the fixed validation set
    parts: list[int] | None = None  # of a mixture: the targets of this step by part

    @property
    def spent(self) -> Spent:
        """All that was spent."""
        costs = self.model_dump(include={"tokens", "targets", "flops", "seconds"})
        return Spent(steps=self.step, **costs)


class Manifest(BaseModel):
    """What the other files of a run were when a record of it was written.

    `run.json` holds the hashes of the tokenizer and of the counts, so that its own stands for them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    run: str  # hash of `run.json`
    metrics: str  # hash of the first `metrics_size` bytes of `metrics.jsonl`
    metrics_size: int
    # by step, a hash of all text that was read up to it, in its order: at powers of two and the
    # last step; None where the run began in a version that did not keep it
    read: Mapping[int, str] | None


class CheckpointRecord(Record):
    """`state.json` of a checkpoint: written last of its files, with the checksums of the others."""

    remedy: ClassVar[str] = "fall back on an earlier checkpoint"

    spent: Spent
    validation: float | None
    checksums: Mapping[str, str]
    manifest: Manifest | None = None  # None of schema 1


class DoneRecord(Record):
    """`done.json`: written last of a run; that it exists means that the run is complete."""

    spent: Spent
    loss: float  # mean over the last steps, nats a target
    validation: float | None
    wall_seconds: float  # of this run's last session, all but the preparation of the text
    peak_memory: int  # bytes
    # what its `seconds` would have been without other work on the machine, where that shows
    undisturbed_seconds: float | None = None
    manifest: Manifest | None = None  # None of schema 1


class ResultRecord(Record, ABC):
    """`eval/*.json`: what a run's model made of something that it was not trained on."""

    remedy: ClassVar[str] = "the same `lmcompare eval` with --force measures it again"

    task: str
    arm: str
    seed: int
    source: str  # a split of the run's own corpus, another text, or the files of a benchmark
    text: str  # hash of what was asked
    step: int
    run_hash: str | None = None  # of `run.json`; as the next, put in where the result is written
    items_hash: str | None = None  # of the file of its items

    @property
    @abstractmethod
    def stem(self) -> str:
        """The name of its files: another result of the same name takes its place."""


class TextRecord(ResultRecord, ABC):
    """What it made of a held-out text."""

    num_bytes: int  # of what was asked
    num_tokens: int
    unigram_nats: float  # under the frequencies of the training split
    standard_error: float | None = None  # of `nats` where they are sampled: Monte Carlo's alone

    @property
    def error_bits_per_byte(self) -> float | None:
        """Standard error of the bits per byte, where they are sampled."""
        error = self.standard_error
        return None if error is None else error / self.num_bytes / LN2

    @property
    def unigram_bits_per_byte(self) -> float:
        """Bits for each byte if every token were predicted by its frequency alone."""
        return self.unigram_nats / self.num_bytes / LN2


class LikelihoodRecord(TextRecord):
    """`eval/likelihood-*.json`: how probable a run's model finds a text, and in which sense."""

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


class InfillingRecord(TextRecord):
    """`eval/infilling-*.json`: what a model makes of hidden tokens, or why it makes nothing."""

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
    def left_only(self) -> bool:
        """Whether what stands behind the hidden tokens was there, and of no use to it."""
        return self.given == "left" and self.hidden != "second half"

    @property
    def bits_per_byte(self) -> float | None:
        """Bits for each hidden byte of UTF-8."""
        return None if self.nats is None else self.nats / self.num_bytes / LN2

    @property
    def bits_per_token(self) -> float | None:
        """Bits for each hidden token."""
        return None if self.nats is None else self.nats / self.num_tokens / LN2


class InfillingItem(BaseModel):
    """A line of `eval/infilling-*.jsonl`: the hidden tokens of one text."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: int
    num_bytes: int
    num_tokens: int
    nats: float
