"""Asking a model for tokens whose context is changed, and keeping what that does."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor
from torch.nn.functional import cosine_similarity

from lmcompare import devices
from lmcompare.errors import Unsupported, UserError
from lmcompare.evaluation.context.asking import answer, influence, view_of
from lmcompare.evaluation.context.options import ContextOptions
from lmcompare.evaluation.context.questions import (
    AskedToken,
    ContextQuestions,
    TokenInContext,
    as_text,
)
from lmcompare.evaluation.context.record import (
    CHANGES,
    Change,
    ContextItem,
    ContextRecord,
    Side,
    key_of,
)
from lmcompare.evaluation.kind import Report, not_measured_again
from lmcompare.runs import common_question
from lmcompare.runs.loaded_model import Contestant, LoadedModel, opened

BATCHES_AT_ONCE = 32  # between two reports; changes no result

Found = TypeVar("Found")


def measure_context(
    contestant: Contestant,
    options: ContextOptions,
    *,
    cache: Path,
    report: Report = lambda what, share: None,
    warn: Callable[[str], None] = lambda text: None,
) -> ContextRecord:
    """Ask a model for tokens with and without their context, and keep what that tells.

    Each token is asked for as the common question is (`lmcompare.runs.common_question`): in one
    pass, making use of both sides where the objective can. Of a side that an objective cannot make
    use of nothing is changed: its gain is 0. What was measured before is not measured again.

    Args:
        contestant: a model, or a run, of which the last one is meant.
        options: about which text, and how many tokens of it.
        cache: folder of prepared corpora.
        report: told what is measured and the share that is done, 0 to 1.
        warn: told of a damaged checkpoint that was passed over, and of a text with fewer tokens.

    Raises:
        UserError: no checkpoint, an unreadable text, or none that has context on both sides.
    """
    model = opened(contestant, device=options.device, batch_size=options.batch_size, warn=warn)
    asked = ContextQuestions.drawn(model, options, cache=cache, warn=warn)
    facts = {"source": options.source, "text": asked.digest, "step": model.step}
    for known in not_measured_again(
        model.results, ContextRecord, facts, again=options.again, warn=warn
    ):
        return known
    blank = ContextRecord(
        **facts,
        arm=model.arm,
        seed=model.seed,
        reach=asked.reach,
        distances=asked.distances,
        num_tokens=len(asked.questions),
        num_curve_tokens=asked.num_curves,
        num_changed_tokens=asked.num_changed,
        num_texts=len({each.text for each in asked.questions}),
    )
    try:
        record, items = _measured(model, asked, blank, report)
    except Unsupported as reason:
        record, items = blank.model_copy(update={"reason": str(reason)}), []
    return model.results.write(record, items)


def _measured(
    model: LoadedModel, asked: ContextQuestions, blank: ContextRecord, report: Report
) -> tuple[ContextRecord, list[ContextItem]]:
    """Return the answers of a model; raise `Unsupported` where it has none."""
    scoring = common_question.scoring_of(model.objective)
    if scoring is None:
        raise Unsupported(f"{model.objective.name} does not predict one hidden token in one pass")
    how = model.objective.scorings[scoring]
    record = blank.model_copy(
        update={"scoring": scoring, "likelihood": how.likelihood_of(1), "given": how.given}
    )
    asking = _Asking(model=model, scoring=scoring, report=report)
    plans = [
        _Plan.of(
            each,
            asked.distances[:-1] if number < asked.num_curves else asked.distances[:1],
            record.sides,
            CHANGES if number < asked.num_changed else CHANGES[:1],
        )
        for number, each in enumerate(asked.questions)
    ]
    answers = asking.answers(row for plan in plans for row in plan.rows)
    shares = asking.gradients([each.row for each in asked.questions[: asked.num_curves]])
    items = []
    for number, (question, plan) in enumerate(zip(asked.questions, plans, strict=True)):
        of_right = float(shares[number][1].sum()) if number in shares else None
        items.append(plan.item(question, answers, gradient_right=of_right))
    gain = {
        side: float(np.mean([each.lost[key_of("cut", side)][0] for each in items]))
        for side in record.sides
    }
    left, right = np.mean([*shares.values()], axis=0).tolist() if shares else ([], [])
    return record.model_copy(
        update={
            "nats": float(np.mean([each.nats for each in items])),
            "gain": {"right": 0.0, **gain},
            "gradient": {"left": tuple(left), "right": tuple(right)} if shares else None,
        }
    ), items


class Answer(NamedTuple):
    """Tell what a model makes of a row."""

    nats: float
    state: Float[Tensor, " D"]


@dataclass(frozen=True, kw_only=True)
class _Plan:
    """The rows of one question: the whole one, and by change and side those of each distance."""

    whole: TokenInContext
    changed: dict[str, list[TokenInContext]]

    @staticmethod
    def of(
        question: AskedToken,
        distances: Sequence[int],
        sides: Sequence[Side],
        changes: Sequence[Change],
    ) -> "_Plan":
        changed = {
            key_of(change, side): [
                _seen(question.changed(change, side, distance), sides) for distance in distances
            ]
            for side in sides
            for change in changes
        }
        return _Plan(whole=_seen(question.row, sides), changed=changed)

    @property
    def rows(self) -> Iterator[TokenInContext]:
        """Yield all of them."""
        yield self.whole
        for rows in self.changed.values():
            yield from rows

    def item(
        self,
        question: AskedToken,
        answers: dict[TokenInContext, Answer],
        *,
        gradient_right: float | None,
    ) -> ContextItem:
        """Return what changed with the context."""
        nats, state = answers[self.whole]

        def moved(row: TokenInContext) -> float:
            return max(0.0, 1 - float(cosine_similarity(state, answers[row].state, dim=0)))

        return ContextItem(
            text=question.text,
            nats=nats,
            lost={
                key: tuple(answers[row].nats - nats for row in rows)
                for key, rows in self.changed.items()
            },
            moved={key: tuple(map(moved, rows)) for key, rows in self.changed.items()},
            gradient_right=gradient_right,
        )


def _seen(row: TokenInContext, sides: Sequence[Side]) -> TokenInContext:
    """Return a row without what an answer cannot make use of."""
    return row if "right" in sides else row.with_side("right", ())


@dataclass(frozen=True, kw_only=True)
class _Asking:
    """A model that is asked by one scoring, about equal rows once."""

    model: LoadedModel
    scoring: str
    report: Report

    def answers(self, rows: Iterable[TokenInContext]) -> dict[TokenInContext, Answer]:
        """Return the answer to each row; raise `Unsupported` where there is none."""
        found: dict[TokenInContext, Answer] = {}
        for batch, (log_prob, states) in self._batch_by_batch("context", rows, self._answered):
            for row, each, state in zip(batch, log_prob.double().tolist(), states, strict=True):
                found[row] = Answer(nats=-each, state=state)
        if not all(np.isfinite(each.nats) for each in found.values()):
            raise UserError(
                f"{self.model.path} gives a token no finite probability: its weights are damaged, "
                "or training diverged"
            )
        return found

    def gradients(self, rows: Sequence[TokenInContext]) -> dict[int, Float[ndarray, "2 R"]]:
        """Return of each row that has any, by side and distance, the share of the gradient."""
        reach = max(len(side) for row in rows for side in (row.left, row.right))
        found: dict[TokenInContext, Float[ndarray, "2 R"]] = {}
        for batch, norms in self._batch_by_batch("gradients", rows, self._moved):
            for row, each in zip(batch, norms.double().numpy(), strict=True):
                index = 1 + len(row.left)
                shares = np.zeros((2, reach))
                shares[0, : len(row.left)] = each[1:index][::-1]
                shares[1, : len(row.right)] = each[index + 1 :]
                if shares.sum():
                    found[row] = shares / shares.sum()
        return {number: found[row] for number, row in enumerate(rows) if row in found}

    def _answered(self, rows: Sequence[TokenInContext]) -> tuple[Tensor, Tensor]:
        text, hidden = as_text(rows, self.model.tokenizer.vocab)
        vocab = self.model.tokenizer.vocab
        asked = view_of(self.model.objective, text, vocab, hidden, self.scoring)
        return answer(self.model.net, asked)

    def _moved(self, rows: Sequence[TokenInContext]) -> Tensor:
        vocab = self.model.tokenizer.vocab
        text, hidden = as_text(rows, vocab)
        return influence(self.model.net, self.model.objective, text, vocab, hidden, self.scoring)

    def _batch_by_batch(
        self,
        what: str,
        rows: Iterable[TokenInContext],
        work: Callable[[Sequence[TokenInContext]], Found],
    ) -> Iterator[tuple[Sequence[TokenInContext], Found]]:
        """Yield batches of rows of one length, no row twice, each with what `work` makes of it."""
        net = self.model.net
        batches: list[Sequence[TokenInContext]] = []
        unique = sorted(dict.fromkeys(rows), key=lambda row: len(row.ids))
        for length, group in groupby(unique, key=lambda row: 1 + len(row.ids)):
            alike, size = [*group], net.rows_at_once(length)
            batches += (alike[start : start + size] for start in range(0, len(alike), size))
        for start in range(0, len(batches), BATCHES_AT_ONCE):
            some = batches[start : start + BATCHES_AT_ONCE]
            yield from zip(some, devices.side_by_side(work, some, net.device), strict=True)
            self.report(what, min(1.0, (start + len(some)) / len(batches)))
