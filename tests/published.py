"""Small models of Hugging Face with random weights, as folders that transformers writes.

Their tokens are bytes, so that every text is theirs too.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import tokenizers
import torch
import transformers
from tokenizers import decoders, models, pre_tokenizers, processors

LENGTH = 128
_SHAPE = {
    **{"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2},
    **{"intermediate_size": 32, "max_position_embeddings": LENGTH},
}
_HALVES = {
    **{"encoder_layers": 2, "encoder_attention_heads": 2, "encoder_ffn_dim": 32},
    **{"decoder_layers": 2, "decoder_attention_heads": 2, "decoder_ffn_dim": 32},
}
_END = "<|endoftext|>"
_BERT = {"pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]"}
_BART = {"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "mask_token": "<mask>"}


class Published(NamedTuple):
    """What a model is made of."""

    auto: str
    config: str
    shape: Mapping[str, Any]
    roles: Mapping[str, str]
    template: str = "$A"
    more: Sequence[str] = ()
    start: str = ""  # with which its decoder starts


MODELS: Mapping[str, Published] = {
    "causal": Published(
        "AutoModelForCausalLM",
        "GPT2Config",
        {"n_embd": 24, "n_layer": 2, "n_head": 2, "n_positions": LENGTH},
        {"bos_token": _END, "eos_token": _END},
    ),
    "masked": Published("AutoModelForMaskedLM", "BertConfig", _SHAPE, _BERT, "[CLS] $A [SEP]"),
    "encoder": Published("AutoModel", "BertConfig", _SHAPE, _BERT, "[CLS] $A [SEP]"),
    "t5": Published(
        "AutoModelForSeq2SeqLM",
        "T5Config",
        {"d_model": 24, "d_kv": 12, "d_ff": 32, "num_layers": 2, "num_heads": 2},
        {"pad_token": "<pad>", "eos_token": "</s>"},
        "$A </s>",
        [f"<extra_id_{number}>" for number in range(40)],
        "<pad>",
    ),
    "bart": Published(
        "AutoModelForSeq2SeqLM",
        "BartConfig",
        {"d_model": 24, "max_position_embeddings": LENGTH, **_HALVES},
        _BART,
        "<s> $A </s>",
        (),
        "</s>",
    ),
}


def publish(kind: str, folder: Path, *, seed: int = 0) -> Path:
    """Write a model of a kind to a folder, with its tokenizer."""
    made = MODELS[kind]
    specials = [*dict.fromkeys([*made.roles.values(), *made.more])]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {token: number for number, token in enumerate([*specials, *alphabet])}
    library = tokenizers.Tokenizer(models.BPE(vocab, []))
    library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    library.decoder = decoders.ByteLevel()
    library.add_special_tokens(specials)
    framed = [(token, vocab[token]) for token in made.template.split() if token in vocab]
    if framed:
        library.post_processor = processors.TemplateProcessing(
            single=made.template, special_tokens=framed
        )
    ids = {f"{role}_id": vocab[token] for role, token in made.roles.items()}
    ids |= {"decoder_start_token_id": vocab[made.start]} if made.start else {}
    config = getattr(transformers, made.config)(vocab_size=len(vocab), **made.shape, **ids)
    torch.manual_seed(seed)
    getattr(transformers, made.auto).from_config(config).save_pretrained(folder)
    transformers.PreTrainedTokenizerFast(tokenizer_object=library, **made.roles).save_pretrained(
        folder
    )
    return folder
