"""Which results a word, a setting, or several of them select."""

import pytest

from lmcompare.errors import UserError
from lmcompare.evaluation.generation.record import GenerationRecord, TextMetrics
from lmcompare.evaluation.infilling.record import InfillingRecord
from lmcompare.evaluation.likelihood.record import LikelihoodRecord
from lmcompare.evaluation.selection import Selection, facets_of
from lmcompare.evaluation.tasks.record import TaskRecord
from lmcompare.objectives.decoding.sampler import Sampler
from lmcompare.runs.records import ResultRecord

ABOUT = {"arm": "a", "seed": 0, "step": 7}
SIZES = {"num_bytes": 499, "num_tokens": 101, "unigram_nats": 997.0}
FIGURES = TextMetrics(
    num_bytes=499,
    num_words=83,
    entropy=None,
    distinct_1=None,
    distinct_2=None,
    distinct_3=None,
    repetition=None,
    self_bleu=None,
    verbatim=None,
)
RECORDS: dict[str, ResultRecord] = {
    "11111111": LikelihoodRecord(
        **ABOUT,
        **SIZES,
        source="books/a.txt,b=c.txt",
        text="7e47" * 8,
        bytes_hash="b17e" * 8,
        scoring="causal",
        likelihood="exact",
        window=128,
        stride=64,
        num_documents=5,
        nats=701.0,
    ),
    "22222222": InfillingRecord(
        **ABOUT,
        **SIZES,
        source="validation",
        text="5678" * 8,
        hidden="second half",
        form="told",
        protocol="in-order",
        length=32,
        num_texts=61,
    ),
    "33333333": GenerationRecord(
        **ABOUT,
        **SIZES,
        source="validation",
        text="9abc" * 8,
        method="gibbs",
        sampler=Sampler(temperature=0.7),
        prompt_tokens=13,
        new_tokens=29,
        num_texts=61,
        reference=FIGURES,
    ),
    "44444444": TaskRecord(
        **ABOUT,
        task="boolq",
        kind="classification",
        group="understanding",
        source="boolq.jsonl",
        text="def0" * 8,
        version=2,
        protocol="all mean",
        metric="accuracy",
        chance=0.5,
        num_items=199,
    ),
}
FACETS = {id: facets_of(record, id=id) for id, record in RECORDS.items()}


def chosen(*given: str) -> list[str]:
    selection = Selection.parse(given)
    selection.require([*FACETS.values()])
    return [id[0] for id, facets in FACETS.items() if selection.matches(facets)]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["all"], "1234"),
        (["likelihood"], "1"),
        (["benchmark"], "4"),
        (["understanding"], "4"),
        (["validation"], "23"),
        (["books/a.txt"], "1"),
        (["a.txt"], "1"),
        (["b=c.txt"], "1"),
        (["b17e"], "1"),
        (["7E47"], "1"),
        (["2222"], "2"),
        (["second half"], "2"),
        (["told, in-order"], "2"),
        (["protocol=all mean"], "4"),
        (["trained"], "4"),
        (["window=128"], "1"),
        (["texts=61"], "23"),
        (["temperature=0.70"], "3"),
        (["bytes=499,exact"], "1"),
        (["examples=199", "gibbs"], "34"),
        (["validation,generation"], "3"),
        (["step=7"], "1234"),
    ],
)
def test_what_is_selected(given: list[str], expected: str) -> None:
    assert "".join(chosen(*given)) == expected


def test_what_holds_never_at_once_is_said() -> None:
    with pytest.raises(UserError, match="no result is likelihood and infilling at once: repeat"):
        chosen("likelihood,infilling")


def test_the_beginning_of_two_ids_is_none() -> None:
    pair = [facets_of(RECORDS["11111111"], id=id) for id in ("aaaabbbb", "aaaacccc")]
    with pytest.raises(UserError, match="'aaaa' is the beginning of 2 ids: type more of aaaabbbb"):
        Selection.parse(["aaaa"]).require(pair)
    Selection.parse(["aaaab"]).require(pair)


@pytest.mark.parametrize(
    ("id", "change", "same"),
    [
        ("11111111", {"text": "ffff", "window": 64, "num_bytes": 7}, True),
        ("11111111", {"scoring": "pll"}, False),
        ("11111111", {"source": "test"}, False),
        ("22222222", {"text": "ffff", "length": 16, "num_texts": 3}, True),
        ("22222222", {"hidden": "15%"}, False),
        ("33333333", {"text": "ffff", "new_tokens": 5}, True),
        ("33333333", {"sampler": Sampler(temperature=1.5)}, False),
        ("44444444", {"text": "ffff", "num_items": 3, "version": 3}, True),
        ("44444444", {"protocol": "probe"}, False),
        ("44444444", {"step": 0}, False),
    ],
)
def test_what_asks_the_same_under_other_settings(
    id: str, change: dict[str, object], same: bool
) -> None:
    record = RECORDS[id]
    assert (record.model_copy(update=change).question == record.question) is same
