"""The metrics of what is written, and of what writing takes: each an entry, in their order.

To add one, compute it into `record.TextMetrics` (in `text_summary`) and enter it here: the tables
and the tidy frame follow.
"""

from collections.abc import Callable
from dataclasses import dataclass

from lmcompare.evaluation.generation.record import TextMetrics, WritingCost
from lmcompare.evaluation.metric import Metric


@dataclass(frozen=True, kw_only=True)
class TextMetric(Metric):
    """A metric of some texts together.

    Attributes:
        of: its value for texts of which there are so many; None where it has none.
        error_of: the standard error of that over texts, where it is known.
        in_comparison: whether it has a column in a comparison, and not only where it was measured.
    """

    of: Callable[[TextMetrics, int], float | None]
    error_of: Callable[[TextMetrics], float | None] | None = None
    in_comparison: bool = True


@dataclass(frozen=True, kw_only=True)
class CostMetric(Metric):
    """A metric of what writing took.

    Attributes:
        of: its value; None where the system does not say.
        brief: its heading in a comparison, where that is another.
    """

    of: Callable[[WritingCost], float | None]
    brief: str = ""


TEXT_METRICS: tuple[TextMetric, ...] = (
    TextMetric(
        name="judge_bits_per_byte",
        unit="bits/byte",
        heading="judge bits/byte",
        lowest=0.0,
        of=lambda texts, num: texts.judge_bits_per_byte,
        error_of=lambda texts: texts.judge_error,
    ),
    TextMetric(
        name="written_entropy",
        unit="bits/word",
        heading="entropy",
        lowest=0.0,
        pattern=".2f",
        of=lambda texts, num: texts.entropy,
    ),
    TextMetric(
        name="distinct_1",
        unit="share",
        heading="distinct-1",
        lowest=0.0,
        highest=1.0,
        of=lambda texts, num: texts.distinct_1,
        in_comparison=False,
    ),
    TextMetric(
        name="distinct_2",
        unit="share",
        heading="distinct-2",
        lowest=0.0,
        highest=1.0,
        of=lambda texts, num: texts.distinct_2,
        error_of=lambda texts: texts.distinct_2_error,
    ),
    TextMetric(
        name="distinct_3",
        unit="share",
        lowest=0.0,
        highest=1.0,
        of=lambda texts, num: texts.distinct_3,
    ),
    TextMetric(
        name="self_bleu",
        unit="share",
        heading="self-BLEU",
        lowest=0.0,
        highest=1.0,
        of=lambda texts, num: texts.self_bleu,
    ),
    TextMetric(
        name="repetition",
        unit="share",
        heading="repetition",
        lowest=0.0,
        highest=1.0,
        pattern=".1%",
        of=lambda texts, num: texts.repetition,
    ),
    TextMetric(
        name="verbatim",
        unit="share",
        heading="verbatim",
        lowest=0.0,
        highest=1.0,
        pattern=".1%",
        of=lambda texts, num: texts.verbatim,
    ),
    TextMetric(
        name="words_per_text",
        unit="words",
        heading="words/text",
        lowest=0.0,
        pattern=".1f",
        of=lambda texts, num: texts.num_words / num,
    ),
    TextMetric(
        name="bytes_per_text",
        unit="bytes",
        lowest=0.0,
        of=lambda texts, num: texts.num_bytes / num,
    ),
)

COST_METRICS: tuple[CostMetric, ...] = (
    CostMetric(
        name="passes_per_written_token",
        unit="passes/token",
        heading="passes/token",
        better="lower",
        of=lambda cost: cost.passes_per_token,
    ),
    CostMetric(
        name="flops_per_written_token",
        unit="operations/token",
        heading="FLOPs/token",
        better="lower",
        pattern="short",
        of=lambda cost: cost.flops_per_token,
    ),
    CostMetric(
        name="written_tokens_per_second",
        unit="tokens/second",
        heading="tokens/s alone",
        brief="tokens/s",
        better="higher",
        pattern=",.0f",
        of=lambda cost: cost.tokens_per_second,
    ),
    CostMetric(
        name="written_tokens_per_second_together",
        unit="tokens/second",
        heading="tokens/s together",
        brief="together",
        better="higher",
        pattern=",.0f",
        of=lambda cost: cost.tokens_per_second_together,
    ),
    CostMetric(
        name="first_token_seconds",
        unit="seconds",
        heading="first token, ms",
        better="lower",
        pattern=".1f",
        scale=1e3,
        of=lambda cost: cost.first_token_seconds,
    ),
    CostMetric(
        name="writing_memory",
        unit="bytes",
        heading="memory, MB",
        better="lower",
        pattern=",.0f",
        scale=1e-6,
        of=lambda cost: cost.peak_memory,
    ),
)
