"""How the prepared cache is written: whole or not at all.

A cache is built in a folder of its own, forced to disk and renamed, under a lock that one process
holds. Files are written through ordinary buffers, not mapped, so that memory does not grow with the
text.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from hashlib import blake2b
from pathlib import Path

import numpy as np
from jaxtyping import Integer
from numpy import ndarray

from lmcompare.data.corpus import SplitName
from lmcompare.data.split import MAX_SPAN, PLACE, SPAN, SplitRecord, files, token_type
from lmcompare.data.tokenizer import Encoded
from lmcompare.files import new_folder
from lmcompare.vocab import Vocab

BUFFER = 250_000  # tokens kept in memory before they are written


class SplitWriter:
    """The files of a split, written document by document in a folder that exists."""

    def __init__(self, folder: Path, name: SplitName, vocab: Vocab) -> None:
        self._type = token_type(vocab.size)
        self._open = ExitStack()
        self._files = {
            what: self._open.enter_context(path.open("wb"))
            for what, path in files(folder, name).items()
        }
        self._digest = blake2b(digest_size=16)
        self._waiting: list[Encoded] = []
        self._num_waiting = 0
        self._end = Encoded(
            ids=np.array([vocab.eos], dtype=np.int32),
            bytes=np.zeros(1, dtype=np.int32),
            starts_word=np.ones(1, dtype=bool),
        )
        self.num_documents = self.num_tokens = self.num_bytes = 0

    def __enter__(self) -> "SplitWriter":
        return self

    def __exit__(self, *error: object) -> None:
        self._open.close()

    def add(self, document: Encoded) -> None:
        """Append a document and the token that ends it."""
        # A copy: a part of a batch would keep all of it in memory, and a small split fills slowly.
        self._waiting += [document.copy(), self._end]
        self._num_waiting += len(document) + 1
        if self._num_waiting >= BUFFER:
            self._flush()

    def finish(self) -> SplitRecord:
        """Write what is still in memory, and return the record."""
        self._flush()
        self._write("documents", np.array([self.num_tokens], dtype=PLACE))
        self._open.close()
        return SplitRecord(
            num_documents=self.num_documents,
            num_tokens=self.num_tokens,
            num_bytes=self.num_bytes,
            hash=self._digest.hexdigest(),
        )

    def _flush(self) -> None:
        if not self._waiting:
            return
        lengths = np.array([len(document) for document in self._waiting], dtype=PLACE)
        starts = self.num_tokens + np.concatenate(([0], np.cumsum(lengths)))[:-1]
        all_of = Encoded.join(self._waiting)
        tokens = all_of.ids.astype(self._type)
        self._digest.update(tokens.tobytes())
        self._write("tokens", tokens)
        self._write("documents", starts[::2].astype(PLACE))
        self._write(
            "spans", (np.minimum(all_of.bytes, MAX_SPAN) * 2 + all_of.starts_word).astype(SPAN)
        )
        (long,) = np.nonzero(all_of.bytes > MAX_SPAN)
        self._write(
            "long",
            np.stack([self.num_tokens + long, all_of.bytes[long] - MAX_SPAN], axis=1).astype(PLACE),
        )
        self.num_documents += len(self._waiting) // 2
        self.num_tokens += len(tokens)
        self.num_bytes += int(all_of.bytes.sum(dtype=np.int64))
        self._waiting, self._num_waiting = [], 0

    def _write(self, what: str, values: Integer[ndarray, "..."]) -> None:
        self._files[what].write(values.tobytes())


@contextmanager
def building(folder: Path) -> Iterator[Path]:
    """Make a folder that replaces `folder` if all goes well; its lock must be held.

    Raises:
        UserError: it cannot be written, or the disk is full; nothing is left behind.
    """
    with new_folder(folder, replace=True) as temporary:  # damaged, or it would not be built again
        yield temporary
