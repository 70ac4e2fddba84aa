"""How probable a run's model finds a text: bits per byte and per token, with their kind.

On the same documents for every run that reads the same text. Every byte is counted once, however
the windows overlap.
"""

from collections.abc import Callable, Iterable, Iterator
from hashlib import blake2b
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray

from lmcompare.data import Encoded, Split, Tokenizer
from lmcompare.errors import UserError
from lmcompare.evaluation import heldout_text
from lmcompare.evaluation.kind import not_measured_again
from lmcompare.evaluation.likelihood.options import LikelihoodOptions
from lmcompare.evaluation.likelihood.record import LikelihoodItem, LikelihoodRecord
from lmcompare.evaluation.ngram import Trigrams
from lmcompare.evaluation.windows import Window, stack, windows
from lmcompare.objectives import Scoring
from lmcompare.runs.loaded_model import Contestant, LoadedModel, opened

SPACES = " \t\r\n"  # before which a limit may cut a text
LONGEST_WORD = 1000  # characters; where none of them is a space, a limit cuts after any token
TOKENS_AT_ONCE = 16_384  # of one batch of windows; bounds memory, changes no result


def measure_likelihood(
    contestant: Contestant,
    options: LikelihoodOptions,
    *,
    cache: Path,
    report: Callable[[str, float], None] = lambda what, share: None,
    warn: Callable[[str], None] = lambda text: None,
) -> list[LikelihoodRecord]:
    """Score a text under a model, once for each scoring, and keep the results.

    What was measured before is not measured again.

    Args:
        contestant: a model, or a run, of which the last one is meant.
        options: what to score.
        cache: folder of prepared corpora.
        report: told the scoring and the share that is done, 0 to 1.
        warn: told of a damaged checkpoint that was passed over.

    Raises:
        UserError: no checkpoint, an unreadable text, a scoring that the objective does not have.
    """
    model = opened(contestant, device=options.device, batch_size=options.batch_size, warn=warn)
    objective, tokenizer = model.objective, model.tokenizer
    scorings = options.scorings or tuple(
        name for name, how in objective.scorings.items() if "text" in how.answers
    )
    for scoring in scorings or (None,):
        objective.choose_scoring(scoring)
    window = options.window or model.length
    stride = options.stride or window // 2
    if not 0 < stride < window:
        raise UserError(
            f"a stride of {stride} tokens does not fit windows of {window}: choose 1 to "
            f"{window - 1}"
        )
    documents = _documents(model, options, cache=cache, warn=warn)
    facts = {
        "source": options.source,
        "text": heldout_text.digest(document.ids for document in documents),
        "step": model.step,
        "window": window,
        "stride": stride,
    }
    known = not_measured_again(
        model.results, LikelihoodRecord, facts, again=options.again, warn=warn
    )
    before = {each.scoring: each for each in known}
    bytes_hash = hash_of_bytes(documents, tokenizer)
    anchor = _unigram_nats(model, documents)
    trigram_nats = None
    if not before.keys() >= {*scorings}:
        trigram_nats = _trigram_nats(model, documents, cache=cache, warn=warn)
    results = []
    for scoring in scorings:
        if scoring in before:
            results.append(model.results.amend(before[scoring], bytes_hash=bytes_hash))
            report(scoring, 1.0)
            continue
        how = objective.scorings[scoring]
        parts = windows_of(documents, how, window=window, stride=stride)
        nats, variance = nats_of_tokens(model, documents, parts, scoring, report)
        items = list(_items(documents, nats, tokenizer))
        result = LikelihoodRecord(
            **facts,
            bytes_hash=bytes_hash,
            arm=model.arm,
            seed=model.seed,
            scoring=scoring,
            likelihood=how.likelihood,
            num_documents=len(items),
            num_bytes=sum(item.num_bytes for item in items),
            num_tokens=sum(item.num_tokens for item in items),
            nats=sum(item.nats for item in items),
            standard_error=variance**0.5 if how.sampled else None,
            unigram_nats=anchor,
            trigram_nats=trigram_nats,
        )
        results.append(model.results.write(result, items))
    return results


def _documents(
    model: LoadedModel,
    options: LikelihoodOptions,
    *,
    cache: Path,
    warn: Callable[[str], None],
) -> list[Encoded]:
    """Return what is scored, up to the limit.

    Raises:
        UserError: that is nothing, or it cannot be read.
    """
    found = heldout_text.documents(model, options, cache=cache, warn=warn)
    documents = list(up_to(found, options.max_bytes, model.tokenizer))
    if not any(heldout_text.is_text(each, model.tokenizer).any() for each in documents):
        raise UserError(
            "there is nothing to score: the text is empty, or the limit too low for one token; "
            "choose another text with `data=` or `split=`, or raise `limit=`"
        )
    return documents


def _unigram_nats(model: LoadedModel, documents: list[Encoded]) -> float | None:
    unigram = heldout_text.unigram_nats(model.origin, model.tokenizer)
    if unigram is None:
        return None
    return float(
        sum(
            unigram[each.ids[heldout_text.is_text(each, model.tokenizer)]].sum()
            for each in documents
        )
    )


def _trigram_nats(
    model: LoadedModel, documents: list[Encoded], *, cache: Path, warn: Callable[[str], None]
) -> float | None:
    split = heldout_text.training_text(model, cache=cache, warn=warn, what="the trigram anchor")
    if split is None:
        return None
    counted = _trigrams(split)
    return float(-sum(np.log(counted.probability(each.ids)).sum() for each in documents))


_counted: dict[tuple[str, str], Trigrams] = {}  # the last one: runs of a study share their text


def _trigrams(split: Split) -> Trigrams:
    key = (split.hash, split.tokenizer.hash)
    if key not in _counted:
        vocab = split.tokenizer.vocab
        is_text = ~vocab.is_special(torch.arange(vocab.size)).numpy()
        _counted.clear()
        _counted[key] = Trigrams(split.tokens, is_text, end=vocab.eos)
    return _counted[key]


def nats_of_tokens(
    model: LoadedModel,
    documents: list[Encoded],
    parts: list[Window],
    scoring: str,
    report: Callable[[str, float], None] = lambda what, share: None,
) -> tuple[list[Float[ndarray, " N"]], float]:
    """Return nats of each token of each document, and the variance of their sum by sampling.

    Args:
        model: the model.
        documents: what is scored.
        parts: windows of them that ask for each token once, as `windows_of` gives them.
        scoring: one of the objective's.
        report: told the scoring and the share that is done, 0 to 1.

    Raises:
        Unsupported: these tokens cannot be scored so.
    """
    nats = [np.zeros(len(document)) for document in documents]
    variance, num_done = 0.0, 0
    for batch in batches(parts):
        text, wanted = stack(batch, documents, model.tokenizer.vocab)
        log_prob, more = model.log_prob(text, wanted, scoring)
        variance += more
        for row, part in enumerate(batch):
            found = log_prob[row, 1 + part.first - part.start : 1 + part.last - part.start]
            nats[part.document][part.first : part.last] = -found.numpy()
        num_done += len(batch)
        report(scoring, num_done / len(parts))
    return nats, variance


def windows_of(documents: list[Encoded], how: Scoring, *, window: int, stride: int) -> list[Window]:
    """Return the windows in which documents are scored, `window` tokens each at most."""
    return [
        part
        for number, document in enumerate(documents)
        for part in windows(
            number,
            len(document),
            length=window - 1,
            stride=stride,
            # The probability of a text is that of each part given those before it: to see more
            # would be to see what is still to be predicted.
            both_sides=how.likelihood == "pseudo",
        )
    ]


def up_to(
    documents: Iterable[Encoded], max_bytes: int | None, tokenizer: Tokenizer
) -> Iterator[Encoded]:
    """Return the documents that fit into so many bytes, and of the next one what still does.

    That one is cut before white space, so that all tokenizers which keep every byte are asked about
    the same bytes.

    Args:
        documents: none is empty.
        max_bytes: None for all of them.
        tokenizer: of the documents.
    """
    left = max_bytes
    for document in documents:
        num_bytes = int(document.bytes.sum())
        if left is not None and num_bytes > left:
            if num_tokens := _tokens_within(document, left, tokenizer):
                yield heldout_text.cut(document, 0, num_tokens)
            return
        yield document
        left = None if left is None else left - num_bytes


def _tokens_within(document: Encoded, max_bytes: int, tokenizer: Tokenizer) -> int:
    """Return how many of its tokens to keep: whole words where there are any."""
    ends = document.bytes.cumsum()
    fits = int(np.searchsorted(ends, max_bytes, side="right"))
    text = tokenizer.exact_text(document)
    if text is None:
        return fits
    start = len(text.encode()[:max_bytes].decode(errors="ignore"))
    for index in range(start, max(0, start - LONGEST_WORD), -1):
        if text[index] in SPACES and not text[index - 1].isspace():
            size = len(text[:index].encode())
            last = int(np.searchsorted(ends, size))
            return last + 1 if ends[last] == size else fits
    return fits


def hash_of_bytes(documents: Iterable[Encoded], tokenizer: Tokenizer) -> str | None:
    """Return a hash of the bytes of documents, or None where their tokens do not tell them."""
    found = blake2b(digest_size=16)
    for document in documents:
        text = tokenizer.exact_text(document)
        if text is None:
            return None
        content = text.encode()
        found.update(len(content).to_bytes(8, "little") + content)
    return found.hexdigest()


def batches(parts: list[Window]) -> Iterator[list[Window]]:
    """Yield windows of like lengths together, so that little is padded."""
    batch: list[Window] = []
    for part in sorted(parts, key=lambda part: part.stop - part.start, reverse=True):
        batch.append(part)
        if len(batch) * (batch[0].stop - batch[0].start + 1) >= TOKENS_AT_ONCE:
            yield batch
            batch = []
    if batch:
        yield batch


def _items(
    documents: list[Encoded], nats: list[Float[ndarray, " N"]], tokenizer: Tokenizer
) -> Iterator[LikelihoodItem]:
    for number, (document, costs) in enumerate(zip(documents, nats, strict=True)):
        scored = heldout_text.is_text(document, tokenizer)
        yield LikelihoodItem(
            document=number,
            num_bytes=int(document.bytes[scored].sum()),
            num_tokens=int(scored.sum()),
            nats=float(costs.sum()),
        )
