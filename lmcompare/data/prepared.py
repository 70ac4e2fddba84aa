"""Text, tokenised once and kept on disk, keyed by all that its tokens depend on.

The key is a hash of the sources' content, of how documents are made of it and of the tokenizer's
settings; names and paths of files are not part of it. What was prepared once is found again by any
later run, and is checked file by file before it is read. It is also found by its own hash, without
its source, which may be gone.
"""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from pathlib import Path

from lmcompare.data import streams
from lmcompare.data.corpus import SPLIT_NAMES, Corpus, DataConfig, SplitName, open_corpus, split_of
from lmcompare.data.encoding import encode_documents
from lmcompare.data.locks import locked
from lmcompare.data.meta import Damaged, Meta
from lmcompare.data.split import Split, SplitRecord, files
from lmcompare.data.split_writer import SplitWriter, building
from lmcompare.data.tokenizer import Tokenizer
from lmcompare.data.tokenizer_training import SIZED, SPECIALS, USUAL_SIZE, TokenizerConfig
from lmcompare.errors import UserError
from lmcompare.files import checksum, remove_leftovers, write_text
from lmcompare.vocab import Vocab

VERSION = 2  # of the tokens; raise it whenever the same settings would give others
MIN_TOKENS = 256  # a split must have
REPORT_EVERY = 100_000_000  # bytes
FOLDER = "prepared"  # in the cache
TOKENIZER = "tokenizer.json"


class TextUnavailableError(UserError):
    """A source of text, or a tokenizer's file, cannot be read here."""


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A corpus in tokens, in three splits, with the tokenizer that made them."""

    folder: Path
    meta: Meta
    name: str  # of the source, as the user gave it

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """Return the tokenizer."""
        return Tokenizer.load(self.folder / TOKENIZER)

    @property
    def vocab(self) -> Vocab:
        """Return its vocabulary."""
        return self.tokenizer.vocab

    @property
    def hash(self) -> str:
        """Return the hash of the content, which is text in its splits by a tokenizer."""
        return self.meta.hash

    @property
    def description(self) -> str:
        """Return one line for humans: how much there is, of what, and how it is split."""
        splits = [self.meta.splits[name] for name in SPLIT_NAMES]
        num_documents, num_bytes = (
            sum(split.num_documents for split in splits),
            sum(split.num_bytes for split in splits),
        )
        tokens = " / ".join(f"{split.num_tokens:,}" for split in splits)
        return (
            f"{self.name}: {num_documents:,} documents ({self.meta.kind}), "
            f"{num_bytes / 1e6:,.1f} MB; {tokens} tokens in {' / '.join(SPLIT_NAMES)}, "
            f"{self.meta.vocab_size:,} in the vocabulary"
        )

    def split(self, name: SplitName) -> Split:
        """Return one of the three."""
        return Split(
            name=name, folder=self.folder, tokenizer=self.tokenizer, record=self.meta.splits[name]
        )


def prepare(
    data: DataConfig,
    tokenizer: TokenizerConfig,
    *,
    cache: Path,
    report: Callable[[str], None] = lambda message: None,
    warn: Callable[[str], None] = lambda message: None,
) -> Prepared:
    """Tokenise a corpus, or find that it has been done before.

    Args:
        data: the text.
        tokenizer: how it is tokenised; one that is trained sees the training split only.
        cache: where prepared corpora are kept, as large as the text itself. Processes may share it.
        report: called with a line now and then about what is being done.
        warn: called with a line if what was kept is damaged, and is made again.

    Raises:
        TextUnavailableError: the text or a tokenizer's file cannot be read.
        UserError: the text is broken or too little, or the cache cannot be written.
    """
    streams.remove_abandoned(cache)
    remove_leftovers(cache / FOLDER)
    try:
        corpora = _Corpora.open(data, cache=cache)
        name = corpora.source.name
        report(f"reading {name}")
        folder = cache / FOLDER / _key(corpora, tokenizer)
    except UserError as error:
        raise TextUnavailableError(str(error)) from error
    if found := _load(folder, name):
        return found
    with locked(folder):
        if found := _load(folder, name, warn=warn):  # by the process that held the lock before
            return found
        with building(folder) as temporary:
            _build(temporary, folder.name, corpora, tokenizer, report).write(temporary)
    prepared = _load(folder, name)
    assert prepared is not None
    return prepared


def find_prepared(
    content: str, *, name: str, cache: Path, warn: Callable[[str], None] = lambda message: None
) -> Prepared | None:
    """Find what was prepared before by the hash of its content; no source is read.

    Args:
        content: `Prepared.hash`.
        name: of its source.
        cache: where prepared corpora are kept.
        warn: called with a line if it is damaged, and so is of no use.
    """
    for folder in sorted((cache / FOLDER).glob("*")):
        try:
            meta = Meta.read(folder)
        except Damaged:
            continue
        if meta.hash == content and (found := _load(folder, name, warn=warn)):
            return found
    return None


@dataclass(frozen=True, kw_only=True)
class _Corpora:
    """The sources of the three splits: held-out text of its own, or shares of one source."""

    source: Corpus
    held_out: dict[SplitName, Corpus]
    shares: tuple[float, float, float]

    @staticmethod
    def open(data: DataConfig, *, cache: Path) -> "_Corpora":
        given: dict[SplitName, str | None] = {"validation": data.validation, "test": data.test}
        train, validation, test = data.shares
        return _Corpora(
            source=open_corpus(*data.names, data=data, cache=cache),
            held_out={
                name: open_corpus(source, data=data, cache=cache)
                for name, source in given.items()
                if source
            },
            shares=(
                train + (validation if data.validation else 0.0) + (test if data.test else 0.0),
                0.0 if data.validation else validation,
                0.0 if data.test else test,
            ),
        )

    def texts(self) -> Iterator[tuple[SplitName, str]]:
        """Yield all documents, each with the split that it is in."""
        for text in self.source.texts():
            yield split_of(text, self.shares), text
        for name, corpus in self.held_out.items():
            for text in corpus.texts():
                yield name, text

    def training_texts(self) -> Iterator[str]:
        """Yield the documents of the training split."""
        return (text for text in self.source.texts() if split_of(text, self.shares) == "train")

    def is_wanted(self, name: SplitName) -> bool:
        """Tell whether a split is meant to have anything in it."""
        return name in self.held_out or self.shares[SPLIT_NAMES.index(name)] > 0


def _key(corpora: _Corpora, tokenizer: TokenizerConfig) -> str:
    parts = [f"version {VERSION}", corpora.source.hash()]
    parts += [f"{name} {corpus.hash()}" for name, corpus in sorted(corpora.held_out.items())]
    parts.append(str(corpora.shares))
    if tokenizer.file is None:
        parts.append(tokenizer.model_dump_json(exclude={"file", "add_missing", "spare"}))
        parts += SPECIALS
        if tokenizer.spare:  # which earlier versions did not have
            parts.append(f"{tokenizer.spare} spare")
    else:
        parts.append(Tokenizer.of_file(tokenizer).hash)
    return blake2b("\n".join(parts).encode(), digest_size=12).hexdigest()


def _build(
    folder: Path,
    key: str,
    corpora: _Corpora,
    config: TokenizerConfig,
    report: Callable[[str], None],
) -> Meta:
    if config.file is None:
        report(f"training a tokenizer ({config.kind})")
        tokenizer = Tokenizer.train(corpora.training_texts(), config)
        size = tokenizer.vocab.size
        if config.kind in SIZED and config.vocab_size is None and size < USUAL_SIZE:
            report(f"the text fills a vocabulary of {size:,} ids, not of {USUAL_SIZE:,} as usual")
    else:
        tokenizer = Tokenizer.of_file(config)
    for role in ("bos", "eos", "pad"):
        tokenizer.vocab.require(role)
    names: deque[SplitName] = deque()

    def texts() -> Iterator[str]:
        num_bytes, threshold = 0, REPORT_EVERY
        for name, text in corpora.texts():
            names.append(name)
            num_bytes += len(text)
            if num_bytes >= threshold:
                report(f"tokenizing: {num_bytes / 1e6:,.0f} MB")
                threshold += REPORT_EVERY
            yield text

    report("tokenizing")
    with ExitStack() as stack:
        writers = {
            name: stack.enter_context(SplitWriter(folder, name, tokenizer.vocab))
            for name in SPLIT_NAMES
        }
        for encoded in encode_documents(texts(), tokenizer):
            writers[names.popleft()].add(encoded)
        records = {name: writer.finish() for name, writer in writers.items()}
    for name, record in records.items():
        if corpora.is_wanted(name) and record.num_tokens < MIN_TOKENS:
            raise _too_small(name, record, corpora)
    write_text(folder / TOKENIZER, tokenizer.json)
    paths = [
        folder / TOKENIZER,
        *(path for name in SPLIT_NAMES for path in files(folder, name).values()),
    ]
    return Meta(
        key=key,
        kind=corpora.source.kind,
        vocab_size=tokenizer.vocab.size,
        tokenizer_hash=tokenizer.hash,
        splits=records,
        files={path.name: checksum(path) for path in paths},
    )


def _too_small(name: SplitName, record: SplitRecord, corpora: _Corpora) -> UserError:
    return UserError(
        f"the {name} split has {record.num_tokens:,} tokens in {record.num_documents:,} documents "
        f"({corpora.source.kind}), fewer than {MIN_TOKENS}: cut the text into smaller documents "
        f"(data.document = line), give more text, or give a source of its own for {name}"
    )


def _load(
    folder: Path, name: str, *, warn: Callable[[str], None] = lambda message: None
) -> Prepared | None:
    """Return what lies in the cache, unless it is absent or damaged."""
    if not folder.exists():
        return None
    try:
        meta = Meta.read(folder)
        meta.check(folder)
    except Damaged as error:
        warn(f"the prepared text in {folder} cannot be used ({error}): its source is read again")
        return None
    return Prepared(folder=folder, meta=meta, name=name)
