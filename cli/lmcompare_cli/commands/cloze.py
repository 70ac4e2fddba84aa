"""`lmcompare cloze`."""

from typing import Annotated

import typer

from lmcompare.paths import cache_folder
from lmcompare_cli import options
from lmcompare_cli.console import dumps, say, write


def cloze(
    data: options.Data = None,
    document: options.Document = None,
    encoding_errors: options.EncodingErrors = None,
    field: options.Field = None,
    settings: options.SetData = None,
    num: Annotated[
        int, typer.Option("--num", "-n", min=1, help="How many texts to make, at most.")
    ] = 1000,
    words: Annotated[int, typer.Option(min=2, help="The fewest words of a text.")] = 30,
) -> None:
    """Make a last-word benchmark of a held-out text: JSON lines on stdout, of LAMBADA's layout.

    Each text is some sentences of a document, without the full stop after the last word. A task of
    the kind "cloze" asks for that word.
    """
    from lmcompare.data import open_corpus
    from lmcompare.errors import UserError
    from lmcompare.evaluation.tasks.cloze import passages_of

    config = options.data_config(
        data, document=document, encoding_errors=encoding_errors, field=field, settings=settings
    )
    if config is None:
        raise UserError("a benchmark needs a held-out text: name one with --data")
    corpus = open_corpus(*config.names, data=config, cache=cache_folder())
    found = [*passages_of(corpus.texts(), num=num, words=words)]
    if not found:
        raise UserError(
            f"no document of {data} has sentences of {words} words together that end with a word: "
            "choose another text, or fewer --words"
        )
    for text in found:
        write(dumps({"text": text}) + "\n")
    if len(found) < num:
        say(f"{len(found):,} texts: {data} has no more")
