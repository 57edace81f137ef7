"""Tutorials are programs, and each runs to its end from nothing, in a folder of its own, without a network."""

import os
import re
import subprocess
import sys
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "tutorials"
pytestmark = [pytest.mark.slow, pytest.mark.skipif(not FOLDER.is_dir(), reason="installed without the documentation")]

SAYS = {  # what a reader is promised to see
    "analyze_a_study": ("LVEF", "'report.html'"),
    "learn_from_pictures": ("pre-trained: Dice of the left ventricle", "from nothing: Dice of the left ventricle"),
    "motion_and_strain": ("folded muscle: 0.0%", "GCS", "on average"),
    "screen_without_contrast": ("research triage", "asking 2"),
}


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """What a tutorial prints, run once, as a reader runs it; warnings are errors there, too."""
    return cache(lambda name: run(name, tmp_path_factory.mktemp(name)))


def shut():
    """The program that closes the network to a process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).resolve().parent))
        return import_module("release").SHUT


def run(name, folder):
    (folder / "shut").mkdir()
    (folder / "shut" / "sitecustomize.py").write_text(shut())
    given = os.environ | {"PYTHONPATH": str(folder / "shut"), "OMP_NUM_THREADS": "1"}
    words = [sys.executable, "-W", "error", str(FOLDER / f"{name}.py")]
    ended = subprocess.run(words, cwd=folder, env=given, capture_output=True, text=True, timeout=1800)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def test_every_tutorial_is_run():
    assert {path.stem for path in FOLDER.glob("*.py")} == set(SAYS)


@pytest.mark.parametrize("name", SAYS)
def test_a_tutorial_runs_to_its_end_and_shows_what_it_promises(name, told):
    said = told(name)
    assert [words for words in SAYS[name] if words not in said] == []


def test_the_wall_of_the_tutorial_is_followed_within_a_third_of_its_way(told):
    said = told("motion_and_strain")
    moved, missed = re.findall(r"(?:moved|by) (\d+\.\d) mm", said)
    assert float(missed) < float(moved) / 3
