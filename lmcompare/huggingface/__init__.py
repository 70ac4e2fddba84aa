"""A trained run as a folder that another library loads with no code of ours."""

from lmcompare.huggingface.export import export_hf
from lmcompare.huggingface.mapping import (
    NATIVE,
    NativeModel,
    native_config,
    native_weights,
)

__all__ = ["NATIVE", "NativeModel", "export_hf", "native_config", "native_weights"]
