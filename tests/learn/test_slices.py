"""Slices: what is cut from a cine, where its heart is, and who is in a subset."""

import json
from dataclasses import replace
from hashlib import sha256
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from cinecmr.anatomy import Structure, View
from cinecmr.errors import RefusedInput
from cinecmr.learn.slices import base_first, draw_subset, heart_centre, respaced, slices_of, smallest_circle
from cinecmr.study import Image

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures" / "ssp"


@pytest.fixture(scope="module")
def published():
    return json.loads((FIXTURES / "splits.json").read_text("utf-8"))


def name_of(subjects):
    return sha256("\n".join(sorted(subjects)).encode()).hexdigest()


def test_every_published_subset_is_drawn_again(published):
    ids, splits = published["ids"], published["splits"]
    shuffled = draw_subset(ids["development"], 370, 0)
    valid, train = shuffled[:74], shuffled[74:]
    assert name_of(valid) == splits["full"]["valid"]["sha256"]
    assert name_of(train) == splits["full"]["train"]["sha256"]
    for count in (10, 15, 25, 50):
        for seed in (0, 1, 2):
            assert name_of(draw_subset(train, count, seed)) == splits[f"nr{count}-seed{seed}"]["train"]["sha256"]


def test_vendor_groups_part_the_published_training_subjects(published):
    ids = published["ids"]
    train = draw_subset(ids["development"], 370, 0)[74:]
    groups = [set(names) for names in ids["vendor_groups_train"].values()]
    assert groups[0] | groups[1] == set(train)
    assert not groups[0] & groups[1]


def test_a_heart_is_cut_into_slices_from_base_to_apex_with_its_labels(tiny_heart):
    labels = np.where(np.arange(12) % 4 == 0, tiny_heart.labels, Structure.UNSEEN).astype(np.uint8)
    cut = slices_of("anna", tiny_heart.image, labels, ed=4)
    assert [s.frame for s in cut] == [8] * 8 + [0] * 8 + [4] * 8
    z = 3 if base_first(tiny_heart.image.affine) else 4
    assert cut[3].number == 3
    assert cut[3].of == 8
    np.testing.assert_array_equal(cut[3].labels, labels[:, :, z, 0])
    data = tiny_heart.image.data
    np.testing.assert_allclose(cut[3].pixels, data[:, :, z, 0] - data.min(), rtol=1e-6)
    assert cut[3].intensities.mean == pytest.approx(data.mean() - data.min(), rel=1e-4)
    assert cut[3].intensities.deviation == pytest.approx(data.std(ddof=1), rel=1e-4)


def test_without_labels_every_frame_is_taken(tiny_heart):
    assert len(slices_of("anna", tiny_heart.image)) == 8 * 12


def test_pre_training_sees_no_labels_and_nothing_made_of_them(tiny_heart):
    plain = slices_of("anna", tiny_heart.image, tiny_heart.labels)[3].without_labels()
    assert plain.labels is None
    assert plain.centre is None


def test_dark_borders_are_cut_off(tiny_heart):
    image = tiny_heart.image
    data = np.pad(image.data, ((2, 3), (4, 1), (0, 0), (0, 0)))
    padded = Image(data, image.affine, image.times, View.SAX)
    assert slices_of("anna", padded)[0].pixels.shape == (32, 32)


def test_slices_never_acquired_are_left_out(tiny_heart):
    image = tiny_heart.image
    gap = Image(image.data, image.affine, image.times, View.SAX, missing_slices=(2,))
    assert {s.of for s in slices_of("anna", gap)} == {7}


def test_a_stack_upside_down_in_the_patient_is_turned(tiny_heart):
    image = tiny_heart.image
    up, down = np.diag([2.0, 2, 10, 1]), np.diag([2.0, 2, -10, 1])
    assert base_first(down)
    assert not base_first(up)
    first = [slices_of("anna", Image(image.data, a, image.times))[0].pixels for a in (up, down)]
    low = image.data.min()
    np.testing.assert_allclose(first[0], image.data[:, :, 7, 0] - low, rtol=1e-6)
    np.testing.assert_allclose(first[1], image.data[:, :, 0, 0] - low, rtol=1e-6)


def test_empty_and_broken_pixels_are_refused(tiny_heart):
    image = tiny_heart.image
    with pytest.raises(RefusedInput, match="every pixel of the short axis is zero"):
        slices_of("anna", Image(np.zeros_like(image.data), image.affine, image.times))
    broken = image.data.copy()
    broken[0, 0, 0, 0] = np.nan
    with pytest.raises(RefusedInput, match="no numbers"):
        slices_of("anna", Image(broken, image.affine, image.times))


def by_trying_all(points):
    """The smallest circle by brute force over every pair and triple."""
    best = (0.0, 0.0, np.inf)
    for chosen in [*combinations(points, 2), *combinations(points, 3)]:
        a = np.array(chosen)
        if len(a) == 2:
            centre = a.mean(0)
        else:
            m = 2 * (a[1:] - a[0])
            if abs(np.linalg.det(m)) < 1e-9:
                continue
            centre = np.linalg.solve(m, (a[1:] ** 2).sum(1) - (a[0] ** 2).sum())
        radius = np.hypot(*(a[0] - centre))
        if radius < best[2] and (np.hypot(*(points - centre).T) <= radius + 1e-9).all():
            best = (*centre, radius)
    return best


def test_a_smooth_slice_is_the_same_picture_on_another_spacing(tiny_heart):
    one = slices_of("anna", tiny_heart.image, tiny_heart.labels)[3]
    mm = [(np.arange(n) + 0.5) * step for n, step in zip(one.pixels.shape, one.spacing, strict=True)]
    wave = np.sin(mm[0] / 9)[:, None] + np.cos(mm[1] / 7)[None]
    (found,) = respaced([replace(one, pixels=wave.astype(np.float32), centre=(7.5, 3.0))], 1.3)
    for axis in (0, 1):
        assert found.spacing[axis] == pytest.approx(1.3, abs=0.03)
        field = found.pixels.shape[axis] * found.spacing[axis]
        assert field == pytest.approx(one.pixels.shape[axis] * one.spacing[axis])
        assert (found.centre[axis] + 0.5) * found.spacing[axis] == pytest.approx(
            ((7.5, 3.0)[axis] + 0.5) * one.spacing[axis]
        )
    x, y = ((np.arange(n) + 0.5) * step for n, step in zip(found.pixels.shape, found.spacing, strict=True))
    truth = np.sin(x / 9)[:, None] + np.cos(y / 7)[None]
    inside = (slice(4, -4),) * 2
    assert np.abs(found.pixels - truth)[inside].max() < 0.01
    assert found.labels.shape == found.pixels.shape
    for code in (1, 2, 3):
        old, new = ((s.labels == code).sum() * s.spacing[0] * s.spacing[1] for s in (one, found))
        assert new == pytest.approx(old, rel=0.1, abs=15)


@pytest.mark.parametrize("seed", range(6))
def test_the_smallest_circle_is_the_one_found_by_trying_all(seed):
    points = np.random.default_rng(seed).integers(0, 9, (10, 2)).astype(float)
    np.testing.assert_allclose(smallest_circle(points), by_trying_all(points), atol=1e-9)


def test_the_centre_of_a_round_heart_is_its_middle_and_no_heart_has_none():
    labels = np.zeros((21, 21, 2, 1), np.uint8)
    x, y = np.mgrid[:21, :21]
    labels[np.hypot(x - 8, y - 12) <= 5, 0, 0] = Structure.LV
    assert heart_centre(labels) == pytest.approx((8, 12))
    assert heart_centre(np.zeros_like(labels)) is None
