"""Gates: what makes a result unusable, or fit to be read with care only, and why."""

from collections.abc import Iterator, Mapping, Sequence

from lmcompare.comparison.arms import Arm, Result
from lmcompare.evaluation.likelihood.record import LikelihoodRecord
from lmcompare.evaluation.tasks.record import TaskRecord
from lmcompare.stats.intervals import SIGNIFICANT, p_in_words
from lmcompare.stats.paired_bootstrap import BootstrapSample
from lmcompare.stats.significance import difference

OFF_CHANCE, NO_GAIN = "untrained off chance", "no gain"
BELOW_ANCHOR, UNSTEADY = "below unigram", "batch-dependent"
# The flag that stands in an arm's row, and what it means; the particulars stand after it.
FLAGS: Mapping[str, str] = {
    OFF_CHANCE: "the untrained model is off chance, so the examples themselves give something away "
    "(their lengths, for example): read the value beside the untrained one",
    NO_GAIN: "the trained model is no better than the untrained one (the test of verdicts, at "
    "0.05), so the value says nothing about training",
    BELOW_ANCHOR: "no better than the frequencies of tokens alone, so the run has learned nothing "
    "that shows",
    UNSTEADY: "some answers change with the examples that are asked together, so they say "
    "something about the batches",
}
FAR = 3.0  # standard errors between an untrained model and chance
# How many times the anchor of the run's own validation text that of another may be. Of a run on
# Python's documentation it is 0.9 to 1.0 times on its own splits, 1.3 on Python's code, 1.4 to 1.6
# on novels, the web, Wikipedia and Shakespeare, and 2.2 on German.
OTHER_DOMAIN = 1.2

_OWN = ("train", "validation", "test")


def gives_away(untrained: BootstrapSample, chance: float | None) -> str | None:
    """Return where a model stands that knows nothing, if it is off chance."""
    if chance is None:
        return None
    interval = untrained.interval
    if not interval.excludes(chance) or (
        abs(interval.value - chance) <= FAR * untrained.standard_error
    ):
        return None
    return f"{interval.value:.1%}"


def learned_nothing(trained: BootstrapSample, untrained: BootstrapSample) -> str | None:
    """Return how a trained model does beside itself as it started, if it does no better."""
    found = difference(trained.scores, untrained.scores)
    if found.value > 0 and found.p() < SIGNIFICANT:
        return None
    return f"{100 * found.value:+.1f} points, p {p_in_words(found.p())}"


def changes_alone(records: Sequence[TaskRecord]) -> str | None:
    """Return how many examples were answered in another way when asked by themselves, if any."""
    differ = sum(record.alone_differs for record in records)
    asked = sum(record.alone or 0 for record in records)
    return f"{differ} of {asked} examples" if differ else None


def below_anchor(arm: Arm) -> str | None:
    """Return where a run is no better than by the frequencies of tokens alone, if anywhere.

    The likelihood of a text tells, if the model was trained for that: of several ways to score one
    text the best, as a bound may be a loose one. A pseudo-likelihood is no likelihood, and of what
    was trained for something else little can be expected: then the loss on its own targets tells.
    """
    found: dict[str, list[int]] = {}
    for result in arm.results:
        best: dict[object, LikelihoodRecord] = {}
        for record in result.of(LikelihoodRecord):
            if (
                record.likelihood == "pseudo"
                or result.is_stale(record)
                or result.is_new(record, record.scoring)
            ):
                continue
            about = (record.source, record.text, record.window, record.stride)
            if about not in best or record.nats < best[about].nats:
                best[about] = record
        for record in best.values():
            anchor = record.unigram_bits_per_byte
            if anchor is not None and record.bits_per_byte >= anchor:
                bits = f"{record.bits_per_byte:.3f}, anchor {anchor:.3f}"
                found.setdefault(f"{record.source} {bits} bits/byte", []).append(result.seed)
        if not best and (said := _loss_above_unigram(result)) is not None:
            found.setdefault(said, []).append(result.seed)
    if not found:
        return None
    return "; ".join(
        f"seed {' '.join(map(str, dict.fromkeys(seeds)))}: {what}" for what, seeds in found.items()
    )


def _loss_above_unigram(result: Result) -> str | None:
    """Return how a run's validation loss is to the unigram of its own targets, if not below it."""
    if result.validation is None:
        return None
    unigram = result.unigram_of_targets
    if unigram is None or result.validation < unigram:
        return None
    return f"validation {result.validation:.3f}, unigram of its targets {unigram:.3f} nats a target"


def notes_on_likelihoods(arms: Sequence[Arm]) -> Iterator[str]:
    """Yield what is to be said below the table of likelihoods."""
    for arm in arms:
        below = below_anchor(arm)
        if below is not None:
            yield f"{arm.label}: {FLAGS[BELOW_ANCHOR]} ({below})"
    domains: dict[str, list[str]] = {}
    for arm in arms:
        for result in arm.results:
            for text, times in _other_domains(result).items():
                labels = domains.setdefault(f"{text} ({times:.2f} times", [])
                labels += [arm.label] if arm.label not in labels else []
    for text, labels in domains.items():
        yield (
            f"of another domain than the training text, by the unigram anchor: {text} that of the "
            f"validation text: {', '.join(labels)})"
        )


def _other_domains(result: Result) -> dict[str, float]:
    """Return texts with an anchor far above the validation text's, and how many times it is."""
    own = [each for each in result.of(LikelihoodRecord) if each.source == "validation"]
    if not own:
        return {}
    usual = max(own, key=lambda each: each.num_bytes).unigram_bits_per_byte
    found: dict[str, float] = {}
    for each in result.of(LikelihoodRecord):
        anchor = each.unigram_bits_per_byte
        if each.source not in _OWN and usual is not None and anchor is not None:
            times = anchor / usual
            if times > OTHER_DOMAIN:
                found[f"{each.source} {each.text_hash[:8]}"] = times
    return found
