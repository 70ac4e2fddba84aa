"""On how much text attention is measured, and on which dependencies."""

from pathlib import Path
from typing import ClassVar

from pydantic import Field

from lmcompare.evaluation.options import EvalOptions
from lmcompare.evaluation.states.choices import Stack


class AttentionOptions(EvalOptions):
    """On how much text attention is measured, and on which dependencies.

    It is not a part of `all`: it explains no score.
    """

    kind: ClassVar[str] = "lmcompare.evaluation.attention.kind:AttentionKind"
    name: ClassVar[str] = "attention"
    heading: ClassVar[str] = "Attention"
    about: ClassVar[str] = "attention"
    in_all: ClassVar[bool] = False

    num_rows: int = Field(
        100, ge=1, description="How many rows of text are read; fewer where there are not as many."
    )
    # of an option that several kinds have, the help of the first of them is shown
    treebank: tuple[Path, ...] = Field(
        (),
        description="Labelled sentences: files of CoNLL-U, or a folder of them. Attention asks "
        "which heads follow their dependencies; geometry reads their words rather than those "
        "between white space, of files of columns, too. Names with train, dev and test say which "
        "part is which; else every tenth document is for validation, and every tenth for the test.",
        json_schema_extra={"metavar": "FILE"},
    )
    num_sentences: int = Field(
        1_000,
        ge=10,
        description="How many sentences of each part of the treebank are read at most, the same "
        "for every run.",
    )
    min_arcs: int = Field(
        30,
        ge=1,
        description="How many arcs of the test sentences a relation has at least; others are "
        "counted and left out.",
    )
    stack: Stack = Field("encoder", description="Of an encoder-decoder: which of the two is read.")
    untrained: bool = Field(True, description="Measure each model as it was before training, too.")
