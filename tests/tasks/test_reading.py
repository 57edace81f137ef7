"""How a network reads an image: on any grid, from any side, the heart is found where it is.

The network here is a stand-in that knows each structure by its grey level, so whatever is wrong is the reading.
"""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from cinecmr.anatomy import Structure
from cinecmr.study import Image
from cinecmr.tasks.reading import Reader, ReadingSettings, labelled
from cinecmr.tasks.window import Window

SETTINGS = ReadingSettings(pixel_mm=3.0, pixels=48, turns=2, locate_frames=2, wall=1.0)
# Levels in an order in which every edge between neighbours passes through nothing else.
LEVEL = {Structure.RV: 0.0, Structure.BACKGROUND: 1 / 3, Structure.MYO: 2 / 3, Structure.LV: 1.0}


class GreyReader(torch.nn.Module):
    """Scores by the distance to each structure's level; counts the stacks it is shown."""

    def __init__(self):
        super().__init__()
        self.shown = []

    def forward(self, stack):
        self.shown.append(stack.shape)
        assert abs(float(stack.mean())) < 1e-3
        assert float(stack.std()) == pytest.approx(1, abs=0.01)
        level = (stack - stack.min()) / (stack.max() - stack.min())
        levels = torch.tensor([LEVEL[Structure(code)] for code in range(4)]).view(1, 4, 1, 1, 1)
        return -80 * (level - levels).square()


@dataclass(frozen=True)
class Drawn:
    image: Image
    labels: np.ndarray


def drawn(spacing=(2.0, 2.0), shape=(80, 80), centre=(0.0, 0.0), scale=1.0, slices=5, frames=1, units=1.0, offset=0.0):
    """A heart of discs: radii 18 (LV) and 28 mm, RV of 17 mm beside it, smaller towards the apex; empty ends."""
    x, y = ((np.arange(n) - (n - 1) / 2) * s for n, s in zip(shape, spacing, strict=True))
    x, y = np.meshgrid(x - centre[0], y - centre[1], indexing="ij")
    labels = np.zeros((*shape, slices, frames), np.uint8)
    for z in range(1, slices - 1):
        size = scale * (1 - 0.08 * z)
        for t in range(frames):
            squeeze = 1 - 0.25 * np.sin(np.pi * t / frames) ** 2
            labels[np.hypot(x - 48 * scale, y) < 17 * size, z, t] = Structure.RV
            labels[np.hypot(x, y) < 28 * size, z, t] = Structure.MYO
            labels[np.hypot(x, y) < 18 * size * squeeze, z, t] = Structure.LV
    grey = np.array([LEVEL[Structure(code)] for code in range(4)])[labels]
    affine = np.diag([*spacing, 10.0, 1.0])
    data = (units * grey + offset).astype(np.float32)
    return Drawn(Image(data, affine, np.arange(frames) * 0.05), labels)


def dice(found, truth, structure):
    a, b = found == structure, truth == structure
    return 2 * (a & b).sum() / (a.sum() + b.sum())


def assert_read(found, truth, at_least=0.93):
    for structure in (Structure.LV, Structure.MYO, Structure.RV):
        assert dice(found, truth, structure) > at_least, structure.name


def read(heart, settings=SETTINGS):
    return Reader(GreyReader(), settings).labels(heart.image)


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"spacing": (1.3, 1.3), "shape": (120, 130)},
        {"spacing": (2.6, 1.5), "shape": (70, 110)},
        {"spacing": (3.4, 3.4), "shape": (50, 44)},
        {"centre": (-30.0, 25.0)},
        {"centre": (-22.0, -38.0), "spacing": (1.4, 2.2), "shape": (140, 90)},
        {"units": 900.0, "offset": 1000.0},
        {"units": 1e-4},
    ],
    ids=lambda how: " ".join(how) or "plain",
)
def test_the_heart_is_read_where_it_is_on_any_grid_and_in_any_units(how):
    heart = drawn(**how)
    assert_read(read(heart), heart.labels)


class OnlyItsOwnSize(GreyReader):
    """Knows hearts whose cavity is about 6 pixels in radius, and is blind to all others."""

    def forward(self, stack):
        scores = super().forward(stack)
        radius = (float((scores.argmax(1) == Structure.LV).sum((2, 3)).max()) / np.pi) ** 0.5
        return scores if 4.6 < radius < 7.0 else torch.nn.functional.pad(torch.ones_like(scores[:, :1]), [0] * 7 + [3])


@pytest.mark.parametrize(("scale", "zoom"), [(0.7, 0.75), (1.0, 1.0), (1.4, 1.35)])
def test_a_heart_too_small_or_too_large_for_the_network_is_read_at_the_zoom_that_shows_its_ring(scale, zoom):
    heart = drawn(scale=scale, shape=(100, 100))
    reader = Reader(OnlyItsOwnSize(), SETTINGS)
    window = reader._locate(heart.image, list(range(heart.image.slices)))
    assert window.step[0] == pytest.approx(zoom * SETTINGS.pixel_mm / 2.0)
    assert_read(reader.labels(heart.image), heart.labels, 0.9)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_picture_from_the_other_side_is_read_the_same(axis):
    heart = drawn(centre=(-12.0, 9.0))
    flipped = replace(heart.image, data=np.flip(heart.image.data, axis).copy())
    found = Reader(GreyReader(), SETTINGS).labels(flipped)
    agree = found == np.flip(read(heart), axis)
    assert agree.mean() > 0.998
    assert_read(np.flip(found, axis), heart.labels)


def test_slices_in_the_other_order_give_the_same_labels_in_the_other_order():
    heart = drawn()
    backwards = replace(heart.image, data=heart.image.data[:, :, ::-1])
    found = Reader(GreyReader(), SETTINGS).labels(backwards)
    np.testing.assert_array_equal(found[:, :, ::-1], read(heart))


@pytest.mark.parametrize("turns", [1, 2, 4, 8])
def test_turned_copies_are_turned_back_before_they_are_averaged(turns):
    heart = drawn(centre=(-15.0, 20.0))
    network = GreyReader()
    found = Reader(network, replace(SETTINGS, turns=turns)).labels(heart.image)
    assert_read(found, heart.labels)
    assert len(network.shown) == 1 + len(SETTINGS.zooms) + turns  # looked for at every zoom, then read


class LeftHanded(torch.nn.Module):
    """Sees the left ventricle wherever the column index is low, whatever the picture."""

    def forward(self, stack):
        scores = torch.zeros(1, 4, *stack.shape[2:])
        scores[:, 3, :, : stack.shape[3] // 2] = 9
        return scores


def test_a_network_that_prefers_a_side_loses_its_preference_to_the_turned_copies():
    heart = drawn()
    alone = Reader(LeftHanded(), replace(SETTINGS, turns=1)).labels(heart.image)
    both = Reader(LeftHanded(), replace(SETTINGS, turns=8)).labels(heart.image)
    assert 0.05 < (alone == Structure.LV).mean() < 0.6
    left, right = (both[::step][:38] == Structure.LV for step in (1, -1))
    assert abs(left.mean() - right.mean()) < 0.02


def test_slices_never_acquired_stay_unseen_and_are_not_shown_to_the_network():
    heart = drawn(slices=6)
    data = heart.image.data.copy()
    data[:, :, 2] = 0
    network = GreyReader()
    found = Reader(network, SETTINGS).labels(replace(heart.image, data=data, missing_slices=(2,)))
    assert np.all(found[:, :, 2] == Structure.UNSEEN)
    others = [0, 1, 3, 4, 5]
    assert_read(found[:, :, others], heart.labels[:, :, others])
    assert max(shape[2] for shape in network.shown) == 5


def test_the_beat_is_followed_and_its_ends_meet():
    heart = drawn(frames=8)
    found = read(heart)
    area, true_area = ((labels == Structure.LV).sum(axis=(0, 1, 2)) for labels in (found, heart.labels))
    np.testing.assert_allclose(area, true_area, rtol=0.1)
    assert_read(found, heart.labels, 0.9)


def test_progress_goes_to_one_a_frame_at_a_time():
    told = []
    Reader(GreyReader(), SETTINGS).labels(drawn(frames=4).image, told.append)
    assert told == [0.25, 0.5, 0.75, 1.0]


class Blind(torch.nn.Module):
    """Sees background everywhere."""

    def forward(self, stack):
        scores = torch.zeros(1, 4, *stack.shape[2:])
        scores[:, 0] = 9
        return scores


def test_where_no_heart_is_found_every_slice_is_empty():
    found = Reader(Blind(), SETTINGS).labels(drawn().image)
    assert found.shape == drawn().image.data.shape
    assert not found.any()


def test_one_slice_is_read_as_well():
    heart = drawn(slices=3)
    single = replace(heart.image, data=heart.image.data[:, :, 1:2])
    assert_read(Reader(GreyReader(), SETTINGS).labels(single), heart.labels[:, :, 1:2])


@pytest.mark.parametrize(("spacing", "tolerance"), [((1.0, 1.0), 0.02), ((1.3, 2.1), 0.02), ((3.0, 2.5), 0.02)])
def test_a_smooth_field_taken_into_the_window_and_back_is_the_same_field(spacing, tolerance):
    x, y = np.meshgrid(np.arange(60) * spacing[0], np.arange(50) * spacing[1], indexing="ij")
    field = 0.5 + 0.4 * np.sin(x / 14) * np.cos(y / 17)
    frame = torch.from_numpy(np.stack([field, field**2]).astype(np.float32))
    step = (2.0 / spacing[0], 2.0 / spacing[1])
    window = Window((29.5, 24.5), step, (int(60 / step[0]) + 8, int(50 / step[1]) + 8))
    small = window.sample(frame)
    back = window.spread(torch.stack([1 - small, small]), (60, 50))
    inside = (slice(None), slice(4, -4), slice(4, -4))
    np.testing.assert_allclose(back[1].numpy()[inside], frame.numpy()[inside], atol=tolerance)
    np.testing.assert_allclose(back.sum(0).numpy(), 1, atol=1e-5)


def test_outside_the_window_is_background():
    window = Window((10.0, 10.0), (1.0, 1.0), (9, 9))
    shares = torch.zeros(4, 1, 9, 9)
    shares[3] = 1
    found = window.spread(shares, (40, 30)).argmax(0)[0]
    expected = torch.zeros(40, 30, dtype=torch.long)
    expected[6:15, 6:15] = 3
    assert torch.equal(found, expected)


def test_a_window_pixel_is_the_image_pixel_it_stands_on():
    frame = torch.arange(30.0).view(1, 6, 5)
    window = Window((3.0, 2.0), (1.0, 1.0), (3, 3))
    assert torch.allclose(window.sample(frame)[0], frame[0, 2:5, 1:4])


def test_a_picture_finer_than_the_window_is_softened_and_not_skipped():
    stripes = torch.zeros(1, 80, 80)
    stripes[:, ::2] = 1
    sampled = Window((39.5, 39.5), (4.0, 4.0), (16, 16)).sample(stripes)
    assert float(sampled.std()) < 0.05
    assert float(sampled.mean()) == pytest.approx(0.5, abs=0.02)


def ring(muscle=0.45, gap=0.45):
    """Shares (4, 1, 40, 40): a ring of sure muscle, radii 6 to 10, with a rim of `muscle` on both sides of it.

    In a wedge the ring itself has no more muscle than `gap`.
    """
    x, y = np.meshgrid(np.arange(40) - 19.5, np.arange(40) - 19.5, indexing="ij")
    radius = np.hypot(x, y)
    myo = np.where((radius > 6) & (radius < 10), 0.9, 0.0)
    myo[(radius >= 10) & (radius < 10.6)] = muscle
    myo[(radius > 5) & (radius <= 6)] = muscle
    wedge = (x > 0) & (abs(y) < 3) & (radius > 5)
    myo[wedge] = np.minimum(myo[wedge], gap)
    inside = radius <= 6
    shares = np.zeros((4, 1, 40, 40), np.float32)
    shares[Structure.MYO, 0] = myo
    shares[Structure.LV, 0] = np.where(inside, 1 - myo, 0)
    shares[0, 0] = np.where(inside, 0, 1 - myo)
    return torch.from_numpy(shares), radius


def muscle(codes):
    return (codes[0] == Structure.MYO).numpy()


def test_muscle_that_hardly_wins_gives_way_on_both_sides_of_the_wall():
    shares, radius = ring(muscle=0.55, gap=0.9)
    thick, thin = muscle(labelled(shares)), muscle(labelled(shares, 0.6))
    assert thick[(radius > 10) & (radius < 10.6)].all()
    assert np.array_equal(thin, (radius > 6) & (radius < 10))
    assert (labelled(shares, 0.6)[0] == Structure.LV).numpy()[radius <= 6].all()


def test_clear_muscle_stays():
    shares, _ = ring(muscle=0.7, gap=0.9)
    assert torch.equal(labelled(shares, 0.6), labelled(shares))


def test_a_slice_whose_wall_would_break_keeps_it():
    shares, _ = ring(muscle=0.55, gap=0.55)
    assert torch.equal(labelled(shares, 0.6), labelled(shares))
    both = torch.cat([shares, ring(muscle=0.55, gap=0.9)[0]], 1)
    kept = labelled(both, 0.6)
    assert torch.equal(kept[:1], labelled(shares))
    assert kept[1].sum() < labelled(both)[1].sum()


def test_a_slice_of_which_little_would_be_left_keeps_it():
    shares = torch.zeros(4, 1, 40, 40)
    shares[0] = 1
    shares[:, 0, 10:30, 10:30] = torch.tensor([0.45, 0, 0.55, 0])[:, None, None]  # solid muscle, hardly
    assert torch.equal(labelled(shares, 0.6), labelled(shares))


@pytest.mark.parametrize("wall", [0.0, -1.0, 1.5, float("nan")])
def test_a_wall_of_no_weight_is_refused(wall):
    with pytest.raises(ValueError, match="wall must lie above 0 and not above 1"):
        ReadingSettings(wall=wall)


def test_three_turned_copies_are_refused():
    with pytest.raises(ValueError, match="turns must be 1, 2, 4 or 8, got 3"):
        ReadingSettings(turns=3)


def test_an_image_without_any_slice_is_refused():
    image = drawn().image
    with pytest.raises(ValueError, match="all 5 slices of the image are missing"):
        Reader(GreyReader(), SETTINGS).labels(replace(image, missing_slices=tuple(range(5))))
