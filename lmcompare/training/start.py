"""Whose weights a run starts from: found, checked against the run, and ready to be loaded."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save
from torch import Tensor

from lmcompare import files, hub
from lmcompare.config.phases import in_words
from lmcompare.config.run import RunConfig
from lmcompare.data import Prepared, Tokenizer, TokenizerConfig
from lmcompare.errors import UserError
from lmcompare.huggingface import backbone_from_hf
from lmcompare.model import Backbone, ModelConfig
from lmcompare.runs.checkpoints import AVERAGE, MODEL, Checkpoint, write_tensors
from lmcompare.runs.finding import find_runs, load_checkpoint
from lmcompare.runs.outside import StartRecord
from lmcompare.runs.places import find_place
from lmcompare.runs.records import RunRecord
from lmcompare.runs.run import Run
from lmcompare.runs.starting import EMBEDDING, fill


@dataclass(frozen=True, kw_only=True)
class GivenWeights:
    """A model whose weights fit a run.

    Attributes:
        record: what is written of it.
        load: reads its weights, by parameter name.
    """

    record: StartRecord
    load: Callable[[], Mapping[str, Tensor]]

    @property
    def hash(self) -> str:
        """Return what its weights are known by."""
        return self.record.weights

    def fill(self, net: Backbone) -> None:
        """Give a new network these weights, as `runs.starting.fill` says."""
        fill(net, self.load())

    def keep(self, run: Run) -> None:
        """Write a copy of the weights into the folder of the run that starts from them."""
        write_tensors(run.start_file, self.load())


def named_start(config: RunConfig, text: Prepared, *, out: Path) -> GivenWeights | None:
    """Return the start of a run that names a model of its own; None where it names none.

    Args:
        config: of the run.
        text: that it is trained on.
        out: the folder of all studies, where a name is looked for that is no path.

    Raises:
        UserError: there is no such model, it is not finished, damaged, or does not fit the run.
    """
    if config.init is None:
        return None
    if hub.is_hf(config.init):
        return _start_elsewhere(config.init, config, text)
    return start_of_run(_named_run(config.init, out), config, text)


def suited_to_start(tables: Mapping[str, Any], *, out: Path) -> dict[str, Any]:
    """Return the tables of a configuration with the shape and the tokenizer of what it starts from.

    Only what was not given is taken from there.

    Args:
        tables: of the configuration.
        out: the folder of all studies, where a name is looked for that is no path.

    Raises:
        UserError: there is no such model, or it is damaged.
    """
    init = tables.get("init")
    if init is None or {"model", "tokenizer"} <= tables.keys():
        return dict(tables)
    if hub.is_hf(init):
        found = {"tokenizer": {"file": init}}
        if "model" not in tables:
            found["model"] = backbone_from_hf(init).config.model_dump(exclude_none=True)
    else:
        run = _named_run(init, out)
        found = {"tokenizer": {"file": str(run.tokenizer_file)}}
        found["model"] = run.record().given.get("model", {})
    return {**found, **tables}


def _named_run(init: str, out: Path) -> Run:
    found = find_runs([find_place(Path(init), out=out)])
    if len(found) > 1:
        raise UserError(
            f"'{init}' holds {len(found)} runs, and training starts from one: name it, such as "
            f"{found[0].path}"
        )
    return found[0]


def _start_elsewhere(init: str, config: RunConfig, text: Prepared) -> GivenWeights:
    """Return a model of Hugging Face as a start.

    Of its embedding those rows count that its tokenizer has ids for; others were never trained.
    """
    found = backbone_from_hf(init)
    _require_shape(init, found.config, config.model)
    theirs = Tokenizer.of_file(TokenizerConfig(file=init))
    added = _added_tokens(init, theirs, text.tokenizer, file=init)
    rows = found.weights[EMBEDDING][: theirs.vocab.size]
    weights = {name: each.contiguous() for name, each in found.weights.items()}
    weights[EMBEDDING] = rows.contiguous()
    return GivenWeights(
        record=StartRecord(
            source=init,
            trained_by=f"{found.facts.name}, a {found.facts.kind} model",
            weights=files.checksum_of(save(weights)),
            spent=None,
            added=added,
        ),
        load=lambda: weights,
    )


def start_of_run(run: Run, config: RunConfig, text: Prepared) -> GivenWeights:
    """Return the last model of a run, or that of the checkpoint that is meant, as a start.

    Args:
        run: whose model it is.
        config: of the run that starts from it.
        text: that this is trained on.

    Raises:
        UserError: it is not finished, damaged, or does not fit.
    """
    record = run.record()
    if run.at is None and run.done() is None:
        raise UserError(
            f"training starts from {run.path}, which is not finished: let `lmcompare train` finish "
            "it first, or name one of its checkpoints"
        )
    checkpoint = load_checkpoint(run, warn=lambda _: None)
    _require_shape(str(run.path), record.config.model, config.model)
    added = _added_tokens(
        str(run.path), run.tokenizer(), text.tokenizer, file=str(run.tokenizer_file)
    )
    file = AVERAGE if AVERAGE in checkpoint.record.checksums else MODEL
    spent = checkpoint.record.spent
    return GivenWeights(
        record=StartRecord(
            source=str(run.path if run.at is None else checkpoint.path),
            trained_by=_trained_by(record, checkpoint),
            weights=checkpoint.record.checksums[file],
            spent=spent if record.start is None else record.start.with_more(spent),
            added=added,
        ),
        load=lambda: load_file(checkpoint.path / file),
    )


def _trained_by(record: RunRecord, checkpoint: Checkpoint) -> str:
    """Return the objectives that trained a model, in their order."""
    before = "" if record.start is None else f"{record.start.trained_by}, then "
    phase = checkpoint.record.phase
    if phase is None:
        return before + record.config.objective.name
    done = [*record.config.phases[:phase]]
    progress = record.config.budget.progress(checkpoint.record.spent)
    if progress < done[-1].stop:  # within its last phase
        done[-1] = replace(done[-1], stop=progress)
    return before + in_words(done)


def _require_shape(source: str, given: ModelConfig, wanted: ModelConfig) -> None:
    """Make sure that weights have the shape of a backbone.

    Raises:
        UserError: they have not.
    """
    theirs, ours = (each.model_dump(exclude={"preset", "match"}) for each in (given, wanted))
    differing = [name for name in ours if ours[name] != theirs[name]]
    if "encoder_layers" in differing:  # from which those of the decoder follow
        differing = [name for name in differing if name != "decoder_layers"]
    if differing:
        unlike = ", ".join(
            f"{name} {theirs[name]} there and {ours[name]} here" for name in differing
        )
        raise UserError(
            f"the backbone of {source} is another than that of this run ({unlike}): give both the "
            "same model, or start anew"
        )


def _added_tokens(source: str, theirs: Tokenizer, ours: Tokenizer, *, file: str) -> tuple[str, ...]:
    """Return the tokens that a model lacks.

    Raises:
        UserError: the tokenizers differ in more than special tokens that were added above.
    """
    added = ours.added_to(theirs)
    if added is None:
        raise UserError(
            f"the vocabulary of {source} ({theirs.vocab.size:,} ids) is another than that of this "
            f"run ({ours.vocab.size:,} ids): read the text with its tokenizer, "
            f"tokenizer.file={file}"
        )
    return added
