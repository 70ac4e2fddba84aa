"""Writing and scoring on a GPU, ours and those of transformers, on the same weights if possible.

A peer writes with `generate`, and scores as minicons does (Misra 2022): sentences in batches, each
padded to its longest, all logits in float32, and out of them the log-probability of each token; a
masked model is asked for each token in a copy of its sentence. Sentences are sorted by length.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import contestants
import decode_speed
import torch
from gpu_timing import DEVICE, Measured, timed
from torch import Tensor

from lmcompare import devices
from lmcompare.huggingface.mapping import hf_weights
from lmcompare.model import Backbone
from lmcompare.objectives import parse_objective
from lmcompare.view import Text

SENTENCES = {"clm": 4096, "mlm": 128}
SHORTEST, LONGEST = 8, 24  # tokens of a sentence; two of a pair part at its middle
PEERS = {"clm": "LlamaForCausalLM", "mlm": "EuroBertForMaskedLM"}
Job = dict[str, Any]


def size_of(job: Job) -> str:
    """The name that `decode_speed` has for the size of a job."""
    if job["toy"]:
        decode_speed.NEW = 4
        SENTENCES.update(clm=64, mlm=4)
    return "nano" if job["toy"] else "base"


def writing(job: Job) -> Callable[[], Measured]:
    """New tokens a second behind prompts, greedily; `way` is the rows, and what else is chosen."""
    name, size, rows = job["name"], size_of(job), job["rows"]
    dtype, _, cache = job["setting"].partition("+")
    dtype = "float32" if job["toy"] else dtype
    setting = f"{dtype}+{cache}" if cache else dtype
    make = decode_speed.ours if name in decode_speed.PEERS else decode_speed.theirs
    step, parameters = make(name, size, rows, setting, DEVICE)
    return measured(step, parameters, tokens=rows * decode_speed.NEW, toy=job["toy"])


def scoring(job: Job) -> Callable[[], Measured]:
    """Tokens of sentences a second; `rows` are those of a batch of the peer, 0 is for ours."""
    size, objective, rows = size_of(job), job["name"], job["rows"]
    text = sentences(SENTENCES[objective])
    net, other = models(objective, size, torch.float32 if job["toy"] else torch.bfloat16)
    step: Callable[[], object]
    if rows == 0:  # ours
        step, used = partial(score, net, objective, text), net
    else:
        step, used = partial(peer_score, other, objective, text, rows=rows), other
    parameters = sum(p.numel() for p in used.parameters())
    tokens = int(text.visible.sum()) - len(text.tokens)
    return measured(step, parameters, tokens=tokens, toy=job["toy"])


def measured(
    step: Callable[[], object], parameters: int, *, tokens: int, toy: bool
) -> Callable[[], Measured]:
    """What is to be done once to warm up and once to measure: all sizes have been met by then."""

    def work() -> Measured:
        return {**timed(step, groups=1 if toy else 3, tokens=tokens), "parameters": parameters}

    step()
    return work


def sentences(num: int) -> Text:
    """Pairs of made sentences that begin alike, sorted by length, a start token before each."""
    vocab = contestants.vocabulary()
    draws = torch.Generator().manual_seed(0)
    lengths = torch.randint(SHORTEST, LONGEST + 1, (num // 2,), generator=draws).sort().values
    lengths = lengths.repeat_interleave(2)
    choice = torch.randint(len(vocab.regular), (num, LONGEST + 1), generator=draws)
    place = torch.arange(LONGEST + 1).expand_as(choice)
    same = place <= lengths[:, None] // 2
    tokens = vocab.regular[choice]
    tokens = tokens.where(~same, tokens[::2].repeat_interleave(2, 0))
    tokens[:, 0] = vocab.bos
    visible = place <= lengths[:, None]
    return Text(tokens=tokens.where(visible, vocab.pad), visible=visible, word=place.contiguous())


def models(objective: str, size: str, dtype: torch.dtype) -> tuple[Backbone, Any]:
    """Ours, and a model of transformers with the same weights."""
    import transformers

    net = decode_speed.backbone(objective, size).to(DEVICE, dtype)
    name = PEERS[objective]
    layers, width, heads, ffn = decode_speed.SIZES[size]
    shape = contestants.peer_shape(name, layers=layers, width=width, heads=heads, ffn=ffn)
    config = getattr(transformers, name.split("For")[0] + "Config")
    other = getattr(transformers, name)(
        config(**{**shape, "rms_norm_eps": net.config.norm_epsilon})
    )
    given = {**hf_weights(net.state_dict()), "lm_head.weight": net.embedding}
    other.load_state_dict(given, strict=False)
    return net, other.to(DEVICE, dtype).eval()


def score(net: Backbone, objective: str, text: Text) -> list[float]:
    """Log-probability of each sentence, as `lmcompare eval` finds it."""
    asked = text.visible.clone()
    asked[:, 0] = False
    vocab = contestants.vocabulary()
    found = parse_objective(objective).score(net, text, vocab, asked)
    return found.sum(1).tolist()


@torch.inference_mode()
def peer_score(other: Any, objective: str, text: Text, *, rows: int) -> list[float]:
    """The same, a batch of `rows` sentences at a time."""
    scores: list[float] = []
    for start in range(0, len(text.tokens), rows):
        visible = text.visible[start : start + rows]
        length = int(visible.sum(1).max())
        tokens = text.tokens[start : start + rows, :length].to(DEVICE)
        each = visible[:, :length].to(DEVICE)
        if objective == "clm":
            logits = other(input_ids=tokens, attention_mask=each.long()).logits[:, :-1]
            found = log_prob(logits, tokens[:, 1:]) * each[:, 1:]
            scores += found.sum(1).tolist()
        else:
            scores += [
                masked_score(other, row[seen]) for row, seen in zip(tokens, each, strict=True)
            ]
    devices.wait(DEVICE)
    return scores


def masked_score(other: Any, sentence: Tensor) -> float:
    """The sum over its tokens, each hidden in a copy of its own (Salazar et al. 2020)."""
    length = len(sentence)
    hidden = torch.arange(1, length, device=sentence.device)
    copies = sentence.repeat(length - 1, 1)
    copies[hidden - 1, hidden] = contestants.vocabulary().require("mask")
    logits = other(input_ids=copies).logits[hidden - 1, hidden]
    return float(log_prob(logits, sentence[1:]).sum())


def log_prob(logits: Tensor, target: Tensor) -> Tensor:
    """Of each target, from all logits in float32."""
    return logits.float().log_softmax(-1).gather(-1, target[..., None])[..., 0]
