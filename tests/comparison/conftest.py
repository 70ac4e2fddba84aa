"""A place for runs, and the command that compares them."""

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner


@pytest.fixture
def study(tmp_path: Path) -> Path:
    return tmp_path / "first"


@pytest.fixture
def invoke():
    import typer

    from lmcompare_cli.commands.compare import compare as command

    app = typer.Typer()
    app.command()(command)

    def run(*arguments: object) -> Any:
        return CliRunner().invoke(app, list(map(str, arguments)))

    return run
