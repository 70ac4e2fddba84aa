"""What is kept of how fast a model writes and reads."""

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict

from lmcompare.runs.records import ResultRecord

# what a round times: one text that is written, many that are, and many that are read
Timed = Literal["alone", "together", "reading"]


class Pacing(BaseModel):
    """A speed over some rounds: how many a second."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    median: float
    low: float  # the quartiles
    high: float
    num_rounds: int  # that count
    num_disturbed: int = 0  # others, which other work on the machine slowed down


class SpeedRecord(ResultRecord):
    """`eval/speed-*.json`: tokens a second in writing, texts a second in reading."""

    prefix: ClassVar[str] = "speed"

    task: Literal["speed"] = "speed"
    method: str | None = None  # of writing; as the next three, None where it cannot write
    alone: Pacing | None = None  # tokens of one text
    together: Pacing | None = None  # tokens of `ROWS_TOGETHER` texts
    passes_per_token: float | None = None  # through the network, of one text
    reading: Pacing  # texts of `prompt_tokens` and `new_tokens`, so many at once
    prompt_tokens: int
    new_tokens: int
    device: str
    threads: int
    precision: str
    reason: str | None = None  # why it does not write

    @property
    def stem(self) -> str:
        return f"speed-{self.source}-{self.text[:8]}-{self.machine}"

    @property
    def machine(self) -> str:
        """Return what it was timed on, in words; speeds of unlike machines do not compare."""
        return f"{self.device}, {self.threads} threads"

    @property
    def named_by(self) -> Mapping[str, object]:
        return {"method": self.method}

    @property
    def conditions(self) -> Mapping[str, object]:
        return {
            "prompt_tokens": self.prompt_tokens,
            "new_tokens": self.new_tokens,
            "threads": self.threads,
        }

    @property
    def question(self) -> tuple[object, ...]:
        return self.task, self.source

    @property
    def headline(self) -> tuple[float, str]:
        if self.alone is not None:
            return self.alone.median, "tokens/second"
        return self.reading.median, "texts/second"

    @property
    def disturbed(self) -> bool:
        """Tell whether other work on the machine slowed some rounds down."""
        paces = (self.alone, self.together, self.reading)
        return any(each is not None and each.num_disturbed for each in paces)

    @property
    def values(self) -> Mapping[str, float | None]:
        """Return its figures by the names of their metrics."""
        return {
            "speed_alone": None if self.alone is None else self.alone.median,
            "speed_together": None if self.together is None else self.together.median,
            "speed_passes_per_token": self.passes_per_token,
            "speed_reading": self.reading.median,
        }


class SpeedItem(BaseModel):
    """A line of `eval/speed-*.jsonl`: one round."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    round: int
    timed: Timed
    seconds: float
