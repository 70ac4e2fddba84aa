"""How probable one run's model, the judge, finds what others wrote.

A judge reads text, not tokens: it scores under its own tokenizer, in bits for each byte of what
follows a prompt. Few bits are no praise by themselves: text that says the same over and over is
probable too. How many the judge needs for the text that really stood there says what is too few.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lmcompare.errors import UserError
from lmcompare.evaluation.generation.record import JudgeRecord
from lmcompare.evaluation.span_scoring import Span, SpanScore, score_spans
from lmcompare.runs.finding import find_models
from lmcompare.runs.loaded_model import LoadedModel, load_model
from lmcompare.runs.origin import Trained
from lmcompare.runs.run import Run


@dataclass(frozen=True, kw_only=True)
class Judge:
    """A run's last model, which gives each token an exact probability after those before it."""

    model: LoadedModel
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
        model = load_model(run, device=device, warn=warn)
        return Judge(model=model, scoring=exact[0])

    @property
    def about(self) -> JudgeRecord:
        """Return what is kept of it."""
        return JudgeRecord(
            name=self.model.path.resolve().name,
            objective=self.model.objective.name,
            scoring=self.scoring,
            step=self.model.step,
            num_parameters=self.model.trained.num_parameters,
        )

    def doubts(self, others: Sequence[Trained]) -> Iterator[str]:
        """Yield what speaks against it as the judge of some runs."""
        own = self.model.trained
        as_large = [each.arm for each in others if each.num_parameters >= own.num_parameters]
        if as_large:
            yield (
                f"the judge has {own.num_parameters:,} parameters, no more than "
                f"{_names(as_large)}: a judge should know better than those it judges"
            )
        elsewhere = [each.arm for each in others if not each.shares_text_with(own)]
        if elsewhere:
            yield (
                f"the judge was trained on another text than {_names(elsewhere)}: whether it has "
                "seen what stands behind the prompts is not known"
            )

    def score(self, texts: Sequence[Span]) -> list[SpanScore]:
        """Return how probable it finds what follows each prompt, given the prompt."""
        return score_spans(self.model, texts, self.scoring)


def _names(arms: Sequence[str]) -> str:
    return ", ".join(dict.fromkeys(arms))


def load_judge(place: Path, *, device: str, warn: Callable[[str], None]) -> Judge:
    """Return the judge that a path means.

    Raises:
        UserError: it is no run, or several; or as `Judge.load`.
    """
    run, *others = find_models([place], warn=warn)
    if others:
        raise UserError(f"{place} holds {1 + len(others)} runs, and one is the judge: name that")
    return Judge.load(run, device=device, warn=warn)
