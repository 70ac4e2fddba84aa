"""Treebanks in CoNLL-U (https://universaldependencies.org/format.html): words, labels and trees.

The cells of a line are read by the package conllu; which lines make a sentence, whether its heads
make a tree, and which characters of the text each word stands for is looked after here, so that
each fault is told with its file and line.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate, chain, groupby
from pathlib import Path
from typing import Any

from conllu.exceptions import ParseException
from conllu.parser import (
    DEFAULT_FIELDS,
    parse_dict_value,
    parse_id_value,
    parse_int_value,
)

from lmcompare.errors import UserError
from lmcompare.evaluation.readers.table_files import stripped
from lmcompare.parsing import brief
from lmcompare.textfiles import read_lines

NOTHING = "_"  # what stands in a cell of which nothing is said
_PARSED = {  # of the columns that are not plain text: how, and what they should hold
    "id": (parse_id_value, "a number such as 3, 3-4 or 3.1"),
    "feats": (parse_dict_value, "Name=Value|..."),
    "head": (parse_int_value, "the number of a word"),
    "misc": (parse_dict_value, "Name=Value|..."),
}


@dataclass(frozen=True, kw_only=True)
class Word:
    """A syntactic word, and what an annotator said of it; what was not said is None or missing.

    Attributes:
        form: as it is written.
        span: the characters of the sentence's text that it stands for, which the words of a
            multi-word token share where they are not its parts.
        upos: universal part of speech.
        xpos: part of speech in a tag set of the language.
        features: morphological features.
        head: number of the word that it depends on, from 1; 0 at a root.
        relation: the label of that dependency.
        tag: an entity tag, of files with columns of words and tags.
    """

    form: str
    span: tuple[int, int]
    upos: str | None = None
    xpos: str | None = None
    features: Mapping[str, str] = field(default_factory=dict)
    head: int | None = None
    relation: str | None = None
    tag: str | None = None


@dataclass(frozen=True, kw_only=True)
class Sentence:
    """A sentence of a treebank.

    Attributes:
        text: as it was written, spaces included.
        words: at least one.
        document: which document of the treebank it is from, where the file says so; else its own.
    """

    text: str
    words: tuple[Word, ...]
    document: int

    @property
    def heads(self) -> tuple[int, ...] | None:
        """Return the heads of all words; None where one is missing, or there are several roots."""
        heads = [word.head for word in self.words]
        if heads.count(0) != 1:
            return None
        return tuple(head for head in heads if head is not None) if None not in heads else None


@dataclass(frozen=True, kw_only=True)
class _Line:
    """A line of the file; a word has a number, a multi-word token or an empty node a pair."""

    number: int  # in the file
    id: int | tuple[int, str, int]
    word: Word  # whose span is not known yet
    space_after: bool


def sentences(path: Path, *, counts: Counter[str]) -> Iterator[Sentence]:
    """Yield the sentences of a file.

    Columns are those of CoNLL-U, or those that the file names (`# global.columns = ID FORM ...`, as
    CoNLL-U Plus has it).

    Args:
        path: of the file.
        counts: told of what is not used as it stands.

    Raises:
        UserError: the file cannot be read, a line or a tree is broken, or its words were taken out.
    """
    lines: list[_Line] = []
    columns: Sequence[str] = DEFAULT_FIELDS
    document, named, first, has_words = 0, False, 0, False
    for number, line in chain(read_lines(path), [(0, "")]):
        if line.startswith("#"):
            comment = line.removeprefix("#").strip()
            if comment.startswith("newdoc"):
                document, named = document + 1, True
            elif comment.startswith("global.columns"):
                columns = _columns(comment, f"{path}, line {number}")
        elif line.strip():
            lines.append(_line(line, number, columns, path, counts))
            first = first or number
            has_words = has_words or lines[-1].word.form != NOTHING
        elif lines:
            document += not named
            yield _sentence(lines, path, document, counts)
            lines = []
    if first and not has_words:
        raise UserError(
            f"{path} has {NOTHING} for the word in line {first} and all others, as treebanks have "
            "whose text may not be given away: put the words back as its README says"
        )


def spaced(words: Sequence[tuple[str, bool]]) -> tuple[str, list[tuple[int, int]]]:
    """Return the text that words make, and the characters of each.

    Args:
        words: each with whether a space comes after it, of which the last one is left out.
    """
    parts = [f"{form} " if space_after else form for form, space_after in words]
    starts = [0, *accumulate(map(len, parts))]
    spans = [(start, start + len(form)) for start, (form, _) in zip(starts, words, strict=False)]
    return "".join(parts)[: spans[-1][1] if spans else 0], spans


def _columns(comment: str, where: str) -> list[str]:
    names = comment.partition("=")[2].lower().split()
    if not {"id", "form"} <= {*names} or len({*names}) < len(names):
        raise UserError(
            f"{where} must name the columns, ID and FORM among them, each once, as in "
            f"# global.columns = ID FORM UPOS: {brief(comment)}"
        )
    return names


def _line(
    line: str, number: int, columns: Sequence[str], path: Path, counts: Counter[str]
) -> _Line:
    where, given = f"{path}, line {number}", line.split("\t")
    if len(given) != len(columns):
        raise UserError(
            f"{where} has {len(given)} columns parted by tabs, and there should be {len(columns)} "
            f"({' '.join(columns).upper()}): {brief(line)}"
        )
    said = dict.fromkeys(DEFAULT_FIELDS, NOTHING) | dict(zip(columns, given, strict=True))
    form = said["form"].strip(" ")
    labels = ("upos", "xpos", "deprel")
    said |= {name: stripped(said[name], counts) for name in (*labels, *_PARSED)}
    parsed: dict[str, Any] = {}
    for name, (parse, wanted) in _PARSED.items():
        try:
            parsed[name] = parse(said[name])
        except (ParseException, ValueError):  # the latter of a number of thousands of digits
            raise UserError(
                f"{where} has {brief(said[name])} in column {name.upper()}, which should hold "
                f"{wanted}: mend it"
            ) from None
    if parsed["id"] is None or not form:
        raise UserError(f"{where} has no {'number' if form else 'word'}: mend it")
    upos, xpos, relation = (
        said[name] if said[name] not in ("", NOTHING) else None for name in labels
    )
    features = {
        name.strip(): value.strip() for name, value in (parsed["feats"] or {}).items() if value
    }
    word = Word(
        form=form,
        span=(0, 0),
        upos=upos,
        xpos=xpos,
        features=features,
        head=parsed["head"],
        relation=relation,
    )
    space_after = (parsed["misc"] or {}).get("SpaceAfter") != "No"
    return _Line(number=number, id=parsed["id"], word=word, space_after=space_after)


def _sentence(lines: Sequence[_Line], path: Path, document: int, counts: Counter[str]) -> Sentence:
    surface: list[tuple[str, bool]] = []  # what is written, in order
    of_word: list[int] = []  # which of these a word belongs to
    words: list[_Line] = []
    range_end, range_line = 0, 0  # of the latest multi-word token
    for line in lines:
        first, kind, end = line.id if isinstance(line.id, tuple) else (line.id, "", line.id)
        if kind == ".":
            counts["empty nodes left out"] += 1
            continue
        if first != len(words) + 1:
            raise UserError(
                f"{path}, line {line.number}: the words of a sentence are numbered 1, 2, 3, ..., "
                f"and {first} stands where {len(words) + 1} should; is the empty line before a "
                "sentence missing?"
            )
        if kind and range_end >= first:
            raise UserError(
                f"{path}, line {line.number} begins a multi-word token within that of line "
                f"{range_line}: mend it"
            )
        if range_end < first:
            surface.append((line.word.form, line.space_after))
        if kind:
            range_end, range_line = end, line.number
        else:
            of_word.append(len(surface) - 1)
            words.append(line)
    if not words:
        raise UserError(f"{path}, line {lines[0].number} begins a sentence without a word: mend it")
    if range_end > len(words):
        raise UserError(
            f"{path}, line {range_line} begins a multi-word token that ends beyond the "
            f"{len(words)} words of its sentence: mend it"
        )
    _require_tree(words, path)
    text, spans = spaced(surface)
    found: list[Word] = []
    for token, group in groupby(range(len(words)), key=lambda index: of_word[index]):
        own = [words[index].word for index in group]
        start, stop = spans[token]
        are_parts = "".join(word.form for word in own) == surface[token][0]
        counts["multi-word tokens, whose words are read together"] += not are_parts
        for word in own:
            stop = start + len(word.form) if are_parts else stop
            found.append(replace(word, span=(start, stop)))
            start = stop if are_parts else start
    return Sentence(text=text, document=document, words=tuple(found))


def _require_tree(words: Sequence[_Line], path: Path) -> None:
    """Make sure that heads are words, that there is a root, and that no word leads to itself.

    Raises:
        UserError: it is not so; where some words have no head, no root is wanted.
    """
    above = {number: line.word.head for number, line in enumerate(words, start=1)}
    for line in words:
        if line.word.head is not None and not 0 <= line.word.head <= len(words):
            raise UserError(
                f"{path}, line {line.number} has the head {line.word.head}, and its sentence has "
                f"the words 1 to {len(words)}: mend it"
            )
    if {0, None}.isdisjoint(above.values()):
        raise UserError(
            f"{path}, line {words[0].number} begins a sentence without a root (a word whose head "
            "is 0): mend it"
        )
    settled: set[int | None] = {0, None}
    for number in above:
        path_up: set[int] = set()
        word: int | None = number
        while word is not None and word not in settled:
            if word in path_up:
                raise UserError(
                    f"{path}, line {words[word - 1].number}: the heads of word {word} lead back "
                    "to it, so that they are no tree; mend it"
                )
            path_up.add(word)
            word = above[word]
        settled |= path_up
