"""What writing costs: counted by hand, and as PyTorch counts what is really multiplied."""

from dataclasses import replace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from lmcompare.generation.flop_counter import Cost, Meter
from lmcompare.model import Backbone
from lmcompare.model.flops import forward_flops
from lmcompare.objectives import T5, Bart, Clm, Fim, Glm, Mdlm, Mlm, Objective, Plm, Prefix
from lmcompare.objectives.decoding.fill_request import FillRequest
from lmcompare.objectives.decoding.sampler import Sampler
from lmcompare.view import IGNORE, Text, View
from lmcompare.vocab import Vocab
from tests.conftest import TINY, make_net, make_text, plain_text
from tests.model.views import make_view, with_source
from tests.objectives.cases import asked_at

D, F, LAYERS, ENCODER = TINY.width, TINY.ffn, TINY.layers, 2
LENGTH = 23


def _attention(
    query: torch.Size,
    key: torch.Size,
    value: torch.Size,
    dropout: float = 0,
    is_causal: bool = False,
    **_,
) -> int:
    """Which PyTorch does not count on a processor; half of the square where it is causal."""
    batch, heads, length, width = query
    num = key[2]
    return 4 * batch * heads * width * (length * num - is_causal * num * (num - 1) // 2)


def _bags(weight: torch.Size, index: torch.Size, *_: object, **__: object) -> int:
    """Each entry of a bag is a row that is multiplied by a number and added."""
    return 2 * index[0] * weight[1]


COUNTED = {
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention,
    torch.ops.aten._embedding_bag_forward_only: _bags,
}


def text_of(vocab: Vocab, *, rows: int = 1) -> Text:
    tokens = make_text(vocab, rows=5).tokens[2 : 2 + rows]
    return plain_text(tokens, word=torch.arange(LENGTH).expand(rows, -1))


def cost_of(
    objective: Objective,
    net: Backbone,
    vocab: Vocab,
    places: range,
    *,
    rows: int = 1,
    sampler: Sampler | None = None,
    method: str | None = None,
) -> Cost:
    """Of writing at some places; in further rows at one place less."""
    text = text_of(vocab, rows=rows)
    holes = asked_at(text, *places)
    holes[1:, places.start] = False
    request = FillRequest(
        text=text,
        holes=holes,
        any_length=False,
        limit=1,
        sampler=sampler or Sampler(),
        method=method,
        generators=tuple(torch.Generator().manual_seed(row) for row in range(rows)),
    )
    meter = Meter(net)
    objective.fill(meter, request, vocab)
    return meter.cost


def by_hand(keys: list[int], *, wanted: int, vocab: Vocab, crossing: int = 0) -> int:
    """Operations of a pass over positions with so many keys each, some of them predicting.

    In the last layer what comes after attention is done for these only.
    """
    total = 0
    for layer in range(LAYERS):
        num = wanted if layer == LAYERS - 1 else len(keys)
        total += len(keys) * 3 * D * D + sum(2 * D * each for each in keys)
        if crossing:  # queries, scores, mixing; and an output more, for those that go on
            total += len(keys) * (D * D + D * D + 2 * D * crossing)
        total += num * (D * D + 3 * D * F)
    return 2 * (total + wanted * D * vocab.size)


def test_a_causal_text_costs_what_one_pass_over_it_would(net: Backbone, vocab: Vocab) -> None:
    """Its last token aside, which is not read: each pair of tokens meets once."""
    cost = cost_of(Clm(), net, vocab, range(18, LENGTH))
    assert (cost.passes, cost.positions) == (5, LENGTH - 1)
    prompt = by_hand([*range(1, 19)], wanted=1, vocab=vocab)
    steps = [by_hand([length], wanted=1, vocab=vocab) for length in range(19, LENGTH)]
    assert cost.flops == prompt + sum(steps)
    tokens = text_of(vocab).tokens[:, :-1]
    target = tokens.masked_fill(torch.arange(LENGTH - 1) < 17, IGNORE)
    whole = View.causal(tokens, visible=torch.ones_like(tokens, dtype=torch.bool))
    whole = whole.predicting(target, torch.ones(target.shape))
    assert cost.flops == forward_flops(net.config, net.vocab_size, whole)


def test_the_source_is_read_once(vocab: Vocab) -> None:
    """A hole of six: 18 tokens are the source, and 8 the output of which 6 are chosen."""
    net = make_net(vocab, encodes=True)
    cost = cost_of(T5(), net, vocab, range(7, 13))
    source, output = LENGTH - 6 + 1, 2 + 6 - 1
    encoder = ENCODER * source * (4 * D * D + 2 * D * source + 3 * D * F)
    crossing = LAYERS * source * 2 * D * D
    first = by_hand([1, 2], wanted=1, vocab=vocab, crossing=source)
    steps = [
        by_hand([length], wanted=1, vocab=vocab, crossing=source) for length in range(3, output + 1)
    ]
    assert cost.passes == 6
    assert cost.flops == 2 * (encoder + crossing) + first + sum(steps)


def test_unmasking_reads_the_whole_text_in_each_pass(net: Backbone, vocab: Vocab) -> None:
    cost = cost_of(
        Mdlm(), net, vocab, range(7, 13), sampler=Sampler(steps=3), method="surest-first"
    )
    assert (cost.passes, cost.positions) == (3, 3 * LENGTH)
    each = [by_hand([LENGTH] * LENGTH, wanted=num, vocab=vocab) for num in (6, 4, 2)]
    assert cost.flops == sum(each)


def test_every_beam_and_every_row_counts(net: Backbone, vocab: Vocab) -> None:
    places = range(18, LENGTH)
    alone = cost_of(Clm(), net, vocab, places)
    beams = cost_of(Clm(), net, vocab, places, sampler=Sampler(beams=3))
    assert (beams.passes, beams.positions) == (alone.passes, 3 * alone.positions)
    assert beams.flops == 3 * alone.flops


@pytest.mark.parametrize("objective", [Clm(), T5()], ids=str)
def test_every_candidate_of_a_contrastive_search_counts(objective: Objective, vocab: Vocab) -> None:
    """All but what their states are compared by: with each state that was read, in every step."""
    net, num = make_net(vocab, encodes=objective.encodes), 3
    sampler = Sampler(degeneration_penalty=0.5, candidates=num)
    with FlopCounterMode(display=False, custom_mapping=COUNTED) as counter:
        cost = cost_of(objective, net, vocab, range(18, LENGTH), sampler=sampler)
    first = 2 if objective.encodes else 18  # what was read before the first step
    assert cost.passes == 1 + 5
    compared = sum(2 * num * D * (first + step) for step in range(5))
    assert cost.flops == counter.get_total_flops() - compared


def test_a_source_is_counted_with_the_first_pass_only(vocab: Vocab) -> None:
    """Though the views of later passes may have it too."""
    costs = []
    for later in (True, False):
        meter = Meter(make_net(vocab, encodes=True))
        view = with_source(make_view("causal", length=LENGTH))
        cache = meter.cache(view, capacity=LENGTH)
        meter.extend(cache, view.columns(slice(7)))
        rest = view.columns(slice(7, LENGTH))
        meter.extend(cache, rest if later else replace(rest, source=None))
        costs.append(meter.cost)
    assert costs[0] == costs[1]


def test_several_tokens_after_a_cache_are_counted_as_they_are_multiplied(
    net: Backbone, vocab: Vocab
) -> None:
    meter, view = Meter(net), make_view("causal", length=LENGTH)
    with FlopCounterMode(display=False, custom_mapping=COUNTED) as counter:
        cache = meter.cache(view, capacity=LENGTH)
        meter.extend(cache, view.columns(slice(7)))
        meter.extend(cache, view.columns(slice(7, LENGTH)))
    assert meter.cost.flops == counter.get_total_flops()


@pytest.mark.parametrize(
    ("objective", "method", "sampler"),
    [
        (Clm(), None, Sampler()),
        (Prefix(), None, Sampler()),
        (T5(), None, Sampler()),
        (T5(architecture="decoder"), None, Sampler()),
        (Bart(), None, Sampler(beams=2)),
        (Glm(), None, Sampler()),
        (Plm(), None, Sampler()),
        (Fim(), "fim", Sampler()),
        (Mdlm(), "ancestral", Sampler(steps=3)),
        (Mlm(), "mask-predict", Sampler(steps=3)),
        (Mlm(), "gibbs", Sampler(steps=1)),
        (Mlm(), "metropolis", Sampler(steps=1)),
    ],
    ids=lambda given: given.name if isinstance(given, Objective) else given and str(given)[:5],
)
def test_the_count_is_what_is_really_multiplied(
    objective: Objective, method: str | None, sampler: Sampler, vocab: Vocab
) -> None:
    """In rows that are unlike, and go on alone when others have come to their end."""
    net = make_net(vocab, encodes=objective.encodes)
    at_end = (
        objective.decoding_methods[method or next(iter(objective.decoding_methods))].holes == "end"
    )
    places = range(18, LENGTH) if at_end else range(7, 11)
    with FlopCounterMode(display=False, custom_mapping=COUNTED) as counter:
        cost = cost_of(objective, net, vocab, places, rows=2, sampler=sampler, method=method)
    assert cost.flops == counter.get_total_flops()
