"""The metrics of geometry, each of one layer."""

from lmcompare.evaluation.metric import Metric

ANISOTROPY = Metric(name="anisotropy", heading="cosine", lowest=-1.0, highest=1.0, pattern=".3f")
CENTERED = Metric(
    name="centered_anisotropy", heading="less\nmean", lowest=-1.0, highest=1.0, pattern="+.3f"
)
EFFECTIVE_RANK = Metric(
    name="effective_rank", unit="dimensions", heading="effective\nrank", lowest=1.0, pattern=".1f"
)
PARTICIPATION = Metric(
    name="participation_ratio",
    unit="dimensions",
    heading="partici-\npation",
    lowest=1.0,
    pattern=".1f",
)
NORM = Metric(name="mean_norm", heading="norm", lowest=0.0, pattern=".3g")
METRICS = (ANISOTROPY, CENTERED, EFFECTIVE_RANK, PARTICIPATION, NORM)
