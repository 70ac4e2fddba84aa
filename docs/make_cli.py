"""Write docs/cli.md from the command line itself: python docs/make_cli.py.

It reads what `--help` is made from and not what it prints, and so depends on no terminal.
"""

import re
from collections.abc import Iterator
from inspect import cleandoc
from pathlib import Path
from typing import Any

from typer.main import get_command

from lmcompare.blocks.markdown import escape
from lmcompare_cli.app import app
from lmcompare_cli.commands import SUMMARIES
from lmcompare_cli.group import command_of

HEAD = """# The command line

Every command as `lmcompare COMMAND --help` describes it.
Made by `python docs/make_cli.py`; a test holds it to the code.
"""
ARGUMENTS, OPTIONS = "Arguments", "Options"
NAMES = {"str": "text", "int": "whole number", "float": "number", "path": "path", "Path": "path"}


def page() -> str:
    """Return the whole page."""
    group: Any = get_command(app)
    above = group.make_context("lmcompare", [], resilient_parsing=True)
    contents = " · ".join(f"[{name}](#lmcompare-{name})" for name in SUMMARIES)
    parts = [HEAD, contents, ""]
    for name in SUMMARIES:
        command: Any = command_of(name)
        parts += section(
            name, command, command.context_class(command, info_name=name, parent=above)
        )
    return "\n".join(parts)


def section(name: str, command: Any, context: Any) -> Iterator[str]:
    """Yield the lines about a command: its usage, what it does, and a table for each panel."""
    panels: dict[str, list[list[str]]] = {}
    usage = []
    for each in command.params:
        record = each.get_help_record(context)
        if record is None:  # hidden
            continue
        row = cells(*record)
        usual = OPTIONS
        if each.param_type_name == "argument":
            usual = ARGUMENTS
            usage.append(row[0] if each.required else f"[{row[0]}]")
        panels.setdefault(each.rich_help_panel or usual, []).append(row)
    yield f"## `lmcompare {name}`\n"
    yield f"    {' '.join(['lmcompare', name, '[OPTIONS]', *usage])}\n"
    for paragraph in cleandoc(command.help).split("\n\n"):
        yield f"{said(' '.join(paragraph.split()))}\n"
    for panel, rows in panels.items():
        yield f"### {panel}\n"
        yield "| | value | what | default |"
        yield "| --- | --- | --- | --- |"
        for names, value, what, default in rows:
            yield f"| `{names.replace('|', ' or ')}` | {value} | {what} | {default} |"
        yield ""


def cells(written: str, described: str) -> list[str]:
    """Return a row: names, what the value is, what the option does, and its default."""
    found = re.fullmatch(r"(.*?)(?: (<.*>|[A-Z]+))?", written)
    what = re.fullmatch(r"(.*?)\s*(?:\[([^]]*)\])?", described, re.DOTALL)
    assert found is not None
    assert what is not None
    facts = [fact.strip() for fact in (what[2] or "").split("; ")]
    default = next((fact for fact in facts if fact.startswith("default: ")), "")
    least = [f"{fact[3:]} or more" for fact in facts if fact.startswith("x>=")]
    usual = default.removeprefix("default: ")
    usual = usual[1:-1] if usual.startswith("(") and usual.endswith(")") else usual
    value = ", ".join(filter(None, [kind_of(found[2] or ""), *least]))
    return [found[1], value, said(what[1]), said(usual)]


def kind_of(written: str) -> str:
    """Return in words what a value is."""
    kind = written.removeprefix("<").removesuffix(">").removesuffix(" range")
    several = re.fullmatch(r"list\[(.*)\]", kind)
    kind = several[1] if several else kind
    words = NAMES.get(kind, ", ".join(f"`{each}`" for each in kind.split("|")) if kind else "")
    return f"{words}; may be repeated" if several else words


def said(text: str) -> str:
    """Return Markdown of a text whose code stands between backticks."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(part if part.startswith("`") else escape(part) for part in parts)


if __name__ == "__main__":
    Path(__file__).with_name("cli.md").write_text(page(), encoding="utf-8")
