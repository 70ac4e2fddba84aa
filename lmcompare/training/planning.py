"""Which runs are asked for, by a study file or by settings: where they lie, and what they need."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from lmcompare.config.phases import parse_phases
from lmcompare.config.study import Planned, plan, require_name
from lmcompare.errors import UserError
from lmcompare.files import name_of
from lmcompare.runs import training_text
from lmcompare.runs.places import EXPERIMENTS, study_folder
from lmcompare.training import memory
from lmcompare.training.boards.feeding import require_boards
from lmcompare.training.phases import require_steps
from lmcompare.training.start import suited_to_start

DEFAULT_STUDY = "default"


def planned_runs(
    file: Path | None,
    given: Mapping[str, Any],
    *,
    study: Path,
    arm: str | None = None,
    seeds: int | Sequence[int] | None = None,
    warn: Callable[[str], None],
) -> list[Planned]:
    """Return the runs of a study file, or those that settings ask for, one for each seed.

    Args:
        file: a study file; then no setting may be given.
        given: the tables of a configuration, None where one was left out; its `phase` may hold
            words, `clm:60%`.
        study: the folder of their study.
        arm: the name of the arm; that of the objective by default.
        seeds: of the runs; that of the configuration by default.
        warn: told of files that are not read, and of runs that have other defaults than new ones.

    Raises:
        UserError: no objective, bad settings, a phase without a step, or both a file and settings
            are given.
    """
    tables = {name: value for name, value in given.items() if value is not None}
    if not {"objective", "phase"}.intersection(tables) and file is None:
        raise UserError(
            'no objective is given: say objective="mlm", for example, or name a study file'
        )
    if "phase" in tables:
        tables["phase"] = parse_phases(tables["phase"])
    if "init" in tables:
        tables["init"] = str(tables["init"])
    tables = suited_to_start(tables, out=study.parent)
    wanted = seeds if seeds is None or isinstance(seeds, Iterable) else [seeds]
    planned = plan(file, tables, arm=arm, seeds=wanted, warn=warn)
    for each in planned:
        require_steps(each.config)
    return as_begun(planned, study=study, report=warn)


def folder_of(study: Path | None, *, name: str | None, out: Path = EXPERIMENTS) -> Path:
    """Return the folder that runs are trained in.

    Args:
        study: a study file, which gives the study its name.
        name: the name of the study of runs that are in no study file.
        out: the folder of all studies.

    Raises:
        UserError: both are given, or the name is not fit for a folder.
    """
    if study is None:
        return out / name_of(require_name(name or DEFAULT_STUDY))
    if name is not None:
        raise UserError(
            f"the study {study} has a name, that of its folder or file, and '{name}' is another: "
            "leave that out"
        )
    return study_folder(study, out=out)


def as_begun(
    planned: Iterable[Planned], *, study: Path, report: Callable[[str], None]
) -> list[Planned]:
    """Return runs under the defaults that their study was begun with.

    Args:
        planned: the runs.
        study: the folder of their study.
        report: told which runs have other defaults than new ones for it.
    """
    found, defaults = [], training_text.defaults_of(study)
    for each in planned:
        changed = _as_begun(each, study, defaults)
        version = changed.config.defaults
        if version != each.config.defaults:
            report(f"{each.arm}: {study} was begun with the defaults of version {version}")
        found.append(changed)
    return found


def _as_begun(planned: Planned, study: Path, defaults: int | None) -> Planned:
    """Do the same with one run, and with those that it starts from."""
    config = training_text.as_begun(planned.config, arm=planned.arm, study=study, defaults=defaults)
    start = None if planned.start is None else _as_begun(planned.start, study, defaults)
    return replace(planned, config=config, start=start)


def require_resources(
    planned: Iterable[Planned],
    *,
    study: Path,
    again: bool,
    at_once: int = 1,
    warn: Callable[[str], None],
) -> None:
    """Make sure that memory and boards are there for the runs that are not finished yet.

    Args:
        planned: the runs.
        study: the folder of their study.
        again: whether finished runs start again.
        at_once: how many of them are trained side by side.
        warn: told where memory is nearly short.

    Raises:
        UserError: memory is far too small, or a board cannot be written to.
    """
    left = [
        (each.arm, each.config)
        for each in planned
        if again
        or training_text.finished_without_text(each.config, arm=each.arm, study=study) is None
    ]
    if left:
        memory.require(left, at_once=at_once, warn=warn)
        require_boards({name for _, config in left for name in config.runtime.boards})
