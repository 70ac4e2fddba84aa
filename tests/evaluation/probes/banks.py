"""Small treebanks that are drawn by hand."""

from collections.abc import Mapping, Sequence

from lmcompare.evaluation.probes.readings import Readings
from lmcompare.evaluation.probes.treebank import Treebank
from lmcompare.evaluation.readers.conllu import Sentence, Word, spaced


def sentence(*words: str, document: int = 0) -> Sentence:
    """A sentence of words written as "form head relation UPOS Name=Value", from the left as needed.

    A head that is _ is not given.
    """
    cells = [each.split() for each in words]
    text, spans = spaced([(own[0], True) for own in cells])
    made = []
    for own, span in zip(cells, spans, strict=True):
        form, head, relation, upos, *features = [*own, *["_"] * (4 - len(own))]
        made.append(
            Word(
                form=form,
                span=span,
                head=None if head == "_" else int(head),
                relation=None if relation == "_" else relation,
                upos=None if upos == "_" else upos,
                features=dict(each.split("=") for each in features),
            )
        )
    return Sentence(text=text, words=tuple(made), document=document)


def bank(
    train: Sequence[Sentence],
    test: Sequence[Sentence],
    validation: Sequence[Sentence] | None = None,
    *,
    name: str = "bank",
) -> Treebank:
    parts: Mapping[str, Sequence[Sentence]] = {
        "train": train,
        "validation": test if validation is None else validation,
        "test": test,
    }
    return Treebank(name=name, parts=parts, split="by hand", counts={})


def read(treebank: Treebank, *, swaps: bool = False) -> Readings:
    return Readings.of(treebank, swaps=swaps)


# "The old cat saw a dog in the big tree yesterday ." with its tree
DRAWN = sentence(
    "The 3 det DET",
    "old 3 amod ADJ",
    "cat 4 nsubj NOUN Number=Sing",
    "saw 0 root VERB Tense=Past Number=Sing",
    "a 6 det DET",
    "dog 4 obj NOUN Number=Sing",
    "in 10 case ADP",
    "the 10 det DET",
    "big 10 amod ADJ",
    "tree 4 obl NOUN Number=Sing",
    "yesterday 4 advmod ADV",
    ". 4 punct PUNCT",
)
