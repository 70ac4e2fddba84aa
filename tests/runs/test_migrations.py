"""Records of every schema are read as what they were, and nothing on the disk changes."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lmcompare.config.run import parse_run
from lmcompare.errors import UserError
from lmcompare.evaluation.infilling.record import InfillingRecord
from lmcompare.evaluation.likelihood.record import LikelihoodRecord
from lmcompare.evaluation.probes.record import ProbeItem
from lmcompare.evaluation.tasks.record import TaskItem, TaskRecord
from lmcompare.runs import checkpoints
from lmcompare.runs.migrations import without_given
from lmcompare.runs.record_files import SCHEMA, Record
from lmcompare.runs.records import DoneRecord, ResultRecord, RunRecord
from lmcompare.runs.run import Run

OLD = {schema: next(Path(__file__).with_name(f"schema_{schema}").iterdir()) for schema in (1, 2, 3)}


def records_of(run: Run) -> Iterator[Record]:
    yield run.record()
    done = run.done()
    assert done is not None
    yield done
    yield from checkpoints.records(run.checkpoints)
    for kind in (LikelihoodRecord, InfillingRecord):
        yield from run.results.read(kind)


@pytest.mark.parametrize("schema", OLD)
def test_each_record_of_a_run_is_read_and_left_as_it_is(schema: int, tmp_path: Path) -> None:
    run = Run(shutil.copytree(OLD[schema], tmp_path / "run"))
    before = {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}
    records = list(records_of(run))
    assert {type(record).__name__ for record in records} == {
        "RunRecord", "DoneRecord", "CheckpointRecord", "LikelihoodRecord", "InfillingRecord"
    }  # fmt: skip
    assert {record.schema_version for record in records} == {schema}
    assert {record.verified for record in records} == {schema > 1}
    assert {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("schema", OLD)
def test_the_configuration_is_kept_as_it_was(schema: int) -> None:
    """Its encoder is none, and the values are those of the file, whatever the defaults are now."""
    record = Run(OLD[schema]).record()
    written = json.loads((OLD[schema] / "run.json").read_text())["config"]
    config = record.config.model_dump(mode="json")
    assert written["runtime"].pop("tensorboard") is False  # what boards were called then
    assert config["runtime"]["boards"] == []
    for table, settings in written.items():
        if isinstance(settings, dict):
            assert {key: config[table][key] for key in settings} == settings
        else:
            assert config[table] == settings
    assert record.config.defaults == written.get("defaults", 1)
    given = record.given | {"defaults": record.config.defaults}
    assert parse_run(given).identity == record.config.identity


def test_what_a_task_was_asked_has_other_names_since_schema_4() -> None:
    records = Run(OLD[3]).results.read(TaskRecord)
    asked = ("asked", "causal of whole sentences, summed")
    assert [(each.protocol, each.description) for each in records] == [asked] * 2


def test_scores_of_items_have_other_names_since_schema_4() -> None:
    results = Run(OLD[3]).results
    for record, scores in zip(results.read(TaskRecord), ([0.0, 1.0], [0.0, 0.0]), strict=True):
        items = results.items(record, TaskItem)
        assert [(item.score, item.max_score) for item in items] == [(each, 1.0) for each in scores]
    old = {"sentence": 3, "possible": 7, "gained": [2, 5], "unseen_possible": 1.5, "unseen": [1, 0]}
    new = ProbeItem(sentence=3, max_score=7, score=(2, 5), unseen_max_score=1.5, unseen=(1, 0))
    assert ProbeItem.model_validate_json(json.dumps(old)) == new
    assert ProbeItem.model_validate_json(new.model_dump_json()) == new


@pytest.mark.parametrize(
    ("model", "given"),
    [
        ({}, (0, None)),
        ({"match": "flops"}, (0, None)),
        ({"layers": 3, "encoder_layers": 5}, (5, None)),
    ],
)
def test_an_encoder_that_an_objective_brought_was_not_given(
    model: dict[str, int], given: tuple[int, int | None]
) -> None:
    config = parse_run({"objective": "t5", "model": model, "defaults": 1})
    content = without_given({"config": config.model_dump(mode="json", exclude={"defaults"})})
    found = content["given"]["model"]
    assert (found["encoder_layers"], found["decoder_layers"]) == given
    assert parse_run(content["given"] | {"defaults": 1}) == parse_run(content["config"]) == config


@pytest.mark.parametrize("content", [{}, {"config": 3}, {"config": {}}, {"config": {"model": []}}])
def test_what_is_malformed_is_left_to_the_validation(content: dict[str, Any]) -> None:
    assert without_given(content) == content


def test_what_is_on_the_disk_is_verified_before_it_is_migrated(tmp_path: Path) -> None:
    text = (OLD[2] / "run.json").read_text()
    for changed in (
        text.replace('"seed": 0', '"seed": 1'),
        text.replace('"schema_version": 2', '"schema_version": 3'),
        text.replace('"arm": "clm"', '"given": {}, "arm": "clm"'),
    ):
        assert changed != text
        (tmp_path / "run.json").write_text(changed)
        with pytest.raises(UserError, match="does not match its checksum"):
            RunRecord.read(tmp_path / "run.json")


def test_a_result_that_knows_more_is_told_of(tmp_path: Path) -> None:
    """A later version of the same schema may have added a field."""

    class MoreRecord(LikelihoodRecord):
        surprise: float

    run = Run(shutil.copytree(OLD[2], tmp_path / "run"))
    (result,) = run.results.read(LikelihoodRecord)
    (file,) = run.path.glob("eval/likelihood-*.json")
    MoreRecord(**dict(result), surprise=0.5).write(file)
    told: list[str] = []
    assert run.results.read(LikelihoodRecord, told.append) == []
    [said] = told
    assert said.startswith(f"left out: {file} holds 'surprise', which this lmcompare does not know")
    assert "use the version that wrote it" in said
    with pytest.raises(UserError, match="holds 'surprise'"):
        run.results.read(LikelihoodRecord)


def test_migrations_lead_from_schema_to_schema() -> None:
    for kind in (RunRecord, DoneRecord, ResultRecord, checkpoints.CheckpointRecord):
        assert {*kind.migrations} <= {*range(1, SCHEMA)}
    assert {*OLD} == {*range(1, SCHEMA)}, "a finished run of each earlier schema is kept here"
