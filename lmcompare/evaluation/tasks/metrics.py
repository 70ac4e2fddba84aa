"""The metrics of benchmarks."""

from lmcompare.evaluation.metric import Metric, unknown

CHANCE = "chance"


def _share(name: str) -> Metric:
    """Return a metric that is a share of 1, of which more is better."""
    return Metric(
        name=name,
        unit="share",
        heading=name,
        lowest=0.0,
        highest=1.0,
        better="higher",
        pattern=".1%",
    )


METRICS: dict[str, Metric] = {name: _share(name) for name in ("accuracy", "F1")}


def metric_of(name: str) -> Metric:
    """Return the metric of a name; one that this version does not know is shown as unknown."""
    return METRICS.get(name) or unknown(name)
