"""Files and paths that are no good, through the command line: one line, and nothing written."""

import gzip
from pathlib import Path
from typing import get_args, get_type_hints
from unicodedata import normalize

import pytest

from lmcompare.evaluation.tasks.registry import read_tasks
from lmcompare_cli.commands import SUMMARIES, function_of
from tests import ROOT
from tests.tiny import Command, the_error

CHECK = ("check", "-o", "clm", "-s", "tokenizer.kind=bytes")
OLD = next((ROOT / "tests" / "runs" / "schema_2").iterdir())  # a run that is asked
TASKS = ("eval", str(OLD), "--tasks", "tasks.toml")
PROMPTS = ("generate", "nowhere", "--prompts")
STUDY = '[shared]\nmodel = "nano"\n[[arm]]\nobjective = "clm"\n'


def task(**settings: str) -> bytes:
    """A file of one task, in TOML."""
    table = {"kind": '"pairs"', "group": '"grammar"', "files": '["a.csv"]'} | settings
    return ("[mine]\n" + "".join(f"{key} = {value}\n" for key, value in table.items())).encode()


# what is typed, the files beside it, what the sentence must contain
CASES: list[tuple[tuple[str, ...], dict[str, bytes], str]] = [
    ((*CHECK, "--data", "\udcff.txt"), {}, "bytes that are no UTF-8"),
    ((*CHECK, "--data", "x" * 999), {}, "File name too long"),
    ((*CHECK, "--data", "~nobody/a.txt"), {}, "no file, folder or match"),
    ((*CHECK, "--data", "a.txt"), {"a.txt": b"one\n\ncaf\xe9"}, "in line 3, byte 8 is 0xe9"),
    ((*CHECK, "--data", "a.txt.gz"), {"a.txt.gz": gzip.compress(b"\0" * 10**7)}, "binary file"),
    ((*CHECK, "-s", "a=" + "[" * 9_999), {}, "nested more than 32 deep"),
    ((*CHECK, "-s", "batch.rows=0x" + "f" * 4_337), {}, "more than 64 bits"),
    ((*CHECK, "-s", "tokenizer.file=\udcff"), {}, "bytes that are no UTF-8"),
    ((*CHECK, "-s", 'tokenizer.file="a\\u0000"'), {}, "NUL"),
    ((*CHECK, "-s", "tokenizer.file=folder"), {"folder/a": b""}, "Is a directory"),
    ((*CHECK, "-s", "tokenizer.file=a"), {"a": b"caf\xe9"}, "'a' is not UTF-8: in line 1, byte 3"),
    (("train", "a.toml"), {"a.toml": b"caf\xe9"}, "'a.toml' is not UTF-8: in line 1, byte 3 is"),
    (("train", "a.toml"), {"a.toml": b"a = " + b"[" * 9_999}, "nested more than 32 deep"),
    (("train", "a.toml"), {"a.toml": b"a = " + b"1" * 9_999}, "more than 64 bits"),
    (("train", "folder"), {"folder/a.toml": b""}, "No such file"),
    (("train", "x" * 999), {}, "there is no run or study at"),
    (("check", "\udcff.toml"), {}, r"there is no run or study at \udcff.toml"),
    (("eval", "x" * 999), {}, "there is no run or study at"),
    (("eval", "\udcff"), {}, r"there is no run or study at \udcff"),
    (("eval", "folder", "--field", "text"), {"folder/a": b""}, "no --data is given"),
    (("cloze", "--data", "a.txt"), {"a.txt": b"caf\xe9"}, "data.encoding_errors = replace"),
    (("cloze", "--data", "a.jsonl"), {"a.jsonl": b'{"a": 1}'}, "name one with data.field"),
    (
        ("cloze", "--data", "a.txt", "-s", "batch.rows=3"),
        {"a.txt": b"a"},
        "'batch' is not a setting",
    ),
    (("show", "--replay", "a"), {"a": b"\xff"}, "a is not a whole trace"),
    (("show", "--replay", "\udcff"), {}, r"'\udcff' cannot be read: No such file"),
    (("show", "--run", "x" * 999), {}, "there is no run or study at"),
    ((*PROMPTS, "a.json"), {"a.json": b'{"prompt": "a"}'}, "not read from, '.json'"),
    (
        (*PROMPTS, "a.NDJSON"),
        {"a.NDJSON": b'{"text": "a"}\n'},
        'not a JSON object with a text "prompt',
    ),
    ((*PROMPTS, "a.jsonl"), {"a.jsonl": b"[" * 9_999}, "nested too deeply"),
    ((*PROMPTS, "a.jsonl"), {"a.jsonl": b'{"prompt": "\\ud83d"}'}, "half a surrogate pair"),
    ((*PROMPTS, "a.gz"), {"a.gz": gzip.compress(b"\0" * 10**7)}, "'a.gz' is not text but"),
    ((*PROMPTS, "a.gz"), {"a.gz": gzip.compress(b"a" * 10**8)}, "packed more than 500-fold"),
    ((*PROMPTS, "a.txt"), {"a.txt": b"a\0b"}, "'a.txt' is not text but a binary file"),
    ((*PROMPTS, "folder"), {"folder/a": b""}, "'folder' cannot be read: Is a directory"),
    ((*PROMPTS, "x" * 999), {}, "File name too long"),
    ((*PROMPTS, "\udcff"), {}, r"'\udcff' cannot be read: No such file"),
    (TASKS, {}, "'tasks.toml' cannot be read: No such file"),
    (TASKS, {"tasks.toml": b"[mine"}, "tasks.toml is not valid TOML"),
    (TASKS, {"tasks.toml": b"caf\xe9"}, "'tasks.toml' is not UTF-8: in line 1, byte 3"),
    (TASKS, {"tasks.toml": task(files='["/nowhere/*.csv"]')}, "there is no such file"),
    (TASKS, {"tasks.toml": task(files='["~nobody/a.csv"]')}, "there is no such file"),
    (TASKS, {"tasks.toml": task(files='["a\\u0000.csv"]')}, "NUL"),
    (TASKS, {"tasks.toml": task(files=f'["{"x" * 999}"]')}, "there is no such file"),
    (TASKS, {"tasks.toml": task(), "a.csv": b"a,b,a\n1,2,3\n"}, "heading 'a' more than once"),
    (TASKS, {"tasks.toml": task(), "a.csv": b"a,b\n\n1\n"}, "line 3 has 1 cells under 2 headings"),
    (TASKS, {"tasks.toml": task(), "a.csv": b"a,b\n1,caf\xe9\n"}, "in line 2, byte 9 is 0xe9"),
    (TASKS, {"tasks.toml": task(), "a.csv": b'a,b\n1,"2'}, "has no 'sentence_good', only a, b"),
]


@pytest.mark.parametrize(("typed", "files", "says"), CASES)
def test_one_line_and_nothing_written(
    typed: tuple[str, ...], files: dict[str, bytes], says: str, command: Command
) -> None:
    for name, content in files.items():
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_bytes(content)
    before = sorted(Path().rglob("*"))
    said = command(*typed)
    assert says in the_error(said)
    assert said.out == ""
    assert sorted(Path().rglob("*")) == before


def test_a_closed_file_is_no_wrong_usage() -> None:
    """Tests may run as root, for whom nothing is closed, so that the declarations are looked at."""
    declared = [
        (callback, name, *get_args(hint))
        for callback in map(function_of, SUMMARIES)
        for name, hint in get_type_hints(callback, include_extras=True).items()
        if "Path" in str(hint)
    ]
    assert len(declared) > 11
    for callback, name, _, option in declared:
        assert not option.readable, (callback, name)


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_studies_and_tasks_from_other_editors(
    mark: bytes, end: str, corpus: Path, command: Command
) -> None:
    study = f'[shared]\ndata.source = "{corpus}"\ntokenizer.kind = "bytes"\n{STUDY[9:]}'
    Path("a.toml").write_bytes(mark + study.replace("\n", end).encode())
    said = command("check", "a.toml")
    assert (said.code, "clm" in said.out) == (0, True), said
    Path("a.csv").write_text("sentence_good,sentence_bad\na cat,a cats\n", encoding="utf-8")
    Path("tasks.toml").write_bytes(mark + task().replace(b"\n", end.encode()))
    assert [each.name for each in read_tasks(Path("tasks.toml"))] == ["mine"]


def test_a_folder_says_what_is_not_read(corpus: Path, command: Command) -> None:
    Path("books").mkdir()
    Path("books", "A.TXT").write_bytes(corpus.read_bytes())
    Path("books", "b.pdf").touch()
    said = command(*CHECK, "--data", "books")
    assert said.code == 0
    assert "'books': 1 of 2 files are not read (1 .pdf)\n" in said.err
    said = command("cloze", "--data", "books", "--words", "5")
    assert "'books': 1 of 2 files are not read (1 .pdf)\n" in said.err


def test_advice_on_a_text_can_be_followed(command: Command) -> None:
    text = "The old cat of the house saw a dog under the tree. " * 3
    Path("a.jsonl").write_bytes(b'{"body": "%s"}\n' % (text + "caf\xe9 ").encode("latin-1"))
    for options in (
        ("--field", "body", "--encoding-errors", "replace"),
        ("-s", "data.field=body", "-s", "data.encoding_errors=replace"),
    ):
        said = command("cloze", "--data", "a.jsonl", "--words", "5", *options)
        assert (said.code, "under the tree" in said.out) == (0, True), said


@pytest.mark.parametrize(("typed", "kept"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_a_study_is_known_by_its_name(
    typed: str, kept: str, corpus: Path, command: Command
) -> None:
    folder = Path("experiments") / normalize(kept, "étude")
    folder.mkdir(parents=True)
    name = normalize(typed, "étude")
    assert f"{folder} holds no run yet" in the_error(command("eval", name))
    assert f"{folder} holds no run yet" in the_error(command("runs", name))
    near = the_error(command("compare", name + "s"))
    assert near.endswith(f"did you mean '{folder}'?")
    study = f'[shared]\ndata.source = "{corpus}"\ntokenizer.kind = "bytes"\n{STUDY[9:]}'
    (folder / "study.toml").write_text(study, encoding="utf-8")
    for place in (name, Path("experiments") / name, Path("experiments") / name / "study.toml"):
        assert command("check", place).code == 0
