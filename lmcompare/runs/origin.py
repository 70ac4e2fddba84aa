"""Where a model comes from: what is known of its training, and what can be had of it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from jaxtyping import Int
from numpy import ndarray

from lmcompare.data import DataConfig, Prepared
from lmcompare.objectives.network import LanguageModel
from lmcompare.runs.run import Run


class Origin(Protocol):
    """Where a model comes from: what can be had of its training beside the model."""

    def token_counts(self) -> Int[ndarray, " V"] | None:
        """Return how often each id stands in the training text; None if nobody here ever knew.

        Raises:
            UserError: that is not known any more.
        """

    def training_text(self, *, cache: Path, warn: Callable[[str], None]) -> Prepared:
        """Return what it was trained on.

        Args:
            cache: the folder of prepared corpora.
            warn: told if what the cache holds is damaged.

        Raises:
            UserError: it is not to be had, or has changed.
        """

    def asked_about(self, *, cache: Path, warn: Callable[[str], None]) -> Prepared:
        """Return the text whose splits it is asked about: as a rule, that of its training.

        Args:
            cache: the folder of prepared corpora.
            warn: told if what the cache holds is damaged.

        Raises:
            UserError: it is not to be had, or has changed.
        """

    def untrained(self) -> LanguageModel | None:
        """Return the network as it started, on a processor; None if that is not known."""


@dataclass(frozen=True, kw_only=True)
class Trained:
    """What is known of how a model was trained, before it is loaded."""

    arm: str
    num_parameters: int
    data: DataConfig
    tokenizer: str  # hashes, of the tokenizer and of the training text
    text: str
    known: bool = True  # whether the text is: not of what was trained elsewhere

    def shares_text_with(self, other: "Trained") -> bool:
        """Tell whether both were trained on one text.

        It is known by the hash of its tokens, whatever it is called. Those of two tokenizers
        cannot be compared, and there its name must do.
        """
        if not (self.known and other.known):
            return False
        if self.tokenizer != other.tokenizer:
            return self.data == other.data
        return self.text == other.text


def trained(run: Run) -> Trained:
    """Return what is known of how a run's model was trained.

    Raises:
        UserError: there is no run, or one of another schema.
    """
    record = run.record()
    return Trained(
        arm=record.arm,
        num_parameters=record.num_parameters,
        data=record.config.data,
        tokenizer=record.sheet.tokenizer,
        text=record.sheet.text,
        known=record.imported is None,
    )
