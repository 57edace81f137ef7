"""From ten labelled subjects of one's own to a compared, evaluated model, through the installed command."""

import csv
import json
from functools import partial
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from cinecmr.anatomy import Disease
from cinecmr.datasets import Case, folder
from cinecmr.io.subject import subject_name
from cinecmr.phantom.study import synthetic_study

SMOKE = ("--scale", "smoke")


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    return tmp_path_factory.mktemp("ten")


def last(ended):
    """The path that a learning command prints at its end."""
    assert ended.code == 0, ended.err
    return Path(ended.out.splitlines()[-1].removeprefix("weights: "))


@pytest.fixture(scope="module")
def data(here):
    """Ten synthetic subjects as a user's own folder, 40 x 40 pixels, 3 frames."""
    ill = (Disease.NORMAL, Disease.DCM)
    folder.write(here / "data", [
        Case(f"phantom{n}", partial(heart, 300 + n, ill[n % 2]), disease=ill[n % 2], person=f"phantom{n}")
        for n in range(10)
    ])  # fmt: skip
    return here / "data"


def heart(seed, disease):
    return synthetic_study(seed, disease, frames=3, matrix=(40, 40), long_axis=False)


@pytest.fixture(scope="module")
def runs(cinecmr, here, data):
    """One run from pre-trained weights and a U-Net from none, both of the same split."""
    of = ("--out", here / "runs", *SMOKE, "--set", "updates=3", "--set", "patience=0")
    without = cinecmr("pretrain", "mae", data, "--out", here / "pre", *SMOKE, "--set", "settings.views=sax", *of[-4:-2])
    unet = last(cinecmr("finetune", "segmentation", data, *of, "--network", "unet")).parent
    return [unet, last(cinecmr("finetune", "segmentation", data, *of, "--start", last(without))).parent]


@pytest.fixture(scope="module")
def page(cinecmr, here, data, runs):
    ended = cinecmr("evaluate", "runs", *runs, "--data", data, "--out", here / "compared", "--by", "disease")
    assert ended.code == 0, ended.err
    return ended


def test_the_data_are_found_to_be_well(cinecmr, data):
    ended = cinecmr("datasets", "check", data)
    assert (ended.code, ended.out.splitlines()[-1]) == (0, "folder: 10 visits, 0 problems")


def test_people_are_parted_once_by_hashed_names_and_both_runs_keep_to_it(here, runs):
    split = json.loads((here / "runs" / "splits.json").read_text())
    assert {part: len(people) for part, people in split["parts"].items()} == {"train": 6, "val": 2, "test": 2}
    assert "phantom" not in json.dumps(split)
    for run in runs:
        assert json.loads((run / "summary.json").read_text())["split"] == split["sha256"]
        rows = list(csv.DictReader((run / "scores.csv").read_text().splitlines()))
        assert {row["subject"] for row in rows} == set(split["parts"]["test"])
    assert "start" in json.loads((runs[1] / "recipe.json").read_text())


def test_runs_are_compared_on_those_whom_neither_learned_from(here, runs, page):
    split = json.loads((here / "runs" / "splits.json").read_text())
    assert "8 of 10 visits are of people whom a run learned from: left out" in page.err
    told = json.loads((here / "compared" / "scores.json").read_text())
    assert told.keys() == {run.name for run in runs}
    for run in runs:
        assert set(told[run.name]) == set(split["parts"]["test"])
        own = {row["subject"]: row for row in csv.DictReader((run / "scores.csv").read_text().splitlines())}
        for subject, scores in told[run.name].items():
            assert scores["dice_lv"] == pytest.approx(float(own[subject]["dice_lv"]))
    assert f"{runs[1].name} minus {runs[0].name}" in page.out
    assert "## Worst tenth and failures" in page.out
    assert "| disease dcm |" in page.out.lower()
    bias = np.mean([one["lvef_found"] - one["lvef_true"] for one in told[runs[0].name].values()])
    assert f"| LVEF (points) | {runs[0].name} | 2 | {bias:+.2f} |" in page.out


def test_nobody_is_left_when_the_runs_learned_from_all(cinecmr, here, data, runs):
    kept = here / "kept"
    split = json.loads((here / "runs" / "splits.json").read_text())
    names = {row["subject"] for row in csv.DictReader((data / "subjects.csv").read_text().splitlines())}
    (kept / "images").mkdir(parents=True)
    for name in names:
        if subject_name(name) in split["parts"]["train"]:
            (kept / "images" / f"{name}.nii.gz").write_bytes((data / "images" / f"{name}.nii.gz").read_bytes())
    ended = cinecmr("evaluate", "runs", *runs, "--data", kept, "--out", here / "none")
    assert ended.code == 3
    assert "learned from everybody" in ended.err
    assert "[nothing-to-score]" in ended.err


def test_what_was_learned_draws_labels_on_the_images_own_grid(cinecmr, here, data, runs, monkeypatch):
    monkeypatch.setenv("CINECMR_MODELS", str(here / "models"))
    assert cinecmr("models", "import", runs[1], "--name", "mine").code == 0
    image = min((data / "images").iterdir())
    ended = cinecmr("segment", image, "--models", "mine", "--out", here / "labels")
    assert ended.code == 0, ended.err
    given, drawn = nib.load(image), nib.load(here / "labels" / image.name)
    assert drawn.shape == given.shape
    np.testing.assert_allclose(drawn.affine, given.affine, atol=1e-3)
