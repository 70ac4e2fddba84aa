"""A model of Hugging Face as a network that objectives, decoders and probes may ask.

What our backbone does by the `order` of a view, their classes do by what they are: they read from
left to right, or both sides, or a source and then what is written. Those that can be told who sees
whom are told where a view asks for something else; of others it is refused. What reads and what
predicts are kept apart (`parts`), so that logits are computed where something is asked and nowhere
else.
"""

from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import cross_entropy

from lmcompare import devices
from lmcompare.errors import Unsupported
from lmcompare.huggingface import parts, reading
from lmcompare.huggingface.batching import Shared, shared_pieces, sorted_pieces
from lmcompare.huggingface.body import HfBody
from lmcompare.huggingface.cache import HfCache
from lmcompare.huggingface.facts import HfFacts
from lmcompare.huggingface.framing import Framed, is_own_pattern
from lmcompare.model.loss import rows_at_once
from lmcompare.view import IGNORE, View
from lmcompare.vocab import Candidates


class HfNetwork(HfBody):
    """A model of transformers, asked as a `LanguageModel` is."""

    def __init__(self, model: Any, facts: HfFacts, *, batch_size: int | None = None) -> None:
        super().__init__(model, facts, batch_size=batch_size)
        # a copy of the model without its body, and so no module of its own
        self.__dict__["_head"] = None if facts.kind == "states" else parts.head_of(model)

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
        scores = torch.zeros(view.tokens.shape)
        shared = None
        own = self.facts.kind == "causal" and is_own_pattern(view, causal=True)
        if own and len(view.tokens) > 1 and self.is_plain and self.takes_orders:
            self.framed(view)  # which refuses rows that are too long
            shared = shared_pieces(view, self.rows_at_once)
        if shared is not None:
            found = devices.side_by_side(
                lambda piece: self._shared_scores(view, piece, among).cpu(), shared, self.device
            )
            for each, values in zip(shared, found, strict=True):
                scores[each.row, each.column] = values
            return scores
        asked = view.target != IGNORE
        pieces = list(sorted_pieces(view, self.rows_at_once))
        found = devices.side_by_side(
            lambda piece: self._scores(piece[1].to(self.device), among).cpu(), pieces, self.device
        )
        for (rows, _), values in zip(pieces, found, strict=True):
            row, column = asked[rows].nonzero(as_tuple=True)
            scores[rows[row], column] = values
        return scores

    @torch.no_grad()
    def _shared_scores(
        self, view: View, shared: Shared, among: Candidates | None
    ) -> Float[Tensor, " N"]:
        """Return those of the targets of rows that hold once what begins alike."""
        output = self.run(view, shared.framed.to(self.device))
        states = output.last_hidden_state[shared.group, shared.node]
        target = view.target[shared.row, shared.column].to(self.device)
        return self.target_log_prob(states, target, among)

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
            framed = self._framed(view, self._frame).at_the_right()
        else:
            framed = Framed.as_it_is(view)
            if cache.follows(view):
                framed = replace(framed, sees=None)
            elif not self.takes_orders:
                raise Unsupported(f"{self.facts.name} writes from left to right only")
        given = cache.keep(framed, takes_positions=self.takes_positions)
        output = self.body(
            input_ids=framed.tokens, past_key_values=cache.keys, use_cache=True, **given
        )
        return framed.read(output.last_hidden_state)[wanted]

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
