"""Runs at tasks: kept, continued, and beside the models as they started."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

from lmcompare.errors import Unsupported
from lmcompare.evaluation.span_scoring import Span, SpanScore, score_spans
from lmcompare.evaluation.tasks import minimal_pairs
from lmcompare.evaluation.tasks.base import Predictions
from lmcompare.evaluation.tasks.measure import measure_task, ratio
from lmcompare.evaluation.tasks.minimal_pairs import Pairs
from lmcompare.evaluation.tasks.options import TaskOptions
from lmcompare.evaluation.tasks.record import TaskItem, TaskRecord
from lmcompare.evaluation.tasks.registry import read_tasks
from lmcompare.model import Backbone
from lmcompare.objectives import OBJECTIVES
from lmcompare.runs.loaded_model import LoadedModel, load_model
from lmcompare.runs.run import Run
from lmcompare.view import View
from tests.evaluation.tasks.small_tasks import PAIRS, measure
from tests.tiny import Trainer, tiny


def test_each_model_stands_beside_the_one_that_it_was(run: Run, suites: Path) -> None:
    trained, started = measure(run, suites)
    assert (trained.is_untrained, started.is_untrained) == (False, True)
    assert trained.step == 20
    for record in (trained, started):
        items = run.results.items(record, TaskItem)
        assert [item.item for item in items] == [0, 1, 2, 3, 4]
        assert record.value == ratio(items)
        assert (record.metric, record.chance, record.num_items) == ("accuracy", 0.5, 5)
        assert (record.scoring, record.likelihood) == ("causal", "exact")
        assert {*record.parts["length"]} == {"long", "short"}
        num = [count for _, count in record.parts["length"].values()]
        parts = sum(value * count for value, count in record.parts["length"].values())
        assert parts / sum(num) == pytest.approx(record.value)
        p = record.value
        assert record.standard_error == pytest.approx(math.sqrt(p * (1 - p) / 4))
    margins = [
        [i.figures["margin"] for i in run.results.items(r, TaskItem)] for r in (trained, started)
    ]
    assert margins[0] != margins[1]
    model = load_model(run, device="cpu", warn=pytest.fail)
    config = run.record().config
    fresh = Backbone(config.model, vocab_size=model.tokenizer.vocab.size, seed=config.seed)
    parts = [Span(text=each) for pair in PAIRS for each in pair]
    costs = [each.nats for each in score_spans(replace(model, net=fresh.eval()), parts, "causal")]
    expected = [bad - good for good, bad in zip(costs[::2], costs[1::2], strict=True)]
    assert margins[1] == pytest.approx(expected, abs=1e-4)
    assert run.results.read(TaskRecord) == [trained, started] or run.results.read(TaskRecord) == [
        started,
        trained,
    ]


def test_as_many_rows_at_once_as_are_allowed(
    run: Run, suites: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows: list[int] = []
    states = Backbone._states

    def seen(self: Backbone, view: View, *others: Any) -> Tensor:
        rows.append(len(view.tokens))
        return states(self, view, *others)

    monkeypatch.setattr(Backbone, "_states", seen)
    margins = []
    for size, most in ((None, 10), (3, 3), (1, 1)):
        rows.clear()
        trained, started = measure(run, suites, batch_size=size, again=True)
        assert max(rows) == most
        margins.append(
            [
                item.figures["margin"]
                for record in (trained, started)
                for item in run.results.items(record, TaskItem)
            ]
        )
    assert margins[1] == pytest.approx(margins[0], abs=1e-5)
    assert margins[2] == pytest.approx(margins[0], abs=1e-5)


def test_what_was_asked_is_not_asked_again(
    run: Run, suites: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = measure(run, suites)
    monkeypatch.setattr("lmcompare.evaluation.tasks.measure.ALONE", 0)
    asked: list[str] = []
    true = Pairs.evaluate

    def counted(self: Pairs, model: LoadedModel, *rest: object, **more: object) -> Predictions:
        asked.append(self.name)
        return true(self, model, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(Pairs, "evaluate", counted)
    assert measure(run, suites) == first
    assert not asked
    again = measure(run, suites, again=True)
    assert [each.value for each in again] == [each.value for each in first]
    assert len(asked) == 2
    measure(run, suites, limit=3)
    assert len(asked) == 4, "fewer examples are another question"


def test_a_limit_takes_the_same_examples_of_every_run(run: Run, suites: Path) -> None:
    (record,) = measure(run, suites, limit=3, untrained=False)
    numbers = [item.item for item in run.results.items(record, TaskItem)]
    assert len(numbers) == record.num_items == 3
    assert numbers == sorted(numbers)
    again = measure(run, suites, limit=3, untrained=False, again=True)
    assert [item.item for item in run.results.items(again[0], TaskItem)] == numbers


def test_what_was_cut_off_is_gone_on_with(
    run: Run, suites: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is asked twice, and the result is that of one go; half a line does no harm."""
    (whole,) = measure(run, suites, untrained=False)
    items = run.results.items(whole, TaskItem)
    for path in run.path.glob("eval/*"):
        path.unlink()
    monkeypatch.setattr("lmcompare.evaluation.tasks.minimal_pairs.AT_ONCE", 1)
    monkeypatch.setattr("lmcompare.evaluation.tasks.measure.KEPT_AT_ONCE", 1)
    monkeypatch.setattr("lmcompare.evaluation.tasks.measure.ALONE", 0)
    asked: list[int] = []
    true = minimal_pairs.score_spans

    def broken(model: LoadedModel, *rest: object, **more: object) -> object:
        asked.append(1)
        if len(asked) == 3:
            raise KeyboardInterrupt
        return true(model, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(minimal_pairs, "score_spans", broken)
    with pytest.raises(KeyboardInterrupt):
        measure(run, suites, untrained=False)
    assert not run.results.read(TaskRecord)
    (unfinished,) = run.path.glob("eval/*.unfinished")
    assert len(unfinished.read_text().splitlines()) == 2
    with unfinished.open("a") as file:
        file.write('{"item": 2, "gai')
    (record,) = measure(run, suites, untrained=False)
    assert len(asked) == 3 + 3, "the two that were kept are not asked again"
    assert record.value == whole.value
    for one, two in zip(run.results.items(record, TaskItem), items, strict=True):
        assert one.figures["margin"] == pytest.approx(two.figures["margin"], abs=1e-5)
    assert not [*run.path.glob("eval/*.unfinished")]


def test_every_checkpoint_gives_a_learning_curve(
    train: Trainer, corpus: Path, suites: Path
) -> None:
    """With what was spent up to each; the last one is as if it had been asked alone."""
    run = train(tiny(corpus, "clm", "runtime.keep=9"))
    records = measure(run, suites, every_checkpoint=True)
    assert [record.step for record in records] == [20, 14, 7, 0]
    metrics = {line.step: line.spent for line in run.metrics()}
    assert [record.spent for record in records[:3]] == [metrics[step] for step in (20, 14, 7)]
    margins = [
        [item.figures["margin"] for item in run.results.items(record, TaskItem)]
        for record in records
    ]
    assert len({*map(tuple, margins)}) == 4
    assert measure(run, suites, again=True) == [records[0], records[3]]


def test_answers_that_change_with_the_batch_are_told(
    run: Run, suites: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for record in measure(run, suites):
        assert (record.alone, record.alone_differs) == (5, 0)
    true = minimal_pairs.score_spans

    def by_size(model: LoadedModel, parts: list[Span], scoring: str) -> list[SpanScore]:
        """As if padding took part."""
        return [
            replace(verdict, nats=verdict.nats + len(parts) * number)
            for number, verdict in enumerate(true(model, parts, scoring))
        ]

    monkeypatch.setattr(minimal_pairs, "score_spans", by_size)
    for record in measure(run, suites, again=True):
        assert (record.alone, record.alone_differs) == (5, 5)


class Impossible(Pairs):
    """What nobody can do."""

    def evaluate(self, *_: object, **__: object) -> Predictions:  # type: ignore[override]
        raise Unsupported("clm has no opinion")


def test_what_cannot_be_asked_is_a_dash_with_a_reason(run: Run, suites: Path) -> None:
    task = Impossible(name="order", group="grammar", files=("order.jsonl",))
    for record in measure_task(run, task, task.read(suites), TaskOptions(device="cpu")):
        assert (record.value, record.reason) == (None, "clm has no opinion")
        assert run.results.items(record, TaskItem) == []


@pytest.mark.slow
def test_every_objective_is_asked_every_kind(train: Trainer, corpus: Path, suites: Path) -> None:
    for name in OBJECTIVES:
        run = train(tiny(corpus, name, "budget=2 steps"))
        for task in read_tasks(suites / "tasks.toml"):
            (record,) = measure_task(
                run, task, task.read(suites), TaskOptions(device="cpu", untrained=False)
            )
            assert record.value is not None, (name, task.name, record.reason)
