"""Models of theirs as we load them, beside what transformers itself has in the same folder."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lmcompare.huggingface import HfContestant, load_hf
from tests.huggingface.models import FAMILIES, saved, transformers


@dataclass(frozen=True)
class Both:
    """One model, loaded by us and by transformers."""

    ours: HfContestant
    model: Any
    tokenizer: Any
    folder: Path

    @staticmethod
    def of(name: str, folder: Path) -> "Both":
        saved(name, folder)
        auto = getattr(transformers, FAMILIES[name].auto)
        return Both(
            load_hf(f"hf:{folder}"),
            auto.from_pretrained(folder).eval(),
            transformers.AutoTokenizer.from_pretrained(folder),
            folder,
        )
