"""A text on a terminal, while it is written."""

import io
import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from lmcompare.generation import generate as generation
from lmcompare.generation.trace import Start, WrittenStep
from lmcompare.objectives.decoding.sampler import Sampler
from lmcompare_cli import console
from lmcompare_cli.rendering import live_text
from lmcompare_cli.rendering.live_text import LiveText
from tests.cli.generate.written import MORE, SEED, plain, texts, visible
from tests.tiny import COMMAND, Command, the_error


class Terminal(io.StringIO):
    """Remembers what was written at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self.parts.append(text)
        return super().write(text)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Standard output as a terminal, with colours."""
    made = Terminal()
    drawn = console.Printer(
        markup=False,
        emoji=False,
        highlight=False,
        file=made,
        force_terminal=True,
        width=80,
        height=30,
        color_system="standard",
        _environ={"TERM": "xterm"},
    )
    for module in (console, live_text):
        monkeypatch.setattr(module, "output", drawn)
    return made


@pytest.mark.parametrize(
    ("name", "options", "settings"),
    [
        ("clm", ["-p", "the c"], {}),
        ("clm", ["-p", "the c", "--stop", "a", "--stop", "xyz"], {"stop": ("a", "xyz")}),
        ("t5", ["-p", "the ___ saw a ___"], {}),
        ("t5", ["-p", "the ___ café"], {}),
        ("mdlm", ["-p", "the c", "--method", "left-to-right"], {"method": "left-to-right"}),
    ],
)
def test_a_text_comes_as_it_is_written(
    name: str,
    options: list[str],
    settings: dict[str, object],
    command: Command,
    places: dict[str, Path],
    terminal: Terminal,
) -> None:
    for seed in range(3):
        terminal.parts.clear()
        said = command("generate", places[name], *options, "--seed", seed, "--max-new-tokens", 7)
        assert said == (0, "", "")
        prompt = options[1]
        (text,) = texts(places[name], prompt, seed=seed, max_new_tokens=7, **settings)
        assert plain("".join(terminal.parts)) == f"{visible(text)}\n"
        assert terminal.parts[0].startswith("\x1b[2mthe")  # dim
        assert "\x1b[1m" in "".join(terminal.parts) or text == prompt.replace(" ___", "")
        if prompt.endswith("café"):
            assert terminal.parts[-2] == "\x1b[2m café\x1b[0m"  # was given
        if name == "clm" and not settings:
            assert len(terminal.parts) > 4


def start(*pieces: str) -> Start:
    """Of masks, written as None."""
    return Start(
        prompt=0,
        number=0,
        ids=(1, *(3 if each == "■" else 9 for each in pieces)),
        pieces=("[BOS]", *pieces),
        holes=(False, *(each == "■" for each in pieces)),
        any_length=False,
    )


def told(place: int, piece: object) -> list[WrittenStep]:
    return [
        WrittenStep(
            prompt=0,
            number=0,
            step=1,
            places=(place,),
            ids=(5,),
            pieces=(piece,),
            probabilities=(0.5,),
        )
    ]


def streamed(terminal: Terminal, stop: list[str], *pieces: object) -> list[str]:
    """What was shown after each piece."""
    stream, seen = LiveText(stop), []
    stream.hear([start("a", *"■" * len(pieces))])
    for place, piece in enumerate(pieces, start=2):
        stream.hear(told(place, piece))
        seen.append(plain(terminal.getvalue()))
    return seen


def test_half_a_character_is_never_shown(terminal: Terminal) -> None:
    first, second, third = ((byte,) for byte in "☃".encode())
    assert streamed(terminal, [], "b", first, second, third, (0xC3,)) == [
        "ab",
        "ab",
        "ab",
        "ab☃",
        "ab☃",
    ]


def test_what_may_be_the_beginning_of_a_stop_is_held_back(terminal: Terminal) -> None:
    """Token by token: one that holds its beginning is no part of the text."""
    seen = streamed(terminal, ["STOP", ".."], "b", "c S", "T", "x", ".", "y", "z S", "TOP", "w")
    assert seen == ["ab", "ab", "ab", "abc STx", "abc STx", "abc STx.y", *["abc STx.y"] * 3]


def test_given_text_behind_a_hole_comes_when_the_hole_is_full(terminal: Terminal) -> None:
    stream, seen = LiveText([]), []
    stream.hear([start("a", "■", "■", "d", "■", "f")])
    for place, piece in ((2, "b"), (3, "c"), (5, "e")):
        stream.hear(told(place, piece))
        seen.append(plain(terminal.getvalue()))
    assert seen == ["ab", "abcd", "abcdef"]
    assert terminal.getvalue() == (
        "\x1b[2ma\x1b[0m\x1b[1mb\x1b[0m\x1b[1mc\x1b[0m\x1b[2md\x1b[0m\x1b[1me\x1b[0m\x1b[2mf\x1b[0m"
    )


def test_masks_are_blocks_that_give_way(
    command: Command, places: dict[str, Path], terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_text, "FRAME", 0.0)
    said = command("generate", places["mdlm"], "-p", "the ___ saw", "--hole-tokens", "5", *SEED)
    assert said == (0, "", "")
    frames = [part for part in terminal.parts if "■" in part]
    assert [frame.count("■") for frame in frames][:5] == [5, 4, 3, 2, 1]
    assert any("\x1b[7;32m" in frame for frame in frames[1:5])  # what is fresh is set apart
    (text,) = texts(places["mdlm"], "the ___ saw", hole_tokens=5, seed=int(SEED[1]))
    assert plain("".join(terminal.parts)).endswith(f"{visible(text)}\n")
    assert "\x1b[?25h" in terminal.getvalue(), "the cursor is there again"


def test_several_texts_are_drawn_together(
    command: Command, places: dict[str, Path], terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_text, "FRAME", 0.0)
    assert command("generate", places["clm"], "-p", "the c", "-n", "2", *MORE) == (0, "", "")
    frames = [plain(part) for part in terminal.parts if "■" in part]
    assert "0.0\nthe c■■■■■■■\n0.1\nthe c■■■■■■■" in frames[0]
    blocks = [frame.count("■") for frame in frames]
    assert blocks[0] == 14
    assert blocks[:8] == sorted(blocks[:8], reverse=True)
    assert blocks[6] < 5  # two, but for halves of characters
    one, two = map(visible, texts(places["clm"], "the c", num=2, max_new_tokens=7))
    shown = plain("".join(terminal.parts))
    assert shown.endswith(f"=== sample 0 ===\n{one}\n\n=== sample 1 ===\n{two}\n")


@pytest.mark.parametrize("options", [["--no-live"], ["--beams", "2"], ["--seed", "0"]])
def test_nothing_moves_where_it_should_not(
    options: list[str], command: Command, places: dict[str, Path], terminal: Terminal
) -> None:
    """A search with beams writes texts that it then drops; some terminals only print."""
    if "--seed" in options:
        live_text.output._environ = {"TERM": "dumb"}
        assert live_text.output.is_dumb_terminal
    said = command("generate", places["clm"], "-p", "the c", *options, *MORE)
    assert said == (0, "", "")
    sampler = Sampler(beams=2) if "--beams" in options else Sampler()
    (text,) = texts(places["clm"], "the c", max_new_tokens=7, sampler=sampler)
    assert plain("".join(terminal.parts)) == f"{visible(text)}\n"
    assert "■" not in terminal.getvalue()
    assert len([part for part in terminal.parts if part != "\n"]) <= 3


def test_data_is_data_on_a_terminal_too(
    command: Command, places: dict[str, Path], terminal: Terminal
) -> None:
    assert command("generate", places["clm"], *MORE, "-f", "jsonl") == (0, "", "")
    (line,) = terminal.getvalue().splitlines()
    assert json.loads(line)["objective"] == "clm"
    said = command("generate", places["clm"], *MORE, "-f", "jsonl", "--live")
    assert "--live draws text" in the_error(said)


def test_an_interruption_ends_the_line(
    command: Command, places: dict[str, Path], terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(generation, "_sample", interrupted)
    assert command("generate", places["clm"], "-p", "the c", *MORE).code == 130
    assert plain(terminal.getvalue()).startswith("the c")
    assert terminal.getvalue().endswith("\n")


def test_a_replay_moves_on_a_terminal(
    command: Command, places: dict[str, Path], terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(live_text, "sleep", waits.append)
    monkeypatch.setattr(live_text, "FRAME", 0.0)
    options = ["-p", "the ___ saw", "--hole-tokens", "5", "--no-live", *SEED]
    command("generate", places["mdlm"], *options, "--trace", "t")
    terminal.parts.clear()
    assert command("show", "--replay", "t") == (0, "", "")
    assert len(waits) == 6
    assert all(0 < wait <= live_text.STEP for wait in waits)
    frames = [plain(part) for part in terminal.parts if "the" in plain(part)]
    assert [frame.count("■") for frame in frames[:6]] == [5, 4, 3, 2, 1, 0]
    assert "step 1 of 5" in frames[1]
    (text,) = texts(places["mdlm"], "the ___ saw", hole_tokens=5, seed=int(SEED[1]))
    assert frames[-1].strip().startswith(visible(text))
    assert frames[-1].rstrip("\n").endswith("5 steps")
    waits.clear()
    live_text.replay(Path("t"), sample="0.0", speed=3.0)
    assert max(waits) <= live_text.STEP / 3


def test_what_a_terminal_would_obey_is_spelled_out(terminal: Terminal) -> None:
    live_text.write("\x1b[2J\ta\r\nb\x07")
    assert terminal.getvalue() == "\\x1b[2J\ta\\r\nb\\x07"


@pytest.mark.slow
def test_a_real_terminal(places: dict[str, Path], cache: Path) -> None:
    """Through a pseudo-terminal: colours, and none where they are not wanted."""

    def run(*arguments: str | Path, **environment: str) -> str:
        master, slave = pty.openpty()
        process = subprocess.Popen(
            [sys.executable, "-c", COMMAND, *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=slave,
            stderr=slave,
            env={
                **{name: value for name, value in os.environ.items() if name != "NO_COLOR"},
                "TERM": "xterm",
                "LMCOMPARE_CACHE": str(cache),
                **environment,
            },
        )
        os.close(slave)
        parts = []
        try:
            while part := os.read(master, 4096):
                parts.append(part)
        except OSError:  # how Linux says that the other side is closed
            pass
        os.close(master)
        assert process.wait(timeout=120) == 0
        return b"".join(parts).decode(errors="replace").replace("\r\n", "\n")

    (text,) = texts(places["clm"], "the c", max_new_tokens=7, sampler=Sampler(greedy=True))
    arguments = ["generate", places["clm"], "-p", "the c", *MORE, "--greedy"]
    shown = run(*arguments)
    assert shown.startswith("\x1b[2mthe c\x1b[0m\x1b[1m")
    assert plain(shown) == f"{visible(text)}\n"
    arguments = ["generate", places["mdlm"], "-p", "the ___ saw", "--hole-tokens", "5"]
    shown = run(*arguments, NO_COLOR="1")
    assert "\x1b[?25l" in shown
    assert "■■■■■" in plain(shown)
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]m", shown)


@pytest.mark.slow
def test_a_terminal_without_the_signs(places: dict[str, Path], cache: Path) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "LMCOMPARE_CACHE": str(cache)}

    def run(*arguments: str | Path) -> bytes:
        return subprocess.run(
            [sys.executable, "-c", COMMAND, *map(str, arguments)],
            env=environment,
            capture_output=True,
            check=True,
            timeout=120,
        ).stdout

    base = ["generate", places["mdlm"], "-p", "café ___ a", "--hole-tokens", "3"]
    assert run(*base, "--trace", cache / "t").startswith(b"caf?")
    assert run("show", "--replay", cache / "t").startswith(b"0\tcaf?### a\t\n")
