"""The metrics of context use."""

from collections.abc import Mapping

from lmcompare.evaluation.context.record import Side
from lmcompare.evaluation.metric import Metric

GAIN: Mapping[Side, Metric] = {
    "left": Metric(name="context_left", unit="nats/token", heading="nats left"),
    "right": Metric(name="context_right", unit="nats/token", heading="nats right"),
}
LENGTH: Mapping[Side, Metric] = {
    "left": Metric(
        name="effective_context_left", unit="tokens", heading="95% left", lowest=0.0, pattern=".1f"
    ),
    "right": Metric(
        name="effective_context_right",
        unit="tokens",
        heading="95% right",
        lowest=0.0,
        pattern=".1f",
    ),
}
STATES: Mapping[Side, Metric] = {
    "left": Metric(
        name="state_change_left", unit="cosine distance", heading="state left", lowest=0.0
    ),
    "right": Metric(
        name="state_change_right", unit="cosine distance", heading="state right", lowest=0.0
    ),
}
GRADIENT = Metric(
    name="gradient_share_right",
    unit="share",
    heading="gradient right",
    lowest=0.0,
    highest=1.0,
    pattern=".1%",
)
