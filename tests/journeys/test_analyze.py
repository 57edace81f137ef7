"""From files to a report, through the command, reading what it wrote."""

import csv
import json
from functools import partial

import nibabel as nib
import numpy as np
import pytest

from cinecmr.phantom import study

WRITTEN = {"findings.json", "measurements.csv", "labels_sax.nii.gz", "report.html", "study.npz"}


@pytest.fixture(scope="module")
def cohort(cinecmr, tmp_path_factory):
    """One synthetic subject as NIfTI, 64 x 64 pixels, 10 frames."""
    out = tmp_path_factory.mktemp("cohort")
    words = ("--subjects", 1, "--seed", 11, "--format", "nifti", "--frames", 10, "--matrix", 64, "--disease", "normal")
    ended = cinecmr("phantom", "--out", out, *words)
    assert ended.code == 0, ended.err
    return out


@pytest.fixture(scope="module")
def analysed(installed, cohort, tmp_path_factory):
    """The subject measured by the installed command from its true labels, so that no model is in play."""
    out = tmp_path_factory.mktemp("analysed")
    folder = cohort / "phantom00011"
    ended = installed(
        "analyze", folder / "phantom00011.nii.gz", "--out", out, "--labels", folder / "phantom00011_gt.nii.gz",
        "--height", 172, "--weight", 70, "--sex", "F", "--age", 61,
    )  # fmt: skip
    assert ended.code in (0, 4), ended.err
    return ended, out, json.loads((out / "findings.json").read_text())


def true_values(cohort):
    with (cohort / "truth.csv").open() as file:
        (row,) = csv.DictReader(file)
    return row


def test_the_five_files_are_there_and_nothing_else(analysed):
    _, out, _ = analysed
    assert {path.name for path in out.iterdir()} == WRITTEN


def test_volumes_of_true_labels_are_near_those_of_the_geometry(analysed, cohort):
    found, truth = analysed[2]["measurements"], true_values(cohort)
    for name in ("LVEDV", "LVESV", "RVEDV"):  # two pixels of 4 mm wide walls and 10 mm slices: a fifth, not more
        assert found[name]["value"] == pytest.approx(float(truth[f"{name}_ml"]), rel=0.2)
    assert found["LVEF"]["value"] == pytest.approx(float(truth["LVEF_percent"]), abs=8)


def test_terminal_json_and_csv_say_the_same(analysed):
    ended, out, findings = analysed
    with (out / "measurements.csv").open() as file:
        rows = {row["name"]: float(row["value"]) for row in csv.DictReader(file)}
    assert rows == pytest.approx({name: entry["value"] for name, entry in findings["measurements"].items()}, abs=1e-5)
    (line,) = [line for line in ended.out.splitlines() if line.startswith("  LVEF")]
    assert f"{rows['LVEF']:.0f} %" in line
    assert ("research use, not for diagnosis") in ended.out


def test_the_exit_code_tells_whether_a_flag_was_raised(analysed):
    ended, _, findings = analysed
    grave = [flag for flag in findings["flags"] if flag["severity"] != "note"]
    assert ended.code == (4 if grave else 0)
    assert findings["status"] == ("flags" if grave else "done")


def test_what_the_user_said_is_in_the_file_and_indexes_the_volumes(analysed):
    findings = analysed[2]
    assert findings["facts"]["sex"] == "F"
    bsa = findings["measurements"]["BSA"]["value"]
    assert bsa == pytest.approx((172 * 70 / 3600) ** 0.5)
    assert findings["measurements"]["LVEDVi"]["value"] == pytest.approx(
        findings["measurements"]["LVEDV"]["value"] / bsa
    )
    assert "--height 172" in findings["provenance"]["options"]
    assert findings["conventions"]["papillary"] == "papillary_in_volume"


def test_the_label_map_lies_on_the_studys_own_grid(analysed, cohort):
    given = nib.load(cohort / "phantom00011" / "phantom00011_gt.nii.gz")
    written = nib.load(analysed[1] / "labels_sax.nii.gz")
    assert written.shape == given.shape
    np.testing.assert_allclose(written.affine, given.affine, atol=1e-3)
    np.testing.assert_array_equal(np.asarray(written.dataobj), np.asarray(given.dataobj))


def test_measuring_the_written_labels_again_gives_the_same_numbers(cinecmr, analysed, cohort, tmp_path):
    _, out, findings = analysed
    image = cohort / "phantom00011" / "phantom00011.nii.gz"
    ended = cinecmr("analyze", image, "--out", tmp_path / "again", "--labels", out / "labels_sax.nii.gz")
    assert ended.code in (0, 4), ended.err
    again = json.loads((tmp_path / "again" / "findings.json").read_text())["measurements"]
    for name in ("LVEDV", "LVESV", "LVM", "RVEDV"):
        assert again[name]["value"] == findings["measurements"][name]["value"]


def test_the_page_needs_nothing_from_outside_and_names_no_path(analysed, cohort):
    page = (analysed[1] / "report.html").read_text()
    assert "not for diagnosis" in page
    assert str(cohort) not in page
    for remote in ('src="http', 'href="http', "url(http", "@import"):
        assert remote not in page


def test_inspect_shows_the_same_study_as_table_and_as_json(cinecmr, small_dicom):
    table, data = cinecmr("inspect", small_dicom), cinecmr("inspect", small_dicom, "--json")
    assert (table.code, data.code) == (0, 0), table.err + data.err
    assert json.loads(data.out)
    assert "48 x 48" in table.out or "short axis" in table.out.lower() or "SAX" in table.out


@pytest.fixture
def small_demo(monkeypatch):
    """The synthetic heart of the demonstration with fewer and larger pixels, and fewer frames."""
    monkeypatch.setattr(study, "synthetic_study", partial(study.synthetic_study, frames=8, matrix=(96, 96)))


def test_a_demo_without_data_prints_measured_beside_true(cinecmr, small_demo, tmp_path):
    ended = cinecmr("analyze", "phantom", "--out", tmp_path / "demo")
    assert ended.code in (0, 4), ended.err
    (line,) = [line for line in ended.out.splitlines() if line.startswith("  LVEDV")]
    assert "true" in line
    assert {path.name for path in (tmp_path / "demo").iterdir()} >= WRITTEN
    findings = json.loads((tmp_path / "demo" / "findings.json").read_text())
    found, truth = findings["measurements"]["LVEDV"]["value"], findings["truth"]["LVEDV"]["value"]
    assert found == pytest.approx(truth, rel=0.15)
