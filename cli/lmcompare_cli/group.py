"""The group of commands, each of which is imported only when it is typed."""

from functools import cache
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from lmcompare.blocks.visible import visible
from lmcompare_cli.commands import SUMMARIES, function_of


class Commands(TyperGroup):
    """The commands; their usage errors show what was typed in visible characters."""

    def __init__(self, **options: Any) -> None:
        """Know the commands by name and summary."""
        super().__init__(**options)
        self.commands.update({name: NamedCommand(name, help=SUMMARIES[name]) for name in SUMMARIES})

    def make_context(self, *args: Any, **options: Any) -> Any:
        """Parse what comes before the name of a command."""
        try:
            return super().make_context(*args, **options)
        except Exception as error:
            _make_visible(error)
            raise

    def invoke(self, ctx: Any) -> Any:
        """Parse the rest, and run the command."""
        try:
            return super().invoke(ctx)
        except Exception as error:
            _make_visible(error)
            raise


class NamedCommand(TyperCommand):
    """A command of which only the name and the summary are known until it is used."""

    def make_context(self, *args: Any, **options: Any) -> Any:
        """Parse what was typed by the command itself, which then is the one that is run."""
        return command_of(str(self.name)).make_context(*args, **options)


@cache
def command_of(name: str) -> TyperCommand:
    """Return a command with its options, made from its function."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command(name)(function_of(name))
    command = typer.main.get_command(app)
    assert isinstance(command, TyperCommand)
    return command


def _make_visible(error: Exception) -> None:
    """Make the message of a usage error visible; other errors stay as they are."""
    format_message = getattr(error, "format_message", None)
    if format_message is not None:
        message = visible(format_message())
        error.format_message = lambda: message  # type: ignore[attr-defined]
