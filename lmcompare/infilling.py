"""The same question to all: hidden tokens of a text, given what stands around them.

Likelihoods of unlike kinds do not compare; answers to this question do, as far as an objective can
give one. One token of each text is asked for, or a share of its tokens, given all others; or its
second half, given the first. Which texts and which tokens depends on the held-out text alone.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import get_args

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lmcompare import heldout, rng
from lmcompare.errors import Unsupported, UserError
from lmcompare.heldout import Asked, Subject
from lmcompare.objectives import Question
from lmcompare.records import Hidden, InfillingItem, InfillingRecord
from lmcompare.runs import Run
from lmcompare.view import Text
from lmcompare.windows import Window, stack

HIDDEN: tuple[Hidden, ...] = get_args(Hidden)
SHARES: Mapping[Hidden, float] = {"one": 0.0, "15%": 0.15, "50%": 0.5}  # at least one token
SHORTEST = 8  # tokens of text in a piece: of fewer, 15% is hardly one
# Of one batch; they bound memory and change no result. A single token may take a pass for each
# candidate, so texts with one are scored one by one and progress is seen.
ROWS_AT_ONCE = 16
ROWS_OF_ONE = 1

_pieces = partial(heldout.pieces, shortest=SHORTEST)


def measure_infilling(
    run: Run,
    asked: Asked,
    *,
    cache: Path,
    hidden: Sequence[Hidden] = HIDDEN,
    report: Callable[[str, float], None] = lambda what, share: None,
    warn: Callable[[str], None] = lambda text: None,
) -> list[InfillingRecord]:
    """Ask a run's last model for hidden tokens of a text, and keep its answers.

    A question is answered in the first way that the objective has for it, those that can make use
    of both sides before those that see the left one only. Where there is none, the result says why.
    What was measured before is not measured again.

    Args:
        run: with at least one checkpoint.
        asked: of which text.
        cache: folder of prepared corpora.
        hidden: the questions.
        report: told the question and the share that is done, 0 to 1.
        warn: told of a damaged checkpoint that was passed over, and of texts longer than the model
            was trained on.

    Raises:
        UserError: no checkpoint, an unreadable text, or none that is long enough.
    """
    _require(asked)
    subject = heldout.load(run, device=asked.device, batch_size=asked.batch_size, warn=warn)
    texts = HiddenTexts.drawn(subject, asked, cache=cache, warn=warn)
    trained, width = subject.record.config.batch.length, texts.rows.tokens.shape[1]
    if width > trained:
        warn(
            f"{run.path} was trained on rows of {trained} tokens and is asked about rows of "
            f"{width}: what stands beyond is new to it"
        )
    facts = {"source": asked.source, "text": texts.digest, "step": subject.step}
    before = {
        known.hidden: known
        for known in ([] if asked.again else run.results.infillings(warn))
        if known.model_dump(include=set(facts)) == facts
    }
    unigram = torch.from_numpy(heldout.unigram_nats(run, subject.tokenizer))
    results = []
    for question in hidden:
        if question in before:
            results.append(before[question])
            report(question, 1.0)
            continue
        mask = texts.hidden[question]
        num_tokens, num_bytes = mask.sum(1), (texts.bytes * mask).sum(1)
        result = InfillingRecord(
            **facts,
            arm=subject.record.arm,
            seed=subject.record.config.seed,
            hidden=question,
            length=asked.length,
            num_texts=len(mask),
            num_tokens=int(num_tokens.sum()),
            num_bytes=int(num_bytes.sum()),
            unigram_nats=float(unigram[texts.rows.tokens[mask]].sum()),
        )
        items = []
        try:
            scoring, nats, variance = answer(subject, texts.rows, mask, question, report)
        except Unsupported as reason:
            result = result.model_copy(update={"reason": str(reason)})
        else:
            how = subject.objective.scorings[scoring]
            result = result.model_copy(
                update={
                    "scoring": scoring,
                    "likelihood": how.likelihood,
                    "given": how.given,
                    "nats": float(nats.sum()),
                    "standard_error": variance**0.5 if how.sampled else None,
                }
            )
            columns = (num_bytes.tolist(), num_tokens.tolist(), nats.tolist())
            items = [
                InfillingItem(text=number, num_bytes=each[0], num_tokens=each[1], nats=each[2])
                for number, each in enumerate(zip(*columns, strict=True))
            ]
        results.append(run.results.write(result, items))
    return results


def _require(asked: Asked) -> None:
    if asked.num_texts < 1:
        raise UserError(f"{asked.num_texts} texts leave nothing to ask: choose --texts 1 or more")
    if asked.length < SHORTEST:
        raise UserError(
            f"texts of {asked.length} tokens are too short to hide a share of them: choose "
            f"--length {SHORTEST} or more"
        )


def answer(
    subject: Subject,
    rows: Text,
    mask: Bool[Tensor, "B T"],
    hidden: Hidden,
    report: Callable[[str, float], None],
) -> tuple[str, Float[Tensor, " B"], float]:
    """How it was scored, the nats of each text, and the variance of their sum that sampling has.

    Raises:
        Unsupported: the objective has no way, or none for these texts.
    """
    question: Question = "continuation" if hidden == "second half" else "holes"
    subject.objective.which_scoring(None, question)
    scorings = subject.objective.scorings
    ways = [name for name, how in scorings.items() if question in how.answers]
    reasons = []
    for scoring in sorted(ways, key=lambda name: scorings[name].given == "left"):
        nats, variance, num_done = torch.zeros(len(mask), dtype=torch.float64), 0.0, 0
        # What a way cannot do it says of the texts in which most is hidden, and so at once.
        order = mask.sum(1).argsort(descending=True, stable=True)
        try:
            for batch in order.split(ROWS_OF_ONE if hidden == "one" else ROWS_AT_ONCE):
                log_prob, more = subject.log_prob(rows.rows(batch), mask[batch], scoring)
                nats[batch] = -log_prob.sum(1)
                variance += more
                num_done += len(batch)
                report(hidden, num_done / len(mask))
        except Unsupported as reason:
            reasons.append(str(reason))
        else:
            return scoring, nats, variance
    raise Unsupported("; ".join(reasons))


@dataclass(frozen=True, kw_only=True)
class HiddenTexts:
    """Pieces of documents, and what is hidden of them."""

    rows: Text
    bytes: Int[Tensor, "B T"]  # of UTF-8 that each token covers
    hidden: Mapping[Hidden, Bool[Tensor, "B T"]]
    digest: str  # of tokens and hidden places

    @staticmethod
    def drawn(
        subject: Subject, asked: Asked, *, cache: Path, warn: Callable[[str], None]
    ) -> "HiddenTexts":
        """Those to ask about.

        Raises:
            UserError: an unreadable text, or none that is long enough.
        """
        tokenizer = subject.tokenizer
        documents = heldout.documents(subject, asked, cache=cache, warn=warn)
        pieces = list(islice(_pieces(documents, tokenizer, asked.length), asked.num_texts))
        if not pieces:
            raise UserError(
                f"{asked.source} has no document of {SHORTEST} tokens or more to hide some of: "
                "choose another text with --data or --split"
            )
        whole = [
            Window(document=number, start=0, stop=len(piece), first=0, last=len(piece))
            for number, piece in enumerate(pieces)
        ]
        rows, shown = stack(whole, pieces, tokenizer.vocab)
        covered = torch.zeros_like(rows.tokens)
        covered[shown] = torch.from_numpy(np.concatenate([piece.bytes for piece in pieces])).long()
        is_text = shown & ~tokenizer.vocab.is_special(rows.tokens)
        hidden = {each: _hide(is_text, each) for each in HIDDEN}
        return HiddenTexts(
            rows=rows,
            bytes=covered,
            hidden=hidden,
            digest=heldout.digest(
                [rows.tokens.numpy(), *(mask.numpy() for mask in hidden.values())]
            ),
        )


def _hide(is_text: Bool[Tensor, "B T"], hidden: Hidden) -> Bool[Tensor, "B T"]:
    """So many tokens of each row, of those that are text."""
    mask = torch.zeros_like(is_text)
    for row, candidates in enumerate(is_text):
        places = candidates.nonzero()[:, 0]
        if hidden == "second half":
            chosen = places[(len(places) + 1) // 2 :]
        else:
            draw = torch.rand(len(places), generator=rng.generator("infilling", hidden, row))
            num = max(1, round(SHARES[hidden] * len(places)))
            chosen = places[draw.argsort(stable=True)[:num]]
        mask[row, chosen] = True
    return mask
