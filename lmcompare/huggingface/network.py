"""A model of Hugging Face as a network that objectives, decoders and probes may ask.

What our backbone does by the `order` of a view, their classes do by what they are: they read from
left to right, or both sides, or a source and then what is written. A view of another kind is
refused. What reads and what predicts are kept apart (`parts`), so that logits are computed where
something is asked and nowhere else.
"""

import inspect
from collections.abc import Collection, Iterator
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from lmcompare import devices
from lmcompare.huggingface import parts, reading
from lmcompare.huggingface.cache import HfCache
from lmcompare.huggingface.facts import HfFacts
from lmcompare.huggingface.framing import Framed, require_pattern
from lmcompare.model.backbone import CACHED
from lmcompare.model.loss import rows_at_once
from lmcompare.view import IGNORE, View
from lmcompare.vocab import Candidates


class HfNetwork(nn.Module):
    """A model of transformers, asked as a `LanguageModel` is.

    Attributes:
        facts: what is known of it.
        batch_size: rows of a pass without gradients; None for as many as suits the device.
    """

    def __init__(self, model: Any, facts: HfFacts, *, batch_size: int | None = None) -> None:
        super().__init__()
        self.model = model
        self.facts = facts
        self.batch_size = batch_size
        self.decodes = facts.kind == "seq2seq"
        self.pad = facts.tokenizer.vocab.roles.get("pad", 0)
        # a copy of the model without its body, and so no module of its own
        self.__dict__["_head"] = None if facts.kind == "states" else parts.head_of(model)
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
        return next(self.model.parameters()).device

    @property
    def width(self) -> int:
        """Return how many numbers a state has."""
        return int(self.model.get_input_embeddings().embedding_dim)

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
        frame = self.facts.frame if encodes or not self.decodes else self.facts.decoder_frame
        require_pattern(
            view,
            self.facts.name,
            causal=self.facts.causal and not encodes,
            longest=self.facts.longest_row(frame),
        )
        return Framed.of(view, frame, pad=self.pad)

    def run(self, view: View, framed: Framed, **how: Any) -> Any:
        """Return what the body makes of a view that was put in its frame.

        Args:
            view: whose source is read first, if it has one.
            framed: itself, in the frame.
            how: what else transformers is told.
        """
        given: dict[str, Any] = {"attention_mask": framed.mask.long(), "use_cache": False, **how}
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

    def predicting_states(self, view: View, wanted: Bool[Tensor, "B T"]) -> Float[Tensor, "N D"]:
        """Return the states from which the wanted positions predict.

        Raises:
            ValueError: an encoder-decoder has no source to read.
        """
        if self.decodes and view.source is None:
            raise ValueError("this model has an encoder and the view has no source for it")
        return self.states(view, wanted=wanted)

    @torch.no_grad()
    def predict(self, states: Float[Tensor, "N D"]) -> Float[Tensor, "N V"]:
        """Return what last states predict, unnormalised; raises as `logits_of` does."""
        return self.logits_of(states)

    def logits_of(self, states: Float[Tensor, "N D"]) -> Float[Tensor, "N V"]:
        """Return the same, through which a gradient may be taken.

        Raises:
            Unsupported: the model has no head.
        """
        self.facts.require_head()
        return parts.predict(self.__dict__["_head"], states, decodes=self.decodes)

    @torch.no_grad()
    def logits(self, view: View, wanted: Bool[Tensor, "B T"]) -> Float[Tensor, "N V"]:
        """Return what each wanted position predicts, unnormalised, on the model's device."""
        view = view.to(self.device)
        return self.predict(self.predicting_states(view, wanted.to(self.device)))

    def log_prob(self, view: View, *, among: Candidates | None = None) -> Float[Tensor, "B T"]:
        """Return the natural log-probability of each target, 0 where there is none, on the CPU.

        Args:
            view: what is read.
            among: what may be predicted; any id by default.
        """
        self.facts.require_head()
        pieces = view.split(self.rows_at_once(view.tokens.shape[1]))
        found = devices.side_by_side(
            lambda piece: self._scores(piece.to(self.device), among).cpu(), pieces, self.device
        )
        scores = torch.zeros(view.tokens.shape)
        scores[(view.target != IGNORE).cpu()] = torch.cat([torch.zeros(0), *found])
        return scores

    @torch.no_grad()
    def _scores(self, view: View, among: Candidates | None) -> Float[Tensor, " N"]:
        """Return those of the targets, one after another."""
        targets = view.target != IGNORE
        return self.target_log_prob(
            self.predicting_states(view, targets), view.target[targets], among
        )

    def target_log_prob(
        self, states: Float[Tensor, "N D"], target: Int[Tensor, " N"], among: Candidates | None
    ) -> Float[Tensor, " N"]:
        """Return what each state makes of its target, in nats and float32."""
        found, each = [states.new_zeros(0, dtype=torch.float32)], rows_at_once(states.device)
        for rows, targets in zip(states.split(each), target.split(each), strict=True):
            logits = self.predict(rows).float()
            if among is not None:
                logits, targets = among.narrow(logits, targets)
            found.append(-cross_entropy(logits, targets, reduction="none"))
        return torch.cat(found)

    def hidden_states(
        self, view: View, layers: Collection[int] | None = None
    ) -> Iterator[tuple[int, Float[Tensor, "B T D"]]]:
        """Yield the states of each layer: 0 is the embedding, the last as `states` has it."""
        return reading.hidden_states(self, view.to(self.device), layers)

    def attention_maps(
        self, view: View, layers: Collection[int] | None = None, *, source: bool = False
    ) -> Iterator[tuple[int, Float[Tensor, "B H T S"]]]:
        """Yield the softmax weights of each layer from 1 on; see `reading.attention_maps`."""
        return reading.attention_maps(self, view.to(self.device), layers, source=source)

    def gradient_influence(
        self,
        view: View,
        position: Int[Tensor, " B"],
        *,
        of: Literal["state", "log_prob"] = "state",
        source: bool = False,
    ) -> Float[Tensor, "B S"]:
        """Return the norm of a position's gradient; see `reading.gradient_influence`."""
        return reading.gradient_influence(
            self, view.to(self.device), position, of=of, source=source
        )

    @torch.inference_mode()
    def cache(self, view: View, *, capacity: int) -> HfCache:
        """Return an empty cache for the rows of `view`, whose source, if any, has been read."""
        del capacity  # theirs grow
        cache = HfCache(decodes=self.decodes)
        if view.source is not None:
            source = view.source.to(self.device)
            framed = self.framed(source)
            cache.source = self.run(source, framed).last_hidden_state
            cache.source_mask = framed.mask
        return cache

    @torch.inference_mode()
    def extend(
        self, cache: HfCache, view: View, wanted: Bool[Tensor, "B T"] | None = None
    ) -> Float[Tensor, "N V"]:
        """Return what positions of `view` predict, unnormalised, after what `cache` holds."""
        return self.predict(self.states_after(cache, view, wanted))

    @torch.inference_mode()
    def states_after(
        self, cache: HfCache, view: View, wanted: Bool[Tensor, "B T"] | None = None
    ) -> Float[Tensor, "N D"]:
        """Return the last states of positions of `view`; as `extend` otherwise.

        Rows are read with their padding at the left, as transformers does, so that all end in one
        column.
        """
        view = view.to(self.device)
        wanted = torch.ones_like(view.visible) if wanted is None else wanted.to(self.device)
        if not self.keeps_keys:
            return self._read_again(cache, view, wanted)
        if cache.length == 0:
            framed = self._opened(cache, view).at_the_right()
        else:
            place = torch.arange(view.tokens.shape[1], device=self.device)
            framed = Framed(
                tokens=view.tokens, mask=view.visible, place=place.expand_as(view.tokens)
            )
        cache.keep(framed.mask)
        given: dict[str, Any] = {"attention_mask": cache.mask.long()}
        if self.takes_positions:
            position = (cache.mask.long().cumsum(1) - 1).clamp(min=0)
            given["position_ids"] = position[:, -framed.tokens.shape[1] :]
        if cache.source is not None:
            given["encoder_hidden_states"] = cache.source
            given["encoder_attention_mask"] = cache.source_mask.long()
        output = self.body(
            input_ids=framed.tokens, past_key_values=cache.keys, use_cache=True, **given
        )
        return framed.read(output.last_hidden_state)[wanted]

    def _opened(self, cache: HfCache, view: View) -> Framed:
        """Return the first columns of rows in the frame of what writes."""
        frame = self.facts.decoder_frame
        require_pattern(
            view,
            self.facts.name,
            causal=self.facts.causal,
            longest=self.facts.longest_row(frame),
        )
        return Framed.of(view, frame, pad=self.pad)

    def _read_again(
        self, cache: HfCache, view: View, wanted: Bool[Tensor, "B T"]
    ) -> Float[Tensor, "N D"]:
        """Return the same of a model that keeps no keys: all is read anew."""
        whole, new = cache.with_columns(view)
        states = self.predicting_states(whole, torch.ones_like(whole.visible))
        states = states.view(*whole.tokens.shape, -1)
        return states.gather(1, new[:, :, None].expand(-1, -1, states.shape[2]))[wanted]

    def decoding_flops(self, view: View, cache: HfCache | None = None) -> int:
        """Return the operations of a pass that predicts the targets of `view`, after a cache.

        An estimate: two for each weight of the layers' matrices and each position, and those of
        attention to what was read.
        """
        slots, known = view.tokens.numel(), 0 if cache is None else cache.length
        if not self.keeps_keys:
            slots += known * len(view.tokens)
        keys = known + view.tokens.shape[1]
        total = (
            2 * slots * (reading.matrix_weights(self.body) + 2 * self._depth * self.width * keys)
        )
        if view.source is not None and not known:
            total += (
                2 * view.source.tokens.numel() * reading.matrix_weights(self.model.get_encoder())
            )
        return total + self.head_flops(view.num_targets)

    def head_flops(self, num_states: int) -> int:
        """Return the operations of predicting from so many states."""
        return 2 * num_states * self.width * int(self.facts.config.vocab_size)

    @property
    def _depth(self) -> int:
        return int(self.facts.config.num_hidden_layers)
