"""The options that say how tokens are chosen, and the sampler that they make."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from lmcompare.objectives.decoding.sampler import Sampler

Greedy = Annotated[bool | None, typer.Option("--greedy", help="Always take the likeliest token.")]
Temperature = Annotated[
    float | None, typer.Option(help="Below 1 sharpens, above 1 flattens.", show_default="1")
]
TopK = Annotated[
    int | None,
    typer.Option(help="Sample from this many likeliest tokens only.", show_default=False),
]
TopP = Annotated[
    float | None,
    typer.Option(
        help="Sample from the fewest tokens that together have this probability.",
        show_default=False,
    ),
]
MinP = Annotated[
    float | None,
    typer.Option(
        help="Sample from tokens with at least this share of the likeliest one's probability.",
        show_default=False,
    ),
]
Typical = Annotated[
    float | None,
    typer.Option(
        help="Typical sampling: from the tokens whose surprise is nearest to the entropy, "
        "with this probability together.",
        show_default=False,
    ),
]
RepetitionPenalty = Annotated[
    float | None,
    typer.Option(
        help="Above 1 makes tokens rarer that the text has already. With --beams it is applied "
        "before probabilities are normalised, in transformers after: other texts come first.",
        show_default="1",
    ),
]
NoRepeatNgram = Annotated[
    int | None,
    typer.Option(help="Never write this many tokens in a row twice.", show_default=False),
]
Beams = Annotated[
    int | None,
    typer.Option(help="How many beams a search for the likeliest text keeps.", show_default="1"),
]
LengthPenalty = Annotated[
    float | None,
    typer.Option(
        help="With --beams: divide a beam's score by its length to this power.",
        show_default="1",
    ),
]
DegenerationPenalty = Annotated[
    float | None,
    typer.Option(
        help="Contrastive search: how much likeness to the text so far costs.",
        show_default=False,
    ),
]
Candidates = Annotated[
    int | None,
    typer.Option(
        help="Contrastive search: how many tokens are weighed at each place.", show_default="5"
    ),
]
Steps = Annotated[
    int | None,
    typer.Option(help="How many forward passes, or rounds, the method takes.", show_default=False),
]
Threshold = Annotated[
    float | None,
    typer.Option(
        help="With --method threshold: write at once all tokens at least this probable.",
        show_default="0.9",
    ),
]
Entropy = Annotated[
    float | None,
    typer.Option(
        help="With --method entropy: the joint entropy, in nats, of tokens written at once.",
        show_default="0.1",
    ),
]
Block = Annotated[
    int | None,
    typer.Option(help="Write blocks of this many tokens, left to right.", show_default=False),
]


def sampler_of(given: Mapping[str, object]) -> "Sampler":
    """Return the sampler of a command line, where every setting has an option of its name.

    Args:
        given: each option of the command; None where it was not given.

    Raises:
        UserError: some contradict each other, or are out of range.
    """
    from lmcompare.objectives.decoding.sampler import Sampler, make_sampler

    return make_sampler({name: given[name] for name in Sampler.model_fields})
