"""The metrics of attention, none of which says that more of it is better."""

from collections.abc import Mapping

from lmcompare.evaluation.metric import Metric

ENTROPY = Metric(
    name="attention_entropy", unit="nats", heading="entropy", lowest=0.0, pattern=".2f"
)
DISTANCE = Metric(
    name="attention_distance", unit="tokens", heading="distance", lowest=0.0, pattern=".1f"
)


def _share(name: str, heading: str) -> Metric:
    return Metric(
        name=f"attention_{name}",
        unit="share",
        heading=heading,
        lowest=0.0,
        highest=1.0,
        pattern=".1f",
        scale=100.0,
    )


METRICS: Mapping[str, Metric] = {  # by the name under which a record keeps them
    "entropy": ENTROPY,
    "entropy_share": _share("entropy_share", "of max"),
    "distance": DISTANCE,
    "left": _share("left", "left"),
    "right": _share("right", "right"),
    "self": _share("self", "self"),
    "first": _share("first", "first"),
}
ACCURACY = Metric(
    name="accuracy",
    unit="share",
    heading="accuracy",
    lowest=0.0,
    highest=1.0,
    better="higher",
    pattern=".1f",
    scale=100.0,
)
