"""The card of an exported model says what is known of it."""

import json
import re
from pathlib import Path

import pytest

from lmcompare.evaluation.infilling.measure import measure_infilling
from lmcompare.evaluation.infilling.options import InfillingOptions
from lmcompare.evaluation.likelihood.measure import measure_likelihood
from lmcompare.evaluation.likelihood.options import LikelihoodOptions
from lmcompare.huggingface import HF_MODELS, export_hf
from lmcompare.runs.run import Run
from tests.huggingface.exports import EXPORTABLE, kind_of
from tests.tiny import Trainer, tiny


@pytest.mark.parametrize("name", EXPORTABLE)
def test_the_card(runs: dict[str, Run], exported: dict[str, Path], name: str) -> None:
    card = (exported[name] / "README.md").read_text(encoding="utf-8")
    record, hf_model = runs[name].record(), HF_MODELS[kind_of(name)]
    from huggingface_hub import ModelCard

    data = ModelCard(card).data.to_dict()
    assert data == {
        "library_name": "transformers",
        "pipeline_tag": hf_model.pipeline,
        "tags": ["lmcompare", name],
    }, "and no licence"
    sheet = record.sheet
    for value in (sheet.text, sheet.order, sheet.tokenizer):
        assert f": `{value}`" in card
    for parameter, value in sheet.weights.items():
        assert f"\n{value} {parameter}\n" in card
    (configuration,) = re.findall(r"```json\n(.*?)```", card, re.DOTALL)
    assert json.loads(configuration) == json.loads(record.config.model_dump_json())
    for setting in type(record.config.objective).model_fields:
        assert setting.replace("_", "\\_") in card
    assert f"\n- objective: {name}" in card
    assert "\n- budget: 8 steps, spent\n" in card
    assert "\n- spent: 8 steps, 1,024 tokens, " in card
    assert f"torch {record.versions['torch']}" in card
    validation = runs[name].last_validation()
    assert f"{validation:.4f} nats a target" in card
    assert f'{hf_model.auto_class}.from_pretrained("{name}")' in card
    assert "No likelihood was measured" in card


def test_the_card_holds_likelihoods_of_the_same_state(
    corpus: Path, train: Trainer, cache: Path, tmp_path: Path
) -> None:
    config = tiny(corpus, "mlm")
    run = train(config, stop_at=3)
    asked = LikelihoodOptions(max_bytes=50, device="cpu")
    (early, _) = measure_likelihood(run, asked, cache=cache)
    train(config)
    (late, word) = measure_likelihood(run, asked, cache=cache)
    export_hf(run, tmp_path / "out")
    card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    for record in (late, word):
        assert f"| {record.scoring} " in card
        assert f"{record.bits_per_byte:.4f}" in card
    assert f"{early.bits_per_byte:.4f}" not in card
    assert card.count("| pseudo ") == 2
    assert "Unlike kinds do not compare" in card


def test_the_card_holds_answers_about_hidden_tokens(
    corpus: Path, train: Trainer, cache: Path, tmp_path: Path
) -> None:
    run = train(tiny(corpus, "mlm"))
    asked = measure_infilling(run, InfillingOptions(num_texts=3, device="cpu"), cache=cache)
    answered = [record for record in asked if record.reason is None]
    silent = [record for record in asked if record.reason is not None]
    assert answered
    assert silent
    export_hf(run, tmp_path / "out")
    card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    for record in answered:
        cells = [record.form, record.protocol, record.hidden, f"{record.bits_per_byte:.4f}"]
        lines = [[cell.strip() for cell in line.split("|")] for line in card.splitlines()]
        assert len([line for line in lines if all(cell in line for cell in cells)]) == 1
    for record in silent:
        assert f"— {record.hidden}, {record.form}, {record.protocol}: {record.reason}" in card
