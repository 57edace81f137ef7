"""Clips are cut out of a study by rules that hold for any scanner, and refuse what shows no beat."""

import numpy as np
import pytest

from cinecmr.anatomy import Contrast, View
from cinecmr.errors import RefusedInput
from cinecmr.study import Facts, Findings, Image, Study
from cinecmr.tasks.screening_data import Window, beat, choose_slices, prepare, standardised

SMALL = Window(size=16, spacing_mm=2.0, frames=8, sax_slices=3, lge_slices=6)
DOWN = np.array([-0.65, 0.55, -0.50]) / np.linalg.norm([-0.65, 0.55, -0.50])


def stack(slices, frames, contrast=Contrast.CINE, view=View.SAX, size=24, heart=(12, 12), towards=DOWN, missing=()):
    """Noise in which a disc beats; the slice axis runs `towards`."""
    x, y = np.meshgrid(np.arange(size), np.arange(size), indexing="ij")
    radius = 4 + np.cos(2 * np.pi * np.arange(frames) / frames)
    disc = np.hypot(x - heart[0], y - heart[1])[:, :, None, None] < radius
    data = 50.0 + 100 * disc + np.random.default_rng(0).normal(0, 1, (size, size, slices, frames))
    data[:, :, list(missing)] = 0
    first = np.cross(towards, [0.0, 0.0, 1.0])
    first /= np.linalg.norm(first)
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1], affine[:3, 2] = 2 * first, 2 * np.cross(towards, first), 8 * np.asarray(towards)
    times = np.arange(frames) * 0.9 / frames
    return Image(data.astype(np.float32), affine, times, view, contrast, rr_ms=900.0, missing_slices=missing)


def study(**without):
    images = {
        (View.SAX, Contrast.CINE): stack(9, 12),
        (View.LAX_4C, Contrast.CINE): stack(1, 10, view=View.LAX_4C),
        (View.SAX, Contrast.LGE): stack(9, 1, Contrast.LGE),
    }
    for name in without.get("without", ()):
        del images[name]
    return Study("someone", images | without.get("other", {}), Facts())


def test_clips_have_the_published_shapes_and_hold_intensities_of_mean_0_and_spread_1():
    found = prepare(study(), SMALL)
    assert {name: clip.shape for name, clip in found.clips.items()} == {
        "ch4": (1, 8, 16, 16),
        "sax": (3, 8, 16, 16),
        "lge": (1, 6, 16, 16),
    }
    assert {name: SMALL.shape(name) for name in found.clips} == {name: c.shape for name, c in found.clips.items()}
    for clip in found.clips.values():
        assert clip.mean() == pytest.approx(0, abs=1e-4)
        assert clip.std() == pytest.approx(1, abs=1e-4)
    assert found.flags == ()
    assert found.frames == {"sax": 12, "ch4": 10}
    published = Window()
    assert (published.shape("sax"), published.spacing_mm) == ((3, 25, 224, 224), 0.994)


@pytest.mark.parametrize(("towards", "expected"), [(DOWN, [2, 3, 4]), (-DOWN, [4, 3, 2])])
def test_central_slices_run_from_base_to_apex_whichever_way_they_are_stored(towards, expected):
    slices, repeated = choose_slices(stack(7, 8, towards=towards), 3)
    assert slices.tolist() == expected
    assert not repeated


def test_slices_that_were_never_acquired_are_not_chosen():
    assert choose_slices(stack(7, 8, missing=(3,)), 3)[0].tolist() == [1, 2, 4]


def test_labels_say_which_slices_hold_the_ventricle_and_where_the_heart_is():
    image = stack(9, 8)
    labels = np.zeros(image.data.shape, np.uint8)
    labels[4:9, 14:19, 5:9] = 3
    assert choose_slices(image, 3, labels)[0].tolist() == [5, 6, 7]
    known = Findings(labels={(View.SAX, Contrast.CINE): labels})
    one = Study("s", {(View.SAX, Contrast.CINE): image}, Facts())
    clip = prepare(one, SMALL, known, needed=()).clips["sax"]
    # the middle of the window, 7.5, lies on pixel (6, 16) of the image: 16 of its columns begin at x = -1.5
    assert (clip[:, :, :2] == clip.min()).all()
    assert not (clip[:, :, 2] == clip.min()).all()


def test_the_window_follows_what_moves_and_late_enhancement_follows_the_cine():
    other = {
        (View.SAX, Contrast.CINE): stack(9, 12, size=40, heart=(22, 18)),
        (View.SAX, Contrast.LGE): stack(9, 1, Contrast.LGE, size=40, heart=(22, 18)),
    }
    clips = prepare(study(other=other), SMALL).clips
    for name in ("sax", "lge"):
        x, y = np.nonzero(clips[name][0, 0] > 0.5)  # the disc
        assert (x.mean(), y.mean()) == pytest.approx((7.5, 7.5), abs=1.0)
    middle = prepare(study(other=other), Window(16, 2.0, 8, centre="image")).clips["sax"]
    x, y = np.nonzero(middle[0, 0] > 0.5)
    assert (x.mean(), y.mean()) == pytest.approx((22 - 12, 18 - 12), abs=1.0)


def test_moments_are_even_shares_of_the_beat_and_the_last_leads_back_to_the_first():
    image = stack(1, 9)
    before, after, weight = beat(image, 6)
    places = np.arange(6) * 9 / 6
    np.testing.assert_array_equal(before, places.astype(int))
    np.testing.assert_array_equal(after, (before + 1) % 9)
    np.testing.assert_allclose(weight, places % 1, atol=1e-5)
    assert after[-1] == 8
    before, after, weight = beat(image, 9, first=4)
    np.testing.assert_array_equal(before, (np.arange(9) + 4) % 9)
    np.testing.assert_allclose(weight, 0, atol=1e-5)


def test_moments_between_frames_that_end_early_are_drawn_to_the_first_frame():
    image = stack(1, 8)
    early = Image(image.data, image.affine, image.times * 0.8, View.SAX, rr_ms=900.0)  # frames to 70 % of the beat
    before, after, weight = beat(early, 10)
    assert (before[8], after[8]) == (7, 0)
    assert weight[8] == pytest.approx((0.8 - 0.7) / 0.3, abs=1e-5)


def test_a_harmonic_is_resampled_to_the_moments_asked_for():
    n, wanted = 40, 16
    data = np.broadcast_to(np.cos(2 * np.pi * np.arange(n) / n), (4, 4, 1, n)).copy()
    image = Image(data, np.diag([1.0, 1, 8, 1]), np.arange(n) * 0.02, rr_ms=800.0)
    before, after, weight = beat(image, wanted)
    found = data[0, 0, 0, before] * (1 - weight) + data[0, 0, 0, after] * weight
    np.testing.assert_allclose(found, np.cos(2 * np.pi * np.arange(wanted) / wanted), atol=0.005)


def test_what_lies_beyond_the_image_is_air_and_counts_for_nothing():
    rng = np.random.default_rng(1)
    stack_ = rng.normal(10, 3, (2, 3, 8, 8)).astype(np.float32)
    seen = np.zeros((8, 8), bool)
    seen[2:, :5] = True
    spoilt = stack_.copy()
    spoilt[..., ~seen] = 1e6
    found = standardised(spoilt, seen, (1.0, 99.0))
    low, high = np.percentile(stack_[..., seen], (1, 99))
    cut = np.clip(stack_, low, high)
    expected = (cut - cut[..., seen].mean()) / cut[..., seen].std()
    np.testing.assert_allclose(found[..., seen], expected[..., seen], atol=1e-4)
    assert np.allclose(found[..., ~seen], found.min())
    assert (standardised(stack_, np.zeros((8, 8), bool), (1.0, 99.0)) == 0).all()
    assert (standardised(np.full((1, 1, 8, 8), 7, np.float32), seen, (1.0, 99.0)) == 0).all()


@pytest.mark.parametrize(
    ("key", "code", "said"),
    [
        ((View.LAX_4C, Contrast.CINE), "no-four-chamber", "four-chamber cine beside the short axis.*SAX CINE"),
        ((View.SAX, Contrast.CINE), "no-sax", "short-axis cine.*LAX_4C CINE"),
    ],
)
def test_a_study_without_one_of_the_cines_is_refused_in_use_and_taken_in_training(key, code, said):
    lacking = study(without=[key])
    with pytest.raises(RefusedInput, match=said) as refusal:
        prepare(lacking, SMALL)
    assert refusal.value.code == code
    assert len(prepare(lacking, SMALL, needed=()).clips) == 2


def test_three_frames_are_no_beat():
    short = study(other={(View.LAX_4C, Contrast.CINE): stack(1, 3, view=View.LAX_4C)})
    with pytest.raises(RefusedInput, match="four-chamber cine has 3 frames") as refusal:
        prepare(short, SMALL)
    assert refusal.value.code == "too-few-frames"


def test_one_short_axis_slice_is_repeated_and_said_so():
    thin = study(other={(View.SAX, Contrast.CINE): stack(1, 8)})
    found = prepare(thin, SMALL)
    assert [flag.code for flag in found.flags] == ["slices-repeated"]
    assert "has 1 slices where 3 are read" in found.flags[0].message
    clip = found.clips["sax"]
    assert (clip[0] == clip[1]).all()
    assert (clip[2] == clip[1]).all()


def test_a_study_with_none_of_the_images_is_refused():
    with pytest.raises(RefusedInput, match="no four-chamber, short-axis or late-enhancement") as refusal:
        prepare(Study("x", {(View.LAX_2C, Contrast.CINE): stack(1, 8, view=View.LAX_2C)}, Facts()), SMALL, needed=())
    assert refusal.value.code == "no-image"
    with pytest.raises(RefusedInput, match="needs late enhancement"):
        prepare(study(without=[(View.SAX, Contrast.LGE)]), SMALL, needed=("lge",))


def test_windows_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="1 or more"):
        Window(frames=0)
    with pytest.raises(ValueError, match="rising percentiles"):
        Window(clip=(5, 5))
