"""Which tokens a corruption touches, and what it puts there: pure functions of a generator."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lmcompare.view import IGNORE
from lmcompare.vocab import Vocab

NO_INDEX = -1  # of a token that does not stand in the text


def mean_over(target: Int[Tensor, "B T"]) -> Float[Tensor, "B T"]:
    """Return the weights that make the loss a plain mean over all targets of a batch, or zeros."""
    chosen = target != IGNORE
    return chosen.float() / chosen.sum().clamp(min=1)


def next_token(tokens: Int[Tensor, "B T"], predicted: Bool[Tensor, "B T"]) -> Int[Tensor, "B T"]:
    """Return the target of each position: the token after it where that is predicted, or IGNORE."""
    return tokens.masked_fill(~predicted, IGNORE).roll(-1, dims=1)


def next_index(tokens: Int[Tensor, "B T"]) -> Int[Tensor, "B T"]:
    """Return the index of the token after each position; NO_INDEX at the end of a row."""
    index = torch.arange(1, tokens.shape[1] + 1).expand_as(tokens).clone()
    index[:, -1] = NO_INDEX
    return index


def first_by(
    keys: Float[Tensor, "B T"], candidates: Bool[Tensor, "B T"], num: Int[Tensor, " B"]
) -> Bool[Tensor, "B T"]:
    """Choose `num` candidates of each row, those with the least keys; of equal ones the first."""
    ranked = keys.masked_fill(~candidates, torch.inf).argsort(dim=1, stable=True)
    taken = torch.arange(keys.shape[1]) < num[:, None]
    return torch.zeros_like(candidates).scatter_(1, ranked, taken) & candidates


def shares_of_rows(
    weights: Sequence[float], num_rows: int, rng: torch.Generator
) -> Int[Tensor, " {num_rows}"]:
    """Share rows out among parts, in ascending order: as many rows to each as its weight says.

    What is not a whole number of rows is rounded at random, so that shares come out in the mean.
    """
    ends = torch.tensor(weights, dtype=torch.float64).cumsum(0)
    ends = (ends / ends[-1] * num_rows + torch.rand((), generator=rng)).floor()
    part = torch.searchsorted(ends, torch.arange(num_rows, dtype=torch.float64), right=True)
    return part.clamp(max=len(weights) - 1)


def tokens_at_rate(
    candidates: Bool[Tensor, "B T"], rate: float, rng: torch.Generator
) -> Bool[Tensor, "B T"]:
    """Choose each candidate by itself with probability `rate`."""
    return candidates & (torch.rand(candidates.shape, generator=rng) < rate)


def words_at_rate(
    candidates: Bool[Tensor, "B T"], word: Int[Tensor, "B T"], rate: float, rng: torch.Generator
) -> Bool[Tensor, "B T"]:
    """Choose each word with probability `rate`, with all of its pieces that are candidates."""
    draws = torch.rand(word.shape, generator=rng)  # at most as many words as tokens in a row
    return candidates & (draws.gather(1, word) < rate)


def spans_at_rate(
    candidates: Bool[Tensor, "B T"],
    word: Int[Tensor, "B T"],
    rate: float,
    rng: torch.Generator,
    *,
    stop: float = 0.2,
    longest: int = 10,
) -> Bool[Tensor, "B T"]:
    """Choose runs of whole words, each word being covered with probability `rate`.

    A span's length in words is geometric with probability `stop` of ending after each, at most
    `longest`: the law of SpanBERT (Joshi et al. 2020, section 3.1), whose mean is 3.8. SpanBERT
    draws spans until a budget of tokens is full; here each word begins one independently, with that
    probability under which the rate comes out, so that all words are alike and the draw needs no
    loop. Spans may overlap.
    """
    num_rows, num_words = word.shape
    lengths = torch.arange(1, longest + 1)
    at_least = (1 - stop) ** (lengths - 1.0)  # probability that a span has at least this length
    begins = torch.rand(num_rows, num_words + longest - 1, generator=rng) < _start_rate(
        rate, at_least
    )
    uniform = torch.rand(begins.shape, generator=rng)
    length = (uniform[..., None] < at_least).sum(-1)
    # Words in front of the row may begin spans too, so that the first word is covered as often as
    # others.
    index = torch.arange(begins.shape[1])
    reach = torch.where(begins, index + length, 0).cummax(dim=1).values
    covered = (reach > index)[:, longest - 1 :]
    return candidates & covered.gather(1, word)


def _start_rate(rate: float, at_least: Float[Tensor, " L"]) -> float:
    """Return the probability of a span's beginning at a word under which `rate` are covered."""
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        covered = 1 - float((1 - middle * at_least.double()).prod())
        low, high = (middle, high) if covered < rate else (low, middle)
    return high


def replace_tokens(
    tokens: Int[Tensor, "B T"],
    chosen: Bool[Tensor, "B T"],
    vocab: Vocab,
    rng: torch.Generator,
    *,
    masked: float,
    random: float,
) -> Int[Tensor, "B T"]:
    """Turn some chosen tokens into the mask, and some into other tokens that are text.

    The shares are `masked` and `random`; the rest stays. BERT's are 0.8 and 0.1 (Devlin et al.
    2019, section 3.1). One draw decides among the three, so no share is a share of what another
    left over. Unchosen tokens are never touched.
    """
    draw = torch.rand(tokens.shape, generator=rng)
    index = torch.randint(len(vocab.regular), tokens.shape, generator=rng)
    to_mask = chosen & (draw < masked)
    to_random = chosen & (draw >= masked) & (draw < masked + random)
    return tokens.masked_fill(to_mask, vocab.mask).where(~to_random, vocab.regular[index])
