"""Treebanks in CoNLL-U (https://universaldependencies.org/format.html): words, labels and trees.

The cells of a line are read by the package conllu; which lines make a sentence, whether its heads
make a tree, and which characters of the text each word stands for is looked after here, so that
each fault is told with its file and line.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from conllu.exceptions import ParseException
from conllu.parser import (
    DEFAULT_FIELDS,
    parse_dict_value,
    parse_id_value,
    parse_int_value,
)

from lmcompare.errors import UserError
from lmcompare.parsing import brief
from lmcompare.textfiles import read_lines

NUM_COLUMNS = len(DEFAULT_FIELDS)
_PARSERS: Mapping[str, Callable[[str], object]] = {  # of the columns that are not plain text
    "id": parse_id_value,
    "feats": parse_dict_value,
    "head": parse_int_value,
    "misc": parse_dict_value,
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
        """The heads of all words; None where one is not given, or there are several roots."""
        heads = [word.head for word in self.words]
        if heads.count(0) != 1:
            return None
        return tuple(head for head in heads if head is not None) if None not in heads else None


def sentences(path: Path, *, counts: Counter[str]) -> Iterator[Sentence]:
    """Yield the sentences of a file.

    Args:
        path: of the file.
        counts: told of what is not used as it stands.

    Raises:
        UserError: the file cannot be read, or a line or a tree is broken.
    """
    lines: list[tuple[int, str]] = []
    document, named = 0, False
    for number, line in read_lines(path):
        if line.startswith("#"):
            if line.removeprefix("#").strip().startswith("newdoc"):
                document, named = document + 1, True
        elif line.strip():
            lines.append((number, line))
        elif lines:
            document += not named
            yield _sentence(lines, path, document, counts)
            lines = []
    if lines:
        yield _sentence(lines, path, document + (not named), counts)


def spaced(
    words: Sequence[tuple[str, bool]],
) -> tuple[str, list[tuple[int, int]]]:
    """Return the text that words make, and the characters of each.

    Args:
        words: each with whether a space comes after it.
    """
    text, spans = "", []
    for form, space_after in words:
        spans.append((len(text), len(text) + len(form)))
        text += f"{form} " if space_after else form
    return text.rstrip(" "), spans


def _sentence(
    lines: Sequence[tuple[int, str]], path: Path, document: int, counts: Counter[str]
) -> Sentence:
    surface: list[tuple[str, bool]] = []  # what is written, in order
    of_word: list[int] = []  # which of these a word belongs to
    words: list[tuple[int, dict[str, object]]] = []
    multi_word, last = 0, 0
    for number, line in lines:
        where = f"{path}, line {number}"
        cells = _cells(line, where)
        id_, form = cells["id"], str(cells["form"])
        if isinstance(id_, tuple):
            if id_[1] == "-":
                if id_[0] != last + 1 or multi_word > last:
                    raise _disordered(where, line)
                multi_word = int(id_[2])
                surface.append((form, _space_after(cells)))
                counts["multi-word tokens, whose words are read together"] += 1
            else:
                counts["empty nodes left out"] += 1
            continue
        if id_ != last + 1:
            raise _disordered(where, line)
        last = int(id_)
        if last > multi_word:
            surface.append((form, _space_after(cells)))
        of_word.append(len(surface) - 1)
        words.append((number, cells))
    first = lines[0][0]
    if not words:
        raise UserError(f"{path}, line {first} begins a sentence without a word: mend it")
    if multi_word > last:
        raise UserError(f"{path}, line {first}: a multi-word token goes beyond the sentence's end")
    _require_tree([(number, cells["head"]) for number, cells in words], path)
    text, spans = spaced(surface)
    own = _own_spans([str(cells["form"]) for _, cells in words], of_word, surface, spans)
    return Sentence(
        text=text,
        document=document,
        words=tuple(_word(cells, span) for (_, cells), span in zip(words, own, strict=True)),
    )


def _cells(line: str, where: str) -> dict[str, object]:
    columns = line.split("\t")
    if len(columns) != NUM_COLUMNS:
        raise UserError(
            f"{where} has {len(columns)} of the {NUM_COLUMNS} columns of CoNLL-U, which tabs part: "
            f"{brief(line)}"
        )
    cells: dict[str, object] = dict(zip(DEFAULT_FIELDS, columns, strict=True))
    for name, parse in _PARSERS.items():
        try:
            cells[name] = parse(str(cells[name]))
        except ParseException as error:
            raise UserError(f"{where}, column {name.upper()}: {error} Mend it") from None
    if cells["id"] is None or not str(cells["form"]).strip():
        raise UserError(f"{where} has no {'number' if cells['id'] is None else 'word'}: mend it")
    return cells


def _disordered(where: str, line: str) -> UserError:
    return UserError(
        f"{where}: the words of a sentence are numbered 1, 2, 3, ..., and here comes "
        f"{brief(line.split()[0])}; is the empty line before a sentence missing?"
    )


def _space_after(cells: Mapping[str, object]) -> bool:
    misc = cells["misc"]
    return not (isinstance(misc, Mapping) and misc.get("SpaceAfter") == "No")


def _own_spans(
    forms: Sequence[str],
    of_word: Sequence[int],
    surface: Sequence[tuple[str, bool]],
    spans: Sequence[tuple[int, int]],
) -> Iterator[tuple[int, int]]:
    """Yield each word's part of its token, or all of it where the words are not parts of it."""
    for index, (form, token) in enumerate(zip(forms, of_word, strict=True)):
        start, stop = spans[token]
        siblings = [other for other, number in enumerate(of_word) if number == token]
        if "".join(forms[other] for other in siblings) == surface[token][0]:
            start += sum(len(forms[other]) for other in siblings if other < index)
            stop = start + len(form)
        yield start, stop


def _require_tree(heads: Sequence[tuple[int, object]], path: Path) -> None:
    """Make sure that heads are words, that there is a root, and that all words lead to one.

    Raises:
        UserError: it is not so; where some words have no head, it is nobody's tree.
    """
    given = [head for _, head in heads if isinstance(head, int)]
    for number, head in heads:
        if isinstance(head, int) and not 0 <= head <= len(heads):
            raise UserError(
                f"{path}, line {number} has the head {head}, and its sentence has the words 1 to "
                f"{len(heads)}: mend it"
            )
    if len(given) < len(heads):
        return
    if 0 not in given:
        raise UserError(
            f"{path}, line {heads[0][0]} begins a sentence without a root (a word whose head is "
            "0): mend it"
        )
    leads = {0}
    for start in range(1, len(given) + 1):
        path_up: list[int] = []
        word = start
        while word not in leads:
            if word in path_up:
                raise UserError(
                    f"{path}, line {heads[word - 1][0]}: the heads of word {word} lead back to it, "
                    "so that they are no tree; mend it"
                )
            path_up.append(word)
            word = given[word - 1]
        leads.update(path_up)


def _word(cells: Mapping[str, object], span: tuple[int, int]) -> Word:
    said = partial(_said, cells)
    head, features = cells["head"], cells["feats"]
    return Word(
        form=str(cells["form"]),
        span=span,
        upos=said("upos"),
        xpos=said("xpos"),
        features={
            str(name): str(value)
            for name, value in (features.items() if isinstance(features, Mapping) else ())
            if value
        },
        head=head if isinstance(head, int) else None,
        relation=said("deprel"),
    )


def _said(cells: Mapping[str, object], name: str) -> str | None:
    value = cells[name]
    return None if value in (None, "", "_") else str(value)
