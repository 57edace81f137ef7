import numpy as np
import pytest

from cinecmr import Image, Structure
from cinecmr.analyze.display import contours, display_axes, heart_box, slices_from_base


def area(lines):
    """Shoelace formula; holes count negative."""
    return abs(sum(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1)) for x, y in (line.T for line in lines))) / 2


def disc(size, radius, centre):
    x, y = np.meshgrid(np.arange(size), np.arange(size), indexing="ij")
    return np.hypot(x - centre[0], y - centre[1]) < radius


@pytest.mark.parametrize("radius", [4.0, 9.3, 17.0])
def test_a_drawn_cavity_is_as_wide_as_its_labels_to_a_tenth_of_a_pixel(radius):
    plane = np.where(disc(60, radius, (30.2, 27.7)), Structure.LV, 0).astype(np.uint8)
    drawn, labelled = area(contours(plane)["endo"]), (plane > 0).sum()
    assert np.sqrt(drawn / np.pi) == pytest.approx(np.sqrt(labelled / np.pi), abs=0.1)


def test_the_epicardium_is_one_border_around_wall_and_cavity():
    plane = np.zeros((60, 60), np.uint8)
    plane[disc(60, 18, (30, 30))] = Structure.MYO
    plane[disc(60, 10, (30, 30))] = Structure.LV
    drawn = contours(plane)
    assert len(drawn["epi"]) == 1
    assert area(drawn["epi"]) == pytest.approx((plane > 0).sum(), rel=0.02)
    assert drawn["rv"] == []


def test_a_papillary_hole_in_the_cavity_stays_a_border():
    plane = np.where(disc(60, 15, (30, 30)), Structure.LV, 0).astype(np.uint8)
    plane[disc(60, 4, (33, 30))] = Structure.MYO
    assert len(contours(plane)["endo"]) == 2
    assert area(contours(plane)["endo"]) == pytest.approx((plane == Structure.LV).sum(), rel=0.02)


def test_a_single_wrong_voxel_is_drawn_and_not_smoothed_away():
    plane = np.zeros((20, 20), np.uint8)
    plane[4, 13] = Structure.RV
    (ring,) = contours(plane)["rv"]
    np.testing.assert_allclose(ring[:-1].mean(axis=0), (13, 4), atol=0.05)  # (column, row)


def test_a_cavity_cut_by_the_image_edge_is_closed():
    plane = np.zeros((20, 20), np.uint8)
    plane[:8, :8] = Structure.LV
    (ring,) = contours(plane)["endo"]
    np.testing.assert_array_equal(ring[0], ring[-1])
    assert area([ring]) == pytest.approx(64, rel=0.03)


AXIAL, CORONAL, SAGITTAL = ("A", "L", "P", "R"), ("H", "L", "F", "R"), ("H", "P", "F", "A")


@pytest.mark.parametrize("edges", [AXIAL, CORONAL, SAGITTAL])
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("signs", [(1, 1), (1, -1), (-1, 1), (-1, -1)])
def test_a_plane_is_shown_the_radiologists_way_however_it_was_stored(edges, transposed, signs):
    towards = {"L": (-1, 0, 0), "P": (0, -1, 0), "F": (0, 0, -1)}
    right, down = np.array(towards[edges[1]]), np.array(towards[edges[2]])
    affine = np.eye(4)
    affine[:3, :2] = np.stack([signs[0] * right, signs[1] * down], axis=1)[:, :: -1 if transposed else 1]
    affine[:3, 2] = np.cross(affine[:3, 0], affine[:3, 1])
    axes = display_axes(affine)
    assert axes.edges == edges
    # A bright voxel far to the right and down must land at bottom right, whatever the storage.
    x, y = np.meshgrid(np.arange(4), np.arange(4), indexing="ij")
    place = x[..., None] * affine[:3, 0] + y[..., None] * affine[:3, 1]
    shown = axes.apply(place @ (right + down))
    assert np.unravel_index(shown.argmax(), shown.shape) == (3, 3)
    assert np.unravel_index(shown.argmin(), shown.shape) == (0, 0)


def test_an_oblique_two_chamber_plane_is_seen_from_the_left_as_its_scanner_stored_it():
    affine = np.eye(4)  # of a Siemens study: columns run back and right, rows to the feet
    affine[:3, 0], affine[:3, 1], affine[:3, 2] = (0.62, -0.78, 0.0), (-0.04, -0.02, -1.0), (0.78, 0.62, -0.04)
    axes = display_axes(affine)
    assert (axes.swap, axes.flip_rows, axes.flip_columns) == (False, False, False)
    assert axes.edges == ("H", "PR", "F", "AL")


def test_a_tapering_heart_tells_where_its_base_is_when_the_affine_is_a_placeholder():
    labels = np.zeros((40, 40, 6, 1), np.uint8)
    for z in range(6):
        labels[..., z, 0][disc(40, 6 + 2 * z, (20, 20))] = Structure.LV
    assert slices_from_base(np.eye(4), 6, labels) == [5, 4, 3, 2, 1, 0]
    assert slices_from_base(np.eye(4), 6, labels[:, :, ::-1]) == [0, 1, 2, 3, 4, 5]


def test_without_labels_the_apex_lies_left_forwards_and_down():
    towards_apex = np.eye(4)
    towards_apex[:3, 2] = -6.0, 5.0, -4.0
    assert slices_from_base(towards_apex, 3) == [0, 1, 2]
    towards_apex[:3, 2] *= -1
    assert slices_from_base(towards_apex, 3) == [2, 1, 0]


def test_the_heart_is_cut_out_with_a_margin_in_millimetres():
    image = Image(np.zeros((100, 100, 1, 2)), np.diag([1.0, 2.0, 8.0, 1.0]), np.array([0.0, 0.1]))
    labels = np.zeros((100, 100, 1, 2), np.uint8)
    labels[40:50, 45:55, 0, 0] = Structure.LV
    labels[..., 1] = Structure.UNSEEN
    assert heart_box(labels, image, margin_mm=20.0) == (slice(20, 70), slice(35, 65))
    assert heart_box(np.zeros_like(labels), image) == (slice(0, 100), slice(0, 100))
