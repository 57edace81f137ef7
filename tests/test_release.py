"""What strangers install is whole: built, installed where no checkout is known, run without a network."""

import importlib.util
import json
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("build") is None, reason="the package `build` is not installed"),
    pytest.mark.skipif(importlib.util.find_spec("hatchling") is None, reason="hatchling is not installed"),
]


def maker():
    import sys

    sys.path.insert(0, str(ROOT / "tests"))
    try:
        import release
    finally:
        sys.path.remove(str(ROOT / "tests"))
    return release


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    return maker().build(tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="module")
def programs(built, tmp_path_factory):
    return maker().lent(tmp_path_factory.mktemp("environment"), built.wheel)


def test_every_file_of_the_package_is_in_the_wheel_and_nothing_else(built):
    own = {
        path.relative_to(ROOT / "src").as_posix()
        for path in (ROOT / "src" / "cinecmr").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    held = set(zipfile.ZipFile(built.wheel).namelist())
    assert {name for name in held if ".dist-info/" not in name} == own
    assert any(name.endswith(".safetensors") for name in own)


def test_no_path_of_the_machine_that_built_it_is_in_the_wheel(built):
    archive = zipfile.ZipFile(built.wheel)
    assert [name for name in archive.namelist() if str(ROOT).encode() in archive.read(name)] == []


def test_the_source_holds_what_is_needed_to_test_and_to_document_it(built):
    with tarfile.open(built.sdist) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    assert {
        "README.md", "LICENSE", "CHANGELOG.md", "pyproject.toml", "constraints.txt", "mkdocs.yml",
        "tests/test_release.py", "docs/_site/hooks.py",
    } - held == set()  # fmt: skip
    assert [name for name in held if name.startswith(("out/", "runs/", "site/", ".venv/"))] == []


def test_the_wheel_alone_is_content_with_itself(programs, tmp_path):
    told = maker().run(programs, tmp_path, "doctor")
    assert told.returncode == 0, told.stdout + told.stderr
    assert "SHA-256 as the card says" in told.stdout


def test_the_wheel_alone_measures_a_heart_where_there_is_no_network(programs, tmp_path):
    run = maker().run
    made = run(programs, tmp_path, "phantom", "--out", "hearts", "--frames", 8, "--matrix", 64, "--seed", 3)
    assert made.returncode == 0, made.stderr
    (study,) = [path for path in (tmp_path / "hearts").iterdir() if path.is_dir()]
    told = run(programs, tmp_path, "analyze", study, "--out", "report")
    assert told.returncode in (0, 4), told.stdout + told.stderr
    findings = json.loads((tmp_path / "report" / "findings.json").read_text())
    assert findings["measurements"]["LVEDV"]["source"].startswith("labels of sax-unet@")
    assert (tmp_path / "report" / "report.html").is_file()


def test_the_wheel_alone_knows_nothing_of_this_checkout(programs, tmp_path):
    import subprocess

    asked = "import cinecmr, sys; print(cinecmr.__file__); print(sys.path)"
    told = subprocess.run(
        [programs / "python", "-I", "-c", asked], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    place, path = told.stdout.splitlines()
    assert Path(place).is_relative_to(programs.parent)
    assert str(ROOT / "src") not in path
