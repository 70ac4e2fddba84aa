"""The states of words: which they are, whatever is read beside them, and what is left behind."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lmcompare.data import Encoded, Tokenizer, TokenizerConfig
from lmcompare.errors import Unsupported, UserError
from lmcompare.evaluation.probes.readings import Readings
from lmcompare.evaluation.readers.conllu import Sentence, Word, spaced
from lmcompare.evaluation.states import word_states as states_module
from lmcompare.evaluation.states.reading import Reading, ways_to_read
from lmcompare.evaluation.states.word_states import FOLDER, States, pieces_of, states
from lmcompare.evaluation.windows import Window, stack
from lmcompare.objectives import OBJECTIVES, Objective, parse_objective
from lmcompare.runs.loaded_model import LoadedModel
from tests.evaluation.probes.banks import bank, read, sentence
from tests.untrained import LENGTH, subject_of

ALL = [parse_objective(name) for name in OBJECTIVES]
SENTENCES = [
    sentence("The", "old", "cat", "saw", "a", "dog", "under", "the", "tree"),
    sentence("café", "été", "naïveté", "😀", "cat"),
    sentence("a"),
    sentence("unbelievably", "ran", "."),
    sentence(*(f"word{n}" for n in range(LENGTH))),
]
READINGS = read(bank(SENTENCES, SENTENCES[:2], SENTENCES[2:4]))


@contextmanager
def made(
    subject: LoadedModel, reading: Reading, cache: Path, readings: Readings = READINGS, **given: Any
) -> Iterator[States]:
    chosen: dict[str, Any] = {"layers": None, "words": "mean", "disk_gb": 1.0, **given}
    with states(subject, readings, reading, cache=cache, **chosen) as found:
        yield found


def by_itself(subject: LoadedModel, reading: Reading, one: Sentence) -> dict[int, torch.Tensor]:
    """The states of all tokens of a sentence after the start token, layer by layer."""
    (document,) = subject.tokenizer.encode([one.text])
    stop = min(len(document), LENGTH - 1)
    whole = Window(document=0, start=0, stop=stop, first=0, last=0)
    text, _ = stack([whole], [document], subject.tokenizer.vocab)
    found = subject.net.hidden_states(reading.view(text), None)
    return {layer: own[0, 1:] for layer, own in found}


def tokens_of(one: Sentence, word: Word, document: Encoded) -> list[int]:
    """The tokens that share a byte with a word, looked for one by one."""
    low, high = (len(one.text[:end].encode()) for end in word.span)
    found, start = [], 0
    for number, size in enumerate(document.bytes.tolist()):
        if start < high and start + size > low:
            found.append(number)
        start += size
    return found


@pytest.mark.parametrize("objective", ALL, ids=lambda each: each.name)
@pytest.mark.parametrize("stack_", ["encoder", "decoder"])
def test_a_word_s_state_is_the_mean_of_its_pieces_in_the_sentence_alone(
    objective: Objective, stack_: str, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    subject = subject_of(objective, tokenizer)
    if stack_ == "decoder" and not objective.encodes:
        with pytest.raises(Unsupported, match=f"{objective.name} has one stack only"):
            ways_to_read(subject, "decoder")
        return
    for reading in ways_to_read(subject, stack_):  # type: ignore[arg-type]
        with made(subject, reading, tmp_path) as found:
            layers = {layer: found.layer(layer) for layer in found.layers}
            for number, one in enumerate(READINGS.sentences):
                alone = by_itself(subject, reading, one)
                assert [*alone] == [*layers]
                (document,) = tokenizer.encode([one.text])
                for row, word in enumerate(one.words, start=int(READINGS.first[number])):
                    pieces = tokens_of(one, word, document)
                    assert found.known[row] == (pieces[-1] < LENGTH - 1)
                    if found.known[row]:
                        for layer, own in alone.items():
                            wanted = own[pieces].mean(0).numpy()
                            scale = float(np.abs(wanted).max())
                            assert layers[layer][row] == pytest.approx(wanted, abs=2e-3 * scale)


def test_ways_to_read(tokenizer: Tokenizer) -> None:
    """A mixture is read as each of its parts, two stacks in one of two ways, others in one."""
    names = {
        each.name: [way.name for way in ways_to_read(subject_of(each, tokenizer), "encoder")]
        for each in ALL
    }
    assert sorted(names["hybrid"]) == ["as clm", "as mntp"]
    assert names["t5"] == names["bart"] == ["encoder"]
    assert names["clm"] == names["plm"] == [""]
    for each in ALL:
        if each.encodes:
            (way,) = ways_to_read(subject_of(each, tokenizer), "decoder")
            assert way.name == "decoder"
        elif not each.mixture:
            assert names[each.name] == [""]


@pytest.mark.parametrize("words", ["mean", "first", "last"])
def test_pieces_become_one(words: str, tokenizer: Tokenizer, tmp_path: Path) -> None:
    subject = subject_of(parse_objective("mlm"), tokenizer)
    (reading,) = ways_to_read(subject, "encoder")
    (document,) = tokenizer.encode([SENTENCES[3].text])
    pieces = tokens_of(SENTENCES[3], SENTENCES[3].words[0], document)
    assert len(pieces) > 2
    row = int(READINGS.first[READINGS.parts["validation"].start + 1])
    assert READINGS.sentences[READINGS.parts["validation"].start + 1] is SENTENCES[3]
    alone = by_itself(subject, reading, SENTENCES[3])[1]
    wanted = {"mean": alone[pieces].mean(0), "first": alone[pieces[0]], "last": alone[pieces[-1]]}
    with made(subject, reading, tmp_path, words=words) as found:
        assert found.layer(1)[row] == pytest.approx(wanted[words].numpy(), abs=2e-2)


def test_a_token_of_two_words_belongs_to_both(tokenizer: Tokenizer) -> None:
    (document,) = tokenizer.encode(["the cat"])
    assert document.bytes.tolist() == [1, 1, 1, 3, 1]  # "t", "h", "e", " ca", "t"
    places = [("the", (0, 3)), ("c", (4, 5)), ("at", (5, 7))]
    words = tuple(Word(form=form, span=span) for form, span in places)
    one = Sentence(text="the cat", words=words, document=0)
    assert pieces_of(one, document) == [(0, 3), (3, 4), (3, 5)]


@pytest.mark.parametrize(
    ("kind", "size"),
    [("bytes", None), ("characters", None), ("word", 137), ("unigram", None), ("bpe", 391)],
)
def test_words_and_tokens_by_bytes_in_every_tokenizer(kind: str, size: int | None) -> None:
    texts = ["naïve café, 😀 naïve cats ran.  e\u0301t\u00e9 10\u00a0000"] * 50
    tokenizer = Tokenizer.train(texts, TokenizerConfig(kind=kind, vocab_size=size))  # type: ignore[arg-type]
    forms = ["naïve", "café", ",", "😀", "e\u0301t\u00e9", "10\u00a0000", "\u00a0", "a  b"]
    text, spans = spaced([(form, form != "café") for form in forms])
    words = tuple(Word(form=form, span=span) for form, span in zip(forms, spans, strict=True))
    one = Sentence(text=text, words=words, document=0)
    (document,) = tokenizer.encode([text])
    for word, (start, stop) in zip(words, pieces_of(one, document), strict=True):
        assert [*range(start, stop)] == tokens_of(one, word, document)


def test_states_do_not_depend_on_the_batch(tokenizer: Tokenizer, tmp_path: Path) -> None:
    subject = subject_of(parse_objective("prefix"), tokenizer)
    (reading,) = ways_to_read(subject, "encoder")
    with made(subject, reading, tmp_path) as found:
        together = [np.array(found.layer(layer), dtype=np.float32) for layer in found.layers]
    subject.net.batch_size = 1  # type: ignore[attr-defined]
    with made(subject, reading, tmp_path) as found:
        alone = [np.array(found.layer(layer), dtype=np.float32) for layer in found.layers]
    for one, other in zip(together, alone, strict=True):
        assert one == pytest.approx(other, abs=2e-3 * float(np.abs(one).max()))


def test_what_lies_behind_the_cut_is_counted(tokenizer: Tokenizer, tmp_path: Path) -> None:
    subject = subject_of(parse_objective("clm"), tokenizer)
    (reading,) = ways_to_read(subject, "encoder")
    with made(subject, reading, tmp_path, layers=[2, 0]) as found:
        unknown = int((~found.known).sum())
        assert found.counts == {"words after the cut of a long sentence": unknown}
        assert 0 < unknown < LENGTH
        assert [*found.layers] == [0, 2]
        assert not np.any(found.layer(2)[~found.known])
        assert np.isfinite(found.layer(2)).all()


def test_words_without_a_token_are_counted(
    tokenizer: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a tokenizer that drops what it does not know leaves them."""
    subject = subject_of(parse_objective("clm"), tokenizer)
    (reading,) = ways_to_read(subject, "encoder")
    monkeypatch.setattr(
        states_module,
        "pieces_of",
        lambda one, document: [(1, 1), *pieces_of(one, document)[1:]],
    )
    with made(subject, reading, tmp_path) as found:
        assert found.counts["words without a token"] == len(READINGS.sentences)
        assert not found.known[READINGS.first[:-1]].any()


def test_layers_and_disk_that_are_not_there(tokenizer: Tokenizer, tmp_path: Path) -> None:
    subject = subject_of(parse_objective("clm"), tokenizer)
    (reading,) = ways_to_read(subject, "encoder")
    with pytest.raises(UserError, match="layer"), made(subject, reading, tmp_path, layers=[7]):
        pass
    needed = 2 * READINGS.num_words * 24 * 3
    with (
        pytest.raises(
            UserError, match=r"more than the 1e-06 GB that are allowed: choose fewer `layers=`"
        ),
        made(subject, reading, tmp_path, disk_gb=1e-6),
    ):
        pass
    with made(subject, reading, tmp_path, disk_gb=needed / 1e9) as found:
        assert found.width == 24
    with (
        pytest.raises(UserError, match="GB"),
        made(subject, reading, tmp_path, disk_gb=(needed - 1) / 1e9),
    ):
        pass
    (tmp_path / "file").write_text("x")
    with (
        pytest.raises(UserError, match="cannot be written"),
        made(subject, reading, tmp_path / "file"),
    ):
        pass


def test_nothing_is_left_behind(tokenizer: Tokenizer, tmp_path: Path) -> None:
    subject = replace(subject_of(parse_objective("clm"), tokenizer), path=Path("some run"))
    (reading,) = ways_to_read(subject, "encoder")
    with made(subject, reading, tmp_path) as found:
        assert found.folder.parent == tmp_path / FOLDER
        assert len([*found.folder.iterdir()]) == 3
    assert [*(tmp_path / FOLDER).iterdir()] == []
    with pytest.raises(ZeroDivisionError), made(subject, reading, tmp_path):
        raise ZeroDivisionError
    assert [*(tmp_path / FOLDER).iterdir()] == []


def test_what_a_killed_process_left_is_removed(tokenizer: Tokenizer, tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from lmcompare import files\n"
        "with files.temporary_folder(Path(sys.argv[1]) / 'run') as folder:\n"
        "    (folder / 'layer-0.npy').write_text('x'); os._exit(9)\n"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path / FOLDER], check=False)
    assert len([*(tmp_path / FOLDER).iterdir()]) == 1
    subject = subject_of(parse_objective("clm"), tokenizer)
    (reading,) = ways_to_read(subject, "encoder")
    with made(subject, reading, tmp_path) as found:
        assert [*(tmp_path / FOLDER).iterdir()] == [found.folder]
