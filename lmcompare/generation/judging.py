"""How probable one run's model, the judge, finds what others wrote.

A judge reads text, not tokens: it scores under its own tokenizer, in bits for each byte of what
follows a prompt. Few bits are no praise by themselves: text that says the same over and over is
probable too. How many the judge needs for the text that really stood there says what is too few.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool
from numpy import ndarray

from lmcompare import heldout
from lmcompare.data import Encoded
from lmcompare.errors import UserError
from lmcompare.generation_records import JudgeRecord
from lmcompare.heldout import Subject
from lmcompare.records import RunRecord
from lmcompare.runs import Run
from lmcompare.windows import stack, windows

ROWS_AT_ONCE = 16  # of one batch; bounds memory, changes no result


@dataclass(frozen=True, kw_only=True)
class Continued:
    """A text, and what follows it."""

    prompt: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Minus the log-probability of what follows a prompt, and of how many bytes it is.

    A token that stands on both sides of the border is no part of it.
    """

    nats: float
    num_bytes: int


@dataclass(frozen=True, kw_only=True)
class Judge:
    """A run's last model, which gives each token an exact probability after those before it."""

    subject: Subject
    scoring: str

    @staticmethod
    def load(run: Run, *, device: str, warn: Callable[[str], None]) -> "Judge":
        """Read the model.

        Raises:
            UserError: the run is not finished, or its objective has no such probability.
        """
        record = run.record()
        if run.done() is None:
            raise UserError(
                f"the judge {run.path} is not finished: let `lmcompare train` go on with it first, "
                "or name another"
            )
        objective = record.config.objective
        exact = [
            name
            for name, how in objective.scorings.items()
            if (how.likelihood, how.given) == ("exact", "left") and "continuation" in how.answers
        ]
        if not exact:
            raise UserError(
                f"the judge {run.path} is a run of {objective.name}, which gives no exact "
                "probability of a text from left to right: name a run of clm, for example"
            )
        subject = heldout.load(run, device=device, warn=warn)
        return Judge(subject=subject, scoring=exact[0])

    @property
    def about(self) -> JudgeRecord:
        """What is kept of it."""
        return JudgeRecord(
            name=self.subject.run.path.resolve().name,
            objective=self.subject.objective.name,
            scoring=self.scoring,
            step=self.subject.step,
            num_parameters=self.subject.record.num_parameters,
        )

    def doubts(self, records: Sequence[RunRecord]) -> Iterator[str]:
        """What speaks against it as the judge of some runs."""
        own = self.subject.record
        as_large = [each.arm for each in records if each.num_parameters >= own.num_parameters]
        if as_large:
            yield (
                f"the judge has {own.num_parameters:,} parameters, no more than "
                f"{_names(as_large)}: a judge should know better than those it judges"
            )
        elsewhere = [each.arm for each in records if each.config.data != own.config.data]
        if elsewhere:
            yield (
                f"the judge was trained on another text than {_names(elsewhere)}: whether it has "
                "seen what stands behind the prompts is not known"
            )

    def score(self, texts: Sequence[Continued]) -> list[Verdict]:
        """How probable it finds what follows each prompt, given the prompt.

        What it cannot score, such as unknown tokens, is left out, bytes and all. Texts longer than
        the rows that it was trained on are scored in windows that overlap by half.
        """
        tokenizer = self.subject.tokenizer
        documents = tokenizer.encode([each.prompt + each.text for each in texts])
        wanted = [
            _behind(len(each.prompt.encode()), document) & heldout.is_text(document, tokenizer)
            for each, document in zip(texts, documents, strict=True)
        ]
        length = self.subject.record.config.batch.length - 1
        parts = [
            part
            for number, document in enumerate(documents)
            if wanted[number].any()
            for part in windows(
                number, len(document), length=length, stride=max(1, length // 2), both_sides=False
            )
            if wanted[number][part.first : part.last].any()
        ]
        parts.sort(key=lambda part: part.stop - part.start)
        nats = [0.0] * len(texts)
        for start in range(0, len(parts), ROWS_AT_ONCE):
            batch = parts[start : start + ROWS_AT_ONCE]
            rows, asked = stack(batch, documents, tokenizer.vocab)
            for row, part in enumerate(batch):
                asked[row, 1 : 1 + part.stop - part.start] &= torch.from_numpy(
                    wanted[part.document][part.start : part.stop]
                )
            log_prob, _ = self.subject.log_prob(rows, asked, self.scoring)
            for row, part in enumerate(batch):
                nats[part.document] -= float(log_prob[row].sum())
        return [
            Verdict(nats=each, num_bytes=int(document.bytes[which].sum()))
            for each, document, which in zip(nats, documents, wanted, strict=True)
        ]


def _behind(border: int, document: Encoded) -> Bool[ndarray, " N"]:
    """Which tokens begin at so many bytes or after them; without bytes: as the one before."""
    starts = document.bytes.cumsum() - document.bytes
    first = np.flatnonzero((starts >= border) & (document.bytes > 0))
    return np.arange(len(document)) >= (first[0] if len(first) else len(document))


def _names(arms: Sequence[str]) -> str:
    return ", ".join(dict.fromkeys(arms))
