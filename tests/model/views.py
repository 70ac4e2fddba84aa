"""Views of every pattern that there is, without any objective."""

from dataclasses import replace

import torch

from lmcompare.view import IGNORE, View

KINDS = {  # and the hint of each
    "causal": "causal",
    "causal and padded": "causal",
    "full": "full",
    "full and padded": "full",
    "padded": None,
    "documents": None,
    "prefix": None,
    "permuted": None,
    "spans": None,
    "sees nothing": None,
}


def make_view(kind: str, *, length: int, rows: int = 3, size: int = 61) -> View:
    """Random tokens under a pattern, with some targets."""
    rng = torch.Generator().manual_seed(length)
    tokens = torch.randint(5, size - 3, (rows, length), generator=rng)
    visible = torch.ones_like(tokens, dtype=torch.bool)
    place = torch.arange(length).expand_as(tokens)
    if kind == "permuted":
        return _permuted(tokens, rng)
    if kind.endswith("padded"):
        visible[:, -3:] = False
    if kind == "padded" or kind == "causal and padded":
        visible[1, -5:] = False
    if kind.startswith("causal"):
        view = View.causal(tokens, visible=visible)
    elif kind == "documents":
        view = View.causal(tokens, visible=visible, document=(place > 4).long())
    elif kind == "prefix":
        order = (place - torch.tensor([[2], [0], [7]])).clamp(min=0)
        view = View.ordered(tokens, order, visible=visible)
    elif kind == "spans":
        order = (place - length // 2).clamp(min=0)
        view = replace(
            View.ordered(tokens, order, visible=visible),
            position=torch.where(order > 0, torch.tensor([[2], [3], [5]]), place),
            within=order,
        )
    elif kind == "sees nothing":
        document = torch.zeros_like(tokens)
        document[1, -2:], visible[1, -2:] = 1, False
        view = View.bidirectional(tokens, visible=visible, document=document)
    else:
        view = View.bidirectional(tokens, visible=visible)
    target = tokens.masked_fill((place % 3 > 0) | ~visible, IGNORE)
    return view.predicting(target, (target != IGNORE) / rows)


def _permuted(content: torch.Tensor, rng: torch.Generator) -> View:
    """Content, then a query slot for each of its last few in a random order."""
    rows, length = content.shape
    num_slots = length // 3
    rank = torch.rand(content.shape, generator=rng).argsort(1)
    asked = rank.argsort(1)[:, -num_slots:]
    late = (rank - (length - num_slots) + 1).clamp(min=0)  # 1, 2, ... where something is asked
    hidden = torch.zeros(rows, num_slots, dtype=torch.bool)
    target = content.gather(1, asked)
    return View(
        tokens=torch.cat([content, torch.full_like(asked, 3)], 1),
        position=torch.cat([torch.arange(length).expand_as(content), asked], 1),
        order=torch.cat([2 * late, 2 * late.gather(1, asked) - 1], 1),
        visible=torch.cat([torch.ones_like(content, dtype=torch.bool), hidden], 1),
        target=torch.cat([torch.full_like(content, IGNORE), target], 1),
        weight=torch.cat([torch.zeros(content.shape), torch.ones(target.shape) / rows], 1),
    )


def with_source(view: View, *, length: int = 17) -> View:
    """The same, with a bidirectional source that is padded, in one row more than in others."""
    source = make_view("padded", length=length, rows=len(view.tokens))
    source.visible[:, -2:] = False
    nothing = torch.full_like(source.target, IGNORE)
    return replace(view, source=source.predicting(nothing, torch.zeros(nothing.shape)))
