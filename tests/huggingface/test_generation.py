"""What models of theirs write greedily is what `generate` of transformers writes."""

from pathlib import Path
from typing import Any

import pytest
import torch

from lmcompare.objectives.decoding.fill_request import FillRequest
from lmcompare.objectives.decoding.sampler import Sampler
from lmcompare.view import Text
from tests.huggingface.loaded import Both
from tests.huggingface.models import text_of

NEW = 6
SLOW = pytest.mark.slow


def written(found: Both, text: Text, holes: torch.Tensor, **settings: Any) -> list[list[int]]:
    """The tokens that we write into the holes."""
    request = FillRequest(
        text=text,
        holes=holes,
        any_length=False,
        limit=NEW,
        sampler=Sampler(**(settings or {"greedy": True})),
        generators=tuple(torch.Generator() for _ in text.tokens),
    )
    assert found.ours.objective is not None
    filled = found.ours.objective.fill(found.ours.net, request, found.ours.tokenizer.vocab)
    return [[token for _, token in filled.in_order(row)] for row in range(len(text.tokens))]


def theirs(found: Both, **given: Any) -> list[int]:
    """What `generate` adds to the last row that it is given, special tokens left out as here."""
    specials = sorted(found.ours.tokenizer.vocab.specials)
    output = found.model.generate(
        **given, do_sample=False, suppress_tokens=specials, use_cache=True, forced_eos_token_id=None
    )
    return output[0].tolist()


@pytest.mark.parametrize(
    "name", ["gpt2", *(pytest.param(name, marks=SLOW) for name in ("llama", "neox", "opt"))]
)
def test_the_end_of_a_text(tmp_path: Path, name: str) -> None:
    found = Both.of(name, tmp_path / name)
    text = text_of(found.ours.tokenizer.vocab, 9 + NEW, 4 + NEW, 1 + NEW)
    length = text.visible.sum(1, keepdim=True)
    index = torch.arange(text.tokens.shape[1])
    holes = text.visible & (index >= length - NEW)
    ours = written(found, text, holes)
    for row, prompt in enumerate((9, 4, 1)):
        ids = text.tokens[row : row + 1, :prompt]
        expected = theirs(found, input_ids=ids, max_new_tokens=NEW, eos_token_id=None)
        assert ours[row] == expected[prompt:]


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings", [{"beams": 3}, {"degeneration_penalty": 0.6, "candidates": 3}], ids=str
)
def test_what_was_read_goes_with_its_row(tmp_path: Path, settings: dict[str, Any]) -> None:
    """Rows that continue others write as if all were read anew at each step."""
    found = Both.of("llama", tmp_path / "llama")
    text = text_of(found.ours.tokenizer.vocab, 9 + NEW, 4 + NEW, 1 + NEW)
    length = text.visible.sum(1, keepdim=True)
    holes = text.visible & (torch.arange(text.tokens.shape[1]) >= length - NEW)
    ours = written(found, text, holes, **settings)
    found.ours.net.keeps_keys = False
    assert written(found, text, holes, **settings) == ours


@pytest.mark.parametrize("name", ["t5", pytest.param("bart", marks=SLOW)])
def test_a_hole_of_an_encoder_decoder(tmp_path: Path, name: str) -> None:
    found = Both.of(name, tmp_path / name)
    text = text_of(found.ours.tokenizer.vocab, 12, 9)
    holes = torch.zeros_like(text.visible)
    holes[:, 4:7] = True
    ours = written(found, text, holes)
    start = found.model.config.decoder_start_token_id
    for row in range(2):
        ids = text.tokens[row][text.visible[row]].tolist()
        before, after = found.tokenizer.decode(ids[1:4]), found.tokenizer.decode(ids[7:])
        mark = "<extra_id_0>" if name == "t5" else "<mask>"
        source = found.tokenizer(f"{before}{mark}{after}", return_tensors="pt").input_ids
        opened = [start, found.tokenizer.convert_tokens_to_ids(mark)]
        if name == "bart":
            opened = [start, *ids[:4]]
        expected = theirs(
            found,
            input_ids=source,
            decoder_input_ids=torch.tensor([opened]),
            max_new_tokens=3,
            eos_token_id=None,
        )
        assert ours[row] == expected[len(opened) :]


@pytest.mark.slow
@torch.no_grad()
def test_a_model_that_keeps_no_keys(tmp_path: Path) -> None:
    """XLNet's own `generate` lets the text see what follows: no measure of ours."""
    found = Both.of("xlnet", tmp_path / "xlnet")
    vocab, net = found.ours.tokenizer.vocab, found.ours.net
    text = text_of(vocab, 9 + NEW, 4 + NEW)
    length = text.visible.sum(1, keepdim=True)
    holes = text.visible & (torch.arange(text.tokens.shape[1]) >= length - NEW)
    assert found.ours.objective is not None
    for row, tokens in enumerate(written(found, text, holes)):
        ids = text.tokens[row, : int(length[row]) - NEW].tolist()
        for token in tokens:
            given = torch.tensor([ids])
            view = found.ours.objective.read(
                Text(tokens=given, visible=given >= 0, word=given), vocab
            )
            logits = net.logits(view, torch.arange(len(ids))[None] == len(ids) - 1)[0]
            logits[list(vocab.specials)] = -torch.inf
            assert int(logits.argmax()) == token
            ids.append(token)
