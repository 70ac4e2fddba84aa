"""Which objectives have a class in transformers, and a text that is hard to keep as it is."""

from lmcompare.objectives import OBJECTIVES, HfClass

EXPORTABLE = [name for name, objective in OBJECTIVES.items() if objective().hf_class]


def kind_of(name: str) -> HfClass:
    kind = OBJECTIVES[name]().hf_class
    assert kind is not None
    return kind


AWKWARD = [
    "",
    " ",
    "  the old  cat ",
    "\n\nthe\r\n\tcat \v\x01\x7f\u2028",
    "the cat , it ' s . don't \u2019tis",  # what other tokenizers would clean up
    "caf\u00e9 cafe\u0301 \u0e01\u0e33 \u6f22\u5b57 \U00020000 \u2126",
    "\N{GRINNING FACE}\N{WOMAN}\u200d\N{GIRL}\ufe0f tree \N{REPLACEMENT CHARACTER}\ufeff\u2581",
    "x" * 307,
]
