import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tokenizers
import torch
from tokenizers import models, pre_tokenizers

from lmcompare.data import DataConfig, Prepared, Split, TokenizerConfig, open_corpus, prepare
from lmcompare.data.corpus import SPLIT_NAMES, split_of
from lmcompare.data.split_writer import SplitWriter
from lmcompare.errors import UserError
from lmcompare.vocab import NUM_SPARES, spare
from tests.conftest import values

SMALL = TokenizerConfig(vocab_size=509)


def documents(split: Split) -> list[str]:
    return [split.document_text(number) for number in range(split.num_documents)]


def folders(cache: Path) -> list[str]:
    return [path.name for path in (cache / "prepared").iterdir() if path.is_dir()]


def prepare_file(path: Path, cache: Path, config: TokenizerConfig = SMALL) -> Prepared:
    return prepare(DataConfig(source=str(path)), config, cache=cache)


def test_the_documents_are_all_there_each_in_its_split(text_file: Path, prepared: Prepared) -> None:
    texts = list(open_corpus(str(text_file), data=DataConfig(), cache=text_file.parent).texts())
    for name in SPLIT_NAMES:
        expected = [text for text in texts if split_of(text, (0.9, 0.05, 0.05)) == name]
        split = prepared.split(name)
        assert documents(split) == expected
        assert split.num_documents == len(expected) > 10
        assert split.num_bytes == sum(len(text.encode()) for text in expected)
        lengths = [len(split.document(number)) for number in range(split.num_documents)]
        assert split.num_tokens == sum(lengths) + len(lengths)


def test_identical_documents_share_a_split(tmp_path: Path, text_file: Path) -> None:
    text = text_file.read_text(encoding="utf-8")
    (tmp_path / "twice.txt").write_text(text + text, encoding="utf-8")
    prepared = prepare_file(tmp_path / "twice.txt", tmp_path)
    splits = [set(documents(prepared.split(name))) for name in SPLIT_NAMES]
    assert not splits[0] & splits[1]
    assert not splits[0] & splits[2]
    assert not splits[1] & splits[2]


def test_documents_keep_bytes_and_words(prepared: Prepared) -> None:
    split = prepared.split("train")
    for number in (0, 1, split.num_documents - 1):
        stored = split.document(number)
        (fresh,) = prepared.tokenizer.encode([split.document_text(number)])
        np.testing.assert_array_equal(stored.ids, fresh.ids)
        np.testing.assert_array_equal(stored.bytes, fresh.bytes)
        np.testing.assert_array_equal(stored.starts_word, fresh.starts_word)


def test_blocks_are_the_stream_in_rows(prepared: Prepared) -> None:
    split, vocab, length = prepared.split("train"), prepared.vocab, 37
    stream = []
    for number in range(split.num_documents):
        stream += [*split.document(number).ids.tolist(), vocab.eos]
    num_blocks = split.num_blocks(length)
    assert num_blocks == len(stream) // 36
    for index in ([0, 1, num_blocks - 1], np.array([5, 3, 5])):
        text = split.blocks(index, length=length, separate_documents=True)
        assert text.tokens.dtype == text.word.dtype == torch.int64
        for row, number in zip(text.tokens.tolist(), index, strict=True):
            assert row == [vocab.bos, *stream[number * 36 : (number + 1) * 36]]


def test_words_and_documents_of_a_block(prepared: Prepared) -> None:
    split, vocab = prepared.split("train"), prepared.vocab
    length = 101
    text = split.blocks(range(split.num_blocks(length)), length=length, separate_documents=True)
    assert text.document is not None
    for tokens, word, document in zip(text.tokens, text.word, text.document, strict=True):
        assert word[:2].tolist() == [0, 1]
        steps = word.diff()
        assert set(steps.tolist()) <= {0, 1}
        ends = tokens == vocab.eos
        assert (steps[ends[1:]] == 1).all()  # a word of its own,
        assert (steps[1:][ends[1:-1]] == 1).all()  # as is what follows it
        assert document[0] == 0
        assert document.diff().tolist() == ends[1:].long().tolist()
    without = split.blocks([0], length=length, separate_documents=False)
    assert without.document is None


def test_bytes_of_blocks_add_up(prepared: Prepared) -> None:
    split = prepared.split("validation")
    assert split.block_bytes(range(split.num_blocks(2)), length=2) == split.num_bytes
    length = 23
    row = split.blocks([3], length=length, separate_documents=False).tokens[0]
    text = prepared.tokenizer.decode(row.tolist())
    assert split.block_bytes([3], length=length) == len(text.encode())


def test_blocks_that_there_are_not(prepared: Prepared) -> None:
    split = prepared.split("test")
    with pytest.raises(UserError, match=r"fewer than one block of 1,000,003"):
        split.num_blocks(1_000_003)
    with pytest.raises(UserError, match=r"at least 2"):
        split.num_blocks(1)
    with pytest.raises(IndexError):
        split.blocks([split.num_blocks(13)], length=13, separate_documents=False)


def test_a_token_of_many_bytes(tmp_path: Path) -> None:
    library = tokenizers.Tokenizer(
        models.WordLevel({"a": 0, "[UNK]": 1, "[EOS]": 2, "[BOS]": 3, "[PAD]": 4}, "[UNK]")
    )
    library.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    library.save(str(tmp_path / "tokenizer.json"))
    long = "\u6f22" * 30_011
    (tmp_path / "text.txt").write_text(f"a {long} a {long}\n\n" + "a " * 307, encoding="utf-8")
    prepared = prepare(
        DataConfig(source=str(tmp_path / "text.txt"), shares=(1.0, 0.0, 0.0)),
        TokenizerConfig(file=str(tmp_path / "tokenizer.json")),
        cache=tmp_path,
    )
    split = prepared.split("train")
    size = len(long.encode()) + 1
    assert split.document(0).bytes.tolist() == [1, size, 2, size]
    assert split.block_bytes([1], length=2) == size
    assert split.block_bytes([3, 1, 1], length=2) == 3 * size
    assert split.block_bytes(range(split.num_blocks(2)), length=2) == split.num_bytes


def test_held_out_text_of_its_own(tmp_path: Path, text_file: Path) -> None:
    for name in ("held", "out"):
        text = "\n".join(f"{name} out line {number}" for number in range(307))
        (tmp_path / f"{name}.txt").write_text(text)
    data = DataConfig(source=str(text_file), validation=str(tmp_path / "held.txt"))
    prepared = prepare(data, SMALL, cache=tmp_path)
    assert "".join(documents(prepared.split("validation"))).count("held") == 307
    assert prepared.split("test").num_documents > 10
    both = data.model_copy(update={"test": str(tmp_path / "out.txt")})
    whole = prepare(both, SMALL, cache=tmp_path)
    assert whole.split("train").num_documents == 701
    assert "".join(documents(whole.split("test"))).count("out line") == 307


def test_prepared_once_and_found_again(tmp_path: Path, text_file: Path) -> None:
    messages: list[str] = []
    data = DataConfig(source=str(text_file))
    first = prepare(data, SMALL, cache=tmp_path, report=messages.append)
    assert any("tokenizing" in message for message in messages)
    messages.clear()
    renamed = text_file.rename(tmp_path / "renamed.txt")
    second = prepare(DataConfig(source=str(renamed)), SMALL, cache=tmp_path, report=messages.append)
    assert not any("tokenizing" in message for message in messages)
    assert second.folder == first.folder
    assert second.hash == first.hash
    assert second.description.startswith(f"{renamed}: 701 documents (blank-line-separated blocks)")


def test_hash_is_of_the_content(tmp_path: Path, text_file: Path) -> None:
    first = prepare_file(text_file, tmp_path / "a")
    assert prepare_file(text_file, tmp_path / "b").hash == first.hash
    other = prepare_file(text_file, tmp_path / "a", TokenizerConfig(vocab_size=499))
    assert other.hash != first.hash
    changed = text_file.read_text(encoding="utf-8") + "More."
    text_file.write_text(changed, encoding="utf-8")
    assert prepare_file(text_file, tmp_path / "a").hash != first.hash


@pytest.mark.parametrize("kind", ["word", "unigram", "bytes", "characters"])
def test_every_kind_of_tokenizer(tmp_path: Path, text_file: Path, kind: str) -> None:
    prepared = prepare_file(text_file, tmp_path, TokenizerConfig(kind=kind, vocab_size=401))
    split = prepared.split("train")
    assert split.block_bytes(range(split.num_blocks(2)), length=2) == split.num_bytes
    assert prepared.vocab.size == prepared.meta.vocab_size
    if kind != "word":
        text = split.document_text(0)
        assert text.encode().startswith(text_file.read_bytes()[: len(text.encode())])


@pytest.mark.parametrize("name", ["meta.json", "tokenizer.json", "train.tokens", "test.long"])
@pytest.mark.parametrize("damage", values("cut", slow=["missing", "longer"]))
def test_a_damaged_cache_is_built_again(
    tmp_path: Path, prepared: Prepared, text_file: Path, name: str, damage: str
) -> None:
    first = prepare_file(text_file, tmp_path)
    path = first.folder / name
    if damage == "missing":
        path.unlink()
    else:
        raw = path.read_bytes()
        path.write_bytes(raw[: len(raw) // 2] if damage == "cut" and raw else raw + b"x")
    again = prepare_file(text_file, tmp_path)
    assert again.hash == prepared.hash
    assert documents(again.split("test")) == documents(prepared.split("test"))
    assert folders(tmp_path) == [first.folder.name]


@pytest.mark.parametrize("after", [1, 5, 9])
def test_a_full_disk_leaves_nothing(
    tmp_path: Path, text_file: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    write, calls = SplitWriter._write, iter(range(after))

    def fill(self: SplitWriter, what: str, values: np.ndarray) -> None:
        if next(calls, None) is None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(self, what, values)

    monkeypatch.setattr(SplitWriter, "_write", fill)
    with pytest.raises(UserError, match=r"disk is full") as error:
        prepare_file(text_file, tmp_path)
    assert "\n" not in str(error.value)
    assert folders(tmp_path) == []


def test_an_interrupt_leaves_nothing(
    tmp_path: Path, text_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(self: SplitWriter, what: str, values: np.ndarray) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(SplitWriter, "_write", interrupt)
    with pytest.raises(KeyboardInterrupt):
        prepare_file(text_file, tmp_path)
    assert folders(tmp_path) == []


@pytest.mark.parametrize("source", ["python-docs", "-", "file"])
def test_a_cache_that_cannot_be_written(
    text_file: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    cache = text_file / "cache"  # below a file
    data = DataConfig(source=str(text_file) if source == "file" else source)
    with text_file.open() as stream:
        monkeypatch.setattr("sys.stdin", stream)
        with pytest.raises(UserError, match=r"cannot be (written|read).*; *(choose|check)|folder"):
            prepare(data, SMALL, cache=cache)


def test_too_wide_ids_for_two_bytes(tmp_path: Path, prepared: Prepared) -> None:
    words = {f"w{number}": number for number in range(70_001)}
    for name in ("[UNK]", "[EOS]", "[BOS]", "[PAD]"):
        words[name] = len(words)
    library = tokenizers.Tokenizer(models.WordLevel(words, "[UNK]"))
    library.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    library.save(str(tmp_path / "tokenizer.json"))
    ids = np.random.default_rng(0).integers(70_001, size=997)
    (tmp_path / "text.txt").write_text(" ".join(f"w{number}" for number in ids))
    large = prepare(
        DataConfig(source=str(tmp_path / "text.txt"), shares=(1.0, 0.0, 0.0)),
        TokenizerConfig(file=str(tmp_path / "tokenizer.json")),
        cache=tmp_path,
    )
    assert large.split("train").document(0).ids.tolist() == ids.tolist()


WITH_ANOTHER_ROLE = """
import sys
from pathlib import Path
from lmcompare import vocab
vocab.ALIASES = {**vocab.ALIASES, "turn": (vocab.spare(0), "<turn>")}
from lmcompare.data import DataConfig, TokenizerConfig, prepare

config = TokenizerConfig(vocab_size=509)
for cache in sys.argv[2:]:
    prepared = prepare(DataConfig(source=sys.argv[1]), config, cache=Path(cache))
    print(prepared.hash, prepared.vocab.size, prepared.vocab.require("turn"))
"""


@pytest.mark.slow
def test_a_role_that_is_added_changes_no_text(text_file: Path, tmp_path: Path) -> None:
    """It is that of a spare token, which what was prepared before has too."""
    before = prepare_file(text_file, tmp_path / "a", SMALL)
    said = subprocess.run(
        [sys.executable, "-c", WITH_ANOTHER_ROLE, text_file, tmp_path / "a", tmp_path / "b"],
        capture_output=True,
        text=True,
        check=True,
    )
    lines = said.stdout.splitlines()
    assert len(lines) == 2
    for line in lines:
        found, size, number = line.split()
        assert (found, int(size)) == (before.hash, 509)
        assert before.tokenizer.pieces([int(number)]) == [spare(0)]
    assert len([*(tmp_path / "a" / "prepared").glob("*/meta.json")]) == 1, "it is found again"


def test_what_was_prepared_without_spare_tokens_is_found(text_file: Path, tmp_path: Path) -> None:
    bare = TokenizerConfig(vocab_size=509, spare=0)
    one, other = (prepare_file(text_file, tmp_path, config) for config in (bare, SMALL))
    assert one.folder != other.folder
    assert one.hash != other.hash
    assert one.vocab.size == other.vocab.size == 509
    assert len(one.vocab.regular) == len(other.vocab.regular) + NUM_SPARES
