"""Prompts become texts with holes, and what cannot be asked is refused."""

import itertools

import pytest

from lmcompare.data import Tokenizer, TokenizerConfig
from lmcompare.errors import UserError
from lmcompare.generation.generate import generate
from lmcompare.generation.prompts import Request, rows_of
from lmcompare.objectives import T5, Clm, Fim, Mdlm, Mlm, Objective
from lmcompare.objectives.decoding.sampler import Sampler
from lmcompare.runs.loaded_model import LoadedModel
from tests.untrained import LENGTH, subject_of, write


def pieces_of(model: LoadedModel, prompt: str) -> list[str | int]:
    """The text between the holes of a prompt, and how many tokens each of them has."""
    asked = Request(prompts=(prompt,), hole_tokens=3, max_new_tokens=3)
    (row,) = rows_of(model, asked, pytest.fail)
    assert row.tokens[0] == model.tokenizer.vocab.bos
    marked = [*zip(row.tokens[1:], row.holes[1:], strict=True)]
    return [
        len([*group]) if hole else model.tokenizer.decode([token for token, _ in group])
        for hole, group in itertools.groupby(marked, lambda pair: pair[1])
    ]


def test_prompts_are_cut_at_their_holes(tokenizer: Tokenizer) -> None:
    """A space before a hole belongs to what is written there, and no more than one."""
    model = subject_of(Mdlm(), tokenizer)
    for prompt, expected in {
        "the ___ saw": ["the", 3, " saw"],
        "the___ saw": ["the", 3, " saw"],
        "the ______ saw": ["the", 3, " saw"],
        "the  ___saw": ["the ", 3, "saw"],
        "the\t___": ["the", 3],
        "the\n___": ["the\n", 3],
        "___ saw": [3, " saw"],
        " ___": [3],
        "a ___ saw ___.": ["a", 3, " saw", 3, "."],
        "the cat ": ["the cat ", 3],
        "a __ b": ["a __ b", 3],
        "": [3],
    }.items():
        assert pieces_of(model, prompt) == expected, prompt


def test_a_long_prompt_is_cut_on_its_left_and_one_is_told(tokenizer: Tokenizer) -> None:
    model, told = subject_of(Clm(), tokenizer), list[str]()
    prompt = "the old cat saw a dog under the tree and ran to the old dog"
    ids = tokenizer.encode([prompt])[0].ids.tolist()
    assert len(ids) > LENGTH
    asked = Request(prompts=("the", prompt), max_new_tokens=7)
    samples = generate(model, asked, warn=told.append).samples
    spare = len(ids) - (LENGTH - 1 - 7)
    assert told == [
        f"prompt 1 is {spare} tokens too long for rows of 33 with 7 new ones: its beginning is "
        "left out"
    ]
    assert samples[1].tokens[:-7] == tuple(ids[spare:])
    assert len(samples[1].tokens) == LENGTH - 1
    exactly = tokenizer.decode(ids[spare:])
    if tokenizer.encode([exactly])[0].ids.tolist() == ids[spare:]:
        assert write(model, exactly, max_new_tokens=7), "and nobody is told"


@pytest.mark.parametrize(
    ("objective", "prompt", "settings", "message"),
    [
        (Clm(), "a", {"num": 0}, "0 samples leave nothing to write"),
        (Clm(), "a", {"max_new_tokens": 0}, "0 new tokens leave nothing"),
        (T5(), "a ___", {"hole_tokens": 0}, "0 tokens of a hole leave nothing"),
        (Clm(), "a", {"stop": (".", "")}, "an empty text to stop at is everywhere"),
        (Clm(), "a", {"max_new_tokens": 33}, "33 new tokens do not fit into the rows of 33"),
        (Mdlm(), "a ___ b ___", {"hole_tokens": 17}, "34 new tokens do not fit"),
        (Mdlm(), "the old dog ___" * 9, {"hole_tokens": 1}, "9 new ones does not fit"),
        (Clm(), "a ___", {}, "clm does not say where a \\S+ ends"),
        (Clm(), "a ___ b", {"hole_tokens": 2}, "clm writes at the end of a text only"),
        (Fim(), "a ___ b ___", {}, "fim fills one hole of a text, and this one has several"),
        (Clm(), "a", {"any_length": True}, "clm does not say where a \\S+ ends"),
        (Clm(), "a", {"method": "gibbs"}, "clm does not write by 'gibbs': known: left-to-right"),
        (Mlm(), "a", {"method": "gibs"}, "did you mean 'gibbs'"),
        (Clm(), "a", {"sampler": Sampler(steps=3)}, "which has no use for steps"),
        (Mlm(), "a", {"sampler": Sampler(beams=3)}, "writes by mask-predict, which has no use for"),
        (Mlm(), "a", {"sampler": Sampler(greedy=True), "method": "gibbs"}, "no use for greedy"),
    ],
    ids=str,
)
def test_what_cannot_be_asked_is_refused_in_a_line(
    objective: Objective, prompt: str, settings: dict, message: str, tokenizer: Tokenizer
) -> None:
    with pytest.raises(UserError, match=message) as refused:
        write(subject_of(objective, tokenizer), prompt, **settings)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("kind", "stop", "message"),
    [
        ("characters", "bxax", r"knows no 'x' of the text to stop at 'bxax', which so is never"),
        ("characters", "b", None),
        ("characters", " [EOS]", r"' \[EOS\]' is a special token of the tokenizer, and none is"),
        ("word", "x", "knows no 'x' of the text to stop at 'x'"),
        ("word", "b", None),  # in the midst of a word
        ("word", "abc a", None),
        ("bytes", "\u00e9", None),
        ("bytes", "<extra_id_0>", "is a special token"),
        ("bytes", "an [EOS]", None),
    ],
)
def test_a_text_to_stop_at_must_be_writable(kind: str, stop: str, message: str | None) -> None:
    tokenizer = Tokenizer.train(["abc abc"], TokenizerConfig(kind=kind, vocab_size=130))
    model = subject_of(Clm(), tokenizer)
    if message is None:
        write(model, "abc", stop=("a", stop))
        return
    with pytest.raises(UserError, match=message) as refused:
        write(model, "abc", stop=("a", stop))
    assert "\n" not in str(refused.value)


def test_characters_that_the_tokenizer_lacks_are_named() -> None:
    characters = Tokenizer.train(["abc"], TokenizerConfig(kind="characters"))
    model = subject_of(Clm(), characters)
    with pytest.raises(UserError, match=r"knows no 'x' 'y' of the prompt 'axbyx'"):
        write(model, "axbyx")
    assert write(model, "abc")[0].text.startswith("abc")
