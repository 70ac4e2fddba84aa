"""A run and its text: which run is that of a text, and where the text of a run is.

A run is known by its settings and by the hash of what it read. Names of files are no part of that:
another text under the same name is another run, the same text under another name the same one.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from hashlib import blake2b
from itertools import count
from pathlib import Path

from lmcompare.config.run import RunConfig
from lmcompare.data import Prepared, TokenizerConfig, find_prepared, is_stream, prepare
from lmcompare.data.tokenizer_training import USUAL_SIZE
from lmcompare.errors import UserError
from lmcompare.files import name_of
from lmcompare.runs.records import RunRecord
from lmcompare.runs.run import Run


def defaults_of(study: Path) -> int | None:
    """Return the earliest version of the defaults of a study's runs; None if it has none."""
    found = []
    for path in study.glob("*/"):
        with suppress(UserError):
            found.append(Run(path).record().config.defaults)
    return min(found, default=None)


def as_begun(config: RunConfig, *, arm: str, study: Path, defaults: int | None = None) -> RunConfig:
    """Return a configuration under the defaults that its study was begun with.

    So a run that is finished is found by the same command, one that is not goes on, and those that
    join them are comparable, though defaults have changed since.

    Args:
        config: the run in full; defaults that it names stay.
        arm: what it is called in tables.
        study: folder of its study.
        defaults: those of its study, as `defaults_of` finds them.
    """
    mine = [
        (record.created, record.config.defaults)
        for _, record in _runs_of(config, arm, study)
        if record is not None
        and config.under(record.config.defaults).identity == record.config.identity
    ]
    if mine:
        return config.under(max(mine)[-1])
    return config if defaults is None else config.under(defaults)


def is_run_of(
    record: RunRecord, config: RunConfig, text: Prepared, start: str | None = None
) -> bool:
    """Tell whether a record is that of the run of `config` on `text` from the weights `start`."""
    if record.config.identity != config.identity or _started_from(record) != start:
        return False
    if record.text_hash is not None:
        return record.text_hash == text.hash
    # An earlier record has hashes of the training split and the tokenizer alone.
    return _known_by_name(record.config) == _known_by_name(config) and _read(record, text)


def place_of(
    config: RunConfig,
    text: Prepared,
    *,
    arm: str,
    study: Path,
    again: bool = False,
    start: str | None = None,
) -> Run:
    """Return where the run of `config` on `text` lives; the newest if it was started again.

    Args:
        config: the run in full.
        text: what it reads.
        arm: what it is called in tables.
        study: folder of its study.
        again: start again in a new place; nothing that was written is ever overwritten.
        start: the hash of the weights that it starts from; None for new ones.
    """
    known_by = " ".join([config.identity, text.hash, *filter(None, [start])])
    identity = blake2b(known_by.encode(), digest_size=4).hexdigest()
    first = study / f"{name_of(arm)}-s{config.seed}-{identity}"
    named = re.compile(rf"{re.escape(first.name)}(-\d+)?")
    mine = [
        (
            bool(named.fullmatch(run.path.name)),
            _number(run),
            "" if record is None else record.created,
            run.path,
        )
        for run, record in _runs_of(config, arm, study)
        if (
            named.fullmatch(run.path.name)
            if record is None
            else is_run_of(record, config, text, start)
        )
    ]
    if mine and not again:
        return Run(max(mine)[-1])
    free, numbers = first, count(2)
    while free.exists():
        free = first.with_name(f"{first.name}-{next(numbers)}")
    return Run(free)


def of_another_text(
    config: RunConfig, text: Prepared, *, arm: str, study: Path, start: str | None = None
) -> str | None:
    """Say which run was of the same settings and names, and which of them meant something else.

    The arguments are those of `place_of`.

    Returns:
        A sentence on the newest of them; None if there is none.
    """
    others = [
        (record.created, run.path, record)
        for run, record in _runs_of(config, arm, study)
        if record is not None
        and record.config.asks_the_same(config)
        and not is_run_of(record, config, text, start)
    ]
    if not others:
        return None
    _, path, record = max(others, key=lambda other: other[:2])
    what, names = "text", ", ".join(sources(config))
    if config.tokenizer.file and record.sheet.tokenizer != text.tokenizer.hash:
        what, names = "tokenizer", config.tokenizer.file
    elif config.init and _started_from(record) != start:
        what, names = "model", config.init
    return (
        f"the {what} behind '{names}' has changed since {path} was trained: this is another run, "
        "beside it"
    )


def finished_without_text(config: RunConfig, *, arm: str, study: Path) -> Run | None:
    """Return the newest finished run of these settings and names, where its text cannot be read.

    A stream has no name that would tell its content.
    """
    if any(map(is_stream, sources(config))):
        return None
    found = [
        (record.created, run.path)
        for run, record in _runs_of(config, arm, study)
        if record is not None and record.config.asks_the_same(config) and run.done_file.exists()
    ]
    return Run(max(found)[-1]) if found else None


def text_of(run: Run, record: RunRecord, *, cache: Path, warn: Callable[[str], None]) -> Prepared:
    """Find the text that a run was trained on, in the cache, or in its source if it is gone there.

    Args:
        run: says whose text it is, in errors.
        record: of the run.
        cache: folder of prepared corpora.
        warn: told if what the cache holds is damaged.

    Raises:
        UserError: it is not to be had, or has changed.
    """
    config = record.config
    if record.text_hash is not None:
        name = ", ".join(config.data.names)
        if found := find_prepared(record.text_hash, name=name, cache=cache, warn=warn):
            return found
    streams = [name for name in sources(config) if is_stream(name)]
    if streams:
        raise UserError(
            f"the text that {run.path} was trained on came through '{streams[0]}', and the cache "
            f"{cache} does not hold it: pipe the same text into the same `lmcompare train` again, "
            "which keeps it there, or give another text with `data=`"
        )
    try:
        prepared = prepare(config.data, config.tokenizer, cache=cache, warn=warn)
    except UserError as error:
        raise UserError(
            f"the text that {run.path} was trained on is not to be had here ({error}): if its path "
            "is relative, type this in the folder of training, or give another text with `data=`"
        ) from None
    if not _read(record, prepared):
        raise UserError(
            f"the text of {run.path} has changed since it was trained: bring the old text back, or "
            "give another text with `data=`"
        )
    return prepared


def sources(config: RunConfig) -> list[str]:
    """Return the names of all sources of text of a run, the held-out ones too."""
    data = config.data
    return [*data.names, *filter(None, (data.validation, data.test))]


def _started_from(record: RunRecord) -> str | None:
    return None if record.start is None else record.start.weights


def _read(record: RunRecord, text: Prepared) -> bool:
    """Tell whether a text is what a run has read, as far as its record can tell."""
    if record.text_hash is not None:
        return record.text_hash == text.hash
    hashes = (text.tokenizer.hash, text.split("train").hash)
    return hashes == (record.sheet.tokenizer, record.sheet.text)


def _known_by_name(config: RunConfig) -> tuple[object, TokenizerConfig]:
    """Return what an earlier record knows of a text by its name and settings alone."""
    return (
        config.data.model_copy(update={"source": ""}),
        config.tokenizer.model_copy(
            update={
                "file": config.tokenizer.file and "given",
                "vocab_size": config.tokenizer.vocab_size or USUAL_SIZE,  # which it was by default
            }
        ),
    )


def _runs_of(config: RunConfig, arm: str, study: Path) -> Iterator[tuple[Run, RunRecord | None]]:
    """Yield the folders of an arm and seed, each with its record, or None where that is no good."""
    for path in sorted(study.glob(f"{name_of(arm)}-s{config.seed}-*")):
        run = Run(path)
        try:
            record = run.record()
        except UserError:
            yield run, None
        else:
            if (record.arm, record.config.seed) == (arm, config.seed):
                yield run, record


def _number(run: Run) -> int:
    """Return how often a run had been started when this one was: 1, or what its name ends with."""
    found = re.search(r"-[0-9a-f]{8}-(\d+)$", run.path.name)
    return int(found[1]) if found else 1
