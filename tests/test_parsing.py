import json
from typing import Any

import pytest

from lmcompare.errors import UserError
from lmcompare.parsing import brief, listed, parse_json, parse_toml


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "here is not JSON (Expecting property name"),
        ("", "here is not JSON"),
        ("[" * 99_991, "nested too deeply"),
        ('{"a":' * 99_991, "nested too deeply"),
        ("1" * 4_337, "a number has too many digits"),
        (r'"\ud83d"', "half a surrogate pair"),
        (r'{"\udc00": 1}', "half a surrogate pair"),
        (r'[["\uD83D\uD83D"]]', "half a surrogate pair"),
    ],
)
def test_bad_json(text: str, says: str) -> None:
    with pytest.raises(UserError) as error:
        parse_json(text, where="here")
    assert says in str(error.value)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 199


@pytest.mark.parametrize("value", [None, 1.5, "\U0001f600\u2028", [{"a": "\\ud83d"}]])
def test_json_as_it_was_written(value: Any) -> None:
    for text in (json.dumps(value), json.dumps(value, ensure_ascii=False)):
        assert parse_json(text, where="here") == value


def test_halves_are_left_to_who_looks_for_them() -> None:
    assert parse_json(r'{"text": "\ud83d"}', where="here", halves=True) == {"text": "\ud83d"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a = ", "here is not valid TOML: "),
        ("a = 1\na = 2", "here is not valid TOML: "),
        ("a = " + "[" * 99_991, "nested more than 32 deep"),
        ("a = " + "[" * 37 + "]" * 37, "nested more than 32 deep"),
        (".".join("a" * 97) + " = 1", "nested more than 32 deep"),
        ("a = " + "1" * 4_337, "an integer of more than 64 bits"),
        ("a = 0x" + "f" * 4_337, "an integer of more than 64 bits"),
        ("a = [{b = 9223372036854775808}]", "an integer of more than 64 bits"),
        ('a = "\\ud83d"', "here is not valid TOML: "),
    ],
)
def test_bad_toml(text: str, says: str) -> None:
    with pytest.raises(UserError) as error:
        parse_toml(text, where="here")
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def test_the_least_and_the_greatest_integer() -> None:
    found = parse_toml("a = 9223372036854775807\nb = -9223372036854775808", where="here")
    assert found == {"a": 2**63 - 1, "b": -(2**63)}


def test_what_a_sentence_can_hold() -> None:
    deep: list[Any] = []
    for _ in range(99_991):
        deep = [deep]
    assert len(brief(deep)) < 50
    assert len(brief("x" * 10**6)) <= 60
    assert brief("pos") == "'pos'"
    assert listed(["a", "b"]) == "a, b"
    assert listed(f"n{number}" for number in range(17)).endswith("n11, and 5 more")
    assert len(listed(["x" * 10**6])) < 70


def test_an_error_is_one_line_that_can_be_written() -> None:
    error = UserError("no file 'a\nb\u2028c\udcff'")
    assert str(error) == r"no file 'a b c\udcff'"
