"""What an evaluation asks of every run, and of which text."""

from dataclasses import dataclass
from typing import Literal

from lmcompare.data import DataConfig
from lmcompare.objectives import Protocol

Held = Literal["train", "validation", "test"]


@dataclass(frozen=True, kw_only=True)
class EvalOptions:
    """What is to be scored, and how.

    Attributes:
        split: of the run's own corpus; used where `data` is not given.
        data: another text.
        device: where.
        batch_size: rows of a forward pass; as many as suits the device by default.
        again: measure also what was measured before, on the same text at the same step.
        max_bytes: of a likelihood: score documents until they have this many bytes (the last one is
            cut there); None for all.
        window: of a likelihood: tokens that the model sees at once; as many as it was trained with
            by default.
        stride: of a likelihood: tokens between windows; half a window by default.
        scorings: of a likelihood: which of the objective's ways to score; all by default.
        num_texts: of infilling: texts to hide tokens of, and of generation: texts to go on with;
            fewer where there are not as many.
        length: of infilling: tokens of such a text, beside the start token.
        protocols: of infilling: how several tokens are asked for; in each way that the objective
            has by default.
    """

    split: Held = "validation"
    data: DataConfig | None = None
    device: str = "auto"
    batch_size: int | None = None
    again: bool = False
    max_bytes: int | None = 50_000
    window: int | None = None
    stride: int | None = None
    scorings: tuple[str, ...] = ()
    num_texts: int = 64
    length: int = 32
    protocols: tuple[Protocol, ...] = ()

    @property
    def source(self) -> str:
        """What the text is called."""
        return self.split if self.data is None else ",".join(self.data.names)
