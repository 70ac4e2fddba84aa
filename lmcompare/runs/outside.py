"""Weights that a run does not make anew: those of models from outside, and of other runs."""

from collections.abc import Mapping, Sequence

from pydantic import BaseModel, ConfigDict

from lmcompare.config.budget import Spent


class Imported(BaseModel):
    """Where a model comes from that was trained elsewhere, and what is known of it.

    What it was trained on, in which order, from which weights and for how long is not known, and so
    is never equal to that of any other model.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str  # by which it is found again: `hf:FOLDER`, from the root on, or `hf:NAME`
    revision: str | None
    weights: str  # hash of the files of its weights
    kind: str  # of its class: causal, masked, seq2seq, or states, which predicts nothing
    architecture: str  # the class of Hugging Face transformers
    shape: Mapping[str, int]  # layers, width, heads and vocabulary, as far as it says
    longest: int  # tokens of a row, the start token included
    special_tokens: Mapping[str, str]  # how they are spelled, by role
    rules: Sequence[str]  # what was put in the place of what it lacks, a sentence each
    objective: str | None  # by which it is asked; None: it can only be read
    why_none: str  # why it cannot be asked, as the end of a sentence

    @property
    def in_words(self) -> str:
        """Return what it is, in a few words."""
        shape = ", ".join(f"{name} {number:,}" for name, number in self.shape.items())
        return f"{self.architecture}, {shape}" if shape else self.architecture


class StartRecord(BaseModel):
    """Whose weights a run starts from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str  # the folder of the run or of its checkpoint, or the name of another model
    trained_by: str  # objectives, in words
    weights: str  # hash of the file that holds them
    # on them in all, on what they started from themselves too; None where that is not known
    spent: Spent | None
    added: tuple[str, ...] = ()  # tokens that the model lacked: their rows start as the mean

    def with_more(self, spent: Spent) -> Spent | None:
        """Return what was spent in all where so much came on top; None where that is not known."""
        return None if self.spent is None else self.spent.plus(spent)
