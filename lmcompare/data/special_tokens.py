"""Find which ids of a tokenizer are not text, and what each of them is for.

A tokenizer of others may say which token has which role (`keep_roles`); what it does not say is
known by the names that such tokens commonly have (`ALIASES`). What was said is kept in the file
itself, as named tokens of its template, which any program reads and none of ours applies.
"""

import json
import re
from collections.abc import Collection, Mapping
from itertools import count, islice

import tokenizers
from tokenizers import processors

from lmcompare.data import tokenizer_training
from lmcompare.vocab import ALIASES, NUM_SENTINELS, Vocab, sentinel, spare

_SAID = ("bos", "eos", "pad", "mask", "unk")  # the roles that are told to users
_KEPT = "role:"  # begins the names of those tokens
# With the marks that stand for a space in byte-level, unigram and word-piece vocabularies.
_SENTENCE_END = re.compile(r"[ \u0120\u2581#]*[.!?]+[\"')\]]*")


def vocab_of(library: tokenizers.Tokenizer) -> Vocab:
    """Find the roles of a tokenizer's special tokens: those it keeps, then those of their names."""
    known = library.get_vocab(with_added_tokens=True)
    named = {
        role: known[found]
        for role, spellings in ALIASES.items()
        if (found := next(filter(known.__contains__, spellings), None)) is not None
    }
    roles = {**named, **_kept_roles(library)}
    sentinels = tuple(
        known[sentinel(number)] for number in range(NUM_SENTINELS) if sentinel(number) in known
    )
    added = {
        number for number, token in library.get_added_tokens_decoder().items() if token.special
    }
    return Vocab(
        size=max(known.values()) + 1,
        roles=roles,
        specials=frozenset({*roles.values(), *sentinels, *added}),
        sentinels=sentinels,
        sentence_ends=frozenset(
            number for symbol, number in known.items() if _SENTENCE_END.fullmatch(symbol)
        ),
    )


def described(vocab: Vocab, spelled: Mapping[str, str]) -> str:
    """Say which tokens have the roles that most objectives need, and which roles none has.

    Args:
        vocab: the vocabulary.
        spelled: its special tokens, by role.
    """
    known = [f"{role} {spelled[role]}" for role in _SAID if role in spelled]
    lacking = [role for role in _SAID if role not in spelled]
    if vocab.sentinels:
        known.append(f"{len(vocab.sentinels)} sentinels")
    else:
        lacking.append("sentinels")
    said = f"{vocab.size:,} ids; special tokens: {', '.join(known) or 'none'}"
    return f"{said}; it has no {', no '.join(lacking)}" if lacking else said


def keep_roles(library: tokenizers.Tokenizer, roles: Mapping[str, str]) -> None:
    """Let a tokenizer say which of its tokens have which roles; its own template is forgotten.

    Args:
        library: the tokenizer.
        roles: of each role, how its token is spelled.
    """
    kept = [
        {"id": f"{_KEPT}{role}", "ids": [library.token_to_id(token)], "tokens": [token]}
        for role, token in roles.items()
    ]
    library.post_processor = processors.TemplateProcessing(single=["$A"], special_tokens=kept)


def _kept_roles(library: tokenizers.Tokenizer) -> dict[str, int]:
    if not isinstance(library.post_processor, processors.TemplateProcessing):
        return {}
    kept = json.loads(library.post_processor.__getstate__())["special_tokens"]
    return {
        name.removeprefix(_KEPT): token["ids"][0]
        for name, token in sorted(kept.items())
        if name.startswith(_KEPT)
    }


def add_missing(library: tokenizers.Tokenizer, *, num_spare: int) -> None:
    """Give a tokenizer a token for each role, spare ones and the sentinels, above all others."""
    vocab = vocab_of(library)
    library.add_special_tokens(
        [names[0] for role, names in ALIASES.items() if role not in vocab.roles]
    )
    tokenizer_training.add_spares(library, num_spare)
    if not vocab.sentinels:
        tokenizer_training.add_sentinels(library)


def fill_up(library: tokenizers.Tokenizer, size: int) -> None:
    """Give a tokenizer spare special tokens until it has `size` ids."""
    known = library.get_vocab(with_added_tokens=True)
    missing = size - 1 - max(known.values())
    names = (spare(number) for number in count() if spare(number) not in known)
    library.add_special_tokens(list(islice(names, max(0, missing))))


def add_roles(library: tokenizers.Tokenizer, needs: Collection[str]) -> dict[str, str]:
    """Give a tokenizer the special tokens that it needs and lacks, above all others.

    Args:
        library: the tokenizer.
        needs: roles.

    Returns:
        How those are spelled that were added, by role.
    """
    roles = vocab_of(library).roles
    added = {role: ALIASES[role][0] for role in sorted(needs) if role not in roles}
    library.add_special_tokens(list(added.values()))
    return added
