"""Characters that a terminal, a browser or a reader's eye would be misled by, made visible."""

import unicodedata

OBEYED = {"Cc", "Cf", "Cs", "Zl", "Zp"}  # Unicode: control, format, surrogate, separators of lines


def visible(text: str, *, keep: str = "\n") -> str:
    r"""Return the text with an escape such as \x1b for each character that a terminal may obey.

    Args:
        text: any, also one with lone surrogates, as a path that is not UTF-8 has them.
        keep: control characters that stay.
    """
    if text.isprintable():
        return text
    return "".join(
        c.encode("unicode_escape").decode()
        if unicodedata.category(c) in OBEYED and c not in keep
        else c
        for c in text
    )
