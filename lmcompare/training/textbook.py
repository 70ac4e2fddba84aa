"""The study of the textbook's question, small enough for a lecture: its file."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tomli_w

from lmcompare import files
from lmcompare.config.study import parse_study, require_name
from lmcompare.errors import UserError
from lmcompare.objectives import OBJECTIVES
from lmcompare.runs.places import STUDY_FILE

OBJECTIVES_ASKED = ("clm", "mlm")
ALL = "all"

# Short blocks make many steps of few tokens, so that a masked model too leaves the frequencies of
# words behind within the budget.
SHARED: Mapping[str, Any] = {
    "model": "nano",
    "budget": "500k tokens",
    "seeds": [0],
    "batch": {"rows": 8, "length": 64},
}
_ABOUT = """\
# What does a pre-training objective buy? The textbook's table, measured at a small budget.
#
#     lmcompare study {name}        (trains, asks, compares and reports; the same command goes on)
#
# With one seed there is no verdict: seeds = [0, 1, 2] gives some.

"""


def write_study(
    folder: Path,
    objectives: Sequence[str] = (),
    *,
    given: Mapping[str, Any],
) -> Path:
    """Write the study file, or find the one that is there, and return its path.

    Args:
        folder: of the study.
        objectives: their names, or `all`; by default those that were asked before, or two.
        given: settings that all share, in place of those here; none keeps the file that is there.

    Raises:
        UserError: there is no such objective, a setting makes no sense, or the file that is there
            says otherwise.
    """
    path = folder / STUDY_FILE
    if path.exists() and not objectives and not given:
        return path
    names = [*OBJECTIVES] if ALL in objectives else [*(objectives or OBJECTIVES_ASKED)]
    tables = {
        "shared": {**SHARED, **given},
        "arm": [{"objective": name} for name in dict.fromkeys(names)],
    }
    text = _ABOUT.format(name=require_name(folder.name)) + tomli_w.dumps(tables)
    if path.exists():
        if path.read_text(encoding="utf-8") != text:
            raise UserError(
                f"{path} says otherwise than these settings: leave them out to go on with it, or "
                "choose another name"
            )
        return path
    parse_study(path, tables)
    files.write_text(path, text)
    return path
