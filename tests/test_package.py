"""What is installed: two packages, typed, and a command."""

import ast
import subprocess
import sys
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

from tests import ROOT


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT]
    built = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert built.returncode == 0, built.stdout + built.stderr
    (found,) = folder.glob("*.whl")
    return found


def test_a_wheel_holds_both_packages_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    distribution = f"{'-'.join(wheel.name.split('-')[:2])}.dist-info"
    assert {name.split("/")[0] for name in names} == {"lmcompare", "lmcompare_cli", distribution}
    assert {"lmcompare/py.typed", "lmcompare_cli/py.typed"} <= set(names)
    assert any(name.endswith("LICENSE") for name in names)
    sources = {
        *(str(path.relative_to(ROOT)) for path in ROOT.glob("lmcompare/**/*.py")),
        *(str(path.relative_to(ROOT / "cli")) for path in ROOT.glob("cli/**/*.py")),
    }
    assert {name for name in names if name.endswith(".py")} == sources
    entry = zipfile.ZipFile(wheel).read(f"{distribution}/entry_points.txt").decode()
    assert "lmcompare = lmcompare_cli.app:main" in entry


def test_the_citation_and_the_licence_are_of_this_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    citation = (ROOT / "CITATION.cff").read_text().splitlines()
    assert f"version: {project['version']}" in citation
    assert f"license: {project['license']}" in citation


@pytest.mark.parametrize("package", ["lmcompare", "cli"])
def test_files_and_functions_stay_short(package: str) -> None:
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    for path in ROOT.glob(f"{package}/**/*.py"):
        text = path.read_text()
        assert len(text.splitlines()) <= 300, path
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, functions):
                assert (node.end_lineno or 0) - node.lineno < 80, f"{path}: {node.name}"


@pytest.mark.slow
def test_the_wheel_installs_and_answers(wheel: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", with_pip=True)
    binaries = tmp_path / "venv" / "bin"
    install = [binaries / "pip", "install", "--quiet", "-c", ROOT / "constraints.txt", wheel]
    subprocess.run(install, check=True, timeout=1800)
    answer = subprocess.run(
        [binaries / "lmcompare", "--help"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert "What does a pre-training objective buy?" in answer.stdout
