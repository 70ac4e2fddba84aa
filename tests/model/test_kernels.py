"""What is written out by hand equals the plain formula, gradients included."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from lmcompare.model import attention, kernels, loss
from lmcompare.model.attention import attend, attend_to_source
from lmcompare.model.attention_mask import AttentionMask, EncodedSource
from lmcompare.model.kernels import rms_norm, swiglu
from lmcompare.model.loss import weighted_cross_entropy
from lmcompare.view import View
from tests.conftest import TINY
from tests.model.views import KINDS, make_view, with_source


def both_ways(
    function: Callable[..., Tensor], *inputs: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compare values and gradients by hand with those of the plain formula."""
    results = []
    for by_hand in (True, False):
        monkeypatch.setattr(kernels, "by_hand", lambda _, by_hand=by_hand: by_hand)
        copies = [tensor.clone().requires_grad_() for tensor in inputs]
        out = function(*copies)
        (out * torch.linspace(-1, 1, out.numel()).view(out.shape)).sum().backward()
        with torch.no_grad():
            without = function(*(tensor.clone() for tensor in inputs))
        results.append([out.detach(), without, *(copy.grad for copy in copies)])
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_rms_norm(monkeypatch: pytest.MonkeyPatch) -> None:
    x, weight = torch.randn(3, 5, 7), torch.randn(7)
    both_ways(lambda x, w: rms_norm(x, w, 1e-5), x, weight, monkeypatch=monkeypatch)


def test_swiglu(monkeypatch: pytest.MonkeyPatch) -> None:
    both_ways(swiglu, torch.randn(3, 5, 14), monkeypatch=monkeypatch)


def plain_attention(
    query: Tensor, key: Tensor, value: Tensor, sees: Tensor, *, heads: int
) -> Tensor:
    """By the book in float64; who sees nothing gets zeros."""
    query, key, value = (x.unflatten(2, (heads, -1)).transpose(1, 2) for x in (query, key, value))
    scores = query @ key.transpose(2, 3) / query.shape[-1] ** 0.5
    scores = scores.masked_fill(~sees[:, None], -1e300)
    weights = scores.softmax(-1) * sees.any(2)[:, None, :, None]
    return (weights @ value).transpose(1, 2).flatten(2)


def turned(x: Tensor, view: View, *, heads: int, base: float) -> Tensor:
    """Rotary positions as products of complex numbers; odd pairs turn by both channels."""
    left, right = x.unflatten(2, (heads, 2, -1)).unbind(3)
    index = torch.arange(left.shape[3])
    within = torch.zeros_like(view.position) if view.within is None else view.within
    place = torch.where(
        index % 2 == 1, (view.position + within)[..., None], view.position[..., None]
    )
    angle = place * base ** (-index.double() / len(index))
    out = torch.complex(left, right) * torch.polar(torch.ones_like(angle), angle)[:, :, None]
    return torch.stack([out.real, out.imag], 3).flatten(2)


@pytest.mark.parametrize("by_hand", [True, False])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("length", [11, 131, 139])  # within one span of queries, and over its end
def test_attention_and_its_hints_agree_with_the_rule(
    kind: str, length: int, by_hand: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attention, "pays_by_hand", lambda _: by_hand)
    view = make_view(kind, length=length)
    assert view.hint == KINDS[kind]
    x = torch.randn(3, view.tokens.shape[1], 3 * TINY.width, requires_grad=True)
    found = attend(x, TINY.heads, AttentionMask.of(view, TINY, torch.float32))
    exact = x.detach().double().requires_grad_()
    query, key, value = exact.chunk(3, dim=2)
    query, key = (
        turned(part, view, heads=TINY.heads, base=TINY.rotary_base) for part in (query, key)
    )
    expected = plain_attention(query, key, value, view.sees(), heads=TINY.heads)
    # A causal row's padding sees itself, which the rule denies it, and nobody sees the padding.
    compared = view.visible if kind == "causal and padded" else torch.ones_like(view.visible)
    agree(found, expected, x, exact, compared=compared)
    with torch.no_grad():
        again = attend(x.detach().clone(), TINY.heads, AttentionMask.of(view, TINY, torch.float32))
    torch.testing.assert_close(again[compared], found[compared], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("by_hand", [True, False])
@pytest.mark.parametrize("kind", ["full", "padded", "sees nothing"])
def test_attention_to_a_source_agrees_with_the_rule(
    kind: str, by_hand: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attention, "pays_by_hand", lambda _: by_hand)
    view = with_source(make_view("causal", length=11))
    assert view.source is not None
    if kind == "full":
        view = replace(view, source=make_view("full and padded", length=17))
    elif kind == "sees nothing":
        document = torch.zeros_like(view.source.tokens)
        view = replace(
            view,
            document=(torch.arange(11) > 7).long().expand(3, -1),
            source=replace(view.source, document=document),
        )
    states = torch.randn(3, 17, TINY.width)
    source = EncodedSource.of(view, states)
    num_keys = source.states.shape[1]
    assert torch.equal(source.states, states[:, :num_keys])
    assert num_keys < 17
    assert (source.bias is None, source.sees_nothing is None) == (
        kind == "full",
        kind != "sees nothing",
    )
    x = torch.randn(3, 11, TINY.width, requires_grad=True)
    key_value = torch.randn(3, num_keys, 2 * TINY.width, requires_grad=True)
    found = attend_to_source(x, key_value, TINY.heads, source)
    exact = [each.detach().double().requires_grad_() for each in (x, key_value)]
    expected = plain_attention(
        exact[0],
        *exact[1].chunk(2, dim=2),
        view.sees_source()[:, :, :num_keys],
        heads=TINY.heads,
    )
    agree(found, expected, x, exact[0], key_value, exact[1], compared=torch.ones(3, 11).bool())


def agree(found: Tensor, expected: Tensor, *inputs: Tensor, compared: Tensor) -> None:
    """Compare values, and the gradients of inputs that alternate as those of both."""
    for out in (found, expected):
        share = torch.linspace(-1, 1, out.numel()).view(out.shape) * compared[..., None]
        (out * share).sum().backward()
    torch.testing.assert_close(found[compared], expected[compared].float(), rtol=1e-4, atol=1e-5)
    for one, two in zip(inputs[::2], inputs[1::2], strict=True):
        assert one.grad is not None
        torch.testing.assert_close(one.grad, two.grad.float(), rtol=1e-4, atol=1e-5)


def test_rows_that_are_numbered_alike_share_their_angles() -> None:
    for kind in ("causal", "documents", "prefix"):
        assert len(AttentionMask.of(make_view(kind, length=11), TINY, torch.float32).cos) == 1
    for kind in ("permuted", "spans"):
        assert len(AttentionMask.of(make_view(kind, length=11), TINY, torch.float32).cos) == 3
    shifted = make_view("causal", length=11)
    shifted = replace(shifted, position=shifted.position + torch.tensor([[0], [2], [5]]))
    assert shifted.hint == "causal"
    assert len(AttentionMask.of(shifted, TINY, torch.float32).cos) == 3


def test_the_second_channel_turns_every_second_pair() -> None:
    view = make_view("causal", length=11)
    plain = AttentionMask.of(view, TINY, torch.float32)
    idle = AttentionMask.of(
        replace(view, within=torch.zeros_like(view.tokens)), TINY, torch.float32
    )
    assert torch.equal(idle.cos, plain.cos)
    assert torch.equal(idle.sin, plain.sin)
    within = torch.tensor([[0], [2], [3]]).expand_as(view.tokens)
    both = AttentionMask.of(replace(view, within=within), TINY, torch.float32)
    moved = AttentionMask.of(replace(view, position=view.position + within), TINY, torch.float32)
    for name in ("cos", "sin"):
        found = getattr(both, name)
        assert torch.equal(found[..., ::2], getattr(plain, name)[..., ::2].expand(3, -1, -1, -1))
        assert torch.equal(found[..., 1::2], getattr(moved, name)[..., 1::2])


@pytest.mark.parametrize("num_rows", [0, 1, 257, 2051])  # none, one, and over the ends of chunks
def test_cross_entropy(num_rows: int) -> None:
    rng = torch.Generator().manual_seed(0)
    states = torch.randn(num_rows, 7, generator=rng)
    head = torch.randn(13, 7, generator=rng)
    target = torch.randint(13, (num_rows,), generator=rng)
    weight = torch.rand(num_rows, generator=rng)
    results = []
    for way in (weighted_cross_entropy, plain_cross_entropy):
        inputs = [states.clone().requires_grad_(), head.clone().requires_grad_()]
        loss = way(*inputs, target, weight)
        (3 * loss).backward()
        results.append([loss.detach(), *(tensor.grad for tensor in inputs)])
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


EXACT = 2.0**-8  # bfloat16 has 8 significant bits: rounding changes a number by this share at most


@pytest.mark.parametrize("accelerator", [False, True])
@pytest.mark.parametrize("num_rows", [1, 257, 2051])
def test_cross_entropy_in_bfloat16_is_as_near_as_its_bits_allow(
    num_rows: int, accelerator: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Logits are rounded, then their gradient, then each product; sums are kept in float32."""
    monkeypatch.setattr(loss, "LOGITS", 13 * 509)  # so that 2,051 rows are five pieces
    draws = torch.Generator().manual_seed(0)
    states = torch.randn(num_rows, 7, generator=draws).bfloat16()
    head = torch.randn(13, 7, generator=draws).bfloat16()
    target = torch.randint(13, (num_rows,), generator=draws)
    weight = torch.rand(num_rows, generator=draws) / num_rows

    inputs = [each.clone().requires_grad_() for each in (states, head)]
    if accelerator:
        found = loss._OnAccelerator.apply(*inputs, target, weight, False)
    else:
        found = weighted_cross_entropy(*inputs, target, weight)
    found.backward()
    exact = [each.double().requires_grad_() for each in (states, head)]
    expected = plain_cross_entropy(*exact, target, weight.double())
    expected.backward()

    with torch.no_grad():
        logits = exact[0] @ exact[1].T
        log_prob = logits.log_softmax(1)
        moved = 2 * EXACT * logits.abs().amax(1, keepdim=True)  # of a log-probability
        hidden = torch.nn.functional.one_hot(target, 13)
        share = weight.double()[:, None]
        to_logits = (log_prob.exp() - hidden) * share
        off = moved.expm1() * log_prob.exp() * share + EXACT * to_logits.abs()
    num_sums = -(-num_rows // loss.GROUP)  # of the head's gradient, each of which is rounded
    away = [
        (moved[:, 0] * weight).sum(),
        off @ exact[1].abs().detach() + EXACT * inputs[0].grad.double().abs(),
        off.T @ exact[0].abs().detach()
        + EXACT * num_sums * (to_logits.abs().T @ exact[0].abs()).detach(),
    ]
    # of the logits once rounded, the loss is that of float32
    cost = torch.nn.functional.cross_entropy((states @ head.T).double(), target, reduction="none")
    torch.testing.assert_close(found.double(), (cost * weight).sum(), rtol=1e-5, atol=0)
    results = [
        (found, expected),
        *((one.grad, two.grad) for one, two in zip(inputs, exact, strict=True)),
    ]
    for (one, two), most in zip(results, away, strict=True):
        assert ((one - two).abs() <= 1.01 * most + 1e-9).all()
        assert most.norm() < 0.2 * two.norm(), "a wider tolerance would prove nothing"


def plain_cross_entropy(states: Tensor, head: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    cost = torch.nn.functional.cross_entropy(states @ head.T, target, reduction="none")
    return (cost * weight).sum()
