"""A study on a network's grid and back: nothing shifts, nothing is lost, whatever way the patient lies."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file
from scipy.spatial.transform import Rotation

from cinecmr.anatomy import Contrast, Structure, View
from cinecmr.errors import RefusedInput
from cinecmr.geometry import apply_affine
from cinecmr.learn.samples import Grid, heart_centre, labelled_centre, linear, nearest, place, scaled, starts, window
from cinecmr.study import Image, Study

FIXTURES = Path(__file__).parents[1] / "fixtures" / "cinema" / "preparation.safetensors"
VALUES = FIXTURES.with_name("values.json")
SMALL = Grid((24, 24, 8), (2.0, 2.0, 8.0))


def oblique(spacing, turn=(20, -35, 50), origin=(13.0, -40.0, 7.0)):
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", turn, degrees=True).as_matrix() * spacing
    affine[:3, 3] = origin
    return affine


def ball(shape, affine, centre, radius):
    """1 inside a ball of the patient's space, 0 outside."""
    at = apply_affine(affine, np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1).astype(float))
    return (np.linalg.norm(at - centre, axis=-1) < radius).astype(np.uint8)


def image_of(data, affine, view=View.SAX):
    return Image(data[..., None].astype(np.float32), affine, np.zeros(1), view)


def middle_of(mask, affine):
    return apply_affine(affine, np.argwhere(mask).mean(0))


@pytest.mark.parametrize("turn", [(0, 0, 0), (20, -35, 50), (170, 80, -100)])
@pytest.mark.parametrize("spacing", [(1.4, 1.4, 8.0), (1.1, 1.7, 10.0), (2.6, 2.6, 6.0)])
def test_a_ball_comes_back_where_it_was_and_as_large(turn, spacing):
    shape, affine = (30, 26, 9), oblique(spacing, turn)
    centre = apply_affine(affine, np.array([14.3, 12.8, 4.1]))
    labels = ball(shape, affine, centre, 18.0) * np.uint8(Structure.LV)
    placing = place(image_of(labels, affine), SMALL)
    there = placing.labels(labels)
    back = placing.back(there)
    assert back.shape == shape
    for found, found_in in ((there, placing.affine), (back, affine)):
        off = np.linalg.inv(affine[:3, :3]) @ (
            middle_of(found == Structure.LV, found_in) - middle_of(labels == Structure.LV, affine)
        )
        assert np.abs(off).max() < 0.5, off
    assert (back == Structure.LV).sum() == pytest.approx((labels == Structure.LV).sum(), rel=0.15)


def test_a_landmark_goes_to_the_grid_and_back_to_the_same_millimetre():
    affine = oblique((1.4, 1.2, 9.0))
    placing = place(image_of(np.zeros((30, 26, 9)), affine), SMALL)
    points = np.random.default_rng(0).normal(0, 50, (20, 3))
    np.testing.assert_allclose(placing.to_patient(placing.to_grid(points)), points, atol=1e-9)


def test_intensities_that_rise_along_an_oblique_axis_rise_the_same_on_the_grid():
    """A linear picture is resampled without error, so every value tells where it was read."""
    affine, direction = oblique((1.5, 1.3, 7.0)), np.array([0.3, -0.5, 0.8])
    index = np.stack(np.meshgrid(*map(np.arange, (40, 40, 10)), indexing="ij"), -1).astype(float)
    picture = apply_affine(affine, index) @ direction
    placing = place(image_of(picture, affine), Grid((20, 20, 6), (2.0, 2.0, 9.0)))
    read = linear(picture, placing._own_at)
    grid = np.stack(np.meshgrid(*map(np.arange, placing.size), indexing="ij"), -1).astype(float)
    inner = (slice(1, -1),) * 3
    np.testing.assert_allclose(read[inner], (placing.to_patient(grid) @ direction)[inner], atol=1e-3)


def test_an_image_already_on_the_grid_is_left_as_it_is():
    data = np.random.default_rng(0).random((24, 24, 8)).astype(np.float32)
    placing = place(image_of(data, oblique((2.0, 2.0, 8.0))), SMALL)
    np.testing.assert_allclose(placing.image(data), scaled(data, data, (0.95, 99.5)), atol=1e-6)
    assert placing.inside.all()


def test_a_large_image_is_cut_about_the_heart_and_slices_beyond_are_unseen():
    affine = np.diag([2.0, 2.0, 8.0, 1.0])
    labels = np.zeros((60, 50, 12), np.uint8)
    labels[40:48, 8:14, 2:9] = Structure.LV
    image = image_of(labels, affine)
    placing = place(image, SMALL, labelled_centre(labels, image))
    there = placing.labels(labels)
    assert (there == Structure.LV).sum() == (labels == Structure.LV).sum()
    back = placing.back(there)
    np.testing.assert_array_equal(back[:, :, 2:9], labels[:, :, 2:9])
    assert set(np.unique(np.nonzero((back == Structure.UNSEEN).all((0, 1)))[0])) == {0, 9, 10, 11} - {
        z for z in range(12) if (back[:, :, z] != Structure.UNSEEN).any()
    }
    assert (back == Structure.UNSEEN).all((0, 1)).sum() == 12 - 8


def test_a_small_image_is_padded_around_or_at_its_end_as_published():
    data = np.ones((10, 12, 4))
    for pad, first in (("centre", (7, 6, 2)), ("end", (0, 0, 0))):
        placing = place(image_of(data, np.diag([2.0, 2.0, 8.0, 1.0])), Grid((24, 24, 8), (2.0, 2.0, 8.0), pad=pad))
        at = np.argwhere(placing.inside)
        assert tuple(at.min(0)) == first
        assert placing.inside.sum() == data.size
        np.testing.assert_array_equal(placing.back(placing.inside.astype(np.uint8)), np.ones(data.shape))


def test_scores_are_interpolated_and_the_highest_wins():
    affine = oblique((1.0, 1.0, 8.0))
    placing = place(image_of(np.zeros((48, 48, 8)), affine), SMALL)
    edge = 11.2  # in grid voxels: between two of them
    x = np.arange(24.0)[:, None, None] + np.zeros((24, 24, 8))
    found = placing.back_scores(np.stack([edge - x, x - edge]))
    own_edge = placing.step[0] * edge + placing.first[0]
    np.testing.assert_array_equal(found[:, 0, 0], np.arange(48) > own_edge)


def test_a_picture_without_contrast_is_black_and_one_with_nan_is_refused():
    flat = np.full((24, 24, 8), 7.0)
    placing = place(image_of(flat, np.diag([2.0, 2.0, 8.0, 1.0])), SMALL)
    assert not placing.image(flat).any()
    flat[3, 3, 3] = np.nan
    with pytest.raises(RefusedInput, match="no numbers") as refused:
        placing.image(flat)
    assert refused.value.code == "not-finite"


def test_resampling_equals_the_recorded_one():
    """The recorded origin ignores the direction (a fault); told that origin, the values must agree."""
    told = load_file(FIXTURES)
    spacing, origin = np.array([1.5, 1.25, 8.0]), np.array([3.0, -7.0, 11.0])
    direction = np.array([[0.955336489125606, -0.29552020666133955, 0], [0.29552020666133955, 0.955336489125606, 0],
                          [0, 0, 1.0]])  # fmt: skip
    out, target = np.array([2.75, -7.125, 12.0]), np.array([1.0, 1.0, 10.0])
    first = direction.T @ (out - origin) / spacing
    at = [f + np.arange(n) * t / s for f, n, t, s in zip(first, (51, 38, 6), target, spacing, strict=True)]
    image = told["prep/in_zyx"].transpose(2, 1, 0)
    np.testing.assert_array_equal(np.trunc(linear(image, at) + 1e-4), told["prep/resampled_zyx"].transpose(2, 1, 0))
    codes = told["prep/label_in_zyx"].transpose(2, 1, 0)
    np.testing.assert_array_equal(nearest(codes, at), told["prep/label_resampled_zyx"].transpose(2, 1, 0))


def test_intensities_equal_the_recorded_ones():
    told = load_file(FIXTURES)
    resampled = told["prep/resampled_zyx"]
    found = scaled(resampled, resampled, (0.95, 99.5), whole_numbers=True)
    np.testing.assert_allclose(found, told["prep/normalised_zyx"], atol=1e-6)
    exact = (found.astype(np.float64) * 255 + 1e-4).astype(np.uint8)
    np.testing.assert_array_equal(exact, told["prep/uint8_zyx"])
    honest = scaled(resampled, resampled, (0.95, 99.5))
    assert 0 < np.abs(honest - found).max() < 0.005


def test_the_new_size_is_the_recorded_one_and_edges_coincide():
    placing = place(image_of(np.zeros((34, 30, 7)), oblique((1.5, 1.25, 8.0))), Grid((51, 38, 6), (1.0, 1.0, 10.0)))
    assert placing.inside.all()
    corner = apply_affine(oblique((1.5, 1.25, 8.0)), np.full(3, -0.5))
    np.testing.assert_allclose(placing.to_patient(np.full(3, -0.5)), corner, atol=1e-9)


def test_windows_are_the_recorded_ones():
    told = json.loads(VALUES.read_text())
    for low, high, voxels, size, below, above in told["bbox_crop_1d"]:
        first = window(low, high, voxels, size)
        assert (first, max(voxels - size - first, 0)) == (below, above)
    grid = told["patch_grid"]
    x, y, z = (starts(n, p) for n, p in zip(grid["image"], grid["patch"], strict=True))
    assert [[a, b, c] for a in x for b in y for c in z] == grid["starts"]


def test_the_heart_is_where_the_planes_meet():
    meeting = np.array([5.0, -12.0, 30.0])
    planes = {View.SAX: (0, 0, 0), View.LAX_2C: (90, 0, 30), View.LAX_4C: (90, 0, -40)}
    images = {}
    for view, turn in planes.items():
        shape = (40, 40, 9) if view is View.SAX else (40, 40, 1)
        affine = oblique((2.0, 2.0, 8.0), turn, (0, 0, 0))
        affine[:3, 3] = meeting - affine[:3, :3] @ ((np.array(shape) - 1) / 2 + (3.0, -4.0, 0))
        images[view, Contrast.CINE] = image_of(np.zeros(shape), affine, view)
    np.testing.assert_allclose(heart_centre(Study("s", images)), meeting, atol=1e-6)
    alone = {key: image for key, image in images.items() if key[0] is View.SAX}
    middle = apply_affine(images[View.SAX, Contrast.CINE].affine, (np.array((40, 40, 9)) - 1) / 2)
    np.testing.assert_allclose(heart_centre(Study("s", alone)), middle, atol=1e-6)


def test_a_study_without_cine_and_a_frame_without_the_structure_have_no_centre():
    with pytest.raises(RefusedInput, match="has no cine"):
        heart_centre(Study("s", {}))
    with pytest.raises(RefusedInput, match="labelled LV"):
        labelled_centre(np.zeros((4, 4, 2), np.uint8), image_of(np.zeros((4, 4, 2)), np.eye(4)))


def test_an_image_without_voxel_size_is_refused():
    with pytest.raises(RefusedInput, match="states no voxel size"):
        place(image_of(np.zeros((4, 4, 2)), np.diag([0.0, 1.0, 1.0, 1.0])), SMALL)


@pytest.mark.parametrize(
    ("given", "message"),
    [({"size": (0, 4, 4)}, "size of 1 or more"), ({"percentiles": (50.0, 50.0)}, "percentiles rise")],
)
def test_a_grid_that_holds_nothing_is_refused(given, message):
    with pytest.raises(ValueError, match=message):
        Grid(**given)
