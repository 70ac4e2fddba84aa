"""What is kept of each step, what there is to see by then, and the file that holds it."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import tokenizers
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from tokenizers import decoders, models, normalizers, pre_tokenizers

from lmcompare.data import Tokenizer, TokenizerConfig
from lmcompare.errors import UserError
from lmcompare.generation.generate import Generated, GenerationBatch, generate
from lmcompare.generation.prompts import Request
from lmcompare.generation.trace import Heading, Piece, Start, Step, Trace
from lmcompare.generation.trace_recorder import (
    Draft,
    Recorder,
    Span,
    TokenText,
    join,
    text_ends,
)
from lmcompare.objectives.decoding.fill_request import DecodeStep
from lmcompare.objectives.decoding.sampler import Sampler
from lmcompare.runs.loaded_model import LoadedModel, load_model
from tests import ROOT
from tests.tiny import Trainer, sentences, tiny

TEXT = sentences(11)
LIBRARY = ROOT / "lmcompare"


def wordpiece() -> tokenizers.Tokenizer:
    """BERT's, whose decoder puts spaces between words."""
    words = [
        "[UNK]",
        "[PAD]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        "the",
        "old",
        "##er",
        "cat",
        ".",
        "\\xc3",
    ]
    made = tokenizers.Tokenizer(
        models.WordPiece(vocab={word: n for n, word in enumerate(words)}, unk_token="[UNK]")
    )
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.decoder = decoders.WordPiece()
    made.add_special_tokens(words[:5])
    return made


def sentencepiece() -> tokenizers.Tokenizer:
    """Llama's, which drops a text's first space and spells what it does not know in bytes."""
    bytes_ = [f"<0x{number:02X}>" for number in range(256)]
    pieces = ["[UNK]", "[PAD]", "[BOS]", "[EOS]", *bytes_, "▁the", "▁old", "er", "▁", "t", "."]
    made = tokenizers.Tokenizer(
        models.Unigram(
            [(piece, -float(n)) for n, piece in enumerate(pieces)], unk_id=0, byte_fallback=True
        )
    )
    made.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    made.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    made.add_special_tokens(pieces[:4])
    return made


SIZES = {"bpe": 397, "word": 131, "unigram": 371, "bytes": 1, "characters": 1}
KINDS = [*SIZES, "wordpiece", "sentencepiece"]


@pytest.fixture(scope="module")
def known() -> dict[str, Tokenizer]:
    texts = [*TEXT.split("\n"), "naïve \N{REPLACEMENT CHARACTER} ☃"]
    return {
        **{
            kind: Tokenizer.train(texts, TokenizerConfig(kind=kind, vocab_size=size))
            for kind, size in SIZES.items()
        },
        "wordpiece": Tokenizer(wordpiece()),
        "sentencepiece": Tokenizer(sentencepiece()),
    }


def text_of(spans: Sequence[Span]) -> str:
    return "".join(span.text for span in spans)


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_pieces_make_the_text_that_their_tokens_make(
    kind: str, known: dict[str, Tokenizer], data: st.DataObject
) -> None:
    """Of any tokens in any order, such as models write, with characters cut in two."""
    tokenizer = known[kind]
    choice = st.sampled_from(tokenizer.vocab.regular.tolist())
    ids = data.draw(st.lists(choice, min_size=1, max_size=13))
    text = tokenizer.decode(ids)
    # one wrong byte makes the library call all of those beside it wrong
    assume(kind != "sentencepiece" or "\N{REPLACEMENT CHARACTER}" not in text)
    pieces = TokenText(tokenizer).from_start(ids)
    assert text_of(join((piece, "given") for piece in pieces)) == text


def test_a_piece_is_text_or_bytes(known: dict[str, Tokenizer]) -> None:
    spell = TokenText(known["bytes"])
    ids = known["bytes"].encode(["é!"])[0].ids.tolist()
    assert spell(ids) == [(0xC3,), (0xA9,), "!"]
    ids = known["sentencepiece"].encode(["the é"])[0].ids.tolist()
    assert TokenText(known["sentencepiece"]).from_start(ids) == ["the", " ", (0xC3,), (0xA9,)]
    assert TokenText(known["sentencepiece"])(ids)[0] == " the"
    assert TokenText(known["wordpiece"])([10, 9]) == [" \\xc3", "."]  # text that looks like a byte


def test_only_the_first_token_of_a_text_begins_it(known: dict[str, Tokenizer]) -> None:
    """In a hole of any length there are several tokens at one place."""
    tokenizer = known["sentencepiece"]
    (the,), mask = tokenizer.encode(["the"])[0].ids.tolist(), tokenizer.vocab.pad

    def pieces(any_length: bool, *places: int) -> list[Piece]:
        recorder = Recorder(tokenizer)
        tokens = [tokenizer.vocab.bos, mask, mask]
        holes = [False, True, True]
        page = GenerationBatch(
            samples=[(0, 0)], tokens=[tokens], holes=[holes], any_length=any_length
        )
        on_step = recorder(page)
        for place in places:
            row, one = torch.tensor([0]), torch.tensor([0.5])
            on_step(DecodeStep(row, torch.tensor([place]), torch.tensor([the]), one))
        (steps,) = recorder._steps.values()
        return [piece for step in steps for piece in step.pieces]

    assert pieces(True, 1, 1, 2) == ["the", " the", " the"]
    assert pieces(False, 1, 1, 2) == ["the", "the", " the"]  # written over


def test_half_a_character_is_open() -> None:
    c, a9 = (0xC3,), (0xA9,)
    assert join([("a", "given"), (c, "fresh"), (None, "open"), (None, "open")]) == [
        Span("a", "given"),
        Span("", "open", 3),
    ]
    assert join([(None, "open"), (a9, "fresh"), ("b", "given")]) == [
        Span("", "open", 2),
        Span("b", "given"),
    ]
    # the character is written when its last token is
    assert join([(c, "written"), (a9, "fresh"), (None, "open")]) == [
        Span("é", "fresh"),
        Span("", "open", 1),
    ]
    snow = tuple("☃".encode())
    assert join([((*b" ", snow[0]), "written"), ((snow[1],), "fresh"), (None, "open")]) == [
        Span(" ", "written"),
        Span("", "open", 3),
    ]
    assert join([(c, "written")]) == [Span("\N{REPLACEMENT CHARACTER}", "written")]
    lost = "\N{REPLACEMENT CHARACTER}"
    assert join([(c, "written"), ("b", "given")]) == [Span(lost, "written"), Span("b", "given")]
    assert join([("a", "given"), (a9, "fresh")]) == [Span("a", "given"), Span(lost, "fresh")]
    assert join([]) == []
    assert text_ends([(0xC3,), (0xA9,), "bc", (0xC3,)]) == ("ébc", [0, 1, 3, 3])


def test_a_draft_of_known_length() -> None:
    """Steps write anywhere, write over, and take back."""
    start = Start(
        prompt=0,
        number=0,
        ids=(1, 7, 3, 3, 9),
        pieces=("[BOS]", "a", "[MASK]", "[MASK]", "b"),
        holes=(False, False, True, True, False),
        any_length=False,
    )

    def step(number: int, *written: tuple[int, int, str]) -> Step:
        places, ids, pieces = zip(*written, strict=True)
        return Step(
            prompt=0,
            number=0,
            step=number,
            places=places,
            ids=ids,
            pieces=pieces,
            probabilities=[0.5] * len(written),
        )

    draft = Draft(start)
    seen = [draft.spans()]
    for each in (
        step(1, (3, 5, "y")),
        step(2, (2, 4, "x"), (3, 6, "z")),
        step(3, (3, 3, "[MASK]")),
    ):
        draft.put(each)
        seen.append(draft.spans())
    a, b = Span("a", "given"), Span("b", "given")
    assert seen == [
        [a, Span("", "open", 2), b],
        [a, Span("", "open", 1), Span("y", "fresh"), b],
        [a, Span("xz", "fresh"), b],
        [a, Span("x", "written"), Span("", "open", 1), b],
    ]


def test_a_draft_of_any_length() -> None:
    """A hole is open till a later one is begun, or all is written."""
    start = Start(
        prompt=0,
        number=0,
        ids=(1, 3, 7, 3),
        pieces=("[BOS]", "[MASK]", "a", "[MASK]"),
        holes=(False, True, False, True),
        any_length=True,
    )
    draft = Draft(start)
    seen = []
    for number, (place, piece) in enumerate([(1, "x"), (1, "y"), (3, "z")], start=1):
        draft.put(
            Step(
                prompt=0,
                number=0,
                step=number,
                places=(place,),
                ids=(5,),
                pieces=(piece,),
                probabilities=(0.5,),
            )
        )
        seen.append(draft.spans())
    draft.close()
    a, block = Span("a", "given"), Span("", "open", 1)
    assert [*seen, draft.spans()] == [
        [Span("x", "fresh"), block, a, block],
        [Span("x", "written"), Span("y", "fresh"), block, a, block],
        [Span("xy", "written"), a, Span("z", "fresh"), block],
        [Span("xy", "written"), a, Span("z", "written")],
    ]


@pytest.fixture(scope="module")
def subjects(
    corpus: Path, cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, LoadedModel]:
    """Models that hardly learned: what they write is full of halves of characters."""
    train = Trainer(tmp_path_factory.mktemp("study"), cache)
    names = ("clm", "mdlm", "t5", "glm", "bart", "plm", "fim")
    runs = {name: train(tiny(corpus, name, "budget=3 steps")) for name in names}
    return {name: load_model(run, device="cpu", warn=pytest.fail) for name, run in runs.items()}


def traced(subject: LoadedModel, asked: Request) -> tuple[Generated, Trace]:
    recorder = Recorder(subject.tokenizer)
    generated = generate(subject, asked, on_step=recorder, warn=pytest.fail)
    heading = Heading(
        run=str(subject.run.path),
        objective=subject.objective.name,
        methods=("?",) * len(asked.prompts),
        prompts=asked.prompts,
        settings={},
        seed=asked.seed,
        num_samples=len(generated.samples),
    )
    return generated, Trace(heading, recorder.samples(generated.samples))


HOLED = Request(prompts=("the ___ saw", "___ café ___"), num=2, hole_tokens=3)
FREE = Request(prompts=("the ___ saw", "___ café"), num=3, max_new_tokens=11)
TAIL = Request(prompts=("the c", "", "café"), num=2, max_new_tokens=13)
CASES = [
    *(
        ("mdlm", method, asked)
        for method in ("ancestral", "mask-predict")
        for asked in (HOLED, TAIL)
    ),
    *(("mdlm", method, TAIL) for method in ("threshold", "entropy", "gibbs", "metropolis")),
    *(("plm", method, HOLED) for method in ("left-to-right", "right-to-left", "random")),
    *((name, None, FREE) for name in ("t5", "glm", "bart", "fim")),
    *((name, None, HOLED) for name in ("t5", "glm", "bart")),
    *((name, None, TAIL) for name in ("clm", "plm", "bart", "fim")),
    *((name, None, replace(TAIL, any_length=True)) for name in ("t5", "glm", "bart")),
    ("bart", None, Request(prompts=("a ___ b ___ c",), num=5, max_new_tokens=7)),
]


@pytest.mark.parametrize(("name", "method", "asked"), CASES)
def test_the_last_of_a_trace_is_the_text(
    name: str, method: str | None, asked: Request, subjects: dict[str, LoadedModel], tmp_path: Path
) -> None:
    """Of every way to write, through the file."""
    generated, trace = traced(subjects[name], replace(asked, method=method))
    trace.write(tmp_path / "trace.jsonl")
    read = Trace.read(tmp_path / "trace.jsonl")
    assert read == trace
    assert len(read.samples) == len(asked.prompts) * asked.num
    for sample, (start, steps) in zip(generated.samples, read.samples, strict=True):
        assert (start.prompt, start.number) == (sample.prompt, sample.number)
        assert start.text == sample.text
        draft = Draft(start)
        assert any(span.state == "open" for span in draft.spans())
        for step in steps:
            draft.put(step)
        assert not start.any_length or steps == [] or draft.spans()[-1].state != "fresh"
        draft.close()
        assert text_of(draft.spans()) == sample.text
        assert {span.state for span in draft.spans()} <= {"given", "written"}


@pytest.mark.parametrize("name", ["mdlm", "t5", "plm"])
def test_a_trace_does_not_depend_on_what_is_written_beside(
    name: str, subjects: dict[str, LoadedModel]
) -> None:
    asked = Request(
        prompts=("the ___ saw", "a ___ café ___ dog"), num=3, hole_tokens=5, sampler=Sampler()
    )
    _, alone = traced(subjects[name], replace(asked, rows=1))
    _, together = traced(subjects[name], replace(asked, rows=7))

    def shape(trace: Trace) -> list[object]:
        return [
            (start, [(s.step, s.places, s.ids) for s in steps]) for start, steps in trace.samples
        ]

    assert shape(alone) == shape(together)


def test_the_sure_ones_come_first(subjects: dict[str, LoadedModel]) -> None:
    """A step holds what the model said of what was written: here, the likeliest token."""
    asked = Request(prompts=("the cat",), sampler=Sampler(greedy=True), max_new_tokens=7)
    generated, trace = traced(subjects["clm"], asked)
    ((start, steps),) = trace.samples
    assert [step.places for step in steps] == [(place,) for place in range(8, 15)]
    assert tuple(step.ids[0] for step in steps) == generated.samples[0].tokens[-7:]
    size = subjects["clm"].tokenizer.vocab.size
    assert all(1 / size < step.probabilities[0] < 1 for step in steps)
    assert start.ids[8:] == (subjects["clm"].tokenizer.vocab.mask,) * 7


@pytest.fixture
def lines(subjects: dict[str, LoadedModel], tmp_path: Path) -> list[str]:
    """Of a good trace of two samples."""
    asked = Request(prompts=("the ___ saw",), num=2, hole_tokens=3)
    traced(subjects["mdlm"], asked)[1].write(tmp_path / "good.jsonl")
    return (tmp_path / "good.jsonl").read_text().splitlines()


def changed(line: str, **fields: object) -> str:
    return json.dumps(json.loads(line) | fields)


@pytest.mark.parametrize(
    ("number", "change", "reason"),
    [
        (0, {"schema_version": 2}, "written in schema 2 of traces and this lmcompare reads"),
        (0, {"num_samples": 1}, "more than its first line says, at line 6"),
        (0, {"num_samples": 3}, "it ends too early, at line 10"),
        (0, {"colour": "red"}, "colour: Extra inputs are not permitted, at line 1"),
        (1, {"num_steps": 4}, "at line 6"),
        (1, {"num_steps": 2}, "at line 5"),
        (1, {"ids": [1, 2]}, "ids, pieces and holes are not as many, at line 2"),
        (2, {"ids": []}, "places, ids, pieces and probabilities are not as many, at line 3"),
        (2, {"number": 1}, "a step does not belong to its sample"),
        (2, {"step": 2}, "a step does not belong to its sample"),
        (2, {"places": [1]}, "a step does not belong to its sample"),
        (2, {"places": [999]}, "a step does not belong to its sample"),
        (2, {"places": [-6]}, "a step does not belong to its sample"),
        (2, {"pieces": [[256]]}, "at line 3"),
    ],
)
def test_a_broken_trace_is_refused(
    number: int, change: dict[str, object], reason: str, lines: list[str], tmp_path: Path
) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text("\n".join(lines) + "\n")
    assert len(Trace.read(path).samples) == 2
    assert len(lines) == 9
    lines[number] = changed(lines[number], **change)
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(UserError) as error:
        Trace.read(path)
    assert reason in str(error.value)
    assert "\n" not in str(error.value)
    assert str(path) in str(error.value)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"[]\n", b"text\n", b"{}\n", b"\n"])
def test_another_file_is_no_trace(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "other"
    path.write_bytes(content)
    with pytest.raises(UserError, match="other is not a whole trace"):
        Trace.read(path)
    with pytest.raises(UserError, match="cannot be read"):
        Trace.read(tmp_path)
    with pytest.raises(UserError, match="cannot be read"):
        Trace.read(tmp_path / "nothing")


def test_a_file_that_is_cut_anywhere_is_refused(lines: list[str], tmp_path: Path) -> None:
    path, whole = tmp_path / "cut.jsonl", ("\n".join(lines)).encode()
    for size in range(0, len(whole), 31):
        path.write_bytes(whole[:size])
        with pytest.raises(UserError, match="is not a whole trace"):
            Trace.read(path)


def test_what_cannot_be_written_leaves_nothing_behind(
    lines: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trace = Trace.read(tmp_path / "good.jsonl")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match="the disk is full"):
        trace.write(tmp_path / "new.jsonl")
    assert [path.name for path in tmp_path.iterdir()] == ["good.jsonl"]


def test_a_trace_is_read_without_torch() -> None:
    """What is played again starts at once."""
    script = (
        "import sys, lmcompare.generation.trace, lmcompare.generation.trace_recorder\n"
        "print(*{'torch', 'numpy', 'tokenizers', 'pandas'} & sys.modules.keys())"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=LIBRARY
    )
    assert done.stdout == "\n"
