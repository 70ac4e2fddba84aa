"""Blocks of who sees whom: the very rule of `view.sees`, for every pattern that there is."""

from dataclasses import replace

import pytest
import torch
from torch.nn.attention.flex_attention import BlockMask

from lmcompare import rng
from lmcompare.model.block_mask import block_mask
from lmcompare.objectives import OBJECTIVES, parse_objective
from lmcompare.view import View, sees
from tests.conftest import make_text
from tests.model.views import KINDS, make_view
from tests.objectives.cases import vocab_of


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lmcompare.model.block_mask.SIZE", 7)


def allowed(mask: BlockMask, num_queries: int, num_keys: int) -> tuple[torch.Tensor, float]:
    """What a kernel lets through, pair by pair, and the share of pairs that it need not ask of."""
    rows, _, num_blocks = mask.kv_num_blocks.shape
    asked, free = (torch.zeros(rows, num_queries, num_keys, dtype=torch.bool) for _ in range(2))
    for row in range(rows):
        for block in range(num_blocks):
            for chosen, numbers, listed in (
                (asked, mask.kv_num_blocks, mask.kv_indices),
                (free, mask.full_kv_num_blocks, mask.full_kv_indices),
            ):
                for key in listed[row, 0, block, : int(numbers[row, 0, block])].tolist():
                    chosen[row, 7 * block : 7 * block + 7, 7 * key : 7 * key + 7] = True
    row, query, key = (
        torch.arange(size).view(shape)
        for size, shape in (
            (rows, (-1, 1, 1)),
            (num_queries, (1, -1, 1)),
            (num_keys, (1, 1, -1)),
        )
    )
    rule = mask.mask_mod(row, torch.tensor(0), query, key)
    skipped = (~asked | free).float().mean().item()
    return free | (asked & rule), skipped


def check(view: View) -> float:
    found, skipped = allowed(
        block_mask(view.order, view.order, view.visible, view.document, view.document),
        *[view.tokens.shape[1]] * 2,
    )
    assert torch.equal(found, view.sees())
    if view.source is not None:
        source, lowest = view.source, torch.zeros_like(view.order)
        given = (lowest, torch.zeros_like(source.order), source.visible)
        documents = (view.document, source.document)
        found, _ = allowed(
            block_mask(*given, *documents), view.tokens.shape[1], source.tokens.shape[1]
        )
        assert torch.equal(found, sees(*given, *documents))
        assert torch.equal(found, view.sees_source())
        check(source)
    return skipped


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("length", [14, 23])
def test_blocks_of_every_pattern(kind: str, length: int) -> None:
    check(make_view(kind, length=length))


@pytest.mark.parametrize("separate_documents", [False, True])
@pytest.mark.parametrize("name", OBJECTIVES)
def test_blocks_of_every_objective(name: str, separate_documents: bool) -> None:
    vocab = vocab_of(50)
    text = make_text(vocab, rows=3, length=47)
    if separate_documents:
        text = replace(text, document=(torch.arange(47) > 20).long().expand_as(text.tokens))
    for step in range(3):
        stream = rng.generator("corruption", 0, step)
        check(parse_objective(name).corrupt(text, vocab, stream, progress=step / 3))


def test_most_of_a_causal_pattern_is_not_asked_of() -> None:
    assert check(make_view("causal", length=70)) > 0.8
