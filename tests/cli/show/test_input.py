"""Which text, objective and tokenizer `lmcompare show` takes, and what it refuses."""

from pathlib import Path

import pytest
import tokenizers
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from lmcompare.config.run import RunConfig
from lmcompare.data import Tokenizer, TokenizerConfig
from lmcompare.objectives import Mlm
from lmcompare.runs.records import ControlSheet, RunRecord
from lmcompare.runs.run import Run
from tests.cli.show.drawings import TEXT, table_of


@pytest.mark.parametrize("written", [f"{TEXT} [MASK] :cat: [bold]", "tab\tand\nline", "猫が座った"])
def test_any_text_comes_out_as_it_is(shown, written, tokenizer):
    rows = table_of(shown("--objective", "clm", "--text", written))
    pieces = tokenizer.pieces(tokenizer.encode([written])[0].ids.tolist())
    expected = [p.replace("\t", "\\t").replace("\n", "\\n").replace(" ", "▁") for p in pieces]
    assert [row[1] for row in rows[1:]] == expected


def test_text_from_standard_input(shown):
    assert shown("--text", "-", given=f"{TEXT}\n") == shown("--text", TEXT)


def test_run_gives_objective_and_tokenizer(shown, refused, file, tmp_path):
    config = RunConfig(objective=Mlm(rate=0.35))
    run = Run(tmp_path / "run")
    run.path.mkdir()
    run.tokenizer_file.write_bytes(file.read_bytes())
    RunRecord(
        arm="mlm",
        given=config.given,
        config=config,
        identity=config.identity,
        created="2025-01-01T00:00:00Z",
        text="",
        device="cpu",
        precision="float32",
        threads=1,
        git_commit=None,
        versions={},
        num_parameters=1,
        matmul_rate=1.0,
        sheet=ControlSheet(text="", order="", tokenizer=Tokenizer.load(file).hash, weights={}),
    ).write(run.record_file)
    given = ["--run", str(run.path), "--text", TEXT]
    expected = shown("--text", TEXT, "-s", "rate=0.35")
    assert shown(*given, tokenizer=None) == expected
    assert shown(*given, "-s", "rate=0.5", tokenizer=None)[1].split()[:2] == ["rate", "0.5"]
    assert shown(*given, "--objective", "clm", tokenizer=None)[0].startswith("Causal")
    assert "brings its own tokenizer" in refused(*given)
    assert "brings its own" in refused(*given, "-s", "tokenizer.kind=word", tokenizer=None)
    run.tokenizer_file.unlink()
    assert "tokenizer.json is missing" in refused(*given, tokenizer=None)


def test_no_such_run(refused, tmp_path):
    assert "is no run" in refused("--run", str(tmp_path), tokenizer=None)


@pytest.mark.parametrize("written", ["", "  \n"])
def test_empty_text(refused, written):
    assert "there is no text" in refused("--text", written)
    assert "there is no text" in refused("--text", "-", given=written)


def test_text_that_is_not_utf8(refused):
    assert "UTF-8" in refused("--text", "\udce9t\udce9")


def test_unknown_objective(refused):
    assert refused("--objective", "mml") == "no objective is called 'mml': did you mean 'mlm'?"


@pytest.mark.parametrize(
    ("objective", "setting", "message"),
    [
        ("mlm", "rat=0.4", "mlm has no setting 'rat': did you mean 'rate'?"),
        ("mlm", "name=clm", "mlm has no setting 'name'"),
        ("mlm", "batch.rows=3", "mlm has no setting 'batch.rows'"),
        ("clm", "rate=0.4", "clm has no setting 'rate': it has none"),
        ("mlm", "rate", "sets nothing"),
        ("mlm", "rate=2", "rate cannot be 2"),
        ("mlm", "masked=0.95", "lower one of them"),
    ],
)
def test_settings_that_are_none(refused, objective, setting, message):
    assert message in refused("--objective", objective, "-s", setting)


def test_missing_tokenizer(refused, tmp_path):
    missing = tmp_path / "tokeniser.json"
    assert "there is no tokenizer file" in refused(tokenizer=missing)


@pytest.fixture
def without_mask(tmp_path) -> Path:
    words = ["<unk>", "<s>", "</s>", "<pad>", *TEXT.split()]
    vocabulary = {word: number for number, word in enumerate(dict.fromkeys(words))}
    library = tokenizers.Tokenizer(WordLevel(vocabulary, unk_token="<unk>"))
    library.pre_tokenizer = Whitespace()
    library.add_special_tokens(words[:4])
    path = tmp_path / "tokenizer.json"
    library.save(str(path))
    return path


def test_tokenizer_without_mask(refused, shown, without_mask):
    assert "no mask token" in refused("--text", TEXT, tokenizer=without_mask)
    assert shown("--objective", "clm", "--text", TEXT, tokenizer=without_mask)
    added = ["-s", "tokenizer.add_missing=true", "-s", "rate=0.5"]
    assert "[MASK]" in "\n".join(shown("--text", TEXT, *added, tokenizer=without_mask))


def test_unknown_words_alone(shown, without_mask):
    lines = shown("--objective", "clm", "--text", "xyzzy", tokenizer=without_mask)
    assert lines[-1].startswith("0 tokens, 2 positions, 0 targets (0.0% predicted)")


def test_the_built_in_tokenizer_is_the_default(shown, tmp_path, monkeypatch, file):
    from lmcompare import data

    asked = []

    class Prepared:
        tokenizer = Tokenizer.load(file)

    def prepare(data, tokenizer, *, cache, report, warn):
        report("at work")
        asked.append((tokenizer, cache))
        return Prepared

    monkeypatch.setattr(data, "prepare", prepare)
    monkeypatch.setenv("LMCOMPARE_CACHE", str(tmp_path))
    assert shown(tokenizer=None)
    assert shown("-s", "tokenizer.kind=bytes", tokenizer=None)
    assert asked == [
        (TokenizerConfig(), tmp_path),
        (TokenizerConfig(kind="bytes"), tmp_path),
    ]


def test_a_text_that_training_would_refuse_is_shown(run_show):
    for objective in ("t5", "glm", "bart"):
        said = run_show("--objective", objective, "--text", "The cat sat on the mat.")
        assert said.exit_code == 0
        assert "shown but never trained on" in said.stderr
        assert "predicts" in said.stdout
