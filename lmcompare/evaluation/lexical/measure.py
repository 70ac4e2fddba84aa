"""Asking a model for words, and counting how often it has read them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from lmcompare.data import Split
from lmcompare.errors import Unsupported
from lmcompare.evaluation.kind import Report, not_measured_again
from lmcompare.evaluation.lexical.options import LexicalOptions
from lmcompare.evaluation.lexical.questions import LexicalQuestions
from lmcompare.evaluation.lexical.record import LexicalItem, LexicalRecord
from lmcompare.runs import common_question
from lmcompare.runs.loaded_model import Contestant, LoadedModel, opened

WORDS_AT_ONCE = 64  # of one batch; bounds memory, changes no result


def measure_lexical(
    contestant: Contestant,
    options: LexicalOptions,
    *,
    cache: Path,
    report: Report = lambda what, share: None,
    warn: Callable[[str], None] = lambda text: None,
) -> LexicalRecord:
    """Ask a model for words of held-out text, and keep what they cost by how well it knows them.

    Each is asked for as the common question is (`lmcompare.runs.common_question`), all tokens of a
    word being hidden and their number told.

    Args:
        contestant: a model, or a run, of which the last one is meant.
        options: about which text, and how many words.
        cache: folder of prepared corpora.
        report: told what is measured and the share that is done, 0 to 1.
        warn: told of a damaged checkpoint that was passed over.

    Raises:
        Unsupported: the model was trained elsewhere, on a text that is not known.
        UserError: no checkpoint, an unreadable text, one without words, or a text of training that
            is gone, so that nothing can be counted.
    """
    model = opened(contestant, device=options.device, batch_size=options.batch_size, warn=warn)
    if not model.trained.known:
        raise Unsupported(
            "what it was trained on is not known, and so not how often it has read a word"
        )
    training = model.origin.training_text(cache=cache, warn=warn).split("train")
    asked = LexicalQuestions.drawn(model, options, training, cache=cache, warn=warn)
    facts = {"source": options.source, "text": asked.digest, "step": model.step}
    for known in not_measured_again(
        model.results, LexicalRecord, facts, again=options.again, warn=warn
    ):
        return known
    blank = LexicalRecord(
        **facts,
        arm=model.arm,
        seed=model.seed,
        num_words=len(asked.words),
        reach=asked.reach,
        tokens_read=model.spent.tokens,
    )
    try:
        record, items = _measured(model, asked, training, blank, report)
    except Unsupported as reason:
        record, items = blank.model_copy(update={"reason": str(reason)}), []
    return model.results.write(record, items)


def _measured(
    model: LoadedModel,
    asked: LexicalQuestions,
    training: Split,
    blank: LexicalRecord,
    report: Report,
) -> tuple[LexicalRecord, list[LexicalItem]]:
    """Return what each word costs; raise `Unsupported` where the objective cannot be asked."""
    scoring = common_question.scoring_of(model.objective)
    if scoring is None:
        raise Unsupported(f"{model.objective.name} does not predict hidden tokens in few passes")
    how = model.objective.scorings[scoring]
    nats: list[float] = []
    for start in range(0, len(asked.words), WORDS_AT_ONCE):
        text, hidden = asked.rows(asked.words[start : start + WORDS_AT_ONCE], model)
        log_prob, _ = model.log_prob(text, hidden, scoring)
        nats += (-log_prob.sum(1)).tolist()
        report("lexical", len(nats) / len(asked.words))
    words, before, pairs = asked.counts(model, training)
    texts: dict[tuple[int, int], int] = {}
    items = [
        LexicalItem(
            text=texts.setdefault(each.stretch, len(texts)),
            nats=nats[number],
            num_tokens=each.window.last - each.window.first,
            count=int(words[number]),
            before=int(before[number]),
            pair=int(pairs[number]),
            repeated=each.repeated,
        )
        for number, each in enumerate(asked.words)
    ]
    longest = max(each.num_tokens for each in items)
    return blank.model_copy(
        update={
            "scoring": scoring,
            "likelihood": how.likelihood_of(longest),
            "given": how.given,
            "nats": float(np.mean(nats)),
        }
    ), items
