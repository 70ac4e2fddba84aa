"""What users get wrong: each is one sentence that says what is wrong and what to do."""

import gzip
import io
import json
import lzma
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import zstandard

from lmcompare.data import DataConfig, TokenizerConfig, open_corpus, prepare
from lmcompare.errors import UserError

NOISE = os.urandom(20_011).hex().encode()


def json_line(path: Path, line: str) -> None:
    path.write_text('{"text": "fine"}\n' + line + "\n", encoding="utf-8")


def folder_of(path: Path, *names: str) -> None:
    path.mkdir()
    for name in names:
        (path / name).write_bytes(b"x")


# name of the source, how it comes about, what the sentence must contain
CASES: list[tuple[str, Callable[[Path], object], str]] = [
    ("missing.txt", lambda path: None, r"no file, folder or match"),
    ("novles.txt", lambda path: path.with_name("novels.txt").touch(), r"did you mean 'novels.txt'"),
    ("python-doc", lambda path: None, r"did you mean 'python-docs'"),
    ("nothing/*.txt", lambda path: None, r"no file, folder or match"),
    ("empty.txt", Path.touch, r"empty"),
    ("blank.txt", lambda path: path.write_text(" \n\n \t\n"), r"white space"),
    ("program.txt", lambda path: path.write_bytes(b"\x7fELF\0\0"), r"binary file.*NUL"),
    ("wide.txt", lambda path: path.write_text("hello", encoding="utf-16"), r"UTF-16"),
    ("latin.txt", lambda path: path.write_bytes(b"one\n\ncaf\xe9\n"), r"byte 8 is 0xe9.*replace"),
    (
        "latin.txt.gz",
        lambda path: path.write_bytes(gzip.compress(b"one\n\ncaf\xe9\n")),
        r"byte 8 is 0xe9.*replace",
    ),
    ("line.txt", lambda path: path.write_bytes(b"x" * 1_000_001), r"line 1 .* longer than 1 MB"),
    ("block.txt", lambda path: path.write_bytes(b"x\n" * 500_001), r"longer than 1 MB: cut it"),
    ("line.jsonl", lambda path: path.write_bytes(b'{"' * 500_001), r"longer than 1 MB"),
    ("book.pdf", Path.touch, r"type that is not read, '.pdf'"),
    ("table.csv", Path.touch, r"type that is not read, '.csv'"),
    ("a.parquet.gz", Path.touch, r"type that is not read"),
    ("cut.txt.gz", lambda path: path.write_bytes(gzip.compress(NOISE)[:-99]), r"damaged or cut"),
    ("cut.txt.xz", lambda path: path.write_bytes(lzma.compress(NOISE)[:-99]), r"damaged or cut"),
    (
        "cut.txt.zst",
        lambda path: path.write_bytes(zstandard.compress(NOISE)[:-99]),
        r"damaged or cut",
    ),
    ("wrong.txt.gz", lambda path: path.write_text("plain"), r"damaged or cut short"),
    ("wrong.txt.xz", lambda path: path.write_text("plain"), r"damaged or cut short"),
    ("wrong.txt.zst", lambda path: path.write_text("plain"), r"damaged or cut short"),
    ("a.jsonl", lambda path: json_line(path, '{"text": '), r"line 2 of .* is not JSON"),
    ("a.jsonl", lambda path: json_line(path, "[" * 99_991), r"line 2 of .* is not JSON"),
    ("a.jsonl", lambda path: json_line(path, '["text"]'), r"line 2 of .* is a JSON list"),
    ("a.jsonl", lambda path: json_line(path, '{"a": 1, "b": 2}'), r"no field 'text': it has a, b;"),
    ("a.jsonl", lambda path: json_line(path, '{"text": 7}'), r"is int, not text"),
    ("a.jsonl", lambda path: json_line(path, '{"text": "\\ud83d"}'), r"half a surrogate pair"),
    ("a.parquet", lambda path: path.write_text("plain"), r"cannot be read as Parquet"),
    ("a.jsonl", lambda path: json_line(path, '{"n": ' + "1" * 4337 + "}"), r"too many digits"),
    ("a\0b.txt", lambda path: None, r"holds a NUL character"),
    ("x" * 999 + ".txt", lambda path: None, r"File name too long"),
    ("~nobody/a.txt", lambda path: None, r"no file, folder or match"),
    ("folder", lambda path: folder_of(path), r"holds no text: it has no file at all"),
    (
        "folder",
        lambda path: folder_of(path, "a.png"),
        r"holds no text: 1 of 1 files are not read \(1 .png\)",
    ),
]


@pytest.mark.parametrize(("name", "make", "says"), CASES, ids=[case[0] for case in CASES])
def test_a_bad_source_is_one_sentence(
    tmp_path: Path, name: str, make: Callable[[Path], object], says: str
) -> None:
    make(tmp_path / name)
    with pytest.raises(UserError) as error:
        list(
            open_corpus(
                str(tmp_path / name), data=DataConfig(max_document_mb=1), cache=tmp_path
            ).texts()
        )
    assert re.search(says, str(error.value))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("kind", ["string", "large_string", "dictionary"])
def test_a_column_that_is_not_utf_8(tmp_path: Path, kind: str) -> None:
    import pyarrow.parquet

    raw = pyarrow.array([b"fine", b"ca\xe9", None])
    column = raw.cast(pyarrow.large_binary()) if kind == "large_string" else raw
    text = pyarrow.large_string() if kind == "large_string" else pyarrow.string()
    column = pyarrow.Array.from_buffers(text, len(column), column.buffers())
    if kind == "dictionary":
        column = column.dictionary_encode()
    pyarrow.parquet.write_table(pyarrow.table({"text": column}), tmp_path / "a.parquet")

    def texts(**settings: str) -> list[str]:
        data = DataConfig.model_validate(settings)
        return list(open_corpus(str(tmp_path / "a.parquet"), data=data, cache=tmp_path).texts())

    says = r"'text' in row 2 of '.*a.parquet' is not UTF-8, as its byte 2 is 0xe9: .*encoding_error"
    with pytest.raises(UserError, match=says):
        texts()
    assert texts(encoding_errors="replace") == ["fine", "ca\ufffd"]


def test_missing_columns(tmp_path: Path) -> None:
    import pyarrow.parquet

    table = pyarrow.table({"body": ["x"], "n": [1]})
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(UserError, match=r"no field 'text': it has body, n;"):
        list(open_corpus(str(tmp_path / "a.parquet"), data=DataConfig(), cache=tmp_path).texts())
    data = DataConfig(field="n")
    with pytest.raises(UserError, match=r"row 1 of .* is int, not text"):
        list(open_corpus(str(tmp_path / "a.parquet"), data=data, cache=tmp_path).texts())


def test_missing_fields_of_a_dataset(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets", reason="needs the extra hf")
    datasets.Dataset.from_dict({"body": ["x"]}).save_to_disk(tmp_path / "set")
    (tmp_path / "empty").mkdir()
    for name, says in [
        (f"hf:{tmp_path / 'empty'}", r"cannot be opened \(.*: check its name and split"),
        (f"hf:{tmp_path / 'set'}", r"no field 'text': it has body;"),
        (f"hf:{tmp_path / 'set'}:test", r"cannot be opened .*test"),
    ]:
        with pytest.raises(UserError, match=says):
            list(open_corpus(name, data=DataConfig(), cache=tmp_path).texts())


def read_twice(path: Path) -> None:
    corpus = open_corpus(str(path), data=DataConfig(), cache=path.parent)
    corpus.hash()
    list(corpus.texts())


@pytest.mark.parametrize("method", ["open", "is_dir", "checksum"])
def test_a_file_that_may_not_be_read(
    text_file: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    def refuse(path: Path, *arguments: object, **options: object) -> None:
        raise PermissionError(13, "Permission denied")  # tests may run as root, who may read all

    if method == "checksum":
        monkeypatch.setattr("lmcompare.data.text_sources.checksum", refuse)
    else:
        monkeypatch.setattr(Path, method, refuse)
    with pytest.raises(UserError, match=r"cannot be read: Permission denied; check"):
        read_twice(text_file)


@pytest.mark.parametrize(
    ("name", "unit"), [("a.txt", "record"), ("a.jsonl", "line"), ("a.parquet", "file")]
)
def test_units_that_a_file_does_not_have(tmp_path: Path, name: str, unit: str) -> None:
    (tmp_path / name).touch()
    with pytest.raises(UserError, match=r"choose data.document ="):
        open_corpus(str(tmp_path / name), data=DataConfig(document=unit), cache=tmp_path)


@pytest.mark.parametrize("package", ["zstandard", "pyarrow.parquet", "datasets"])
def test_a_missing_package_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    (tmp_path / "a.txt.zst").write_bytes(b"x")
    (tmp_path / "a.parquet").write_bytes(b"x")
    names = {
        "zstandard": str(tmp_path / "a.txt.zst"),
        "pyarrow.parquet": str(tmp_path / "a.parquet"),
        "datasets": f"hf:{tmp_path}",
    }
    says = rf"needs the package {package.split('.')[0]}: pip install"
    with pytest.raises(UserError, match=says):
        list(open_corpus(names[package], data=DataConfig(), cache=tmp_path).texts())


def test_no_source_and_no_pipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="no source of text"):
        open_corpus(data=DataConfig(), cache=tmp_path)
    terminal = io.BytesIO()
    terminal.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=terminal))
    with pytest.raises(UserError, match="standard input is a terminal"):
        open_corpus("-", data=DataConfig(), cache=tmp_path)


def test_too_little_text_for_a_split(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("\n\n".join(f"word {number}" for number in range(211)))
    with pytest.raises(UserError, match=r"the validation split has .*data.document = line"):
        prepare(DataConfig(source=str(path)), TokenizerConfig(kind="bytes"), cache=tmp_path / "c")
    assert [item for item in (tmp_path / "c" / "prepared").iterdir() if item.is_dir()] == []
    data = DataConfig(source=str(path), shares=(1, 0, 0))
    prepared = prepare(data, TokenizerConfig(kind="bytes"), cache=tmp_path / "c")
    assert prepared.split("validation").num_tokens == 0
    with pytest.raises(UserError, match=r"the test split has 0 tokens, fewer than one block"):
        prepared.split("test").num_blocks(13)


@pytest.mark.parametrize(("kind", "size"), [("bpe", 99_991), ("unigram", 99_991), ("word", 99_991)])
def test_a_vocabulary_that_the_text_does_not_support(text_file: Path, kind: str, size: int) -> None:
    data = DataConfig(source=str(text_file))
    with pytest.raises(UserError, match=rf"{kind} vocabulary of 99,991 .* text supports is [\d,]+"):
        prepare(data, TokenizerConfig(kind=kind, vocab_size=size), cache=text_file.parent)
    with pytest.raises(UserError, match=r"the least it can have is [\d,]+"):
        prepare(data, TokenizerConfig(kind=kind, vocab_size=103), cache=text_file.parent)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, r"no tokenizer file .* did you mean 'tokenizer.json'"),
        ("{", r"is not a tokenizer.json"),
        (json.dumps({"model": 1}), r"is not a tokenizer.json"),
        (b"\xff\xfe", r"is not UTF-8"),
    ],
)
def test_a_bad_tokenizer_file(text_file: Path, content: str | bytes | None, says: str) -> None:
    text_file.with_name("tokenizer.json").touch()
    path = text_file.with_name("tokeniser.json")
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError, match=says) as error:
        prepare(
            DataConfig(source=str(text_file)),
            TokenizerConfig(file=str(path)),
            cache=text_file.parent / "c",
        )
    assert "\n" not in str(error.value)
