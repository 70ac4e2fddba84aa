"""A question on the terminal before something goes that is not wanted."""

import sys

from lmcompare.errors import UserError
from lmcompare_cli.console import talk


def confirmed(what: str, *, yes: bool, verb: str, done: str) -> bool:
    """Ask whether something is to be done, unless that was said.

    Args:
        what: it is done to.
        yes: whether it was said.
        verb: what is done, as an order begins.
        done: the same, as in "would be ...".

    Raises:
        UserError: nobody is there to answer.
    """
    if yes:
        return True
    if not sys.stdin.isatty():
        raise UserError(f"{what} would be {done}, and nobody is there to ask: add --yes")
    talk.print(f"{verb} {what}? [y/N] ", end="")
    return sys.stdin.readline().strip().lower() in ("y", "yes")
