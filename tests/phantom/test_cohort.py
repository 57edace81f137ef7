"""Synthetic cohorts on disk: the same heart for a seed, whatever surrounds it."""

import csv
import hashlib
import json
import os
import signal
import subprocess
import sys
import time

import nibabel as nib
import numpy as np
import pydicom
import pytest

from cinecmr.anatomy import Contrast, Disease
from cinecmr.errors import RefusedInput
from cinecmr.phantom import dicom_words
from cinecmr.phantom.cohort import Cohort, read_truth, subject_name, write
from cinecmr.phantom.dicom_faults import FAULTS
from cinecmr.phantom.formats import Format

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


DICOM = {"frames": 2, "matrix": 32}


def test_dicom_habits_are_part_of_what_a_subject_is(tmp_path):
    plan = Cohort(1, seed=4, vendor="philips-enhanced", faults=("missing-slice",), syntax="rle", **DICOM)
    write(tmp_path, plan)
    assert read_truth(tmp_path / subject_name(4))["facts"]["vendor"] == "Philips"
    written = [pydicom.dcmread(path) for path in tmp_path.rglob("*.dcm")]
    assert len(written) == 4
    assert {ds.SOPClassUID.name for ds in written} == {"Enhanced MR Image Storage"}
    assert {ds.file_meta.TransferSyntaxUID.name for ds in written} == {"RLE Lossless"}
    recipe = read_truth(tmp_path / subject_name(4))["recipe"]
    assert (recipe["vendor"], recipe["faults"], recipe["syntax"]) == ("philips-enhanced", ["missing-slice"], "rle")


def test_a_machine_that_is_asked_for_by_name_takes_its_own_number_of_frames(tmp_path):
    write(tmp_path, Cohort(1, seed=4, format=Format.NIFTI, frames=None, matrix=32, machine="ge-1.5t"))
    truth = read_truth(tmp_path / subject_name(4))
    assert (truth["facts"]["model"], truth["recipe"]["machine"]) == ("Signa HDxt", "ge-1.5t")
    assert nib.load(tmp_path / subject_name(4) / f"{subject_name(4)}.nii.gz").shape[3] == 20


def test_a_machine_that_nobody_has_is_refused_before_anything_is_made(tmp_path):
    with pytest.raises(RefusedInput, match="no scanner 'ge-9t': there are siemens") as refusal:
        write(tmp_path / "out", Cohort(1, machine="ge-9t"))
    assert refusal.value.code == "unknown-scanner"
    assert not (tmp_path / "out").exists()


def test_no_file_of_an_earlier_recipe_is_left_to_mix_with_the_new_ones(tmp_path):
    write(tmp_path, Cohort(1, seed=4, vendor="siemens", **DICOM))
    write(tmp_path, Cohort(1, seed=4, vendor="philips-enhanced", **DICOM))
    assert len(list(tmp_path.rglob("*.dcm"))) == 4
    assert not list(tmp_path.rglob("unfinished"))


def test_dicom_files_that_the_command_did_not_write_are_never_removed(tmp_path):
    theirs = tmp_path / subject_name(4) / "dicom" / "mine.dcm"
    theirs.parent.mkdir(parents=True)
    theirs.write_bytes(b"somebody's own")
    with pytest.raises(RefusedInput, match="was not written by this command") as refusal:
        write(tmp_path, Cohort(1, seed=4, **DICOM))
    assert refusal.value.code == "would-overwrite"
    assert theirs.read_bytes() == b"somebody's own"


@pytest.mark.parametrize(
    ("habits", "words"),
    [
        ({"faults": ("missing-fase",)}, r"no fault 'missing-fase': there are missing-phase"),
        ({"vendor": "simens"}, r"no vendor 'simens': there are siemens"),
        ({"faults": ("shared-place",), "vendor": "ge"}, "is one of enhanced objects"),
        ({"faults": ("missing-slice",), "format": Format.NIFTI}, "are those of DICOM files"),
    ],
)
def test_what_cannot_be_written_is_refused_before_anything_is_made(tmp_path, habits, words):
    with pytest.raises(RefusedInput, match=words):
        write(tmp_path / "out", Cohort(1, **habits))
    assert not (tmp_path / "out").exists()


def test_every_fault_has_its_line_in_the_list():
    assert dicom_words.WORDS.keys() == FAULTS.keys()
    assert all(5 < len(said) < 100 for said in dicom_words.WORDS.values())


@pytest.mark.slow
def test_a_killed_run_of_two_processes_goes_on_and_ends_as_one_process_would(tmp_path):
    habits = {"faults": ("missing-phase",), "vendor": "siemens-xa", "seed": 7, **DICOM}
    code = (
        "from cinecmr.phantom.cohort import Cohort, write\nfrom pathlib import Path\n"
        f"if __name__ == '__main__': write(Path({str(tmp_path / 'killed')!r}), Cohort(4, **{habits!r}), workers=2)"
    )
    script = tmp_path / "make.py"
    script.write_text(code)
    running = subprocess.Popen([sys.executable, script], start_new_session=True)
    while not list((tmp_path / "killed").rglob("truth.json")):
        assert running.poll() is None, "ended before it could be killed"
        time.sleep(0.05)
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    first = min((tmp_path / "killed").rglob("truth.json"), key=lambda path: path.stat().st_mtime_ns)
    before = first.stat().st_mtime_ns
    assert not (tmp_path / "killed" / "truth.csv").exists()
    write(tmp_path / "killed", Cohort(4, **habits), workers=2)
    write(tmp_path / "whole", Cohort(4, **habits))
    assert sums(tmp_path / "killed") == sums(tmp_path / "whole")
    assert first.stat().st_mtime_ns == before
    assert not list((tmp_path / "killed").rglob("unfinished"))


def test_late_pictures_go_beside_the_cine_and_the_truth_says_so(tmp_path):
    write(tmp_path / "cine", Cohort(1, 5, **DICOM))
    write(tmp_path / "both", Cohort(1, 5, contrasts=(Contrast.LGE,), **DICOM))

    def slices(folder):
        headers = [pydicom.dcmread(path, stop_before_pixels=True) for path in folder.rglob("*.dcm")]
        return sorted(str(header.SeriesDescription) for header in headers)

    cine, both = slices(tmp_path / "cine"), slices(tmp_path / "both")
    assert read_truth(tmp_path / "both" / "phantom00005")["recipe"]["contrasts"] == ["lge"]
    added = [name for name in both if name not in cine]
    assert len(added) >= 8  # a slice a file
    assert len(both) == len(cine) + len(added)


def test_a_second_visit_is_the_same_heart_in_a_folder_of_its_own(tmp_path):
    write(tmp_path, Cohort(1, 5, **DICOM))
    write(tmp_path, Cohort(1, 5, rescan=1, **DICOM))
    first, second = (read_truth(tmp_path / name) for name in ("phantom00005", "phantom00005-visit2"))
    for name in ("LVEDV", "LVM", "RVEDV"):
        assert second["measurements"][name] == pytest.approx(first["measurements"][name])
    assert sums(tmp_path / "phantom00005" / "dicom") != sums(tmp_path / "phantom00005-visit2" / "dicom")


def test_severity_goes_from_healthy_to_the_full_disease(tmp_path):
    fractions = []
    for severity in (0.0, 1.0):
        out = tmp_path / f"{severity:g}"
        write(out, Cohort(1, 5, disease=Disease.DCM, severity=severity, **DICOM))
        fractions.append(read_truth(out / "phantom00005")["measurements"]["LVEF"])
    assert fractions[0] > fractions[1] + 10


@pytest.mark.parametrize(
    ("asked", "words"), [({"severity": 1.5}, "from 0, healthy, to 1, got 1.5"), ({"rescan": -1}, "counted from 0")]
)
def test_a_heart_that_cannot_be_is_refused(tmp_path, asked, words):
    with pytest.raises(RefusedInput, match=words):
        write(tmp_path / "out", Cohort(1, **asked))
