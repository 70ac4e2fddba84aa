"""Scores of a model that writes what is missing of a text, and says where each hole ends."""

from collections.abc import Mapping

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lmcompare.objectives.corruption.noise import NO_INDEX
from lmcompare.objectives.corruption.packing import scores_at
from lmcompare.objectives.network import Network
from lmcompare.objectives.scoring_types import EVERY, HOLES, Question, ScoreFunction, Scoring
from lmcompare.view import IGNORE, Text, View
from lmcompare.vocab import Candidates, Vocab


def spans(
    hides: float,
    *,
    given_length: ScoreFunction,
    with_ends: ScoreFunction,
    told: tuple[Question, ...] = EVERY,
) -> Mapping[str, Scoring]:
    """Return the scorings of a model that writes spans and says where each ends.

    Args:
        hides: the greatest share of a text that training took out at once.
        given_length: scores spans of a length that is told.
        with_ends: scores spans with their ends.
        told: what is asked where the lengths are told.
    """
    return {
        "given-length": Scoring("exact", given_length, given="both", answers=told, hides=hides),
        "with-ends": Scoring(
            "exact", with_ends, given="both", answers=HOLES, form="untold", hides=hides
        ),
    }


def score_spans(
    net: Network,
    view: View,
    index: Int[Tensor, "B N"],
    text: Text,
    vocab: Vocab,
    *,
    ends: tuple[int, ...] = (),
) -> Float[Tensor, "B T"]:
    """Score what is written of a text: a choice among words, or among words and ends.

    Args:
        net: the model.
        view: in which spans are written, in the order of the text.
        index: of each position, the index in the text of the token that it predicts, or NO_INDEX.
        text: the text.
        vocab: which ids are words.
        ends: ids that end a span. Those of `view` that follow a token of the text are then counted,
            with that token; without any, the length of each span is given.
    """
    if ends:
        is_end = torch.isin(view.target, torch.tensor(ends))
        index = index.where(~is_end, index.cummax(1).values)
    target = view.target.where(index != NO_INDEX, IGNORE)
    log_prob = net.log_prob(
        view.predicting(target, view.weight), among=Candidates(vocab.regular, ends)
    )
    return scores_at(index, log_prob, text.tokens.shape[1])
