"""Free writing: what each objective writes behind the same prompts, how good, how varied, how dear.

The prompts are the beginnings of pieces of held-out documents, and each text is written to a fixed
length, so that no objective gains by stopping early. What stood behind a prompt in truth is
measured in the same way, as the reference: a figure says little by itself, and much beside that of
the text itself. Holtzman et al. 2020 (https://arxiv.org/abs/1904.09751) show why one needs both
quality and diversity; Caccia et al. 2020 (https://arxiv.org/abs/1811.02549) why over temperatures.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import islice, takewhile
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from lmcompare.data import Encoded, Split
from lmcompare.errors import Unsupported, UserError
from lmcompare.evaluation import heldout_text
from lmcompare.evaluation.generation.judge import Judge
from lmcompare.evaluation.generation.options import GenerationOptions
from lmcompare.evaluation.generation.record import (
    VERBATIM,
    GenerationItem,
    GenerationRecord,
    TextMetrics,
)
from lmcompare.evaluation.generation.settings import require_of, require_settings, ways_to_write
from lmcompare.evaluation.generation.text_metrics import has_bleu, occurring
from lmcompare.evaluation.generation.text_summary import figures
from lmcompare.evaluation.generation.throughput import write_and_measure
from lmcompare.evaluation.kind import not_measured_again
from lmcompare.evaluation.span_scoring import Span
from lmcompare.generation.prompts import Request, row_to_continue
from lmcompare.objectives.decoding.sampler import Sampler
from lmcompare.runs.loaded_model import Contestant, LoadedModel, opened

TOKENS_AT_ONCE = 2**20  # of the training text, so that a search in all of it takes constant memory


def measure_generation(
    contestant: Contestant,
    options: GenerationOptions,
    *,
    cache: Path,
    judge: Judge | None = None,
    report: Callable[[str, float], None] = lambda what, share: None,
    warn: Callable[[str], None] = lambda text: None,
) -> list[GenerationRecord]:
    """Have a model write, and keep what it wrote, what that is like and what it took.

    What was written before is not written again, and is judged again only by another judge.

    Args:
        contestant: a model, or a run, of which the last one is meant.
        options: after which texts, and what; `require` says whether it fits several runs.
        cache: folder of prepared corpora.
        judge: whose opinion is wanted.
        report: told the way and the share that is done, 0 to 1.
        warn: told of a damaged checkpoint that was passed over, and of a training text that is
            gone.

    Raises:
        UserError: as `require_of`; no checkpoint, an unreadable text, or none that is long enough.
    """
    if options.num_texts < 1:
        raise UserError(f"{options.num_texts} texts leave nothing to do: choose `texts=1` or more")
    require_settings(options)
    model = opened(contestant, device=options.device, batch_size=options.batch_size, warn=warn)
    require_of(model.path, model.length, options, judge=judge)
    pieces = _pieces(model, options, cache=cache, warn=warn)
    facts: dict[str, Any] = {
        "source": options.source,
        "text": _digest(pieces, options),
        "step": model.step,
        "prompt_tokens": options.prompt_tokens,
        "new_tokens": options.new_tokens,
    }
    before = {
        (each.method, each.sampler): each
        for each in not_measured_again(
            model.results, GenerationRecord, facts, again=options.again, warn=warn
        )
    }
    desk = _Desk(model=model, pieces=pieces, options=options, judge=judge, cache=cache, warn=warn)
    try:
        ways = ways_to_write(options, model.objective)
    except Unsupported as reason:
        # kept if it cannot write at all; that it has no such method is no result
        return [
            desk.nothing(facts, reason, keep=not options.methods, method=None, sampler=Sampler())
        ]
    results = []
    for method, sampler in ways:
        known = before.get((method, sampler))
        if known is not None and not _lacks(known, judge):
            results.append(known)
        else:
            results.append(desk.record(facts, known, report, method=method, sampler=sampler))
        report(method, 1.0)
    return results


def _lacks(known: GenerationRecord, judge: Judge | None) -> bool:
    """Tell whether more can be said of the texts than was."""
    if judge is not None and known.judge != judge.about:
        return True
    if judge is None and known.judge is not None:
        return False  # who said more than could be said now
    return known.num_texts > 1 and known.reference.self_bleu is None and has_bleu()


def _pieces(
    model: LoadedModel,
    options: GenerationOptions,
    *,
    cache: Path,
    warn: Callable[[str], None],
) -> list[Encoded]:
    length = options.prompt_tokens + options.new_tokens
    documents = heldout_text.documents(model, options, cache=cache, warn=warn)
    # what holds unknown tokens cannot be decoded, and so is no prompt and no reference
    found = heldout_text.pieces(documents, model.tokenizer, length, shortest=length)
    pieces = list(islice(found, options.num_texts))
    if not pieces:
        raise UserError(
            f"{options.source} has no document with {length} known tokens in a row to show the "
            "beginning of: choose another text with `data=` or `split=`, or fewer "
            "`prompt_tokens=` or `new_tokens=`"
        )
    return pieces


def _digest(pieces: Sequence[Encoded], options: GenerationOptions) -> str:
    border = np.array([options.prompt_tokens, options.new_tokens])
    return heldout_text.digest([border, *(piece.ids for piece in pieces)])


@dataclass(frozen=True, kw_only=True)
class _Desk:
    """A model, the pieces that it is shown the beginnings of, and who judges."""

    model: LoadedModel
    pieces: Sequence[Encoded]
    options: GenerationOptions
    judge: Judge | None
    cache: Path
    warn: Callable[[str], None]

    def nothing(
        self, facts: dict[str, Any], reason: Unsupported, *, keep: bool = True, **how: Any
    ) -> GenerationRecord:
        """Return why nothing was written."""
        record = self._blank(facts, **how).model_copy(update={"reason": str(reason)})
        if keep:
            return self.model.results.write(record, [])
        return record

    def record(
        self,
        facts: dict[str, Any],
        known: GenerationRecord | None,
        report: Callable[[str, float], None],
        *,
        method: str,
        sampler: Sampler,
    ) -> GenerationRecord:
        """Write, unless it is known what was written, and keep all that can be said of it."""
        how = {"method": method, "sampler": sampler}
        if known is not None and known.written is not None:
            items = self.model.results.items(known, GenerationItem)
            tokens, cost = [[*item.tokens] for item in items], known.cost
        else:
            vocab, num_new = self.model.tokenizer.vocab, self.options.new_tokens
            shown = [
                row_to_continue(piece.ids[: self._border].tolist(), num_new, vocab, prompt=number)
                for number, piece in enumerate(self.pieces)
            ]
            request = Request(prompts=(), sampler=sampler, method=method)
            try:
                tokens, cost = write_and_measure(
                    self.model, shown, request, report=partial(report, method)
                )
            except Unsupported as reason:
                return self.nothing(facts, reason, method=method, sampler=sampler)
        decode = self.model.tokenizer.decode
        texts = [
            # cut as the truth is, so that half a character of a prompt belongs to what follows
            _continued(truth.before, decode([*piece.ids[: self._border].tolist(), *written]))
            for truth, piece, written in zip(self._truth, self.pieces, tokens, strict=True)
        ]
        figures, each = self._figures(texts, [np.array(written) for written in tokens])
        record = self._blank(facts, **how).model_copy(update={"written": figures, "cost": cost})
        items = [
            GenerationItem(
                text=number,
                prompt=text.before,
                written=text.text,
                reference=truth.text,
                tokens=tuple(written),
                of_written=of_written,
                of_reference=of_reference,
            )
            for number, (text, truth, written, of_written, of_reference) in enumerate(
                zip(texts, self._truth, tokens, each, self._reference[1], strict=True)
            )
        ]
        return self.model.results.write(record, items)

    def _blank(self, facts: dict[str, Any], **how: Any) -> GenerationRecord:
        rest = np.concatenate([piece.ids[self._border :] for piece in self.pieces])
        unigram = heldout_text.unigram_nats(self.model.origin, self.model.tokenizer)
        return GenerationRecord(
            **facts,
            **how,
            arm=self.model.arm,
            seed=self.model.seed,
            num_texts=len(self.pieces),
            num_tokens=len(rest),
            num_bytes=sum(int(piece.bytes[self._border :].sum()) for piece in self.pieces),
            unigram_nats=None if unigram is None else float(unigram[rest].sum()),
            judge=None if self.judge is None else self.judge.about,
            reference=self._reference[0],
        )

    @property
    def _border(self) -> int:
        return self.options.prompt_tokens

    @cached_property
    def _truth(self) -> list[Span]:
        """Return what the pieces are."""
        decode = self.model.tokenizer.decode
        return [
            _continued(decode(piece.ids[: self._border]), decode(piece.ids))
            for piece in self.pieces
        ]

    @cached_property
    def _reference(self) -> tuple[TextMetrics, list[TextMetrics]]:
        return self._figures(self._truth, [piece.ids[self._border :] for piece in self.pieces])

    def _figures(
        self, texts: Sequence[Span], tokens: Sequence[Int[ndarray, " N"]]
    ) -> tuple[TextMetrics, list[TextMetrics]]:
        """Return the metrics of all texts together, and of each."""
        split = self._training_text
        return figures(
            [text.text for text in texts],
            copied=None if split is None else occurring(tokens, _stream(split), VERBATIM),
            verdicts=None if self.judge is None else self.judge.score(texts),
        )

    @cached_property
    def _training_text(self) -> Split | None:
        return heldout_text.training_text(
            self.model, cache=self.cache, warn=self.warn, what="what is verbatim in it"
        )


def _continued(prompt: str, whole: str) -> Span:
    """Return a text cut where a prompt ends, as far as it begins with it."""
    same = takewhile(lambda pair: pair[0] == pair[1], zip(prompt, whole, strict=False))
    border = sum(1 for _ in same)
    return Span(before=whole[:border], text=whole[border:])


def _stream(split: Split) -> Iterator[Int[ndarray, " N"]]:
    """Yield all tokens of a split, in parts."""
    for start in range(0, split.num_tokens, TOKENS_AT_ONCE):
        yield split.tokens[start : start + TOKENS_AT_ONCE].astype(np.int64)
