"""Priors by name, of both presets, with a card that their file must be what it says."""

import json
from dataclasses import replace

import numpy as np
import pytest

from cinecmr.analyze import motion, motion_prior
from cinecmr.errors import RefusedInput
from cinecmr.motion import published, register
from cinecmr.motion.network_prior import NetworkPrior
from cinecmr.motion.register import Sound

TINY = register.Sound((3, 2, 2), 2, pixels=300, face_points=200, tissue_points=100, levels=((1.0, 1),))
SMALL = published.Published(widths=(4, 8, 8, 3), steps=2, points=200, rate=1e-2)


@pytest.fixture(autouse=True)
def quick(monkeypatch, tiny_heart):
    monkeypatch.setattr(register, "Sound", lambda: TINY)
    monkeypatch.setattr(published, "Published", lambda: SMALL)
    monkeypatch.setattr(motion_prior, "synthetic", lambda name: (tiny_heart.study, tiny_heart.labels))


@pytest.fixture
def of_networks(tmp_path):
    out = tmp_path / "net.safetensors"
    return out, motion_prior.build("phantom", out, preset="published", method="mean", subjects=2, seed=5)


def test_a_prior_of_networks_is_where_the_published_fit_begins(of_networks, tiny_heart):
    out, made = of_networks
    again = motion_prior.named(str(out))
    assert isinstance(again, NetworkPrior)
    assert (again.subjects, again.settings) == (2, SMALL)
    begun = published.register_published(
        tiny_heart.image, tiny_heart.labels, start=again.weights, settings=replace(SMALL, steps=0)
    )
    for name, value in begun.network.state_dict().items():
        np.testing.assert_array_equal(value, made.weights[name])
    tracked = motion.track(tiny_heart.study, tiny_heart.labels, preset="published", start=again)
    points = tracked.strain.wall.points[::40]
    assert np.abs(tracked.motion.displacement(points, 0.3) - begun.displacement(points, 0.3)).max() > 0


def test_two_rounds_begin_the_second_where_the_first_ended(of_networks, tmp_path):
    out, _ = of_networks
    motion_prior.build("phantom", out, preset="published", method="meta", subjects=2, seed=5)
    folders = sorted(path.name for path in out.with_suffix(".subjects").iterdir())
    assert folders == ["round-1", "round-2-of-2"]
    assert motion_prior.named(str(out)).method == "meta"


def test_a_prior_of_one_preset_is_refused_by_the_other(of_networks, tiny_heart, tmp_path):
    network = motion_prior.named(str(of_networks[0]))
    with pytest.raises(RefusedInput, match="give --preset published"):
        motion.track(tiny_heart.study, tiny_heart.labels, start=network)
    motion_prior.build("phantom", tmp_path / "own.safetensors", subjects=1)
    with pytest.raises(RefusedInput, match="leave --preset published"):
        motion.track(
            tiny_heart.study,
            tiny_heart.labels,
            preset="published",
            start=motion_prior.named(str(tmp_path / "own.safetensors")),
        )


def test_a_prior_that_is_not_what_its_card_says_is_refused(of_networks):
    out, _ = of_networks
    card = json.loads(out.with_suffix(".json").read_text())
    assert (card["preset"], card["method"], card["subjects"]) == ("published", "mean", 2)
    assert "synthetic" in card["made_from"]
    NetworkPrior(motion_prior.named(str(out)).weights, SMALL, 3, "mean").save(out)
    with pytest.raises(RefusedInput, match="not the file that its card") as refused:
        motion_prior.named(str(out))
    assert refused.value.code == "weights-changed"


def test_shipped_priors_fit_the_default_and_are_what_their_cards_say():
    for name in motion_prior.names():
        prior = motion_prior.named(name)
        assert prior.subjects >= 8
        if not isinstance(prior, NetworkPrior):
            assert prior.orders == Sound().orders
            assert np.isfinite(prior.mean).all()


def test_no_such_preset_is_refused(tmp_path):
    with pytest.raises(RefusedInput, match="no preset 'fast'"):
        motion_prior.build("phantom", tmp_path / "p.safetensors", preset="fast")
    with pytest.raises(RefusedInput, match="there is no prior nobody"):
        motion_prior.named("nobody")
