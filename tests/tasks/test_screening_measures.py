"""What an encoder learns before screening: measures, from clips of every sequence."""

import numpy as np
import pytest
import torch

from cinecmr.learn.fit import fit
from cinecmr.learn.recipe import Optimiser, Recipe, Schedule
from cinecmr.networks.video_swin import VideoSwinConfig
from cinecmr.tasks.screening_data import SEQUENCES, Window
from cinecmr.tasks.screening_measures import MeasurePhase, MeasuringNetwork
from cinecmr.tasks.screening_network import ScreeningConfig
from cinecmr.tasks.screening_samples import NO_AUGMENT, Samples

TINY = VideoSwinConfig(width=4, depths=(1, 1), heads=(1, 2), window=(2, 2, 2), drop_path=0.0)
CONFIG = ScreeningConfig(window=Window(size=16, spacing_mm=9.0, frames=4, lge_slices=4), swin=TINY)


def phase(n=40, measures=None, **more):
    """Clips of which a share is bright; it is the first measure, and the second in another unit, upside down."""
    rng = np.random.default_rng(0)
    rows = rng.integers(0, 17, n)
    truth = np.stack([rows / 16, 100 - 3.0 * rows], 1)
    clips = {}
    for name in SEQUENCES:
        clips[name] = rng.normal(0, 0.1, size=(n, *CONFIG.window.shape(name))).astype(np.float32)
        for clip, bright in zip(clips[name], rows, strict=True):
            clip[..., :bright, :] += 2
    there = {name: np.ones(n, bool) for name in SEQUENCES}
    samples = Samples(tuple(f"s{i}" for i in range(n)), np.zeros(n, np.int64), clips, there)
    learned, held = np.arange(n - 10), np.arange(n - 10, n)
    truth = truth if measures is None else measures
    return MeasurePhase(
        samples.take(learned), samples.take(held), truth[learned], truth[held], CONFIG, NO_AUGMENT, **more
    )


def test_measures_of_others_are_told_from_every_sequence_after_learning(tmp_path):
    asked = phase()
    torch.manual_seed(0)
    with torch.inference_mode():
        before = asked.check(MeasuringNetwork(CONFIG, 2).eval())
    recipe = Recipe({"task": "x"}, Optimiser(1e-2, warmup=5, average=0.0), Schedule(150, 8, 50, 150))
    network = fit(recipe, asked, tmp_path).eval()
    with torch.inference_mode():
        after = asked.check(network)
    assert set(after) == {f"correlation_{name}" for name in SEQUENCES}
    assert min(after.values()) > 0.9 > max(before.values())


def test_a_batch_is_of_one_sequence_and_its_targets_have_no_unit():
    asked = phase()
    rng = np.random.default_rng(0)
    shapes = set()
    for _ in range(20):
        clips, targets = asked.batch(rng, 4)
        shapes.add(tuple(clips.shape[1:]))
        assert targets.shape == (4, 2)
        assert targets[:, 1].numpy() == pytest.approx(-targets[:, 0].numpy(), abs=1e-5)
        spread = asked.measures[:, 0].std()
        told = targets[:, 0].numpy() * spread + asked.measures[:, 0].mean()  # the share that is bright, of 2 above 0
        assert clips.mean((1, 2, 3, 4)).numpy() == pytest.approx(2 * told, abs=0.05)
    assert shapes == {CONFIG.window.shape(name) for name in SEQUENCES}
    assert asked.size == 3 * 30
    said = asked.loss(MeasuringNetwork(CONFIG, 2), (torch.zeros(2, *CONFIG.window.shape("sax")), torch.ones(2, 2)))
    assert said.total.shape == ()


@pytest.mark.parametrize("fault", [np.nan, "same"])
def test_measures_that_cannot_be_learned_are_refused(fault):
    bad = np.random.default_rng(0).normal(size=(40, 2))
    bad[:, 1] = 3.0 if fault == "same" else np.nan
    with pytest.raises(ValueError, match="finite numbers that differ"):
        phase(measures=bad)
