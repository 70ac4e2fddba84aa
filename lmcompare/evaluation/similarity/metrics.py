"""The metrics of similarity."""

from collections.abc import Mapping

from lmcompare.evaluation.metric import Metric
from lmcompare.evaluation.similarity.options import Measure

HEADINGS: Mapping[Measure, str] = {
    "cka": "CKA",
    "svcca": "SVCCA",
    "procrustes": "Procrustes",
    "neighbours": "neighbours",
    "rsa": "RSA",
}
METRICS: Mapping[Measure, Metric] = {
    name: Metric(
        name=f"{name}_similarity",
        heading=heading,
        lowest=-1.0 if name in ("cka", "rsa") else 0.0,
        highest=1.0,
    )
    for name, heading in HEADINGS.items()
}
