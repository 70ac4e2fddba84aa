"""Speed of probing beside scikit-learn, and its memory at two sizes of the treebank.

    python benchmarks/probe_speed.py ud-en-ewt               (`make test` installs scikit-learn)

A hardly trained model reads the treebank, and all layers are probed for eight tasks of words: a
linear probe for each of several strengths of L2, and three control tasks each. scikit-learn fits
one probe of the same strength for each task in one layer, on the same states and threads; its time
is taken times the number of layers. Scores must agree within half a point. Memory is the peak of a
fresh process.
"""

import argparse
import multiprocessing
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from multiprocessing.queues import SimpleQueue
from pathlib import Path

import numpy as np
import torch

from lmcompare.evaluation.probes.classification import Answered, probe_classes
from lmcompare.evaluation.probes.examples import ProbeExamples
from lmcompare.evaluation.probes.features import features
from lmcompare.evaluation.probes.measure import Questions
from lmcompare.evaluation.probes.tasks import choose_tasks
from lmcompare.evaluation.probes.treebank import read_treebank
from lmcompare.evaluation.states.reading import ways_to_read
from lmcompare.evaluation.states.word_states import States, states
from lmcompare.runs.finding import find_models
from lmcompare.runs.loaded_model import load_model

TASKS = (
    *("upos", "xpos", "deprel", "head-direction", "head-distance"),
    *("Number", "Tense", "VerbForm"),
)
SEEDS = (0, 1, 2)
AGREE = 0.005  # of a score


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("treebank", type=Path)
    parser.add_argument("--model", default="micro")
    parser.add_argument("--limit", type=int, help="sentences of each part")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--memory", action="store_true", help="measure memory alone")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    with tempfile.TemporaryDirectory() as folder:
        run = [
            *(sys.executable, "-m", "lmcompare_cli.app", "train", "-o", "mlm"),
            *("-m", arguments.model, "-b", "1 steps", "--out", folder, "--study", "speed"),
        ]
        path = subprocess.run(run, check=True, capture_output=True, text=True).stdout.strip()
        # first, as a process counts the memory of the one that starts it, too
        print("| sentences | peak memory (MB) |\n|---:|---:|")
        for limit in (4_000, 12_000):
            print(f"| {limit:,} | {_peak(Path(path), arguments.treebank, limit, folder):,.0f} |")
        if not arguments.memory:
            _speed(Path(path), arguments.treebank, arguments.limit, Path(folder))


def _speed(path: Path, treebank: Path, limit: int | None, folder: Path) -> None:
    started = time.perf_counter()
    found = read_treebank([treebank], limit=limit)
    questions = Questions.of(found, choose_tasks(TASKS, found)[0])
    read = time.perf_counter() - started
    model = load_model(find_models([path], warn=print)[0], device="cpu", warn=print)
    started = time.perf_counter()
    with states(
        model,
        questions.readings,
        ways_to_read(model, "encoder")[0],
        layers=None,
        words="mean",
        cache=folder,
        disk_gb=50,
    ) as stored:
        extraction = time.perf_counter() - started
        examples = questions.examples[0].only(stored.known)
        started = time.perf_counter()
        answered = probe_classes(
            stored,
            examples,
            probe="linear",
            seeds=SEEDS,
            device=torch.device("cpu"),
            report=lambda share: print(f"  {share:.0%} of the layers", file=sys.stderr),
        )
        ours = time.perf_counter() - started
        theirs, off = _scikit_learn(stored, examples, answered)
    num = len(stored.layers)
    print(f"{found.name}: {len(found.sentences):,} sentences, {len(examples):,} words")
    print(
        f"{len(examples.tasks)} tasks, {num} layers of {stored.width}, {len(SEEDS)} controls each"
    )
    print("\n| part | seconds |\n|---|---:|")
    print(f"| reading the treebank | {read:.0f} |")
    print(f"| states | {extraction:.0f} |")
    print(f"| all probes and controls | {ours:.0f} |")
    print(f"| scikit-learn, one probe for each task and layer | {theirs * num:.0f} |")
    print(f"| ratio | {theirs * num / ours:.1f} |")
    print(f"\nlargest difference of a score: {off * 100:.2f} points (at most {AGREE * 100:.1f})")
    if off > AGREE:
        sys.exit(1)


def _scikit_learn(
    stored: States, examples: ProbeExamples, answered: list[Answered]
) -> tuple[float, float]:
    """Return the seconds of one layer, and by how much a score differs at most."""
    from sklearn.linear_model import LogisticRegression

    number = len(stored.layers) // 2
    read = features(stored, stored.layers[number], examples)
    train, test = examples.parts["train"], examples.parts["test"]
    seconds = off = 0.0
    for each in answered:
        labels, layer = each.labelled.labels, each.layers[number]
        known = labels[train] >= 0
        started = time.perf_counter()
        x = read(train)
        mean, spread = x.mean(0), x.std(0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it says so where it has not converged
            fitted = LogisticRegression(C=1 / (known.sum() * (layer.l2 or 1)), max_iter=300).fit(
                ((x - mean) / spread)[known], labels[train][known]
            )
        seconds += time.perf_counter() - started
        asked = labels[test] >= 0
        said = fitted.predict(((read(test) - mean) / spread)[asked])
        difference = abs(float(np.mean(said == labels[test][asked])) - layer.value)
        print(f"  {each.labelled.task.name}: off {100 * difference:.2f}", file=sys.stderr)
        off = max(off, difference)
    return seconds, off


def _peak(path: Path, treebank: Path, limit: int, folder: str) -> float:
    results: SimpleQueue[float] = multiprocessing.get_context("spawn").SimpleQueue()
    process = multiprocessing.get_context("spawn").Process(
        target=_probe, args=(path, treebank, limit, Path(folder), results)
    )
    process.start()
    process.join()
    return results.get()


def _probe(
    path: Path, treebank: Path, limit: int, folder: Path, results: "SimpleQueue[float]"
) -> None:
    found = read_treebank([treebank], limit=limit)
    questions = Questions.of(found, choose_tasks(["upos"], found)[0])
    model = load_model(find_models([path], warn=print)[0], device="cpu", warn=print)
    with states(
        model,
        questions.readings,
        ways_to_read(model, "encoder")[0],
        layers=None,
        words="mean",
        cache=folder,
        disk_gb=50,
    ) as stored:
        probe_classes(
            stored,
            questions.examples[0].only(stored.known),
            probe="linear",
            seeds=(0,),
            device=torch.device("cpu"),
            report=lambda share: None,
        )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # kilobytes, but bytes on macOS
    results.put(peak / (1e6 if sys.platform == "darwin" else 1e3))


if __name__ == "__main__":
    main()
