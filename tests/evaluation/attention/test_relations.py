"""Heads that follow a relation are found, and what is said of them is not their luck."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from lmcompare.data import Tokenizer
from lmcompare.evaluation.attention.choosing import Tally, choose
from lmcompare.evaluation.attention.dependencies import Dependencies
from lmcompare.evaluation.attention.measure import Asking
from lmcompare.evaluation.attention.options import AttentionOptions
from lmcompare.evaluation.attention.record import AttentionRecord, RelationItem, RelationResult
from lmcompare.evaluation.attention.relations import OFFSETS, HeadJudge, cases_of
from lmcompare.evaluation.states.reading import ways_to_read
from lmcompare.objectives import Clm, Mlm, Objective
from lmcompare.runs.loaded_model import LoadedModel
from lmcompare.runs.results import Results
from tests.evaluation.attention.attending import Attending, follow, made_up, together
from tests.evaluation.probes.banks import bank, sentence
from tests.untrained import contestant

CHOICE = [made_up(number) for number in range(0, 67)]
DEV = [made_up(number) for number in range(67, 71)]
TEST = [made_up(number) for number in range(75, 128)]
EVERY = [*{each.text: each for each in [*CHOICE, *DEV, *TEST]}.values()]
Targets = Mapping[str, Sequence[int | None]]


def to_head(relation: str, *, shift: int = 0) -> Targets:
    """Each word by a relation attends to its head, or to a word so many places after it."""
    return {
        each.text: [
            (word.head - 1 + shift) % len(each.words)
            if word.head and word.relation == relation
            else None
            for word in each.words
        ]
        for each in EVERY
    }


def previous() -> Targets:
    return {each.text: [None, *range(len(each.words) - 1)] for each in EVERY}


def dependencies(min_arcs: int = 7) -> Dependencies:
    return Dependencies(
        treebank=bank(CHOICE, TEST, DEV),
        relations=["det", "nsubj", "obj"],
        too_few={"amod": 5},
        min_arcs=min_arcs,
    )


def subject(
    layers: Sequence[Sequence[Targets]], tokenizer: Tokenizer, path: Path, objective: Objective
) -> LoadedModel:
    net = Attending(
        [together(*(follow(tokenizer, head, EVERY) for head in heads)) for heads in layers]
    )
    results = Results(path / "eval", path / "run.json")
    return contestant(net, objective, tokenizer, path=path, results=results)


def measured(model: LoadedModel, asked: Dependencies) -> AttentionRecord:
    (reading,) = ways_to_read(model, "encoder")
    asking = Asking(
        model=model,
        reading=reading,
        options=AttentionOptions(),
        report=lambda what, share: None,
        warn=pytest.fail,
    )
    return asking.relations(asked)


def results_of(record: AttentionRecord) -> dict[str, RelationResult]:
    return {each.key: each for each in record.relations}


def test_cases_in_both_directions() -> None:
    one = sentence("big 3 amod", "old 3 amod", "cat 4 nsubj", "ran 0 root")
    found = {(each.key, each.word): {*each.targets} for each in cases_of(one)}
    assert found == {
        ("amod to head", 0): {2},
        ("amod to head", 1): {2},
        ("amod to dependent", 2): {0, 1},
        ("nsubj to head", 2): {3},
        ("nsubj to dependent", 3): {2},
    }


def test_a_head_that_follows_a_relation_is_found(tokenizer: Tokenizer, tmp_path: Path) -> None:
    """Its words are split into several tokens, and it stands among others that follow nothing."""
    (document,) = tokenizer.encode(["the cattree"])
    assert len(document) > 3
    layers = [[previous(), previous(), previous()], [previous(), to_head("det"), previous()]]
    model = subject(layers, tokenizer, tmp_path, Mlm())
    found = results_of(measured(model, dependencies()))
    det = found["det to head"]
    assert (det.layer, det.head, det.choice, det.value) == (2, 2, 1.0, 1.0)
    assert det.num_cases == 2 * len(TEST)
    assert det.num_out_of_sight == 0
    assert [[*row] for row in det.values][1][1] == 1.0
    assert det.values[0][0] == 0.0, "the word before a determiner is not its head"


def test_the_offset_by_hand(tokenizer: Tokenizer, tmp_path: Path) -> None:
    """All first determiners stand before their noun, and of the second ones every other."""
    record = measured(subject([[previous()]], tokenizer, tmp_path, Mlm()), dependencies())
    det = results_of(record)["det to head"]
    assert det.offset == 1
    near = sum(number % 2 for number in range(75, 128))
    assert det.offset_value == pytest.approx((len(TEST) + near) / (2 * len(TEST)))
    near = sum(number % 2 for number in [*range(0, 67), *range(67, 71)])
    assert det.offset_choice == pytest.approx((71 + near) / (2 * 71))
    nsubj = results_of(record)["nsubj to dependent"]
    assert (nsubj.offset, nsubj.offset_value, nsubj.value) == (-1, 1.0, 1.0)


def test_luck_in_the_sentences_for_the_choice_is_not_reported(
    tokenizer: Tokenizer, tmp_path: Path
) -> None:
    right, wrong = to_head("obj"), to_head("obj", shift=1)
    chosen_by = {each.text for each in [*CHOICE, *DEV]} - {each.text for each in TEST}
    lucky = {text: right[text] if text in chosen_by else wrong[text] for text in right}
    model = subject([[previous(), lucky]], tokenizer, tmp_path, Mlm())
    obj = results_of(measured(model, dependencies()))["obj to head"]
    assert (obj.layer, obj.head) == (1, 2)
    assert obj.choice > 0.6
    assert obj.value == 0.0


def test_a_causal_model_is_asked_for_what_it_sees(tokenizer: Tokenizer, tmp_path: Path) -> None:
    model = subject([[previous(), to_head("obj")]], tokenizer, tmp_path, Clm())
    record = measured(model, dependencies())
    found = results_of(record)
    assert not record.sees_right
    assert "det to head" not in found, "all nouns stand after their determiners"
    assert "nsubj to head" not in found
    assert found["obj to head"].value == 1.0
    assert "obj to dependent" not in found
    assert found["nsubj to dependent"].num_cases == len(TEST)
    assert found["nsubj to dependent"].offset == -1


def test_words_out_of_sight_are_counted(tokenizer: Tokenizer, tmp_path: Path) -> None:
    some = [
        sentence("cat 2 dep", "saw 0 root", "dog 2 dep"),
        sentence("tree 2 dep", "ran 0 root"),
    ]
    net = Attending(
        [follow(tokenizer, {each.text: [None, 0, 1][: len(each.words)] for each in some}, some)]
    )
    model = contestant(net, Clm(), tokenizer)
    (reading,) = ways_to_read(model, "encoder")
    judge = HeadJudge(model=model, reading=reading, keys={"dep to head": 0, "dep to dependent": 1})
    tally = Tally.of(judge.judge(some), 2)
    assert tally.cases.tolist() == [1, 2]
    assert tally.unseen.tolist() == [2, 0]
    assert tally.shares(0).tolist() == [[1.0]]
    assert tally.shares(1).tolist() == [[1.0]]
    assert tally.offset_shares(1)[OFFSETS == -1] == 1.0
    assert tally.offset_shares(1)[OFFSETS == 1] == 0.0, "it is not seen"


def test_words_after_the_cut_are_no_cases(tokenizer: Tokenizer) -> None:
    long = sentence(*["cat 2 dep", "saw 0 root"], *(f"dog{n} 2 dep" for n in range(31)))
    model = contestant(Attending([lambda view: view.sees().float()[:, None]]), Mlm(), tokenizer)
    (reading,) = ways_to_read(model, "encoder")
    judge = HeadJudge(model=model, reading=reading, keys={"dep to head": 0, "dep to dependent": 1})
    (judged,) = judge.judge([long])
    left_out = judge.counts["words after the cut of a long sentence"]
    assert 0 < left_out < 31
    assert (judged.keys == 0).sum() == 32 - left_out
    assert not len(judged.unseen)


def test_equals_and_too_few() -> None:
    hits = np.array([[[3, 5], [5, 5]]])
    offset_hits = np.full((1, len(OFFSETS)), 4)
    tally = Tally(cases=np.array([11]), unseen=np.array([0]), hits=hits, offset_hits=offset_hits)
    how = {"choice": tally, "test": tally, "layers": (1, 2)}
    found = choose("det", "to head", 0, fewest=11, **how)
    assert found is not None
    assert (found.layer, found.head, found.offset) == (1, 2, -1)
    assert choose("det", "to head", 0, fewest=12, **how) is None


def test_items_add_up_to_the_result(tokenizer: Tokenizer, tmp_path: Path) -> None:
    model = subject([[previous(), to_head("obj")]], tokenizer, tmp_path, Mlm())
    record = measured(model, dependencies())
    items = model.results.items(record, RelationItem)
    assert [each.sentence for each in items] == [*range(len(TEST))]
    for each in record.relations:
        assert sum(item.cases.get(each.key, 0) for item in items) == each.num_cases
        hits = sum(item.hits.get(each.key, 0) for item in items)
        assert hits / each.num_cases == pytest.approx(each.value)
        offset = sum(item.offset_hits.get(each.key, 0) for item in items)
        assert offset / each.num_cases == pytest.approx(each.offset_value)
    assert measured(model, dependencies()) == record, "it is not measured again"
