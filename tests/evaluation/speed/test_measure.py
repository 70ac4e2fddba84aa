"""How fast models write and read: by a clock that goes on as it is told to."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lmcompare.config.run import parse_data
from lmcompare.errors import Unsupported, UserError
from lmcompare.evaluation.generation.record import ROWS_TOGETHER
from lmcompare.evaluation.registry import choose
from lmcompare.evaluation.speed import measure
from lmcompare.evaluation.speed.kind import SpeedKind
from lmcompare.evaluation.speed.measure import measure_speed
from lmcompare.evaluation.speed.options import SpeedOptions
from lmcompare.evaluation.speed.record import SpeedItem, SpeedRecord
from lmcompare.objectives import Clm
from lmcompare.runs.contention import disturbed
from lmcompare.runs.run import Run
from tests.tiny import Command, Trainer, flags, the_error, tiny

PROMPT, NEW, ROUNDS = 5, 7, 3


def timed(run: Run, cache: Path, **settings: Any) -> SpeedRecord:
    known = {"prompt_tokens": PROMPT, "new_tokens": NEW, "rounds": ROUNDS}
    return measure_speed(run, SpeedOptions(**(known | settings)), cache=cache, warn=pytest.fail)


def ticking(*seconds: float) -> Iterator[float]:
    """A clock by which the first piece of work takes so long, and the next, over and over."""
    now = 0.0
    yield now  # when the rounds begin
    for each in itertools.cycle(seconds):
        yield now
        now += each
        yield now


@pytest.fixture
def clm(train: Trainer, corpus: Path) -> Run:
    return train(tiny(corpus, "clm"))


def test_speeds_are_what_a_clock_says(
    clm: Run, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A round reads for a second, then writes one text for two and many for four."""
    clock = ticking(1.0, 2.0, 4.0)
    monkeypatch.setattr(measure, "FEWEST", ROUNDS + 1)
    monkeypatch.setattr(measure, "perf_counter", lambda: next(clock))
    record = timed(clm, cache)
    assert record.alone is not None
    assert record.together is not None
    assert record.alone.median == pytest.approx(NEW / 2)
    assert record.together.median == pytest.approx(ROWS_TOGETHER * NEW / 4)
    assert record.reading.median == pytest.approx(ROWS_TOGETHER)
    assert record.alone.num_rounds == ROUNDS
    assert record.passes_per_token == 1.0
    assert (record.method, record.reason, record.precision) == ("left-to-right", None, "float32")
    items = clm.results.items(record, SpeedItem)
    assert [each.seconds for each in items if each.timed == "together"] == [4.0] * ROUNDS
    assert len(items) == 3 * ROUNDS


def test_it_is_not_timed_again_unless_that_is_wanted(clm: Run, cache: Path) -> None:
    first = timed(clm, cache)
    assert timed(clm, cache) == first
    assert timed(clm, cache, again=True) != first
    assert len(clm.results.read(SpeedRecord)) == 1
    timed(clm, cache, new_tokens=NEW + 1)
    assert len(clm.results.read(SpeedRecord)) == 2, "another length is another question"


@pytest.mark.parametrize("objective", ["mlm", "plm", "t5", "bart", "glm", "mdlm", "fim", "hybrid"])
def test_every_objective_is_timed_in_its_own_way(
    train: Trainer, corpus: Path, cache: Path, objective: str
) -> None:
    run = train(tiny(corpus, objective))
    record = timed(run, cache, rounds=1)
    assert record.method == next(iter(run.record().config.objective.decoding_methods))
    assert record.passes_per_token is not None
    assert all(value is not None for value in record.values.values())


def test_what_cannot_write_is_timed_in_reading(
    clm: Run, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> str:
        raise Unsupported("clm does not write")

    monkeypatch.setattr(Clm, "choose_decoding_method", refuse)
    record = timed(clm, cache)
    assert (record.alone, record.together, record.passes_per_token) == (None, None, None)
    assert record.reason == "clm does not write"
    assert record.reading.median > 0
    (table, notes) = SpeedKind().page([(clm, record)])
    assert table.parts[0].rows[0][1:5] == ["—", "—", "—", "—"]  # type: ignore[union-attr]
    assert "— clm: clm does not write" in notes.items  # type: ignore[union-attr]


def test_rounds_that_something_else_slowed_down_are_left_out() -> None:
    seconds = np.array([1.0] * 15 + [3.0] * 5)
    assert disturbed(seconds).tolist() == [False] * 15 + [True] * 5
    assert not disturbed(np.array([1.0] * 17 + [3.0] * 3)).any(), "too few to be a disturbance"
    assert not disturbed(seconds[-8:]).any(), "too few rounds to tell"
    assert not disturbed(np.array([])).any()


def test_rows_that_were_too_short_are_told_of_before_anything_is_timed(
    command: Command, corpus: Path
) -> None:
    assert command("train", "-o", "clm", *flags(corpus)).code == 0
    said = the_error(command("eval", "experiments/default", "--tasks", "speed"))
    assert "was trained on rows of 33 tokens, and 16 of a prompt, 48 new ones" in said
    assert "choose fewer (--prompt-tokens, --new-tokens)" in said


def test_a_text_that_is_too_short_is_told_of(clm: Run, cache: Path, tmp_path: Path) -> None:
    (tmp_path / "short.txt").write_text("abc\n")
    data = parse_data({"source": str(tmp_path / "short.txt")})
    with pytest.raises(UserError, match="has no document with 12 known tokens in a row to time"):
        timed(clm, cache, data=data)


def test_it_is_asked_for_by_its_name_and_is_no_part_of_all() -> None:
    assert [*choose(["speed"])] == [SpeedOptions]
    assert SpeedOptions not in choose(["all"])
