"""The backbone: token ids and who sees whom in, states out.

Llama's shape (Touvron et al. 2023, https://arxiv.org/abs/2302.13971): pre-norm RMSNorm, rotary
positions, SwiGLU, no biases, the output head tied to the embedding. So a causal model is a
`LlamaForCausalLM` and a masked one a `EuroBertForMaskedLM` to the Hugging Face world. An encoder
and cross-attention may be added; both stacks read one embedding, as in T5 (Raffel et al. 2020).
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from typing import Literal, cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.functional import embedding, linear

from lmcompare import devices, rng
from lmcompare.model import reading
from lmcompare.model.attention_mask import AttentionMask, EncodedSource
from lmcompare.model.config import ModelConfig
from lmcompare.model.decode_layer import DecodeHead
from lmcompare.model.flops import Counted
from lmcompare.model.kv_cache import KVCache
from lmcompare.model.layer import Layer, Norm, numbers_of, only
from lmcompare.model.loss import target_log_prob, weighted_cross_entropy
from lmcompare.model.prefix_sharing import PrefixSharing
from lmcompare.model.stack import Stack
from lmcompare.view import IGNORE, View
from lmcompare.vocab import Candidates

INITIAL_SCALE = 0.02  # standard deviation, as GPT-2
NUM_VERSIONS = 128  # of a layer that are compiled at most
CACHED = 2**18  # numbers of a state that a processor's cache holds with what comes of them


class Backbone(Counted, nn.Module):
    """A transformer that any objective can train.

    Its initial weights depend on (seed, a parameter's name and shape) alone, so arms that share a
    parameter start from the same one.
    """

    def __init__(self, config: ModelConfig, *, vocab_size: int, seed: int = 0):
        super().__init__()
        self.config = config
        self.vocab_size = vocab_size
        self.batch_size: int | None = None  # rows of a pass without gradients
        self.compiled = False
        self.embedding = nn.Parameter(torch.empty(vocab_size, config.width))
        encodes = config.encoder_layers > 0
        self.encoder = nn.ModuleList(
            Layer(config, crosses=False) for _ in range(config.encoder_layers)
        )
        self.encoder_norm = Norm(config.width, epsilon=config.norm_epsilon) if encodes else None
        self.layers = nn.ModuleList(Layer(config, crosses=encodes) for _ in range(config.depth))
        self.norm = Norm(config.width, epsilon=config.norm_epsilon)
        self._initialise(seed)

    @torch.no_grad()
    def _initialise(self, seed: int) -> None:
        # What adds to a residual stream starts smaller the more parts add to it (GPT-2, section
        # 2.3): two of each layer. With an encoder it is as in the model without one that stands
        # beside it, so that both start alike where they share a parameter.
        parts = 2 * self.config.layers
        for name, parameter in self.named_parameters():
            if parameter.ndim == 1:
                continue  # a norm's gain stays 1
            depth = parts if name.endswith("output.weight") else 1
            scale = INITIAL_SCALE / depth**0.5
            parameter.normal_(std=scale, generator=rng.generator("weights", seed, name))

    def compile_layers(self, *, backend: str = "inductor") -> None:
        """Compile one layer of a kind, which all of this kind then share, and the loss."""
        self.compiled = True
        # every kind of mask, with and without gradients, is one more version of the one function
        torch._dynamo.config.recompile_limit = NUM_VERSIONS
        for layer in [*self.encoder, *self.layers]:
            layer.compile(backend=backend, fullgraph=True)

    def encode(self, source: View) -> Float[Tensor, "B S D"]:
        """Return the normalised states of the encoder's last layer.

        Raises:
            ValueError: this model has no encoder.
        """
        return self._encoder(source).states()

    def _encoder(self, source: View) -> Stack:
        if self.encoder_norm is None:
            raise ValueError(
                "the view has a source and this model has no encoder to read it: "
                "set model.encoder_layers"
            )
        return self._stack(source)

    def _stack(self, view: View) -> Stack:
        """Return the layers that read `view`: an encoder's where it has no source."""
        encodes = view.source is None and self.encoder_norm is not None
        encoder = None if view.source is None else self._encoder(view.source)
        inputs = embedding(view.tokens, self.embedding)
        return Stack(
            view=view,
            inputs=inputs,
            layers=cast("list[Layer]", [*(self.encoder if encodes else self.layers)]),
            norm=cast("Norm", self.encoder_norm if encodes else self.norm),
            mask=AttentionMask.of(view, self.config, inputs.dtype),
            encoder=encoder,
            source=None if encoder is None else EncodedSource.of(view, encoder.states()),
        )

    def states(
        self, view: View, *, wanted: Bool[Tensor, "B T"] | None = None
    ) -> Float[Tensor, "*N D"]:
        """Return the normalised states of the last layer, B T D; of the `wanted` positions, N D.

        A view without a source is what an encoder reads, where there is one; the states are its.

        Raises:
            ValueError: the view has a source and this model no encoder.
        """
        numbers = None if wanted is None else numbers_of(wanted)
        if view.source is None and self.encoder_norm is not None:
            return only(self.encode(view), numbers)
        return self._states(view, numbers)

    def _states(
        self,
        view: View,
        wanted: Int[Tensor, " N"] | None,
        prefixes: PrefixSharing | None = None,
    ) -> Float[Tensor, "*N D"]:
        """Return the same; where rows share prefixes, `wanted` numbers the positions computed."""
        source = None
        if view.source is not None:
            source = EncodedSource.of(view, self.encode(view.source))
        elif self.encoder_norm is not None:
            raise ValueError(
                "this model has an encoder and the view has no source for it: give it one, or "
                "leave model.encoder_layers at 0"
            )
        tokens = view.tokens if prefixes is None else view.tokens.flatten()[prefixes.computed]
        x = embedding(tokens, self.embedding)
        mask = AttentionMask.of(view, self.config, x.dtype, prefixes=prefixes)
        *lower, last = self.layers
        for layer in lower:
            x = layer(x, mask, source)
        if wanted is not None and self.compiled:
            torch._dynamo.maybe_mark_dynamic(wanted, 0)  # one version for any number of them
        states: Tensor = self.norm(last(x, mask, source, wanted))
        return states

    def forward(self, view: View) -> Float[Tensor, ""]:
        """Return the loss: cross-entropy at the targets in nats, times their weights, summed."""
        target = view.target.flatten()[view.targets]
        weight = view.weight.flatten()[view.targets].masked_fill(target == IGNORE, 0)
        return weighted_cross_entropy(
            self._states(view, view.targets),
            self.embedding,
            target.clamp(min=0),
            weight,
            compiled=self.compiled,
        )

    @property
    def device(self) -> torch.device:
        """Return where it computes."""
        return self.embedding.device

    def rows_at_once(self, length: int) -> int:
        """Return how many rows of `length` a pass without gradients takes; changes no result."""
        numbers = CACHED if self.device.type == "cpu" else 2**24
        return self.batch_size or max(1, numbers // self.config.width // length)

    def log_prob(self, view: View, *, among: Candidates | None = None) -> Float[Tensor, "B T"]:
        """Return the natural log-probability of each target, 0 where there is none, on the CPU.

        Args:
            view: what is read.
            among: what may be predicted; any id by default.
        """
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
        prefixes = PrefixSharing.of(view)
        if prefixes is None:
            states = self._states(view, numbers_of(targets))
            return target_log_prob(states, self.embedding, view.target[targets], among)
        new, number = prefixes.questions(view)
        states = self._states(view, prefixes.node[new], prefixes)
        return target_log_prob(states, self.embedding, view.target[new], among)[number[targets]]

    @torch.no_grad()
    def logits(self, view: View, wanted: Bool[Tensor, "B T"]) -> Float[Tensor, "N V"]:
        """Return what each wanted position predicts, unnormalised, on the model's device."""
        return self.predict(self._states(view.to(self.device), numbers_of(wanted.to(self.device))))

    @torch.no_grad()
    def predict(self, states: Float[Tensor, "N D"]) -> Float[Tensor, "N V"]:
        """Return what normalised states predict, unnormalised."""
        return linear(states, self.embedding)

    def hidden_states(
        self, view: View, layers: Collection[int] | None = None
    ) -> Iterator[tuple[int, Float[Tensor, "B T D"]]]:
        """Yield the states of each layer: 0 is the embedding, the last as `states` has it.

        As for `states`, a view without a source is what an encoder reads, where there is one.
        """
        return reading.hidden_states(self._frozen_stack(view), layers)

    def attention_maps(
        self, view: View, layers: Collection[int] | None = None, *, source: bool = False
    ) -> Iterator[tuple[int, Float[Tensor, "B H T S"]]]:
        """Yield the softmax weights of each layer from 1 on; see `reading.attention_maps`."""
        return reading.attention_maps(self._frozen_stack(view), layers, source=source)

    def gradient_influence(
        self,
        view: View,
        position: Int[Tensor, " B"],
        *,
        of: Literal["state", "log_prob"] = "state",
        source: bool = False,
    ) -> Float[Tensor, "B S"]:
        """Return the norm of a position's gradient; see `reading.gradient_influence`."""
        head = self.embedding if of == "log_prob" else None
        stack = self._frozen_stack(view)
        return reading.gradient_influence(stack, position, head=head, source=source)

    @torch.no_grad()
    def _frozen_stack(self, view: View) -> Stack:
        return self._stack(view.to(self.device))

    @torch.inference_mode()
    def cache(self, view: View, *, capacity: int) -> KVCache:
        """Return an empty cache for the rows of `view`, whose source, if any, has been read."""
        # few queries against many keys: what is slow on a processor in bfloat16
        dtype = torch.float32 if self.device.type == "cpu" else self.embedding.dtype
        source: EncodedSource | None = None
        if view.source is not None:
            source_view = view.source.to(self.device)
            first = replace(view.columns(slice(1)).to(self.device), source=source_view)
            source = EncodedSource.of(first, self.encode(source_view))  # all positions see the same
        return KVCache(
            self.config,
            cast("Iterable[Layer]", self.layers),
            DecodeHead(self.norm, self.embedding),
            num_rows=len(view.tokens),
            capacity=capacity,
            dtype=dtype,
            device=self.device,
            source=source,
        )

    @torch.inference_mode()
    def extend(
        self, cache: KVCache, view: View, wanted: Bool[Tensor, "B T"] | None = None
    ) -> Float[Tensor, "N V"]:
        """Return what positions of `view` predict, unnormalised, after what `cache` holds.

        The visible ones are then held too. Documents cannot be kept apart here.

        Args:
            cache: which `cache` made for these rows.
            view: what is new.
            wanted: which positions; all by default.

        Raises:
            ValueError: there is no room for them.
        """
        return cache.head(self._after(cache, view, wanted))

    @torch.inference_mode()
    def states_after(
        self, cache: KVCache, view: View, wanted: Bool[Tensor, "B T"] | None = None
    ) -> Float[Tensor, "N D"]:
        """Return the normalised states of positions of `view`; as `extend` otherwise."""
        return cache.head.states(self._after(cache, view, wanted))

    def _after(
        self, cache: KVCache, view: View, wanted: Bool[Tensor, "B T"] | None
    ) -> Float[Tensor, "N D"]:
        view = view.to(self.device)
        position = cache.keep(view)
        x = embedding(view.tokens.flatten(), self.embedding)
        *lower, last = cache.layers
        for layer in lower:
            x = layer(x, position, None)
        return last(x, position, None if wanted is None else numbers_of(wanted.to(self.device)))
