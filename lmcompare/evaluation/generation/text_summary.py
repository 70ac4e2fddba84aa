"""Everything that is said of a set of texts, and of each of them alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import repeat

from jaxtyping import Bool
from numpy import ndarray

from lmcompare.evaluation.generation import text_metrics
from lmcompare.evaluation.generation.record import TextMetrics
from lmcompare.evaluation.span_scoring import SpanScore
from lmcompare.runs.records import LN2


def figures(
    texts: Sequence[str],
    *,
    copied: Sequence[Bool[ndarray, " K"]] | None,
    verdicts: Sequence[SpanScore] | None,
) -> tuple[TextMetrics, list[TextMetrics]]:
    """Return the metrics of all texts together, and of each.

    Args:
        texts: at least one.
        copied: of each, whether its runs of tokens stand in the training text; None: not known.
        verdicts: of each, what the judge says; None: there is none.
    """
    words = [text_metrics.words(text) for text in texts]
    columns = zip(
        texts,
        words,
        text_metrics.self_bleu(words) or repeat(None),
        repeat(None) if copied is None else copied,
        repeat(None) if verdicts is None else verdicts,
        strict=False,
    )
    counted = [
        _Counted(
            num_bytes=len(text.encode()),
            words=own,
            self_bleu=alike,
            copied=runs,
            verdict=verdict,
        )
        for text, own, alike, runs, verdict in columns
    ]
    return _together(counted), [_together([each]) for each in counted]


@dataclass(frozen=True, kw_only=True)
class _Counted:
    """What is known of one text."""

    num_bytes: int
    words: Sequence[str]
    self_bleu: float | None
    copied: Bool[ndarray, " K"] | None  # of each run of so many tokens
    verdict: SpanScore | None


def _together(texts: Sequence[_Counted]) -> TextMetrics:
    words = [text.words for text in texts]
    alike = [text.self_bleu for text in texts if text.self_bleu is not None]
    copied = [text.copied for text in texts if text.copied is not None]
    verdicts = [text.verdict for text in texts if text.verdict is not None]
    num_runs = sum(map(len, copied))
    distinct = [text_metrics.distinct(words, n) for n in (1, 2, 3)]
    return TextMetrics(
        num_bytes=sum(text.num_bytes for text in texts),
        num_words=sum(map(len, words)),
        entropy=text_metrics.entropy(words),
        distinct_1=distinct[0],
        distinct_2=distinct[1],
        distinct_3=distinct[2],
        distinct_2_error=text_metrics.standard_error(partial(text_metrics.distinct, n=2), words),
        repetition=text_metrics.repetition(words),
        self_bleu=sum(alike) / len(alike) if alike else None,
        verbatim=sum(int(each.sum()) for each in copied) / num_runs if num_runs else None,
        judge_nats=sum(each.nats for each in verdicts) if verdicts else None,
        judge_bytes=sum(each.num_bytes for each in verdicts) if verdicts else None,
        judge_error=text_metrics.standard_error(_bits_per_byte, verdicts),
    )


def _bits_per_byte(verdicts: Sequence[SpanScore]) -> float | None:
    num_bytes = sum(each.num_bytes for each in verdicts)
    return sum(each.nats for each in verdicts) / num_bytes / LN2 if num_bytes else None
