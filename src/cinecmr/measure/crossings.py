"""Breath-hold shifts of short-axis slices, from where the long-axis planes cross them.

A short-axis slice and a long-axis view show the same line of the heart, each in its own picture. Where the slice was
taken in another breath-hold, the ventricle's borders on that line lie elsewhere in it. Two views in different
directions tell both components of the shift, and every frame of the beat tells it again. Shifts are relative: the
views have breath-holds of their own, and so the middle one of the slices counts as unshifted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cinecmr.anatomy import Structure
from cinecmr.geometry import apply_affine
from cinecmr.measure.clock import beat_shares

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cinecmr.study import Image

    Array = NDArray[np.float64]
    Codes = NDArray[np.uint8]

STEP_MM = 0.5  # along the line
REACH_MM = 90.0  # to both sides of the ventricle's middle
SHORTEST_MM = 8.0  # chord of the cavity: shorter ones are the apex, whose middle says little
ALIKE = 0.3  # by which the two chords may differ: more, and they show different things
CROSSING = 0.4  # sine of the angle between two views' directions that tells both components
AGREED_MM = 3.0  # between what the cavity's borders say and the wall's, and between what three views say
FEWEST_FRAMES = 0.3  # of the beat in which a slice must be told
FEWEST_SLICES = 3  # a view that tells fewer has no middle one


@dataclass(frozen=True)
class Seen:
    """One view and its labels.

    Attributes:
        image: long axis, one slice. labels: (x, y, 1, t) `Structure` codes.
    """

    image: Image
    labels: Codes


def slice_shifts(sax: Image, labels: Codes, views: Sequence[Seen]) -> Array:
    """How far each slice's pixels lie from where its header says, in plane.

    Args:
        sax: short axis.
        labels: (x, y, z, t) its `Structure` codes.
        views: long axis.

    Returns:
        (z, 2) mm along the picture's x and y, as `Image.slice_shift_mm`; NaN for slices that fewer than two crossing
        views tell.
    """
    axes = sax.affine[:3, :2] / np.linalg.norm(sax.affine[:3, :2], axis=0)
    directions, offsets = [], []
    for view in views:
        line = _direction(sax, view.image)
        if line is None:
            continue
        apart = _apart(sax, labels, view, line)
        if np.isfinite(apart).sum() < FEWEST_SLICES:
            continue
        directions.append(line @ axes)
        offsets.append(apart - np.nanmedian(apart))
    found = np.full((sax.slices, 2), np.nan)
    for z in range(sax.slices):
        known = [v for v in range(len(offsets)) if np.isfinite(offsets[v][z])]
        along = np.array([directions[v] for v in known]).reshape(-1, 2)
        if not _cross(along):
            continue
        told = np.array([offsets[v][z] for v in known])
        shift = np.linalg.lstsq(along, told, rcond=None)[0]
        if np.abs(along @ shift - told).max() <= AGREED_MM:
            found[z] = -shift
    return found


def _direction(sax: Image, view: Image) -> Array | None:
    """(3,) unit vector along the line in which the two planes meet; None where they hardly do."""
    normals = [np.cross(image.affine[:3, 0], image.affine[:3, 1]) for image in (sax, view)]
    across = np.cross(normals[0] / np.linalg.norm(normals[0]), normals[1] / np.linalg.norm(normals[1]))
    size = float(np.linalg.norm(across))
    return None if size < CROSSING else np.asarray(across / size, np.float64)


def _cross(directions: Array) -> bool:
    """Whether any two of (n, 2) unit vectors differ enough."""
    sines = np.abs(np.outer(directions[:, 0], directions[:, 1]) - np.outer(directions[:, 1], directions[:, 0]))
    return bool(sines.max(initial=0.0) >= CROSSING)


def _apart(sax: Image, labels: Codes, view: Seen, line: Array) -> Array:
    """(z,) mm along the line from the middle in the view to that in the slice, median of the beat; NaN if unknown."""
    shares, theirs = beat_shares(sax), beat_shares(view.image)
    away = np.abs(np.mod(shares[:, None] - theirs[None] + 0.5, 1.0) - 0.5)
    frames = away.argmin(axis=1)
    steps = np.arange(-REACH_MM, REACH_MM + STEP_MM, STEP_MM)
    onto_sax, onto_view = (np.asarray(np.linalg.inv(image.affine), np.float64) for image in (sax, view.image))
    told = np.full((labels.shape[2], labels.shape[3]), np.nan)
    hollow = (labels == Structure.LV).any(axis=(0, 1))  # (z, t)
    inner = hollow[:-2] & hollow[2:]  # at the ends a valve or the apex cuts the two pictures at different heights
    for z in range(1, labels.shape[2] - 1):
        ventricle = np.isin(labels[:, :, z], (Structure.LV, Structure.MYO)).any(axis=2)
        if not ventricle.any():
            continue
        middle = apply_affine(sax.affine, np.array([[*np.argwhere(ventricle).mean(axis=0), z]]))[0]
        points = _on_both(middle, line, sax.affine, view.image.affine) + steps[:, None] * line
        here = np.rint(apply_affine(onto_sax, points)).astype(int)
        there = np.rint(apply_affine(onto_view, points)).astype(int)
        here[:, 2], there[:, 2] = z, 0
        one, other = _sampled(labels, here), _sampled(view.labels, there)[:, frames]
        for t in np.flatnonzero(inner[z - 1]).tolist():
            told[z, t] = _difference(one[:, t], other[:, t])
    enough = np.isfinite(told).mean(axis=1) >= FEWEST_FRAMES
    return np.array([np.nanmedian(row) if known else np.nan for row, known in zip(told, enough, strict=True)])


def _on_both(point: Array, line: Array, affine: Array, other: Array) -> Array:
    """(3,) the point of the planes' common line nearest to one of the first plane."""
    normal = np.cross(affine[:3, 0], affine[:3, 1])
    within = np.cross(normal, line)
    facing = np.cross(other[:3, 0], other[:3, 1])
    return np.asarray(point + within * (facing @ (other[:3, 3] - point)) / (facing @ within), np.float64)


def _sampled(labels: Codes, index: NDArray[np.intp]) -> Codes:
    """(n, t) codes at (n, 3) voxels; `UNSEEN` outside."""
    inside = ((index >= 0) & (index < labels.shape[:3])).all(axis=1)
    found = np.full((len(index), labels.shape[3]), Structure.UNSEEN, np.uint8)
    found[inside] = labels[tuple(index[inside].T)]
    return found


def _difference(one: Codes, other: Codes) -> float:
    """Of the middles of two chords, mm: mean of that of the cavity and that of the ventricle with its wall.

    NaN where they say different things, as at the base, where a valve or a missing wall ends one of them.
    """
    apart = []
    for codes in ((Structure.LV,), (Structure.LV, Structure.MYO)):
        first, second = (_chord(np.isin(row, codes)) for row in (one, other))
        if first is None or second is None or abs(first[1] - second[1]) > ALIKE * max(first[1], second[1]):
            return float("nan")
        apart.append(first[0] - second[0])
    return float(np.mean(apart)) if abs(apart[0] - apart[1]) <= AGREED_MM else float("nan")


def _chord(inside: NDArray[np.bool_]) -> tuple[float, float] | None:
    """Middle and length of what a line crosses, mm; None where that is short or in pieces."""
    held = np.flatnonzero(inside)
    if not held.size:
        return None
    length = (held[-1] - held[0] + 1) * STEP_MM
    whole = held.size * STEP_MM >= (1 - ALIKE) * length  # papillary muscles leave gaps
    return ((held[0] + held[-1]) / 2 * STEP_MM, float(length)) if whole and length >= SHORTEST_MM else None
