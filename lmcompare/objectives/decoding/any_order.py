"""Writing in any order, by a model that predicts at query slots (XLNet), with a cache."""

from collections.abc import Callable, Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from lmcompare.objectives.corruption.noise import NO_INDEX
from lmcompare.objectives.decoding.fill_request import (
    DecodeStep,
    DecodingMethod,
    FillRequest,
    FillResult,
)
from lmcompare.objectives.decoding.sampler import CHOSEN, NO_TOKEN
from lmcompare.objectives.network import Writer
from lmcompare.view import IGNORE, View
from lmcompare.vocab import Vocab

# Return the keys of a request's tokens, B T: holes are filled from the least to the greatest.
_Keys = Callable[[FillRequest], Float[Tensor, "B T"]]


def any_order(start_of: Callable[[FillRequest, Vocab], View]) -> Mapping[str, DecodingMethod]:
    """Return the decoding methods of a model that predicts at query slots.

    Args:
        start_of: the text of a request without its holes; position i is token i.
    """

    def method(keys: _Keys, *, in_order: bool = False) -> DecodingMethod:
        def fill(net: Writer, request: FillRequest, vocab: Vocab) -> FillResult:
            return decode_any_order(net, start_of(request, vocab), request, keys(request), vocab)

        return DecodingMethod("any", fill, CHOSEN, in_order=in_order)

    def index(request: FillRequest) -> Float[Tensor, "B T"]:
        num_rows, length = request.holes.shape
        return torch.arange(float(length)).repeat(num_rows, 1)

    return {
        "left-to-right": method(index, in_order=True),
        "right-to-left": method(lambda request: -index(request)),
        "random": method(lambda request: request.uniform_at(request.holes).float()),
    }


@torch.inference_mode()
def decode_any_order(
    net: Writer, start: View, request: FillRequest, keys: Float[Tensor, "B T"], vocab: Vocab
) -> FillResult:
    """Fill holes one by one in any order, by a model that predicts at query slots (XLNet).

    Args:
        net: the model.
        start: the text without its holes, which is read at once; position i is token i.
        request: the holes.
        keys: holes are filled from the least to the greatest.
        vocab: which ids are text, and which one is the mask.
    """
    holes, sampler, device = request.holes, request.sampler, net.device
    num = holes.sum(1)
    num_steps = int(num.max())
    index = keys.masked_fill(~holes, torch.inf).argsort(dim=1, stable=True)[:, :num_steps]
    used = torch.arange(num_steps) < num[:, None]
    uniform = request.uniform(num_steps)
    banned = vocab.is_special(torch.arange(vocab.size)).nonzero()[:, 0].to(device)
    cache = net.cache(start, capacity=start.tokens.shape[1] + num_steps)
    net.extend(cache, start, torch.zeros_like(start.visible))  # none predicts
    mask = torch.full_like(index[:, :1], vocab.mask)
    written = torch.full_like(index, NO_TOKEN)
    for step in range(num_steps):
        # what was written last, and a query slot, which nobody sees, where the next token will be
        new = slice(max(step - 1, 0), step + 1)
        tokens = torch.cat([written[:, new][:, :-1], mask], dim=1) if step else mask
        query = torch.arange(tokens.shape[1]) == tokens.shape[1] - 1
        content = 2 * (torch.arange(num_steps)[new] + 1)
        view = View(
            tokens=tokens,
            position=index[:, new],
            order=(content - query.long()).expand_as(tokens),
            visible=used[:, new] & ~query,
            target=torch.full_like(tokens, IGNORE),
            weight=torch.zeros(tokens.shape),
        )
        logits = net.extend(cache, view, query.expand_as(tokens))
        shaped = sampler.shape(logits, banned=banned)
        token = sampler.choose(shaped, uniform[:, step]).cpu()
        written[:, step] = token.where(used[:, step], vocab.pad)
        if request.on_step is not None:
            who = used[:, step].nonzero()[:, 0]
            sure = logits.softmax(1).cpu().gather(1, token[:, None])[:, 0]
            request.on_step(
                DecodeStep(row=who, index=index[who, step], token=token[who], probability=sure[who])
            )
    return FillResult(
        token=written.where(used, NO_TOKEN), index=index.where(used, NO_INDEX), holes=holes
    )
