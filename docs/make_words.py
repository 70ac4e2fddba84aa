"""Write what the shell completes from the library itself: python docs/make_words.py.

Completion cannot ask the library, which takes seconds to import.
"""

import json
from typing import Any

from pydantic import BaseModel

from lmcompare.config.run import RunConfig, known_keys
from lmcompare.evaluation.probes.tasks import ALL, TASKS
from lmcompare.evaluation.registry import OPTIONS
from lmcompare.evaluation.tasks.registry import GROUPS, known
from lmcompare.objectives import OBJECTIVES
from lmcompare_cli.completion import WORDS


def content() -> str:
    """Return the whole file: for each kind of word, each with what it is."""
    evaluations = {kind.name: kind.about for kind in OPTIONS if not kind.command and kind.in_all}
    words = {
        "objectives": {name: kind.__doc__ or "" for name, kind in OBJECTIVES.items()},
        "settings": {key: described(key) for key in dict.fromkeys(known_keys())},
        "tasks": {
            **evaluations,
            "all": "all of these",
            **dict.fromkeys(GROUPS, "a group of benchmarks"),
            **{name: task.about for name, task in known().items()},
        },
        "probing tasks": {
            ALL: "all that the treebank has labels for",
            **{task.group: "a group" for task in TASKS},
            "features": "a group",
            **{task.name: task.asks for task in TASKS},
        },
    }
    return json.dumps(words, indent=1, ensure_ascii=False) + "\n"


def described(key: str) -> str:
    """Return what a setting is, in its own words."""
    kind: Any = RunConfig
    *tables, name = key.split(".")
    for table in tables:
        if table == "objective":
            kind = next(each for each in OBJECTIVES.values() if name in each.model_fields)
            break
        kind = kind.model_fields[table].annotation
    assert issubclass(kind, BaseModel)
    return kind.model_fields[name].description or ""


if __name__ == "__main__":
    WORDS.write_text(content(), encoding="utf-8")
