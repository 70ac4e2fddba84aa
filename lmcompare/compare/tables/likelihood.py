"""The table: an arm's mean over its seeds in each row, ranked only where that means something."""

import math
from collections.abc import Mapping, Sequence

from lmcompare.blocks import Column, names, numbers
from lmcompare.compare.tables.likelihood_sections import Row, Section
from lmcompare.stats.intervals import Estimate

_WRITTEN: Mapping[str, str] = {  # of what is written, and of the text itself
    "judge_bits_per_byte": "bits/byte",
    "written_entropy": "bits/word",
    "distinct_1": "share",
    "distinct_2": "share",
    "distinct_3": "share",
    "self_bleu": "share",
    "repetition": "share",
    "verbatim": "share",
    "words_per_text": "words",
    "bytes_per_text": "bytes",
}

METRICS: Mapping[str, str] = {  # each with its unit
    "bits_per_byte": "bits/byte",
    "bits_per_token": "bits/token",
    "unigram_bits_per_byte": "bits/byte",
    "trigram_bits_per_byte": "bits/byte",
    "bits_per_hidden_byte": "bits/byte",
    "bits_per_hidden_token": "bits/token",
    "unigram_bits_per_hidden_byte": "bits/byte",
    "training_loss": "nats/target",
    "validation_loss": "nats/target",
    "steps": "steps",
    "unigram_of_targets": "nats/target",
    "steps_to_leave_unigram": "steps",
    "tokens": "tokens",
    "targets": "targets",
    "flops": "operations",
    "training_seconds": "seconds",
    "undisturbed_seconds": "seconds",  # of a run that other work on the machine slowed down
    "parameters": "parameters",
    "tokens_per_second": "tokens/second",
    "peak_memory": "bytes",
    **_WRITTEN,
    **{f"reference_{metric}": unit for metric, unit in _WRITTEN.items()},
    "passes_per_written_token": "passes/token",
    "flops_per_written_token": "operations/token",
    "written_tokens_per_second": "tokens/second",
    "written_tokens_per_second_together": "tokens/second",
    "first_token_seconds": "seconds",
    "writing_memory": "bytes",
}

MISSING = "—"


COLUMNS = (
    *names("arm"),
    Column("bits/byte", "number"),
    Column("", "number"),  # its mark
    *numbers(
        *("bits/\ntoken", "unigram\nanchor", "trigram\nanchor", "valid.\nloss"),
        *("tokens", "targets", "FLOPs", "secs", "params", "seeds"),
    ),
)


def cells(row: Row) -> list[str]:
    """What stands in each of `COLUMNS`."""

    def figure(metric: str, pattern: str = ".3f") -> str:
        estimate = row.estimates.get(metric)
        return MISSING if estimate is None else format(estimate.mean, pattern)

    def amount(metric: str) -> str:
        return short(row.estimates[metric].mean)

    undisturbed = row.estimates.get("undisturbed_seconds")
    alone = "" if undisturbed is None else f" ({short(undisturbed.mean)} alone)"
    same = row.objective.partition(" ")[0] == row.label
    name = row.objective if same else f"{row.label}: {row.objective}"
    bits = row.estimates.get("bits_per_byte")
    return [
        ", ".join(filter(None, (name, row.scoring, row.window))),
        MISSING if bits is None else with_interval(bits),
        row.mark or "",
        figure("bits_per_token", ".2f"),
        figure("unigram_bits_per_byte"),
        figure("trigram_bits_per_byte"),
        figure("validation_loss"),
        amount("tokens"),
        amount("targets"),
        amount("flops"),
        amount("training_seconds") + alone,
        amount("parameters"),
        str(len(row.seeds))
        if len(row.seeds) == row.num_runs
        else f"{len(row.seeds)} of {row.num_runs}",
    ]


def with_interval(estimate: Estimate) -> str:
    """A mean and its interval with three decimals; the interval is rounded up, never to nothing."""
    half = estimate.half_width
    if half is None:
        return f"{estimate.mean:.3f} ±{MISSING}"
    return f"{estimate.mean:.3f} ±{math.ceil(half * 1000 - 1e-9) / 1000:.3f}"


def short(value: float) -> str:
    """Three digits and k, M, G, T, P or E for powers of a thousand."""
    for exponent, prefix in enumerate(" kMGTPE"[::-1]):
        factor = 1000.0 ** (6 - exponent)
        if value >= 0.9995 * factor and factor > 1:
            return f"{float(f'{value / factor:.3g}'):g}{prefix}"
    return f"{value:.3g}"


def footnotes(all_sections: Sequence[Section]) -> list[str]:
    """How the table is to be read."""
    notes = [
        "±: half of a 95% interval of the mean over seeds (Student's t), of these documents alone; "
        "±—: one seed."
    ]
    marks = {row.mark for section in all_sections for row in section.rows}
    if marks & {"best", "tie"}:
        notes.append(
            "best: its interval meets no other of its section, on these documents; tie: intervals "
            "meet, no winner."
        )
    if "new to it" in marks:
        notes.append(
            "new to it: training never hid a whole text from this model, so it is asked for what "
            "it did not learn; it is not ranked."
        )
    if any(row.window for section in all_sections for row in section.rows):
        notes.append(
            "Rows of unlike tokenizers share a section where both gave exact likelihoods of the "
            "same bytes. Only their bits/byte compare: tokens of one are longer than those of the "
            "other, and so are bits/token, anchors by frequencies of tokens, and windows. Nothing "
            "is ranked where windows of one tokenizer differ."
        )
    notes += [
        "Each section is ranked by itself: different kinds of likelihood and different texts "
        "cannot be compared, nor can bounds or scores of different scorings.",
        "valid. loss: nats a target, on each objective's own targets; it cannot rank objectives.",
        "unigram anchor: bits/byte of the same text by the frequencies of tokens in the training "
        "text; trigram anchor: by their frequencies after each two tokens (Kneser-Ney).",
    ]
    return notes
