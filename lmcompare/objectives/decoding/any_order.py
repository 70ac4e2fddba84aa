"""Writing in any order, by a model that predicts at query slots (XLNet), with a cache."""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from lmcompare.objectives.decoding.fill_request import (
    DecodeStep,
    DecodingMethod,
    FillRequest,
    FillResult,
)
from lmcompare.objectives.decoding.sampler import CHOSEN, NOTHING
from lmcompare.objectives.network import Writer
from lmcompare.view import IGNORE, View
from lmcompare.vocab import Vocab

ALONG: Mapping[str, DecodingMethod] = {
    "left-to-right": DecodingMethod("any", CHOSEN),
    "right-to-left": DecodingMethod("any", CHOSEN),
    "random": DecodingMethod("any", CHOSEN),
}


@torch.inference_mode()
def write_along(
    net: Writer, start: View, blanks: FillRequest, turn: Float[Tensor, "B T"], vocab: Vocab
) -> FillResult:
    """Fill holes one by one in any order, by a model that predicts at query slots (XLNet).

    Args:
        net: the model.
        start: the text without its holes, which are read at once; position i is token i.
        blanks: the holes.
        turn: holes are filled from the least to the greatest.
        vocab: which ids are text, and which one is the mask.
    """
    holes, sampler, device = blanks.holes, blanks.sampler, net.device
    num = holes.sum(1)
    num_steps = int(num.max())
    place = turn.masked_fill(~holes, torch.inf).argsort(dim=1, stable=True)[:, :num_steps]
    used = torch.arange(num_steps) < num[:, None]
    uniform = blanks.uniform(num_steps)
    banned = vocab.is_special(torch.arange(vocab.size)).nonzero()[:, 0].to(device)
    cache = net.cache(start, capacity=start.tokens.shape[1] + num_steps)
    net.extend(cache, start, torch.zeros_like(start.visible))  # none predicts
    mask = torch.full_like(place[:, :1], vocab.mask)
    written = torch.full_like(place, NOTHING)
    for step in range(num_steps):
        # what was written last, and a query slot, which nobody sees, where the next token will be
        new = slice(max(step - 1, 0), step + 1)
        tokens = torch.cat([written[:, new][:, :-1], mask], dim=1) if step else mask
        query = torch.arange(tokens.shape[1]) == tokens.shape[1] - 1
        content = 2 * (torch.arange(num_steps)[new] + 1)
        view = View(
            tokens=tokens,
            position=place[:, new],
            order=(content - query.long()).expand_as(tokens),
            visible=used[:, new] & ~query,
            target=torch.full_like(tokens, IGNORE),
            weight=torch.zeros(tokens.shape),
        )
        logits = net.extend(cache, view, query.expand_as(tokens))
        shaped = sampler.shape(logits, banned=banned)
        token = sampler.choose(shaped, uniform[:, step]).cpu()
        written[:, step] = token.where(used[:, step], vocab.pad)
        if blanks.on_step is not None:
            who = used[:, step].nonzero()[:, 0]
            sure = logits.softmax(1).cpu().gather(1, token[:, None])[:, 0]
            blanks.on_step(
                DecodeStep(row=who, place=place[who, step], token=token[who], probability=sure[who])
            )
    return FillResult(
        token=written.where(used, NOTHING), place=place.where(used, NOTHING), holes=holes
    )
