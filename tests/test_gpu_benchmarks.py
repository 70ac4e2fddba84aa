"""What measures a GPU, as far as a processor can tell: what it says, keeps, and never loses."""

import importlib
import importlib.util
import itertools
import json
import re
import time
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from lmcompare.objectives import OBJECTIVES
from tests import ROOT

SCRIPTS = ROOT / "benchmarks"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Import one of the scripts, which import one another by name."""
    monkeypatch.syspath_prepend(SCRIPTS)
    return importlib.import_module


def without(name: str) -> Any:
    """A `find_spec` that finds all but one library."""
    find = importlib.util.find_spec
    return lambda asked, *more: None if asked == name else find(asked, *more)


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        ("torch", r"PyTorch is not installed for this Python: name one that has it \(make gpu"),
        ("xdist", r'xdist missing: run `make gpu-wheels GPU_PACKAGES="pytest-xdist execnet"`'),
        ("jaxtyping", r'jaxtyping missing: run `make gpu-wheels GPU_PACKAGES="jaxtyping"`'),
    ],
)
def test_what_is_missing_is_named(
    missing: str,
    said: str,
    script: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    ready = script("gpu_ready")
    monkeypatch.setattr(importlib.util, "find_spec", without(missing))
    assert ready.main() == 2
    the_reason(capsys, said)


def the_reason(capsys: pytest.CaptureFixture[str], said: str) -> None:
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    assert out.startswith("what needs a GPU (tests, speed, study) is skipped: ")
    assert re.search(said, out), out


def test_an_old_pytorch_is_told_so(
    script: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch, "__version__", "2.4.1+cu118")
    assert script("gpu_ready").main() == 2
    the_reason(capsys, r"PyTorch 2\.4\.1\+cu118 is too old, 2\.7 or newer .*pip install")


def test_an_old_driver_is_told_so(
    script: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def available() -> bool:
        warnings.warn(
            "CUDA initialization: The NVIDIA driver on your system is too old (found version "
            "11040). Please update it. (Triggered internally at CUDAFunctions.cpp:109.)",
            stacklevel=1,
        )
        return False

    monkeypatch.setattr(torch.cuda, "is_available", available)
    monkeypatch.setattr(torch.version, "cuda", "12.8")
    assert script("gpu_ready").main() == 1
    the_reason(capsys, r"for CUDA 12\.8: CUDA init.* driver .* too old .*Please update it\.\s*$")


@pytest.mark.parametrize(
    ("free", "bfloat16", "said"),
    [
        (3, True, "3 of 24 GiB of Card 5 are free, and 20 are needed"),
        (23, False, "Card 5 has no instructions for bfloat16"),
        (23, True, None),
    ],
)
def test_a_gpu_that_will_not_do_is_told_so(
    free: int,
    bfloat16: bool,
    said: str | None,
    script: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    ready, ones = script("gpu_ready"), torch.ones
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Card 5")
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: bfloat16)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (free * 2**30, 24 * 2**30))
    monkeypatch.setattr(torch, "ones", lambda *size, dtype, **_: ones(*size, dtype=dtype))
    assert ready.main() == (0 if said is None else 1)
    if said is None:
        assert capsys.readouterr().out == ""
    else:
        the_reason(capsys, said)


def test_a_gpu_too_new_or_old_for_this_pytorch_is_told_so(
    script: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise RuntimeError("CUDA error: no kernel image is available\nfor execution on the device")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Card 5")
    monkeypatch.setattr(torch, "ones", fails)
    assert script("gpu_ready").main() == 1
    the_reason(capsys, r"Card 5 cannot run this PyTorch .* no kernel image is available for exec")


class Hired:
    """A process that says what its job tells it to."""

    closed: list[str] = []  # noqa: RUF012

    def __init__(self, job: dict[str, Any], log: Path) -> None:
        self.job = job

    def said(self, deadline: float) -> dict[str, Any]:
        return self.job.get("first", {"ready": 1.0})

    def go(self, deadline: float) -> dict[str, Any]:
        assert "failed" not in self.said(deadline)
        return figures()

    def close(self) -> None:
        self.closed.append(self.job["name"])


def figures() -> dict[str, Any]:
    return {
        "ms": 5.0,
        "tokens_per_second": 123_457,
        "memory_gb": 3.1,
        "parameters": 7,
        "tflops": 494.5,
    }


def job(name: str, **more: Any) -> dict[str, Any]:
    return {"kind": "ours", "part": "124M", "size": "124M", "name": name, **more}


def test_what_fails_or_comes_late_is_a_line_of_its_own(
    script: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpu = script("gpu")
    monkeypatch.setattr(gpu, "Worker", Hired)
    late = {"failed": "took too long"}
    jobs = [job("clm"), job("mlm", first=late), job("plm")]
    gpu.measure(jobs, group=2, out=tmp_path, deadline=time.monotonic() + 60)
    gpu.measure([job("t5")], group=2, out=tmp_path, deadline=time.monotonic() - 1)
    lines = [json.loads(each) for each in (tmp_path / "gpu.jsonl").read_text().splitlines()]
    assert [(line["name"], line.get("failed")) for line in lines] == [
        ("clm", None),
        ("mlm", "took too long"),
        ("plm", None),
        ("t5", "no time was left"),
    ]
    assert {"clm", "mlm", "plm"} == set(Hired.closed)


def test_a_process_tells_what_it_lacks(script: Any) -> None:
    explained = script("gpu_work").explained
    lacks = ModuleNotFoundError("No module named 'transformers.models'", name="transformers.models")
    assert explained(lacks) == "transformers is missing: make gpu-wheels GPU_PACKAGES=transformers"
    full = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")
    assert explained(full) == "the GPU's memory is too small"
    assert explained(ValueError("a\nb")) == "ValueError: a b"


def everything(gpu: ModuleType) -> list[dict[str, Any]]:
    return [{**each, "part": part} for part in gpu.PARTS for each in gpu.jobs_of(part, [])]


def test_every_objective_and_peer_is_measured_at_both_sizes(script: Any) -> None:
    gpu = script("gpu")
    found = {(each["name"], each.get("size")) for each in everything(gpu)}
    assert set(itertools.product([*OBJECTIVES, *gpu.PEERS], ["124M", "25M"])) <= found
    kinds = {each["kind"] for each in everything(gpu)}
    assert kinds == set(script("gpu_work").KINDS)
    assert kinds == {each["kind"] for each in everything(gpu) if gpu.in_toy(each)}


@pytest.mark.parametrize("failing", [0, 1, 3])
def test_all_that_is_found_takes_forty_lines(script: Any, tmp_path: Path, failing: int) -> None:
    gpu, table = script("gpu"), script("gpu_table")
    for number, each in enumerate(everything(gpu)):
        found = {"failed": "took too long"} if failing and number % failing == 0 else figures()
        with (tmp_path / table.RESULTS).open("a") as file:
            file.write(json.dumps({"device": "NVIDIA H100", "ready": 1.0, **each, **found}) + "\n")
    arm = {"runs": 3, "validation": 5.1234, "seconds": 21.5}
    study = {"device": "NVIDIA H100", "at_once": {"1": 3e5, "12": 3e6}, "best": 12}
    study |= {"arms": dict.fromkeys(OBJECTIVES, arm)}
    (tmp_path / table.STUDY).write_text(json.dumps(study))
    lines = table.summary(tmp_path)
    assert 20 <= len(lines) <= 40
    text = "\n".join(lines)
    for name in OBJECTIVES:
        assert f"\n{name} " in text
    assert "5.1234" in text
    assert "12: 3,000,000; kept: 12" in text
    if failing:
        assert "failed:" in text
    if failing != 1:
        assert "123,457  50.0%   3.1" in text  # half of an H100's 989 TFLOP/s


def test_of_what_was_measured_twice_the_last_counts(script: Any, tmp_path: Path) -> None:
    table = script("gpu_table")
    assert table.summary(tmp_path) == [f"nothing was measured: there is no gpu.jsonl in {tmp_path}"]
    both = [{"failed": "took too long"}, {**figures(), "device": "Unknown", "ready": 1.0}]
    lines = [json.dumps({"device": "Unknown", **job("clm"), **each}) for each in both]
    (tmp_path / table.RESULTS).write_text("\n".join(lines) + "\n")
    text = "\n".join(table.summary(tmp_path))
    assert "failed" not in text
    assert "123,457      -   3.1" in text  # of a card whose peak is not known


@pytest.mark.parametrize("objective", ["clm", "mlm"])
def test_the_peer_that_scores_finds_our_scores(objective: str, script: Any) -> None:
    pytest.importorskip("transformers")
    use = script("gpu_use")
    net, other = use.models(objective, "nano", torch.float32)
    text = use.sentences(6)
    assert (text.tokens[::2] == text.tokens[1::2]).float().mean() > 0.4, "pairs begin alike"
    ours = use.score(net, objective, text)
    theirs = use.peer_score(other, objective, text, rows=4)
    assert ours == pytest.approx(theirs, rel=1e-5)
