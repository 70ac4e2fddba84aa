"""The scores that several objectives share: pure functions of a network and a text."""

from collections.abc import Callable, Iterator, Mapping

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lmcompare.errors import Unsupported
from lmcompare.objectives.base import EVERY, Scoring
from lmcompare.objectives.network import Network
from lmcompare.objectives.noise import next_token
from lmcompare.view import IGNORE, Text, View
from lmcompare.vocab import Vocab

TOKENS_AT_ONCE = 16_384  # of one forward pass; bounds memory, changes no result

LEFT_TO_RIGHT: Mapping[str, Scoring] = {
    "causal": Scoring("exact", given="left", answers=EVERY),
    "renormalised": Scoring("exact", given="both", answers=("holes",), weighs_all=True),
}
MASKED: Mapping[str, Scoring] = {
    "pll": Scoring("pseudo", given="both", answers=("text",)),
    "pll-word": Scoring("pseudo", given="both", answers=("text",)),
    "joint": Scoring("exact", given="both", answers=("holes",)),
}


def predict_next(
    net: Network, view: View, text: Text, asked: Bool[Tensor, "B T"]
) -> Float[Tensor, "B T"]:
    """Log-probability of each asked token where the one before it stands in `view`."""
    target = next_token(text.tokens, asked)
    log_prob = net.log_prob(view.predicting(target, (target != IGNORE).float()))
    return log_prob.roll(1, dims=1)  # from where a token is predicted to where it stands


def renormalise(
    net: Network,
    text: Text,
    vocab: Vocab,
    asked: Bool[Tensor, "B T"],
    after: Callable[[Text, Int[Tensor, " B"]], View],
) -> Float[Tensor, "B T"]:
    """One token of each row given both sides, from a model that reads from left to right.

    p(token | both sides) is the probability of the row over that of all rows that differ from it
    in this token alone: one forward pass for each token of the vocabulary.

    Args:
        net: the model.
        text: rows to score.
        vocab: its text tokens are the candidates.
        asked: which tokens.
        after: the view of a text in which what stands from a place of each row on is predicted.

    Raises:
        Unsupported: more than one token of a row is asked.
    """
    if (asked.sum(1) > 1).any():
        raise Unsupported("one token of a text at a time is renormalised over its candidates")
    scores = torch.zeros(text.tokens.shape)
    candidates = vocab.regular
    for row, place in asked.nonzero().tolist():
        length = int(text.visible[row].sum())
        weighed = torch.zeros(len(candidates), dtype=torch.float64)
        for part in _parts(len(candidates), length):
            tokens = text.tokens[row : row + 1, :length].repeat(len(candidates[part]), 1)
            tokens[:, place] = candidates[part]
            document = None if text.document is None else text.document[row : row + 1, :length]
            changed = Text(
                tokens=tokens,
                visible=torch.ones_like(tokens, dtype=torch.bool),
                word=text.word[row : row + 1, :length].expand_as(tokens),
                document=None if document is None else document.expand_as(tokens),
            )
            rest = ~vocab.is_special(tokens)
            rest[:, :place] = False
            view = after(changed, torch.full((len(tokens),), place))
            weighed[part] = predict_next(net, view, changed, rest).double().sum(1)
        truth = (candidates == text.tokens[row, place]).nonzero().squeeze()
        scores[row, place] = weighed.log_softmax(0)[truth]
    return scores


def hide_together(
    net: Network, text: Text, vocab: Vocab, asked: Bool[Tensor, "B T"], *, shift: int = 0
) -> Float[Tensor, "B T"]:
    """All asked tokens hidden at once, and each predicted by itself: a product of marginals."""
    tokens = text.tokens.masked_fill(asked, vocab.mask)
    target = text.tokens.masked_fill(~asked, IGNORE).roll(-shift, dims=1)
    view = View.bidirectional(tokens, visible=text.visible, document=text.document)
    return net.log_prob(view.predicting(target, (target != IGNORE).float())).roll(shift, dims=1)


def hide_one_by_one(
    net: Network,
    text: Text,
    vocab: Vocab,
    asked: Bool[Tensor, "B T"],
    *,
    rest_of_word: bool,
    shift: int = 0,
) -> Float[Tensor, "B T"]:
    """Pseudo-log-likelihood: each asked token's log-probability given all other tokens of its row.

    Salazar et al. 2020, Masked Language Model Scoring. With `rest_of_word`, the later pieces of the
    same word are hidden too, so that a rare word of many pieces does not give itself away (Kauf &
    Ivanova 2023, A Better Way to Do Masked Language Model Scoring; their "within-word l2r").
    A token is predicted `shift` places before its own.
    """
    places = torch.arange(text.tokens.shape[1])

    def hidden(row: Int[Tensor, " N"], place: Int[Tensor, " N"]) -> Bool[Tensor, "N T"]:
        here = places == place[:, None]
        if not rest_of_word:
            return here
        same_word = text.word[row] == text.word[row, place][:, None]
        return here | (same_word & text.visible[row] & (places > place[:, None]))

    return one_by_one(net, text, vocab, asked, hidden, shift=shift)


def one_by_one(
    net: Network,
    text: Text,
    vocab: Vocab,
    asked: Bool[Tensor, "B T"],
    hidden: Callable[[Int[Tensor, " N"], Int[Tensor, " N"]], Bool[Tensor, "N T"]],
    *,
    shift: int = 0,
) -> Float[Tensor, "B T"]:
    """Each asked token in a pass of its own, under the mask together with what `hidden` says.

    Args:
        net: a model that reads both sides.
        text: rows to score.
        vocab: which id is the mask.
        asked: which tokens.
        hidden: of tokens, by row and place, all that is hidden when they are asked.
        shift: a token is predicted so many places before its own.
    """
    scores = torch.zeros(text.tokens.shape)
    all_row, all_place = asked.nonzero(as_tuple=True)
    for part in _parts(len(all_row), text.tokens.shape[1]):
        row, place = all_row[part], all_place[part]
        tokens = text.tokens[row]
        target = torch.full_like(tokens, IGNORE)
        each = torch.arange(len(row))
        target[each, place - shift] = tokens[each, place]
        document = None if text.document is None else text.document[row]
        view = View.bidirectional(
            tokens.masked_fill(hidden(row, place), vocab.mask),
            visible=text.visible[row],
            document=document,
        ).predicting(target, (target != IGNORE).float())
        scores[row, place] = net.log_prob(view)[each, place - shift]
    return scores


def _parts(count: int, length: int) -> Iterator[slice]:
    """Slices of `count` rows of `length` tokens that fit into one forward pass."""
    step = max(1, TOKENS_AT_ONCE // length)
    return (slice(start, start + step) for start in range(0, count, step))
