"""What is kept of each step, and what there is to see by then."""

import pytest
import tokenizers
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from tokenizers import decoders, models, normalizers, pre_tokenizers

from lmcompare.data import Tokenizer, TokenizerConfig
from lmcompare.generation.generate import GenerationBatch
from lmcompare.generation.trace import Piece, Start, WrittenStep
from lmcompare.generation.trace_recorder import (
    Draft,
    Recorder,
    StateSpan,
    TokenText,
    join,
    text_ends,
)
from lmcompare.objectives.decoding.fill_request import DecodeStep
from tests.tiny import sentences

TEXT = sentences(11)


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


SIZES = {"bpe": 414, "word": 148, "unigram": 388, "bytes": 1, "characters": 1}
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
    assert "".join(span.text for span in join((piece, "given") for piece in pieces)) == text


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
        StateSpan("a", "given"),
        StateSpan("", "open", 3),
    ]
    assert join([(None, "open"), (a9, "fresh"), ("b", "given")]) == [
        StateSpan("", "open", 2),
        StateSpan("b", "given"),
    ]
    # the character is written when its last token is
    assert join([(c, "written"), (a9, "fresh"), (None, "open")]) == [
        StateSpan("é", "fresh"),
        StateSpan("", "open", 1),
    ]
    snow = tuple("☃".encode())
    assert join([((*b" ", snow[0]), "written"), ((snow[1],), "fresh"), (None, "open")]) == [
        StateSpan(" ", "written"),
        StateSpan("", "open", 3),
    ]
    assert join([(c, "written")]) == [StateSpan("\N{REPLACEMENT CHARACTER}", "written")]
    lost = "\N{REPLACEMENT CHARACTER}"
    assert join([(c, "written"), ("b", "given")]) == [
        StateSpan(lost, "written"),
        StateSpan("b", "given"),
    ]
    assert join([("a", "given"), (a9, "fresh")]) == [
        StateSpan("a", "given"),
        StateSpan(lost, "fresh"),
    ]
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

    def step(number: int, *written: tuple[int, int, str]) -> WrittenStep:
        places, ids, pieces = zip(*written, strict=True)
        return WrittenStep(
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
    a, b = StateSpan("a", "given"), StateSpan("b", "given")
    assert seen == [
        [a, StateSpan("", "open", 2), b],
        [a, StateSpan("", "open", 1), StateSpan("y", "fresh"), b],
        [a, StateSpan("xz", "fresh"), b],
        [a, StateSpan("x", "written"), StateSpan("", "open", 1), b],
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
            WrittenStep(
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
    a, block = StateSpan("a", "given"), StateSpan("", "open", 1)
    assert [*seen, draft.spans()] == [
        [StateSpan("x", "fresh"), block, a, block],
        [StateSpan("x", "written"), StateSpan("y", "fresh"), block, a, block],
        [StateSpan("xy", "written"), a, StateSpan("z", "fresh"), block],
        [StateSpan("xy", "written"), a, StateSpan("z", "written")],
    ]
