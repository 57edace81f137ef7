"""How a cine picture looks, in figures: contrast, grain, noise and edges, relative to the picture itself.

What a person compares without knowing it when telling a real picture from a made one. Every figure is a ratio of
intensities or a length in pixels, so pictures of any machine and scale can be put side by side.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from cinecmr.anatomy import Structure

if TYPE_CHECKING:
    from numpy.typing import NDArray

FEWEST = 30  # pixels of a tissue in a slice; below, the slice tells nothing of it
REACH, STEP = 6.0, 0.5  # pixels to either side of a border that its profile covers; width of a bin
AROUND = 48  # pixels from the heart's centre that count as its surroundings
DARK, BRIGHT = 0.15, 1.15  # of blood: lung and air; fat
# Twice the difference of two Laplacians: what is left of a picture in which every patch is a smooth surface.
_SURFACE = np.array([[1.0, -2.0, 1.0], [-2.0, 4.0, -2.0], [1.0, -2.0, 1.0]])
_NORMAL_MAD = 0.6745  # median absolute value of a standard normal draw


def describe(picture: NDArray[np.float32], labels: NDArray[np.uint8]) -> dict[str, float]:
    """The look of one short-axis stack.

    Args:
        picture: (x, y, z) intensities in any unit, 0 for no signal.
        labels: (x, y, z) `Structure` codes.

    Returns:
        By name, medians over the slices; NaN where a figure cannot be had. Intensities are shares of the LV blood of
        the same slice:

        - `myo`, `rv`: muscle and right ventricular blood. `fat_share`, `dark_share`: share of the surroundings
          brighter than `BRIGHT` or darker than `DARK`.
        - `grain_lv`, `grain_myo`: robust standard deviation two pixels inside either.
        - `noise`: of the whole slice, by what no smooth surface explains (Immerkaer 1996), from its median.
        - `edge_width`: contrast over the steepest slope of the mean profile across the endocardium, pixels.
        - `edge_shift`: where that profile passes the middle between blood and muscle, pixels inside (+) or outside (-)
          of the labelled border: what looks like wall and is counted as cavity.
        - `detail`: share of the surroundings' power at periods under 4 pixels.

    Raises:
        ValueError: the shapes differ or are not 3-D.
    """
    if picture.ndim != 3 or picture.shape != labels.shape:
        raise ValueError(f"picture and labels must be (x, y, z) of one shape, got {picture.shape} and {labels.shape}")
    rows = [_slice(picture[..., z].astype(np.float64), labels[..., z]) for z in range(labels.shape[2])]
    rows = [row for row in rows if row]
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: float(np.nanmedian([row[name] for row in rows])) for name in names}


def _slice(picture: NDArray[np.float64], labels: NDArray[np.uint8]) -> dict[str, float]:
    """Figures of one slice; empty where it holds no ring of muscle around a cavity."""
    lv, myo, rv = (_inside(labels == code) for code in (Structure.LV, Structure.MYO, Structure.RV))
    thin = labels == Structure.MYO
    if lv.sum() < FEWEST or thin.sum() < FEWEST:
        return {}
    blood = float(np.median(picture[lv]))
    if blood <= 0:
        return {}
    picture = picture / blood
    muscle = float(np.median(picture[myo if myo.sum() >= FEWEST else thin]))
    window = picture[_surroundings(labels)]
    width, shift = _edge(picture, labels, muscle)
    return {
        "myo": muscle,
        "rv": float(np.median(picture[rv])) if rv.sum() >= FEWEST else float("nan"),
        "fat_share": float((window > BRIGHT).mean()),
        "dark_share": float((window < DARK).mean()),
        "grain_lv": _spread(picture[lv]),
        "grain_myo": _spread(picture[myo]) if myo.sum() >= FEWEST else float("nan"),
        "noise": _noise(window),
        "edge_width": width,
        "edge_shift": shift,
        "detail": _detail(window),
    }


def _inside(where: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return np.asarray(ndimage.binary_erosion(where, iterations=2 if where.sum() > 20 * FEWEST else 1))


def _surroundings(labels: NDArray[np.uint8]) -> tuple[slice, slice]:
    """The square around the left ventricle."""
    middle = np.argwhere(labels >= Structure.MYO).mean(axis=0).astype(int)
    low = np.maximum(middle - AROUND, 0)
    return slice(low[0], middle[0] + AROUND), slice(low[1], middle[1] + AROUND)


def _spread(values: NDArray[np.float64]) -> float:
    """Standard deviation, from the median absolute deviation: papillary muscles in the cavity do not count."""
    return float(np.median(np.abs(values - np.median(values))) / _NORMAL_MAD)


def _noise(window: NDArray[np.float64]) -> float:
    """Standard deviation of the noise (Immerkaer 1996), from the median, which edges move less than the mean."""
    rest = ndimage.convolve(window, _SURFACE, mode="nearest")[1:-1, 1:-1]
    return float(np.median(np.abs(rest)) / _NORMAL_MAD / np.sqrt((_SURFACE**2).sum()))


def _edge(picture: NDArray[np.float64], labels: NDArray[np.uint8], muscle: float) -> tuple[float, float]:
    """Width and shift of the endocardial border, pixels, from the mean intensity over the distance to it."""
    cavity = labels == Structure.LV
    inside, outside = ndimage.distance_transform_edt(cavity), ndimage.distance_transform_edt(~cavity)
    distance = np.where(cavity, inside - 0.5, 0.5 - outside)  # the border lies between two pixels
    near = (labels >= Structure.MYO) & (np.abs(distance) < REACH)
    bins = np.floor((distance[near] + REACH) / STEP).astype(int)
    count = np.bincount(bins, minlength=int(2 * REACH / STEP))
    total = np.bincount(bins, picture[near], minlength=len(count))
    there = count >= 3
    at = (-REACH + STEP * (np.arange(len(count)) + 0.5))[there]
    profile = total[there] / count[there]
    if len(at) < 6 or muscle >= 1:
        return float("nan"), float("nan")
    steepest = float(np.gradient(profile, at).max())
    above = np.flatnonzero(profile >= (1 + muscle) / 2)
    if steepest <= 0 or not len(above) or above[0] == 0:
        return float("nan"), float("nan")
    high, low = above[0], above[0] - 1
    share = ((1 + muscle) / 2 - profile[low]) / (profile[high] - profile[low])
    return (1 - muscle) / steepest, float(at[low] + share * (at[high] - at[low]))


def _detail(window: NDArray[np.float64]) -> float:
    """Share of the power at periods under four pixels; a cosine window keeps the square's border out of it."""
    if min(window.shape) < 16:
        return float("nan")
    taper = np.hanning(window.shape[0])[:, None] * np.hanning(window.shape[1])[None, :]
    power = np.abs(np.fft.fft2((window - window.mean()) * taper)) ** 2
    frequency = np.hypot(np.fft.fftfreq(window.shape[0])[:, None], np.fft.fftfreq(window.shape[1])[None, :])
    return float(power[frequency > 0.25].sum() / power.sum())
