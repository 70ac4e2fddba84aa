"""Models of theirs that have the backbone's shape are the backbone with their weights."""

from pathlib import Path
from typing import Any

import pytest
import torch

from lmcompare.data import Tokenizer
from lmcompare.errors import Unsupported
from lmcompare.huggingface import backbone_from_hf, load_hf
from lmcompare.model import Backbone
from lmcompare.runs.finding import load_checkpoint
from lmcompare.runs.run import Run
from tests.huggingface.models import FAMILIES, library_of, text_of, transformers


def folder_of(place: Path, name: str, **changes: Any) -> Path:
    """A model of a family that fits the backbone, but for what is changed."""
    family = FAMILIES[name]
    shape = {**family.shape, "tie_word_embeddings": True, **changes}
    library = library_of(family)
    config = getattr(transformers, family.config)(
        vocab_size=library.get_vocab_size() + family.num_rows, pad_token_id=1, **shape
    )
    torch.manual_seed(1)
    getattr(transformers, family.auto).from_config(config).save_pretrained(place)
    theirs = transformers.PreTrainedTokenizerFast(tokenizer_object=library, **family.roles)
    theirs.save_pretrained(place)
    return place


@pytest.mark.parametrize("name", ["clm", pytest.param("mlm", marks=pytest.mark.slow)])
def test_our_export_gives_back_our_weights(
    runs: dict[str, Run], exported: dict[str, Path], name: str
) -> None:
    found = backbone_from_hf(f"hf:{exported[name]}")
    record = runs[name].record()
    weights = load_checkpoint(runs[name], warn=pytest.fail).weights()
    assert found.weights.keys() == weights.keys()
    assert all(torch.equal(found.weights[key], weights[key]) for key in weights)
    assert (found.length, found.added) == (record.config.batch.length, {})
    given = record.config.model
    fields = ("layers", "width", "heads", "ffn", "rotary_base", "norm_epsilon")
    assert [getattr(found.config, each) for each in fields] == [
        getattr(given, each) for each in fields
    ]
    ours, theirs = runs[name].tokenizer(), found.tokenizer
    assert ours.vocab == theirs.vocab
    text = "the old cat, \u00e9 [MASK]"
    assert ours.encode([text])[0].ids.tolist() == theirs.encode([text])[0].ids.tolist()


@pytest.mark.parametrize("name", ["llama", pytest.param("eurobert", marks=pytest.mark.slow)])
def test_the_backbone_computes_what_they_do(tmp_path: Path, name: str) -> None:
    """With shared keys and values, rows beyond the tokenizer's ids, and a token that is added."""
    place = folder_of(tmp_path / name, name)
    found = backbone_from_hf(f"hf:{place}", needs=("mask", "bos"))
    assert found.added == ({"mask": "[MASK]"} if name == "llama" else {})
    net = Backbone(found.config, vocab_size=found.tokenizer.vocab.size).eval()
    net.load_state_dict(found.weights)
    theirs = load_hf(f"hf:{place}")
    num = theirs.tokenizer.vocab.size
    assert found.tokenizer.vocab.size == num + len(found.added)
    assert found.tokenizer.vocab.regular.tolist() == theirs.tokenizer.vocab.regular.tolist()
    text = text_of(theirs.tokenizer.vocab, 11, 7)
    assert theirs.objective is not None
    view = theirs.objective.read(text, theirs.tokenizer.vocab)
    ours = net.logits(view, view.visible)
    if name == "eurobert":  # which reads an end token after the text
        theirs.net.facts.__dict__["frame"] = type(theirs.facts.frame)(opening=(0,))
    expected = theirs.net.logits(view, view.visible)
    torch.testing.assert_close(ours[:, :num], expected, rtol=1e-4, atol=1e-5)
    if found.added:
        mean = net.embedding[:num].mean(0)
        torch.testing.assert_close(net.embedding[found.tokenizer.vocab.mask], mean)
    saved = tmp_path / "tokenizer.json"
    found.tokenizer.save(saved)
    assert Tokenizer.load(saved).vocab == found.tokenizer.vocab, "roles included"


@pytest.mark.parametrize(
    ("name", "changes", "said"),
    [
        ("llama", {"tie_word_embeddings": False}, "as its head is not its embedding"),
        ("llama", {"attention_bias": True}, "as it has biases"),
        ("llama", {"head_dim": 16}, "as its heads are not as wide as their share of it"),
        ("gpt2", {}, "as it is a gpt2"),
    ],
)
def test_what_does_not_fit(tmp_path: Path, name: str, changes: dict[str, Any], said: str) -> None:
    place = folder_of(tmp_path / name, name, **changes)
    with pytest.raises(Unsupported, match=said):
        backbone_from_hf(f"hf:{place}")
