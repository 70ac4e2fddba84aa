"""The command line: one file a command, and what they all share in failing."""

import os
import signal
import sys
from typing import Annotated

import typer

from lmcompare.errors import UserError
from lmcompare_cli import signals
from lmcompare_cli.console import fail, output, say
from lmcompare_cli.group import Commands

app = typer.Typer(
    cls=Commands,
    name="lmcompare",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="What does a pre-training objective buy? Train several on one backbone, the same text and "
    "the same budget; let only the objective differ; compare.",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        output.print(f"lmcompare {version('lmcompare')}")
        raise typer.Exit


@app.callback()
def _options_before_the_command(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print it."),
    ] = False,
) -> None:
    """Accept the options that belong to no command."""


# what PyTorch says of a processor's memory, and of a GPU's, of which not all errors have one class
NO_MEMORY = ("can't allocate memory", "out of memory", "CUBLAS_STATUS_ALLOC_FAILED")


def main() -> None:
    """Run the command line.

    It exits with 1 and one line for a user's error. Of SIGINT and SIGTERM the process dies once
    everything is in order: a shell that runs a loop stops it only if the command died of SIGINT.
    """
    for number in signals.HEARD:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as a shell's background jobs have it
            signal.signal(number, signals.end)
    code = _run()
    if code - signals.KILLED in signals.HEARD:
        signals.die(code - signals.KILLED)
    sys.exit(code)


def _run() -> int:
    """Run the command that was typed and return its exit code."""
    try:
        try:
            app()
        except SystemExit as ended:  # as every command ends
            sys.stdout.flush()
            return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        return 0
    except signals.Ended as ended:
        say(ended.kept or ("interrupted" if ended.number == signal.SIGINT else "terminated"))
        return signals.KILLED + ended.number
    except BrokenPipeError:  # the reader of our output had enough
        sys.stderr.close()
        return 0
    except UserError as error:
        said = str(error)
    except Exception as error:
        if os.environ.get("LMCOMPARE_TRACEBACK"):
            raise
        said = explained(error)
    fail(said)
    return 1


def explained(error: Exception) -> str:
    """Say in one sentence what went wrong, which nobody foresaw, and what to do."""
    text = " ".join(str(error).split())
    if isinstance(error, MemoryError) or any(words in text for words in NO_MEMORY):
        return (
            "the memory of this machine is too small for that, or that of its GPU: choose a "
            "smaller model, shorter or fewer rows (batch.rows, batch.length, "
            "runtime.micro_batch), or a smaller --batch-size"
        )
    if isinstance(error, OSError) and error.filename is None:
        return f"reading or writing failed ({error.strerror or text}): look at the disk and pipes"
    if isinstance(error, OSError):
        return f"{error.filename} cannot be used ({error.strerror}): check the path and its rights"
    return (
        f"this is a fault of lmcompare, {type(error).__name__}: {text or 'no words'}; please "
        "report it with what the same command prints under LMCOMPARE_TRACEBACK=1"
    )


if __name__ == "__main__":
    main()
