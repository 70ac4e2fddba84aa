"""Tell which relations of a treebank are asked about, of which sentences: alike for every model."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lmcompare.errors import UserError
from lmcompare.evaluation.attention.options import AttentionOptions
from lmcompare.evaluation.attention.record import DIRECTIONS, key_of
from lmcompare.evaluation.probes.labels import arc_labels
from lmcompare.evaluation.probes.treebank import Treebank, read_treebank
from lmcompare.evaluation.readers.conllu import Sentence


@dataclass(frozen=True, kw_only=True, eq=False)
class Dependencies:
    """The relations of a treebank.

    Attributes:
        treebank: the sentences.
        relations: those that have enough arcs, the most frequent first.
        too_few: the number of arcs of the others.
        min_arcs: how many are enough.
    """

    treebank: Treebank
    relations: Sequence[str]
    too_few: Mapping[str, int]
    min_arcs: int

    @staticmethod
    def of(options: AttentionOptions) -> "Dependencies | None":
        """Read the treebank that is named; None where none is.

        Raises:
            UserError: it cannot be read, or has no dependencies.
        """
        if not options.treebank:
            return None
        treebank = read_treebank(options.treebank, limit=options.num_sentences)
        if not any(arc_labels(each) for each in treebank.sentences):
            raise UserError(
                f"{treebank.name} has no dependencies, the heads and labels of words: name a "
                "treebank in CoNLL-U that has them, or leave `treebank=` out"
            )
        arcs = Counter(
            relation for each in treebank.parts["test"] for *_, relation in arc_labels(each)
        )
        ranked = sorted(arcs, key=lambda each: (-arcs[each], each))
        return Dependencies(
            treebank=treebank,
            relations=[each for each in ranked if arcs[each] >= options.min_arcs],
            too_few={each: arcs[each] for each in ranked if arcs[each] < options.min_arcs},
            min_arcs=options.min_arcs,
        )

    @property
    def keys(self) -> Mapping[str, int]:
        """Return the relations in both directions, by their number."""
        names = (key_of(each, direction) for each in self.relations for direction in DIRECTIONS)
        return {name: number for number, name in enumerate(names)}

    @property
    def choice(self) -> Sequence[Sentence]:
        """Return the sentences by which a head is chosen."""
        return [*self.treebank.parts["train"], *self.treebank.parts["validation"]]

    @property
    def test(self) -> Sequence[Sentence]:
        """Return the sentences by which it is scored."""
        return self.treebank.parts["test"]
