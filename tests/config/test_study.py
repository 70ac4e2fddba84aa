"""Study files: arms differ in their objective, and in what they say they differ in."""

from pathlib import Path

import pytest

from lmcompare.config.study import Planned, read_study, require_name
from lmcompare.errors import UserError
from tests import ROOT

TWO_ARMS = '[[arm]]\nobjective = "clm"\n[[arm]]\nobjective = "mlm"\n'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "study.toml"


def read(file: Path, content: str) -> list[Planned]:
    file.write_text(content, encoding="utf-8")
    return read_study(file)


def refused(file: Path, content: str) -> str:
    with pytest.raises(UserError) as error:
        read(file, content)
    said = str(error.value)
    assert str(file) in said, "which file it was"
    assert "\n" not in said
    return said


def test_arms_share_everything_but_the_objective(file: Path) -> None:
    shared = (
        '[shared]\nseeds = [3, 5]\nmodel = "micro"\nbudget = "7 steps"\n[shared.batch]\nrows = 2\n'
    )
    planned = read(file, shared + TWO_ARMS)
    assert [(each.arm, each.config.seed) for each in planned] == [
        ("clm", 3),
        ("mlm", 3),
        ("clm", 5),
        ("mlm", 5),
    ], "seed by seed, so that a study that is cut short still compares"
    rest = [each.config.model_dump(exclude={"objective", "seed"}) for each in planned]
    assert rest == rest[:1] * 4
    assert rest[0]["model"]["layers"] == 6
    assert rest[0]["batch"]["rows"] == 2


def test_a_study_needs_no_shared_table(file: Path) -> None:
    assert [each.config.seed for each in read(file, TWO_ARMS)] == [0, 0]


def test_one_seed_is_a_seed(file: Path) -> None:
    assert [each.config.seed for each in read(file, f"[shared]\nseed = 7\n{TWO_ARMS}")] == [7, 7]


def test_objectives_with_settings_and_names(file: Path) -> None:
    arms = (
        '[[arm]]\nname = "mlm-30"\nobjective = { name = "mlm", rate = 0.3 }\n'
        '[[arm]]\nname = "mlm-15"\nobjective = "mlm"\n'
    )
    found = {each.arm: each.config.objective.model_dump() for each in read(file, arms)}
    assert {arm: fields["rate"] for arm, fields in found.items()} == {"mlm-30": 0.3, "mlm-15": 0.15}


@pytest.mark.parametrize(
    "change",
    [
        "batch = { rows = 3 }",
        "batch.rows = 3",
        "optimizer = { learning_rate = 0.1, warmup = 0.2 }",
        'budget = "3 steps"',
        'model = "micro"',
        "model = { layers = 3 }",
    ],
)
def test_a_difference_that_is_not_declared_is_refused(file: Path, change: str) -> None:
    said = refused(file, f'[[arm]]\nobjective = "clm"\n{change}\n')
    key = change.split("=")[0].strip()
    assert f"the arm clm changes {key}" in said
    assert f'varies = ["{key}' in said


def test_a_declared_difference_is_allowed(file: Path) -> None:
    arms = (
        '[[arm]]\nobjective = "clm"\nvaries = ["batch.rows", "optimizer"]\nbatch.rows = 3\n'
        '[arm.optimizer]\nwarmup = 0.25\n[[arm]]\nobjective = "mlm"\n'
    )
    clm, mlm = read(file, "[shared.batch]\nlength = 64\n" + arms)
    assert (clm.config.batch.rows, clm.config.batch.length) == (3, 64), "the rest stays shared"
    assert clm.config.optimizer.warmup == 0.25
    assert (mlm.config.batch.rows, mlm.config.optimizer.warmup) == (16, 0.05)


def test_what_varies_covers_its_parts_only(file: Path) -> None:
    arm = '[[arm]]\nobjective = "clm"\nvaries = ["batch.row"]\nbatch.rows = 3\n'
    assert "changes batch.rows" in refused(file, arm)


def test_a_part_of_a_model_that_is_shared_by_name_keeps_the_rest(file: Path) -> None:
    arm = '[[arm]]\nobjective = "clm"\nvaries = ["model.layers"]\nmodel.layers = 3\n'
    (planned,) = read(file, f'[shared]\nmodel = "micro"\n{arm}')
    model = planned.config.model
    assert (model.preset, model.layers, model.width) == ("micro", 3, 256)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[shared\n", "is not valid TOML"),
        ("[shared]\nseed = 1\nseed = 2\n", "is not valid TOML"),
        ("", "has no arm"),
        ("[shared]\nseed = 1\n", "has no arm"),
        ('[arm]\nobjective = "clm"\n', "has no arm"),
        ("arm = [1, 2]\n", "has no arm"),
        (f"[[arms]]\n{TWO_ARMS}", "there is no table 'arms': did you mean 'arm'?"),
        (f"shared = 3\n{TWO_ARMS}", "shared is a table of settings, not 3"),
        (f'[shared]\nobjective = "clm"\n{TWO_ARMS}', "move it from [shared] to [[arm]]"),
        (f"[shared]\nseeds = [1, 1]\n{TWO_ARMS}", "seeds is a list of different numbers"),
        (f"[shared]\nseeds = []\n{TWO_ARMS}", "seeds is a list of different numbers"),
        (f"[shared]\nseeds = 3\n{TWO_ARMS}", "seeds is a list of different numbers"),
        (f"[shared]\nseeds = [{{}}]\n{TWO_ARMS}", "seed cannot be {}"),
        (f"[shared]\nseeds = [1]\nseed = 2\n{TWO_ARMS}", "both seed and seeds"),
        (f"[shared]\nbatch.row = 3\n{TWO_ARMS}", "arm clm: there is no setting 'batch.row'"),
        (f'[shared]\nbudget = "3 stepz"\n{TWO_ARMS}', "did you mean 'steps'"),
        ("[[arm]]\nvaries = []\n", "an arm has no objective"),
        ("[[arm]]\nobjective = 3\n", "an arm has no objective"),
        ("[[arm]]\nobjective = { rate = 0.3 }\n", "an arm has no objective"),
        ('[[arm]]\nobjective = "clmm"\n', "arm clmm: no objective is called 'clmm'"),
        ('[[arm]]\nobjective = "clm"\nname = "a/b"\n', "'a/b' is no name"),
        ('[[arm]]\nobjective = "clm"\nname = ""\n', "'' is no name"),
        ('[[arm]]\nobjective = "clm"\nname = ".."\n', "'..' is no name"),
        ('[[arm]]\nobjective = "clm"\nvaries = "seed"\n', "varies of the arm clm is a list"),
        ('[[arm]]\nobjective = "clm"\nseed = 3\nvaries = ["seed"]\n', "seeds of its own"),
        ('[[arm]]\nobjective = "clm"\n' * 2, "two arms have the same name"),
        (
            '[shared]\nseeds = [1, 2]\n[[arm]]\nobjective = "clm"\n'
            '[[arm]]\nname = "clm"\nobjective = "mlm"\n',
            "two arms have the same name",
        ),
    ],
)
def test_what_is_wrong_is_said(file: Path, content: str, said: str) -> None:
    assert said in refused(file, content)


def test_files_that_cannot_be_read(file: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read: No such file"):
        read_study(file)
    with pytest.raises(UserError, match="cannot be read: Is a directory"):
        read_study(tmp_path)
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match=r"study.toml' is not UTF-8: in line 1, byte 0 is 0xff"):
        read_study(file)


@pytest.mark.parametrize("name", ["clm", "mlm-30", "a.b_c", "größe", "0"])
def test_names_that_are_fit_for_a_folder(name: str) -> None:
    assert require_name(name) == name


def test_the_studies_that_come_with_the_code() -> None:
    files = sorted(ROOT.glob("experiments/*/study.toml"))
    assert files
    for file in files:
        assert len({each.arm for each in read_study(file)}) > 1
