"""Matrices as they are multiplied with few rows, and with many, however that is computed."""

import pytest
import torch

from lmcompare.model import decode_layer
from lmcompare.model.decode_layer import MANY, DecodeMatrix

INPUTS, OUTPUTS = 24, 37


@pytest.mark.parametrize("gained", [False, True], ids=["plain", "with a gain"])
@pytest.mark.parametrize("based", [False, True], ids=["alone", "added"])
@pytest.mark.parametrize("large", [False, True], ids=["small", "large"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("num_rows", [1, 2, 3, MANY - 1, MANY, MANY + 3])
def test_it_is_the_product(
    num_rows: int,
    dtype: torch.dtype,
    large: bool,
    based: bool,
    gained: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    monkeypatch.setattr(decode_layer, "LARGE", 0 if large else 2**30)
    draws = torch.Generator().manual_seed(num_rows)
    weight = torch.randn(OUTPUTS, INPUTS, generator=draws).to(dtype)
    gain = torch.rand(INPUTS, generator=draws) if gained else None
    x = torch.randn(num_rows, INPUTS, generator=draws).to(dtype)
    base = torch.randn(num_rows, OUTPUTS, generator=draws).to(dtype) if based else None
    kept = [each.clone() for each in (weight, x, *([] if base is None else [base]))]

    expected = x.double() * (1 if gain is None else gain.double()) @ weight.double().T
    expected += 0 if base is None else base.double()
    with torch.inference_mode():
        found = DecodeMatrix(weight, gain)(x, base)

    assert found.dtype == dtype
    allowed = 1e-5 if dtype == torch.float32 else 3e-2
    torch.testing.assert_close(found.double(), expected, rtol=allowed, atol=3 * allowed)
    for before, after in zip(kept, (weight, x, base), strict=False):
        assert torch.equal(before, after)


@pytest.mark.parametrize("threads", [1, 2, 3, 16])
def test_as_many_bags_as_threads_but_not_too_many(
    threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of one size, together each input once."""
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    monkeypatch.setattr(decode_layer, "LARGE", 0)
    monkeypatch.setattr(decode_layer, "_has_bags", lambda: True)
    asked, bags = [], decode_layer._bags

    def noted(*shape: int) -> tuple[torch.Tensor, torch.Tensor]:
        asked.append(shape)
        return bags(*shape)

    monkeypatch.setattr(decode_layer, "_bags", noted)
    matrix = DecodeMatrix(torch.ones(OUTPUTS, INPUTS))
    for num_rows in (1, 2, MANY):
        with torch.inference_mode():
            found = matrix(torch.ones(num_rows, INPUTS))
        assert torch.equal(found, torch.full((num_rows, OUTPUTS), float(INPUTS)))
    assert asked == [(1, INPUTS, min(threads, 4)), (2, INPUTS, 1)]
    index, start = bags(1, INPUTS, asked[0][2])
    assert index.tolist() == list(range(INPUTS))
    assert start.tolist() == list(range(0, INPUTS, INPUTS // asked[0][2]))
