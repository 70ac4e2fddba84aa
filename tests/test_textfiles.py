"""What a line is, and that no file floods the memory."""

import gzip
import io
import lzma
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from lmcompare.errors import UserError
from lmcompare.paths import matching, suffix_of, user_path
from lmcompare.textfiles import MB, as_text, cut_lines, lines_of, open_text, read_lines, read_whole
from tests.conftest import values

COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": gzip.compress,
    ".XZ": lzma.compress,
    ".Zst": zstandard.compress,
}
NO_ENDS = "a\x0bb\x0cc\x1cd\x1de\x1ef\x85g\u2028h\u2029i"  # where str.splitlines ends a line


@pytest.mark.parametrize("suffix", COMPRESS)
@pytest.mark.parametrize(
    ("content", "lines"),
    [
        ("", []),
        ("\n", [""]),
        ("a", ["a"]),
        ("a\nb\n", ["a", "b"]),
        ("a\r\n\r\nb", ["a", "", "b"]),
        ("a\r\rb\r", ["a", "", "b"]),
        ("a\rb\n", ["a", "b"]),
        ("a\rb\nc\n", ["a\rb", "c"]),
        ("a\r", ["a"]),
        (f"{NO_ENDS}\n{NO_ENDS}", [NO_ENDS, NO_ENDS]),
        ("\ufeffa\n\ufeffb", ["a", "\ufeffb"]),
        ("\ufeff", [""]),
    ],
)
def test_lines(content: str, lines: list[str], suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.txt{suffix}"
    path.write_bytes(COMPRESS[suffix](content.encode()))
    assert list(read_lines(path)) == [*enumerate(lines, start=1)]
    stream = as_text(io.BytesIO(content.encode()), name="standard input")
    assert [line for _, line in lines_of(stream, name="standard input")] == lines


def test_a_whole_file_has_newlines_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    for content in (b"\xef\xbb\xbfa = 1\r\nb = 2\r\n", b"a = 1\rb = 2\r", b"a = 1\nb = 2\n"):
        path.write_bytes(content)
        assert read_whole(path) == "a = 1\nb = 2\n"
    with pytest.raises(UserError, match=r"a.toml' is longer than 1.1e-05 MB: name another file"):
        read_whole(path, limit=11)


def test_offsets_are_those_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"one\r\rthree\r")
    with open_text(tmp_path / "a.txt") as stream:
        lines = [*cut_lines(stream, name="a.txt")]
    assert [line.offset for line in lines] == [0, 4, 5]
    (tmp_path / "a.txt").write_bytes(b"one\n\nca\xe9\n")
    with pytest.raises(UserError, match=r"'.*a.txt' is not UTF-8: in line 3, byte 7 is 0xe9; conv"):
        list(read_lines(tmp_path / "a.txt"))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"x" * 12, r"line 1 of 'a.txt' is longer than 1.1e-05 MB: cut it"),
        (b"x\n" + b"x" * 12, r"line 2 of 'a.txt' is longer"),
        (b"abcde\r" * 3, r"the lines of 'a.txt' end with carriage returns alone: .*tr '\\r' '\\n'"),
    ],
)
def test_a_line_has_a_limit(content: bytes, says: str) -> None:
    with pytest.raises(UserError, match=says):
        list(cut_lines(as_text(io.BytesIO(content), name="a.txt"), name="a.txt", limit=11))


@pytest.mark.parametrize("suffix", values(".gz", slow=[".XZ", ".Zst"]))
@pytest.mark.parametrize(
    ("unit", "says"), [(b"\0", "binary file"), (b" ", "packed more"), (b"a b c\n" * 97, "packed")]
)
def test_what_is_packed_too_tightly(unit: bytes, says: str, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.txt{suffix}"
    path.write_bytes(COMPRESS[suffix](unit * (97 * MB // len(unit))))
    tracemalloc.start()
    with pytest.raises(UserError, match=says):
        read_whole(path)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 97 * MB


def test_what_is_packed_as_text_is(tmp_path: Path) -> None:
    path = tmp_path / "a.txt.gz"
    content = "".join(f"{number:07} {number * 7919 % 99991:05}\n" for number in range(1_500_007))
    path.write_bytes(gzip.compress(content.encode(), compresslevel=1))
    assert read_whole(path) == content


def test_suffixes_without_case_and_compression() -> None:
    names = ["a.TXT", "a.Jsonl.GZ", "a.tar.gz", "README", "README.zst", "a.b.MD"]
    suffixes = [".txt", ".jsonl", ".tar", "", "", ".md"]
    assert [suffix_of(Path(name)) for name in names] == suffixes


def test_patterns(tmp_path: Path) -> None:
    for name in ("a.txt", "[b].txt", "c/d.txt", "*.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()

    def names(pattern: str, folder: Path | None = tmp_path) -> list[str]:
        return [path.relative_to(tmp_path).as_posix() for path in matching(pattern, folder=folder)]

    assert names("[b].txt") == ["[b].txt"]
    assert names("*.txt") == ["*.txt"]
    assert names("?.txt") == ["*.txt", "a.txt"]
    assert names("**/d.*") == ["c/d.txt"]
    assert names(f"{tmp_path}/c/*") == names(f"{tmp_path}/c/*", None) == ["c/d.txt"]
    assert names("nothing") == names("**nothing") == names("~nobody/x") == names("x" * 999) == []
    with pytest.raises(UserError, match=r"'a\\x00b' is not a path, as it holds a NUL character"):
        user_path("a\0b")
