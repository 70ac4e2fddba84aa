"""Scores of a model that sees both sides: tokens are hidden under the mask, some at a time."""

from collections.abc import Callable, Mapping
from functools import partial

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lmcompare.objectives.network import Network
from lmcompare.objectives.scoring.passes import LOGITS_AT_ONCE, parts
from lmcompare.objectives.scoring_types import HOLES, Query, Question, Scoring
from lmcompare.view import IGNORE, View
from lmcompare.vocab import Vocab


def masked(hides: float, *, shift: int = 0) -> Mapping[str, Scoring]:
    """Return the scorings of a masked model.

    Args:
        hides: the greatest share of a text that training hid at once.
        shift: a token is predicted so many positions before its own.
    """

    def pseudo(*, rest_of_word: bool) -> Scoring:
        log_prob = partial(hide_one_by_one, rest_of_word=rest_of_word, shift=shift)
        return Scoring("pseudo", log_prob, given="both", answers=("text",))

    return {
        "pll": pseudo(rest_of_word=False),
        "pll-word": pseudo(rest_of_word=True),
        **chains(hides, shift=shift),
    }


def chains(
    hides: float, *, answers: tuple[Question, ...] = HOLES, shift: int = 0
) -> Mapping[str, Scoring]:
    """Return the scorings of masked tokens that are distributions over what may stand there.

    Args:
        hides: the greatest share of a text that training hid at once.
        answers: what is asked along the order of the text; the others are for holes.
        shift: a token is predicted so many positions before its own.
    """
    return {
        "left-to-right": Scoring(
            "exact",
            partial(hide_left_to_right, shift=shift),
            given="both",
            answers=answers,
            hides=hides,
        ),
        "joint": Scoring(
            "exact",
            partial(hide_together, shift=shift),
            given="both",
            answers=HOLES,
            protocol="at-once",
            hides=hides,
        ),
        "surest-first": Scoring(
            "exact",
            partial(hide_but_the_surest, shift=shift),
            given="both",
            answers=HOLES,
            protocol="surest-first",
            hides=hides,
        ),
    }


def hide_one_by_one(
    net: Network, query: Query, vocab: Vocab, *, rest_of_word: bool, shift: int
) -> Float[Tensor, "B T"]:
    """Score each token of a query given all other tokens of its row: the pseudo-log-likelihood.

    Salazar et al. 2020, Masked Language Model Scoring. With `rest_of_word`, the later pieces of the
    same word are hidden too, so that a rare word of many pieces does not give itself away (Kauf &
    Ivanova 2023, A Better Way to Do Masked Language Model Scoring; their "within-word l2r").
    A token is predicted `shift` positions before its own.
    """
    text, indices = query.text, torch.arange(query.text.tokens.shape[1])

    def hidden(row: Int[Tensor, " N"], index: Int[Tensor, " N"]) -> Bool[Tensor, "N T"]:
        here = indices == index[:, None]
        if not rest_of_word:
            return here
        same_word = text.word[row] == text.word[row, index][:, None]
        return here | (same_word & text.visible[row] & (indices > index[:, None]))

    return one_by_one(net, query, vocab, hidden, shift=shift)


def hide_left_to_right(
    net: Network, query: Query, vocab: Vocab, *, shift: int
) -> Float[Tensor, "B T"]:
    """Score each token of a query given the rest of the text and those of the query before it.

    A fixed order of unmasking makes a product of conditionals a distribution (DUEL).
    """
    mask, indices = query.score_mask, torch.arange(query.text.tokens.shape[1])

    def hidden(row: Int[Tensor, " N"], index: Int[Tensor, " N"]) -> Bool[Tensor, "N T"]:
        return mask[row] & (indices >= index[:, None])

    return one_by_one(net, query, vocab, hidden, shift=shift)


def hide_together(net: Network, query: Query, vocab: Vocab, *, shift: int) -> Float[Tensor, "B T"]:
    """Score all tokens hidden at once, each predicted by itself: a product of marginals."""
    text, score_mask = query.text, query.score_mask
    tokens = text.tokens.masked_fill(score_mask, vocab.mask)
    target = text.tokens.masked_fill(~score_mask, IGNORE).roll(-shift, dims=1)
    view = View.bidirectional(tokens, visible=text.visible, document=text.document)
    return net.log_prob(view.predicting(target, (target != IGNORE).float())).roll(shift, dims=1)


def hide_but_the_surest(
    net: Network, query: Query, vocab: Vocab, *, shift: int
) -> Float[Tensor, "B T"]:
    """Score one token after another, next always that whose likeliest word is the most probable.

    The order follows from what is shown already and so is no part of the answer: the product of the
    conditionals is a distribution, as along any such order (DUEL).
    """
    text, score_mask = query.text, query.score_mask
    scores = torch.zeros(text.tokens.shape)
    each = int(score_mask.sum(1).max()) or 1
    for start in range(0, len(score_mask), size := max(1, LOGITS_AT_ONCE // each // vocab.size)):
        rows = torch.arange(start, min(start + size, len(score_mask)))
        some, left = text.rows(rows), score_mask[rows]
        while left.any():
            unfinished = left.any(1).nonzero()[:, 0]
            hidden, here = left[unfinished], some.rows(unfinished)
            view = View.bidirectional(
                here.tokens.masked_fill(hidden, vocab.mask),
                visible=here.visible,
                document=here.document,
            )
            log_prob = net.logits(view, hidden.roll(-shift, dims=1)).cpu().float().log_softmax(1)
            row, index = hidden.nonzero(as_tuple=True)
            sure = torch.full(hidden.shape, -torch.inf)
            sure[row, index] = log_prob[:, vocab.regular].amax(1)
            found = torch.zeros(hidden.shape)
            found[row, index] = log_prob.gather(1, here.tokens[row, index, None])[:, 0]
            chosen = sure.argmax(1)
            taken = torch.arange(len(unfinished))
            scores[rows[unfinished], chosen] = found[taken, chosen]
            left[unfinished, chosen] = False
    return scores


def one_by_one(
    net: Network,
    query: Query,
    vocab: Vocab,
    hidden: Callable[[Int[Tensor, " N"], Int[Tensor, " N"]], Bool[Tensor, "N T"]],
    *,
    shift: int,
) -> Float[Tensor, "B T"]:
    """Score each token of a query in a pass of its own, hidden with all that `hidden` names.

    Args:
        net: a model that reads both sides.
        query: which tokens.
        vocab: which id is the mask.
        hidden: of tokens, by row and index, all that is hidden when they are asked for.
        shift: a token is predicted so many positions before its own.
    """
    text = query.text
    scores = torch.zeros(text.tokens.shape)
    all_row, all_index = query.score_mask.nonzero(as_tuple=True)
    for part in parts(len(all_row), text.tokens.shape[1]):
        row, index = all_row[part], all_index[part]
        tokens = text.tokens[row]
        target = torch.full_like(tokens, IGNORE)
        each = torch.arange(len(row))
        target[each, index - shift] = tokens[each, index]
        document = None if text.document is None else text.document[row]
        view = View.bidirectional(
            tokens.masked_fill(hidden(row, index), vocab.mask),
            visible=text.visible[row],
            document=document,
        ).predicting(target, (target != IGNORE).float())
        scores[row, index] = net.log_prob(view)[each, index - shift]
    return scores
