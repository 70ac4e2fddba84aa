"""What runs must share for their difference to be the objective's: equal or not, and where."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import BaseModel

from lmcompare.comparison import control_seeds, control_starts
from lmcompare.comparison.arms import Arm, Result
from lmcompare.comparison.wording import flat, shown
from lmcompare.evaluation.kind import AnyKind
from lmcompare.evaluation.registry import kinds
from lmcompare.model import ModelConfig
from lmcompare.runs.records import ControlSheet


@dataclass(frozen=True, kw_only=True)
class ControlCheck:
    """One thing that was compared."""

    name: str
    equal: bool
    found: Mapping[str, Sequence[str]]  # each value in words, and the arms it was found in
    caution: str = ""  # what an unlike value is known to do
    ranks: bool = True  # whether a ranking hangs on it

    @property
    def words(self) -> str:
        """Return what was found, and of unlike values where."""
        if self.equal:
            return "; ".join(self.found)
        values = (f"{value}: {', '.join(arms)}" for value, arms in self.found.items())
        return "; ".join(filter(None, [*values, self.caution]))

    def __str__(self) -> str:
        return f"{self.name} ({self.words})"


@dataclass(frozen=True)
class _Question:
    """A thing to compare, of each run by itself."""

    name: str
    answer: Callable[[Result], object]  # must be equal; of settings those that are not are shown
    words: Callable[[Result], str]  # shown of what is no settings, and of what is equal
    cautions: Mapping[str, str] = field(default_factory=dict)  # by setting, if that is unlike
    ranks: bool = True
    of_all: bool = False  # whether it is known of what was trained elsewhere, too


def control_checks(arms: Sequence[Arm]) -> list[ControlCheck]:
    """Return every fact of the control sheets and configurations, what matters most first.

    Of models that were trained elsewhere, most is not known: one fact says so, and the others are
    about the rest, if there are two of them to compare.
    """
    here = [arm for arm in arms if not arm.elsewhere]
    if len(here) == 1 < len(arms):
        here = []
    text, *others = _QUESTIONS
    facts = [
        _training(arms),
        _ask(text, here),
        _fact(ControlSheet.FACTS["order"], control_seeds.orders(here)),
        _fact("initial weights", control_seeds.weights(here)),
        *(_ask(question, here) for question in _of_starts(here)),
        *(_ask(question, arms if question.of_all else here) for question in others),
        *(_ask(question, arms) for question in _of_measurements(arms)),
        _fact("seeds", control_seeds.seeds(here)),
    ]
    objective = _ask(_OBJECTIVE, here)
    if objective is not None and objective.equal:  # else it is what is being compared
        facts.insert(0, objective)
    return [fact for fact in facts if fact is not None]


def _training(arms: Sequence[Arm]) -> ControlCheck | None:
    """Return which models were trained elsewhere; None if none was."""
    elsewhere = [arm.label for arm in arms if arm.elsewhere]
    if not elsewhere:
        return None
    found = {"elsewhere, so its text, order, budget and the like are not known": elsewhere}
    if here := [arm.label for arm in arms if not arm.elsewhere]:
        found = {"here": here} | found
    return ControlCheck(name="training", equal=False, found=found)


def _fact(name: str, found: control_seeds.Found | None) -> ControlCheck | None:
    return None if found is None else ControlCheck(name=name, equal=found[0], found=found[1])


def _sheet(fact: str) -> Callable[[Result], str]:
    return lambda result: str(getattr(result.record.sheet, fact))


def _config(part: str) -> Callable[[Result], Mapping[str, object]]:
    return lambda result: flat(getattr(result.record.config, part).model_dump(exclude={"preset"}))


def _changes(config: BaseModel, usual: BaseModel) -> list[str]:
    """Return what differs from the usual."""
    return [f"{key} {shown(value)}" for key, value in config if value != getattr(usual, key)]


def _shape(result: Result) -> Mapping[str, object] | str:
    if (imported := result.record.imported) is not None:
        return imported.in_words
    return flat(result.record.model_given.model_dump(exclude={"preset"}))


def _backbone(result: Result) -> str:
    if (imported := result.record.imported) is not None:
        return imported.in_words
    model = result.record.model_given
    usual = ModelConfig.model_validate(model.preset)
    return ", ".join([model.preset, *_changes(model, usual)])


def _batch_settings(result: Result) -> Mapping[str, object] | str:
    if result.record.imported is not None:
        return _batch(result)
    return flat(result.record.config.batch.model_dump())


def _batch(result: Result) -> str:
    if (imported := result.record.imported) is not None:
        return f"rows of {imported.longest} tokens at most"
    batch = result.record.config.batch
    apart = ", documents apart" if batch.separate_documents else ""
    return f"{batch.rows} rows of {batch.length} tokens{apart}"


def _optimizer(result: Result) -> str:
    config = result.record.config.optimizer
    usual = type(config)(learning_rate=config.learning_rate, schedule=config.schedule)
    return ", ".join(
        [f"learning_rate {config.learning_rate:g} {config.schedule}", *_changes(config, usual)]
    )


def _validation(result: Result) -> str:
    config = result.record.config.validation
    return f"{config.blocks} blocks, {config.times} times"


def _machine(result: Result) -> Mapping[str, object]:
    record = result.record
    runtime = record.config.runtime.model_dump(include={"compile", "micro_batch"})
    return {"computed on": record.device, "threads": record.threads, **runtime}


def _code(result: Result) -> str:
    commit = result.record.git_commit
    version = result.record.versions.get("lmcompare", "unknown")
    if commit is None:
        return version
    return f"{version}, commit {commit[:8]}{'+' if commit.endswith('+') else ''}"


def _libraries(result: Result) -> Mapping[str, object]:
    return {name: each for name, each in result.record.versions.items() if name != "lmcompare"}


def _of_starts(arms: Sequence[Arm]) -> Iterator[_Question]:
    """Yield what is to be equal where some started from other models' weights."""
    if any(result.record.start is not None for arm in arms for result in arm.results):
        yield _Question(
            "weights trained before", control_starts.trained_before, control_starts.trained_before
        )
        yield _Question("spent in all", control_starts.tokens_in_all, control_starts.spent_in_all)


def _of_measurements(arms: Sequence[Arm]) -> Iterator[_Question]:
    """Yield what the kinds of evaluation want equal, so that their results compare."""
    for kind in kinds().values():
        facts = [kind.facts(result.of(kind.record)) for arm in arms for result in arm.results]
        for name in dict.fromkeys(name for each in facts for name in each):
            fact = _measured_fact(kind, name)
            words = _in_words(fact)
            yield _Question(name, fact, words, ranks=kind.ranked)


def _measured_fact(kind: AnyKind, name: str) -> Callable[[Result], str | None]:
    return lambda result: kind.facts(result.of(kind.record)).get(name)


def _in_words(fact: Callable[[Result], object]) -> Callable[[Result], str]:
    return lambda result: str(fact(result))


_OBJECTIVE = _Question(
    "objective",
    _config("objective"),
    lambda result: Arm(label="", results=[result]).objective,
)

_QUESTIONS = [
    _Question(
        ControlSheet.FACTS["text"],
        _sheet("text"),
        lambda result: f"{result.record.text}, {result.record.sheet.text[:8]}",
    ),
    _Question(
        ControlSheet.FACTS["tokenizer"],
        _sheet("tokenizer"),
        lambda result: result.record.sheet.tokenizer[:8],
        of_all=True,
    ),
    _Question("backbone", _shape, _backbone, of_all=True),
    _Question(
        "budget",
        lambda result: result.record.config.budget,
        lambda result: str(result.record.config.budget),
    ),
    _Question(
        "batch",
        _batch_settings,
        _batch,
        {"length": "rows of unlike length are not neutral: see docs/objectives.md"},
        of_all=True,
    ),
    _Question("optimizer", _config("optimizer"), _optimizer),
    _Question("validation", _config("validation"), _validation),
    _Question(
        "precision",
        lambda result: result.record.precision,
        lambda result: result.record.precision,
    ),
    _Question(
        "device",
        _machine,
        lambda result: f"{result.record.device}, {result.record.threads} threads",
    ),
    _Question(
        "lmcompare",
        lambda result: (result.record.versions.get("lmcompare"), result.record.git_commit),
        _code,
    ),
    _Question(
        "libraries",
        _libraries,
        lambda result: f"torch {result.record.versions.get('torch')}",
    ),
]


def _ask(question: _Question, arms: Sequence[Arm]) -> ControlCheck | None:
    answers = [
        (arm, result, answer)
        for arm in arms
        for result in arm.results
        if (answer := question.answer(result)) is not None
    ]
    answered = list(dict.fromkeys(arm.label for arm, _, _ in answers))
    if not answers or len(answered) < min(2, len(arms)):  # one arm's answer compares with nothing
        return None
    first = answers[0][2]
    if all(answer == first for _, _, answer in answers):
        words = question.words(answers[0][1])
        words += "" if len(answered) == len(arms) else f"; only in {', '.join(answered)}"
        return ControlCheck(
            name=question.name, equal=True, found={words: answered}, ranks=question.ranks
        )
    differing = _differing([answer for _, _, answer in answers if isinstance(answer, Mapping)])
    found: dict[str, dict[str, list[int]]] = {}
    for arm, result, answer in answers:
        if isinstance(answer, Mapping) and differing:
            words = ", ".join(f"{key} {shown(answer.get(key, 'none'))}" for key in differing)
        else:
            words = question.words(result)
        found.setdefault(words, {}).setdefault(arm.label, []).append(result.seed)
    cautions = [said for key, said in question.cautions.items() if key in differing]
    return ControlCheck(
        name=question.name,
        equal=False,
        found=_by_value(found),
        caution="; ".join(cautions),
        ranks=question.ranks,
    )


def _differing(answers: Sequence[Mapping[str, object]]) -> list[str]:
    keys = dict.fromkeys(key for answer in answers for key in answer)
    return [key for key in keys if len({repr(answer.get(key)) for answer in answers}) > 1]


def _by_value(found: Mapping[str, Mapping[str, Sequence[int]]]) -> dict[str, list[str]]:
    """Return the arms of each value; the seeds too of an arm that is found under several."""
    occurrences = [label for labels in found.values() for label in labels]

    def called(label: str, seeds: Sequence[int]) -> str:
        if occurrences.count(label) == 1:
            return label
        return f"{label} seed {' '.join(map(str, seeds))}"

    return {
        value: [called(label, seeds) for label, seeds in labels.items()]
        for value, labels in found.items()
    }
