"""Find which runs are seeds of one arm, and what tells arms of one name apart."""

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path

from lmcompare.comparison.arms import Arm, Result
from lmcompare.comparison.wording import settings_of
from lmcompare.config.run import RunConfig


def group_arms(
    results: Iterable[Result], *, note: Callable[[str], None], judge_all: bool = False
) -> list[Arm]:
    """Put the seeds of an arm together, and nothing else.

    Runs of one name that differ in more than their seed become arms of distinguishable labels; of
    two runs of the same seed and configuration, which are not independent, the later one counts.

    Args:
        results: of runs.
        note: told what is left out, and what is kept apart.
        judge_all: rank what was trained elsewhere, too.
    """
    results = list(results)
    several = len({result.run.study for result in results}) > 1
    named: dict[str, dict[object, dict[int, Result]]] = {}
    for result in sorted(results, key=lambda each: (each.record.created, str(each.run.path))):
        name = f"{result.run.study}/{result.record.arm}" if several else result.record.arm
        name += "" if result.finished else " [unfinished]"
        seeds = named.setdefault(name, {}).setdefault(_variant(result), {})
        if result.seed in seeds:
            note(
                f"{seeds[result.seed].run.path} left out: {result.run.path} is a later run of "
                "the same seed and configuration"
            )
        seeds[result.seed] = result
    arms = []
    for name, variants in named.items():
        runs = [[seeds[seed] for seed in sorted(seeds)] for seeds in variants.values()]
        labels = [name] if len(runs) == 1 else [f"{name} [{tag}]" for tag in _tell_apart(runs)]
        arms += [
            Arm(
                label=label,
                results=each,
                judged=judge_all or each[0].record.imported is None,
            )
            for label, each in zip(labels, runs, strict=True)
        ]
        if len(runs) > 1:
            note(
                f"runs named {name} differ in more than their seed and are kept apart: "
                + ", ".join(labels)
            )
    return sorted(arms, key=lambda arm: arm.label)


def _variant(result: Result) -> object:
    """Return what is equal for runs that may be averaged once their seeds are known to differ."""
    record = result.record
    return (
        _folder(result),
        _identity(record.config.model_copy(update={"seed": 0})),
        record.config.init,
        record.sheet.text,
        record.sheet.tokenizer,
        record.text_hash,
        record.imported and record.imported.weights,
    )


@cache
def _identity(config: RunConfig) -> str:
    """Return the identity of a configuration; a thousand seeds of one have it found out once."""
    return config.identity


def _folder(result: Result) -> Path:
    """Return the study's folder: where the run is found, even if that links to another place."""
    return result.run.path.absolute().parent.resolve()


def _tell_apart(variants: Sequence[Sequence[Result]]) -> list[str]:
    """Return of each variant the fewest settings that tell it from the others, or else a number."""
    settings = [
        settings_of(runs[0].record) | {"folder": f"in {_folder(runs[0])}"} for runs in variants
    ]
    keys = [key for key in dict.fromkeys(key for each in settings for key in each)]
    differing = [key for key in keys if len({each.get(key) for each in settings}) > 1]
    tags = ["" for _ in settings]
    for num in range(1, len(differing) + 1):
        tags = [", ".join(each[key] for key in differing[:num] if key in each) for each in settings]
        if len(set(tags)) == len(tags):
            return tags
    return [f"{tag}, {number}".removeprefix(", ") for number, tag in enumerate(tags, start=1)]
