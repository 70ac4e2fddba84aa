"""A network whose attention is made up, and sentences that a head can follow."""

import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from lmcompare.data import Tokenizer
from lmcompare.evaluation.readers.conllu import Sentence
from lmcompare.evaluation.states.word_states import pieces_of
from lmcompare.view import View
from tests.evaluation.probes.banks import sentence

Weights = Callable[[View], Tensor]  # of a view, what heads attend to: B H T T


class Attending(nn.Module):
    """Its attention is what it is told, layer by layer; a layer's is forgotten by the next."""

    def __init__(self, layers: Sequence[Weights]) -> None:
        super().__init__()
        self.layers, self.batch_size, self.width = layers, None, 3
        self.device = torch.device("cpu")
        self.num_kept_at_once = 0

    def rows_at_once(self, length: int) -> int:
        return 7

    def attention_maps(
        self, view: View, layers: Any = None, *, source: bool = False
    ) -> Iterator[tuple[int, Tensor]]:
        alive: list[weakref.ref[Tensor]] = []
        for number, weights in enumerate(self.layers, start=1):
            self.num_kept_at_once = max(
                self.num_kept_at_once, sum(each() is not None for each in alive)
            )
            made = weights(view)
            alive.append(weakref.ref(made))
            yield number, made
            del made


def follow(
    tokenizer: Tokenizer, targets: Mapping[str, Sequence[int | None]], sentences: Sequence[Sentence]
) -> Weights:
    """A head in which each word attends to one other, and those without one to the start token.

    Args:
        tokenizer: by which sentences are cut.
        targets: of each sentence by its text, the index of the word that each word attends to.
        sentences: all that there are.
    """
    known = {}
    for each in sentences:
        (document,) = tokenizer.encode([each.text])
        spans = [(1 + start, 1 + stop) for start, stop in pieces_of(each, document)]
        own = torch.zeros(1 + len(document), 1 + len(document))
        own[:, 0] = 1.0
        for (start, stop), target in zip(spans, targets[each.text], strict=True):
            if target is not None:
                low, high = spans[target]
                own[start:stop, 0] = 0.25
                own[start:stop, low:high] = 0.75 / (high - low)
        known[tuple(document.ids.tolist())] = own

    def weights(view: View) -> Tensor:
        num, length = view.tokens.shape
        found = torch.zeros(num, 1, length, length)
        found[..., 0] = 1.0
        for row in range(num):
            size = int(view.visible[row].sum())
            own = known[tuple(view.tokens[row, 1:size].tolist())]
            found[row, 0, :size, :size] = own
        return found

    return weights


def together(*heads: Weights) -> Weights:
    """The heads of a layer."""
    return lambda view: torch.cat([each(view) for each in heads], dim=1)


NOUNS = ("cat", "dog", "tree", "cattree", "café")
VERBS = ("saw", "ran", "ranto")


def made_up(number: int) -> Sentence:
    """Return "the cat saw [the|a old] dog", whose object's determiner is now near and now far."""
    one, two = NOUNS[number % 5], NOUNS[(number // 5) % 5]
    verb = VERBS[(number // 25) % 3]
    head = ["The 2 det DET", f"{one} 3 nsubj NOUN", f"{verb} 0 root VERB"]
    if number % 2:
        return sentence(*head, "a 5 det DET", f"{two} 3 obj NOUN")
    return sentence(*head, "the 6 det DET", "old 6 amod ADJ", f"{two} 3 obj NOUN")


def conllu(one: Sentence) -> str:
    """Return a sentence as it stands in a file."""
    rows = (
        f"{number}\t{word.form}\t_\t{word.upos}\t_\t_\t{word.head}\t{word.relation}\t_\t_"
        for number, word in enumerate(one.words, start=1)
    )
    return "\n".join(rows) + "\n\n"
