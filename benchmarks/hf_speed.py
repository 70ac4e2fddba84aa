"""Speed of scoring minimal pairs by a causal model of Hugging Face: through us, and by minicons.

    python benchmarks/hf_speed.py --benchmarks FOLDER

One folder with a model is asked for the log-probability of the same sentences of BLiMP by both:
minicons in the fastest of several sizes of its batches, its sentences sorted by length. They take
turns; a ratio is the median over the rounds. The scores must agree. Without `--model` it is a Llama
with random weights and a tokenizer of the sentences.
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from scoring_speed import pairs_of
from turns import Contestant, Step, fastest, serve, take_turns

AGREE = 1e-4  # of a log-probability
SIZES = ("16", "64", "256")  # of a peer's batches
VOCAB = 8192
SHAPE = {"hidden_size": 256, "num_hidden_layers": 6, "intermediate_size": 704}


def random_model(folder: Path, texts: list[str]) -> None:
    """Write a Llama with random weights and a byte-level tokenizer of these texts."""
    import torch

    from lmcompare import hub
    from lmcompare.data import Tokenizer, TokenizerConfig

    transformers = hub.transformers("a random model")
    made = folder / "tokenizer.json"
    Tokenizer.train(texts, TokenizerConfig(kind="bpe")).save(made)
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_file=str(made), bos_token="[BOS]", eos_token="[EOS]", pad_token="[PAD]"
    )
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=len(tokenizer),
        num_attention_heads=4,
        max_position_embeddings=512,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        **SHAPE,
    )
    transformers.AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def sentences(folder: Path) -> list[str]:
    texts: list[str] = json.loads((folder / "sentences.json").read_text(encoding="utf-8"))
    return texts


def model_in(folder: Path) -> str:
    return (folder / "model.txt").read_text(encoding="utf-8")


def ours(folder: Path) -> tuple[Step, int]:
    import torch

    from lmcompare import devices
    from lmcompare.huggingface import load_hf
    from lmcompare.view import Text

    devices.keep_freed_memory()
    model = load_hf(f"hf:{model_in(folder)}")
    assert model.objective is not None
    objective, vocab, texts = model.objective, model.tokenizer.vocab, sentences(folder)

    def step() -> dict[str, Any]:
        ids = [[vocab.bos, *each.ids.tolist()] for each in model.tokenizer.encode(texts)]
        size = max(map(len, ids))
        tokens = torch.tensor([[*row, *[vocab.pad] * (size - len(row))] for row in ids])
        visible = torch.arange(size) < torch.tensor([len(row) for row in ids])[:, None]
        text = Text(tokens=tokens, visible=visible, word=torch.zeros_like(tokens))
        found = objective.score(model.net, text, vocab, visible)
        return {"scores": found.double().sum(1).tolist()}

    return step, model.num_parameters


def theirs(folder: Path, setting: str) -> tuple[Step, int]:
    from minicons import scorer

    from lmcompare import devices

    devices.keep_freed_memory()  # which any program could set
    model = scorer.IncrementalLMScorer(model_in(folder), "cpu")
    texts, size = sentences(folder), int(setting)
    order = sorted(range(len(texts)), key=lambda each: len(texts[each]))

    def step() -> dict[str, Any]:
        scores = [0.0] * len(texts)
        for start in range(0, len(order), size):
            some = order[start : start + size]
            found = model.sequence_score(
                [texts[each] for each in some],
                reduction=lambda each: each.sum(0).item(),
                bos_token=True,
            )
            for each, score in zip(some, found, strict=True):
                scores[each] = score
        return {"scores": scores}

    return step, sum(p.numel() for p in model.model.parameters())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", metavar="FOLDER", help="of a causal model; else a random one")
    parser.add_argument("--suite", default="blimp", metavar="NAME", help="minimal pairs")
    parser.add_argument("--benchmarks", metavar="FOLDER", default=".", help="where its files are")
    parser.add_argument("--sentences", type=int, default=400, metavar="N")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--trial-rounds", type=int, default=1)
    parser.add_argument("--work", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        name, setting = arguments.work
        whose, folder = name.split("@", maxsplit=1)
        serve(lambda: ours(Path(folder)) if whose == "ours" else theirs(Path(folder), setting))
        return
    with tempfile.TemporaryDirectory() as name:
        race(Path(name), arguments)


def race(folder: Path, arguments: argparse.Namespace) -> None:
    pairs = pairs_of(arguments.suite, arguments.benchmarks)
    num = arguments.sentences // 2
    chosen = [pairs[number * len(pairs) // num] for number in range(num)]
    texts = [each for pair in chosen for each in pair]
    (folder / "sentences.json").write_text(json.dumps(texts), encoding="utf-8")
    model = Path(arguments.model or folder / "random")
    if arguments.model is None:
        model.mkdir()
        random_model(model, [each for pair in pairs[:5000] for each in pair])
    (folder / "model.txt").write_text(str(model.resolve()), encoding="utf-8")
    mine = Contestant(__file__, f"ours@{folder}", "-")
    other = fastest(
        (Contestant(__file__, f"minicons@{folder}", size) for size in SIZES),
        rounds=arguments.trial_rounds,
        work=len(texts),
        unit="sentences",
    )
    take_turns([mine, other], arguments.rounds)
    found, expected = mine.steps[0]["scores"], other.steps[0]["scores"]
    apart = max(abs(one - two) / abs(two) for one, two in zip(found, expected, strict=True))
    print(
        f"{len(texts):,} sentences of {arguments.suite}: {len(texts) / mine.typical:,.0f} a second "
        f"through us, {len(texts) / other.typical:,.0f} by minicons with {other.setting} at once; "
        f"ratio {mine.faster_than(other):.2f}, at least 1 to reach; scores {apart:.1e} apart"
        f"{'' if apart < AGREE else ': NOT EQUAL'}"
    )
    for each in (mine, other):
        each.close()


if __name__ == "__main__":
    main()
