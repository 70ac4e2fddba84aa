"""A model of Hugging Face as weights of our backbone, for training that starts from it.

Llama's shape is the backbone's, and EuroBERT's is Llama's without the causal mask. So a model of
either fits where it has no biases, ties its head to its embedding and turns positions in the usual
way; then the backbone computes what it does. Where several heads share keys and values, each gets
a copy of them, which changes nothing in what is computed.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from tokenizers import Tokenizer as Library
from torch import Tensor

from lmcompare import hub
from lmcompare.data import Tokenizer, special_tokens
from lmcompare.errors import Unsupported
from lmcompare.hub import HfSource
from lmcompare.huggingface.facts import HfFacts, read_facts
from lmcompare.huggingface.load import load_model
from lmcompare.huggingface.mapping import IN_LAYERS, OUTSIDE_LAYERS
from lmcompare.model import ModelConfig

FITTING = ("llama", "eurobert", "mistral")  # families with the backbone's shape


@dataclass(frozen=True, kw_only=True)
class BackboneWeights:
    """What training may start from.

    Attributes:
        config: the shape of the backbone that computes what the model does.
        weights: its parameters by their names in the backbone, in float32.
        tokenizer: the model's, with a name for each row of the embedding.
        length: how many tokens its rows may have, the start token included.
        facts: what is known of the model.
        added: the special tokens that it lacked and was given, by role.
    """

    config: ModelConfig
    weights: Mapping[str, Tensor]
    tokenizer: Tokenizer
    length: int
    facts: HfFacts
    added: Mapping[str, str]


def backbone_from_hf(source: HfSource | str, *, needs: Collection[str] = ()) -> BackboneWeights:
    """Return a model's weights as those of the backbone.

    A special token that it lacks is added as a new last row of the embedding, which is the mean of
    all others (Hewitt 2021, Initializing New Word Embeddings for Pretrained Language Models).

    Args:
        source: where it lies, or `hf:FOLDER-or-NAME[@revision]`.
        needs: the roles of special tokens that training will need.

    Raises:
        Unsupported: the backbone has not its shape.
        UserError: there is no such model, or its weights are not those of its configuration.
    """
    if isinstance(source, str):
        source = hub.find(source)
    facts = read_facts(source)
    shape = _shape(facts)
    embedding, weights = _renamed(load_model(facts).state_dict(), facts)
    tokenizer, added = _tokenizer(facts, needs)
    new = embedding.mean(0, keepdim=True).expand(tokenizer.vocab.size - len(embedding), -1)
    weights["embedding"] = torch.cat([embedding, new])
    return BackboneWeights(
        config=shape,
        weights=weights,
        tokenizer=tokenizer,
        length=facts.length,
        facts=facts,
        added=added,
    )


def _shape(facts: HfFacts) -> ModelConfig:
    """Return the shape of the backbone that computes what a model does.

    Raises:
        Unsupported: none does.
    """
    config = facts.config
    heads, width = config.num_attention_heads, config.hidden_size
    rotary: dict[str, Any] = getattr(config, "rope_parameters", None) or {}
    differs = {
        f"it is a {config.model_type}": config.model_type not in FITTING,
        "it predicts nothing": facts.kind not in ("causal", "masked"),
        "it has biases": bool(
            getattr(config, "attention_bias", False) or getattr(config, "mlp_bias", False)
        ),
        "its head is not its embedding": not config.tie_word_embeddings,
        f"its activation is {getattr(config, 'hidden_act', None)}": (
            getattr(config, "hidden_act", None) != "silu"
        ),
        "its positions are scaled": rotary.get("rope_type", "default") != "default",
        "it looks back through a window": getattr(config, "sliding_window", None) is not None,
        "its heads are not as wide as their share of it": (
            (getattr(config, "head_dim", None) or width // heads) * heads != width
        ),
    }
    found = [said for said, is_so in differs.items() if is_so]
    if found:
        raise Unsupported(
            f"training cannot start from {facts.name}, as {found[0]} and the backbone is not "
            f"built so: choose a model of the family {' or '.join(FITTING[:2])} that fits, or an "
            "export of ours"
        )
    return ModelConfig(
        preset="nano",
        layers=config.num_hidden_layers,
        width=width,
        heads=heads,
        ffn=config.intermediate_size,
        rotary_base=float(rotary.get("rope_theta", getattr(config, "rope_theta", 10_000.0))),
        norm_epsilon=config.rms_norm_eps,
    )


def _renamed(state: Mapping[str, Any], facts: HfFacts) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the embedding, and all else under the backbone's names."""
    config, found = facts.config, {}
    heads, shared = config.num_attention_heads, config.num_key_value_heads
    for ours, theirs in OUTSIDE_LAYERS.items():
        found[ours] = state[theirs].float()
    for layer in range(config.num_hidden_layers):
        for ours, names in IN_LAYERS.items():
            parts = []
            for name in names:
                part = state[f"model.layers.{layer}.{name}.weight"].float()
                if name.endswith(("k_proj", "v_proj")) and shared != heads:
                    each = part.unflatten(0, (shared, -1))
                    part = each.repeat_interleave(heads // shared, dim=0).flatten(0, 1)
                parts.append(part)
            found[f"layers.{layer}.{ours}.weight"] = torch.cat(parts)
    return found.pop("embedding"), found


def _tokenizer(facts: HfFacts, needs: Collection[str]) -> tuple[Tokenizer, dict[str, str]]:
    """Return the tokenizer with a name for each row, and the tokens that were added by role."""
    library = Library.from_str(facts.tokenizer.json)
    size = facts.tokenizer.vocab.size
    special_tokens.fill_up(library, size)
    added = special_tokens.add_roles(library, needs)
    assert Tokenizer(library).vocab.size == size + len(added), "each has a row"
    return Tokenizer(library), added
