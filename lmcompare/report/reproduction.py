"""What it takes to do a study again: its file, the commands, the versions and the hashes."""

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from lmcompare.blocks import Part, Table, names, words
from lmcompare.comparison.arms import Result
from lmcompare.evaluation.kind import AnyKind
from lmcompare.evaluation.registry import kinds
from lmcompare.runs.places import STUDY_FILE
from lmcompare.runs.records import ResultRecord


def commands(results: Sequence[Result]) -> str:
    """Return the commands that train and measure these runs, and how each thing was asked."""
    lines: list[str] = []
    for study in dict.fromkeys(each.run.path.parent for each in results):
        place = shlex.quote(str(study))
        if (study / STUDY_FILE).is_file():
            lines.append(f"lmcompare train {place}")
        for kind in kinds().values():
            measured = [
                record
                for each in results
                if each.run.path.parent == study
                for record in each.measured
                if isinstance(record, kind.record)
            ]
            lines += _measuring(kind, measured, place)
        lines += [f"lmcompare compare {place}", f"lmcompare report {place}"]
    return "\n".join(lines)


def _measuring(kind: AnyKind, measured: Sequence[ResultRecord], place: str) -> Iterator[str]:
    """Yield the commands that measure these results of a kind, each before how it was asked."""
    options = kind.options
    by_text: dict[str, list[ResultRecord]] = {}
    for record in measured:
        by_text.setdefault(record.source if options.text_option else "", []).append(record)
    for text, records in by_text.items():
        tasks = ",".join(map(shlex.quote, dict.fromkeys(record.task for record in records)))
        asked = tasks if options.command or options.chosen_by else kind.name
        verb = options.command or "eval"
        if options.text_option:
            of = shlex.quote(text)
            yield f"lmcompare {verb} --tasks {asked} --{options.text_option} {of} {place}"
        else:
            yield f"lmcompare {verb} --tasks {asked} {place}"
        yield from dict.fromkeys(f"#   {_how(record)}" for record in records)


def _how(record: ResultRecord) -> str:
    """Return what was asked and under which settings."""
    settings = [f"{name}={value}" for name, value in record.conditions.items() if value is not None]
    return ", ".join([record.task, record.source, *settings])


def study_files(results: Sequence[Result]) -> Iterator[str]:
    """Yield the study files of these runs, as they stand."""
    for study in dict.fromkeys(each.run.path.parent for each in results):
        path: Path = study / STUDY_FILE
        if path.is_file():
            yield path.read_text(encoding="utf-8", errors="replace")


def provenance(results: Sequence[Result]) -> Table:
    """Return by what each run was made."""
    return Table(
        columns=[
            *names("run"),
            *words("commit", "Python", "PyTorch", "device", "text", "settings"),
        ],
        parts=[
            Part(
                subtitle="By what each run was made; text and settings by their hashes",
                rows=[_row(each) for each in results],
            )
        ],
    )


def _row(result: Result) -> list[str]:
    record = result.record
    return [
        result.run.path.name,
        record.git_commit or "not known",
        record.versions.get("python", "not known"),
        record.versions.get("torch", "not known"),
        record.device,
        (record.text_hash or "not known")[:8],
        record.identity,
    ]
