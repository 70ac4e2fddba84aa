"""The metrics of speed."""

from lmcompare.evaluation.generation.record import ROWS_TOGETHER
from lmcompare.evaluation.metric import Metric

ALONE = Metric(
    name="speed_alone",
    unit="tokens/second",
    heading="tokens/s",
    lowest=0.0,
    better="higher",
    pattern="short",
)
TOGETHER = Metric(
    name="speed_together",
    unit="tokens/second",
    heading=f"tokens/s of {ROWS_TOGETHER}",
    lowest=0.0,
    better="higher",
    pattern="short",
)
PASSES = Metric(
    name="speed_passes_per_token",
    unit="passes/token",
    heading="passes/token",
    lowest=0.0,
    better="lower",
    pattern=".2f",
)
READING = Metric(
    name="speed_reading",
    unit="texts/second",
    heading="texts/s read",
    lowest=0.0,
    better="higher",
    pattern="short",
)
METRICS = (ALONE, TOGETHER, PASSES, READING)
