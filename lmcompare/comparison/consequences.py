"""Say what differs between arms because of their objectives: layers, and the cost of phases."""

from collections.abc import Sequence

from lmcompare.comparison.arms import Arm
from lmcompare.comparison.control import ControlCheck
from lmcompare.comparison.wording import amounts

DEPTH, PHASES = "depth", "phases"


def depths(arms: Sequence[Arm]) -> ControlCheck | None:
    """Return the layers of each arm, encoder + decoder, if some have an encoder."""
    found: dict[str, list[str]] = {}
    for arm in arms:
        if arm.elsewhere:
            continue  # what an objective brought is known of our backbone alone
        model = arm.results[0].record.config.model
        encoder = f"{model.encoder_layers} + " if model.encoder_layers else ""
        found.setdefault(f"{encoder}{model.depth}", []).append(arm.label)
    if len(found) < 2 or not any("+" in depth for depth in found):
        return None
    return ControlCheck(name=DEPTH, equal=False, found=found)


def phases(arms: Sequence[Arm]) -> ControlCheck | None:
    """Return what each phase of each arm took, if some have phases; of the first seed."""
    found: dict[str, list[str]] = {}
    for arm in arms:
        if own := arm.results[0].spent_in_phases:
            words = ", then ".join(f"{phase} {amounts(spent)}" for phase, spent in own)
            found.setdefault(words, []).append(arm.label)
    return ControlCheck(name=PHASES, equal=False, found=found) if found else None
