"""Tell whether what a model writes greedily after a text is a given one."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from lmcompare.data import Tokenizer
from lmcompare.evaluation.span_scoring import Span
from lmcompare.generation.prompts import (
    Request,
    TextWithHoles,
    batches,
    fill_request,
    row_to_continue,
)
from lmcompare.objectives.decoding.fill_request import DecodeStep
from lmcompare.objectives.decoding.sampler import Sampler
from lmcompare.runs.loaded_model import LoadedModel

ROWS_AT_ONCE = 32
_PART_OF_A_CHARACTER = "\N{REPLACEMENT CHARACTER}"


def writes(model: LoadedModel, spans: Sequence[Span]) -> list[bool]:
    """Tell of each span whether a model that writes as many tokens greedily writes just that.

    White space at its ends does not count.

    Args:
        model: the model.
        spans: each at the end of a text that fits into the rows of training.

    Raises:
        Unsupported: its objective does not write the end of a text.
    """
    tokenizer, vocab = model.tokenizer, model.tokenizer.vocab
    wholes = tokenizer.encode([span.before + span.text for span in spans])
    rows = []
    for number, (span, whole) in enumerate(zip(spans, wholes, strict=True)):
        kept = int((whole.bytes.cumsum() <= len(span.before.encode())).sum())
        shown = whole.ids[:kept].tolist()
        rows.append(row_to_continue(shown, max(1, len(whole) - kept), vocab, prompt=number))
    request = Request(prompts=(), sampler=Sampler(greedy=True))
    found = [False] * len(spans)
    for batch in batches(rows, ROWS_AT_ONCE):
        texts = [_Text.of(row, tokenizer, spans[row.prompt].text) for row in batch]
        watched = replace(
            fill_request(batch, request, vocab), should_stop=_Watch(texts).all_are_wrong
        )
        written = model.objective.fill(model.net, watched, vocab)
        for number, (row, text) in enumerate(zip(batch, texts, strict=True)):
            new = [token for _, token in written.in_order(number)]
            found[row.prompt] = text.after(new).strip() == text.wanted
    return found


@dataclass(frozen=True)
class _Text:
    """A text that is continued, and how it should go on."""

    shown: list[int]
    length: int  # characters that are shown
    wanted: str
    tokenizer: Tokenizer

    @staticmethod
    def of(row: TextWithHoles, tokenizer: Tokenizer, wanted: str) -> "_Text":
        shown = row.tokens[1 : len(row.tokens) - sum(row.holes)]
        return _Text(shown, len(tokenizer.decode(shown)), wanted.strip(), tokenizer)

    def after(self, written: list[int]) -> str:
        """Return what was written, as text."""
        return self.tokenizer.decode([*self.shown, *written])[self.length :]

    def can_become(self, written: list[int]) -> bool:
        """Tell whether what was written so far begins what is wanted."""
        said = self.after(written)
        whole = said.rstrip(_PART_OF_A_CHARACTER)
        if not self.wanted.startswith(whole.strip()):
            return False
        return said == whole or not self.wanted[len(whole.lstrip()) :][:1].isascii()


@dataclass(frozen=True)
class _Watch:
    """Ends the writing of a batch from left to right where no text can become the wanted one."""

    texts: list[_Text]
    written: dict[int, list[int]] = field(default_factory=dict)
    wrong: set[int] = field(default_factory=set)

    def all_are_wrong(self, step: DecodeStep) -> bool:
        """Tell whether there is no use in writing on."""
        for row, token in zip(step.row.tolist(), step.token.tolist(), strict=True):
            if row not in self.wrong:
                so_far = self.written.setdefault(row, [])
                so_far.append(token)
                if not self.texts[row].can_become(so_far):
                    self.wrong.add(row)
        return len(self.wrong) == len(self.texts)


def fitting(model: LoadedModel, span: Span) -> Span:
    """Return the end of a text with as much before it as fits into the rows of training."""
    before, text = model.tokenizer.encode([span.before, span.text])
    room = model.length - 1 - len(text)
    if len(before) <= room:
        return span
    return replace(span, before=model.tokenizer.decode(before.ids[len(before) - room + 1 :]))
