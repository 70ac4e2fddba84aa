"""Probes with known answers, and what the table of a comparison says of them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy import ndarray

from lmcompare.comparison import Comparison
from lmcompare.comparison.tables.probes import ProbeBlock, ProbeRow, ProbeTable
from lmcompare.config.budget import Spent
from lmcompare.evaluation.probes.record import LayerResult, ProbeItem, ProbeRecord
from lmcompare.runs.run import Run
from tests.comparison.known_runs import write_run

NUM, WORDS = 53, 7  # test sentences, and words in each
ALL = NUM * WORDS


def some(share: float, *, seed: int = 0) -> ndarray:
    """What was gained of each sentence: some words at random, of so many on average."""
    draw = np.random.default_rng(seed)
    return draw.binomial(WORDS, share, NUM).astype(float)


def flat(num: float) -> ndarray:
    """So many words of each sentence."""
    return np.full(NUM, float(num))


def probe(
    run: Run,
    score: Sequence[ndarray],
    *,
    validation: Sequence[float] | None = None,
    control: Sequence[ndarray] | None = None,
    baselines: Mapping[str, ndarray] | None = None,
    unseen: Sequence[float] | None = None,
    codelengths: Sequence[tuple[float, float]] | None = None,
    max_score: float = WORDS,
    layers: Sequence[int] | None = None,
    sentences: Sequence[int] | None = None,
    **changes: Any,
) -> ProbeRecord:
    """Keep what a probe gained of each sentence, layer by layer; 1 is the layer of the first."""
    own, last = run.record(), run.last_metrics()
    assert last is not None
    numbers = [*(range(len(score[0])) if sentences is None else sentences)]
    total = max_score * len(numbers)
    layers = [*(range(len(score)) if layers is None else layers)]
    baselines = {"majority": flat(1), "type": flat(3)} if baselines is None else baselines
    results = [
        LayerResult(
            layer=layer,
            validation=float(each.sum() / total) if validation is None else validation[i],
            value=float(each.sum() / total),
            l2=1e-3,
            control=None if control is None else float(control[i].sum() / total),
            unseen=None if unseen is None else unseen[i] / len(numbers),
            codelength=None if codelengths is None else codelengths[i][0],
            control_codelength=None if codelengths is None else codelengths[i][1],
        )
        for i, (layer, each) in enumerate(zip(layers, score, strict=True))
    ]
    items = [
        ProbeItem(
            sentence=number,
            max_score=max_score,
            score=tuple(float(each[row]) for each in score),
            control=() if control is None else tuple(float(each[row]) for each in control),
            baselines={name: float(each[row]) for name, each in baselines.items()},
            unseen_max_score=0.0 if unseen is None else 1.0,
            unseen=() if unseen is None else tuple(each / len(numbers) for each in unseen),
        )
        for row, number in enumerate(numbers)
    ]
    step = changes.get("step", last.step)
    known: dict[str, Any] = {
        "task": "upos",
        "arm": own.arm,
        "seed": own.config.seed,
        "source": "en_toy-ud",
        "text": "beef" * 8,
        "step": step,
        "spent": Spent(steps=step, tokens=2032 * step),
        "group": "token",
        "asks": "the universal part of speech of a word",
        "metric": "accuracy",
        "probe": "linear",
        "words": "mean",
        "version": 1,
        "split": "by the names of its files",
        "num_train": 1009,
        "num_items": len(items),
        "num_examples": int(total),
        "baselines": {name: float(each.sum() / total) for name, each in baselines.items()},
        "uniform_codelength": None if codelengths is None else 5000.0,
        "layers": results,
    }
    record = ProbeRecord(**(known | changes))
    return run.results.write(record, items)


def probed(
    study: Path, name: str, *shares: float, objective: str = "clm", **changes: Any
) -> list[Run]:
    """An arm whose seeds reach such shares in layer 2 of 3, more than elsewhere."""
    runs = []
    for seed, share in enumerate(shares):
        runs.append(write_run(study, name, seed, settings={"objective": objective}))
        draw = 1000 * seed + sum(map(ord, name))
        score = [some(share * part, seed=draw + i) for i, part in enumerate((0.4, 0.7, 1, 0.8))]
        known = {"control": [some(share / 3, seed=draw + 50 + i) for i in range(4)]} | changes
        probe(runs[-1], score, validation=(0.1, 0.5, 0.9, 0.8), **known)
    return runs


def tables(comparison: Comparison) -> list[ProbeTable]:
    return [*comparison.tables["probes"]]


def block(comparison: Comparison) -> ProbeBlock:
    [table] = tables(comparison)
    [found] = table.blocks
    return found


def rows(comparison: Comparison) -> dict[str, ProbeRow]:
    return {row.label: row for row in block(comparison).rows}
