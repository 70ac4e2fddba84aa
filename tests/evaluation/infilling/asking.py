"""How the tests of infilling ask, and read what was answered."""

from pathlib import Path

import pytest

from lmcompare.config.run import parse_data
from lmcompare.evaluation.infilling.hidden_texts import HIDDEN, HiddenTexts
from lmcompare.evaluation.infilling.measure import measure_infilling
from lmcompare.evaluation.infilling.options import InfillingOptions
from lmcompare.evaluation.infilling.record import InfillingItem, InfillingRecord
from lmcompare.runs.loaded_model import LoadedModel, load_model
from lmcompare.runs.run import Run

SHARES = {"one": 0.0, "15%": 0.15, "50%": 0.5, "second half": 0.5}
HALF_BY_LEFT = {"clm": "causal", "prefix": "prefix", "hybrid": "causal", "fim": "causal"}


def ask_all(run: Run, cache: Path, *hidden: str, **asked: object) -> list[InfillingRecord]:
    """In both forms, and by every protocol that the objective has."""
    settings = {"num_texts": 5, "device": "cpu"} | asked
    questions = hidden or HIDDEN
    return measure_infilling(run, InfillingOptions(**settings), cache=cache, hidden=questions)  # type: ignore[arg-type]


def ask(run: Run, cache: Path, *hidden: str, **asked: object) -> list[InfillingRecord]:
    """Told the lengths, one token after another: what all can answer."""
    records = ask_all(run, cache, *hidden, **({"protocols": ("in-order",)} | asked))
    return [record for record in records if record.form == "told"]


def items(run: Run, record: InfillingRecord) -> list[InfillingItem]:
    (file,) = [
        path.with_suffix(".jsonl")
        for path in run.path.glob("eval/infilling-*.json")
        if InfillingRecord.read(path) == record
    ]
    return [InfillingItem.model_validate_json(line) for line in file.read_text().splitlines()]


def drawn(run: Run, cache: Path, **asked: object) -> tuple[LoadedModel, HiddenTexts]:
    settings = InfillingOptions(**({"num_texts": 5, "device": "cpu"} | asked))  # type: ignore[arg-type]
    model = load_model(run, device="cpu", warn=pytest.fail)
    return model, HiddenTexts.drawn(model, settings, cache=cache, warn=pytest.fail)


def other(tmp_path: Path, *documents: str) -> dict[str, object]:
    """Another text to ask about."""
    path = tmp_path / "other.txt"
    path.write_text("\n\n".join(documents), encoding="utf-8")
    return {"data": parse_data({"source": str(path)})}
