"""How the valves come down and the chambers shorten, and how large the atria are, from long-axis images.

From landmarks: MAPSE, TAPSE (mm) and `gl_shortening` (%), which is the shortening of the left ventricle's length and
not the strain GLS. From label maps: atrial volumes by area and length (ml). Landmarks may be a reader's, a network's
or those of `measure.hinges`. Points are patient RAS, mm; (t, 3), NaN where nobody marked them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cinecmr.geometry import apply_affine
from cinecmr.measure.body import bsa_mosteller
from cinecmr.measure.clock import at_shares
from cinecmr.measure.hinges import POINTS, one_slice
from cinecmr.study import Measurement

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from cinecmr.anatomy import Landmark, Structure, View
    from cinecmr.study import Facts

    Array = NDArray[np.float64]
    Marks = Mapping[Landmark, NDArray[np.float64]]

_BEGINS_MM = 10.0  # from the middle of its valve, at which an atrium begins: domed leaflets lie between
_ELLIPSOID = 8 / (3 * np.pi)  # volume x length over the product of two areas through the long axis


def marked_views(marks: Marks) -> tuple[View, ...]:
    """The long-axis views of which both hinges and the apex are marked."""
    return tuple(view for view, names in POINTS.items() if all(name in marks for name in names))


def lengths(marks: Marks, view: View) -> Array:
    """(t,) from the middle of the mitral hinges to the apex, mm.

    Raises:
        ValueError: the view's points are not marked.
    """
    first, second, apex = _points(marks, view)
    return np.asarray(np.linalg.norm((first + second) / 2 - apex, axis=1))


def long_axis(marks: Marks, ed: int) -> Array:
    """(3,) unit vector from apex to mitral valve at end-diastole, mean of the marked views.

    Raises:
        ValueError: no view is marked.
    """
    ways = []
    for view in _some(marks):
        first, second, apex = (points[ed] for points in _points(marks, view))
        way = (first + second) / 2 - apex
        ways.append(way / np.linalg.norm(way))
    mean = np.mean(ways, axis=0)
    return np.asarray(mean / np.linalg.norm(mean))


def descent(points: Array, axis: Array, ed: int) -> Array:
    """(t,) how far a hinge has come down since end-diastole, mm.

    Args:
        points: (t, 3) of the hinge.
        axis: (3,) unit vector from apex to base.
        ed: end-diastolic frame.
    """
    return np.asarray((points[ed] - points) @ axis)


def mapse(marks: Marks, ed: int, es: int) -> float:
    """Mitral annular plane systolic excursion: mean descent of the marked hinges from ED to ES, mm.

    Args:
        marks: landmarks of the two-chamber view, the four-chamber view, or both.
        ed: end-diastolic frame.
        es: end-systolic frame.

    Raises:
        ValueError: no view is marked.
    """
    axis = long_axis(marks, ed)
    hinges = [points for view in _some(marks) for points in _points(marks, view)[:2]]
    return float(np.mean([descent(points, axis, ed)[es] for points in hinges]))


def gl_shortening(marks: Marks, ed: int, es: int) -> float:
    """Global longitudinal shortening: (length at ED - length at ES) / length at ED, %, mean of the marked views.

    Args:
        marks: landmarks of the two-chamber view, the four-chamber view, or both.
        ed: end-diastolic frame.
        es: end-systolic frame.

    Raises:
        ValueError: no view is marked.
    """
    told = [lengths(marks, view) for view in _some(marks)]
    return float(np.mean([100 * (length[ed] - length[es]) / length[ed] for length in told]))


def published_mapse(marks: Marks, view: View, ed: int, es: int) -> float:
    """MAPSE of one view as CineMA's tables have it: mean way of the two hinges between two frames, in any direction."""
    first, second, _ = _points(marks, view)
    return float(np.mean([np.linalg.norm(points[ed] - points[es]) for points in (first, second)]))


def published_gl_shortening(marks: Marks, view: View, ed: int, es: int) -> float:
    """Shortening of one view as CineMA's tables have it: never negative, for the longer of two lengths comes first."""
    both = lengths(marks, view)[[ed, es]]
    return float(100 * (both.max() - both.min()) / both.max())


def tapse(lateral: Array, axis: Array, ed: int, es: int) -> float:
    """Tricuspid annular plane systolic excursion: descent of the lateral tricuspid hinge, mm.

    Args:
        lateral: (t, 3) the hinge at the free wall, four-chamber view.
        axis: (3,) unit vector from apex to base; that of the left ventricle serves.
        ed: frame of the right ventricle's end-diastole.
        es: of its end-systole.
    """
    return float(descent(lateral, axis, ed)[es])


def begins_at_valve(labels: NDArray[np.uint8], affine: Array, structure: Structure, ends: Array) -> NDArray[np.bool_]:
    """(t,) whether an atrium's label comes near the middle of its valve; one that does not lies elsewhere.

    Args:
        labels: (x, y, 1, t) codes.
        affine: (4, 4) voxel index to patient RAS, mm.
        structure: LA or RA.
        ends: (t, 2, 3) the valve's hinges.
    """
    one_slice(labels)
    found = np.zeros(labels.shape[3], bool)
    for frame, middle in enumerate(ends.mean(axis=1)):
        at = np.argwhere(labels[:, :, 0, frame] == structure)
        if len(at) and np.isfinite(middle).all():
            places = apply_affine(affine, np.column_stack([at, np.zeros(len(at))]))
            found[frame] = np.linalg.norm(places - middle, axis=1).min() <= _BEGINS_MM
    return found


def area_length_volume(area: Array | float, other: Array | float, length: Array | float) -> Array:
    """Volume from two areas through one long axis, ml: exact for an ellipsoid.

    Args:
        area: in the two-chamber view, mm2.
        other: in the four-chamber view, mm2; the same area again for the single-plane method.
        length: the shorter of the two lengths, mm.

    >>> round(float(area_length_volume(np.pi * 20 * 30, np.pi * 25 * 30, 60.0)), 3)  # half axes 20, 25, 30 mm
    62.832
    """
    return np.asarray(_ELLIPSOID * np.asarray(area) * np.asarray(other) / np.asarray(length) / 1000)


@dataclass(frozen=True)
class Outline:
    """A chamber as one long-axis image shows it.

    Attributes:
        area: (t,) mm2.
        length: (t,) from the middle of its valve straight up to its roof, mm; NaN where there is no valve.
    """

    area: Array
    length: Array


def outline(labels: NDArray[np.uint8], affine: Array, structure: Structure, ends: Array) -> Outline:
    """Area and length of an atrium.

    Args:
        labels: (x, y, 1, t) `Structure` codes.
        affine: (4, 4) voxel index to patient RAS, mm.
        structure: `Structure.LA` or `Structure.RA`.
        ends: (t, 2, 3) of its valve.

    Raises:
        ValueError: `labels` is not a single slice over time, or `ends` has other frames.
    """
    one_slice(labels)
    if ends.shape != (labels.shape[3], 2, 3):
        raise ValueError(f"ends of a valve must be ({labels.shape[3]}, 2, 3), got {ends.shape}")
    pixel = float(np.linalg.norm(np.cross(affine[:3, 0], affine[:3, 1])))
    inside = labels[:, :, 0] == structure
    area = inside.sum(axis=(0, 1)) * pixel
    length = np.array([_length(inside[..., t], affine, ends[t]) for t in range(labels.shape[3])])
    return Outline(np.asarray(area, float), length)


def atrial_curve(two: Outline | None, four: Outline) -> Array:
    """(t,) volume of an atrium at the frames of the four-chamber view, ml.

    Args:
        two: of the two-chamber view, whose beat is as long though it may have other frames; None for the
            single-plane method, which is all the right atrium has, and which takes it for round: in phantoms, where
            it is not, it tells a quarter too little.
        four: of the four-chamber view.
    """
    if two is None:
        return area_length_volume(four.area, four.area, four.length)
    share, own = np.arange(len(four.area)) / len(four.area), np.arange(len(two.area)) / len(two.area)
    area, length = (at_shares(values, own, share) for values in (two.area, two.length))
    return area_length_volume(area, four.area, np.minimum(length, four.length))


def measurements(
    marks: Marks, cycle: Mapping[str, int], source: str, tricuspid: Array | None = None
) -> dict[str, Measurement]:
    """MAPSE, gl_shortening and TAPSE, as far as landmarks and cycle are known.

    Args:
        marks: landmarks of a study.
        cycle: "LV_ED" and "LV_ES"; for TAPSE "RV_ED" and "RV_ES". Frames of the views are taken for those of the cycle.
        source: who found the landmarks.
        tricuspid: (t, 3) lateral hinge of the tricuspid valve, as `hinges.lateral_end` gives.

    Returns:
        By name; without those whose view is not marked, whose cycle was not measured, or of which a point is missing.
    """
    views, ed, es = marked_views(marks), cycle.get("LV_ED"), cycle.get("LV_ES")
    if not views or ed is None or es is None:
        return {}
    words = " and ".join(view.title for view in views)
    mean = f"mean of {2 * len(views)} mitral hinges along the long axis, ED to ES, {words}"
    told = {
        "MAPSE": Measurement(mapse(marks, ed, es), "mm", mean, source, frame=es),
        "gl_shortening": Measurement(
            gl_shortening(marks, ed, es), "%", f"length from mitral middle to apex, ED to ES, {words}", source, frame=es
        ),
    }
    if tricuspid is not None and {"RV_ED", "RV_ES"} <= cycle.keys():
        down = tapse(tricuspid, long_axis(marks, ed), cycle["RV_ED"], cycle["RV_ES"])
        method = "lateral tricuspid hinge along the left ventricle's long axis, ED to ES"
        told["TAPSE"] = Measurement(down, "mm", method, source, frame=cycle["RV_ES"])
    return {name: one for name, one in told.items() if np.isfinite(one.value)}


def atrial_measurements(name: str, curve: Array, source: str, planes: str) -> dict[str, Measurement]:
    """Largest and smallest volume and emptying fraction of an atrium.

    Args:
        name: "LA" or "RA".
        curve: (t,) ml, NaN where nobody looked.
        source: who drew the labels.
        planes: which views, in words, such as "two- and four-chamber view".

    Returns:
        "LAVmax", "LAVmin" (ml) and "LAEF" (%), or the same of the RA; empty with fewer than two known volumes.
    """
    if np.isfinite(curve).sum() < 2 or np.nanmax(curve) <= 0:
        return {}
    most, least = int(np.nanargmax(curve)), int(np.nanargmin(curve))
    large, small = float(curve[most]), float(curve[least])
    method = f"area and length, {planes}"
    return {
        f"{name}Vmax": Measurement(large, "ml", method, source, frame=most),
        f"{name}Vmin": Measurement(small, "ml", method, source, frame=least),
        f"{name}EF": Measurement(100 * (large - small) / large, "%", method, source),
    }


def indexed(told: Mapping[str, Measurement], facts: Facts) -> dict[str, Measurement]:
    """Largest atrial volumes per body surface (Mosteller), "LAVmaxi" and "RAVmaxi"; empty without height and weight."""
    if facts.height_m is None or facts.weight_kg is None:
        return {}
    bsa = bsa_mosteller(facts.height_m, facts.weight_kg)
    rows = {name: told[name] for name in ("LAVmax", "RAVmax") if name in told}
    return {
        f"{name}i": Measurement(one.value / bsa, "ml/m2", f"{name} / BSA (Mosteller); {one.method}", one.source,
                                frame=one.frame)
        for name, one in rows.items()
    }  # fmt: skip


def _points(marks: Marks, view: View) -> tuple[Array, Array, Array]:
    missing = [name.value for name in POINTS.get(view, ()) if name not in marks]
    if view not in POINTS or missing:
        raise ValueError(f"{view.name} has no {', '.join(missing) or 'mitral hinges'}")
    first, second, apex = (np.asarray(marks[name], float) for name in POINTS[view])
    return first, second, apex


def _some(marks: Marks) -> tuple[View, ...]:
    views = marked_views(marks)
    if not views:
        raise ValueError("no long-axis view has both mitral hinges and the apex marked")
    return views


def _length(inside: NDArray[np.bool_], affine: Array, ends: Array) -> float:
    """From the middle of the valve to the farthest pixel straight above it, mm."""
    at = np.argwhere(inside)
    if not len(at) or not np.isfinite(ends).all():
        return np.nan
    points = apply_affine(affine, np.column_stack([at, np.zeros(len(at))])) - ends.mean(axis=0)
    valve = (ends[1] - ends[0]) / np.linalg.norm(ends[1] - ends[0])
    up = points.mean(axis=0)
    up = up - (up @ valve) * valve
    up /= np.linalg.norm(up)
    size = float(np.linalg.norm(affine[:3, :2], axis=0).mean())
    above = (points @ up)[np.abs(points @ valve) <= size]
    return float(above.max()) + size / 2 if len(above) else np.nan
