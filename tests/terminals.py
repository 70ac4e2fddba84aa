"""Terminals for tests: one that the console takes stdout for, and a real one with a size."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from lmcompare_cli.console import output

CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")


def be_terminal(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    """Let stdout be taken for a terminal without colours."""
    monkeypatch.setattr(output, "_force_terminal", True)
    monkeypatch.setattr(output, "_width", width)
    monkeypatch.setattr(output, "_color_system", None)


def in_terminal(
    arguments: Sequence[object],
    *,
    width: int,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    code: int = 0,
) -> str:
    """Run lmcompare with stdout on a pseudo-terminal; return what it wrote, without styles."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 50, width, 0, 0))
    plain = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES", "NO_COLOR")}
    with subprocess.Popen(
        [sys.executable, "-m", "lmcompare_cli.app", *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=follower,
        stderr=subprocess.DEVNULL,
        cwd=cwd,
        env={**plain, "TERM": "xterm-256color", **(env or {})},
    ) as process:
        os.close(follower)
        written = b""
        while True:
            try:
                some = os.read(leader, 65536)
            except OSError:  # Linux says so when the other end is closed
                break
            if not some:
                break
            written += some
        assert process.wait(timeout=120) == code, written.decode()
    os.close(leader)
    return CONTROL.sub("", written.decode())
