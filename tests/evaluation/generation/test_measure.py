"""All arms write after the same prompts, and what they write is measured as the text itself is."""

import math
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from lmcompare.data import Tokenizer, prepare
from lmcompare.errors import UserError
from lmcompare.evaluation.generation import measure, throughput
from lmcompare.evaluation.generation.judge import Judge
from lmcompare.evaluation.generation.measure import measure_generation
from lmcompare.evaluation.generation.options import GenerationOptions
from lmcompare.evaluation.generation.record import GenerationRecord
from lmcompare.evaluation.span_scoring import Span
from lmcompare.objectives import OBJECTIVES
from lmcompare.objectives.decoding.sampler import Sampler
from lmcompare.runs.loaded_model import load_model
from lmcompare.runs.run import Run
from lmcompare.view import Text
from tests.evaluation.generation.writing import (
    COST,
    NEW,
    NUM,
    PROMPT,
    items,
    judged_by,
    other,
    training_tokens,
    write,
)


def test_all_arms_write_behind_the_same_prompts(trained: dict[str, Run], cache: Path) -> None:
    found = {}
    for name in OBJECTIVES:
        (record,) = write(trained[name], cache)
        prompts = [(item.prompt, item.reference) for item in items(trained[name], record)]
        found[name] = (record.text, record.reference, record.num_bytes, prompts)
    assert all(each == found["clm"] for each in found.values())
    assert len(found["clm"][3]) == NUM


def test_prompts_are_beginnings_of_held_out_pieces(
    trained: dict[str, Run], cache: Path, corpus: Path
) -> None:
    (record,) = write(trained["clm"], cache)
    config = trained["clm"].record().config
    split = prepare(config.data, config.tokenizer, cache=cache).split("validation")
    documents = [split.document_text(number) for number in range(split.num_documents)]
    for item in items(trained["clm"], record):
        whole = item.prompt + item.reference
        assert any(whole in document for document in documents)
        assert len(whole.encode()) == PROMPT + NEW, "tokens are bytes here"
        assert 0 <= PROMPT - len(item.prompt.encode()) <= 1, "half a character is no prompt"
    assert record.num_tokens == record.num_bytes == NUM * NEW
    assert record.unigram_bits_per_byte > 0


def test_prompts_depend_on_the_text_and_the_lengths_alone(
    trained: dict[str, Run], cache: Path
) -> None:
    (record,) = write(trained["clm"], cache)
    (same,) = write(trained["judge"], cache, temperatures=(0.5,))
    assert same.text == record.text
    for changed in (
        {"prompt_tokens": PROMPT + 1, "new_tokens": NEW - 1},
        {"new_tokens": NEW + 1},
        {"num_texts": NUM - 1},
        {"split": "test"},
    ):
        (another,) = write(trained["clm"], cache, **changed)
        assert another.text != record.text


def test_more_prompts_are_the_same_ones_and_others(trained: dict[str, Run], cache: Path) -> None:
    run = trained["clm"]
    few, more = (items(run, write(run, cache, num_texts=num)[0]) for num in (3, 7))
    assert [item.prompt for item in few] == [item.prompt for item in more][:3]
    assert [item.written for item in few] == [item.written for item in more][:3]


# what is written


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_every_objective_writes_as_much(
    trained: dict[str, Run], cache: Path, objective: str
) -> None:
    run = trained[objective]
    (record,) = write(run, cache)
    assert record.reason is None
    assert record.method == next(iter(OBJECTIVES[objective]().decoding_methods))
    assert (record.written is None, record.cost is None) == (False, False)
    found = items(run, record)
    assert {len(item.tokens) for item in found} == {NEW}
    vocab = Tokenizer.load(run.tokenizer_file).vocab
    assert not vocab.is_special(torch.tensor([item.tokens for item in found])).any()
    assert record in run.results.read(GenerationRecord)
    assert [item.text for item in found] == list(range(NUM))
    assert record.written is not None
    assert record.written.num_bytes == sum(len(item.written.encode()) for item in found)
    assert record.written.num_words == sum(item.of_written.num_words for item in found)
    assert record.reference.num_bytes == sum(item.of_reference.num_bytes for item in found)


@pytest.mark.parametrize("objective", ["clm", "mlm", "plm", "t5"])
def test_what_is_written_together_is_the_same_alone(
    trained: dict[str, Run], cache: Path, objective: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = trained[objective]
    together = [item.written for item in items(run, write(run, cache)[0])]
    monkeypatch.setattr(throughput, "ROWS_TOGETHER", 2)
    alone = [item.written for item in items(run, write(run, cache, again=True)[0])]
    assert alone == together


def test_a_temperature_near_nothing_is_greedy(trained: dict[str, Run], cache: Path) -> None:
    run = trained["clm"]
    (cold,) = write(run, cache, temperatures=(1e-4,))
    model = load_model(run, device="cpu", warn=pytest.fail)
    for item in items(run, cold):
        ids = model.tokenizer.encode([item.prompt])[0].ids.tolist()
        if len(ids) < PROMPT:
            continue  # half a character
        for token in item.tokens:
            text = torch.tensor([[model.tokenizer.vocab.bos, *ids]])
            visible = torch.ones_like(text, dtype=torch.bool)
            read = Text(tokens=text, visible=visible, word=torch.zeros_like(text))
            view = model.objective.read(read, model.tokenizer.vocab)
            last = torch.zeros_like(visible)
            last[0, -1] = True
            logits = model.net.logits(view, last)[0]
            logits[model.tokenizer.vocab.is_special(torch.arange(len(logits)))] = -torch.inf
            assert logits[token] == pytest.approx(float(logits.max()), abs=1e-3)
            ids.append(token)


# what it is like


def test_copies_of_the_training_text_are_verbatim(
    trained: dict[str, Run], cache: Path, scribe: Any
) -> None:
    run = trained["clm"]
    stream = training_tokens(run, cache)
    eos = Tokenizer.load(run.tokenizer_file).vocab.eos
    start = next(at for at in range(50, 999) if eos not in stream[at : at + NEW])
    copied, strange = stream[start : start + NEW], [200 + number for number in range(NEW)]
    halfway = copied[:9] + strange[9:]
    scribe([copied, strange, copied, halfway, strange])
    (record,) = write(run, cache, temperatures=(0.9,))
    assert record.written is not None
    assert [item.of_written.verbatim for item in items(run, record)] == [1, 0, 1, 2 / 4, 0]
    assert record.written.verbatim == pytest.approx(10 / 20)
    assert record.cost == COST


def test_the_last_tokens_of_the_training_text_are_searched(
    trained: dict[str, Run], cache: Path, scribe: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its parts are read one by one, and so is the last of them."""
    run = trained["clm"]
    stream = training_tokens(run, cache)
    last = stream[-1 - NEW : -1]
    monkeypatch.setattr(measure, "TOKENS_AT_ONCE", 1009)
    assert training_tokens(run, cache) == stream
    scribe([last] * NUM)
    (record,) = write(run, cache, temperatures=(0.91,))
    assert record.written is not None
    assert record.written.verbatim == 1


def test_one_word_and_all_alike(trained: dict[str, Run], cache: Path, scribe: Any) -> None:
    run = trained["clm"]
    tokenizer = Tokenizer.load(run.tokenizer_file)
    word = tokenizer.encode([" a a a a a "])[0].ids.tolist()
    scribe([word] * NUM)
    (record,) = write(run, cache, temperatures=(0.92,))
    figures = record.written
    assert figures is not None
    assert figures.num_words == NUM * 6, "the last space counts"
    assert figures.self_bleu == pytest.approx(1)
    assert figures.distinct_1 == 2 / 30
    assert figures.distinct_2 == 2 / 25
    assert figures.repetition == 1 / 3, "a a a a, a a a a, a a a and a space"
    assert figures.entropy == pytest.approx(-5 / 6 * math.log2(5 / 6) - 1 / 6 * math.log2(1 / 6))


def test_a_character_in_two_belongs_to_what_follows(
    trained: dict[str, Run], cache: Path, tmp_path: Path
) -> None:
    text = other(tmp_path, "an éan éan éan éan é")  # of five bytes: the ninth begins an é
    (record,) = write(trained["clm"], cache, prompt_tokens=9, new_tokens=16, **text)
    (item,) = items(trained["clm"], record)
    assert (item.prompt, item.reference) == ("an éan ", "éan éan éan é")
    assert item.written.startswith("\N{REPLACEMENT CHARACTER}"), "nobody made an é of it"
    assert item.of_reference.num_bytes == 17


# what is kept


def test_what_was_written_is_not_written_again(
    trained: dict[str, Run], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, how = trained["mdlm"], {"steps": (2, 5), "num_texts": 3}
    first = write(run, cache, **how)

    def called(*_: Any, **__: Any) -> None:
        raise AssertionError("written")

    monkeypatch.setattr(measure, "write_and_measure", called)
    assert write(run, cache, **how) == first
    assert write(run, cache, **(how | {"steps": (5,)})) == [first[1]]
    for changed in (
        {"again": True},
        {"num_texts": 2},
        {"steps": (3,)},
        {"temperatures": (0.9,)},
        {"top_p": 0.9},
        {"methods": ("threshold",)},
        {"new_tokens": NEW - 1},
        {"split": "test"},
    ):
        with pytest.raises(AssertionError, match="written"):
            write(run, cache, **(how | changed))


def test_another_judge_judges_the_same_texts(
    trained: dict[str, Run], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, how = trained["t5"], {"num_texts": 3, "temperatures": (0.8,)}
    (alone,) = write(run, cache, **how)
    assert (alone.judge, alone.reference.judge_nats) == (None, None)
    texts = [item.written for item in items(run, alone)]
    monkeypatch.setattr(measure, "write_and_measure", pytest.fail)
    judge, words = judged_by(trained["judge"]), judged_by(trained["words"])
    (judged,) = write(run, cache, judge=judge, **how)
    assert judged.judge == judge.about
    assert judged.cost == alone.cost
    assert [item.written for item in items(run, judged)] == texts
    assert judged.written is not None
    unjudged = {"judge_nats": None, "judge_bytes": None, "judge_error": None}
    assert judged.written.model_copy(update=unjudged) == alone.written
    monkeypatch.setattr(Judge, "score", pytest.fail)
    assert write(run, cache, judge=judge, **how) == [judged]
    assert write(run, cache, **how) == [judged], "who judged before is not forgotten"
    monkeypatch.undo()
    (other_judge,) = write(run, cache, judge=words, **how)
    assert other_judge.judge == words.about
    verdicts = words.score(
        [Span(before=item.prompt, text=item.written) for item in items(run, other_judge)]
    )
    assert other_judge.written is not None
    assert other_judge.written.judge_bytes == sum(verdict.num_bytes for verdict in verdicts)
    assert other_judge.written.judge_bytes < other_judge.written.num_bytes, "unknown to it"
    assert run.results.read(GenerationRecord).count(other_judge) == 1
    assert judged not in run.results.read(GenerationRecord)


def test_likeness_is_added_once_it_can_be(
    trained: dict[str, Run], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, how = trained["glm"], {"num_texts": 3, "temperatures": (0.7,)}
    with monkeypatch.context() as patched:
        patched.setitem(sys.modules, "sacrebleu", None)
        (without,) = write(run, cache, **how)
        assert write(run, cache, **how) == [without]
    assert without.written is not None
    assert without.written.self_bleu is None
    monkeypatch.setattr(measure, "write_and_measure", pytest.fail)
    (record,) = write(run, cache, **how)
    assert record.written is not None
    assert record.written.self_bleu is not None
    assert record.cost == without.cost


def test_a_judge_is_not_given_up_for_likeness(
    trained: dict[str, Run], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, how = trained["ul2"], {"num_texts": 3, "temperatures": (0.7,)}
    judge = judged_by(trained["judge"])
    with monkeypatch.context() as patched:
        patched.setitem(sys.modules, "sacrebleu", None)
        (without,) = write(run, cache, judge=judge, **how)
    assert write(run, cache, **how) == [without]
    (record,) = write(run, cache, judge=judge, **how)
    assert record.written is not None
    assert (record.judge, record.written.self_bleu is None) == (judge.about, False)


def test_damaged_items_are_said(trained: dict[str, Run], cache: Path) -> None:
    run, how = trained["bart"], {"num_texts": 3, "temperatures": (0.6,)}
    (record,) = write(run, cache, **how)
    place = run.path / "eval" / f"{record.stem}.jsonl"
    place.write_text("{")
    with pytest.raises(UserError, match="is missing or damaged: the same `lmcompare eval --force`"):
        run.results.read(GenerationRecord)
    told: list[str] = []
    assert record not in run.results.read(GenerationRecord, told.append)
    assert len(told) == 1
    assert write(run, cache, again=True, **how)[0].written == record.written
    place.with_suffix(".json").write_text("{}")
    with pytest.raises(UserError, match="the same `lmcompare eval --force` measures it again"):
        run.results.read(GenerationRecord)
    write(run, cache, again=True, **how)


def test_results_read_back_as_they_were(trained: dict[str, Run], cache: Path) -> None:
    (record,) = write(trained["clm"], cache, top_p=0.8)
    place = trained["clm"].path / "eval" / f"{record.stem}.json"
    assert GenerationRecord.read(place) == record
    assert GenerationRecord.read(place).sampler == Sampler(temperature=1.0, top_p=0.8)
    assert GenerationRecord.read(place).settings == "temperature 1, top-p 0.8"


def test_progress_is_told(trained: dict[str, Run], cache: Path) -> None:
    told: list[tuple[str, float]] = []
    measure_generation(
        trained["clm"],
        GenerationOptions(
            num_texts=3, again=True, device="cpu", prompt_tokens=PROMPT, new_tokens=NEW
        ),
        cache=cache,
        report=lambda what, share: told.append((what, share)),
    )
    shares = [share for _, share in told]
    assert shares == sorted(shares)
    assert len(set(shares)) == 3 * 2 + 1
    assert {what for what, _ in told} == {"left-to-right"}
    assert shares[-1] == 1
