"""The options that say how tokens are chosen, and the sampler that they make."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from lmcompare.errors import UserError, did_you_mean

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
        UserError: as `make_sampler`.
    """
    from lmcompare.objectives.decoding.sampler import Sampler

    return make_sampler({name: given[name] for name in Sampler.model_fields})


def make_sampler(given: Mapping[str, object]) -> "Sampler":
    """Return a sampler of the settings that were given (not None), and no others.

    Raises:
        UserError: some contradict each other, or are out of range.
    """
    from pydantic import ValidationError

    from lmcompare.objectives.decoding.sampler import Sampler

    try:
        return Sampler.model_validate({k: v for k, v in given.items() if v is not None})
    except ValidationError as error:
        first = error.errors()[0]
        message = first["msg"].removeprefix("Value error, ")
        if not first["loc"]:
            raise UserError(message) from None
        option = str(first["loc"][0]).replace("_", "-")
        message = message[0].lower() + message[1:]
        raise UserError(f"--{option} cannot be {first['input']}: {message}") from None


def read_decoding(text: str) -> "Sampler":
    """Read settings such as `greedy` or `top_k=40,temperature=0.7`.

    Raises:
        UserError: there is no such setting, or as `make_sampler`.
    """
    from lmcompare.objectives.decoding.sampler import Sampler

    given: dict[str, object] = {}
    for part in text.split(","):
        name, _, value = (each.strip() for each in part.partition("="))
        name = name.replace("-", "_")
        if name not in Sampler.model_fields:
            raise UserError(
                f"--decoding {text!r} sets '{name}', which is not a setting of sampling: "
                f"{did_you_mean(name, Sampler.model_fields)}"
            )
        given[name] = value or "true"
    return make_sampler(given)
