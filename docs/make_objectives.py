"""Write what the documents show of the objectives from the code: python docs/make_objectives.py.

It is what stands between `<!-- NAME -->` and `<!-- /NAME -->` in README.md and docs/objectives.md.
"""

from collections.abc import Sequence
from io import StringIO
from pathlib import Path

from rich.console import Console

from lmcompare import rng
from lmcompare.data import Tokenizer, TokenizerConfig
from lmcompare.objectives import OBJECTIVES, parse_objective
from lmcompare.teaching.slots import one_row
from lmcompare.training.objective_table import NOTES, catalogue, to_markdown
from lmcompare.vocab import ALIASES, NUM_SENTINELS
from lmcompare_cli.rendering.view import draw, draw_list

DOCUMENTS = (Path(__file__).parents[1] / "README.md", Path(__file__).with_name("objectives.md"))
COLUMNS = ("name", "kind", "predicts", "sees", "predicted", "cost", "paper")
ABILITIES = ("name", "generates", "scores")
SENTENCE = "The cat sat on the mat and the dog slept."
WIDTH = 96  # of a block, in characters

# Settings and steps under which there is something to see in so short a sentence.
EXAMPLES: dict[str, tuple[dict[str, float], Sequence[int]]] = {
    "mlm": ({"rate": 0.3}, [5, 4]),
    "plm": ({"rate": 0.3}, [0]),
    "t5": ({"rate": 0.4, "mean_span": 2}, [0]),
    "bart": ({"rate": 0.4, "mean_span": 2}, [2]),
    "glm": ({"rate": 0.4, "mean_span": 2}, [0]),
    "mntp": ({"rate": 0.3}, [5]),
    "hybrid": ({}, [2, 1]),
    "ul2": ({}, [20, 1, 4]),
    "mdlm": ({}, [0, 6]),
    "fim": ({"rate": 1}, [4, 3]),
}


def filled(document: str) -> str:
    """The document with all that is made from the code made anew."""
    entries = catalogue()
    notes = "".join(f"- {note}\n" for note in NOTES)
    parts = {
        "objectives": f"\n{to_markdown(entries, columns=COLUMNS)}\n{notes}\n",
        "abilities": f"\n{to_markdown(entries, columns=ABILITIES)}\n",
        **{name: drawn(name) for name in OBJECTIVES},
    }
    for name, content in parts.items():
        first, last = f"<!-- {name} -->\n", f"<!-- /{name} -->"
        before, mark, rest = document.partition(first)
        if mark:
            document = before + first + content + last + rest.partition(last)[2]
    return document


def drawn(name: str) -> str:
    """What `lmcompare show` prints of an objective, in brief: its draws, and who sees whom."""
    settings, steps = EXAMPLES.get(name, ({}, [0]))
    objective = parse_objective({"name": name, **settings})
    size = NUM_SENTINELS + len(ALIASES) + len(set(SENTENCE[:-1].split())) + 1
    tokenizer = Tokenizer.train([SENTENCE], TokenizerConfig(kind="word", vocab_size=size, spare=0))
    text = one_row(SENTENCE, tokenizer)
    views = {
        step: objective.corrupt(text, tokenizer.vocab, rng.generator("corruption", 0, step))
        for step in steps
    }
    console = Console(file=StringIO(), width=WIDTH, color_system=None, markup=False, emoji=False)
    with console.capture() as capture:
        console.print(draw_list(views, text, tokenizer))
        console.print(*draw(views[steps[0]], text, tokenizer, tables=False), sep="\n")
    said = ", ".join(f"`{key}` {value:g}" for key, value in settings.items())
    above = f"With {said}:\n\n" if said else ""
    block = "\n".join(line.rstrip() for line in capture.get().strip().splitlines())
    return f"\n{above}```\n{block}\n```\n\n"


if __name__ == "__main__":
    for path in DOCUMENTS:
        path.write_text(filled(path.read_text(encoding="utf-8")), encoding="utf-8")
