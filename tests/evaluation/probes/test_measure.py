"""A model that reads too little of a treebank is told of, and what it can be asked is asked."""

from dataclasses import replace
from pathlib import Path

from lmcompare.data import Tokenizer
from lmcompare.errors import UserError
from lmcompare.evaluation.probes.measure import Questions, probe_model
from lmcompare.evaluation.probes.options import ProbeOptions
from lmcompare.evaluation.probes.tasks import choose_tasks
from lmcompare.objectives import parse_objective
from tests.evaluation.probes.banks import DRAWN, bank
from tests.untrained import subject_of


class NoText:
    """Where a model comes from whose training text is gone."""

    def training_text(self, **_: object) -> None:
        raise UserError("it is gone")


def test_what_no_row_holds_is_left_out_and_the_rest_is_asked(
    tokenizer: Tokenizer, tmp_path: Path
) -> None:
    treebank = bank([DRAWN, DRAWN, DRAWN], [DRAWN, DRAWN])
    names = ["upos", "arc-label", "Tense", "tree-distance"]
    drawn = replace(DRAWN, words=tuple(replace(w, features={"Tense": "Imp"}) for w in DRAWN.words))
    treebank = replace(treebank, parts={**treebank.parts, "train": [DRAWN, drawn, DRAWN]})
    questions = Questions.of(treebank, choose_tasks(names, treebank)[0])
    model = subject_of(parse_objective("clm"), tokenizer)
    first = len(tokenizer.encode(["The old cat"])[0])
    model = replace(model, length=1 + first)  # "saw", of which alone the tense is asked, is cut off
    model = replace(
        model, origin=NoText(), results=replace(model.results, folder=tmp_path / "eval")
    )
    said: list[str] = []
    options = ProbeOptions(untrained=False, layers=(0,))
    records = probe_model(model, questions, options, cache=tmp_path, warn=said.append)
    assert [each.task for each in records] == ["upos", "arc-label"]
    assert records[0].num_examples == 2 * 3
    told = [each for each in said if "left out" in each]
    assert [each.split()[0] for each in told] == ["Tense", "tree-distance"]
    assert f"rows of {1 + first} tokens" in told[0]
    assert not [*(tmp_path / "states").iterdir()]
