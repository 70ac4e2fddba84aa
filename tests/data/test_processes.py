"""Real processes that prepare the same text at once, or are killed while they do."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lmcompare.data import DataConfig, Prepared, TokenizerConfig, prepare
from tests import ROOT
from tests.conftest import values

SCRIPT = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
from pathlib import Path
from lmcompare.data import DataConfig, TokenizerConfig, prepare
from lmcompare.data.split_writer import SplitWriter

source, cache, pause = sys.argv[1], Path(sys.argv[2]), float(sys.argv[3])
finish = SplitWriter.finish

def slowly(self):
    print("writing", flush=True)
    time.sleep(pause)
    return finish(self)

SplitWriter.finish = slowly
try:
    prepared = prepare(DataConfig(source=source), TokenizerConfig(vocab_size=509), cache=cache)
except KeyboardInterrupt:
    sys.exit(130)
print(prepared.hash, flush=True)
"""


def start(source: Path, cache: Path, *, pause: float) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(source), str(cache), str(pause)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )


def folders(cache: Path) -> list[Path]:
    return [path for path in (cache / "prepared").iterdir() if path.is_dir()]


@pytest.mark.slow
def test_two_processes_do_the_work_once(
    tmp_path: Path, text_file: Path, prepared: Prepared
) -> None:
    with start(text_file, tmp_path, pause=0.3) as one, start(text_file, tmp_path, pause=0.3) as two:
        said = [process.communicate(timeout=120)[0].split() for process in (one, two)]
    assert sum(words.count("writing") for words in said) == 3  # splits, written once
    assert [words[-1] for words in said] == [prepared.hash, prepared.hash]
    assert len(folders(tmp_path)) == 1


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals")
@pytest.mark.parametrize("name", values("SIGINT", slow=["SIGKILL"]))
def test_a_process_that_is_stopped_leaves_nothing_half_made(
    tmp_path: Path, text_file: Path, prepared: Prepared, name: str
) -> None:
    with start(text_file, tmp_path, pause=120) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "writing\n"
        (building,) = folders(tmp_path)
        process.send_signal(getattr(signal, name))
        process.wait(timeout=60)
    if name == "SIGINT":
        assert process.returncode == 130
        assert folders(tmp_path) == []
    else:
        assert folders(tmp_path) == [building]
        assert not (building / "meta.json").exists()
    data = DataConfig(source=str(text_file))
    other = prepare(data, TokenizerConfig(kind="bytes"), cache=tmp_path)
    assert folders(tmp_path) == [other.folder]  # what was left is gone, whoever comes next
    again = prepare(data, TokenizerConfig(vocab_size=509), cache=tmp_path)
    assert again.hash == prepared.hash
    assert len(folders(tmp_path)) == 2


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals")
def test_what_a_living_process_builds_is_left_alone(tmp_path: Path, text_file: Path) -> None:
    with start(text_file, tmp_path, pause=120) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "writing\n"
        (building,) = folders(tmp_path)
        data = DataConfig(source=str(text_file))
        other = prepare(data, TokenizerConfig(kind="bytes"), cache=tmp_path)
        assert set(folders(tmp_path)) == {building, other.folder}
        process.kill()
        process.wait(timeout=60)


KEEPING = """
import sys, time
from pathlib import Path
from lmcompare.data.streams import kept

print(kept("-", cache=Path(sys.argv[1])).name, flush=True)
time.sleep(float(sys.argv[2]))
"""


def keep(cache: Path, *, pause: float) -> subprocess.Popen[str]:
    """A process that has kept its standard input, and goes on for a while."""
    process = subprocess.Popen(
        [sys.executable, "-c", KEEPING, str(cache), str(pause)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    process.stdin.write("The old tree.")
    process.stdin.close()
    process.stdin = None
    return process


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals")
def test_what_was_kept_of_standard_input_goes_with_its_process(
    tmp_path: Path, text_file: Path
) -> None:
    with keep(tmp_path, pause=0) as process:
        process.communicate(timeout=60)
    assert list(tmp_path.glob(".input-*")) == []
    with keep(tmp_path, pause=120) as living, keep(tmp_path, pause=120) as killed:
        assert living.stdout is not None
        assert killed.stdout is not None
        name, other = living.stdout.readline().strip(), killed.stdout.readline().strip()
        killed.kill()
        killed.wait(timeout=60)
        assert {path.name for path in tmp_path.glob(".input-*")} >= {name, other}
        prepare(DataConfig(source=str(text_file)), TokenizerConfig(kind="bytes"), cache=tmp_path)
        left = {path.name for path in tmp_path.glob(".input-*")}
        assert left == {name, f"{name}.lock"}
        assert (tmp_path / name).read_text() == "The old tree."
        living.kill()
        living.wait(timeout=60)
