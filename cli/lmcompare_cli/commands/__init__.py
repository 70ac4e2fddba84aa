"""The commands of `lmcompare`, one file for each; a file is imported when its command is typed."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

# What `lmcompare --help` says of each, in its order: the first sentence of its docstring.
SUMMARIES = {
    "train": "Train a model, or all models of a study; finished runs are skipped, others continue.",
    "eval": "Measure how probable each model finds held-out text, how well it writes, and "
    "benchmarks.",
    "generate": "Let models continue a prompt, or fill its holes.",
    "probe": "Ask the states of each layer what they tell of language: words, arcs, trees, "
    "neighbours.",
    "similarity": "Compare the states of all layers of all runs on the same words: which models "
    "are alike.",
    "compare": "Compare finished runs: what each objective bought, at what cost, and what was "
    "held equal.",
    "report": "Write a study as one page of HTML, to be shown to others; its path is printed.",
    "study": "Train some objectives at a small budget, ask all that the summary wants, and "
    "show it.",
    "objectives": "List the objectives: what each predicts, sees, costs and can score.",
    "tasks": "List the benchmarks that `lmcompare eval --tasks` knows, and the files that they "
    "want.",
    "cloze": "Make a last-word benchmark of a held-out text: JSON lines on stdout, of "
    "LAMBADA's layout.",
    "show": "Show what a model sees of a text: what goes in, what it must predict, and who "
    "sees whom.",
    "check": "Check a configuration or a study and say what it costs to train and evaluate; do "
    "neither.",
    "runs": "List runs with their state, step and loss.",
    "curves": "Draw what runs had learned against what had been spent on them by then.",
    "tag": "Tag runs, or comment on them, and show what is said of them.",
    "rm": "Move runs or whole studies to the trash, and put them back.",
    "results": "List what was measured of runs, and remove what is not wanted any more.",
    "export": "Write a run as a model that Hugging Face transformers loads, with its tokenizer "
    "and a card.",
}


def function_of(name: str) -> Callable[..., Any]:
    """Return the function of a command, which imports its file."""
    function = "evaluate" if name == "eval" else name  # `eval` is Python's own
    found: Callable[..., Any] = getattr(import_module(f"{__name__}.{name}"), function)
    return found
