"""What cannot be asked of writing is said."""

import math
from pathlib import Path
from typing import Any

import pytest

from lmcompare.errors import UserError
from lmcompare.evaluation.generation.options import GenerationOptions
from lmcompare.evaluation.generation.settings import require
from lmcompare.objectives.decoding.sampler import Sampler
from lmcompare.runs import loaded_model
from lmcompare.runs.run import Run
from tests.evaluation.generation.writing import NEW, PROMPT, items, judged_by, other, write
from tests.tiny import Trainer, sentences, tiny


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"prompt_tokens": 0}, "0 is no number of tokens: choose `prompt_tokens=1` or more"),
        ({"new_tokens": -1}, "-1 is no number of tokens: choose `new_tokens=1` or more"),
        ({"new_tokens": 26}, "rows of 33 tokens, and 7 of a prompt, 26 new ones and the start to"),
        ({"temperatures": (1.0, 0.0)}, "a temperature of 0 divides by nothing"),
        ({"temperatures": (math.nan,)}, "`temperature=` cannot be nan: input should be a"),
        ({"steps": (0,)}, "`steps=` cannot be 0: input should be greater than or eq"),
        ({"top_p": 1.5}, "`top_p=` cannot be 1.5: input should be less than or equal"),
        ({"methods": ("banana",)}, "none of the runs writes by 'banana': known: left-to-right"),
        ({"methods": ("thresholds",)}, "none of the runs writes by 'thresholds': known: left-"),
        ({"steps": (5,)}, r"no run has use of `steps=` in its way to write: .*\(left-to-right\)"),
        (
            {"decodings": (Sampler(beams=2), Sampler(threshold=0.5, temperature=2))},
            "no run writes in a way that has use of temperature 2 and threshold 0.5: leave it",
        ),
    ],
)
def test_what_cannot_be_asked(trained: dict[str, Run], given: dict[str, Any], said: str) -> None:
    asked = GenerationOptions(**({"prompt_tokens": PROMPT, "new_tokens": NEW} | given))
    with pytest.raises(UserError, match=said) as found:
        require([trained["clm"], trained["t5"]], asked, judge=None)
    assert "\n" not in str(found.value)


def test_settings_of_use_to_some_runs_are_no_error(trained: dict[str, Run]) -> None:
    both = [trained["clm"], trained["mdlm"]]
    for given in (
        {"steps": (5,)},
        {"methods": ("threshold",)},
        {"methods": ("metropolis", "left-to-right"), "top_p": 0.5},
    ):
        require(both, GenerationOptions(prompt_tokens=PROMPT, new_tokens=NEW, **given), judge=None)
    only = GenerationOptions(
        prompt_tokens=PROMPT, new_tokens=NEW, methods=("metropolis",), top_p=0.5
    )
    with pytest.raises(UserError, match="no run has use of `top_p=`"):
        require(both, only, judge=None)


def test_a_judge_is_no_contestant(trained: dict[str, Run], cache: Path) -> None:
    judge = judged_by(trained["judge"])
    runs = [trained["clm"], Run(trained["judge"].path / ".." / trained["judge"].path.name)]
    asked = GenerationOptions(prompt_tokens=PROMPT, new_tokens=NEW)
    with pytest.raises(UserError, match=r"is one of the runs that are judged, and would favour"):
        require(runs, asked, judge=judge)
    with pytest.raises(UserError, match=r"is one of the runs that are judged"):
        write(trained["judge"], cache, judge=judge)


def test_texts_that_cannot_be_prompts(
    trained: dict[str, Run], cache: Path, tmp_path: Path, train: Trainer
) -> None:
    run = trained["clm"]
    with pytest.raises(UserError, match=r"other\.txt has no document with 18 known tokens in a r"):
        write(run, cache, **other(tmp_path, "x" * 17, "short"))
    with pytest.raises(UserError, match="0 texts leave nothing to do: choose `texts=1` or more"):
        write(run, cache, num_texts=0)
    (record,) = write(run, cache, **other(tmp_path, "x" * 41, "y" * 18))
    assert record.num_texts == 3, "two and one, and no piece that is too short"


def test_unknown_tokens_are_in_no_prompt(train: Trainer, cache: Path, tmp_path: Path) -> None:
    known = tmp_path / "words.txt"
    known.write_text(sentences(900).replace("café", "cafe"))
    run = train(tiny(known, "clm", "tokenizer.kind=characters", "budget=1 steps"))
    (record,) = write(run, cache, **other(tmp_path, "the old ж cat ran to", "the old tree a cat"))
    (item,) = items(run, record)
    assert item.prompt + item.reference == "the old tree a cat"


def test_a_training_text_that_is_gone(train: Trainer, cache: Path, tmp_path: Path) -> None:
    text = tmp_path / "gone.txt"
    text.write_text(sentences(307, seed=9))
    run = train(tiny(text, "clm", "budget=1 steps"))
    about = other(tmp_path, "the old tree and the cat")
    text.unlink()
    told: list[str] = []
    (record,) = write(run, cache, warn=told.append, num_texts=1, **about)
    assert record.written is not None
    assert record.written.verbatim is not None, "the cache holds what it read"
    assert told == []
    empty = tmp_path / "empty"
    (record,) = write(run, empty, warn=told.append, num_texts=1, again=True, **about)
    assert record.written is not None
    assert (record.written.verbatim, record.reference.verbatim) == (None, None)
    assert len(told) == 1
    assert told[0].startswith("what is verbatim in it is not known: the text that ")
    assert "not to be had here (there is no f" in told[0]
    text.write_text(sentences(307, seed=10))
    told.clear()
    write(run, empty, warn=told.append, num_texts=1, again=True, **about)
    assert len(told) == 1
    assert "what is verbatim in it is not known: the text of" in told[0]
    assert "has changed since it was trained: bring the old text back" in told[0]


def test_the_text_of_a_judge_is_known_by_what_it_holds(
    trained: dict[str, Run], train: Trainer, corpus: Path, tmp_path: Path
) -> None:
    asked = GenerationOptions(prompt_tokens=PROMPT, new_tokens=NEW)
    path = tmp_path / "moved.txt"

    def doubts(source: Path, *settings: str) -> list[str]:
        told: list[str] = []
        judge = judged_by(train(tiny(source, "clm", "budget=1 steps", "model.width=32", *settings)))
        require([trained["mlm"]], asked, judge=judge, warn=told.append)
        return told

    path.write_bytes(corpus.read_bytes())
    assert doubts(path) == []
    path.write_text(sentences(307, seed=3))
    (said,) = doubts(path)
    assert said.startswith("the judge was trained on another text than mlm: ")
    # another tokenizer makes other tokens of the same text
    assert doubts(corpus, "tokenizer.kind=characters") == []


def test_the_same_name_does_not_make_the_same_text(train: Trainer, tmp_path: Path) -> None:
    path, told = tmp_path / "text.txt", list[str]()
    path.write_text(sentences(307))
    run = train(tiny(path, "clm", "budget=1 steps"))
    path.write_text(sentences(307, seed=3))
    judge = judged_by(train(tiny(path, "clm", "budget=1 steps", "model.width=32")))
    told += judge.doubts([loaded_model.trained(run)])
    assert told[0].startswith("the judge was trained on another text than clm: ")
