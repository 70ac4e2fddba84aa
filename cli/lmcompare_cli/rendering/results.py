"""The tables of `lmcompare eval`."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from lmcompare_cli.console import output, paragraph, printable, say

if TYPE_CHECKING:
    from lmcompare.evaluation.generation.record import (
        GenerationRecord,
        TextMetrics,
        WritingCost,
    )
    from lmcompare.evaluation.infilling.record import InfillingRecord
    from lmcompare.evaluation.likelihood.record import LikelihoodRecord
    from lmcompare.evaluation.tasks.record import TaskRecord
    from lmcompare.runs.records import ResultRecord
    from lmcompare.runs.run import Run

MISSING = "—"
DERIVED = (
    *("bits_per_byte", "bits_per_token"),
    *("settings", "judge_bits_per_byte", "reference_bits_per_byte"),
)
NUMBERS = ("bits/byte", "std. error", "bits/token", "unigram bits/byte")
SIZES = ("bytes", "tokens")


def as_json(run: "Run", record: "ResultRecord") -> dict[str, object]:
    """A result, with what follows from it and all settings of its run."""
    known = {name: getattr(record, name) for name in DERIVED if hasattr(record, name)}
    config = run.record().config
    return {
        "run": str(run.path),
        "objective": config.objective.name,
        "hyperparameters": config.objective.model_dump(exclude={"name"}),
        "changed": config.objective.model_dump(exclude={"name"}, exclude_defaults=True),
        **record.model_dump(exclude={"run"}),
        **known,
        "config": config.model_dump(),
    }


def print_results(
    *,
    likelihoods: "Sequence[tuple[Run, LikelihoodRecord]]",
    infillings: "Sequence[tuple[Run, InfillingRecord]]",
    generations: "Sequence[tuple[Run, GenerationRecord]]",
    answered: "Sequence[tuple[Run, TaskRecord]]",
) -> None:
    """A table for each task that gave a result, and one for all benchmarks."""
    tables: list[Callable[[], None]] = []
    if likelihoods:
        tables.append(partial(_print_likelihoods, likelihoods))
    if infillings:
        tables.append(partial(_print_infillings, infillings))
    if generations:
        tables.append(partial(_print_generations, generations))
    if answered:
        tables.append(partial(_print_answers, answered))
    for number, table in enumerate(tables):
        if number:
            output.print()
        table()


def _print_likelihoods(results: "Sequence[tuple[Run, LikelihoodRecord]]") -> None:
    from lmcompare.blocks import names, numbers
    from lmcompare_cli.rendering.tables import print_table

    print_table(
        [*names("run", "scoring", "kind"), *numbers(*NUMBERS, "trigram bits/byte", *SIZES)],
        (
            [
                run.path.name,
                record.scoring,
                record.likelihood,
                *_numbers(record),
                _shown(record.trigram_bits_per_byte, ".4f"),
                *_sizes(record),
            ]
            for run, record in results
        ),
    )
    if len({record.likelihood for _, record in results}) > 1:
        say("Rows of different kinds measure different things and cannot be compared.")


def _print_infillings(results: "Sequence[tuple[Run, InfillingRecord]]") -> None:
    """With the reasons for dashes below."""
    from lmcompare.blocks import names, numbers
    from lmcompare_cli.rendering.tables import print_table

    missing = printable(MISSING, output)
    print_table(
        [
            *names("run", "length", "asked", "hidden", "given", "scoring", "kind"),
            *numbers(*NUMBERS, *SIZES),
        ],
        (
            [
                run.path.name,
                record.form or missing,
                record.protocol or missing,
                record.hidden,
                missing if record.given is None else _given(record),
                record.scoring or missing,
                record.likelihood or missing,
                *_numbers(record),
                *_sizes(record),
            ]
            for run, record in results
        ),
    )
    for reason in dict.fromkeys(
        f"{missing} {record.hidden}, length {record.form}: {record.reason}"
        for _, record in results
        if record.reason
    ):
        paragraph(reason)
    if any(record.left_only for _, record in results):
        say("Rows that are given the left side only cannot be compared with the others.")


def _print_answers(results: "Sequence[tuple[Run, TaskRecord]]") -> None:
    """Each model beside the same one as it started; the reasons for dashes below."""
    from lmcompare.blocks import names, numbers, words
    from lmcompare_cli.rendering.tables import print_table

    started = {
        (run.path, record.task, record.way, record.text): record.value
        for run, record in results
        if record.is_untrained
    }
    trained = [(run, record) for run, record in results if not record.is_untrained]
    several = len(trained) > len({(run.path, each.task, each.way) for run, each in trained})
    print_table(
        [
            *names("task", "run", "way", *(["step"] if several else []), "metric"),
            *numbers("value", "std. error", "untrained", "chance", "examples"),
            *words("also"),
        ],
        (
            [
                record.task,
                run.path.name,
                record.way,
                *([f"{record.step:,}"] if several else []),
                record.metric,
                _shown(record.value, ".1%"),
                _shown(record.standard_error, ".1%"),
                _shown(started.get((run.path, record.task, record.way, record.text)), ".1%"),
                _shown(record.chance, ".1%"),
                f"{record.num_items:,}",
                ", ".join(f"{name} {value:.3g}" for name, value in record.figures.items()),
            ]
            for run, record in sorted(
                trained,
                key=lambda each: (each[1].task, each[0].path.name, each[1].way, each[1].step),
            )
        ),
    )
    for note in dict.fromkeys(_notes_on_answers(trained)):
        paragraph(note)


def _notes_on_answers(results: "Sequence[tuple[Run, TaskRecord]]") -> Iterator[str]:
    """How each run was asked, why dashes stand where they do, and what was mended, all by task."""
    found: dict[str, dict[str, None]] = {}
    for run, record in results:
        notes = [
            *([record.protocol] if record.protocol else []),
            *(f"{record.way}: {remark}" for remark in record.remarks),
            *([f"{MISSING} {record.reason}"] if record.reason else []),
            *(f"{num:,} {what}" for what, num in record.counts.items() if num),
        ]
        for note in notes:
            found.setdefault(f"{record.task}: {note}", {})[run.path.name] = None
    for note, runs in found.items():
        yield f"{note} ({', '.join(runs)})"


def _given(record: "InfillingRecord") -> str:
    if record.hidden == "second half":
        return "first half"
    return "left side" if record.left_only else "both sides"


def _numbers(record: "LikelihoodRecord | InfillingRecord") -> list[str]:
    """What stands under `NUMBERS`."""
    return [
        _shown(record.bits_per_byte, ".4f"),
        _shown(record.error_bits_per_byte, ".4f"),
        _shown(record.bits_per_token, ".4f"),
        _shown(record.unigram_bits_per_byte, ".4f"),
    ]


def _sizes(record: "LikelihoodRecord | InfillingRecord") -> list[str]:
    """What stands under `SIZES`."""
    return [f"{record.num_bytes:,}", f"{record.num_tokens:,}"]


WRITTEN = (
    *("judge bits/byte", "std. error", "entropy", "distinct-1", "distinct-2", "std. error"),
    *("self-BLEU", "repetition", "verbatim", "words/text"),
)
TAKEN = (
    *("passes/token", "FLOPs/token", "tokens/s alone", "tokens/s together", "first token, ms"),
    "memory, MB",
)


def _print_generations(results: "Sequence[tuple[Run, GenerationRecord]]") -> None:
    """What was written, what it took, and the reasons for dashes below."""
    from lmcompare.blocks import names, numbers
    from lmcompare_cli.rendering.tables import print_table

    ways = [
        [run.path.name, record.method or printable(MISSING, output), record.settings]
        for run, record in results
    ]
    texts = dict.fromkeys((record.text, record.reference) for _, record in results)
    several = len({text for text, _ in texts}) > 1
    num_texts = {record.text: record.num_texts for _, record in results}
    columns = names("run", "method", "settings")
    print_table(
        [*columns, *numbers(*WRITTEN)],
        [
            *(
                [*way, *_figures(record.written, record.num_texts)]
                for way, (_, record) in zip(ways, results, strict=True)
            ),
            *(
                [
                    f"the text itself{f' {text[:8]}' if several else ''}",
                    *("", ""),
                    *_figures(reference, num_texts[text]),
                ]
                for text, reference in texts
            ),
        ],
    )
    output.print()
    print_table(
        [*columns, *numbers(*TAKEN)],
        [[*way, *_cost(record.cost)] for way, (_, record) in zip(ways, results, strict=True)],
    )
    for note in _notes([record for _, record in results]):
        paragraph(note)
    if any(record.judge is None for _, record in results):
        say(
            "No judge: name one with --judge RUN, such as a larger run of clm that is not one of "
            "these."
        )
    if any(each.self_bleu is None and num_texts[text] > 1 for text, each in texts):
        say("No self-BLEU: it needs sacrebleu (pip install 'lmcompare[measures]').")


def _notes(records: "Sequence[GenerationRecord]") -> Iterator[str]:
    """Who judged, on what it was timed, and why dashes stand where they do."""
    judged: dict[str, list[str]] = {}
    timed: dict[str, list[str]] = {}
    for record in records:
        if record.judge is not None:
            judge = record.judge
            about = f"{judge.name} ({judge.objective}, {judge.num_parameters:,} parameters)"
            judged.setdefault(about, []).append(record.arm)
        if record.cost is not None:
            cost = record.cost
            place = f"{cost.device}, {cost.threads} threads, {cost.rows_together} texts together"
            timed.setdefault(place, []).append(record.arm)
    for what, found in (("judge", judged), ("timed on", timed)):
        for value, arms in found.items():
            whose = f" of {', '.join(dict.fromkeys(arms))}" if len(found) > 1 else ""
            yield f"{what}{whose}: {value}"
    yield from dict.fromkeys(
        f"{MISSING} {record.arm}: {record.reason}" for record in records if record.reason
    )


def _figures(figures: "TextMetrics | None", num_texts: int) -> list[str]:
    """What stands under `WRITTEN`."""
    if figures is None:
        return [printable(MISSING, output)] * len(WRITTEN)
    return [
        _shown(figures.judge_bits_per_byte, ".3f"),
        _shown(figures.judge_error, ".3f"),
        _shown(figures.entropy, ".2f"),
        _shown(figures.distinct_1, ".3f"),
        _shown(figures.distinct_2, ".3f"),
        _shown(figures.distinct_2_error, ".3f"),
        _shown(figures.self_bleu, ".3f"),
        _shown(figures.repetition, ".1%"),
        _shown(figures.verbatim, ".1%"),
        _shown(figures.num_words / num_texts, ".1f"),
    ]


def _cost(cost: "WritingCost | None") -> list[str]:
    """What stands under `TAKEN`."""
    from lmcompare.compare.tables.likelihood import short

    if cost is None:
        return [printable(MISSING, output)] * len(TAKEN)
    memory = None if cost.peak_memory is None else cost.peak_memory / 1e6
    return [
        _shown(cost.passes_per_token, ".3f"),
        short(cost.flops_per_token),
        _shown(cost.tokens_per_second, ",.0f"),
        _shown(cost.tokens_per_second_together, ",.0f"),
        _shown(cost.first_token_seconds * 1000, ".1f"),
        _shown(memory, ",.0f"),
    ]


def _shown(value: float | None, pattern: str) -> str:
    return printable(MISSING, output) if value is None else format(value, pattern)
