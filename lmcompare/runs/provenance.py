"""By which code a run is made: versions of libraries, and the commit of lmcompare itself."""

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


def library_versions() -> dict[str, str]:
    """Return the versions of what a result may depend on."""
    names = ("lmcompare", "torch", "tokenizers", "numpy", "safetensors", "pydantic")
    return {"python": platform.python_version()} | {name: _version(name) for name in names}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:  # imported from a folder that was never installed
        return "not installed"


def git_commit() -> str | None:
    """Return the commit of lmcompare's own source, `+` behind it if changed; None outside git."""
    source = Path(__file__).parent

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(source), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        if git("ls-files", Path(__file__).name) == "":
            return None  # installed into somebody else's repository
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", "--", ".") else "")
    except (OSError, subprocess.CalledProcessError):
        return None
