"""Minimal pairs: what counts, and how suites are read."""

import json
from pathlib import Path

import pytest
import torch

from lmcompare.data import Tokenizer
from lmcompare.errors import UserError
from lmcompare.evaluation.span_scoring import Span, score_spans
from lmcompare.evaluation.tasks.base import Examples
from lmcompare.evaluation.tasks.measure import ratio
from lmcompare.evaluation.tasks.minimal_pairs import Pair, Pairs
from lmcompare.evaluation.tasks.record import TaskItem
from lmcompare.evaluation.tasks.registry import known
from lmcompare.objectives import OBJECTIVES, Clm, parse_objective
from lmcompare.runs.loaded_model import LoadedModel
from tests import DATA
from tests.untrained import subject_of

GOOD = ["the old cat saw a dog.", "a dog ran", "the tree slept.", "a cat ran to a tree", "the cat."]
BAD = ["the cat old saw a dog.", "a ran dog", "the slept tree.", "a cat tree to a ran", "cat the."]
TASK = Pairs(name="suite", group="grammar", files=("*.jsonl",))


def pairs(good: list[str], bad: list[str]) -> list[Pair]:
    both = zip(good, bad, strict=True)
    return [
        Pair(number=number, good=one, bad=two, parts={"kind": "odd" if number % 2 else "even"})
        for number, (one, two) in enumerate(both)
    ]


def answers(
    model: LoadedModel, examples: list[Pair], done: frozenset[int] = frozenset()
) -> list[TaskItem]:
    given = Examples(test=examples)
    return [
        *TASK.evaluate(model, given, protocol="asked", done=done, report=lambda share: None).items
    ]


@pytest.mark.parametrize("name", OBJECTIVES)
def test_swapping_good_and_bad_gives_the_rest(name: str, tokenizer: Tokenizer) -> None:
    model = subject_of(parse_objective(name), tokenizer)
    items, swapped = answers(model, pairs(GOOD, BAD)), answers(model, pairs(BAD, GOOD))
    assert ratio(swapped) == pytest.approx(1 - ratio(items))
    for item, other in zip(items, swapped, strict=True):
        assert item.figures["margin"] == pytest.approx(-other.figures["margin"], abs=1e-4)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_who_says_the_same_of_everything_gets_half(name: str, tokenizer: Tokenizer) -> None:
    """Where both sentences have as many tokens."""
    model = subject_of(parse_objective(name), tokenizer)
    with torch.no_grad():
        for parameter in model.net.parameters():
            parameter.zero_()
    alike = [
        (good, bad)
        for good, bad in zip(GOOD, BAD, strict=True)
        if len({len(each) for each in tokenizer.encode([good, bad])}) == 1
    ]
    items = answers(model, pairs(*map(list, zip(*alike, strict=True))))
    assert [item.score for item in items] == [0.5] * len(alike)
    assert len(alike) > 1


def test_a_pair_counts_where_the_good_one_is_more_probable(tokenizer: Tokenizer) -> None:
    model = subject_of(Clm(), tokenizer)
    items = answers(model, pairs(GOOD, BAD))
    nats = [
        [
            verdict.nats
            for verdict in score_spans(model, [Span(text=each) for each in texts], "causal")
        ]
        for texts in (GOOD, BAD)
    ]
    assert [item.score for item in items] == [
        float(good < bad) for good, bad in zip(*nats, strict=True)
    ]
    assert 0 < ratio(items) < 1, "or this shows little"
    sizes = [[len(each) for each in tokenizer.encode(texts)] for texts in (GOOD, BAD)]
    means = [float(good / a < bad / b) for good, bad, a, b in zip(*nats, *sizes, strict=True)]
    assert TASK.figures(items)["accuracy by the mean of a token"] == sum(means) / len(means)


def test_portions_change_nothing_and_what_is_done_is_not_asked(
    tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, examples = subject_of(Clm(), tokenizer), pairs(GOOD, BAD)
    together = answers(model, examples)
    monkeypatch.setattr("lmcompare.evaluation.tasks.minimal_pairs.AT_ONCE", 2)
    portions = answers(model, examples)
    assert [each.item for each in portions] == [0, 1, 2, 3, 4]
    for one, two in zip(together, portions, strict=True):
        assert one.figures["margin"] == pytest.approx(two.figures["margin"], abs=1e-5)
    rest = answers(model, examples, frozenset({0, 3}))
    assert [each.item for each in rest] == [1, 2, 4]


def suite(folder: Path, name: str, *lines: str) -> Path:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return folder


def record(good: str, bad: str, **more: str) -> str:
    return json.dumps({"sentence_good": good, "sentence_bad": bad, **more})


def test_a_suite_of_records(tmp_path: Path) -> None:
    task = TASK.model_copy(update={"parts": {"paradigm": "UID"}})
    lines = [record("a", "b", UID="x"), "", record("c", "c", UID="y"), record("e", "f", UID="y")]
    examples = task.read(suite(tmp_path, "one.jsonl", *lines))
    assert [(each.number, each.good, each.bad) for each in examples.test] == [
        (0, "a", "b"),
        (1, "e", "f"),
    ]
    assert [each.parts for each in examples.test] == [{"paradigm": "x"}, {"paradigm": "y"}]
    assert examples.counts == {"pairs that are equal, left out": 1}
    assert task.chance(examples) == 0.5


def test_suites_of_lines(tmp_path: Path) -> None:
    suite(tmp_path, "island-effects-one.txt", "bad .", "good .", "this bad ?", "this good ?")
    task = TASK.model_copy(
        update={
            **{"files": ("*.txt",), "layout": "alternating", "first": "bad"},
            **{"part_ends_at": "-", "joins_punctuation": True},
        }
    )
    found = task.read(tmp_path).test
    assert [(each.good, each.bad) for each in found] == [
        ("good.", "bad."),
        ("this good?", "this bad?"),
    ]
    assert found[0].parts == {"phenomenon": "island-effects", "paradigm": "island-effects-one"}
    suite(tmp_path, "agreement.tsv", "True\tthe cat is", "False\tthe cat are")
    task = TASK.model_copy(update={"files": ("*.tsv",), "layout": "labelled"})
    (pair,) = task.read(tmp_path).test
    assert (pair.good, pair.bad, pair.parts) == (
        "the cat is",
        "the cat are",
        {"paradigm": "agreement"},
    )


def test_answers_in_a_file_of_their_own(tmp_path: Path) -> None:
    suite(tmp_path, "data.csv", "id,sent0,sent1", '7,"Yes, it is.",No', "9,left,right")
    suite(tmp_path, "answers.csv", "9,0", "7,1")
    task = TASK.model_copy(
        update={
            **{"files": ("data.csv",), "good": "sent0", "bad": "sent1"},
            "answers_in": "answers.csv",
        }
    )
    assert [(each.good, each.bad) for each in task.read(tmp_path).test] == [
        ("Yes, it is.", "No"),
        ("right", "left"),
    ]


@pytest.mark.parametrize(
    ("name", "lines", "changes", "said"),
    [
        ("x.txt", ["a"], {}, "wants *.jsonl, and there is no such file in"),
        ("x.jsonl", ["{"], {}, "x.jsonl, line 1 is not JSON"),
        ("x.jsonl", ["[]"], {}, "x.jsonl, line 1 is no JSON object"),
        ("x.jsonl", ['{"a": "b"}'], {}, "line 1 has no 'sentence_good', only a"),
        ("x.jsonl", [record("a", "")], {}, "line 1: 'sentence_bad' is blank"),
        ("x.jsonl", [record("a", "a")], {}, "has no pair in *.jsonl"),
        ("x.jsonl", ['{"sentence_good": 3}'], {}, "'sentence_good' is no text but 3"),
        ("x.txt", ["a"], {"files": ("x.txt",)}, "x.txt is no table that can be read"),
        ("x.csv", ["a,b", "1"], {"files": ("x.csv",)}, "line 2 has 1 cells under 2 headings"),
        (
            "x.txt",
            ["a", "b", "c"],
            {"files": ("x.txt",), "layout": "alternating"},
            "has 3 lines, no pairs",
        ),
        (
            "x.txt",
            ["True\ta", "True\tb"],
            {"files": ("x.txt",), "layout": "labelled"},
            "line 1 begins no pair of a True and a False line",
        ),
        (
            "x.txt",
            ["a b"],
            {"files": ("x.txt",), "layout": "labelled"},
            "line 1 is 'a b', not True or False",
        ),
    ],
)
def test_broken_suites_are_one_line(
    name: str, lines: list[str], changes: dict[str, object], said: str, tmp_path: Path
) -> None:
    suite(tmp_path, name, *lines)
    with pytest.raises(UserError) as error:
        TASK.model_copy(update=changes).read(tmp_path)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.skipif(not DATA.exists(), reason="the suites are not here")
def test_the_suites_that_ship_read_what_they_should() -> None:
    found = {name: known()[name].read(DATA) for name in ("blimp", "zorro", "clams", "comve")}
    assert {name: len(each.test) for name, each in found.items()} == {
        "blimp": 44_998,
        "zorro": 46_000,
        "clams": 7_866,
        "comve": 1_000,
    }
    first = found["zorro"].test[0]
    assert first.good.startswith("look at this")
    assert len({pair.parts["paradigm"] for pair in found["blimp"].test}) == 45
    assert len({pair.parts["phenomenon"] for pair in found["zorro"].test}) == 13
