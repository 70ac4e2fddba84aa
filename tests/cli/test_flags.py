"""The library speaks of its settings, and the command line of its options."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from lmcompare.errors import SETTING, UserError
from lmcompare.evaluation.registry import read_options
from lmcompare_cli.app import app
from lmcompare_cli.commands import SUMMARIES
from lmcompare_cli.console import paragraph, say
from lmcompare_cli.flags import as_options
from lmcompare_cli.group import command_of
from tests import ROOT
from tests.tiny import Command, the_error

_OPEN = "\0"  # what a text is made of only when it is said
_COMMAND = re.compile(r"`[^`]*`|\Almcompare .*", re.DOTALL)  # or a text that is one
_OPTION = re.compile(rf"(?<![\w{_OPEN}-])-(?:-(?:{_OPEN}|[a-z][a-z-]*)|[a-z](?![\w{_OPEN}-]))")


def options() -> Iterator[str]:
    """Yield the options of all commands."""
    for command in (typer.main.get_command(app), *map(command_of, SUMMARIES)):
        for parameter in command.params:
            if parameter.param_type_name == "option":
                yield from [*parameter.opts, *parameter.secondary_opts]


OPTIONS = {*options(), f"--{_OPEN}"}


def strings(source: str) -> Iterator[str]:
    """Yield the texts of a module that are no docstrings."""
    tree = ast.parse(source)
    parts = set[int]()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr):  # docstrings, which say nothing to a user
            parts.add(id(node.value))
        if isinstance(node, ast.JoinedStr):
            parts |= {id(each) for each in node.values}
    for node in ast.walk(tree):
        if id(node) in parts:
            continue
        if isinstance(node, ast.JoinedStr):
            yield "".join(
                str(each.value) if isinstance(each, ast.Constant) else _OPEN for each in node.values
            )
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def named(source: str) -> list[str]:
    """Return the options that the texts of a module name, but for those in whole commands."""
    return [
        option
        for text in strings(source)
        for option in _OPTION.findall(_COMMAND.sub("", text))
        if option in OPTIONS
    ]


def test_an_option_has_one_short_form_in_all_commands() -> None:
    shorts = dict[str, set[tuple[str, ...]]]()
    for name in SUMMARIES:
        for parameter in command_of(name).params:
            short = tuple(each for each in parameter.opts if not each.startswith("--"))
            for each in parameter.opts:
                if each.startswith("--"):
                    shorts.setdefault(each, set()).add(short)
    assert ("-f",) in shorts["--format"]
    assert not {name: found for name, found in shorts.items() if len(found) > 1}


def test_options_are_found() -> None:
    source = (
        '"""About --force."""\n'
        "def f(name):\n"
        '    """Say --data."""\n'
        '    fail("once more with --force", f"or {name}: " f"--{name} 1", "set -s a.b=c")\n'
        '    fail("`lmcompare eval --force` does", "well-known --porcelain", "a -x b")\n'
    )
    assert named(source) == ["--force", f"--{_OPEN}", "-s"]


@pytest.mark.parametrize(
    "path", [each.relative_to(ROOT) for each in sorted((ROOT / "lmcompare").rglob("*.py"))], ids=str
)
def test_the_library_names_no_option_but_within_a_command(path: Path) -> None:
    assert not named((ROOT / path).read_text(encoding="utf-8"))


def test_the_settings_that_it_names_are_options() -> None:
    found = {
        text[match.start() : match.end()]
        for path in sorted((ROOT / "lmcompare").rglob("*.py"))
        if path.name != "model_card.py"  # which tells users of transformers of its settings
        for text in strings(path.read_text(encoding="utf-8"))
        for match in SETTING.finditer(text)
    }
    assert {"`again=True`", "`data=`", "`*tasks`"} <= found
    assert {setting for setting in found if as_options(setting).split()[0] not in OPTIONS} == set()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("start the run again with `again=True`", "start the run again with --force"),
        ("with `data=` or `split=`: ...", "with --data or --split: ..."),
        ("(`prompt_tokens=`, `new_tokens=`)", "(--prompt-tokens, --new-tokens)"),
        ("choose `length=8` or more", "choose --length 8 or more"),
        ("one with `*tasks`", "one with --tasks"),
        ("as `lmcompare eval --force` and `run.json` have it", None),
        ("a user's `data`, `a b=`, *tasks and a=b", None),
    ],
)
def test_settings_are_shown_as_options(
    text: str, shown: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert as_options(text) == (shown or text)
    say(text)
    paragraph(text)
    said = capsys.readouterr()
    assert said.err.rstrip("\n") == said.out.rstrip("\n") == (shown or text)


@pytest.mark.parametrize(
    ("tasks", "given", "said"),
    [
        ("infilling", {"new_tokens": 5}, "`new_tokens=` is about what is written, which is not "),
        ("infilling", {"new_tokens": 5}, ": add generation to `*tasks`, or leave it out"),
        (
            "generation",
            {"decoding": "beams=0"},
            "the decoding 'beams=0': beams cannot be 0: input should ",
        ),
    ],
)
def test_one_message_is_of_both(
    tasks: str, given: dict[str, object], said: str, command: Command, tmp_path: Path
) -> None:
    with pytest.raises(UserError) as error:
        read_options([tasks], given)
    assert said in str(error.value)
    (name, value), *_ = given.items()
    typed = f"--{name.replace('_', '-')}={value}"
    shown = the_error(command("eval", tmp_path, "--tasks", tasks, typed))
    assert as_options(said) in shown
    assert "=`" not in shown
