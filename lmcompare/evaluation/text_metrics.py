"""The metrics of texts that are scored: bits, and what counting alone needs for the same."""

from lmcompare.evaluation.metric import Metric

BITS_PER_BYTE = Metric(
    name="bits_per_byte",
    unit="bits/byte",
    heading="bits/byte",
    lowest=0.0,
    better="lower",
    pattern=".4f",
)
BITS_PER_TOKEN = Metric(
    name="bits_per_token", unit="bits/token", heading="bits/token", lowest=0.0, pattern=".4f"
)
UNIGRAM = Metric(
    name="unigram_bits_per_byte",
    unit="bits/byte",
    heading="unigram bits/byte",
    lowest=0.0,
    pattern=".4f",
)
TRIGRAM = Metric(
    name="trigram_bits_per_byte",
    unit="bits/byte",
    heading="trigram bits/byte",
    lowest=0.0,
    pattern=".4f",
)
