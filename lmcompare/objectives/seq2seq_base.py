"""What objectives share that write what is missing of a text, or the text, from what is left."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

from jaxtyping import Bool, Float, Int
from pydantic import Field
from torch import Tensor

from lmcompare.objectives.base import Objective
from lmcompare.objectives.corruption.packing import in_one_row
from lmcompare.objectives.decoding.autoregressive import anywhere, decode
from lmcompare.objectives.decoding.fill_request import DecodingMethod, FillRequest, FillResult
from lmcompare.objectives.decoding.template import DecodeTemplate
from lmcompare.objectives.network import Network, Writer
from lmcompare.objectives.scoring.spans import score_spans, spans
from lmcompare.objectives.scoring_types import Query, Scoring
from lmcompare.view import Text, View
from lmcompare.vocab import Vocab


class FromTheRest(Objective):
    """What is missing is an output, and all else the source; so it is scored and written."""

    @property
    def scorings(self) -> Mapping[str, Scoring]:
        return spans(self.hides, given_length=self.given_length, with_ends=self.with_ends)

    @property
    @abstractmethod
    def hides(self) -> float:
        """Return the greatest share of a text that it takes out at once, in the mean."""

    @property
    def decoding_methods(self) -> Mapping[str, DecodingMethod]:
        return {"left-to-right": anywhere(self.write)}

    def given_length(self, net: Network, query: Query, vocab: Vocab) -> Float[Tensor, "B T"]:
        """Score hidden tokens, the length of each hole being told."""
        view, index = self.laid_out(query.text, query.score_mask, vocab)
        return score_spans(net, view, index, query.text, vocab)

    def with_ends(self, net: Network, query: Query, vocab: Vocab) -> Float[Tensor, "B T"]:
        """Score hidden tokens and where each hole ends.

        Raises:
            Unsupported: it does not say where these end.
        """
        view, index = self.laid_out(query.text, query.score_mask, vocab)
        return score_spans(net, view, index, query.text, vocab, ends=self.ends(vocab))

    def write(self, net: Writer, request: FillRequest, vocab: Vocab) -> FillResult:
        """Fill the holes of a request, one after another in the order of the text."""
        view, index = self.laid_out(request.text, request.holes, vocab)
        template = DecodeTemplate.of(view, index, request, ends=self.ends(vocab))
        return decode(net, template, request, vocab)

    def ends(self, vocab: Vocab) -> tuple[int, ...]:
        """Return the ids that end a hole."""
        return (vocab.eos,)

    @abstractmethod
    def laid_out(
        self, text: Text, hidden: Bool[Tensor, "B T"], vocab: Vocab
    ) -> tuple[View, Int[Tensor, "B S"]]:
        """Return the view in which hidden tokens are written, and which one each position predicts.

        The latter is its index in the text, or NO_INDEX.

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
        """Return the text as the source, without an output; an encoder reads it alone."""
        return View.bidirectional(text.tokens, visible=text.visible, document=text.document)

    def join(self, source: View, output: View) -> View:
        """Put both in one view, as the architecture has it."""
        return replace(output, source=source) if self.encodes else in_one_row(source, output)
