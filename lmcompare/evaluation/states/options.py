"""Tell which words are read, and how: the options that several kinds of evaluation share."""

from pathlib import Path

from pydantic import Field, field_validator

from lmcompare.evaluation.options import EvalOptions, at_commas
from lmcompare.evaluation.states.choices import Stack, WordPooling, in_order


class WordsOptions(EvalOptions):
    """The options of those kinds that look at the states of the same words in several models."""

    treebank: tuple[Path, ...] = Field(
        (),
        description="Read the words of a treebank rather than those between white space: files of "
        "CoNLL-U or of columns of words and tags, or a folder of them.",
        json_schema_extra={"metavar": "FILE"},
    )
    num_words: int = Field(
        20_000,
        ge=4,
        description="How many words are read, the same of every run; fewer where there are fewer.",
    )
    layers: tuple[int, ...] = Field(
        (),
        description="Which layers, with commas between them; 0 is the embedding.",
        json_schema_extra={"metavar": "NUMBERS", "default": "all", "commas": True},
    )
    words: WordPooling = Field(
        "mean", description="How the states of a word's pieces become one: mean, first or last."
    )
    stack: Stack = Field("encoder", description="Of an encoder-decoder: which of the two is read.")
    disk_gb: float = Field(
        20.0,
        gt=0,
        description="How much disk the states of all models may take while they are compared, in "
        "GB.",
    )

    _split_at_commas = field_validator("layers", mode="before")(at_commas)
    _in_order = field_validator("layers")(in_order)
