"""Ask a model for one token of each row: what it says, from which state, and what moves it.

An objective asks through a network that only notes what is to be read. That view is what its
scoring would have scored; it is read once for the score and for the state that predicts the token,
and again for the gradient. So no objective is known by name here, and none is asked in a way that
it does not have.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lmcompare.errors import Unsupported
from lmcompare.objectives import Objective
from lmcompare.objectives.network import LanguageModel
from lmcompare.view import IGNORE, Text, View
from lmcompare.vocab import Candidates, Vocab

NOWHERE = -1  # the index in a text of what is not of it


@dataclass(frozen=True, kw_only=True)
class AskedView:
    """A view with one target in each row, and what may be predicted there."""

    view: View
    among: Candidates | None

    @property
    def target(self) -> Bool[Tensor, "B S"]:
        """Return where the token is predicted."""
        return self.view.target != IGNORE


@dataclass
class _Notes:
    """A network that notes what it is asked, and says nothing."""

    asked: list[AskedView] = field(default_factory=list)

    def log_prob(self, view: View, *, among: Candidates | None = None) -> Float[Tensor, "B T"]:
        self.asked.append(AskedView(view=view, among=among))
        return torch.zeros(view.tokens.shape)

    def logits(self, view: View, wanted: Bool[Tensor, "B T"]) -> Float[Tensor, "N V"]:
        raise Unsupported("a token is chosen among several before it is scored")


def view_of(
    objective: Objective, text: Text, vocab: Vocab, hidden: Bool[Tensor, "B T"], scoring: str
) -> AskedView:
    """Return what a network reads to score one token of each row.

    Args:
        objective: whose scoring it is.
        text: rows.
        vocab: which ids are text.
        hidden: the token of each row that is asked for.
        scoring: one that takes one pass.

    Raises:
        Unsupported: the scoring cannot ask for these, or takes several passes.
    """
    notes = _Notes()
    objective.score(notes, text, vocab, hidden, scoring=scoring)
    one_each = len(notes.asked) == 1 and bool((notes.asked[0].target.sum(1) == 1).all())
    if not one_each or len(notes.asked[0].view.tokens) != len(text.tokens):
        raise Unsupported(f"{objective.name} takes several passes for a token by {scoring}")
    return notes.asked[0]


@torch.no_grad()
def answer(
    net: LanguageModel, asked: AskedView
) -> tuple[Float[Tensor, " B"], Float[Tensor, "B D"]]:
    """Return the natural log-probability of each row's token, and the state that predicts it.

    Both are in float32 and on the processor; the state is the last layer's, normalised.
    """
    view = asked.view.to(net.device)
    wanted = view.target != IGNORE
    states = net.states(view, wanted=wanted)
    logits, target = net.predict(states).float(), view.target[wanted]
    if asked.among is not None:
        logits, target = asked.among.narrow(logits, target)
    log_prob = logits.log_softmax(1).gather(1, target[:, None])[:, 0]
    return log_prob.cpu(), states.float().cpu()


def influence(
    net: LanguageModel,
    objective: Objective,
    text: Text,
    vocab: Vocab,
    hidden: Bool[Tensor, "B T"],
    scoring: str,
) -> Float[Tensor, "B T"]:
    """Return how much each token of a text moves the log-probability of the one that is asked for.

    That is the norm of the gradient with respect to its embedding, added up over the places where
    the view has it. It takes one pass each way for all rows, and where there is an encoder one
    more. The log-probability is that among all ids. Tokens that are not text have no influence, and
    neither has the one that is asked for.

    Args:
        net: the network.
        objective: how it is asked, as by `view_of`.
        text: rows.
        vocab: which ids are text.
        hidden: the token of each row that is asked for.
        scoring: one that takes one pass.

    Raises:
        Unsupported: as `view_of`.
    """
    view = view_of(objective, text, vocab, hidden, scoring).view
    position = (view.target != IGNORE).int().argmax(1)
    found = torch.zeros(text.tokens.shape)
    for source, origin in _origins(objective, text, vocab, hidden, scoring):
        norms = net.gradient_influence(view, position, of="log_prob", source=source).cpu()
        norms = norms[:, : origin.shape[1]].where(origin != NOWHERE, 0.0)
        found.scatter_add_(1, origin.clamp(min=0), norms)
    return found.masked_fill(hidden, 0.0)


def _origins(
    objective: Objective,
    text: Text,
    vocab: Vocab,
    hidden: Bool[Tensor, "B T"],
    scoring: str,
) -> Iterator[tuple[bool, Int[Tensor, "B S"]]]:
    """Yield of a view, and of its source, which token of the text stands where, or `NOWHERE`.

    The objective is asked about the same rows with the index of each token in its place, a digit at
    a time; where a token stands in a view never depends on which one it is.
    """
    index = torch.arange(text.tokens.shape[1])
    base = len(vocab.regular)
    digit = torch.full((vocab.size,), NOWHERE)
    digit[vocab.regular] = torch.arange(base)
    special = vocab.is_special(text.tokens)
    found: dict[bool, Int[Tensor, "B S"]] = {}
    scale = 1
    while scale < max(2, len(index)):
        numbered = vocab.regular[index // scale % base].expand_as(text.tokens)
        marked = replace(text, tokens=text.tokens.where(special, numbered))
        view = view_of(objective, marked, vocab, hidden, scoring).view
        for source, read in ((False, view), (True, view.source)):
            if read is not None:
                digits = digit[read.tokens]
                sum_before = found.get(source, torch.zeros_like(digits))
                found[source] = (sum_before + scale * digits).where(digits != NOWHERE, NOWHERE)
        scale *= base
    yield from found.items()
