"""The vocabulary as an objective sees it: how many ids there are and which of them are not text.

The names below are the ones our own tokenizers are trained with. A tokenizer loaded from elsewhere
may call them otherwise (`ALIASES`) or lack some: what needs a missing one asks with `require`,
which says so.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from lmcompare.errors import UserError

NUM_SENTINELS = 100  # as T5 (Raffel et al. 2020)
NUM_SPARES = 17  # with the sentinels and the first spellings below they are 128

# role -> the spellings it is recognised by, ours first; a role that is added takes a spare token's
# spelling for its first, which every tokenizer of ours has, so that no text is tokenized anew
ALIASES: Mapping[str, tuple[str, ...]] = {
    "pad": ("[PAD]", "<pad>", "<|pad|>", "<|padding|>", "<|endoftext|>", "</s>"),
    "bos": ("[BOS]", "<s>", "<bos>", "<|bos|>", "<|begin_of_text|>", "[CLS]", "<|endoftext|>"),
    "eos": ("[EOS]", "</s>", "<eos>", "<|eos|>", "<|end_of_text|>", "[SEP]", "<|endoftext|>"),
    "mask": ("[MASK]", "<mask>", "<|mask|>"),
    "unk": ("[UNK]", "<unk>", "<|unk|>"),
    # the three parts of a text with a hole (Bavarian et al. 2022; StarCoder's and Llama's names)
    "fim_prefix": ("[PRE]", "<fim_prefix>", "<|fim_prefix|>", "<PRE>"),
    "fim_suffix": ("[SUF]", "<fim_suffix>", "<|fim_suffix|>", "<SUF>"),
    "fim_middle": ("[MID]", "<fim_middle>", "<|fim_middle|>", "<MID>"),
    # which denoiser a text is for (Tay et al. 2022; the second names are those of their models)
    "mode_r": ("[R]", "[NLU]"),
    "mode_s": ("[S]", "[S2S]"),
    "mode_x": ("[X]", "[NLG]"),
}
REQUIRED = ("pad", "bos", "eos")


def sentinel(number: int) -> str:
    """Return the spelling of the sentinel that stands for hole `number` of a text."""
    return f"<extra_id_{number}>"


def spare(number: int) -> str:
    """Return the spelling of a token that is kept for a role of a later version."""
    return f"<spare_{number}>"


@dataclass(frozen=True)
class Candidates:
    """The ids that a token may be, all others being impossible.

    Attributes:
        words: each for itself.
        ends: what may stand instead of a word and says that no further one comes; which of them it
            is does not matter.
    """

    words: Tensor
    ends: tuple[int, ...] = ()

    def narrow(self, logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits, N V, that allow nothing else, and the targets, N, among these ids.

        The first end stands for all of them.
        """
        barred = torch.ones(logits.shape[1], dtype=torch.bool, device=logits.device)
        barred[self.words.to(logits.device)] = False
        narrowed = logits.masked_fill(barred, -torch.inf)
        if self.ends:
            ends = torch.tensor(self.ends, device=logits.device)
            narrowed[:, ends[0]] = logits[:, ends].logsumexp(1)
            target = target.where(~torch.isin(target, ends), ends[0])
        return narrowed, target


@dataclass(frozen=True)
class Vocab:
    """Ids by role. `size` counts every id the network must have a row for.

    `roles` maps a role of `ALIASES` to its id; `sentinels` are in order of use; `specials` are all
    ids that are not text, and so are never chosen as targets nor put in as random replacements.
    `sentence_ends` are full stops and the like.
    """

    size: int
    roles: Mapping[str, int]
    specials: frozenset[int]
    sentinels: tuple[int, ...] = ()
    sentence_ends: frozenset[int] = frozenset()

    def require(self, role: str) -> int:
        """Return the id of `role`.

        Raises:
            UserError: the tokenizer has no such token.
        """
        if role not in self.roles:
            raise UserError(
                f"the tokenizer has no {role} token: none of {', '.join(ALIASES[role])} is in its "
                "vocabulary; "
                "add one, or let lmcompare add it with tokenizer.add_missing=true"
            )
        return self.roles[role]

    @property
    def pad(self) -> int:
        return self.require("pad")

    @property
    def bos(self) -> int:
        return self.require("bos")

    @property
    def eos(self) -> int:
        return self.require("eos")

    @property
    def mask(self) -> int:
        return self.require("mask")

    @cached_property
    def _special(self) -> Tensor:
        return self._table(self.specials)

    @cached_property
    def _sentence_end(self) -> Tensor:
        return self._table(self.sentence_ends)

    def _table(self, ids: frozenset[int]) -> Tensor:
        table = torch.zeros(self.size, dtype=torch.bool)
        table[list(ids)] = True
        return table

    @cached_property
    def regular(self) -> Tensor:
        """Return the ids that are text, ascending; V' long."""
        return (~self._special).nonzero().squeeze(1)

    def is_special(self, tokens: Tensor) -> Tensor:
        """Return True where a token is not text; shape of `tokens`."""
        return self._special.to(tokens.device)[tokens]

    def ends_sentence(self, tokens: Tensor) -> Tensor:
        """Return True where a sentence ends with this token; shape of `tokens`."""
        return self._sentence_end.to(tokens.device)[tokens]
