"""The scores that several objectives share: pure functions of a network and a text."""

from collections.abc import Callable, Iterator, Mapping

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lmcompare.errors import Unsupported
from lmcompare.objectives.base import EVERY, Query, Question, Scoring
from lmcompare.objectives.corruption.noise import NOWHERE, next_token
from lmcompare.objectives.corruption.packing import at_places
from lmcompare.objectives.network import Network
from lmcompare.view import IGNORE, Text, View
from lmcompare.vocab import Candidates, Vocab

TOKENS_AT_ONCE = 16_384  # of one forward pass; bounds memory, changes no result
LOGITS_AT_ONCE = 2**25  # the same, where the whole vocabulary is looked at

HOLES: tuple[Question, ...] = ("holes", "continuation")
LEFT_TO_RIGHT: Mapping[str, Scoring] = {
    "causal": Scoring("exact", given="left", answers=EVERY),
    "renormalised": Scoring("exact", given="both", answers=("holes",), weighs_all=True),
}


def chains(hides: float, *, answers: tuple[Question, ...] = HOLES) -> Mapping[str, Scoring]:
    """Ways to ask for masked tokens: each is a distribution over all that may stand there.

    Args:
        hides: the greatest share of a text that training hid at once.
        answers: what is asked along the order of the text; the others are for holes.
    """
    return {
        "left-to-right": Scoring("exact", given="both", answers=answers, hides=hides),
        "joint": Scoring("exact", given="both", answers=HOLES, protocol="at-once", hides=hides),
        "surest-first": Scoring(
            "exact", given="both", answers=HOLES, protocol="surest-first", hides=hides
        ),
    }


def masked(hides: float) -> Mapping[str, Scoring]:
    """The scores of a masked model, which hid such a share of a text at most."""
    return {
        "pll": Scoring("pseudo", given="both", answers=("text",)),
        "pll-word": Scoring("pseudo", given="both", answers=("text",)),
        **chains(hides),
    }


def spans(hides: float, *, told: tuple[Question, ...] = EVERY) -> Mapping[str, Scoring]:
    """The scores of what writes spans and says where each ends.

    Args:
        hides: the greatest share of a text that training took out at once.
        told: what is asked where the lengths are given.
    """
    return {
        "given-length": Scoring("exact", given="both", answers=told, hides=hides),
        "with-ends": Scoring("exact", given="both", answers=HOLES, form="untold", hides=hides),
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


def score_spans(
    net: Network,
    view: View,
    place: Int[Tensor, "B N"],
    text: Text,
    vocab: Vocab,
    *,
    ends: tuple[int, ...] = (),
) -> Float[Tensor, "B T"]:
    """What is written of the text, a choice among words, or among words and ends.

    Args:
        net: the model.
        view: in which spans are written, in the order of the text.
        place: the token of the text that each position predicts.
        text: the text.
        vocab: which ids are words.
        ends: ids that end a span. Those of `view` that follow a token of the text are then counted,
            with that token; without any, how long a span is, is given.
    """
    if ends:
        is_end = torch.isin(view.target, torch.tensor(ends))
        place = place.where(~is_end, place.cummax(1).values)
    target = view.target.where(place != NOWHERE, IGNORE)
    log_prob = net.log_prob(
        view.predicting(target, view.weight), among=Candidates(vocab.regular, ends)
    )
    return at_places(log_prob, place, text.tokens.shape[1])


def hide_left_to_right(
    net: Network, text: Text, vocab: Vocab, asked: Bool[Tensor, "B T"], *, shift: int = 0
) -> Float[Tensor, "B T"]:
    """Each asked token given the rest of the text and the asked ones before it.

    A fixed order of unmasking makes a product of conditionals a distribution (DUEL).
    """
    places = torch.arange(text.tokens.shape[1])
    return one_by_one(
        net,
        text,
        vocab,
        asked,
        lambda row, place: asked[row] & (places >= place[:, None]),
        shift=shift,
    )


def hide_but_the_surest(
    net: Network, text: Text, vocab: Vocab, asked: Bool[Tensor, "B T"], *, shift: int = 0
) -> Float[Tensor, "B T"]:
    """One after another, the next one being that whose likeliest word is the most probable.

    The order follows from what is shown already and so is no part of the answer: the product of the
    conditionals is a distribution, as along any such order (DUEL).
    """
    scores = torch.zeros(text.tokens.shape)
    each = int(asked.sum(1).max()) or 1
    for start in range(0, len(asked), size := max(1, LOGITS_AT_ONCE // each // vocab.size)):
        rows = torch.arange(start, min(start + size, len(asked)))
        some, left = text.rows(rows), asked[rows]
        while left.any():
            going = left.any(1).nonzero()[:, 0]
            hidden, here = left[going], some.rows(going)
            view = View.bidirectional(
                here.tokens.masked_fill(hidden, vocab.mask),
                visible=here.visible,
                document=here.document,
            )
            log_prob = net.logits(view, hidden.roll(-shift, dims=1)).cpu().float().log_softmax(1)
            row, place = hidden.nonzero(as_tuple=True)
            sure = torch.full(hidden.shape, -torch.inf)
            sure[row, place] = log_prob[:, vocab.regular].amax(1)
            found = torch.zeros(hidden.shape)
            found[row, place] = log_prob.gather(1, here.tokens[row, place, None])[:, 0]
            chosen = sure.argmax(1)
            taken = torch.arange(len(going))
            scores[rows[going], chosen] = found[taken, chosen]
            left[going, chosen] = False
    return scores


def answer_masked(
    net: Network, query: Query, vocab: Vocab, *, shift: int = 0
) -> Float[Tensor, "B T"]:
    """The scores of `masked`; a token is predicted `shift` places before its own."""
    text, asked = query.text, query.asked
    if query.scoring == "left-to-right":
        return hide_left_to_right(net, text, vocab, asked, shift=shift)
    if query.scoring == "joint":
        return hide_together(net, text, vocab, asked, shift=shift)
    if query.scoring == "surest-first":
        return hide_but_the_surest(net, text, vocab, asked, shift=shift)
    rest_of_word = query.scoring == "pll-word"
    return hide_one_by_one(net, text, vocab, asked, rest_of_word=rest_of_word, shift=shift)


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
