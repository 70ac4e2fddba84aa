"""What is exported gives our logits where none of our code is."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from lmcompare.data import Tokenizer
from lmcompare.errors import Unsupported
from lmcompare.huggingface import HF_MODELS, export_hf, hf_config, hf_weights
from lmcompare.model import Backbone, ModelConfig
from lmcompare.objectives import OBJECTIVES, Clm, HfClass
from lmcompare.runs.finding import load_checkpoint
from lmcompare.runs.run import Run
from lmcompare.view import View
from lmcompare.vocab import Vocab
from tests.conftest import make_text
from tests.huggingface.exports import EXPORTABLE, kind_of
from tests.tiny import Trainer, tiny

transformers = pytest.importorskip("transformers", reason="needs the extra: pip install .[hf]")
CLOSE = {"rtol": 1e-4, "atol": 1e-5}
VIEWS: dict[HfClass, Callable[..., View]] = {"causal": View.causal, "masked": View.bidirectional}
LOADERS: dict[HfClass, Any] = {
    kind: getattr(transformers, hf_model.auto_class) for kind, hf_model in HF_MODELS.items()
}


def backbone(run: Run) -> tuple[Backbone, Tokenizer]:
    """The trained network as we run it."""
    tokenizer = Tokenizer.load(run.tokenizer_file)
    net = Backbone(run.record().config.model, vocab_size=tokenizer.vocab.size)
    net.load_state_dict(load_checkpoint(run, warn=pytest.fail).weights())
    return net.eval(), tokenizer


@torch.no_grad()
def our_logits(net: Backbone, tokens: torch.Tensor, visible: torch.Tensor, kind: HfClass) -> Any:
    return net.states(VIEWS[kind](tokens, visible=visible)) @ net.embedding.T


@torch.no_grad()
def their_logits(model: Any, tokens: torch.Tensor, visible: torch.Tensor) -> torch.Tensor:
    logits: torch.Tensor = model(input_ids=tokens, attention_mask=visible.long()).logits
    return logits


@pytest.mark.parametrize("kind", HF_MODELS)
@pytest.mark.parametrize(
    ("heads", "width", "ffn", "base"),
    [(1, 22, 31, 10_000.0), (3, 30, 17, 500.0), (5, 70, 101, 1e6)],
)
def test_our_weights_in_their_class_give_our_logits(
    kind: HfClass, heads: int, width: int, ffn: int, base: float, vocab: Vocab
) -> None:
    config = ModelConfig(layers=3, width=width, heads=heads, ffn=ffn, rotary_base=base)
    net = Backbone(config, vocab_size=vocab.size, seed=7).eval()
    with torch.no_grad():
        for parameter in net.parameters():  # far from its initial state
            parameter.mul_(1 + torch.rand_like(parameter)).mul_(3 if parameter.ndim > 1 else 1)
    theirs = hf_config(config, HF_MODELS[kind], vocab, length=23)
    model = LOADERS[kind].from_config(
        transformers.AutoConfig.for_model(theirs.pop("model_type"), **theirs)
    )
    assert type(model).__name__ == HF_MODELS[kind].name
    missing, unexpected = model.load_state_dict(hf_weights(net.state_dict()), strict=False)
    assert (missing, unexpected) == (["lm_head.weight"], [])
    assert model.lm_head.weight is model.model.embed_tokens.weight
    assert model.num_parameters() == config.num_parameters(vocab.size)
    text = make_text(vocab)
    assert not text.visible.all()
    ours = our_logits(net, text.tokens, text.visible, kind)[text.visible]
    assert ours.std() > 0.1
    found = their_logits(model.eval(), text.tokens, text.visible)[text.visible]
    torch.testing.assert_close(found, ours, **CLOSE)


@pytest.mark.parametrize("name", EXPORTABLE)
def test_a_trained_model_gives_our_logits(
    runs: dict[str, Run], exported: dict[str, Path], name: str
) -> None:
    kind = kind_of(name)
    net, tokenizer = backbone(runs[name])
    model, loading = LOADERS[kind].from_pretrained(exported[name], output_loading_info=True)
    assert not any(loading.values()), loading
    assert type(model).__name__ == HF_MODELS[kind].name
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert model.num_parameters() == runs[name].record().num_parameters
    text = make_text(tokenizer.vocab)
    ours = our_logits(net, text.tokens, text.visible, kind)[text.visible]
    found = their_logits(model, text.tokens, text.visible)[text.visible]
    torch.testing.assert_close(found, ours, **CLOSE)


@pytest.mark.parametrize("name", EXPORTABLE)
def test_a_batch_of_texts_gives_the_logits_of_each(
    runs: dict[str, Run], exported: dict[str, Path], name: str
) -> None:
    """Whichever side their tokenizer pads: rotary positions know distances only."""
    kind = kind_of(name)
    net, ours = backbone(runs[name])
    theirs = transformers.AutoTokenizer.from_pretrained(exported[name])
    texts = ["the cat", "the old dog saw"]
    batch = theirs(texts, padding=True, return_tensors="pt")
    visible = batch.attention_mask.bool()
    found = their_logits(
        LOADERS[kind].from_pretrained(exported[name]), batch.input_ids, batch.attention_mask
    )
    for row, each in enumerate(ours.encode(texts)):
        tokens = torch.tensor([[ours.vocab.bos, *each.ids.tolist()]])
        assert batch.input_ids[row][visible[row]].tolist() == tokens[0].tolist()
        expected = our_logits(net, tokens, torch.ones_like(tokens, dtype=torch.bool), kind)
        torch.testing.assert_close(found[row][visible[row]], expected[0], **CLOSE)


def test_averaged_weights_are_exported(corpus: Path, train: Trainer, tmp_path: Path) -> None:
    run = train(tiny(corpus, "clm", "budget=4 steps", "optimizer.ema=0.9"))
    export_hf(run, tmp_path / "out")
    found = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    average = load_checkpoint(run, warn=pytest.fail).weights()["embedding"]
    assert torch.equal(found.model.embed_tokens.weight, average)


@pytest.mark.parametrize("name", [name for name in EXPORTABLE if kind_of(name) == "masked"])
def test_fill_mask_runs(runs: dict[str, Run], exported: dict[str, Path], name: str) -> None:
    net, tokenizer = backbone(runs[name])
    fill = transformers.pipeline("fill-mask", model=str(exported[name]))
    found = fill("the [MASK]at", top_k=7)
    left, right = (each.ids.tolist() for each in tokenizer.encode(["the ", "at"]))
    tokens = torch.tensor([[tokenizer.vocab.bos, *left, tokenizer.vocab.mask, *right]])
    logits = our_logits(net, tokens, torch.ones_like(tokens, dtype=torch.bool), "masked")
    expected = logits[0, 1 + len(left)].softmax(0).topk(7)
    assert [each["token"] for each in found] == expected.indices.tolist()
    assert [each["score"] for each in found] == pytest.approx(expected.values.tolist(), rel=1e-4)
    two = fill(["[MASK]he", "a [MASK] [MASK]"], top_k=2)
    assert len(two[0]) == 2
    assert len(two[1]) == 2
    assert all(len(each) == 2 for each in two[1])


@pytest.mark.parametrize("name", [name for name in EXPORTABLE if kind_of(name) == "causal"])
def test_text_generation_runs(runs: dict[str, Run], exported: dict[str, Path], name: str) -> None:
    net, tokenizer = backbone(runs[name])
    (each,) = tokenizer.encode(["the old"])
    tokens = torch.tensor([[tokenizer.vocab.bos, *each.ids.tolist()]])
    for _ in range(5):
        visible = torch.ones_like(tokens, dtype=torch.bool)
        following = our_logits(net, tokens, visible, "causal")[:, -1:].argmax(-1)
        tokens = torch.cat([tokens, following], dim=1)
    write = transformers.pipeline("text-generation", model=str(exported[name]))
    asked = {"max_new_tokens": 5, "do_sample": False}
    (found,) = write("the old", return_tensors=True, **asked)
    assert found["generated_token_ids"] == tokens[0].tolist(), "with a cache, and without"
    (said,) = write("the old", **asked)
    assert said["generated_text"] == tokenizer.decode(tokens[0].tolist())
    batch = write(["the old", "a"], batch_size=2, **asked)
    assert batch[0][0]["generated_text"] == said["generated_text"], "padded on the left"


def test_what_has_no_class_in_transformers_is_said_and_not_faked(
    runs: dict[str, Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Clm, "hf_class", property(lambda self: None))
    monkeypatch.setattr(Clm, "why_no_hf_class", property(lambda self: "it reads tea leaves"))
    with pytest.raises(Unsupported) as error:
        export_hf(runs["clm"], tmp_path / "out")
    assert str(error.value) == (
        "a model trained with clm cannot be exported to Hugging Face: it reads tea leaves"
    )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", [name for name in OBJECTIVES if name not in EXPORTABLE])
def test_whatever_has_none_says_why(name: str) -> None:
    assert len(OBJECTIVES[name]().why_no_hf_class) > 10


def test_a_weight_without_a_name_in_transformers_is_no_silent_loss() -> None:
    with pytest.raises(AssertionError, match=r"clock\.weight has no name in transformers"):
        hf_weights({"clock.weight": torch.zeros(2)})
    with pytest.raises(KeyError, match="cross_attention"):
        hf_weights({"layers.0.cross_attention.weight": torch.zeros(2)})


def test_exporting_needs_no_transformers() -> None:
    script = "import sys, lmcompare.huggingface; print('transformers' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.strip() == "False"
