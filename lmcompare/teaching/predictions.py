"""What models expect at each place of a text, given what their objectives may see of it.

Each token is asked for by itself, all others being there: what reads both sides sees them, and
what reads from left to right sees those before it. The question is put through the objective's own
score, behind which a network is watched; so nothing here knows an objective.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import exp
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from lmcompare.errors import Unsupported
from lmcompare.evaluation.span_scoring import scorings_for
from lmcompare.objectives import Objective
from lmcompare.objectives.network import Network
from lmcompare.runs.loaded_model import LoadedModel, read_as
from lmcompare.teaching.slots import one_row, piece_of
from lmcompare.view import IGNORE, Text, View
from lmcompare.vocab import Candidates, Vocab

TOP = 5  # guesses of each place
LONGEST = 64  # tokens of a text
AT_ONCE = 2**25  # logits of a batch: it bounds memory and changes no result


@dataclass(frozen=True, kw_only=True)
class Guess:
    """A token, and how probable a model finds it."""

    token: str
    probability: float


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What a model expects at one place.

    Attributes:
        log_prob: of the token that stands there, in nats.
        rank: of that token among all that are text; 1 is the likeliest.
        guesses: the likeliest tokens that are text, the best first.
    """

    log_prob: float
    rank: int
    guesses: Sequence[Guess]

    @property
    def probability(self) -> float:
        """Return the probability of the token that stands there."""
        return exp(self.log_prob)


@dataclass(frozen=True, kw_only=True)
class TextPredictions:
    """What a model expects at each place of a text.

    Attributes:
        run: where the model is.
        arm: the name of its arm.
        objective: the name of its objective.
        seed: of its run.
        scoring: how it was asked; empty where it cannot be.
        given: what it saw of the text for each token: what stands before, or both sides of it.
        tokenizer: what cut the text, by its hash.
        tokens: of the text, as far as they were asked for.
        num_tokens: how many it has.
        places: what is expected at each; None where no model can be asked: a token is unknown.
        why_not: the reason why it was not asked; empty where it was.
    """

    run: str
    arm: str
    objective: str
    seed: int
    scoring: str = ""
    given: Literal["left", "both", ""] = ""
    tokenizer: str
    tokens: Sequence[str]
    num_tokens: int
    places: Sequence[Expected | None] = ()
    why_not: str = ""


def readings(model: LoadedModel) -> list[LoadedModel]:
    """Return the model as each part of its mixture reads it; itself where it mixes nothing."""
    return [read_as(model, part) for part in model.objective.mixture] or [model]


def predictions_of(model: LoadedModel, text: str, *, top: int = TOP) -> TextPredictions:
    """Return what a model expects at each place of a text.

    Args:
        model: the model.
        text: of which it is asked about at most `LONGEST` tokens, and no more than it was trained
            on at once.
        top: how many guesses are kept.

    Raises:
        UserError: its tokenizer keeps nothing of the text.
    """
    tokenizer, whole = model.tokenizer, one_row(text, model.tokenizer)
    length = min(whole.tokens.shape[1], model.length, 1 + LONGEST)
    row = Text(
        tokens=whole.tokens[:, :length],
        visible=whole.visible[:, :length],
        word=whole.word[:, :length],
    )
    found = TextPredictions(
        run=str(model.path),
        arm=model.arm,
        objective=model.objective.name,
        seed=model.seed,
        tokenizer=tokenizer.hash,
        tokens=tokenizer.pieces(row.tokens[0, 1:].tolist()),
        num_tokens=whole.tokens.shape[1] - 1,
    )
    try:
        scoring, places = _expected(model, row, top)
    except Unsupported as reason:
        return replace(found, why_not=str(reason))
    given = model.objective.scorings[scoring].given
    return replace(found, scoring=scoring, given=given, places=places)


def _expected(model: LoadedModel, row: Text, top: int) -> tuple[str, list[Expected | None]]:
    """Return the scoring by which it was asked, and what is expected at each place.

    Raises:
        Unsupported: there is no scoring that asks for one token after another.
    """
    objective, vocab = model.objective, model.tokenizer.vocab
    ways = scorings_for(objective, "holes")
    if not ways:
        objective.choose_scoring(None, "holes")
        raise Unsupported(f"{objective.name} gives no distribution over single tokens of a text")
    index = (~vocab.is_special(row.tokens[0])).nonzero()[:, 0]
    reasons = []
    for scoring in ways:
        try:
            found = _asked(objective, model.net, row, vocab, index, scoring)
        except Unsupported as reason:
            reasons.append(str(reason))
            continue
        places: list[Expected | None] = [None] * (row.tokens.shape[1] - 1)
        for number, log_prob in zip(index.tolist(), found, strict=True):
            best = log_prob[vocab.regular].topk(min(top, len(vocab.regular)))
            true = log_prob[row.tokens[0, number]]
            places[number - 1] = Expected(
                log_prob=float(true),
                rank=1 + int((log_prob[vocab.regular] > true).sum()),
                guesses=[
                    Guess(
                        token=piece_of(int(vocab.regular[each]), model.tokenizer),
                        probability=float(value.exp()),
                    )
                    for value, each in zip(best.values, best.indices, strict=True)
                ],
            )
        return scoring, places
    raise Unsupported("; ".join(reasons))


def _asked(
    objective: Objective,
    net: Network,
    row: Text,
    vocab: Vocab,
    index: Tensor,
    scoring: str,
) -> Float[Tensor, "N V"]:
    """Return the natural log-probabilities of all tokens at some places, each asked for alone.

    Raises:
        Unsupported: what is asked for is no single distribution.
    """
    length = row.tokens.shape[1]
    found = [torch.zeros(0, vocab.size)]
    for part in index.split(max(1, AT_ONCE // vocab.size // length)):
        rows = row.rows(torch.zeros(len(part), dtype=torch.long))
        watched = _Watched(net)
        score_mask = torch.zeros(len(part), length, dtype=torch.bool)
        score_mask[torch.arange(len(part)), part] = True
        scores = objective.score(watched, rows, vocab, score_mask, scoring=scoring)
        seen = torch.cat([torch.zeros(0, vocab.size), *watched.log_probs])
        told = scores[score_mask]
        if len(seen) != len(part) or not torch.allclose(
            seen.gather(1, rows.tokens[score_mask][:, None])[:, 0], told, atol=1e-6
        ):
            raise Unsupported(f"{objective.name} has no single distribution over a token's place")
        found.append(seen)
    return torch.cat(found)


class _Watched:
    """A network that keeps the distributions behind the log-probabilities it gives."""

    def __init__(self, net: Network) -> None:
        self._net = net
        self.log_probs: list[Float[Tensor, "N V"]] = []

    def log_prob(self, view: View, *, among: Candidates | None = None) -> Float[Tensor, "B T"]:
        """Return the natural log-probability of each target, and keep those of all tokens."""
        wanted = view.target != IGNORE
        logits, target = self._net.logits(view, wanted).cpu().float(), view.target[wanted]
        if among is not None:
            logits, target = among.narrow(logits, target)
        log_probs = logits.log_softmax(1)
        self.log_probs.append(log_probs)
        scores = torch.zeros(view.tokens.shape)
        scores[wanted] = log_probs.gather(1, target[:, None])[:, 0]
        return scores

    def logits(self, view: View, wanted: Bool[Tensor, "B T"]) -> Float[Tensor, "N V"]:
        """Return what each wanted position predicts, unnormalised."""
        return self._net.logits(view, wanted)
