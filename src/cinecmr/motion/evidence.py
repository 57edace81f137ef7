"""What a beat shows of the motion, each as residuals and their slopes along a displacement: pictures and surfaces.

Both answer `linearise(u)`: u (n, t, 3) mm in heart coordinates; residuals (n, t) and slopes (n, t, 3), weights folded
in. The solver squares and sums them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np
from scipy import ndimage

from cinecmr.anatomy import Structure
from cinecmr.geometry import apply_affine
from cinecmr.motion.shell import MUSCLE, directional, edges, fit_surface, prolate, with_directional_slopes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cinecmr.motion.shell import HeartFrame, Shell
    from cinecmr.study import Image

    Array = NDArray[np.float64]
    Fast = NDArray[np.float32]

AROUND_MM = 70.0  # of the heart's middle: what is kept of each image
NEAR = (-0.3, 1.4)  # depths of the pixels that are compared: deeper in the cavity blood and papillaries go other ways
OFF_PLANE_MM = 12.0  # tissue further from a long-axis plane is not seen in it
RING = 0.7  # of the cavity's border in a slice, that lies at muscle: less is no ring
REACH_MM = 5.0  # beyond the first and the last slice with a ring: further off, a face is a guess
TAG_MM = 6.0  # over which a tagged picture is made equally strong: about a period of its lines
_SURFACE = (8, 6)  # orders of the surfaces of each frame
_STIFFNESS = 3e-4
_FAR_MM = 2.0  # from a surface: beyond, the pull grows no more


class Evidence(Protocol):
    """One kind of evidence about the motion."""

    values: Fast  # (n, functions) at its points
    waves: Fast | None  # (waves, t) at its own frames; None where they are those of the short axis

    def linearise(self, moved: Fast) -> tuple[Fast, Fast]:
        """Residuals and slopes at displacements (n, t, 3)."""
        ...


def around_heart(image: Image, frame: HeartFrame) -> tuple[Image, tuple[slice, slice]]:
    """The image cut to `AROUND_MM` about the heart, and the cut."""
    centre = frame.patient(np.array([[0.0, 0.0, -0.15 * frame.length]]))[0]
    middle = np.linalg.solve(image.affine[:3, :3], centre - image.affine[:3, 3])[:2]
    half = AROUND_MM / image.spacing[:2]
    low = np.clip(np.floor(middle - half), 0, np.array(image.data.shape[:2]) - 2).astype(int)
    high = np.clip(np.ceil(middle + half), low + 2, image.data.shape[:2]).astype(int)
    cut = (slice(int(low[0]), int(high[0])), slice(int(low[1]), int(high[1])))
    affine = image.affine.copy()
    affine[:3, 3] = apply_affine(image.affine, np.array([low[0], low[1], 0.0]))
    return replace(image, data=image.data[cut], affine=affine), cut


def sample(volume: Fast, places: Array) -> tuple[Fast, Fast, NDArray[np.bool_]]:
    """Linear interpolation of (x, y, z) at (n, 3) indices; also its slopes by the indices, and what lies inside.

    An axis of one voxel is taken as the same everywhere along it.
    """
    inside = np.ones(len(places), bool)
    index, part = [], []
    for axis, size in enumerate(volume.shape):
        low = np.zeros(len(places), np.intp)
        share = np.zeros(len(places), np.float32)
        if size > 1:
            at = places[:, axis]
            inside &= (at >= 0) & (at <= size - 1)
            at = np.clip(at, 0, size - 1)
            low = np.minimum(at.astype(np.intp), size - 2)
            share = (at - low).astype(np.float32)
        index.append((low, low + (size > 1)))
        part.append(share)
    flat, (_, ny, nz) = volume.ravel(), volume.shape
    corner = [
        [[flat[(index[0][a] * ny + index[1][b]) * nz + index[2][c]] for c in (0, 1)] for b in (0, 1)] for a in (0, 1)
    ]
    along_z = [[row[0] + (row[1] - row[0]) * part[2] for row in rows] for rows in corner]
    steps = [[row[1] - row[0] for row in rows] for rows in corner]
    along_y = [rows[0] + (rows[1] - rows[0]) * part[1] for rows in along_z]
    by_y = [rows[1] - rows[0] for rows in along_z]
    by_z = [rows[0] + (rows[1] - rows[0]) * part[1] for rows in steps]
    value = along_y[0] + (along_y[1] - along_y[0]) * part[0]
    slopes = (along_y[1] - along_y[0], *(s[0] + (s[1] - s[0]) * part[0] for s in (by_y, by_z)))
    return value, np.stack(slopes, axis=1), inside


@dataclass
class Picture:
    """One view: a pixel near the wall at end-diastole looks the same where its tissue goes.

    Slopes that are no steeper than noise or the grain of tissue say nothing and would hold the tissue where it is, so
    they count little (`edge`).

    Attributes:
        frames: smoothed (t, x, y, z) by level, in units of the difference between blood and muscle.
        index, points: (n, 3) pixels at end-diastole, as indices and patient mm. values: see `Evidence`.
        ed, level: reference frame; width of smoothing, pixels.
        to_index, to_heart: (3, 3), patient mm to indices, and to heart coordinates.
        seen: (z,) slices that were acquired. weight, far, edge: of a residual; residual that is an outlier; 1/mm.
        hidden: (t,) frames that show nothing. waves: see `Evidence`.
    """

    frames: dict[float, Fast]
    index: Array
    values: Fast
    ed: int
    level: float
    to_index: Array
    to_heart: Array
    seen: NDArray[np.bool_]
    weight: float
    far: float = 0.3
    edge: float = 0.1
    hidden: NDArray[np.bool_] | None = None
    waves: Fast | None = None

    def linearise(self, moved: Fast) -> tuple[Fast, Fast]:
        """See `Evidence`."""
        film = self.frames[self.level]
        shift = (moved @ self.to_heart) @ self.to_index.T
        slope_to_heart = (self.to_index @ self.to_heart.T).astype(np.float32)
        here = self.index.astype(np.intp)
        reference = film[self.ed][here[:, 0], here[:, 1], here[:, 2]]
        residuals, slopes = np.zeros(moved.shape[:2], np.float32), np.zeros(moved.shape, np.float32)
        flat = film.shape[3] == 1
        thickness = float(np.linalg.norm(np.linalg.inv(self.to_index)[:, 2]))
        shown = range(moved.shape[1]) if self.hidden is None else np.flatnonzero(~self.hidden)
        for t in shown:
            places = self.index + shift[:, t]
            value, slope, inside = sample(film[t], places)
            slope = slope @ slope_to_heart
            if flat:
                inside &= np.abs(shift[:, t, 2]) * thickness < OFF_PLANE_MM
            elif not self.seen.all():
                low = np.clip(np.floor(places[:, 2]).astype(np.intp), 0, len(self.seen) - 1)
                inside &= self.seen[low] & self.seen[np.minimum(low + 1, len(self.seen) - 1)]
            gap = value - reference
            size = np.abs(gap)
            steep = (slope**2).sum(axis=1)
            weight = np.sqrt(np.where(size < self.far, 1.0, self.far / np.maximum(size, 1e-6)))
            weight = (self.weight * weight * inside * steep / (steep + self.edge**2)).astype(np.float32)
            residuals[:, t], slopes[:, t] = gap * weight, slope * weight[:, None]
        return residuals, slopes


def picture(
    image: Image,
    shell: Shell,
    ed: int,
    levels: Sequence[float],
    contrast: float,
    most: int,
    rng: np.random.Generator,
    weight: float = 1.0,
    near_wall: tuple[float, float] = NEAR,
    edge: float = 0.1,
) -> Picture | None:
    """The pixels of one view near the wall; None where it shows none.

    Args:
        image: cine of any view.
        shell: of the heart.
        ed: reference frame.
        levels: widths of smoothing, pixels.
        contrast: grey values between blood and muscle.
        most: pixels that are used.
        rng: chooses them.
        weight: of every residual.
        near_wall: depths of the pixels.
        edge: see `Picture`.
    """
    image, _ = around_heart(image, shell.frame)
    seen = np.ones(image.slices, bool)
    seen[list(image.missing_slices)] = False
    index = np.argwhere(np.broadcast_to(seen, image.data.shape[:3])).astype(np.float64)
    points = apply_affine(image.affine, index)
    place = shell.frame.local(points)
    near = (np.hypot(place[:, 0], place[:, 1]) < 0.9 * AROUND_MM) & (np.abs(place[:, 2]) < 0.8 * shell.frame.length)
    index, points = index[near], points[near]
    n, depth, _, _ = shell.depth(points)
    near = (depth > near_wall[0]) & (depth < near_wall[1]) & (n[:, 2] > shell.lowest)
    index, points = index[near], points[near]
    if not len(index):
        return None
    if len(index) > most:
        chosen = spread(len(index), most, rng)
        index, points = index[chosen], points[chosen]
    data = np.moveaxis(image.data.astype(np.float32) / np.float32(contrast), 3, 0)
    films = {level: np.ascontiguousarray(ndimage.gaussian_filter(data, (0, level, level, 0))) for level in levels}
    values = shell.functions(points).astype(np.float32)
    to_index = np.asarray(np.linalg.inv(image.affine[:3, :3]), np.float64)
    return Picture(films, index, values, ed, levels[0], to_index, shell.frame.turn, seen, weight, edge=edge)


def spread(many: int, most: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """At most so many of (many,) places in a row, drawn one from each equal stretch: a fit then hangs less on the draw.

    >>> spread(9, 3, np.random.default_rng(0)) % 3
    array([1, 1, 1])
    """
    if many <= most:
        return np.arange(many)
    return np.asarray((np.arange(most) + rng.random()) * many / most, np.intp)


def tag_pictures(
    image: Image, shell: Shell, ed: int, most: int, rng: np.random.Generator, weight: float
) -> list[Picture]:
    """Tagged slices, each a picture of its own: muscle alone, and in every frame the lines equally strong.

    The lines are planes square to the slice: what of a slice above or below comes into it bears the same lines, so
    each slice shows motion in its own plane whatever the motion across. Their fading is undone by dividing by the
    local spread of grey values.

    Args:
        image: tagged cine, (x, y, z, t).
        shell: of the heart.
        ed: frame nearest to end-diastole, when the lines were laid.
        most: pixels of each slice that are used.
        rng: chooses them.
        weight: of every residual.
    """
    found = []
    for z in range(image.slices):
        affine = image.affine.copy()
        affine[:3, 3] = apply_affine(image.affine, np.array([0.0, 0.0, z]))
        data = image.data[:, :, z : z + 1].astype(np.float32)
        width = (*(TAG_MM / image.spacing[:2]), 0, 0)
        data = data - ndimage.gaussian_filter(data, width)
        data = data / (np.sqrt(ndimage.gaussian_filter(data**2, width)) + np.float32(1e-6 + 0.02 * data.std()))
        flat = replace(image, data=data, affine=affine, missing_slices=())
        one = picture(flat, shell, ed, (0.7,), 1.0, most, rng, weight, (0.0, 1.0))
        if one is not None:
            one.far = 1.0
            found.append(one)
    return found


@dataclass
class Surfaces:
    """Inner and outer face of the wall in every frame with labels: what lies on one at end-diastole stays on it.

    Each frame's faces are smooth surfaces through all edges of the labels, so slices 10 mm apart leave no steps.

    Attributes:
        shell: of the heart.
        faces: (2, t, functions) coefficients of lambda over directions. known: (t,) frames with labels.
        low, high: (2, t) and (t,) heights between which the labels show the faces, mm.
        places, side, values: (n, 3) heart points on the faces at end-diastole; 0 inner, 1 outer; see `Evidence`.
        weight: of a residual of 1 mm.
    """

    shell: Shell
    faces: Array
    known: NDArray[np.bool_]
    low: Array
    high: Array
    places: Array
    side: NDArray[np.intp]
    values: Fast
    weight: float
    waves: Fast | None = None

    def linearise(self, moved: Fast) -> tuple[Fast, Fast]:
        """See `Evidence`."""
        residuals, slopes = np.zeros(moved.shape[:2], np.float32), np.zeros(moved.shape, np.float32)
        rows = np.arange(len(self.places))
        for t in np.flatnonzero(self.known):
            now = self.places + moved[:, t]
            n, spheroid, by_n, by_lambda = prolate(now, self.shell.frame.focus)
            values, slopes_n = with_directional_slopes(n, _SURFACE, self.shell.lowest)
            both = values @ self.faces[:, t].T
            by_direction = (slopes_n @ self.faces[:, t].T)[:, rows, self.side]
            slope = by_lambda - np.einsum("in,nic->nc", by_direction, by_n)
            steep = np.linalg.norm(slope, axis=1)
            gap = (spheroid - both[rows, self.side]) / steep  # mm
            inside = (now[:, 2] < self.high[t]) & (now[:, 2] > self.low[self.side, t])
            weight = self.weight * inside * np.sqrt(_FAR_MM / np.maximum(np.abs(gap), _FAR_MM))
            residuals[:, t], slopes[:, t] = gap * weight, slope * (weight / steep)[:, None]
        return residuals, slopes


def surfaces(labels: NDArray[np.uint8], affine: Array, shell: Shell, ed: int, most: int, weight: float) -> Surfaces:
    """Faces of the wall from short-axis labels (x, y, z, t); frames that nobody labelled are left out.

    Args:
        labels: `Structure` codes, `UNSEEN` where nobody looked.
        affine: of the image.
        shell: of the heart.
        ed: reference frame; it has labels.
        most: points on both faces together.
        weight: of a residual of 1 mm.
    """
    frames, frame = labels.shape[3], shell.frame
    step = abs(float(affine[:3, 2] @ frame.turn[2]))
    faces: list[list[Array]] = [[], []]
    known, low, high = np.zeros(frames, bool), np.zeros((2, frames)), np.zeros(frames)
    for t in range(frames):
        whole = with_whole_rings(labels[..., t])
        found = [frame.local(apply_affine(affine, edges(whole, outer))) for outer in (False, True)]
        known[t] = min(len(f) for f in found) > 60 and _rings(whole) >= 3
        for side, points in enumerate(found):
            usable = points if known[t] else frame.local(apply_affine(affine, edges(labels[..., ed], bool(side))))
            faces[side].append(fit_surface(usable, frame, shell.lowest, _SURFACE, _STIFFNESS))
            low[side, t] = usable[:, 2].min() - min(0.3 * step, REACH_MM)
        high[t] = (found[0][:, 2].max() if known[t] else 0.0) + min(0.5 * step, REACH_MM)
    table = np.array(faces)
    each = max(int(np.sqrt(most / 2.6)), 8)
    grids = [_on_face(table[side, ed], shell, low[side, ed], high[ed], each) for side in (0, 1)]
    places = np.concatenate(grids)
    which = np.repeat([0, 1], [len(grid) for grid in grids])
    values = shell.functions(frame.patient(places)).astype(np.float32)
    return Surfaces(shell, table, known, low, high, places, which, values, weight)


def with_whole_rings(labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Labels (x, y, z) without the slices in which muscle borders less than `RING` of the cavity.

    They lie at the mitral valve, where the cavity's border is no wall.
    """
    pool, muscle = labels == Structure.LV, np.isin(labels, MUSCLE)
    borders = [
        sum((a[1:] & b[:-1]).sum(axis=(0, 1)) + (a[:-1] & b[1:]).sum(axis=(0, 1)) for a, b in pairs)
        for pairs in (
            [(pool.swapaxes(0, axis), other.swapaxes(0, axis)) for axis in (0, 1)] for other in (muscle, ~pool)
        )
    ]
    kept = labels.copy()
    kept[:, :, borders[0] < RING * borders[1]] = Structure.UNSEEN
    return kept


def _rings(labels: NDArray[np.uint8]) -> int:
    """Slices with cavity and muscle."""
    both = (labels == Structure.LV).any(axis=(0, 1)) & np.isin(labels, MUSCLE).any(axis=(0, 1))
    return int(both.sum())


def _on_face(face: Array, shell: Shell, low: float, high: float, each: int) -> Array:
    """(n, 3) heart points on a face, evenly over height and angle; the directions are found by fixed point."""
    focus = shell.frame.focus
    angles = np.linspace(-np.pi, np.pi, int(1.3 * each), endpoint=False)
    grid = np.meshgrid(angles, np.linspace(low, high, each)[1:-1])
    angle, height = grid[0].ravel(), grid[1].ravel()
    along = np.clip(-height / (1.2 * focus), -0.99, 0.995)
    for _ in range(20):
        sideways = np.sqrt(1 - along**2)
        n = np.column_stack([sideways * np.cos(angle), sideways * np.sin(angle), along])
        spheroid = directional(n, _SURFACE, shell.lowest) @ face
        along = np.clip(-height / (focus * np.cosh(spheroid)), -0.99, 0.995)
    radii = focus * np.sinh(spheroid)
    return np.column_stack([radii * n[:, 0], radii * n[:, 1], -focus * np.cosh(spheroid) * n[:, 2]])
