"""A run as a model of Hugging Face transformers, and their models as networks to ask."""

from lmcompare.huggingface.backbone_weights import BackboneWeights, backbone_from_hf
from lmcompare.huggingface.export import export_every_checkpoint, export_hf
from lmcompare.huggingface.facts import HfFacts, read_facts
from lmcompare.huggingface.load import HfContestant, load_hf
from lmcompare.huggingface.mapping import (
    HF_MODELS,
    HfModel,
    hf_config,
    hf_weights,
)
from lmcompare.huggingface.network import HfNetwork

__all__ = [
    "HF_MODELS",
    "BackboneWeights",
    "HfContestant",
    "HfFacts",
    "HfModel",
    "HfNetwork",
    "backbone_from_hf",
    "export_every_checkpoint",
    "export_hf",
    "hf_config",
    "hf_weights",
    "load_hf",
    "read_facts",
]
