"""Slices shifted by a breath-hold (row D28 of what DICOM cine does), on labels whose shift is known."""

from __future__ import annotations

import numpy as np
import pytest

from cinecmr.anatomy import Structure, View
from cinecmr.measure.shifts import SHIFTED_MM, shift_flags, shift_mm

AFFINE = np.diag([1.5, 2.0, 10.0, 1.0])


def ventricle(slices: int = 9, lean: float = 0.6) -> np.ndarray:
    """(x, y, z) labels of a leaning cylinder with blood inside."""
    x, y = np.meshgrid(np.arange(60), np.arange(50), indexing="ij")
    labels = np.zeros((60, 50, slices), np.uint8)
    for z in range(1, slices - 1):
        away = np.hypot((x - 25 - lean * z) * 1.5, (y - 24 - lean * z) * 2.0)
        labels[:, :, z] = np.where(away < 18, Structure.LV, np.where(away < 28, Structure.MYO, 0))
    return labels


def test_a_ventricle_that_leans_is_not_taken_for_a_shifted_one():
    labels = ventricle()
    off = shift_mm(labels, AFFINE)
    assert np.isfinite(off[2:7]).all()
    assert np.nanmax(off) < 0.5
    assert shift_flags(labels, AFFINE) == []


@pytest.mark.parametrize("pixels", [(4, 3), (-6, 0), (0, 4)])
def test_the_shift_of_one_slice_is_told_in_millimetres_and_only_that_slice(pixels):
    labels = ventricle()
    labels[:, :, 4] = np.roll(labels[:, :, 4], pixels, axis=(0, 1))
    true_mm = np.hypot(pixels[0] * 1.5, pixels[1] * 2.0)
    assert shift_mm(labels, AFFINE)[4] == pytest.approx(true_mm, abs=0.5)
    (flag,) = shift_flags(labels, AFFINE)
    assert flag.message.startswith(f"slice 4 lies about {true_mm:.0f} mm off")


def test_slices_at_the_ends_and_beside_unseen_ones_are_not_judged():
    labels = ventricle()
    labels[:, :, 3] = Structure.UNSEEN
    labels[:, :, 4] = np.roll(labels[:, :, 4], 9, axis=0)
    assert np.isnan(shift_mm(labels, AFFINE)[[0, 1, 2, 3, 4, 7, 8]]).all()


def test_breath_hold_shifts_of_a_synthetic_heart_are_found_within_two_millimetres():
    from cinecmr.anatomy import Contrast
    from cinecmr.phantom.study import synthetic_study

    study, truth = synthetic_study(3, frames=2, long_axis=False, matrix=(96, 96))
    image, ed = study[View.SAX], truth.cycle["LV_ED"]
    labels = np.array(truth.labels[View.SAX, Contrast.CINE][..., ed])
    assert np.nanmax(shift_mm(labels, image.affine)) < SHIFTED_MM
    z = image.slices // 2
    labels[:, :, z] = np.roll(labels[:, :, z], (3, -2), axis=(0, 1))
    true_mm = np.linalg.norm(np.array([3, -2]) * image.spacing[:2])
    assert shift_mm(labels, image.affine)[z] == pytest.approx(true_mm, abs=2.0)
    assert len(shift_flags(labels, image.affine)) == 1


def test_where_the_long_axis_tells_neighbours_are_not_asked():
    labels = ventricle()
    labels[:, :, 4] = np.roll(labels[:, :, 4], (6, 0), axis=(0, 1))
    measured = np.zeros((9, 2))
    assert shift_flags(labels, AFFINE, measured) == []
    measured[5] = 6.0, -8.0
    (flag,) = shift_flags(labels, AFFINE, measured)
    assert flag.message.startswith("slice 5 lies 10 mm off where the long-axis views show it")
    measured[[0, 3, 4, 5]] = np.nan
    (flag,) = shift_flags(labels, AFFINE, measured)
    assert flag.message.startswith("slice 4 lies about 9 mm off the line")
