"""A file of how texts were written, step by step: to be looked at, and played again.

A trace is JSON lines: first what all of its samples share, then each sample as it began, followed
by its steps. It holds all that it takes to show it, without the run or its tokenizer. Nothing here
needs torch, so that a trace is read at once.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from lmcompare import files
from lmcompare.errors import UserError
from lmcompare.textfiles import cut_lines, open_text, without_end

SCHEMA = 1

# What a token adds to a text; its bytes, where they are no whole characters.
Piece = str | tuple[Annotated[int, Field(ge=0, le=255)], ...]


class _Line(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Heading(_Line):
    """What all samples of a trace share.

    Attributes:
        schema_version: of all lines.
        run: the run directory.
        objective: its name.
        methods: of each prompt, how it was written.
        prompts: as they were given.
        settings: those of the sampler that were asked for.
        seed: of all samples.
        num_samples: how many follow.
    """

    schema_version: int = SCHEMA
    run: str
    objective: str
    methods: tuple[str, ...]
    prompts: tuple[str, ...]
    settings: dict[str, Any]
    seed: int
    num_samples: int


class Start(_Line):
    """A sample before anything is written.

    Attributes:
        prompt: which one, from 0.
        number: which of its samples, from 0.
        ids: of its tokens, the start token first; the mask in its holes.
        pieces: of the same tokens.
        holes: which of them are to be written.
        any_length: a hole is one token here, and any number of them later.
        text: what came of it, without what stands after a text to stop at; empty before that.
        num_steps: how many steps follow; 0 before that.
    """

    prompt: int
    number: int
    ids: tuple[int, ...]
    pieces: tuple[Piece, ...]
    holes: tuple[bool, ...]
    any_length: bool
    text: str = ""
    num_steps: int = 0

    @model_validator(mode="after")
    def _agrees(self) -> "Start":
        if not len(self.ids) == len(self.pieces) == len(self.holes):
            raise ValueError("ids, pieces and holes are not as many")
        return self


class WrittenStep(_Line):
    """What one step wrote of a sample.

    Attributes:
        prompt: which one, from 0.
        number: which of its samples, from 0.
        step: from 1; steps that wrote nothing of this sample are not counted.
        places: of its tokens, in the text as it began.
        ids: of its tokens; a mask takes back what stood there.
        pieces: of the same tokens.
        probabilities: that the model gave them, before the sampler.
    """

    prompt: int
    number: int
    step: int
    places: tuple[int, ...]
    ids: tuple[int, ...]
    pieces: tuple[Piece, ...]
    probabilities: tuple[float, ...]

    @model_validator(mode="after")
    def _agrees(self) -> "WrittenStep":
        if not len(self.places) == len(self.ids) == len(self.pieces) == len(self.probabilities):
            raise ValueError("places, ids, pieces and probabilities are not as many")
        return self


@dataclass(frozen=True)
class Trace:
    """All of a file."""

    heading: Heading
    samples: list[tuple[Start, list[WrittenStep]]]

    def write(self, path: Path) -> None:
        """Write the file, whole or not at all.

        Raises:
            UserError: it cannot be written.
        """
        lines: list[_Line] = [self.heading]
        for start, steps in self.samples:
            lines += [start, *steps]
        files.write_text(path, "".join(line.model_dump_json() + "\n" for line in lines))

    @staticmethod
    def read(path: Path) -> "Trace":
        """Read the file at `path`.

        Raises:
            UserError: it is missing, broken, or of another schema.
        """
        with open_text(path) as stream:
            lines = [without_end(line.raw) for line in cut_lines(stream, name=str(path))]
        reader = _Reader(path, lines)
        version = reader.parse(_Versioned).schema_version
        if version != SCHEMA:
            raise UserError(
                f"{path} was written in schema {version} of traces and this lmcompare reads schema "
                f"{SCHEMA}: use the version that wrote it, or write it again with `lmcompare "
                "generate --trace`"
            )
        heading = reader.take(Heading)
        samples = []
        for _ in range(heading.num_samples):
            start = reader.take(Start)
            steps = [reader.take(WrittenStep) for _ in range(start.num_steps)]
            for count, step in enumerate(steps, start=1):
                same = (step.prompt, step.number, step.step) == (start.prompt, start.number, count)
                known = all(0 <= index < len(start.ids) for index in step.places)
                if not (same and known and all(start.holes[index] for index in step.places)):
                    raise reader.broken("a step does not belong to its sample")
            samples.append((start, steps))
        if reader.num_left:
            raise reader.broken("there is more than its first line says")
        return Trace(heading, samples)


Read = TypeVar("Read", bound=_Line)
Parsed = TypeVar("Parsed", bound=BaseModel)


class _Versioned(BaseModel):
    schema_version: int


class _Reader:
    """The lines of a file, one after another."""

    def __init__(self, path: Path, lines: list[bytes]) -> None:
        self._path, self._lines, self._number = path, lines, 0

    @property
    def num_left(self) -> int:
        return len(self._lines) - self._number

    def take(self, kind: type[Read]) -> Read:
        """Read the next line."""
        line = self.parse(kind)
        self._number += 1
        return line

    def parse(self, kind: type[Parsed]) -> Parsed:
        """Read it without stepping forward."""
        if not self.num_left:
            raise self.broken("it ends too early")
        try:
            return kind.model_validate_json(self._lines[self._number])
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise self.broken(f"{where + ': ' if where else ''}{first['msg']}") from None

    def broken(self, reason: str) -> UserError:
        return UserError(
            f"{self._path} is not a whole trace ({reason}, at line {self._number + 1}): write it "
            "again with `lmcompare generate --trace`"
        )
