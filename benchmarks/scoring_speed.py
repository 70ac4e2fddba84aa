"""Speed of scoring sentences beside minicons, on the same weights.

    make bench                       (at its end; minicons is installed with the extra `bench`)

A causal and a masked model are made, exported, and asked for the log-probability of the same
minimal pairs: minicons in the fastest of several sizes of its batches, its sentences sorted by
length too. They take turns; a ratio is the median over the rounds. The scores must agree. Part of
our lead is an allocator setting that any program could make (`devices.keep_freed_memory`), so a
second ratio is to the same peer with that setting as well.

Pairs are made of sentences in which one word gives way to another, or are those of `--suite`,
spread evenly over it. How much of a sentence is also the beginning of another one is shown.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from turns import Contestant, Step, fastest, serve, take_turns

NUM = {"clm": 2_000, "mlm": 200}  # sentences
TO_REACH = {"clm": 2.0, "mlm": 3.0}
AGREE = 1e-4  # of a log-probability
SIZES = ("16", "64", "256")  # of a peer's batches


def prepare(folder: Path, model: str, arguments: argparse.Namespace) -> None:
    """A run of each objective, hardly trained, its export, and the sentences."""
    for objective in NUM:
        run = [
            *(sys.executable, "-m", "lmcompare_cli.app", "train", "-o", objective, "-m", model),
            *("-b", "1 steps", "--out", str(folder), "--study", "speed"),
        ]
        path = subprocess.run(run, check=True, capture_output=True, text=True).stdout.strip()
        (folder / objective).symlink_to(Path(path).resolve())
        export = [sys.executable, "-m", "lmcompare_cli.app", "export", path, "--to", "hf"]
        subprocess.run([*export, str(folder / f"{objective}-hf")], check=True, capture_output=True)
    if arguments.suite:
        pairs = pairs_of(arguments.suite, arguments.benchmarks)
    else:
        pairs = made_pairs(folder / "cache", max(NUM.values()))
    for objective in NUM:
        num = min(len(pairs), (arguments.sentences or NUM[objective]) // 2)
        chosen = [pairs[number * len(pairs) // num] for number in range(num)]
        (folder / f"{objective}.json").write_text(json.dumps(chosen), encoding="utf-8")


def pairs_of(suite: str, benchmarks: str) -> list[tuple[str, str]]:
    from lmcompare.evaluation.tasks.minimal_pairs import Pairs
    from lmcompare.evaluation.tasks.registry import known

    task = known()[suite]
    assert isinstance(task, Pairs), f"{suite} has no pairs"
    return [(each.good, each.bad) for each in task.read(Path(benchmarks)).test]


def made_pairs(cache: Path, num: int) -> list[tuple[str, str]]:
    from lmcompare.config.run import parse_data
    from lmcompare.data import open_corpus
    from lmcompare.evaluation.tasks.cloze import passages_of

    data, draws = parse_data({}), random.Random(1)
    corpus = open_corpus(*data.names, data=data, cache=cache)
    pairs = []
    for passage in passages_of(corpus.texts(), num=num, words=8):
        words = passage.split()[:20]  # as long as those of the suites are
        bad = [*words]
        bad[draws.randrange(len(words))] = draws.choice(words)
        pairs.append((" ".join(words), " ".join(bad)))
    return pairs


def sentences(folder: Path, objective: str) -> list[str]:
    pairs = json.loads((folder / f"{objective}.json").read_text(encoding="utf-8"))
    return sorted((each for pair in pairs for each in pair), key=len)


def shared(found: list[str]) -> float:
    """Share of the words that stand in a beginning of a sentence that another one has too."""
    words = [each.split() for each in found]
    beginnings = {tuple(each[:stop]) for each in words for stop in range(1, 1 + len(each))}
    return 1 - len(beginnings) / sum(map(len, words))


def ours(folder: Path, objective: str) -> tuple[Step, int]:
    from lmcompare.evaluation.span_scoring import Span, choose_scoring, score_spans
    from lmcompare.runs.loaded_model import load_model
    from lmcompare.runs.run import Run

    model = load_model(Run(folder / objective), device="cpu", warn=print)
    parts = [Span(text=each) for each in sentences(folder, objective)]
    scoring = choose_scoring(model, parts)

    def step() -> dict[str, Any]:
        return {"scores": [-each.nats for each in score_spans(model, parts, scoring)]}

    return step, sum(p.numel() for p in model.net.parameters())


def theirs(folder: Path, objective: str, setting: str) -> tuple[Step, int]:
    from minicons import scorer

    batch, _, allocator = setting.partition("+")
    size = int(batch)
    if allocator:
        from lmcompare import devices

        devices.keep_freed_memory()
    kind = {"clm": scorer.IncrementalLMScorer, "mlm": scorer.MaskedLMScorer}[objective]
    model = kind(str(folder / f"{objective}-hf"), "cpu")
    texts = sentences(folder, objective)
    if objective == "mlm":
        # which the start token is to us; it is no part of a sentence
        model.cls_token_id = model.tokenizer.bos_token_id

    def encoded(some: list[str]) -> Any:
        if objective == "clm":
            return some
        # by itself it calls what transformers has no longer
        return model.tokenizer(some, padding=True, return_tensors="pt")

    def step() -> dict[str, Any]:
        scores: list[float] = []
        for start in range(0, len(texts), size):
            some = texts[start : start + size]
            scores += model.sequence_score(encoded(some), reduction=lambda each: each.sum(0).item())
        return {"scores": scores}

    return step, sum(p.numel() for p in model.model.parameters())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--trial-rounds", type=int, default=2)
    parser.add_argument("--models", nargs="+", default=["nano", "micro"])
    parser.add_argument("--only", nargs="+", choices=NUM, default=list(NUM), metavar="OURS")
    parser.add_argument("--suite", metavar="NAME", help="minimal pairs, for example blimp")
    parser.add_argument("--benchmarks", metavar="FOLDER", default=".", help="where its files are")
    parser.add_argument("--sentences", type=int, metavar="N", help="of a suite, so many")
    parser.add_argument("--work", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        name, folder = arguments.work[0].split("@", maxsplit=1)
        whose, objective = name.split("/")
        place, setting = Path(folder), arguments.work[1]
        serve(
            lambda: ours(place, objective) if whose == "ours" else theirs(place, objective, setting)
        )
        return
    print(
        f"{'ours':5} {'size':6} {'sentences':>9} {'shared':>6} {'a second':>9} {'MB':>6}   "
        f"{'peer, batch':>15} "
        f"{'a second':>9} {'MB':>6} {'ratio':>6} {'to reach':>9} {'+alloc':>7}  apart"
    )
    for model in arguments.models:
        with tempfile.TemporaryDirectory() as folder:
            prepare(Path(folder), model, arguments)
            for objective in arguments.only:
                race(Path(folder), model, objective, arguments)


def race(folder: Path, model: str, objective: str, arguments: argparse.Namespace) -> None:
    asked = sentences(folder, objective)
    num = len(asked)
    mine = Contestant(__file__, f"ours/{objective}@{folder}", "-")
    other = fastest(
        (Contestant(__file__, f"minicons/{objective}@{folder}", size) for size in SIZES),
        rounds=arguments.trial_rounds,
        work=num,
        unit="sentences",
    )
    settled = Contestant(__file__, other.name, f"{other.setting}+allocator")
    take_turns([mine, other, settled], arguments.rounds)
    found, expected = mine.steps[0]["scores"], other.steps[0]["scores"]
    apart = max(abs(one - two) / abs(two) for one, two in zip(found, expected, strict=True))
    print(
        f"{objective:5} {model:6} {num:9,} {shared(asked):6.0%} {num / mine.typical:9,.0f} "
        f"{mine.megabytes:6,.0f}   "
        f"{other.setting:>15} {num / other.typical:9,.0f} {other.megabytes:6,.0f} "
        f"{mine.faster_than(other):5.2f}x {TO_REACH[objective]:8.1f}x "
        f"{mine.faster_than(settled):6.2f}x  {apart:.1e}{'' if apart < AGREE else ' NOT EQUAL'}",
        flush=True,
    )
    for each in (mine, other, settled):
        each.close()


if __name__ == "__main__":
    main()
