"""What reads in a model of Hugging Face: views in, last states out."""

import inspect
from dataclasses import replace
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from lmcompare.errors import Unsupported, UserError
from lmcompare.huggingface import parts
from lmcompare.huggingface.cache import as_added
from lmcompare.huggingface.facts import HfFacts
from lmcompare.huggingface.framing import Frame, Framed, is_own_pattern
from lmcompare.model.backbone import CACHED
from lmcompare.view import View


class HfBody(nn.Module):
    """A model of transformers that reads views.

    Attributes:
        model: of transformers.
        facts: what is known of it.
        batch_size: rows of a pass without gradients; None for as many as suits the device.
        decodes: whether it is an encoder and a decoder.
        pad: the id of padding.
        takes_positions: whether it is told where tokens stand.
        keeps_keys: whether it keeps the keys and values of what it has read.
    """

    def __init__(self, model: Any, facts: HfFacts, *, batch_size: int | None = None) -> None:
        super().__init__()
        self.model = model
        self.facts = facts
        self.batch_size = batch_size
        self.decodes = facts.kind == "seq2seq"
        self.pad = facts.tokenizer.vocab.roles.get("pad", 0)
        accepted = inspect.signature(self.body.forward).parameters
        self.takes_positions = "position_ids" in accepted
        self.keeps_keys = "past_key_values" in accepted

    @property
    def body(self) -> Any:
        """Return what predicts without its head: of an encoder-decoder, the decoder."""
        if self.decodes:
            return self.model.get_decoder()
        if self.facts.kind == "states":
            return self.model
        return getattr(self.model, parts.body_name(self.model))

    @property
    def device(self) -> torch.device:
        """Return where it computes."""
        device: torch.device = next(self.model.parameters()).device
        return device

    @property
    def width(self) -> int:
        """Return how many numbers a state has."""
        config = self.facts.config
        return int(getattr(config, "word_embed_proj_dim", None) or config.hidden_size)

    def rows_at_once(self, length: int) -> int:
        """Return how many rows of `length` a pass without gradients takes; changes no result."""
        numbers = CACHED if self.device.type == "cpu" else 2**24
        return self.batch_size or max(1, numbers // self.width // length)

    def framed(self, view: View) -> Framed:
        """Put a view into the frame of what reads it.

        Raises:
            Unsupported: it cannot be read so.
            UserError: it is too long.
        """
        encodes = self.decodes and view.source is None
        return self._framed(view, self.facts.frame if encodes else self._frame, encodes=encodes)

    @property
    def _frame(self) -> Frame:
        """Return what stands around what is predicted."""
        return self.facts.decoder_frame if self.decodes else self.facts.frame

    @property
    def is_plain(self) -> bool:
        """Tell whether nothing stands around a text but our start token."""
        bos = self.facts.tokenizer.vocab.roles.get("bos")
        return not self.decodes and self._frame.opening == (bos,) and not self._frame.closing

    def _framed(self, view: View, frame: Frame, *, encodes: bool = False) -> Framed:
        name, longest = self.facts.name, self.facts.longest_row(frame)
        last = int((view.position.where(view.visible, 0)).max())
        if longest is not None and (length := last + 1) > longest:
            raise UserError(
                f"{name} reads texts of at most {longest} tokens, the start token included, and "
                f"one has {length}: shorten it, or choose a shorter window"
            )
        causal = self.facts.causal and not encodes
        if is_own_pattern(view, causal=causal):
            return Framed.of(view, frame, pad=self.pad)
        if view.within is None and self.is_plain and self.takes_orders:
            return Framed.as_it_is(view)
        reads = "from left to right" if causal else "both sides of a text at once"
        raise Unsupported(f"{name} reads {reads}, and what is asked here is not read so")

    @cached_property
    @torch.no_grad()
    def takes_orders(self) -> bool:
        """Tell whether its class can be told who sees whom.

        That is found out with a few tokens: told its own pattern, it must say what it says when it
        is told nothing, and told another one, something else.
        """
        windows = getattr(self.facts.config, "sliding_window", None)  # no table would keep to them
        if self.decodes or not self.takes_positions or windows is not None:
            return False
        tokens = self.facts.tokenizer.vocab.regular[:5][None].to(self.device)
        every = torch.ones_like(tokens, dtype=torch.bool)
        left, both = (
            Framed.as_it_is(kind(tokens.cpu(), visible=every.cpu()).to(self.device))
            for kind in (View.causal, View.bidirectional)
        )
        own, other = (left, both) if self.facts.causal else (both, left)
        untold = replace(own, sees=None)
        try:
            usual, as_told, changed = (
                self.run(View.causal(tokens, visible=every), each).last_hidden_state
                for each in (untold, own, other)
            )
        except (ValueError, RuntimeError, IndexError):  # a table where a row was expected
            return False
        return torch.allclose(usual, as_told, atol=1e-4) and not torch.allclose(usual, changed)

    def run(self, view: View, framed: Framed, **how: Any) -> Any:
        """Return what the body makes of a view that was put in its frame.

        Args:
            view: whose source is read first, if it has one.
            framed: itself, in the frame.
            how: what else transformers is told.
        """
        given: dict[str, Any] = {"attention_mask": framed.mask.long(), "use_cache": False, **how}
        if framed.sees is not None:
            given |= {"attention_mask": as_added(framed.sees), "position_ids": framed.position}
        if "inputs_embeds" not in given:
            given["input_ids"] = framed.tokens
        if not self.decodes:
            return self.body(**given)
        if view.source is None:
            del given["use_cache"]
            return self.model.get_encoder()(**given)
        source = self.framed(view.source)
        if "encoder_hidden_states" not in given:
            given["encoder_hidden_states"] = self.run(view.source, source).last_hidden_state
        return self.body(**given, encoder_attention_mask=source.mask.long())

    def states(
        self, view: View, *, wanted: Bool[Tensor, "B T"] | None = None
    ) -> Float[Tensor, "N D"]:
        """Return the last states of the wanted positions; of all visible ones by default.

        A view without a source is what an encoder reads, where there is one.
        """
        framed = self.framed(view)
        found = framed.read(self.run(view, framed).last_hidden_state)
        return found[view.visible if wanted is None else wanted]
