"""The run directory: its states, its lock, its place, and what a broken one says."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lmcompare.errors import UserError
from lmcompare.evaluation.likelihood.record import LikelihoodRecord
from lmcompare.runs.finding import find_runs
from lmcompare.runs.metrics_file import MetricsFile
from lmcompare.runs.record_files import SCHEMA
from lmcompare.runs.records import MetricsLine
from lmcompare.runs.run import Run
from tests.tiny import Trainer, sentences, tiny

HOLD = (
    "import sys; from pathlib import Path; from lmcompare.runs.run import Run\n"
    "with Run(Path(sys.argv[1])).locked(): print('held', flush=True); sys.stdin.read()"
)


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[tuple[Run, "subprocess.Popen[str]"]]:
    """A run that another live process holds."""
    run = Run(tmp_path / "study" / "held")
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, run.path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield run, process
        process.kill()


def test_a_live_process_is_respected_and_a_dead_one_is_not(
    holder: tuple[Run, "subprocess.Popen[str]"], corpus: Path, train: Trainer
) -> None:
    run, process = holder
    config = tiny(corpus, "clm", "budget=3 steps")
    with pytest.raises(UserError) as error:
        train(config, run=run)
    said = str(error.value)
    assert str(run.path) in said
    assert f"(process {process.pid} on " in said
    assert run.state() == "running"
    assert not run.record_file.exists(), "nothing was written to it"
    process.kill()
    process.wait()
    assert run.state() == "empty"
    train(config, run=run)
    assert run.state() == "finished"


def test_states(corpus: Path, train: Trainer) -> None:
    config = tiny(corpus)
    run = train.place(config)
    assert run.state() == "empty"
    states: set[str] = set()
    train(config, stop_at=3, hear=lambda event: states.add(run.state()))
    assert states == {"running"}
    assert run.state() == "stopped"
    train(config)
    assert run.state() == "finished"
    assert [path.name for path in run.path.glob(".*")] == [".lock"]


@pytest.mark.slow
def test_whether_a_run_is_running_is_seen_where_one_may_only_read(
    holder: tuple[Run, "subprocess.Popen[str]"], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of a colleague's runs, in a folder that we may not write to."""
    run, process = holder
    open_file = os.open

    def may_only_read(path: Path, flags: int, mode: int = 0o777) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR):
            raise PermissionError(13, "Permission denied")
        return open_file(path, flags, mode)

    monkeypatch.setattr(os, "open", may_only_read)
    assert run.state() == "running"
    process.kill()
    process.wait()
    assert run.state() == "empty"


def test_records_of_another_schema_are_refused(corpus: Path, train: Trainer) -> None:
    config = tiny(corpus, "clm", "budget=3 steps")
    run = train(config)
    for file in (run.done_file, run.record_file):
        record = json.loads(file.read_text())
        assert record["schema_version"] == SCHEMA
        for version, said in (
            (SCHEMA + 1, rf"written in schema {SCHEMA + 1}, by a later .* reads schemas 1 to"),
            *((bad, "no valid .* its schema_version is") for bad in (0, -1, None, "2", True, 2.0)),
        ):
            file.write_text(json.dumps(record | {"schema_version": version}))
            with pytest.raises(UserError, match=said) as error:
                train(config)
            assert str(error.value).endswith("start the run again with `again=True`")
        file.unlink()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "invalid JSON"),
        (b"{", "invalid JSON"),
        (b"[]", "no valid"),
        (b"[" * 100_000, "recursion"),
        (b'{"seed": ' + b"1" * 5_000 + b"}", "integer string conversion"),
        (b"\xff\xfe", "invalid JSON"),
        (b'{"schema_version": 1}', "arm: Field required"),
        (b'{"schema_version": 1, "config": {"objective": "xlm"}}', "no objective is called 'xlm'"),
    ],
)
def test_broken_records_say_which_and_what_to_do(
    corpus: Path, train: Trainer, content: bytes, said: str
) -> None:
    config = tiny(corpus)
    run = train(config, stop_at=3)
    run.record_file.write_bytes(content)
    with pytest.raises(UserError) as error:
        train(config)
    assert str(error.value).startswith(f"{run.record_file} is no valid RunRecord")
    assert said in str(error.value)
    assert "\n" not in str(error.value)
    with pytest.raises(UserError, match="is no valid RunRecord"):
        run.record()


def test_a_field_more_is_no_valid_record(corpus: Path, train: Trainer) -> None:
    run = train(tiny(corpus, "clm", "budget=3 steps"))
    for file, read in ((run.record_file, run.record), (run.done_file, run.done)):
        content = json.loads(file.read_text())
        file.write_text(json.dumps(content | {"extra": 1}))
        with pytest.raises(UserError, match="its content does not match its checksum"):
            read()
        del content["checksum"]
        file.write_text(json.dumps(content | {"schema_version": 1, "extra": 1}))
        with pytest.raises(UserError, match="holds 'extra', which this lmcompare does not know"):
            read()


def test_no_run_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"is no run: it holds no run\.json"):
        Run(tmp_path).record()


def test_metrics_but_for_a_line_cut_off(tmp_path: Path) -> None:
    run = Run(tmp_path)
    assert list(run.metrics()) == []
    assert run.last_metrics() is None
    MetricsFile(run.metrics_file).cut_after(0)
    assert not run.metrics_file.exists()
    line = MetricsLine(
        step=1, tokens=2, targets=3, flops=4, seconds=5, loss=6, learning_rate=7, gradient_norm=8
    )
    for step in range(1, 300):
        run.add_metrics(line.model_copy(update={"step": step, "validation": step / 2}))
    with run.metrics_file.open("a") as file:
        file.write('{"step": 300, "to')
    assert [each.step for each in run.metrics()] == list(range(1, 300))
    assert (last := run.last_metrics()) is not None
    assert last.step == 299
    assert last.spent.targets == 3
    assert run.last_validation() == 149.5
    before = run.metrics_file.read_bytes()
    MetricsFile(run.metrics_file).cut_after(7)
    assert before.startswith(run.metrics_file.read_bytes()), "what is kept is kept to the byte"
    assert len(run.metrics_file.read_text().splitlines()) == 7


def test_a_tokenizer_or_counts_that_were_lost_are_restored(corpus: Path, train: Trainer) -> None:
    config = tiny(corpus, "clm", "budget=3 steps")
    run = train(config)
    for file, read in (
        (run.counts_file, run.token_counts),
        (run.tokenizer_file, run.tokenizer),
    ):
        content = file.read_bytes()
        for damaged, said in ((None, "is missing"), (content[:-9], "has changed")):
            file.unlink()
            if damaged is not None:
                file.write_bytes(damaged)
            with pytest.raises(UserError, match=f"{said}.*: the same `lmcompare train` restores"):
                read()
            train(config)
            assert file.read_bytes() == content
    assert "restored tokenizer.json and counts.safetensors" in train.messages


def test_what_is_lost_is_not_restored_from_another_text(tmp_path: Path, train: Trainer) -> None:
    text = tmp_path / "text.txt"
    text.write_text(sentences(307))
    run = train(tiny(text, "clm", "budget=3 steps"))
    run.tokenizer_file.unlink()
    text.write_text(sentences(299))
    with pytest.raises(UserError, match="cannot be restored as its text has changed"):
        train(tiny(text, "clm", "budget=3 steps"), run=run)


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("one/a", "one/b", "two/a"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "run.json").touch()
    monkeypatch.setattr(Run, "record", lambda run: None)
    (tmp_path / "one" / "study.toml").touch()
    (tmp_path / "none").mkdir()
    return tmp_path


def test_runs_are_found_by_run_study_study_file_and_folder_of_studies(tree: Path) -> None:
    def found(*places: str) -> list[str]:
        return [
            str(run.path.relative_to(tree)) for run in find_runs([tree / place for place in places])
        ]

    assert found("one/a") == ["one/a"]
    assert found("one") == ["one/a", "one/b"]
    assert found("one/study.toml") == ["one/a", "one/b"]
    assert found(".") == ["one/a", "one/b", "two/a"]
    assert found("one/b", "one", ".") == ["one/b", "one/a", "two/a"], "each once"


def test_where_no_run_is(tree: Path) -> None:
    with pytest.raises(UserError, match=r"no run or study at .*nowhere: start one with"):
        find_runs([tree / "nowhere"])
    with pytest.raises(UserError, match="none holds no run yet"):
        find_runs([tree / "none"])


def test_results_of_one_text_scoring_and_window_replace_one_another(tmp_path: Path) -> None:
    run = Run(tmp_path)
    record = LikelihoodRecord(
        arm="clm",
        seed=0,
        source="/a text/with: signs.txt",
        text="0123456789",
        scoring="causal",
        likelihood="exact",
        step=3,
        window=16,
        stride=8,
        num_documents=1,
        num_bytes=8,
        num_tokens=4,
        nats=2.0,
        unigram_nats=3.0,
    )
    kept = run.results.write(record, [])
    (place,) = (tmp_path / "eval").glob("*.json")
    assert run.results.read(LikelihoodRecord) == [kept]
    run.results.write(record.model_copy(update={"step": 5}), [])
    assert [*(tmp_path / "eval").glob("*.json")] == [place]
    assert [each.step for each in run.results.read(LikelihoodRecord)] == [5]
    for other in ({"window": 32}, {"stride": 4}, {"scoring": "x"}, {"text": "z"}, {"source": "y"}):
        run.results.write(record.model_copy(update=other), [])
    assert len(run.results.read(LikelihoodRecord)) == 6
    place.write_text("{")
    with pytest.raises(UserError, match="the same `lmcompare eval --force` measures it"):
        run.results.read(LikelihoodRecord)


def test_bits_are_counted_by_byte_and_by_token() -> None:
    record = LikelihoodRecord.model_construct(
        nats=8 * 0.6931471805599453, unigram_nats=16 * 0.6931471805599453, num_bytes=4, num_tokens=2
    )
    assert record.bits_per_byte == pytest.approx(2)
    assert record.bits_per_token == pytest.approx(4)
    assert record.unigram_bits_per_byte == pytest.approx(4)
