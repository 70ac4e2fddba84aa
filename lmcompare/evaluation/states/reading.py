"""Tell how a model reads clean text: as its objective does, and a mixture as its parts do."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lmcompare.data import Encoded
from lmcompare.errors import Unsupported
from lmcompare.evaluation.states.choices import Stack
from lmcompare.evaluation.windows import Window, stack
from lmcompare.objectives import Objective
from lmcompare.runs.loaded_model import LoadedModel
from lmcompare.view import Text, View
from lmcompare.vocab import Vocab


@dataclass(frozen=True, kw_only=True)
class Reading:
    """One way in which a model reads clean text.

    Attributes:
        name: which of two stacks, or which part of a mixture; empty where there is one only.
        view: of a text.
    """

    name: str
    view: Callable[[Text], View]


def ways_to_read(model: LoadedModel, stack_: Stack) -> list[Reading]:
    """Return how a model reads clean text: as its objective does, and a mixture as its parts do.

    Of an encoder-decoder it is the encoder's states that are read, or the decoder's, to which the
    encoder has given the whole text.

    Raises:
        Unsupported: the decoder is wanted of a model that has one stack only.
    """
    objective, vocab = model.objective, model.tokenizer.vocab
    if objective.encodes:

        def encoder(text: Text) -> View:
            view = objective.read(text, vocab)
            return view if view.source is None else view.source

        def decoder(text: Text) -> View:
            view = View.causal(text.tokens, visible=text.visible, document=text.document)
            return replace(view, source=encoder(text))

        return [Reading(name=stack_, view=encoder if stack_ == "encoder" else decoder)]
    if stack_ == "decoder":
        raise Unsupported(f"{objective.name} has one stack only: leave `stack=decoder` out")
    if objective.mixture:
        parts = objective.mixture.items()
        return _unlike([_as_part(name, part, vocab) for name, part in parts], model)
    return [Reading(name="", view=lambda text: objective.read(text, vocab))]


def _as_part(name: str, part: Objective, vocab: Vocab) -> Reading:
    return Reading(name=f"as {name}", view=lambda text: part.read(text, vocab))


def _unlike(readings: Sequence[Reading], model: LoadedModel) -> list[Reading]:
    """Leave out parts that read a text just as one before them does."""
    text = example(model)
    found: dict[tuple[object, ...], Reading] = {}
    for each in readings:
        view = each.view(text)
        found.setdefault((*view.tokens[0].tolist(), *view.order[0].tolist()), each)
    unlike = [*found.values()]
    return unlike if len(unlike) > 1 else [replace(unlike[0], name="")]


def example(model: LoadedModel) -> Text:
    """Return five tokens, by which it is seen how a model reads."""
    ids = model.tokenizer.vocab.regular[:5].numpy().astype(np.int32)
    one = np.ones(5, dtype=np.int32)
    document = Encoded(ids=ids, bytes=one, starts_word=one.astype(bool))
    window = Window(document=0, start=0, stop=5, first=0, last=5)
    return stack([window], [document], model.tokenizer.vocab)[0]
