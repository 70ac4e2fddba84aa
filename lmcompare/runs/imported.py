"""Models that were trained elsewhere, as runs: a folder each, beside the runs of a study.

`hf:FOLDER-or-NAME[@revision]` stands for `STUDY/hf-NAME-HASH/`, whose `run.json` says what is known
of the model, and whose results are kept as those of any run. Its weights stay where they are. Once
it is there, what was measured of it is compared without the weights, and without transformers.
"""

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from lmcompare import devices, hub
from lmcompare.config.budget import Spent
from lmcompare.config.run import RunConfig, parse_run
from lmcompare.data import DataConfig, Prepared, TokenizerConfig, prepare
from lmcompare.devices import Precision
from lmcompare.errors import UserError
from lmcompare.files import checksum_of, name_of, state_of, write_text
from lmcompare.hub import HfSource
from lmcompare.objectives import Objective
from lmcompare.objectives.read_only import ReadOnly
from lmcompare.paths import cache_folder, user_path
from lmcompare.runs import provenance
from lmcompare.runs.loaded_model import LoadedModel
from lmcompare.runs.origin import trained
from lmcompare.runs.outside import Imported
from lmcompare.runs.records import ELSEWHERE, ControlSheet, DoneRecord, RunRecord
from lmcompare.runs.run import Run
from lmcompare.runs.training_text import text_of

if TYPE_CHECKING:
    from lmcompare.huggingface.facts import HfFacts

UNKNOWN = "not known"
LONGEST = 1024  # tokens of its rows, where it could read longer ones: these cost time and memory
_SHAPE: Mapping[str, str] = {  # in words, and as transformers calls it in every configuration
    "layers": "num_hidden_layers",
    "width": "hidden_size",
    "heads": "num_attention_heads",
    "vocabulary": "vocab_size",
}


def import_model(text: str, study: Path) -> Run:
    """Return the run that stands for a model in a study, whose folder is made if it is not there.

    Args:
        text: `hf:FOLDER-or-NAME[@revision]`.
        study: the folder of the study.

    Raises:
        UserError: there is no such model, or it cannot be read; then nothing is written.
    """
    from lmcompare.huggingface.facts import read_facts

    source = hub.find(text)
    facts = read_facts(source)
    name = name_of(f"hf-{source.short_name}-{_hash(source)[:8]}")
    run = Run(study / name)
    if not run.record_file.exists():
        with run.locked():
            if not run.record_file.exists():
                _write(run, text, facts)
    record = run.record()
    if record.imported is None or record.sheet.tokenizer != facts.tokenizer.hash:
        raise UserError(
            f"{run.path} is of a model with the weights of {text} and another tokenizer: throw it "
            f"away with `lmcompare rm {run.path}`, or name another study"
        )
    return run


def _write(run: Run, text: str, facts: "HfFacts") -> None:
    """Write what is known of a model; `run.json` last, with which the run is there."""
    source, config = facts.source, _config_of(facts)
    facts.tokenizer.save(run.tokenizer_file)
    DoneRecord(
        spent=Spent(steps=ELSEWHERE), loss=None, validation=None, wall_seconds=0.0, peak_memory=0
    ).write(run.done_file)
    RunRecord(
        arm=f"hf:{source.short_name}",
        given=config.given,
        config=config,
        identity=config.identity,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        text=UNKNOWN,
        device=UNKNOWN,
        precision=UNKNOWN,
        threads=0,
        git_commit=None,
        versions=provenance.library_versions() | {"transformers": version("transformers")},
        num_parameters=facts.num_parameters or 0,
        matmul_rate=0.0,
        sheet=ControlSheet(text=UNKNOWN, order=UNKNOWN, tokenizer=facts.tokenizer.hash, weights={}),
        imported=Imported(
            source=_found_again(text, source),
            revision=source.revision,
            weights=_hash(source),
            kind=facts.kind,
            architecture=facts.class_name or facts.model_type,
            shape=_shape(facts),
            longest=facts.length,
            special_tokens=facts.special_tokens,
            rules=facts.rules,
            objective=None if facts.objective is None else facts.objective.name,
            why_none=facts.why_none,
        ),
    ).write(run.record_file)


def _hash(source: HfSource) -> str:
    """Return the hash of a model's weights, which are read once while their files stay as they are.

    The cache keeps it under the hash of their paths, sizes and times.
    """
    states = [(str(path.resolve()), *state_of(path)) for path in source.weight_files()]
    kept = cache_folder() / "weights" / checksum_of(repr(states).encode())
    with suppress(OSError, UnicodeDecodeError):
        if re.fullmatch("[0-9a-f]{32}", known := kept.read_text()):
            return known
    found = source.weights_hash()
    with suppress(OSError, UserError):  # a cache that cannot be written costs time alone
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_text(kept, found)
    return found


def _found_again(text: str, source: HfSource) -> str:
    """Return what names a model from wherever it is asked for."""
    if not user_path(text.removeprefix(hub.PREFIX)).exists():
        return text
    place = source.folder if source.gguf is None else source.folder / source.gguf
    return f"{hub.PREFIX}{place}"


def _shape(facts: "HfFacts") -> dict[str, int]:
    found = {words: getattr(facts.config, name, None) for words, name in _SHAPE.items()}
    return {words: number for words, number in found.items() if isinstance(number, int)}


def _config_of(facts: "HfFacts") -> RunConfig:
    """Return how a model is asked, with as much of its shape as a backbone of ours can have."""
    usual = {"name": "clm" if facts.causal else "mlm"}  # whose views it reads, if it is not asked
    asked = usual if facts.objective is None else facts.objective.model_dump()
    tables: dict[str, Any] = {
        "objective": asked,
        "batch": {"length": max(8, min(facts.length, LONGEST))},
        "data": {"source": ""},
    }
    shape = {key: number for key, number in _shape(facts).items() if key != "vocabulary"}
    if facts.kind == "seq2seq" and "layers" in shape:
        shape |= dict.fromkeys(("encoder_layers", "decoder_layers"), shape["layers"])
    with suppress(UserError):  # a shape that no backbone of ours can have
        return parse_run(tables | {"model": shape})
    return parse_run(tables)


def require(run: Run) -> None:
    """Make sure that an imported model can be loaded, as far as is seen without its weights.

    Raises:
        UserError: it is not where it was, or its tokenizer is damaged.
    """
    run.tokenizer()
    _source(run)


def _source(run: Run) -> HfSource:
    imported = _imported(run)
    try:
        return hub.find(imported.source)
    except UserError as error:
        raise UserError(
            f"the weights of {run.path} are not where they were: {error}; what was measured of "
            "them is still compared"
        ) from None


def _imported(run: Run) -> Imported:
    imported = run.record().imported
    assert imported is not None, "it was not trained here"
    return imported


def load_imported(
    run: Run, *, device: str, precision: Precision, batch_size: int | None
) -> LoadedModel:
    """Return an imported model.

    Args:
        run: that stands for it.
        device: where it computes.
        precision: of its weights.
        batch_size: rows that it is asked about at once; as many as suits the device by default.

    Raises:
        UserError: its weights are not where they were, or others.
    """
    from lmcompare.huggingface.load import load_hf

    record, imported, source = run.record(), _imported(run), _source(run)
    if _hash(source) != imported.weights:
        raise UserError(
            f"the weights in {source.folder} have changed since {run.path} was made of them: name "
            f"them again as '{imported.source}', which makes another folder"
        )
    found = load_hf(source, device=device, batch_size=batch_size)
    if isinstance(found.net, torch.nn.Module):
        found.net.to(dtype=devices.DTYPES[precision]).eval()
    objective: Objective | None = found.objective
    if objective is None:
        objective = ReadOnly(as_in=record.config.objective, why=imported.why_none)
    return LoadedModel(
        objective=objective,
        tokenizer=found.tokenizer,
        net=found.net,
        length=record.config.batch.length,
        path=run.path,
        arm=record.arm,
        seed=record.config.seed,
        results=run.results,
        origin=_Elsewhere(run, imported.source),
        trained=trained(run),
        spent=Spent(steps=ELSEWHERE),
    )


@dataclass(frozen=True)
class _Elsewhere:
    """What a model comes from that was trained elsewhere."""

    run: Run
    source: str

    def token_counts(self) -> None:
        return None

    def training_text(self, *, cache: Path, warn: Callable[[str], None]) -> Prepared:
        raise UserError(f"what {self.source} was trained on is not known")

    def asked_about(self, *, cache: Path, warn: Callable[[str], None]) -> Prepared:
        return _text_of_study(self.run, self.source, cache=cache, warn=warn)

    def untrained(self) -> None:
        return None


def _text_of_study(run: Run, source: str, *, cache: Path, warn: Callable[[str], None]) -> Prepared:
    """Return the text of the other runs of a study in a model's own tokens.

    Its documents fall into the same splits, and so it is asked about the same held-out ones.

    Args:
        run: that stands for the model.
        source: what the model is called.
        cache: the folder of prepared corpora.
        warn: told if what the cache holds is damaged.

    Raises:
        UserError: there is no such run, or they have several texts, or it cannot be read.
    """
    study = run.path.absolute().parent
    texts: dict[DataConfig, tuple[Run, RunRecord]] = {}
    for path in sorted(study.glob("*/")):
        with suppress(UserError):
            other = Run(path)
            record = other.record()
            if record.imported is None:
                texts.setdefault(record.config.data, (other, record))
    if len(texts) != 1:
        found = "different texts" if texts else "none, as it holds no run that was trained here"
        raise UserError(
            f"{source} has no text of its own, and is asked about that of the study {study.name}: "
            f"this has {found}; name one with `data=`"
        )
    [(data, (other, record))] = texts.items()
    text_of(other, record, cache=cache, warn=warn)  # which says so where it has changed
    tokenizer = TokenizerConfig(file=str(run.tokenizer_file), add_missing=False)
    return prepare(data, tokenizer, cache=cache, warn=warn)
