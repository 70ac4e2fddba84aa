"""A model that predicts nothing, and can only be read: an encoder without a head.

It is no objective to train for, and so none of `OBJECTIVES`.
"""

from collections.abc import Mapping
from typing import ClassVar

import torch

from lmcompare.errors import Unsupported
from lmcompare.objectives.base import Objective
from lmcompare.objectives.decoding.fill_request import Holes
from lmcompare.objectives.decoding.sampler import Sampler
from lmcompare.objectives.scoring_types import Question, Scoring
from lmcompare.view import Text, View
from lmcompare.vocab import Vocab


class ReadOnly(Objective):
    """States without a question: whatever is asked, it says why there is no answer."""

    name: str = "states only"
    paper: ClassVar[str] = ""
    attention: ClassVar[str] = "as the objective whose views it reads"
    predicts: ClassVar[str] = "nothing"
    generates: ClassVar[str] = "nothing"

    as_in: Objective  # how it reads a text
    why: str  # it cannot be asked, as the end of a sentence

    @property
    def scorings(self) -> Mapping[str, Scoring]:
        return {}

    @property
    def needs(self) -> tuple[str, ...]:
        return self.as_in.needs

    @property
    def encodes(self) -> bool:
        return self.as_in.encodes

    @property
    def why_no_hf_class(self) -> str:
        return self.why

    def choose_scoring(self, scoring: str | None, question: Question = "text") -> str:
        """Raise, whatever is asked.

        Raises:
            Unsupported: always.
        """
        raise Unsupported(f"no {question} can be asked for: {self.why}")

    def choose_decoding_method(
        self, method: str | None, sampler: Sampler, *, holes: Holes, any_length: bool
    ) -> str:
        """Raise, as it does not write.

        Raises:
            Unsupported: always.
        """
        raise Unsupported(f"it does not write: {self.why}")

    def corrupt(
        self, text: Text, vocab: Vocab, rng: torch.Generator, *, progress: float = 1.0
    ) -> View:
        return self.as_in.corrupt(text, vocab, rng, progress=progress)

    def read(self, text: Text, vocab: Vocab) -> View:
        return self.as_in.read(text, vocab)
