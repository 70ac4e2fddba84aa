"""What the pages tell to type runs, one command after another, with models that are tiny."""

import gzip
import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from lmcompare.evaluation.probes import linear, structure
from tests.published import publish
from tests.test_docs import LESSONS, LONGER, NOT_TYPED, PAGES, typed
from tests.tiny import Command, TrainOnce, flags
from tests.treebank import write_treebank

OBJECTIVES = ("clm", "mlm", "mdlm")
STUDIES = ("objectives", "show", "books", "first", "rates")  # which pages speak of
PAIRS = [("the old cat saw a dog.", "the cat old saw a dog."), ("a dog ran", "a ran dog")]
FILES_OF_PAIRS = (
    "benchmarks/blimp/order.jsonl",
    "benchmarks/agreement/a.jsonl",
    "agreement/a.jsonl",
)
# of a study that a page tells of, what was measured before it begins
BEFORE = {"docs/results.md": ["--tasks", "likelihood,blimp", "--task-data", "benchmarks"]}
SHORT_TEXTS = ["--prompt-tokens=8", "--new-tokens=8"]  # for which rows of 67 bytes have room
ASKS = {("results", "--remove")}  # what it removes is asked for on the terminal
REPLACED = {  # what no test has, by what stands for it
    "hf:EleutherAI/pythia-160m": "hf:./smollm2",
    "hf:google-bert/bert-base-cased": "hf:./bert",
    "tokenizer.file=hf:FOLDER": "tokenizer.file=hf:./bert",
    "FOLDER": "benchmarks",
    "500": "7",  # a step with a checkpoint
    "boolq": "blimp",
    "grammar": "blimp",  # the others of the group have files of their own
}


@pytest.fixture
def place(
    train_once: TrainOnce, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> Mapping[str, Path]:
    """Fill the working folder with what pages speak of; return a run of each objective."""
    monkeypatch.setattr(structure, "FEWEST_STEPS", 32)
    monkeypatch.setattr(linear, "STEPS_OF_WHOLE", 32)
    runs = {}
    for name in OBJECTIVES:
        (runs[name],) = train_once("-o", name, *flags(corpus, LONGER, budget="8 steps"))
    for study in STUDIES:
        shutil.copytree("experiments/default", f"experiments/{study}")
    text = corpus.read_text(encoding="utf-8")
    for file in ("my.txt", "book.txt", "shakespeare.txt"):
        Path(file).write_text(text, encoding="utf-8")
    Path("books").mkdir()
    Path("books/one.txt.gz").write_bytes(gzip.compress(text.encode()))
    write_treebank(Path("en_ewt-ud"), name="en_ewt-ud")
    for path in Path("en_ewt-ud").iterdir():
        shutil.copy(path, path.name)
    shutil.copy("en_ewt-ud-train.conllu", "en_ewt.conllu")
    parts = dict.fromkeys(("field", "linguistics_term", "UID"), "order")
    lines = [json.dumps({"sentence_good": one, "sentence_bad": two} | parts) for one, two in PAIRS]
    for path in map(Path, FILES_OF_PAIRS):
        path.parent.mkdir(parents=True)
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    (table,) = re.findall(r"```toml\n(.*?)```", PAGES["docs/add-a-task.md"], re.DOTALL)
    Path("my-tasks.toml").write_text(table, encoding="utf-8")
    publish("causal", Path("smollm2"))
    publish("masked", Path("bert"))
    return runs


def here(word: str, runs: Mapping[str, Path]) -> str:
    """Return a word of a command as it is typed in the folder of the test."""
    if found := re.fullmatch(r"(experiments/\w+)/(\w+)-s0-(?:[0-9a-f]{8}|\*)(.*)", word):
        study, objective, rest = found.groups()
        return f"{study}/{runs[objective].name}{rest.replace('00000500', '00000007')}"
    return str(runs["clm"]) if word == "RUN" else REPLACED.get(word, word)


@pytest.mark.slow
@pytest.mark.parametrize(
    "page", [page for page in sorted(PAGES.keys() - NOT_TYPED - {*LESSONS}) if [*typed(page)]]
)
def test_all_that_a_page_tells_to_type_runs(
    page: str, command: Command, corpus: Path, place: Mapping[str, Path]
) -> None:
    if page in BEFORE:
        assert command("eval", "experiments/rates", *BEFORE[page]).code == 0
    for words, runs in typed(page):
        if not runs or ASKS.intersection((words[0], word) for word in words):
            continue
        settings = flags(corpus, LONGER) if words[0] == "train" else []
        writes = words[0] == "eval" and {"generation", "speed"} & {*words}
        settings += SHORT_TEXTS if writes else []
        said = command(*(here(word, place) for word in words), *settings)
        assert said.code == 0, (words, said)
