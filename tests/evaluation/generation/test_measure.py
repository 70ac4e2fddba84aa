"""All arms write behind the same prompts, and what they write is measured as the text itself is."""

import itertools
import math
import platform
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lmcompare.config.run import parse_data
from lmcompare.data import Tokenizer, prepare
from lmcompare.errors import Unsupported, UserError
from lmcompare.evaluation.generation import measure, throughput
from lmcompare.evaluation.generation.judge import Judge
from lmcompare.evaluation.generation.measure import measure_generation
from lmcompare.evaluation.generation.options import GenerationOptions
from lmcompare.evaluation.generation.record import (
    GenerationItem,
    GenerationRecord,
    WritingCost,
)
from lmcompare.evaluation.generation.settings import require, ways_to_write
from lmcompare.evaluation.span_scoring import Span
from lmcompare.model import Backbone
from lmcompare.objectives import OBJECTIVES, Clm
from lmcompare.objectives.decoding.fill_request import DecodingMethod
from lmcompare.objectives.decoding.sampler import Sampler
from lmcompare.runs.loaded_model import load_model
from lmcompare.runs.run import Run
from lmcompare.view import Text
from tests.tiny import Trainer, sentences, tiny

PROMPT, NEW, NUM = 7, 11, 5
COST = WritingCost(
    passes_per_token=1,
    flops_per_token=2,
    tokens_per_second=3,
    tokens_per_second_together=5,
    rows_together=7,
    first_token_seconds=11,
    peak_memory=13,
    num_alone=17,
    device="an abacus",
    threads=1,
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, cache: Path, corpus: Path) -> dict[str, Run]:
    """A run of each objective, a little trained, and two that may judge."""
    trainer = Trainer(tmp_path_factory.mktemp("runs"), cache)
    runs = {name: trainer(tiny(corpus, name, "budget=8 steps")) for name in OBJECTIVES}
    wide = ["model.width=36", "model.heads=3", "seed=5"]
    words = ["tokenizer.kind=word", "tokenizer.vocab_size=131", "batch.length=19"]
    runs["judge"] = trainer(tiny(corpus, "clm", "budget=8 steps", *wide))
    more = corpus.with_name("more.txt")
    more.write_text(sentences(1201), encoding="utf-8")
    runs["words"] = trainer(tiny(more, "clm", "budget=8 steps", *wide, *words))
    return runs


@pytest.fixture(autouse=True)
def _little(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the costs of few texts."""
    monkeypatch.setattr(throughput, "ROWS_TOGETHER", 7)
    monkeypatch.setattr(throughput, "NUM_ALONE", 2)


def write(
    run: Run, cache: Path, *, judge: Judge | None = None, warn: Any = pytest.fail, **given: Any
) -> list[GenerationRecord]:
    """With the fields of `GenerationOptions`."""
    usual = {"device": "cpu", "num_texts": NUM, "prompt_tokens": PROMPT, "new_tokens": NEW}
    return measure_generation(
        run,
        GenerationOptions(**(usual | given)),
        cache=cache,
        judge=judge,
        warn=warn,
    )


def items(run: Run, record: GenerationRecord) -> list[GenerationItem]:
    return run.results.items(record, GenerationItem)


def judged_by(run: Run, *, uniform: bool = False) -> Judge:
    judge = Judge.load(run, device="cpu", warn=pytest.fail)
    if uniform:
        with torch.no_grad():
            judge.subject.net.embedding.zero_()
    return judge


@pytest.fixture
def scribe(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Have given tokens written."""

    def writes(texts: Sequence[Sequence[int]]) -> None:
        def written(*_: Any, **__: Any) -> tuple[list[list[int]], WritingCost]:
            return [[*text] for text in texts], COST

        monkeypatch.setattr(measure, "write_and_measure", written)

    return writes


def other(tmp_path: Path, *documents: str) -> dict[str, Any]:
    """Another text to take prompts from."""
    path = tmp_path / "other.txt"
    path.write_text("\n\n".join(documents), encoding="utf-8")
    return {"data": parse_data({"source": str(path)})}


def training_tokens(run: Run, cache: Path) -> list[int]:
    config = run.record().config
    split = prepare(config.data, config.tokenizer, cache=cache).split("train")
    return [token for part in measure._stream(split) for token in part.tolist()]


# what is asked


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
    assert record.method == next(iter(OBJECTIVES[objective]().fillings))
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
    subject = load_model(run, device="cpu", warn=pytest.fail)
    for item in items(run, cold):
        ids = subject.tokenizer.encode([item.prompt])[0].ids.tolist()
        if len(ids) < PROMPT:
            continue  # half a character
        for token in item.tokens:
            text = torch.tensor([[subject.tokenizer.vocab.bos, *ids]])
            visible = torch.ones_like(text, dtype=torch.bool)
            read = Text(tokens=text, visible=visible, word=torch.zeros_like(text))
            view = subject.objective.read(read, subject.tokenizer.vocab)
            last = torch.zeros_like(visible)
            last[0, -1] = True
            logits = subject.net.logits(view, last)[0]
            logits[subject.tokenizer.vocab.is_special(torch.arange(len(logits)))] = -torch.inf
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


# who judges


@pytest.mark.parametrize("objective", ["clm", "mlm"])
def test_a_uniform_judge_needs_as_much_for_all(
    trained: dict[str, Run], cache: Path, objective: str
) -> None:
    judge = judged_by(trained["judge"], uniform=True)
    run = trained[objective]
    (record,) = write(run, cache, judge=judge, num_texts=3)
    size = judge.subject.tokenizer.vocab.size
    for figures in (record.written, record.reference):
        assert figures is not None
        assert figures.judge_bits_per_byte is not None
        assert figures.judge_nats == pytest.approx(math.log(size) * figures.num_bytes, rel=0.05)
    assert record.reference.judge_bits_per_byte == pytest.approx(math.log2(size), rel=1e-5)
    assert record.reference.judge_error == pytest.approx(0, abs=1e-6)
    assert record.judge == judge.about
    found = items(run, record)
    assert record.written is not None
    each = [item.of_written for item in found]
    assert sum(one.judge_nats or 0 for one in each) == pytest.approx(record.written.judge_nats)
    assert sum(one.judge_bytes or 0 for one in each) == record.written.judge_bytes


def test_the_verdict_is_the_probability_of_what_follows(trained: dict[str, Run]) -> None:
    judge = judged_by(trained["judge"])
    subject, vocab = judge.subject, judge.subject.tokenizer.vocab
    texts = [Span(before="the c", text="at sat"), Span(before="a", text="b")]
    found = judge.score(texts)
    for text, verdict in zip(texts, found, strict=True):
        ids = subject.tokenizer.encode([text.before + text.text])[0].ids.tolist()
        tokens = torch.tensor([[vocab.bos, *ids]])
        whole = Text(
            tokens=tokens,
            visible=torch.ones_like(tokens, dtype=torch.bool),
            word=torch.zeros_like(tokens),
        )
        asked = torch.arange(tokens.shape[1])[None] > len(text.before)
        scores = subject.objective.score(subject.net, whole, vocab, asked, scoring="causal")
        assert verdict.nats == pytest.approx(-float(scores.sum()), rel=1e-5)
        assert verdict.num_bytes == len(text.text)


def test_a_token_over_the_border_is_no_part_of_what_follows(trained: dict[str, Run]) -> None:
    judge = judged_by(trained["words"], uniform=True)
    tokenizer = judge.subject.tokenizer
    whole = "the cat saw"
    assert tokenizer.encode([whole])[0].bytes.tolist() == [3, 4, 4]
    size = math.log(tokenizer.vocab.size)
    for border, tokens, num_bytes in (
        (0, 3, 11),
        (1, 2, 8),
        (3, 2, 8),
        (4, 1, 4),
        (7, 1, 4),
        (8, 0, 0),
        (11, 0, 0),
    ):
        (verdict,) = judge.score([Span(before=whole[:border], text=whole[border:])])
        assert verdict.num_bytes == num_bytes
        assert verdict.nats == pytest.approx(tokens * size, rel=1e-5)


def test_all_of_a_character_stands_on_one_side(trained: dict[str, Run]) -> None:
    judge = judged_by(trained["judge"], uniform=True)
    size = math.log(judge.subject.tokenizer.vocab.size)
    before, behind = judge.score([Span(before="cafe é", text="x"), Span(before="x", text="é")])
    assert (before.num_bytes, behind.num_bytes) == (1, 2)
    assert before.nats == pytest.approx(size, rel=1e-5)
    assert behind.nats == pytest.approx(2 * size, rel=1e-5)


def test_texts_longer_than_the_judge_reads_are_asked_for_once(trained: dict[str, Run]) -> None:
    judge = judged_by(trained["words"], uniform=True)
    tokenizer = judge.subject.tokenizer
    prompt, text = "the cat", " saw a dog" * 17
    num = len(tokenizer.encode([prompt + text])[0]) - len(tokenizer.encode([prompt])[0])
    assert num > 2 * judge.subject.record.config.batch.length
    (verdict,) = judge.score([Span(before=prompt, text=text)])
    assert verdict.nats == pytest.approx(num * math.log(tokenizer.vocab.size), rel=1e-5)
    assert verdict.num_bytes == len(text)


def test_windows_of_a_judge_overlap_by_half(trained: dict[str, Run]) -> None:
    """By hand: each token given all that stands in its window before it."""
    judge = judged_by(trained["words"])
    subject, vocab = judge.subject, judge.subject.tokenizer.vocab
    prompt, text = "the cat saw", " a dog ran to the old tree under the cat" * 4
    document = subject.tokenizer.encode([prompt + text])[0]
    assert (len(document), subject.record.config.batch.length) == (3 + 40, 1 + 18)
    nats = 0.0
    for first, start in ((3, 0), (18, 9), (27, 18), (36, 43 - 18)):
        ids = document.ids[start : start + 18].tolist()
        tokens = torch.tensor([[vocab.bos, *ids]])
        whole = Text(
            tokens=tokens,
            visible=torch.ones_like(tokens, dtype=torch.bool),
            word=torch.zeros_like(tokens),
        )
        asked = torch.arange(len(ids) + 1)[None] > first - start
        nats -= float(subject.objective.score(subject.net, whole, vocab, asked).sum())
    (verdict,) = judge.score([Span(before=prompt, text=text)])
    assert verdict.nats == pytest.approx(nats, rel=1e-5)


def test_a_judge_reads_what_stood_before(trained: dict[str, Run]) -> None:
    judge = judged_by(trained["judge"])
    one, two = judge.score(
        [Span(before="the old", text=" tree"), Span(before="zzz qqq", text=" tree")]
    )
    assert one.nats != two.nats


def test_how_texts_are_batched_changes_no_verdict(
    trained: dict[str, Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    judge = judged_by(trained["words"])
    texts = [Span(before="the cat", text=" saw a dog" * num) for num in (1, 13, 2, 7, 1)]
    together = judge.score(texts)
    monkeypatch.setattr("lmcompare.evaluation.span_scoring.TOKENS_AT_ONCE", 40)
    for one, two in zip(together, judge.score(texts), strict=True):
        assert one.nats == pytest.approx(two.nats, rel=1e-5)
    assert together[0].nats == pytest.approx(together[4].nats, rel=1e-5)


def test_unknown_tokens_are_not_judged(train: Trainer, tmp_path: Path) -> None:
    known = tmp_path / "words.txt"
    known.write_text(sentences(900).replace("café", "cafe"))
    judge = judged_by(train(tiny(known, "clm", "tokenizer.kind=characters", "budget=1 steps")))
    (verdict,) = judge.score([Span(before="the ", text="жcatж")])
    (plain,) = judge.score([Span(before="the ", text="жcat")])
    assert verdict.num_bytes == 3
    assert verdict.nats == pytest.approx(plain.nats, rel=1e-5)
    assert judge.score([Span(before="the", text="")])[0].num_bytes == 0


def test_who_may_judge(trained: dict[str, Run], train: Trainer, corpus: Path) -> None:
    for name, scoring in (("prefix", "prefix"), ("fim", "causal"), ("hybrid", "causal")):
        assert judged_by(trained[name]).scoring == scoring
    for name in ("mlm", "mdlm", "t5", "plm"):
        with pytest.raises(UserError, match=f"a run of {name}, which gives no exact prob"):
            judged_by(trained[name])
    stopped = train(tiny(corpus), stop_at=8)
    with pytest.raises(UserError, match="is not finished: let `lmcompare train` go on"):
        judged_by(stopped)


def test_what_speaks_against_a_judge(
    trained: dict[str, Run], train: Trainer, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere.txt"
    elsewhere.write_text(sentences(307, seed=3))
    stranger = train(tiny(elsewhere, "clm", "budget=1 steps"))
    told: list[str] = []
    runs = [trained["clm"], trained["mlm"]]
    asked = GenerationOptions(prompt_tokens=PROMPT, new_tokens=NEW)
    require(runs, asked, judge=judged_by(trained["judge"]), warn=told.append)
    assert told == []
    require(runs, asked, judge=judged_by(stranger), warn=told.append)
    size = f"{stranger.record().num_parameters:,}"
    assert told[0].startswith(f"the judge has {size} parameters, no more than clm, mlm: ")
    assert told[1].startswith("the judge was trained on another text than clm, mlm: ")


# what it takes


@pytest.mark.parametrize(
    ("objective", "how", "passes"),
    [
        ("clm", {}, 1),
        ("plm", {}, (NEW + 1) / NEW),  # the prompt takes a pass of its own
        ("mdlm", {"methods": ("surest-first",), "steps": (4,)}, 4 / NEW),
        ("mdlm", {"methods": ("left-to-right",)}, 1),
        ("mlm", {"steps": (3,)}, 3 / NEW),
    ],
)
def test_passes_are_those_of_one_text(
    trained: dict[str, Run], cache: Path, objective: str, how: dict[str, Any], passes: float
) -> None:
    (record,) = write(trained[objective], cache, again=True, **how)
    assert record.cost is not None
    assert record.cost.passes_per_token == pytest.approx(passes)
    assert (record.cost.num_alone, record.cost.rows_together) == (2, 7)


def test_operations_are_those_of_one_text(trained: dict[str, Run], cache: Path) -> None:
    """More steps of the same passes cost in proportion; a cache reads each token once."""
    cost = {}
    for steps in (2, 6):
        (record,) = write(
            trained["mdlm"], cache, methods=("surest-first",), steps=(steps,), num_texts=1
        )
        assert record.cost is not None
        cost[steps] = record.cost.flops_per_token
    assert 2.5 < cost[6] / cost[2] < 3.1
    (causal,) = write(trained["clm"], cache, num_texts=1)
    assert causal.cost is not None
    assert causal.cost.flops_per_token < cost[6] / 2
    weights = trained["clm"].record().num_parameters
    assert causal.cost.flops_per_token > 2 * weights, "each weight is used for each token"


def test_time_is_taken_of_one_and_of_many(
    trained: dict[str, Run], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a clock that goes on by a second whenever it is read."""
    clock, fill, sizes = itertools.count(), Clm.fill, []

    def counted(objective: Clm, net: Any, request: Any, vocab: Any) -> Any:
        sizes.append(len(request.holes))
        return fill(objective, net, request, vocab)

    monkeypatch.setattr(Clm, "fill", counted)
    monkeypatch.setattr(throughput, "perf_counter", lambda: float(next(clock)))
    (record,) = write(trained["clm"], cache, again=True, num_texts=17)
    assert record.cost is not None
    assert record.cost.tokens_per_second == NEW
    assert record.cost.tokens_per_second_together == 7 * NEW, "the last batch is filled up"
    assert record.cost.first_token_seconds == 1
    assert record.num_texts == len(items(trained["clm"], record)) == 17
    assert sizes == [1, 1, 7, 7, 7, 1, 1, 1, 1], "to warm up, together, alone and till the first"


def test_nobody_waits_longer_than_for_the_first_token(
    trained: dict[str, Run], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    extend, passes = Backbone.extend, []
    until = throughput._until_begun

    def counted(*given: Any, **more: Any) -> torch.Tensor:
        passes.append(1)
        return extend(*given, **more)

    def watched(*given: Any) -> float:
        passes.clear()
        seconds = until(*given)
        assert len(passes) == 1
        return seconds

    monkeypatch.setattr(Backbone, "extend", counted)
    monkeypatch.setattr(throughput, "_until_begun", watched)
    write(trained["clm"], cache, again=True, num_texts=2)


def test_memory_is_the_model_and_what_is_held_beyond(
    trained: dict[str, Run], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (record,) = write(trained["clm"], cache)
    assert record.cost is not None
    assert (record.cost.peak_memory is not None) == (platform.system() == "Linux")
    if record.cost.peak_memory is not None:
        assert record.cost.peak_memory >= 4 * trained["clm"].record().num_parameters
    monkeypatch.setattr(throughput, "CLEAR_PEAK", Path("/nowhere/at/all"))
    (record,) = write(trained["clm"], cache, again=True)
    assert record.cost is not None
    assert record.cost.peak_memory is None


@pytest.mark.skipif(platform.system() != "Linux", reason="no peak that can begin anew")
def test_a_peak_begins_anew() -> None:
    cpu, size = torch.device("cpu"), 67_000_000
    for _ in range(2):
        before = throughput._held_from_now(cpu)
        assert before is not None
        held = np.ones(size // 8)
        assert throughput._held_at_most(cpu) - before == pytest.approx(held.nbytes, rel=0.1)
        del held
    before = throughput._held_from_now(cpu)
    assert before is not None
    assert throughput._held_at_most(cpu) - before < size / 10, "what was before counts for nothing"


# in which ways


def settings(objective: str, **given: Any) -> list[tuple[str, dict[str, Any]]]:
    found = ways_to_write(GenerationOptions(**given), OBJECTIVES[objective]())
    return [(method, sampler.model_dump(exclude_unset=True)) for method, sampler in found]


def test_a_way_gets_the_settings_that_it_obeys() -> None:
    given = {"temperatures": (0.5, 1.0, 0.5), "steps": (3, 5), "top_p": 0.9}
    assert settings("clm", **given) == [
        ("left-to-right", {"temperature": 0.5, "top_p": 0.9}),
        ("left-to-right", {"temperature": 1.0, "top_p": 0.9}),
    ]
    assert settings("mdlm", **given) == [
        ("ancestral", {"temperature": temperature, "steps": steps, "top_p": 0.9})
        for temperature in (0.5, 1.0)
        for steps in (3, 5)
    ]
    assert settings("mlm", methods=("metropolis",), steps=(3,), top_p=0.5) == [
        ("metropolis", {"temperature": 1.0, "steps": 3})
    ]
    assert settings("mdlm") == [("ancestral", {"temperature": 1.0})]


def test_further_settings_are_for_the_ways_that_obey_them() -> None:
    given = {
        "decodings": (Sampler(greedy=True), Sampler(beams=3), Sampler(temperature=0.5, steps=7)),
    }
    assert settings("clm", **given) == [
        ("left-to-right", {"temperature": 1.0}),
        ("left-to-right", {"greedy": True}),
        ("left-to-right", {"beams": 3}),
    ]
    assert settings("mdlm", **given) == [
        ("ancestral", {"temperature": 1.0}),
        ("ancestral", {"greedy": True}),
        ("ancestral", {"temperature": 0.5, "steps": 7}),
    ]
    same = {"temperatures": (0.5,), "decodings": (Sampler(temperature=0.5),)}
    assert settings("clm", **same) == [("left-to-right", {"temperature": 0.5})]


def test_a_search_writes_as_much_as_a_draw(trained: dict[str, Run], cache: Path) -> None:
    searches = (Sampler(beams=3), Sampler(degeneration_penalty=0.6, candidates=3))
    drawn, *searched = write(trained["clm"], cache, decodings=searches)
    assert [record.settings for record in searched] == [
        "beams 3",
        "degeneration-penalty 0.6, candidates 3",
    ]
    assert drawn.cost is not None
    for record in searched:
        assert record in trained["clm"].results.read(GenerationRecord)
        assert record.cost is not None
        assert record.cost.flops_per_token > 2 * drawn.cost.flops_per_token
        assert [len(item.tokens) for item in items(trained["clm"], record)] == [
            len(item.tokens) for item in items(trained["clm"], drawn)
        ]


def test_a_run_writes_in_the_ways_that_it_has(trained: dict[str, Run], cache: Path) -> None:
    methods = ("threshold", "left-to-right")
    assert [method for method, _ in settings("mdlm", methods=methods)] == [*methods]
    assert [method for method, _ in settings("clm", methods=methods)] == ["left-to-right"]
    before = [path.name for path in trained["clm"].path.glob("eval/*")]
    (record,) = write(trained["clm"], cache, methods=("threshold",))
    assert record.reason == "clm does not write by 'threshold': known: left-to-right"
    assert (record.method, record.written, record.cost) == (None, None, None)
    assert [path.name for path in trained["clm"].path.glob("eval/*")] == before, "no result"


def test_what_cannot_write_says_why(
    trained: dict[str, Run], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise Unsupported("not today")

    refusing = {"left-to-right": DecodingMethod("end", refuse, frozenset({"temperature"}))}
    monkeypatch.setattr(Clm, "fillings", property(lambda _: refusing))
    (record,) = write(trained["clm"], cache, temperatures=(0.3,))
    assert (record.reason, record.method) == ("not today", "left-to-right")
    assert record in trained["clm"].results.read(GenerationRecord)
    assert items(trained["clm"], record) == []
    monkeypatch.setattr(Clm, "fillings", property(lambda _: {}))
    (record,) = write(trained["clm"], cache)
    assert record.reason == "clm does not write"
    assert record in trained["clm"].results.read(GenerationRecord)
    (trained["clm"].path / "eval" / f"{record.stem}.json").unlink()


def test_results_have_names_of_their_own(trained: dict[str, Run], cache: Path) -> None:
    run = trained["mdlm"]
    found = write(
        run,
        cache,
        methods=("ancestral", "surest-first"),
        temperatures=(0.5, 1.0),
        steps=(2, 3),
        num_texts=2,
    )
    assert len({record.stem for record in found}) == 8
    assert [record for record in run.results.read(GenerationRecord) if record in found] != []
    assert all(record in run.results.read(GenerationRecord) for record in found)
    assert [record.settings for record in found][:2] == [
        "temperature 0.5, steps 2",
        "temperature 0.5, steps 3",
    ]


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
    with pytest.raises(UserError, match="is missing or damaged: the same `lmcompare eval`"):
        run.results.read(GenerationRecord)
    told: list[str] = []
    assert record not in run.results.read(GenerationRecord, told.append)
    assert len(told) == 1
    assert write(run, cache, again=True, **how)[0].written == record.written
    place.with_suffix(".json").write_text("{}")
    with pytest.raises(UserError, match="with --force measures it again"):
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


# what cannot be asked


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"prompt_tokens": 0}, "0 is no number of tokens: choose --prompt-tokens 1 or more"),
        ({"new_tokens": -1}, "-1 is no number of tokens: choose --new-tokens 1 or more"),
        ({"new_tokens": 26}, "rows of 33 tokens, and 7 of a prompt, 26 new ones and the start to"),
        ({"temperatures": (1.0, 0.0)}, "a temperature of 0 divides by nothing"),
        ({"temperatures": (math.nan,)}, "the settings do not fit: temperature: Input should be a"),
        ({"steps": (0,)}, "the settings do not fit: steps: Input should be greater than or eq"),
        ({"top_p": 1.5}, "the settings do not fit: top-p: Input should be less than or equal"),
        ({"methods": ("banana",)}, "none of the runs writes by 'banana': known: left-to-right"),
        ({"methods": ("thresholds",)}, "none of the runs writes by 'thresholds': known: left-"),
        ({"steps": (5,)}, r"no run has use of --steps in its way to write: .*\(left-to-right\)"),
        (
            {"decodings": (Sampler(beams=2), Sampler(threshold=0.5, temperature=2))},
            "no run writes in a way that has use of temperature 2 and threshold 0.5: leave it",
        ),
    ],
)
def test_what_cannot_be_asked(trained: dict[str, Run], given: dict[str, Any], said: str) -> None:
    asked = GenerationOptions(**({"prompt_tokens": PROMPT, "new_tokens": NEW} | given))
    with pytest.raises(UserError, match=said) as found:
        require([trained["clm"], trained["t5"]], asked, judge=None)
    assert "\n" not in str(found.value)


def test_settings_of_use_to_some_runs_are_no_error(trained: dict[str, Run]) -> None:
    both = [trained["clm"], trained["mdlm"]]
    for given in (
        {"steps": (5,)},
        {"methods": ("threshold",)},
        {"methods": ("metropolis", "left-to-right"), "top_p": 0.5},
    ):
        require(both, GenerationOptions(prompt_tokens=PROMPT, new_tokens=NEW, **given), judge=None)
    only = GenerationOptions(
        prompt_tokens=PROMPT, new_tokens=NEW, methods=("metropolis",), top_p=0.5
    )
    with pytest.raises(UserError, match="no run has use of --top-p"):
        require(both, only, judge=None)


def test_a_judge_is_no_contestant(trained: dict[str, Run], cache: Path) -> None:
    judge = judged_by(trained["judge"])
    runs = [trained["clm"], Run(trained["judge"].path / ".." / trained["judge"].path.name)]
    asked = GenerationOptions(prompt_tokens=PROMPT, new_tokens=NEW)
    with pytest.raises(UserError, match=r"is one of the runs that are judged, and would favour"):
        require(runs, asked, judge=judge)
    with pytest.raises(UserError, match=r"is one of the runs that are judged"):
        write(trained["judge"], cache, judge=judge)


def test_texts_that_cannot_be_prompts(
    trained: dict[str, Run], cache: Path, tmp_path: Path, train: Trainer
) -> None:
    run = trained["clm"]
    with pytest.raises(UserError, match=r"other\.txt has no document with 18 known tokens in a r"):
        write(run, cache, **other(tmp_path, "x" * 17, "short"))
    with pytest.raises(UserError, match="0 texts leave nothing to do: choose --texts 1 or more"):
        write(run, cache, num_texts=0)
    (record,) = write(run, cache, **other(tmp_path, "x" * 41, "y" * 18))
    assert record.num_texts == 3, "two and one, and no piece that is too short"


def test_unknown_tokens_are_in_no_prompt(train: Trainer, cache: Path, tmp_path: Path) -> None:
    known = tmp_path / "words.txt"
    known.write_text(sentences(900).replace("café", "cafe"))
    run = train(tiny(known, "clm", "tokenizer.kind=characters", "budget=1 steps"))
    (record,) = write(run, cache, **other(tmp_path, "the old ж cat ran to", "the old tree a cat"))
    (item,) = items(run, record)
    assert item.prompt + item.reference == "the old tree a cat"


def test_a_training_text_that_is_gone(train: Trainer, cache: Path, tmp_path: Path) -> None:
    text = tmp_path / "gone.txt"
    text.write_text(sentences(307, seed=9))
    run = train(tiny(text, "clm", "budget=1 steps"))
    about = other(tmp_path, "the old tree and the cat")
    text.unlink()
    told: list[str] = []
    (record,) = write(run, cache, warn=told.append, num_texts=1, **about)
    assert record.written is not None
    assert record.written.verbatim is not None, "the cache holds what it read"
    assert told == []
    empty = tmp_path / "empty"
    (record,) = write(run, empty, warn=told.append, num_texts=1, again=True, **about)
    assert record.written is not None
    assert (record.written.verbatim, record.reference.verbatim) == (None, None)
    assert len(told) == 1
    assert told[0].startswith("what is verbatim in it is not known: the text that ")
    assert "not to be had here (there is no f" in told[0]
    text.write_text(sentences(307, seed=10))
    told.clear()
    write(run, empty, warn=told.append, num_texts=1, again=True, **about)
    assert len(told) == 1
    assert "what is verbatim in it is not known: the text of" in told[0]
    assert "has changed since it was trained: bring the old text back" in told[0]


def test_the_text_of_a_judge_is_known_by_what_it_holds(
    trained: dict[str, Run], train: Trainer, corpus: Path, tmp_path: Path
) -> None:
    asked = GenerationOptions(prompt_tokens=PROMPT, new_tokens=NEW)
    path = tmp_path / "moved.txt"

    def doubts(source: Path, *settings: str) -> list[str]:
        told: list[str] = []
        judge = judged_by(train(tiny(source, "clm", "budget=1 steps", "model.width=32", *settings)))
        require([trained["mlm"]], asked, judge=judge, warn=told.append)
        return told

    path.write_bytes(corpus.read_bytes())
    assert doubts(path) == []
    path.write_text(sentences(307, seed=3))
    (said,) = doubts(path)
    assert said.startswith("the judge was trained on another text than mlm: ")
    # another tokenizer makes other tokens of the same text
    assert doubts(corpus, "tokenizer.kind=characters") == []


def test_the_same_name_does_not_make_the_same_text(train: Trainer, tmp_path: Path) -> None:
    path, told = tmp_path / "text.txt", list[str]()
    path.write_text(sentences(307))
    run = train(tiny(path, "clm", "budget=1 steps"))
    path.write_text(sentences(307, seed=3))
    judge = judged_by(train(tiny(path, "clm", "budget=1 steps", "model.width=32")))
    told += judge.doubts([run.record()])
    assert told[0].startswith("the judge was trained on another text than clm: ")
