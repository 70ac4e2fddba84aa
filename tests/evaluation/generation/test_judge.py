"""How probable a judge finds what was written, and who may be one."""

import math
from pathlib import Path

import pytest
import torch

from lmcompare.errors import UserError
from lmcompare.evaluation.generation.options import GenerationOptions
from lmcompare.evaluation.generation.settings import require
from lmcompare.evaluation.span_scoring import Span
from lmcompare.runs.run import Run
from lmcompare.view import Text
from tests.evaluation.generation.writing import NEW, PROMPT, items, judged_by, write
from tests.tiny import Trainer, sentences, tiny


@pytest.mark.parametrize("objective", ["clm", "mlm"])
def test_a_uniform_judge_needs_as_much_for_all(
    trained: dict[str, Run], cache: Path, objective: str
) -> None:
    judge = judged_by(trained["judge"], uniform=True)
    run = trained[objective]
    (record,) = write(run, cache, judge=judge, num_texts=3)
    size = judge.model.tokenizer.vocab.size
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
    model, vocab = judge.model, judge.model.tokenizer.vocab
    texts = [Span(before="the c", text="at sat"), Span(before="a", text="b")]
    found = judge.score(texts)
    for text, verdict in zip(texts, found, strict=True):
        ids = model.tokenizer.encode([text.before + text.text])[0].ids.tolist()
        tokens = torch.tensor([[vocab.bos, *ids]])
        whole = Text(
            tokens=tokens,
            visible=torch.ones_like(tokens, dtype=torch.bool),
            word=torch.zeros_like(tokens),
        )
        asked = torch.arange(tokens.shape[1])[None] > len(text.before)
        scores = model.objective.score(model.net, whole, vocab, asked, scoring="causal")
        assert verdict.nats == pytest.approx(-float(scores.sum()), rel=1e-5)
        assert verdict.num_bytes == len(text.text)


def test_a_token_over_the_border_is_no_part_of_what_follows(trained: dict[str, Run]) -> None:
    judge = judged_by(trained["words"], uniform=True)
    tokenizer = judge.model.tokenizer
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
    size = math.log(judge.model.tokenizer.vocab.size)
    before, behind = judge.score([Span(before="cafe é", text="x"), Span(before="x", text="é")])
    assert (before.num_bytes, behind.num_bytes) == (1, 2)
    assert before.nats == pytest.approx(size, rel=1e-5)
    assert behind.nats == pytest.approx(2 * size, rel=1e-5)


def test_texts_longer_than_the_judge_reads_are_asked_for_once(trained: dict[str, Run]) -> None:
    judge = judged_by(trained["words"], uniform=True)
    tokenizer = judge.model.tokenizer
    prompt, text = "the cat", " saw a dog" * 17
    num = len(tokenizer.encode([prompt + text])[0]) - len(tokenizer.encode([prompt])[0])
    assert num > 2 * judge.model.length
    (verdict,) = judge.score([Span(before=prompt, text=text)])
    assert verdict.nats == pytest.approx(num * math.log(tokenizer.vocab.size), rel=1e-5)
    assert verdict.num_bytes == len(text)


def test_windows_of_a_judge_overlap_by_half(trained: dict[str, Run]) -> None:
    """By hand: each token given all that stands in its window before it."""
    judge = judged_by(trained["words"])
    model, vocab = judge.model, judge.model.tokenizer.vocab
    prompt, text = "the cat saw", " a dog ran to the old tree under the cat" * 4
    document = model.tokenizer.encode([prompt + text])[0]
    assert (len(document), model.length) == (3 + 40, 1 + 18)
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
        nats -= float(model.objective.score(model.net, whole, vocab, asked).sum())
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
