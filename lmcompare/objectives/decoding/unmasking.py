"""Writing by a model that sees both sides: holes are masks, which are filled in some order.

Such a model predicts every mask by itself. The ways to write differ in which predictions they keep,
and in what they do over. What a masked model was trained on is a share of masks in a text; only
masked diffusion was trained on texts of nothing else.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lmcompare.objectives.corruption.noise import NO_INDEX, first_by
from lmcompare.objectives.decoding.fill_request import DecodingMethod, FillRequest, FillResult
from lmcompare.objectives.decoding.masked_draft import MaskedDraft, MaskGuess
from lmcompare.objectives.decoding.sampler import CHOSEN, DRAWN, NO_TOKEN
from lmcompare.objectives.network import Network, Writer
from lmcompare.objectives.scoring.masked import hide_one_by_one
from lmcompare.objectives.scoring_types import Query
from lmcompare.view import Text, View
from lmcompare.vocab import Vocab

ROUNDS = 10  # of mask-predict (Ghazvininejad et al. 2019, table 1), and of the chains
THRESHOLD = 0.9
ENTROPY = 0.1  # nats


@torch.no_grad()
def unmask(
    net: Writer,
    request: FillRequest,
    vocab: Vocab,
    *,
    write: Callable[[MaskedDraft], None],
    read: Callable[[Text, Vocab], View],
    shift: int,
) -> FillResult:
    """Write what stands in the holes of a text.

    Args:
        net: a model that reads both sides.
        request: the text, and how to fill its holes.
        vocab: which id is the mask.
        write: fills them, in some order.
        read: what the model sees of a text.
        shift: a token is predicted so many positions before its own.
    """
    holes = request.holes
    tokens = request.text.tokens.masked_fill(holes, vocab.mask)
    draft = MaskedDraft(
        net=net, request=request, vocab=vocab, read=read, shift=shift, tokens=tokens
    )
    write(draft)
    return FillResult(
        token=draft.tokens.where(holes, NO_TOKEN),
        index=torch.arange(holes.shape[1]).where(holes, NO_INDEX),
        holes=holes,
    )


# Of the holes that are still masked, B T, those to be filled now, given a guess of each.
_Choose = Callable[[Bool[Tensor, "B T"], MaskGuess], Bool[Tensor, "B T"]]
# Before any of some holes, B T, is filled: in which order they are, each row in as many passes as
# the last argument says, by default one token in each.
_Order = Callable[[MaskedDraft, Bool[Tensor, "B T"], Int[Tensor, " B"] | None], _Choose]


def unmasking(
    read: Callable[[Text, Vocab], View], *, shift: int = 0
) -> Mapping[str, DecodingMethod]:
    """Return the decoding methods of a model that sees both sides.

    Args:
        read: what it sees of a text; position i is token i.
        shift: a token is predicted so many positions before its own.
    """

    def method(
        write: Callable[[MaskedDraft], None], settings: frozenset[str], *, in_order: bool = False
    ) -> DecodingMethod:
        fill = partial(unmask, write=write, read=read, shift=shift)
        return DecodingMethod("any", fill, settings, in_order=in_order)

    def once(by: _Order, *settings: str, in_order: bool = False) -> DecodingMethod:
        return method(partial(_fill_once, by=by), CHOSEN | {*settings}, in_order=in_order)

    return {
        # the surest at first, all again but for them, and so on (Ghazvininejad et al. 2019)
        "mask-predict": method(_mask_predict, CHOSEN | {"steps"}),
        # a number in a pass (LLaDA, Nie et al. 2025); all that are sure enough (Wu et al. 2025);
        # as many as are unsure by so much together (Ben-Hamu et al. 2025)
        "surest-first": once(_surest_first, "steps", "block"),
        "threshold": once(_sure_enough, "threshold", "block"),
        "entropy": once(_sure_together, "entropy", "block"),
        # masked diffusion backwards in time (Sahoo et al. 2024); without a number of steps one
        # token a pass, which is the same in continuous time (Zheng et al. 2024)
        "ancestral": once(_at_drawn_times, "steps", "block"),
        "left-to-right": once(_left_to_right, in_order=True),
        # chains over whole texts (Wang & Cho 2019; Goyal et al. 2022)
        "gibbs": method(_gibbs, DRAWN | {"steps"}),
        "metropolis": method(_metropolis, frozenset({"temperature", "steps"})),
    }


def _fill_once(draft: MaskedDraft, *, by: _Order) -> None:
    """Fill each hole once, block by block."""
    holes, sampler = draft.request.holes, draft.request.sampler
    steps = None
    if sampler.steps is not None:  # a row's passes over each of its blocks
        count = holes.sum(1)
        num_blocks = 1 if sampler.block is None else _num_parts(count, sampler.block).clamp(min=1)
        steps = _num_parts(torch.full_like(count, sampler.steps), num_blocks)
    for block in _blocks(holes, sampler.block):
        choose, masked = by(draft, block, steps), block.clone()
        while masked.any():
            guess = draft.guess(masked)
            chosen = choose(masked, guess)
            draft.put(chosen, guess)
            masked &= ~chosen


def _num_parts(count: Int[Tensor, " B"], size: int | Tensor) -> Int[Tensor, " B"]:
    """Return how many parts of a size a number has, the last one being smaller."""
    return -(-count // size)


def _blocks(holes: Bool[Tensor, "B T"], size: int | None) -> Iterator[Bool[Tensor, "B T"]]:
    """Yield the holes of each row from the left, `size` of them at a time."""
    if size is None:
        yield holes
        return
    number = (holes.cumsum(1) - 1) // size
    for block in range(int(number.max()) + 1):
        yield holes & (number == block)


def _per_pass(holes: Bool[Tensor, "B T"], steps: Int[Tensor, " B"] | None) -> Int[Tensor, " B"]:
    """Return how many holes of each row are filled in a pass."""
    count = holes.sum(1)
    return torch.ones_like(count) if steps is None else _num_parts(count, steps)


def _left_to_right(
    draft: MaskedDraft, holes: Bool[Tensor, "B T"], steps: Int[Tensor, " B"] | None
) -> _Choose:
    num = _per_pass(holes, steps)
    return lambda masked, guess: first_by(torch.zeros(masked.shape), masked, num)


def _surest_first(
    draft: MaskedDraft, holes: Bool[Tensor, "B T"], steps: Int[Tensor, " B"] | None
) -> _Choose:
    num = _per_pass(holes, steps)
    return lambda masked, guess: first_by(-guess.sure, masked, num)


def _at_drawn_times(
    draft: MaskedDraft, holes: Bool[Tensor, "B T"], steps: Int[Tensor, " B"] | None
) -> _Choose:
    """Draw the time of each token uniformly; passes in which none comes are left out."""
    time = draft.request.uniform_at(holes)
    if steps is not None:
        time = (time * steps[:, None]).floor()
    return lambda masked, guess: (
        masked & (time == time.masked_fill(~masked, torch.inf).amin(1, keepdim=True))
    )


def _sure_enough(
    draft: MaskedDraft, holes: Bool[Tensor, "B T"], steps: Int[Tensor, " B"] | None
) -> _Choose:
    num, threshold = _per_pass(holes, steps), draft.request.sampler.threshold
    least = THRESHOLD if threshold is None else threshold
    return lambda masked, guess: masked & (guess.sure >= least) | first_by(-guess.sure, masked, num)


def _sure_together(
    draft: MaskedDraft, holes: Bool[Tensor, "B T"], steps: Int[Tensor, " B"] | None
) -> _Choose:
    """Take as many of the surest as have an entropy together, the least sure one not counted."""
    entropy = draft.request.sampler.entropy
    bound = ENTROPY if entropy is None else entropy

    def choose(masked: Bool[Tensor, "B T"], guess: MaskGuess) -> Bool[Tensor, "B T"]:
        order = guess.entropy.masked_fill(~masked, torch.inf).argsort(dim=1, stable=True)
        ranked = guess.entropy.gather(1, order)
        taken = ranked.cumsum(1) - ranked <= bound
        return torch.zeros_like(masked).scatter_(1, order, taken) & masked

    return choose


def _mask_predict(draft: MaskedDraft) -> None:
    """Fill all holes at once; then the least sure ones again, ever fewer of them."""
    holes, rounds = draft.request.holes, draft.request.sampler.steps or ROUNDS
    count = holes.sum(1)
    chosen, sure = holes, torch.zeros(holes.shape)
    for step in range(rounds):
        if step:
            chosen = first_by(sure, holes, count * (rounds - step) // rounds)
            if not chosen.any():
                return
            draft.take_back(chosen)
        guess = draft.guess(chosen)
        draft.put(chosen, guess)
        sure = torch.where(chosen, guess.sure, sure)


def _gibbs(draft: MaskedDraft) -> None:
    """Fill all holes at once; then one after another again, given all others.

    The order is drawn each round. The conditionals of a masked model belong to no joint
    distribution, so the chain's law is not a language model's, and depends on the order.
    """
    for chosen in _rounds(draft):
        draft.put(chosen, draft.guess(chosen))


def _metropolis(draft: MaskedDraft) -> None:
    """Do as `_gibbs`, but take a draw with the probability of Metropolis and Hastings only.

    The chain takes the exponential of the pseudo-log-likelihood as the joint distribution, and
    draws from it in the limit.
    """
    worth = None
    for chosen in _rounds(draft):
        if worth is None:
            worth = _worth(draft, draft.tokens)
        guess = draft.guess(chosen)
        after = _worth(draft, torch.where(chosen, guess.token, draft.tokens))
        gain = after - worth + (guess.before - guess.drawn).double().sum(1)
        draw = draft.request.uniform_at(chosen).sum(1)
        taken = draw.log() < gain
        worth = torch.where(taken, after, worth)
        draft.put(chosen & taken[:, None], guess)


def _rounds(draft: MaskedDraft) -> Iterator[Bool[Tensor, "B T"]]:
    """Fill all holes at once; then yield one hole of each row after another, round by round."""
    holes = draft.request.holes
    draft.put(holes, draft.guess(holes))
    for _ in range(draft.request.sampler.steps or ROUNDS):
        keys = draft.request.uniform_at(holes)
        rank = keys.masked_fill(~holes, torch.inf).argsort(dim=1, stable=True).argsort(dim=1)
        for number in range(int(holes.sum(1).max())):
            yield holes & (rank == number)


def _worth(draft: MaskedDraft, tokens: Int[Tensor, "B T"]) -> Float[Tensor, " B"]:
    """Return the pseudo-log-likelihood of each row."""
    net: Network = draft.net
    text = replace(draft.request.text, tokens=tokens)
    query = Query(text=text, score_mask=text.visible & ~draft.vocab.is_special(tokens))
    scores = hide_one_by_one(net, query, draft.vocab, rest_of_word=False, shift=draft.shift)
    return scores.double().sum(1)
