"""Texts that the arms wrote after the same beginnings, side by side."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lmcompare.comparison.arms import Arm
from lmcompare.evaluation.generation.record import GenerationItem, GenerationRecord

NUM = 4  # beginnings that are shown


@dataclass(frozen=True, kw_only=True)
class PromptSamples:
    """What came after one beginning.

    Attributes:
        title: which text it is, and how it was written.
        before: the beginning; empty where the models wrote from nothing.
        texts: who wrote, and what; the text itself is the last.
    """

    title: str
    before: str
    texts: Sequence[tuple[str, str]]


def samples(arms: Sequence[Arm], *, num: int = NUM) -> Iterator[PromptSamples]:
    """Yield some samples of each set of beginnings and settings, by the first seed of each arm."""
    written: dict[tuple[str, str, str], list[tuple[str, Sequence[GenerationItem]]]] = {}
    for arm in arms:
        first = next((each for each in arm.results if each.of(GenerationRecord)), None)
        if first is None:
            continue
        for record in first.of(GenerationRecord):
            if record.method and not first.is_stale(record):
                items = first.run.results.items(record, GenerationItem)
                name = f"{arm.label}, seed {first.seed}, {record.method}"
                key = (record.source, record.text, record.settings)
                written.setdefault(key, []).append((name, items))
    for (source, _, settings), found in written.items():
        for texts in zip(*(items[:num] for _, items in found), strict=False):
            names = [name for name, _ in found]
            yield PromptSamples(
                title=f"Text {texts[0].text} of {source}" + (f", {settings}" if settings else ""),
                before=texts[0].prompt,
                texts=[
                    *zip(names, (each.written for each in texts), strict=True),
                    ("the text itself", texts[0].reference),
                ],
            )
