"""Facts about mixtures of objectives (Charpentier & Samuel 2024, GPT-BERT)."""

import pytest
import torch
from pydantic import ValidationError

from lmcompare import rng
from lmcompare.model import Backbone
from lmcompare.objectives import (
    T5,
    Bart,
    Clm,
    Hybrid,
    Mdlm,
    MixturePart,
    Mlm,
    Mntp,
    Objective,
    Plm,
    Prefix,
    parse_objective,
)
from lmcompare.view import IGNORE, Text, View
from lmcompare.vocab import Vocab
from tests.conftest import make_text

ONE_TO_THREE = (MixturePart(objective=Clm()), MixturePart(objective=Mntp(), share=3))
THREE = (
    MixturePart(objective=Clm()),
    MixturePart(objective=Mlm(), share=2.5),
    MixturePart(objective=Prefix()),
)


def corrupt(
    objective: Hybrid, text: Text, vocab: Vocab, seed: int = 0, progress: float = 1.0
) -> View:
    return objective.corrupt(text, vocab, rng.generator("test", seed), progress=progress)


def rows_of(view: View, num_parts: int) -> list[int]:
    assert view.part is not None
    return torch.bincount(view.part, minlength=num_parts).tolist()


def test_the_default_is_gpt_bert() -> None:
    names = [part.objective.name for part in Hybrid().parts]
    assert names == ["clm", "mntp"]
    assert [part.share for part in Hybrid().parts] == [1, 1]


@pytest.mark.parametrize("parts", [ONE_TO_THREE, THREE])
def test_rows_come_out_in_the_mean_and_within_one_each_step(
    vocab: Vocab, parts: tuple[MixturePart, ...]
) -> None:
    text = make_text(vocab, rows=7)
    total = sum(part.share for part in parts)
    sums = [0] * len(parts)
    for seed in range(211):
        counts = rows_of(corrupt(Hybrid(parts=parts), text, vocab, seed), len(parts))
        assert sum(counts) == 7
        for number, part in enumerate(parts):
            assert abs(counts[number] - 7 * part.share / total) < 1
            sums[number] += counts[number]
    for number, part in enumerate(parts):
        # of a step's rounding, the standard deviation is at most one half
        assert sums[number] / 211 == pytest.approx(7 * part.share / total, abs=4 * 0.5 / 211**0.5)


def test_each_row_is_there_once(vocab: Vocab) -> None:
    text = make_text(vocab, rows=7)
    view = corrupt(
        Hybrid(parts=(MixturePart(objective=Clm()), MixturePart(objective=Prefix()))), text, vocab
    )
    assert sorted(view.tokens.tolist()) == sorted(text.tokens.tolist())


def test_each_part_has_its_own_view(vocab: Vocab) -> None:
    text = make_text(vocab, rows=8)
    view = corrupt(Hybrid(), text, vocab)
    assert view.part is not None
    causal, masked = view.part == 0, view.part == 1
    sees = view.sees()
    for row in range(8):
        visible = view.visible[row].tolist()
        for query in range(text.tokens.shape[1]):
            expected = [seen and (masked[row] or key <= query) for key, seen in enumerate(visible)]
            assert sees[row, query].tolist() == [bool(each) for each in expected]
    assert (view.tokens[causal] != vocab.mask).all()
    assert (view.tokens[masked] == vocab.mask).any()
    assert ((view.target[causal] != IGNORE).sum(1) >= 18).all(), "all is predicted"
    assert ((view.target[masked] != IGNORE).sum(1) < 18).all(), "some is predicted"


def test_parts_weigh_as_their_rows_do(vocab: Vocab) -> None:
    """Whatever the number of targets; within a part all targets weigh alike."""
    text = make_text(vocab, rows=8)
    view = corrupt(Hybrid(parts=ONE_TO_THREE), text, vocab)
    assert view.part is not None
    for number, rows in enumerate((2, 6)):
        weight, target = view.weight[view.part == number], view.target[view.part == number]
        num = int((target != IGNORE).sum())
        expected = (target != IGNORE) * (rows / 8 / num)
        torch.testing.assert_close(weight, expected)


def test_targets_are_counted_by_part(vocab: Vocab) -> None:
    view = corrupt(Hybrid(), make_text(vocab, rows=8), vocab)
    assert view.part is not None
    counts = [int((view.target[view.part == part] != IGNORE).sum()) for part in (0, 1)]
    assert view.num_targets_of_parts == counts
    assert counts[0] > 3 * counts[1], "as many rows, but by no means as many targets"


def test_in_turn_each_part_has_its_share_of_training(text: Text, vocab: Vocab) -> None:
    """Causal first and masked later, here for a quarter and for three."""
    objective = Hybrid(parts=ONE_TO_THREE, schedule="in-turn")
    for progress, part in ((0.0, 0), (0.24, 0), (0.26, 1), (0.9, 1), (1.0, 1), (1.1, 1)):
        view = corrupt(objective, text, vocab, progress=progress)
        assert rows_of(view, 2)[part] == len(text.tokens)


def test_alternating_steps_are_drawn_by_share(text: Text, vocab: Vocab) -> None:
    objective = Hybrid(parts=ONE_TO_THREE, schedule="alternating")
    steps = [rows_of(corrupt(objective, text, vocab, seed), 2) for seed in range(401)]
    assert all(sorted(counts) == [0, len(text.tokens)] for counts in steps), "one a step"
    masked = sum(counts[1] > 0 for counts in steps) / 401
    assert masked == pytest.approx(0.75, abs=4 * (0.75 * 0.25 / 401) ** 0.5)


def test_a_part_follows_its_own_schedule(vocab: Vocab) -> None:
    parts = (MixturePart(objective=Mlm(rate=0.9, final_rate=0.1)), MixturePart(objective=Clm()))
    text = make_text(vocab, rows=38)

    def masked(progress: float) -> int:
        view = corrupt(Hybrid(parts=parts), text, vocab, progress=progress)
        assert view.num_targets_of_parts is not None
        return view.num_targets_of_parts[0]

    assert masked(0.0) > 3 * masked(1.0) > 0


@pytest.mark.parametrize("judge", [0, 1])
def test_the_judge_scores_and_reads(text: Text, vocab: Vocab, net: Backbone, judge: int) -> None:
    parts: list[Objective] = [Clm(), Mlm()]
    objective = Hybrid(parts=tuple(MixturePart(objective=part) for part in parts), judge=judge)
    everything = torch.ones_like(text.visible)
    assert objective.scorings == parts[judge].scorings
    expected = parts[judge].score(net, text, vocab, everything)
    assert torch.equal(objective.score(net, text, vocab, everything), expected)
    assert torch.equal(objective.read(text, vocab).order, parts[judge].read(text, vocab).order)


def test_replicates_reach_the_judge(text: Text, vocab: Vocab, net: Backbone) -> None:
    parts = (MixturePart(objective=Mdlm()), MixturePart(objective=Mlm()))
    everything = torch.ones_like(text.visible)
    one, two = (
        Hybrid(parts=parts).score(net, text, vocab, everything, replicate=replicate)
        for replicate in (0, 1)
    )
    assert torch.equal(two, Mdlm().score(net, text, vocab, everything, replicate=1))
    assert not torch.equal(one, two)


def test_it_needs_what_its_parts_need() -> None:
    parts = (MixturePart(objective=Clm()), MixturePart(objective=Plm()))
    assert set(Hybrid(parts=parts).needs) == {"bos", "eos", "pad", "mask"}


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"parts": ["t5", "clm"]}, "an encoder is for t5 only"),
        ({"parts": ["hybrid", "clm"]}, "a part is a hybrid itself"),
        ({"parts": ["clm", "mlm"], "judge": 2}, "judge 2 is none of the 2 parts"),
        ({"parts": ["clm"]}, "at least 2 items"),
        ({"parts": []}, "at least 2 items"),
    ],
)
def test_what_cannot_be_mixed_is_refused(settings: dict[str, object], sentence: str) -> None:
    parts = settings.get("parts")
    assert isinstance(parts, list)
    settings = {**settings, "parts": [{"objective": name} for name in parts]}
    with pytest.raises(ValidationError, match=sentence):
        parse_objective({"name": "hybrid", **settings})


@pytest.mark.parametrize("share", [0, -1])
def test_a_share_of_nothing_is_refused(share: float) -> None:
    with pytest.raises(ValidationError, match="greater than 0"):
        MixturePart(objective=Clm(), share=share)


def test_parts_that_have_sources_are_mixed_with_their_like(text: Text, vocab: Vocab) -> None:
    objective = Hybrid(parts=(MixturePart(objective=T5()), MixturePart(objective=Bart())))
    assert objective.encodes
    view = corrupt(objective, text, vocab)
    assert view.source is not None
    assert len(view.source.tokens) == len(view.tokens) == len(text.tokens)
    decoder = {"name": "t5", "architecture": "decoder"}
    mixed = parse_objective(
        {"name": "hybrid", "parts": [{"objective": decoder}, {"objective": "clm"}]}
    )
    assert not mixed.encodes
