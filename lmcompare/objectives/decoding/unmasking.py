"""Writing by a model that sees both sides: holes are masks, which are filled in some order.

Such a model predicts every mask by itself. The ways to write differ in which predictions they keep,
and in what they do over. What a masked model was trained on is a share of masks in a text; only
masked diffusion was trained on texts of nothing else.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lmcompare.objectives.corruption.noise import first_by
from lmcompare.objectives.decoding.fill_request import (
    DecodeStep,
    DecodingMethod,
    FillRequest,
    FillResult,
)
from lmcompare.objectives.decoding.sampler import CHOSEN, DRAWN, NOTHING
from lmcompare.objectives.network import Network, Writer
from lmcompare.objectives.scoring import hide_one_by_one
from lmcompare.view import View
from lmcompare.vocab import Vocab

ROUNDS = 10  # of mask-predict (Ghazvininejad et al. 2019, table 1), and of the chains
THRESHOLD = 0.9
ENTROPY = 0.1  # nats

UNMASKING: Mapping[str, DecodingMethod] = {
    # the surest at first, all again but for them, and so on (Ghazvininejad et al. 2019)
    "mask-predict": DecodingMethod("any", CHOSEN | {"steps"}),
    # so many in a pass (LLaDA, Nie et al. 2025); all that are sure enough (Wu et al. 2025);
    # as many as are unsure by so much together (Ben-Hamu et al. 2025)
    "surest-first": DecodingMethod("any", CHOSEN | {"steps", "block"}),
    "threshold": DecodingMethod("any", CHOSEN | {"threshold", "block"}),
    "entropy": DecodingMethod("any", CHOSEN | {"entropy", "block"}),
    # masked diffusion backwards in time (Sahoo et al. 2024); without a number of steps one token a
    # pass, which is the same in continuous time (Zheng et al. 2024)
    "ancestral": DecodingMethod("any", CHOSEN | {"steps", "block"}),
    "left-to-right": DecodingMethod("any", CHOSEN),
    # chains over whole texts (Wang & Cho 2019; Goyal et al. 2022)
    "gibbs": DecodingMethod("any", DRAWN | {"steps"}),
    "metropolis": DecodingMethod("any", frozenset({"temperature", "steps"})),
}


@dataclass(kw_only=True)
class _Guess:
    """What a model predicts at some places of a text; 0 elsewhere."""

    token: Int[Tensor, "B T"]
    sure: Float[Tensor, "B T"]  # probability of that token
    entropy: Float[Tensor, "B T"]  # nats
    drawn: Float[Tensor, "B T"]  # log-probability with which that token was drawn
    before: Float[Tensor, "B T"]  # the same of the token that stood there


@dataclass(kw_only=True)
class _Page:
    """A text that is being written, and who writes it."""

    net: Writer
    blanks: FillRequest
    vocab: Vocab
    see: Callable[[Int[Tensor, "B T"]], View]  # what the model sees of tokens
    shift: int  # a token is predicted so many places before its own
    tokens: Int[Tensor, "B T"]

    def guess(self, where: Bool[Tensor, "B T"]) -> _Guess:
        """A token for each of these places, all of which the model sees masked."""
        view = self.see(self.tokens.masked_fill(where, self.vocab.mask))
        logits = self.net.logits(view, where.roll(-self.shift, dims=1))
        special = self.vocab.is_special(torch.arange(self.vocab.size))
        banned = special.nonzero()[:, 0].to(logits.device)
        shaped = self.blanks.sampler.shape(logits, banned=banned)
        chosen = self.blanks.sampler.choose(shaped, self.blanks.uniform_at(where)[where])
        log_prob, law = logits.float().log_softmax(1), shaped.log_softmax(1)
        here = self.tokens[where].to(logits.device)

        def back(found: Tensor) -> Tensor:
            blank = torch.zeros(where.shape, dtype=found.dtype)
            return blank.masked_scatter_(where, found.cpu())

        return _Guess(
            token=back(chosen),
            sure=back(log_prob.gather(1, chosen[:, None])[:, 0].exp()),
            entropy=back(-(log_prob.exp() * log_prob).sum(1)),
            drawn=back(law.gather(1, chosen[:, None])[:, 0]),
            before=back(law.gather(1, here[:, None])[:, 0]),
        )

    def put(self, chosen: Bool[Tensor, "B T"], guess: _Guess) -> None:
        """Write these tokens."""
        self.tokens = torch.where(chosen, guess.token, self.tokens)
        self._tell(chosen, guess.sure)

    def take_back(self, chosen: Bool[Tensor, "B T"]) -> None:
        """Mask these tokens."""
        self.tokens = self.tokens.masked_fill(chosen, self.vocab.mask)
        self._tell(chosen, torch.zeros(chosen.shape))

    def _tell(self, chosen: Bool[Tensor, "B T"], sure: Float[Tensor, "B T"]) -> None:
        if self.blanks.on_step is not None and chosen.any():
            row, place = chosen.nonzero(as_tuple=True)
            token = self.tokens[row, place]
            self.blanks.on_step(
                DecodeStep(row=row, place=place, token=token, probability=sure[row, place])
            )


@torch.no_grad()
def unmask(
    net: Writer,
    blanks: FillRequest,
    vocab: Vocab,
    see: Callable[[Int[Tensor, "B T"]], View],
    *,
    shift: int = 0,
) -> FillResult:
    """Write what stands in the holes of a text, by one of `UNMASKING`.

    Args:
        net: a model that reads both sides.
        blanks: the text, and how to fill its holes.
        vocab: which id is the mask.
        see: what the model sees of tokens.
        shift: a token is predicted so many places before its own.
    """
    holes = blanks.holes
    tokens = blanks.text.tokens.masked_fill(holes, vocab.mask)
    page = _Page(net=net, blanks=blanks, vocab=vocab, see=see, shift=shift, tokens=tokens)
    if blanks.method == "mask-predict":
        _mask_predict(page)
    elif blanks.method in ("gibbs", "metropolis"):
        _chain(page, choosy=blanks.method == "metropolis")
    else:
        size, steps = blanks.sampler.block, blanks.sampler.steps
        each = None
        if steps is not None:  # a row's passes over each of its blocks
            count = holes.sum(1)
            num_blocks = 1 if size is None else _parts(count, size).clamp(min=1)
            each = _parts(torch.full_like(count, steps), num_blocks)
        for part in _blocks(holes, size):
            _once(page, part, steps=each)
    places = torch.arange(holes.shape[1]).where(holes, NOTHING)
    return FillResult(token=page.tokens.where(holes, NOTHING), place=places, holes=holes)


def _parts(count: Int[Tensor, " B"], size: int | Tensor) -> Int[Tensor, " B"]:
    """How many parts of a size a number has, the last one being smaller."""
    return -(-count // size)


def _blocks(holes: Bool[Tensor, "B T"], size: int | None) -> Iterator[Bool[Tensor, "B T"]]:
    """The holes of each row, so many at a time from the left."""
    if size is None:
        yield holes
        return
    number = (holes.cumsum(1) - 1) // size
    for block in range(int(number.max()) + 1):
        yield holes & (number == block)


def _once(page: _Page, holes: Bool[Tensor, "B T"], *, steps: Int[Tensor, " B"] | None) -> None:
    """Fill each hole once, each row in so many passes; by default one token in each."""
    method, sampler = page.blanks.method, page.blanks.sampler
    masked = holes.clone()
    each = torch.ones_like(holes.sum(1))  # tokens of a row in a pass
    if steps is not None:
        each = _parts(holes.sum(1), steps)
    turn = torch.zeros(holes.shape)
    if (
        method == "ancestral"
    ):  # each token's time is uniform; passes in which none comes are left out
        draw = page.blanks.uniform_at(holes)
        turn = draw if steps is None else (draw * steps[:, None]).floor()
    while masked.any():
        guess = page.guess(masked)
        if method == "left-to-right":
            chosen = first_by(torch.zeros(masked.shape), masked, each)
        elif method == "surest-first":
            chosen = first_by(-guess.sure, masked, each)
        elif method == "ancestral":
            chosen = masked & (turn == turn.masked_fill(~masked, torch.inf).amin(1, keepdim=True))
        elif method == "threshold":
            least = THRESHOLD if sampler.threshold is None else sampler.threshold
            chosen = masked & (guess.sure >= least) | first_by(-guess.sure, masked, each)
        else:
            bound = ENTROPY if sampler.entropy is None else sampler.entropy
            chosen = _sure_together(guess.entropy, masked, bound)
        page.put(chosen, guess)
        masked &= ~chosen


def _sure_together(
    entropy: Float[Tensor, "B T"], masked: Bool[Tensor, "B T"], bound: float
) -> Bool[Tensor, "B T"]:
    """As many of the surest as have this entropy together, the least sure one not counted."""
    order = entropy.masked_fill(~masked, torch.inf).argsort(dim=1, stable=True)
    ranked = entropy.gather(1, order)
    taken = ranked.cumsum(1) - ranked <= bound
    return torch.zeros_like(masked).scatter_(1, order, taken) & masked


def _mask_predict(page: _Page) -> None:
    """All at once; then the least sure ones again, ever fewer of them."""
    holes, rounds = page.blanks.holes, page.blanks.sampler.steps or ROUNDS
    count = holes.sum(1)
    chosen, sure = holes, torch.zeros(holes.shape)
    for step in range(rounds):
        if step:
            chosen = first_by(sure, holes, count * (rounds - step) // rounds)
            if not chosen.any():
                return
            page.take_back(chosen)
        guess = page.guess(chosen)
        page.put(chosen, guess)
        sure = torch.where(chosen, guess.sure, sure)


def _chain(page: _Page, *, choosy: bool) -> None:
    """All at once; then one after another again, given all others, in an order drawn each round.

    The conditionals of a masked model belong to no joint distribution, so the chain's law is not a
    language model's, and depends on the order. A choosy chain (Metropolis and Hastings) takes the
    exponential of the pseudo-log-likelihood as that distribution, and draws from it in the limit.
    """
    holes = page.blanks.holes
    page.put(holes, page.guess(holes))
    worth = _worth(page, page.tokens) if choosy else None
    for _ in range(page.blanks.sampler.steps or ROUNDS):
        keys = page.blanks.uniform_at(holes)
        turn = keys.masked_fill(~holes, torch.inf).argsort(dim=1, stable=True).argsort(dim=1)
        for number in range(int(holes.sum(1).max())):
            chosen = holes & (turn == number)
            guess = page.guess(chosen)
            if worth is not None:
                after = _worth(page, torch.where(chosen, guess.token, page.tokens))
                gain = after - worth + (guess.before - guess.drawn).double().sum(1)
                draw = page.blanks.uniform_at(chosen).sum(1)
                taken = draw.log() < gain
                chosen = chosen & taken[:, None]
                worth = torch.where(taken, after, worth)
            page.put(chosen, guess)


def _worth(page: _Page, tokens: Int[Tensor, "B T"]) -> Float[Tensor, " B"]:
    """The pseudo-log-likelihood of each row."""
    net: Network = page.net
    text = replace(page.blanks.text, tokens=tokens)
    asked = text.visible & ~page.vocab.is_special(tokens)
    scores = hide_one_by_one(net, text, page.vocab, asked, rest_of_word=False, shift=page.shift)
    return scores.double().sum(1)
