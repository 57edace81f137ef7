"""A found motion beside the phantom's true one, and the paper's own scores of warped labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cinecmr.anatomy import Structure
from cinecmr.evaluate.deformation import end_point_errors, jacobians, strain_error, warped_overlaps
from cinecmr.geometry import apply_affine
from cinecmr.measure.clock import beat_shares
from cinecmr.motion import beat
from cinecmr.phantom.wall import wall_points

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cinecmr.phantom.motion import HeartMotion
    from cinecmr.study import Findings, Image, Motion

CELLS = (30, 20, 3)  # of the wall, in which the motion is judged
_TIMES = 12  # moments of the beat whose errors are averaged
_MUSCLE = 700  # voxels in which volumes are judged
_AROUND = np.array([8, 8, 0])  # voxels beyond the muscle that count as around it


def true_motion(truth: Findings) -> HeartMotion:
    """The phantom's own motion.

    Raises:
        ValueError: these findings have no motion of a synthetic heart.
    """
    from cinecmr.phantom.motion import HeartMotion

    if not isinstance(truth.motion, HeartMotion):
        raise ValueError("only the truth of a synthetic heart has its true motion")
    return truth.motion


def against_truth(
    motion: Motion, truth: Findings, frames: int, cells: tuple[int, int, int] = CELLS
) -> dict[str, float]:
    """Errors in mm and % points, weighted by the volume of the wall.

    Args:
        motion: to be judged.
        truth: of a synthetic study.
        frames: of its short axis.
        cells: see `phantom.wall.wall_points`.

    Returns:
        `epe_mm` over the beat; `es_epe_mm`, `es_in_plane_mm`, `es_GCS_error` ... at end-systole, strains signed;
        `volume_change`, mean |det F - 1|; `folding`, a share; `moved_mm`, how far the found motion goes then.
    """
    true = true_motion(truth)
    wall = wall_points(true.heart, true.affine, cells=cells)
    es = truth.cycle["LV_ES"] / frames
    weights = wall.weights / wall.weights.sum()
    moved = motion.displacement(wall.points, es)
    gap = moved - true.displacement(wall.points, es)
    in_plane = gap - np.outer(gap @ wall.long_axis, wall.long_axis)
    strains = strain_error(motion, true, wall, [0.0, es])
    volume = jacobians(motion, wall.points, [es])
    times = (np.arange(_TIMES) + 0.5) / _TIMES
    return {
        "epe_mm": float((end_point_errors(motion, true, wall.points, [float(t) for t in times]) @ weights).mean()),
        "es_epe_mm": float(np.linalg.norm(gap, axis=1) @ weights),
        "es_in_plane_mm": float(np.linalg.norm(in_plane, axis=1) @ weights),
        **{f"es_{name}_error": value for name, value in strains.peaks.items()},
        "volume_change": volume.deviation,
        "folding": volume.folding,
        "moved_mm": float(np.linalg.norm(moved, axis=1) @ weights),
    }


def as_published(motion: Motion, image: Image, labels: NDArray[np.uint8]) -> dict[str, float]:
    """Dice, HD95 and ASD of warped labels, mean over LV, MYO and RV and over three frames; |det J - 1| in the muscle.

    The frames are end-systole and those halfway to it and back from it; the paper names none.

    Args:
        motion: to be judged.
        image: short-axis cine.
        labels: (x, y, z, t) of it.
    """
    shares = beat_shares(image)
    reference = beat.end_diastole(labels, image)
    size = (labels == Structure.LV).sum(axis=(0, 1, 2))
    since = np.mod(np.arange(labels.shape[3]) - reference, labels.shape[3])
    es = int(since[int(np.argmin(np.where(size > 0, size, size.max())))])
    whole = labels.shape[3]
    wanted = {max(es // 2, 1), es, min((es + whole) // 2, whole - 1)} - {0}
    frames = sorted({(step + reference) % whole for step in wanted} - {reference})
    found = warped_overlaps(labels, image.affine, motion, [float(s) for s in shares], reference, frames)
    scores = [one for by in found.values() for one in by.values()]
    index = np.argwhere(labels[..., reference] == Structure.MYO).astype(np.float64)
    points = apply_affine(image.affine, index[:: max(1, len(index) // _MUSCLE)])
    change = jacobians(motion, points, [float(shares[t]) for t in frames])
    return {
        "dice": float(np.mean([one.dice for one in scores])),
        "hd95": float(np.mean([one.hd95 for one in scores])),
        "asd": float(np.mean([one.asd for one in scores])),
        "jacobian": change.deviation,
        "folded": change.folding,
    }


def field_at_rest(motion: Motion, image: Image, labels: NDArray[np.uint8], truth: Findings) -> dict[str, float]:
    """What a field shows before any training, at end-systole: how far it goes, where, and in which direction.

    Args:
        motion: to be judged.
        image: short-axis cine.
        labels: (x, y, z, t) of it.
        truth: of the study.

    Returns:
        `inside_mm`, `outside_mm`: mean length in the muscle, and beyond all labels within the heart's box.
        `direction`: mean cosine with the true motion in the muscle, 1 where they point alike.
    """
    reference = beat.end_diastole(labels, image)
    es = float(beat_shares(image)[truth.cycle["LV_ES"]])
    seen = labels[..., reference]
    index = np.argwhere(seen == Structure.MYO)
    muscle = apply_affine(image.affine, index[:: max(1, len(index) // _MUSCLE)].astype(np.float64))
    low, high = index.min(axis=0) - _AROUND, index.max(axis=0) + _AROUND + 1
    box = np.argwhere(seen == Structure.BACKGROUND)
    box = box[((box >= low) & (box < high)).all(axis=1)]
    around = apply_affine(image.affine, box[:: max(1, len(box) // _MUSCLE)].astype(np.float64))
    moved, true = motion.displacement(muscle, es), true_motion(truth).displacement(muscle, es)
    lengths = np.linalg.norm(moved, axis=1) * np.linalg.norm(true, axis=1)
    return {
        "inside_mm": float(np.linalg.norm(moved, axis=1).mean()),
        "outside_mm": float(np.linalg.norm(motion.displacement(around, es), axis=1).mean()),
        "direction": float(((moved * true).sum(axis=1) / np.maximum(lengths, 1e-9)).mean()),
    }
