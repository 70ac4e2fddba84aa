"""Curves of several runs: which belong together, and what to know before they are compared."""

from collections.abc import Iterator, Sequence

from lmcompare.runs.curves import Curve, LearnedMetric


def cautions(curves: Sequence[Curve], metric: LearnedMetric) -> Iterator[str]:
    """Yield what must be known before curves are compared."""
    started = [(curve.record.arm, curve.record.start) for curve in curves]
    unknown = dict.fromkeys(arm for arm, start in started if start and start.spent is None)
    if unknown:
        yield (
            f"{', '.join(unknown)}: what was spent on the weights that it started from is not "
            "known, so that only what came on top is counted"
        )
    if metric == "common":
        left = dict.fromkeys(curve.record.arm for curve in curves if curve.given == "left")
        if left and any(curve.given == "both" for curve in curves):
            yield (
                f"{', '.join(left)}: given the left side of a hidden token only, which cannot be "
                "compared with answers from both sides"
            )
        if len({curve.question for curve in curves}) > 1:
            yield "not all were asked for the same tokens of the same texts: these do not compare"
    elif len({each.objective for curve in curves for each in curve.record.config.phases}) > 1:
        yield (
            f"objectives predict unlike things, so their {metric} does not compare between them: "
            "common does"
        )


def by_arm(curves: Sequence[Curve]) -> dict[str, list[Curve]]:
    """Return the curves of each arm by its name, with the study's before it if there are several.

    The arms stand in the order in which they come.
    """
    several = len({curve.run.study for curve in curves}) > 1
    arms: dict[str, list[Curve]] = {}
    for curve in curves:
        study = f"{curve.run.study}/" if several else ""
        arms.setdefault(f"{study}{curve.record.arm}", []).append(curve)
    return arms
