"""Keep what attention is like: of each head its means over texts, and how it follows relations."""

from collections.abc import Mapping
from typing import ClassVar, Literal, get_args

from pydantic import BaseModel, ConfigDict

from lmcompare.runs.records import ResultRecord

# from a dependent to its syntactic head, or from a head to one of its dependents
Direction = Literal["to head", "to dependent"]
DIRECTIONS: tuple[Direction, ...] = get_args(Direction)

Grid = tuple[tuple[float, ...], ...]  # layers by heads


def key_of(relation: str, direction: Direction) -> str:
    """Return the name of a relation in a direction."""
    return f"{relation} {direction}"


class RelationResult(BaseModel):
    """Tell how well heads follow a relation in one direction, and a fixed offset does.

    A case is a word that has a target: its syntactic head, or its dependents by this relation. It
    is a hit where the word that it attends to most is one. Cases with no target in sight are left
    out. Head and offset are the best ones of the sentences for the choice, and `value` and
    `offset_value` are of the test sentences alone.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    relation: str
    direction: Direction
    num_choice: int  # cases in the sentences for the choice
    num_cases: int  # in the test sentences
    num_out_of_sight: int  # further ones there, of which no target is seen
    layer: int
    head: int  # from 1
    choice: float  # the share of hits in the sentences for the choice
    value: float
    offset: int  # words from a word to its supposed target
    offset_choice: float
    offset_value: float
    choices: Grid  # of all heads
    values: Grid

    @property
    def key(self) -> str:
        """Return its name."""
        return key_of(self.relation, self.direction)


class AttentionRecord(ResultRecord):
    """`eval/attention-*.json`: what the attention of a model's heads is like.

    A record is about heads on held-out text or about relations in a treebank, and says nothing of
    the other.
    """

    prefix: ClassVar[str] = "attention"
    of_untrained: ClassVar[bool] = True

    task: Literal["heads", "relations"]
    version: int  # of the question
    states_of: str | None = None  # which of two stacks, or the part of a mixture it was read as
    sees_right: bool  # whether a token may look at those on its right
    layers: tuple[int, ...]  # from 1
    num_heads: int
    num_items: int  # texts, or test sentences
    num_tokens: int = 0  # of the texts
    means: Mapping[str, Grid] = {}  # of `heads.MEASURES`, over texts
    errors: Mapping[str, Grid | None] = {}  # standard errors of these; None of one text
    min_arcs: int = 0  # as below: of a treebank
    split: str = ""  # how it was split, in words
    relations: tuple[RelationResult, ...] = ()
    too_few: Mapping[str, int] = {}  # arcs in the test sentences of each relation left out
    counts: Mapping[str, int] = {}  # what else was left out

    @property
    def stem(self) -> str:
        read = f"-{self.states_of}" if self.states_of else ""
        least = f"-{self.min_arcs}" if self.min_arcs else ""
        return f"attention-{self.task}-{self.source}{read}-{self.text[:8]}{least}-step-{self.step}"

    @property
    def named_by(self) -> Mapping[str, object]:
        return {
            "task": self.task,
            "states": self.states_of,
            "state": "untrained" if self.is_untrained else "trained",
        }

    @property
    def conditions(self) -> Mapping[str, object]:
        if self.task == "relations":
            return {"min_arcs": self.min_arcs, "sentences": self.num_items}
        return {"texts": self.num_items}

    @property
    def question(self) -> tuple[object, ...]:
        return self.prefix, self.task, self.source, self.states_of, self.is_untrained


class HeadsItem(BaseModel):
    """A line of `eval/attention-heads-*.jsonl`: one text, with its mean of each measure."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: int  # the number of the document
    num_tokens: int
    values: Mapping[str, Grid]


class RelationItem(BaseModel):
    """A line of `eval/attention-relations-*.jsonl`: one test sentence.

    Relations are named by `key_of`; those that are not there have no case in it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    sentence: int
    cases: Mapping[str, int] = {}
    hits: Mapping[str, int] = {}  # of the head that was chosen
    offset_hits: Mapping[str, int] = {}
