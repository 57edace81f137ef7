"""Synthetic cohorts on disk: the same heart for a seed, whatever surrounds it."""

import csv
import hashlib
import json

import nibabel as nib
import numpy as np
import pytest

from cinecmr.anatomy import Disease
from cinecmr.phantom.cohort import Cohort, Format, read_truth, subject_name, write

SMALL = {"format": Format.NIFTI, "frames": 3, "matrix": 40}


def sums(folder):
    """Hash of every file, by path; NIfTI by its content, for gzip writes the time."""
    found = {}
    for path in sorted(folder.rglob("*.*")):
        data = nib.load(path).dataobj if path.name.endswith(".nii.gz") else None
        content = path.read_bytes() if data is None else np.asarray(data).tobytes()
        found[str(path.relative_to(folder))] = hashlib.sha256(content).hexdigest()
    return found


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    out = tmp_path_factory.mktemp("two")
    write(out, Cohort(2, seed=5, **SMALL))
    return out


def test_a_subject_is_the_same_in_a_cohort_of_one_and_of_two(two, tmp_path):
    write(tmp_path, Cohort(1, seed=6, **SMALL))
    assert sums(tmp_path / subject_name(6)) == sums(two / subject_name(6))


@pytest.mark.slow
def test_two_processes_write_what_one_writes(two, tmp_path):
    write(tmp_path, Cohort(2, seed=5, **SMALL), workers=2)
    assert sums(tmp_path) == sums(two)


def test_a_stopped_run_goes_on_and_a_finished_subject_is_not_made_again(two, tmp_path):
    plan = Cohort(2, seed=5, **SMALL)
    write(tmp_path, Cohort(1, seed=5, **SMALL))
    finished = (tmp_path / subject_name(5) / "truth.json").stat().st_mtime_ns
    half = tmp_path / subject_name(6)
    half.mkdir()
    (half / f"{subject_name(6)}.nii.gz").write_bytes(b"half a file")
    heard: list[float] = []
    write(tmp_path, plan, progress=heard.append)
    assert sums(tmp_path) == sums(two)
    assert (tmp_path / subject_name(5) / "truth.json").stat().st_mtime_ns == finished
    assert heard == [0.5, 1.0]


def test_another_recipe_is_not_taken_for_the_finished_one(tmp_path):
    write(tmp_path, Cohort(1, seed=5, **SMALL))
    before = sums(tmp_path)
    write(tmp_path, Cohort(1, seed=5, disease=Disease.HCM, **SMALL))
    assert sums(tmp_path) != before
    assert read_truth(tmp_path / subject_name(5))["disease"] == "hcm"


def test_the_table_says_what_each_subject_says(two):
    with (two / "truth.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["subject"] for row in rows] == ["phantom00005", "phantom00006"]
    for row in rows:
        truth = json.loads((two / row["subject"] / "truth.json").read_text())
        assert float(row["LVEDV_ml"]) == pytest.approx(truth["measurements"]["LVEDV"], abs=1e-3)
        ef = 100 * (1 - float(row["LVESV_ml"]) / float(row["LVEDV_ml"]))
        assert float(row["LVEF_percent"]) == pytest.approx(ef, abs=0.01)


def test_ed_and_es_stand_alone_as_the_frames_of_the_cine_and_in_three_dimensions(two):
    name = subject_name(5)
    folder, truth = two / name, read_truth(two / name)
    for suffix in ("", "_gt"):
        cine = nib.load(folder / f"{name}{suffix}.nii.gz")
        for phase in ("ED", "ES"):
            one = nib.load(folder / f"{name}_{phase}{suffix}.nii.gz")
            assert one.shape == cine.shape[:3]
            np.testing.assert_allclose(one.affine, cine.affine)
            frame = np.asarray(cine.dataobj)[..., truth["cycle"][f"LV_{phase}"]]
            np.testing.assert_array_equal(np.asarray(one.dataobj), frame)
