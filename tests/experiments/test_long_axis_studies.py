"""Long-axis views of synthetic hearts, read by a model whose answers are the truth, and by one that errs."""

import json

import numpy as np
import pytest

from cinecmr.anatomy import Contrast, Landmark, View
from cinecmr.errors import RefusedInput
from cinecmr.experiments import long_axis_studies
from cinecmr.experiments.long_axis_studies import ENDS, UNITS, Tally, count, figures, views_of
from cinecmr.measure.hinges import POINTS, TRICUSPID

SMALL = {"frames": 8, "matrix": (80, 80)}


class Shifted:
    """Knows every point, but `by` mm too far to the left."""

    source = "shifted"

    def __init__(self, truth, by=0.0):
        self.truth, self.by = truth, np.array([by, 0.0, 0.0])

    def read(self, image, progress=None):
        names = (*POINTS.get(image.view, ()), *(TRICUSPID if image.view is View.LAX_4C else ()))
        return self.truth.labels[image.view, Contrast.CINE], {n: self.truth.landmarks[n] + self.by for n in names}


@pytest.fixture(scope="module")
def visit():
    return views_of(9000, **SMALL)


def told(visit, by):
    tally = Tally()
    count(tally, *visit, Shifted(visit[1], by))
    return figures(tally)


def test_points_that_are_true_have_no_error_and_shifted_ones_their_shift(visit):
    right, wrong = told(visit, 0.0), told(visit, 3.0)
    assert right["landmarks"]["all, network"]["median"] == pytest.approx(0.0, abs=1e-9)
    assert wrong["landmarks"]["all, network"]["median"] == pytest.approx(3.0)
    assert wrong["landmarks"]["tricuspid_4c_lateral, network"]["n"] == 8
    assert right["measurements"]["MAPSE"]["abs_error"] == pytest.approx(0.0, abs=0.05)
    assert wrong["measurements"]["MAPSE"]["abs_error"] == pytest.approx(0.0, abs=0.05), "all points are shifted alike"
    assert right["dice"]["lax_4c RA"]["mean"] == 1.0


def test_where_true_labels_end_lie_the_hinges_to_about_a_pixel(visit):
    study, _ = visit
    pixel = study[View.LAX_4C].spacing[0]
    assert told(visit, 0.0)["landmarks"]["all, from its labels"]["median"] < 1.2 * pixel


def test_strain_of_true_contours_is_that_of_a_finer_grid(visit):
    row = told(visit, 0.0)["measurements"]["GLS"]
    assert row["true_mean"] < -5
    assert row["abs_error"] < 5.0, "pixels are 3.4 mm large, the cavity is 40 mm wide"


def test_the_true_excursion_of_the_right_heart_is_that_of_its_valve(visit):
    _, truth = visit
    septal, lateral = (truth.landmarks[name] for name in TRICUSPID)
    mitral = truth.landmarks[Landmark.MITRAL_4C_SEPTAL]
    assert (np.linalg.norm(lateral - mitral, axis=1) > np.linalg.norm(septal - mitral, axis=1)).all()
    assert 3 < truth.measurements["TAPSE"].value < 40


def test_true_views_bring_volumes_nearer_to_the_truth(visit):
    rows = told(visit, 0.0)["measurements"]
    alone, views = ([rows[f"{name} {way}"]["abs_error"] for name in ("LVEDV", "LVESV")] for way in ENDS)
    assert sum(views) < sum(alone) + 1.0
    assert max(views) < 5.0


def test_a_run_writes_what_it_found(visit, tmp_path, monkeypatch):
    monkeypatch.setattr(long_axis_studies, "views_of", lambda *_: visit)
    lines = list(long_axis_studies.run(tmp_path, 2, 9000, Shifted(visit[1])))
    content = json.loads((tmp_path / "long_axis.json").read_text())
    assert content["about"]["model"] == "shifted"
    assert content["measurements"]["MAPSE"]["studies"] == 2
    assert set(content["measurements"]) > set(UNITS)
    assert lines[-1].startswith("median landmark error 0.00 mm")
    assert (tmp_path / "long_axis.md").read_text() == "\n".join(lines) + "\n"


def test_without_weights_there_is_nothing_to_evaluate(tmp_path):
    with pytest.raises(RefusedInput, match="no weights that read 2C, 3C and 4C views"):
        list(long_axis_studies.run(tmp_path, 1, 0, None))
