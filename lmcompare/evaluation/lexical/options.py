"""Tell how many words are asked for, and with how much context."""

from typing import ClassVar

from pydantic import Field

from lmcompare.evaluation.options import EvalOptions


class LexicalOptions(EvalOptions):
    """Tell how many words of each frequency are asked for.

    It is not a part of `all`, as it needs the text of training.
    """

    kind: ClassVar[str] = "lmcompare.evaluation.lexical.kind:LexicalKind"
    name: ClassVar[str] = "lexical"
    heading: ClassVar[str] = "Lexical knowledge"
    about: ClassVar[str] = "words"
    in_all: ClassVar[bool] = False

    words_per_band: int = Field(
        300,
        ge=1,
        description="How many words of each band of frequency are asked for; fewer where the "
        "text has not as many.",
    )
    word_reach: int = Field(
        32,
        ge=1,
        description="How many tokens of context a word has on each side, at most what half of a "
        "row of training has room for.",
    )
