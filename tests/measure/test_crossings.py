"""Shifts of short-axis slices from the long-axis planes that cross them: an ellipsoid, and the phantom."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cinecmr.anatomy import Contrast, Structure, View
from cinecmr.geometry import apply_affine
from cinecmr.measure.crossings import Seen, slice_shifts
from cinecmr.study import Image

SLICES, FRAMES = 9, 6
TIMES = np.arange(FRAMES) * 0.15
SHIFTS = np.array([[0, 0], [1, 2], [0, 0], [-4, 3], [0, 0], [7, 0], [0, 0], [0, -5], [0, 0]], float)  # median 0


def turned(seed):
    """A random rotation and a place in the patient: (3, 3) and (3,)."""
    rng = np.random.default_rng(seed)
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    return turn * np.sign(np.linalg.det(turn)), rng.normal(0, 40, 3)


def ventricle(points):
    """(..., t) codes at (..., 3) mm of the heart: an ellipsoid of blood in a wall, which contracts by a fifth."""
    squeeze = 1 - 0.2 * np.sin(np.pi * np.arange(FRAMES) / FRAMES) ** 2
    scaled = points[..., None, :] / (np.array([24.0, 22.0, 45.0]) * squeeze[:, None])
    outer = points / np.array([34.0, 32.0, 55.0])
    blood = (scaled**2).sum(-1) < 1
    return np.where(blood, Structure.LV, np.where((outer**2).sum(-1)[..., None] < 1, Structure.MYO, 0)).astype(np.uint8)


def plane(origin, along, across, shape, place, spacing=1.5):
    """An image through the heart: centre and two unit directions in heart mm; its points, and it in patient mm."""
    turn, where = place
    local = np.eye(4)
    local[:3, 0], local[:3, 1] = spacing * np.asarray(along), spacing * np.asarray(across)
    local[:3, 2] = 10.0 * np.cross(along, across)
    local[:3, 3] = np.asarray(origin) - local[:3, :2] @ (np.array(shape[:2]) - 1) / 2
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1).astype(float)
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = turn @ local[:3, :3], turn @ local[:3, 3] + where
    blank = np.zeros((*shape, FRAMES), np.float32)
    return apply_affine(local, index), Image(blank, affine, TIMES, rr_ms=900.0)


def short_axis(place, shifts=SHIFTS):
    points, image = plane([2, -3, -40], [1, 0, 0], [0, 1, 0], (64, 60, SLICES), place)
    moved = points.copy()
    moved[..., :2] += shifts[None, None]
    return image, ventricle(moved)


def long_axis(degrees, place, off=0.0, order=1):
    """A plane through the long axis, shifted along itself by `off` mm, as a breath-hold of its own does."""
    along = np.array([np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees)), 0])
    points, image = plane([0, 0, 0], along, [0, 0, 1.0], (70, 90, 1), place)
    labels = ventricle(points + off * along)
    later = np.roll(labels, -2, axis=3) if order == 2 else labels  # a view that begins later in the beat
    return Seen(replace(image, times=TIMES + (0.3 if order == 2 else 0)), later)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("angles", [(10, 80), (0, 60, 120)])
def test_shifts_of_an_ellipsoid_are_told_wherever_the_patient_lies(seed, angles):
    place = turned(seed)
    image, labels = short_axis(place)
    views = [long_axis(degrees, place, off=3.0 * k, order=1 + k % 2) for k, degrees in enumerate(angles)]
    found = slice_shifts(image, labels, views)
    inner = slice(1, 8)  # the outermost with a cavity are not told
    assert np.isnan(found[[0, 8]]).all()
    assert np.isfinite(found[inner]).all()
    np.testing.assert_allclose(found[inner], SHIFTS[inner], atol=1.2)
    assert np.sqrt(np.mean((found - SHIFTS)[inner] ** 2)) < 0.6


def test_slices_at_the_same_place_have_none():
    place = turned(9)
    image, labels = short_axis(place, 0 * SHIFTS)
    found = slice_shifts(image, labels, [long_axis(20, place), long_axis(110, place)])
    assert np.nanmax(np.abs(found)) < 0.8


@pytest.mark.parametrize("angles", [(), (30,), (30, 40)])
def test_one_direction_is_not_enough(angles):
    place = turned(1)
    image, labels = short_axis(place)
    assert np.isnan(slice_shifts(image, labels, [long_axis(degrees, place) for degrees in angles])).all()


def test_a_view_parallel_to_the_slices_tells_nothing():
    place = turned(1)
    image, labels = short_axis(place)
    same = Seen(*(part for part in short_axis(place)))
    flat = Seen(replace(same.image, data=same.image.data[:, :, 4:5]), same.labels[:, :, 4:5])
    assert np.isnan(slice_shifts(image, labels, [flat, long_axis(30, place)])).all()


def test_a_slice_that_the_views_disagree_about_is_not_told():
    place = turned(2)
    image, labels = short_axis(place)
    views = [long_axis(degrees, place) for degrees in (0, 60, 120)]
    cut = views[2].labels.copy()
    cut[:, 45 - 12 : 45 - 2] = 0  # what crosses two slices
    found = slice_shifts(image, labels, [*views[:2], Seen(views[2].image, cut)])
    np.testing.assert_allclose(found[2:7], SHIFTS[2:7], atol=1.2)  # the others tell
    labels[:, :, 5][labels[:, :, 5] == Structure.MYO] = 0
    assert np.isnan(slice_shifts(image, labels, views)[5]).all()


def test_an_empty_slice_and_one_never_seen_are_unknown():
    place = turned(3)
    image, labels = short_axis(place)
    labels[:, :, 1], labels[:, :, 2] = 0, Structure.UNSEEN
    found = slice_shifts(image, labels, [long_axis(0, place), long_axis(90, place)])
    assert np.isnan(found[[1, 2, 3]]).all()  # the third has no neighbour
    assert np.isfinite(found[[4, 5, 6]]).all()


def test_breath_holds_of_a_synthetic_heart_are_told_within_a_millimetre():
    from cinecmr.phantom.study import synthetic_study

    study, truth = synthetic_study(7, frames=6, matrix=(128, 128))
    sax = study[View.SAX]
    views = [Seen(study[view], truth.labels[view, Contrast.CINE]) for view in (View.LAX_2C, View.LAX_3C, View.LAX_4C)]
    found = slice_shifts(sax, truth.labels[View.SAX, Contrast.CINE], views)
    known = np.isfinite(found).all(axis=1)
    assert known.sum() >= 6
    true = sax.slice_shift_mm[known] - np.median(sax.slice_shift_mm[known], axis=0)
    assert np.linalg.norm(true, axis=1).max() > 1.5
    error = np.linalg.norm(found[known] - np.median(found[known], axis=0) - true, axis=1)
    assert error.max() < 1.0
