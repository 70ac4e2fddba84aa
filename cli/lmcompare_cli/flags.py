"""Settings of the library as options of the command line."""

import re

from lmcompare.errors import SETTING

# those whose options are not called as they are
_OTHERWISE = {"again": "force", "any_length": "end"}


def flag(name: str) -> str:
    """Return the option that sets what the library calls so."""
    return f"--{_OTHERWISE.get(name, name).replace('_', '-')}"


def as_options(text: str) -> str:
    """Return a message of the library with each setting in it as its option."""
    return SETTING.sub(_option, text)


def _option(found: re.Match[str]) -> str:
    option, value = flag(found["name"] or found["names"]), found["value"]
    return option if value in (None, "", "True") else f"{option} {value}"
