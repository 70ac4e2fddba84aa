"""JSON files that say what they are: of which schema, and with a checksum of their content.

A file of an earlier schema is read through a migration for each step to this one, once its checksum
was compared. Files of schema 1 had none: what is in them cannot be verified.
"""

import json
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from lmcompare import files
from lmcompare.errors import UserError
from lmcompare.parsing import brief
from lmcompare.runs.migrations import Content, Migrations

SCHEMA = 4
UNVERIFIED = 1  # the schema of files without a checksum
_CHECKSUM = "checksum"


class Record(BaseModel):
    """A JSON file of a run."""

    # a value that is no number comes back as it was, and does not make the file unreadable
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")

    remedy: ClassVar[str] = "start the run again with `again=True`"  # for a file that is no good
    migrations: ClassVar[Migrations] = {}  # a schema that is not named here changed nothing

    schema_version: int = SCHEMA  # of its file

    def write(self, path: Path) -> None:
        """Write the record with its checksum, whole or not at all."""
        content = json.loads(self.model_dump_json()) | {"schema_version": SCHEMA}
        content[_CHECKSUM] = _checksum(content)
        files.write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read the record at `path`.

        Raises:
            UserError: it is missing, broken, changed, or of another schema.
        """
        try:
            state = files.state_of(path)
        except OSError as error:
            raise cls._unreadable(path, error) from None
        return cls._read(path, state)

    @classmethod
    @lru_cache(maxsize=1 << 14)
    def _read(cls, path: Path, state: tuple[int, ...]) -> Self:
        """Do the same; a file that stays as it is is read once a process."""
        try:
            content = json.loads(path.read_bytes())
        except OSError as error:
            raise cls._unreadable(path, error) from None
        except (ValueError, RecursionError) as error:
            raise cls._invalid(path, f"invalid JSON: {error}") from None
        if not isinstance(content, dict):
            raise cls._invalid(path, "it holds no table")
        version = cls._schema(path, content)
        if version > UNVERIFIED and content.pop(_CHECKSUM, None) != _checksum(content):
            raise cls._invalid(path, "its content does not match its checksum")
        for schema in range(version, SCHEMA):
            if schema in cls.migrations:
                content = cls.migrations[schema](content)
        try:
            return cls.model_validate_json(json.dumps(content))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "the file"
            if first["type"] == "extra_forbidden":
                raise UserError(
                    f"{path} holds '{where}', which this lmcompare does not know: use the version "
                    f"that wrote it, or {cls.remedy}"
                ) from None
            raise cls._invalid(path, f"{where}: {first['msg']}") from None
        except UserError as error:
            raise cls._invalid(path, str(error)) from None

    @classmethod
    def _unreadable(cls, path: Path, error: OSError) -> UserError:
        return UserError(f"{path} cannot be read: {error.strerror}: {cls.remedy}")

    @classmethod
    def _schema(cls, path: Path, content: Content) -> int:
        """Return the schema of a file.

        Raises:
            UserError: it is none that can be read.
        """
        version = content.get("schema_version")
        if type(version) is not int or version < UNVERIFIED:
            raise cls._invalid(path, f"its schema_version is {brief(version)}")
        if version > SCHEMA:
            raise UserError(
                f"{path} was written in schema {version}, by a later lmcompare, and this one reads "
                f"schemas {UNVERIFIED} to {SCHEMA}: use the version that wrote it, or {cls.remedy}"
            )
        return version

    @classmethod
    def _invalid(cls, path: Path, why: str) -> UserError:
        return UserError(
            f"{path} is no valid {cls.__name__}: {why}; it was changed by hand, damaged, or "
            f"written by another version: {cls.remedy}"
        )

    @property
    def verified(self) -> bool:
        """Tell whether it was written with a checksum, so that its content is what was written."""
        return self.schema_version > UNVERIFIED


def _checksum(content: Content) -> str:
    """Return the hash of what a record holds, however it is laid out in its file."""
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return blake2b(canonical.encode(), digest_size=16).hexdigest()
