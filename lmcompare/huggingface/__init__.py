"""A trained run as a folder that another library loads with no code of ours."""

from lmcompare.huggingface.export import export_every_checkpoint, export_hf
from lmcompare.huggingface.mapping import (
    HF_MODELS,
    HfModel,
    hf_config,
    hf_weights,
)

__all__ = [
    "HF_MODELS",
    "HfModel",
    "export_every_checkpoint",
    "export_hf",
    "hf_config",
    "hf_weights",
]
