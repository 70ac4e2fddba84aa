"""The metrics of probes."""

from lmcompare.evaluation.metric import Metric

SCORE = Metric(
    name="score",
    unit="share",
    heading="score",
    lowest=0.0,
    highest=1.0,
    better="higher",
    pattern=".1f",
    scale=100.0,
)
POINTS = Metric(
    name="selectivity",
    unit="difference of shares",
    heading="selectivity",
    lowest=-1.0,
    highest=1.0,
    better="higher",
    pattern="+.1f",
    scale=100.0,
)
BITS = Metric(
    name="codelength",
    unit="bits",
    heading="codelength",
    lowest=0.0,
    better="lower",
    pattern="short",
)
COMPRESSION = Metric(
    name="compression", heading="compression", lowest=0.0, better="higher", pattern=".2f"
)
CENTER = Metric(name="center of gravity", unit="layer", heading="center", pattern=".1f")
CORRELATION = Metric(
    name="Spearman", heading="Spearman", lowest=-1.0, highest=1.0, better="higher", pattern="+.2f"
)
