"""The two errors a user can cause, each one sentence: what is wrong, what was found, what to do.

What is to be typed stands between backquotes: a command as a whole, `lmcompare tasks`, or a setting
as Python has it: `data=`, `texts=1`, `again=True`, and `*tasks` where it has no name there. That
goes for warnings and notes too. The command line, where settings are options, shows each
`SETTING` as its option.
"""

import re
from collections.abc import Iterable
from difflib import get_close_matches

# a setting in a message: its name and, if a value is said, that; or the name of one without names
SETTING = re.compile(r"`(?:(?P<name>\w+)=(?P<value>\w*)|\*(?P<names>\w+))`")


class UserError(Exception):
    """Something the user can put right. Its message is the one line they read."""

    def __str__(self) -> str:
        """Return one line that can be written in UTF-8, whatever names and texts it quotes."""
        text = super().__str__().encode("utf-8", errors="backslashreplace").decode()
        return " ".join(text.splitlines())


class Unsupported(UserError):
    """A request that an objective or a tokenizer cannot legitimately fulfil, with the reason."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """End a sentence about an unknown `name`: with the nearest known one, or with all of them."""
    known = sorted(known)
    close = get_close_matches(name, known, n=1)
    return f"did you mean '{close[0]}'?" if close else f"known: {', '.join(known)}"
