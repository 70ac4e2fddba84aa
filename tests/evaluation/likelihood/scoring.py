"""How the tests of likelihoods ask for them, and read what was kept."""

from pathlib import Path

from lmcompare.evaluation.likelihood.measure import measure_likelihood
from lmcompare.evaluation.likelihood.options import LikelihoodOptions
from lmcompare.evaluation.likelihood.record import LikelihoodItem, LikelihoodRecord
from lmcompare.objectives import OBJECTIVES
from lmcompare.runs.run import Run

ALL = LikelihoodOptions(max_bytes=None, device="cpu")


def text_scorings(objective: str) -> list[str]:
    scorings = OBJECTIVES[objective]().scorings
    return [name for name, how in scorings.items() if "text" in how.answers]


def score(run: Run, cache: Path, **asked: object) -> list[LikelihoodRecord]:
    settings = {"max_bytes": None, "device": "cpu"} | asked
    return measure_likelihood(run, LikelihoodOptions(**settings), cache=cache)  # type: ignore[arg-type]


def items(run: Run) -> list[list[LikelihoodItem]]:
    return [
        [LikelihoodItem.model_validate_json(line) for line in file.read_text().splitlines()]
        for file in sorted(run.path.glob("eval/*.jsonl"))
    ]
