"""Which run is that of a text, and where the text of a run is."""

import json
import os
from pathlib import Path

import pytest

from lmcompare.config.run import RunConfig
from lmcompare.data import Prepared
from lmcompare.data.tokenizer_training import NUM_SENTINELS, NUM_SPARES, SPECIALS, USUAL_SIZE
from lmcompare.defaults import VERSION
from lmcompare.errors import UserError
from lmcompare.runs.run import Run
from lmcompare.runs.training_text import (
    as_begun,
    defaults_of,
    finished_without_text,
    of_another_text,
    place_of,
    text_of,
)
from lmcompare.training import trainer
from tests.tiny import Trainer, sentences, tiny


def read(config: RunConfig, cache: Path) -> Prepared:
    return trainer.read_text(config, cache=cache)


def copy(corpus: Path, path: Path) -> Path:
    path.write_bytes(corpus.read_bytes())
    return path


def test_the_same_settings_and_text_are_the_same_place(
    tmp_path: Path, corpus: Path, cache: Path
) -> None:
    def place(*settings: str, source: Path = corpus) -> Run:
        config = tiny(source, "clm", "seed=7", *settings)
        return place_of(config, read(config, cache), arm="left", study=tmp_path)

    run = place()
    assert run.path.name.startswith("left-s7-")
    assert run.study == tmp_path.name
    assert place(source=copy(corpus, tmp_path / "renamed.txt")) == run
    assert place("data.max_document_mb=3", "runtime.keep=5") == run
    for other in ("seed=8", "optimizer.warmup=0", "data.shares=[0.8, 0.1, 0.1]"):
        assert place(other) != run
    longer = tmp_path / "longer.txt"
    longer.write_text(corpus.read_text() + "\n\nthe end")
    assert place(source=longer) != run


def test_held_out_text_and_the_tokenizer_are_part_of_it(
    tmp_path: Path, corpus: Path, cache: Path
) -> None:
    held = tmp_path / "held.txt"
    names = [f"data.validation={held}", f"data.test={held}"]
    for kind in (names[:1], names[1:]):
        config, places = tiny(corpus, "clm", *kind), set()
        for seed in (3, 5):
            held.write_text(sentences(31, seed=seed))
            text = read(config, cache)
            places.add(place_of(config, text, arm="a", study=tmp_path).path)
        assert len(places) == 2
    file, places = tmp_path / "tokenizer.json", set()
    config = tiny(corpus, "clm", f"tokenizer.file={file}")
    for kind in ("bytes", "characters"):
        other = read(tiny(corpus, "clm", f"tokenizer.kind={kind}"), cache)
        file.write_text(other.tokenizer.json)
        text = read(config, cache)
        places.add(place_of(config, text, arm="a", study=tmp_path).path)
    assert len(places) == 2


@pytest.mark.parametrize("kind", ["bpe", "word", "unigram"])
def test_a_small_text_takes_the_vocabulary_that_it_fills(
    kind: str, tmp_path: Path, cache: Path
) -> None:
    """Its run is that of the same size, given by hand."""
    told: list[str] = []
    corpus = tmp_path / "small.txt"
    corpus.write_text(sentences(1009), encoding="utf-8")
    config = tiny(corpus, "clm", f"tokenizer.kind={kind}")
    text = trainer.read_text(config, cache=cache, report=told.append)
    size = text.vocab.size
    assert size < USUAL_SIZE
    assert f"the text fills a vocabulary of {size:,} ids, not of 4,096 as usual" in told
    if kind == "unigram":  # whose trainer draws lots
        return
    given = tiny(corpus, "clm", f"tokenizer.kind={kind}", f"tokenizer.vocab_size={size}")
    places = [
        place_of(each, read(each, cache), arm="clm", study=tmp_path) for each in (config, given)
    ]
    assert places[0] == places[1]
    with pytest.raises(UserError, match=rf"all that this text supports is {size:,}"):
        read(tiny(corpus, "clm", f"tokenizer.kind={kind}", "tokenizer.vocab_size=4096"), cache)


@pytest.mark.slow
def test_the_usual_size_is_that_of_a_text_that_fills_it(cache: Path) -> None:
    usual, given = (
        read(tiny(Path("python-docs"), "clm", "tokenizer.kind=word", *size), cache)
        for size in ([], [f"tokenizer.vocab_size={USUAL_SIZE}"])
    )
    assert usual.hash == given.hash
    assert usual.vocab.size == USUAL_SIZE


def test_unknown_words_of_another_length_are_another_text(tmp_path: Path, cache: Path) -> None:
    """Their tokens are the same; the bytes that these cover are not."""
    text, size = tmp_path / "text.txt", NUM_SENTINELS + NUM_SPARES + len(SPECIALS) + 5
    settings = ["data.shares=[1, 0, 0]", "validation.times=0", "tokenizer.kind=word"]
    config = tiny(text, "clm", *settings, f"tokenizer.vocab_size={size}")
    read_of = {}
    for word in ("rare", "rarest"):
        text.write_text(sentences(307) + f"\n\nthe {word} cat")
        read_of[word] = read(config, cache)
    one, other = read_of.values()
    assert one.split("train").hash == other.split("train").hash
    assert one.tokenizer.hash == other.tokenizer.hash
    assert one.hash != other.hash


def test_started_again_it_lives_beside_the_old_and_goes_on_there(
    tmp_path: Path, corpus: Path, cache: Path
) -> None:
    config = tiny(corpus)
    text = read(config, cache)

    def place(*, again: bool) -> Run:
        return place_of(config, text, arm="clm", study=tmp_path, again=again)

    first = place(again=False)
    assert place(again=True) == first, "where nothing is yet, there is nothing to keep"
    first.path.mkdir()
    second = place(again=True)
    assert second.path.name == first.path.name + "-2"
    assert place(again=False) == first
    second.path.mkdir()
    assert place(again=False) == second, "the same command goes on with the newest"
    assert place(again=True).path.name == first.path.name + "-3"
    for number in range(3, 11):
        (tmp_path / f"{first.path.name}-{number}").mkdir()
    assert place(again=False).path.name == first.path.name + "-10", "no order of letters"


def made_before(run: Run, name: str) -> Run:
    """The run as the code before wrote it: named by its settings, without the hash of its text."""
    for file in (run.record_file, run.done_file, *run.checkpoints.glob("*/state.json")):
        record = json.loads(file.read_text()) | {"schema_version": 1}
        for key in {"text_hash", "counts", "manifest", "checksum"} & record.keys():
            del record[key]
        named = {"identity": name} if "identity" in record else {}
        file.write_text(json.dumps(record | named))
    return Run(run.path.rename(run.path.with_name(f"clm-s0-{name}")))


def test_runs_of_the_code_before_are_found(
    tmp_path: Path, train: Trainer, corpus: Path, cache: Path
) -> None:
    text = copy(corpus, tmp_path / "text.txt")
    config = tiny(text, "clm", "budget=1 steps")
    old = made_before(train(config), "0123abcd")
    assert train.place(config) == old
    assert train.place(tiny(corpus, "clm", "budget=1 steps")) == old, "the same under another name"
    assert (
        text_of(old, old.record(), cache=cache, warn=pytest.fail).hash == read(config, cache).hash
    )
    again = place_of(config, read(config, cache), arm="clm", study=train.folder, again=True)
    assert not again.path.exists()
    assert train(config, run=again) == train.place(config) == again, "the newest"
    held = tiny(text, "clm", "budget=1 steps", f"data.validation={corpus}")
    assert train.place(held) not in (old, again)
    text.write_text(sentences(299))
    assert train.place(config) not in (old, again)
    with pytest.raises(UserError, match="has changed since it was trained"):
        text_of(old, old.record(), cache=cache, warn=pytest.fail)


def test_what_has_changed_behind_a_name_is_said(
    tmp_path: Path, train: Trainer, corpus: Path, cache: Path
) -> None:
    text = copy(corpus, tmp_path / "text.txt")
    config = tiny(text, "clm", "budget=1 steps")

    def said(config: RunConfig) -> str | None:
        return of_another_text(config, read(config, cache), arm="clm", study=train.folder)

    assert said(config) is None
    run = train(config)
    assert said(config) is None
    text.write_text(sentences(299))
    assert said(config) == (
        f"the text behind '{text}' has changed since {run.path} was trained: this is another run, "
        "beside it"
    )
    assert said(tiny(text, "clm", "budget=2 steps")) is None
    file = tmp_path / "tokenizer.json"
    file.write_text(read(config, cache).tokenizer.json)
    config = tiny(text, "clm", "budget=1 steps", f"tokenizer.file={file}")
    train(config)
    file.write_text(read(tiny(text, "clm", "tokenizer.kind=characters"), cache).tokenizer.json)
    assert f"the tokenizer behind '{file}' has changed since" in str(said(config))


def test_a_finished_run_whose_text_is_gone(tmp_path: Path, train: Trainer, corpus: Path) -> None:
    text = copy(corpus, tmp_path / "text.txt")
    config = tiny(text, "clm", "budget=9 steps")

    def found(config: RunConfig) -> Run | None:
        return finished_without_text(config, arm="clm", study=train.folder)

    run = train(config, stop_at=3)
    assert found(config) is None, "it is not finished"
    train(config)
    text.unlink()
    assert found(config) == run
    assert found(tiny(text, "clm", "budget=9 steps", "runtime.keep=7")) == run
    assert found(tiny(text, "clm", "budget=8 steps")) is None
    assert found(tiny(corpus, "clm", "budget=9 steps")) is None, "another name"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_stream_is_not_read_again(
    tmp_path: Path, train: Trainer, corpus: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny(corpus, "clm", "budget=1 steps")
    run = train(config)
    record = run.record()
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    monkeypatch.setattr("sys.stdin", None)
    for name in ("-", "/dev/fd/63", str(pipe)):
        data = config.data.model_copy(update={"source": name})
        piped = record.model_copy(update={"config": config.model_copy(update={"data": data})})
        text = text_of(run, piped, cache=cache, warn=pytest.fail)
        assert text.hash == record.text_hash
        with pytest.raises(
            UserError, match=f"came through '{name}', and the cache .* pipe the same"
        ):
            text_of(run, piped, cache=tmp_path, warn=pytest.fail)
        assert finished_without_text(piped.config, arm="clm", study=train.folder) is None


def test_a_study_goes_on_with_the_defaults_that_it_was_begun_with(
    train: Trainer, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def begun(*settings: str, objective: str = "clm") -> RunConfig:
        config = tiny(corpus, objective, "budget=1 steps", *settings)
        defaults = defaults_of(train.folder)
        return as_begun(config, arm=objective, study=train.folder, defaults=defaults)

    assert begun() == tiny(corpus, "clm", "budget=1 steps"), "nothing was begun"
    run = train(tiny(corpus, "clm", "budget=1 steps", "defaults=1"))
    assert begun().defaults == 1
    assert train.place(begun()) == run, "it is finished"
    assert begun(objective="mlm").defaults == 1, "what joins it is comparable"
    assert begun("seed=1").defaults == 1
    now = begun(f"defaults={VERSION}")
    assert now.defaults == VERSION
    other = train(now)
    assert other != run
    assert train.place(begun()) == other, "the newest"
    assert begun(objective="mlm").defaults == 1, "which most of it may have"
    other.record_file.write_text("{")
    assert train.place(begun()) == run, "what cannot be read says nothing"
