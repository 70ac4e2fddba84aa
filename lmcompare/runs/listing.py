"""Runs as rows of a list: what is known of each, and which of them are asked for."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from lmcompare.config.run import RunConfig, assign, known_keys, parse_run
from lmcompare.errors import UserError, did_you_mean
from lmcompare.objectives import OBJECTIVES
from lmcompare.runs import checkpoints
from lmcompare.runs.metrics_file import MetricsFile
from lmcompare.runs.records import MetricsLine, RunRecord
from lmcompare.runs.run import Run

ListedState = Literal["finished", "running", "stopped", "empty", "broken"]
# each word that states are asked for by
STATES: Mapping[str, frozenset[ListedState]] = {
    "finished": frozenset({"finished"}),
    "unfinished": frozenset({"running", "stopped", "empty"}),
    "running": frozenset({"running"}),
    "stopped": frozenset({"stopped"}),
    "broken": frozenset({"broken"}),
}


@dataclass(frozen=True, kw_only=True)
class ListedRun:
    """What is known of a run; of a broken one, where it is and what is wrong."""

    run: str
    study: str
    arm: str | None = None
    objective: str | None = None  # of phases all, in their order
    seed: int | None = None
    state: ListedState = "broken"
    step: int | None = None
    share: float | None = None  # of the budget
    loss: float | None = None  # nats a target
    validation: float | None = None  # nats a target
    budget: str | None = None
    created: str | None = None  # ISO 8601, UTC
    tags: tuple[str, ...] = ()
    comment: str = ""
    fault: str = ""


COLUMNS = tuple(ListedRun.__dataclass_fields__)


@dataclass(frozen=True)
class Listed:
    """A row, with the configuration that it stands for; None of a broken run."""

    row: ListedRun
    config: RunConfig | None

    @property
    def objectives(self) -> list[str]:
        """Return what trained it, phase by phase; nothing of a broken run."""
        return [] if self.config is None else _objectives(self.config)


def listed(run: Run) -> Listed:
    """Read what is known of a run, each of its files once."""
    try:
        notes = run.notes()
        record, state, last, validation = _standing(run)
    except UserError as error:
        return Listed(ListedRun(run=str(run.path), study=run.study, fault=str(error)), None)
    config = record.config
    trained_here = record.imported is None
    row = ListedRun(
        run=str(run.path),
        study=run.study,
        arm=record.arm,
        objective=", ".join(_objectives(config)),
        seed=config.seed,
        state=state,
        step=(0 if last is None else last.step) if trained_here else None,
        share=_share(record, last) if trained_here else None,
        loss=None if last is None else last.loss,
        validation=validation,
        budget=str(config.budget) if trained_here else None,
        created=record.created,
        tags=notes.tags,
        comment=notes.comment,
    )
    return Listed(row, config)


def _objectives(config: RunConfig) -> list[str]:
    return list(dict.fromkeys(phase.objective.name for phase in config.phases))


def _share(record: RunRecord, last: MetricsLine | None) -> float:
    return 0.0 if last is None else min(1.0, record.config.budget.progress(last.spent))


def _standing(run: Run) -> tuple[RunRecord, ListedState, MetricsLine | None, float | None]:
    """Read a run's record, its state, its last step and its validation loss then.

    Raises:
        UserError: one of its files is broken.
    """
    if not run.done_file.exists():
        record, state, last = run.record(), run.state(), run.last_metrics()
        if state == "running":
            return record, state, last, run.last_validation()
        saved = checkpoints.newest_record(run.checkpoints, run=run.hash)
        return record, state, last, None if saved is None else saved.validation
    record = RunRecord.read(run.record_file)
    done, size = run.done(), None
    assert done is not None
    if done.manifest is not None:
        run.require_metrics(done.manifest)
        size = done.manifest.metrics_size
    return record, "finished", MetricsFile(run.metrics_file).last(size), done.validation


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which runs are asked for: of each kind of words one must hold, of tags and settings all."""

    objectives: Sequence[str] = ()
    studies: Sequence[str] = ()
    arms: Sequence[str] = ()
    seeds: Sequence[int] = ()
    states: Sequence[str] = ()
    tags: Sequence[str] = ()
    settings: Sequence[str] = ()  # key=value

    def among(self, found: Sequence[Listed]) -> list[Listed]:
        """Return those that are asked for.

        A broken run is asked for by its state alone.

        Raises:
            UserError: a word that no run has and that none could have.
        """
        for what, words, known in (
            ("objective", self.objectives, {*OBJECTIVES}),
            ("state", self.states, {*STATES}),
            ("study", self.studies, {each.row.study for each in found}),
            ("arm", self.arms, {each.row.arm for each in found if each.row.arm is not None}),
            ("tag", self.tags, {tag for each in found for tag in each.row.tags}),
            ("seed", map(str, self.seeds), {str(each.row.seed) for each in found if each.config}),
        ):
            _require_known(what, words, known)
        states = {state for word in self.states for state in STATES[word]}
        chosen = [
            each
            for each in found
            if (each.row.state in states if states else each.config is not None)
            and (not self.objectives or {*self.objectives} & {*each.objectives})
            and (not self.studies or each.row.study in self.studies)
            and (not self.arms or each.row.arm in self.arms)
            and (not self.seeds or each.row.seed in self.seeds)
            and {*self.tags} <= {*each.row.tags}
        ]
        for setting in self.settings:
            chosen = _with_setting(chosen, setting)
        return chosen


def _require_known(what: str, words: Iterable[str], known: set[str]) -> None:
    for word in words:
        if word not in known:
            hint = did_you_mean(word, known) if known else "there is none at all"
            raise UserError(f"no run has the {what} '{word}': {hint}")


def _with_setting(found: Sequence[Listed], setting: str) -> list[Listed]:
    """Return the runs in whose configuration a setting would change nothing.

    Raises:
        UserError: there is no such setting, or no objective takes that value.
    """
    key = setting.partition("=")[0].strip()
    assign({}, [setting])  # it is of that form
    keys = {*known_keys()}
    keys |= {whole.rpartition(".")[0] for whole in keys} - {""} | {"objective"}
    if key not in keys:
        raise UserError(f"there is no setting '{key}': {did_you_mean(key, keys)}")
    chosen, errors, num_read = [], [], 0
    for each in found:
        if each.config is None:
            continue
        own = each.config.model_dump(mode="json")
        try:
            same = parse_run(assign(own, [setting])).model_dump(mode="json") == own
            num_read += 1
        except UserError as error:  # of another objective, for which it is no setting
            errors.append(error)
            continue
        if same:
            chosen.append(each)
    if errors and not num_read:
        raise errors[0]
    return chosen


def sort(found: Iterable[Listed], by: str, *, reverse: bool = False) -> list[Listed]:
    """Return runs in the order of a column; those that have nothing there come last.

    Raises:
        UserError: there is no such column.
    """
    require_columns([by])

    found = [*found]
    have = [each for each in found if getattr(each.row, by) not in (None, "", ())]
    lack = [each for each in found if getattr(each.row, by) in (None, "", ())]
    return [*sorted(have, key=lambda each: getattr(each.row, by), reverse=reverse), *lack]


def require_columns(names: Iterable[str]) -> None:
    """Make sure that columns are there.

    Raises:
        UserError: one is not.
    """
    for name in names:
        if name not in COLUMNS:
            raise UserError(f"there is no column '{name}': {did_you_mean(name, COLUMNS)}")


def as_json(row: ListedRun, columns: Sequence[str] = ()) -> dict[str, Any]:
    """Return a row, or some columns of it, as JSON has it."""
    found = asdict(row)
    return {name: found[name] for name in columns} if columns else found
