"""The same question to all: hidden tokens of a text, given what stands around them.

Likelihoods of unlike kinds do not compare; answers to this question do, as far as an objective can
give one. One token of each text is asked for, or a share of its tokens, given all others; or its
second half, given the first. Which texts and which tokens depends on the held-out text alone.

The question has two forms. With the lengths of the holes told, an answer is a choice among all that
is as long; else it is one among texts of any length, and where a hole ends is part of it. The two
do not compare, and neither do the protocols by which several tokens are asked for.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import get_args

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from lmcompare.errors import Unsupported, UserError, did_you_mean
from lmcompare.evaluation import heldout_text
from lmcompare.evaluation.infilling.hidden_texts import HIDDEN, SHORTEST, HiddenTexts
from lmcompare.evaluation.infilling.options import InfillingOptions
from lmcompare.evaluation.infilling.record import QUESTIONS, Hidden, InfillingItem, InfillingRecord
from lmcompare.evaluation.kind import not_measured_again
from lmcompare.objectives import Form, Objective, Protocol
from lmcompare.runs.loaded_model import Contestant, LoadedModel, opened
from lmcompare.view import Text

FORMS: tuple[Form, ...] = get_args(Form)
PROTOCOLS: tuple[Protocol, ...] = get_args(Protocol)
# Of one batch; they bound memory and change no result. A single token may take a pass for each
# candidate, so texts with one are scored one by one and progress is seen.
ROWS_AT_ONCE = 16
ROWS_OF_ONE = 1


def measure_infilling(
    contestant: Contestant,
    options: InfillingOptions,
    *,
    cache: Path,
    hidden: Sequence[Hidden] = HIDDEN,
    report: Callable[[str, float], None] = lambda what, share: None,
    warn: Callable[[str], None] = lambda text: None,
) -> list[InfillingRecord]:
    """Ask a model for hidden tokens of a text, and keep its answers.

    Of each form and protocol a question is answered in the first way that the objective has for it,
    those that can make use of both sides before those that see the left one only. Where there is
    none, the result says why. What was measured before is not measured again.

    Args:
        contestant: a model, or a run, of which the last one is meant.
        options: about which text, and how.
        cache: folder of prepared corpora.
        hidden: the questions.
        report: told the question and the share that is done, 0 to 1.
        warn: told of a damaged checkpoint that was passed over, and of texts longer than the model
            was trained on.

    Raises:
        UserError: no checkpoint, an unreadable text, or none that is long enough.
    """
    _require(options)
    model = opened(contestant, device=options.device, batch_size=options.batch_size, warn=warn)
    texts = HiddenTexts.drawn(model, options, cache=cache, warn=warn)
    trained, width = model.length, texts.rows.tokens.shape[1]
    if width > trained:
        warn(
            f"{model.path} was trained on rows of {trained} tokens and is asked about rows of "
            f"{width}: what stands beyond is new to it"
        )
    facts = {"source": options.source, "text": texts.digest, "step": model.step}
    before = {
        (each.form, each.protocol, each.hidden): each
        for each in not_measured_again(
            model.results, InfillingRecord, facts, again=options.again, warn=warn
        )
    }
    results = []
    for question in questions(model.objective, read_protocols(options.protocols), hidden):
        known = before.get(question)
        if known is None:
            known = model.results.write(*_measured(model, options, texts, *question, report))
        else:
            report(known.hidden, 1.0)
        results.append(known)
    return results


def read_protocols(given: Iterable[str]) -> tuple[Protocol, ...]:
    """Return the protocols of these names.

    Raises:
        UserError: there is none of such a name.
    """
    found: list[Protocol] = []
    for name in given:
        known = [each for each in PROTOCOLS if each == name]
        if not known:
            raise UserError(
                f"several hidden tokens cannot be asked for by '{name}': "
                f"{did_you_mean(name, PROTOCOLS)}"
            )
        found += known
    return tuple(found)


def _require(options: InfillingOptions) -> None:
    if options.num_texts < 1:
        raise UserError(f"{options.num_texts} texts leave nothing to ask: choose `texts=1` or more")
    if options.length < SHORTEST:
        raise UserError(
            f"texts of {options.length} tokens are too short to hide a share of them: choose "
            f"`length={SHORTEST}` or more"
        )


def _measured(
    model: LoadedModel,
    options: InfillingOptions,
    texts: HiddenTexts,
    form: Form,
    protocol: Protocol,
    hidden: Hidden,
    report: Callable[[str, float], None],
) -> tuple[InfillingRecord, list[InfillingItem]]:
    """Return the answer to one question, text by text, or why there is none."""
    mask = texts.hidden[hidden]
    num_tokens, num_bytes = mask.sum(1), (texts.bytes * mask).sum(1)
    unigram = heldout_text.unigram_nats(model.origin, model.tokenizer)
    ends = _nats_of_ends(mask) if form == "untold" else 0.0
    blank = InfillingRecord(
        arm=model.arm,
        seed=model.seed,
        source=options.source,
        text=texts.digest,
        step=model.step,
        form=form,
        protocol=protocol,
        hidden=hidden,
        length=options.length,
        num_texts=len(mask),
        num_tokens=int(num_tokens.sum()),
        num_bytes=int(num_bytes.sum()),
        unigram_nats=None
        if unigram is None
        else float(unigram[texts.rows.tokens[mask].numpy()].sum()) + ends,
    )
    try:
        scoring, nats, variance = answer(model, texts.rows, mask, form, protocol, hidden, report)
    except Unsupported as reason:
        return blank.model_copy(update={"reason": str(reason)}), []
    how = model.objective.scorings[scoring]
    record = blank.model_copy(
        update={
            "scoring": scoring,
            "likelihood": how.likelihood_of(int(num_tokens.max())),
            "given": how.given,
            "nats": float(nats.sum()),
            "standard_error": variance**0.5 if how.sampled else None,
        }
    )
    columns = (num_bytes.tolist(), num_tokens.tolist(), nats.tolist())
    return record, [
        InfillingItem(text=number, num_bytes=each[0], num_tokens=each[1], nats=each[2])
        for number, each in enumerate(zip(*columns, strict=True))
    ]


def answer(
    model: LoadedModel,
    rows: Text,
    mask: Bool[Tensor, "B T"],
    form: Form,
    protocol: Protocol,
    hidden: Hidden,
    report: Callable[[str, float], None],
) -> tuple[str, Float[Tensor, " B"], float]:
    """Return how it was scored, the nats of each text, and the variance of their sum by sampling.

    Raises:
        Unsupported: the objective has no way, or none for these texts.
    """
    question = QUESTIONS[hidden].asks
    model.objective.choose_scoring(None, question)
    scorings = model.objective.scorings
    ways = [
        name
        for name, how in scorings.items()
        if question in how.answers and (how.form, how.protocol) == (form, protocol)
    ]
    reasons = [] if ways else [_why_none(model.objective, form, protocol)]
    for scoring in sorted(ways, key=lambda name: scorings[name].given == "left"):
        nats, variance, num_done = torch.zeros(len(mask), dtype=torch.float64), 0.0, 0
        # What a way cannot do it says of the texts in which most is hidden, and so at once.
        order = mask.sum(1).argsort(descending=True, stable=True)
        try:
            for batch in order.split(ROWS_OF_ONE if hidden == "one" else ROWS_AT_ONCE):
                log_prob, more = model.log_prob(rows.rows(batch), mask[batch], scoring)
                nats[batch] = -log_prob.sum(1)
                variance += more
                num_done += len(batch)
                report(hidden, num_done / len(mask))
        except Unsupported as reason:
            reasons.append(str(reason))
        else:
            return scoring, nats, variance
    raise Unsupported("; ".join(reasons))


def questions(
    objective: Objective, wanted: tuple[Protocol, ...] = (), hidden: Sequence[Hidden] = HIDDEN
) -> Iterator[tuple[Form, Protocol, Hidden]]:
    """Yield what an objective is asked: in which form, by which protocol, and about what."""
    for form, protocol, question in product(FORMS, PROTOCOLS, hidden):
        if protocol in _protocols(objective, form, wanted):
            yield form, protocol, question


def _protocols(
    objective: Objective, form: Form, wanted: tuple[Protocol, ...]
) -> tuple[Protocol, ...]:
    """Return how several tokens are to be asked for: as is wanted, or in each way that it has.

    Along the order of the text all are asked in either form, so that who cannot answer says why.
    """
    own = {how.protocol for how in objective.scorings.values() if how.form == form}
    return wanted or tuple(each for each in PROTOCOLS if each in own or each == "in-order")


def _why_none(objective: Objective, form: Form, protocol: Protocol) -> str:
    if form == "untold" and not any(how.any_length for how in objective.scorings.values()):
        return f"{objective.name} does not say where a hole ends: it must be told its length"
    return f"{objective.name} does not fill holes {protocol}"


def _nats_of_ends(mask: Bool[Tensor, "B T"]) -> float:
    """Return the cost of saying, before each token and after the last, whether a hole ends."""
    num_tokens = int(mask.sum())
    num_ends = num_tokens - int((mask[:, 1:] & mask[:, :-1]).sum())
    total = num_tokens + num_ends
    return sum(-num * math.log(num / total) for num in (num_tokens, num_ends))
