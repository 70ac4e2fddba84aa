"""Which results of some runs are compared, where a user wants a part of them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from lmcompare.comparison.arms import Result
from lmcompare.evaluation.selection import Selection, facets_of
from lmcompare.runs.records import ResultRecord

_FIELDS = ("measured", "outdated")


def select(
    results: Sequence[Result],
    *,
    only: Sequence[str] | None,
    latest: bool,
    note: Callable[[str], None],
) -> list[Result]:
    """Keep the results that are wanted; what was measured beside them is told of in one note.

    Args:
        results: of runs.
        only: selections, as in `lmcompare.evaluation.selection`; None for all.
        latest: of the results of a run to the same question, keep the one that was
            measured last.
        note: told what is left out, or that the same was measured under several settings.

    Raises:
        UserError: a selection that means no result.
    """
    chosen = [[*_records(result)] for result in results]
    if only is not None:
        selection = Selection.parse(only)
        facets = {
            id(record): facets_of(record, id=result.run.results.id_of(record))
            for result, records in zip(results, chosen, strict=True)
            for record in records
        }
        selection.require([*facets.values()])
        chosen = [
            [record for record in records if selection.matches(facets[id(record)])]
            for records in chosen
        ]
    if latest:
        chosen = [_latest(result, records) for result, records in zip(results, chosen, strict=True)]
    found = [_with(result, records) for result, records in zip(results, chosen, strict=True)]
    if left_out := [record for result in found for record in result.unselected]:
        total = sum(map(len, chosen)) + len(left_out)
        note(
            f"not selected, and left out: {len(left_out)} of {total} results "
            f"({_in_words(left_out)}); `lmcompare results` lists them"
        )
    if several := [*dict.fromkeys(_asked_twice(found))]:
        note(
            f"measured under several settings, which stand apart: {', '.join(several)}; "
            "`lmcompare compare --latest` keeps the last of each, `lmcompare compare --only` "
            "those that you name, and `lmcompare results --remove` drops some for good"
        )
    return found


def _records(result: Result) -> Iterator[ResultRecord]:
    for field in _FIELDS:
        yield from getattr(result, field)


def _latest(result: Result, records: Sequence[ResultRecord]) -> list[ResultRecord]:
    last: dict[object, ResultRecord] = {}
    for record in sorted(records, key=result.run.results.measured):
        last[record.question] = record
    kept = {id(record) for record in last.values()}
    return [record for record in records if id(record) in kept]


def _with(result: Result, chosen: Sequence[ResultRecord]) -> Result:
    """Return a run with these of its results alone."""
    kept = {id(record) for record in chosen}
    fields: Mapping[str, list[ResultRecord]] = {
        field: [each for each in getattr(result, field) if id(each) in kept] for field in _FIELDS
    }
    left_out = [record for record in _records(result) if id(record) not in kept]
    return replace(result, **fields, unselected=left_out)  # type: ignore[arg-type]


def _asked_twice(results: Sequence[Result]) -> Iterator[str]:
    """Yield what one run answered more than once."""
    for result in results:
        seen = set[object]()
        for record in _records(replace(result, outdated=[])):
            question = record.question
            if question in seen:
                yield record.about
            seen.add(question)


def _in_words(records: Sequence[ResultRecord]) -> str:
    """Return how many results there are of each kind and text."""
    found: dict[str, int] = {}
    for record in records:
        what = f"{record.about} {record.text_hash[:8]}"
        found[what] = found.get(what, 0) + 1
    return ", ".join(f"{num} {what}" for what, num in found.items())
