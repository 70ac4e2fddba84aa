"""The corpus `python-docs`: the English that ships inside CPython, some 2 MB on every machine.

It is the text of `pydoc_data.topics` (the language reference) and the docstrings of the standard
library's source files, parsed and never imported. A document is a topic or the docstrings of one
module; a docstring that occurs in several counts once.
"""

import ast
import json
import platform
import sysconfig
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lmcompare.data.locks import locked
from lmcompare.data.structured_sources import JsonLines
from lmcompare.data.text_sources import Rules
from lmcompare.files import checksum, checksum_of, write_text

NAME = "python-docs"
EDITION = 2  # of what is collected; raise it whenever this module collects another text
STEM = f"{NAME}-{EDITION}-{platform.python_version()}"
KIND = f"modules and topics of the documentation of Python {platform.python_version()}"
# Tests, what is not part of the library, and modules that are not there for reading.
SKIPPED = {
    "test",
    "tests",
    "idlelib",
    "lib2to3",
    "site-packages",
    "dist-packages",
    "turtledemo",
    "__phello__",
}
DOCUMENTED = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
BLOCKS = ast.stmt | ast.excepthandler | ast.match_case  # what definitions can be in
RULES = Rules(field="text", encoding_errors="strict", max_document_mb=64)


@dataclass(frozen=True, kw_only=True)
class PythonDocs:
    """The corpus as a source; written to the folder `cache` the first time."""

    cache: Path
    kind: str = KIND

    def hash(self) -> str:
        """Return the hash of the file in the cache."""
        return self._file().hash()

    def texts(self) -> Iterator[str]:
        """Yield the documents in a fixed order.

        Raises:
            UserError: the cache folder cannot be written to.
        """
        return self._file().texts()

    def _file(self) -> JsonLines:
        path = self._whole()
        if path is None:
            with locked(self.cache / STEM):
                path = self._whole() or self._write()  # by the process that held the lock before
        return JsonLines(path=path, name=NAME, rules=RULES)

    def _whole(self) -> Path | None:
        """Return the file that was written before, unless it is not what its name says."""
        for path in self.cache.glob(f"{STEM}-*.jsonl"):
            try:
                if path.stem == f"{STEM}-{checksum(path)}":
                    return path
            except OSError:
                continue
        return None

    def _write(self) -> Path:
        for old in [*self.cache.glob(f"{STEM}*.jsonl"), *self.cache.glob(f".{STEM}*")]:
            old.unlink(missing_ok=True)  # damaged, or left by a process that was killed
        content = "".join(json.dumps({"text": text}) + "\n" for text in collect())
        path = self.cache / f"{STEM}-{checksum_of(content.encode())}.jsonl"
        write_text(path, content)
        return path


def collect() -> Iterator[str]:
    """Yield the documents: topics by name, then modules by path."""
    from pydoc_data import topics

    seen: set[str] = set()
    for _, text in sorted(topics.topics.items()):
        if text not in seen:
            seen.add(text)
            yield text.strip("\n")
    library = Path(sysconfig.get_path("stdlib"))
    for path in sorted(
        library.rglob("*.py"), key=lambda path: path.relative_to(library).as_posix()
    ):
        if SKIPPED.isdisjoint(path.relative_to(library).parts):
            new = [text for text in dict.fromkeys(docstrings(path)) if text not in seen]
            seen.update(new)
            if new:
                yield "\n\n".join(new)


def docstrings(path: Path) -> Iterator[str]:
    """Yield the docstrings of a source file, in its order."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # invalid escapes in sources that are not ours
            tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):  # templates, and files broken on purpose
        return
    nodes: list[ast.AST] = [tree]
    while nodes:
        node = nodes.pop()
        if isinstance(node, DOCUMENTED) and (text := ast.get_docstring(node)):
            yield text.encode("utf-8", errors="ignore").decode()  # some show half a surrogate pair
        nodes += reversed(
            [child for child in ast.iter_child_nodes(node) if isinstance(child, BLOCKS)]
        )
