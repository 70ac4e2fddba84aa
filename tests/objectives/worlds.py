"""Texts written many times over, and the laws that they should have, enumerated in small worlds."""

from dataclasses import replace
from itertools import product

import torch

from lmcompare import rng
from lmcompare.model import Backbone
from lmcompare.objectives import T5, Bart, Fim, Glm, Objective, Ul2
from lmcompare.objectives.decoding.fill_request import FillRequest, FillResult
from lmcompare.objectives.decoding.sampler import NO_TOKEN, Sampler
from lmcompare.objectives.network import Writer
from lmcompare.view import View
from lmcompare.vocab import Vocab
from tests.conftest import TINY, plain_text
from tests.objectives.cases import asked_at, vocab_of

DRAWS = 2003

# a world with ends; what is read before each token of it is put together here by hand
WORDS = vocab_of(3, num_sentinels=3)
A, B, C = WORDS.regular.tolist()
PIECES = [[A, B, B], [C, A, C], [B, B]]
Hole = tuple[int, ...]


def restless_net(vocab: Vocab, *, encodes: bool = False, seed: int = 0) -> Backbone:
    """A network that minds what it read, and where: a fault there changes what it predicts."""
    config = TINY.model_copy(update={"encoder_layers": 1}) if encodes else TINY
    net = Backbone(config, vocab_size=vocab.size, seed=seed).eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(15 if parameter.ndim > 1 else 1)
        net.embedding.div_(3)
    return net


def draw(
    objective: Objective,
    net: Writer,
    vocab: Vocab,
    tokens: list[int],
    places: tuple[int, ...],
    *,
    rows: int = DRAWS,
    limit: int | None = None,
    **settings,
) -> FillResult:
    """The same text many times over, written at some places; with a limit, in any length."""
    text = plain_text(torch.tensor([tokens]), word=torch.arange(len(tokens))[None])
    text = text.rows(torch.zeros(rows, dtype=torch.int64))
    request = FillRequest(
        text=text,
        holes=asked_at(text, *places),
        any_length=limit is not None,
        limit=limit or 1,
        generators=tuple(rng.generator("test", row) for row in range(rows)),
        **{"sampler": Sampler(), **settings},
    )
    return objective.fill(net, request, vocab)


def pairs_of(written: FillResult) -> list[list[tuple[int, int]]]:
    """Place and token of all that was written, row by row, in the order of the text."""
    pairs = torch.stack([written.index, written.token], dim=2).tolist()
    return [
        sorted(((p, t) for p, t in row if p != NO_TOKEN), key=lambda pair: pair[0]) for row in pairs
    ]


def law_of(
    objective: Objective,
    net: Backbone,
    vocab: Vocab,
    tokens: list[int],
    places: tuple[int, ...],
    scoring: str,
) -> dict[tuple[int, ...], float]:
    """The probability of everything that could stand at these places, by the scores."""
    decoding_methods = [*product(range(vocab.size), repeat=len(places))]
    rows = torch.tensor([tokens]).repeat(len(decoding_methods), 1)
    rows[:, list(places)] = torch.tensor(decoding_methods)
    text = plain_text(rows, word=torch.arange(len(tokens)).repeat(len(decoding_methods), 1))
    asked = asked_at(text, *places)
    scores = objective.score(net, text, vocab, asked, scoring=scoring).double().sum(1).exp()
    return dict(zip(decoding_methods, scores.tolist(), strict=True))


def with_marks(marks: list[int], num_holes: int, *, first: list[int] | None = None) -> list[int]:
    """The pieces of the text with a mark between them, and the last ones joined."""
    out = [WORDS.bos, *(first or []), *PIECES[0]]
    for mark, piece in zip(marks[:num_holes], PIECES[1:], strict=False):
        out += [mark, *piece]
    return out if num_holes == 2 else [*out, *PIECES[2]]


def causal(tokens: list[int]) -> View:
    row = torch.tensor([tokens])
    return View.causal(row, visible=torch.ones_like(row, dtype=torch.bool))


def ordered(tokens: list[int], order: list[int]) -> View:
    row = torch.tensor([tokens])
    visible = torch.ones_like(row, dtype=torch.bool)
    return View.ordered(row, torch.tensor([order]), visible=visible)


def reads(objective: Objective, num_holes: int, holes: list[Hole]) -> View:
    """What has been read when the next token of the last of these holes is predicted."""
    if isinstance(objective, Fim):
        (pre, suf, mid) = (WORDS.roles[f"fim_{part}"] for part in ("prefix", "suffix", "middle"))
        after = [*PIECES[1], *PIECES[2]]
        return causal([WORDS.bos, pre, *PIECES[0], suf, *after, mid, *holes[0]])
    masks = with_marks([WORDS.mask] * 2, num_holes)
    if isinstance(objective, Glm):
        tokens, position, within = masks, [*range(len(masks))], [0] * len(masks)
        stands = [place for place, token in enumerate(masks) if token == WORDS.mask]
        for at, hole in zip(stands, holes, strict=False):
            tokens = [*tokens, WORDS.bos, *hole]
            position += [at] * (1 + len(hole))
            within += range(1, 2 + len(hole))
        order = [max(0, column - len(masks) + 1) for column in range(len(tokens))]
        view = ordered(tokens, order)
        return replace(view, position=torch.tensor([position]), within=torch.tensor([within]))
    if isinstance(objective, Bart):
        source, output = masks, [WORDS.bos, *PIECES[0], *holes[0]]
    else:
        assert isinstance(objective, T5 | Ul2)
        mode = [WORDS.roles["mode_r"]] if isinstance(objective, Ul2) else []
        source = with_marks([*WORDS.sentinels], num_holes, first=mode)
        output = [WORDS.bos]
        for sentinel, hole in zip(WORDS.sentinels, holes, strict=False):
            output += [sentinel, *hole]
    if objective.encodes:
        return replace(causal(output), source=ordered(source, [0] * len(source)))
    return ordered([*source, *output], [0] * len(source) + [*range(1, 1 + len(output))])


def free_law(
    objective: Objective,
    net: Backbone,
    num_holes: int,
    *,
    limit: int,
    holes: tuple[Hole, ...] = ((),),
) -> dict[tuple[Hole, ...], float]:
    """The probability of all that can be written into the last of these holes and those after it.

    BART writes all that follows the first hole, as if it were one.
    """
    ends = [WORDS.eos, *WORDS.sentinels] if isinstance(objective, T5 | Ul2) else [WORDS.eos]
    last_of_all = isinstance(objective, Bart) or len(holes) == num_holes
    *before, last = holes

    def law_after(*found: Hole) -> dict[tuple[Hole, ...], float]:
        return free_law(objective, net, num_holes, limit=limit, holes=found)

    ended = {holes: 1.0} if last_of_all else law_after(*holes, ())
    if len(last) == limit:
        return ended
    view = reads(objective, num_holes, [*holes])
    wanted = torch.zeros_like(view.visible)
    wanted[:, -1] = True
    logits = net.logits(view, wanted)[0].double()
    share = logits[[A, B, C, *ends]].softmax(0).tolist()
    law = {found: sum(share[3:]) * chance for found, chance in ended.items()}
    for word, here in zip((A, B, C), share, strict=False):
        law |= {found: here * chance for found, chance in law_after(*before, (*last, word)).items()}
    return law


def holed(num_holes: int) -> tuple[list[int], tuple[int, ...]]:
    """The text with a token of padding in each hole, and where they are."""
    tokens = with_marks([WORDS.pad] * 2, num_holes)
    return tokens, tuple(place for place, token in enumerate(tokens) if token == WORDS.pad)


def holes_of(written: FillResult, places: tuple[int, ...]) -> list[tuple[Hole, ...]]:
    """What was written into each hole, row by row; and nowhere else."""
    pairs = pairs_of(written)
    assert {place for row in pairs for place, _ in row} <= {*places}
    return [
        tuple(tuple(token for at, token in row if at == place) for place in places) for row in pairs
    ]
