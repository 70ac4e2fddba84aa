"""Which texts are asked about, and which of their tokens are hidden."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from lmcompare import rng
from lmcompare.errors import UserError
from lmcompare.evaluation import heldout_text
from lmcompare.evaluation.infilling.options import InfillingOptions
from lmcompare.evaluation.infilling.record import QUESTIONS, Hidden
from lmcompare.evaluation.windows import Window, stack
from lmcompare.runs.loaded_model import LoadedModel
from lmcompare.view import Text

HIDDEN: tuple[Hidden, ...] = tuple(QUESTIONS)
SHORTEST = 8  # tokens of text in a piece: of fewer, 15% is hardly one


@dataclass(frozen=True, kw_only=True)
class HiddenTexts:
    """Pieces of documents, and what is hidden of them."""

    rows: Text
    bytes: Int[Tensor, "B T"]  # of UTF-8 that each token covers
    hidden: Mapping[Hidden, Bool[Tensor, "B T"]]
    digest: str  # of tokens and hidden places

    @staticmethod
    def drawn(
        model: LoadedModel, options: InfillingOptions, *, cache: Path, warn: Callable[[str], None]
    ) -> "HiddenTexts":
        """Return those to ask about.

        Raises:
            UserError: an unreadable text, or none that is long enough.
        """
        tokenizer = model.tokenizer
        documents = heldout_text.documents(model, options, cache=cache, warn=warn)
        found = heldout_text.pieces(documents, tokenizer, options.length, shortest=SHORTEST)
        pieces = list(islice(found, options.num_texts))
        if not pieces:
            raise UserError(
                f"{options.source} has no document of {SHORTEST} tokens or more to hide some of: "
                "choose another text with `data=` or `split=`"
            )
        whole = [
            Window(document=number, start=0, stop=len(piece), first=0, last=len(piece))
            for number, piece in enumerate(pieces)
        ]
        rows, shown = stack(whole, pieces, tokenizer.vocab)
        covered = torch.zeros_like(rows.tokens)
        covered[shown] = torch.from_numpy(np.concatenate([piece.bytes for piece in pieces])).long()
        is_text = shown & ~tokenizer.vocab.is_special(rows.tokens)
        hidden = {each: _hide(is_text, each) for each in HIDDEN}
        return HiddenTexts(
            rows=rows,
            bytes=covered,
            hidden=hidden,
            digest=heldout_text.digest(
                [rows.tokens.numpy(), *(mask.numpy() for mask in hidden.values())]
            ),
        )


def _hide(is_text: Bool[Tensor, "B T"], hidden: Hidden) -> Bool[Tensor, "B T"]:
    """Choose as many tokens of each row as are to be hidden, of those that are text."""
    mask = torch.zeros_like(is_text)
    for row, candidates in enumerate(is_text):
        places = candidates.nonzero()[:, 0]
        if QUESTIONS[hidden].asks == "continuation":
            chosen = places[(len(places) + 1) // 2 :]
        else:
            draw = torch.rand(len(places), generator=rng.generator("infilling", hidden, row))
            num = max(1, round(QUESTIONS[hidden].share * len(places)))
            chosen = places[draw.argsort(stable=True)[:num]]
        mask[row, chosen] = True
    return mask
