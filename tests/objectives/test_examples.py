"""The worked example of each corruption, run as it stands in its docstring.

    With rate=0.3 and seed 3, "We hold these truths to be self-evident" becomes

        reads     [BOS] We hold [MASK] truths to be self-evident
        predicts  .     .  .    these  .      .  .  .

A word is a token, and a generator of that seed draws. A row is a line of each kind; several rows of
the same text have several.
"""

import ast
import re
from inspect import cleandoc

import pytest
import torch

from lmcompare.objectives import OBJECTIVES
from lmcompare.view import IGNORE, View
from lmcompare.vocab import ALIASES, Vocab
from tests.conftest import plain_text

SENTENCE = "We hold these truths to be self-evident"
WORDS = SENTENCE.split()
MARKS = [spellings[0] for spellings in ALIASES.values()]
SENTINELS = ["<0>", "<1>", "<2>"]
PIECES = [*MARKS, *SENTINELS, *WORDS]
VOCAB = Vocab(
    size=len(PIECES),
    roles={role: number for number, role in enumerate(ALIASES)},
    specials=frozenset(range(len(PIECES) - len(WORDS))),
    sentinels=tuple(map(PIECES.index, SENTINELS)),
)
EXAMPLE = re.compile(
    r"With (?:(?P<settings>.+?) and )?seed (?P<seed>\d+),\s+(?:\w+\s+rows\s+of\s+)?"
    rf'"{SENTENCE}"\s+becomes?'
    r"\n\n(?P<lines>(?: {4}.*\n?)+)",
)


def lines_of(view: View) -> list[str]:
    """Each row of a view: what is read, who sees whom, what is predicted with which weight."""
    lines = []
    for row in range(len(view.tokens)):
        if view.source is not None:
            source = view.source
            shown = source.tokens[row][source.visible[row]].tolist()
            lines.append(" ".join(["source", *(PIECES[token] for token in shown)]))
        used = view.visible[row] | (view.target[row] != IGNORE)
        used[: int(used.nonzero().max()) + 1] = True
        columns = {
            "reads": [PIECES[token] for token in view.tokens[row][used].tolist()],
            "order": view.order[row][used].tolist(),
            "predicts": [
                "." if target == IGNORE else PIECES[target]
                for target in view.target[row][used].tolist()
            ],
            "weight": [f"{each:.2g}" if each else "." for each in view.weight[row][used].tolist()],
        }
        lines += [" ".join([name, *map(str, column)]) for name, column in columns.items()]
    return lines


def settings_of(written: str | None) -> dict[str, object]:
    """Settings written as `rate=0.3, select="word"`."""
    call = ast.parse(f"given({written or ''})", mode="eval").body
    assert isinstance(call, ast.Call)
    return {str(each.arg): ast.literal_eval(each.value) for each in call.keywords}


@pytest.mark.parametrize("name", OBJECTIVES)
def test_the_example_is_what_comes_of_it(name: str) -> None:
    kind = OBJECTIVES[name]
    assert "corrupt" in vars(kind)
    found = EXAMPLE.search(cleandoc(kind.corrupt.__doc__ or ""))
    assert found, f"the docstring of {kind.__name__}.corrupt has no example"
    written = [" ".join(line.split()) for line in found["lines"].splitlines() if line.strip()]
    num_rows = sum(line.startswith("predicts") for line in written)
    tokens = torch.tensor([[VOCAB.bos, *map(PIECES.index, WORDS)]]).repeat(num_rows, 1)
    text = plain_text(tokens, word=torch.arange(len(WORDS) + 1).repeat(num_rows, 1))
    rng = torch.Generator().manual_seed(int(found["seed"]))
    view = kind(**settings_of(found["settings"])).corrupt(text, VOCAB, rng)
    kinds = {line.split()[0] for line in written}
    assert kinds >= {"reads", "predicts"}
    assert kinds >= ({"source"} if view.source is not None else set())
    assert written == [line for line in lines_of(view) if line.split()[0] in kinds]
