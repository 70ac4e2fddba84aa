"""How much memory training takes, told from the configuration alone, and whether a machine has it.

An estimate, meant to be rather too high: the weights and what the optimizer keeps of them, what one
pass keeps for its gradient, the logits, and the text of a step.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from lmcompare import devices, rng
from lmcompare.config.run import RunConfig
from lmcompare.data import Tokenizer
from lmcompare.data.tokenizer_training import NUM_BYTES, SPECIALS, USUAL_SIZE
from lmcompare.errors import UserError
from lmcompare.model.attention_mask import LONG
from lmcompare.model.loss import GROUP, LOGITS
from lmcompare.model.loss import rows_at_once as probabilities_at_once
from lmcompare.objectives import Objective
from lmcompare.view import Text, View
from lmcompare.vocab import ALIASES, NUM_SENTINELS, Vocab

# Shares of the memory that there is: above NEAR a warning, above FAR a refusal. It is above 1, as
# less may be needed than the estimate.
NEAR, FAR = 0.8, 1.25
PROGRAM = 600_000_000  # bytes of the program and its libraries, where a processor computes
SAMPLED = 2**17  # tokens, at most, that are corrupted to see what becomes of them
# For each token of a step: bytes of the text itself, and how many times those of its view
OF_TEXT, OF_VIEW = 45, 4.5
HOLES = 1.3  # times what is kept: what the allocator cannot use of what was freed


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Bytes that training takes when it takes most, by what takes them."""

    rows: int  # of a micro-batch
    program: int
    model: int  # weights, their gradients and moments
    one_pass: int  # what is kept for the gradient of a micro-batch, and the logits
    text: int  # of a step, on a processor

    @property
    def total(self) -> int:
        """Return the sum of all."""
        return self.program + self.model + self.one_pass + self.text

    @property
    def parts(self) -> tuple[tuple[int, str, str], ...]:
        """Return what can be made smaller, in bytes and in words, and how."""
        return (
            (self.model, "the weights and their optimizer", "choose a smaller model"),
            (
                self.one_pass,
                f"a pass over {self.rows:,} rows",
                "lower runtime.micro_batch or batch.length",
            ),
            (self.text, "the text of a step", "lower batch.rows"),
            (self.program, "the program", ""),
        )


def needed(config: RunConfig, vocab: Vocab | None = None) -> Memory:
    """Estimate the memory that training takes, where it takes place.

    Args:
        config: of the run.
        vocab: of its tokenizer; by default one as large as the configuration says.

    Raises:
        UserError: the device is not there, the tokenizer's file cannot be read, or its objective
            cannot corrupt such blocks.
    """
    device = devices.choose_device(config.runtime.device)
    precision = devices.precision_of(config.runtime.precision, device)
    width = devices.DTYPES[precision].itemsize
    vocab = vocab or _vocab(config)
    batch = config.batch
    at_once = devices.rows_at_once(device, rows=batch.rows, length=batch.length)
    rows = min(batch.rows, config.runtime.micro_batch or at_once)
    samples = [_sample(config, phase.objective, vocab) for phase in config.phases]
    passes = [_of_pass(config, vocab, view, times, rows, width, device) for view, times in samples]
    on_processor = device.type == "cpu"
    return Memory(
        rows=rows,
        program=PROGRAM if on_processor else 0,
        model=_of_model(config, vocab, width),
        one_pass=round(max(passes)),
        text=round(max(_of_text(config, view) for view, _ in samples)) if on_processor else 0,
    )


def require(
    runs: Sequence[tuple[str, RunConfig]], *, at_once: int = 1, warn: Callable[[str], None]
) -> None:
    """Make sure that the memory is there which runs need; warn where it is nearly not.

    Args:
        runs: each with its name.
        at_once: how many of them are trained side by side.
        warn: told where the estimate is near what there is.

    Raises:
        UserError: they need far more than there is; or as in `needed`.
    """
    known: dict[str, Memory] = {}
    estimates = list[tuple[int, str, str, RunConfig]]()
    for name, config in runs:
        alike = config.model_copy(update={"seed": 0}).model_dump_json()  # seeds need the same
        known[alike] = known.get(alike) or needed(config)
        estimates.append((known[alike].total, alike, name, config))
    largest = sorted(estimates, key=lambda each: -each[0])[:at_once]
    total, limit = sum(each for each, *_ in largest), available(largest[0][-1])
    if total <= NEAR * limit:
        return
    memory = known[largest[0][1]]
    names = ", ".join(dict.fromkeys(name for *_, name, _ in largest))
    there_is = "runtime.memory_gb allows" if largest[0][-1].runtime.memory_gb else "there are"
    parts = ", ".join(f"{_gb(size)} {what}" for size, what, _ in memory.parts if size)
    sentence = (
        f"to train {names} takes about {_gb(total)} of memory ({parts}), and {there_is} "
        f"{_gb(limit)}"
    )
    if total > FAR * limit:
        remedies = [how for size, _, how in memory.parts if how and size > total / 25]
        fewer = ["train fewer side by side"] if len(largest) > 1 else []
        change = "raise" if largest[0][-1].runtime.memory_gb else "set"
        raise UserError(
            f"{sentence}: {', '.join([*fewer, *remedies])}, or {change} runtime.memory_gb if there "
            "is more than is known"
        )
    warn(f"{sentence}: that may not be enough")


def available(config: RunConfig) -> int:
    """Return the bytes that training may take: as many as were set, or as there are.

    Raises:
        UserError: the device is not there.
    """
    if config.runtime.memory_gb is not None:
        return round(config.runtime.memory_gb * 1e9)
    return devices.memory(devices.choose_device(config.runtime.device))


def _gb(size: float) -> str:
    return f"{size / 1e9:,.1f} GB" if size >= 5e7 else f"{size / 1e6:,.3g} MB"


def _of_model(config: RunConfig, vocab: Vocab, width: int) -> int:
    """Estimate the master weights, gradients, two moments, a working copy and an average.

    All but the working copy are float32. To them come the gradients of a pass, or the copy of the
    moments for a checkpoint.
    """
    each = 16 + (width if width < 4 else 0) + (4 if config.optimizer.ema is not None else 0)
    return config.model.num_parameters(vocab.size) * (each + 8)


def _of_pass(
    config: RunConfig,
    vocab: Vocab,
    view: View,
    times: float,
    rows: int,
    width: int,
    device: torch.device,
) -> float:
    """Estimate what a pass over `rows` rows keeps, as the layers and the loss are written.

    A layer keeps 10 D + 4 F numbers for each position: normalised states, queries, keys and values
    before and after their rotation, what attention gives, and the parts of the feed-forward. One
    layer's worth again is on its way backwards.
    """
    model, on_processor = config.model, device.type == "cpu"
    each = 10 * model.width + 4 * model.ffn
    by_hand = on_processor and width == 2  # attention that keeps its weights
    blocks = not on_processor

    def stack(layers: int, part: View) -> float:
        length = times * part.tokens.shape[1]
        pairs = length * length
        kept = (layers + 1) * each * length + 4 * model.width * length
        if by_hand:
            kept += layers * model.heads * pairs
        if part.hint is None and not (blocks and length >= LONG):
            kept += 2 * pairs  # the mask, and what it is made from
        return rows * kept

    numbers = stack(model.depth, view)
    if view.source is not None:
        length, source = (times * each.tokens.shape[1] for each in (view, view.source))
        numbers += stack(model.encoder_layers, view.source)
        numbers += rows * model.depth * model.width * (5 * length + 2 * source)
        if by_hand:
            numbers += rows * (model.depth + 2) * model.heads * length * source
        if view.source.hint != "full":
            numbers += 2 * rows * length * source
    targets = rows * times * view.tokens.shape[1]
    numbers += 2 * targets * model.width + 2 * vocab.size * model.width
    return HOLES * numbers * width + _of_logits(targets, vocab.size, width, device)


def _of_logits(targets: float, vocab_size: int, width: int, device: torch.device) -> float:
    if device.type == "cpu":
        chunk = probabilities_at_once(device)
        return vocab_size * (min(GROUP, targets) * width + min(chunk, targets) * 4)
    return min(LOGITS, targets * vocab_size) * (width + 16)


def _of_text(config: RunConfig, view: View) -> float:
    parts = [view] if view.source is None else [view, view.source]
    tensors = [each for part in parts for each in vars(part).values() if torch.is_tensor(each)]
    stored = {each.untyped_storage().data_ptr(): each.untyped_storage() for each in tensors}
    sampled = len(view.tokens) * min(config.batch.length, SAMPLED)
    each = OF_TEXT + OF_VIEW * sum(storage.nbytes() for storage in stored.values()) / sampled
    return config.batch.rows * config.batch.length * each


def _sample(config: RunConfig, objective: Objective, vocab: Vocab) -> tuple[View, float]:
    """Return what an objective makes of a few blocks, and how many times longer blocks are.

    Raises:
        UserError: it cannot corrupt such blocks.
    """
    objective.require(vocab, length=config.batch.length)
    length = min(config.batch.length, SAMPLED)
    rows = max(1, min(config.batch.rows, 64, SAMPLED // length))
    tokens = vocab.regular[torch.arange(rows * length) % len(vocab.regular)].view(rows, length)
    tokens[:, 0] = vocab.bos
    alike = torch.zeros_like(tokens)
    text = Text(
        tokens=tokens,
        visible=torch.ones_like(tokens, dtype=torch.bool),
        word=torch.arange(length).expand_as(tokens).contiguous(),
        document=alike if config.batch.separate_documents else None,
    )
    view = objective.corrupt(text, vocab, rng.generator("memory"))
    return view, config.batch.length / length


def _vocab(config: RunConfig) -> Vocab:
    """Return a vocabulary as large as the tokenizer's at most, with all special tokens.

    How many characters a text has is not known before it is read; here they are as many as the ids
    of other kinds.
    """
    tokenizer = config.tokenizer
    if tokenizer.file is not None:
        return Tokenizer.of_file(tokenizer).vocab
    specials = len(SPECIALS) + tokenizer.spare + NUM_SENTINELS
    size = tokenizer.vocab_size or USUAL_SIZE
    if tokenizer.kind == "bytes":
        size = specials + NUM_BYTES
    roles = {role: number for number, role in enumerate(ALIASES)}
    spares = range(size - NUM_SENTINELS - tokenizer.spare, size - NUM_SENTINELS)
    sentinels = range(size - NUM_SENTINELS, size)
    return Vocab(
        size=size,
        roles=roles,
        specials=frozenset({*roles.values(), *spares, *sentinels}),
        sentinels=tuple(reversed(sentinels)),
    )
