"""How probable a model finds parts of texts, in the way that its objective answers legitimately.

A part is given by what stands before and behind it. Texts longer than a model was trained on are
read in windows that overlap by half.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool
from numpy import ndarray

from lmcompare.data import Encoded
from lmcompare.errors import Unsupported
from lmcompare.evaluation import heldout_text
from lmcompare.evaluation.windows import Window, stack, windows
from lmcompare.objectives import Objective, Question
from lmcompare.runs.loaded_model import LoadedModel

TOKENS_AT_ONCE = 8_192  # of one batch; bounds memory, changes no result
ABOUT_AS_LONG = 4  # tokens by which rows may differ that are sorted by how they begin


@dataclass(frozen=True, kw_only=True)
class Span:
    """A part of a text, and what stands around it."""

    text: str
    before: str = ""
    behind: str = ""

    @property
    def question(self) -> Question:
        """Return what is asked of an objective."""
        return "holes" if self.behind else "continuation" if self.before else "text"


@dataclass(frozen=True, kw_only=True)
class SpanScore:
    """Minus the log-probability of a part, and how much of it was scored.

    Unknown tokens are not, and neither is a token that stands on both sides of its border.
    """

    nats: float
    num_tokens: int
    num_bytes: int


def choose_scoring(model: LoadedModel, parts: Sequence[Span]) -> str:
    """Return the scoring that answers about all of these.

    It is the first of the objective's that does; those that can make use of both sides before those
    that cannot, those that are sampled last, and none that weighs the whole
    vocabulary for each token.

    Raises:
        Unsupported: there is none.
    """
    objective, question = model.objective, _question(parts)
    ways = scorings_for(objective, question)
    if not ways and question == "continuation":
        ways = scorings_for(objective, "holes")  # the end of a text is one
    if not ways:
        objective.choose_scoring(None, question)
    # what a way cannot do it says of the part of most tokens, and so of this one alone
    longest = max(parts, key=lambda part: len(part.text))
    reasons = []
    for name in ways:
        try:
            score_spans(model, [longest], name)
        except Unsupported as reason:
            reasons.append(str(reason))
        else:
            return name
    raise Unsupported("; ".join(reasons) or f"{objective.name} is too slow at a {question}")


def _question(parts: Sequence[Span]) -> Question:
    questions = {part.question for part in parts}
    return next(each for each in ("holes", "continuation", "text") if each in questions)


def scorings_for(objective: Objective, question: Question) -> list[str]:
    """Return the scorings that answer a question in few passes, the best first.

    Those that can make use of both sides of a hole stand before those that cannot, and those that
    are sampled last.
    """
    able = {
        name: how
        for name, how in objective.scorings.items()
        if question in how.answers and not how.any_length and not how.weighs_all
    }
    left_last = question == "holes"  # else there is nothing on the right
    return sorted(
        able, key=lambda name: (left_last and able[name].given == "left", able[name].sampled)
    )


def score_spans(
    model: LoadedModel,
    parts: Sequence[Span],
    scoring: str,
    *,
    report: Callable[[float], None] = lambda share: None,
) -> list[SpanScore]:
    """Return how probable a model finds each part, given what stands around it.

    Where a score sees the left side only, what stands behind a part is asked for with it: then
    parts compare that stand in the same place, as the probabilities of the whole do.

    Args:
        model: the model.
        parts: of texts; results do not depend on which are asked together.
        scoring: one that answers about them.
        report: told the share that is done, 0 to 1.

    Raises:
        Unsupported: it does not.
    """
    tokenizer, how = model.tokenizer, model.objective.scorings[scoring]
    texts = [part.before + part.text + part.behind for part in parts]
    documents = tokenizer.encode(texts)
    wanted = [
        _inside(part, document, to_the_end=how.given == "left")
        & heldout_text.is_text(document, tokenizer)
        for part, document in zip(parts, documents, strict=True)
    ]
    length = model.length - 1
    rows = [
        window
        for number, document in enumerate(documents)
        if wanted[number].any()
        for window in windows(
            number,
            len(document),
            length=length,
            stride=max(1, length // 2),
            both_sides=how.given == "both",
        )
        if wanted[number][window.first : window.last].any()
    ]
    rows.sort(key=lambda window: _neighbourhood(window, documents, how.given), reverse=True)
    nats, start = [0.0] * len(parts), 0
    while start < len(rows):
        size = max(1, TOKENS_AT_ONCE // (1 + rows[start].stop - rows[start].start))
        batch = rows[start : start + size]
        for number, cost in _score(model, batch, documents, wanted, scoring):
            nats[number] += cost
        start += size
        report(min(1.0, start / len(rows)))
    return [
        SpanScore(
            nats=each, num_tokens=int(which.sum()), num_bytes=int(document.bytes[which].sum())
        )
        for each, document, which in zip(nats, documents, wanted, strict=True)
    ]


def _neighbourhood(
    window: Window, documents: list[Encoded], given: Literal["left", "both"]
) -> tuple[int, bytes]:
    """Return what to sort by: rows of a batch are about as long, and begin alike to save work.

    What sees the left side only is computed once for all rows that begin alike.
    """
    length = window.stop - window.start
    if given == "both":
        return length, b""
    ids = documents[window.document].ids[window.start : window.stop]
    return length // ABOUT_AS_LONG, ids.astype(">i4").tobytes()


def _score(
    model: LoadedModel,
    batch: list[Window],
    documents: list[Encoded],
    wanted: list[Bool[ndarray, " _"]],
    scoring: str,
) -> list[tuple[int, float]]:
    text, score_mask = stack(batch, documents, model.tokenizer.vocab)
    may = np.zeros(score_mask.shape, dtype=bool)
    for row, window in enumerate(batch):
        shown = wanted[window.document][window.start : window.stop]
        may[row, 1 : 1 + len(shown)] = shown
    log_prob, _ = model.log_prob(text, score_mask & torch.from_numpy(may), scoring)
    return [
        (window.document, -float(each))
        for window, each in zip(batch, log_prob.sum(1).tolist(), strict=True)
    ]


def _inside(part: Span, document: Encoded, *, to_the_end: bool) -> Bool[ndarray, " N"]:
    """Tell which tokens are the part's: those that lie in it; without bytes, as the last."""
    if not part.before and (to_the_end or not part.behind):
        return np.ones(len(document), dtype=bool)
    stops = document.bytes.cumsum()
    starts = stops - document.bytes
    first = len(part.before.encode())
    last = int(stops[-1]) if to_the_end and len(document) else first + len(part.text.encode())
    inside: ndarray = (starts >= first) & (stops <= last)
    # what has no bytes of its own belongs to the token before it
    empty = (document.bytes == 0) & (np.arange(len(document)) > 0)
    for index in np.flatnonzero(empty):
        inside[index] = inside[index - 1]
    return inside
