"""What the harness asks of a model, answered by the scoring and the decoding of its objective.

Nothing here needs the harness.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from lmcompare.errors import Unsupported, UserError
from lmcompare.evaluation import heldout_text
from lmcompare.evaluation.greedy import fitting, writes
from lmcompare.evaluation.likelihood.measure import nats_of_tokens, windows_of
from lmcompare.evaluation.span_scoring import Span, choose_scoring, score_spans
from lmcompare.generation.generate import generate
from lmcompare.generation.prompts import Request, why_never_written
from lmcompare.objectives import Objective
from lmcompare.objectives.decoding.sampler import Sampler
from lmcompare.parsing import brief
from lmcompare.runs.loaded_model import LoadedModel

MAX_NEW_TOKENS = 256  # where a task does not say how many, as the harness has it
# what tasks call how many tokens to write, in the order in which the harness believes them
_MOST = ("max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens")
# what they call settings of a sampler, and what those are called here
_SAMPLED = {
    **{"temperature": "temperature", "top_k": "top_k", "top_p": "top_p", "min_p": "min_p"},
    "typical_p": "typical",
}
_ALWAYS = {
    **{"repetition_penalty": "repetition_penalty", "num_beams": "beams"},
    **{"no_repeat_ngram_size": "no_repeat_ngram", "length_penalty": "length_penalty"},
}


def span_of(context: str, continuation: str) -> Span:
    """Return what is asked for and what stands before it.

    White space at the end of a context is part of what follows, as tokenizers have it.
    """
    before = context.rstrip()
    return Span(text=context[len(before) :] + continuation, before=before)


def scoring_for(model: LoadedModel, spans: Sequence[Span], scoring: str | None) -> str:
    """Return the scoring that answers about some spans.

    Args:
        model: the model.
        spans: of one task, so that its answers compare.
        scoring: one of the objective's; by default the one that our own benchmarks choose.

    Raises:
        Unsupported: there is none, or the one that is named does not answer such a question.
    """
    if scoring is None:
        return choose_scoring(model, spans)
    how = model.objective.scorings[model.objective.choose_scoring(scoring)]
    for question in {span.question for span in spans}:
        if question not in how.answers:
            raise Unsupported(
                f"{model.objective.name} by '{scoring}' gives no likelihood of a {question}, only "
                f"of {' and '.join(how.answers)}: leave the scoring out, or name another"
            )
    return scoring


def log_likelihoods(
    model: LoadedModel, spans: Sequence[Span], scoring: str, *, greedy: bool
) -> list[tuple[float, bool]]:
    """Return the log-probability of each span, and whether the model writes it greedily.

    What is too long for the rows of training is cut at its beginning.

    Args:
        model: the model.
        spans: what is asked for.
        scoring: one that answers about them.
        greedy: find out what is written; else it is said of nothing.

    Raises:
        Unsupported: the objective does not answer.
        UserError: a span has no token of its own.
    """
    lengths = [len(each) for each in model.tokenizer.encode([span.text for span in spans])]
    short = [length < model.length for length in lengths]
    spans = [
        fitting(model, span) if fits else span for span, fits in zip(spans, short, strict=True)
    ]
    scores = score_spans(model, spans, scoring)
    for span, score in zip(spans, scores, strict=True):
        if not score.num_tokens:
            raise UserError(
                f"the tokenizer leaves {brief(span.text)} no token of its own after "
                f"{brief(span.before[-40:])}, so it has no probability: change the task's delimiter"
            )
    asked = [span for span, fits in zip(spans, short, strict=True) if fits and greedy]
    written = iter(writes(model, asked))
    return [
        (-score.nats, fits and greedy and next(written))
        for score, fits in zip(scores, short, strict=True)
    ]


def exact_scoring(objective: Objective) -> str:
    """Return the scoring that is a model's own probability of a whole text.

    Raises:
        Unsupported: the objective has none.
    """
    found = {name: how for name, how in objective.scorings.items() if "text" in how.answers}
    for name, how in found.items():
        if how.likelihood == "exact" and not how.any_length and not how.weighs_all:
            return name
    kinds = ", ".join(f"{name} is {how.likelihood}" for name, how in found.items())
    raise Unsupported(
        f"{objective.name} has no probability of a whole text, and perplexity is one ({kinds}): "
        "choose tasks of multiple choice, of continuations or of writing"
    )


def rolling(model: LoadedModel, texts: Sequence[str]) -> list[float]:
    """Return the log-probability of whole texts, in windows that overlap by half.

    It is what `lmcompare eval` calls likelihood.

    Raises:
        Unsupported: the objective has no exact likelihood, or the tokenizer does not know a text.
    """
    scoring = exact_scoring(model.objective)
    documents = model.tokenizer.encode(list(texts))
    for text, document in zip(texts, documents, strict=True):
        if not heldout_text.is_text(document, model.tokenizer).all():
            raise Unsupported(
                f"the tokenizer does not know all of the text {brief(text)}, so nothing knows its "
                "probability: choose a run with a tokenizer that keeps every byte"
            )
    there = [document for document in documents if len(document)]
    how = model.objective.scorings[scoring]
    parts = windows_of(there, how, window=model.length, stride=model.length // 2)
    nats = iter(nats_of_tokens(model, there, parts, scoring)[0] if there else [])
    return [-float(next(nats).sum()) if len(document) else 0.0 for document in documents]


def request_of(
    model: LoadedModel, settings: Mapping[str, Any], *, warn: Callable[[str], None]
) -> Request:
    """Return how a task wants to have texts continued, without the texts.

    Args:
        model: the model.
        settings: as tasks have them, such as `until`, `max_gen_toks`, `do_sample`, `temperature`.
        warn: told where fewer tokens fit than are asked for.

    Raises:
        UserError: settings of which nothing is known here, or that make no sense.
    """
    given = {name: value for name, value in settings.items() if value is not None}
    until = given.pop("until", [])
    stop = [until] if isinstance(until, str) else until
    most = [value for name in _MOST if (value := given.pop(name, None)) is not None]
    wanted = most[0] if most else MAX_NEW_TOKENS
    if (num := min(wanted, model.length // 2)) < wanted:
        warn(
            f"{wanted} new tokens leave no room for a text in rows of {model.length}, which the "
            f"model was trained on: it writes {num} at most"
        )
    drawn = {_SAMPLED[name]: given.pop(name) for name in _SAMPLED if name in given}
    sampled = given.pop("do_sample", False) and drawn.get("temperature") != 0
    always = {_ALWAYS[name]: given.pop(name) for name in _ALWAYS if name in given}
    if given:
        raise UserError(
            f"the task sets {', '.join(sorted(given))} of writing, and nothing here obeys that: "
            "leave it out in the task's generation_kwargs"
        )
    if always.get("beams") == 1:
        del always["beams"]
    laws = drawn if sampled else {"greedy": True} if "beams" not in always else {}
    try:
        sampler = Sampler(**laws, **always)
    except ValidationError as error:
        reason = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise UserError(f"the task's settings of writing make no sense: {reason}") from None
    return Request(
        prompts=(),
        sampler=sampler,
        max_new_tokens=num,
        # a model never comes to the others, and so is not stopped by them
        stop=tuple(each for each in stop if each and not why_never_written(each, model.tokenizer)),
        with_holes=False,
    )


def continuations(
    model: LoadedModel, request: Request, *, warn: Callable[[str], None]
) -> list[str]:
    """Return what a model writes after each prompt of a request, up to where it is to stop.

    Raises:
        UserError: a prompt that the tokenizer cannot read; settings that do not fit.
        Unsupported: the objective does not write so.
    """
    written = generate(model, request, warn=warn)
    return [sample.written[0] for sample in written.samples]
