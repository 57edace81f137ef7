"""Labels and points of long-axis frames."""

import numpy as np
import pytest
import torch

from cinecmr.anatomy import Structure, View
from cinecmr.datasets.long_axis_frames import POINTS, VIEWS, FramePool, FrameRecipe, training_frames
from cinecmr.networks.stack_unet import StackUNet, StackUNetConfig
from cinecmr.tasks.long_axis import CODES, MARKS, LongAxis, LongAxisSettings, hill_loss, hills, summits, turned
from cinecmr.tasks.long_axis_changes import FrameChanges, with_muscles

SMALL = LongAxisSettings(StackUNetConfig(classes=10, widths=(4, 8), mixing_from=2), held_out=2)


@pytest.fixture(scope="module")
def arrays():
    return FramePool(subjects=1, per_shard=1, moments=2, frame=FrameRecipe(pixels=32, pixel_mm=6.4)).shard(0)


def test_every_view_of_a_heart_shows_its_mitral_hinges_between_ventricle_and_atrium(arrays):
    frames = training_frames(2, FrameRecipe(pixels=64, pixel_mm=3.2, centre_mm=0, warp_mm=1.5), moments=1)
    assert [one.view for one in frames] == list(VIEWS)
    for one in frames:
        for at in one.points[:2]:
            i, j = np.rint(at).astype(int)
            near = set(np.unique(one.labels[max(i - 3, 0) : i + 4, max(j - 3, 0) : j + 4]))
            assert {2, 3} <= near, "a hinge lies where cavity and wall end"
        i, j = np.rint(one.points[2]).astype(int)
        assert {2, 3} <= set(np.unique(one.labels[i - 2 : i + 3, j - 2 : j + 3])), "the apex ends the cavity"
        assert np.isfinite(one.points[3:]).all() == (one.view is View.LAX_4C)
    four = frames[VIEWS.index(View.LAX_4C)]
    for at in four.points[3:]:
        i, j = np.rint(at).astype(int)
        assert {1, 5} <= set(np.unique(four.labels[i - 2 : i + 3, j - 2 : j + 3])), "RV and RA meet at the hinges"


def test_a_frame_depends_on_its_seed_alone(arrays):
    again = FramePool(subjects=1, per_shard=1, moments=2, frame=FrameRecipe(pixels=32, pixel_mm=6.4)).shard(0)
    for name, array in arrays.items():
        np.testing.assert_array_equal(again[name], array)
    assert arrays["images"].shape == (6, 32, 32)
    assert arrays["views"].tolist() == [0, 1, 2, 0, 1, 2]


def test_a_turned_frame_takes_labels_and_points_along():
    rng = np.random.default_rng(0)
    image = rng.random((7, 7)).astype(np.float32)
    points = np.array([[1.0, 5.0], [6.0, 0.0]], np.float32)
    for quarter in range(4):
        for mirror in (False, True):
            seen, labels, at = turned(image, (image * 99).astype(np.uint8), points, quarter=quarter, mirror=mirror)
            for there, before in zip(at.astype(int), points.astype(int), strict=True):
                assert seen[tuple(there)] == image[tuple(before)]
                assert labels[tuple(there)] == int(image[tuple(before)] * 99)


def test_changes_of_a_frame_keep_labels_and_points_on_the_picture():
    labels = np.zeros((64, 64), np.uint8)
    labels[20:44, 16:50] = Structure.MYO
    labels[24:40, 20:50] = Structure.LV
    image = np.where(labels == Structure.LV, 0.8, np.where(labels == Structure.MYO, 0.3, 0.05)).astype(np.float32)
    points = np.array([[24.0, 49.0], [39.0, 49.0], [32.0, 20.0], [np.nan, np.nan], [np.nan, np.nan]], np.float32)
    rng, muscles = np.random.default_rng(0), with_muscles(image, labels, 3, np.random.default_rng(1))
    assert (muscles < 0.7)[labels == Structure.LV].any(), "a papillary muscle is dark"
    np.testing.assert_array_equal(muscles[labels != Structure.LV], image[labels != Structure.LV])
    for _ in range(20):
        seen, codes, at = FrameChanges(muscles=0, tint=0.0)(image, labels, points, rng)
        assert seen[codes == Structure.LV].mean() > 0.7 > 0.4 > seen[codes == Structure.MYO].mean()
        for i, j in np.rint(at[np.isfinite(at).all(axis=1)]).astype(int):
            near = codes[max(i - 2, 0) : i + 3, max(j - 2, 0) : j + 3]
            assert (near == Structure.LV).any(), "hinges and apex stay at the end of the cavity"
        assert np.isnan(at[3:]).all()


def test_a_start_without_vessels_is_taken_as_it_was(arrays):
    task = LongAxis(arrays, 6.4, SMALL)
    torch.manual_seed(0)
    old = StackUNet(StackUNetConfig(classes=9, widths=(4, 8), mixing_from=2))
    network, image = task.network(), torch.randn(1, 1, 1, 32, 32)
    task.begin(network, old.state_dict())
    kept = [*range(6), *range(7, 10)]
    torch.testing.assert_close(network(image)[:, kept], old(image))
    with pytest.raises(ValueError, match="down"):
        task.begin(network, StackUNet(StackUNetConfig(classes=9, widths=(6, 8), mixing_from=2)).state_dict())


def test_summits_of_hills_are_the_points_they_were_made_of():
    points = torch.tensor([[[10.3, 20.6], [30.8, 12.1], [40.0, 40.4], [np.nan, np.nan], [np.nan, np.nan]]])
    made = hills(points, (56, 56), 2.0)[0].numpy()
    both = summits(made[0], 2, 6.0)
    np.testing.assert_allclose(both[both[:, 0].argsort()], points[0, :2], atol=0.02)
    np.testing.assert_allclose(summits(made[1], 1, 6.0), points[0, 2:3], atol=0.02)
    assert np.isnan(summits(made[2], 2, 6.0)).all(), "no valve in the plane, no hinges"


def test_hills_cost_least_where_they_are_true():
    truth = hills(torch.tensor([[[8.0, 8.0], [20.0, 9.0], [15.0, 25.0], [3.0, 3.0], [28.0, 28.0]]]), (32, 32), 2.0)
    right = torch.logit(truth.clamp(1e-6, 1 - 1e-6))
    wider = torch.logit((truth**0.5).clamp(1e-6, 1 - 1e-6))
    disc = torch.where(truth > 0.5, 9.0, -9.0)
    assert hill_loss(right, truth) < hill_loss(wider, truth)
    assert hill_loss(right, truth) < hill_loss(disc, truth)


def test_the_loss_falls_and_the_same_seed_gives_the_same_batch(arrays):
    torch.manual_seed(0)
    task = LongAxis(arrays, 6.4, SMALL)
    network = task.network()
    first, second = (task.batch(np.random.default_rng(3), 3) for _ in range(2))
    for a, b in zip(first, second, strict=True):
        assert torch.equal(a, b)
    assert [part.shape for part in first] == [(3, 1, 1, 32, 32), (3, 32, 32), (3, len(MARKS), 32, 32)]
    step = torch.optim.Adam(network.parameters(), 1e-2)
    losses = []
    for _ in range(25):
        step.zero_grad()
        loss = task.loss(network, first)
        loss.total.backward()
        step.step()
        losses.append(float(loss.total.detach()))
    assert losses[-1] < 0.7 * losses[0]
    with torch.no_grad():
        told = task.check(network)
    assert {"dice_lv", "dice_ra", "mitral_mm", "apex_mm"} <= told.keys()
    assert all(0 <= value <= 1 for name, value in told.items() if name.startswith("dice"))


def test_arrays_and_settings_that_do_not_fit_are_refused(arrays):
    with pytest.raises(ValueError, match="frames leave none to learn from beside 6 held out"):
        LongAxis(arrays, 6.4, LongAxisSettings(held_out=6))
    with pytest.raises(ValueError, match="do not fit"):
        LongAxis({**arrays, "points": arrays["points"][:, :3]}, 6.4, SMALL)
    with pytest.raises(ValueError, match="answers 7 codes and 3 kinds of points, not 4 classes"):
        LongAxisSettings(StackUNetConfig(classes=4))
    assert len(POINTS) == sum(len(which) for which in MARKS.values())
    assert len(CODES) == 6
