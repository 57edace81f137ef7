"""A valve's two hinges among places that look like them."""

import numpy as np

from cinecmr.tasks.hinge_paths import followed
from cinecmr.tasks.long_axis import summits

NOWHERE = np.full((10, 2, 3), np.nan)


def valve(frames=10):
    """(t, 2, 3) hinges 34 mm apart that come down by 12 mm and go up again."""
    down = 6 * (1 - np.cos(2 * np.pi * np.arange(frames) / frames))
    left, right = (np.column_stack([np.full(frames, x), -down, np.zeros(frames)]) for x in (0.0, 34.0))
    return np.stack([left, right], axis=1)


def test_hinges_are_followed_past_frames_in_which_a_papillary_muscle_looks_more_like_one():
    true = valve()
    places = [np.vstack([both, [17.0, -40.0, 0.0]]) for both in true]
    heights = [np.array([0.6, 0.6, 0.2]) for _ in true]
    heights[4] = np.array([0.3, 0.6, 0.7])
    found = followed(places, heights, (NOWHERE,))
    np.testing.assert_allclose(np.sort(found, axis=1), np.sort(true, axis=1))


def test_labels_decide_between_two_valves_as_likely():
    true, other = valve(), valve() + np.array([0.0, 60.0, 0.0])
    places = [np.vstack(both) for both in zip(true, other, strict=True)]
    heights = [np.full(4, 0.5) for _ in true]
    for wanted in (true, other):
        found = followed(places, heights, (wanted + 2.0, NOWHERE))
        np.testing.assert_allclose(np.sort(found, axis=1), np.sort(wanted, axis=1))


def test_two_places_of_one_hinge_are_no_valve():
    places = [np.array([[0.0, 0, 0], [4.0, 0, 0]])] * 9 + [np.array([[0.0, 0, 0], [30.0, 0, 0]])]
    found = followed(places, [np.full(2, 0.9)] * 10, (NOWHERE,))
    assert np.isnan(found[:9]).all()
    np.testing.assert_array_equal(np.sort(found[9, :, 0]), [0, 30])
    assert np.isnan(followed([np.zeros((0, 3))] * 3, [np.zeros(0)] * 3, ())).all()


def test_the_shoulder_of_a_wide_hill_is_no_second_summit():
    x, y = np.indices((60, 60))
    wide, narrow = (np.exp(-((x - a) ** 2 + (y - b) ** 2) / (2 * s**2)) for a, b, s in ((20, 20, 7), (45, 40, 2)))
    both = summits(0.8 * wide + 0.3 * narrow, 2, 5.6)
    np.testing.assert_allclose(both, [[20, 20], [45, 40]], atol=0.6)
    assert np.isnan(summits(wide, 2, 5.6)[1]).all()
