"""How label maps are shaped, in ratios, so that hearts of unknown spacing can be put side by side.

What a reader of a short-axis stack sees at a glance: how far the right ventricle reaches around the left, how thick
the ring is, how round, where it opens. Every figure is a ratio of pixel counts or pixel distances.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError

from cinecmr.anatomy import Structure

if TYPE_CHECKING:
    from numpy.typing import NDArray

THIRDS = ("base", "mid", "apex")
RAYS, RAY_PIXELS = 72, 60
FEWEST_SLICES = 3  # of LV; below, there are no thirds
FEWEST_EDGE, FEWEST_RV = 8, 20  # pixels; below, roundness and solidity are those of the pixel grid
EDGE_TO_PERIMETER = 1.12  # length of an outline for each pixel on it, mean over directions


def describe(labels: NDArray[np.uint8]) -> dict[str, float]:
    """The shape of one short-axis stack.

    Base and apex are told apart by LV area: the half of the LV slices with more of it is the base. Thirds are of the
    LV slices.

    Args:
        labels: (x, y, z) `Structure` codes.

    Returns:
        By name; empty where fewer than three slices hold LV; NaN where a figure cannot be had:

        - `labelled`: share of slices with any label. `rv_only`, `no_rv`: of those, the share with RV but no LV, and
          with LV but no RV.
        - `rv_lv_base`, `_mid`, `_apex`: RV area over LV area, mean over a third. `myo_lv_...`: MYO over LV.
        - `lv_roundness`: 4 pi area / perimeter^2, 1 for a circle; `rv_solidity`: RV area over that of the convex
          hull of its pixel centres, low for a crescent; `rv_distance`: between RV and LV centres, in epicardial
          radii of the LV. Means over slices.
        - `ring_open_base`: share of directions that leave the centre of the basal LV slice without meeting MYO.
        - `rv_lv`, `myo_lv`: volumes of RV and MYO over that of the LV.

    Raises:
        ValueError: `labels` is not 3-D.
    """
    if labels.ndim != 3:
        raise ValueError(f"labels must be one stack (x, y, z), got shape {labels.shape}; give one frame")
    rv, myo, lv = ((labels == code).sum(axis=(0, 1)) for code in (Structure.RV, Structure.MYO, Structure.LV))
    slices = _base_first(lv)
    if len(slices) < FEWEST_SLICES:
        return {}
    labelled = (rv + myo + lv > 0).sum()
    row = {
        "labelled": float(labelled / labels.shape[2]),
        "rv_only": float(((rv > 0) & (lv == 0)).sum() / labelled),
        "no_rv": float(((lv > 0) & (rv == 0)).sum() / labelled),
    }
    for name, third in zip(THIRDS, np.array_split(slices, 3), strict=True):
        row[f"rv_lv_{name}"] = float((rv[third] / lv[third]).mean())
        row[f"myo_lv_{name}"] = float((myo[third] / lv[third]).mean())
    planes = [labels[..., z] for z in slices]
    row["lv_roundness"] = _mean([roundness(plane == Structure.LV) for plane in planes])
    row["rv_solidity"] = _mean([solidity(plane == Structure.RV) for plane in planes])
    row["rv_distance"] = _mean([_distance(plane) for plane in planes])
    row["ring_open_base"] = _open_share(planes[0])
    row["rv_lv"], row["myo_lv"] = float(rv.sum() / lv.sum()), float(myo.sum() / lv.sum())
    return row


def describe_beat(ed: NDArray[np.uint8], es: NDArray[np.uint8]) -> tuple[dict[str, float], dict[str, float]]:
    """The shapes of both phases; that of ES also says what became of the volumes.

    Args:
        ed: (x, y, z) `Structure` codes at end-diastole.
        es: at end-systole, on the same grid or one of the same voxel size.

    Returns:
        As `describe`; the second also holds `ef_lv` and `ef_rv`, ejection fractions as shares, and `myo_es_ed`, MYO
        volume at ES over that at ED. NaN where there was none at ED.
    """
    beat = {
        "ef_lv": 1 - _over(es, ed, Structure.LV),
        "ef_rv": 1 - _over(es, ed, Structure.RV),
        "myo_es_ed": _over(es, ed, Structure.MYO),
    }
    return describe(ed), describe(es) | beat


def roundness(region: NDArray[np.bool_]) -> float:
    """4 pi area / perimeter^2 of a 2-D region; NaN where its outline is of 8 pixels or fewer."""
    edge = int((region & ~ndimage.binary_erosion(region)).sum())
    return 4 * np.pi * int(region.sum()) / (edge * EDGE_TO_PERIMETER) ** 2 if edge > FEWEST_EDGE else np.nan


def solidity(region: NDArray[np.bool_]) -> float:
    """Area of a 2-D region over that of the hull of its pixel centres; NaN where of 20 pixels or fewer, or a line."""
    pixels = np.argwhere(region)
    if len(pixels) <= FEWEST_RV:
        return np.nan
    try:
        return float(len(pixels) / ConvexHull(pixels).volume)
    except QhullError:
        return np.nan


def _base_first(lv: NDArray[np.intp]) -> NDArray[np.intp]:
    """Slices that hold LV, from base to apex; `lv` is its area in each slice."""
    slices = np.flatnonzero(lv > 0)
    half = len(slices) // 2
    return slices if lv[slices[:half]].sum() >= lv[slices[half:]].sum() else slices[::-1]


def _distance(plane: NDArray[np.uint8]) -> float:
    """From RV centre to LV centre, in radii of the disc as large as LV and MYO together."""
    rv, lv = np.argwhere(plane == Structure.RV), np.argwhere(plane == Structure.LV)
    if len(rv) <= FEWEST_RV:
        return np.nan
    radius = np.sqrt((len(lv) + (plane == Structure.MYO).sum()) / np.pi)
    return float(np.linalg.norm(rv.mean(axis=0) - lv.mean(axis=0)) / radius)


def _open_share(plane: NDArray[np.uint8]) -> float:
    """Share of rays from the LV centre that meet no MYO within 60 pixels."""
    centre = np.argwhere(plane == Structure.LV).mean(axis=0)
    angles = np.linspace(0, 2 * np.pi, RAYS, endpoint=False)
    steps = np.arange(RAY_PIXELS)[None, :, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)[:, None]
    pixels = np.rint(centre + steps).astype(int)
    inside = ((pixels >= 0) & (pixels < plane.shape)).all(axis=2)
    x, y = np.where(inside[..., None], pixels, 0).transpose(2, 0, 1)
    return float(1 - (inside & (plane[x, y] == Structure.MYO)).any(axis=1).mean())


def _over(es: NDArray[np.uint8], ed: NDArray[np.uint8], structure: Structure) -> float:
    there = int((ed == structure).sum())
    return int((es == structure).sum()) / there if there else np.nan


def _mean(values: list[float]) -> float:
    """Of those that are known."""
    known = [value for value in values if np.isfinite(value)]
    return float(np.mean(known)) if known else np.nan
