"""Labels of texts: what is read, what is learned, and how agreement is measured."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from lmcompare.data import Tokenizer
from lmcompare.errors import UserError
from lmcompare.evaluation.supervised import finetuning
from lmcompare.evaluation.supervised.spec import FineTuneSpec
from lmcompare.evaluation.tasks.classification import Classification
from lmcompare.evaluation.tasks.classification_metrics import (
    calibration_error,
    macro_f1,
    matthews,
)
from lmcompare.evaluation.tasks.measure import ratio
from lmcompare.evaluation.tasks.registry import known
from lmcompare.objectives import T5, Clm, Mlm, Objective
from tests.conftest import values
from tests.tiny import WORDS
from tests.untrained import subject_of


def task_of(**changes: object) -> Classification:
    settings = {
        "name": "kinds",
        "group": "understanding",
        "train": ["train.jsonl"],
        "test": ["test.jsonl"],
    }
    return Classification.model_validate({**settings, **changes})


def sentences_with(word: str, num: int, *, seed: int) -> list[str]:
    """Made-up ones, with the word somewhere and none of the other class's."""
    draws = torch.Generator().manual_seed(seed)
    found = []
    for _ in range(num):
        some = [WORDS[each] for each in torch.randint(4, len(WORDS), (4,), generator=draws)]
        some.insert(int(torch.randint(5, (1,), generator=draws)), word)
        found.append(" ".join(some))
    return found


def write(path: Path, records: list[dict]) -> None:
    path.write_text("".join(json.dumps(each) + "\n" for each in records), encoding="utf-8")


def labelled(num: int, *, seed: int, shuffled: bool = False) -> list[dict]:
    texts = zip(
        sentences_with("cat", num, seed=seed),
        sentences_with("dog", num, seed=seed + 1),
        strict=True,
    )
    records = [
        {"text": text, "label": label}
        for pair in texts
        for text, label in zip(pair, ("feline", "canine"), strict=True)
    ]
    if shuffled:
        order = torch.randperm(len(records), generator=torch.Generator().manual_seed(seed)).tolist()
        labels = [records[number]["label"] for number in order]
        records = [{**each, "label": own} for each, own in zip(records, labels, strict=True)]
    return records


def ask(
    task: Classification, folder: Path, objective: Objective, tokenizer: Tokenizer, protocol: str
):
    examples = task.read(folder)
    return task.evaluate(
        subject_of(objective, tokenizer),
        examples,
        protocol=protocol,
        done=frozenset(),
        report=lambda share: None,
    )


@pytest.mark.parametrize(
    "objective", values(Mlm(), slow=[Clm(), T5()]), ids=lambda given: given.name
)
def test_a_word_that_tells_the_label_is_learned(
    objective: Objective, tokenizer: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finetuning, "FACTORS", (1.0,))
    monkeypatch.setattr(finetuning, "MOST_STEPS", 200)
    write(tmp_path / "train.jsonl", labelled(151, seed=3))
    write(tmp_path / "test.jsonl", labelled(53, seed=5))
    answers = ask(task_of(), tmp_path, objective, tokenizer, "all")
    items = list(answers.items)
    assert ratio(items) > 0.95
    assert answers.description == "fine-tuned on 272 examples, pooling chosen by validation"
    assert answers.settings["learning rate"] == 3e-3
    assert {type(each) for each in answers.settings.values()} == {float, str}, (
        "as a record has them"
    )
    assert answers.settings["validation examples"] == 30
    assert answers.settings["training examples"] == 272
    assert {each.pooling for each in answers.trials} == {"mean", "last", "first"}
    assert max(each.validation for each in answers.trials) > 0.95
    figures = task_of().figures(items)
    assert figures["macro-F1"] > 0.95
    assert figures["Matthews"] > 0.9
    assert figures["calibration error"] < 0.2
    assert 0.5 < figures["frozen probe"] <= 1


@pytest.mark.slow
def test_shuffled_labels_teach_nothing(
    tokenizer: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finetuning, "FACTORS", (1.0,))
    monkeypatch.setattr(finetuning, "MOST_STEPS", 200)
    write(tmp_path / "train.jsonl", labelled(151, seed=3, shuffled=True))
    write(tmp_path / "test.jsonl", labelled(101, seed=5, shuffled=True))
    items = list(ask(task_of(), tmp_path, Mlm(), tokenizer, "all").items)
    assert 0.36 < ratio(items) < 0.64  # four standard errors


@pytest.mark.slow
def test_a_probe_and_few_examples_say_so(
    tokenizer: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finetuning, "FACTORS", (1.0,))
    monkeypatch.setattr(finetuning, "MOST_STEPS", 200)
    write(tmp_path / "train.jsonl", labelled(151, seed=3))
    write(tmp_path / "test.jsonl", labelled(53, seed=5))
    task = task_of()
    assert task.protocols == ("10", "100", "all", "probe")
    probe = ask(task, tmp_path, Mlm(), tokenizer, "probe")
    assert probe.description == "linear probe trained on 272 examples, pooling chosen by validation"
    assert ratio(list(probe.items)) > 0.8
    few = ask(task, tmp_path, Clm(), tokenizer, "10 last")
    assert few.description == "fine-tuned on 10 examples, pooling last"
    assert {each.pooling for each in few.trials} == {"last"}
    assert ask(task, tmp_path, Clm(), tokenizer, "100").description.startswith("fine-tuned on 100 ")


def test_items_name_the_example_and_what_was_said(
    tokenizer: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finetuning, "MOST_STEPS", 2)
    write(tmp_path / "train.jsonl", labelled(7, seed=3))
    write(tmp_path / "test.jsonl", labelled(5, seed=5))
    task, model = task_of(), subject_of(Clm(), tokenizer)
    examples = task.read(tmp_path)
    found = {}
    for done in (frozenset(), frozenset({0, 3, 9})):
        answers = task.evaluate(
            model, examples, protocol="10", done=done, report=lambda share: None
        )
        found[done] = list(answers.items)
    everything, rest = found.values()
    assert [item.item for item in everything] == list(range(10))
    assert [item for item in everything if item.item not in {0, 3, 9}] == [
        item.model_copy(update={"figures": pytest.approx(item.figures, rel=1e-5)}) for item in rest
    ]
    for item, example in zip(everything, examples.test, strict=True):
        assert item.figures["label"] == ["canine", "feline"].index(example.label)
        assert item.score == float(item.figures["predicted"] == item.figures["label"])
        assert 0.5 <= item.figures["confidence"] <= 1
        assert item.parts == {"label": example.label}


def test_pairs_are_read_in_one_row(
    tokenizer: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both texts reach the answer, the first one through an end token."""
    lessons: list[FineTuneSpec] = []
    monkeypatch.setattr(
        "lmcompare.evaluation.tasks.classification.tune",
        lambda model, spec, report: (
            lessons.append(spec)
            or finetuning.Learned(reader=None, frozen=None, settings={}, trials=[])
        ),
    )
    monkeypatch.setattr(finetuning.Learned, "outputs", lambda self, rows: [])
    records = [
        {"one": "a cat", "two": "old dog", "label": 1},
        {"one": "dog", "two": "a", "label": 0},
    ]
    write(tmp_path / "train.jsonl", records * 2)
    write(tmp_path / "test.jsonl", records[:1])
    task = task_of(text="one", text2="two")
    assert task.read(tmp_path).test[0].texts == ("a cat", "old dog")
    ask(task, tmp_path, Mlm(), tokenizer, "all")
    one, two = tokenizer.encode(["a cat", "old dog"])
    row = lessons[0].train[0]
    assert row.document.ids.tolist() == [*one.ids, tokenizer.vocab.eos, *two.ids]
    assert [*row.spans] == [range(1 + len(row.document))]
    assert list(row.target) == [1]


def test_long_texts_are_cut_and_counted(
    tokenizer: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finetuning, "MOST_STEPS", 2)
    long = " ".join(["cat"] * 47)
    write(tmp_path / "train.jsonl", [*labelled(11, seed=3), {"text": long, "label": "feline"}])
    write(
        tmp_path / "test.jsonl", [{"text": long + end, "label": "feline"} for end in (" a", " b")]
    )
    answers = ask(task_of(), tmp_path, Clm(), tokenizer, "all")
    assert answers.counts == {"texts cut at their end": 2, "training texts cut at their end": 1}
    one, two = answers.items
    assert one.figures == pytest.approx(two.figures), "their ends are not read"


def test_lines_of_files_by_label(tmp_path: Path) -> None:
    for name, num in (("neg", 23), ("pos", 41)):
        lines = "".join(f"{name} {number}\n\n" for number in range(1, 1 + num))
        (tmp_path / f"{name}.txt").write_text(lines, encoding="utf-8")
    task = task_of(
        train=[],
        test=[],
        files_by_label={"bad": "neg.txt", "good": "pos.txt"},
        test_every=10,
    )
    examples = task.read(tmp_path)
    assert [each.texts[0] for each in examples.test] == [
        *("neg 10", "neg 20", "pos 10", "pos 20", "pos 30", "pos 40")
    ]
    assert [each.number for each in examples.test] == list(range(6))
    assert [each.label for each in examples.test] == ["bad"] * 2 + ["good"] * 4
    num = {split: len(some) for split, some in examples.learned.items()}
    assert num == {"train": 53, "validation": 5}
    assert task.source == "neg.txt, pos.txt"
    assert task.chance(examples) == pytest.approx(4 / 6), "the majority of what is learned from"
    assert {each.texts[0] for each in examples.learned["validation"]}.isdisjoint(
        {each.texts[0] for each in examples.learned["train"]}
    )


def test_chance_is_of_the_majority_to_learn_from(tmp_path: Path) -> None:
    write(tmp_path / "train.jsonl", [{"text": f"t{n}", "label": "ab"[n % 3 > 0]} for n in range(9)])
    write(tmp_path / "test.jsonl", [{"text": f"u{n}", "label": "ab"[n == 4]} for n in range(5)])
    task = task_of()
    assert task.chance(task.read(tmp_path)) == 1 / 5


def test_texts_that_are_known_are_counted(tmp_path: Path) -> None:
    write(tmp_path / "train.jsonl", labelled(7, seed=3))
    write(tmp_path / "test.jsonl", [*labelled(2, seed=5), labelled(7, seed=3)[2]])
    assert task_of().read(tmp_path).counts == {"test texts that are learned from, too": 1}


def test_labels_with_white_space_are_no_classes_of_their_own(tmp_path: Path) -> None:
    labels = ["pos", "pos ", " neg", "neg\u00a0"]
    records = [{"text": f"t{n}", "label": label} for n, label in enumerate(labels)]
    for split in ("train", "test"):
        write(tmp_path / f"{split}.jsonl", [{**each, "text": split} for each in records])
    examples = task_of().read(tmp_path)
    assert [each.label for each in examples.test] == ["pos", "pos", "neg", "neg"]
    assert examples.counts == {"labels with white space around them": 6}


def test_labels_in_files_of_their_own(tmp_path: Path) -> None:
    for split, labels in (("train", "0110"), ("test", "10")):
        rows = [f"{number},one {number},two\n" for number in range(len(labels))]
        (tmp_path / f"{split}.csv").write_text("id,a,b\n" + "".join(rows), encoding="utf-8")
        answers = "".join(f"{number},{label}\n" for number, label in enumerate(labels))
        (tmp_path / f"{split}-answers.csv").write_text(answers, encoding="utf-8")
    names = {split: f"{split}-answers.csv" for split in ("train", "test")}
    task = task_of(train=["train.csv"], test=["test.csv"], text="a", text2="b", labels_in=names)
    examples = task.read(tmp_path)
    assert [each.label for each in examples.test] == ["1", "0"]
    learned = {name: [each.label for each in some] for name, some in examples.learned.items()}
    assert learned == {"train": ["0", "1", "1"], "validation": ["0"]}
    (tmp_path / "test-answers.csv").write_text("0,1\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"test.csv, line 3: no file of labels_in has the id 1$"):
        task.read(tmp_path)
    (tmp_path / "test-answers.csv").write_text("0\n", encoding="utf-8")
    with pytest.raises(UserError, match="line 1 is '0', not an id and a label"):
        task.read(tmp_path)


GOOD = [{"text": "a cat", "label": "x"}, {"text": "a dog", "label": "y"}]


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        (GOOD[:1], GOOD, "kinds has the label x only to learn from in train.jsonl, test.jsonl"),
        ([], GOOD, "kinds has no examples to learn from in train.jsonl, test.jsonl"),
        (GOOD, [], "kinds asks nothing in train.jsonl, test.jsonl: mend the files"),
        (GOOD, [{"text": "a", "label": "z"}], "asks for the label 'z', and no example to learn"),
        (GOOD, [{"text": "a", "tag": "x"}], "test.jsonl, line 1 has no 'label', only text, tag"),
        (GOOD, [{"label": "x"}], "test.jsonl, line 1 has no 'text', only label"),
        ([*GOOD, {"text": " ", "label": "x"}], GOOD, "train.jsonl, line 3: 'text' is blank"),
        (GOOD, [{"text": "a", "label": 0.5}], "test.jsonl, line 1: 'label' is no text but 0.5"),
    ],
)
def test_what_is_wrong_with_files_is_one_line(
    train: list[dict], test: list[dict], message: str, tmp_path: Path
) -> None:
    write(tmp_path / "train.jsonl", train)
    write(tmp_path / "test.jsonl", test)
    with pytest.raises(UserError) as error:
        task_of().read(tmp_path)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_validation_files_must_have_known_labels(tmp_path: Path) -> None:
    for name, records in (("train", GOOD), ("test", GOOD), ("dev", [{"text": "a", "label": "z"}])):
        write(tmp_path / f"{name}.jsonl", records)
    with pytest.raises(UserError, match="asks for the label 'z'"):
        task_of(validation=["dev.jsonl"]).read(tmp_path)


@pytest.mark.parametrize(
    "changes",
    [
        {"train": []},
        {"test": []},
        {"test_every": 5},
        {"files_by_label": {"a": "a.txt"}},
        {"train": [], "files_by_label": {"a": "a.txt"}},
        {"train": [], "files_by_label": {"a": "a.txt"}, "test": [], "test_every": 1},
    ],
)
def test_settings_that_do_not_agree(changes: Mapping[str, object]) -> None:
    with pytest.raises(ValidationError):
        task_of(**changes)


LABEL = np.array([0.0, 0, 0, 1, 1, 2, 2, 2, 2, 3])
SAID = np.array([0.0, 0, 1, 1, 2, 2, 2, 2, 0, 4])


def test_agreement_by_hand() -> None:
    # F1 of each: 2 2/(3+3), 2 1/(2+2), 2 3/(4+4), 0, 0
    assert macro_f1(LABEL, SAID) == pytest.approx((2 / 3 + 1 / 2 + 3 / 4 + 0 + 0) / 5)
    # Gorodkin: (c s - sum p t) / sqrt((s2 - sum p2) (s2 - sum t2)); c 6, s 10
    both = 3 * 3 + 2 * 2 + 4 * 4
    expected = (60 - both) / np.sqrt((100 - 9 - 4 - 16 - 1) * (100 - 9 - 4 - 16 - 1))
    assert matthews(LABEL, SAID) == pytest.approx(expected)
    one, two = np.array([1.0, 1, 1, 0, 0, 0, 0]), np.array([1.0, 1, 0, 0, 0, 0, 1])
    assert matthews(one, two) == pytest.approx((2 * 3 - 1 * 1) / np.sqrt(3 * 3 * 4 * 4))
    assert matthews(one, np.zeros(7)) == 0
    assert matthews(one, 1 - one) == pytest.approx(-1)


def test_agreement_as_scikit_learn_has_it() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    assert macro_f1(LABEL, SAID) == pytest.approx(metrics.f1_score(LABEL, SAID, average="macro"))
    assert matthews(LABEL, SAID) == pytest.approx(metrics.matthews_corrcoef(LABEL, SAID))


def test_calibration_by_hand() -> None:
    confidence = np.array([0.61, 0.66, 0.95, 0.99, 1.0])
    right = np.array([True, False, True, True, False])
    # bins of a fifteenth: (0.6, 0.667], and the last
    expected = (abs(1.27 - 1) + abs(2.94 - 2)) / 5
    assert calibration_error(confidence, right) == pytest.approx(expected)
    assert calibration_error(np.ones(3), np.ones(3, dtype=bool)) == 0
    # an upper border belongs to its bin
    assert calibration_error(np.array([10, 9.5]) / 15, np.array([True, False])) == pytest.approx(
        abs(19.5 / 15 - 1) / 2
    )


@pytest.mark.parametrize("name", ["sentence-polarity", "banking77", "comve-classified"])
def test_the_real_files_are_read(name: str, shared_data: Path) -> None:
    if not (shared_data / name.removesuffix("-classified")).is_dir():
        pytest.skip(f"{name} does not lie beside the checkout")
    task = known()[name]
    examples = task.read(shared_data)
    num = (len(examples.test), *(len(some) for some in examples.learned.values()))
    assert (
        num
        == {
            "sentence-polarity": (1066, 9117, 479),
            "banking77": (3080, 9527, 476),
            "comve-classified": (1000, 10_000, 500),
        }[name]
    )
