"""What takes a training step: lmcompare under each objective, and models of transformers.

Each peer has our number of parameters within 3%, does the same work (an optimizer step on the same
rows, the same sources and outputs) and is given its inputs ready made, where ours corrupts the text
within the step.
"""

import time
from typing import Any

from turns import Step

ROWS, LENGTH, VOCAB = 16, 256, 8192
WIDTH, LAYERS, HEADS, FFN = 256, 6, 4, 704
SETTINGS = ("float32", "autocast", "bfloat16")


def vocabulary() -> Any:
    """All special tokens at the bottom, a hundred sentinels at the top."""
    from lmcompare.vocab import ALIASES, NUM_SENTINELS, Vocab

    roles = {role: number for number, role in enumerate(ALIASES)}
    sentinels = tuple(VOCAB - 1 - number for number in range(NUM_SENTINELS))
    specials = frozenset(roles.values()) | set(sentinels)
    return Vocab(size=VOCAB, roles=roles, specials=specials, sentinels=sentinels)


def random_text() -> Any:
    """ROWS x LENGTH ids of text, each a word."""
    import torch

    from lmcompare.view import Text

    vocab = vocabulary()
    draw = torch.Generator().manual_seed(0)
    tokens = vocab.regular[torch.randint(len(vocab.regular), (ROWS, LENGTH), generator=draw)]
    tokens[:, 0] = vocab.bos
    return Text(
        tokens=tokens,
        visible=torch.ones_like(tokens, dtype=torch.bool),
        word=torch.arange(LENGTH).expand_as(tokens).contiguous(),
    )


def ours(objective: str, setting: str) -> tuple[Step, int]:
    """A training step of lmcompare, corruption included, and its number of parameters."""
    import torch

    from lmcompare import devices, rng
    from lmcompare.model import Backbone, ModelConfig, training_flops
    from lmcompare.objectives import parse_objective
    from lmcompare.optim import Optimizer, OptimizerConfig

    devices.keep_freed_memory()
    devices.keep_compiled_products()
    what, text, vocab = parse_objective(objective), random_text(), vocabulary()
    config = ModelConfig(layers=LAYERS, width=WIDTH, heads=HEADS, ffn=FFN, preset="micro")
    if what.encodes:  # as deep as the peers'
        halves = {"encoder_layers": LAYERS // 2, "decoder_layers": LAYERS // 2}
        config = config.model_copy(update=halves)
    net = Backbone(config, vocab_size=VOCAB)
    dtype = torch.float32 if setting == "float32" else torch.bfloat16
    optimizer = Optimizer(net, OptimizerConfig(learning_rate=1e-3), dtype=dtype)
    rows = devices.rows_at_once(torch.device("cpu"), rows=ROWS, length=LENGTH)
    steps = 0

    def step() -> dict[str, float]:
        nonlocal steps
        start = time.perf_counter()
        view = what.corrupt(text, vocab, rng.generator("corruption", 0, steps))
        corrupted = time.perf_counter() - start
        for part in view.split(rows):
            net(part).backward()
            optimizer.collect()
        optimizer.step(rate=1e-3)
        steps += 1
        return {
            "corruption": corrupted,
            "flops": training_flops(config, VOCAB, view),
            "targets": view.num_targets,
        }

    return step, sum(p.numel() for p in net.parameters())


def peer(name: str, setting: str) -> tuple[Step, int]:
    """A training step of a model of transformers, random-initialised from its configuration."""
    import torch
    import transformers

    settings = setting.split("+")
    if "allocator" in settings:
        from lmcompare import devices

        devices.keep_freed_memory()
    config_class = getattr(
        transformers, name.split("For")[0].split("LMHead")[0].removesuffix("Model") + "Config"
    )
    torch.manual_seed(0)
    net = getattr(transformers, name)(config_class(**peer_shape(name)))
    net.train()
    masters = [parameter.detach().clone().float() for parameter in net.parameters()]
    rounded = settings[0] == "bfloat16"
    if rounded:
        net.bfloat16()
    working = list(net.parameters())
    held = [torch.nn.Parameter(master) for master in masters] if rounded else working
    optimizer = torch.optim.AdamW(
        [
            {"params": [p for p in held if p.ndim > 1], "weight_decay": 0.1},
            {"params": [p for p in held if p.ndim < 2], "weight_decay": 0.0},
        ],
        lr=1e-3,
        betas=(0.9, 0.95),
        fused=True,
    )
    run = torch.compile(net) if "compile" in settings else net
    given = peer_inputs(name)
    if rounded:
        given = {key: x.bfloat16() if x.is_floating_point() else x for key, x in given.items()}

    def step() -> dict[str, float]:
        with torch.autocast("cpu", torch.bfloat16, enabled=settings[0] == "autocast"):
            loss = run(**given).loss
        loss.backward()
        if rounded:
            for master, parameter in zip(held, working, strict=True):
                master.grad, parameter.grad = parameter.grad.float(), None
        torch.nn.utils.clip_grad_norm_(held, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if rounded:
            with torch.no_grad():
                torch._foreach_copy_(working, held)
        return {}

    return step, sum(p.numel() for p in net.parameters())


def peer_inputs(name: str) -> dict[str, Any]:
    """What our objective would have the peer read and predict, in the peer's own words."""
    import torch

    from lmcompare import rng
    from lmcompare.objectives import T5, Bart, Mlm, Plm
    from lmcompare.view import IGNORE

    text, vocab = random_text(), vocabulary()
    stream = rng.generator("corruption", 0, 0)
    if name.startswith(("T5", "Bart")):
        view = (T5() if name.startswith("T5") else Bart()).corrupt(text, vocab, stream)
        assert view.source is not None
        return {
            "input_ids": view.source.tokens,
            "attention_mask": view.source.visible.long(),
            "labels": view.target,
        }
    if name.startswith("XLNet"):
        view = Plm().corrupt(text, vocab, stream)
        slots = view.target[:, LENGTH:].contiguous()
        mapping = torch.nn.functional.one_hot(view.position[:, LENGTH:], LENGTH).float()
        # masked where the content stream may not look, and at each position itself
        order = view.order[:, :LENGTH]
        hidden = (order[:, None] >= order[:, :, None]) & (order > 0)[:, None]
        return {
            "input_ids": text.tokens,
            "perm_mask": hidden.float(),
            "target_mapping": mapping,
            "labels": slots,
        }
    if "Masked" in name:
        view = Mlm().corrupt(text, vocab, stream)
        return {"input_ids": view.tokens, "labels": view.target}
    assert IGNORE == -100  # what the peers take for no target
    return {"input_ids": text.tokens, "labels": text.tokens}


def peer_shape(
    name: str, *, layers: int = LAYERS, width: int = WIDTH, heads: int = HEADS, ffn: int = FFN
) -> dict[str, Any]:
    """Our shape in the words of each configuration; parameters agree within 3%."""
    shape: dict[str, Any] = {
        "vocab_size": VOCAB,
        "hidden_size": width,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "intermediate_size": ffn,
        "max_position_embeddings": LENGTH,
        "attn_implementation": "sdpa",
        "pad_token_id": 0,
    }
    no_dropout = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    if name == "GPT2LMHeadModel":
        return {
            "vocab_size": VOCAB,
            "n_embd": width,
            "n_layer": layers,
            "n_head": heads,
            "n_positions": LENGTH,
            "n_inner": 1064,  # no gate: as many parameters in two matrices as ours in three
            "resid_pdrop": 0.0,
            "embd_pdrop": 0.0,
            "attn_pdrop": 0.0,
            "attn_implementation": "sdpa",
            "use_cache": False,
        }
    if name == "BertForMaskedLM":
        return {**shape, **no_dropout, "intermediate_size": 1024}
    if name == "XLNetLMHeadModel":
        return {
            "vocab_size": VOCAB,
            "d_model": width,
            "n_layer": layers,
            "n_head": heads,
            # two matrices where we have three, and a fifth square one for relative positions
            "d_inner": (3 * ffn - width) // 2,
            "dropout": 0.0,
            "use_mems_train": False,
        }
    if name == "T5ForConditionalGeneration":
        return {
            "vocab_size": VOCAB,
            "d_model": width,
            "d_kv": width // heads,
            "num_heads": heads,
            "d_ff": 3 * ffn // 2,
            "num_layers": layers // 2,
            "num_decoder_layers": layers // 2,
            "dropout_rate": 0.0,
            "decoder_start_token_id": 0,
            "use_cache": False,
        }
    if name == "BartForConditionalGeneration":
        return {
            "vocab_size": VOCAB,
            "d_model": width,
            "encoder_layers": layers // 2,
            "decoder_layers": layers // 2,
            "encoder_attention_heads": heads,
            "decoder_attention_heads": heads,
            "encoder_ffn_dim": 3 * ffn // 2,
            "decoder_ffn_dim": 3 * ffn // 2,
            "max_position_embeddings": LENGTH + 8,
            "dropout": 0.0,
            "attention_dropout": 0.0,
            "activation_dropout": 0.0,
            "pad_token_id": 0,
            "decoder_start_token_id": 2,
            "attn_implementation": "sdpa",
            "use_cache": False,
        }
    if name == "ModernBertForMaskedLM":
        ends = {"bos_token_id": 1, "eos_token_id": 2, "cls_token_id": 1, "sep_token_id": 2}
        return {**shape, **ends, "sparse_prediction": True}
    return {**shape, "num_key_value_heads": heads, "tie_word_embeddings": True, "use_cache": False}


def matmul() -> tuple[Step, int]:
    """A large bfloat16 matrix product, ten times: the rate that utilisation is measured against."""
    import torch

    left, right = (torch.randn(2048, 2048).bfloat16() for _ in range(2))
    out = torch.empty_like(left)

    def step() -> dict[str, float]:
        for _ in range(10):
            torch.mm(left, right, out=out)
        return {"flops": 10 * 2 * 2048**3}

    return step, 0
