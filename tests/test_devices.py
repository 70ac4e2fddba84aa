"""What asks a GPU stands in one file, so that all else can be proved without one."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import ROOT

MAY = Path("lmcompare/devices.py")


def gpu_calls(source: str) -> Iterator[int]:
    """Yield the lines that name `torch.cuda`, by import or attribute, or call `.cuda()`."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Attribute(value=ast.Name(id="torch"), attr="cuda"):
                yield node.lineno
            case ast.Call(func=ast.Attribute(attr="cuda")):
                yield node.lineno
            case ast.Import(names=names):
                if any(name.name.startswith("torch.cuda") for name in names):
                    yield node.lineno
            case ast.ImportFrom(module=str(module), names=names):
                of_torch = module == "torch" and any(name.name == "cuda" for name in names)
                if of_torch or module.startswith("torch.cuda"):
                    yield node.lineno


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import torch\ntorch.cuda.synchronize()", [2]),
        ("import torch.cuda.amp", [1]),
        ("from torch import nn, cuda", [1]),
        ("from torch.cuda import Stream", [1]),
        ("x = y.cuda()", [1]),
        ("x.to('cuda')\ndevice.type == 'cuda'\nfrom torch import nn", []),
    ],
)
def test_every_way_to_name_it_is_found(source: str, found: list[int]) -> None:
    assert [*gpu_calls(source)] == found


def test_only_one_file_asks_a_gpu() -> None:
    files = [*ROOT.glob("lmcompare/**/*.py"), *ROOT.glob("cli/**/*.py")]
    assert ROOT / MAY in files
    found = {
        f"{file.relative_to(ROOT)}:{line}"
        for file in files
        for line in gpu_calls(file.read_text(encoding="utf-8"))
        if file != ROOT / MAY
    }
    assert not found, f"these belong in {MAY}: {sorted(found)}"
