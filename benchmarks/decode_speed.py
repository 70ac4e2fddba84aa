"""Speed of writing beside `generate` of Hugging Face transformers.

    make bench                       (after the speed of training)

Each contestant goes on with the same prompts, greedily, by as many tokens. The causal peer has our
very weights, exported, and must write the same tokens in float32; the encoder-decoders have our
shape. Each is in the fastest of its settings (float32 or bfloat16, and for the peers a dynamic or a
static cache); they take turns, and a ratio is the median over the rounds.
"""

import argparse
from typing import Any

from contestants import FFN, HEADS, LAYERS, VOCAB, WIDTH, peer_shape, vocabulary
from turns import Contestant, Step, fastest, serve, take_turns

PROMPT, NEW = 32, 128
PEERS = {
    "clm": "LlamaForCausalLM",
    "t5": "T5ForConditionalGeneration",
    "bart": "BartForConditionalGeneration",
}
TO_REACH = {("clm", 1): 3.0, ("clm", 32): 1.5, ("t5", 1): 2.0, ("bart", 1): 2.0}
SIZES = {  # layers, width, heads, feed-forward
    "nano": (4, 128, 2, 320),
    "micro": (LAYERS, WIDTH, HEADS, FFN),
    "base": (12, 768, 12, 2048),  # for a GPU
}


def backbone(objective: str, size: str) -> Any:
    """Our model, an encoder-decoder with half of the layers in each stack."""
    from lmcompare.model import Backbone, ModelConfig
    from lmcompare.objectives import parse_objective

    layers, width, heads, ffn = SIZES[size]
    config = ModelConfig(layers=layers, width=width, heads=heads, ffn=ffn, preset="nano")
    if parse_objective(objective).encodes:
        halves = {"encoder_layers": layers // 2, "decoder_layers": layers // 2}
        config = config.model_copy(update=halves)
    return Backbone(config, vocab_size=VOCAB).eval()


def prompts(rows: int) -> Any:
    """Ids, the first of each row the start token."""
    import torch

    vocab = vocabulary()
    draw = torch.Generator().manual_seed(0)
    tokens = vocab.regular[torch.randint(len(vocab.regular), (rows, PROMPT), generator=draw)]
    tokens[:, 0] = vocab.bos
    return tokens


def ours(
    objective: str, size: str, rows: int, setting: str, device: Any = "cpu"
) -> tuple[Step, int]:
    import torch

    from lmcompare.objectives import parse_objective
    from lmcompare.objectives.decoding.fill_request import FillRequest
    from lmcompare.objectives.decoding.sampler import Sampler
    from lmcompare.view import Text

    what, vocab = parse_objective(objective), vocabulary()
    net = backbone(objective, size).to(device, getattr(torch, setting))
    tokens = torch.nn.functional.pad(prompts(rows), (0, NEW))
    holes = torch.zeros_like(tokens, dtype=torch.bool)
    holes[:, PROMPT:] = True
    request = FillRequest(
        text=Text(tokens=tokens, visible=torch.ones_like(holes), word=torch.zeros_like(tokens)),
        holes=holes,
        any_length=False,
        limit=NEW,
        sampler=Sampler(greedy=True),
        generators=tuple(torch.Generator() for _ in range(rows)),
    )

    def step() -> dict[str, Any]:
        return {"written": what.fill(net, request, vocab).token[:, :NEW].tolist()}

    return step, sum(p.numel() for p in net.parameters())


def theirs(name: str, size: str, rows: int, setting: str, device: Any = "cpu") -> tuple[Step, int]:
    import torch
    import transformers

    from lmcompare.huggingface.mapping import hf_weights

    vocab = vocabulary()
    layers, width, heads, ffn = SIZES[size]
    config_class = getattr(transformers, name.split("For")[0] + "Config")
    shape = peer_shape(name, layers=layers, width=width, heads=heads, ffn=ffn)
    if name == PEERS["clm"]:
        our_own = backbone("clm", size)
        shape["rms_norm_eps"] = our_own.config.norm_epsilon
    net = getattr(transformers, name)(config_class(**shape))
    if name == PEERS["clm"]:
        weights = hf_weights(our_own.state_dict())
        missing = net.load_state_dict(weights, strict=False)
        assert missing.missing_keys == ["lm_head.weight"]
        assert not missing.unexpected_keys
    dtype, cache = setting.split("+")
    net.to(device, getattr(torch, dtype)).eval()
    tokens = prompts(rows).to(device)
    # what is never written by ours is not written by theirs
    banned = [[number] for number in sorted(vocab.specials)]
    settings: dict[str, Any] = {
        "attention_mask": torch.ones_like(tokens),
        "min_new_tokens": NEW,
        "max_new_tokens": NEW,
        "do_sample": False,
        "use_cache": True,
        "pad_token_id": vocab.pad,
    }
    if cache == "static":
        settings["cache_implementation"] = "static"
    if name == PEERS["clm"] and dtype == "float32":
        settings["bad_words_ids"] = banned

    def step() -> dict[str, Any]:
        with torch.inference_mode():
            written = net.generate(tokens, **settings)
        return {"written": written[:, -NEW:].tolist()}

    return step, sum(p.numel() for p in net.parameters())


def contestant(name: str, size: str, rows: int, setting: str) -> Contestant:
    return Contestant(__file__, f"{name}/{size}/{rows}", setting)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--trial-rounds", type=int, default=3)
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=["nano", "micro"])
    parser.add_argument("--only", nargs="+", choices=PEERS, default=list(PEERS), metavar="OURS")
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 32])
    parser.add_argument("--work", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        name, size, rows = arguments.work[0].split("/")
        make = ours if name in PEERS else theirs
        serve(lambda: make(name, size, int(rows), arguments.work[1]))
        return
    print(f"{NEW} new tokens behind {PROMPT}, vocabulary {VOCAB}, greedy")
    print(
        f"{'ours':5} {'size':6} {'rows':>4} {'setting':9} {'tokens/s':>9} {'MB':>6}   {'peer':28} "
        f"{'setting':17} {'tokens/s':>9} {'MB':>6} {'size':>6} {'ratio':>6} {'to reach':>9}  same"
    )
    for objective in arguments.only:
        for size in arguments.sizes:
            for rows in arguments.rows:
                race(objective, size, rows, arguments)


def race(objective: str, size: str, rows: int, arguments: argparse.Namespace) -> None:
    name, work = PEERS[objective], rows * NEW
    dtypes = ("float32", "bfloat16")
    settings = [f"{dtype}+{cache}" for dtype in dtypes for cache in ("dynamic", "static")]
    both = [
        fastest(
            (contestant(who, size, rows, setting) for setting in tried),
            rounds=arguments.trial_rounds,
            work=work,
            unit="tokens",
        )
        for who, tried in ((objective, dtypes), (name, settings))
    ]
    mine, other = both
    exact = [
        contestant(objective, size, rows, "float32"),
        contestant(name, size, rows, settings[0]),
    ]
    take_turns(exact, 1)
    same = exact[0].steps[0]["written"] == exact[1].steps[0]["written"]
    take_turns(both, arguments.rounds)
    wanted = TO_REACH.get((objective, rows))
    print(
        f"{objective:5} {size:6} {rows:4} {mine.setting:9} {work / mine.typical:9,.0f} "
        f"{mine.megabytes:6,.0f}   {name:28} {other.setting:17} {work / other.typical:9,.0f} "
        f"{other.megabytes:6,.0f} {other.facts['parameters'] / mine.facts['parameters']:6.3f} "
        f"{mine.faster_than(other):5.2f}x {'' if wanted is None else f'{wanted}x':>9}  "
        f"{('yes' if same else 'NO') if objective == 'clm' else '-'}",
        flush=True,
    )
    for each in (*both, *exact):
        each.close()


if __name__ == "__main__":
    main()
