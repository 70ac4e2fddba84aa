"""Small models of many families with random weights, as folders, and what is asked of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors

from lmcompare.data.tokenizer_training import WORDS
from lmcompare.view import Text
from lmcompare.vocab import Vocab

# what imports this is skipped where it is absent
transformers = pytest.importorskip("transformers", reason="needs the extra: pip install .[hf]")

LENGTH = 48
_WORDS = [
    "the",
    "old",
    "cat",
    "dog",
    "saw",
    "ran",
    "to",
    "tree",
    "a",
    "bird",
    "and",
    "then",
    "some",
    "one",
    ".",
    ",",
]
_SIZE = {
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 40,
    "max_position_embeddings": LENGTH,
}


@dataclass(frozen=True, kw_only=True)
class Family:
    """How the tokenizer of a family frames a text, and the shape of its model."""

    config: str
    auto: str
    shape: Mapping[str, Any]
    template: tuple[str, ...] = ("$A",)
    roles: Mapping[str, str]
    more: tuple[str, ...] = ()
    num_rows: int = 3  # of the embedding, beyond the tokenizer
    said: Mapping[str, Any] = field(default_factory=dict)


_END = "<|endoftext|>"
_CLS = {"cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]", "mask_token": "[MASK]"}
_SPM = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
FAMILIES: Mapping[str, Family] = {
    "gpt2": Family(
        config="GPT2Config",
        auto="AutoModelForCausalLM",
        shape={"n_embd": 24, "n_layer": 2, "n_head": 3, "n_positions": LENGTH},
        roles={"bos_token": _END, "eos_token": _END, "unk_token": "<unk>"},
    ),
    "llama": Family(
        config="LlamaConfig",
        auto="AutoModelForCausalLM",
        shape={**_SIZE, "num_key_value_heads": 1, "hidden_size": 24, "head_dim": 8},
        template=("<s>", "$A"),
        roles={"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"},
    ),
    "neox": Family(
        config="GPTNeoXConfig",
        auto="AutoModelForCausalLM",
        shape=_SIZE,
        roles={"bos_token": _END, "eos_token": _END, "unk_token": "<unk>"},
    ),
    "opt": Family(
        config="OPTConfig",
        auto="AutoModelForCausalLM",
        shape={**_SIZE, "ffn_dim": 40, "word_embed_proj_dim": 24, "do_layer_norm_before": True},
        template=("</s>", "$A"),
        roles={**_SPM, "bos_token": "</s>"},
    ),
    "xlnet": Family(
        config="XLNetConfig",
        auto="AutoModelForCausalLM",
        shape={"d_model": 24, "n_layer": 2, "n_head": 3, "d_inner": 40},
        template=("$A", "<sep>", "<cls>"),
        roles={**_SPM, "sep_token": "<sep>", "cls_token": "<cls>", "mask_token": "<mask>"},
    ),
    "bert": Family(
        config="BertConfig",
        auto="AutoModelForMaskedLM",
        shape=_SIZE,
        template=("[CLS]", "$A", "[SEP]"),
        roles={**_CLS, "unk_token": "[UNK]"},
    ),
    "roberta": Family(
        config="RobertaConfig",
        auto="AutoModelForMaskedLM",
        shape={**_SIZE, "max_position_embeddings": LENGTH + 4},
        template=("<s>", "$A", "</s>"),
        roles={**_SPM, "mask_token": "<mask>"},
    ),
    "modernbert": Family(
        config="ModernBertConfig",
        auto="AutoModelForMaskedLM",
        shape={**_SIZE, "local_attention": 8, "global_attn_every_n_layers": 2},
        template=("[CLS]", "$A", "[SEP]"),
        roles={**_CLS, "unk_token": "[UNK]"},
    ),
    "eurobert": Family(
        config="EuroBertConfig",
        auto="AutoModelForMaskedLM",
        shape={**_SIZE, "num_key_value_heads": 3, "head_dim": 8},
        template=("<s>", "$A", "</s>"),
        roles={**_SPM, "mask_token": "<|mask|>"},
    ),
    "t5": Family(
        config="T5Config",
        auto="AutoModelForSeq2SeqLM",
        shape={"d_model": 24, "d_kv": 8, "d_ff": 40, "num_layers": 2, "num_heads": 3},
        template=("$A", "</s>"),
        roles={"eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"},
        more=tuple(f"<extra_id_{number}>" for number in reversed(range(12))),
        said={"decoder_start_token_id": "<pad>"},
    ),
    "bart": Family(
        config="BartConfig",
        auto="AutoModelForSeq2SeqLM",
        shape={
            **{"d_model": 24, "encoder_layers": 2, "decoder_layers": 2},
            **{"encoder_attention_heads": 3, "decoder_attention_heads": 3},
            **{"encoder_ffn_dim": 40, "decoder_ffn_dim": 40, "max_position_embeddings": LENGTH},
        },
        template=("<s>", "$A", "</s>"),
        roles={**_SPM, "mask_token": "<mask>"},
        said={"decoder_start_token_id": "</s>"},
    ),
}


def library_of(family: Family) -> Tokenizer:
    """A tokenizer of words, framed as the family's is."""
    specials = list(dict.fromkeys([*family.roles.values(), *family.more]))
    words = [*_WORDS, *(f" {word}" for word in _WORDS)]
    vocab = {word: number for number, word in enumerate([*specials, *words])}
    library = Tokenizer(models.WordLevel(vocab, unk_token=family.roles["unk_token"]))
    library.pre_tokenizer = pre_tokenizers.Split(Regex(WORDS), behavior="isolated")
    library.decoder = decoders.Fuse()
    library.add_special_tokens(specials)
    if family.template != ("$A",):
        framed = [token for token in family.template if token != "$A"]
        library.post_processor = processors.TemplateProcessing(
            single=list(family.template),
            special_tokens=[(token, vocab[token]) for token in dict.fromkeys(framed)],
        )
    return library


def model_of(name: str, *, seed: int = 0) -> Any:
    """A model of a family with random weights, large enough for its predictions to differ."""
    family = FAMILIES[name]
    library = library_of(family)
    ids = {
        f"{role}_id": library.token_to_id(token)
        for role, token in family.roles.items()
        if role in ("bos_token", "eos_token", "pad_token")
    }
    ids |= {role: library.token_to_id(token) for role, token in family.said.items()}
    if name == "roberta":
        ids["pad_token_id"] = library.token_to_id("<pad>")
    config = getattr(transformers, family.config)(
        **{"vocab_size": library.get_vocab_size() + family.num_rows, **family.shape, **ids}
    )
    torch.manual_seed(seed)
    model = getattr(transformers, family.auto).from_config(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(4)
            else:
                parameter.add_(0.1 * torch.randn_like(parameter))
    return model


def saved(name: str, folder: Path, *, seed: int = 0) -> Path:
    """The same as the folder that transformers writes."""
    family = FAMILIES[name]
    model_of(name, seed=seed).save_pretrained(folder)
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=library_of(family), **family.roles
    ).save_pretrained(folder)
    return folder


def text_of(vocab: Vocab, *lengths: int, seed: int = 5) -> Text:
    """Rows of random words with the space before them, each after the start token."""
    rng = torch.Generator().manual_seed(seed)
    size, words = max(lengths), vocab.regular[-len(_WORDS) :]
    tokens = words[torch.randint(len(words), (len(lengths), size), generator=rng)]
    tokens[:, 0] = vocab.bos
    visible = torch.arange(size) < torch.tensor(lengths)[:, None]
    return Text(
        tokens=tokens.where(visible, vocab.pad),
        visible=visible,
        word=torch.arange(size).expand_as(tokens).contiguous(),
    )
