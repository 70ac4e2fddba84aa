"""What is no model that can be asked is refused in one line."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch
import torch

from lmcompare import hub
from lmcompare.errors import Unsupported, UserError
from lmcompare.huggingface import load_hf, read_facts
from lmcompare.view import View
from tests.huggingface.models import FAMILIES, library_of, saved, transformers


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved("gpt2", tmp_path_factory.mktemp("bad") / "gpt2")


@pytest.fixture
def place(gpt2: Path, tmp_path: Path) -> Path:
    """A copy that a test may break."""
    return Path(shutil.copytree(gpt2, tmp_path / "model"))


def refused(found: Path | str, what: Callable[[str], object] = load_hf) -> str:
    with pytest.raises(UserError) as error:
        what(f"hf:{found}")
    said = str(error.value)
    assert "\n" not in said
    return said


def change(path: Path, **entries: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | entries))


def test_where_there_is_none(place: Path, tmp_path: Path) -> None:
    assert f"there is no folder '{place}x': did you mean 'model'?" in refused(f"{place}x")
    (tmp_path / "empty").mkdir()
    assert "holds no model of Hugging Face, as it has no config.json" in refused(tmp_path / "empty")
    assert "is a file: name the folder" in refused(place / "config.json")
    assert "names no model: write hf:FOLDER or hf:NAME" in refused("")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        ("OfflineModeIsEnabled", "the Hugging Face hub cannot be asked (.*): give a folder, or "),
        ("GatedRepoError", "hf:some/model@v2 is gated: ask for access on https://hug.*`hf auth"),
        ("RevisionNotFoundError", "hf:some/model@v2 has no revision 'v2'"),
        ("RepositoryNotFoundError", "no folder 'some/model' here and no such model on the hub"),
    ],
)
def test_what_the_hub_does_not_give(error: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import httpx
    import huggingface_hub

    answer = httpx.Response(403, request=httpx.Request("GET", "https://huggingface.co/some/model"))
    kind = getattr(huggingface_hub.errors, error)
    raised = kind("no") if error == "OfflineModeIsEnabled" else kind("no", response=answer)

    def snapshot(name: str, *, revision: str, local_files_only: bool, **_: object) -> str:
        assert (name, revision) == ("some/model", "v2")
        if local_files_only:
            raise huggingface_hub.errors.LocalEntryNotFoundError("not here")
        raise raised

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    with pytest.raises(UserError, match=said.replace("(.*)", r"\(no\)")):
        hub.find("hf:some/model@v2")


def test_what_the_cache_of_the_hub_holds(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    asked = []

    def snapshot(name: str, *, revision: str | None, local_files_only: bool, **_: object) -> str:
        asked.append((name, revision, local_files_only))
        return str(place)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    found = hub.find("hf:some/model@v2")
    assert asked == [("some/model", "v2", True)], "the hub itself is not asked"
    assert (found.folder, found.revision, found.short_name) == (place, "v2", "model@v2")


def test_weights_that_can_run_code(place: Path) -> None:
    (place / "model.safetensors").rename(place / "pytorch_model.bin")
    said = refused(place)
    assert "has its weights in pytorch_model.bin only, a format that can run any code" in said
    assert "write it as safetensors with `model.save_pretrained(folder)`" in said
    assert read_facts(f"hf:{place}").num_parameters is None, "the rest can be read"
    (place / "pytorch_model.bin").unlink()
    assert "has no weights (*.safetensors)" in refused(place)


def test_weights_of_another_configuration(place: Path) -> None:
    change(place / "config.json", n_layer=3)
    assert (
        "are not those of its configuration, as 12 of GPT2LMHeadModel are missing or of"
        in refused(place)
    )
    change(place / "config.json", n_layer=2, n_embd=48)
    assert f"weights of hf:{place} " in refused(place)
    change(place / "config.json", n_embd=24)
    (place / "model.safetensors").write_bytes(b"not weights")
    assert "model.safetensors is no file of weights" in refused(place)


def test_a_configuration_or_a_tokenizer_that_is_damaged(place: Path) -> None:
    config = (place / "config.json").read_text()
    (place / "config.json").write_text(config[:40])
    assert "config.json is not JSON" in refused(place, read_facts)
    change_to = {"model_type": "new-kind", "auto_map": {"AutoConfig": "code.Config"}}
    (place / "config.json").write_text(config)
    change(place / "config.json", **change_to)
    assert "needs code of its own, which is never run here" in refused(place, read_facts)
    (place / "config.json").write_text(config)
    change(place / "config.json", model_type="new-kind")
    assert "is not one that transformers" in refused(place, read_facts)
    (place / "config.json").write_text(config)
    change(place / "config.json", vocab_size=10)
    assert "its embedding 10 rows: they do not belong together" in refused(place, read_facts)
    (place / "config.json").write_text(config)
    (place / "tokenizer.json").write_text("{}")
    assert "tokenizer.json is no tokenizer" in refused(place, read_facts)
    (place / "tokenizer.json").unlink()
    assert "has no tokenizer that can be read" in refused(place, read_facts)


def test_a_masked_model_whose_tokenizer_has_no_mask(tmp_path: Path) -> None:
    place = saved("bert", tmp_path / "bert")
    library = library_of(FAMILIES["bert"])
    text = library.to_str().replace("[MASK]", "[HOLE]")
    (place / "tokenizer.json").write_text(text)
    told = json.loads((place / "tokenizer_config.json").read_text())
    told.pop("mask_token")
    (place / "tokenizer_config.json").write_text(json.dumps(told))
    facts = read_facts(f"hf:{place}")
    assert facts.objective is None
    assert facts.why_none.startswith("its tokenizer has no mask, and so no hidden token")


def test_an_encoder_alone(tmp_path: Path) -> None:
    place = saved("bert", tmp_path / "bert")
    model = transformers.AutoModel.from_pretrained(place)
    model.save_pretrained(place)
    found = load_hf(f"hf:{place}")
    assert (found.objective, found.facts.kind, found.facts.causal) == (None, "states", False)
    tokens = torch.tensor([[0, 9, 12]])
    view = View.bidirectional(tokens, visible=torch.ones_like(tokens).bool())
    ids = torch.tensor([[*tokens[0].tolist(), found.tokenizer.vocab.eos]])
    expected = model.eval()(input_ids=ids).last_hidden_state[0, :3]
    torch.testing.assert_close(found.net.states(view), expected, rtol=1e-4, atol=1e-5)
    assert len(list(found.net.hidden_states(view))) == 3
    for ask in (found.net.log_prob, lambda view: found.net.logits(view, view.visible)):
        with pytest.raises(Unsupported, match="predicts nothing: it has no head that predicts"):
            ask(view)


def test_half_precision(place: Path) -> None:
    """Weights in half precision are read as float32."""
    before = hub.find(f"hf:{place}").weights_hash()
    weights = safetensors.torch.load_file(place / "model.safetensors")
    half = {name: each.to(torch.float16) for name, each in weights.items()}
    safetensors.torch.save_file(half, place / "model.safetensors", {"format": "pt"})
    found = load_hf(f"hf:{place}")
    assert {each.dtype for each in found.net.parameters()} == {torch.float32}
    assert len(found.source.weights_hash()) == 32
    assert found.source.weights_hash() != before
