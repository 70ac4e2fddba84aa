"""What is exported gives our ids and our logits where none of our code is."""

# ruff: noqa: F401, F811 -- fixtures are imported and asked for by name

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tokenizers
import torch
from tokenizers import models, normalizers, pre_tokenizers

from lmcompare import files
from lmcompare.data import Tokenizer, TokenizerConfig
from lmcompare.errors import Unsupported, UserError
from lmcompare.evaluation.infilling.measure import measure_infilling
from lmcompare.evaluation.infilling.options import InfillingOptions
from lmcompare.evaluation.likelihood.measure import measure_likelihood
from lmcompare.evaluation.likelihood.options import LikelihoodOptions
from lmcompare.huggingface import (
    HF_MODELS,
    export,
    export_hf,
    hf_config,
    hf_weights,
)
from lmcompare.huggingface.mapping import hf_tokenizer, tokenizer_config
from lmcompare.model import Backbone, ModelConfig
from lmcompare.objectives import OBJECTIVES, Clm, HfClass
from lmcompare.runs.checkpoints import MODEL
from lmcompare.runs.finding import load_checkpoint
from lmcompare.runs.run import Run
from lmcompare.view import View
from lmcompare.vocab import Vocab
from tests.conftest import make_text
from tests.tiny import Trainer, cache, corpus, sentences, tiny, train, unmeasured

transformers = pytest.importorskip("transformers", reason="needs the extra: pip install .[parity]")

CLOSE = {"rtol": 1e-4, "atol": 1e-5}
VIEWS: dict[HfClass, Callable[..., View]] = {"causal": View.causal, "masked": View.bidirectional}
LOADERS: dict[HfClass, Any] = {
    kind: getattr(transformers, hf_model.auto_class) for kind, hf_model in HF_MODELS.items()
}
EXPORTABLE = [name for name, objective in OBJECTIVES.items() if objective().hf_class]
KINDS = ("bpe", "word", "unigram", "bytes", "characters")
LOSSLESS = ("bpe", "unigram", "bytes")
AWKWARD = [
    "",
    " ",
    "  the old  cat ",
    "\n\nthe\r\n\tcat \v\x01\x7f\u2028",
    "the cat , it ' s . don't \u2019tis",  # what other tokenizers would clean up
    "caf\u00e9 cafe\u0301 \u0e01\u0e33 \u6f22\u5b57 \U00020000 \u2126",
    "\N{GRINNING FACE}\N{WOMAN}\u200d\N{GIRL}\ufe0f tree \N{REPLACEMENT CHARACTER}\ufeff\u2581",
    "x" * 307,
]


def kind_of(name: str) -> HfClass:
    kind = OBJECTIVES[name]().hf_class
    assert kind is not None
    return kind


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, cache: Path, corpus: Path) -> dict[str, Run]:
    """A run of each objective whose network transformers has, a little trained."""
    trainer = Trainer(tmp_path_factory.mktemp("runs"), cache)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("lmcompare.devices.matmul_rate", lambda *_, **__: 1e9)
        return {name: trainer(tiny(corpus, name, "budget=8 steps")) for name in EXPORTABLE}


@pytest.fixture(scope="module")
def exported(runs: dict[str, Run], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    places = {name: tmp_path_factory.mktemp("exported") / name for name in runs}
    for name, run in runs.items():
        assert export_hf(run, places[name]) == HF_MODELS[kind_of(name)]
    return places


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


@pytest.fixture(scope="module")
def ours() -> dict[str, Tokenizer]:
    """Tokenizers of every kind that we train."""
    texts = [sentences(101), *AWKWARD[:-3]]
    sizes = {"bpe": 383, "word": 127, "unigram": 373}
    return {
        kind: Tokenizer.train(texts, TokenizerConfig(kind=kind, vocab_size=sizes.get(kind, 4096)))
        for kind in KINDS
    }


def loaded(tokenizer: Tokenizer, place: Path, kind: HfClass = "masked") -> Any:
    """A tokenizer of ours as `AutoTokenizer` has it, beside the model that it is for."""
    place.mkdir()
    hf_model = HF_MODELS[kind]
    shape = hf_config(ModelConfig(), hf_model, tokenizer.vocab, length=1009)
    (place / "config.json").write_text(json.dumps(shape))
    (place / "tokenizer.json").write_text(hf_tokenizer(tokenizer), encoding="utf-8")
    described = tokenizer_config(tokenizer, hf_model, length=1009)
    (place / "tokenizer_config.json").write_text(json.dumps(described))
    return transformers.AutoTokenizer.from_pretrained(place)


@pytest.mark.parametrize("hf_class", HF_MODELS)
@pytest.mark.parametrize("kind", KINDS)
def test_texts_become_our_ids(
    ours: dict[str, Tokenizer], kind: str, hf_class: HfClass, tmp_path: Path
) -> None:
    tokenizer = ours[kind]
    theirs = loaded(tokenizer, tmp_path / "out", hf_class)
    for text, each in zip(AWKWARD, tokenizer.encode(AWKWARD), strict=True):
        found = theirs(text).input_ids
        assert found == [tokenizer.vocab.bos, *each.ids.tolist()], text
        if kind in LOSSLESS:
            assert theirs.decode(found, skip_special_tokens=True) == text
    one, two = tokenizer.encode(["the", "cat"])
    pair = [tokenizer.vocab.bos, *one.ids.tolist(), tokenizer.vocab.eos, *two.ids.tolist()]
    assert theirs("the", "cat").input_ids == pair


@pytest.mark.parametrize("kind", KINDS)
def test_special_tokens_have_their_roles(
    ours: dict[str, Tokenizer], kind: str, tmp_path: Path
) -> None:
    vocab, theirs = ours[kind].vocab, loaded(ours[kind], tmp_path / "out")
    for role, number in vocab.roles.items():
        assert getattr(theirs, f"{role}_token_id") == number
    assert len(theirs) == vocab.size
    assert theirs.model_max_length == 1009
    assert vocab.specials <= set(theirs.all_special_ids) | set(vocab.sentinels)
    spelled = "".join(ours[kind].pieces([*vocab.roles.values(), *vocab.sentinels[:2]]))
    found = theirs(spelled, add_special_tokens=False).input_ids
    assert found == [*vocab.roles.values(), *vocab.sentinels[:2]]
    assert theirs.decode(found, skip_special_tokens=True) == ""
    (as_text,) = ours[kind].encode([spelled])
    plain = theirs(spelled, add_special_tokens=False, split_special_tokens=True).input_ids
    assert plain == as_text.ids.tolist(), "as in training"


@pytest.mark.parametrize("kind", KINDS)
def test_a_mask_stands_for_a_token_as_in_training(
    ours: dict[str, Tokenizer], kind: str, tmp_path: Path
) -> None:
    tokenizer, theirs = ours[kind], loaded(ours[kind], tmp_path / "out")
    before = "the " if kind in ("bytes", "characters") else "the"  # where a space is a token
    left, right = (each.ids.tolist() for each in tokenizer.encode([before, " saw"]))
    expected = [tokenizer.vocab.bos, *left, tokenizer.vocab.mask, *right]
    assert theirs("the [MASK] saw").input_ids == expected


def test_tokenizers_from_elsewhere(tmp_path: Path) -> None:
    """Whose special tokens may be words of the model, and have other names or other uses."""
    words = ["<pad>", "</s>", "<s>", "<unk>", "[MASK]", "the", "cat", "saw", "##s"]
    bert = tokenizers.Tokenizer(
        models.WordPiece({word: place for place, word in enumerate(words)}, unk_token="<unk>")
    )
    bert.normalizer = normalizers.BertNormalizer(lowercase=True)
    bert.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    scores = [(word, 0.0) for word in words[:5]]
    scores += [("\u2581", -2.0), ("\u2581the", -3.0), ("\u2581cat", -3.0), ("s", -4.0), ("a", -5.0)]
    t5 = tokenizers.Tokenizer(models.Unigram(scores, unk_id=3))
    t5.normalizer = normalizers.NFKC()
    t5.pre_tokenizer = pre_tokenizers.Metaspace()
    symbols = {symbol: place for place, symbol in enumerate(["<mask>", *"the\u0120cas"])}
    gpt = tokenizers.Tokenizer(models.BPE(vocab=symbols, merges=[]))
    gpt.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    gpt.add_special_tokens(["<|endoftext|>", "<mask>"])
    for name, library in (("bert", bert), ("t5", t5), ("gpt", gpt)):
        tokenizer = Tokenizer(library)
        vocab, theirs = tokenizer.vocab, loaded(tokenizer, tmp_path / name)
        assert len(theirs) == vocab.size
        for text in ["the cats", "The  cat the", " cat "]:
            (each,) = tokenizer.encode([text])
            assert theirs(text).input_ids == [vocab.bos, *each.ids.tolist()], (name, text)
        left, right = (each.ids.tolist() for each in tokenizer.encode(["the", " cat"]))
        masked = theirs(f"the {theirs.mask_token} cat").input_ids
        before = [] if name != "gpt" else [symbols["\u0120"]]  # which has one-character tokens
        assert masked == [vocab.bos, *left, *before, vocab.mask, *right], name


def test_a_tokenizer_without_a_mask(tmp_path: Path) -> None:
    library = tokenizers.Tokenizer(models.WordLevel({"a": 0, "</s>": 1}, unk_token="a"))
    library.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    library.add_special_tokens(["<s>"])
    theirs = loaded(Tokenizer(library), tmp_path / "out", "causal")
    assert theirs.mask_token is None
    assert theirs("a a").input_ids == [2, 0, 0]


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


@pytest.mark.parametrize("name", EXPORTABLE)
def test_what_is_written(runs: dict[str, Run], exported: dict[str, Path], name: str) -> None:
    written = {path.name for path in exported[name].iterdir()}
    assert written <= export.WRITTEN
    assert export.WRITTEN - written == (
        {"generation_config.json"} if kind_of(name) == "masked" else set()
    )
    shape = json.loads((exported[name] / "config.json").read_text())
    assert shape["architectures"] == [HF_MODELS[kind_of(name)].name]
    assert shape["tie_word_embeddings"]
    described = json.loads((exported[name] / "tokenizer_config.json").read_text())
    assert described["mask_token"] == "[MASK]"
    assert described["model_max_length"] == 33 == shape["max_position_embeddings"]
    assert not list(exported[name].parent.glob(".*"))
    assert len({path.stat().st_mode for path in exported[name].iterdir()}) == 1, "all for all"


@pytest.mark.parametrize("name", EXPORTABLE)
def test_the_card(runs: dict[str, Run], exported: dict[str, Path], name: str) -> None:
    card = (exported[name] / "README.md").read_text(encoding="utf-8")
    record, hf_model = runs[name].record(), HF_MODELS[kind_of(name)]
    from huggingface_hub import ModelCard

    data = ModelCard(card).data.to_dict()
    assert data == {
        "library_name": "transformers",
        "pipeline_tag": hf_model.pipeline,
        "tags": ["lmcompare", name],
    }, "and no licence"
    sheet = record.sheet
    for value in (sheet.text, sheet.order, sheet.tokenizer):
        assert f": `{value}`" in card
    for parameter, value in sheet.weights.items():
        assert f"\n{value} {parameter}\n" in card
    (configuration,) = re.findall(r"```json\n(.*?)```", card, re.DOTALL)
    assert json.loads(configuration) == json.loads(record.config.model_dump_json())
    for setting in type(record.config.objective).model_fields:
        assert setting.replace("_", "\\_") in card
    assert f"\n- objective: {name}" in card
    assert "\n- budget: 8 steps, spent\n" in card
    assert "\n- spent: 8 steps, 1,024 tokens, " in card
    assert f"torch {record.versions['torch']}" in card
    validation = runs[name].last_validation()
    assert f"{validation:.4f} nats a target" in card
    assert f'{hf_model.auto_class}.from_pretrained("{name}")' in card
    assert "No likelihood was measured" in card


def test_the_card_holds_likelihoods_of_the_same_state(
    corpus: Path, train: Trainer, cache: Path, tmp_path: Path
) -> None:
    config = tiny(corpus, "mlm")
    run = train(config, stop_at=3)
    asked = LikelihoodOptions(max_bytes=50, device="cpu")
    (early, _) = measure_likelihood(run, asked, cache=cache)
    train(config)
    (late, word) = measure_likelihood(run, asked, cache=cache)
    export_hf(run, tmp_path / "out")
    card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    for record in (late, word):
        assert f"| {record.scoring} " in card
        assert f"{record.bits_per_byte:.4f}" in card
    assert f"{early.bits_per_byte:.4f}" not in card
    assert card.count("| pseudo ") == 2
    assert "Unlike kinds do not compare" in card


def test_the_card_holds_answers_about_hidden_tokens(
    corpus: Path, train: Trainer, cache: Path, tmp_path: Path
) -> None:
    run = train(tiny(corpus, "mlm"))
    asked = measure_infilling(run, InfillingOptions(num_texts=3, device="cpu"), cache=cache)
    answered = [record for record in asked if record.reason is None]
    silent = [record for record in asked if record.reason is not None]
    assert answered
    assert silent
    export_hf(run, tmp_path / "out")
    card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    for record in answered:
        cells = [record.form, record.protocol, record.hidden, f"{record.bits_per_byte:.4f}"]
        lines = [[cell.strip() for cell in line.split("|")] for line in card.splitlines()]
        assert len([line for line in lines if all(cell in line for cell in cells)]) == 1
    for record in silent:
        assert f"— {record.hidden}, {record.form}, {record.protocol}: {record.reason}" in card


def test_a_run_that_is_not_finished(corpus: Path, train: Trainer, tmp_path: Path) -> None:
    run = train(tiny(corpus), stop_at=3)
    told: list[str] = []
    export_hf(run, tmp_path / "out", warn=told.append)
    assert told == [f"the run {run.path} is not finished: this is its model after 3 steps"]
    card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert "- budget: 20 steps, of which 15% were spent: the run is not finished" in card


def content(place: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in place.iterdir()}


def test_an_export_is_replaced_only_by_force(
    runs: dict[str, Run], exported: dict[str, Path], tmp_path: Path
) -> None:
    place = tmp_path / "out"
    place.mkdir()
    export_hf(runs["clm"], place)
    before = content(place)
    with pytest.raises(UserError, match=r"out holds an export already: .* with --force"):
        export_hf(runs["mlm"], place)
    assert content(place) == before
    export_hf(runs["mlm"], place, force=True)
    assert set(content(place)) == set(content(exported["mlm"])), "nothing of the old one is left"
    assert content(place)[MODEL] == content(exported["mlm"])[MODEL]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("force", [False, True])
def test_nobodys_files_are_lost(runs: dict[str, Run], tmp_path: Path, force: bool) -> None:
    (tmp_path / "thesis.tex").write_text("Years.")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(
        UserError, match=r"holds files that are not of an export, thesis.tex for one"
    ):
        export_hf(runs["clm"], tmp_path, force=force)
    with pytest.raises(UserError, match=r"thesis.tex is a file: name a folder"):
        export_hf(runs["clm"], tmp_path / "thesis.tex", force=force)
    assert sorted(content(tmp_path)) == ["config.json", "thesis.tex"]


def test_the_working_folder_is_not_replaced(
    runs: dict[str, Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="and you are in it: name a new one"):
        export_hf(runs["clm"], Path())


def full(*_: object, **__: object) -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("module", [export, files], ids=["weights", "text"])
@pytest.mark.parametrize("there", [False, True])
def test_a_failed_export_leaves_nothing(
    runs: dict[str, Run],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    module: object,
    there: bool,
) -> None:
    place = tmp_path / "out"
    if there:
        export_hf(runs["mlm"], place)
    before = content(place) if there else {}
    with monkeypatch.context() as patched:
        patched.setattr(module, "write_tensors" if module is export else "write_text", full)
        with pytest.raises(UserError, match="the disk is full"):
            export_hf(runs["clm"], place, force=there)
    assert [path.name for path in tmp_path.iterdir()] == (["out"] if there else [])
    assert not there or content(place) == before


def test_an_export_that_cannot_take_its_place_leaves_the_old_one(
    runs: dict[str, Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "out"
    export_hf(runs["mlm"], place)
    before, really = content(place), Path.rename

    def rename(path: Path, target: Path) -> Path:
        if (path / "config.json").exists() and path.name.startswith(".lmcompare-new-"):
            full()
        return really(path, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", rename)
        with pytest.raises(UserError, match="the disk is full"):
            export_hf(runs["clm"], place, force=True)
    assert content(place) == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


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
