"""Writing from left to right, or along another order, with a cache of what was read.

Where an objective predicts each token of a text it says for its scores (`answer`). Writing goes
through the same view, column by column: what a column predicts stands in the next one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lmcompare.objectives.blanks import Blanks, Filling, Moment, Written
from lmcompare.objectives.network import Writer
from lmcompare.objectives.noise import NOWHERE, next_place
from lmcompare.sampling import NOTHING
from lmcompare.view import IGNORE, View
from lmcompare.vocab import Vocab

_DRAWN = frozenset({"greedy", "temperature", "top_k", "top_p", "min_p", "typical"})
_WRITTEN = _DRAWN | {"repetition_penalty", "no_repeat_ngram", "beams", "length_penalty"}
AT_THE_END: Mapping[str, Filling] = {"left-to-right": Filling("end", _WRITTEN)}
ANYWHERE: Mapping[str, Filling] = {"left-to-right": Filling("any", _WRITTEN, any_length=True)}
ALONG: Mapping[str, Filling] = {
    "left-to-right": Filling("any", _DRAWN),
    "right-to-left": Filling("any", _DRAWN),
    "random": Filling("any", _DRAWN),
}

# in `Script.then`: one token is written here; any number of them are; nothing follows
WRITE, FREE, STOP = -1, -2, -3


@dataclass(frozen=True, kw_only=True)
class Script:
    """What each row reads, and what comes then.

    Attributes:
        start: is read at once.
        last: of each row, the column of `start` that predicts what comes then.
        then: ids that are given, WRITE, FREE; at last STOP.
        place: of each entry of `then`, the place in the text of what is written there.
        position: of each entry of `then`, where it stands.
        ends: ids that end what FREE stands for.
    """

    start: View
    last: Int[Tensor, " B"]
    then: Int[Tensor, "B S"]
    place: Int[Tensor, "B S"]
    position: Int[Tensor, "B S"]
    ends: tuple[int, ...]

    @staticmethod
    def of(
        view: View, place: Int[Tensor, "B S"], blanks: Blanks, *, ends: tuple[int, ...] = ()
    ) -> "Script":
        """The script that fills the holes of a text.

        Args:
            view: the text as it is written, whatever stands in its holes.
            place: of each column, the place in the text of the token that it predicts, or NOWHERE;
                that token stands in the next column.
            blanks: the holes.
            ends: ids that end a hole of any length.
        """
        row = torch.arange(len(place))[:, None]
        writes = (place != NOWHERE) & blanks.holes[row, place.clamp(min=0)]
        width = place.shape[1]
        columns = torch.arange(width).expand_as(place)
        first = columns.where(writes, width).amin(1).clamp(max=width - 1)
        last = columns.where(writes, -1).amax(1)
        start = view.columns(slice(int(first.max()) + 1))
        shown = columns[:, : start.tokens.shape[1]] <= first[:, None]
        following = torch.cat([view.tokens[:, 1:], view.tokens[:, -1:]], dim=1)
        then = following.where(~writes, WRITE).where(columns <= last[:, None], STOP)
        kept = columns >= first[:, None]
        if blanks.any_length:
            then = then.where(~writes, FREE)
            kept[:, 1:] &= ~(writes[:, 1:] & writes[:, :-1])  # a run of tokens is one hole
        # what comes after the first column that writes, packed to the left; at last STOP
        index = columns.masked_fill(~kept, width).sort(1).values
        size = int(kept.sum(1).max())
        index = index[:, :size].clamp(max=width - 1)
        used = torch.arange(size) < kept.sum(1, keepdim=True)
        stop = torch.full_like(then[:, :1], STOP)
        stands = view.position[:, 1:]
        stands = torch.cat([stands, stands[:, -1:] + 1], dim=1)
        return Script(
            start=replace(start, visible=start.visible & shown),
            last=first,
            then=torch.cat([then.gather(1, index).where(used, STOP), stop], dim=1),
            place=torch.cat([place.gather(1, index), stop], dim=1),
            position=torch.cat([stands.gather(1, index), stop], dim=1),
            ends=ends,
        )

    def num_steps(self, limit: int) -> int:
        """Passes at most, if what is FREE has at most `limit` tokens."""
        each = (self.then >= WRITE).long() + (self.then == FREE).long() * limit
        return int(each.sum(1).max())


def continue_text(net: Writer, view: View, blanks: Blanks, vocab: Vocab) -> Written:
    """Write the end of a text by a model that predicts the next token of `view`."""
    return follow(net, Script.of(view, next_place(view.tokens), blanks), blanks, vocab)


@dataclass(kw_only=True)
class _State:
    """Where each row stands."""

    pointer: Int[Tensor, " B"]  # into the script
    count: Int[Tensor, " B"]  # tokens written of what is FREE here
    position: Int[Tensor, " B"]  # of what was read last
    within: Int[Tensor, " B"]
    order: Int[Tensor, " B"]
    token: Int[Tensor, "B N"]  # what was written, or NOTHING, step by step
    place: Int[Tensor, "B N"]
    history: Int[Tensor, "B L"]  # all that was read, ending at column `num_read`
    score: Float[Tensor, " B"]  # log-probability of what was written, of beams

    def select(self, rows: Int[Tensor, " B"]) -> None:
        """Each row goes on from where another one stands."""
        for name, column in vars(self).items():
            setattr(self, name, column[rows])


@torch.inference_mode()
def follow(net: Writer, script: Script, blanks: Blanks, vocab: Vocab) -> Written:
    """Write what the script leaves to be written.

    Args:
        net: the model.
        script: what is read and given.
        blanks: how to choose, and who watches.
        vocab: which ids are text.
    """
    sampler, device = blanks.sampler, net.device
    num_rows, num_beams = len(script.last), sampler.beams
    rows = torch.arange(num_rows * num_beams, device=device)
    groups = rows // num_beams
    start = script.start.rows(groups.cpu())
    then, at, last = (each.to(device)[groups] for each in (script.then, script.place, script.last))
    stands = script.position.to(device)[groups]
    num_steps, num_start = script.num_steps(blanks.limit), start.tokens.shape[1]
    banned = vocab.is_special(torch.arange(vocab.size)).to(device)
    is_end = torch.zeros_like(banned)
    if (then == FREE).any():
        is_end[list(script.ends)] = True
        banned &= ~is_end
    uniform = blanks.uniform(num_steps).to(device)  # B N

    cache = net.cache(start, capacity=num_start + num_steps)
    columns = torch.arange(num_start, device=device)
    logits = net.extend(cache, start, columns == last[:, None])
    start = start.to(device)

    def at_last(column: Tensor) -> Tensor:
        return column.gather(1, last[:, None])[:, 0]

    # what was read stands at the right, so that all rows go on in one column
    shift = (columns - (num_start - 1) + last[:, None]).clamp(min=-1)
    history = start.tokens.where(start.visible, NOTHING).gather(1, shift.clamp(min=0))
    state = _State(
        pointer=torch.zeros_like(rows),
        count=torch.zeros_like(rows),
        position=at_last(start.position),
        within=torch.zeros_like(rows) if start.within is None else at_last(start.within),
        order=at_last(start.order),
        token=then.new_full((len(rows), num_steps), NOTHING),
        place=then.new_full((len(rows), num_steps), NOTHING),
        history=torch.cat(
            [history.where(shift >= 0, NOTHING), then.new_zeros(len(rows), num_steps)], dim=1
        ),
        score=torch.zeros(len(rows), device=device).where(rows % num_beams == 0, -torch.inf),
    )
    for step in range(num_steps):
        entry = then[rows, state.pointer]
        read = state.history[:, : num_start + step] if sampler.looks_back else None
        shaped = sampler.shape(logits, banned=banned, history=read)
        if num_beams == 1:
            token = sampler.choose(shaped, uniform[:, step])
        else:
            parent, token = _extend_beams(shaped, state, entry, num_beams)
            state.select(parent)
            cache.select(parent)
            entry = entry[parent]
        ended = (entry == FREE) & is_end[token]
        state.pointer += ended
        entry = then[rows, state.pointer]
        writes = (entry == WRITE) | (entry == FREE)
        token = torch.where(writes, token, entry.clamp(min=0))
        here = at[rows, state.pointer]
        state.token[:, step] = token.where(writes, NOTHING)
        state.place[:, step] = here.where(writes, NOTHING)
        state.history[:, num_start + step] = token
        if blanks.watch is not None:
            sure = logits.softmax(1).gather(1, token[:, None])[:, 0]
            who = writes.nonzero()[:, 0]
            blanks.watch(Moment(row=who, place=here[who], token=token[who], probability=sure[who]))
        state.count = torch.where(entry == FREE, state.count + 1, 0)
        full = state.count == blanks.limit
        passed = (entry >= 0) | (entry == WRITE) | ((entry == FREE) & full)
        stood = state.pointer
        state.pointer = state.pointer + passed
        state.count = state.count.where(~full, 0)
        if step + 1 == num_steps or bool((then[rows, state.pointer] == STOP).all()):
            break
        state.order = state.order + 1
        if start.within is None:
            state.position = state.position + 1
        else:
            state.position = stands[rows, stood]
            state.within = torch.where(entry >= 0, 1, state.within + 1)
        view = View(
            tokens=token[:, None],
            position=state.position[:, None],
            order=state.order[:, None],
            visible=torch.ones_like(token[:, None], dtype=torch.bool),
            target=torch.full_like(token[:, None], IGNORE),
            weight=torch.zeros(len(rows), 1, device=device),
            within=None if start.within is None else state.within[:, None],
        )
        logits = net.extend(cache, view)
    if num_beams > 1:
        length = (state.token != NOTHING).sum(1).clamp(min=1)
        merit = (state.score / length**sampler.length_penalty).view(num_rows, num_beams)
        best = merit.argmax(1) + torch.arange(num_rows, device=device) * num_beams
        state.select(best)
    return Written(token=state.token.cpu(), place=state.place.cpu(), holes=blanks.holes)


def _extend_beams(
    logits: Float[Tensor, "B V"], state: _State, entry: Int[Tensor, " B"], num_beams: int
) -> tuple[Int[Tensor, " B"], Int[Tensor, " B"]]:
    """The best ways to go on from the beams of each text: from which one, and with which token."""
    vocab_size = logits.shape[1]
    writes = (entry == WRITE) | (entry == FREE)
    # where nothing is chosen there is one way to go on, and it costs nothing
    only = torch.full_like(logits, -torch.inf)
    only[:, 0] = 0
    costs = torch.where(writes[:, None], logits.log_softmax(1), only)
    total = (state.score[:, None] + costs).view(-1, num_beams * vocab_size)
    score, index = total.topk(num_beams, dim=1)
    state.score = score.flatten()
    first = torch.arange(len(total), device=logits.device)[:, None] * num_beams
    return (first + index // vocab_size).flatten(), (index % vocab_size).flatten()


@torch.inference_mode()
def write_along(
    net: Writer, start: View, blanks: Blanks, turn: Float[Tensor, "B T"], vocab: Vocab
) -> Written:
    """Fill holes one by one in any order, by a model that predicts at query slots (XLNet).

    Args:
        net: the model.
        start: the text without its holes, which are read at once; position i is token i.
        blanks: the holes.
        turn: holes are filled from the least to the greatest.
        vocab: which ids are text, and which one is the mask.
    """
    holes, sampler, device = blanks.holes, blanks.sampler, net.device
    num = holes.sum(1)
    num_steps = int(num.max())
    place = turn.masked_fill(~holes, torch.inf).argsort(dim=1, stable=True)[:, :num_steps]
    used = torch.arange(num_steps) < num[:, None]
    uniform = blanks.uniform(num_steps)
    banned = vocab.is_special(torch.arange(vocab.size)).to(device)
    cache = net.cache(start, capacity=start.tokens.shape[1] + num_steps)
    net.extend(cache, start)
    mask = torch.full_like(place[:, :1], vocab.mask)
    written = torch.full_like(place, NOTHING)
    for step in range(num_steps):
        # what was written last, and a query slot, which nobody sees, where the next token will be
        new = slice(max(step - 1, 0), step + 1)
        tokens = torch.cat([written[:, new][:, :-1], mask], dim=1) if step else mask
        query = torch.arange(tokens.shape[1]) == tokens.shape[1] - 1
        content = 2 * (torch.arange(num_steps)[new] + 1)
        view = View(
            tokens=tokens,
            position=place[:, new],
            order=(content - query.long()).expand_as(tokens),
            visible=used[:, new] & ~query,
            target=torch.full_like(tokens, IGNORE),
            weight=torch.zeros(tokens.shape),
        )
        logits = net.extend(cache, view, query.expand_as(tokens))
        shaped = sampler.shape(logits, banned=banned)
        token = sampler.choose(shaped, uniform[:, step]).cpu()
        written[:, step] = token.where(used[:, step], vocab.pad)
        if blanks.watch is not None:
            who = used[:, step].nonzero()[:, 0]
            sure = logits.softmax(1).cpu().gather(1, token[:, None])[:, 0]
            blanks.watch(
                Moment(row=who, place=place[who, step], token=token[who], probability=sure[who])
            )
    return Written(
        token=written.where(used, NOTHING), place=place.where(used, NOTHING), holes=holes
    )
