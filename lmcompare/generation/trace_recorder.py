"""Texts while they are written: what is kept of each step, and what there is to see by then."""

import codecs
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from lmcompare.generation.trace import Piece, Start, WrittenStep

if TYPE_CHECKING:
    from lmcompare.data import Tokenizer
    from lmcompare.generation.generate import GenerationBatch, Sample
    from lmcompare.objectives.decoding.fill_request import DecodeStep

# Of a token: it stood there; was written before; by the last step; is not written yet.
State = Literal["given", "written", "fresh", "open"]


@dataclass(frozen=True)
class StateSpan:
    """Neighbouring tokens in one state, and the text that they make, or how many are open."""

    text: str
    state: State
    num_open: int = 0


class Draft:
    """A text that is being written, as far as it has come."""

    def __init__(self, start: Start) -> None:
        self.start = start
        self._at: dict[int, list[Piece]] = {}
        self._fresh: set[int] = set()
        self._reached = 0  # with holes of any length: all those before this index are written

    def put(self, step: WrittenStep) -> None:
        """Write what a step wrote."""
        self._fresh = set()
        for index, token, piece in zip(step.places, step.ids, step.pieces, strict=True):
            if self.start.any_length:
                self._at.setdefault(index, []).append(piece)
                self._reached = index
            elif token == self.start.ids[index]:  # the mask
                self._at.pop(index, None)
                continue
            else:
                self._at[index] = [piece]
            self._fresh.add(index)

    def close(self) -> None:
        """Take it as finished: nothing more will be written."""
        self._fresh = set()
        self._reached = len(self.start.ids)

    def tokens(self) -> Iterator[tuple[Piece | None, State]]:
        """Yield every token, None where it is open."""
        for index, (piece, is_hole) in enumerate(
            zip(self.start.pieces, self.start.holes, strict=True)
        ):
            if index == 0:  # the start token
                continue
            if not is_hole:
                yield piece, "given"
                continue
            written = self._at.get(index, [])
            for number, each in enumerate(written, start=1):
                fresh = index in self._fresh and number == len(written)
                yield each, "fresh" if fresh else "written"
            if index >= self._reached if self.start.any_length else not written:
                yield None, "open"

    def spans(self) -> list[StateSpan]:
        """Return the text in parts."""
        return join(self.tokens())


def join(tokens: Iterable[tuple[Piece | None, State]]) -> list[StateSpan]:
    """Return the text that tokens make, in parts; a character is open where a token of it is."""
    spans: list[StateSpan] = []
    decoder = _decoder("replace")
    num_begun = 0  # tokens of a character that has not ended

    def add(text: str, state: State, num_open: int = 0) -> None:
        if spans and spans[-1].state == state:
            last = spans.pop()
            text, num_open = last.text + text, last.num_open + num_open
        if text or num_open:
            spans.append(StateSpan(text, state, num_open))

    after_open = False
    last_state: State = "given"
    for piece, state in tokens:
        if piece is None:
            decoder.reset()
            add("", "open", num_begun + 1)
            num_begun, after_open = 0, True
            continue
        raw = _raw(piece)
        if after_open and (kept := raw.lstrip(bytes(range(0x80, 0xC0)))) != raw:
            add("", "open", 1)  # the end of a character
            raw = kept
        after_open = after_open and not raw
        if num_begun and raw and not 0x80 <= raw[0] < 0xC0:  # it never ends
            add(decoder.decode(b"", final=True), last_state)
        text = decoder.decode(raw)
        begun = bool(decoder.getstate()[0])
        num_begun = (1 if text else num_begun + 1) if begun else 0
        add(text, state)
        last_state = state
    add(decoder.decode(b"", final=True), last_state)
    return spans


def text_ends(pieces: Iterable[Piece]) -> tuple[str, list[int]]:
    """Return the text that tokens make, without half a character at its end, and their ends."""
    decoder, text, ends = _decoder("replace"), "", []
    for piece in pieces:
        text += decoder.decode(_raw(piece))
        ends.append(len(text))
    return text, ends


def _raw(piece: Piece) -> bytes:
    return piece.encode() if isinstance(piece, str) else bytes(piece)


_decoder = codecs.getincrementaldecoder("utf-8")


class TokenText:
    """What tokens add to a text, by a tokenizer."""

    def __init__(self, tokenizer: "Tokenizer") -> None:
        self._tokenizer = tokenizer
        self._known: dict[int, Piece] = {}
        # After another token, as some tokenizers drop the space that a text begins with.
        words = (
            [number]
            for number in tokenizer.vocab.regular.tolist()
            if (text := tokenizer.decode([number])).isascii() and text.isalnum()
        )
        self._before = next(words, [])

    def __call__(self, ids: Sequence[int]) -> list[Piece]:
        """Return the pieces of tokens in the midst of a text."""
        for number in ids:
            if number not in self._known:
                self._known[number] = self._piece(number, self._before)
        return [self._known[number] for number in ids]

    def from_start(self, ids: Sequence[int]) -> list[Piece]:
        """Return the pieces of tokens that a text begins with."""
        return [*(self._piece(number, []) for number in ids[:1]), *self(ids[1:])]

    def _piece(self, number: int, before: list[int]) -> Piece:
        decode, (shown,) = self._tokenizer.decode, self._tokenizer.pieces([number])
        text = decode([*before, number]).removeprefix(decode(before))
        if not text and number in self._tokenizer.vocab.specials:
            return shown
        if "\N{REPLACEMENT CHARACTER}" in text and re.fullmatch(r"(\\x[0-9a-f]{2})+", shown):
            raw = bytes.fromhex(shown.replace("\\x", ""))
            fallback = re.fullmatch(rb"<0x([0-9A-F]{2})>", raw)  # how SentencePiece spells a byte
            return (int(fallback[1], 16),) if fallback else tuple(raw)
        return text


class Recorder:
    """Keeps every step of what is written; `generate` takes it as `on_step`.

    Args:
        tokenizer: how tokens are spelled.
        hear: told of the samples that are written together, before; then of what each step wrote
            of them.
    """

    def __init__(
        self,
        tokenizer: "Tokenizer",
        *,
        hear: Callable[[Sequence[Start] | Sequence[WrittenStep]], None] = lambda event: None,
    ) -> None:
        self._spell = TokenText(tokenizer)
        self._hear = hear
        self._starts: dict[tuple[int, int], Start] = {}
        self._steps: dict[tuple[int, int], list[WrittenStep]] = {}

    def __call__(self, batch: "GenerationBatch") -> "Callable[[DecodeStep], None]":
        starts = [
            Start(
                prompt=prompt,
                number=number,
                ids=tuple(tokens),
                pieces=(*self._spell(tokens[:1]), *self._spell.from_start(tokens[1:])),
                holes=tuple(holes),
                any_length=batch.any_length,
            )
            for (prompt, number), tokens, holes in zip(
                batch.samples, batch.tokens, batch.holes, strict=True
            )
        ]
        for start in starts:
            self._starts[start.prompt, start.number] = start
            self._steps[start.prompt, start.number] = []
        self._hear(starts)

        def tell(decoded: "DecodeStep") -> None:
            columns = (decoded.row, decoded.index, decoded.token, decoded.probability)
            by_row: dict[int, list[tuple[int, int, float]]] = {}
            for row, *token in zip(*(column.tolist() for column in columns), strict=True):
                by_row.setdefault(row, []).append(tuple(token))
            told = [self._add(starts[row], tokens) for row, tokens in by_row.items()]
            if told:
                self._hear(told)

        return tell

    def _add(self, start: Start, tokens: list[tuple[int, int, float]]) -> WrittenStep:
        places, ids, probabilities = zip(*tokens, strict=True)
        steps = self._steps[start.prompt, start.number]
        first = 0 if start.any_length and steps else 1  # the index of the token that begins it all
        pieces = [
            (self._spell.from_start if index == first else self._spell)([number])[0]
            for index, number in zip(places, ids, strict=True)
        ]
        step = WrittenStep(
            prompt=start.prompt,
            number=start.number,
            step=len(steps) + 1,
            places=places,
            ids=ids,
            pieces=tuple(pieces),
            probabilities=probabilities,
        )
        steps.append(step)
        return step

    def samples(self, written: "Iterable[Sample]") -> list[tuple[Start, list[WrittenStep]]]:
        """Return each sample as it began, with what came of it, and its steps."""
        found = []
        for sample in written:
            start = self._starts[sample.prompt, sample.number]
            steps = self._steps[sample.prompt, sample.number]
            # some models write all that stands after the first hole, not the holes alone
            if sample.is_written.count(False) < start.holes[1:].count(False):
                num_kept = start.holes.index(True) + 1
                start = start.model_copy(
                    update={
                        name: getattr(start, name)[:num_kept] for name in ("ids", "pieces", "holes")
                    }
                )
            found.append(
                (
                    start.model_copy(update={"text": sample.text, "num_steps": len(steps)}),
                    steps,
                )
            )
        return found
