"""Shapes in signatures are checked where the tests ask for that, whatever imported the code."""

import sys

import pytest
import torch
from jaxtyping import TypeCheckError

from lmcompare.model import Backbone
from lmcompare.view import View
from tests.conftest import WITH_SHAPES

pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="shapes are not checked there")


def test_all_that_is_to_be_checked_was_imported_so() -> None:
    """Plugins that the tests name import much of the code, and must not do so before the hook."""
    parts = tuple(f"lmcompare.{part}" for part in WITH_SHAPES)
    found = [name for name in sys.modules if name.startswith(parts)]
    loaders = {name: type(sys.modules[name].__spec__.loader).__module__ for name in found}
    assert len(found) > len(parts)
    assert {name for name, loader in loaders.items() if not loader.startswith("jaxtyping")} == set()


def test_a_wrong_shape_is_an_error(net: Backbone) -> None:
    row = torch.tensor([[1, 2, 3]])
    view = View.causal(row, visible=torch.ones_like(row, dtype=torch.bool))
    with pytest.raises(TypeCheckError):
        net.logits(view, torch.ones(2, 3, 5, dtype=torch.bool))
