"""Wall thickness by segment and the insertion points, on rings whose thickness is known, turned in any patient."""

from __future__ import annotations

import numpy as np
import pytest

from cinecmr.anatomy import Contrast, Disease, Structure, View
from cinecmr.errors import RefusedInput
from cinecmr.geometry import apply_affine
from cinecmr.measure.thickness import insertion_points, middle_slice, wall_thickness

SLICES, SIZE, SPACING = 9, 110, 1.1


def placed(seed=None):
    """An affine: the septum to -x of the picture, or anywhere."""
    affine = np.diag([SPACING, SPACING, 8.0, 1.0])
    if seed is not None:
        rng = np.random.default_rng(seed)
        turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
        affine[:3, :3] = turn * np.sign(np.linalg.det(turn)) @ affine[:3, :3]
        affine[:3, 3] = rng.normal(0, 50, 3)
    return affine


def heart(inner=20.0, outer=30.0, off=(0.0, 0.0), right=True):
    """Labels (x, y, z), apex first: the cavity's circle lies `off` mm from the middle of the wall's."""
    at = (np.arange(SIZE) - (SIZE - 1) / 2) * SPACING
    x, y = np.meshgrid(at, at, indexing="ij")
    labels = np.zeros((SIZE, SIZE, SLICES), np.uint8)
    for z in range(1, SLICES - 1):
        size = 0.97 + 0.005 * z  # so that apex and base can be told
        if right:
            labels[np.hypot(x + 30, y) < 26 * size, z] = Structure.RV
        labels[np.hypot(x, y) < outer * size, z] = Structure.MYO
        labels[np.hypot(x - off[0], y - off[1]) < inner * size, z] = Structure.LV
    return labels


@pytest.mark.parametrize("seed", [None, 1, 2])
@pytest.mark.parametrize(("inner", "outer"), [(20.0, 30.0), (26.0, 31.0), (12.0, 34.0)])
def test_a_round_wall_is_as_thick_as_it_is_in_every_segment(seed, inner, outer):
    found = wall_thickness(heart(inner, outer), placed(seed))
    assert np.isnan(found[16])
    np.testing.assert_allclose(found[:16], outer - inner, rtol=0.03, atol=0.2)  # slices differ by 3 % in size


def test_a_cavity_that_lies_off_the_middle_leaves_a_thick_and_a_thin_wall():
    found = wall_thickness(heart(20.0, 30.0, off=(3.0, 0.0)), placed())  # the septum lies at -x
    assert found[[1, 2, 7, 8, 13]].min() > 11  # septal
    assert found[[4, 5, 10, 11, 15]].max() < 9  # lateral
    assert found[13] == pytest.approx(12.7, abs=0.5)  # mean of 10 + 3 cos over a quarter
    assert found[15] == pytest.approx(7.3, abs=0.5)
    assert found[[0, 3, 6, 9]].mean() == pytest.approx(10, abs=0.6)


def test_slices_in_the_other_order_change_nothing_and_an_unseen_one_little():
    labels = heart(20.0, 30.0, off=(2.0, 1.0))
    turned = np.diag([1.0, 1.0, -1.0, 1.0])
    turned[2, 3] = SLICES - 1
    plain, other = wall_thickness(labels, placed()), wall_thickness(labels[:, :, ::-1], placed() @ turned)
    np.testing.assert_allclose(plain, other, atol=1e-6)
    gap = labels.copy()
    gap[:, :, 4] = Structure.UNSEEN
    np.testing.assert_allclose(wall_thickness(gap, placed())[:16], plain[:16], atol=0.4)


def test_a_third_that_no_slice_shows_is_not_told():
    labels = heart()
    labels[:, :, 3:6] = Structure.UNSEEN
    found = wall_thickness(labels, placed())
    assert np.isnan(found[6:12]).all()
    assert np.isfinite(found[:6]).all()
    assert np.isfinite(found[12:16]).all()


def test_without_a_right_ventricle_no_segment_can_be_told():
    with pytest.raises(RefusedInput, match="where the septum lies is not known"):
        wall_thickness(heart(right=False), placed())


@pytest.mark.parametrize("seed", [None, 4])
def test_the_insertion_points_are_where_the_circles_meet(seed):
    labels, affine = heart(), placed(seed)
    z = middle_slice(labels)
    assert z == 4
    anterior, inferior = insertion_points(labels, affine, z)
    size = 0.97 + 0.005 * z
    along = (30**2 + (30 * size) ** 2 - (26 * size) ** 2) / (2 * 30)  # of two circles that meet
    across = np.sqrt((30 * size) ** 2 - along**2)
    index = apply_affine(np.linalg.inv(affine), np.stack([anterior, inferior]))
    np.testing.assert_allclose(index[:, 2], z, atol=1e-6)
    sides = (index[:, :2] - (SIZE - 1) / 2) * SPACING
    np.testing.assert_allclose(sides[:, 0], -along, atol=3.5)
    # Towards the base the z axis points, to the septum -x: the anterior wall, at their cross product, lies at -y.
    np.testing.assert_allclose(sides[:, 1], [-across, across], atol=3.5)


def test_a_slice_without_a_right_ventricle_has_no_insertion_points():
    labels = heart()
    labels[:, :, 3][labels[:, :, 3] == Structure.RV] = 0
    assert np.isnan(insertion_points(labels, placed(), 3)).all()
    assert middle_slice(np.zeros_like(labels)) is None


def test_walls_of_a_synthetic_heart_are_as_thick_as_its_geometry_and_thicken():
    from cinecmr.phantom.study import synthetic_study

    study, truth = synthetic_study(5, disease=Disease.NORMAL, frames=8, long_axis=False)
    image, labels = study[View.SAX], truth.labels[View.SAX, Contrast.CINE]
    ed, es = (wall_thickness(labels[..., truth.cycle[f"LV_{phase}"]], image.affine) for phase in ("ED", "ES"))
    assert np.isfinite(ed[:12]).all()
    assert (ed[:12] > 4).all()
    assert (ed[:12] < 14).all()
    assert (es[:12] / ed[:12] > 1.1).all()
