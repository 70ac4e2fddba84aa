"""Marks of what only a GPU can show."""

from collections.abc import Callable

import pytest
import torch

GPU_ONLY = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here"),
    pytest.mark.filterwarnings("default"),
]


def gpu_only(test: Callable[..., None]) -> Callable[..., None]:
    """Mark a test that has no meaning on a processor."""
    for mark in GPU_ONLY:
        test = mark(test)
    return test
