"""A study file: several arms and seeds that share everything but what is said to vary.

`[shared]` is a whole run; each `[[arm]]` sets its objective, and anything else it changes must be
named in its `varies`, so that nothing differs by accident.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lmcompare.config.run import RunConfig, parse_run, spelled_out
from lmcompare.data.corpus import not_read
from lmcompare.errors import UserError, did_you_mean
from lmcompare.parsing import brief, read_toml

_ARM_KEYS = {"name", "objective", "phase", "init", "varies"}


@dataclass(frozen=True, kw_only=True)
class Planned:
    """One run of a study.

    Attributes:
        arm: its name in tables.
        config: the run in full.
        start: the run of another arm, of the same seed, whose weights it starts from.
    """

    arm: str
    config: RunConfig
    start: "Planned | None" = None

    @property
    def depth(self) -> int:
        """Return how many runs of its study must be finished, one after another, before it."""
        return 0 if self.start is None else 1 + self.start.depth


def read_study(path: Path) -> list[Planned]:
    """Return the runs of a study file, seed by seed, so that one cut short compares like with like.

    An arm that starts from another stands after it.

    Raises:
        UserError: unreadable, no valid TOML, an unknown key, or a difference that is not declared.
    """
    return parse_study(path, read_toml(path, what="the study"))


def parse_study(path: Path, tables: Mapping[str, Any]) -> list[Planned]:
    """Return the runs of what a study file says, or is to say.

    Raises:
        UserError: as `read_study`, but for what is no TOML.
    """
    for key in tables:
        if key not in {"shared", "arm"}:
            raise UserError(
                f"{path}: there is no table '{key}': {did_you_mean(key, ['shared', 'arm'])}"
            )
    shared, arms = tables.get("shared", {}), tables.get("arm", [])
    if not isinstance(shared, Mapping):
        raise UserError(
            f"{path}: shared is a table of settings, not {brief(shared)}: write [shared]"
        )
    if not isinstance(arms, list) or not arms or not all(isinstance(arm, Mapping) for arm in arms):
        raise UserError(f"{path} has no arm: add a table [[arm]] with an objective for each")
    if "objective" in shared:
        raise UserError(
            f"{path}: the objective is what arms differ in: move it from [shared] to [[arm]]"
        )
    seeds, shared = _seeds(path, shared)
    planned = [
        Planned(arm=name, config=_located(path, name, {**tables, "seed": seed}))
        for seed in seeds
        for name, tables in _arms(path, shared, arms)
    ]
    names = [each.arm for each in planned]
    if len(set(names)) * len(seeds) < len(names):
        raise UserError(f'{path}: two arms have the same name: give each its own with name = "..."')
    num = len(arms)
    return [
        each
        for first in range(0, len(planned), num)
        for each in _in_order(path, planned[first : first + num])
    ]


def plan(
    study: Path | None,
    tables: Mapping[str, Any],
    *,
    arm: str | None = None,
    seeds: Sequence[int] | None = None,
    warn: Callable[[str], None],
) -> list[Planned]:
    """Return the runs of a study file, or those of one configuration, one for each seed.

    Args:
        study: a study file; then nothing else may be given.
        tables: the configuration, as `parse_run` takes it.
        arm: the name of the arm; the objective's by default.
        seeds: of the runs; that of the configuration by default.
        warn: told which files of a folder are no text that is read.

    Raises:
        UserError: as `read_study` and `parse_run`, or both a study and settings are given.
    """
    if study is not None:
        if tables or seeds or arm:
            raise UserError(
                f"the study {study} says all of its runs itself, and other settings were given "
                "beside it: write them into its [shared] table"
            )
        planned = read_study(study)
    else:
        given = [{**tables, "seed": seed} for seed in dict.fromkeys(seeds or ())]
        configs = [parse_run(each) for each in given or [{**tables}]]
        planned = [
            Planned(arm=require_name(arm or _name_of(each)), config=each) for each in configs
        ]
    for data in dict.fromkeys(each.config.data for each in planned):
        for sentence in not_read(data):
            warn(sentence)
    return planned


def _name_of(config: RunConfig) -> str:
    return "-".join(each.objective.name for each in config.phases)


def require_name(name: str) -> str:
    """Return the name, of an arm or a study, which becomes that of a folder.

    Raises:
        UserError: it is not fit for that.
    """
    if not re.fullmatch(r"\w[\w.-]*", name):
        raise UserError(
            f"'{name}' is no name for an arm or a study: use letters, digits, - _ and ., and begin "
            "with a letter or a digit"
        )
    return name


def _seeds(path: Path, shared: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """Return the seeds of a study, and what its arms share beside them."""
    rest = {key: value for key, value in shared.items() if key not in {"seed", "seeds"}}
    if "seed" in shared and "seeds" in shared:
        raise UserError(f"{path}: [shared] has both seed and seeds: leave one of them out")
    seeds = shared.get("seeds", [shared.get("seed", 0)])
    listed = isinstance(seeds, list) and bool(seeds)
    if not listed or len({brief(seed) for seed in seeds}) < len(seeds):
        raise UserError(
            f"{path}: seeds is a list of different numbers, such as [0, 1, 2], not {brief(seeds)}"
        )
    return seeds, rest


def _arms(
    path: Path, shared: Mapping[str, Any], arms: list[Mapping[str, Any]]
) -> Iterator[tuple[str, dict[str, Any]]]:
    for arm in arms:
        trained = _trained_by(path, arm)
        try:
            name = require_name(str(arm.get("name", _usual_name(trained))))
        except UserError as error:
            raise UserError(f"{path}: {error}") from None
        changes = {key: value for key, value in arm.items() if key not in _ARM_KEYS}
        if "seed" in changes or "seeds" in changes:
            raise UserError(f"{path}: the arm {name} has seeds of its own: set them in [shared]")
        varies = arm.get("varies", [])
        if not isinstance(varies, list):
            raise UserError(
                f"{path}: varies of the arm {name} is a list of settings, such as "
                f'["model.layers"], not {brief(varies)}'
            )
        for key in _dotted(changes):
            if not any(key == declared or key.startswith(f"{declared}.") for declared in varies):
                raise UserError(
                    f"{path}: the arm {name} changes {key}, so it would differ in more than its "
                    f'objective: take it out, or say so with varies = ["{key}"]'
                )
        yield name, {**_merged(shared, changes), **trained}


def _trained_by(path: Path, arm: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an arm is trained by, and from: its objective or phases, and where it starts."""
    found = {key: arm[key] for key in ("phase", "init") if key in arm}
    objective = spelled_out("objective", arm.get("objective"))
    if "phase" in arm:
        if objective is not None:
            raise UserError(
                f"{path}: an arm has both an objective and phases: leave the objective out, which "
                "is that of the last phase"
            )
        return found
    if not isinstance(objective, Mapping) or "name" not in objective:
        raise UserError(f'{path}: an arm has no objective: write objective = "mlm", for example')
    return {"objective": objective, **found}


def _usual_name(trained: Mapping[str, Any]) -> str:
    """Return what an arm is called that has no name: by its objective, or those of its phases."""
    phases = trained.get("phase", [trained])
    parts = phases if isinstance(phases, list) else []
    objectives = [
        spelled_out("objective", each.get("objective"))
        for each in parts
        if isinstance(each, Mapping)
    ]
    names = [
        str(each["name"]) for each in objectives if isinstance(each, Mapping) and "name" in each
    ]
    return "-".join(names) or "phases"


def _in_order(path: Path, planned: Sequence[Planned]) -> list[Planned]:
    """Return the runs of a seed, each after the one whose weights it starts from."""
    named = {each.arm: each for each in planned}
    found: dict[str, Planned] = {}

    def add(each: Planned, waiting: tuple[str, ...]) -> Planned:
        if each.arm in waiting:
            raise UserError(
                f"{path}: the arm {each.arm} starts from itself, by way of "
                f"{', '.join(waiting)}: let one of them start anew, without init"
            )
        if each.arm not in found:
            other = named.get(each.config.init or "")
            start = None if other is None else add(other, (*waiting, each.arm))
            found[each.arm] = replace(each, start=start)
        return found[each.arm]

    for each in planned:
        add(each, ())
    return list(found.values())


def _located(path: Path, arm: str, tables: Mapping[str, Any]) -> RunConfig:
    try:
        return parse_run(tables)
    except UserError as error:
        raise UserError(f"{path}, arm {arm}: {error}") from None


def _dotted(tables: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in tables.items():
        if isinstance(value, Mapping):
            yield from _dotted(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


def _merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in changes.items():
        inner = spelled_out(key, merged.get(key))
        both = isinstance(value, Mapping) and isinstance(inner, Mapping)
        merged[key] = _merged(inner, value) if both else value
    return merged
