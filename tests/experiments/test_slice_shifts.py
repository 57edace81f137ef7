"""What the long-axis views tell of shifted slices, counted as it is."""

import numpy as np
import pytest

from cinecmr.anatomy import Contrast, View
from cinecmr.experiments.slice_shifts import Row, compare, markdown
from cinecmr.phantom.study import synthetic_study


@pytest.fixture(scope="module")
def heart():
    return synthetic_study(9400, frames=4, matrix=(128, 128))


def test_true_labels_leave_the_error_of_the_method(heart):
    study, truth = heart
    row = compare(study, truth.labels, "true")
    assert 6 <= row.told <= row.slices
    assert len(row.error_mm) == len(row.true_mm) == row.told
    assert max(row.error_mm) < 1.5
    known = np.linalg.norm(study[View.SAX].slice_shift_mm, axis=1)
    assert max(row.true_mm) < 2 * known.max() + 0.1


def test_without_views_nothing_is_told(heart):
    study, truth = heart
    key = View.SAX, Contrast.CINE
    row = compare(study, {key: truth.labels[key]}, "model")
    assert (row.told, row.error_mm) == (0, [])


def test_the_page_counts_slices_of_all_studies():
    rows = [
        Row("a", "model", 8, 2, [3.0, 4.0], [0.0, 4.0]),
        Row("b", "model", 9, 1, [0.0], [0.0]),
        Row("a", "true", 8, 0, [], []),
    ]
    lines = markdown({"seed": "1"}, rows)
    assert lines[-1] == "| model | 17 | 3 | 2.89 | 2.31 | 4.00 | 1 |"
