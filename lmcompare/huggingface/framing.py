"""What stands around a text where a model of Hugging Face reads it.

Our rows begin with one start token and end with their text. Theirs may begin with several tokens or
none (T5's source), and end with one (BERT's `[SEP]`). A view is put into their frame, and what they
say of it is read at the places of its own positions.
"""

from dataclasses import dataclass, fields
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

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
        order: who sees whom, as in a view; None where the frame added tokens, which have none.
        sees: the same as a table; None where that is as the model has it by itself.
        position: where tokens stand in the text; None as for the order.
    """

    tokens: Int[Tensor, "B S"]
    mask: Bool[Tensor, "B S"]
    place: Int[Tensor, "B T"]
    order: Int[Tensor, "B S"] | None = None
    sees: Bool[Tensor, "B S S"] | None = None
    position: Int[Tensor, "B S"] | None = None

    @staticmethod
    def as_it_is(view: View) -> "Framed":
        """Return the rows of a view with the pattern that it has."""
        index = torch.arange(view.tokens.shape[1], device=view.tokens.device)
        return Framed(
            tokens=view.tokens,
            mask=view.visible,
            place=index.expand_as(view.tokens),
            order=view.order,
            sees=view.sees(),
            position=view.position,
        )

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
        is_plain = len(frame.opening) == 1 and not frame.closing
        return Framed(
            tokens=framed.masked_fill(~mask, pad),
            mask=mask,
            place=place.expand_as(tokens),
            order=view.order if is_plain else None,
            position=view.position if is_plain else None,
        )

    def to(self, device: torch.device) -> "Framed":
        """Return the same on a device."""
        given: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(self)}
        moved: dict[str, Any] = {
            name: each if each is None else each.to(device) for name, each in given.items()
        }
        return Framed(**moved)

    def at_the_right(self) -> "Framed":
        """Return the same with the padding at the beginning, so that all rows end in one column."""
        size = self.tokens.shape[1]
        away = size - self.mask.sum(1, keepdim=True)
        index = (torch.arange(size, device=away.device) - away) % size
        return Framed(
            tokens=self.tokens.gather(1, index),
            mask=self.mask.gather(1, index),
            place=(self.place + away) % size,
            order=None if self.order is None else self.order.gather(1, index),
            position=None if self.position is None else self.position.gather(1, index),
        )

    def read(self, states: Float[Tensor, "B S D"]) -> Float[Tensor, "B T D"]:
        """Return what stands at the places of our own positions."""
        return states.gather(1, self.place[:, :, None].expand(-1, -1, states.shape[2]))


def is_own_pattern(view: View, *, causal: bool) -> bool:
    """Tell whether a model that is told nothing reads a view as it is meant.

    Args:
        view: what is to be read.
        causal: whether the model reads from left to right, or else both sides.
    """
    order, document, visible = view.order, view.document, view.visible
    if causal:
        fits = bool((order[:, 1:] > order[:, :-1]).all())
    else:
        fits = bool((order == order[:, :1]).all())
    counted = torch.arange(order.shape[1], device=order.device)
    return (
        fits
        and view.within is None
        and (document is None or not bool((document != document[:, :1]).any()))
        and not bool((visible[:, 1:] > visible[:, :-1]).any())
        and bool((view.position == counted).where(visible, True).all())
    )
