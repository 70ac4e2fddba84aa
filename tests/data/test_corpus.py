import gzip
import io
import json
import lzma
import os
import threading
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pyarrow
import pyarrow.parquet
import pytest
import zstandard
from pydantic import ValidationError

from lmcompare.data import DataConfig, open_corpus
from lmcompare.data.corpus import Corpus, not_read, split_of
from lmcompare.data.streams import remove_abandoned
from lmcompare.errors import UserError
from tests import DATA

BLOCKS = "One.\nStill one.\n\n\nTwo, \u6f22.\r\n\r\nThree \N{GRINNING FACE}"
DOCUMENTS = ["One.\nStill one.", "Two, \u6f22.", "Three \N{GRINNING FACE}"]


def corpus(*names: Path | str, cache: Path = Path("unused"), **settings: object) -> Corpus:
    return open_corpus(*map(str, names), data=DataConfig(**settings), cache=cache)


def write(path: Path, text: str) -> Path:
    raw = text.encode()
    compress = {
        ".gz": gzip.compress,
        ".xz": lzma.compress,
        ".zst": zstandard.ZstdCompressor().compress,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(compress.get(path.suffix, bytes)(raw))
    return path


@pytest.mark.parametrize("suffix", ["", ".gz", ".xz", ".zst"])
@pytest.mark.parametrize(
    ("unit", "expected"),
    [
        ("auto", DOCUMENTS),
        ("block", DOCUMENTS),
        ("file", [BLOCKS]),
        ("line", ["One.", "Still one.", *DOCUMENTS[1:]]),
    ],
)
def test_text_file(tmp_path: Path, suffix: str, unit: str, expected: list[str]) -> None:
    path = write(tmp_path / f"a.txt{suffix}", BLOCKS)
    assert list(corpus(path, document=unit).texts()) == expected


@pytest.mark.parametrize("suffix", ["", ".gz", ".xz", ".zst"])
def test_json_lines(tmp_path: Path, suffix: str) -> None:
    lines = "\n".join(json.dumps({"n": 1, "body": text}) for text in [*DOCUMENTS, "", " \n"])
    path = write(tmp_path / f"a.jsonl{suffix}", lines + '\n\n{"body": null}\n')
    found = corpus(path, field="body")
    assert found.kind == "records"
    assert list(found.texts()) == DOCUMENTS


def test_compressed_files_of_several_parts(tmp_path: Path) -> None:
    for suffix in (".gz", ".xz", ".zst"):
        whole = write(tmp_path / f"part.txt{suffix}", BLOCKS * 1009).read_bytes()
        (tmp_path / f"two.txt{suffix}").write_bytes(whole + whole)
        read = corpus(tmp_path / f"two.txt{suffix}", document="file").texts()
        assert "".join(read) == BLOCKS * 2018


def test_parquet(tmp_path: Path) -> None:
    texts = [f"row {number}" for number in range(307)]
    table = pyarrow.table({"id": range(308), "text": [*texts, None]})
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet", row_group_size=101)
    found = corpus(tmp_path / "a.parquet")
    assert found.kind == "records"
    assert list(found.texts()) == texts


@pytest.mark.parametrize("layout", ["saved", "saved dictionary", "json lines"])
def test_hugging_face_folder(tmp_path: Path, layout: str, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets", reason="needs the extra hf")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    folder = tmp_path / "set"
    dataset = datasets.Dataset.from_dict({"text": DOCUMENTS, "label": [0, 1, 2]})
    if layout == "saved":
        dataset.save_to_disk(folder)
    elif layout == "saved dictionary":
        datasets.DatasetDict({"train": dataset.select([0]), "test": dataset}).save_to_disk(folder)
    else:
        lines = "\n".join(json.dumps({"text": text}) for text in DOCUMENTS)
        write(folder / "test.jsonl", lines)
        write(folder / "train.jsonl", lines.split("\n")[0])
    name = f"hf:{folder}" if layout == "saved" else f"hf:{folder}:test"
    found = corpus(name)
    assert found.kind == "records"
    assert list(found.texts()) == DOCUMENTS
    assert found.hash() == corpus(name).hash()
    if layout != "saved":
        assert list(corpus(f"hf:{folder}").texts()) == DOCUMENTS[:1]


def test_folder_is_read_in_order_by_file(tmp_path: Path) -> None:
    for name in ("b.txt", "a/z.md.gz", "a/b.txt", "LICENSE", ".hidden/x.txt", "picture.png"):
        write(tmp_path / name, f"{name}\n\nend")
    found = corpus(tmp_path)
    assert found.kind == "files"
    names = ["LICENSE", "a/b.txt", "a/z.md.gz", "b.txt"]
    assert list(found.texts()) == [f"{name}\n\nend" for name in names]


def test_a_folder_loses_nothing_in_silence(tmp_path: Path) -> None:
    books, elsewhere = tmp_path / "books", tmp_path / "elsewhere"
    for name, text in [
        ("A.TXT", "a"),
        ("b.JSONL", '{"text": "b"}'),
        ("c.Txt.GZ", "c"),
        ("notes.pdf", "not read"),
        ("more.PDF", "not read"),
        (".hidden.txt", "not read"),
        (".git/x.txt", "not read"),
    ]:
        write(books / name, text)
    (books / "c.Txt.GZ").write_bytes(gzip.compress(b"c"))
    write(elsewhere / "d.txt", "d")
    (books / "linked").symlink_to(elsewhere)
    (elsewhere / "round").symlink_to(books)
    (books / "gone.txt").symlink_to(tmp_path / "nowhere")
    (books / "z.txt").symlink_to(books / "A.TXT")
    os.mkfifo(books / "pipe.txt")
    assert list(corpus(books).texts()) == ["a", "b", "c", "d"]
    (sentence,) = not_read(DataConfig(source=str(books)))
    assert sentence.startswith(f"'{books}': 8 of 12 files are not read (")
    for part in (
        *("2 hidden", "1 .pdf", "1 .PDF", "1 broken link", "1 not a regular file"),
        *("1 second name of a file", "1 second name of a folder"),
    ):
        assert part in sentence


def test_what_a_pattern_names_and_is_not_read_is_said(tmp_path: Path) -> None:
    for name in ("a.txt", "b.txt", "c/d.txt"):
        write(tmp_path / name, name)
    (tmp_path / "e.txt").symlink_to("a.txt")
    data = DataConfig(source=f"{tmp_path}/*", validation=str(tmp_path / "c"))
    (sentence,) = not_read(data)
    assert "2 of 4 files are not read (1 folder, 1 second name of a file)" in sentence
    assert list(corpus(f"{tmp_path}/*").texts()) == ["a.txt", "b.txt"]
    assert not [*not_read(DataConfig()), *not_read(DataConfig(source=str(tmp_path / "nowhere")))]


def test_old_line_ends(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(BLOCKS.replace("\r\n", "\n").replace("\n", "\r").encode())
    assert list(corpus(path).texts()) == DOCUMENTS


def test_glob_and_several_sources(tmp_path: Path) -> None:
    for name in ("1.txt", "2.txt", "3.md", "sub/4.txt"):
        write(tmp_path / name, name)
    assert list(corpus(tmp_path / "*.txt").texts()) == ["1.txt", "2.txt"]
    assert list(corpus(tmp_path / "**/*.txt").texts()) == ["1.txt", "2.txt", "sub/4.txt"]
    assert list(corpus(tmp_path / "3.md", tmp_path / "1.txt").texts()) == ["3.md", "1.txt"]


def test_mixed_sources_say_what_their_documents_are(tmp_path: Path) -> None:
    write(tmp_path / "a.txt", BLOCKS)
    write(tmp_path / "b.jsonl", '{"text": "record"}')
    found = corpus(tmp_path)
    assert found.kind == "blank-line-separated blocks, records"
    assert list(found.texts()) == [*DOCUMENTS, "record"]


@pytest.mark.parametrize("unit", ["auto", "line", "record"])
def test_standard_input_is_read_once_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unit: str
) -> None:
    raw = b'{"text": "one"}\n\n{"text": "two"}\n'
    stream = io.BytesIO(raw)
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=stream))
    found = corpus("-", cache=tmp_path / "new", document=unit)
    expected = ["one", "two"] if unit == "record" else ['{"text": "one"}', '{"text": "two"}']
    assert list(found.texts()) == list(found.texts()) == expected
    assert stream.read() == b""
    again = corpus("-", cache=tmp_path / "new", document=unit)  # by another run
    assert list(again.texts()) == expected
    kept = [path for path in (tmp_path / "new").iterdir() if path.suffix != ".lock"]
    assert [path.read_bytes() for path in kept] == [raw]
    remove_abandoned(tmp_path / "new")
    assert list(found.texts()) == expected, "its owner lives"


def test_a_closed_standard_input_and_a_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = io.BytesIO()
    stream.close()
    for closed in (None, SimpleNamespace(buffer=stream)):
        monkeypatch.setattr("sys.stdin", closed)
        with pytest.raises(UserError, match="standard input is closed: pipe text into it, or"):
            corpus("-", cache=tmp_path)
    with pytest.raises(UserError, match="'/dev/null' is a terminal or a device, not a text"):
        corpus("/dev/null", cache=tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_named_pipe_is_read_once(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(BLOCKS.encode(),))
    writer.start()
    found = corpus(pipe, cache=tmp_path)
    writer.join()
    assert list(found.texts()) == list(found.texts()) == DOCUMENTS
    assert list(corpus(pipe, cache=tmp_path).texts()) == DOCUMENTS, "nobody writes to it now"


def test_a_byte_order_mark_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfwindows")
    assert list(corpus(tmp_path / "a.txt").texts()) == ["windows"]


def test_bytes_that_are_not_utf8_can_be_replaced(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"fianc\xe9 au lait")
    (tmp_path / "b.jsonl").write_text('{"text": "half \\ud83d"}')
    found = corpus(tmp_path, encoding_errors="replace")
    assert list(found.texts()) == ["fianc\N{REPLACEMENT CHARACTER} au lait", "half ?"]


def test_hash_is_of_content_and_reading(tmp_path: Path) -> None:
    first, other = write(tmp_path / "a.txt", BLOCKS), write(tmp_path / "b.txt", BLOCKS)
    assert corpus(first).hash() == corpus(other).hash()
    assert corpus(first).hash() != corpus(first, document="line").hash()
    assert corpus(first).hash() != corpus(first, encoding_errors="replace").hash()
    write(other, BLOCKS + "more")
    assert corpus(first).hash() != corpus(other).hash()


@pytest.mark.slow
def test_python_docs(python_docs: list[str], shared_cache: Path) -> None:
    size = sum(len(text.encode()) for text in python_docs)
    assert 1_500_000 < size < 3_000_000
    assert len(set(python_docs)) == len(python_docs) > 500
    found = corpus("python-docs", cache=shared_cache)
    assert "Python" in found.kind
    assert list(found.texts()) == python_docs
    assert any("with_statement" in text or "context manager" in text for text in python_docs)


@pytest.mark.parametrize(
    "shares", [(0.9, 0.05, 0.05), (0.5, 0.2, 0.3), (0.8, 0.2, 0.0), (1.0, 0.0, 0.0)]
)
def test_splits_have_their_shares(shares: tuple[float, float, float]) -> None:
    num_documents = 5003
    counts = Counter(split_of(f"document {number}", shares) for number in range(num_documents))
    for name, share in zip(("train", "validation", "test"), shares, strict=True):
        deviation = (num_documents * share * (1 - share)) ** 0.5
        assert abs(counts[name] - num_documents * share) <= 4 * deviation


@pytest.mark.parametrize(
    "settings",
    [
        {"shares": (0.5, 0.2, 0.2)},
        {"shares": (0, 0.5, 0.5)},
        {"shares": (1.2, -0.1, -0.1)},
        {"max_document_mb": 0},
        {"document": "page"},
        {"sauce": "x"},
    ],
)
def test_configuration_is_checked(settings: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        DataConfig(**settings)


@pytest.mark.skipif(not DATA.is_dir(), reason="the shared corpora are not here")
def test_real_books() -> None:
    books = DATA / "standardebooks"
    texts = list(corpus(books / "train.txt.gz").texts())
    with gzip.open(books / "train.txt.gz") as file:
        raw = file.read().decode()
    assert "".join("".join(texts).split()) == "".join(raw.split())
