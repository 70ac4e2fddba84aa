"""Whatever happens to a file of a run, nothing that is read from it is silently another value.

Each mutation is of a fresh copy of a study: a finished run, a stopped one, and one of another seed.
Then all that reads runs must give what it gave before, or say that something is wrong.
"""

import json
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random

import pytest

from lmcompare.comparison import compare
from lmcompare.comparison.arms import read_results
from lmcompare.comparison.frame import tidy
from lmcompare.comparison.grouping import group_arms
from lmcompare.config.run import RunConfig
from lmcompare.errors import UserError
from lmcompare.evaluation.infilling.measure import measure_infilling
from lmcompare.evaluation.infilling.options import InfillingOptions
from lmcompare.evaluation.likelihood.measure import measure_likelihood
from lmcompare.evaluation.likelihood.options import LikelihoodOptions
from lmcompare.evaluation.tasks.record import TaskItem, TaskRecord
from lmcompare.runs import finding
from lmcompare.runs.loaded_model import load_model
from lmcompare.runs.run import Run
from tests.tiny import Trainer, tiny

NUM_MUTATIONS, NUM_SLOW = 30, 1000
STEPS = 4
SMALL = ("runtime.save_every=2", f"budget={STEPS} steps", "model.layers=1", "model.width=8")
SCORED = LikelihoodOptions(max_bytes=200, device="cpu")
HIDDEN = InfillingOptions(num_texts=3, device="cpu")
FINISHED, STOPPED, OTHER = "clm", "mlm", "seed"
VARYING = {"training_seconds", "tokens_per_second", "peak_memory"}  # from run to run

Observed = dict[tuple[str, ...], object]
HALF_DONE = "half-done"


@dataclass(frozen=True)
class Study:
    folder: Path
    configs: dict[str, RunConfig]
    cache: Path

    def run(self, name: str) -> Run:
        return Run(self.folder / name)

    def copied(self, folder: Path) -> "Study":
        shutil.copytree(self.folder, folder)
        return Study(folder, self.configs, self.cache)


class Refused(str):
    """What was said instead of a value."""


def unfinished_record(run: Run) -> TaskRecord:
    (record,) = run.results.read(TaskRecord)
    return record.model_copy(update={"task": HALF_DONE})


@pytest.fixture(scope="module")
def study(corpus: Path, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Study:
    folder = tmp_path_factory.mktemp("mutated") / "study"
    configs = {
        FINISHED: tiny(corpus, "clm", *SMALL),
        STOPPED: tiny(corpus, "mlm", *SMALL),
        OTHER: tiny(corpus, "clm", *SMALL, "seed=1"),
    }
    train = Trainer(folder, cache)
    for name, config in configs.items():
        run = Run(folder / name)
        train(config, run=run, stop_at=STEPS - 1 if name == STOPPED else None)
        measure_likelihood(run, SCORED, cache=cache)
        measure_infilling(run, HIDDEN, cache=cache)
        keep_answers(run)
    return Study(folder, configs, cache)


def keep_answers(run: Run) -> None:
    """A benchmark's, complete and not, without the work."""
    record = TaskRecord(
        task="made-up",
        arm=run.record().arm,
        seed=run.record().config.seed,
        source="made-up.jsonl",
        text="0123456789abcdef",
        step=STEPS if run.done() else STEPS - 1,
        kind="pairs",
        group="grammar",
        version=1,
        protocol="all",
        metric="accuracy",
        chance=0.5,
        num_items=7,
        value=4 / 7,
        standard_error=0.2,
    )
    items = [TaskItem(item=number, score=float(number % 2 == 0)) for number in range(7)]
    run.results.write(record, items)
    run.results.keep_items(unfinished_record(run), items[:5])


def test_nothing_is_silently_another_value(study: Study, tmp_path: Path) -> None:
    counts = mutate(study, tmp_path, num=NUM_MUTATIONS)
    assert counts.total() == NUM_MUTATIONS


def test_an_answer_that_stands_there_twice_is_one(study: Study, tmp_path: Path) -> None:
    run = study.copied(tmp_path / "copy").run(STOPPED)
    before = half_done(run, pytest.fail)
    (file,) = run.path.glob("eval/*.unfinished")
    lines = file.read_bytes().splitlines(keepends=True)
    for index in range(len(lines)):
        file.write_bytes(b"".join([*lines[: index + 1], *lines[index:]]))
        assert half_done(run, pytest.fail) == before


@pytest.mark.slow
def test_nothing_is_silently_another_value_at_length(study: Study, tmp_path: Path) -> None:
    counts = mutate(study, tmp_path, num=NUM_SLOW, seed=1, tables=True)
    assert counts.total() == NUM_SLOW


def mutate(
    study: Study, folder: Path, *, num: int, seed: int = 0, tables: bool = False
) -> Counter[str]:
    """Try mutations; how many came out in which way, which is printed too.

    Args:
        study: of which copies are changed.
        folder: where these lie.
        num: mutations.
        seed: of which ones.
        tables: make all tables of a comparison, and not the frame alone that they are made of.
    """
    random = Random(seed)
    untouched, expected = known(study, folder)
    counts: Counter[str] = Counter()
    wrong: list[str] = []
    for number in range(num):
        copy = study.copied(folder / f"copy-{number}")
        said = one_mutation(copy, random)
        try:
            found = observe(copy, trains="/eval/" not in said, tables=tables)
        except Exception as error:
            wrong.append(f"{said}: {type(error).__name__}: {error}")
            counts["another exception"] += 1
        else:
            silent = [key for key in found if not agrees(key, found[key], expected.get(key))]
            wrong += [f"{said}: {key}: {found[key]!r}" for key in silent[:3]]
            counts[verdict(found, untouched, silent)] += 1
        shutil.rmtree(copy.folder)
    print(dict(counts))
    assert not wrong, "\n".join(wrong)
    return counts


def verdict(found: Observed, untouched: Observed, silent: list[tuple[str, ...]]) -> str:
    if silent:
        return "silently another value"
    if any(isinstance(each, Refused) for each in found.values()):
        return "said"
    # what results were changed is not trained again
    lacking = {key for key in untouched.keys() - found.keys() if key[0] != "trained on"}
    return "absent" if lacking else "the same"


def agrees(key: tuple[str, ...], found: object, expected: object) -> bool:
    if key[0] == HALF_DONE and isinstance(found, list) and isinstance(expected, list):
        return found == [each for each in expected if each in found]  # others are asked again
    return isinstance(found, Refused) or found == expected


def known(study: Study, folder: Path) -> tuple[Observed, Observed]:
    """What is observed untouched; and besides, of the finished run as if it were not: a marked one.

    The same files give both, and each is right where `done.json` is there or is not.
    """
    copy = study.copied(folder / "untouched")
    ended = study.copied(folder / "not-ended")
    ended.run(FINISHED).done_file.unlink()
    untouched = observe(copy)
    expected = observe(ended) | untouched
    assert not any(isinstance(each, Refused) for each in expected.values()), expected
    assert len(expected) > 60
    return untouched, expected


def observe(study: Study, *, trains: bool = True, tables: bool = False) -> Observed:
    """All that is read from runs, by what it is; what results were changed trains as before."""
    found: Observed = {}
    notes: list[str] = []

    def look(key: tuple[str, ...], read: Callable[[], object]) -> None:
        num_said = len(notes)
        try:
            value = read()
            found[key] = value if len(notes) == num_said else Refused(notes[-1])
        except UserError as error:
            found[key] = Refused(error)

    for name in (FINISHED, STOPPED):
        run = study.run(name)
        look(("model", name), partial(model, run, notes.append))
        look(("text", name), lambda run=run: run.tokenizer().decode(range(60, 90)))
        look(("counts", name), lambda run=run: run.token_counts().tolist())
        look(("state", name, run.state()), lambda run=run: listed(run))
        look((HALF_DONE, name), lambda run=run: half_done(run, notes.append))
    try:
        found |= compared(study, notes.append, tables=tables)
    except UserError as error:
        found[("compared",)] = Refused(error)
    for name in (FINISHED, STOPPED) if trains else ():
        look(("trained on", name), partial(trained_on, study, name))
    if notes:
        found[("notes",)] = Refused(notes)
    return found


def model(run: Run, warn: Callable[[str], None]) -> object:
    model = load_model(run, device="cpu", warn=warn)
    weights = [parameter.double().sum().item() for parameter in model.net.parameters()]
    return model.step, weights


def listed(run: Run) -> object:
    last = run.last_metrics()
    return last and (last.step, last.loss), run.last_validation(), run.record().arm


def half_done(run: Run, warn: Callable[[str], None]) -> object:
    records = run.results.read(TaskRecord, warn)
    return run.results.kept_items(unfinished_record(run), TaskItem) if records else []


def compared(study: Study, note: Callable[[str], None], *, tables: bool) -> Observed:
    runs = finding.find_runs([study.folder], warn=note)
    said: list[str] = []
    if tables:
        comparison = compare(runs, unfinished=True)
        frame, said = comparison.frame, [*comparison.notes]
    else:
        results = read_results(runs, unfinished=True, note=said.append)
        frame = tidy(group_arms(results, note=said.append))
    for each in said:
        if "left out: " in each:
            note(each)
    about = ["run", "finished", "step", "metric", "scoring", "source", "text", "hidden", "seed"]
    frame["run"] = [Path(run).name for run in frame["run"]]
    rows = frame[~frame["metric"].isin(VARYING)]
    return {
        ("compared", *map(str, key)): value
        for *key, value in rows[[*about, "value"]].itertuples(index=False)
    }


def trained_on(study: Study, name: str) -> object:
    """What `train` makes of it; a finished run is left as it is."""
    run = Trainer(study.folder, study.cache)(study.configs[name], run=study.run(name))
    done = run.done()
    assert done is not None
    checkpoint = finding.load_checkpoint(run, warn=pytest.fail)
    tensors = checkpoint.weights() | checkpoint.optimizer()
    return done.loss, done.validation, {key: float(each.sum()) for key, each in tensors.items()}


def one_mutation(study: Study, random: Random) -> str:
    """Change something; what was changed."""
    run = study.run(random.choice([FINISHED, STOPPED]))
    file = random.choice(sorted(path for path in run.path.rglob("*") if path.stat().st_size))
    while not file.is_file():
        file = random.choice(sorted(path for path in run.path.rglob("*") if path.stat().st_size))
    fitting = [change for change, fits in CHANGES.items() if fits(file)]
    change = random.choice(fitting)
    change(study, file, random)
    return f"{change.__name__} of {file.relative_to(study.folder)}"


def flip(study: Study, file: Path, random: Random) -> None:
    content = bytearray(file.read_bytes())
    content[random.randrange(len(content))] ^= 1 << random.randrange(8)
    file.write_bytes(content)


def edit_digit(study: Study, file: Path, random: Random) -> None:
    content = bytearray(file.read_bytes())
    places = [place for place, byte in enumerate(content) if chr(byte).isdecimal()]
    if places:
        place = random.choice(places)
        content[place] = ord("0") + (content[place] - ord("0") + random.randint(1, 9)) % 10
    file.write_bytes(content)


def remove_key(study: Study, file: Path, random: Random) -> None:
    tables = [json.loads(file.read_text())]
    for table in tables:
        tables += [each for each in table.values() if isinstance(each, dict) and each]
    table = random.choice(tables)
    del table[random.choice(sorted(table))]
    file.write_text(json.dumps(tables[0], indent=2))


def truncate(study: Study, file: Path, random: Random) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: random.randrange(len(content))])


def empty(study: Study, file: Path, random: Random) -> None:
    file.write_bytes(b"")


def delete(study: Study, file: Path, random: Random) -> None:
    file.unlink()


def exchange(study: Study, file: Path, random: Random) -> None:
    """With one that is called alike, of this run or another, or else with any."""
    files = [path for path in study.folder.rglob("*") if path.is_file() and path != file]
    alike = [path for path in files if path.name == file.name]
    other = random.choice(sorted(alike or files))
    one, two = file.read_bytes(), other.read_bytes()
    file.write_bytes(two)
    other.write_bytes(one)


def copy_from_another(study: Study, file: Path, random: Random) -> None:
    """A checkpoint of another seed, in the place of one or newer than all."""
    source = study.run(OTHER).checkpoints / f"step-{STEPS:08d}"
    place = random.choice([file.parent, file.parent.with_name("step-00000009")])
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(source, place)


def exchange_ids(study: Study, file: Path, random: Random) -> None:
    content = json.loads(file.read_text())
    vocab = content["model"]["vocab"]
    one, two = random.sample(sorted(vocab), 2)
    vocab[one], vocab[two] = vocab[two], vocab[one]
    file.write_text(json.dumps(content, ensure_ascii=False, sort_keys=True, indent=1))


def remove_line(study: Study, file: Path, random: Random) -> None:
    lines = file.read_bytes().splitlines(keepends=True)
    del lines[random.randrange(len(lines))]
    file.write_bytes(b"".join(lines))


def double_line(study: Study, file: Path, random: Random) -> None:
    lines = file.read_bytes().splitlines(keepends=True)
    place = random.randrange(len(lines))
    file.write_bytes(b"".join([*lines[:place], lines[place], *lines[place:]]))


def of_json(file: Path) -> bool:
    return file.suffix == ".json" and file.name != "tokenizer.json"


def of_lines(file: Path) -> bool:
    return file.suffix in (".jsonl", ".unfinished")


CHANGES: dict[Callable[[Study, Path, Random], None], Callable[[Path], bool]] = {
    flip: lambda file: True,
    edit_digit: lambda file: file.suffix != ".safetensors",
    remove_key: of_json,
    truncate: lambda file: True,
    empty: lambda file: True,
    delete: lambda file: True,
    exchange: lambda file: True,
    copy_from_another: lambda file: file.parent.name.startswith("step-"),
    exchange_ids: lambda file: file.name == "tokenizer.json",
    remove_line: of_lines,
    double_line: of_lines,
}
