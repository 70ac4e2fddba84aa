"""Whatever happens to the files of a prepared cache, what is read is right, or is refused."""

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lmcompare.data import (
    DataConfig,
    Prepared,
    TokenizerConfig,
    find_prepared,
    open_corpus,
    prepare,
    python_docs,
)
from lmcompare.data.corpus import SPLIT_NAMES, split_of
from tests.conftest import values

TOKENIZER = TokenizerConfig(kind="word", vocab_size=131)
FILES = [
    "meta.json",
    "tokenizer.json",
    *(
        f"{name}.{what}"
        for name in SPLIT_NAMES
        for what in ("tokens", "spans", "documents", "long")
    ),
]
Draw = np.random.Generator


def text() -> str:
    """Paragraphs, and for each split one with a word of 33 KB, as only such a word is `long`."""
    words, draw = [f"w{number}" for number in range(7)], np.random.default_rng(0)
    rows = [" ".join(draw.choice(words, size=11)) for _ in range(211)]
    shares, wanted = data_of(Path()).shares, {*SPLIT_NAMES}
    for number in range(101):
        row = f"{number}" + "x" * 33_003
        if (name := split_of(row, shares)) in wanted:
            wanted.remove(name)
            rows.append(row)
    return "\n\n".join(rows)


def data_of(path: Path) -> DataConfig:
    return DataConfig(source=str(path), shares=(0.5, 0.25, 0.25))


def content(prepared: Prepared) -> dict[str, bytes]:
    """All that can be read of it."""
    assert prepared.hash == prepared.meta.hash
    return {path.name: path.read_bytes() for path in prepared.folder.iterdir()}


@pytest.fixture(autouse=True)
def unsynced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out what only a loss of power would show, and takes most of the time."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("source") / "text.txt"
    path.write_text(text())
    return path


@pytest.fixture(scope="module")
def whole(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """What no mutation touches."""
    return prepare(data_of(source), TOKENIZER, cache=tmp_path_factory.mktemp("whole"))


def flip(raw: bytes, draw: Draw) -> bytes:
    place = int(draw.integers(len(raw)))
    return raw[:place] + bytes([raw[place] ^ (1 << int(draw.integers(8)))]) + raw[place + 1 :]


def swap_halves(raw: bytes, draw: Draw) -> bytes:
    half = len(raw) // 2 // 8 * 8
    return raw[half:] + raw[:half]


def truncate(raw: bytes, draw: Draw) -> bytes:
    return raw[: int(draw.integers(len(raw)))]


def extend(raw: bytes, draw: Draw) -> bytes:
    return raw + draw.bytes(int(draw.integers(1, 17)))


def repeat(raw: bytes, draw: Draw) -> bytes:
    return raw + raw[-8:]


def zero(raw: bytes, draw: Draw) -> bytes:
    return bytes(len(raw))


def edit_digit(raw: bytes, draw: Draw) -> bytes:
    places = [found.start() for found in re.finditer(rb"\d", raw)]
    place = places[int(draw.integers(len(places)))]
    digit = b"%d" % ((int(raw[place : place + 1]) + int(draw.integers(1, 10))) % 10)
    return raw[:place] + digit + raw[place + 1 :]


def mutations() -> list[tuple[str, Callable[[Path, Draw], None]]]:
    def change(name: str, how: Callable[[bytes, Draw], bytes]) -> Callable[[Path, Draw], None]:
        def mutate(folder: Path, draw: Draw) -> None:
            path = folder / name
            path.write_bytes(how(path.read_bytes(), draw))

        return mutate

    def delete(name: str) -> Callable[[Path, Draw], None]:
        return lambda folder, draw: (folder / name).unlink()

    def into_a_folder(name: str) -> Callable[[Path, Draw], None]:
        def mutate(folder: Path, draw: Draw) -> None:
            (folder / name).unlink()
            (folder / name).mkdir()

        return mutate

    def swap(one: str, other: str) -> Callable[[Path, Draw], None]:
        def mutate(folder: Path, draw: Draw) -> None:
            left, right = (folder / one).read_bytes(), (folder / other).read_bytes()
            (folder / one).write_bytes(right)
            (folder / other).write_bytes(left)

        return mutate

    found = []
    for name in FILES:
        for how in (flip, flip, swap_halves, truncate, extend, repeat, zero):
            found.append((f"{name} {how.__name__}", change(name, how)))
        if name.endswith(".json"):
            found += [(f"{name} edit_digit", change(name, edit_digit))] * 5
        found.append((f"{name} delete", delete(name)))
        found.append((f"{name} folder", into_a_folder(name)))
    for one, other in zip(FILES, [*FILES[3:], *FILES[:3]], strict=True):
        found.append((f"{one} for {other}", swap(one, other)))
    return found


MUTATIONS = mutations()


def test_there_are_many_and_every_file_has_content(whole: Prepared) -> None:
    assert len(MUTATIONS) > 100
    assert sorted(path.name for path in whole.folder.iterdir()) == sorted(FILES)
    assert all(path.stat().st_size for path in whole.folder.iterdir())


@pytest.mark.parametrize("part", values(0, 1, slow=range(2, 8)))
def test_what_is_read_is_right_and_the_damage_is_told(
    tmp_path: Path, source: Path, whole: Prepared, part: int
) -> None:
    data, expected = data_of(source), content(whole)
    folder = tmp_path / "prepared" / whole.folder.name
    for number, (what, mutate) in list(enumerate(MUTATIONS))[part::8]:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(whole.folder, folder)
        mutate(folder, np.random.default_rng(number))
        told: list[str] = []
        found = find_prepared(whole.hash, name=str(source), cache=tmp_path, warn=told.append)
        assert found is None, what
        assert len(told) == (what.split()[0] != "meta.json" and "meta.json" not in what), what
        told.clear()
        again = prepare(data, TOKENIZER, cache=tmp_path, warn=told.append)
        assert content(again) == expected, what
        (line,) = told
        assert f"the prepared text in {folder} cannot be used (" in line, what
        assert find_prepared(whole.hash, name=str(source), cache=tmp_path) == again, what


def test_one_cache_in_the_place_of_another(tmp_path: Path, source: Path, whole: Prepared) -> None:
    other = tmp_path / "other.txt"
    other.write_text(text()[::-1])
    wrong = prepare(data_of(other), TOKENIZER, cache=tmp_path)
    wrong.folder.rename(wrong.folder.with_name(whole.folder.name))
    told: list[str] = []
    again = prepare(data_of(source), TOKENIZER, cache=tmp_path, warn=told.append)
    assert content(again) == content(whole)
    assert len(told) == 1


def test_the_text_of_python_is_checked_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(python_docs, "collect", lambda: iter(["one", "two"]))

    def read() -> list[str]:
        return list(open_corpus("python-docs", data=DataConfig(), cache=tmp_path).texts())

    assert read() == ["one", "two"]
    (path,) = tmp_path.glob("*.jsonl")
    raw = path.read_bytes()
    for number, how in enumerate((flip, swap_halves, truncate, extend, repeat, zero)):
        path.write_bytes(how(raw, np.random.default_rng(number)))
        assert read() == ["one", "two"], how
        assert path.read_bytes() == raw
    old = tmp_path / path.name.replace(path.stem.rpartition("-")[2], "0" * 32)
    path.rename(old)
    assert read() == ["one", "two"]
    assert list(tmp_path.glob("*.jsonl")) == [path]
