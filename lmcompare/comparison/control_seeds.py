"""What every seed has another value of: compared between the arms that share a seed."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from lmcompare.comparison.arms import Arm, Result

_SeedRuns = Mapping[int, Sequence[tuple[str, Result]]]  # the labelled runs of each seed
Found = tuple[bool, dict[str, list[str]]]  # whether it is equal, and what was found in which arms


def orders(arms: Sequence[Arm]) -> Found | None:
    """Return in which order they read their text; None of a single arm."""
    return _within_seeds(arms, _orders)


def weights(arms: Sequence[Arm]) -> Found | None:
    """Return from which weights they started, where they share parameters; None of a single arm."""
    return _within_seeds(arms, _weights)


def seeds(arms: Sequence[Arm]) -> Found | None:
    """Return which seeds they have; None of no arm."""
    found: dict[str, list[str]] = {}
    for arm in arms:
        found.setdefault(" ".join(str(each.seed) for each in arm.results), []).append(arm.label)
    return (len(found) == 1, found) if found else None


def _within_seeds(arms: Sequence[Arm], check: Callable[[_SeedRuns], Found]) -> Found | None:
    if len(arms) < 2:
        return None
    by_seed: dict[int, list[tuple[str, Result]]] = {}
    for arm in arms:
        for result in arm.results:
            by_seed.setdefault(result.seed, []).append((arm.label, result))
    shared = {seed: runs for seed, runs in sorted(by_seed.items()) if len(runs) > 1}
    paired = {label for runs in shared.values() for label, _ in runs}
    alone = [arm.label for arm in arms if arm.label not in paired]
    equal, found = check(shared) if shared else (True, {})
    if alone:
        found = {} if equal else found
        equal, found = False, found | {"no seed in common with the others": alone}
    return equal, found


def _orders(seeds: _SeedRuns) -> Found:
    """Return them by what was read up to the last step that all runs of a seed kept, and by plan.

    What is not known to have been read in some order was at least to be read in it.
    """
    found: dict[str, list[str]] = {}
    known: list[str] = []
    for seed, runs in seeds.items():
        found = {}
        step, is_end = _last_in_common([result for _, result in runs])
        for label, result in runs:
            read = "" if step is None or result.read is None else result.read[step]
            order = f"{result.record.sheet.order[:8]} {read[:8]}".strip()
            upto = "" if is_end or step is None else f" up to step {step:,}"
            found.setdefault(f"{order} in seed {seed}{upto}", []).append(label)
        if len(found) > 1:
            return False, found
        if step is None:
            known.append("as planned: what was read is not kept of all")
        else:
            known.append("as read" if is_end else f"as read up to step {step:,}, then as planned")
    words = "within each seed" + "".join(f", {each}" for each in dict.fromkeys(known))
    return True, {words: [label for labels in found.values() for label in labels]}


def _last_in_common(results: Sequence[Result]) -> tuple[int | None, bool]:
    """Return the last step up to which all runs tell what they read, and whether all end there.

    Runs that read nothing in common have step None: of them the plan alone is compared.
    """
    marks = [{} if result.read is None else result.read for result in results]
    step = max(set.intersection(*(set(each) for each in marks)), default=None)
    return step, all(result.spent.steps == step for result in results)


def _weights(seeds: _SeedRuns) -> Found:
    """Return them by parameter, over the names that two arms share; arms that agree together."""
    labels = sorted({label for runs in seeds.values() for label, _ in runs})
    sheets = {(label, seed): result for seed, runs in seeds.items() for label, result in runs}
    found: dict[str, list[str]] = {}
    for label in labels:
        unlike: list[str] = []
        for words, others in found.items():
            conflicts = [
                conflict
                for other in others
                if (conflict := _conflict(sheets, seeds, label, other)) is not None
            ]
            if not conflicts:
                found[words].append(label)
                break
            unlike += conflicts
        else:
            words = unlike[0] if unlike else f"as those of {label}"
            found.setdefault(words, []).append(label)
    if len(found) > 1:
        return False, found
    names = [set(result.record.sheet.weights) for result in sheets.values()]
    shared = set.intersection(*names)
    all_shared = all(each == shared for each in names)
    words = f"all {len(shared)} parameters" if all_shared else f"where shared, {len(shared)} by all"
    return True, {f"{words}, within each seed": labels}


def _conflict(
    sheets: Mapping[tuple[str, int], Result], seeds: Iterable[int], one: str, two: str
) -> str | None:
    """Return how the initial weights of two arms differ, if they do in a seed that both have."""
    for seed in seeds:
        if (one, seed) in sheets and (two, seed) in sheets:
            ours, theirs = (sheets[arm, seed].record.sheet.weights for arm in (one, two))
            shared = [name for name in ours if name in theirs]
            differing = [name for name in shared if ours[name] != theirs[name]]
            if not shared:
                return f"no parameter in common with {two}"
            if differing:
                num = f"{len(differing)} of {len(shared)} shared parameters"
                return f"{num} unlike those of {two}, {differing[0]} first"
    return None
