"""Scores of a model that predicts the next token of what it sees."""

from collections.abc import Callable, Mapping
from functools import partial

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lmcompare.errors import Unsupported
from lmcompare.objectives.corruption.noise import next_token
from lmcompare.objectives.network import Network
from lmcompare.objectives.scoring.passes import parts
from lmcompare.objectives.scoring_types import EVERY, Query, Scoring
from lmcompare.view import IGNORE, Text, View
from lmcompare.vocab import Vocab


def left_to_right(read: Callable[[Text, Vocab], View]) -> Mapping[str, Scoring]:
    """Return the scorings of a causal model.

    Args:
        read: what it sees of a text; position i is token i, and sees none after it.
    """
    return {
        "causal": next_tokens(lambda query, vocab: read(query.text, vocab)),
        "renormalised": renormalised(lambda text, _, vocab: read(text, vocab)),
    }


def next_tokens(view_of: Callable[[Query, Vocab], View], *, hides: float = 1.0) -> Scoring:
    """Return the scoring of a model that predicts the next token of what it sees.

    Args:
        view_of: what it sees of a query's text; position i is token i.
        hides: the greatest share of a text that it ever had to write in training.
    """

    def log_prob(net: Network, query: Query, vocab: Vocab) -> Float[Tensor, "B T"]:
        return predict_next(net, view_of(query, vocab), query.text, query.score_mask)

    return Scoring("exact", log_prob, given="left", answers=EVERY, hides=hides)


def renormalised(view_after: Callable[[Text, Int[Tensor, " B"], Vocab], View]) -> Scoring:
    """Return the scoring of one token given both sides, by a model that reads from left to right.

    Args:
        view_after: the view of a text in which what stands from an index of each row on is
            predicted.
    """
    log_prob = partial(renormalise, view_after=view_after)
    return Scoring("exact", log_prob, given="both", answers=("holes",), weighs_all=True)


def predict_next(
    net: Network, view: View, text: Text, score_mask: Bool[Tensor, "B T"]
) -> Float[Tensor, "B T"]:
    """Return the log-probability of each token of a mask where the one before it stands."""
    target = next_token(text.tokens, score_mask)
    log_prob = net.log_prob(view.predicting(target, (target != IGNORE).float()))
    return log_prob.roll(1, dims=1)  # from where a token is predicted to where it stands


def renormalise(
    net: Network,
    query: Query,
    vocab: Vocab,
    *,
    view_after: Callable[[Text, Int[Tensor, " B"], Vocab], View],
) -> Float[Tensor, "B T"]:
    """Score one token of each row given both sides, by a model that reads from left to right.

    p(token | both sides) is the probability of the row over that of all rows that differ from it
    in this token alone: one forward pass for each token of the vocabulary.

    Args:
        net: the model.
        query: which tokens.
        vocab: its text tokens are the candidates.
        view_after: as `renormalised` takes it.

    Raises:
        Unsupported: more than one token of a row is asked about.
    """
    text, score_mask = query.text, query.score_mask
    if (score_mask.sum(1) > 1).any():
        raise Unsupported("one token of a text at a time is renormalised over its candidates")
    scores = torch.zeros(text.tokens.shape)
    candidates = vocab.regular
    for row, index in score_mask.nonzero().tolist():
        length = int(text.visible[row].sum())
        weighed = torch.zeros(len(candidates), dtype=torch.float64)
        for part in parts(len(candidates), length):
            tokens = text.tokens[row : row + 1, :length].repeat(len(candidates[part]), 1)
            tokens[:, index] = candidates[part]
            document = None if text.document is None else text.document[row : row + 1, :length]
            changed = Text(
                tokens=tokens,
                visible=torch.ones_like(tokens, dtype=torch.bool),
                word=text.word[row : row + 1, :length].expand_as(tokens),
                document=None if document is None else document.expand_as(tokens),
            )
            rest = ~vocab.is_special(tokens)
            rest[:, :index] = False
            view = view_after(changed, torch.full((len(tokens),), index), vocab)
            weighed[part] = predict_next(net, view, changed, rest).double().sum(1)
        truth = (candidates == text.tokens[row, index]).nonzero().squeeze()
        scores[row, index] = weighed.log_softmax(0)[truth]
    return scores
