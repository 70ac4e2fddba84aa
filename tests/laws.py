"""Whether what was drawn follows the law that it should."""

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping

from scipy.stats import chi2

RARE = 5.0  # outcomes expected more rarely are counted as one: the statistic's law fails for them


def assert_follows(drawn: Iterable[Hashable], law: Mapping[Hashable, float]) -> None:
    """Pearson's test of what was drawn against its probabilities, which add up to 1."""
    counts = Counter(drawn)
    assert abs(sum(law.values()) - 1) < 1e-4
    impossible = [outcome for outcome in counts if law.get(outcome, 0.0) == 0]
    assert not impossible, f"drawn, though of probability 0: {impossible[:3]}"
    total = sum(counts.values())
    often = [outcome for outcome, share in law.items() if share * total >= RARE]
    found = [float(counts[outcome]) for outcome in often]
    expected = [law[outcome] * total for outcome in often]
    rest = total - sum(expected)
    if rest >= RARE:
        found, expected = [*found, total - sum(found)], [*expected, rest]
    assert len(found) > 1, "more draws are needed"
    statistic = sum((one - two) ** 2 / two for one, two in zip(found, expected, strict=True))
    chance = chi2.sf(statistic, len(found) - 1)
    assert chance > 1e-3, f"{statistic:.1f} with {len(found) - 1} degrees of freedom: {chance:.1e}"
