"""What `make gpu` found, in a table of at most 40 lines: an objective or a peer a line.

    python benchmarks/gpu_table.py          (of what lies in $OUT, or build/gpu)

Of what was measured more than once, the last counts.
"""

import json
import math
import os
from pathlib import Path
from typing import Any

RESULTS, STUDY = "gpu.jsonl", "gpu-study.json"
PEAKS = {"H100": 989e12, "H200": 989e12, "A100": 312e12, "L40S": 362e12, "4090": 165e12}
MOST = 40  # lines
Line = dict[str, Any]


def peak(device: str) -> float:
    """Operations a second of dense bfloat16, as the card's maker says; no number if unknown."""
    return next((rate for model, rate in PEAKS.items() if model in device), float("nan"))


def utilisation(line: Line) -> str:
    """MFU: the share of the peak that is used, where the card is known."""
    share = line["tflops"] * 1e12 / peak(line["device"])
    return "-" if math.isnan(share) else f"{share:.1%}"


def named(line: Line) -> str:
    """What was measured, without the part."""
    words = [line["name"], line.get("way", ""), line.get("setting", "").partition("+")[2]]
    if line["part"] == "writing":
        words.append(f"{line['rows']} at once")
    if line["part"] == "scoring":
        words.append(f"in batches of {line['rows']}" if line["rows"] else "by lmcompare")
    return " ".join(filter(None, words))


def line_of(line: Line) -> str:
    """A line about one result, as it comes."""
    what = f"{line['part']:8} {line.get('size', ''):5} {named(line):42}"
    if "failed" in line:
        return f"{what} {line['failed']}"
    told = f"{what} {line['parameters'] / 1e6:6.1f}M {line['ms']:9.2f} ms"
    told += f" {line['tokens_per_second']:11,} tokens/s {line['memory_gb']:5.1f} GB"
    if "tflops" in line:
        told += f" {line['tflops']:6.1f} TFLOP/s {utilisation(line):>6} MFU"
    if "versions" in line:
        told += f" {line['versions']} graphs"
    return f"{told}, ready after {line['ready']:.0f} s"


def read(folder: Path) -> tuple[list[Line], Line]:
    """The last result of each job, and what came of the study."""
    results, study = folder / RESULTS, folder / STUDY
    lines = (
        [json.loads(each) for each in results.read_text().splitlines()] if results.exists() else []
    )
    last = {(each["part"], each.get("size"), named(each)): each for each in lines}
    return list(last.values()), json.loads(study.read_text()) if study.exists() else {}


def summary(folder: Path) -> list[str]:
    """The table of all that was found, at most MOST lines."""
    lines, study = read(folder)
    if not lines and not study:
        return [f"nothing was measured: there is no {RESULTS} in {folder}"]
    done = [line for line in lines if "failed" not in line]
    devices = sorted({each["device"] for each in (*lines, study) if each})
    table = [f"{', '.join(devices)}; tokens/s, MFU beside the card's dense bfloat16, GB at most"]
    if any(line.get("toy") for line in lines) or study.get("toy"):
        table[0] += "; TOY SIZES: these figures say nothing but that the code runs"
    table += [*training(done, study), *use(done), *trials(study)]
    if failed := [line for line in lines if "failed" in line]:
        table.append(f"{len(failed)} of {len(lines)} failed:")
        each = [f"  {line['part']} {named(line)}: {line['failed']}" for line in failed]
        room = MOST - len(table)
        table += each if len(each) <= room else [*each[: room - 1], "  and others: see gpu.jsonl"]
    return table[:MOST]


def training(done: list[Line], study: Line) -> list[str]:
    """A line for each objective and peer, with columns for the sizes and the study."""
    arms = study.get("arms", {})
    cells = {
        (line["name"], line["size"]): line
        for line in done
        if line["kind"] in ("ours", "peer") and line["part"] != "ways"
    }
    names = [*dict.fromkeys([*(name for name, _ in cells), *arms])]
    if not names:
        return []
    head = "".join(f"{size + ' tok/s':>13} {'MFU':>6} {'GB':>5}" for size in ("124M", "25M"))
    table = [f"{'training':22}{head}{'nano tok/s':>12}{'study: runs, nats, s a run':>28}"]
    for name in names:
        row = f"{name:22}"
        for size in ("124M", "25M"):
            line = cells.get((name, size))
            row += (
                f"{'-':>13} {'':>6} {'':>5}"
                if line is None
                else f"{line['tokens_per_second']:13,} {utilisation(line):>6} "
                f"{line['memory_gb']:5.1f}"
            )
        small, arm = cells.get((name, "nano")), arms.get(name)
        row += f"{'-':>12}" if small is None else f"{small['tokens_per_second']:12,}"
        if arm is not None:
            row += f"{arm['runs']:12} {arm['validation']:7.4f} {arm['seconds']:7.1f}"
        table.append(row)
    return table


def use(done: list[Line]) -> list[str]:
    """Writing, scoring and ways of doing the passes of a small model: two results a line."""
    parts = ("writing", "scoring", "ways")
    found = [
        f"{named(line):45} {line['tokens_per_second']:9,}"
        for part in parts
        for line in done
        if line["part"] == part
    ]
    pairs = [found[start : start + 2] for start in range(0, len(found), 2)]
    head = ["writing, scoring (tokens of sentences) and ways of small passes, tokens/s"]
    return [*head, *("   ".join(pair) for pair in pairs)] if found else []


def trials(study: Line) -> list[str]:
    """How many runs at a time are best."""
    if not study.get("at_once"):
        return []
    rates = ", ".join(f"{number}: {rate:,.0f}" for number, rate in study["at_once"].items())
    return [f"nano runs at a time: tokens/s together: {rates}; kept: {study['best']}"]


if __name__ == "__main__":
    print("\n".join(summary(Path(os.environ.get("OUT", "build/gpu")))))
