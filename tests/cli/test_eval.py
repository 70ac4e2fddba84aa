"""`lmcompare eval` as a user meets it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lmcompare.config.run import parse_run
from lmcompare.evaluation.generation.record import GenerationRecord
from lmcompare.evaluation.infilling.record import InfillingRecord
from lmcompare.evaluation.likelihood.record import LikelihoodRecord
from lmcompare.runs.run import Run
from tests.tiny import COMMAND, Command, TrainOnce, flags, sentences, the_error

SHORT = ["--prompt-tokens", "5", "--new-tokens", "7"]
WRITE = ["--tasks", "generation", *SHORT]


@pytest.fixture
def study(train_once: TrainOnce, corpus: Path) -> Path:
    """A causal and a masked run."""
    for objective in ("clm", "mlm"):
        train_once("-o", objective, *flags(corpus, budget="2 steps"))
    return Path("experiments/default")


def test_the_table(command: Command, study: Path) -> None:
    said = command("eval", study, "--limit", "60")
    assert said.code == 0
    head, *rows = said.out.splitlines()
    assert " ".join(head.split()) == (
        "run scoring kind bits/byte std. error bits/token unigram bits/byte trigram bits/byte "
        "bytes tokens"
    )
    assert [row.split()[1:3] for row in rows] == [
        ["causal", "exact"],
        ["pll", "pseudo"],
        ["pll-word", "pseudo"],
    ]
    assert all(row.split()[0] in {path.name for path in study.iterdir()} for row in rows)
    [(num_bytes, num_tokens)] = {tuple(map(int, row.split()[-2:])) for row in rows}
    assert 50 <= num_bytes == num_tokens <= 60, "cut before a space, and a token is a byte"
    assert "cannot be compared" in said.err


def test_json_holds_it_all(command: Command, study: Path) -> None:
    said = command("eval", study, "--limit", "60", "--format", "json")
    rows = json.loads(said.out)
    assert [row["scoring"] for row in rows] == ["causal", "pll", "pll-word"]
    for row in rows:
        (record,) = [
            each
            for each in Run(Path(row["run"])).results.read(LikelihoodRecord)
            if each.scoring == row["scoring"]
        ]
        assert row["nats"] == record.nats
        assert row["bits_per_byte"] == record.bits_per_byte
        assert row["likelihood"] == record.likelihood
        run = Run(Path(row["run"])).record()
        assert (row["arm"], row["seed"], row["step"]) == (run.arm, 0, record.step)
        assert row["objective"] == run.config.objective.name
        assert {"name": row["objective"], **row["hyperparameters"]} == row["config"]["objective"]
        assert parse_run(row["config"]) == run.config
        assert (row["window"], row["stride"]) == (record.window, record.stride)
    assert "Traceback" not in said.err


def test_json_says_what_was_changed_of_an_objective(
    command: Command, corpus: Path, tmp_path: Path
) -> None:
    changes = ["objective.rate=0.3", "optimizer.clip=0.5"]
    run = command("train", "-o", "mlm", *flags(corpus, *changes)).out.strip()
    (row, _) = json.loads(command("eval", run, "--limit", "60", "--format", "json").out)
    assert row["changed"] == {"rate": 0.3}
    assert row["hyperparameters"]["rate"] == 0.3
    assert len(row["hyperparameters"]) > 1
    assert row["config"]["optimizer"]["clip"] == 0.5


HIDDEN = ["one", "15%", "50%", "second half"]
KEYS = [*HIDDEN[:3], "end"]


def test_hidden_tokens(command: Command, study: Path) -> None:
    said = command("eval", study, "--tasks", "infilling", "--texts", "3")
    assert said.code == 0
    head, *rows = said.out.splitlines()
    assert " ".join(head.split()) == (
        "run length asked hidden given scoring kind bits/byte std. error bits/token unigram "
        "bits/byte bytes tokens"
    )
    cells = [" ".join(row.split()[1:]).replace("second half", "end") for row in rows[:-8]]
    told = [cell.split()[1:5] for cell in cells if cell.startswith("told")]
    both = [["one", "both", "sides"], ["15%", "both", "sides"], ["50%", "both", "sides"]]
    both += [["end", "first", "half"]]
    assert told == [
        ["in-order", "one", "both", "sides"],
        ["in-order", "15%", "left", "side"],
        ["in-order", "50%", "left", "side"],
        ["in-order", "end", "first", "half"],
        *(["in-order", *each] for each in both),
        *(["at-once", *each] for each in both),
        *(["surest-first", *each] for each in both),
    ]
    untold = [cell.split()[:5] for cell in cells if cell.startswith("untold")]
    assert untold == [["untold", "in-order", hidden, "—", "—"] for hidden in KEYS] * 2
    assert rows[-1] == (
        "- — second half, length untold: mlm does not say where a hole ends: it must be told its "
        "length"
    )
    assert "left side only cannot be compared" in said.err
    files = sorted(path.name for path in study.glob("*/eval/*.json"))
    assert len(files) == 24
    assert command("eval", study, "--tasks", "infilling", "--texts", "3").out == said.out


def test_all_tasks_at_once(command: Command, study: Path) -> None:
    options = ["--texts", "2", "--limit", "60", *SHORT]
    said = command("eval", study, "--tasks", "all", *options, "--format", "json")
    assert said.code == 0
    rows = json.loads(said.out)
    assert [row["task"] for row in rows] == (
        ["likelihood"] * 3 + ["infilling"] * 24 + ["generation"] * 2
    )
    asked = rows[3:27]
    assert [row["hidden"] for row in asked] == HIDDEN * 6
    assert [row["bits_per_byte"] is None for row in asked] == [
        row["form"] == "untold" for row in asked
    ]
    assert all((row["reason"] is None) == (row["form"] == "told") for row in asked)
    for row in asked:
        (record,) = [
            each
            for each in Run(Path(row["run"])).results.read(InfillingRecord)
            if (each.hidden, each.form, each.protocol)
            == (row["hidden"], row["form"], row["protocol"])
        ]
        assert row["nats"] == record.nats
        assert row["bits_per_token"] == record.bits_per_token
    for tasks in (
        ["generation,likelihood,infilling"],
        ["infilling, likelihood", "generation"],
        ["likelihood", "infilling", "generation"],
    ):
        given = [part for task in tasks for part in ("--tasks", task)]
        assert command("eval", study, *given, *options, "--format", "json").out == said.out
    shown = command("eval", study, "--tasks", "all", *options).out
    assert shown.count("\n\n") == 3
    assert all(part.startswith("run") for part in shown.split("\n\n"))


@pytest.fixture
def judge(train_once: TrainOnce, corpus: Path) -> Path:
    """A causal run of another study."""
    (found,) = train_once("-o", "clm", "--out", "other", *flags(corpus, "seed=3"))
    return found


def test_what_is_written(command: Command, study: Path, judge: Path) -> None:
    options = [*WRITE, "--texts", "3", "--judge", judge]
    options += ["--temperature", "0.5", "--temperature", "1", "--steps", "2"]
    said = command("eval", study, *options)
    assert said.code == 0
    written, taken = (part.splitlines() for part in said.out.split("\n\n"))
    assert " ".join(written[0].split()) == (
        "run method settings judge bits/byte std. error entropy distinct-1 distinct-2 std. error "
        "self-BLEU repetition verbatim words/text"
    )
    assert " ".join(taken[0].split()) == (
        "run method settings passes/token FLOPs/token tokens/s alone tokens/s together "
        "first token, ms memory, MB"
    )
    ways = [
        "left-to-right temperature 0.5",
        "left-to-right temperature 1",
        "mask-predict temperature 0.5, steps 2",
        "mask-predict temperature 1, steps 2",
    ]
    for way, row, cost in zip(ways, written[1:], taken[1:], strict=False):
        assert " ".join(row.split()[1:]).startswith(way)
        assert " ".join(cost.split()[1:]).startswith(way)
        assert float(row.split()[-10]) > 0, "bits of the judge"
        assert len(row.split()) == len(way.split()) + 1 + 10
        assert len(cost.split()) == len(way.split()) + 1 + 6
        assert "—" not in cost.rpartition(" ")[0], "memory is known on Linux alone"
    assert written[5].startswith("the text itself ")
    assert len(written) == 6
    (about, timed) = taken[5:]
    assert about.startswith(f"- judge: {judge.name} (clm, ")
    assert timed.endswith(", 1 threads, 32 texts together")
    assert "no more than clm, mlm: a judge should know better" in said.err
    files = sorted(path.name for path in study.glob("*/eval/*.json"))
    assert len(files) == 4
    assert command("eval", study, *options).out == said.out


def test_further_ways_to_choose_tokens_are_rows_of_their_own(command: Command, study: Path) -> None:
    """Of the runs that obey them."""
    options = [*WRITE, "--texts", "2", "--decoding", "beams=2, length-penalty=0.5"]
    said = command("eval", study, *options, "--decoding", "greedy", "--format", "json")
    assert said.code == 0
    found = [(row["method"], row["sampler"]) for row in json.loads(said.out)]
    assert found == [
        ("left-to-right", {"temperature": 1.0}),
        ("left-to-right", {"beams": 2, "length_penalty": 0.5}),
        ("left-to-right", {"greedy": True}),
        ("mask-predict", {"temperature": 1.0}),
        ("mask-predict", {"greedy": True}),
    ]


def test_what_is_written_without_a_judge(
    command: Command, study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sacrebleu", None)
    said = command("eval", study, *WRITE, "--texts", "2", "--method", "threshold")
    written, taken = (part.splitlines() for part in said.out.split("\n\n"))
    assert written[1].split()[1:] == ["—"] * 11
    assert taken[1].split()[1:] == ["—"] * 7
    assert written[2].split()[1:6] == ["threshold", "temperature", "1", "—", "—"]
    assert [cell == "—" for cell in written[2].split()[4:]] == [
        *(True, True, False, False, False, False, True, False, True, False)
    ], "no judge, no sacrebleu, too short to be verbatim"
    assert taken[-1] == "- — clm: clm does not write by 'threshold': known: left-to-right"
    assert "No judge: name one with --judge RUN" in said.err
    assert "No self-BLEU: it needs sacrebleu (pip install 'lmcompare[measures]')" in said.err


def test_what_is_written_as_json(command: Command, study: Path, judge: Path) -> None:
    said = command("eval", study, *WRITE, "--texts", "2", "--judge", judge, "--format", "json")
    rows = json.loads(said.out)
    assert [row["method"] for row in rows] == ["left-to-right", "mask-predict"]
    for row in rows:
        (record,) = Run(Path(row["run"])).results.read(GenerationRecord)
        assert record.written is not None
        assert row["written"]["judge_nats"] == record.written.judge_nats
        assert row["judge_bits_per_byte"] == record.written.judge_bits_per_byte
        assert row["reference_bits_per_byte"] == record.reference.judge_bits_per_byte
        assert row["settings"] == "temperature 1"
        assert row["sampler"] == {"temperature": 1.0}


def test_who_judges_is_not_judged(command: Command, study: Path, judge: Path) -> None:
    said = command("eval", study, judge, *WRITE, "--judge", judge)
    assert f"the judge {judge} is one of the runs that are judged" in the_error(said)
    (masked,) = study.glob("mlm-*")
    said = command("eval", judge, *WRITE, "--judge", masked)
    assert "is a run of mlm, which gives no exact probability of a text" in the_error(said)
    assert not [*Path().glob("**/generation-*")]


@pytest.mark.slow
def test_a_terminal_without_dashes(study: Path, cache: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, "eval", study, "--tasks", "all", "--texts", "2", *SHORT],
        env={**os.environ, "PYTHONIOENCODING": "ascii", "LMCOMPARE_CACHE": str(cache)},
        capture_output=True,
        check=True,
    )
    assert b"- second half, length untold: mlm does not say where a hole ends" in done.stdout


def test_what_was_measured_is_kept_unless_forced(command: Command, study: Path) -> None:
    first = command("eval", study, "--limit", "60")
    files = sorted(study.glob("*/eval/*"))
    assert len(files) == 6
    times = [file.stat().st_mtime_ns for file in files]
    assert command("eval", study, "--limit", "60").out == first.out
    assert [file.stat().st_mtime_ns for file in files] == times
    assert command("eval", study, "--limit", "60", "--force").out == first.out
    assert all(file.stat().st_mtime_ns > before for file, before in zip(files, times, strict=True))


def test_another_text(command: Command, study: Path, tmp_path: Path) -> None:
    text = tmp_path / "other.txt"
    text.write_text(sentences(3, seed=5))
    said = command("eval", study, "--data", text, "--limit", "0", "--format", "json")
    for row in json.loads(said.out):
        assert row["source"] == str(text)
        assert row["num_bytes"] == len(sentences(3, seed=5).replace("\n", "").encode())
    lines = command("eval", study, "--data", text, "--document", "line", "--format", "json")
    assert {row["num_documents"] for row in json.loads(lines.out)} == {3}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--data", "nowhere.txt"], "there is no file, folder or match for 'nowhere.txt'"),
        (["--data", "here.txt", "--document", "banana"], "data.document cannot be 'banana'"),
        (["--document", "line"], "--document says how --data is read"),
        (["--scoring", "banana"], "clm cannot be scored by 'banana': known: causal"),
        (["--window", "8", "--stride", "8"], "a stride of 8 tokens does not fit windows of 8"),
        (["--device", "banana"], "there is no device 'banana'"),
        (["--batch-size", "none"], "--batch-size is a number of rows, 1 or more, or auto"),
        (["--batch-size", "0"], "or auto, not '0'"),
        (["--tasks", "banana"], "there is no task 'banana'"),
        (["--tasks", "likelihood,"], "there is no task ''"),
        (["--tasks", "infilling", "--texts", "0"], "choose --texts 1 or more"),
        (["--tasks", "infilling", "--length", "2"], "choose --length 8 or more"),
        (["--tasks", "infilling", "--data", "here.txt"], "no document of 8 tokens or more"),
        (["--tasks", "all"], "rows of 33 tokens, and 16 of a prompt, 48 new ones and the start"),
        ([*WRITE, "--texts", "0"], "0 texts leave nothing to do: choose --texts 1 or more"),
        ([*WRITE, "--new-tokens", "0"], "0 is no number of tokens: choose --new-tokens 1 or more"),
        ([*WRITE, "--temperature", "0"], "a temperature of 0 divides by nothing"),
        ([*WRITE, "--method", "thresholds"], "writes by 'thresholds': did you mean 'threshold'?"),
        ([*WRITE, "--method", "left-to-right", "--steps", "3"], "no run has use of --steps"),
        (
            [*WRITE, "--decoding", "beam=2"],
            "sets 'beam', which is not a setting of sampling: did you",
        ),
        (
            [*WRITE, "--decoding", "beams"],
            "beams cannot be true: input should be a valid integer",
        ),
        (
            [*WRITE, "--decoding", "greedy,top_k=3"],
            "greedy takes the likeliest token, which leaves",
        ),
        ([*WRITE, "--decoding", "entropy=1"], "no run writes in a way that has use of entropy 1"),
        (["--decoding", "greedy"], "--decoding is about what is written, which is not asked for"),
        ([*WRITE, "--data", "here.txt"], "no document with 12 known tokens in a row"),
        ([*WRITE, "--judge", "nowhere"], "there is no run or study at nowhere"),
        ([*WRITE, "--judge", "experiments"], "holds 2 runs, and one is the judge: name that"),
        (["--judge", "experiments"], "--judge is about what is written, which is not asked for"),
        (["--steps", "3", "--top-p", "0.9"], "--steps, --top-p is about what is written"),
    ],
)
def test_errors_are_one_line(command: Command, study: Path, options: list[str], said: str) -> None:
    Path("here.txt").write_text("Here.")
    result = command("eval", study, *options)
    assert said in the_error(result)
    assert result.out == ""


def test_no_run(command: Command) -> None:
    assert "no run or study at nowhere" in the_error(command("eval", "nowhere"))
    Path("nothing").mkdir()
    assert "nothing holds no run yet" in the_error(command("eval", "nothing"))


def test_a_protocol_is_the_same_for_all(command: Command, study: Path) -> None:
    options = ["--texts", "2", "--protocol", "at-once", "--format", "json"]
    rows = json.loads(command("eval", study, "--tasks", "infilling", *options).out)
    assert {row["protocol"] for row in rows} == {"at-once"}
    assert {row["arm"] for row in rows if row["nats"] is not None} == {"mlm"}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--tasks", "infilling", "--protocol", "atonce"], "'atonce': did you mean 'at-once'?"),
        (["--protocol", "at-once"], "--protocol is about hidden tokens, which is not asked for"),
    ],
)
def test_protocols_that_make_no_sense(
    command: Command, study: Path, given: list[str], said: str
) -> None:
    found = command("eval", study, *given)
    assert found.code == 1
    assert said in found.err
