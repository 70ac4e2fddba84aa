"""`lmcompare check` as a user meets it."""

import json
import re
from pathlib import Path

import pytest

from lmcompare.config.study import Planned
from lmcompare_cli import options
from tests.tiny import Command, flags, the_error, tiny
from tests.training.test_cost import Copying


def test_the_table(command: Command, corpus: Path) -> None:
    said = command("check", "-o", "clm", *flags(corpus))
    assert said.code == 0
    text, head, row, blank, times, foretold, note, memory = said.out.splitlines()
    assert text.startswith(f"{corpus}: 307 documents")
    assert " ".join(head.split()) == (
        "arm seed size parameters steps tokens epochs targets FLOPs memory"
    )
    assert row.split()[:3] == ["clm", "0", "nano"]
    assert row.split()[4:6] == ["3", "384"]
    assert blank == ""
    assert " ".join(times.split()) == (
        "arm training time FLOPs to evaluate time FLOPs for infilling time"
    )
    assert foretold.split()[0] == "clm"
    assert foretold.count("~") == 3
    assert "within a factor of about two" in note
    assert row.endswith(" GB")
    assert re.fullmatch(r"Memory is what training takes .* There are [0-9.]+ GB\.", memory)
    assert said.err == ""
    assert not Path("experiments").exists()


def test_json_and_train_agree(command: Command, corpus: Path) -> None:
    (foretold,) = json.loads(command("check", "-o", "clm", *flags(corpus), "-f", "json").out)
    path = Path(command("train", "-o", "clm", *flags(corpus)).out.strip())
    done = json.loads((path / "done.json").read_text())
    assert foretold["arm"] == "clm"
    assert foretold["steps"] == done["spent"]["steps"]
    assert foretold["tokens"] == done["spent"]["tokens"]


def test_seconds_have_no_count(command: Command, corpus: Path) -> None:
    lines = command("check", "-o", "clm", *flags(corpus, budget="5 seconds")).out.splitlines()
    assert lines[2].split()[4:9] == ["—"] * 5
    assert lines[5].split()[:2] == ["clm", "—"]


def test_a_study(command: Command, corpus: Path) -> None:
    Path("two.toml").write_text(
        f'[shared]\nseeds = [0, 1]\ndata.source = "{corpus}"\ntokenizer.kind = "bytes"\n'
        'batch.length = 17\n[[arm]]\nobjective = "clm"\n[[arm]]\nobjective = "mlm"\n'
    )
    rows = json.loads(command("check", "two.toml", "--format", "json").out)
    assert [(row["arm"], row["seed"]) for row in rows] == [
        ("clm", 0),
        ("mlm", 0),
        ("clm", 1),
        ("mlm", 1),
    ]
    assert rows[0]["num_parameters"] == rows[1]["num_parameters"]
    assert rows[0]["targets"] > rows[1]["targets"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["-o", "xlm"], "no objective is called 'xlm'"),
        (["-o", "clm", "-s", "batch.length=99999"], "fewer than one block"),
        (["-o", "clm", "--data", "nowhere"], "no file, folder or match for 'nowhere'"),
        (["-o", "clm", "-s", "data.document=banana"], "data.document cannot be 'banana'"),
        ([], "no objective is given"),
    ],
)
def test_errors_are_one_line(command: Command, corpus: Path, given: list[str], said: str) -> None:
    assert said in the_error(command("check", *flags(corpus), *given))


def test_an_encoder_is_shown_with_both_ways_to_match_it(
    command: Command, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = tiny(corpus, "clm", "model.layers=4")
    both = plain.model_copy(update={"objective": Copying(), "model": plain.model.with_encoder()})
    planned = [Planned(arm="clm", config=plain), Planned(arm="copy", config=both)]
    monkeypatch.setattr(options, "planned_runs", lambda *_, **__: planned)
    said = command("check")
    first, second, _ = said.out.split("\n\n")
    assert [line.split()[2:7] for line in first.splitlines()[3:]] == [
        ["nano,", "1", "+", "2", "layers"]
    ]
    head, *rows = second.splitlines()
    assert " ".join(head.split()) == (
        "arm matched on encoder + decoder parameters ratio FLOPs a step ratio"
    )
    assert [row.split()[:-5] for row in rows] == [
        ["copy", "—", "(causal", "decoder)", "0", "+"],
        ["copy", "parameters", "1", "+"],
        ["copy", "flops", "4", "+"],
    ]
    causal, copy = json.loads(command("check", "--format", "json").out)
    assert (causal["encoder_layers"], causal["layers"], causal["depths"]) == (0, 4, [])
    assert (copy["encoder_layers"], copy["layers"]) == (1, 2)
    assert [depth["match"] for depth in copy["depths"]] == [None, "parameters", "flops"]
    assert copy["depths"][0]["num_parameters"] == causal["num_parameters"]
