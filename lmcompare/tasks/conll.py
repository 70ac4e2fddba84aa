"""Tagged words in columns, as in the shared tasks of CoNLL; sentences are parted by blank lines.

Tags are BIO. An I- that goes on with nothing of its kind begins an entity, as the shared tasks'
script (conlleval) and seqeval by default have it.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from lmcompare.errors import UserError

Span = tuple[int, int, str]  # first word, the one after the last, type
OUTSIDE = "O"


def sentences(
    path: Path, *, word: int, tag: int
) -> Iterator[tuple[tuple[str, ...], tuple[str, ...]]]:
    """The words and tags of each sentence.

    Columns are parted by tabs where a line has one, else by spaces. Lines that begin a document
    (-DOCSTART-) are left out.

    Args:
        path: of the file.
        word: column of the words, from 0, or from the end below 0.
        tag: column of the tags.

    Raises:
        UserError: the file cannot be read, a line has too few columns, or a tag is none.
    """
    words: list[str] = []
    tags: list[str] = []
    try:
        with path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, start=1):
                if not line.strip():
                    if words:
                        yield tuple(words), tuple(tags)
                    words, tags = [], []
                    continue
                columns = line.rstrip("\n").split("\t") if "\t" in line else line.split()
                if columns[0] == "-DOCSTART-":
                    continue
                one, other = _cells(columns, word, tag, f"{path}, line {number}")
                words.append(one)
                tags.append(other)
    except UnicodeDecodeError:
        raise UserError(f"{path} is not in UTF-8: convert it first") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    if words:
        yield tuple(words), tuple(tags)


def _cells(columns: Sequence[str], word: int, tag: int, where: str) -> tuple[str, str]:
    needed = max(each + 1 if each >= 0 else -each for each in (word, tag))
    if len(columns) < max(2, needed):
        raise UserError(
            f"{where} has {len(columns)} of the {max(2, needed)} columns of a word and its tag: "
            f"{' '.join(columns)[:40]!r}"
        )
    found, label = columns[word].strip(), columns[tag].strip()
    if not found:
        raise UserError(f"{where} has a tag and no word: mend it")
    kind, dash, entity = label.partition("-")
    if label != OUTSIDE and not (kind in ("B", "I") and dash and entity):
        raise UserError(f"{where}: {label!r} is no BIO tag, which is O, B-... or I-...")
    return found, label


def entities(tags: Sequence[str]) -> tuple[set[Span], int]:
    """The entities of a sentence, and how many of them begin with an I-."""
    found: set[Span] = set()
    num_mended, start, kind = 0, 0, ""
    for place, tag in enumerate([*tags, OUTSIDE]):
        letter, _, own = tag.partition("-")
        if letter == "I" and own == kind:
            continue
        if kind:
            found.add((start, place, kind))
        num_mended += letter == "I"
        start, kind = place, own
    return found, num_mended
