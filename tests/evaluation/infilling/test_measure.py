"""All arms are asked about the same tokens, and each answers as it legitimately can."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from lmcompare.config.run import parse_data
from lmcompare.data import Encoded, Tokenizer
from lmcompare.errors import Unsupported, UserError
from lmcompare.evaluation.infilling import measure
from lmcompare.evaluation.infilling.measure import (
    HIDDEN,
    PROTOCOLS,
    measure_infilling,
    read_protocols,
)
from lmcompare.evaluation.infilling.options import InfillingOptions
from lmcompare.evaluation.infilling.record import InfillingItem, InfillingRecord
from lmcompare.files import name_of
from lmcompare.objectives import OBJECTIVES, Clm, Mdlm
from lmcompare.runs.loaded_model import REPLICATES, LoadedModel, load_model
from lmcompare.runs.run import Run
from tests.tiny import (
    Trainer,
    sentences,
    tiny,
)

SHARES = {"one": 0.0, "15%": 0.15, "50%": 0.5, "second half": 0.5}
HALF_BY_LEFT = {"clm": "causal", "prefix": "prefix", "hybrid": "causal", "fim": "causal"}


@pytest.fixture(scope="module")
def trained(
    tmp_path_factory: pytest.TempPathFactory,
    cache: Path,
    corpus: Path,
) -> dict[str, Run]:
    """A run of each objective, a little trained."""
    trainer = Trainer(tmp_path_factory.mktemp("runs"), cache)
    return {name: trainer(tiny(corpus, name, "budget=8 steps")) for name in OBJECTIVES}


def ask_all(run: Run, cache: Path, *hidden: str, **asked: object) -> list[InfillingRecord]:
    """In both forms, and by every protocol that the objective has."""
    settings = {"num_texts": 5, "device": "cpu"} | asked
    questions = hidden or HIDDEN
    return measure_infilling(run, InfillingOptions(**settings), cache=cache, hidden=questions)  # type: ignore[arg-type]


def ask(run: Run, cache: Path, *hidden: str, **asked: object) -> list[InfillingRecord]:
    """Told the lengths, one token after another: what all can answer."""
    records = ask_all(run, cache, *hidden, **({"protocols": ("in-order",)} | asked))
    return [record for record in records if record.form == "told"]


def items(run: Run, record: InfillingRecord) -> list[InfillingItem]:
    (file,) = [
        path.with_suffix(".jsonl")
        for path in run.path.glob("eval/infilling-*.json")
        if InfillingRecord.read(path) == record
    ]
    return [InfillingItem.model_validate_json(line) for line in file.read_text().splitlines()]


def drawn(run: Run, cache: Path, **asked: object) -> tuple[LoadedModel, measure.HiddenTexts]:
    settings = InfillingOptions(**({"num_texts": 5, "device": "cpu"} | asked))  # type: ignore[arg-type]
    subject = load_model(run, device="cpu", warn=pytest.fail)
    return subject, measure.HiddenTexts.drawn(subject, settings, cache=cache, warn=pytest.fail)


def other(tmp_path: Path, *documents: str) -> dict[str, object]:
    """Another text to ask about."""
    path = tmp_path / "other.txt"
    path.write_text("\n\n".join(documents), encoding="utf-8")
    return {"data": parse_data({"source": str(path)})}


# what is asked


def test_all_arms_are_asked_for_the_same_tokens(trained: dict[str, Run], cache: Path) -> None:
    facts = ("text", "hidden", "num_texts", "num_tokens", "num_bytes", "unigram_nats", "length")
    for form in ("told", "untold"):
        of_all = [ask_all(run, cache, protocols=("in-order",)) for run in trained.values()]
        asked = [
            [each.model_dump(include=set(facts)) for each in records if each.form == form]
            for records in of_all
        ]
        assert len(asked[0]) == len(HIDDEN)
        assert all(each == asked[0] for each in asked)
    assert len({record["text"] for record in asked[0]}) == 1
    counts = {
        name: [(item.num_bytes, item.num_tokens) for item in items(run, ask(run, cache, "50%")[0])]
        for name, run in trained.items()
    }
    assert all(each == counts["clm"] for each in counts.values())


@pytest.mark.parametrize("num_tokens", [8, 9, 11, 13, 19, 32])
def test_as_much_is_hidden_as_is_said(
    trained: dict[str, Run], cache: Path, tmp_path: Path, num_tokens: int
) -> None:
    text = other(tmp_path, *(letter * num_tokens for letter in "abc"))
    _, texts = drawn(trained["clm"], cache, **text)
    for hidden, mask in texts.hidden.items():
        num = num_tokens // 2 if hidden == "second half" else round(SHARES[hidden] * num_tokens)
        assert mask.sum(1).tolist() == [max(1, num)] * 3
        assert not mask[:, 0].any(), "the start token"
    first = num_tokens - num_tokens // 2
    assert (
        texts.hidden["second half"][:, 1:].tolist()
        == [[False] * first + [True] * (num_tokens // 2)] * 3
    )
    assert len({tuple(row) for row in texts.hidden["50%"].tolist()}) == 3, "drawn for each text"


def test_positions_depend_on_the_text_alone(
    trained: dict[str, Run], cache: Path, corpus: Path, train: Trainer
) -> None:
    (record,) = ask(trained["clm"], cache, "15%")
    another = train(tiny(corpus, "mlm", "seed=3", "budget=1 steps", "batch.rows=2"))
    assert ask(another, cache, "15%")[0].text == record.text
    assert ask(another, cache, "15%", length=16)[0].text != record.text
    assert ask(another, cache, "15%", num_texts=4)[0].text != record.text
    assert ask(another, cache, "15%", split="test")[0].text != record.text


def test_more_texts_are_the_same_ones_and_others(trained: dict[str, Run], cache: Path) -> None:
    (_, few), (_, more) = (drawn(trained["clm"], cache, num_texts=num) for num in (3, 7))
    assert few.rows.tokens.equal(more.rows.tokens[:3, : few.rows.tokens.shape[1]])
    for hidden, mask in few.hidden.items():
        assert mask.equal(more.hidden[hidden][:3, : mask.shape[1]])


def encoded(first: int, length: int) -> Encoded:
    """A document whose tokens count on from a first one."""
    ids = np.arange(first, first + length)
    return Encoded(ids=ids, bytes=np.ones_like(ids), starts_word=ids % 3 == 0)


def test_pieces_come_from_every_document_and_share_no_token(trained: dict[str, Run]) -> None:
    tokenizer = Tokenizer.load(trained["clm"].tokenizer_file)
    start = int(tokenizer.vocab.regular[0])
    documents = [
        encoded(start, 70),
        encoded(start + 100, 7),  # too short
        encoded(start + 110, 11),
        encoded(start + 130, 35),  # with a rest that is too short
    ]
    pieces = [piece.ids.tolist() for piece in measure._pieces(documents, tokenizer, 16)]
    of = [
        next(number for number, each in enumerate(documents) if piece[0] in each.ids)
        for piece in pieces
    ]
    assert of == [0, 2, 3, 0, 3, 0, 0], "one of each, then a second one of each, ..."
    tokens = [token for piece in pieces for token in piece]
    assert len(set(tokens)) == len(tokens)
    assert sorted(map(len, pieces)) == [11, 16, 16, 16, 16, 16, 16]
    assert pieces[0][0] != start or pieces[2][0] != start + 130, "not all from the beginning"


def test_unknown_tokens_are_no_text(train: Trainer, cache: Path, tmp_path: Path) -> None:
    known = tmp_path / "words.txt"
    known.write_text(sentences(900).replace("café", "cafe"))
    run = train(tiny(known, "clm", "tokenizer.kind=characters", "budget=1 steps"))
    text = other(tmp_path, "жthe жcat ran", "жжжжжжthe cat", "the ca жжжж")
    _, texts = drawn(run, cache, **text)
    assert texts.rows.visible.sum().item() == 1 + len("жthe жcat ran"), "7 tokens are too few"
    (record,) = ask(run, cache, "50%", **text)
    assert (record.num_texts, record.num_tokens) == (1, round(0.5 * len("the cat ran")))
    assert math.isfinite(record.unigram_nats)


# what is answered


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_every_objective_answers_what_it_can(
    trained: dict[str, Run], cache: Path, objective: str
) -> None:
    run = trained[objective]
    scorings = OBJECTIVES[objective]().scorings
    for record in ask_all(run, cache):
        question = "continuation" if record.hidden == "second half" else "holes"
        can = [
            how
            for how in scorings.values()
            if question in how.answers
            and (how.form, how.protocol) == (record.form, record.protocol)
        ]
        one_hole = objective in ("bart", "fim") and record.hidden in ("15%", "50%")
        if one_hole and record.form == "untold":
            assert "several" in str(record.reason)
            can = []
        assert (record.reason is None) == bool(can)
        if not can:
            if not one_hole:
                assert record.reason == (
                    f"{objective} does not say where a hole ends: it must be told its length"
                )
            assert (record.nats, record.scoring, record.likelihood, record.given) == (None,) * 4
            assert (record.bits_per_byte, record.bits_per_token) == (None, None)
            assert record.num_tokens > 0, "what was asked is known"
            assert items(run, record) == []
            continue
        assert record.scoring is not None
        how = scorings[record.scoring]
        most = max(item.num_tokens for item in items(run, record))
        assert (record.likelihood, record.given) == (how.likelihood_of(most), how.given)
        assert (record.standard_error is not None) == how.sampled
        assert record.nats is not None
        assert 0 < record.nats < math.inf
        found = items(run, record)
        assert sum(item.nats for item in found) == pytest.approx(record.nats)
        assert sum(item.num_bytes for item in found) == record.num_bytes
        assert sum(item.num_tokens for item in found) == record.num_tokens
        assert [item.text for item in found] == list(range(5))
        assert record in run.results.read(InfillingRecord)
    assert ask(run, cache, "15%")[0].reason is None


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_where_only_the_left_side_is_used_it_is_said(
    trained: dict[str, Run], cache: Path, objective: str
) -> None:
    one, some, half, end = ask(trained[objective], cache)
    assert not one.left_only, "a single token can be renormalised"
    assert not end.left_only, "nothing stands behind it"
    for record in (some, half):
        assert record.left_only == (objective in HALF_BY_LEFT)
        if record.left_only:
            assert record.scoring == HALF_BY_LEFT[objective]


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_the_number_is_that_of_score(trained: dict[str, Run], cache: Path, objective: str) -> None:
    subject, texts = drawn(trained[objective], cache)
    for record in ask(trained[objective], cache):
        if record.scoring is None:
            continue
        sampled = subject.objective.scorings[record.scoring].sampled
        estimates = [
            subject.objective.score(
                subject.net,
                texts.rows,
                subject.tokenizer.vocab,
                texts.hidden[record.hidden],
                scoring=record.scoring,
                replicate=replicate,
            ).double()
            for replicate in range(REPLICATES if sampled else 1)
        ]
        rows = -torch.stack(estimates).sum(2)
        found = [item.nats for item in items(trained[objective], record)]
        assert found == pytest.approx(rows.mean(0).tolist(), rel=1e-5)
        if sampled:
            error = float(rows.var(0).sum() / len(rows)) ** 0.5
            assert record.standard_error == pytest.approx(error, rel=1e-3, abs=1e-6)


@pytest.mark.parametrize("objective", ["clm", "prefix"])
def test_renormalised_is_a_choice_among_all_texts(
    trained: dict[str, Run], cache: Path, objective: str
) -> None:
    """By brute force: the probability of a text over that of all that differ in the one token."""
    subject, texts = drawn(trained[objective], cache, num_texts=3, length=11)
    (record,) = ask(trained[objective], cache, "one", num_texts=3, length=11)
    assert (record.scoring, record.given) == ("renormalised", "both")
    vocab = subject.tokenizer.vocab
    for row, item in enumerate(items(trained[objective], record)):
        text, mask = texts.rows.rows(torch.tensor([row])), texts.hidden["one"][row]
        tokens = text.tokens.repeat(len(vocab.regular), 1)
        tokens[:, mask] = vocab.regular[:, None]
        changed = replace(
            text,
            tokens=tokens,
            visible=text.visible.expand_as(tokens),
            word=text.word.expand_as(tokens),
        )
        # Each candidate and what follows it; what stands before is the same for all.
        rest = changed.visible & (torch.arange(tokens.shape[1]) >= mask.nonzero().item())
        scores = subject.objective.score(subject.net, changed, vocab, rest).double().sum(1)
        truth = (vocab.regular == text.tokens[0, mask]).nonzero().item()
        assert item.nats == pytest.approx(-float(scores.log_softmax(0)[truth]), abs=1e-5)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_uniform_network_knows_nothing(
    trained: dict[str, Run], cache: Path, objective: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = load_model

    def uniform(run: Run, **more: object) -> LoadedModel:
        subject = load(run, **more)  # type: ignore[arg-type]
        with torch.no_grad():
            subject.net.embedding.zero_()
        return subject

    monkeypatch.setattr("lmcompare.evaluation.infilling.measure.load_model", uniform)
    vocab = Tokenizer.load(trained[objective].tokenizer_file).vocab
    for record in ask(trained[objective], cache, length=23):
        if record.scoring is not None:
            of_words = ("renormalised", "given-length")
            among = len(vocab.regular) if record.scoring in of_words else vocab.size
            assert record.bits_per_token == pytest.approx(math.log2(among), rel=1e-5)
            assert record.standard_error in (None, pytest.approx(0, abs=1e-3))


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_how_texts_are_batched_changes_nothing(
    trained: dict[str, Run], cache: Path, objective: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = ask(trained[objective], cache, length=19, again=True)
    monkeypatch.setattr(measure, "ROWS_AT_ONCE", 2)
    monkeypatch.setattr(measure, "ROWS_OF_ONE", 3)
    alone = ask(trained[objective], cache, length=19, again=True)
    for one, two in zip(together, alone, strict=True):
        if one.nats is not None:
            assert one.nats == pytest.approx(two.nats, rel=1e-5)
        if one.standard_error is not None:
            assert one.standard_error == pytest.approx(two.standard_error, rel=1e-2, abs=1e-3)
        figures = {"nats", "standard_error", "items_hash"}
        assert one.model_dump(exclude=figures) == two.model_dump(exclude=figures)


def test_one_hidden_token_is_known_exactly_to_a_bound(trained: dict[str, Run], cache: Path) -> None:
    """Masked diffusion hides it and nothing else: there is nothing to draw, nor an order."""
    records = [each for each in ask_all(trained["mdlm"], cache, "one") if each.form == "told"]
    assert [record.protocol for record in records] == [*PROTOCOLS]
    assert {record.likelihood for record in records} == {"exact"}
    assert [record.nats for record in records] == pytest.approx([records[0].nats] * 4)
    assert records[-1].standard_error == 0
    some, *_, bound = [each for each in ask_all(trained["mdlm"], cache, "50%") if each.nats]
    assert (some.likelihood, bound.likelihood) == ("exact", "bound")


def test_the_protocol_is_the_same_for_all_or_there_is_a_dash(
    trained: dict[str, Run], cache: Path
) -> None:
    for protocol, able in {
        "in-order": {*OBJECTIVES},
        "at-once": {"mlm", "mntp", "mdlm"},
        "surest-first": {"mlm", "mntp", "mdlm"},
        "random-orders": {"mdlm", "plm"},
    }.items():
        found = {
            name: ask(run, cache, "15%", "second half", protocols=(protocol,), num_texts=2)
            for name, run in trained.items()
        }
        for name, records in found.items():
            assert [record.protocol for record in records] == [protocol] * 2
            assert {record.nats is not None for record in records} == {name in able}
            if name not in able:
                assert records[0].reason == f"{name} does not fill holes {protocol}"
    with pytest.raises(UserError, match=r"cannot be asked for by 'inorder'.* 'in-order'"):
        read_protocols(["inorder"])


def test_ends_cost_what_telling_the_length_saves(trained: dict[str, Run], cache: Path) -> None:
    """And the anchor pays for them too, by the rate at which these holes end."""
    for name in ("t5", "glm", "ul2"):
        records = ask_all(trained[name], cache, "15%", "50%")
        told, untold = records[:2], records[2:]
        for one, other in zip(told, untold, strict=True):
            assert (one.form, other.form) == ("told", "untold")
            assert one.nats is not None
            assert other.nats is not None
            assert other.nats > one.nats
            assert other.unigram_nats > one.unigram_nats
    num_tokens = records[3].num_tokens
    _, texts = drawn(trained["ul2"], cache)
    mask = texts.hidden["50%"]
    ends = sum(
        here and not after
        for row in mask.tolist()
        for here, after in zip(row, [*row[1:], False], strict=True)
    )
    rate = ends / (ends + num_tokens)
    expected = -ends * math.log(rate) - num_tokens * math.log(1 - rate)
    assert records[3].unigram_nats - records[1].unigram_nats == pytest.approx(expected)


def test_what_was_kept_without_its_form_is_asked_again(
    trained: dict[str, Run], cache: Path
) -> None:
    (record,) = ask(trained["clm"], cache, "50%", length=15)
    run = trained["clm"]
    old = record.model_copy(update={"form": None, "protocol": None, "nats": 1.0})
    for path in run.path.glob("eval/infilling-*.json"):
        if InfillingRecord.read(path) == record:
            path.unlink()
    old = run.results.write(old, [])
    assert ask(run, cache, "50%", length=15) == [record]
    assert old in run.results.read(InfillingRecord), "nothing written is lost"
    for path in run.path.glob("eval/infilling-*.json"):
        if InfillingRecord.read(path) == old:
            path.unlink()


def test_what_no_way_can_answer_says_why(
    trained: dict[str, Run], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    score = Clm.score

    def choosy(objective: Clm, *given: object, scoring: str, **more: object) -> torch.Tensor:
        if scoring == "causal":
            raise Unsupported("not today")
        return score(objective, *given, scoring=scoring, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(Clm, "score", choosy)
    one, some = ask(trained["clm"], cache, "one", "15%", again=True, num_texts=2)
    assert one.scoring == "renormalised"
    assert some.reason == (
        "one token of a text at a time is renormalised over its candidates; not today"
    )
    assert some.nats is None


# what is kept, and what is told


def test_what_was_asked_is_not_asked_again(
    trained: dict[str, Run], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = trained["mdlm"]
    first = ask(run, cache, length=17)

    def called(*_: object, **__: object) -> None:
        raise AssertionError("scored")

    monkeypatch.setattr(Mdlm, "score", called)
    assert ask(run, cache, length=17) == first
    assert ask(run, cache, "50%", length=17) == [first[2]]
    for changed in ({"again": True}, {"length": 18}, {"num_texts": 4}, {"split": "test"}):
        with pytest.raises(AssertionError, match="scored"):
            ask(run, cache, **({"length": 17} | changed))


def test_results_lie_beside_the_run(trained: dict[str, Run], cache: Path) -> None:
    run = trained["glm"]
    (record,) = ask(run, cache, "second half", length=13)
    name = name_of(f"infilling-validation-second half-told-in-order-{record.text[:8]}")
    place = run.path / "eval" / f"{name}.json"
    assert InfillingRecord.read(place) == record
    place.write_text("{")
    with pytest.raises(UserError, match="the same `lmcompare eval` with --force measures it"):
        run.results.read(InfillingRecord)
    assert ask(run, cache, "second half", length=13, again=True) == [record]


def test_progress_is_told_text_by_text(trained: dict[str, Run], cache: Path) -> None:
    told: list[tuple[str, float]] = []
    measure_infilling(
        trained["clm"],
        InfillingOptions(num_texts=4, again=True, protocols=("in-order",)),
        cache=cache,
        report=lambda what, share: told.append((what, share)),
    )
    assert [share for what, share in told if what == "one"] == [0.25, 0.5, 0.75, 1]
    assert [what for what, share in told if share == 1] == list(HIDDEN), "and no other form"


def test_texts_longer_than_in_training_are_told(trained: dict[str, Run], cache: Path) -> None:
    for length, expected in ((32, 0), (33, 1)):
        told: list[str] = []
        measure_infilling(
            trained["clm"],
            InfillingOptions(num_texts=2, length=length),
            cache=cache,
            hidden=("50%",),
            warn=told.append,
        )
        assert len(told) == expected
    assert "trained on rows of 33 tokens and is asked about rows of 34" in told[0]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"num_texts": 0}, "0 texts leave nothing to ask: choose --texts 1 or more"),
        ({"num_texts": -1}, "-1 texts leave nothing"),
        ({"length": 2}, "texts of 2 tokens are too short .* choose --length 8 or more"),
        ({"length": 0}, "texts of 0 tokens"),
        ({"device": "banana"}, "there is no device 'banana'"),
        ({"data": parse_data({"source": "nowhere.txt"})}, r"no file, folder or match for 'nowhere"),
    ],
)
def test_what_cannot_be_asked(
    trained: dict[str, Run], cache: Path, asked: dict[str, object], said: str
) -> None:
    with pytest.raises(UserError, match=said):
        ask(trained["clm"], cache, **asked)


def test_texts_that_are_too_short(trained: dict[str, Run], cache: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"other\.txt has no document of 8 tokens or more"):
        ask(trained["clm"], cache, **other(tmp_path, "short", "too", "little"))
    with pytest.raises(UserError, match="is empty"):
        ask(trained["clm"], cache, **other(tmp_path, " "))


def test_fewer_texts_than_wanted(trained: dict[str, Run], cache: Path, tmp_path: Path) -> None:
    (record,) = ask(trained["clm"], cache, "50%", **other(tmp_path, "x" * 40, "y" * 9), length=10)
    assert record.num_texts == 5, "the rest of ten does not count, nor does it fail"
    (record,) = ask(trained["clm"], cache, "50%", **other(tmp_path, "x" * 9), length=10)
    assert (record.num_texts, record.num_tokens) == (1, 4)
