"""One split of a prepared corpus: a stream of tokens on disk, read in blocks or in documents.

Every document is followed by one end-of-sequence token. The files are mapped, not read, so that a
split of any size costs no memory; nothing here writes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int, Integer, UInt
from numpy import ndarray
from pydantic import BaseModel, ConfigDict

from lmcompare.data.corpus import SplitName
from lmcompare.data.tokenizer import Encoded, Tokenizer
from lmcompare.errors import UserError
from lmcompare.view import Text

# A span is a token's bytes of text, times two, plus one if it starts a word. What does not fit 16
# bits (the unknown token for a string of 40 KB) is kept apart, as (index in the stream, bytes
# beyond `MAX_SPAN`).
SPAN = np.dtype("<u2")
MAX_SPAN = 2**15 - 1
PLACE = np.dtype("<i8")
COUNT_AT_ONCE = 2**22  # tokens, so that counting a split of any size takes constant memory


class SplitRecord(BaseModel):
    """What is known about a split."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    num_documents: int
    num_tokens: int  # end-of-sequence tokens included
    num_bytes: int  # of UTF-8
    hash: str  # of the tokens


def token_type(vocab_size: int) -> "np.dtype[np.unsignedinteger]":
    """Return the type that ids are stored in."""
    return np.dtype("<u2" if vocab_size <= 2**16 else "<u4")


def files(folder: Path, name: SplitName) -> dict[str, Path]:
    """Return the files of a split, by what they hold."""
    return {what: folder / f"{name}.{what}" for what in ("tokens", "spans", "documents", "long")}


@dataclass(frozen=True, kw_only=True)
class Split:
    """Documents one after another; `blocks` cuts them into rows of equal length for training."""

    name: SplitName
    folder: Path
    tokenizer: Tokenizer
    record: SplitRecord

    @property
    def num_tokens(self) -> int:
        """Return the number of tokens in the stream, the one after each document included."""
        return self.record.num_tokens

    @property
    def num_bytes(self) -> int:
        """Return the bytes of UTF-8 of the text."""
        return self.record.num_bytes

    @property
    def num_documents(self) -> int:
        """Return the number of documents."""
        return self.record.num_documents

    @property
    def hash(self) -> str:
        """Return the hash of the tokens; equal tokens by an equal tokenizer are equal text."""
        return self.record.hash

    def num_blocks(self, length: int) -> int:
        """Count blocks of `length` tokens, the first of which is not text; the rest is not read.

        Raises:
            UserError: there is not one.
        """
        if length < 2:
            raise UserError(f"a block of {length} tokens holds no text: it must have at least 2")
        num_blocks = self.num_tokens // (length - 1)
        if num_blocks == 0:
            raise UserError(
                f"the {self.name} split has {self.num_tokens:,} tokens, fewer than one "
                f"block of {length:,}: choose shorter blocks, or give more text"
            )
        return num_blocks

    def blocks(
        self, indices: Sequence[int] | Int[ndarray, " B"], *, length: int, separate_documents: bool
    ) -> Text:
        """Return blocks by number: the token that begins sequences, then `length - 1` more.

        Special tokens are words of their own. With `separate_documents`, the token between two
        documents belongs to the second, which it opens, and the first of a row to the first.

        Returns:
            Tensors of shape (B, length).

        Raises:
            UserError: the split is shorter than one block.
        """
        index = self._token_indices(indices, length)
        tokens = np.empty((len(index), length), dtype=np.int64)
        tokens[:, 0] = self.tokenizer.vocab.bos
        tokens[:, 1:] = self._tokens[index]
        starts = np.empty(tokens.shape, dtype=np.int64)
        starts[:, 0], starts[:, 1] = 0, 1
        starts[:, 2:] = self._spans[index[:, 1:]] & 1
        document = None
        if separate_documents:
            opens = tokens == self.tokenizer.vocab.eos
            opens[:, 0] = False  # where one token both begins and ends sequences
            document = torch.from_numpy(opens.cumsum(axis=1))
        return Text(
            tokens=torch.from_numpy(tokens),
            visible=torch.ones(tokens.shape, dtype=torch.bool),
            word=torch.from_numpy(starts.cumsum(axis=1)),
            document=document,
        )

    def block_bytes(self, indices: Sequence[int] | Int[ndarray, " B"], *, length: int) -> int:
        """Return the bytes of UTF-8 that the blocks with these numbers cover.

        Raises:
            UserError: the split is shorter than one block.
        """
        return int(self._bytes(self._token_indices(indices, length)).sum())

    def token_counts(self) -> Int[ndarray, " V"]:
        """Return how often each id occurs in the stream."""
        counts = np.zeros(self.tokenizer.vocab.size, dtype=np.int64)
        for start in range(0, self.num_tokens, COUNT_AT_ONCE):
            part = self._tokens[start : start + COUNT_AT_ONCE]
            counts += np.bincount(part, minlength=len(counts))
        return counts

    @property
    def tokens(self) -> Integer[ndarray, " N"]:
        """Return the stream, read from disk as it is used; `token_type` says of what type."""
        return self._tokens

    def document(self, number: int) -> Encoded:
        """Return a document, without the token that ends it."""
        start, stop = int(self._documents[number]), int(self._documents[number + 1]) - 1
        return Encoded(
            ids=self._tokens[start:stop].astype(np.int32),
            bytes=self._bytes(np.arange(start, stop)).astype(np.int32),
            starts_word=(self._spans[start:stop] & 1).astype(bool),
        )

    def document_text(self, number: int) -> str:
        """Return a document as its tokens spell it: its text, but for what the tokenizer lost."""
        return self.tokenizer.decode(self.document(number).ids.tolist())

    def _token_indices(
        self, indices: Sequence[int] | Int[ndarray, " B"], length: int
    ) -> Int[ndarray, "B L"]:
        num_blocks, index = self.num_blocks(length), np.asarray(indices, dtype=np.int64)
        if index.size and not (index.min() >= 0 and index.max() < num_blocks):
            raise IndexError(
                f"blocks are 0 to {num_blocks - 1}, not {index.min()} to {index.max()}"
            )
        return index[:, None] * (length - 1) + np.arange(length - 1)

    def _bytes(self, index: Int[ndarray, "..."]) -> Int[ndarray, "..."]:
        num_bytes: ndarray = (self._spans[index] >> 1).astype(np.int64)
        if len(self._long):
            long, excess = self._long.T
            found = np.searchsorted(long, index).clip(max=len(long) - 1)
            num_bytes += np.where(long[found] == index, excess[found], 0)
        return num_bytes

    @cached_property
    def _tokens(self) -> UInt[ndarray, " N"]:
        return self._map("tokens", token_type(self.tokenizer.vocab.size))

    @cached_property
    def _spans(self) -> UInt[ndarray, " N"]:
        return self._map("spans", SPAN)

    @cached_property
    def _documents(self) -> Int[ndarray, " D"]:
        return self._map("documents", PLACE)

    @cached_property
    def _long(self) -> Int[ndarray, "M 2"]:
        return self._map("long", PLACE).reshape(-1, 2)

    def _map(self, what: str, dtype: "np.dtype[np.generic]") -> ndarray:
        path = files(self.folder, self.name)[what]
        if path.stat().st_size == 0:  # which cannot be mapped
            return np.empty(0, dtype=dtype)
        return np.memmap(path, dtype=dtype, mode="r")
