"""What stands around a text where a model of Hugging Face reads it.

Our rows begin with one start token and end with their text. Theirs may begin with several tokens or
none (T5's source), and end with one (BERT's `[SEP]`). A view is put into their frame, and what they
say of it is read at the places of its own positions.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lmcompare.errors import Unsupported, UserError
from lmcompare.view import View


@dataclass(frozen=True, kw_only=True)
class Frame:
    """The tokens around a text.

    Attributes:
        opening: what stands in the place of our start token.
        closing: what follows the last token.
    """

    opening: tuple[int, ...]
    closing: tuple[int, ...] = ()

    @property
    def added(self) -> int:
        """Return how many tokens a row of ours has more in it."""
        return len(self.opening) - 1 + len(self.closing)


@dataclass(frozen=True, kw_only=True)
class Framed:
    """Rows as their model reads them; padding stands at the end.

    Attributes:
        tokens: ids.
        mask: False where there is padding.
        place: of each position of ours, its index. A start token in whose place nothing stands has
            that of the token after it.
    """

    tokens: Int[Tensor, "B S"]
    mask: Bool[Tensor, "B S"]
    place: Int[Tensor, "B T"]

    @staticmethod
    def of(view: View, frame: Frame, *, pad: int) -> "Framed":
        """Put the rows of a view into a frame.

        Args:
            view: rows that begin with our start token, padded at their ends.
            frame: what stands around them.
            pad: the id of padding.
        """
        shift = len(frame.opening) - 1
        tokens, length = view.tokens, view.visible.sum(1, keepdim=True)
        opening = tokens.new_tensor(frame.opening, dtype=torch.long).expand(len(tokens), -1)
        room = tokens.new_zeros(len(tokens), len(frame.closing))
        framed = torch.cat([opening, tokens[:, 1:], room], dim=1)
        index = torch.arange(framed.shape[1], device=tokens.device)
        for number, token in enumerate(frame.closing):
            framed = framed.masked_fill(index == length + shift + number, token)
        mask = index < length + frame.added
        place = (torch.arange(tokens.shape[1], device=tokens.device) + shift).clamp(min=0)
        return Framed(
            tokens=framed.masked_fill(~mask, pad), mask=mask, place=place.expand_as(tokens)
        )

    def at_the_right(self) -> "Framed":
        """Return the same with the padding at the beginning, so that all rows end in one column."""
        size = self.tokens.shape[1]
        away = size - self.mask.sum(1, keepdim=True)
        index = (torch.arange(size, device=away.device) - away) % size
        return Framed(
            tokens=self.tokens.gather(1, index),
            mask=self.mask.gather(1, index),
            place=(self.place + away) % size,
        )

    def read(self, states: Float[Tensor, "B S D"]) -> Float[Tensor, "B T D"]:
        """Return what stands at the places of our own positions."""
        return states.gather(1, self.place[:, :, None].expand(-1, -1, states.shape[2]))


def require_pattern(view: View, name: str, *, causal: bool, longest: int | None) -> None:
    """Make sure that a model of theirs can read a view as it is.

    Args:
        view: what is to be read.
        name: of the model, for the message.
        causal: whether the model reads from left to right, or else both sides.
        longest: how many tokens of a view it can read at most; None for any number.

    Raises:
        Unsupported: the view is for another kind of model.
        UserError: its rows are too long.
    """
    order, document = view.order, view.document
    alike = bool((order == order[:, :1]).all())
    rising = bool((order[:, 1:] > order[:, :-1]).all())
    if not (rising if causal else alike or order.shape[1] == 1):
        reads = "from left to right" if causal else "both sides of a text at once"
        raise Unsupported(f"{name} reads {reads}, and what is asked here is not read so")
    if view.within is not None:
        raise Unsupported(f"{name} has no positions within a hole, which are asked for here")
    if document is not None and bool((document != document[:, :1]).any()):
        raise Unsupported(f"{name} does not keep documents of one row apart: give each its own row")
    if bool((view.visible[:, 1:] > view.visible[:, :-1]).any()):
        raise Unsupported(f"{name} cannot read rows in which hidden positions stand before others")
    if longest is not None and (length := int(view.visible.sum(1).max())) > longest:
        raise UserError(
            f"{name} reads texts of at most {longest} tokens, the start token included, and one "
            f"has {length}: shorten it, or choose a shorter window"
        )
