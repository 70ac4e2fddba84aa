"""Each arm answers as it legitimately can, and its answers are kept."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from lmcompare.data import Tokenizer
from lmcompare.errors import Unsupported, UserError
from lmcompare.evaluation.infilling import measure
from lmcompare.evaluation.infilling.hidden_texts import HIDDEN
from lmcompare.evaluation.infilling.measure import PROTOCOLS, measure_infilling, read_protocols
from lmcompare.evaluation.infilling.options import InfillingOptions
from lmcompare.evaluation.infilling.record import InfillingRecord
from lmcompare.files import name_of
from lmcompare.objectives import OBJECTIVES, Clm, Mdlm
from lmcompare.runs.loaded_model import REPLICATES, LoadedModel, load_model
from lmcompare.runs.run import Run
from tests.conftest import objectives
from tests.evaluation.infilling.asking import HALF_BY_LEFT, ask, ask_all, drawn, items


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
    model, texts = drawn(trained[objective], cache)
    for record in ask(trained[objective], cache):
        if record.scoring is None:
            continue
        sampled = model.objective.scorings[record.scoring].sampled
        estimates = [
            model.objective.score(
                model.net,
                texts.rows,
                model.tokenizer.vocab,
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
    model, texts = drawn(trained[objective], cache, num_texts=3, length=11)
    (record,) = ask(trained[objective], cache, "one", num_texts=3, length=11)
    assert (record.scoring, record.given) == ("renormalised", "both")
    vocab = model.tokenizer.vocab
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
        scores = model.objective.score(model.net, changed, vocab, rest).double().sum(1)
        truth = (vocab.regular == text.tokens[0, mask]).nonzero().item()
        assert item.nats == pytest.approx(-float(scores.log_softmax(0)[truth]), abs=1e-5)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_uniform_network_knows_nothing(
    trained: dict[str, Run], cache: Path, objective: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = load_model

    def uniform(run: Run, **more: object) -> LoadedModel:
        model = load(run, **more)  # type: ignore[arg-type]
        with torch.no_grad():
            model.net.embedding.zero_()
        return model

    monkeypatch.setattr("lmcompare.runs.loaded_model.load_model", uniform)
    vocab = Tokenizer.load(trained[objective].tokenizer_file).vocab
    for record in ask(trained[objective], cache, length=23):
        if record.scoring is not None:
            of_words = ("renormalised", "given-length")
            among = len(vocab.regular) if record.scoring in of_words else vocab.size
            assert record.bits_per_token == pytest.approx(math.log2(among), rel=1e-5)
            assert record.standard_error in (None, pytest.approx(0, abs=1e-3))


@pytest.mark.parametrize("objective", objectives())
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
    with pytest.raises(UserError, match="the same `lmcompare eval --force` measures it"):
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
