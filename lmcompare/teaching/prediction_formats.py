"""What models expect of a text, as blocks to read and as data."""

import csv
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from io import StringIO
from itertools import zip_longest
from pathlib import Path

from lmcompare.blocks import Block, Notes, Paragraph, Part, Table, markdown, names, numbers, words
from lmcompare.blocks.visible import cell, legible
from lmcompare.teaching.predictions import TOP, Expected, TextPredictions

SPACE = "\N{LOWER ONE EIGHTH BLOCK}"
SEEN = {
    "left": "sees what stands before each token",
    "both": "sees both sides of each token, which is hidden",
    "": "cannot be asked",
}
BRIEFLY = {"left": "left only", "both": "both sides", "": "-"}


def labels(found: Sequence[TextPredictions]) -> list[str]:
    """Return a name for each model: its arm, and what tells it from others of that name."""
    spellings: list[Callable[[TextPredictions], str]] = [
        lambda each: each.arm,
        lambda each: f"{each.arm} s{each.seed}",
        lambda each: f"{each.arm} {Path(each.run).name}",
        lambda each: f"{each.arm} {each.run}",
    ]
    shown = [spellings[0](each) for each in found]
    for spelling in spellings[1:]:
        counts = Counter(shown)
        shown = [
            spelling(each) if counts[name] > 1 else name
            for each, name in zip(found, shown, strict=True)
        ]
    return shown


def groups(found: Sequence[TextPredictions]) -> Iterator[list[tuple[str, TextPredictions]]]:
    """Yield models with their names, those together whose tokenizers cut the text alike."""
    named = list(zip(labels(found), found, strict=True))
    for tokenizer in dict.fromkeys(each.tokenizer for each in found):
        yield [(name, each) for name, each in named if each.tokenizer == tokenizer]


def percent(share: float) -> str:
    """Return a probability to read."""
    return f"{share:.1%}" if share >= 0.0005 else "<0.1%"


def rows_of(
    group: Sequence[tuple[str, TextPredictions]],
) -> Iterator[tuple[str, list[Expected | None]]]:
    """Yield each token of the text, with what each model expects at its place."""
    longest = max((each for _, each in group), key=lambda each: len(each.tokens))
    for number, token in enumerate(longest.tokens):
        places = [each.places[number : number + 1] for _, each in group]
        yield token, [place[0] if place else None for place in places]


def notes_of(group: Sequence[tuple[str, TextPredictions]]) -> Iterator[str]:
    """Yield what must be known of some models, a sentence each."""
    for name, each in group:
        if each.why_not:
            yield f"{name} has a dash: {each.why_not}."
        if len(each.tokens) < each.num_tokens:
            yield (
                f"{name} was asked about the first {len(each.tokens)} of the text's "
                f"{each.num_tokens} tokens."
            )
        if each.places and None in each.places:
            yield f"{name} was not asked about tokens that its tokenizer does not know."


def blocks_of(found: Sequence[TextPredictions]) -> list[Block]:
    """Return a page: what each model saw, and what it expects, token by token."""
    blocks: list[Block] = []
    for group in groups(found):
        blocks += [Paragraph(name, f"{SEEN[each.given]}.") for name, each in group]
        parts = []
        for number, (token, places) in enumerate(rows_of(group), start=1):
            rows = [
                [name, BRIEFLY[each.given], *_cells(place)]
                for (name, each), place in zip(group, places, strict=True)
            ]
            parts.append(Part(title=f"{number} {legible(token, space=SPACE)}", rows=rows))
        columns = [
            *names("arm"),
            *words("sees"),
            *numbers("prob.", "rank"),
            *words(f"the likeliest {TOP}"),
        ]
        blocks.append(Table(columns=columns, parts=parts))
        blocks.append(Notes([*notes_of(group)]))
    return blocks


def _cells(place: Expected | None) -> list[str]:
    if place is None:
        return ["-", "-", "-"]
    guesses = [
        f"'{legible(guess.token, space=SPACE)}' {percent(guess.probability)}"
        for guess in place.guesses
    ]
    return [percent(place.probability), str(place.rank), ", ".join(guesses)]


def to_json(text: str, found: Sequence[TextPredictions]) -> str:
    """Return everything, for a machine."""
    return json.dumps({"text": text, "models": [asdict(each) for each in found]}) + "\n"


def to_csv(text: str, found: Sequence[TextPredictions]) -> str:
    """Return a row for each model and token; what there is no answer to is empty."""
    written = StringIO()
    guesses = [f"{what}_{rank + 1}" for rank in range(TOP) for what in ("guess", "probability")]
    facts = ("run", "arm", "objective", "seed", "scoring", "given")
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow([*facts, "place", "token", "log_prob", "probability", "rank", *guesses])
    for each in found:
        own = [cell(str(getattr(each, fact))) for fact in facts]
        for number, (token, place) in enumerate(zip_longest(each.tokens, each.places), start=1):
            values: list[object] = [""] * (3 + len(guesses))
            if place is not None:
                best = [
                    value
                    for guess in place.guesses
                    for value in (cell(guess.token), guess.probability)
                ]
                values = [place.log_prob, place.probability, place.rank, *best]
            writer.writerow([*own, number, cell(token), *values])
    return written.getvalue()


def to_markdown(text: str, found: Sequence[TextPredictions]) -> str:
    """Return the page in GitHub's Markdown."""
    return markdown.render([Paragraph("text", legible(text)), *blocks_of(found)])


FORMATS: Mapping[str, Callable[[str, Sequence[TextPredictions]], str]] = {
    "json": to_json,
    "csv": to_csv,
    "md": to_markdown,
}
