"""The machine: work side by side, precision and memory; and nothing else asks a GPU."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import current_thread

import pytest
import torch

from lmcompare import devices
from lmcompare.devices import choose_precision, side_by_side
from lmcompare.model import Backbone
from tests import ROOT
from tests.conftest import SIZE
from tests.model.views import KINDS, make_view

CPU = torch.device("cpu")
MAY = Path("lmcompare/devices.py")  # ask a GPU


@pytest.fixture
def three_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


def test_results_come_in_order_from_threads_of_their_own(three_threads: None) -> None:
    def work(item: int) -> tuple[int, int, str]:
        torch.ones(100, 100) @ torch.ones(100, 100)
        return item, torch.get_num_threads(), current_thread().name

    found = side_by_side(work, iter(range(50)), CPU)
    assert [item for item, _, _ in found] == list(range(50))
    assert {threads for _, threads, _ in found} == {1}
    assert current_thread().name not in {name for _, _, name in found}
    assert torch.get_num_threads() == 3


def test_one_thread_or_one_item_stays_where_it_is(three_threads: None) -> None:
    def where(item: int) -> str:
        return current_thread().name

    here = current_thread().name
    assert side_by_side(where, [1], CPU) == [here]
    assert side_by_side(where, [], CPU) == []
    assert side_by_side(where, [1, 2], torch.device("meta")) == [here, here]
    torch.set_num_threads(1)
    assert side_by_side(where, [1, 2], CPU) == [here, here]


def test_what_fails_says_so_and_leaves_the_threads(three_threads: None) -> None:
    def work(item: int) -> int:
        return 1 // item

    with pytest.raises(ZeroDivisionError):
        side_by_side(work, [2, 1, 0, 1], CPU)
    assert torch.get_num_threads() == 3


@pytest.mark.parametrize("kind", KINDS)
def test_scores_are_the_same_side_by_side(kind: str, net: Backbone, three_threads: None) -> None:
    view = make_view(kind, length=23, size=SIZE).rows(torch.arange(3).repeat(4))
    net.batch_size = 2
    scores = net.log_prob(view)
    assert not scores.requires_grad
    torch.set_num_threads(1)
    torch.testing.assert_close(scores, net.log_prob(view), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("cpuinfo", "precision"),
    [
        ("flags\t\t: fpu avx2 avx512f avx512_bf16\n", "bfloat16"),
        ("flags\t\t: fpu avx2 amx_bf16 amx_tile\n", "bfloat16"),
        ("flags\t\t: fpu avx2 avx512f\n", "float32"),
        ("Features\t: fp asimd bf16 i8mm\n", "bfloat16"),
        ("Features\t: fp asimd\n", "float32"),
        ("", "float32"),
        (None, "float32"),  # not Linux
    ],
)
@pytest.mark.parametrize("rates", [(1e9, 9e9), (9e9, 1e9)])
def test_what_a_processor_has_decides_and_not_how_fast_it_was(
    cpuinfo: str | None,
    precision: str,
    rates: tuple[float, float],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = tmp_path / "cpuinfo"
    if cpuinfo is not None:
        file.write_text(cpuinfo)
    measured = dict(zip(("float32", "bfloat16"), rates, strict=True))
    monkeypatch.setattr(devices, "CPUINFO", file)
    monkeypatch.setattr(devices, "matmul_rate", lambda device, which: measured[which])
    assert choose_precision("auto", CPU) == (precision, measured[precision])
    assert choose_precision("float32", CPU)[0] == "float32"
    assert choose_precision("bfloat16", CPU)[0] == "bfloat16"


@pytest.mark.parametrize("has", [True, False])
def test_a_gpu_is_asked_for_bfloat16_in_hardware(
    has: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []

    def supported(*, including_emulation: bool) -> bool:
        asked.append(including_emulation)
        return has

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", supported)
    assert devices.multiplies_bfloat16(torch.device("cuda")) is has
    assert asked == [False]


@pytest.mark.slow
def test_the_peak_of_a_process_is_its_own() -> None:
    """A child's, though its parent held more before."""
    held = torch.ones(300_000_000 // 4)
    device = torch.device("cpu")
    own = devices.peak_memory(device)
    assert own > held.nbytes
    code = "import torch; from lmcompare.devices import *; print(peak_memory(torch.device('cpu')))"
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 10_000_000 < int(child.stdout) < own - held.nbytes // 2


def test_the_memory_of_the_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    cpu = torch.device("cpu")
    monkeypatch.setattr(devices, "GROUPS", tmp_path)
    monkeypatch.setattr(devices, "GROUPS_OF_THIS", tmp_path / "none")
    whole = devices.memory(cpu)
    assert whole == os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")

    def within(groups: str, **limits: str) -> int:
        monkeypatch.setattr(devices, "GROUPS_OF_THIS", tmp_path / "cgroup")
        (tmp_path / "cgroup").write_text(groups)
        for folder, limit in limits.items():
            path = tmp_path / folder.replace("__", "/")
            path.mkdir(parents=True, exist_ok=True)
            name = "memory.limit_in_bytes" if folder.startswith("memory") else "memory.max"
            (path / name).write_text(f"{limit}\n")
        return devices.memory(cpu)

    assert within("0::/\n") == whole
    assert within("0::/outer/inner\n", outer="max") == whole
    assert within("0::/outer/inner\n", outer__inner="max", outer="1000003") == 1000003
    assert within("0::/outer/inner\n", outer__inner="7919") == 7919
    both = "3:cpu:/elsewhere\n2:memory,hugetlb:/of/us\n0::/\n"
    assert within(both, memory__of__us="9223372036854771712") == whole
    assert within(both, memory__of="104729") == 104729


def test_ulimit_allows_less(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = devices.memory(torch.device("cpu"))
    monkeypatch.setattr(devices, "_unused_addresses", lambda: 3 * 10**9)
    monkeypatch.setattr(devices.resource, "getrlimit", lambda _: (4 * 10**9, -1))
    assert devices.memory(torch.device("cpu")) == min(whole, 10**9)
    monkeypatch.setattr(devices.resource, "getrlimit", lambda _: (2 * 10**9, -1))
    assert devices.memory(torch.device("cpu")) == 0


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
