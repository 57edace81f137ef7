"""Found against true over synthetic studies: what is averaged, what is counted, what is written."""

import json
import math

import numpy as np
import pytest

from cinecmr.analyze.pipeline import analyze
from cinecmr.anatomy import Contrast, Structure, View
from cinecmr.errors import RefusedInput
from cinecmr.experiments import phantom_studies
from cinecmr.experiments.phantom_studies import Row, compare, measure
from cinecmr.phantom.cohort import Cohort, read_truth, subject_name, write
from cinecmr.study import Study


def row(found: dict[str, float], flags: tuple[str, ...] = ()) -> Row:
    return Row("p", "normal", found, {"LVEDV": 120.0, "LVESV": 60.0, "LVEF": 50.0}, list(flags), 1.0)


def test_a_withheld_number_counts_as_missing_and_does_not_improve_the_mean():
    results = compare([row({"LVEDV": 126.0, "LVEF": 52.0}), row({"LVEDV": 117.0}), row({}, ("no-sax",))])
    assert (results["LVEDV"].n, results["LVEDV"].missing) == (2, 1)
    assert results["LVEDV"].abs_error == pytest.approx(4.5)
    assert results["LVEDV"].relative_error == pytest.approx(100 * (6 / 120 + 3 / 120) / 2)
    assert (results["LVEF"].n, results["LVEF"].missing) == (1, 2)
    assert "LVESV" not in results


def test_a_cohort_of_which_nothing_could_be_measured_is_refused_with_the_reasons():
    with pytest.raises(RefusedInput, match="no study could be measured: no-sax, too-few-slices"):
        compare([row({}, ("no-sax",)), row({}, ("too-few-slices",))])


def test_an_unfinished_subject_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match="no finished synthetic subject"):
        measure(tmp_path, object())


class Truth:
    """A model that knows the answer: the labels of the seed, on the grid they were made on, found by position."""

    source, name, sha256 = "truth", "truth", "0"

    def __init__(self, seed: int) -> None:
        from cinecmr.phantom.study import synthetic_study

        study, truth = synthetic_study(seed, frames=8, matrix=(48, 48))
        self.image, self.labels = study[View.SAX], truth.labels[View.SAX, Contrast.CINE]

    def segment(self, image, progress=None):
        grid = np.stack(np.meshgrid(*(np.arange(n) for n in image.data.shape[:3]), indexing="ij"), -1)
        there = grid @ image.affine[:3, :3].T + image.affine[:3, 3]
        home = np.linalg.inv(self.image.affine)
        index = np.rint(there @ home[:3, :3].T + home[:3, 3]).astype(int)
        return self.labels[index[..., 0], index[..., 1], index[..., 2]]


@pytest.mark.slow
def test_true_labels_measure_the_same_through_dicom_and_back_as_on_the_grid_they_were_made_on(tmp_path):
    write(tmp_path, Cohort(1, seed=3, frames=8, matrix=48))
    folder, knows = tmp_path / subject_name(3), Truth(3)
    found = measure(folder, knows)
    assert found.truth == read_truth(folder)["measurements"]
    direct = analyze(Study("in memory", {(View.SAX, Contrast.CINE): knows.image}), knows).measurements
    assert {"LVEDV", "LVESV", "LVM", "RVEDV", "RVESV"} <= found.found.keys()
    for name, value in found.found.items():
        assert value == pytest.approx(direct[name].value, rel=1e-3)


@pytest.mark.slow
def test_the_written_files_carry_commit_seed_device_and_every_study(tmp_path, monkeypatch):
    from cinecmr.analyze import models

    monkeypatch.setattr(models, "load", lambda name, device: Truth(3))
    monkeypatch.setattr(phantom_studies, "Cohort", lambda n, seed: Cohort(n, seed, frames=8, matrix=48))
    lines = list(phantom_studies.run(tmp_path, 1, 3, "truth", "cpu"))
    written = json.loads((tmp_path / "evaluation.json").read_text())
    assert {"model", "seed", "subjects", "commit", "device", "seconds"} <= written["about"].keys()
    assert written["studies"][0]["subject"] == "phantom00003"
    edv = written["agreement"]["LVEDV"]
    assert edv["abs_error"] == pytest.approx(abs(edv["bias"]))
    assert edv["limits"] == [None, None]  # one study has no spread, and NaN is no JSON
    table = (tmp_path / "evaluation.md").read_text()
    assert f"| LVEDV | {edv['abs_error']:.2f} ml |" in table
    assert any(line.startswith("phantom00003") for line in lines)
    assert not math.isnan(edv["worst"])
    assert Structure.LV in Truth(3).labels
