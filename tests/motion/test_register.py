"""Registration against the phantom's true motion, and what it says of studies that are not whole."""

from dataclasses import replace

import numpy as np
import pytest

from cinecmr.anatomy import Contrast, Disease, Structure, View
from cinecmr.errors import RefusedInput
from cinecmr.evaluate.deformation import end_point_errors, jacobians
from cinecmr.measure.strain import strain
from cinecmr.motion import beat
from cinecmr.motion.register import Sound, register
from cinecmr.phantom.study import synthetic_study
from cinecmr.phantom.wall import wall_points
from cinecmr.study import Study

SAX = (View.SAX, Contrast.CINE)
QUICK = Sound(pixels=900, face_points=400, tissue_points=250, levels=((2.0, 3),))
TINY = Sound((3, 2, 2), 2, pixels=500, face_points=300, tissue_points=150, levels=((1.0, 3),))


@pytest.fixture(scope="module")
def heart():
    study, truth = synthetic_study(101, Disease.NORMAL, frames=10, matrix=(96, 96))
    return study, truth, wall_points(truth.motion.heart, truth.motion.affine, cells=(18, 12, 2))


@pytest.fixture(scope="module")
def fitted(heart):
    study, truth, _ = heart
    return register(study, truth.labels[SAX], settings=QUICK)


def at_es(heart):
    study, truth, wall = heart
    return truth.cycle["LV_ES"] / study[View.SAX].frames, truth, wall


def test_the_wall_is_followed_within_a_third_of_its_way(heart, fitted):
    time, truth, wall = at_es(heart)
    moved = np.linalg.norm(truth.motion.displacement(wall.points, time), axis=1).mean()
    error = end_point_errors(fitted.motion, truth.motion, wall.points, [time])
    assert moved > 6
    assert error.mean() < moved / 3


def test_strain_at_end_systole_is_near_the_true_one(heart, fitted):
    time, truth, wall = at_es(heart)
    found, true = (strain(motion, wall, [time]).whole() for motion in (fitted.motion, truth.motion))
    assert found["GCS"][0] == pytest.approx(true["GCS"][0], abs=2.5)
    assert found["GLS"][0] == pytest.approx(true["GLS"][0], abs=2.5)


def test_muscle_neither_folds_nor_changes_its_volume(heart, fitted):
    _, _, wall = at_es(heart)
    told = jacobians(fitted.motion, wall.points, [0.2, 0.4])
    assert (told.folding, fitted.folding) == (0, 0)
    assert max(told.deviation, fitted.volume_change) < 0.05
    assert fitted.inverse_gap_mm < 0.05
    assert fitted.flags == ()


def test_every_step_but_a_change_of_level_costs_less(fitted):
    assert fitted.costs[-1] < 0.2 * fitted.costs[0]


def test_long_axis_views_show_the_motion_along_the_axis(heart):
    time, truth, wall = at_es(heart)
    # Pictures alone: labels know the planes of apex and base, and short-axis slices alone invent a way along the axis.
    study, pictures = heart[0], replace(QUICK, face=0.0, short_axis=0.1, long_axis=4.0)
    both, alone = (register(one, truth.labels[SAX], settings=pictures) for one in (study, study[View.SAX]))
    true = truth.motion.displacement(wall.points, time)
    off = [np.abs((r.motion.displacement(wall.points, time) - true) @ wall.long_axis).mean() for r in (both, alone)]
    assert off[0] < 0.5 * np.abs(true @ wall.long_axis).mean()
    assert off[0] < 0.5 * off[1]


def test_the_same_study_gives_the_same_motion(tiny_heart):
    first, second = (register(tiny_heart.study, tiny_heart.labels, settings=TINY) for _ in range(2))
    np.testing.assert_array_equal(first.motion.coefficients, second.motion.coefficients)


def test_end_diastole_is_where_the_cavity_is_largest_or_where_it_is_said_to_be(tiny_heart):
    rolled = np.roll(tiny_heart.labels, 5, axis=3)
    study = replace(tiny_heart.image, data=np.roll(tiny_heart.image.data, 5, axis=3))
    found = register(study, rolled, settings=TINY)
    largest = int(np.argmax((rolled == Structure.LV).sum(axis=(0, 1, 2))))
    assert found.ed == largest > 0
    points = found.motion.shell.frame.patient(np.array([[20.0, 0, 0]]))
    np.testing.assert_allclose(found.motion.displacement(points, found.shares[largest]), 0, atol=1e-9)
    assert register(study, rolled, ed=1, settings=TINY).ed == 1


@pytest.mark.parametrize(
    ("change", "code", "match"),
    [
        (
            lambda i, x: (replace(i, data=i.data[..., :1], times=i.times[:1]), x[..., :1], None),
            "no-motion",
            "one frame",
        ),
        (lambda i, x: (i, x[..., :5], None), "labels-shape", "own grid"),
        (lambda i, x: (i, np.zeros_like(x), None), "no-ed", "no frame has labels"),
        (lambda i, x: (i, x, 40), "no-such-frame", "--ed 40"),
        (lambda i, x: (i, np.where(np.arange(12) == 2, 0, x).astype(np.uint8), 2), "no-ed", "frame 2"),
        (lambda i, x: (replace(i, data=np.where(np.arange(12) > 3, 0, i.data)), x, None), "no-motion", "8 of 12"),
        (lambda i, x: (i, np.where(x == Structure.MYO, 0, x).astype(np.uint8), None), "no-wall", "myocardium"),
    ],
)
def test_what_cannot_be_followed_is_refused_with_its_reason(tiny_heart, change, code, match):
    image, labels, ed = change(tiny_heart.image, tiny_heart.labels)
    with pytest.raises(RefusedInput, match=match) as refused:
        register(image, labels, ed=ed, settings=TINY)
    assert refused.value.code == code


def test_a_study_without_short_axis_is_refused(tiny_heart):
    with pytest.raises(RefusedInput, match="short-axis cine"):
        register(Study("none", {}), tiny_heart.labels)


def inward_gap(tiny_heart, *found):
    """Mean mm by which two motions differ across the wall when the heart is smallest."""
    points = np.argwhere(tiny_heart.labels[..., 0] == 2)[::9].astype(float) @ tiny_heart.image.affine[:3, :3].T
    out = points - points.mean(axis=0)
    out[:, 2] = 0
    out /= np.linalg.norm(out, axis=1, keepdims=True)
    first, second = (((r.motion.displacement(points, 4 / 12)) * out).sum(axis=1) for r in found)
    assert first.mean() < -0.8
    return float(np.abs(first - second).mean())


def codes(found):
    return [flag.code for flag in found.flags]


def test_two_frames_are_followed_and_flagged(tiny_heart):
    image = replace(tiny_heart.image, data=tiny_heart.image.data[..., [0, 4]], times=tiny_heart.image.times[[0, 4]])
    found = register(image, tiny_heart.labels[..., [0, 4]], settings=TINY)
    assert codes(found) == ["motion-few-frames"]
    index = np.argwhere((tiny_heart.labels[..., 0] == 2) & (np.arange(8)[:, None] == 4).T)
    points = index.astype(float) @ image.affine[:3, :3].T
    inwards = points - points.mean(axis=0)
    moved = found.motion.displacement(points, float(found.shares[1]))
    assert ((moved * inwards).sum(axis=1) < 0).mean() > 0.9


def test_a_black_frame_changes_little_and_is_named(tiny_heart):
    whole = register(tiny_heart.study, tiny_heart.labels, settings=TINY)
    data, labels = tiny_heart.image.data.copy(), tiny_heart.labels.copy()
    data[..., 7], labels[..., 7] = 0, Structure.UNSEEN
    found = register(replace(tiny_heart.image, data=data), labels, settings=TINY)
    assert codes(found) == ["black-frames"]
    assert inward_gap(tiny_heart, found, whole) < 0.7


def test_labels_of_end_diastole_alone_are_enough_and_flagged(tiny_heart):
    labels = np.full_like(tiny_heart.labels, Structure.UNSEEN)
    labels[..., 0] = tiny_heart.labels[..., 0]
    found = register(tiny_heart.image, labels, settings=TINY)
    assert codes(found) == ["motion-few-labels"]
    assert found.folding == 0


def test_a_heart_without_right_ventricle_is_followed(tiny_heart):
    labels = np.where(tiny_heart.labels == Structure.RV, 0, tiny_heart.labels).astype(np.uint8)
    assert register(tiny_heart.image, labels, settings=TINY).folding == 0


def test_a_slice_of_another_breath_hold_is_moved_back(tiny_heart):
    data, labels = tiny_heart.image.data.copy(), tiny_heart.labels.copy()
    for array in (data, labels):
        array[:, :, 3] = np.roll(array[:, :, 3], -5, axis=1)
    image, straight, which = beat.straightened(replace(tiny_heart.image, data=data), labels, 0)
    assert which == [3]
    np.testing.assert_array_equal(straight, tiny_heart.labels)
    np.testing.assert_array_equal(image.data, tiny_heart.image.data)
    assert codes(register(replace(tiny_heart.image, data=data), labels, settings=TINY)) == ["slices-straightened"]


def test_what_the_long_axis_tells_of_a_slice_goes_before_its_neighbours(tiny_heart):
    data, labels = tiny_heart.image.data.copy(), tiny_heart.labels.copy()
    for array in (data, labels):
        array[:, :, 3] = np.roll(array[:, :, 3], (2, -1), axis=(0, 1))
        array[:, :, 5] = np.roll(array[:, :, 5], (5, 0), axis=(0, 1))
    shifts = np.full((8, 2), np.nan)
    shifts[[2, 3, 5]] = (
        (2.0, 2.0),
        (-4.0, 2.0),
        (0.0, 0.0),
    )  # 2.8 mm is left; slice 5 stands, whatever its neighbours say
    image, straight, which = beat.straightened(replace(tiny_heart.image, data=data), labels, 0, shifts)
    assert which == [3]
    np.testing.assert_array_equal(straight[:, :, :5], tiny_heart.labels[:, :, :5])
    np.testing.assert_array_equal(image.data[:, :, 3], tiny_heart.image.data[:, :, 3])
    np.testing.assert_array_equal(straight[:, :, 5], labels[:, :, 5])


def test_a_missing_slice_is_not_looked_at(tiny_heart):
    data, labels = tiny_heart.image.data.copy(), tiny_heart.labels.copy()
    data[:, :, 4], labels[:, :, 4] = 0, Structure.UNSEEN
    found = register(replace(tiny_heart.image, data=data, missing_slices=(4,)), labels, settings=TINY)
    whole = register(tiny_heart.image, tiny_heart.labels, settings=TINY)
    assert inward_gap(tiny_heart, found, whole) < 0.7
