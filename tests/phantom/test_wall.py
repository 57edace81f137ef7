"""The wall cut into cells: its volume, its directions, its segments."""

import numpy as np
import pytest

from cinecmr.anatomy import AHA_SEGMENTS, Structure, aha_segments
from cinecmr.phantom.heart import Heart
from cinecmr.phantom.shape import LeftVentricle, Ripple
from cinecmr.phantom.wall import wall_points

TILTED = Heart(lv=LeftVentricle(tilt=(0.12, -0.08), ripple=Ripple((0.03,), (3,), (0.4,), (1.0,))), bend=(3.0, -2.0))


@pytest.mark.parametrize("heart", [Heart(), TILTED], ids=["plain", "tilted"])
def test_the_cells_fill_the_muscle_below_the_mitral_plane(heart):
    wall = wall_points(heart)
    assert wall.weights.sum() / 1000 == pytest.approx(heart.volumes_ml(0.0)[Structure.MYO], rel=0.005)
    inside = heart.labels(wall.points.astype(np.float32), 0.0) == Structure.MYO
    assert wall.weights[inside].sum() > 0.96 * wall.weights.sum()  # cells that the plane cuts lie on both sides


@pytest.mark.parametrize("follow_wall", [True, False])
def test_directions_are_square_right_handed_and_turn_with_the_patient(follow_wall):
    turn = np.linalg.qr(np.random.default_rng(4).normal(size=(3, 3)))[0]
    turn *= np.sign(np.linalg.det(turn))
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = turn, (5.0, -3.0, 9.0)
    here, there = (wall_points(TILTED, a, follow_wall=follow_wall, cells=(20, 16, 2)) for a in (None, affine))
    frame = np.stack([here.radial, here.circumferential, here.longitudinal], axis=-1)
    np.testing.assert_allclose(frame.transpose(0, 2, 1) @ frame, np.tile(np.eye(3), (len(here), 1, 1)), atol=1e-9)
    np.testing.assert_allclose(np.linalg.det(frame), 1.0, atol=1e-9)
    np.testing.assert_allclose(there.points, here.points @ turn.T + affine[:3, 3], atol=1e-9)
    for name in ("radial", "circumferential", "longitudinal"):
        np.testing.assert_allclose(getattr(there, name), getattr(here, name) @ turn.T, atol=1e-9)
    np.testing.assert_allclose(there.long_axis, turn[:, 2], atol=1e-9)


def test_ways_along_the_wall_stay_on_their_layer():
    wall = wall_points(TILTED, cells=(30, 20, 3))
    upper = np.flatnonzero((wall.points[:, 2] > 25) & (wall.points[:, 2] < 80))
    for name in ("circumferential", "longitudinal"):
        for sign in (-1.0, 1.0):
            moved = wall.points[upper] + sign * 0.05 * getattr(wall, name)[upper]
            np.testing.assert_allclose(depth_at(moved), wall.depth[upper], atol=1e-3)
    outwards = wall.points[upper] + 0.05 * wall.radial[upper]
    assert np.all(depth_at(outwards) > wall.depth[upper] + 2e-3)


def depth_at(points):
    """Share of the way through the wall of the tilted heart, along the ray from its bent axis."""
    share = points[:, 2] / TILTED.lv.length
    x, y = (points[:, i] - 4 * share * (1 - share) * TILTED.bend[i] for i in (0, 1))
    endo, epi = TILTED.lv.reference_radii(np.arctan2(y, x), points[:, 2])
    return (np.hypot(x, y) - endo) / (epi - endo)


def test_segments_lie_where_their_names_say():
    wall = wall_points(Heart(), cells=(60, 40, 2))
    places = {number: wall.points[wall.segments == number].mean(axis=0) for number in AHA_SEGMENTS}
    for number, name in AHA_SEGMENTS.items():
        x, y, _ = places[number]  # x to the septum, y to the anterior wall
        if "sept" in name:
            assert x > 3, name
        if "lateral" in name:
            assert x < -3, name
        if "anter" in name:
            assert y > 3, name
        if "infer" in name:
            assert y < -3, name
    heights = [places[number][2] for number in (17, 14, 9, 3)]
    assert heights == sorted(heights)


def test_every_place_of_the_wall_has_one_segment():
    share, angle = np.meshgrid(np.linspace(-0.2, 1.1, 40), np.linspace(-4 * np.pi, 4 * np.pi, 200), indexing="ij")
    found = aha_segments(share, angle)
    assert set(np.unique(found)) == set(AHA_SEGMENTS)
    np.testing.assert_array_equal(aha_segments(share, angle + 2 * np.pi), found)
