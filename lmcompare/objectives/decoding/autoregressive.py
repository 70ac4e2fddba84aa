"""Writing from left to right with a cache of what was read.

Where an objective predicts each token of a text it says for its scores (`answer`). Writing goes
through the same view, column by column: what a column predicts stands in the next one.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lmcompare.objectives.corruption.noise import NOWHERE, next_place
from lmcompare.objectives.decoding.contrastive_search import Contrast
from lmcompare.objectives.decoding.fill_request import (
    DecodeStep,
    DecodingMethod,
    FillRequest,
    FillResult,
)
from lmcompare.objectives.decoding.sampler import CHOSEN, NOTHING
from lmcompare.objectives.decoding.template import Cursor, Script, Turn
from lmcompare.objectives.network import Writer
from lmcompare.view import IGNORE, View
from lmcompare.vocab import Vocab

# the end of a hole is no token that a model reads, so there is nothing to contrast it by
_CONTRAST = frozenset({"degeneration_penalty", "candidates"})
_BEAMS = {"beams", "length_penalty"}
_WRITTEN = CHOSEN | {"repetition_penalty", "no_repeat_ngram"} | _BEAMS | _CONTRAST
AT_THE_END: Mapping[str, DecodingMethod] = {"left-to-right": DecodingMethod("end", _WRITTEN)}
ANYWHERE: Mapping[str, DecodingMethod] = {
    "left-to-right": DecodingMethod("any", _WRITTEN, any_length=True, want_length=_CONTRAST)
}


def continue_text(net: Writer, view: View, blanks: FillRequest, vocab: Vocab) -> FillResult:
    """Write the end of a text by a model that predicts the next token of `view`."""
    return follow(net, Script.of(view, next_place(view.tokens), blanks), blanks, vocab)


@dataclass(kw_only=True)
class _Lines:
    """What was read and written of each row."""

    last: View  # of the one column that was read last
    place: Int[Tensor, "B N"]  # of what was written, or NOWHERE, step by step
    history: Int[Tensor, "B L"]  # all that was read, so that all rows end in one column
    score: Float[Tensor, " B"]  # log-probability of what was written, of beams

    @staticmethod
    def of(start: View, last: Int[Tensor, " B"], *, num_steps: int, num_lines: int) -> "_Lines":
        """Before the first step."""

        def at_last(column: Tensor) -> Tensor:
            return column.gather(1, last[:, None])

        token = at_last(start.tokens)
        num_rows = len(start.tokens)
        packed = start.visible.long().argsort(dim=1, stable=True)  # what was read at the right
        read = start.tokens.where(start.visible, NOTHING).gather(1, packed)
        empty = last.new_full((num_rows, num_steps), NOWHERE)
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
            place=empty,
            history=torch.cat([read, torch.full_like(empty, NOTHING)], dim=1),
            score=torch.zeros(num_rows, device=last.device).where(first, -torch.inf),
        )

    def read(self, turn: Turn) -> View:
        """The view of what comes next in each row."""
        last, within = self.last, self.last.within
        if within is None:
            position = last.position + 1
        else:
            position = turn.position.unsqueeze(1)
            within = torch.where(turn.writes.unsqueeze(1), within + 1, 1)
        self.last = View(
            tokens=turn.token.unsqueeze(1),
            position=position,
            order=last.order + 1,
            visible=last.visible,
            target=last.target,
            weight=last.weight,
            within=within,
        )
        return self.last

    def select(self, rows: Int[Tensor, " B"]) -> None:
        """Each row goes on from what another one of its text has."""
        self.last = self.last.rows(rows)
        self.place, self.history = self.place[rows], self.history[rows]
        self.score = self.score[rows]


@torch.inference_mode()
def follow(net: Writer, script: Script, blanks: FillRequest, vocab: Vocab) -> FillResult:
    """Write what the script leaves to be written.

    Args:
        net: the model.
        script: what is read and given.
        blanks: how to choose, and who watches.
        vocab: which ids are text.
    """
    sampler, device = blanks.sampler, net.device
    num_lines = sampler.beams
    if sampler.degeneration_penalty is not None:
        num_lines = min(sampler.candidates, vocab.size)
    groups = torch.arange(len(script.last), device=device).repeat_interleave(num_lines)
    start = script.start.rows(groups.cpu())
    special = vocab.is_special(torch.arange(vocab.size)).to(device)
    is_end = torch.zeros_like(special)
    is_end[list(script.ends)] = True
    said = ~special  # what repetition is counted of
    cursor = Cursor(script, groups, is_end)
    if cursor.any_length:
        special[script.ends[0]] = False
    banned = special.nonzero()[:, 0]
    num_steps, num_start = script.num_steps(), start.tokens.shape[1]
    uniform = blanks.uniform(num_steps).to(device)  # B N

    last = script.last.to(device)[groups]
    cache = net.cache(start, capacity=num_start + num_steps)
    is_last = torch.arange(num_start, device=device) == last[:, None]
    contrast = None
    if sampler.degeneration_penalty is None:
        logits = net.extend(cache, start, is_last)
    else:
        states = net.states_after(cache, start).view(*is_last.shape, -1)
        logits = net.predict(states[is_last])
        contrast = Contrast(
            states[::num_lines],
            start.visible[::num_lines].to(device),
            num_candidates=num_lines,
            penalty=sampler.degeneration_penalty,
            num_steps=num_steps,
        )
    lines = _Lines.of(start.to(device), last, num_steps=num_steps, num_lines=num_lines)
    for step in range(num_steps):
        history = None
        if sampler.looks_back:
            history = lines.history[:, : num_start + step]
            history = history.where((history != NOTHING) & said[history], NOTHING)
        if cursor.any_length:
            logits = _with_one_end(logits, script.ends)
        shaped = sampler.shape(logits, banned=banned, history=history)
        if contrast is not None:
            token = contrast.candidates(shaped)
        elif num_lines == 1:
            token = sampler.choose(shaped, uniform[:, step])
        else:
            parent, token, score = _best_ways(
                shaped, lines.score, cursor.writes(), num_beams=num_lines
            )
            for each in (lines, cursor, cache):
                each.select(parent)
            lines.score = score
        turn = cursor.move(token)
        lines.place[:, step] = turn.place
        lines.history[:, num_start + step] = turn.token
        if contrast is not None:
            states = net.states_after(cache, lines.read(turn))
            chosen = contrast.best(states)
            for each in (lines, cursor, cache):
                each.select(chosen)
            turn, states = turn.rows(chosen), states[chosen]
        if sampler.beams == 1 and (blanks.on_step is not None or blanks.should_stop is not None):
            first = slice(None, None, num_lines)
            moment = _moment(turn.rows(first), logits[first])
            if blanks.on_step is not None:
                blanks.on_step(moment)
            if blanks.should_stop is not None and blanks.should_stop(moment):
                break
        if step + 1 == num_steps or cursor.over():
            break
        logits = net.extend(cache, lines.read(turn)) if contrast is None else net.predict(states)
    if num_lines > 1:
        length = (lines.place != NOWHERE).sum(1).clamp(min=1)
        merit = (lines.score / length**sampler.length_penalty).view(-1, num_lines)
        lines.select(merit.argmax(1) + torch.arange(len(merit), device=device) * num_lines)
    token = lines.history[:, num_start:].where(lines.place != NOWHERE, NOTHING)
    return FillResult(token=token.cpu(), place=lines.place.cpu(), holes=blanks.holes)


def _with_one_end(logits: Float[Tensor, "B V"], ends: tuple[int, ...]) -> Float[Tensor, "B V"]:
    """All ends in the first of them, as they all say the same: a beam for each would be one text's.

    Probabilities add up to what they did.
    """
    if len(ends) == 1:
        return logits
    each = list(ends)
    joined = logits[:, each].logsumexp(1)
    logits = logits.index_fill(1, torch.tensor(each, device=logits.device), -torch.inf)
    logits[:, each[0]] = joined
    return logits


def _moment(turn: Turn, logits: Float[Tensor, "B V"]) -> DecodeStep:
    row = turn.writes.nonzero()[:, 0]
    sure = logits.float().softmax(1).gather(1, turn.token[:, None])[:, 0]
    told = (row, turn.place[row], turn.token[row], sure[row])
    row, place, token, sure = (each.cpu() for each in told)
    return DecodeStep(row=row, place=place, token=token, probability=sure)


def _best_ways(
    logits: Float[Tensor, "B V"],
    score: Float[Tensor, " B"],
    writes: Bool[Tensor, " B"],
    *,
    num_beams: int,
) -> tuple[Int[Tensor, " B"], Int[Tensor, " B"], Float[Tensor, " B"]]:
    """The best ways to go on from the beams of each text: which beam, its next token, the score."""
    vocab_size = logits.shape[1]
    # where nothing is chosen there is one way to go on, and it costs nothing
    only = torch.full_like(logits, -torch.inf)
    only[:, 0] = 0
    costs = torch.where(writes[:, None], logits.log_softmax(1), only)
    total = (score[:, None] + costs).view(-1, num_beams * vocab_size)
    best, index = total.topk(num_beams, dim=1)
    first = torch.arange(len(total), device=logits.device)[:, None] * num_beams
    return (first + index // vocab_size).flatten(), (index % vocab_size).flatten(), best.flatten()
