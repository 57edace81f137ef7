"""How published networks read: labels on the study's own grid equal a slow formula written again."""

from itertools import product
from math import ceil, floor

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import ndimage

from cinecmr.anatomy import Structure, View
from cinecmr.learn.samples import linear
from cinecmr.networks.kinds import PublishedConfig, build
from cinecmr.study import Image
from cinecmr.tasks.published_grid import NetworkGrid, quantised
from cinecmr.tasks.published_pieces import kept
from cinecmr.tasks.published_reading import PublishedReader, PublishedReadingSettings

STACK = PublishedReadingSettings(spacing=(2.0, 2.0, 10.0), patch=(8, 8, 4), pieces="all")
PLANE = PublishedReadingSettings(view="lax_4c", spacing=(2.0, 2.0), patch=(8, 8), pieces="all")


class Sums(torch.nn.Module):
    """Class scores that depend on place and neighbours: any slip of the grid moves a label."""

    def __init__(self, dims):
        super().__init__()
        torch.manual_seed(dims)
        make = torch.nn.Conv2d if dims == 2 else torch.nn.Conv3d
        self.conv = make(1, 4, 3, padding=1)
        self.seen = []

    def forward(self, image):
        self.seen.append(image)
        return 8 * self.conv(image)


def an_image(shape, spacing, view=View.SAX, missing=()):
    rng = np.random.default_rng(4)
    data = ndimage.gaussian_filter(rng.random(shape), (1, 1, 0, 0)) * 900 + 50
    data[:, :, list(missing)] = 0
    times = 0.1 * np.arange(shape[3])
    return Image(data.astype(np.float32), np.diag([*spacing, 1.0]), times, view, missing_slices=missing)


def read_at(data, place):
    """Linear interpolation at one place, 0 beyond half a voxel outside: sums over the corners around it."""
    if any(p < -0.5 or p > n - 0.5 for p, n in zip(place, data.shape, strict=True)):
        return 0.0
    place = [min(max(p, 0), n - 1) for p, n in zip(place, data.shape, strict=True)]
    value = 0.0
    for corner in product((0, 1), repeat=len(place)):
        weight, index = 1.0, []
        for p, c, n in zip(place, corner, data.shape, strict=True):
            low = min(floor(p), max(n - 2, 0))
            weight *= (p - low) if c else 1 - (p - low)
            index.append(min(low + c, n - 1))
        value += weight * float(data[tuple(index)])
    return value


def slow_volume(data, spacing, wanted):
    """The image at another spacing, both covering the same extent from the same corner."""
    step = [w / s for w, s in zip(wanted, spacing, strict=False)]
    shape = [max(1, round(n * s / w)) for n, s, w in zip(data.shape, spacing, wanted, strict=False)]
    out = np.zeros(shape)
    for index in np.ndindex(*shape):
        out[index] = read_at(data, [(i + 0.5) * k - 0.5 for i, k in zip(index, step, strict=True)])
    return out


def slow_grey(volume):
    low, high = np.percentile(volume, 0.95), np.percentile(volume, 99.5)
    return np.floor((np.clip(volume, low, high) - low) / (high - low) * 255) / 255


def softmax(scores):
    e = np.exp(scores - scores.max(0))
    return e / e.sum(0)


def slow_shares(network, grey, patch):
    """Padded at the end; windows half a patch apart, the last flush with the end, averaged."""
    padded = np.zeros([max(n, p) for n, p in zip(grey.shape, patch, strict=True)])
    padded[tuple(slice(0, n) for n in grey.shape)] = grey
    total, times = np.zeros((4, *padded.shape)), np.zeros(padded.shape)
    starts = []
    for n, p in zip(padded.shape, patch, strict=True):
        one = [0]
        while one[-1] + p < n:
            one.append(min(one[-1] + p - p // 2, n - p))
        starts.append(one)
    for corner in product(*starts):
        window = tuple(slice(c, c + p) for c, p in zip(corner, patch, strict=True))
        with torch.no_grad():
            scores = network(torch.from_numpy(padded[window].astype(np.float32))[None, None])[0].numpy()
        total[(slice(None), *window)] += softmax(scores)
        times[window] += 1
    return (total / times)[(slice(None), *(slice(0, n) for n in grey.shape))]


def slow_labels(network, image, asked):
    """Everything the reader does, voxel by voxel; the image fits the patch."""
    dims = len(asked.patch)
    labels = np.zeros(image.data.shape, np.uint8)
    for t in range(image.frames):
        frame = image.data[..., t].astype(float)
        data = frame if dims == 3 else frame[:, :, 0]
        volume = slow_volume(data, image.spacing, asked.spacing)
        shares = slow_shares(network, slow_grey(volume), asked.patch)
        for index in np.ndindex(*data.shape):
            place = [
                min(max((i + 0.5) * s / w - 0.5, 0), n - 1)
                for i, s, w, n in zip(index, image.spacing, asked.spacing, volume.shape, strict=False)
            ]
            values = [read_at(shares[c], place) for c in range(4)]
            labels[(*index, *([0] * (3 - dims)), t)] = asked.codes[int(np.argmax(values))]
    return labels


@pytest.mark.parametrize(
    ("asked", "shape", "spacing"),
    [
        (STACK, (9, 7, 3, 2), (1.5, 1.7, 8.0)),
        (STACK, (6, 7, 2, 1), (2.6, 1.9, 13.0)),
        (PLANE, (9, 7, 1, 2), (1.6, 1.3, 6.0)),
    ],
)
def test_labels_on_the_studys_own_grid_equal_the_slow_formula(asked, shape, spacing):
    network = Sums(len(asked.patch))
    image = an_image(shape, spacing)
    told = []
    found = PublishedReader(network, asked).labels(image, told.append)
    truth = slow_labels(network, image, asked)
    assert len(np.unique(truth)) > 1
    np.testing.assert_array_equal(found, truth)
    assert told == [(t + 1) / shape[3] for t in range(shape[3])]


def slow_middle(network, volume):
    """Middle of the left ventricle's box in plane; None where the network finds none."""
    codes = slow_shares(network, slow_grey(volume), STACK.patch).argmax(0)
    left = (kept(codes.astype(np.uint8), "largest") == Structure.LV).nonzero()
    return [(at.min() + at.max()) / 2 for at in left[:2]] if left[0].size else None


def cut_about(middle, shape=(20, 18)):
    return tuple(slice(f, f + 8) for f in (min(max(ceil(m - 4), 0), n - 8) for m, n in zip(middle, shape, strict=True)))


def test_an_image_wider_than_the_patch_is_read_about_the_left_ventricle_found_in_it():
    network = Sums(3)
    image = an_image((20, 18, 5, 2), (2.0, 2.0, 10.0))
    first = image.data[..., 0].astype(float)
    cut = cut_about((9.5, 8.5))
    for _ in range(3):
        middle = slow_middle(network, first[cut])
        cut = cut_about([c.start + m for c, m in zip(cut, middle, strict=True)])
    truth = np.zeros(image.data.shape, np.uint8)
    for t in range(2):
        shares = slow_shares(network, slow_grey(image.data[..., t][cut].astype(float)), STACK.patch)
        truth[(*cut, slice(None), t)] = shares.argmax(0)
    np.testing.assert_array_equal(PublishedReader(network, STACK).labels(image), truth)


class Bright(torch.nn.Module):
    """Calls left ventricle what is nearly white, all else background."""

    def forward(self, image):
        scores = torch.zeros(1, 4, *image.shape[2:])
        scores[:, 3] = 100 * (image[:, 0] - 0.9)
        return scores


@pytest.mark.parametrize(
    ("rows", "columns", "reads"),
    [
        (slice(11, 14), slice(7, 10), 2 + 1),  # seen at once, centred, then read
        (slice(12, 17), slice(5, 10), 3 + 1),  # half seen, the crop moves twice
        (slice(16, 19), slice(1, 4), 1 + 16 + 1),  # outside the first crop: looked for in windows
    ],
)
def test_a_heart_is_found_near_the_middle_at_once_and_elsewhere_in_windows(rows, columns, reads):
    data = np.full((20, 18, 2, 1), 10.0, np.float32)
    data[rows, columns] = 99
    reader = PublishedReader(Bright(), STACK)
    asked = []
    reader.networks[0][0].register_forward_hook(lambda *_: asked.append(1))
    found = reader.labels(Image(data, np.diag([2.0, 2.0, 10.0, 1.0]), np.zeros(1)))
    np.testing.assert_array_equal(found == Structure.LV, data == 99)
    assert len(asked) == reads


def test_without_a_left_ventricle_the_middle_of_the_image_is_read():
    class Nothing(torch.nn.Module):
        def forward(self, image):
            scores = torch.zeros(1, 4, *image.shape[2:])
            scores[:, 1] = 5.0  # right ventricle everywhere it looks
            return scores

    found = PublishedReader(Nothing(), STACK).labels(an_image((20, 18, 3, 1), (2.0, 2.0, 10.0)))
    where = found[:, :, 0, 0].nonzero()
    assert (where[0].min(), where[0].max(), where[1].min(), where[1].max()) == (6, 13, 5, 12)


def test_a_missing_slice_is_bridged_for_the_network_and_stays_unseen():
    network = Sums(3)
    image = an_image((8, 8, 4, 1), (2.0, 2.0, 10.0), missing=(1, 3))
    found = PublishedReader(network, STACK).labels(image)
    assert (found[:, :, [1, 3]] == Structure.UNSEEN).all()
    bridged = image.data[..., 0].astype(float)
    bridged[:, :, 1], bridged[:, :, 3] = (bridged[:, :, 0] + bridged[:, :, 2]) / 2, bridged[:, :, 2]
    truth = slow_shares(network, slow_grey(bridged), STACK.patch).argmax(0)
    np.testing.assert_array_equal(found[:, :, [0, 2], 0], truth[:, :, [0, 2]])


def test_codes_of_another_data_set_become_structures():
    network = Sums(3)
    image = an_image((8, 8, 4, 1), (2.0, 2.0, 10.0))
    own = PublishedReader(network, STACK).labels(image)
    codes = (0, int(Structure.LV), int(Structure.MYO), int(Structure.SCAR))
    other = PublishedReadingSettings("sax", STACK.spacing, STACK.patch, codes, "all")
    np.testing.assert_array_equal(PublishedReader(network, other).labels(image), np.asarray(codes, np.uint8)[own])


@pytest.mark.parametrize("name", ["convunetr", "unet"])
def test_published_networks_are_asked_by_view_or_by_tensor(name, monkeypatch):
    from dataclasses import replace

    from cinecmr.networks import kinds

    whole = kinds._multiview
    narrow = {"stem_widths": (2, 3), "stem_blocks": 1, "width": 8, "depth": 1, "heads": 2}
    monkeypatch.setattr(kinds, "_multiview", lambda config: replace(whole(config), **narrow))
    torch.manual_seed(1)
    widths = {"dec_chans": (2, 3, 4, 5, 6)} if name == "convunetr" else {"chans": (2, 3)}
    network = build(PublishedConfig(name, ("sax",), 4, sizes={"sax": (32, 32, 2)}, **widths)).eval()
    asked = PublishedReadingSettings("sax", (2.0, 2.0, 10.0), (32, 32, 2), pieces="all")
    image = an_image((32, 32, 2, 1), (2.0, 2.0, 10.0))
    found = PublishedReader(network, asked).labels(image)
    with torch.no_grad():
        eaten = torch.from_numpy(slow_grey(image.data[..., 0].astype(float)).astype(np.float32))[None, None]
        scores = network({"sax": eaten})["sax"] if name == "convunetr" else network(eaten)
    np.testing.assert_array_equal(found[..., 0], scores[0].argmax(0).numpy())


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 12), st.floats(0.4, 3.0))
@example(12, 1.6)  # seven voxels and a half: the middle of the eighth lies on the border of the image
def test_there_and_back_a_ramp_keeps_its_place(size, step):
    image = Image(np.arange(size, dtype=np.float32)[:, None, None, None], np.eye(4), np.zeros(1))
    grid = NetworkGrid.of(image, (step, 1.0))
    there = grid.resampled(image, 0)
    shares = np.stack([np.zeros_like(there), there])
    back = grid.returned(shares, tuple(slice(0, n) for n in grid.shape))[1, :, 0]
    places = (np.arange(grid.shape[0]) + 0.5) * step - 0.5
    whole = places[(places >= 0) & (places <= size - 1)]  # not held at an end of the image
    own = np.arange(size)
    if whole.size:
        between = (own >= whole.min()) & (own <= whole.max())
        np.testing.assert_allclose(back[between], own[between], atol=1e-3)
    beside = places >= size - 0.5 - 1e-9
    assert np.isin(there[beside], (0, size - 1)).all(), "on the border rounding decides: the last pixel, or nothing"
    assert (np.diff(back[own <= places[~beside].max()]) >= -1e-6).all()
    if not beside.any():
        assert (np.diff(back) >= -1e-6).all()


def test_preparation_equals_that_of_cinemas_code(fixture_values):
    """The fixture's origin moved without regard to direction: the same places are read here."""
    told, tensors = fixture_values
    turn = np.array(told["direction_in"]).reshape(3, 3)
    spacing, target = np.array(told["spacing_in"]), np.array(told["target"])
    start = turn.T @ (np.array(told["origin_out"]) - np.array(told["origin_in"])) / spacing
    shift = turn.T @ turn  # the output keeps the direction of the input: axes stay axes
    np.testing.assert_allclose(shift, np.eye(3), atol=1e-12)
    volume = tensors["prep/in_zyx"].transpose(2, 1, 0)
    volume = linear(volume, [start[a] + target[a] / spacing[a] * np.arange(told["size_out"][a]) for a in range(3)])
    lost = volume - tensors["prep/resampled_zyx"].transpose(2, 1, 0)  # whole numbers there: the rest was cut off
    assert 0 <= lost.min() <= lost.max() < 1
    stored = tensors["prep/uint8_zyx"].transpose(2, 1, 0).astype(np.float32)
    found = quantised(tensors["prep/resampled_zyx"].transpose(2, 1, 0).astype(np.float32)) * 255
    np.testing.assert_array_equal(found.round(), stored)


@pytest.fixture
def fixture_values():
    import json
    from pathlib import Path

    from safetensors.numpy import load_file

    folder = Path(__file__).resolve().parents[3] / "shared" / "fixtures" / "cinema"
    if not (folder / "values.safetensors").is_file():
        pytest.skip("the recorded preparation of CineMA's code is not on this computer")
    return json.loads((folder / "values.json").read_text("utf-8"))["prep"], load_file(folder / "values.safetensors")


def test_whole_grey_values_stay_whole_at_the_networks_spacing():
    image = an_image((6, 6, 2, 1), (2.0, 2.0, 10.0))
    whole = Image(image.data.astype(np.int16), image.affine, image.times)
    asked = (1.3, 1.7, 9.0)
    slow = np.trunc(slow_volume(whole.data[..., 0].astype(float), whole.spacing, asked) + 1e-4)
    np.testing.assert_array_equal(NetworkGrid.of(whole, asked).resampled(whole, 0), slow)


def test_an_even_image_is_black_and_nothing_is_divided_by_zero():
    assert (quantised(np.full((3, 3, 2), 7.0, np.float32)) == 0).all()


def picture(*rows):
    return np.array([[int(c) for c in row] for row in rows], np.uint8)


def test_one_left_and_one_right_ventricle_are_kept():
    found = picture("1100200", "1100233", "0010233", "0000200", "3000000")
    truth = picture("1100200", "1100233", "0000233", "0000200", "0000000")
    np.testing.assert_array_equal(kept(found, "largest"), truth)
    np.testing.assert_array_equal(kept(found, "all"), found)


def test_on_a_long_axis_the_pieces_beside_the_right_ventricle_are_kept():
    found = picture("1102300033", "1102300033", "0002300033", "0000000022")
    truth = picture("1102300000", "1102300000", "0002300000", "0000000000")
    np.testing.assert_array_equal(kept(found, "nearest-rv"), truth)
    without = np.where(found == 1, 0, found).astype(np.uint8)
    larger = picture("0002000033", "0002000033", "0002000033", "0000000000")
    np.testing.assert_array_equal(kept(without, "nearest-rv"), larger)


def test_a_stack_is_no_plane_and_nothing_seen_is_nothing_read():
    with pytest.raises(ValueError, match="reads one plane of view lax_4c, got 3 slices"):
        PublishedReader(Sums(2), PLANE).labels(an_image((8, 8, 3, 1), (2.0, 2.0, 10.0)))
    with pytest.raises(ValueError, match="all 2 slices of the image are missing"):
        PublishedReader(Sums(3), STACK).labels(an_image((8, 8, 2, 1), (2.0, 2.0, 10.0), missing=(0, 1)))


def test_settings_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="2 or 3 axes alike"):
        PublishedReadingSettings(spacing=(1.0, 1.0))
    with pytest.raises(ValueError, match="no pieces 'some': there are all, largest, nearest-rv"):
        PublishedReadingSettings(pieces="some")
