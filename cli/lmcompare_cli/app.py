"""The command line: one file a command, and what they all share in failing."""

import sys

import typer

from lmcompare.errors import UserError
from lmcompare_cli.check import check
from lmcompare_cli.cloze import cloze
from lmcompare_cli.compare import compare
from lmcompare_cli.console import talk
from lmcompare_cli.eval import evaluate
from lmcompare_cli.export import export
from lmcompare_cli.generate import generate
from lmcompare_cli.objectives import objectives
from lmcompare_cli.runs import runs
from lmcompare_cli.show import show
from lmcompare_cli.tasks import tasks
from lmcompare_cli.train import train

app = typer.Typer(
    name="lmcompare",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="What does a pre-training objective buy? Train several on one backbone, the same text and "
    "the same budget; let only the objective differ; compare.",
)
app.command()(train)
app.command("eval")(evaluate)
app.command()(generate)
app.command()(compare)
app.command()(objectives)
app.command()(tasks)
app.command()(cloze)
app.command()(show)
app.command()(check)
app.command()(runs)
app.command()(export)


def main() -> None:
    """Run the command line: exit code 1 and one line for a user's error, 130 if interrupted."""
    try:
        app()
    except UserError as error:
        talk.print(f"error: {error}", style="red", soft_wrap=True)
        sys.exit(1)
    except KeyboardInterrupt:
        talk.print("interrupted")
        sys.exit(130)
    except BrokenPipeError:  # the reader of our output had enough
        sys.stderr.close()
        sys.exit(0)


if __name__ == "__main__":
    main()
