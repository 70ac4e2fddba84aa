"""Laws of the next token: those of transformers, and draws that follow them."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from lmcompare.objectives.decoding.sampler import NO_TOKEN, Sampler
from tests.laws import assert_follows

SIZE = 61
NONE = torch.zeros(0, dtype=torch.int64)


def logits_of(seed: int, *, rows: int = 7, scale: float = 3.0) -> torch.Tensor:
    draws = torch.Generator().manual_seed(seed)
    return scale * torch.randn(rows, SIZE, generator=draws)


def history_of(seed: int, *, rows: int = 7, length: int = 29, words: int = 3) -> torch.Tensor:
    """Few words, so that many n-grams come again."""
    draws = torch.Generator().manual_seed(seed)
    return torch.randint(words, (rows, length), generator=draws)


def shape(logits: torch.Tensor, history: torch.Tensor | None = None, **settings) -> torch.Tensor:
    return Sampler(**settings).shape(logits, banned=NONE, history=history)


def kept(logits: torch.Tensor) -> list[list[int]]:
    return [row.isfinite().nonzero()[:, 0].tolist() for row in logits]


def processors(settings: dict[str, float]) -> list:
    """Those of transformers, in its order."""
    library = pytest.importorskip(
        "transformers.generation.logits_process", reason="needs the extra: pip install .[hf]"
    )
    made = {
        "repetition_penalty": library.RepetitionPenaltyLogitsProcessor,
        "no_repeat_ngram": library.NoRepeatNGramLogitsProcessor,
        "temperature": library.TemperatureLogitsWarper,
        "top_k": library.TopKLogitsWarper,
        "top_p": library.TopPLogitsWarper,
        "min_p": library.MinPLogitsWarper,
        "typical": library.TypicalLogitsWarper,
    }
    return [make(settings[name]) for name, make in made.items() if name in settings]


VALUES = {
    "temperature": st.floats(0.3, 3),
    "top_k": st.integers(1, SIZE + 5),
    "top_p": st.floats(0.05, 0.99),
    "min_p": st.floats(0.01, 1),
    "typical": st.floats(0.05, 0.95),
    "repetition_penalty": st.floats(0.5, 2),
    "no_repeat_ngram": st.integers(1, 5),
}


def assert_as_transformers(seed: int, settings: dict[str, float]) -> None:
    logits, history = logits_of(seed), history_of(seed)
    expected = logits
    for process in processors(settings):
        expected = process(history, expected)
    found = shape(logits, history, **settings)
    assert kept(found) == kept(expected)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("name", [*VALUES])
def test_each_setting_is_that_of_transformers(name: str) -> None:
    @given(st.integers(0, 10_000), VALUES[name])
    def check(seed: int, value: float) -> None:
        assert_as_transformers(seed, {name: value})

    check()


@given(st.integers(0, 10_000), st.fixed_dictionaries({}, optional=VALUES))
def test_settings_come_in_the_order_of_transformers(seed: int, settings: dict[str, float]) -> None:
    assert_as_transformers(seed, settings)


def test_the_kept_tokens_are_the_fewest_that_reach_a_share() -> None:
    """Counted by hand: probabilities 0.4, 0.3, 0.2 and 0.1, in no order."""
    logits = torch.tensor([[0.2, 0.4, 0.1, 0.3]]).log()
    assert kept(shape(logits, top_p=0.39)) == [[1]]
    assert kept(shape(logits, top_p=0.41)) == [[1, 3]]
    assert kept(shape(logits, top_p=0.69)) == [[1, 3]]
    assert kept(shape(logits, top_p=0.71)) == [[0, 1, 3]]
    assert kept(shape(logits, top_p=0.01)) == [[1]], "one at least"
    assert kept(shape(logits, min_p=0.6)) == [[1, 3]]
    assert kept(shape(logits, min_p=1)) == [[1]]
    # the entropy is 1.28: nearest are 1.20 (of 0.3), 1.61 (of 0.2), 0.92 (of 0.4), 2.30
    assert kept(shape(logits, typical=0.25)) == [[3]]
    assert kept(shape(logits, typical=0.45)) == [[0, 3]]
    assert kept(shape(logits, typical=0.55)) == [[0, 1, 3]]


@pytest.mark.parametrize("num", [SIZE, 10 * SIZE])
def test_all_tokens_may_be_the_likeliest_ones(num: int) -> None:
    logits = logits_of(3)
    assert torch.equal(shape(logits, top_k=num), logits)


def test_all_of_the_probability_is_all_of_the_tokens() -> None:
    """However flat or steep the law is: rounding hides no tail."""
    for seed in range(53):
        for scale in (0.1, 3.0, 30.0):
            logits = logits_of(seed, scale=scale)
            assert torch.equal(shape(logits, top_p=1.0), logits)


def test_equal_tokens_are_kept_together_by_number_and_apart_by_share() -> None:
    logits = torch.zeros(2, SIZE)
    assert kept(shape(logits, top_k=3)) == [[*range(SIZE)]] * 2, "as transformers keeps ties"
    assert len(kept(shape(logits, top_p=2.5 / SIZE))[0]) == 3, "the fewest"
    assert len(kept(shape(logits, typical=2.5 / SIZE))[0]) == 3
    assert kept(shape(logits, min_p=1)) == [[*range(SIZE)]] * 2


def test_what_is_banned_has_no_share() -> None:
    """Filters see the law of what is left: here of 0.4 and 0.3, renormalised."""
    logits = torch.tensor([[0.2, 0.4, 0.1, 0.3]]).log()
    banned = torch.tensor([0, 2])
    for settings, expected in [
        ({}, [1, 3]),
        ({"top_p": 0.56}, [1]),
        ({"top_p": 0.58}, [1, 3]),
        ({"top_k": 3}, [1, 3]),
        ({"min_p": 0.8}, [1]),
        ({"typical": 0.3}, [1]),
    ]:
        found = Sampler(**settings).shape(logits, banned=banned)
        assert kept(found) == [expected], settings


def test_where_every_token_would_come_again_none_is_forbidden() -> None:
    """Row by row: transformers would leave a law without tokens."""
    logits = logits_of(5, rows=2)
    history = torch.stack([torch.arange(SIZE), torch.arange(SIZE).clamp(max=3)])
    found = shape(logits, history, no_repeat_ngram=1)
    assert torch.equal(found[0], logits[0])
    assert kept(found)[1] == [*range(4, SIZE)]


def test_padding_in_a_history_is_no_token() -> None:
    history = torch.tensor([[NO_TOKEN, NO_TOKEN, 3, 5, 3], [7, 3, 5, 7, 3]])
    logits = logits_of(6, rows=2)
    found = shape(logits, history, no_repeat_ngram=2)
    assert kept(found) == [[token for token in range(SIZE) if token != 5]] * 2
    penalised = shape(logits, history, repetition_penalty=2.0)
    moved = [row.nonzero()[:, 0].tolist() for row in penalised != logits]
    assert moved == [[3, 5], [3, 5, 7]]
    assert (penalised <= logits).all(), "of both signs it is rarer"
    again = shape(logits, torch.full((2, 3), NO_TOKEN), no_repeat_ngram=1)
    assert torch.equal(again, logits)


def test_no_setting_changes_nothing() -> None:
    logits = logits_of(1)
    assert torch.equal(shape(logits, history_of(1)), logits)
    assert not Sampler(top_k=3).looks_back
    assert Sampler(no_repeat_ngram=1).looks_back
    assert Sampler(repetition_penalty=1.1).looks_back


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"greedy": True, "temperature": 0.7}, "leaves temperature without effect"),
        ({"greedy": True, "top_k": 3, "top_p": 0.5}, "leaves top_k and top_p without effect"),
        ({"beams": 3, "greedy": True}, "leaves greedy without effect"),
        ({"beams": 3, "min_p": 0.1}, "leaves min_p without effect"),
        ({"length_penalty": 0.5}, "there is one"),
        ({"temperature": 0}, "divides by nothing"),
        ({"temperature": -1}, "divides by nothing"),
        ({"temperature": math.nan}, "finite"),
        ({"top_k": 0}, "greater than or equal to 1"),
        ({"top_p": 0}, "greater than 0"),
        ({"top_p": 1.1}, "less than or equal to 1"),
        ({"typical": 1}, "less than 1"),
        ({"repetition_penalty": 0}, "greater than 0"),
        ({"no_repeat_ngram": 0}, "greater than or equal to 1"),
        ({"beams": 0}, "greater than or equal to 1"),
        ({"degeneration_penalty": 0.5, "greedy": True}, "leaves greedy without effect"),
        ({"degeneration_penalty": 0.5, "beams": 2}, "leaves beams without effect"),
        ({"degeneration_penalty": 0.5, "top_k": 2, "top_p": 0.5}, "leaves top_k and top_p without"),
        ({"degeneration_penalty": 1.1}, "less than or equal to 1"),
        ({"degeneration_penalty": 0.5, "candidates": 1}, "greater than or equal to 2"),
        ({"candidates": 3}, "set degeneration_penalty too"),
        ({"steps": 0}, "greater than or equal to 1"),
        ({"topk": 3}, "Extra inputs"),
    ],
    ids=str,
)
def test_settings_that_contradict_each_other_are_refused(settings: dict, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Sampler(**settings)


@pytest.mark.parametrize("settings", [{}, {"greedy": True}, {"beams": 3}, {"top_p": 0.5}], ids=str)
def test_settings_are_read_back_as_they_were_given(settings: dict) -> None:
    sampler = Sampler(**settings)
    assert Sampler.model_validate(sampler.model_dump(exclude_unset=True)) == sampler
    assert Sampler.model_validate_json(sampler.model_dump_json(exclude_unset=True)) == sampler


NUM_DRAWS = 40_009
LAWS = [
    {},
    {"temperature": 0.5},
    {"temperature": 2.0},
    {"top_k": 7},
    {"top_p": 0.8},
    {"min_p": 0.05},
    {"typical": 0.7},
    {"top_k": 17, "top_p": 0.9, "temperature": 1.5},
]


@pytest.mark.parametrize("settings", LAWS, ids=str)
def test_draws_follow_the_law(settings: dict[str, float]) -> None:
    sampler, logits = Sampler(**settings), logits_of(11, rows=1, scale=1.0)
    law = sampler.shape(logits, banned=NONE).double().softmax(1)[0].tolist()
    uniform = torch.rand(NUM_DRAWS, generator=torch.Generator().manual_seed(7), dtype=torch.float64)
    shaped = sampler.shape(logits, banned=NONE).expand(NUM_DRAWS, -1)
    assert_follows(sampler.choose(shaped, uniform).tolist(), dict(enumerate(law)))


def test_each_row_has_its_law_and_its_number() -> None:
    """The number falls into the token whose share of the line from 0 to 1 it is in."""
    probability = torch.tensor([[0.5, 0.25, 0.25], [0.125, 0.75, 0.125]])
    logits = probability.log().repeat_interleave(4, 0)
    uniform = torch.tensor([0.0, 0.49, 0.51, 0.76, 0.1, 0.13, 0.87, 0.88], dtype=torch.float64)
    assert Sampler().choose(logits, uniform).tolist() == [0, 0, 1, 2, 0, 1, 1, 2]


@given(st.integers(0, 10_000), st.sampled_from([0.0, 0.5, 1 - 2.0**-53, 1 - 2.0**-24, 2.0**-53]))
def test_no_token_of_probability_zero_is_drawn(seed: int, number: float) -> None:
    """Neither the first one, nor the last, nor one between, whatever the number."""
    logits = logits_of(seed, rows=31)
    hidden = torch.rand(logits.shape, generator=torch.Generator().manual_seed(seed)) < 0.9
    hidden[:, [0, -1]] = True
    hidden[:, seed % (SIZE - 2) + 1] = False  # not all
    logits = logits.masked_fill(hidden, -torch.inf)
    token = Sampler().choose(logits, torch.full((31,), number, dtype=torch.float64))
    assert not hidden.gather(1, token[:, None]).any()


def test_a_rare_token_keeps_its_share() -> None:
    """In float32 all that is behind a sum of 1 would have none."""
    rare = 1e-9
    logits = torch.tensor([[1 - 2 * rare, rare, rare]]).double().log().float()
    law = logits.double().softmax(1)[0]
    edges = torch.stack([law[0], law[0] + law[1]])
    below, above = edges * (1 - 1e-12), edges + law[1] * 1e-3
    uniform = torch.stack([below[0], above[0], below[1], above[1]])
    assert Sampler().choose(logits.repeat(4, 1), uniform).tolist() == [0, 1, 1, 2]


def test_greedy_takes_the_first_of_the_likeliest() -> None:
    logits = torch.zeros(2, SIZE)
    logits[1, [5, 7]] = 3
    uniform = torch.full((2,), 0.99, dtype=torch.float64)
    assert Sampler(greedy=True).choose(logits, uniform).tolist() == [0, 5]
