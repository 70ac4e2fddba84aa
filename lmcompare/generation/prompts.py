"""Prompts: what is asked for, and the texts with holes that it makes.

A prompt is cut at `___` (or a longer line), which stands for a hole; a prompt without one is
continued. A space before a hole belongs to what is written there, as tokenizers have it.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch

from lmcompare import rng
from lmcompare.data import Tokenizer
from lmcompare.errors import UserError
from lmcompare.objectives.decoding.fill_request import FillRequest, Holes
from lmcompare.objectives.decoding.sampler import Sampler
from lmcompare.runs.loaded_model import LoadedModel
from lmcompare.view import Text
from lmcompare.vocab import Vocab

HOLE = "___"


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is to be written, and how.

    Attributes:
        prompts: texts, each with holes, or to be continued.
        sampler: how tokens are chosen.
        num: samples of each prompt.
        max_new_tokens: tokens after a prompt; at most, where the model says where it ends, and so
            for each hole, whose limit is lower where all of them would not fit.
        hole_tokens: tokens of each hole of a prompt; None leaves it to the model.
        any_length: leave it to the model too where a text that is continued ends.
        method: one of the objective's decoding methods; by default the first that can.
        seed: of all samples.
        stop: a text that is continued ends before the first of these.
        with_holes: `___` in a prompt is a hole; else it is text, and every prompt is continued.
        rows: samples that are written together; changes no text, but by rounding where two choices
            are all but equal.
    """

    prompts: tuple[str, ...]
    sampler: Sampler = field(default_factory=Sampler)
    num: int = 1
    max_new_tokens: int = 64
    hole_tokens: int | None = None
    any_length: bool = False
    method: str | None = None
    seed: int = 0
    stop: tuple[str, ...] = ()
    with_holes: bool = True
    rows: int = 16


@dataclass(frozen=True)
class RowKind:
    """What rows that are written together have in common."""

    holes: Holes
    any_length: bool
    limit: int  # of any length: tokens of a hole at most


@dataclass(frozen=True, kw_only=True)
class TextWithHoles:
    """A text with holes that is to be written once."""

    prompt: int
    number: int
    tokens: list[int]
    holes: list[bool]
    kind: RowKind


def rows_of(
    model: LoadedModel, request: Request, warn: Callable[[str], None]
) -> Iterator[TextWithHoles]:
    """Yield every sample of every prompt.

    Raises:
        UserError: an unreadable prompt, or one too long; settings that do not fit.
        Unsupported: the objective cannot write there, or not so.
    """
    _require(request)
    _require_writable(request.stop, model.tokenizer)
    for prompt, text in enumerate(request.prompts):
        holed = request.with_holes and HOLE in text
        any_length = request.hole_tokens is None if holed else request.any_length
        texts = re.split(f"[ \t]?{HOLE}_*", text) if holed else [text]
        pieces = [_encode(each, model.tokenizer) for each in texts]
        size = (request.hole_tokens or 1) if holed else 1 if any_length else request.max_new_tokens
        if not holed:
            pieces.append([])
        inner: Holes = "any" if len(pieces) > 2 else "one" if pieces[1] else "end"
        model.objective.choose_decoding_method(
            request.method, request.sampler, holes=inner, any_length=any_length
        )
        limit = _fit(pieces, size, model, request, warn, prompt=prompt, any_length=any_length)
        tokens, holes = [model.tokenizer.vocab.bos, *pieces[0]], [False] * (1 + len(pieces[0]))
        for piece in pieces[1:]:
            tokens += [model.tokenizer.vocab.pad] * size + piece
            holes += [True] * size + [False] * len(piece)
        for number in range(request.num):
            yield TextWithHoles(
                prompt=prompt,
                number=number,
                tokens=tokens,
                holes=holes,
                kind=RowKind(inner, any_length, limit),
            )


def row_to_continue(tokens: list[int], num_new: int, vocab: Vocab, *, prompt: int) -> TextWithHoles:
    """Return a sample of a text after which `num_new` tokens are to be written."""
    return TextWithHoles(
        prompt=prompt,
        number=0,
        tokens=[vocab.bos, *tokens, *[vocab.pad] * num_new],
        holes=[False] * (1 + len(tokens)) + [True] * num_new,
        kind=RowKind("end", any_length=False, limit=num_new),
    )


def _require(request: Request) -> None:
    for name, value in (
        ("samples", request.num),
        ("new tokens", request.max_new_tokens),
        ("texts at a time", request.rows),
        ("tokens of a hole", 1 if request.hole_tokens is None else request.hole_tokens),
    ):
        if value < 1:
            raise UserError(f"{value} {name} leave nothing to write: ask for 1 or more")
    for text in request.stop:
        if text != text.encode("utf-8", errors="replace").decode():
            raise UserError(f"the text to stop at {text!r} is not in UTF-8: convert it first")
    if "" in request.stop:
        raise UserError("an empty text to stop at is everywhere: leave it out")


def _require_writable(stop: tuple[str, ...], tokenizer: Tokenizer) -> None:
    """Make sure that texts to stop at can be written.

    Raises:
        UserError: one is a special token, or has a character that no token holds.
    """
    for text in stop:
        if reason := why_never_written(text, tokenizer):
            raise UserError(reason)


def why_never_written(text: str, tokenizer: Tokenizer) -> str | None:
    """Say why no model with a tokenizer ever writes a text; None if one may."""
    vocab = tokenizer.vocab
    if text.strip() in tokenizer.pieces(sorted(vocab.specials)):
        return (
            f"{text!r} is a special token of the tokenizer, and none is ever written: give a "
            "text to stop at, or let the model say where a text ends (`any_length=True`)"
        )
    unknown = [c for c in dict.fromkeys(text) if not _is_known(c, tokenizer)]
    held = set(tokenizer.decode(vocab.regular.tolist())) if unknown else set()
    if missing := [c for c in unknown if c not in held]:
        return (
            f"the tokenizer knows no {' '.join(map(repr, missing))} of the text to stop at "
            f"{text!r}, which so is never written: leave it out"
        )
    return None


def _encode(piece: str, tokenizer: Tokenizer) -> list[int]:
    """Return the ids of a piece of a prompt.

    Raises:
        UserError: the tokenizer lacks some of its characters.
    """
    ids: list[int] = tokenizer.encode([piece])[0].ids.tolist() if piece else []
    if tokenizer.vocab.roles.get("unk") in ids:
        unknown = [c for c in dict.fromkeys(piece) if not _is_known(c, tokenizer)]
        raise UserError(
            f"the tokenizer knows no {' '.join(map(repr, unknown)) or 'word'} of the prompt "
            f"{piece!r}: write it in another way"
        )
    return ids


def _is_known(character: str, tokenizer: Tokenizer) -> bool:
    return tokenizer.vocab.roles.get("unk") not in _encoded(character, tokenizer)


def _encoded(text: str, tokenizer: Tokenizer) -> list[int]:
    ids: list[int] = tokenizer.encode([text])[0].ids.tolist()
    return ids


def _fit(
    pieces: list[list[int]],
    size: int,
    model: LoadedModel,
    request: Request,
    warn: Callable[[str], None],
    *,
    prompt: int,
    any_length: bool,
) -> int:
    """Cut a prompt that is continued on its left, so that all fits into what was trained on.

    Returns:
        How many tokens what is of any length has at most.

    Raises:
        UserError: it does not fit.
    """
    length = model.length
    num_holes, limit = len(pieces) - 1, request.max_new_tokens
    inner = num_holes > 1 or bool(pieces[1])
    if any_length and inner:
        fits = (length - 1 - sum(map(len, pieces))) // num_holes
        limit = min(limit, max(fits, 1))
    new = num_holes * (limit if any_length else size)
    room = length - 1 - new
    if room < 0:
        raise UserError(
            f"{new} new tokens do not fit into the rows of {length} that the model was trained on, "
            "start token included: ask for fewer (`max_new_tokens=`, `hole_tokens=`)"
        )
    spare = sum(map(len, pieces)) - room
    if spare <= 0:
        return limit
    if inner:
        raise UserError(
            f"prompt {prompt} has {sum(map(len, pieces))} tokens, and with {new} new ones does not "
            f"fit into the rows of {length} that the model was trained on: shorten it"
        )
    warn(
        f"prompt {prompt} is {spare} tokens too long for rows of {length} with {new} new ones: its "
        "beginning is left out"
    )
    pieces[0] = pieces[0][spare:]
    return limit


def batches(rows: list[TextWithHoles], size: int) -> Iterator[list[TextWithHoles]]:
    """Yield rows of one kind together, `size` of them at most."""
    for kind in dict.fromkeys(row.kind for row in rows):
        alike = [row for row in rows if row.kind == kind]
        yield from (alike[start : start + size] for start in range(0, len(alike), size))


def fill_request(batch: list[TextWithHoles], request: Request, vocab: Vocab) -> FillRequest:
    """Return rows of one kind as an objective takes them."""
    width = max(len(row.tokens) for row in batch)
    lengths = torch.tensor([len(row.tokens) for row in batch])
    visible = torch.arange(width) < lengths[:, None]
    tokens, holes = torch.full(visible.shape, vocab.pad), torch.zeros_like(visible)
    for number, row in enumerate(batch):
        tokens[number, : len(row.tokens)] = torch.tensor(row.tokens)
        holes[number, : len(row.tokens)] = torch.tensor(row.holes)
    return FillRequest(
        text=Text(tokens=tokens, visible=visible, word=torch.arange(width).expand(visible.shape)),
        holes=holes,
        any_length=batch[0].kind.any_length,
        limit=batch[0].kind.limit,
        method=request.method,
        sampler=request.sampler,
        generators=tuple(
            rng.generator("sample", request.seed, row.prompt, row.number) for row in batch
        ),
    )
