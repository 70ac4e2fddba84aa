"""What is written into a run directory: one pydantic record for each JSON file.

Every file carries the version of the schema it was written by, and a checksum of what it holds. A
file of an earlier version is read through its migrations. One of a later version, or one that was
changed, is refused with a sentence, never guessed at.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

from lmcompare.config.budget import Spent
from lmcompare.config.run import RunConfig
from lmcompare.model import ModelConfig
from lmcompare.runs.migrations import Migrations, unhashed, without_given
from lmcompare.runs.outside import Imported, StartRecord
from lmcompare.runs.record_files import Record


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
    """`run.json`: what a run is; written before its first step.

    Of a model that was trained elsewhere, the configuration says how it is asked, and nothing of
    its training.
    """

    migrations: ClassVar[Migrations] = {1: unhashed("text_hash", "counts"), 2: without_given}

    arm: str
    given: Mapping[str, Any]  # the configuration as it was given: `RunConfig.given`
    config: RunConfig  # the same as it was resolved and used: nothing is left to a default
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
    imported: Imported | None = None  # where it comes from; None of what was trained here
    start: StartRecord | None = None  # None where it starts from new weights

    @property
    def model_given(self) -> ModelConfig:
        """Return the backbone as given: without the encoder that an objective brought."""
        given = self.given.get("model", {})
        return (
            self.config.model
            if given.get("encoder_layers")
            else self.config.model.without_encoder()
        )


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
    # nats a token, on the hidden tokens that all objectives are asked for: `common_question`
    common: float | None = None
    parts: list[int] | None = None  # of a mixture: the targets of this step by part
    phase: int | None = None  # counted from 1; None of a run without phases
    # the same two before this step, which is the first that its objective takes with weights that
    # another one trained
    validation_before: float | None = None
    common_before: float | None = None

    @property
    def spent(self) -> Spent:
        """Return all that was spent."""
        return Spent(
            steps=self.step,
            tokens=self.tokens,
            targets=self.targets,
            flops=self.flops,
            seconds=self.seconds,
        )


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
    migrations: ClassVar[Migrations] = {1: unhashed("manifest")}

    spent: Spent
    validation: float | None
    checksums: Mapping[str, str]
    manifest: Manifest | None = None  # None of schema 1
    phase: int | None = None  # of the last step; None of a run without phases
    ends_phase: bool = False  # which is over: such a checkpoint is kept


class DoneRecord(Record):
    """`done.json`: written last of a run; that it exists means that the run is complete."""

    migrations: ClassVar[Migrations] = {1: unhashed("manifest")}

    spent: Spent
    loss: float | None  # mean over the last steps, nats a target; None if trained elsewhere
    validation: float | None
    wall_seconds: float  # of this run's last session, all but the preparation of the text
    peak_memory: int  # bytes
    # what its `seconds` would have been without other work on the machine, where that shows
    undisturbed_seconds: float | None = None
    manifest: Manifest | None = None  # None of schema 1


UNTRAINED = 0  # the step of a model as it started
ELSEWHERE = -1  # that of one that was trained elsewhere: nobody knows after how many it is as it is


def step_in_words(step: int) -> str:
    """Return after which step of training a model is as it is."""
    return {UNTRAINED: "untrained", ELSEWHERE: "as published"}.get(step, f"at step {step:,}")


class ResultRecord(Record, ABC):
    """`eval/*.json`: what a run's model made of something that it was not trained on."""

    remedy: ClassVar[str] = "the same `lmcompare eval --force` measures it again"
    migrations: ClassVar[Migrations] = {1: unhashed("run_hash", "items_hash")}
    prefix: ClassVar[str]  # with which the names of its files begin
    of_untrained: ClassVar[bool] = False  # whether models are measured as they started, too

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
        """Return the name of its files: another result of the same name takes its place."""

    @property
    def evaluation(self) -> str:
        """Return the name of the kind of evaluation, as a user selects it by."""
        return self.prefix

    @property
    def text_hash(self) -> str:
        """Return the hash of what was asked, as far as unlike tokenizers can share it."""
        return self.text

    @property
    def named_by(self) -> Mapping[str, object]:
        """Return words that select it, beside those of its text: a scoring, a method."""
        return {}

    @property
    def conditions(self) -> Mapping[str, object]:
        """Return the settings under which it was measured, as in `window=128`."""
        return {}

    @property
    @abstractmethod
    def question(self) -> tuple[object, ...]:
        """Return what was asked, whatever the part of the text and the size of windows.

        Of results of one run that share it, the one that was measured last takes the place of the
        others where only the latest are wanted.
        """

    @property
    def about(self) -> str:
        """Return what was asked, in a few words."""
        return f"{self.task} of {self.source}"

    @property
    def sampling_error(self) -> tuple[str, float] | None:
        """Return what was sampled and its relative standard error; None if nothing was."""
        return None

    @property
    def headline(self) -> tuple[float, str] | None:
        """Return its most telling figure and the unit; None if it has none."""
        return None

    @property
    def is_untrained(self) -> bool:
        """Tell whether it is of the model as it started."""
        return self.of_untrained and self.step == UNTRAINED

    @property
    def is_outdated(self) -> bool:
        """Tell whether it was asked in a way that there is no longer."""
        return False


LN2 = 0.6931471805599453


class TextRecord(ResultRecord, ABC):
    """What it made of a held-out text."""

    num_bytes: int  # of what was asked
    num_tokens: int
    # under the frequencies of the training split; None where that is not known
    unigram_nats: float | None
    standard_error: float | None = None  # of `nats` where they are sampled: Monte Carlo's alone

    @property
    def hidden_share(self) -> float:
        """Return how much of a text was asked for: all of it, as training seldom hides so much."""
        return 1.0

    @property
    def error_bits_per_byte(self) -> float | None:
        """Return the standard error of the bits per byte, where they are sampled."""
        error = self.standard_error
        return None if error is None else error / self.num_bytes / LN2

    @property
    def unigram_bits_per_byte(self) -> float | None:
        """Return the bits for each byte if every token were predicted by its frequency alone."""
        return None if self.unigram_nats is None else self.unigram_nats / self.num_bytes / LN2
