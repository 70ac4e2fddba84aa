"""Where the project lies, and the corpora beside it that some tests read."""

from pathlib import Path

ROOT = Path(__file__).parents[1]
DATA = ROOT.parent / "shared" / "data"
