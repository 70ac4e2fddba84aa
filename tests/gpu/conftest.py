"""The device of these tests: a GPU by `make gpu-tests`, and the processor else, to hold them good.

A test that asks for `device` runs on both, so that none is met for the first time on a GPU.
"""

import pytest
import torch

from tests.gpu.devices import GPU_ONLY


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=GPU_ONLY)])
def device(request: pytest.FixtureRequest) -> torch.device:
    return torch.device(request.param)
