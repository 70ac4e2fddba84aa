"""What people say of a run: a comment and tags, in `notes.json`, which is no part of what it is."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Self
from unicodedata import category, normalize

from pydantic import AfterValidator, field_validator

from lmcompare.errors import UserError, did_you_mean
from lmcompare.runs.record_files import Record

LONGEST_TAG = 64  # characters, as Weights & Biases has it


def plain_tag(tag: str) -> str:
    """Return a tag in composed letters.

    Raises:
        UserError: it is not one plain word.
    """
    tag = normalize("NFC", tag)
    plain = all(category(each)[0] in "LMN" or each in "-_." for each in tag)
    if not plain or not tag or tag[0] in "-." or len(tag) > LONGEST_TAG:
        raise UserError(
            f"{tag!r} is no tag: take one word of at most {LONGEST_TAG} letters, digits, - _ and ."
        )
    return tag


def _storable(comment: str) -> str:
    if any("\ud800" <= each <= "\udfff" for each in comment):
        raise UserError(f"the comment {comment!r} holds bytes that are no UTF-8: write it anew")
    return comment.strip()


class RunNotes(Record):
    """`notes.json`: written when somebody says something of a run."""

    remedy: ClassVar[str] = "remove that file and tag the run again"

    tags: tuple[Annotated[str, AfterValidator(plain_tag)], ...] = ()
    comment: Annotated[str, AfterValidator(_storable)] = ""

    @field_validator("tags")
    @classmethod
    def _sorted(cls, tags: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(sorted(set(tags)))

    @classmethod
    def at(cls, path: Path) -> Self:
        """Read the notes at `path`; there are none where there is no file.

        Raises:
            UserError: the file is broken.
        """
        return cls.read(path) if path.exists() else cls()


@dataclass(frozen=True)
class NotesChange:
    """What is to be said of runs from now on; the tags and the comment are valid ones."""

    add: frozenset[str] = frozenset()
    remove: frozenset[str] = frozenset()
    comment: str | None = None  # takes the place of the one there; None leaves it

    @classmethod
    def of(
        cls, *, add: Iterable[str] = (), remove: Iterable[str] = (), comment: str | None = None
    ) -> Self:
        """Return a change of what is said.

        Raises:
            UserError: a tag is not one plain word, or is both added and removed; the comment cannot
                be stored.
        """
        added, removed = frozenset(map(plain_tag, add)), frozenset(map(plain_tag, remove))
        if both := sorted(added & removed):
            raise UserError(f"the tag '{both[0]}' is both added and removed: leave out one of them")
        return cls(added, removed, None if comment is None else _storable(comment))

    def __bool__(self) -> bool:
        """Tell whether anything changes."""
        return bool(self.add or self.remove or self.comment is not None)

    def of_notes(self, notes: RunNotes) -> RunNotes:
        """Return notes as they are after the change."""
        return RunNotes(
            tags=tuple({*notes.tags, *self.add} - self.remove),
            comment=notes.comment if self.comment is None else self.comment,
        )

    def require_removable(self, notes: Iterable[RunNotes]) -> None:
        """Make sure that each tag that is removed is one of some notes.

        Raises:
            UserError: it is on none of them.
        """
        known = {tag for each in notes for tag in each.tags}
        for tag in sorted(self.remove - known):
            what = did_you_mean(tag, known) if known else "they have no tags"
            raise UserError(f"none of these runs has the tag '{tag}': {what}")

    def apply(self, path: Path) -> None:
        """Change the notes at `path`.

        Raises:
            UserError: the file is broken, or not writable.
        """
        if self:
            self.of_notes(RunNotes.at(path)).write(path)


NO_CHANGE = NotesChange()
