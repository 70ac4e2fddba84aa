"""Labelled sentences in three parts: those that probes learn from, choose by, and are tested on."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import blake2b
from pathlib import Path

import torch

from lmcompare import rng
from lmcompare.data.folders import look_into
from lmcompare.errors import UserError
from lmcompare.evaluation.readers import conll, conllu
from lmcompare.evaluation.readers.conllu import Sentence, Word, spaced
from lmcompare.paths import matching, suffix_of
from lmcompare.textfiles import read_lines

PARTS = ("train", "validation", "test")
_NAMES = {"train": "train", "dev": "validation", "valid": "validation", "test": "test"}
EVERY = 10  # one document of so many is for validation, and one for the test
TREES = (".conllu",)
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
        """All of them, part by part."""
        return [sentence for part in PARTS for sentence in self.parts[part]]

    @cached_property
    def hash(self) -> str:
        """The hash of all words and labels, and of which part they are in."""
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
    few = [part for part in PARTS if len(parts[part]) < 2]
    if few:
        raise UserError(
            f"the treebank has {len(parts[few[0]])} sentences for {few[0]}, and two are the least: "
            f"{', '.join(str(path) for path in files)} has too little to probe with"
        )
    if limit is not None:
        parts = {part: _drawn(some, limit, part) for part, some in parts.items()}
    return Treebank(name=_name(files), parts=parts, split=split, counts=+counts)


def _files(paths: Sequence[Path]) -> list[Path]:
    found: dict[Path, None] = {}
    for path in paths:
        if path.is_dir():
            files = [
                each
                for suffixes in (TREES, COLUMNS)
                for each in _below(path)
                if suffix_of(each) in suffixes
            ]
            if not files:
                raise UserError(
                    f"there is no treebank in {path}: name a folder or a file of CoNLL-U (.conllu) "
                    "or of columns (.conll)"
                )
        else:
            files = [each for each in matching(str(path)) if each.is_file()]
            if not files:
                raise UserError(f"there is no treebank at {path}: name a file or a folder of them")
        found |= dict.fromkeys(files)
    kinds = {suffix_of(path) in TREES for path in found}
    if len(kinds) > 1:
        raise UserError(
            "some files are CoNLL-U (.conllu) and others columns of words and tags: probe them "
            "apart"
        )
    return list(found)


def _below(folder: Path) -> list[Path]:
    look_into(folder)  # refuses what cannot be read
    return sorted(path for path in folder.rglob("*") if path.is_file())


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
    documents: dict[tuple[Path, int], list[Sentence]] = {}
    for path, found in read.items():
        for sentence in found:
            documents.setdefault((path, sentence.document), []).append(sentence)
    for number, own in enumerate(documents.values(), start=1):
        part = {0: "test", EVERY // 2: "validation"}.get(number % EVERY, "train")
        parts[part] += own
    files = ", ".join(path.name for path in read)
    return dict(parts), (
        f"every tenth document of {files} is for validation, and every tenth for the test"
    )


def _part_of(path: Path) -> str | None:
    words = re.split(r"[^a-z0-9]+", path.name.lower())
    found = {_NAMES[word] for word in words if word in _NAMES}
    return found.pop() if len(found) == 1 else None


def _drawn(sentences: Sequence[Sentence], limit: int, part: str) -> list[Sentence]:
    """Return so many at most, in their order; a smaller limit gives some of a larger one's."""
    draw = torch.rand(len(sentences), generator=rng.generator("sentences of a treebank", part))
    chosen = sorted(draw.argsort(stable=True)[:limit].tolist())
    return [sentences[number] for number in chosen]


def _name(files: Iterable[Path]) -> str:
    """Return what the names of the files begin with, as `en_ewt-ud`."""
    stems = [path.name.removesuffix(path.suffix).partition(".")[0] for path in files]
    parts = [re.split(r"[-_.](?=(?:train|dev|valid|test)\b)", stem)[0] for stem in stems]
    unlike = dict.fromkeys(parts)
    return next(iter(unlike)) if len(unlike) == 1 else "+".join(unlike)[:60]


def swapped(sentence: Sentence) -> Sentence | None:
    """Return it with two neighbouring words exchanged, without labels; None if none differ."""
    forms = [word.form for word in sentence.words]
    able = [index for index in range(len(forms) - 1) if forms[index] != forms[index + 1]]
    if not able:
        return None
    draw = rng.key("swapped words", sentence.text) % len(able)
    first = able[draw]
    forms[first], forms[first + 1] = forms[first + 1], forms[first]
    return _spelled(sentence, forms)


def _spelled(sentence: Sentence, forms: Sequence[str]) -> Sentence:
    gaps = [
        following.span[0] > word.span[1]
        for word, following in zip(sentence.words, sentence.words[1:], strict=False)
    ]
    text, spans = spaced([*zip(forms, [*gaps, False], strict=True)])
    words = tuple(Word(form=form, span=span) for form, span in zip(forms, spans, strict=True))
    return replace(sentence, text=text, words=words)


def is_swapped(sentence: Sentence) -> bool:
    """Tell whether it is asked about with two words exchanged: every other one, by its hash."""
    return rng.key("swapped sentences", sentence.text) % 2 == 0 and swapped(sentence) is not None
