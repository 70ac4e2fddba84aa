"""JSON files that say what they are: of which schema, and with a checksum of their content.

Files of schema 1 had no checksum: what is in them cannot be verified.
"""

import json
from hashlib import blake2b
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from lmcompare import files
from lmcompare.errors import UserError

SCHEMA = 2
UNVERIFIED = 1  # the schema of files without a checksum
_CHECKSUM = "checksum"


class Record(BaseModel):
    """A JSON file of a run."""

    # a value that is no number comes back as it was, and does not make the file unreadable
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")

    remedy: ClassVar[str] = "start the run again with --force"  # for a file that is no good

    schema_version: int = SCHEMA

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
            content = json.loads(path.read_bytes())
        except OSError as error:
            raise UserError(f"{path} cannot be read: {error.strerror}: {cls.remedy}") from None
        except (ValueError, RecursionError) as error:
            raise cls._invalid(path, f"invalid JSON: {error}") from None
        if not isinstance(content, dict):
            raise cls._invalid(path, "it holds no table")
        version = content.get("schema_version")
        if version not in (UNVERIFIED, SCHEMA):
            raise UserError(
                f"{path} was written in schema {version} and this lmcompare reads schema {SCHEMA}: "
                f"use the version that wrote it, or {cls.remedy}"
            )
        if version == SCHEMA and content.pop(_CHECKSUM, None) != _checksum(content):
            raise cls._invalid(path, "its content does not match its checksum")
        try:
            return cls.model_validate_json(json.dumps(content))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "the file"
            raise cls._invalid(path, f"{where}: {first['msg']}") from None
        except UserError as error:
            raise cls._invalid(path, str(error)) from None

    @classmethod
    def _invalid(cls, path: Path, why: str) -> UserError:
        return UserError(
            f"{path} is no valid {cls.__name__}: {why}; it was changed by hand, damaged, or "
            f"written by another version: {cls.remedy}"
        )

    @property
    def verified(self) -> bool:
        """Whether it was written with a checksum, so that its content is what was written."""
        return self.schema_version > UNVERIFIED


def _checksum(content: dict[str, Any]) -> str:
    """Hash of what a record holds, however it is laid out in its file."""
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return blake2b(canonical.encode(), digest_size=16).hexdigest()
