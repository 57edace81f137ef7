"""From a study and its labels to the motion of its left ventricle.

`register(study, labels)` fits all frames and all views at once, in patient coordinates: short-axis and long-axis
pictures, the faces of the wall in every labelled frame, muscle that keeps its volume, and a motion that is smooth,
periodic, and exactly zero at end-diastole. The recipe of the tagged-informed prior is `published.register_published`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from cinecmr.anatomy import Contrast, Structure, View
from cinecmr.errors import RefusedInput
from cinecmr.geometry import apply_affine
from cinecmr.measure.clock import beat_shares
from cinecmr.motion import beat
from cinecmr.motion.evidence import Evidence, Picture, around_heart, picture, spread, surfaces, tag_pictures
from cinecmr.motion.field import WallMotion, time_waves
from cinecmr.motion.shell import MUSCLE, Shell
from cinecmr.motion.solve import LEAST, Stiffness, Tissue, step, unfolded
from cinecmr.motion.threads import one_thread
from cinecmr.study import Flag, Image, Severity

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from cinecmr.motion.prior import Prior
    from cinecmr.study import Study

    Array = NDArray[np.float64]
    Fast = NDArray[np.float32]

_FOLDED = 0.02  # det F of a point that is as good as folded
_SMALLER = 0.95
_ROUNDS = 5  # in which squeezed points join the tissue
_PART = 3000  # points whose slopes are held at once
_JUDGED = 800  # points of muscle that are reported on


@dataclass(frozen=True)
class Sound:
    """Settings of the default.

    Attributes:
        orders: of the functions around, along and through the wall.
        frequencies: of the waves over the beat.
        levels: widths of smoothing, pixels, and how many Gauss-Newton steps at each.
        inner: steps of conjugate gradients in each; half as many from a prior, which begins near the end.
        pixels: that are used of the short axis; of each long-axis view a third as many.
        face_points, tissue_points: on the faces of the wall, and within it.
        short_axis, long_axis: weights of a difference as large as blood from muscle.
        face: weight of 1 mm between a face and where the labels show it.
        volume, glide: weights of a change of volume by all of it, and of layers of the wall that glide on each other.
        edge: slopes of grey that count by half, of blood to muscle in 1 mm: noise and the grain of tissue are less.
        depths: of the pixels that are compared: lung and liver beyond the epicardium do not move with the wall.
        tags, tag_pixels, tag_steps: weight and pixels of each tagged slice, and steps with them, where there are any.
        stiffness: of the motion in space; slow: frequencies above this one cost much more.
    """

    orders: tuple[int, int, int] = (8, 6, 2)
    frequencies: int = 4
    levels: tuple[tuple[float, int], ...] = ((2.0, 5), (1.0, 3))
    inner: int = 12
    pixels: int = 6000
    face_points: int = 1500
    tissue_points: int = 2000
    short_axis: float = 0.35
    long_axis: float = 1.0
    face: float = 0.6
    volume: float = 2.8
    glide: float = 0.7
    edge: float = 0.1
    depths: tuple[float, float] = (-0.15, 1.05)
    stiffness: float = 5.0
    slow: float = 2.0
    tags: float = 0.3
    tag_pixels: int = 500
    tag_steps: int = 4
    seed: int = 0


@dataclass(frozen=True)
class Registration:
    """A fitted motion and what is to be known of it.

    Attributes:
        motion: see `study.Motion`; its points are at the reference frame.
        ed: reference frame.
        shares: (t,) share of the cycle of each frame.
        costs: before each step.
        folding: share of muscle points and frames with det F <= 0.
        volume_change: mean |det F - 1| in the muscle.
        inverse_gap_mm: 99th percentile of the distance by which points of the muscle, traced to a frame and back,
            miss their start.
        flags: what the reader must know.
    """

    motion: WallMotion
    ed: int
    shares: Array
    costs: tuple[float, ...]
    folding: float
    volume_change: float
    inverse_gap_mm: float
    flags: tuple[Flag, ...] = field(default=())


@one_thread()
def register(
    study: Study | Image,
    labels: NDArray[np.uint8],
    *,
    ed: int | None = None,
    start: Prior | None = None,
    settings: Sound | None = None,
    progress: Callable[[float], None] | None = None,
    shifts: Array | None = None,
) -> Registration:
    """How the left ventricle moves over the beat.

    Args:
        study: with a short-axis cine; long-axis cines are used where there are any. Or that image alone.
        labels: (x, y, z, t) `Structure` codes of the short axis, `UNSEEN` where nobody looked; at least
            end-diastole is labelled. The more frames, the better.
        ed: reference frame; the labelled frame of the largest cavity when None.
        start: what is known of other hearts, see `prior`.
        settings: see `Sound`.
        progress: told the share of the work that is done.
        shifts: (z, 2) mm of the short-axis slices, see `beat.straightened`.

    Raises:
        RefusedInput: no short axis, one frame only, labels of another shape, no labels of end-diastole, no ring of
            muscle, or nothing to be seen in most frames.
    """
    settings = settings or Sound()
    if start is not None:
        settings = replace(settings, inner=(settings.inner + 1) // 2)
    images = _images(study)
    sax = images[View.SAX]
    beat.check(sax, labels)
    reference = beat.end_diastole(labels, sax) if ed is None else beat.given(ed, labels, sax)
    dark = beat.dark_frames(sax)
    sax, labels, shifted = beat.straightened(sax, labels, reference, shifts)
    shares = beat_shares(sax)
    shell = Shell.of(labels[..., reference], sax.affine, settings.orders)
    rng = np.random.default_rng(settings.seed)
    count = beat.frequencies(settings.frequencies, sax.frames)
    evidence = _evidence({**images, View.SAX: sax}, labels, shell, reference, shares, count, settings, rng)
    tissue = _tissue(_tissue_points(labels[..., reference], sax.affine, settings, rng), shell, settings)
    waves = time_waves(shares - shares[reference], count).astype(np.float32)
    stiffness = _stiffness(shell, count, settings, len(shares), start, labels)
    tags = _tags(study, shell, shares[reference], count, settings, rng)
    table, costs = _fitted(evidence, tags, tissue, stiffness, waves, settings, progress)
    muscle = _muscle(labels[..., reference], sax.affine, shell)
    table, left = _without_folds(table, muscle, shell, evidence + tags, tissue, stiffness, waves, settings)
    motion = WallMotion(shell, table.astype(np.float64), float(shares[reference]), "sound")
    flags = beat.flags(labels, dark, shifted) + _damped(left)
    return _judged(motion, muscle, reference, shares, costs, flags)


def _fitted(
    evidence: list[Evidence],
    tags: list[Evidence],
    tissue: Tissue,
    stiffness: Stiffness,
    waves: Fast,
    settings: Sound,
    progress: Callable[[float], None] | None,
) -> tuple[Fast, list[float]]:
    """The table after all steps, and the cost before each."""
    table = np.zeros((len(stiffness.space), len(waves), 3), np.float32)
    if stiffness.mean is not None:
        table = unfolded(table, stiffness.mean, tissue, waves)
    costs: list[float] = []
    plan: list[float | None] = [level for level, steps in settings.levels for _ in range(steps)]
    plan += [None] * (settings.tag_steps if tags else 0)
    solver = None
    for done, level in enumerate(plan):
        if done < 2 or level != plan[done - 1]:  # slopes change little between the later steps
            solver = None
        if level is None:
            evidence, tags = evidence + tags, []
        for view in evidence:
            if isinstance(view, Picture) and level is not None:
                view.level = level
        table, cost, solver = step(table, evidence, tissue, stiffness, waves, settings.inner, solver)
        costs.append(cost)
        if progress:
            progress((done + 1) / len(plan))
    return table, costs


def _without_folds(
    table: Fast,
    muscle: Array,
    shell: Shell,
    evidence: list[Evidence],
    tissue: Tissue,
    stiffness: Stiffness,
    waves: Fast,
    settings: Sound,
) -> tuple[Fast, float]:
    """A table with det F above `_FOLDED` at every point of muscle (n, 3), at every frame; and the share of motion left.

    Where the fit squeezes points that were not among its tissue they join it and it goes on; should that not be
    enough, all motion is made smaller until it is.
    """
    for rounds in range(_ROUNDS + 1):
        parts = [_tissue(part, shell, settings) for part in _parts(muscle)]
        worst = np.concatenate([part.determinants(table, waves).min(axis=1) for part in parts])
        if worst.min() > _FOLDED:
            return table, 1.0
        if rounds < _ROUNDS:
            joining = np.argsort(worst)[: min(int((worst < LEAST).sum()), settings.tissue_points)]
            tissue = tissue.joined(_tissue(muscle[joining], shell, settings))
            table, _, _ = step(table, evidence, tissue, stiffness, waves, settings.inner)
    left = 1.0
    for part in parts:
        while part.determinants(np.float32(left) * table, waves).min() <= _FOLDED:
            left *= _SMALLER
    return np.float32(left) * table, left


def _damped(left: float) -> tuple[Flag, ...]:
    if left == 1.0:
        return ()
    said = f"the fit folded muscle: all motion was made smaller, to {100 * left:.0f} %, until none folds"
    return (Flag("motion-folds", Severity.FLAG, said),)


def _parts(points: Array) -> list[Array]:
    return np.array_split(points, max(1, len(points) // _PART))


def _images(study: Study | Image) -> dict[View, Image]:
    if isinstance(study, Image):
        return {View.SAX: study}
    if View.SAX not in study:
        raise RefusedInput("no-sax", "motion needs a short-axis cine, and the study has none; name one with --sax")
    return {view: study[view] for view in study.views}


def _evidence(
    images: Mapping[View, Image],
    labels: NDArray[np.uint8],
    shell: Shell,
    ed: int,
    shares: Array,
    count: int,
    settings: Sound,
    rng: np.random.Generator,
) -> list[Evidence]:
    found: list[Evidence] = []
    levels = [level for level, _ in settings.levels]

    def see(image: Image, rest: int, contrast: float, most: int, weight: float) -> Picture | None:
        return picture(image, shell, rest, levels, contrast, most, rng, weight, settings.depths, settings.edge)

    for view, image in images.items():
        if image.frames < 2:
            continue
        if view is View.SAX:
            contrast = _contrast(image, labels, ed)
            one = see(image, ed, contrast, settings.pixels, settings.short_axis)
        else:
            own = beat_shares(image)
            rest = nearest(own, float(shares[ed]))
            contrast, most = _spread(image, shell, rest), settings.pixels // 3
            one = see(image, rest, contrast, most, settings.long_axis)
        if one is not None:
            one.hidden = beat.dark_frames(image)
            if view is not View.SAX:
                one.waves = time_waves(own - shares[ed], count).astype(np.float32)
            found.append(one)
    cut_image, cut = around_heart(images[View.SAX], shell.frame)
    found.append(surfaces(labels[cut], cut_image.affine, shell, ed, settings.face_points, settings.face))
    return found


def nearest(own: Array, share: float) -> int:
    """Frame of a view that lies nearest to a share of the cycle, the cycle being closed."""
    apart = np.abs((own - share + 0.5) % 1.0 - 0.5)
    return int(np.argmin(apart))


def _tags(
    study: Study | Image, shell: Shell, ed: float, count: int, settings: Sound, rng: np.random.Generator
) -> list[Evidence]:
    """Tagged short-axis slices, where the study has them; they join when the cine has brought the lines together."""
    key = (View.SAX, Contrast.TAGGED)
    if isinstance(study, Image) or key not in study:
        return []
    image = study[key]
    own = beat_shares(image)
    found = tag_pictures(image, shell, nearest(own, ed), settings.tag_pixels, rng, settings.tags)
    for one in found:
        one.waves = time_waves(own - ed, count).astype(np.float32)
    return list(found)


def _contrast(image: Image, labels: NDArray[np.uint8], ed: int) -> float:
    """Grey values between blood and muscle."""
    blood, muscle = (image.data[..., ed][labels[..., ed] == code] for code in (Structure.LV, Structure.MYO))
    gap = abs(float(np.median(blood)) - float(np.median(muscle))) if min(len(blood), len(muscle)) else 0.0
    return gap if gap > 0 else max(float(np.ptp(image.data[..., ed])) / 2, 1e-6)


def _spread(image: Image, shell: Shell, ed: int) -> float:
    """Grey values between the bright and the dark near the heart, as the contrast of a view without labels."""
    near, _ = around_heart(image, shell.frame)
    low, high = np.percentile(near.data[..., ed], (20, 85))
    return max(float(high - low), 1e-6)


def _muscle(labels: NDArray[np.uint8], affine: Array, shell: Shell) -> Array:
    """(n, 3) patient points: every voxel of muscle, and every third one's faces to other slices, within the wall."""
    index = np.argwhere(np.isin(labels, MUSCLE)).astype(np.float64)
    between = np.concatenate([index[::3] + np.array([0.0, 0.0, by]) for by in (-0.5, 0.5)])
    faces = apply_affine(affine, between)
    depth = shell.depth(faces)[1]
    return np.concatenate([apply_affine(affine, index), faces[(depth > 0) & (depth < 1)]])


def _tissue_points(labels: NDArray[np.uint8], affine: Array, settings: Sound, rng: np.random.Generator) -> Array:
    index = np.argwhere(np.isin(labels, MUSCLE)).astype(np.float64)
    index = index[spread(len(index), settings.tissue_points, rng)]
    index[:, 2] += rng.uniform(-0.5, 0.5, len(index))  # between the slices too
    return apply_affine(affine, index)


def _tissue(points: Array, shell: Shell, settings: Sound) -> Tissue:
    _, slopes = shell.with_gradient(points)
    along = np.ascontiguousarray(slopes.transpose(0, 2, 1), dtype=np.float32)
    return Tissue(along, shell.across(points).astype(np.float32), settings.volume, settings.glide)


def _stiffness(
    shell: Shell, count: int, settings: Sound, frames: int, start: Prior | None, labels: NDArray[np.uint8]
) -> Stiffness:
    m, j, k = shell.waves().T
    evidence = settings.pixels * 2 * frames / 2e5  # costs grow with what is summed
    space = settings.stiffness * (((m / 2) ** 2 + (j / 2) ** 2 + (k / 3) ** 2) ** 2) + 1e-4
    time = 1 + (np.repeat(np.arange(1, count + 1), 2) / settings.slow) ** 4
    mean = None if start is None else start.table(shell, count, labels).astype(np.float32)
    return Stiffness((space * evidence).astype(np.float32), time.astype(np.float32), mean)


def _judged(
    motion: WallMotion, muscle: Array, ed: int, shares: Array, costs: list[float], flags: tuple[Flag, ...]
) -> Registration:
    points = muscle[:: max(1, len(muscle) // _JUDGED)]
    found = np.stack([np.linalg.det(motion.gradient(points, float(share))) for share in shares])
    gaps = [
        motion.inverse(points + motion.displacement(points, float(share)), float(share))[0] - points
        for share in shares[1::4]
    ]
    gap = float(np.percentile(np.linalg.norm(np.concatenate(gaps), axis=1), 99))
    folding = float((found <= 0).mean())
    return Registration(motion, ed, shares, tuple(costs), folding, float(np.abs(found - 1).mean()), gap, flags)
