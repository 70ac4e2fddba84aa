"""The model that the harness calls `lmcompare`; imported by the harness alone, which it needs."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace
from json import dumps
from pathlib import Path
from typing import TypeVar

from lm_eval.api.instance import Instance
from lm_eval.api.model import LM

from lmcompare.errors import UserError, did_you_mean
from lmcompare.evaluation.span_scoring import Span
from lmcompare.harness import answers
from lmcompare.runs.finding import at_step, find_models
from lmcompare.runs.loaded_model import LoadedModel, load_model, read_as
from lmcompare.runs.places import find_place

_log = logging.getLogger("lm_eval.lmcompare")  # below the harness, which shows what it is told
_T = TypeVar("_T")
_ARGUMENTS = ("run", "checkpoint", "read_as", "scoring", "method", "greedy")


class LMCompare(LM):
    """A run's model as the harness asks it.

    Its settings are those of `--model_args`: `run=experiments/x/mlm-s0-1a2b3c4d,scoring=pll`.
    """

    def __init__(
        self,
        run: str | None = None,
        *,
        checkpoint: int | None = None,
        read_as: str | None = None,
        scoring: str | None = None,
        method: str | None = None,
        greedy: bool = True,
        device: str | None = None,
        batch_size: int | str | None = None,
        max_batch_size: int | None = None,
        **others: object,
    ) -> None:
        """Load a model.

        Args:
            run: the run, by its folder, or by its name in `experiments`.
            checkpoint: the step of a checkpoint; the last one by default.
            read_as: of a mixture: the part that scores and writes.
            scoring: how the objective scores texts; by default what suits each task.
            method: how the objective writes; by default the first way that can.
            greedy: find out of each continuation whether the model would write it, which some
                tasks ask (LAMBADA); False saves the time.
            device: where it computes; by default a GPU where there is one.
            batch_size: texts that are asked about or written together; what suits the device by
                default, with "auto", and with 1, which the harness says where nobody says anything.
            max_batch_size: not used.
            others: settings that nothing here knows.

        Raises:
            UserError: no run, no checkpoint, no such part, scoring or device.
        """
        super().__init__()
        for name in others:
            raise UserError(
                f"the model_args of lmcompare know no {name}: {did_you_mean(name, _ARGUMENTS)}"
            )
        if not run:
            raise UserError(
                "the model_args name no run: write run=experiments/default/clm-s0-1a2b3c4d"
            )
        said = str(batch_size)
        rows = int(said) if said.isdecimal() and said != "1" else None
        self.model = _load(str(run), checkpoint, read_as, device=device or "auto", batch_size=rows)
        if scoring is not None:
            self.model.objective.choose_scoring(scoring)
        self.scoring, self.method, self.greedy = scoring, method, greedy
        self.rows = rows or 16
        self.used: dict[str, str] = {}

    def loglikelihood(self, requests: list[Instance]) -> list[tuple[float, bool]]:
        """Return the log-probability of each continuation, and whether it would be written.

        One task is answered by one scoring, whatever it is asked together with.
        """
        model, found = self.model, dict[int, tuple[float, bool]]()
        for task, numbers in _groups(each.task_name for each in requests).items():
            spans = [answers.span_of(*requests[number].args) for number in numbers]
            scoring = answers.scoring_for(model, spans, self.scoring)
            self._tell(task, scoring, spans)
            # what several ask is answered once
            once = list(dict.fromkeys(spans))
            scores = answers.log_likelihoods(model, once, scoring, greedy=self.greedy)
            by_span = dict(zip(once, scores, strict=True))
            found |= {number: by_span[span] for number, span in zip(numbers, spans, strict=True)}
        return self._in_order("loglikelihood", requests, found)

    def loglikelihood_rolling(self, requests: list[Instance]) -> list[float]:
        """Return the log-probability of whole texts, where the objective has one."""
        texts = [text for (text,) in (each.args for each in requests)]
        found = dict(enumerate(answers.rolling(self.model, texts)))
        return self._in_order("loglikelihood_rolling", requests, found)

    def generate_until(self, requests: list[Instance]) -> list[str]:
        """Return what the model writes after each context."""
        found: dict[int, str] = {}
        alike = _groups(dumps(each.args[1], sort_keys=True, default=str) for each in requests)
        for numbers in alike.values():
            request = replace(
                answers.request_of(self.model, requests[numbers[0]].args[1], warn=_log.warning),
                prompts=tuple(requests[number].args[0] for number in numbers),
                method=self.method,
                rows=self.rows,
            )
            texts = answers.continuations(self.model, request, warn=_log.warning)
            found |= dict(zip(numbers, texts, strict=True))
        return self._in_order("generate_until", requests, found)

    @property
    def tokenizer_name(self) -> str:
        """Return the hash of the tokenizer, for which the harness keeps what it prepared."""
        return self.model.tokenizer.hash

    def apply_chat_template(
        self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True
    ) -> str:
        """Refuse: the models here read text.

        Raises:
            UserError: always.
        """
        raise UserError("the models of lmcompare read text and no chat: leave the template out")

    def get_model_info(self) -> dict[str, object]:
        """Return what the harness writes of the model beside its results."""
        model = self.model
        return {
            "model_run": str(model.path),
            "model_objective": model.objective.name,
            "model_step": model.step,
            "model_num_parameters": model.trained.num_parameters,
            "model_text": model.trained.text,
            "model_scoring": dict(self.used),
        }

    def _tell(self, task: str, scoring: str, spans: Sequence[Span]) -> None:
        """Say by what a task is answered: unlike kinds do not compare."""
        how = self.model.objective.scorings[scoring]
        whole = all(not span.before for span in spans)
        self.used[task] = f"{scoring} ({how.likelihood}) of {'whole texts' if whole else 'ends'}"
        _log.info("%s of %s scores %s", task, self.model.arm, self.used[task])

    def _in_order(self, kind: str, requests: list[Instance], found: dict[int, _T]) -> list[_T]:
        for number, request in enumerate(requests):
            self.cache_hook.add_partial(kind, request.args, found[number])
        return [found[number] for number in range(len(requests))]


def _load(
    run: str, step: int | None, part: str | None, *, device: str, batch_size: int | None
) -> LoadedModel:
    """Return the model that is meant.

    Args:
        run: a run's folder or name, or that of a study of one run.
        step: of a checkpoint; None for the last.
        part: of a mixture; None for all of it.
        device: where it computes.
        batch_size: rows that it is asked about at once.

    Raises:
        UserError: there is none, or several.
    """
    place = find_place(Path(run))
    found, *others = find_models([place], warn=_log.warning)
    if others:
        raise UserError(
            f"{place} holds {1 + len(others)} runs and one can be asked at a time: name it, such "
            f"as run={found.path}"
        )
    meant = found if step is None else at_step(found, step)
    model = load_model(meant, device=device, warn=_log.warning, batch_size=batch_size)
    return model if part is None else read_as(model, part)


def _groups(keys: Iterable[str | None]) -> dict[str, list[int]]:
    """Return which places each key stands in, in the order in which keys come first."""
    groups: dict[str, list[int]] = {}
    for number, key in enumerate(keys):
        groups.setdefault(key or "", []).append(number)
    return groups
