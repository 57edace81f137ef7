"""What is done to the pictures of healthy studies for the corrupted corpus: the header says nothing of it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from cinecmr.study import Image

    Pictured = Callable[[Image, np.random.Generator, Image], Image]  # the short axis, chance, another heart's


def _data(change: Callable[[NDArray[Any], np.random.Generator, NDArray[Any]], NDArray[Any] | None]) -> Pictured:
    """A fault of the intensities; a function that returns nothing has changed its copy in place."""

    def picture(image: Image, rng: np.random.Generator, other: Image) -> Image:
        data = np.array(image.data, np.float32)
        changed = change(data, rng, np.asarray(other.data, np.float32))
        result = np.clip(data if changed is None else changed, 0, None)
        return replace(image, data=np.rint(result))

    return picture


def _placed(scale: tuple[float, float, float]) -> Pictured:
    """The header tells another voxel size than the scanner had."""
    return lambda image, _rng, _other: replace(image, affine=image.affine @ np.diag([*scale, 1.0]))


def _kept(which: Callable[[int], slice]) -> Pictured:
    """Only some of the slices, one after the other."""

    def picture(image: Image, _rng: np.random.Generator, _other: Image) -> Image:
        part = which(image.slices)
        affine = image.affine.copy()
        affine[:3, 3] += affine[:3, 2] * (part.start or 0)
        return replace(image, data=image.data[:, :, part], affine=affine)

    return picture


def _middle(data: NDArray[Any]) -> int:
    return int(data.shape[2] // 2)


def _put(data: NDArray[Any], where: Any, value: Any) -> None:
    data[where] = value


def _swap(data: NDArray[Any], axis: int, first: int, second: int) -> NDArray[Any]:
    order = np.arange(data.shape[axis])
    order[[first, second]] = second, first
    return np.take(data, order, axis=axis)


def _mixed(data: NDArray[Any], other: NDArray[Any], slices: slice, frames: slice = slice(None)) -> None:
    """Pictures of another heart, the nearest of its own slices."""
    for z in range(*slices.indices(data.shape[2])):
        data[:, :, z, frames] = other[:, :, min(z, other.shape[2] - 1), frames]


def _breathing(data: NDArray[Any]) -> NDArray[Any]:
    n = data.shape[3]
    moves = np.rint(0.05 * data.shape[0] * np.sin(2 * np.pi * np.arange(n) / n)).astype(int)
    return np.stack([np.roll(data[..., t], moves[t], 0) for t in range(n)], axis=-1)


def _noise(data: NDArray[Any], rng: np.random.Generator, share: float) -> NDArray[Any]:
    return np.asarray(np.abs(data + share * np.percentile(data, 99) * rng.standard_normal(data.shape)), np.float32)


def _stripes(data: NDArray[Any]) -> NDArray[Any]:
    x, y = np.meshgrid(*map(np.arange, data.shape[:2]), indexing="ij")
    wave = 0.4 * np.percentile(data, 99) * (1 + np.sin(2 * np.pi * (x / 5 + y / 7)))
    return np.asarray(data + wave[..., None, None])


def _blurred(data: NDArray[Any]) -> NDArray[Any]:
    from scipy import ndimage

    return np.asarray(ndimage.gaussian_filter(data, (3, 3, 0, 0)))


def _shaded(data: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(data * np.exp(np.linspace(-2, 1, data.shape[0]))[:, None, None, None])


PICTURES: dict[str, tuple[str, Pictured]] = {
    "still-heart": ("every frame shows the first", _data(lambda d, *_: np.repeat(d[..., :1], d.shape[3], 3))),
    "blank-frame": ("one frame is black in all slices", _data(lambda d, *_: _put(d, np.s_[..., 4], 0))),
    "blank-last-frames": ("the last two frames are black", _data(lambda d, *_: _put(d, np.s_[..., -2:], 0))),
    "blank-frame-of-slice": (
        "one frame of the middle slice is black", _data(lambda d, *_: _put(d, np.s_[:, :, _middle(d), 4], 0))),
    "swapped-frames": (
        "the first frame and one of systole are exchanged", _data(lambda d, *_: _swap(d, 3, 0, d.shape[3] * 2 // 5))),
    "late-start": ("the frames begin at two fifths of the beat",
                   _data(lambda d, *_: np.roll(d, -(d.shape[3] * 2 // 5), 3))),
    "half-a-beat": ("the second half of the frames repeats the first",
                    _data(lambda d, *_: np.take(d, np.arange(d.shape[3]) % (d.shape[3] // 2), axis=3))),
    "swapped-slices": (
        "two inner slices are exchanged", _data(lambda d, *_: _swap(d, 2, _middle(d) - 1, _middle(d) + 1))),
    "copied-slice": ("the middle slice shows the one beside it",
                     _data(lambda d, *_: _put(d, np.s_[:, :, _middle(d)], d[:, :, _middle(d) - 1].copy()))),
    "still-slice": ("the middle slice does not beat",
                    _data(lambda d, *_: _put(d, np.s_[:, :, _middle(d)], d[:, :, _middle(d), :1].copy()))),
    "late-slice": (
        "the middle slice is half a beat late",
        _data(lambda d, *_: _put(d, np.s_[:, :, _middle(d)], np.roll(d[:, :, _middle(d)], d.shape[3] // 2, -1)))),
    "moved-slice": ("the middle slice lies a seventh of the picture off",
                    _data(lambda d, *_: _put(d, np.s_[:, :, _middle(d)],
                                             np.roll(d[:, :, _middle(d)], d.shape[0] // 7, 0)))),
    "turned-slice": ("the middle slice is turned by 90 degrees",
                     _data(lambda d, *_: _put(d, np.s_[:, :, _middle(d)], np.rot90(d[:, :, _middle(d)])))),
    "slice-of-another": ("the middle slice is of another person",
                         _data(lambda d, _r, o: _mixed(d, o, slice(_middle(d), _middle(d) + 1)))),
    "slices-of-another": ("every other slice is of another person",
                          _data(lambda d, _r, o: _mixed(d, o, slice(0, None, 2)))),
    "apex-of-another": ("the apical half is of another person",
                        _data(lambda d, _r, o: _mixed(d, o, slice(_middle(d), None)))),
    "frames-of-another": ("the second half of the beat is of another person",
                          _data(lambda d, _r, o: _mixed(d, o, slice(None), slice(d.shape[3] // 2, None)))),
    "mirrored": ("the pictures are mirrored", _data(lambda d, *_: d[::-1])),
    "turned": ("the pictures are turned by 90 degrees", _data(lambda d, *_: np.rot90(d))),
    "upside-down": ("base and apex are exchanged", _data(lambda d, *_: d[:, :, ::-1])),
    "small-pixels": ("pixels are said to be 0.65 of their size", _placed((0.65, 0.65, 1.0))),
    "large-pixels": ("pixels are said to be 1.5 of their size", _placed((1.5, 1.5, 1.0))),
    "oblong-pixels": ("pixels are said to be a third longer than wide", _placed((1.33, 1.0, 1.0))),
    "close-slices": ("slices are said to lie 0.6 of their distance apart", _placed((1.0, 1.0, 0.6))),
    "far-slices": ("slices are said to lie 1.5 of their distance apart", _placed((1.0, 1.0, 1.5))),
    "no-basal-half": ("the basal half of the slices is lost", _kept(lambda n: slice(n // 2, n))),
    "no-apical-half": ("the apical half of the slices is lost", _kept(lambda n: slice(0, n // 2))),
    "no-basal-third": ("the basal third of the slices is lost", _kept(lambda n: slice(n // 3, n))),
    "saturated": ("all that is brighter than muscle is cut off",
                  _data(lambda d, *_: np.minimum(d, np.percentile(d, 60)))),
    "dim": ("a fiftieth of the brightness", _data(lambda d, *_: d / 50)),
    "few-greys": ("six grey values are left",
                  _data(lambda d, *_: np.rint(5 * np.minimum(d / np.percentile(d, 99), 1)) * 100)),
    "noise": ("as much noise as half of the blood's signal", _data(lambda d, r, *_: _noise(d, r, 0.5))),
    "noise-only": ("nothing but noise", _data(lambda d, r, *_: _noise(0 * d + 100, r, 3.0))),
    "stripes": ("the pattern of a spike in the raw data", _data(lambda d, *_: _stripes(d))),
    "blurred": ("blurred by three pixels, as by motion", _data(lambda d, *_: _blurred(d))),
    "breathing": ("the heart wanders by a tenth of the picture during the beat", _data(lambda d, *_: _breathing(d))),
    "ghost": ("a half as bright ghost, a third of the picture off",
              _data(lambda d, *_: d + 0.5 * np.roll(d, d.shape[1] // 3, 1))),
    "wrapped": ("the picture is folded over by two fifths", _data(lambda d, *_: np.roll(d, d.shape[0] * 2 // 5, 0))),
    "negative": ("black and white are exchanged, and no entry says so", _data(lambda d, *_: d.max() - d)),
    "shaded": ("twenty times brighter on one side than on the other", _data(lambda d, *_: _shaded(d))),
    "white-bar": ("a white bar across the middle",
                  _data(lambda d, *_: _put(d, np.s_[:, d.shape[1] * 9 // 20 : d.shape[1] * 11 // 20], d.max()))),
    "half-black": ("half of every picture is black", _data(lambda d, *_: _put(d, np.s_[: d.shape[0] // 2], 0))),
    "all-black": ("every pixel is 0", _data(lambda d, *_: 0 * d)),
    "all-grey": ("every pixel is the same", _data(lambda d, *_: 0 * d + 700)),
}  # fmt: skip
