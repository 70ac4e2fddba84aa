"""The folder of an exported run: written whole or not at all, with no other file lost for it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lmcompare import files
from lmcompare.errors import Unsupported, UserError
from lmcompare.evaluation.infilling.record import InfillingRecord
from lmcompare.evaluation.likelihood.record import LikelihoodRecord
from lmcompare.huggingface import mapping
from lmcompare.huggingface.model_card import model_card
from lmcompare.runs.checkpoints import MODEL, write_tensors
from lmcompare.runs.finding import load_checkpoint
from lmcompare.runs.run import Run

CARD = "README.md"
GENERATION = "generation_config.json"
WRITTEN = {
    *(MODEL, "config.json", GENERATION),
    *("tokenizer.json", "tokenizer_config.json", CARD),
}


def export_hf(
    run: Run,
    folder: Path,
    *,
    force: bool = False,
    warn: Callable[[str], None] = lambda text: None,
) -> mapping.HfModel:
    """Write a run's last checkpoint as a model of Hugging Face transformers.

    Args:
        run: with at least one checkpoint; its averaged weights are taken where it keeps them.
        folder: where to; new or empty.
        force: replace an export that is there.
        warn: told of a damaged checkpoint that was passed over, and of a run that is not finished.

    Returns:
        The class of transformers that loads it.

    Raises:
        UserError: no run, no checkpoint, a network of which transformers has no class, or a folder
            that is not free or not writable; nothing is left behind.
    """
    record = run.record()
    objective, length = record.config.objective, record.config.batch.length
    if objective.hf_class is None:
        raise Unsupported(
            f"a model trained with {objective.name} cannot be exported to Hugging Face: "
            f"{objective.why_no_hf_class}"
        )
    folder = folder.resolve()
    _require_free(folder, force=force)
    hf_model = mapping.HF_MODELS[objective.hf_class]
    tokenizer = run.tokenizer()
    checkpoint = load_checkpoint(run, warn=warn)
    done = run.done()
    if done is None:
        warn(
            f"the run {run.path} is not finished: this is its model after "
            f"{checkpoint.record.spent.steps:,} steps"
        )
    card = model_card(
        record,
        checkpoint=checkpoint.record,
        likelihoods=run.results.read(LikelihoodRecord, warn),
        infillings=run.results.read(InfillingRecord, warn),
        hf_model=hf_model,
        tokenizer=tokenizer,
        name=folder.name,
    )
    with files.new_folder(folder, replace=force) as new:
        # without this word, transformers does not take the file for one of torch
        weights = mapping.hf_weights(checkpoint.weights())
        write_tensors(new / MODEL, weights, {"format": "pt"})
        shape = mapping.hf_config(record.config.model, hf_model, tokenizer.vocab, length=length)
        trained = {"objective": objective.model_dump(mode="json")}
        _write_json(new / "config.json", {**shape, mapping.OURS: trained})
        if hf_model.generates:
            _write_json(new / GENERATION, mapping.generation_config(hf_model, tokenizer.vocab))
        files.write_text(new / "tokenizer.json", mapping.hf_tokenizer(tokenizer))
        described = mapping.tokenizer_config(tokenizer, hf_model, length=length)
        _write_json(new / "tokenizer_config.json", described)
        files.write_text(new / CARD, card)
    return hf_model


def _write_json(path: Path, content: dict[str, Any]) -> None:
    files.write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def _require_free(folder: Path, *, force: bool) -> None:
    """Make sure that nothing but an export, which `force` allows to replace, is lost at `folder`.

    Raises:
        UserError: there is something.
    """
    if not folder.exists():
        return
    if not folder.is_dir():
        raise UserError(f"{folder} is a file: name a folder to export to")
    if folder == Path.cwd():  # a shell in it would continue to see the old one
        raise UserError(f"an export replaces {folder}, and you are in it: name a new one")
    with files.explained(folder):
        present = sorted(item.name for item in folder.iterdir())
    others = [name for name in present if name not in WRITTEN]
    if others:
        raise UserError(
            f"the folder {folder} holds files that are not of an export, {others[0]} for one: "
            "name another folder"
        )
    if present and not force:
        raise UserError(
            f"the folder {folder} holds an export already: name another folder, or replace it "
            "with `force=True`"
        )
