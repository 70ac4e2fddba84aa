"""One text under several objectives: what goes in, what is predicted where, and who sees whom."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from lmcompare import rng
from lmcompare.data import Tokenizer
from lmcompare.errors import UserError
from lmcompare.objectives import Objective
from lmcompare.teaching.slots import Slot, one_row, read_slots
from lmcompare.view import Text, View
from lmcompare.vocab import Vocab

DRAWS = 48  # of each objective, to choose from
LONGEST = 24  # tokens of a text that are shown


@dataclass(frozen=True, kw_only=True)
class AttentionGrid:
    """Who looks at whom: a row for each position that looks, a column for each looked at.

    Attributes:
        name: of which positions; empty where a view has no source.
        rows: the positions that look.
        columns: those that are looked at.
        sees: of each row, whether it may look at each column.
    """

    name: str
    rows: Sequence[Slot]
    columns: Sequence[Slot]
    sees: Sequence[Sequence[bool]]

    @property
    def sees_all(self) -> bool:
        """Tell whether every position looks at all of them."""
        return all(map(all, self.sees))


@dataclass(frozen=True, kw_only=True)
class ObjectiveView:
    """A text as one objective, or one part of a mixture, makes it in training.

    Attributes:
        objective: the name of the objective.
        part: which part of a mixture; empty where it mixes nothing.
        attention: who sees whom, in words.
        predicts: what is predicted, in words.
        draw: the number of the draw that is shown, which is a step of training.
        matrices: who sees whom; of an encoder-decoder, within the source, from the output to the
            source, and within the output.
        notes: what must be known of the picture, a sentence each.
    """

    objective: str
    part: str
    attention: str
    predicts: str
    draw: int
    matrices: Sequence[AttentionGrid]
    notes: Sequence[str]

    @property
    def name(self) -> str:
        """Return the name of the objective, with its part."""
        return f"{self.objective}, {self.part}" if self.part else self.objective

    @property
    def slots(self) -> dict[str, Sequence[Slot]]:
        """Return the positions; of an encoder-decoder those of source and output."""
        return {each.name: each.rows for each in self.matrices if each.rows is each.columns}


@dataclass(frozen=True, kw_only=True)
class Views:
    """One text under several objectives.

    Attributes:
        text: the text.
        pieces: its tokens, as far as they are shown.
        num_tokens: how many it has.
        seed: of all draws.
        views: in the order of the objectives, of a mixture one for each part.
        refused: of each objective that cannot have this text, the reason.
    """

    text: str
    pieces: Sequence[str]
    num_tokens: int
    seed: int
    views: Sequence[ObjectiveView]
    refused: dict[str, str]

    @property
    def cut(self) -> str:
        """Return what is not shown of the text, as a sentence; empty where all is."""
        if len(self.pieces) == self.num_tokens:
            return ""
        return f"Only the first {len(self.pieces)} of its {self.num_tokens} tokens are shown."


def views_of(
    text: str,
    objectives: Sequence[Objective],
    tokenizer: Tokenizer,
    *,
    seed: int = 0,
    longest: int = LONGEST,
) -> Views:
    """Return one text under several objectives; the same each time for the same seed.

    Of the draws of an objective the one that is shown is, for each part of a mixture, the first
    that changes the text and predicts something, if any does.

    Args:
        text: a sentence.
        objectives: whose views are wanted.
        tokenizer: what cuts the text.
        seed: of the draws, which are numbered as steps of training are.
        longest: how many tokens of the text are taken; the others are as if it ended before.

    Raises:
        UserError: the tokenizer keeps nothing of the text, or no objective can have it.
    """
    whole = one_row(text, tokenizer)
    row = Text(
        tokens=whole.tokens[:, : 1 + longest],
        visible=whole.visible[:, : 1 + longest],
        word=whole.word[:, : 1 + longest],
    )
    views: list[ObjectiveView] = []
    refused: dict[str, str] = {}
    for objective in objectives:
        try:
            views += _parts(objective, row, tokenizer, seed)
        except UserError as error:
            refused[objective.name] = str(error)
    if not views:
        raise UserError("; ".join(refused.values()) or "there is no objective to show: name one")
    return Views(
        text=text,
        pieces=tokenizer.pieces(row.tokens[0, 1:].tolist()),
        num_tokens=whole.tokens.shape[1] - 1,
        seed=seed,
        views=views,
        refused=refused,
    )


@dataclass(frozen=True, kw_only=True)
class _Draw:
    number: int
    part: int
    view: View
    changes: bool  # whether what goes in is another thing than the text

    @property
    def tells(self) -> tuple[bool, bool]:
        """Return how much there is to see in it."""
        return self.view.num_targets > 0, self.changes


def _parts(
    objective: Objective, row: Text, tokenizer: Tokenizer, seed: int
) -> Iterator[ObjectiveView]:
    vocab = tokenizer.vocab
    notes = []
    try:
        objective.require(vocab, length=row.tokens.shape[1])
    except UserError as error:
        notes.append(f"Training would refuse blocks this short: {error}.")
    draws = sorted(_draws(objective, row, vocab, seed), key=lambda draw: draw.part)
    parts = {part: [*drawn] for part, drawn in groupby(draws, key=lambda draw: draw.part)}
    mixed = list(objective.mixture.values())
    for part, drawn in parts.items():
        chosen = max(drawn, key=lambda draw: draw.tells)  # of equals, the first
        own = mixed[part] if len(mixed) == max(parts) + 1 else objective
        label = "" if own is objective else f": {own.name}"
        yield ObjectiveView(
            objective=objective.name,
            part="" if chosen.view.part is None else f"part {part}{label}",
            attention=own.attention,
            predicts=own.predicts,
            draw=chosen.number,
            matrices=[*_matrices(chosen.view, row, tokenizer)],
            notes=[*_about(chosen, drawn), *(notes or _nothing(chosen))],
        )


def _draws(objective: Objective, row: Text, vocab: Vocab, seed: int) -> Iterator[_Draw]:
    """Yield the views of one row at the first steps.

    What changes along training is as at its end in the first draw, and as ever earlier in those
    that follow, so that a mixture of parts in turn has all of them.
    """
    for number in range(DRAWS):
        stream = rng.generator("corruption", seed, number)
        view = objective.corrupt(row, vocab, stream, progress=1 - number / DRAWS)
        read = view if view.source is None else view.source
        yield _Draw(
            number=number,
            part=0 if view.part is None else int(view.part[0]),
            view=view,
            changes=read.tokens.tolist() != row.tokens.tolist(),
        )


def _about(chosen: _Draw, drawn: Sequence[_Draw]) -> Iterator[str]:
    if chosen.view.part is not None:
        yield f"{len(drawn)} of {DRAWS} draws are of this part."
    whole = sum(not draw.changes for draw in drawn)
    if chosen.changes and whole:
        yield f"The text goes in as it is in {whole} of {len(drawn)} draws."


def _nothing(chosen: _Draw) -> Iterator[str]:
    if not chosen.view.num_targets:
        yield "Chance left nothing to predict in any draw: give a longer text or another seed."


def _matrices(view: View, row: Text, tokenizer: Tokenizer) -> Iterator[AttentionGrid]:
    """Yield who sees whom in the only row of a view."""
    own, sees = read_slots(view, row, tokenizer)[0], view.sees()[0].tolist()
    if view.source is None:
        yield AttentionGrid(name="", rows=own, columns=own, sees=sees)
        return
    source = read_slots(view.source, row, tokenizer)[0]
    within = view.source.sees()[0].tolist()
    yield AttentionGrid(name="source", rows=source, columns=source, sees=within)
    across = view.sees_source()[0].tolist()
    yield AttentionGrid(name="output to source", rows=own, columns=source, sees=across)
    yield AttentionGrid(name="output", rows=own, columns=own, sees=sees)
