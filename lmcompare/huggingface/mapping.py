"""What Hugging Face transformers calls the parts of a network: weights, shape and tokenizer.

The backbone has Llama's shape, and without its causal mask EuroBERT's (Boizard et al. 2025,
https://arxiv.org/abs/2503.05500). So only names differ, and what we keep as one matrix is
several there. All is written by hand: nothing here needs transformers.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import tokenizers
from tokenizers import AddedToken, processors
from torch import Tensor

from lmcompare.data import Tokenizer
from lmcompare.model import ModelConfig
from lmcompare.objectives import HfClass
from lmcompare.vocab import Vocab


@dataclass(frozen=True, kw_only=True)
class HfModel:
    """A class of transformers that computes what the backbone computes."""

    model_type: str
    name: str
    auto_class: str  # what loads it without its name
    pipeline: str
    since: str  # a version of transformers that loads it, as do later ones
    roles: tuple[str, ...]  # of the special tokens that its configuration holds
    padding_side: Literal["left", "right"]
    generates: bool
    caveat: str


HF_MODELS: Mapping[HfClass, HfModel] = {
    "causal": HfModel(
        model_type="llama",
        name="LlamaForCausalLM",
        auto_class="AutoModelForCausalLM",
        pipeline="text-generation",
        since="4.57",
        roles=("bos", "eos", "pad"),
        padding_side="left",  # so that all rows of a batch are written on from their ends
        generates=True,
        caveat="Say how many new tokens to write: the end token may never come.",
    ),
    "masked": HfModel(
        model_type="eurobert",
        name="EuroBertForMaskedLM",
        auto_class="AutoModelForMaskedLM",
        pipeline="fill-mask",
        since="5.3",
        roles=("bos", "eos", "pad", "mask"),
        padding_side="right",
        generates=False,
        caveat="Several masks are filled each by itself: the product of their probabilities is "
        "not the probability of what they hold together.",
    ),
}

OUTSIDE_LAYERS = {"embedding": "model.embed_tokens.weight", "norm.weight": "model.norm.weight"}
IN_LAYERS = {  # what is one matrix here and several there lies there from top to bottom
    "attention_norm": ("input_layernorm",),
    "attention.query_key_value": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    "attention.output": ("self_attn.o_proj",),
    "feed_forward_norm": ("post_attention_layernorm",),
    "feed_forward.gate_value": ("mlp.gate_proj", "mlp.up_proj"),
    "feed_forward.output": ("mlp.down_proj",),
}
OURS = "lmcompare"  # the entry of `config.json` that says how the model was trained
_SPACES = "\u0120\u2581 "  # how byte-level vocabularies, SentencePiece and others write a space


def hf_weights(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the backbone's weights under the names of Llama and EuroBERT, which agree.

    The head is the embedding, and left out as they leave it out.
    """
    renamed: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        if name in OUTSIDE_LAYERS:
            renamed[OUTSIDE_LAYERS[name]] = tensor
            continue
        found = re.fullmatch(r"layers\.(\d+)\.(.+)\.weight", name)
        assert found is not None, f"{name} has no name in transformers"
        theirs = IN_LAYERS[found[2]]
        for each, part in zip(theirs, tensor.chunk(len(theirs)), strict=True):
            # safetensors refuses tensors that share memory
            renamed[f"model.layers.{found[1]}.{each}.weight"] = part.clone()
    return renamed


def hf_config(
    config: ModelConfig, hf_model: HfModel, vocab: Vocab, *, length: int
) -> dict[str, Any]:
    """Return the content of `config.json`.

    Args:
        config: the shape.
        hf_model: what the network is.
        vocab: of its tokenizer.
        length: tokens of a training block: no position beyond it was ever trained.
    """
    return {
        "architectures": [hf_model.name],
        "model_type": hf_model.model_type,
        "vocab_size": vocab.size,
        "hidden_size": config.width,
        "intermediate_size": config.ffn,
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.heads,
        "num_key_value_heads": config.heads,
        "head_dim": config.head_width,
        "hidden_act": "silu",
        "rms_norm_eps": config.norm_epsilon,
        "rope_parameters": {"rope_type": "default", "rope_theta": config.rotary_base},
        "rope_theta": config.rotary_base,  # where versions before 5 look for it
        "max_position_embeddings": length,
        "attention_bias": False,
        "attention_dropout": 0.0,
        "mlp_bias": False,
        "tie_word_embeddings": True,
        "dtype": "float32",
        **_token_ids(hf_model, vocab),
    }


def generation_config(hf_model: HfModel, vocab: Vocab) -> dict[str, Any]:
    """Return the content of `generation_config.json`."""
    return _token_ids(hf_model, vocab)


def _token_ids(hf_model: HfModel, vocab: Vocab) -> dict[str, int]:
    return {f"{role}_token_id": vocab.require(role) for role in hf_model.roles}


def hf_tokenizer(tokenizer: Tokenizer) -> str:
    """Return the content of `tokenizer.json`: every text begins as the rows of training did.

    Between the two texts of a pair comes what was between two documents.
    """
    library = tokenizers.Tokenizer.from_str(tokenizer.json)
    vocab, spelled = tokenizer.vocab, _special_tokens(tokenizer)
    bos, eos = spelled["bos"], spelled["eos"]
    library.post_processor = processors.TemplateProcessing(
        single=[bos, "$A"],
        pair=[bos, "$A", eos, "$B"],
        special_tokens=[(bos, vocab.bos), (eos, vocab.eos)],
    )
    if "mask" in spelled:
        # In training a mask stood for a token with the space before it, where tokens have one. So
        # it must swallow the one in "The [MASK] sat": left over, it would be a token of its own
        # that training never showed there. A mask of one byte or character leaves it in place.
        symbols = library.get_vocab(with_added_tokens=False)
        swallows = any(symbol[:1] in _SPACES and len(symbol) > 1 for symbol in symbols)
        mask = AddedToken(spelled["mask"], lstrip=swallows, normalized=False, special=True)
        library.add_special_tokens([mask])
    return Tokenizer(library).json


def tokenizer_config(tokenizer: Tokenizer, hf_model: HfModel, *, length: int) -> dict[str, Any]:
    """Return the content of `tokenizer_config.json`."""
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": length,
        "model_input_names": ["input_ids", "attention_mask"],
        "padding_side": hf_model.padding_side,
        "clean_up_tokenization_spaces": False,  # decoding gives back the text as it was
        **{f"{role}_token": token for role, token in _special_tokens(tokenizer).items()},
    }


def _special_tokens(tokenizer: Tokenizer) -> dict[str, str]:
    """Return how the special tokens are spelled, by role."""
    roles = tokenizer.vocab.roles
    return dict(zip(roles, tokenizer.pieces(roles.values()), strict=True))
