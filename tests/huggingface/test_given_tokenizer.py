"""Tokenizers of theirs for our own training: `tokenizer.file=hf:FOLDER`."""

from pathlib import Path

import pytest

from lmcompare.data import Tokenizer, TokenizerConfig
from lmcompare.runs.run import Run
from tests.huggingface.models import FAMILIES, library_of, transformers
from tests.tiny import Command, Trainer, flags, sentences, tiny


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    made = {}
    for name in ("gpt2", "bert", "t5"):
        made[name] = tmp_path_factory.mktemp("tokenizers") / name
        family = FAMILIES[name]
        library = library_of(family)
        if name == "bert":  # whose tokens our names do not give away
            spelled = {"cls_token": "<start>", "mask_token": "<blank>"}
            library.add_special_tokens(list(spelled.values()))
            family = type(family)(**{**family.__dict__, "roles": {**family.roles, **spelled}})
        transformers.PreTrainedTokenizerFast(
            tokenizer_object=library, **family.roles
        ).save_pretrained(made[name])
    return made


def test_special_tokens_have_the_roles_that_their_configuration_says(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    found = Tokenizer.of_file(TokenizerConfig(file=f"hf:{folders['bert']}"))
    roles = found.vocab.roles
    assert found.pieces([roles["bos"], roles["mask"], roles["eos"]]) == [
        "<start>",
        "<blank>",
        "[SEP]",
    ]
    theirs = transformers.AutoTokenizer.from_pretrained(folders["bert"])
    text = "the cat saw a bird . <blank>"
    plain = theirs(text, add_special_tokens=False, split_special_tokens=True).input_ids
    assert found.encode([text])[0].ids.tolist() == plain
    found.save(tmp_path / "tokenizer.json")
    again = Tokenizer.load(tmp_path / "tokenizer.json")
    assert again.vocab == found.vocab, "which the file keeps"
    assert again.hash == found.hash
    assert transformers.PreTrainedTokenizerFast(tokenizer_file=str(tmp_path / "tokenizer.json"))


def test_what_it_lacks_is_added_where_that_is_asked_for(folders: dict[str, Path]) -> None:
    file = f"hf:{folders['gpt2']}"
    plain = Tokenizer.of_file(TokenizerConfig(file=file))
    assert plain.described().endswith("; it has no mask, no sentinels")
    assert "bos <|endoftext|>, eos <|endoftext|>, pad <|endoftext|>" in plain.described()
    full = Tokenizer.of_file(TokenizerConfig(file=file, add_missing=True))
    assert full.vocab.mask >= plain.vocab.size
    assert len(full.vocab.sentinels) == 100
    assert (full.vocab.bos, full.vocab.eos) == (plain.vocab.bos, plain.vocab.eos)


def test_a_run_is_trained_with_it(folders: dict[str, Path], tmp_path: Path, train: Trainer) -> None:
    (tmp_path / "text.txt").write_text(sentences(601), encoding="utf-8")
    file = f"hf:{folders['t5']}"
    settings = (f"tokenizer.file={file}", "tokenizer.add_missing=true", "budget=2 steps")
    run: Run = train(tiny(tmp_path / "text.txt", "t5", *settings))
    assert run.tokenizer().vocab.roles["eos"] == 0
    assert len(run.tokenizer().vocab.sentinels) == 12
    assert run.done() is not None


def test_check_says_what_it_has(folders: dict[str, Path], tmp_path: Path, command: Command) -> None:
    (tmp_path / "text.txt").write_text(sentences(601), encoding="utf-8")
    file = f"hf:{folders['bert']}"
    options = flags(tmp_path / "text.txt", f"tokenizer.file={file}")
    said = command("check", "-o", "mlm", *options)
    assert said.code == 0, said
    flat = " ".join(said.out.split())
    assert "bos <start>, eos [SEP], pad [PAD], mask <blank>, unk [UNK]; it has no sentinels" in flat
