"""A mixture of objectives that train one network, row by row.

Charpentier & Samuel 2024, GPT or BERT: why not both? (https://arxiv.org/abs/2410.24159): causal and
masked next-token prediction. Any objectives can be mixed; those of this default share where their
outputs stand. A ratio is one of rows. The loss of each part is the mean over its own targets, and
the parts weigh as their rows do, so that many targets do not drown few.
"""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SerializeAsAny, model_validator

from lmcompare.objectives.base import HfClass, Objective
from lmcompare.objectives.corruption.noise import shares_of_rows
from lmcompare.objectives.decoding.fill_request import DecodingMethod
from lmcompare.objectives.scoring_types import Scoring
from lmcompare.view import Text, View
from lmcompare.vocab import Vocab


def _any_objective(given: Any) -> Any:
    from lmcompare.objectives import parse_objective  # the union that this one is a member of

    return given if isinstance(given, Objective) else parse_objective(given)


class MixturePart(BaseModel):
    """One objective of a mixture."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    objective: Annotated[SerializeAsAny[Objective], BeforeValidator(_any_objective)]
    share: float = Field(1.0, gt=0, description="of the rows, relative to the others'")


def _gpt_bert() -> tuple[MixturePart, ...]:
    return tuple(MixturePart(objective=_any_objective(name)) for name in ("clm", "mntp"))


class Hybrid(Objective):
    """Parts in a ratio of rows, mixed in each step or one after another."""

    name: Literal["hybrid"] = "hybrid"
    parts: tuple[MixturePart, ...] = Field(
        default_factory=_gpt_bert, min_length=2, description="objectives, each with its share"
    )
    schedule: Literal["mixed", "alternating", "in-turn"] = Field(
        "mixed",
        description="all in each step; one a step, drawn by share; or one after another over "
        "training, each for its share of it",
    )
    judge: int = Field(0, ge=0, description="the part that scores and reads, counted from 0")
    paper: ClassVar[str] = "Charpentier & Samuel 2024, GPT-BERT"
    attention: ClassVar[str] = "what each part sees"
    predicts: ClassVar[str] = "what its parts predict"
    generates: ClassVar[str] = "as its judge does"

    @model_validator(mode="after")
    def _compatible(self) -> "Hybrid":
        encodes = {part.objective.encodes for part in self.parts}
        if len(encodes) > 1:
            those = [part.objective.name for part in self.parts if part.objective.encodes]
            raise ValueError(
                f"an encoder is for {' and '.join(those)} only, not for the other parts: set "
                'architecture = "decoder" there'
            )
        if any(isinstance(part.objective, Hybrid) for part in self.parts):
            raise ValueError("a part is a hybrid itself: list its parts instead")
        if self.judge >= len(self.parts):
            raise ValueError(
                f"judge {self.judge} is none of the {len(self.parts)} parts, which are counted "
                "from 0"
            )
        return self

    @property
    def _judge(self) -> Objective:
        return self.parts[self.judge].objective

    @property
    def scorings(self) -> Mapping[str, Scoring]:
        return self._judge.scorings

    @property
    def decoding_methods(self) -> Mapping[str, DecodingMethod]:
        return self._judge.decoding_methods

    @property
    def mixture(self) -> Mapping[str, Objective]:
        return {part.objective.name: part.objective for part in self.parts}

    @property
    def needs(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(role for part in self.parts for role in part.objective.needs))

    @property
    def encodes(self) -> bool:
        return self._judge.encodes

    def require(self, vocab: Vocab, *, length: int) -> None:
        for part in self.parts:
            part.objective.require(vocab, length=length)

    @property
    def hf_class(self) -> HfClass | None:
        return self._judge.hf_class

    @property
    def why_no_hf_class(self) -> str:
        return self._judge.why_no_hf_class

    @property
    def hf_note(self) -> str:
        return self._judge.hf_note

    def corrupt(
        self, text: Text, vocab: Vocab, rng: torch.Generator, *, progress: float = 1.0
    ) -> View:
        """Share the rows out among the parts, each of which corrupts its own.

        With seed 1, two rows of "We hold these truths to be self-evident" become

            reads     [BOS] We   hold  these  truths to be           self-evident
            order     0     1    2     3      4      5  6            7
            predicts  We    hold these truths to     be self-evident .
            reads     [BOS] We hold  [MASK] truths to be self-evident
            order     0     0  0     0      0      0  0  0
            predicts  .     .  these .      .      .  .  .
        """
        shares = [part.share for part in self.parts]
        num_rows = len(text.tokens)
        if self.schedule == "mixed":
            which = shares_of_rows(shares, num_rows, rng)
        else:
            at = torch.rand((), generator=rng) if self.schedule == "alternating" else progress
            ends = (torch.tensor(shares).cumsum(0) / sum(shares))[:-1]
            which = (ends <= at).sum().expand(num_rows)
        views = []
        for number, part in enumerate(self.parts):
            rows = (which == number).nonzero()[:, 0]
            if len(rows):
                view = part.objective.corrupt(text.rows(rows), vocab, rng, progress=progress)
                weight = view.weight * (len(rows) / num_rows)
                views.append((number, view.predicting(view.target, weight)))
        return View.stack(dict(views))

    def read(self, text: Text, vocab: Vocab) -> View:
        return self._judge.read(text, vocab)
