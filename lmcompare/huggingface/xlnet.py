"""XLNet read from left to right: a permutation model asked along the order of the text.

Yang et al. 2019, XLNet (https://arxiv.org/abs/1906.08237). Its content stream reads; its query
stream, which knows a place and not what stands there, predicts. So a token is predicted at its own
place, from the content before it.
"""

from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from lmcompare.huggingface.framing import Framed
from lmcompare.huggingface.network import HfNetwork
from lmcompare.view import View


class XlnetNetwork(HfNetwork):
    """XLNet, each position of which predicts the token after it."""

    def run(self, view: View, framed: Framed, **how: Any) -> Any:
        """Return what it makes of a view, each position seeing itself and what stands before."""
        size = framed.tokens.shape[1]
        hidden = torch.ones(size, size, device=framed.tokens.device).triu()
        hidden = hidden.expand(len(framed.tokens), -1, -1)
        given: dict[str, Any] = {"attention_mask": framed.mask.float(), "perm_mask": hidden, **how}
        if "inputs_embeds" not in given:
            given["input_ids"] = framed.tokens
        return self.body(**given, use_mems=False)

    def predicting_states(self, view: View, wanted: Bool[Tensor, "B T"]) -> Float[Tensor, "N D"]:
        framed = self.framed(view)
        # a column more for what the last token predicts; nobody looks at what stands there
        tokens = torch.cat([framed.tokens, framed.tokens[:, -1:]], dim=1)
        mask = torch.cat([framed.mask[:, :1], framed.mask], dim=1)
        longer = replace(framed, tokens=tokens, mask=mask)
        size = tokens.shape[1]
        next_place = torch.eye(size, device=tokens.device)[1:].expand(len(tokens), -1, -1)
        output = self.run(view, longer, target_mapping=next_place)
        return framed.read(output.last_hidden_state)[wanted]
