"""A comparison as a file: the tidy frame as CSV, the table as Markdown and LaTeX, both as JSON."""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lmcompare import files
from lmcompare.blocks import latex, markdown
from lmcompare.blocks.visible import cell
from lmcompare.comparison.comparison import Comparison
from lmcompare.comparison.document import EVERYTHING, document
from lmcompare.comparison.figures.drawing import can_draw
from lmcompare.comparison.tables import all_tables

SCHEMA = 3  # of the JSON


def to_csv(comparison: Comparison) -> str:
    """Return the tidy frame; what is not known is empty.

    A text that a spreadsheet would take for a formula has an apostrophe in front.
    """
    frame = comparison.frame
    words = frame.select_dtypes(["object", "string"])
    return str(frame.assign(**words.map(_cell)).to_csv(index=False, lineterminator="\n"))


def _cell(value: object) -> object:
    return cell(value) if isinstance(value, str) else value


def to_json(comparison: Comparison) -> str:
    """Return everything, for a machine; what is not known is null."""
    parts = {
        "schema_version": SCHEMA,
        "summary": comparison.summary.as_json(),
        "facts": [asdict(fact) for fact in comparison.facts],
        "consequences": [asdict(fact) for fact in comparison.consequences],
        "tables": {
            each.key: [each.as_json(table) for table in comparison.tables.get(each.key, ())]
            for each in all_tables()
        },
        "notes": list(comparison.notes),
        "measurements": json.loads(comparison.frame.to_json(orient="records", double_precision=15)),
    }
    lines = (f"  {json.dumps(name)}: {_on_lines(_finite(part))}" for name, part in parts.items())
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _on_lines(part: Any) -> str:
    """Return a part as JSON: a list with a line for each of its members, all else on one line."""
    if not isinstance(part, list) or not part:
        return json.dumps(part, allow_nan=False)
    return "[\n" + ",\n".join(f"    {json.dumps(each, allow_nan=False)}" for each in part) + "\n  ]"


def _finite(value: Any) -> Any:
    """Return the same with None for what is no number."""
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def to_markdown(comparison: Comparison, tables: Sequence[str] = EVERYTHING) -> str:
    """Return tables and what must be read with them, in GitHub's Markdown."""
    return markdown.render(document(comparison, tables))


def to_tex(comparison: Comparison, tables: Sequence[str] = EVERYTHING) -> str:
    r"""Return the same for LaTeX, to be read with \input; its labels hold the study's name."""
    label = str(comparison.frame["study"].iloc[0])
    return latex.render(document(comparison, tables), label=label)


# the formats of which a part can be asked for, as `document` names it
PAGES: dict[str, Callable[[Comparison, Sequence[str]], str]] = {"md": to_markdown, "tex": to_tex}


FORMATS: dict[str, Callable[[Comparison], str]] = {
    "csv": to_csv,
    "md": to_markdown,
    "tex": to_tex,
    "json": to_json,
}


def write_tables(comparison: Comparison, folder: Path, *, name: str) -> Sequence[Path]:
    """Write `folder/name.{csv,md,tex,json}`, each whole or not at all, and the pictures.

    If matplotlib is here there is a picture, `folder/name-generation.svg`, of each table of what
    was written that has a judge, one, `folder/name-curves-TASK.svg`, of each benchmark that was
    asked at several checkpoints, one, `folder/name-layers-TREEBANK-PROBE-WORDS.svg`, of the layers
    that were probed, one of these at several checkpoints, and one,
    `folder/name-attention-TEXT.svg`, of all heads.

    Raises:
        UserError: the disk is full or the folder is not writable.
    """
    paths = []
    for suffix, write in FORMATS.items():
        paths.append(folder / f"{name}.{suffix}")
        files.write_text(paths[-1], write(comparison))
    for each in all_tables() if can_draw() else ():
        for ending, picture in each.pictures(comparison.tables.get(each.key, ())):
            paths.append(folder / f"{name}-{ending}.svg")
            files.write_bytes(paths[-1], picture)
    return paths
