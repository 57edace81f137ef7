"""Losses and strain against the published program's own answers, where its recorded values are at hand.

Its smoothed strain and its segments record known faults and are no target.
"""

import json

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from scipy.ndimage import distance_transform_edt

from cinecmr.measure.strain import Convention, strain
from cinecmr.motion.shell import Shell
from cinecmr.motion.similarity import correlation, volume_penalty
from cinecmr.study import WallPoints

SWAPPED = np.array([0, 3, 2, 1], np.uint8)  # the program numbers the cavity 1 and the right ventricle 3


@pytest.fixture
def losses(fixture_file):
    told = json.loads(fixture_file("tagged_prior/fixtures.json").read_text("utf-8"))["siren"]["values"]
    return told, load_file(fixture_file("tagged_prior/siren_parity.safetensors"))


@pytest.fixture
def recorded(fixture_file):
    """The program's strain, by name, and the points of the wall with the directions it takes."""
    held = load_file(fixture_file("tagged_prior/strain_parity.safetensors"))
    muscle, pool = held["seg_ed_zyx"] == 2, held["seg_ed_zyx"] == 1
    out = np.zeros((*pool.shape, 3))
    for z in np.flatnonzero(pool.any(axis=(1, 2))):
        by_y, by_x = np.gradient(distance_transform_edt(~pool[z]) - distance_transform_edt(pool[z]))
        size = np.maximum(np.hypot(by_x, by_y), 1e-12)
        out[z, ..., 0], out[z, ..., 1] = by_x / size, by_y / size
    radial = out[muscle]
    around, up = (
        np.column_stack([-radial[:, 1], radial[:, 0], 0 * radial[:, 0]]),
        np.tile([0.0, 0.0, 1.0], (len(radial), 1)),
    )
    count = len(radial)
    wall = WallPoints(held["grid_xyz_mm"][muscle].astype(float), radial, around, up, np.ones(count, np.uint8),
                      np.full(count, 0.5), np.ones(count), np.array([0.0, 0.0, 1.0]))  # fmt: skip
    return held, muscle, wall


class Recorded:
    """The motion that the program was given: F of the wall's points at each of its times."""

    def __init__(self, gradients, moved):
        self.gradients, self.moved = gradients, moved

    def displacement(self, points, time):
        return self.moved[round(time)]

    def gradient(self, points, time):
        return self.gradients[round(time)]


def test_correlation_of_the_sampled_pictures_is_the_published_loss(losses):
    told, held = losses
    found = -correlation(torch.from_numpy(held["fixed_vals"]), torch.from_numpy(held["warped_vals"]))
    assert float(found) == pytest.approx(told["ncc"], abs=1e-5)


def test_the_penalty_on_volume_is_the_published_loss_in_the_mask_and_outside(losses):
    told, held = losses
    change = torch.from_numpy(held["jac_phi"]) - torch.eye(3)
    inside = torch.from_numpy(held["mask"]).bool()
    within, beyond = (float(volume_penalty(change[where])) for where in (inside, ~inside))
    assert within == pytest.approx(told["jac_in"], abs=1e-5)
    assert beyond == pytest.approx(told["jac_bg"], abs=1e-5)
    assert 0.25 * within + 1e-4 * beyond == pytest.approx(told["jac_total"], abs=1e-5)


def test_strain_along_the_same_directions_is_the_published_strain(recorded):
    held, muscle, wall = recorded
    gradients = [f[muscle].astype(float) for f in held["F"]]
    motion = Recorded(gradients, None)
    green = strain(motion, wall, [0, 1, 2], Convention.GREEN_LAGRANGE)
    engineering = strain(motion, wall, [0, 1, 2])
    names = (("radial", "E_rr"), ("circumferential", "E_cc"), ("longitudinal", "E_ll"))
    for column, (name, raw) in enumerate(names):
        theirs = np.stack([frame[muscle] for frame in held[raw]])
        np.testing.assert_allclose(getattr(green, name) / 100, theirs, atol=1e-6)
        told = np.stack([frame[muscle][:, column] for frame in held["eng_percent"]])
        np.testing.assert_allclose(getattr(engineering, name), told, atol=1e-3)


def test_the_functions_of_the_wall_hold_the_recorded_motion_and_its_gradient(recorded):
    held, muscle, wall = recorded
    labels = SWAPPED[held["seg_ed_zyx"]].transpose(2, 1, 0)
    corner = held["grid_xyz_mm"][0, 0, 0].astype(float)
    steps = [held["grid_xyz_mm"][tuple(np.eye(3, dtype=int)[axis])] - corner for axis in (2, 1, 0)]
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = np.column_stack(steps), corner
    shell = Shell.of(labels, affine, (5, 5, 2))
    moved = held["disp_mm"][2][muscle].astype(float) @ shell.frame.turn.T
    values, slopes = shell.with_gradient(wall.points)
    table = np.linalg.lstsq(values, moved, rcond=1e-4)[0]
    assert np.abs(values @ table - moved).mean() < 0.05
    turn = shell.frame.turn
    found = turn.T @ (np.eye(3) + np.einsum("nbj,bi->nij", slopes, table)) @ turn
    off = np.abs(found - held["F"][2][muscle])[:, :, :2]  # slices 16 mm apart say little of slopes across them
    assert off.mean() < 0.02
