"""What is written becomes texts again, and depends on nothing but what was asked."""

import itertools

import pytest
import torch

from lmcompare.data import Tokenizer
from lmcompare.errors import Unsupported
from lmcompare.generation.generate import GenerationBatch, Sample, generate
from lmcompare.generation.prompts import Request
from lmcompare.objectives import T5, Bart, Clm, Fim, Glm, Mdlm, Mlm, Objective, Plm, Prefix, Ul2
from lmcompare.objectives.decoding.fill_request import DecodeStep
from lmcompare.objectives.decoding.sampler import Sampler
from tests.untrained import subject_of, write

FILLERS: list[Objective] = [
    *(Mlm(), Mdlm(), Plm(), T5(), T5(architecture="decoder"), Ul2(), Bart(), Glm()),
]


@pytest.mark.parametrize("hole_tokens", [2, None])
@pytest.mark.parametrize("objective", FILLERS, ids=lambda given: given.name)
def test_all_fields_of_a_sample_tell_one_story(
    objective: Objective, hole_tokens: int | None, tokenizer: Tokenizer
) -> None:
    model, free = subject_of(objective, tokenizer), hole_tokens is None
    if free and not any(each.any_length for each in objective.decoding_methods.values()):
        with pytest.raises(Unsupported, match="does not say where a"):
            write(model, "the ___")
        return
    anew = free and isinstance(objective, Bart)  # all that follows the first hole
    prompts = ["___ cat", "the dog ___", "the ___ saw a ___."][: 2 if anew else 3]
    for sample in write(model, *prompts, num=2, hole_tokens=hole_tokens):
        pieces = prompts[sample.prompt].replace(" ___", "___").split("___")
        assert len(sample.tokens) == len(sample.is_written)
        assert sum(sample.is_written) == sample.num_tokens
        assert sample.text == tokenizer.decode(sample.tokens)
        written, kept = (
            [t for t, new in zip(sample.tokens, sample.is_written, strict=True) if new == wanted]
            for wanted in (True, False)
        )
        assert not tokenizer.vocab.is_special(torch.tensor(written, dtype=torch.int64)).any()
        assert tokenizer.decode(kept) == (pieces[0] if anew else "".join(pieces))
        assert len(sample.written) == len(pieces) - 1
        if "\N{REPLACEMENT CHARACTER}" not in sample.text:  # no part of a character
            assert sample.text == "".join(
                each
                for pair in itertools.zip_longest(pieces[:1] if anew else pieces, sample.written)
                for each in pair
                if each
            )
        if not free:
            assert [*map(len, _runs(sample))] == [hole_tokens] * (len(pieces) - 1)


def _runs(sample: Sample) -> list[list[bool]]:
    return [[*group] for new, group in itertools.groupby(sample.is_written) if new]


TEXT = " cat. a dog saw. old"


@pytest.mark.parametrize(
    ("stop", "expected"),
    [
        ((".",), " cat"),
        ((". a d",), " cat"),
        ((". a d", "d"), " cat"),
        (("saw", "."), " cat"),
        (("dog", "saw"), " cat. a "),
        (("old",), " cat. a dog saw. "),
        (("nowhere",), TEXT),
        ((" cat",), ""),
        (("t",), " ca"),
        (("a",), ""),
        (("the",), TEXT),
    ],
    ids=str,
)
def test_a_text_ends_before_what_it_is_stopped_at(
    stop: tuple[str, ...], expected: str, tokenizer: Tokenizer
) -> None:
    """Whatever tokens the stop is made of; where it begins within a token, that one goes too."""
    script = tokenizer.encode([TEXT])[0].ids.tolist()
    model = subject_of(Clm(), tokenizer, script=script)
    sampler = Sampler(greedy=True)
    settings = {"sampler": sampler, "max_new_tokens": len(script)}
    generated = generate(model, Request(prompts=("the.",), stop=stop, **settings))
    (sample,) = generated.samples
    texts = [tokenizer.decode(script[: num + 1]) for num in range(len(script))]
    over = [any(each in text for each in stop) for text in texts]
    assert generated.cost.passes == (over.index(True) + 1 if any(over) else len(script))
    assert sample.written == (expected,)
    assert sample.text == "the." + expected
    prompt = tokenizer.encode(["the."])[0].ids.tolist()
    assert [*sample.tokens] == prompt + script[: sample.num_tokens]
    assert [*sample.is_written] == [False] * len(prompt) + [True] * sample.num_tokens


PROMPTS = ("the", "a dog saw the old tree", "the cat", "", "the")


@pytest.mark.parametrize(
    "objective", [Clm(), Prefix(), T5(), Glm(), Plm(), Mdlm(), Fim()], ids=lambda given: given.name
)
def test_a_sample_is_the_same_whatever_is_written_beside_it(
    objective: Objective, tokenizer: Tokenizer
) -> None:
    """It depends on the seed, its prompt's number and its own, and on the prompt."""
    model = subject_of(objective, tokenizer)
    together = write(model, *PROMPTS, num=3, rows=7)
    assert [(each.prompt, each.number) for each in together] == [
        (prompt, number) for prompt in range(5) for number in range(3)
    ]
    assert write(model, *PROMPTS, num=3, rows=1) == together
    assert write(model, *PROMPTS[:2], num=2) == [
        each for each in together if each.prompt < 2 and each.number < 2
    ]
    texts = {each.text for each in together if each.prompt in (0, 4)}
    assert len(texts) == 6, "each sample of each prompt is another, also of the same prompt"
    other = write(model, *PROMPTS, num=3, seed=1)
    assert all(one.text != two.text for one, two in zip(together, other, strict=True))


def test_prompts_of_all_kinds_can_be_mixed(tokenizer: Tokenizer) -> None:
    """They come back in their order, and each is what it is alone."""
    model = subject_of(Glm(), tokenizer)
    prompts = ("the cat", "a ___ saw", "the ___", "a ___ saw ___", "a dog")
    samples = write(model, *prompts, num=2)
    assert [each.prompt for each in samples] == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert samples == write(model, *prompts, num=2, rows=1)
    assert samples[0].num_tokens == 5
    assert all(each.num_tokens <= 5 for each in samples if each.prompt in (1, 2))


@pytest.mark.parametrize(
    ("objective", "method"),
    [
        *((Mlm(), method) for method in Mlm().decoding_methods),
        (Clm(), "left-to-right"),
        (Plm(), "random"),
        (T5(), "left-to-right"),
        (Glm(), "left-to-right"),
        (Fim(), "fim"),
    ],
    ids=str,
)
@pytest.mark.parametrize("hole_tokens", [4, None])
def test_what_those_who_watch_are_told_adds_up_to_the_sample(
    objective: Objective, method: str, hole_tokens: int | None, tokenizer: Tokenizer
) -> None:
    filling = objective.decoding_methods[method]
    if hole_tokens is None and not filling.any_length:
        return
    model, mask = subject_of(objective, tokenizer), tokenizer.vocab.mask
    prompts = ("the ___ saw the cat", "a ___.") if filling.holes != "end" else ("the", "a dog")
    pages: list[tuple[GenerationBatch, list[DecodeStep]]] = []

    def on_step(page: GenerationBatch) -> list[DecodeStep]:
        pages.append((page, []))
        return pages[-1][1].append

    asked = Request(
        prompts=prompts,
        num=2,
        hole_tokens=hole_tokens,
        max_new_tokens=4,
        method=method,
        sampler=Sampler(steps=2) if "steps" in filling.settings else Sampler(),
        rows=3,
    )
    samples = generate(model, asked, on_step=on_step).samples
    found = {}
    for page, moments in pages:
        assert page.any_length == (hole_tokens is None)
        lines = [[[token] for token in tokens] for tokens in page.tokens]
        for line, holes in zip(lines, page.holes, strict=True):
            assert all((each == [mask]) == hole for each, hole in zip(line, holes, strict=True))
        for moment in moments:
            for row, place, token, sure in zip(
                *(each.tolist() for each in vars(moment).values()), strict=True
            ):
                assert page.holes[row][place]
                assert 0 <= sure <= 1
                gone_on = page.any_length and lines[row][place] != [mask]
                lines[row][place] = [*lines[row][place], token] if gone_on else [token]
        for key, line in zip(page.samples, lines, strict=True):
            found[key] = [token for each in line[1:] for token in each if each != [mask]]
    assert found == {(each.prompt, each.number): [*each.tokens] for each in samples}


def test_what_it_took_is_counted(tokenizer: Tokenizer) -> None:
    asked = Request(prompts=("the", "the"), max_new_tokens=7, num=2, rows=3)
    written = generate(subject_of(Clm(), tokenizer), asked)
    assert written.cost.passes == 14, "two batches of seven tokens"
    assert written.cost.flops > 0
    assert written.seconds > 0
