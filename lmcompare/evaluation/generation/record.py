"""What is kept of texts that a run's model wrote: what they are like, and what they cost."""

import json
from collections.abc import Mapping
from hashlib import blake2b
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, field_serializer

from lmcompare.objectives.decoding.sampler import Sampler
from lmcompare.runs.records import LN2, TextRecord

ROWS_TOGETHER = 32  # texts that are written at once when that is timed
VERBATIM = 8  # tokens in a row that stand in the training text too


class JudgeRecord(BaseModel):
    """A run whose model says how probable it finds what others wrote."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str  # of its run directory
    objective: str
    scoring: str
    step: int
    num_parameters: int


class TextMetrics(BaseModel):
    """What texts are like: those of a set together, or one alone; None where that has no answer.

    See `lmcompare.evaluation.generation.text_metrics` for what is counted.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    num_bytes: int  # of UTF-8
    num_words: int
    entropy: float | None  # bits a word
    distinct_1: float | None
    distinct_2: float | None
    distinct_3: float | None
    distinct_2_error: float | None = None  # standard error
    repetition: float | None  # of four words in a row
    self_bleu: float | None  # 0 to 1; of one text: with all others
    verbatim: float | None  # share of `VERBATIM` tokens in a row that stand in the training text
    judge_nats: float | None = None  # minus the log-probability by the judge, given the prompts
    judge_bytes: int | None = None  # that it was asked for: a token over the border is left out
    judge_error: float | None = None  # standard error of the bits per byte

    @property
    def judge_bits_per_byte(self) -> float | None:
        """Return the bits that the judge needs for each byte."""
        if self.judge_nats is None or not self.judge_bytes:
            return None
        return self.judge_nats / self.judge_bytes / LN2


class WritingCost(BaseModel):
    """What writing takes; all but the first two depend on the machine."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    passes_per_token: float  # forward passes of one text alone for each token written
    flops_per_token: float  # of these passes, the reading of the prompt included
    tokens_per_second: float  # of one text alone; the median
    tokens_per_second_together: float  # of `rows_together` texts at once, all of them counted
    rows_together: int
    first_token_seconds: float  # till something is written, of one text alone; the median
    # bytes of the model, and of all that was held beyond it while `rows_together` were written;
    # None where the system does not say
    peak_memory: int | None
    num_alone: int  # texts that were written alone
    device: str
    threads: int


class GenerationRecord(TextRecord):
    """`eval/generation-*.json`: texts written behind prompts, or why there are none.

    What the prompts went on with in truth, the reference, is the `num_bytes` and `num_tokens` of
    the record.
    """

    prefix: ClassVar[str] = "generation"

    task: Literal["generation"] = "generation"
    method: str | None  # None where there is none
    sampler: Sampler
    prompt_tokens: int
    new_tokens: int
    num_texts: int
    judge: JudgeRecord | None = None
    reference: TextMetrics
    written: TextMetrics | None = None  # as the next: None where nothing was written
    cost: WritingCost | None = None
    reason: str | None = None  # why nothing was written

    @field_serializer("sampler")
    def _only_what_was_set(self, sampler: Sampler) -> Mapping[str, object]:
        return sampler.model_dump(exclude_unset=True)

    @property
    def named_by(self) -> Mapping[str, object]:
        return {"method": self.method, "judge": None if self.judge is None else self.judge.name}

    @property
    def conditions(self) -> Mapping[str, object]:
        return {
            "texts": self.num_texts,
            "prompt_tokens": self.prompt_tokens,
            "new_tokens": self.new_tokens,
            **self.sampler.model_dump(exclude_unset=True),
        }

    @property
    def question(self) -> tuple[object, ...]:
        return self.task, self.source, self.method, self.settings

    @property
    def headline(self) -> tuple[float, str] | None:
        if self.judge_bits_per_byte is not None:
            return self.judge_bits_per_byte, "bits/byte by the judge"
        if self.written is not None and self.written.distinct_2 is not None:
            return self.written.distinct_2, "distinct pairs of words"
        return None

    @property
    def settings(self) -> str:
        """Return the settings of the sampler in words."""
        return ", ".join(self.sampler.in_words)

    @property
    def judge_bits_per_byte(self) -> float | None:
        """Return the bits that the judge needs for each byte of what was written."""
        return None if self.written is None else self.written.judge_bits_per_byte

    @property
    def reference_bits_per_byte(self) -> float | None:
        """Return the same of the text itself."""
        return self.reference.judge_bits_per_byte

    @property
    def stem(self) -> str:
        settings = json.dumps(self.sampler.model_dump(exclude_unset=True), sort_keys=True)
        key = blake2b(settings.encode(), digest_size=4).hexdigest()
        return f"generation-{self.source}-{self.method or 'none'}-{key}-{self.text[:8]}"


class GenerationItem(BaseModel):
    """A line of `eval/generation-*.jsonl`: one prompt, with what was written and what stood there.

    Figures are of this text alone.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: int
    prompt: str
    written: str
    reference: str
    tokens: tuple[int, ...]  # ids that were written
    of_written: TextMetrics
    of_reference: TextMetrics
