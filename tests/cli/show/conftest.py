"""`lmcompare show` with a tokenizer that knows the words of the text."""

import pytest
import typer
from typer.testing import CliRunner

from lmcompare.data import Tokenizer, TokenizerConfig
from lmcompare.errors import UserError
from lmcompare.teaching import SENTENCE
from lmcompare_cli.commands.show import show
from lmcompare_cli.console import output
from tests.cli.show.drawings import TEXT

app = typer.Typer()
app.command()(show)


@pytest.fixture(scope="session")
def file(tmp_path_factory):
    """A tokenizer to which each of the words of `TEXT` is one token."""
    texts = [TEXT, SENTENCE, f" {TEXT}"] * 5
    tokenizer = Tokenizer.train(texts, TokenizerConfig(vocab_size=437))
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    tokenizer.save(path)
    return path


@pytest.fixture
def tokenizer(file):
    return Tokenizer.load(file)


@pytest.fixture
def run_show(file, monkeypatch):
    monkeypatch.setattr(output, "_width", 100)

    def run(*arguments, charset="utf-8", given=None, tokenizer=file):
        chosen = ["--tokenizer", str(tokenizer)] if tokenizer else []
        return CliRunner(charset=charset).invoke(app, [*chosen, *arguments], input=given)

    return run


@pytest.fixture
def shown(run_show):
    """The lines of standard output of a command that succeeds."""

    def lines(*arguments, **options):
        result = run_show(*arguments, **options)
        assert result.exit_code == 0, result.exception
        return result.stdout.splitlines()

    return lines


@pytest.fixture
def refused(run_show):
    """The one line that a command fails with."""

    def message(*arguments, **options):
        error = run_show(*arguments, **options).exception
        assert isinstance(error, UserError)
        assert "\n" not in str(error)
        return str(error)

    return message
