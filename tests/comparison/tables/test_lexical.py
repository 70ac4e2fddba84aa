"""What words cost arms, in a comparison."""

from pathlib import Path

import pytest

from lmcompare.comparison import compare, document
from lmcompare.comparison.formats import to_json, to_tex
from lmcompare.evaluation.lexical.record import LexicalItem, LexicalRecord
from lmcompare.runs.run import Run
from tests.comparison.known_runs import write_run


def knows(run: Run, *, more: float = 0.0, **changes: object) -> None:
    """Keep what fourteen words cost: of seven that were read twice 3 nats, of as many others 9."""
    own, last = run.record(), run.last_metrics()
    assert last is not None
    items = [
        LexicalItem(
            text=number,
            nats=(3.0 if number % 2 else 9.0) + more,
            num_tokens=2,
            count=2 if number % 2 else 0,
            before=3,
            pair=1 if number in (1, 3, 5, 7, 9) else 0,
            repeated=False,
        )
        for number in range(14)
    ]
    record = LexicalRecord(
        **{
            "arm": own.arm,
            "seed": own.config.seed,
            "source": "validation",
            "text": "1e31" * 4,
            "step": last.step,
            "num_words": 14,
            "reach": 32,
            "tokens_read": 203_200,
            "scoring": "causal",
            "likelihood": "exact",
            "given": "left",
            "nats": 6.0,
            **changes,
        }
    )
    run.results.write(record, items if record.nats is not None else [])


@pytest.fixture
def runs(study: Path) -> list[Run]:
    made = [write_run(study, "clm", seed) for seed in range(3)] + [write_run(study, "mlm", 0)]
    for seed, run in enumerate(made[:3]):
        knows(run, more=seed - 1)
    knows(made[3], scoring="left-to-right", given="both")
    return made


def rows(runs: list[Run], group: str) -> dict[str, list[str]]:
    [part] = [
        part
        for block in document(compare(runs), ["lexical"])
        for part in getattr(block, "parts", ())
        if part.subtitle.startswith(group)
    ]
    return {row[0]: list(row[1:]) for row in part.rows}


def test_bands_have_their_means_and_numbers(runs: list[Run]) -> None:
    found = rows(runs, "all words")
    # seeds differ by 1 nat: Student's t of 2 degrees
    assert found["clm"] == ["9.00 ±2.48", "3.00 ±2.48", "—", "—", "—"]
    assert found["mlm"] == ["9.00 ±0.00", "3.00 ±0.00", "—", "—", "—"]
    assert found["words"] == ["7", "7", "0", "0", "0"]
    assert rows(runs, "known pair")["mlm"][:2] == ["—", "3.00 ±0.00"]
    assert rows(runs, "new pair")["mlm"][:2] == ["—", "—"], "two are too few"
    assert rows(runs, "new pair")["words"][1] == "2"


def test_who_sees_the_left_alone_and_who_does_not_answer_is_said(
    runs: list[Run], study: Path
) -> None:
    mute = write_run(study, "plm", 0)
    knows(mute, nats=None, scoring=None, given=None, reason="it says nothing of words")
    runs.append(mute)
    said = str(document(compare(runs), ["lexical"]))
    assert "given only what stands before a word: clm" in said
    assert "— plm: it says nothing of words" in said
    assert rows(runs, "all words")["plm"] == ["—"] * 5
    assert rows(runs, "all words")["words"][0] == "7"


def test_it_stands_in_every_format(runs: list[Run]) -> None:
    comparison = compare(runs)
    assert "1000" in to_tex(comparison, ["lexical"])
    assert '"lexical"' in to_json(comparison)
    frame = comparison.frame[comparison.frame["label"] == "mlm"]
    found = dict(zip(frame["metric"], frame["value"], strict=True))
    assert found["lexical_nats, all words, 1-9"] == pytest.approx(3.0)
    assert "lexical_nats, all words, 10-99" not in found
