"""Writing from left to right with a cache of what was read.

Where an objective predicts each token of a text it says for its scores. Writing goes through the
same view, column by column: what a column predicts stands in the next one.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lmcompare.objectives.corruption.noise import NO_INDEX, next_index
from lmcompare.objectives.decoding.contrastive_search import Contrast
from lmcompare.objectives.decoding.fill_request import (
    DecodeStep,
    DecodingMethod,
    FillFunction,
    FillRequest,
    FillResult,
    Holes,
)
from lmcompare.objectives.decoding.sampler import CHOSEN, NO_TOKEN, Sampler
from lmcompare.objectives.decoding.template import DecodeState, DecodeTemplate, NextToken
from lmcompare.objectives.network import Cache, Writer
from lmcompare.view import IGNORE, View
from lmcompare.vocab import Vocab

# a model does not read the end of a hole as a token, so there is nothing to contrast it by
_CONTRAST = frozenset({"degeneration_penalty", "candidates"})
_BEAMS = {"beams", "length_penalty"}
_WRITTEN = CHOSEN | {"repetition_penalty", "no_repeat_ngram"} | _BEAMS | _CONTRAST


def at_the_end(view_of: Callable[[FillRequest, Vocab], View]) -> DecodingMethod:
    """Return the method to write the end of a text by a model that predicts the next token.

    Args:
        view_of: what the model sees of a request's text; position i is token i.
    """

    def fill(net: Writer, request: FillRequest, vocab: Vocab) -> FillResult:
        view = view_of(request, vocab)
        template = DecodeTemplate.of(view, next_index(view.tokens), request)
        return decode(net, template, request, vocab)

    return DecodingMethod("end", fill, _WRITTEN, in_order=True)


def anywhere(fill: FillFunction, *, holes: Holes = "any") -> DecodingMethod:
    """Return the method to write holes of any length one after another.

    Args:
        fill: writes them.
        holes: which ones it can write.
    """
    return DecodingMethod(
        holes, fill, _WRITTEN, in_order=True, any_length=True, want_length=_CONTRAST
    )


@dataclass(kw_only=True)
class _Lines:
    """What was read and written of each row."""

    last: View  # of the one column that was read last
    index: Int[Tensor, "B N"]  # of what was written, or NO_INDEX, step by step
    history: Int[Tensor, "B L"]  # all that was read, so that all rows end in one column
    score: Float[Tensor, " B"]  # log-probability of what was written, of beams

    @staticmethod
    def of(start: View, last: Int[Tensor, " B"], *, num_steps: int, num_lines: int) -> "_Lines":
        """Return the lines before the first step."""

        def at_last(column: Tensor) -> Tensor:
            return column.gather(1, last[:, None])

        token = at_last(start.tokens)
        num_rows = len(start.tokens)
        packed = start.visible.long().argsort(dim=1, stable=True)  # what was read at the right
        read = start.tokens.where(start.visible, NO_TOKEN).gather(1, packed)
        empty = last.new_full((num_rows, num_steps), NO_INDEX)
        first = torch.arange(num_rows, device=last.device) % num_lines == 0
        return _Lines(
            last=View(
                tokens=token,
                position=at_last(start.position),
                order=at_last(start.order),
                visible=torch.ones_like(token, dtype=torch.bool),
                target=torch.full_like(token, IGNORE),
                weight=torch.zeros(token.shape, device=token.device),
                within=None if start.within is None else at_last(start.within),
            ),
            index=empty,
            history=torch.cat([read, torch.full_like(empty, NO_TOKEN)], dim=1),
            score=torch.zeros(num_rows, device=last.device).where(first, -torch.inf),
        )

    def read(self, next_token: NextToken) -> View:
        """Return the view of what comes next in each row."""
        last, within = self.last, self.last.within
        if within is None:
            position = last.position + 1
        else:
            position = next_token.position.unsqueeze(1)
            within = torch.where(next_token.writes.unsqueeze(1), within + 1, 1)
        self.last = View(
            tokens=next_token.token.unsqueeze(1),
            position=position,
            order=last.order + 1,
            visible=last.visible,
            target=last.target,
            weight=last.weight,
            within=within,
        )
        return self.last

    def keep_best(self, num_lines: int, length_penalty: float) -> None:
        """Keep the best of the lines of each text, one a text."""
        length = (self.index != NO_INDEX).sum(1).clamp(min=1)
        merit = (self.score / length**length_penalty).view(-1, num_lines)
        first = torch.arange(len(merit), device=self.score.device) * num_lines
        self.select(first + merit.argmax(1))

    def select(self, rows: Int[Tensor, " B"]) -> None:
        """Continue each row from what another one of its text has."""
        self.last = self.last.rows(rows)
        self.index, self.history = self.index[rows], self.history[rows]
        self.score = self.score[rows]


@torch.inference_mode()
def decode(net: Writer, template: DecodeTemplate, request: FillRequest, vocab: Vocab) -> FillResult:
    """Write what a template leaves to be written.

    Args:
        net: the model.
        template: what is read and given.
        request: how to choose, and who watches.
        vocab: which ids are text.
    """
    sampler, device = request.sampler, net.device
    num_lines = sampler.beams
    if sampler.degeneration_penalty is not None:
        num_lines = min(sampler.candidates, vocab.size)
    groups = torch.arange(len(template.last), device=device).repeat_interleave(num_lines)
    start, last = template.start.rows(groups.cpu()), template.last.to(device)[groups]
    special = vocab.is_special(torch.arange(vocab.size)).to(device)
    is_end = torch.zeros_like(special)
    is_end[list(template.ends)] = True
    said = ~special  # what repetition is counted of
    state = DecodeState(template, groups, is_end)
    if state.any_length:
        special[template.ends[0]] = False
    banned = special.nonzero()[:, 0]
    num_steps, num_start = template.num_steps(), start.tokens.shape[1]
    uniform = request.uniform(num_steps).to(device)  # B N

    cache = net.cache(start, capacity=num_start + num_steps)
    logits, contrast = _read_start(net, cache, start, last, sampler, num_lines, num_steps)
    lines = _Lines.of(start.to(device), last, num_steps=num_steps, num_lines=num_lines)
    for step in range(num_steps):
        history = None
        if sampler.looks_back:
            history = lines.history[:, : num_start + step]
            history = history.where((history != NO_TOKEN) & said[history], NO_TOKEN)
        if state.any_length:
            logits = _with_one_end(logits, template.ends)
        shaped = sampler.shape(logits, banned=banned, history=history)
        if contrast is not None:
            token = contrast.candidates(shaped)
        elif num_lines == 1:
            token = sampler.choose(shaped, uniform[:, step])
        else:
            parent, token, score = _best_beams(
                shaped, lines.score, state.writes(), num_beams=num_lines
            )
            for each in (lines, state, cache):
                each.select(parent)
            lines.score = score
        next_token = state.move(token)
        lines.index[:, step] = next_token.index
        lines.history[:, num_start + step] = next_token.token
        if contrast is not None:
            states = net.states_after(cache, lines.read(next_token))
            chosen = contrast.best(states)
            for each in (lines, state, cache):
                each.select(chosen)
            next_token, states = next_token.rows(chosen), states[chosen]
        if sampler.beams == 1 and _is_stopped(request, next_token, logits, num_lines):
            break
        if step + 1 == num_steps or state.over():
            break
        if contrast is None:
            logits = net.extend(cache, lines.read(next_token))
        else:
            logits = net.predict(states)
    if num_lines > 1:
        lines.keep_best(num_lines, sampler.length_penalty)
    token = lines.history[:, num_start:].where(lines.index != NO_INDEX, NO_TOKEN)
    return FillResult(token=token.cpu(), index=lines.index.cpu(), holes=request.holes)


def _read_start(
    net: Writer,
    cache: Cache,
    start: View,
    last: Int[Tensor, " B"],
    sampler: Sampler,
    num_lines: int,
    num_steps: int,
) -> tuple[Float[Tensor, "B V"], Contrast | None]:
    """Read what is given at first; return what its last column predicts, and a search, if asked."""
    is_last = torch.arange(start.tokens.shape[1], device=last.device) == last[:, None]
    if sampler.degeneration_penalty is None:
        return net.extend(cache, start, is_last), None
    states = net.states_after(cache, start).view(*is_last.shape, -1)
    contrast = Contrast(
        states[::num_lines],
        start.visible[::num_lines].to(last.device),
        num_candidates=num_lines,
        penalty=sampler.degeneration_penalty,
        num_steps=num_steps,
    )
    return net.predict(states[is_last]), contrast


def _is_stopped(
    request: FillRequest, next_token: NextToken, logits: Float[Tensor, "B V"], num_lines: int
) -> bool:
    """Tell those who watch of a step; return whether no more is to be written."""
    if request.on_step is None and request.should_stop is None:
        return False
    first = slice(None, None, num_lines)
    step = _decode_step(next_token.rows(first), logits[first])
    if request.on_step is not None:
        request.on_step(step)
    return request.should_stop is not None and request.should_stop(step)


def _with_one_end(logits: Float[Tensor, "B V"], ends: tuple[int, ...]) -> Float[Tensor, "B V"]:
    """Join all ends in the first of them: they say the same, and each would take a beam.

    Probabilities add up to what they did.
    """
    if len(ends) == 1:
        return logits
    each = list(ends)
    joined = logits[:, each].logsumexp(1)
    logits = logits.index_fill(1, torch.tensor(each, device=logits.device), -torch.inf)
    logits[:, each[0]] = joined
    return logits


def _decode_step(next_token: NextToken, logits: Float[Tensor, "B V"]) -> DecodeStep:
    row = next_token.writes.nonzero()[:, 0]
    sure = logits.float().softmax(1).gather(1, next_token.token[:, None])[:, 0]
    told = (row, next_token.index[row], next_token.token[row], sure[row])
    row, index, token, sure = (each.cpu() for each in told)
    return DecodeStep(row=row, index=index, token=token, probability=sure)


def _best_beams(
    logits: Float[Tensor, "B V"],
    score: Float[Tensor, " B"],
    writes: Bool[Tensor, " B"],
    *,
    num_beams: int,
) -> tuple[Int[Tensor, " B"], Int[Tensor, " B"], Float[Tensor, " B"]]:
    """Return the best continuations of each text's beams: which beam, its next token, the score."""
    vocab_size = logits.shape[1]
    # where nothing is chosen there is one continuation, and it costs nothing
    only = torch.full_like(logits, -torch.inf)
    only[:, 0] = 0
    costs = torch.where(writes[:, None], logits.log_softmax(1), only)
    total = (score[:, None] + costs).view(-1, num_beams * vocab_size)
    best, flat = total.topk(num_beams, dim=1)
    first = torch.arange(len(total), device=logits.device)[:, None] * num_beams
    return (first + flat // vocab_size).flatten(), (flat % vocab_size).flatten(), best.flatten()
