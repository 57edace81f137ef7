"""Short-axis slices, one by one, as two-dimensional networks learn from them.

A `Slice` keeps the pixels as they were acquired, cut to where any are not zero, and what is known of its whole cine:
intensities are standardised and grids are changed when a batch is drawn, in one interpolation.

Source: specification of the self-supervised study's code, sections 1.5, 1.6 and 2.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from cinecmr.anatomy import Structure
from cinecmr.errors import RefusedInput
from cinecmr.geometry import plane_normal

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from cinecmr.study import Image

# Where the apex lies as seen from the base: to the left, to the front and down, in patient RAS.
_TO_APEX = np.array([-0.6, 0.5, -0.6])
_LABELLED = (Structure.BACKGROUND, Structure.RV, Structure.MYO, Structure.LV)


@dataclass(frozen=True, eq=False)
class Intensities:
    """Of one whole cine, all frames and slices, after its smallest value was subtracted.

    Attributes:
        mean, deviation: the latter with one degree of freedom less. highest: largest value.
    """

    mean: float
    deviation: float
    highest: float


@dataclass(frozen=True, eq=False)
class Slice:
    """One slice at one frame.

    Attributes:
        subject: whose it is; slices of one subject are never on both sides of a split.
        pixels: (x, y), smallest value of the cine subtracted: what lies outside the image is as dark as its darkest.
        spacing: mm along x and y.
        intensities: of the whole cine.
        number, of: its place among the slices, 0 at the base, and how many there are.
        frame: counted from end-diastole, modulo the beat.
        labels: (x, y) codes 0 background, 1 RV, 2 MYO, 3 LV; None where nobody drew any.
        centre: of the smallest circle around all labels of the subject, in pixels; None without labels.
    """

    subject: str
    pixels: NDArray[np.float32]
    spacing: tuple[float, float]
    intensities: Intensities
    number: int
    of: int
    frame: int
    labels: NDArray[np.uint8] | None = None
    centre: tuple[float, float] | None = None

    def without_labels(self) -> Slice:
        """The same slice as pre-training may see it: no labels, and no centre that came from labels."""
        return Slice(self.subject, self.pixels, self.spacing, self.intensities, self.number, self.of, self.frame)


def occupied(data: NDArray[Any]) -> tuple[slice, slice]:
    """The part of the plane outside which every slice of every frame is zero.

    Raises:
        RefusedInput: everything is zero (`empty-pixels`).
    """
    seen = (data != 0).any(axis=(2, 3))
    if not seen.any():
        raise RefusedInput("empty-pixels", "every pixel of the short axis is zero; export the images again")
    rows, columns = (np.flatnonzero(seen.any(axis=axis)) for axis in (1, 0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def base_first(affine: NDArray[np.float64]) -> bool:
    """Whether slice 0 is nearer to the base than the last one, from how the stack lies in the patient."""
    along = affine[:3, 2] @ plane_normal(affine) * plane_normal(affine)
    return bool(along @ _TO_APEX >= 0)


def slices_of(
    subject: str,
    image: Image,
    labels: NDArray[np.uint8] | None = None,
    ed: int = 0,
    frames: Iterable[int] | None = None,
) -> list[Slice]:
    """Cut a cine into slices.

    Args:
        subject: whose it is.
        image: short-axis cine.
        labels: (x, y, z, t) `Structure` codes; other structures count as background, and a slice on which nobody
            looked at some pixel has none.
        ed: frame of end-diastole.
        frames: which to take; None for those with labels where there are labels, else for all.

    Returns:
        Slices in the order of frames, then from base to apex; slices that were never acquired are left out.

    Raises:
        RefusedInput: no pixel but zeros (`empty-pixels`), pixels that are no numbers (`not-finite`).
    """
    if not np.isfinite(image.data).all():
        raise RefusedInput("not-finite", f"the short axis of {subject} holds pixels that are no numbers; mend the file")
    window = occupied(image.data)
    data = np.asarray(image.data[window], np.float32)
    data = data - data.min()
    told = Intensities(float(data.mean()), float(data.std(ddof=1)), float(data.max()))
    drawn = None if labels is None else labels[window]
    centre = None if drawn is None else heart_centre(drawn)
    there = base_to_apex(image)
    spacing = (float(image.spacing[0]), float(image.spacing[1]))
    return [
        Slice(subject, np.ascontiguousarray(data[:, :, z, t]), spacing, told, number, len(there),
              (t - ed) % image.frames, _codes(drawn, z, t), centre)
        for t in (_chosen(image, drawn) if frames is None else frames)
        for number, z in enumerate(there)
    ]  # fmt: skip


def base_to_apex(image: Image) -> list[int]:
    """The slices that were acquired, z of the basal one first."""
    there = [z for z in range(image.slices) if z not in image.missing_slices]
    return there if base_first(image.affine) else there[::-1]


def _chosen(image: Image, labels: NDArray[np.uint8] | None) -> list[int]:
    if labels is None:
        return list(range(image.frames))
    return [t for t in range(image.frames) if np.isin(labels[..., t], _LABELLED[1:]).any()]


def _codes(labels: NDArray[np.uint8] | None, z: int, t: int) -> NDArray[np.uint8] | None:
    """Codes 0 to 3 of one slice."""
    if labels is None or (labels[:, :, z, t] == Structure.UNSEEN).any():
        return None
    codes = labels[:, :, z, t]
    return np.where(np.isin(codes, _LABELLED), codes, np.uint8(0)).astype(np.uint8)


def heart_centre(labels: NDArray[np.uint8]) -> tuple[float, float] | None:
    """Centre of the smallest circle around RV, MYO and LV of all slices and frames; None where there is no heart.

    Args:
        labels: (x, y, z, t).
    """
    seen = np.isin(labels, _LABELLED[1:]).any(axis=(2, 3))
    if not seen.any():
        return None
    x, y, _ = smallest_circle(np.argwhere(seen).astype(np.float64))
    return x, y


def smallest_circle(points: NDArray[np.float64]) -> tuple[float, float, float]:
    """The smallest circle around points, from the two or three that it touches.

    Args:
        points: (n, 2).

    Returns:
        x, y and radius.

    Starting with the two farthest corners, the point farthest outside joins until there is none; at most three points
    decide a circle, so each step tries the pairs and triples of the four at hand.
    """
    support = points[:1]
    while True:
        x, y, radius = _through(support)
        away = np.hypot(points[:, 0] - x, points[:, 1] - y)
        worst = int(away.argmax())
        if away[worst] <= radius + 1e-9:
            return x, y, radius
        support = _deciding(np.vstack([support, points[worst]]))


def _deciding(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Those two or three of at most four points whose circle is the smallest around all of them."""
    from itertools import combinations

    best, kept = np.inf, points
    for size in (2, 3):
        for chosen in combinations(range(len(points)), min(size, len(points))):
            subset = points[list(chosen)]
            x, y, radius = _through(subset)
            inside = np.hypot(points[:, 0] - x, points[:, 1] - y) <= radius + 1e-9
            if inside.all() and radius < best:
                best, kept = radius, subset
    return kept


def _through(points: NDArray[np.float64]) -> tuple[float, float, float]:
    """The circle that one, two (as its diameter) or three points decide."""
    if len(points) < 3:
        x, y = points.mean(axis=0)
        return float(x), float(y), float(np.hypot(*(points[0] - (x, y))))
    (a, b, c) = points
    sides = 2 * np.array([b - a, c - a])
    if abs(np.linalg.det(sides)) < 1e-12:  # in one line: no circle goes through them
        return float(a[0]), float(a[1]), 0.0
    x, y = np.linalg.solve(sides, [b @ b - a @ a, c @ c - a @ a])
    return float(x), float(y), float(np.hypot(*(a - (x, y))))


def by_frame(slices: Sequence[Slice]) -> list[Slice]:
    """The same slices, their intensities those of their own frame instead of the whole cine, as nnU-Net takes them."""
    stacks: dict[tuple[str, int], list[Slice]] = {}
    for one in slices:
        stacks.setdefault((one.subject, one.frame), []).append(one)
    told = {}
    for key, stack in stacks.items():
        data = np.stack([one.pixels for one in stack])
        told[key] = Intensities(float(data.mean()), float(data.std(ddof=1)), float(data.max()))
    return [replace(one, intensities=told[one.subject, one.frame]) for one in slices]


def respaced(slices: Sequence[Slice], spacing_mm: float) -> list[Slice]:
    """The same slices with square pixels of another size, as nnU-Net makes them before anything else.

    Pixels by cubic splines; each label by itself linearly, the largest wins. A slice keeps its field: a pixel is made
    a little larger or smaller so that whole ones fill it.

    Source: specification of the self-supervised study's code, section 12.
    """
    return [_respaced(one, spacing_mm) for one in slices]


def _respaced(one: Slice, spacing_mm: float) -> Slice:
    from scipy import ndimage

    old = np.array(one.pixels.shape)
    new = np.maximum(1, np.rint(old * one.spacing / spacing_mm))
    factor = new / old
    how: dict[str, Any] = {"mode": "nearest", "grid_mode": True}
    pixels = ndimage.zoom(one.pixels, factor, order=3, **how)
    labels, centre = one.labels, one.centre
    if labels is not None:
        shares = [ndimage.zoom((labels == code).astype(np.float32), factor, order=1, **how) for code in _LABELLED]
        labels = np.argmax(shares, axis=0).astype(np.uint8)
    if centre is not None:
        x, y = (np.array(centre) + 0.5) * factor - 0.5
        centre = (float(x), float(y))
    width, height = np.array(one.spacing) / factor
    return replace(one, pixels=pixels, spacing=(float(width), float(height)), labels=labels, centre=centre)


def draw_subset(subjects: Sequence[str], count: int, seed: int) -> list[str]:
    """Some of the subjects, as the published study drew them: nested within a seed.

    Args:
        subjects: names; sorted here, so their order does not matter.
        count: how many; all of them in the drawn order where there are no more.
        seed: of numpy's legacy generator.

    Source: specification of the published code, section 1.4.

    >>> draw_subset(["c", "a", "b", "d"], 2, 0) == draw_subset(["a", "b", "c", "d"], 3, 0)[:2]
    True
    """
    names = sorted(subjects)
    np.random.RandomState(seed).shuffle(names)  # the published lists came from this generator
    return names[:count]
