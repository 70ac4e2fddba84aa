"""`lmcompare probe` as a user meets it."""

import json
from pathlib import Path
from typing import Any

import pytest

import lmcompare
from lmcompare.evaluation.probes import linear, measure, structure
from lmcompare.evaluation.probes.record import ProbeRecord
from lmcompare.runs.run import Run
from tests.tiny import Command, TrainOnce, flags, the_error
from tests.treebank import block, write_treebank


@pytest.fixture(autouse=True)
def few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fit probes in a hurry: how well they are fitted is not what is tested here."""
    monkeypatch.setattr(structure, "FEWEST_STEPS", 32)
    monkeypatch.setattr(linear, "STEPS_OF_WHOLE", 32)


@pytest.fixture
def treebank(tmp_path: Path) -> Path:
    return write_treebank(tmp_path / "x-ud", name="x")


@pytest.fixture
def study(train_once: TrainOnce, corpus: Path) -> Path:
    train_once("-o", "clm", *flags(corpus))
    return Path("experiments/default")


def rows_of(out: str) -> list[list[str]]:
    """The cells of the table's rows, without what stands above and below them."""
    _, _, below = out.partition("trained\n")
    return [line.split() for line in below.partition("\n- ")[0].splitlines()]


def records(study: Path) -> list[ProbeRecord]:
    return [each for path in study.iterdir() for each in Run(path).results.read(ProbeRecord)]


def test_the_table_with_its_controls(command: Command, study: Path, treebank: Path) -> None:
    said = command("probe", study, "--treebank", treebank, "--tasks", "upos,arc,tree-depth")
    assert said.code == 0, said
    rows = rows_of(said.out)
    assert [row[0] for row in rows] == ["upos", "arc", "tree-depth"]
    task, _, layer, of, num, score, control, type_, majority, untrained = rows[0]
    (record,) = [each for each in records(study) if each.task == task and not each.is_untrained]
    assert (layer, of, num) == (f"{record.best.layer}", "of", "2")
    assert score == f"{100 * record.best.value:.1f}"
    assert record.best.control is not None
    assert control == f"{100 * record.best.control:.1f}"
    assert (type_, majority) == ("100.0", "40.0")  # a word has one tag; two in five are nouns
    assert record.num_examples == 30 * 5
    assert float(untrained) >= 0
    assert rows[2][6:8] == ["—", "—"]  # trees have neither types nor a control
    assert "x is split by the names of its files" in said.out
    assert not [*Path(study).glob("**/.lmcompare-*")]


def test_json_has_every_layer_and_all_settings(
    command: Command, study: Path, treebank: Path
) -> None:
    options = ["--treebank", treebank, "--format", "json", "--no-untrained"]
    said = command("probe", study, *options, "--tasks", "upos", "--layers", "2,0")
    (found,) = json.loads(said.out)
    assert [each["layer"] for each in found["layers"]] == found["wanted"] == [0, 2]
    assert (found["task"], found["probe"], found["words"]) == ("upos", "linear", "mean")
    assert found["classes"] == ["DET", "NOUN", "VERB"]
    assert found["num_train"] == 60 * 5
    for probe, words in (("mlp", "first"), ("mdl", "last")):
        more = ["--tasks", "upos", "--layers", "1", "--probe", probe, "--words", words]
        said = command("probe", study, *options, *more)
        rows = {each["probe"]: each for each in json.loads(said.out)}
        assert rows[probe]["words"] == words
        (layer,) = rows[probe]["layers"]
        assert (layer["codelength"] is not None) == (probe == "mdl")
    assert {each.probe for each in records(study)} == {"linear", "mlp", "mdl"}


def test_which_classes_are_taken_for_which(command: Command, study: Path, treebank: Path) -> None:
    options = ["--treebank", treebank, "--tasks", "next-word,upos", "--no-untrained"]
    plain = command("probe", study, *options).out
    said = command("probe", study, *options, "--confusion").out
    assert said.startswith(plain.rstrip("\n"))
    more = said.removeprefix(plain.rstrip("\n"))
    (record,) = [each for each in records(study) if each.task == "next-word"]
    assert sum(map(sum, record.confusion)) == record.num_examples
    right = sum(row[n] for n, row in enumerate(record.confusion))
    assert right / record.num_examples == pytest.approx(record.best.value)
    of_class = {
        (record.classes[true], record.classes[said]): (num, sum(row))
        for true, row in enumerate(record.confusion)
        for said, num in enumerate(row)
    }
    _, *shown = [line.split() for line in more.split("next-word, ")[1].splitlines()[1:]]
    num_shown = 0
    for cells in shown:
        if len(cells) == 4:
            (true, taken, times, share), num_shown = cells, num_shown + 1
            assert f"{of_class[true, taken][0]}" == times
            assert f"{of_class[true, taken][0] / of_class[true, taken][1]:.1%}" == share
    assert num_shown > 3


def test_a_decoder_of_one_stack_is_one_line_and_others_go_on(
    command: Command, study: Path, corpus: Path, treebank: Path
) -> None:
    assert command("train", "-o", "t5", *flags(corpus)).code == 0
    options = ["--treebank", treebank, "--tasks", "upos", "--no-untrained", "--stack", "decoder"]
    said = command("probe", study, *options)
    assert said.code == 1
    assert said.err.count("clm has one stack only: leave --stack decoder out") == 1
    assert [each.states_of for each in records(study)] == ["decoder"]
    ((task, name, *_),) = rows_of(said.out)
    assert (task, name[:2]) == ("upos", "t5")


def test_what_was_probed_is_not_probed_again(
    command: Command, study: Path, treebank: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ["--treebank", treebank, "--tasks", "upos,tree-distance", "--layers", "0,2"]
    first = command("probe", study, *options)
    assert first.code == 0
    measured = []
    monkeypatch.setattr(measure, "states", lambda *_, **__: measured.append(1) or 1 / 0)
    again = command("probe", study, *options)
    assert (again.code, again.out, measured) == (0, first.out, [])
    with pytest.raises(ZeroDivisionError):
        command("probe", study, *options, "--force")
    monkeypatch.undo()


def test_an_interrupted_command_goes_on_where_it_was(
    command: Command, study: Path, treebank: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ["--treebank", treebank, "--tasks", "upos,tree-distance", "--no-untrained"]

    def stop(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(measure, "probe_trees", stop)
        said = command("probe", study, *options)
    assert said.code == 130
    assert "Traceback" not in said.err
    assert [each.task for each in records(study)] == ["upos"]
    assert [*(cache / "states").iterdir()] == []

    probed = []
    whole = measure.probe_classes
    monkeypatch.setattr(
        measure, "probe_classes", lambda *a, **k: probed.append(1) or whole(*a, **k)
    )
    said = command("probe", study, *options)
    assert said.code == 0
    assert probed == []
    assert {row[0] for row in rows_of(said.out)} == {"tree-distance", "upos"}


def test_a_limit_takes_so_many_sentences_of_each_part(
    command: Command, study: Path, treebank: Path
) -> None:
    options = ["--treebank", treebank, "--tasks", "upos", "--no-untrained", "--limit", "11"]
    assert command("probe", study, *options).code == 0
    (record,) = records(study)
    assert (record.num_train, record.num_items, record.num_examples) == (55, 11, 55)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ([], "no treebank is named"),
        (["--treebank", "nowhere.conllu"], "there is no treebank at nowhere.conllu"),
        (["--treebank", "BANK", "--tasks", "upso"], "did you mean 'upos'?"),
        (["--treebank", "BANK", "--tasks", "xpos"], "xpos needs parts of speech of the language"),
        (["--treebank", "BANK", "--tasks", "upos", "--layers", "7"], "layer"),
        (["--treebank", "BANK", "--layers", "-1"], "numbered from 0, the embedding"),
        (["--treebank", "BANK", "--layers", "x"], "layers"),
        (["--treebank", "BANK", "--limit", "3"], "limit"),
        (["--treebank", "BANK", "--probe", "deep"], "probe"),
        (["--treebank", "BANK", "--seed", ""], "seed"),
        (["--treebank", "BANK", "--tasks", "upos", "--disk-gb", "1e-9"], "choose fewer --layers"),
        (["--treebank", "BROKEN"], "broken.conllu, line 2 has the head 9"),
        (["--treebank", "BROKEN", "--treebank", "BANK"], "broken.conllu, line 2 has the head 9"),
    ],
)
def test_bad_input_is_one_line(
    command: Command, study: Path, treebank: Path, options: list[str], says: str
) -> None:
    good = command("probe", study, "--treebank", treebank, "--tasks", "upos", "--no-untrained")
    assert good.code == 0
    kept = {path: path.read_bytes() for path in study.glob("*/eval/*")}
    (treebank.parent / "broken.conllu").write_text(
        "1\ta\t_\t_\t_\t_\t0\t_\t_\t_\n2\tb\t_\t_\t_\t_\t9\t_\t_\t_\n"
    )
    places = {"BANK": str(treebank), "BROKEN": str(treebank.parent / "broken.conllu")}
    said = command("probe", study, *(places.get(each, each) for each in options))
    assert said.code in (1, 2), said
    assert says in " ".join(said.err.replace("│", " ").split()), said.err
    assert "Traceback" not in said.err
    assert said.out == ""
    assert {path: path.read_bytes() for path in study.glob("*/eval/*")} == kept


def test_probes_have_a_command_of_their_own(command: Command, study: Path) -> None:
    said = command("eval", study, "--tasks", "probes")
    assert the_error(said) == "there is a command for probes: `lmcompare probe --help`"


def test_sentences_of_the_training_text_are_warned_of(
    command: Command, study: Path, corpus: Path, tmp_path: Path
) -> None:
    """Known by what they begin with, however long tokens are; what is common is not enough."""
    texts = [" and ".join(block(5 * n + m, text=True) for m in range(5)) for n in range(50)]
    assert len({text[1:50] for text in texts}) == 50
    lines = [
        "\n".join(f"{n}\t{form}" + "\t_" * 8 for n, form in enumerate(text.split(), 1))
        for text in texts
    ]
    path = tmp_path / "bank.conllu"
    path.write_text("\n\n".join(lines), encoding="utf-8")
    options = ["--treebank", path, "--tasks", "word", "--no-untrained", "--layers", "0"]
    said = command("probe", study, *options)
    (clean,) = records(study)
    assert "sentences of bank stand in the text" not in said.err
    assert "sentences that the model was trained on" not in clean.counts

    text = tmp_path / "held.txt"
    text.write_text(corpus.read_text() + "\n" + "\n\n".join(texts[:20]) + "\n", encoding="utf-8")
    assert command("train", "-o", "mlm", *flags(text)).code == 0
    said = command("probe", study, *options)
    assert said.code == 0, said
    (known,) = [each for each in records(study) if each.arm == "mlm"]
    num = known.counts["sentences that the model was trained on"]
    assert 10 < num <= 20  # some texts fall into the validation or the test split
    assert f"{num} of 50 sentences of bank stand in the text that " in said.err


def test_from_python(study: Path, treebank: Path) -> None:
    runs = lmcompare.load(study)
    found = lmcompare.evaluate(
        runs, "probes", treebank=[treebank], tasks=["upos"], layers=[0, 1], untrained=False
    )
    ((run, record),) = found
    assert isinstance(record, ProbeRecord)
    assert [each.layer for each in record.layers] == [0, 1]
    assert run.path.parent == study
