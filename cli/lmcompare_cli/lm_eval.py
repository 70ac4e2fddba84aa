"""`python -m lmcompare_cli.lm_eval`: the command of lm-evaluation-harness, which knows our models.

It takes what `lm_eval` takes. `--model lmcompare --model_args run=experiments/x/mlm-s0-1a2b3c4d`
asks a run.
"""

import sys

from lmcompare.errors import UserError
from lmcompare_cli.console import fail


def main() -> None:
    """Make our models known and do as the harness does; a user's error is one line and exit 1."""
    try:
        _run()
    except UserError as error:
        fail(str(error))
        sys.exit(1)


def _run() -> None:
    from lmcompare.harness import register

    try:
        from lm_eval.__main__ import cli_evaluate
    except ModuleNotFoundError as error:
        raise UserError(
            f"lm-evaluation-harness cannot be used ({error}): pip install 'lmcompare[lm-eval]'"
        ) from None
    register()
    cli_evaluate()


if __name__ == "__main__":
    main()
