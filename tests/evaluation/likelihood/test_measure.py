"""Every byte is counted once, and the kind of the number is said."""

import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from lmcompare.config.run import parse_data
from lmcompare.data import prepare
from lmcompare.errors import UserError
from lmcompare.evaluation.likelihood import measure
from lmcompare.evaluation.likelihood.measure import measure_likelihood
from lmcompare.evaluation.likelihood.options import LikelihoodOptions
from lmcompare.evaluation.likelihood.record import LikelihoodRecord
from lmcompare.evaluation.ngram import Trigrams
from lmcompare.objectives import OBJECTIVES, Clm
from lmcompare.runs.loaded_model import LoadedModel
from lmcompare.runs.run import Run
from lmcompare.view import Text
from tests.conftest import objectives
from tests.evaluation.likelihood.scoring import items, score, text_scorings
from tests.tiny import WORDS, Trainer, sentences, tiny


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_the_sum_of_the_documents_is_the_record(
    trained: dict[str, Run],
    cache: Path,
    text: Path,
    objective: str,
) -> None:
    run = trained[objective]
    before = len(items(run))
    records = score(run, cache, data=parse_data({"source": str(text)}))
    assert [record.scoring for record in records] == text_scorings(objective)
    found = items(run)
    assert len(found) == before + len(records)
    num_bytes = [len(part.encode()) for part in text.read_text().strip().split("\n\n")]
    for record in records:
        assert any(
            sum(item.nats for item in each) == pytest.approx(record.nats)
            and sorted(item.num_bytes for item in each) == sorted(num_bytes)
            for each in found
        )
        assert record.num_documents == 3
        assert record.num_bytes == sum(num_bytes)
        assert record.num_tokens == sum(num_bytes), "of bytes"
        assert record.bits_per_byte == pytest.approx(record.bits_per_token)
        assert 0 < record.nats < math.inf
        assert record in run.results.read(LikelihoodRecord)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_the_kind_is_that_of_the_objective(
    trained: dict[str, Run],
    cache: Path,
    objective: str,
) -> None:
    for record in score(trained[objective], cache, max_bytes=50):
        how = OBJECTIVES[objective]().scorings[record.scoring]
        assert record.likelihood == how.likelihood
        assert (record.likelihood == "pseudo") == record.scoring.startswith("pll")
        assert (record.standard_error is not None) == how.sampled


@pytest.mark.parametrize("objective", objectives())
def test_how_windows_are_batched_changes_nothing(
    trained: dict[str, Run],
    cache: Path,
    text: Path,
    objective: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = {"data": parse_data({"source": str(text)}), "stride": 5, "again": True}
    together = score(trained[objective], cache, **asked)
    monkeypatch.setattr(measure, "TOKENS_AT_ONCE", 1)
    alone = score(trained[objective], cache, **asked)
    for one, two in zip(together, alone, strict=True):
        assert one.nats == pytest.approx(two.nats, rel=1e-5)
        if one.standard_error is not None:
            assert one.standard_error == pytest.approx(two.standard_error, rel=1e-3)
        figures = {"nats", "standard_error", "items_hash"}
        assert one.model_dump(exclude=figures) == two.model_dump(exclude=figures)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_probability_of_a_text_is_never_given_what_it_still_predicts(
    trained: dict[str, Run],
    cache: Path,
    text: Path,
    objective: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What stands behind the asked tokens of a window is seen for a pseudo-likelihood alone."""
    seen: dict[str, list[bool]] = {}
    log_prob = LoadedModel.log_prob

    def watched(model: LoadedModel, rows: Text, asked: torch.Tensor, scoring: str) -> object:
        behind = rows.visible & (asked.int().cumsum(1) == asked.sum(1, keepdim=True)) & ~asked
        seen.setdefault(scoring, []).append(bool(behind.any()))
        return log_prob(model, rows, asked, scoring)

    monkeypatch.setattr(LoadedModel, "log_prob", watched)
    for record in score(
        trained[objective], cache, data=parse_data({"source": str(text)}), again=True, stride=7
    ):
        assert any(seen[record.scoring]) == (record.likelihood == "pseudo")


def test_more_context_is_another_number(
    trained: dict[str, Run],
    cache: Path,
    text: Path,
) -> None:
    data = parse_data({"source": str(text)})
    records = [
        score(trained["clm"], cache, data=data, window=window, stride=stride)[0]
        for window, stride in ((17, 16), (17, 1), (64, 1))
    ]
    assert len({round(record.nats, 3) for record in records}) == 3
    assert len({record.num_tokens for record in records}) == 1
    assert [(record.window, record.stride) for record in records] == [(17, 16), (17, 1), (64, 1)]


def test_the_whole_of_a_split_is_scored_and_no_more(
    trained: dict[str, Run],
    cache: Path,
) -> None:
    run = trained["clm"]
    prepared = prepare(run.record().config.data, run.record().config.tokenizer, cache=cache)
    for name in ("validation", "test"):
        (record,) = score(run, cache, split=name)
        split = prepared.split(name)  # type: ignore[arg-type]
        assert record.source == name
        assert record.num_bytes == split.num_bytes
        assert record.num_documents == split.num_documents
        assert record.num_tokens == split.num_tokens - split.num_documents, "ends are not scored"
    assert record.step == 8


def test_a_limit_is_kept_and_met(trained: dict[str, Run], cache: Path) -> None:
    for limit in (1, 37, 500):
        (record,) = score(trained["clm"], cache, max_bytes=limit)
        cut_before_a_space = limit - max(map(len, WORDS)) - 2 < record.num_bytes <= limit
        assert cut_before_a_space if limit > 1 else record.num_bytes == 1, "of no whole word"
    few, more = (score(trained["clm"], cache, max_bytes=limit)[0] for limit in (37, 500))
    assert few.text != more.text
    assert few.num_documents < more.num_documents


def test_the_unigram_anchor_by_hand(
    trained: dict[str, Run],
    cache: Path,
    tmp_path: Path,
    corpus: Path,
) -> None:
    run = trained["clm"]
    text = tmp_path / "hand.txt"
    text.write_text("the cat Z", encoding="utf-8")
    config = run.record().config
    prepared = prepare(config.data, config.tokenizer, cache=cache)
    split = prepared.split("train")
    counts = Counter(
        byte
        for number in range(split.num_documents)
        for byte in split.document_text(number).encode()
    )
    assert "Z" not in corpus.read_text()
    total = sum(counts.values()) + len(prepared.vocab.regular)
    assert len(prepared.vocab.regular) == 256
    expected = -sum(math.log((counts[byte] + 1) / total) for byte in text.read_bytes())
    (record,) = score(run, cache, data=parse_data({"source": str(text)}))
    assert record.unigram_nats == pytest.approx(expected)


def test_the_trigram_anchor_is_of_the_training_text(
    trained: dict[str, Run], cache: Path, tmp_path: Path, corpus: Path
) -> None:
    """It counts each document by itself, is better than frequencies, and needs no cache."""
    run = trained["clm"]
    config = run.record().config
    split = prepare(config.data, config.tokenizer, cache=cache).split("train")
    vocab = split.tokenizer.vocab
    is_text = ~vocab.is_special(torch.arange(vocab.size)).numpy()
    counted = Trigrams(split.tokens, is_text, end=vocab.eos)
    text = tmp_path / "two.txt"
    text.write_text("the cat\n\na dog Z", encoding="utf-8")
    expected = -sum(
        np.log(counted.probability(each.ids)).sum()
        for each in split.tokenizer.encode(["the cat", "a dog Z"])
    )
    (record,) = score(run, cache, data=parse_data({"source": str(text)}))
    assert record.trigram_nats == pytest.approx(expected)
    assert record.trigram_nats < record.unigram_nats
    (gone,) = score(run, tmp_path / "empty", data=parse_data({"source": str(text)}), again=True)
    assert gone.trigram_nats == record.trigram_nats, "prepared anew"


def test_what_was_measured_is_not_measured_again(
    trained: dict[str, Run],
    cache: Path,
    text: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run, asked = trained["clm"], {"data": parse_data({"source": str(text)}), "window": 13}
    first = score(run, cache, **asked)

    def called(*_: object, **__: object) -> None:
        raise AssertionError("scored")

    monkeypatch.setattr(Clm, "score", called)
    assert score(run, cache, **asked) == first
    for other in ({"again": True}, {"window": 14}, {"stride": 3}, {"max_bytes": 20}):
        with pytest.raises(AssertionError, match="scored"):
            score(run, cache, **(asked | other))


def test_a_scoring_that_is_chosen(trained: dict[str, Run], cache: Path) -> None:
    (record,) = score(trained["mlm"], cache, max_bytes=50, scorings=("pll-word",))
    assert record.scoring == "pll-word"
    with pytest.raises(UserError, match="clm cannot be scored by 'pll': known: causal"):
        score(trained["clm"], cache, scorings=("pll",))


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"stride": 33}, "a stride of 33 tokens does not fit windows of 33: choose 1 to 32"),
        ({"window": 8, "stride": 9}, "a stride of 9 tokens does not fit windows of 8"),
        ({"device": "banana"}, "there is no device 'banana'"),
        ({"data": parse_data({"source": "nowhere.txt"})}, r"no file, folder or match for 'nowhere"),
    ],
)
def test_what_cannot_be_scored(
    trained: dict[str, Run],
    cache: Path,
    asked: dict[str, object],
    said: str,
) -> None:
    with pytest.raises(UserError, match=said):
        score(trained["clm"], cache, **asked)


@pytest.mark.parametrize("asked", [{"stride": -1}, {"window": 1}, {"max_bytes": -1}])
def test_numbers_that_mean_nothing_are_no_options(asked: dict[str, int]) -> None:
    with pytest.raises(ValidationError, match="greater than or equal to"):
        LikelihoodOptions(**asked)
    assert LikelihoodOptions(max_bytes=0).max_bytes is None, "all of the text"


def test_texts_of_nothing(trained: dict[str, Run], cache: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty.txt"
    empty.write_text(" \n\n ")
    with pytest.raises(UserError, match="is empty"):
        score(trained["clm"], cache, data=parse_data({"source": str(empty)}))


def test_a_text_without_a_known_token(train: Trainer, cache: Path, tmp_path: Path) -> None:
    corpus, other = tmp_path / "words.txt", tmp_path / "other.txt"
    corpus.write_text(sentences(900).replace("café", "cafe"))
    other.write_text("ж")
    run = train(tiny(corpus, "clm", "tokenizer.kind=characters", "budget=1 steps"))
    with pytest.raises(UserError, match="there is nothing to score"):
        score(run, cache, data=parse_data({"source": str(other)}))


def test_a_run_without_a_checkpoint(corpus: Path, train: Trainer, cache: Path) -> None:
    run = train(tiny(corpus), stop_at=3)
    for file in run.checkpoints.glob("*/*"):
        file.unlink()
    with pytest.raises(UserError, match="none of the 1 checkpoints"):
        score(run, cache)
    for place in run.checkpoints.iterdir():
        place.rmdir()
    with pytest.raises(UserError, match="has no checkpoint yet: let `lmcompare train` continue"):
        score(run, cache)
    with pytest.raises(UserError, match="is no run"):
        score(Run(train.folder), cache)


def test_a_text_named_from_another_folder(
    tmp_path: Path, train: Trainer, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "text.txt").write_text(sentences(307))
    monkeypatch.chdir(tmp_path)
    run = train(tiny(Path("text.txt"), "clm", "tokenizer.kind=bytes", "budget=1 steps"))
    first = score(run, cache)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert score(run, cache, again=True) == first, "the cache holds what it read"
    with pytest.raises(UserError, match="type this in the folder of training, or") as e:
        score(run, tmp_path / "empty", again=True)
    assert "was trained on is not to be had here (there is no file" in str(e.value)


@pytest.mark.parametrize("kind", ["bytes", "characters"])
def test_a_text_that_changed_is_read_as_it_was_or_refused(
    tmp_path: Path, train: Trainer, cache: Path, kind: str
) -> None:
    """Whether or not its tokenizer shows it."""
    text = tmp_path / "text.txt"
    text.write_text(sentences(307))
    run = train(tiny(text, "clm", f"tokenizer.kind={kind}", "budget=1 steps"))
    first = score(run, cache)
    text.write_text(sentences(307).replace("cat", "Rat"))
    assert score(run, cache, again=True) == first
    with pytest.raises(UserError, match=r"the text of .* has changed since it was trained"):
        score(run, tmp_path / "empty")


def test_a_damaged_checkpoint_is_told(corpus: Path, train: Trainer, cache: Path) -> None:
    run = train(tiny(corpus))
    newest = max(run.checkpoints.iterdir())
    (newest / "model.safetensors").write_bytes(b"")
    with pytest.raises(UserError, match="the run is finished and this is its model"):
        score(run, cache)
    run.done_file.unlink()
    told: list[str] = []
    (record,) = measure_likelihood(
        run, LikelihoodOptions(max_bytes=50), cache=cache, warn=told.append
    )
    assert record.step == 14
    assert len(told) == 1
    assert "damaged" in told[0]


def test_progress_is_told_to_its_end(trained: dict[str, Run], cache: Path) -> None:
    told: list[tuple[str, float]] = []
    measure_likelihood(
        trained["mlm"],
        LikelihoodOptions(max_bytes=100, again=True),
        cache=cache,
        report=lambda scoring, share: told.append((scoring, share)),
    )
    for scoring in text_scorings("mlm"):
        shares = [share for name, share in told if name == scoring]
        assert shares == sorted(shares)
        assert shares[-1] == 1
    assert np.all(np.array([share for _, share in told]) > 0)
