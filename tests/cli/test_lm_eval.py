"""`python -m lmcompare_cli.lm_eval` where the harness is not installed."""

import sys

import pytest

from lmcompare_cli import lm_eval


def test_without_the_harness_it_is_said_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "lm_eval", None)
    monkeypatch.setitem(sys.modules, "lm_eval.__main__", None)
    with pytest.raises(SystemExit) as ended:
        lm_eval.main()
    assert ended.value.code == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: lm-evaluation-harness cannot be used")
    assert line.endswith("pip install 'lmcompare[lm-eval]'")
