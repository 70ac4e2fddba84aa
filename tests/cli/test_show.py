import json
from dataclasses import replace
from itertools import chain, pairwise
from pathlib import Path

import pytest
import tokenizers
import torch
import typer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from typer.testing import CliRunner

from lmcompare import rng
from lmcompare.config.run import RunConfig, assign, parse_run
from lmcompare.data import Tokenizer, TokenizerConfig
from lmcompare.errors import UserError
from lmcompare.objectives import OBJECTIVES, Mlm
from lmcompare.runs.records import ControlSheet, RunRecord
from lmcompare.runs.run import Run
from lmcompare.view import IGNORE, Text, View
from lmcompare_cli.commands.show import SENTENCE, one_row, show
from lmcompare_cli.console import legible, output
from lmcompare_cli.rendering.view import draw, picture, read_slots, slot_table

TEXT = "the cat sat on the mat because it was tired"
TWICE = f"{TEXT} {TEXT}"
app = typer.Typer()
app.command()(show)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """A tokenizer to which each of the words of `TEXT` is one token."""
    texts = [TEXT, SENTENCE, f" {TEXT}"] * 5
    tokenizer = Tokenizer.train(texts, TokenizerConfig(vocab_size=420))
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    tokenizer.save(path)
    return path


@pytest.fixture
def tokenizer(file):
    return Tokenizer.load(file)


@pytest.fixture
def run_show(file, monkeypatch):
    monkeypatch.setattr(output, "_width", 100)

    def run(*arguments, charset="utf-8", given=None, tokenizer=file):
        chosen = ["--tokenizer", str(tokenizer)] if tokenizer else []
        return CliRunner(charset=charset).invoke(app, [*chosen, *arguments], input=given)

    return run


@pytest.fixture
def shown(run_show):
    """The lines of standard output of a command that succeeds."""

    def lines(*arguments, **options):
        result = run_show(*arguments, **options)
        assert result.exit_code == 0, result.exception
        return result.stdout.splitlines()

    return lines


@pytest.fixture
def refused(run_show):
    """The one line that a command fails with."""

    def message(*arguments, **options):
        error = run_show(*arguments, **options).exception
        assert isinstance(error, UserError)
        assert "\n" not in str(error)
        return str(error)

    return message


def json_view(lines):
    (draw,) = json.loads("\n".join(lines))["draws"]
    return draw["view"]


def tables_of(lines):
    """The cells of each table, without the empty ones."""
    starts = [i for i, line in enumerate(lines) if line.startswith("place")]
    return [[line.split() for line in lines[i + 2 : lines.index("", i)]] for i in starts]


def table_of(lines):
    (table,) = tables_of(lines)
    return table


def pictures_of(lines, sizes):
    """The cells of each picture, as the signs that are drawn."""
    starts = [i for i, line in enumerate(lines) if line.startswith("Who")]
    pictures = []
    for start, size in zip(starts, sizes, strict=True):
        stop = next(i for i in range(start, len(lines)) if "seen" in lines[i])
        rows = [line for line in lines[start + 1 : stop] if line[:3].strip()]  # not the header
        pictures.append([list(line.replace(" ", "")[-size:]) for line in rows])
    return pictures


def picture_of(lines, size):
    (drawn,) = pictures_of(lines, [size])
    return drawn


DRAWN = [
    *([name] for name in OBJECTIVES),
    *([name, "architecture=decoder"] for name in ("t5", "bart", "ul2")),
    *(["bart", f"noise={noise}"] for noise in ("mask", "delete", "none")),
    ["bart", "shuffle_sentences=true", "rotate=true"],
    ["plm", "rate=1"],
    ["glm", "mean_span=1"],
    ["mntp", "direction=left"],
    ["fim", "rate=1", "spm=0"],
    ["fim", "rate=1", "spm=1"],
]


@pytest.mark.parametrize("drawn", DRAWN, ids=" ".join)
def test_table_and_picture_agree_with_the_view(shown, drawn):
    name, *settings = drawn
    arguments = ["--objective", name, *chain(*(["-s", setting] for setting in settings))]
    arguments += ["--text", TWICE, "--step", "7"]
    lines = shown(*arguments)
    view = json_view(shown(*arguments, "--format", "json"))
    views = [each for each in (view["source"], view) if each]
    assert any(view["target_pieces"][0])
    pictures = pictures_of(lines, [len(each["tokens"][0]) for each in views])
    for each, rows, drawn in zip(views, tables_of(lines), pictures, strict=True):
        (targets,) = each["target_pieces"]
        assert [int(row[0]) for row in rows] == each["position"][0]
        if each["within"]:
            assert [int(row[1]) for row in rows] == each["within"][0]
        for row, piece, weight in zip(rows, targets, each["weight"][0], strict=True):
            if piece:
                assert row[-2] == piece.replace(" ", "▁")
                assert float(row[-1]) == pytest.approx(weight, rel=0.01)
            elif any(targets):
                assert row[-2:] == ["·", "·"]
        for looks, sees, piece in zip(drawn, each["sees"][0], targets, strict=True):
            assert looks == [("■" if piece else "□") if seen else "·" for seen in sees]
    said = "Each position of the output sees all of the source." in lines
    assert said == bool(view["source"])
    assert lines[-1].endswith("weights add up to 1") or name == "mdlm"


@pytest.mark.parametrize("drawn", DRAWN, ids=" ".join)
def test_what_is_said_of_a_position_is_true(drawn, tokenizer):
    name, *settings = drawn
    config = assign({"objective": {"name": name}}, [f"objective.{each}" for each in settings])
    vocab, text = tokenizer.vocab, one_row(TWICE, tokenizer)
    own = [legible(piece) for piece in tokenizer.pieces(text.tokens[0].tolist())]
    for step in range(7):
        view = parse_run(config).objective.corrupt(text, vocab, rng.generator("corruption", step))
        for each in [view.source, view] if view.source else [view]:
            (slots,) = read_slots(each, text, tokenizer)
            assert len({bool(slot.text) for slot in slots}) == 1
            for slot, number in zip(slots, each.tokens[0].tolist(), strict=True):
                assert not slot.text or slot.text == own[slot.index]
                if number == vocab.mask:
                    assert slot.change in ("masked", "query")
                elif number in vocab.specials:
                    assert slot.change == ("" if slot.text == slot.input else "special")
                elif slot.text:
                    assert (slot.change in ("", "kept")) == (slot.text == slot.input)
                else:
                    assert slot.change == ""


@pytest.mark.parametrize(
    ("drawn", "headings"),
    [
        (["clm"], ["text"]),
        (["plm"], ["text"]),
        (["mntp"], ["text"]),
        (["t5"], ["", ""]),
        (["t5", "architecture=decoder"], [""]),
        (["glm"], [""]),
        (["bart"], ["", "text"]),
        (["bart", "noise=mask"], ["text", "text"]),
        (["bart", "rotate=true", "noise=none"], ["", "text"]),
        (["fim", "rate=1"], [""]),
        (["fim", "rate=0"], ["text"]),
    ],
    ids=str,
)
def test_the_text_is_beside_positions_that_are_its_places(shown, drawn, headings):
    name, *settings = drawn
    lines = shown("--objective", name, "--text", TWICE, *chain(*(["-s", s] for s in settings)))
    heads = [line.split() for line in lines if line.startswith("place")]
    assert [("text" in head) * "text" for head in heads] == headings


def test_a_span_of_a_position(shown):
    lines = shown("--objective", "glm", "--text", TWICE)
    assert next(line for line in lines if line.startswith("place")).split()[1:3] == ["in", "span"]
    written = [row for row in table_of(lines) if row[1] != "0"]
    assert written[0][1:4] == ["1", "[BOS]", "special"]
    assert written[-1][-2] == "[EOS]"
    assert "→" in written[-1]


def test_each_draw_of_a_mixture_says_its_part(shown):
    for name, parts in (("hybrid", {"0", "1"}), ("ul2", {"0", "1", "2"})):
        arguments = ["--objective", name, "--text", TWICE]
        lines = shown(*arguments, "--draws", "30")
        said = [line.split()[1] for line in lines if line.startswith("part")]
        assert len(said) == 30
        assert set(said) == parts
        first = f"Part {said[0]} of the mixture"
        assert any(line.startswith(first) for line in shown(*arguments))


def test_draws_of_a_source_and_an_output(shown):
    lines = shown("--objective", "t5", "--text", TWICE, "--draws", "2")
    assert [line.split()[:3] for line in lines if line.startswith("step")] == [
        ["step", "0", "source"],
        ["step", "1", "source"],
    ]
    text = "\n".join(lines)
    assert text.count("output    [BOS] <extra_id_0>") == 2
    assert text.count("predicts  0→<extra_id_0>") == 2
    assert "(special)" not in text


def test_documents_of_an_output_see_their_own_source(tokenizer, monkeypatch):
    monkeypatch.setattr(output, "_width", 100)
    ids = [tokenizer.vocab.bos, *tokenizer.encode(["the cat sat"])[0].ids.tolist()]
    tokens, visible = torch.tensor([ids]), torch.ones(1, 4, dtype=torch.bool)
    text = Text(tokens=tokens, visible=visible, word=torch.arange(4)[None])
    source = View.bidirectional(
        tokens[:, :3], visible=visible[:, :3], document=torch.tensor([[0, 1, 1]])
    )
    document = torch.tensor([[0, 0, 1, 1]])
    view = replace(View.causal(tokens, visible=visible, document=document), source=source)
    with output.capture() as capture:
        output.print(*draw(view, text, tokenizer), sep="\n")
    lines = capture.get().splitlines()
    assert "Who of the output sees whom of the source" in lines
    *_, across = pictures_of(lines, [3, 4, 3])
    assert ["".join(row) for row in across] == ["□··", "□··", "·□□", "·□□"]


def test_the_draw_is_that_of_the_objective(shown, tokenizer):
    view = json_view(shown("--text", TEXT, "--seed", "3", "--step", "5", "--format", "json"))
    text = one_row(TEXT, tokenizer)
    expected = Mlm().corrupt(text, tokenizer.vocab, rng.generator("corruption", 3, 5))
    for name in ("tokens", "position", "order", "visible", "target"):
        assert view[name] == getattr(expected, name).tolist()
    assert view["weight"] == expected.weight.tolist()
    assert view["sees"] == expected.sees().tolist()
    assert view["pieces"] == [tokenizer.pieces(expected.tokens[0].tolist())]


def test_json_makes_the_view_again(shown):
    content = json.loads(shown("--text", TEXT, "--draws", "3", "--format", "json")[0])
    assert content["text"] == TEXT
    assert content["objective"]["name"] == "mlm"
    assert [draw["step"] for draw in content["draws"]] == [0, 1, 2]
    for each in content["draws"]:
        assert each["view"]["source"] is None
        channels = ("tokens", "position", "order", "visible", "target", "weight")
        view = View(**{name: torch.tensor(each["view"][name]) for name in channels})
        assert view.sees().tolist() == each["view"]["sees"]
        decided = [piece is not None for piece in each["view"]["target_pieces"][0]]
        assert decided == (view.target[0] != IGNORE).tolist()


def test_causal_predicts_the_next(shown):
    lines = shown("--objective", "clm", "--text", TEXT)
    assert "predicts the next" in "\n".join(lines)
    rows = table_of(lines)
    for row, after in pairwise(rows):
        assert row[3:5] == ["→", after[1]]
    assert rows[-1][-2:] == ["·", "·"]


@pytest.mark.parametrize(
    ("masked", "random", "word"), [(1, 0, "masked"), (0, 1, "replaced"), (0, 0, "kept")]
)
def test_each_corruption_has_its_word(shown, masked, random, word):
    settings = ["-s", "rate=0.5", "-s", f"masked={masked}", "-s", f"random={random}"]
    predicting = [row for row in table_of(shown("--text", TEXT, *settings)) if row[-1] != "·"]
    assert predicting
    assert {row[3] for row in predicting} == {word}


def test_settings_reach_the_objective(shown):
    content = json.loads(
        shown("--text", TEXT, "-s", "rate=0.4", "-s", "objective.select=span", "--format", "json")[
            0
        ]
    )
    assert (content["objective"]["rate"], content["objective"]["select"]) == (0.4, "span")


def test_description_names_the_settings(shown):
    lines = shown("--text", TEXT, "-s", "rate=0.25")
    assert lines[0].startswith("Masked language modelling")
    assert lines[1].split() == ["rate", "0.25", "share", "of", "tokens", "to", "predict"]


def test_sums(shown):
    view = json_view(shown("--text", TEXT, "-s", "rate=0.5", "--format", "json"))
    num_targets = sum(piece is not None for piece in view["target_pieces"][0])
    num_tokens = len(view["tokens"][0]) - 1
    assert shown("--text", TEXT, "-s", "rate=0.5")[-1] == (
        f"{num_tokens} tokens, {num_tokens + 1} positions, {num_targets} targets "
        f"({num_targets / num_tokens:.1%} predicted), weights add up to 1"
    )


def test_several_draws_are_compact(shown):
    lines = shown("--text", TEXT, "--draws", "4", "--step", "10", "-s", "rate=0.5")
    assert [line.split()[1] for line in lines if line.startswith("step")] == [
        "10",
        "11",
        "12",
        "13",
    ]
    assert sum(line.split()[:1] == ["predicts"] for line in lines) == 4
    assert "Who sees whom" not in lines
    assert any("(masked)" in line for line in lines)


def test_no_targets_is_said_on_stderr(run_show):
    result = run_show("--text", TEXT, "-s", "rate=0.000001")
    assert result.exit_code == 0
    assert "nothing to predict" in result.stderr
    assert "nothing to predict" not in result.stdout


def test_query_slots(tokenizer, monkeypatch):
    """Positions behind the text that nobody sees, as permuted objectives have them."""
    monkeypatch.setattr(output, "_width", 100)
    vocab = tokenizer.vocab
    ids = [vocab.bos, *tokenizer.encode(["the cat sat"])[0].ids.tolist()]
    assert len(ids) == 4
    text = Text(
        tokens=torch.tensor([ids]),
        visible=torch.ones(1, len(ids), dtype=torch.bool),
        word=torch.arange(4)[None],
    )
    none = IGNORE
    view = View(
        tokens=torch.tensor([[*ids, vocab.mask, vocab.mask]]),
        position=torch.tensor([[0, 1, 2, 3, 3, 1]]),
        order=torch.tensor([[0, 4, 0, 2, 1, 3]]),
        visible=torch.tensor([[True] * 4 + [False] * 2]),
        target=torch.tensor([[none, none, none, none, ids[3], ids[1]]]),
        weight=torch.tensor([[0, 0, 0, 0, 0.5, 0.5]]),
    )
    (slots,) = read_slots(view, text, tokenizer)
    assert [slot.change for slot in slots] == ["", "", "", "", "query", "query"]
    assert [slot.index for slot in slots] == [0, 1, 2, 3, 3, 1]
    assert [slot.text for slot in slots[4:]] == [slots[3].text, slots[1].text]
    assert [slot.target for slot in slots[4:]] == [slots[3].text, slots[1].text]
    assert not any(slot.ahead for slot in slots)
    with output.capture() as capture:
        output.print(slot_table(slots), "", *picture(slots, view.sees()[0].tolist()), sep="\n")
    lines = capture.get().splitlines()
    assert table_of(lines)[4][-4:] == ["[MASK]", "query", "▁sat", "0.5"]
    assert ["".join(row) for row in picture_of(lines, 6)] == [
        "□·□···",
        "□□□□··",
        "□·□···",
        "□·□□··",
        "■·■···",
        "■·■■··",
    ]


def test_positions_beyond_the_text_and_padding(tokenizer):
    vocab = tokenizer.vocab
    ids = [vocab.bos, *tokenizer.encode(["the cat"])[0].ids.tolist()]
    text = Text(
        tokens=torch.tensor([ids]),
        visible=torch.ones(1, len(ids), dtype=torch.bool),
        word=torch.arange(3)[None],
    )
    view = View.causal(
        torch.tensor([[*ids, vocab.sentinels[0], vocab.pad]]),
        visible=torch.tensor([[True] * 4 + [False]]),
    )
    (slots,) = read_slots(view, text, tokenizer)
    assert [slot.change for slot in slots] == ["", "", "", "special", "padding"]
    assert [slot.text for slot in slots[3:]] == ["", ""]


def test_long_text_is_drawn_in_part(shown):
    lines = shown("--text", " ".join([TEXT] * 10))
    num_positions = len(table_of(lines))
    assert num_positions > 64
    assert f"only the first 64 of {num_positions} positions are drawn" in lines
    assert len(picture_of(lines, 64)) == 64
    assert max(map(len, lines)) <= 100


def test_thirty_two_tokens_keep_wide_cells(shown):
    lines = shown("--text", " ".join(TEXT.split()[:8] * 4)[:-1] + "t")
    assert any("■ ■" in line or "□ □" in line for line in lines)
    assert max(map(len, lines)) <= 100


def test_plain_ascii_where_there_is_no_more(shown):
    lines = shown("--text", f"{TEXT} café\n", "-s", "rate=0.5", charset="ascii")
    text = "\n".join(lines)
    assert text.isascii()
    assert "\\xc3" in text or "\\xe9" in text
    assert set(chain(*picture_of(lines, len(table_of(lines))))) == {"#", "+"}


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


def test_draws_that_are_alike_are_said_to_be(run_show):
    said = run_show("--objective", "t5", "--text", "The cat sat.", "--draws", "3")
    assert "the draws are alike" in said.stderr
    said = run_show("--objective", "mlm", "-s", "rate=0.5", "--draws", "3")
    assert "the draws are alike" not in said.stderr
