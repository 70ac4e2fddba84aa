"""Probing a model: its states once, then all that is asked of them; results are kept at once."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lmcompare.evaluation.probes.classification import probe_classes
from lmcompare.evaluation.probes.examples import ProbeExamples, examples_of
from lmcompare.evaluation.probes.options import ProbeOptions
from lmcompare.evaluation.probes.overlap import sentences_read
from lmcompare.evaluation.probes.readings import Readings
from lmcompare.evaluation.probes.record import ProbeRecord
from lmcompare.evaluation.probes.results import of_classes, of_trees
from lmcompare.evaluation.probes.structure import probe_trees
from lmcompare.evaluation.probes.tasks import ProbingTask
from lmcompare.evaluation.probes.treebank import Treebank
from lmcompare.evaluation.probes.trees import trees_of
from lmcompare.evaluation.states.reading import Reading, ways_to_read
from lmcompare.evaluation.states.word_states import States, states
from lmcompare.runs.loaded_model import (
    Contestant,
    LoadedModel,
    load_checkpoints,
    opened,
    untrained,
)
from lmcompare.runs.records import step_in_words
from lmcompare.runs.run import Run

VERSION = 1  # of the questions; raise it whenever the same treebank would give others

Report = Callable[[str, float], None]


@dataclass(frozen=True, kw_only=True, eq=False)
class Questions:
    """What is asked of every model: made once, as it depends on none.

    Attributes:
        treebank: the sentences.
        tasks: what is asked.
        readings: the sentences in the order in which they are read.
        examples: what has labels, by unit.
    """

    treebank: Treebank
    tasks: Sequence[ProbingTask]
    readings: Readings
    examples: Sequence[ProbeExamples]

    @staticmethod
    def of(treebank: Treebank, tasks: Sequence[ProbingTask]) -> "Questions":
        """Return those of some tasks.

        Raises:
            UserError: the treebank has too little for one of them.
        """
        readings = Readings.of(treebank, swaps=any(task.swaps for task in tasks))
        return Questions(
            treebank=treebank,
            tasks=tasks,
            readings=readings,
            examples=examples_of(readings, tasks),
        )


def probe_model(
    contestant: Contestant,
    questions: Questions,
    options: ProbeOptions,
    *,
    cache: Path,
    report: Report = lambda what, share: None,
    warn: Callable[[str], None] = lambda text: None,
) -> list[ProbeRecord]:
    """Probe a run's models, and the same as they started; what was measured before is not again.

    Args:
        contestant: a model, or a run, of which the last one is meant.
        questions: what to ask.
        options: how.
        cache: where states lie meanwhile, and prepared texts are kept.
        report: told what is being done, and the share of it.
        warn: told of a damaged checkpoint that was passed over, and of sentences that the model was
            trained on.

    Raises:
        Unsupported: the decoder is wanted of a model that has none.
        UserError: no checkpoint, no such device, no such layer, too little disk.
    """
    device, batch_size = options.device, options.batch_size
    if options.every_checkpoint and isinstance(contestant, Run):
        every = load_checkpoints(contestant, device=device, batch_size=batch_size, warn=warn)
        models = [*every][::-1]
    else:
        models = [opened(contestant, device=device, batch_size=batch_size, warn=warn)]
    known = [] if options.again else models[0].results.read(ProbeRecord, warn)
    read = None
    if options.untrained:
        models += untrained(models[0])
    records: list[ProbeRecord] = []
    for model in models:
        for reading in ways_to_read(model, options.stack):
            blanks = {
                task.name: _blank(model, task, questions, reading, options)
                for task in questions.tasks
            }
            before = {name: _measured(blank, known) for name, blank in blanks.items()}
            records += [each for each in before.values() if each is not None]
            left = [task for task in questions.tasks if before[task.name] is None]
            if left:
                if read is None:
                    read = sentences_read(models[0], questions.treebank, cache=cache, warn=warn)
                blanks = {
                    name: blank.model_copy(update={"counts": {**blank.counts, **read}})
                    for name, blank in blanks.items()
                }
                records += _probed(
                    model,
                    questions,
                    left,
                    blanks,
                    reading,
                    options,
                    cache=cache,
                    report=report,
                    warn=warn,
                )
    return records


def _blank(
    model: LoadedModel,
    task: ProbingTask,
    questions: Questions,
    reading: Reading,
    options: ProbeOptions,
) -> ProbeRecord:
    treebank = questions.treebank
    return ProbeRecord(
        task=task.name,
        arm=model.arm,
        seed=model.seed,
        source=treebank.name,
        text=treebank.hash,
        step=model.step,
        spent=model.spent,
        version=VERSION,
        group=task.group,
        asks=task.asks,
        metric="accuracy",
        probe="linear" if task.unit == "tree" else options.probe,
        words=options.words,
        states_of=reading.name or None,
        wanted=options.layers,
        seeds=options.seed,
        split=treebank.split,
        num_train=0,
        num_items=0,
        num_examples=0,
        layers=(),
        counts=treebank.counts,
    )


def _measured(blank: ProbeRecord, known: Sequence[ProbeRecord]) -> ProbeRecord | None:
    """Return the result of the same question that was measured before, if it was."""
    facts = {
        *("task", "source", "text", "step", "version", "probe"),
        *("words", "states_of", "wanted", "seeds"),
    }
    asked = blank.model_dump(include=facts)
    return next((each for each in known if each.model_dump(include=facts) == asked), None)


def _probed(
    model: LoadedModel,
    questions: Questions,
    tasks: Sequence[ProbingTask],
    blanks: dict[str, ProbeRecord],
    reading: Reading,
    options: ProbeOptions,
    *,
    cache: Path,
    report: Report,
    warn: Callable[[str], None],
) -> Iterator[ProbeRecord]:
    what = f"{step_in_words(model.step)}{f', {reading.name}' if reading.name else ''}"
    wanted = {task.name for task in tasks}
    with states(
        model,
        questions.readings,
        reading,
        layers=options.layers or None,
        words=options.words,
        cache=cache,
        disk_gb=options.disk_gb,
        report=lambda share: report(f"states {what}", share),
    ) as found:
        for examples in questions.examples:
            own = examples.choose(wanted).only(found.known)
            able = own.choose(own.askable)
            for each in own.tasks:
                if each not in able.tasks:
                    warn(_too_short(model, each.task.name))
            if able.tasks:
                yield from _of_classes(model, able, found, blanks, options, what, report)
        if names := [task.name for task in tasks if task.unit == "tree"]:
            trees, num_left_out = trees_of(questions.readings, found.known)
            if not all(trees.values()):
                warn(_too_short(model, " and ".join(names)))
                return
            for name, judged in probe_trees(
                found,
                trees,
                names,
                seed=options.seed[0],
                device=model.net.device,
                report=lambda share: report(f"trees {what}", share),
            ).items():
                record, items = of_trees(blanks[name], judged, found, num_left_out=num_left_out)
                yield model.results.write(record, items)


def _too_short(model: LoadedModel, task: str) -> str:
    return (
        f"{task} left out, as {model.path} was trained on rows of {model.length} tokens, in which "
        "no example to learn from, to choose by or to be tested on is whole"
    )


def _of_classes(
    model: LoadedModel,
    examples: ProbeExamples,
    found: States,
    blanks: dict[str, ProbeRecord],
    options: ProbeOptions,
    what: str,
    report: Report,
) -> Iterator[ProbeRecord]:
    answered = probe_classes(
        found,
        examples,
        probe=options.probe,
        seeds=options.seed,
        device=model.net.device,
        report=lambda share: report(f"{examples.unit}s {what}", share),
    )
    for each in answered:
        blank = blanks[each.labelled.task.name]
        record, items = of_classes(blank, each, examples, found)
        yield model.results.write(record, items)
