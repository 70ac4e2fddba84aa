"""What objectives share that write what is missing of a text, or the text, from what is left."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

from jaxtyping import Bool, Float, Int
from pydantic import Field
from torch import Tensor

from lmcompare.objectives.base import Objective, Query, Scoring
from lmcompare.objectives.corruption.packing import in_one_row
from lmcompare.objectives.decoding.autoregressive import ANYWHERE, follow
from lmcompare.objectives.decoding.fill_request import DecodingMethod, FillRequest, FillResult
from lmcompare.objectives.decoding.template import Script
from lmcompare.objectives.network import Network, Writer
from lmcompare.objectives.scoring import score_spans, spans
from lmcompare.view import Text, View
from lmcompare.vocab import Vocab


class FromTheRest(Objective):
    """Asked tokens are an output, and all others the source; so they are scored and written."""

    @property
    def scorings(self) -> Mapping[str, Scoring]:
        return spans(self.hides)

    @property
    @abstractmethod
    def hides(self) -> float:
        """The greatest share of a text that it takes out at once, in the mean."""

    @property
    def fillings(self) -> Mapping[str, DecodingMethod]:
        return ANYWHERE

    def answer(self, net: Network, query: Query, vocab: Vocab) -> Float[Tensor, "B T"]:
        view, place = self.laid_out(query.text, query.asked, vocab)
        ends = self.ends(vocab) if query.scoring == "with-ends" else ()
        return score_spans(net, view, place, query.text, vocab, ends=ends)

    def write(self, net: Writer, blanks: FillRequest, vocab: Vocab) -> FillResult:
        view, place = self.laid_out(blanks.text, blanks.holes, vocab)
        return follow(net, Script.of(view, place, blanks, ends=self.ends(vocab)), blanks, vocab)

    def ends(self, vocab: Vocab) -> tuple[int, ...]:
        """Ids that end a hole."""
        return (vocab.eos,)

    @abstractmethod
    def laid_out(
        self, text: Text, asked: Bool[Tensor, "B T"], vocab: Vocab
    ) -> tuple[View, Int[Tensor, "B S"]]:
        """The view in which asked tokens are written, and which token each position predicts.

        Raises:
            Unsupported: it cannot write these.
        """


class SequenceToSequence(FromTheRest):
    """A source, and an output written left to right."""

    architecture: Literal["encoder-decoder", "decoder"] = Field(
        "encoder-decoder",
        description="an encoder for the source, or one stack with the source as a prefix",
    )

    @property
    def encodes(self) -> bool:
        return self.architecture == "encoder-decoder"

    def read(self, text: Text, vocab: Vocab) -> View:
        """The text as the source, without an output; an encoder reads it alone."""
        return View.bidirectional(text.tokens, visible=text.visible, document=text.document)

    def join(self, source: View, output: View) -> View:
        """Both in one view, as the architecture has it."""
        return replace(output, source=source) if self.encodes else in_one_row(source, output)
