"""What `lmcompare show` draws is the view that training would make."""

import json
from dataclasses import replace
from itertools import chain, pairwise

import pytest
import torch

from lmcompare import rng
from lmcompare.config.run import assign, parse_run
from lmcompare.objectives import OBJECTIVES, Mlm
from lmcompare.teaching.slots import one_row
from lmcompare.view import IGNORE, Text, View
from lmcompare_cli.console import legible, output
from lmcompare_cli.rendering.view import draw, picture, read_slots, slot_table
from tests.cli.show.drawings import (
    TEXT,
    TWICE,
    json_view,
    picture_of,
    pictures_of,
    table_of,
    tables_of,
)

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


def test_draws_that_are_alike_are_said_to_be(run_show):
    said = run_show("--objective", "t5", "--text", "The cat sat.", "--draws", "3")
    assert "the draws are alike" in said.stderr
    said = run_show("--objective", "mlm", "-s", "rate=0.5", "--draws", "3")
    assert "the draws are alike" not in said.stderr
