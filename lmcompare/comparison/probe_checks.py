"""Gates of probes: what a score must exceed before it says something of a model's states."""

from collections.abc import Mapping, Sequence

from lmcompare.comparison import sanity_checks
from lmcompare.evaluation.probes.overlap import WHAT
from lmcompare.evaluation.probes.record import ProbeRecord
from lmcompare.stats.intervals import SIGNIFICANT, p_in_words
from lmcompare.stats.paired_bootstrap import BootstrapSample, Interval
from lmcompare.stats.significance import difference

UNTRAINED_BEATS = "untrained beats trained"
BELOW = "below {} baseline"
HIGH_CONTROL = "control too high"
NO_DEPTH = "no gain over the embedding"
FEW = "few examples"
TRAINED_ON = "sentences were trained on"

NEAR = 0.02  # of a share: a control that comes so close is as good as the task
FEWEST_EXAMPLES, FEWEST_SENTENCES = 100, 20
BASELINES: Mapping[str, str] = {  # what needs no model, in words
    "type": "the most frequent label of the word's type",
    "majority": "the most frequent label",
    "chain": "a tree in which each word hangs on its neighbour",
    "first word": "calling the first word the root",
}
_PAIRED = "by the 95% interval of the difference, paired over sentences and seeds"
# The flag that stands in a row, and what it means; the particulars stand below the row's block.
FLAGS: Mapping[str, str] = {
    UNTRAINED_BEATS: "the model as it started does better (the test of verdicts, at 0.05), so what "
    "the probe finds was not learned",
    sanity_checks.NO_GAIN: sanity_checks.FLAGS[sanity_checks.NO_GAIN],
    **{
        BELOW.format(name): f"no better than {words}, which needs no model ({_PAIRED})"
        for name, words in BASELINES.items()
    },
    HIGH_CONTROL: f"random labels of word types are learned as well (within {100 * NEAR:.0f} "
    f"points), or selectivity is not above 0 ({_PAIRED}), so the probe may do the work and not the "
    "states",
    NO_DEPTH: f"the best layer is no better than the embedding ({_PAIRED}), so the score says "
    "nothing of what the layers add",
    FEW: f"fewer than {FEWEST_EXAMPLES} test examples, or {FEWEST_SENTENCES} test sentences",
    TRAINED_ON: "some sentences stand in the text that the model was trained on, so what its "
    "states tell of these may be remembered",
}


def meaning(flag: str) -> str:
    """Return what a flag means."""
    return FLAGS.get(flag, f"no better than a baseline that needs no model ({_PAIRED})")


def beside_untrained(
    trained: BootstrapSample, untrained: BootstrapSample
) -> tuple[str, str] | None:
    """Return the flag of a model that is worse than it started, or no better; and how it does."""
    found = difference(trained.scores, untrained.scores)
    if found.value < 0 and found.p() < SIGNIFICANT:
        return UNTRAINED_BEATS, f"{_points(found.value)}, p {p_in_words(found.p())}"
    said = sanity_checks.learned_nothing(trained, untrained)
    return None if said is None else (sanity_checks.NO_GAIN, said)


def not_above(gain: Interval | None) -> str | None:
    """Return how a score does beside another of the same models, if it is not surely better."""
    if gain is None or gain.low > 0:
        return None
    return f"{100 * gain.value:+.1f} [{100 * gain.low:.1f}, {100 * gain.high:.1f}] points"


def control_too_high(selectivity: Interval | None) -> str | None:
    """Return the selectivity where the control comes close, or may be as high as the task."""
    if selectivity is None or (selectivity.value > NEAR and selectivity.low > 0):
        return None
    return f"selectivity {_points(selectivity.value)}"


def few_examples(records: Sequence[ProbeRecord]) -> str | None:
    """Return how many there are, if few."""
    examples = min(record.num_examples for record in records)
    sentences = min(record.num_items for record in records)
    if examples >= FEWEST_EXAMPLES and sentences >= FEWEST_SENTENCES:
        return None
    return f"{examples:,} examples in {sentences:,} sentences"


def trained_on(records: Sequence[ProbeRecord]) -> str | None:
    """Return how many sentences the models were trained on, if any; of several models the most."""
    most = max(record.counts.get(WHAT, 0) for record in records)
    return f"{most:,} sentences" if most else None


def _points(value: float) -> str:
    return f"{100 * value:+.1f} points"
