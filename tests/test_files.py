"""Names of files, and what killed processes leave."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lmcompare import files

TEXTS = [
    *("a/b", "a_b", "a:b", "a b", "/a/b", "a/b/", "\u00e9t\u00e9", "e\u0301t\u00e9"),
    *("..", ".", "", "-", ".a", "a", "\udcff", "a\nb", "15%", "15_", "\u4e2d" * 50, "\u4e2d" * 51),
    *("x" * 99, "x" * 100, "x" * 101, "x" * 240, "x" * 120 + "y" + "x" * 119),
]


def test_names_are_short_plain_and_unlike() -> None:
    names = [files.name_of(text) for text in TEXTS]
    assert len(set(names)) == len(TEXTS)
    for name in names:
        assert 0 < len(name.encode()) <= files.LONGEST_NAME
        assert not name.startswith(".")
        assert not set(name) & set("/\\:\n\0 ")
    assert files.name_of("likelihood-validation-w33") == "likelihood-validation-w33"
    long = files.name_of("likelihood-" + "/home/of/somebody" * 20 + "-causal-w33")
    assert long.startswith("likelihood-_home")
    assert "-causal-w33-" in long


KILLED = """
import os, signal, sys
from pathlib import Path
from lmcompare import files

place = Path(sys.argv[1])
if sys.argv[2] == "file":
    replace = Path.replace
    Path.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
    files.write_text(place, "a part")
with files.new_folder(place, replace=True) as new:
    (new / "model").write_text("new")
    if sys.argv[2] == "aside":
        rename = Path.rename
        Path.rename = lambda path, to: (rename(path, to), os.kill(os.getpid(), signal.SIGKILL))
    else:
        os.kill(os.getpid(), signal.SIGKILL)
"""


def killed(place: Path, how: str) -> None:
    ended = subprocess.run([sys.executable, "-c", KILLED, place, how], check=False)
    assert ended.returncode == -signal.SIGKILL


@pytest.mark.parametrize("how", ["file", "folder"])
def test_what_a_killed_process_left_is_removed_by_the_next(tmp_path: Path, how: str) -> None:
    killed(tmp_path / "place", how)
    (left,) = tmp_path.iterdir()
    files.write_text(tmp_path / "other", "x")
    assert not left.exists()
    assert [path.name for path in tmp_path.iterdir()] == ["other"]


def test_what_was_put_aside_comes_back(tmp_path: Path) -> None:
    place = tmp_path / "place"
    with files.new_folder(place) as new:
        (new / "model").write_text("old")
    killed(place, "aside")
    assert not place.exists()
    files.write_text(tmp_path / "other", "x")
    assert (place / "model").read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other", "place"]


def test_what_a_living_process_writes_is_left_alone(tmp_path: Path) -> None:
    with files.new_folder(tmp_path / "one") as new:
        files.write_text(tmp_path / "two", "x")
        assert new.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two"]


def test_no_process_number_is_in_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a container every process may have the same."""
    monkeypatch.setattr(os, "getpid", lambda: 7)
    killed(tmp_path / "export", "folder")
    with files.new_folder(tmp_path / "export") as new:
        (new / "model").write_text("x")
    assert [path.name for path in tmp_path.iterdir()] == ["export"]


def test_a_checksum_follows_the_content(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"abcdef")
    assert files.checksum(file) == files.checksum_of(b"abcdef")
    assert files.checksum(file, size=3) == files.checksum_of(b"abc")
    file.write_bytes(b"abcdefg")
    assert files.checksum(file) == files.checksum_of(b"abcdefg")
