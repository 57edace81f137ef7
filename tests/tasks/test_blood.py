"""A cavity without blood is muscle; one with blood, papillary muscles and all, stands."""

import numpy as np
import pytest

from cinecmr.anatomy import Structure
from cinecmr.tasks.blood import where_blood_is_seen

SIZE = 48
X, Y = np.meshgrid(np.arange(SIZE), np.arange(SIZE), indexing="ij")
FAR = np.hypot(X - 24, Y - 24)
MUSCLE, BLOOD = 50.0, 200.0


def ring(slices=4, cavity=8, wall=7):
    labels = np.zeros((SIZE, SIZE, slices), np.uint8)
    labels[cavity + wall > FAR] = Structure.MYO
    labels[cavity > FAR] = Structure.LV
    return labels


def picture(labels):
    return np.array([20.0, BLOOD, MUSCLE, BLOOD], np.float32)[labels]


def test_a_heart_full_of_blood_stands():
    labels = ring()
    assert np.array_equal(where_blood_is_seen(labels, picture(labels)), labels)


def test_papillary_muscles_stay_in_the_cavity():
    labels = ring()
    seen = picture(labels)
    seen[np.hypot(X - 20, Y - 20) < 3.5] = MUSCLE
    seen[np.hypot(X - 28, Y - 28) < 3.5] = MUSCLE
    assert np.array_equal(where_blood_is_seen(labels, seen), labels)


def test_a_slice_of_solid_muscle_has_no_cavity():
    labels = ring()
    seen = picture(labels)
    seen[..., 2][FAR < 15] = MUSCLE
    found = where_blood_is_seen(labels, seen)
    assert not (found[..., 2] == Structure.LV).any()
    assert ((found[..., 2] == Structure.MYO) == (FAR < 15)).all()
    assert np.array_equal(found[..., [0, 1, 3]], labels[..., [0, 1, 3]])


def test_a_nearly_closed_cavity_is_the_blood_that_is_left():
    labels = ring()
    seen = picture(labels)
    seen[..., 2][FAR < 15] = MUSCLE
    seen[..., 2][FAR < 3] = BLOOD
    found = where_blood_is_seen(labels, seen)[..., 2] == Structure.LV
    assert found[FAR < 3].all()
    assert not found[FAR > 4.5].any()


def test_blood_in_one_line_is_its_own_hull():
    labels = ring()
    seen = picture(labels)
    seen[..., 1][FAR < 15] = MUSCLE
    seen[21:28, 24, 1] = BLOOD
    found = where_blood_is_seen(labels, seen)[..., 1] == Structure.LV
    assert found[21:28, 24].all()
    assert found.sum() == 7 + 2 * 7 + 2


@pytest.mark.parametrize("factor", [0.3, 1.0, 40.0])
def test_units_and_a_darker_slice_do_not_matter(factor):
    labels = ring()
    seen = factor * picture(labels)
    seen[..., 3] *= 0.4
    assert np.array_equal(where_blood_is_seen(labels, seen), labels)


def test_where_muscle_is_as_bright_as_blood_nothing_is_decided():
    labels = ring()
    assert np.array_equal(where_blood_is_seen(labels, np.full(labels.shape, 7.0, np.float32)), labels)
    assert np.array_equal(where_blood_is_seen(labels, np.zeros(labels.shape, np.float32)), labels)
