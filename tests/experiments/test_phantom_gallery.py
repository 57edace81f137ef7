"""The moving pictures of the docs: six panels, one beat, in the beat's own time."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture

from cinecmr.anatomy import Contrast, View
from cinecmr.experiments import phantom_gallery
from cinecmr.experiments.phantom_gallery import FRAMES, GREYS, HEARTS, SIDE, film, run, write_film
from cinecmr.study import Findings, Image, Study


@pytest.fixture
def study_and_truth():
    """A bright disc that shrinks and grows in the short axis; no other view."""
    x, y = np.meshgrid(np.arange(64), np.arange(64), indexing="ij")
    radius = 12 - 4 * np.sin(np.pi * np.arange(FRAMES) / FRAMES)
    disc = (np.hypot(x - 40, y - 20)[:, :, None, None] < radius).repeat(3, 2)
    image = Image(disc * 100.0, np.diag([2.0, 2.0, 8.0, 1.0]), np.arange(FRAMES) / FRAMES, rr_ms=800.0)
    key = View.SAX, Contrast.CINE
    return Study("disc", {key: image}), Findings(labels={key: disc.astype(np.uint8) * 2})


def test_the_heart_is_in_the_middle_of_its_panel_and_beats(study_and_truth):
    frames = film(*study_and_truth)
    assert frames.shape == (FRAMES, 2 * SIDE, 3 * SIDE)
    first = frames[0, :SIDE, :SIDE] > 128
    assert np.argwhere(first).mean(axis=0) == pytest.approx((SIDE - 1) / 2, abs=1.5)
    # Radius 12 pixels of 2 mm in a square of 150 mm.
    assert first.sum() == pytest.approx(np.pi * (24 / 150 * SIDE) ** 2, rel=0.08)  # nearest pixels
    assert (frames[FRAMES // 2, :SIDE, :SIDE] > 128).sum() < 0.6 * first.sum()
    assert not frames[:, SIDE:].any()  # views that are absent stay black


def test_the_film_plays_one_beat_in_its_own_time(study_and_truth, tmp_path):
    frames = film(*study_and_truth)
    write_film(frames, tmp_path / "a.gif", 800.0)
    with Picture.open(tmp_path / "a.gif") as read:
        assert read.n_frames == FRAMES
        assert read.info["duration"] * FRAMES == pytest.approx(800, abs=5 * FRAMES)
        shown = np.asarray(read.convert("L"), float)
    assert np.abs(shown - frames[0]).max() <= 0.5 * 255 / (GREYS - 1) + 1


def test_the_page_shows_every_heart_with_its_true_figures(monkeypatch, tmp_path):
    made = []

    def small(seed, disease, **settings):
        from cinecmr.phantom.study import synthetic_study

        made.append(disease)
        settings["frames"] = 2
        return synthetic_study(seed, disease, **settings, matrix=(24, 24), long_axis=False)

    monkeypatch.setattr(phantom_gallery, "synthetic_study", small)
    monkeypatch.setattr(phantom_gallery, "HEARTS", HEARTS[:2])
    lines = list(run(tmp_path, 40))
    assert made == list(HEARTS[:2])
    for disease in made:
        assert f"![{disease.value}]({disease.value}.gif)" in lines
        assert (tmp_path / f"{disease.value}.gif").stat().st_size > 1000
    assert "\n".join(lines) + "\n" == Path(tmp_path / "README.md").read_text()
