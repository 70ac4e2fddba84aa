"""What is read piece by piece is what is read at once, whoever sees whom."""

from copy import deepcopy
from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from lmcompare.model import Backbone, decode_layer
from lmcompare.model.kv_cache import KVCache
from lmcompare.view import IGNORE, View
from lmcompare.vocab import Vocab
from tests.conftest import make_net
from tests.model.views import KINDS, make_view, with_source

pytestmark = pytest.mark.usefixtures("shared_out")

# documents cannot be kept apart in a cache
PATTERNS = [kind for kind in KINDS if kind not in ("documents", "sees nothing")]
COLUMNS = ["tokens", "position", "order", "visible", "target", "weight", "within"]
LENGTH = 19


@pytest.fixture(params=[0, 1, 2], ids=["no bags", "one thread", "two threads"])
def shared_out(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether few rows are bags, and one row several of them, however many threads there are."""
    monkeypatch.setattr(decode_layer, "LARGE", 0)
    monkeypatch.setattr(decode_layer, "_has_bags", lambda: request.param > 0)
    monkeypatch.setattr(torch, "get_num_threads", lambda: request.param)


def reordered(view: View, seed: int) -> View:
    """The same positions so that whoever is seen stands before or beside those who see it."""
    draws = torch.Generator().manual_seed(seed)
    keys = view.order + torch.rand(view.order.shape, generator=draws)
    index = keys.masked_fill(_padding(view), torch.inf).argsort(1)
    columns = {
        name: each.gather(1, index) for name in COLUMNS if (each := getattr(view, name)) is not None
    }
    return replace(view, **columns)


def _padding(view: View) -> torch.Tensor:
    return ~view.visible & (view.target == IGNORE)


def pieces(view: View, seed: int) -> list[View]:
    """The view cut at random, where nobody before a cut may look behind it."""
    sees, length = view.sees(), view.tokens.shape[1]
    cuts = [cut for cut in range(1, length) if not sees[:, :cut, cut:].any()]
    draws = torch.rand(len(cuts), generator=torch.Generator().manual_seed(seed))
    chosen = [cut for cut, draw in zip(cuts, draws.tolist(), strict=True) if draw < 0.5]
    edges = [0, *chosen, length]
    return [view.columns(slice(start, stop)) for start, stop in pairwise(edges)]


def at_once(net: Backbone, view: View) -> torch.Tensor:
    wanted = torch.ones_like(view.visible)
    return net.logits(view, wanted).view(*view.tokens.shape, -1)


def _by_the_rule(net: Backbone, view: View) -> torch.Tensor:
    """Without a kernel of the pattern's own, for which those who are hidden see themselves."""
    return at_once(net, replace(view, document=torch.zeros_like(view.tokens)))


def extend(net: Backbone, cache: KVCache, view: View) -> torch.Tensor:
    return net.extend(cache, view).view(*view.tokens.shape, -1)


def piecewise(net: Backbone, view: View, seed: int) -> torch.Tensor:
    cache = net.cache(view, capacity=view.tokens.shape[1])
    return torch.cat([extend(net, cache, piece) for piece in pieces(view, seed)], dim=1)


def mixed(seed: int, *, rows: int = 5) -> View:
    """Orders, visibility and both channels of positions at random; some rows see nothing at all."""
    draws = torch.Generator().manual_seed(seed)
    order = torch.randint(7, (rows, LENGTH), generator=draws).sort(1).values
    order[:, :2] = 0  # no pattern with a kernel of its own, for which hidden ones see themselves
    visible = torch.rand(rows, LENGTH, generator=draws) < 0.7
    visible[:-1, :2] = True
    visible[-1] = order[-1] == order[-1, -1]
    tokens = torch.randint(5, 57, (rows, LENGTH), generator=draws)
    return View(
        tokens=tokens,
        position=torch.randint(LENGTH, tokens.shape, generator=draws),
        within=torch.randint(5, tokens.shape, generator=draws),
        order=order,
        visible=visible,
        target=tokens,
        weight=torch.ones(tokens.shape),
    )


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("sourced", [False, True], ids=["alone", "with source"])
@pytest.mark.parametrize("kind", PATTERNS)
def test_a_view_read_in_pieces_predicts_the_same(
    kind: str, sourced: bool, seed: int, vocab: Vocab
) -> None:
    view = reordered(make_view(kind, length=LENGTH), seed)
    view, net = with_source(view) if sourced else view, make_net(vocab, encodes=sourced)
    assert len(pieces(view, seed)) > 2 or "full" in kind or kind == "padded"
    expected, found = at_once(net, view), piecewise(net, view, seed)
    matters = ~_padding(view)
    torch.testing.assert_close(found[matters], expected[matters], rtol=1e-4, atol=1e-4)
    assert torch.equal(found.argmax(2)[matters], expected.argmax(2)[matters])


@pytest.mark.parametrize("seed", range(13))
def test_any_orders_and_visibility_will_do(seed: int, net: Backbone) -> None:
    view = mixed(seed)
    torch.testing.assert_close(piecewise(net, view, seed), at_once(net, view), rtol=1e-4, atol=1e-4)


def test_who_is_hidden_leaves_no_trace(net: Backbone) -> None:
    """A query slot does not see itself, and what comes after it is as if it had never been."""
    view = make_view("causal", length=LENGTH)
    before, after = view.columns(slice(7)), view.columns(slice(7, LENGTH))
    query = view.columns(slice(7, 8))
    query = replace(query, tokens=query.tokens + 1, visible=torch.zeros_like(query.visible))
    found = []
    for extra in ([], [query], [query, query]):
        cache = net.cache(view, capacity=LENGTH + 2)
        for part in [before, *extra]:
            extend(net, cache, part)
        found.append(extend(net, cache, after))
    torch.testing.assert_close(found[1], found[0])
    torch.testing.assert_close(found[2], found[0])
    cache = net.cache(view, capacity=LENGTH)
    extend(net, cache, before)
    tokens, order, position, visible = (
        torch.cat([getattr(before, name), getattr(query, name)], 1)
        for name in ("tokens", "order", "position", "visible")
    )
    whole = replace(View.ordered(tokens, order, visible=visible), position=position)
    torch.testing.assert_close(
        extend(net, cache, query), _by_the_rule(net, whole)[:, -1:], rtol=1e-4, atol=1e-4
    )


def test_only_what_is_wanted_is_predicted(net: Backbone) -> None:
    view = reordered(make_view("permuted", length=LENGTH), 1)
    wanted = view.target != IGNORE
    expected, found = at_once(net, view)[wanted], []
    cache, start = net.cache(view, capacity=view.tokens.shape[1]), 0
    for piece in pieces(view, 1):
        stop = start + piece.tokens.shape[1]
        found.append((net.extend(cache, piece, wanted[:, start:stop]), wanted[:, start:stop]))
        start = stop
    logits = torch.zeros(*view.tokens.shape, net.vocab_size)
    start = 0
    for each, chosen in found:
        logits[:, start : start + chosen.shape[1]][chosen] = each
        start += chosen.shape[1]
    torch.testing.assert_close(logits[wanted], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("sourced", [False, True], ids=["alone", "with source"])
@pytest.mark.parametrize("hidden", [False, True], ids=["all seen", "one hidden"])
@torch.inference_mode()
def test_rows_go_on_from_what_other_rows_have_read(
    hidden: bool, sourced: bool, vocab: Vocab
) -> None:
    """Some of them twice; beams have one source."""
    view, net = make_view("prefix", length=LENGTH), make_net(vocab, encodes=sourced)
    if sourced:
        source = with_source(view).source
        assert source is not None
        view = replace(view, source=source.rows(torch.tensor([1, 1, 1])))
    view.visible[0, 3] = not hidden
    parents, num = torch.tensor([2, 0, 2]), 11

    def joined(column: torch.Tensor) -> torch.Tensor:
        return torch.cat([column[parents, :num], column[:, num:]], 1)

    whole = replace(
        view, tokens=joined(view.tokens), order=joined(view.order), visible=joined(view.visible)
    )
    cache = net.cache(view, capacity=LENGTH)
    extend(net, cache, view.columns(slice(num)))
    cache.select(parents)
    singly = [whole.columns(slice(at, at + 1)) for at in range(num, LENGTH)]
    found = torch.cat([extend(net, cache, column) for column in singly], 1)
    torch.testing.assert_close(found, at_once(net, whole)[:, num:], rtol=1e-4, atol=1e-4)


@torch.inference_mode()
def test_what_is_read_later_need_not_see_all_that_was_read(net: Backbone) -> None:
    """By its order, which goes with a row that others go on from; one position and several."""
    view, parents = mixed(5), torch.tensor([3, 3, 3, 4, 4])
    order = 2 * view.order + 14 * torch.arange(5)[:, None]
    view = replace(view, order=order, visible=torch.ones_like(view.visible))
    for num_new in (1, 2):
        cache = net.cache(view, capacity=LENGTH + num_new)
        extend(net, cache, view)
        cache.select(parents)
        new = mixed(7).columns(slice(num_new))
        order = 14 * parents[:, None] + torch.tensor([[1], [3], [5], [7], [13]])
        new = replace(new, order=order.expand(-1, num_new))
        new.visible.fill_(True)
        found = extend(net, cache, new)
        known = replace(view, **{name: getattr(view, name)[parents] for name in COLUMNS})
        whole = {name: torch.cat([getattr(known, name), getattr(new, name)], 1) for name in COLUMNS}
        whole["visible"] &= whole["order"] <= new.order[:, :1]
        expected = at_once(net, replace(view, **whole))[:, LENGTH:]
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_one_by_one_after_rows_of_unlike_lengths(net: Backbone) -> None:
    """As in writing: padding stands before what is new."""
    view = make_view("causal", length=LENGTH)
    lengths = torch.tensor([[7], [11], [3]])
    visible = torch.arange(LENGTH) < lengths
    cache = net.cache(view, capacity=LENGTH + 5)
    extend(net, cache, replace(view, visible=visible))
    new = torch.randint(5, 57, (3, 5), generator=torch.Generator().manual_seed(1))
    for row, length in enumerate(lengths[:, 0].tolist()):
        alone = torch.cat([view.tokens[row : row + 1, :length], new[row : row + 1]], 1)
        whole = View.causal(alone, visible=torch.ones_like(alone, dtype=torch.bool))
        expected = at_once(net, whole)[0, length:]
        again = net.cache(view, capacity=LENGTH + 5)
        extend(net, again, replace(view, visible=visible))
        found = []
        for step in range(5):
            at = lengths + step
            part = View.causal(new[:, step : step + 1], visible=torch.ones(3, 1).bool())
            found.append(extend(net, again, replace(part, position=at, order=at))[row, 0])
        torch.testing.assert_close(torch.stack(found), expected, rtol=1e-4, atol=1e-4)


def test_a_full_cache_says_so_and_stays_as_it_was(net: Backbone) -> None:
    view = make_view("causal", length=LENGTH)
    cache = net.cache(view, capacity=LENGTH)
    extend(net, cache, view.columns(slice(LENGTH - 1)))
    with pytest.raises(ValueError, match=f"{LENGTH} positions has no room for {LENGTH + 1}"):
        net.extend(cache, view.columns(slice(LENGTH - 2, LENGTH)))
    found = extend(net, cache, view.columns(slice(LENGTH - 1, LENGTH)))
    torch.testing.assert_close(found, at_once(net, view)[:, -1:], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", ["causal", "prefix", "permuted", "spans"])
def test_in_bfloat16_it_is_about_the_same(kind: str, vocab: Vocab) -> None:
    """Not further from float32 than what is read at once, but for a little."""
    view = with_source(reordered(make_view(kind, length=LENGTH), 3))
    net = make_net(vocab, encodes=True)
    exact = at_once(net, view)
    net = deepcopy(net).bfloat16()
    once, found = at_once(net, view).float(), piecewise(net, view, 3).float()
    assert found.dtype == torch.float32
    error = (found - exact).norm() / exact.norm()
    assert error < 1.5 * (once - exact).norm() / exact.norm() + 1e-3
    assert error < 0.1
