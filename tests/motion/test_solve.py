"""The solver: tissue's residuals against differences, bodies that turn, and fits that must not fold."""

import numpy as np
import pytest

from cinecmr.motion import register, threads
from cinecmr.motion.field import WallMotion, time_waves
from cinecmr.motion.shell import Shell
from cinecmr.motion.solve import LEAST, Stiffness, Tissue, unfolded

ONE = np.ones((1, 1), np.float32)


def tissue(count=4, functions=5, seed=0):
    rng = np.random.default_rng(seed)
    slopes = rng.normal(0, 0.1, (count, 3, functions)).astype(np.float32)
    across = np.linalg.qr(rng.normal(size=(count, 3, 3)))[0].astype(np.float32)
    return Tissue(slopes, across, volume=2.0, glide=3.0)


def block(volume=1.0, glide=1.0):
    """One point whose three functions are x, y and z: a table of one wave is grad u, transposed."""
    return Tissue(np.eye(3, dtype=np.float32)[None], np.eye(3, dtype=np.float32)[None], volume, glide)


def test_slopes_of_tissue_are_the_differences_of_its_residuals():
    one, rng = tissue(), np.random.default_rng(1)
    waves = rng.normal(size=(2, 3)).astype(np.float32)
    table, way = rng.normal(0, 0.3, (2, 5, 2, 3)).astype(np.float32)
    _, slopes = one.linearise(table, waves)
    changes = one.gradients(way, waves).swapaxes(-1, -2).reshape(4, 3, 1, 9)
    ahead, behind = (
        one.linearise(table + h * way, waves)[0].astype(float) for h in (np.float32(1e-2), np.float32(-1e-2))
    )
    np.testing.assert_allclose((slopes * changes).sum(axis=-1), (ahead - behind) / 2e-2, rtol=2e-2, atol=2e-2)


def test_tissue_at_rest_changes_as_its_slopes_there_say():
    one, way = tissue(), np.random.default_rng(2).normal(size=(5, 1, 3)).astype(np.float32)
    _, slopes = one.linearise(np.zeros_like(way), ONE)
    changes = one.gradients(way, ONE).swapaxes(-1, -2).reshape(4, 1, 1, 9)
    wanted = (slopes * changes).sum(axis=-1)[:, 0]
    found = one.at_rest() @ way[:, 0].ravel()
    np.testing.assert_allclose(found.reshape(3, 4).T, wanted, atol=1e-5)


def test_what_pulls_on_gradients_pulls_back_on_the_table():
    one, rng = tissue(), np.random.default_rng(3)
    waves = rng.normal(size=(2, 3)).astype(np.float32)
    table, pull = rng.normal(size=(5, 2, 3)).astype(np.float32), rng.normal(size=(4, 3, 9)).astype(np.float32)
    there = one.gradients(table, waves).swapaxes(-1, -2).reshape(pull.shape)
    back = one.back(pull, waves).reshape(table.shape)
    assert float((there * pull).sum()) == pytest.approx(float((table * back).sum()), rel=1e-4)


def test_muscle_that_turns_as_a_whole_costs_nothing():
    turn = np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1]], np.float32)
    residuals, _ = block().linearise((turn - np.eye(3, dtype=np.float32)).T[:, None], ONE)
    np.testing.assert_allclose(residuals, 0, atol=1e-6)


def test_layers_that_glide_and_muscle_that_swells_cost_what_they_do():
    glides, swells = np.zeros((3, 1, 3), np.float32), np.zeros((3, 1, 3), np.float32)
    glides[0, 0, 1] = 0.3  # y grows with x: across the wall is x
    swells[:, 0] = 0.1 * np.eye(3)
    np.testing.assert_allclose(block(2.0, 5.0).linearise(glides, ONE)[0], [[[0, 1.5, 0]]], atol=1e-6)
    np.testing.assert_allclose(block(2.0, 5.0).linearise(swells, ONE)[0], [[[2 * 3 * np.log(1.1), 0, 0]]], atol=1e-6)


def test_a_step_that_would_fold_muscle_is_shortened():
    flat = np.zeros((3, 1, 3), np.float32)
    flat[0, 0, 0] = -1.6  # det F = -0.6
    found = unfolded(np.zeros_like(flat), flat, block(), ONE)
    np.testing.assert_allclose(found, flat / 2)
    assert block().determinants(found, ONE).min() >= LEAST
    np.testing.assert_array_equal(unfolded(flat / 2, -flat / 4, block(), ONE), flat / 4)


def test_a_motion_that_folds_is_mended_or_made_smaller_until_no_voxel_of_muscle_folds(tiny_heart, monkeypatch):
    labels, affine = tiny_heart.labels[..., 0], tiny_heart.image.affine
    shell = Shell.of(labels, affine, (3, 2, 2))
    settings = register.Sound((3, 2, 2), tissue_points=120)
    muscle = register._muscle(labels, affine, shell)
    waves = time_waves(np.arange(6) / 6, 2).astype(np.float32)
    table = np.random.default_rng(5).normal(0, 1.5, (len(shell.waves()), 4, 3)).astype(np.float32)
    some = register._tissue(muscle[::40], shell, settings)
    stiffness = Stiffness(np.full(len(table), 1e-3, np.float32), np.ones(4, np.float32))

    def least(of):
        motion = WallMotion(shell, of.astype(np.float64))
        return min(np.linalg.det(motion.gradient(muscle, t / 6)).min() for t in range(6))

    while least(table) < -0.2:
        table *= np.float32(0.95)
    assert least(table) < 0
    found = {}
    for rounds in (0, 5):
        monkeypatch.setattr(register, "_ROUNDS", rounds)
        table_now, left = register._without_folds(table, muscle, shell, [], some, stiffness, waves, settings)
        assert least(table_now) > 0
        assert [flag.code for flag in register._damped(left)] == ["motion-folds"] * (left < 1)
        found[rounds] = left
    assert 0.2 < found[0] < 1
    assert found[5] == 1


def test_a_fit_keeps_to_one_thread_and_gives_the_others_back():
    if not threads.controls():
        pytest.skip("numpy and scipy here bring no OpenBLAS that can be told")
    before = [tells() for tells, _ in threads.controls()]
    with threads.one_thread():
        assert [tells() for tells, _ in threads.controls()] == [1] * len(before)
    assert [tells() for tells, _ in threads.controls()] == before
