"""The published recipe: its losses against slow formulas, its fit against a heart that contracts."""

import numpy as np
import pytest
import torch

from cinecmr.errors import RefusedInput
from cinecmr.motion.prior import Prior, clipped_mean, ejected_share, population, robust_mean
from cinecmr.motion.published import Published, average, register_published
from cinecmr.motion.similarity import correlation, local_correlation, volume_penalty

SMALL = Published(widths=(4, 32, 32, 3), omega=12.0, steps=60, points=1500, rate=2e-3)


def test_correlation_is_that_of_the_slow_formula_and_blind_to_brightness():
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(2, 50))
    slow = np.mean((a - a.mean()) * (b - b.mean())) / (a.std(ddof=1) * b.std(ddof=1))
    found = correlation(torch.tensor(a), torch.tensor(b))
    assert float(found) == pytest.approx(slow, abs=1e-9)
    assert float(correlation(torch.tensor(a), torch.tensor(3 * a + 7))) == pytest.approx(49 / 50, abs=1e-9)


def test_local_correlation_is_blind_to_slow_shading():
    rng = np.random.default_rng(2)
    a = torch.tensor(rng.normal(size=(30, 30)))
    ramp = torch.linspace(1, 3, 30)[:, None].double()
    assert float(local_correlation(a, a)) == pytest.approx(1, abs=1e-4)
    assert float(local_correlation(a, ramp * a)) > 0.97
    assert float(local_correlation(a, torch.tensor(rng.normal(size=(30, 30))))) < 0.1


def test_the_penalty_on_volume_is_that_of_the_slow_formula():
    rng = np.random.default_rng(3)
    gradients = rng.normal(0, 0.4, (40, 3, 3))
    d = np.clip([np.linalg.det(np.eye(3) + g) for g in gradients], 0.1, 10)
    assert float(volume_penalty(torch.tensor(gradients))) == pytest.approx(np.mean(d - 1 + 1 / d - 1), abs=1e-9)
    assert float(volume_penalty(torch.zeros(4, 3, 3))) == 0


def test_the_recipe_moves_the_wall_inwards_and_its_gradient_is_that_of_its_displacement(tiny_heart):
    motion = register_published(tiny_heart.image, tiny_heart.labels, settings=SMALL)
    points = np.argwhere(tiny_heart.labels[..., 0] == 2)[::11].astype(float) @ tiny_heart.image.affine[:3, :3].T
    out = points - points.mean(axis=0)
    out[:, 2] = 0
    moved = motion.displacement(points, 4 / 12) - motion.displacement(points, 0.0)
    assert ((moved * out).sum(axis=1) < 0).mean() > 0.7
    way = np.array([0.02, 0, 0])
    steps = (motion.displacement(points + way, 0.3) - motion.displacement(points - way, 0.3)) / 0.04
    np.testing.assert_allclose(motion.gradient(points, 0.3)[:, :, 0], steps + np.array([1, 0, 0]), atol=5e-3)


def test_a_prior_of_networks_is_the_clipped_mean_of_each_weight():
    values = np.array([[1.0, 5.0, 9.0], [2.0, 5.0, 8.0], [3.0, 5.0, 7.0], [100.0, 5.0, -50.0]])
    networks = [{"a": torch.tensor(row[:1]), "b": torch.tensor(row[1:].reshape(2, 1))} for row in values]
    low, high = np.quantile(values, (0.01, 0.99), axis=0)
    wanted = np.clip(values, low, high).mean(axis=0)
    found = average(networks)
    np.testing.assert_allclose(torch.cat([found["a"], found["b"][:, 0]]), wanted, rtol=1e-6)
    robust = average(networks, "robust")
    assert abs(float(robust["a"]) - 2) < 1
    assert robust["b"].shape == (2, 1)
    with pytest.raises(ValueError, match="no method"):
        average(networks, "median")
    with pytest.raises(ValueError, match="different sizes"):
        average([networks[0], {"a": torch.zeros(3)}])
    with pytest.raises(ValueError, match="at least one"):
        average([])


def test_a_robust_mean_forgets_the_one_who_moves_otherwise():
    stack = np.concatenate([np.random.default_rng(4).normal(1, 0.1, (9, 5)), np.full((1, 5), 50.0)])
    assert np.abs(robust_mean(stack) - 1).max() < 0.2
    assert np.abs(clipped_mean(stack) - 1).max() > 2


def test_a_prior_follows_the_ejection_fraction_and_the_size_of_the_heart(tiny_heart, tmp_path):
    from cinecmr.motion.shell import Shell

    shell = Shell.of(tiny_heart.labels[..., 0], tiny_heart.image.affine, (2, 2, 1))
    shape = (len(shell.waves()), 4, 3)
    shares = [0.2, 0.4, 0.6]
    tables = [np.full(shape, share) * size for share, size in zip(shares, (40.0, 50.0, 60.0), strict=True)]
    prior = population(tables, [40.0, 50.0, 60.0], shares, (2, 2, 1), "mean", ridge=0.0)
    prior.save(tmp_path / "prior.safetensors")
    again = Prior.load(tmp_path / "prior.safetensors")
    share = ejected_share(tiny_heart.labels)
    np.testing.assert_allclose(again.table(shell, 2, tiny_heart.labels), share * shell.frame.focus, rtol=2e-2)
    assert again.table(shell, 1, tiny_heart.labels).shape[1] == 2
    with pytest.raises(RefusedInput, match="orders"):
        again.table(Shell(shell.frame, shell.lowest, shell.endo, shell.epi, (3, 2, 1)), 2, tiny_heart.labels)
    with pytest.raises(ValueError, match="no method"):
        population(tables, [1, 1, 1], shares, (2, 2, 1), "median")
