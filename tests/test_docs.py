"""What the documents say is what the code does."""

import importlib.util
import re
import shlex
import sys
import tomllib
from collections.abc import Iterator
from inspect import signature
from pathlib import Path
from typing import Any, NamedTuple, get_args

import pytest
import tomli_w
from typer.testing import CliRunner

from lmcompare.config.run import assign
from lmcompare.config.study import read_study
from lmcompare.evaluation.tasks.record import Group
from lmcompare.evaluation.tasks.registry import AnyTask, read_tasks
from lmcompare.objectives import OBJECTIVES, Objective
from lmcompare.training.objective_table import about, describe
from lmcompare.view import Text
from lmcompare.vocab import Vocab
from lmcompare_cli.app import app
from lmcompare_cli.commands import SUMMARIES
from lmcompare_cli.group import command_of
from tests import ROOT
from tests.conftest import make_net
from tests.objectives import test_contract as contract
from tests.tiny import SETTINGS, Command, flags

README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for path in [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        *sorted((ROOT / "docs").glob("*.md")),
    ]
}
# Pages whose commands are run in an empty folder; those of others in one that holds what they name.
LESSONS = [f"docs/{name}.md" for name in ("getting-started", "tutorial-class", "tutorial-paper")]
LONGER = "batch.length=67"  # rows that hold a prompt and what `study` lets models write
PARSED_ONLY = re.compile(r"<!-- parsed only: .+ -->")
# The first holds usages, made from the code; the other an option that its own code adds.
NOT_TYPED = {"docs/cli.md", "docs/add-an-evaluation.md"}


class Typed(NamedTuple):
    """A command that a page tells to type, and whether it can be run in an empty folder."""

    words: list[str]
    runs: bool


def typed(page: str) -> Iterator[Typed]:
    """Yield what follows `lmcompare` in the blocks of commands, which are indented."""
    runs = True
    for line in PAGES[page].replace("\\\n", " ").splitlines():
        if PARSED_ONLY.fullmatch(line):
            runs = False
        elif line and not line.startswith("    "):
            runs = True  # a mark is about the block under it
        elif found := re.match(r"    (?:.* \| )?lmcompare (.*)", line):
            yield Typed(shlex.split(found[1], comments=True), runs)


def anchors(page: str) -> set[str]:
    """Return what links may name in a page: its headings as GitHub writes them."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", page, flags=re.DOTALL), re.M)
    return {re.sub(r"[^\w -]", "", each).strip().lower().replace(" ", "-") for each in headings}


def load(path: Path) -> Any:
    """A module from a file that belongs to no package."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def test_settings_are_listed() -> None:
    written = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    module = load(ROOT / "docs" / "make_settings.py")
    assert written == module.page(), "run python docs/make_settings.py"


def test_the_command_line_is_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    written = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    module = load(ROOT / "docs" / "make_cli.py")
    for size in ("40", "300"):
        monkeypatch.setenv("COLUMNS", size)
        assert written == module.page(), "run python docs/make_cli.py"
    for name in SUMMARIES:
        (section,) = re.findall(rf"^## `lmcompare {name}`\n(.*?)(?=^## |\Z)", written, re.M | re.S)
        shown = CliRunner().invoke(app, [name, "--help"], env={"COLUMNS": "300"}).output
        options = set(re.findall(r"--[a-z][a-z-]+", shown)) - {"--help"}
        assert options
        assert all(option in section for option in options), name


def test_objectives_are_described() -> None:
    module = load(ROOT / "docs" / "make_objectives.py")
    for path in module.DOCUMENTS:
        written = path.read_text(encoding="utf-8")
        assert written == module.filled(written), "run python docs/make_objectives.py"
        assert "<!-- objectives -->" in written
    headings = re.findall(r"^### `(\w+)`\n(.*?)^<!-- (\w+) -->", written, re.MULTILINE | re.DOTALL)
    assert sorted(name for name, _, _ in headings) == sorted(OBJECTIVES)
    for name, paragraph, mark in headings:
        assert name == mark
        assert "https://" in paragraph, f"{name} has no source"


@pytest.fixture
def added(tmp_path: Path) -> Iterator[type[Objective]]:
    """The objective that docs/add-an-objective.md adds, from outside the package."""
    page = (ROOT / "docs" / "add-an-objective.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    (name,) = re.findall(r"^class (\w+)\(Objective\)", code, re.MULTILINE)
    path = tmp_path / f"{name.lower()}.py"
    path.write_text(code, encoding="utf-8")
    yield getattr(load(path), name)
    del sys.modules[name.lower()]


CONTRACT = {
    name: test
    for name, test in vars(contract).items()
    if name.startswith("test_") and name != "test_round_trip"  # which is about the union
}


@pytest.mark.parametrize("name", CONTRACT)
def test_the_objective_that_is_added_keeps_the_contract(
    added: type[Objective], vocab: Vocab, text: Text, name: str
) -> None:
    objective = added()
    given = {
        "objective": objective,
        "vocab": vocab,
        "text": text,
        "net": make_net(vocab, encodes=objective.encodes),
        "question": "holes",
    }
    test = CONTRACT[name]
    test(**{argument: given[argument] for argument in signature(test).parameters})


def test_the_objective_that_is_added_is_a_setting(added: type[Objective]) -> None:
    (setting,) = set(added.model_fields) - {"name"}
    changed = added.model_validate({setting: 3})
    assert added.model_validate_json(changed.model_dump_json()) == changed != added()
    entry = describe(changed)
    assert entry.predicted == pytest.approx(1 / 3, rel=0.02)
    assert (entry.kind, entry.scores) == ("exact", "text, continuation, holes")
    assert about(changed).startswith("Comb: ")


def test_the_task_that_is_added_is_read_and_all_kinds_are_listed(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "add-a-task.md").read_text(encoding="utf-8")
    (table,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    path = tmp_path / "tasks.toml"
    path.write_text(table, encoding="utf-8")
    (task,) = read_tasks(path)
    assert task.name == "my-pairs"
    kinds = [kind.model_fields["kind"].default for kind in get_args(get_args(AnyTask)[0])]
    assert sorted(re.findall(r"^\| `([\w-]+)` \|", page, re.MULTILINE)) == sorted(kinds)
    assert all(f"`{group}`" in page for group in get_args(Group))


def test_the_readme_names_every_command() -> None:
    named = set(re.findall(r"^\| `(\w+)[^`]*` \|", README, re.MULTILINE)) - set(OBJECTIVES)
    assert named == set(SUMMARIES)


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) <= 200


def test_there_are_commands() -> None:
    assert all([*typed(page)] for page in LESSONS)
    words, runs = next(each for each in typed("README.md") if each.words[0] == "train")
    assert (words, runs) == (["train", "--objective", "mlm"], True)


@pytest.mark.parametrize("page", sorted(PAGES.keys() - NOT_TYPED))
def test_the_command_line_takes_what_a_page_tells(page: str) -> None:
    for (name, *words), _ in typed(page):
        command_of(name).make_context(name, words)


@pytest.mark.parametrize("page", sorted(PAGES.keys() - NOT_TYPED))
def test_options_that_are_mentioned_exist(page: str) -> None:
    runner = CliRunner()
    for command, rest in re.findall(r"lmcompare ([a-z]+)([^\n#`|]*)", PAGES[page]):
        options = re.findall(r"--[a-z][a-z-]+", rest)
        if options:
            text = runner.invoke(app, [command, "--help"], env={"COLUMNS": "300"}).output
            assert all(option in text for option in {*options} - {"--help"}), (command, rest)


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    here = (ROOT / page).parent
    for link in re.findall(r"\]\((?!https?://)([^)\s]+)\)", PAGES[page]):
        path, _, anchor = link.partition("#")
        there = (here / path if path else ROOT / page).resolve()
        assert there.exists(), link
        if anchor:
            assert anchor in anchors(there.read_text(encoding="utf-8")), link


def test_all_pages_are_listed() -> None:
    listed = set(re.findall(r"\]\(([\w-]+\.md)\)", PAGES["docs/README.md"]))
    assert listed == {path.name for path in (ROOT / "docs").glob("*.md")} - {"README.md"}


def studies(page: str) -> Iterator[tuple[Path, str]]:
    """Yield the study files in a page: where each lies, by its first line, and what is in it."""
    for block in re.findall(r"```toml\n(.*?)```", PAGES[page], re.DOTALL):
        if found := re.match(r"# (experiments/\S+/study\.toml)\n", block):
            yield Path(found[1]), block


@pytest.mark.slow
@pytest.mark.parametrize("page", LESSONS)
def test_all_that_a_lesson_tells_to_type_runs(page: str, command: Command, corpus: Path) -> None:
    """In an empty folder but for a text, one after another, with models that are tiny."""
    text = corpus.read_text(encoding="utf-8")
    Path("my.txt").write_text(text, encoding="utf-8")
    for path, block in studies(page):
        tables = tomllib.loads(block)
        source = f"data.source={corpus}"
        tables["shared"] |= {"budget": "3 steps", "model": {}}
        tables["shared"] = assign(tables["shared"], [*SETTINGS, LONGER, source])
        path.parent.mkdir(parents=True)
        path.write_text(tomli_w.dumps(tables), encoding="utf-8")
    for words, runs in typed(page):
        if runs:
            made = words[0] in ("train", "study") and not words[1].endswith(".toml")
            said = command(*words, *(flags(corpus, LONGER) if made else ()))
            assert said.code == 0, (words, said)


def test_the_study_to_begin_with_is_valid(tmp_path: Path) -> None:
    ((_, text),) = studies("docs/getting-started.md")
    study = tmp_path / "study.toml"
    study.write_text(text, encoding="utf-8")
    assert tomllib.loads(text)["shared"]["seeds"] == [0, 1, 2]
    assert [each.arm for each in read_study(study)] == 3 * ["clm", "mlm-30", "mlm-slow"]


def test_study_files_are_valid() -> None:
    studies = sorted((ROOT / "experiments").glob("*/study.toml"))
    assert studies
    for study in studies:
        assert read_study(study)
        assert study.read_text(encoding="utf-8").startswith("#"), "a study opens with its lab note"


def test_the_glossary_is_sorted_and_names_every_objective() -> None:
    glossary = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    lines = [line for line in glossary.splitlines() if line.startswith("- ")]
    entries = [re.fullmatch(r"- \*\*(`?)(.+?)\1\*\*: (.+\.)", line) for line in lines]
    assert None not in entries, "a term and a sentence"
    terms = [entry[2] for entry in entries if entry]
    assert terms == sorted(terms, key=str.casefold)
    assert len(set(terms)) == len(terms) >= 60
    assert {entry[2] for entry in entries if entry and entry[1]} == set(OBJECTIVES)
    referred = {term for line in lines for term in re.findall(r"(?<!\*)\*([^*]+)\*(?!\*)", line)}
    assert referred - {"wins", "ties", "loses"} <= set(terms)
    pages = re.findall(r"\]\((?!https://)([^)#]+)", glossary)
    assert all((ROOT / "docs" / page).exists() for page in pages)
