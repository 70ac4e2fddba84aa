"""Tagged words in columns, as in the shared tasks of CoNLL; sentences are parted by blank lines.

Tags are BIO. An I- that goes on with nothing of its kind begins an entity, as the shared tasks'
script (conlleval) and seqeval by default have it.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from lmcompare.errors import UserError
from lmcompare.evaluation.readers.table_files import stripped
from lmcompare.parsing import brief
from lmcompare.textfiles import read_lines

Span = tuple[int, int, str]  # first word, the one after the last, type
OUTSIDE = "O"
# Any other space, such as U+00A0, is part of a word, or a word.
SPACES = " \t"


def sentences(
    path: Path, *, word: int, tag: int, counts: Counter[str]
) -> Iterator[tuple[tuple[str, ...], tuple[str, ...]]]:
    """Yield the words and tags of each sentence.

    Columns are parted by tabs where a line has one, else by plain spaces. Lines that begin a
    document (-DOCSTART-) are left out.

    Args:
        path: of the file.
        word: column of the words, from 0, or from the end below 0.
        tag: column of the tags.
        counts: told of what was mended.

    Raises:
        UserError: the file cannot be read, a line has too few columns, or a tag is none.
    """
    words: list[str] = []
    tags: list[str] = []
    for number, line in read_lines(path):
        if not line.strip(SPACES):
            if words:
                yield tuple(words), tuple(tags)
            words, tags = [], []
            continue
        columns = line.split("\t") if "\t" in line else [*filter(None, line.split(" "))]
        if columns[0] == "-DOCSTART-":
            continue
        one, other = _cells(columns, word, tag, f"{path}, line {number}")
        words.append(one)
        tags.append(stripped(other, counts))
    if words:
        yield tuple(words), tuple(tags)


def _cells(columns: Sequence[str], word: int, tag: int, where: str) -> tuple[str, str]:
    needed = max(each + 1 if each >= 0 else -each for each in (word, tag))
    if len(columns) < max(2, needed):
        raise UserError(
            f"{where} has {len(columns)} of the {max(2, needed)} columns of a word and its tag: "
            f"{' '.join(columns)[:40]!r}"
        )
    found, tagged = columns[word].strip(SPACES), columns[tag]
    if not found:
        raise UserError(f"{where} has a tag and no word: mend it")
    label = tagged.strip()
    kind, dash, entity = label.partition("-")
    if label != OUTSIDE and not (kind in ("B", "I") and dash and entity):
        raise UserError(f"{where}: {brief(label)} is no BIO tag, which is O, B-... or I-...")
    return found, tagged


def entities(tags: Sequence[str]) -> tuple[set[Span], int]:
    """Return the entities of a sentence, and how many of them begin with an I-."""
    found: set[Span] = set()
    num_mended, start, kind = 0, 0, ""
    for index, tag in enumerate([*tags, OUTSIDE]):
        letter, _, own = tag.partition("-")
        if letter == "I" and own == kind:
            continue
        if kind:
            found.add((start, index, kind))
        num_mended += letter == "I"
        start, kind = index, own
    return found, num_mended
