"""Tokenizers of Hugging Face: their special tokens by role, and what they put around a text."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import tokenizers

from lmcompare import hub
from lmcompare.data import special_tokens
from lmcompare.errors import UserError
from lmcompare.hub import HfSource
from lmcompare.textfiles import read_whole

# role -> the names that their configurations have for its token, the first that is given
_NAMES: Mapping[str, tuple[str, ...]] = {
    "bos": ("bos_token", "cls_token"),
    "eos": ("eos_token", "sep_token"),
    "pad": ("pad_token",),
    "mask": ("mask_token",),
    "unk": ("unk_token",),
}
_GIVES = [each for names in _NAMES.values() for each in names]


@dataclass(frozen=True, kw_only=True)
class HfTokenizer:
    """A tokenizer of theirs.

    Attributes:
        library: it, with the roles that its configuration names.
        before: the ids that it puts before a text.
        after: those that it puts after one.
        longest: how many tokens it says that its model reads; None where it says nothing.
    """

    library: tokenizers.Tokenizer
    before: tuple[int, ...]
    after: tuple[int, ...]
    longest: int | None


def load(source: HfSource) -> HfTokenizer:
    """Read the tokenizer of a model.

    Where there is no `tokenizer.json`, transformers makes one of what there is.

    Raises:
        UserError: there is none, or one that is damaged or that only transformers itself can run.
    """
    path = source.folder / "tokenizer.json"
    if source.gguf is None and path.is_file():
        library, told = _read(source)
    else:
        library, told = _converted(source)
    framed = library.encode("a", add_special_tokens=True).special_tokens_mask
    ids = library.encode("a", add_special_tokens=True).ids
    start = framed.index(0) if 0 in framed else len(framed)
    stop = len(framed) - framed[::-1].index(0) if 0 in framed else len(framed)
    spelled = {
        role: token
        for role, names in _NAMES.items()
        if (token := next((told[name] for name in names if told.get(name)), None)) is not None
        and library.token_to_id(token) is not None
    }
    special_tokens.keep_roles(library, spelled)
    longest = told.get("model_max_length")
    return HfTokenizer(
        library=library,
        before=tuple(ids[:start]),
        after=tuple(ids[stop:]),
        longest=longest if isinstance(longest, int) and 0 < longest < 10**9 else None,
    )


def _read(source: HfSource) -> tuple[tokenizers.Tokenizer, dict[str, Any]]:
    """Return the tokenizer of a folder, and what its configuration says of it."""
    path = source.folder / "tokenizer.json"
    try:
        library = tokenizers.Tokenizer.from_str(read_whole(path))
    except UserError:
        raise
    except Exception as error:  # the library raises nothing narrower
        reason = " ".join(str(error).split())
        raise UserError(f"{path} is no tokenizer ({reason}): get it again") from error
    library.no_padding()
    library.no_truncation()
    told: dict[str, Any] = {}
    for file in ("special_tokens_map.json", "tokenizer_config.json"):
        if (source.folder / file).is_file():
            told |= source.read_json(file, "")
    for name in _GIVES:
        if isinstance(told.get(name), dict):  # an added token with how it is stripped
            told[name] = told[name].get("content")
    return library, told


def _converted(source: HfSource) -> tuple[tokenizers.Tokenizer, dict[str, Any]]:
    """Return the same of files that transformers reads."""
    library = hub.transformers(f"the tokenizer of {source.name}")
    if source.gguf is not None:
        hub.gguf(source.name)
    try:
        theirs = hub.from_pretrained(library.AutoTokenizer, source)
    except Exception as error:  # each kind of file has its own
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"{source.name} has no tokenizer that can be read ({reason}): "
            "give the folder of one with a tokenizer.json"
        ) from error
    backend = getattr(theirs, "backend_tokenizer", None)
    if backend is None:
        raise UserError(
            f"the tokenizer of {source.name} runs in Python alone, and has no tokenizer.json: "
            "choose another"
        )
    made = tokenizers.Tokenizer.from_str(backend.to_str())
    made.no_padding()
    made.no_truncation()
    told = {name: getattr(theirs, name, None) for name in (*_GIVES, "model_max_length")}
    return made, json.loads(json.dumps(told, default=str))
