"""A study file: several arms and seeds that share everything but what is said to vary.

`[shared]` is a whole run; each `[[arm]]` sets its objective, and anything else it changes must be
named in its `varies`, so that nothing differs by accident.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lmcompare.config.run import RunConfig, parse_run, spelled_out
from lmcompare.data.corpus import not_read
from lmcompare.errors import UserError, did_you_mean
from lmcompare.parsing import brief, read_toml

_ARM_KEYS = {"name", "objective", "varies"}


@dataclass(frozen=True, kw_only=True)
class Planned:
    """One run of a study."""

    arm: str
    config: RunConfig


def read_study(path: Path) -> list[Planned]:
    """Return the runs of a study file, seed by seed, so that one cut short compares like with like.

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
    return planned


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
            Planned(arm=require_name(arm or each.objective.name), config=each) for each in configs
        ]
    for data in dict.fromkeys(each.config.data for each in planned):
        for sentence in not_read(data):
            warn(sentence)
    return planned


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
        objective = spelled_out("objective", arm.get("objective"))
        if not isinstance(objective, Mapping) or "name" not in objective:
            raise UserError(
                f'{path}: an arm has no objective: write objective = "mlm", for example'
            )
        try:
            name = require_name(str(arm.get("name", objective["name"])))
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
        yield name, {**_merged(shared, changes), "objective": objective}


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
