"""The folder of an exported run: written whole or not at all, with no other file lost for it."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from lmcompare import files
from lmcompare.data import Tokenizer
from lmcompare.errors import Unsupported, UserError
from lmcompare.evaluation.infilling.record import InfillingRecord
from lmcompare.evaluation.likelihood.record import LikelihoodRecord
from lmcompare.huggingface import mapping
from lmcompare.huggingface.model_card import model_card
from lmcompare.runs.checkpoints import MODEL, Checkpoint, write_tensors
from lmcompare.runs.finding import every_checkpoint, load_checkpoint
from lmcompare.runs.records import RunRecord
from lmcompare.runs.run import Run

CARD = "README.md"
GENERATION = "generation_config.json"
CHECKPOINTS = "checkpoints.csv"
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
    """Write a run's last checkpoint, or the one that is meant, as a model of transformers.

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
    model = _Exported.of(run)
    folder = folder.resolve()
    _require_free(folder, force=force)
    checkpoint = load_checkpoint(run, warn=warn)
    if run.at is None and not model.finished:
        warn(
            f"the run {run.path} is not finished: this is its model after "
            f"{checkpoint.record.spent.steps:,} steps"
        )
    card = model.card(checkpoint, name=folder.name, warn=warn)
    with files.new_folder(folder, replace=force) as new:
        model.write(new, checkpoint, card)
    return model.hf_model


def export_every_checkpoint(
    run: Run,
    folder: Path,
    *,
    force: bool = False,
    warn: Callable[[str], None] = lambda text: None,
) -> mapping.HfModel:
    """Write all checkpoints of a run that were kept, each into a folder `step-STEP` of its own.

    Beside them lies `checkpoints.csv`: what each had cost and learned.

    Args:
        run: as `export_hf`.
        folder: of the folders; new or empty.
        force: replace exports that are there.
        warn: told of damaged checkpoints, which are left out, and where only the last were kept.

    Returns:
        The class of transformers that loads each.

    Raises:
        UserError: as `export_hf`.
    """
    model = _Exported.of(run)
    folder = folder.resolve()
    _require_free(folder, force=force)
    steps, rows = [], []
    with files.new_folder(folder, replace=force) as new:
        for checkpoint in every_checkpoint(run, warn=warn):
            name = checkpoint.path.name
            card = model.card(checkpoint, name=name, warn=warn)
            (new / name).mkdir()
            model.write(new / name, checkpoint, card)
            record = checkpoint.record
            steps.append(record.spent.steps)
            rows.append(
                {"folder": name, **record.spent.model_dump(), "validation": record.validation}
            )
        files.write_text(new / CHECKPOINTS, pd.DataFrame(rows).to_csv(index=False))
    _tell_if_some_were_dropped(run, steps, warn)
    return model.hf_model


def _tell_if_some_were_dropped(run: Run, steps: Sequence[int], warn: Callable[[str], None]) -> None:
    runtime = run.record().config.runtime
    if len(steps) >= runtime.keep and steps[0] > runtime.save_every:
        warn(
            f"of the run {run.path} the last {len(steps)} checkpoints are there, from step "
            f"{steps[0]:,}: it kept {runtime.keep} of those that it saved every "
            f"{runtime.save_every:,} steps; a run keeps all where it is trained with "
            "runtime.keep=1000, and runtime.save_every says how many there are"
        )


@dataclass(frozen=True, kw_only=True)
class _Exported:
    """A run as transformers has it, whichever of its checkpoints is meant."""

    run: Run
    record: RunRecord
    finished: bool
    hf_model: mapping.HfModel
    tokenizer: Tokenizer

    @staticmethod
    def of(run: Run) -> "_Exported":
        """Return it.

        Raises:
            UserError: there is no run, or transformers has no class for its network.
        """
        record = run.record()
        objective = record.config.objective
        if objective.hf_class is None:
            raise Unsupported(
                f"a model trained with {objective.name} cannot be exported to Hugging Face: "
                f"{objective.why_no_hf_class}"
            )
        return _Exported(
            run=run,
            record=record,
            finished=run.done() is not None,
            hf_model=mapping.HF_MODELS[objective.hf_class],
            tokenizer=run.tokenizer(),
        )

    def card(self, checkpoint: Checkpoint, *, name: str, warn: Callable[[str], None]) -> str:
        """Return the card of one of its checkpoints.

        Args:
            checkpoint: the one.
            name: of the folder.
            warn: told of results that cannot be read.
        """
        # what was measured of it as a checkpoint, and of a last one as the model of its run
        places = {self.run, replace(self.run, at=checkpoint.record.spent.steps)}
        results = [each.results for each in sorted(places, key=lambda each: each.at or 0)]
        return model_card(
            self.record,
            checkpoint=checkpoint.record,
            likelihoods=[r for each in results for r in each.read(LikelihoodRecord, warn)],
            infillings=[r for each in results for r in each.read(InfillingRecord, warn)],
            hf_model=self.hf_model,
            tokenizer=self.tokenizer,
            name=name,
            finished=self.finished,
        )

    def write(self, folder: Path, checkpoint: Checkpoint, card: str) -> None:
        """Write the files of one of its checkpoints.

        Args:
            folder: empty.
            checkpoint: the one.
            card: its card.

        Raises:
            OSError: the disk is full.
        """
        hf_model, tokenizer, config = self.hf_model, self.tokenizer, self.record.config
        length = config.batch.length
        # without this word, transformers does not take the file for one of torch
        write_tensors(folder / MODEL, mapping.hf_weights(checkpoint.weights()), {"format": "pt"})
        shape = mapping.hf_config(config.model, hf_model, tokenizer.vocab, length=length)
        trained = {"objective": config.objective.model_dump(mode="json")}
        _write_json(folder / "config.json", {**shape, mapping.OURS: trained})
        if hf_model.generates:
            _write_json(folder / GENERATION, mapping.generation_config(hf_model, tokenizer.vocab))
        files.write_text(folder / "tokenizer.json", mapping.hf_tokenizer(tokenizer))
        described = mapping.tokenizer_config(tokenizer, hf_model, length=length)
        _write_json(folder / "tokenizer_config.json", described)
        files.write_text(folder / CARD, card)


def _write_json(path: Path, content: dict[str, Any]) -> None:
    files.write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def _is_ours(path: Path, folder: Path) -> bool:
    """Tell whether a path may be one that an export to a folder wrote."""
    *within, name = path.relative_to(folder).parts
    if not within:
        return name in {*WRITTEN, CHECKPOINTS} or (path.is_dir() and name.startswith("step-"))
    return len(within) == 1 and within[0].startswith("step-") and name in WRITTEN


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
        others = [
            str(file.relative_to(folder))
            for file in sorted(folder.rglob("*"))
            if not _is_ours(file, folder)
        ]
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
