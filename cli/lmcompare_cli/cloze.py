"""`lmcompare cloze`."""

from typing import Annotated

import typer

from lmcompare_cli import options
from lmcompare_cli.console import cache_folder, talk
from lmcompare_cli.replay import write


def cloze(
    data: options.Data = None,
    document: options.Document = None,
    encoding_errors: options.EncodingErrors = None,
    field: options.Field = None,
    settings: options.SetData = None,
    num: Annotated[int, typer.Option("--num", "-n", min=1, help="Texts at most.")] = 1000,
    words: Annotated[int, typer.Option(min=2, help="Words of a text at least.")] = 30,
) -> None:
    """Make a last-word benchmark of a held-out text: JSON lines on stdout, of LAMBADA's layout.

    Each text is some sentences of a document, without the stop behind the last word, which is what
    a task of the kind "cloze" asks for.
    """
    from lmcompare.data import open_corpus
    from lmcompare.errors import UserError
    from lmcompare.tasks.cloze import as_jsonl, passages_of

    config = options.data_config(
        data, document=document, encoding_errors=encoding_errors, field=field, settings=settings
    )
    if config is None:
        raise UserError("a benchmark wants a held-out text: name it with --data")
    corpus = open_corpus(*config.names, data=config, cache=cache_folder())
    found = [*passages_of(corpus.texts(), num=num, words=words)]
    if not found:
        raise UserError(
            f"no document of {data} has sentences of {words} words together that end with a word: "
            "choose another text, or fewer --words"
        )
    write(as_jsonl(found))
    if len(found) < num:
        talk.print(f"{len(found):,} texts: there is no more of {data}")
