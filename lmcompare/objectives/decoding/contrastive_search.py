"""Contrastive search: of the likeliest tokens the one that is least like what was read before it.

Su et al. 2022 (https://arxiv.org/abs/2202.06417). What tokens are like is the cosine
of the model's last states. What an encoder read is not compared with.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import normalize, pad


class Contrast:
    """Which candidate continues each of N texts; it has a line for each of K, B = N x K.

    Args:
        states: of what was read of each text at first.
        shown: which of it counts.
        num_candidates: K.
        penalty: what likeness costs, 0 to 1; probability counts as much as is left.
        num_steps: tokens that may follow.
    """

    def __init__(
        self,
        states: Float[Tensor, "N T D"],
        shown: Bool[Tensor, "N T"],
        *,
        num_candidates: int,
        penalty: float,
        num_steps: int,
    ):
        self._num, self._penalty, self._length = num_candidates, penalty, states.shape[1]
        self._read = pad(normalize(states.float(), dim=2), (0, 0, 0, num_steps))  # N L D
        self._shown = pad(shown, (0, num_steps), value=True)  # N L
        self._first = torch.arange(len(states), device=states.device) * num_candidates

    def candidates(self, logits: Float[Tensor, "B V"]) -> Int[Tensor, " B"]:
        """Return the likeliest tokens of each text, one for each of its lines; these are alike."""
        found = logits[:: self._num].softmax(1).topk(self._num, dim=1)
        self._probability = found.values  # N K
        return found.indices.flatten()

    def best(self, states: Float[Tensor, "B D"]) -> Int[Tensor, " B"]:
        """Return for each line which one continues its text, after the candidates were read.

        Args:
            states: of the candidates.
        """
        new = normalize(states.float(), dim=1).view(len(self._read), self._num, -1)
        like = new @ self._read[:, : self._length].mT  # N K L
        like = like.masked_fill(~self._shown[:, None, : self._length], -torch.inf).amax(2)
        merit = (1 - self._penalty) * self._probability - self._penalty * like
        best = merit.where(self._probability > 0, -torch.inf).argmax(1)  # none that is not text
        rows = self._first + best
        self._read[:, self._length] = new.flatten(0, 1)[rows]
        self._length += 1
        return rows.repeat_interleave(self._num)
