"""Whatever the tokenizer, the same bytes are scored."""

from pathlib import Path

import pytest

from lmcompare.config.run import parse_data
from lmcompare.evaluation.likelihood.record import LikelihoodRecord
from lmcompare.runs.run import Run
from tests.conftest import values
from tests.evaluation.likelihood.scoring import score


@pytest.mark.parametrize("limit", values(37, slow=[None, 500, 997]))
def test_all_tokenizers_score_the_same_bytes(
    tokenized: dict[str, Run], cache: Path, limit: int | None
) -> None:
    records = [score(run, cache, max_bytes=limit)[0] for run in tokenized.values()]
    assert len({record.text for record in records}) > 1, "their tokens differ"
    assert {(each.bytes_hash, each.num_bytes) for each in records} == {
        (records[0].bytes_hash, records[0].num_bytes)
    }
    assert records[0].bytes_hash is not None
    assert limit is None or records[0].num_bytes <= limit


def test_other_bytes_of_as_many_tokens_have_another_hash(
    tokenized: dict[str, Run], cache: Path, tmp_path: Path
) -> None:
    path = tmp_path / "other.txt"
    found = set()
    for text in ("the cat saw", "the cat  saw", "a cat\n\nsaw", "a cat saw", "a\n\ncat saw"):
        path.write_text(text, encoding="utf-8")
        data = parse_data({"source": str(path)})
        found.add(score(tokenized["bytes"], cache, data=data)[0].bytes_hash)
    assert len(found) == 5


def test_tokens_that_do_not_tell_their_bytes(
    tokenized: dict[str, Run], cache: Path, tmp_path: Path
) -> None:
    path = tmp_path / "other.txt"
    path.write_text("The cat saw the dog@", encoding="utf-8")
    data = parse_data({"source": str(path)})
    (exact,), (lacking,) = (
        score(tokenized[kind], cache, data=data) for kind in ("bytes", "characters")
    )
    assert exact.bytes_hash == exact.text_hash
    assert (lacking.bytes_hash, lacking.text_hash) == (None, lacking.text), "of an unknown sign"
    assert lacking.num_bytes < exact.num_bytes == 20


def test_an_earlier_result_learns_which_bytes_it_is_of(
    tokenized: dict[str, Run], cache: Path
) -> None:
    run = tokenized["word"]
    (record,) = score(run, cache, max_bytes=101)
    (file,) = [
        file
        for file in run.path.glob("eval/likelihood-*.json")
        if LikelihoodRecord.read(file).text == record.text
    ]
    record.model_copy(update={"bytes_hash": None}).write(file)
    assert score(run, cache, max_bytes=101)[0].bytes_hash == record.bytes_hash
    kept = LikelihoodRecord.read(file)
    assert kept.bytes_hash == record.bytes_hash
    assert kept.items_hash == record.items_hash


def test_arms_score_the_same_documents(trained: dict[str, Run], cache: Path) -> None:
    texts = {score(run, cache, max_bytes=200)[0].text for run in trained.values()}
    assert len(texts) == 1
