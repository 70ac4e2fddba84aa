"""Text to token ids and back, with what each token covers of the text.

A thin layer over the `tokenizers` library, which does the work on all cores. What it adds: the
bytes that each token covers (`words.measure`), the roles of special tokens, and that text which
happens to spell a special token stays text.
"""

import json
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import blake2b
from itertools import chain, pairwise
from pathlib import Path

import numpy as np
import tokenizers
from jaxtyping import Bool, Int
from numpy import ndarray
from tokenizers import decoders

from lmcompare import hub
from lmcompare.data import hf_tokenizer, special_tokens, tokenizer_training
from lmcompare.data.tokenizer_training import TokenizerConfig
from lmcompare.data.words import measure
from lmcompare.errors import UserError
from lmcompare.files import write_text
from lmcompare.paths import nearest, user_path
from lmcompare.textfiles import read_whole


@dataclass(frozen=True, kw_only=True)
class Encoded:
    """A tokenised text. `num_bytes` adds up to the text's length in UTF-8."""

    ids: Int[ndarray, " N"]
    bytes: Int[ndarray, " N"]  # of UTF-8 that each token covers
    starts_word: Bool[ndarray, " N"]

    def __len__(self) -> int:
        return len(self.ids)

    def copy(self) -> "Encoded":
        """Return the same in memory of its own."""
        return Encoded(
            ids=self.ids.copy(), bytes=self.bytes.copy(), starts_word=self.starts_word.copy()
        )

    @staticmethod
    def join(parts: Sequence["Encoded"]) -> "Encoded":
        """Return texts that followed one another as one."""
        if len(parts) == 1:
            return parts[0]
        return Encoded(
            ids=np.concatenate([part.ids for part in parts]),
            bytes=np.concatenate([part.bytes for part in parts]),
            starts_word=np.concatenate([part.starts_word for part in parts]),
        )


class Tokenizer:
    """A tokenizer with its vocabulary."""

    def __init__(self, library: tokenizers.Tokenizer) -> None:
        if isinstance(library.model, tokenizers.models.Unigram):
            library = tokenizers.Tokenizer.from_str(_json(library))  # with the scores it will save
        library.no_padding()
        library.no_truncation()
        library.encode_special_tokens = True  # "[MASK]" in a text is six characters, not a mask
        self._library = library
        self.vocab = special_tokens.vocab_of(library)
        not_text = np.zeros(self.vocab.size, dtype=bool)
        not_text[
            [number for number in self.vocab.specials if number != self.vocab.roles.get("unk")]
        ] = True
        self._not_text = not_text

    @staticmethod
    def train(texts: Iterable[str], config: TokenizerConfig) -> "Tokenizer":
        """Train one on (an even sample of at most `config.train_mb` of) `texts`.

        Raises:
            UserError: the text does not support a vocabulary of this size.
        """
        return Tokenizer(tokenizer_training.train(texts, config))

    @staticmethod
    def of_file(config: TokenizerConfig) -> "Tokenizer":
        """Read the `tokenizer.json`, or the one of Hugging Face, that a configuration names.

        Raises:
            UserError: it is missing, unreadable or not such a file.
        """
        assert config.file is not None
        num_spare = config.spare if config.add_missing else None
        if hub.is_hf(config.file):
            library = hf_tokenizer.load(hub.find(config.file, weights=False)).library
            return Tokenizer._of(library, complete_with=num_spare)
        return Tokenizer.load(user_path(config.file), complete_with=num_spare)

    @staticmethod
    def load(path: Path, *, complete_with: int | None = None) -> "Tokenizer":
        """Read a `tokenizer.json`.

        Args:
            path: of the file.
            complete_with: give it the special tokens that it lacks, and so many spare ones.

        Raises:
            UserError: the file is missing, unreadable or not such a file.
        """
        if not os.path.lexists(path):
            close = nearest(path)
            hint = f"did you mean '{close}'?" if close else "give the path of a tokenizer.json"
            raise UserError(f"there is no tokenizer file '{path}': {hint}")
        text = read_whole(path)
        try:
            library = tokenizers.Tokenizer.from_str(text)
        except Exception as error:  # the library raises nothing narrower
            reason = " ".join(str(error).split())
            raise UserError(
                f"'{path}' is not a tokenizer.json of the tokenizers library ({reason}): "
                "save it again"
            ) from error
        return Tokenizer._of(library, complete_with=complete_with)

    @staticmethod
    def _of(library: tokenizers.Tokenizer, *, complete_with: int | None) -> "Tokenizer":
        if complete_with is not None:
            special_tokens.add_missing(library, num_spare=complete_with)
        return Tokenizer(library)

    def of_size(self, size: int) -> "Tokenizer":
        """Return the same for a network that predicts `size` ids, some of which no text has."""
        made = Tokenizer(tokenizers.Tokenizer.from_str(self.json))
        more = range(made.vocab.size, size)
        made.vocab = replace(made.vocab, size=size, specials=made.vocab.specials.union(more))
        made._not_text = np.append(made._not_text, np.ones(len(more), dtype=bool))
        return made

    def save(self, path: Path) -> None:
        """Write a `tokenizer.json` that any program of the Hugging Face world reads.

        Raises:
            UserError: it cannot be written.
        """
        write_text(path, self.json)

    @cached_property
    def hash(self) -> str:
        """Return the hash of everything that makes the tokenizer, in hex."""
        return blake2b(self.json.encode(), digest_size=16).hexdigest()

    @property
    def json(self) -> str:
        """Return the tokenizer as a `tokenizer.json`, in one way of writing it."""
        return _json(self._library)

    def added_to(self, other: "Tokenizer") -> tuple[str, ...] | None:
        """Return the special tokens that this tokenizer has above all ids of another, by their ids.

        None where they differ in anything else.
        """
        if self.hash == other.hash:
            return ()
        (mine, own), (theirs, known) = (
            ({**tables, "added_tokens": None}, tables.get("added_tokens") or [])
            for tables in (json.loads(self.json), json.loads(other.json))
        )
        more = [token for token in own if token not in known]
        same = mine == theirs and len(own) == len(known) + len(more)
        if not same or any(each["id"] < other.vocab.size or not each["special"] for each in more):
            return None
        return tuple(each["content"] for each in sorted(more, key=lambda each: each["id"]))

    def encode(self, texts: list[str]) -> list[Encoded]:
        """Tokenise texts, each by itself and without special tokens.

        A text of which the tokenizer keeps nothing (white space alone, for some) becomes one
        unknown token, so that its bytes are covered; without such a token it becomes none.
        """
        pairs = list(self._ids_and_ends(texts))
        counts = np.fromiter((len(ids) for ids, _ in pairs), np.int64, len(pairs))
        total = int(counts.sum())
        ids = np.fromiter(chain.from_iterable(ids for ids, _ in pairs), np.int32, total)
        ends = np.fromiter(chain.from_iterable(ends for _, ends in pairs), np.int64, total)
        num_bytes, starts_word = measure(texts, counts, ends)
        num_bytes = num_bytes.astype(np.int32)
        stops = np.cumsum(counts).tolist()
        return [
            Encoded(
                ids=ids[start:stop],
                bytes=num_bytes[start:stop],
                starts_word=starts_word[start:stop],
            )
            for start, stop in pairwise([0, *stops])
        ]

    def decode(self, ids: Iterable[int] | Int[ndarray, " N"]) -> str:
        """Return the text of ids; special tokens leave no trace, but unknown ones do."""
        text = [number for number in map(int, ids) if not self._not_text[number]]
        return self._library.decode(text, skip_special_tokens=False)

    def exact_text(self, document: Encoded) -> str | None:
        """Return the text of a document, or None where its tokens do not tell every byte of it.

        They do not where one is unknown, or where the tokenizer changes or drops characters.
        """
        unknown = self.vocab.roles.get("unk", -1)
        keeps = isinstance(self._library.decoder, (decoders.ByteLevel, decoders.Fuse))
        if not keeps or self._library.normalizer or (document.ids == unknown).any():
            return None
        text = self.decode(document.ids)
        return text if len(text.encode()) == document.bytes.sum() else None

    def described(self) -> str:
        """Say how large it is, and which special tokens it has by role."""
        roles = self.vocab.roles
        spelled = dict(zip(roles, self.pieces(roles.values()), strict=True))
        return special_tokens.described(self.vocab, spelled)

    def pieces(self, ids: Iterable[int] | Int[ndarray, " N"]) -> list[str]:
        """Return each token as text, or its bytes in hex where it is a part of a character."""
        return [self._piece(int(number)) for number in ids]

    def _piece(self, number: int) -> str:
        symbol = self._library.id_to_token(number) or ""
        if number in self.vocab.specials:
            return symbol
        text = self._library.decode([number], skip_special_tokens=False)
        if text and "\N{REPLACEMENT CHARACTER}" not in text:
            return text
        if byte := _FALLBACK.fullmatch(symbol):
            return f"\\x{byte[1].lower()}"
        return "".join(f"\\x{_BYTE[each]:02x}" if each in _BYTE else each for each in symbol)

    def _ids_and_ends(self, texts: list[str]) -> Iterator[tuple[list[int], list[int]]]:
        """Yield the ids of each text, and the character before which each of them ends."""
        for text, encoding in zip(
            texts, self._library.encode_batch(texts, add_special_tokens=False), strict=True
        ):
            ids, ends = encoding.ids, [end for _, end in encoding.offsets]
            if self._not_text[ids].any():
                ids, ends = self._spelled_out(text, ids, encoding.offsets)
            if text and not ids and "unk" in self.vocab.roles:
                ids, ends = [self.vocab.roles["unk"]], [len(text)]
            yield ids, ends

    def _spelled_out(
        self, text: str, ids: list[int], offsets: list[tuple[int, int]]
    ) -> tuple[list[int], list[int]]:
        """Return what `text` becomes when special tokens that it spells are cut in two.

        The library keeps them from being recognised, but the model of a loaded tokenizer may hold
        them as words. One of a single character cannot be cut, and becomes unknown.
        """
        special = self._not_text[ids]
        cuts = {
            start + 1
            for (start, end), cut in zip(offsets, special, strict=True)
            if cut and end > start + 1
        }
        if not cuts:
            unknown = self.vocab.require("unk")
            return [unknown if cut else number for number, cut in zip(ids, special, strict=True)], [
                end for _, end in offsets
            ]
        bounds = [0, *sorted(cuts), len(text)]
        parts = [text[start:stop] for start, stop in pairwise(bounds)]
        encoded = list(zip(bounds, self._ids_and_ends(parts), strict=False))
        return (
            [number for _, (ids, _) in encoded for number in ids],
            [start + end for start, (_, ends) in encoded for end in ends],
        )


_FALLBACK = re.compile("<0x([0-9A-F]{2})>")  # of a byte in a vocabulary that has all of them
_BYTE = {character: byte for byte, character in enumerate(tokenizer_training.byte_characters())}


def _json(library: tokenizers.Tokenizer) -> str:
    """Return a tokenizer as text, the same after it is read again.

    Scores are rounded, as the library does not read back the last digits that it wrote.
    """
    content = json.loads(library.to_str(), parse_float=lambda number: round(float(number), 6))
    return json.dumps(content, ensure_ascii=False, sort_keys=True, indent=1)
