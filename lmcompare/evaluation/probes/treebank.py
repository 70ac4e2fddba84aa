"""Labelled sentences in three parts: those that probes learn from, choose by, and are tested on."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import blake2b
from itertools import groupby, pairwise
from pathlib import Path

import torch

from lmcompare import rng
from lmcompare.data.folders import look_into, look_up
from lmcompare.errors import UserError
from lmcompare.evaluation.readers import conll, conllu
from lmcompare.evaluation.readers.conllu import Sentence, Word, spaced
from lmcompare.paths import suffix_of
from lmcompare.textfiles import read_lines

PARTS = ("train", "validation", "test")
_NAMES = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("dev", "valid", "validation", "val", "development", "testa"), "validation"),
    **dict.fromkeys(("test", "testb"), "test"),
}
_WORDS = re.compile(r"[^a-z0-9]+")
EVERY = 10  # one document of so many is for validation, and one for the test
TREES = (".conllu", ".conllup")
COLUMNS = (".conll", ".bio", ".iob", ".iob2")


@dataclass(frozen=True, kw_only=True)
class Treebank:
    """Sentences with labels.

    Attributes:
        name: of its files, for tables.
        parts: its sentences, by `PARTS`.
        split: how they came into parts, in words.
        counts: what was not used as it stands.
    """

    name: str
    parts: Mapping[str, Sequence[Sentence]]
    split: str
    counts: Mapping[str, int]

    @property
    def sentences(self) -> list[Sentence]:
        """Return all sentences, part by part."""
        return [sentence for part in PARTS for sentence in self.parts[part]]

    @cached_property
    def hash(self) -> str:
        """Return the hash of all words and labels, and of which part they are in."""
        digest = blake2b(digest_size=16)
        for part in PARTS:
            for sentence in self.parts[part]:
                digest.update(repr((part, sentence.text, sentence.words)).encode())
        return digest.hexdigest()


def read_treebank(paths: Sequence[Path], *, limit: int | None = None) -> Treebank:
    """Read files of labelled sentences.

    Args:
        paths: files, folders or patterns.
        limit: of sentences of each part, drawn from all over; all by default.

    Raises:
        UserError: there is no file, one is broken, or there is too little for three parts.
    """
    files = _files(paths)
    counts: Counter[str] = Counter()
    read = {path: _sentences(path, counts) for path in files}
    if empty := [path for path, found in read.items() if not found]:
        raise UserError(f"{empty[0]} holds no sentence: leave it out, or name another treebank")
    parts, split = _split(read)
    if any(len(some) < 2 for some in parts.values()):
        sizes = ", ".join(f"{len(some):,} for {part}" for part, some in parts.items())
        raise UserError(
            f"{', '.join(map(str, files))} has too few sentences to probe with: {sizes}; two of "
            "each are the least"
        )
    if limit is not None:
        parts = {part: _drawn(some, limit, part) for part, some in parts.items()}
    return Treebank(name=_name(files), parts=parts, split=split, counts=+counts)


def _files(paths: Sequence[Path]) -> list[Path]:
    found: dict[Path, Path] = {}  # by the real path, as one file may be named in several ways
    for path in paths:
        files = (look_into(path, (*TREES, *COLUMNS)) if path.is_dir() else look_up(str(path))).files
        if not files:
            raise UserError(
                f"there is no treebank {'in' if path.is_dir() else 'at'} {path}: name a folder or "
                "a file of CoNLL-U (.conllu) or of columns (.conll)"
            )
        for each in files:
            found.setdefault(each.resolve(), each)
    kinds = {suffix_of(path) in TREES for path in found.values()}
    if len(kinds) > 1:
        raise UserError(
            "some files are CoNLL-U (.conllu) and others columns of words and tags: probe them "
            "apart"
        )
    return [*found.values()]


def _sentences(path: Path, counts: Counter[str]) -> list[Sentence]:
    if suffix_of(path) in TREES:
        return [*conllu.sentences(path, counts=counts)]
    if not _has_columns(path):
        raise UserError(
            f"{path} is not a treebank that can be read: its name must end in .conllu, or each "
            "line must be a word and its tag"
        )
    found = []
    for number, (words, tags) in enumerate(conll.sentences(path, word=0, tag=-1, counts=counts)):
        text, spans = spaced([(word, True) for word in words])
        found.append(
            Sentence(
                text=text,
                document=number,
                words=tuple(
                    Word(form=word, span=span, tag=tag)
                    for word, span, tag in zip(words, spans, tags, strict=True)
                ),
            )
        )
    return found


def _has_columns(path: Path) -> bool:
    for _, line in read_lines(path):
        if line.strip():
            return len(line.split()) > 1
    return True


def _split(read: Mapping[Path, Sequence[Sentence]]) -> tuple[dict[str, Sequence[Sentence]], str]:
    """Return the sentences of each part, and in words how they came there."""
    named = {path: _part_of(path) for path in read}
    parts: dict[str, list[Sentence]] = {part: [] for part in PARTS}
    if {*named.values()} >= {*PARTS}:
        for path, found in read.items():
            if (part := named[path]) is not None:
                parts[part] += found
        unused = [path.name for path, part in named.items() if part is None]
        return dict(parts), "by the names of its files" + (
            f"; not used: {', '.join(unused)}" if unused else ""
        )
    unit, pieces = "document", _documents(read)
    if len(pieces) < 2 * EVERY:
        unit, pieces = "sentence", [[sentence] for document in pieces for sentence in document]
    for number, own in enumerate(pieces, start=1):
        part = {0: "test", EVERY // 2: "validation"}.get(number % EVERY, "train")
        parts[part] += own
    files = ", ".join(path.name for path in read)
    return dict(parts), (
        f"every tenth {unit} of {files} is for validation, and every tenth for the test"
    )


def _documents(read: Mapping[Path, Sequence[Sentence]]) -> list[list[Sentence]]:
    found: dict[tuple[Path, int], list[Sentence]] = {}
    for path, sentences in read.items():
        for sentence in sentences:
            found.setdefault((path, sentence.document), []).append(sentence)
    return [*found.values()]


def _part_of(path: Path) -> str | None:
    found = {_NAMES[word] for word in _WORDS.split(path.name.lower()) if word in _NAMES}
    return found.pop() if len(found) == 1 else None


def _drawn(sentences: Sequence[Sentence], limit: int, part: str) -> list[Sentence]:
    """Return so many at most, in their order; a smaller limit gives some of a larger one's."""
    draw = torch.rand(len(sentences), generator=rng.generator("sentences of a treebank", part))
    chosen = sorted(draw.argsort(stable=True)[:limit].tolist())
    return [sentences[number] for number in chosen]


def _name(files: Iterable[Path]) -> str:
    """Return what the names of the files begin with, as `en_ewt-ud`; else that of their folder."""
    names = dict.fromkeys(_before_part(path) or _folder_of(path) for path in files)
    return next(iter(names)) if len(names) == 1 else "+".join(names)[:60]


def _before_part(path: Path) -> str:
    stem = path.name.removesuffix(path.suffix).partition(".")[0]
    words = re.split(r"([^A-Za-z0-9]+)", stem)
    cut = next((at for at, word in enumerate(words) if word.lower() in _NAMES), len(words))
    return "".join(words[:cut]).rstrip("-_. ")


def _folder_of(path: Path) -> str:
    return path.resolve().parent.name or "treebank"


def swapped(sentence: Sentence) -> Sentence | None:
    """Return it with two neighbours exchanged, without labels; None if all are alike.

    What changes places is what is written: all words that share their characters go together.
    """
    pieces = [[*own] for _, own in groupby(sentence.words, key=lambda word: word.span)]
    written = [sentence.text[slice(*own[0].span)] for own in pieces]
    able = [index for index in range(len(pieces) - 1) if written[index] != written[index + 1]]
    if not able:
        return None
    gaps = [following[0].span[0] > own[0].span[1] for own, following in pairwise(pieces)]
    first = able[rng.key("swapped words", sentence.text) % len(able)]
    pieces.insert(first, pieces.pop(first + 1))
    written.insert(first, written.pop(first + 1))
    text, spans = spaced([*zip(written, [*gaps, False], strict=True)])
    words = (
        Word(form=word.form, span=span)
        for own, span in zip(pieces, spans, strict=True)
        for word in own
    )
    return replace(sentence, text=text, words=tuple(words))


def is_swapped(sentence: Sentence) -> bool:
    """Tell whether it is asked about with two words exchanged: every other one, by its hash."""
    return rng.key("swapped sentences", sentence.text) % 2 == 0 and swapped(sentence) is not None
