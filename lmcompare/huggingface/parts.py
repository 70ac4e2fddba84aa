"""A model of transformers taken apart: what reads, and the head that predicts from states.

The head is the model itself with its body taken out. So whatever a class does between its last
states and its logits (transforms, biases, scales) is done by its own code, and only where something
is predicted.
"""

import copy
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from lmcompare.errors import UserError

_BODIES = ("model", "transformer", "decoder")  # where a class does not say so itself


class _Given:
    """What a body would have returned, with states that are given."""

    def __init__(self, states: Tensor) -> None:
        self.last_hidden_state = states

    def __getattr__(self, name: str) -> None:
        if name.startswith("__"):
            raise AttributeError(name)

    def __getitem__(self, index: Any) -> Any:
        return (self.last_hidden_state,)[index]


class _NoBody(nn.Module):
    """Stands in the place of a body and returns the states that it is given as embeddings."""

    @property
    def decoder(self) -> "_NoBody":
        """Return itself: some classes ask a part of their body."""
        return self

    def forward(
        self,
        *_: Any,
        inputs_embeds: Tensor | None = None,
        decoder_inputs_embeds: Tensor | None = None,
        **__: Any,
    ) -> _Given:
        """Return given states as a body's output."""
        states = inputs_embeds if decoder_inputs_embeds is None else decoder_inputs_embeds
        assert states is not None
        return _Given(states)


def body_name(model: Any) -> str:
    """Return the name of the module between the tokens and the head.

    Raises:
        UserError: none is known.
    """
    prefix = model.base_model_prefix
    for name in (prefix, *_BODIES):
        if name and name in dict(model.named_children()):
            return str(name)
    raise UserError(
        f"{type(model).__name__} is not built of a body and a head as other classes are: "
        "choose another model"
    )


def head_of(model: Any) -> Any:
    """Return a model that shares all weights, but whose body returns the states it is given."""
    head = copy.copy(model)
    head.__dict__["_modules"] = {**model._modules, body_name(model): _NoBody()}
    return head


def predict(head: Any, states: Float[Tensor, "N D"], *, decodes: bool) -> Float[Tensor, "N V"]:
    """Return what a head makes of normalised states, unnormalised.

    Args:
        head: of `head_of`.
        states: of a body.
        decodes: whether they are a decoder's, beside an encoder.
    """
    given: dict[str, Any] = {"inputs_embeds": states[None]}
    if decodes:
        given = {"decoder_inputs_embeds": states[None], "encoder_outputs": (states[None],)}
    logits: Tensor = head(**given, use_cache=False).logits[0]
    return logits
