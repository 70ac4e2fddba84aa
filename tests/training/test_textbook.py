"""The study of the textbook's question: its file is made once, and then it is the user's."""

from pathlib import Path

import pytest

from lmcompare.config.study import read_study
from lmcompare.errors import UserError
from lmcompare.objectives import OBJECTIVES
from lmcompare.training.textbook import write_study


def test_two_objectives_by_default_and_all_if_wanted(tmp_path: Path) -> None:
    two = read_study(write_study(tmp_path / "two", given={}))
    assert [(each.arm, each.config.seed) for each in two] == [("clm", 0), ("mlm", 0)]
    every = read_study(write_study(tmp_path / "every", ["all"], given={"seeds": [0, 1]}))
    assert {each.arm for each in every} == {*OBJECTIVES}
    assert len(every) == 2 * len(OBJECTIVES)
    own = read_study(write_study(tmp_path / "own", ["t5", "t5"], given={"budget": "3 steps"}))
    assert [each.arm for each in own] == ["t5"]
    assert str(own[0].config.budget) == "3 steps"


def test_what_is_there_is_kept_and_nothing_else_is_taken_for_it(tmp_path: Path) -> None:
    path = write_study(tmp_path / "mine", ["clm"], given={"budget": "3 steps"})
    before = path.read_bytes()
    assert write_study(tmp_path / "mine", given={}) == path
    assert write_study(tmp_path / "mine", ["clm"], given={"budget": "3 steps"}) == path
    with pytest.raises(UserError, match="says otherwise"):
        write_study(tmp_path / "mine", ["clm"], given={"budget": "4 steps"})
    with pytest.raises(UserError, match="says otherwise"):
        write_study(tmp_path / "mine", ["mlm"], given={"budget": "3 steps"})
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("objectives", "given", "said"),
    [
        (["mlx"], {}, "mlm"),
        (["clm"], {"budget": "much"}, "budget"),
        (["clm"], {"sizes": "nano"}, "sizes"),
    ],
)
def test_what_makes_no_sense_leaves_no_file(
    tmp_path: Path, objectives: list[str], given: dict[str, str], said: str
) -> None:
    with pytest.raises(UserError, match=said):
        write_study(tmp_path / "mine", objectives, given=given)
    assert not (tmp_path / "mine" / "study.toml").exists()


def test_a_name_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is no name"):
        write_study(tmp_path / "a b", given={})
