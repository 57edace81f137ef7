"""Points a reader marks, from the geometry, in the plane of the picture they are marked on.

Mitral hinges and apex on long-axis planes, insertions of the right ventricle on the mid-ventricular slice. Patient
RAS, mm.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cinecmr.anatomy import Landmark, View
from cinecmr.geometry import apply_affine
from cinecmr.phantom.shape import THETAS, Z_STEP, directions
from cinecmr.phantom.views import MIDDLE, Planes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from cinecmr.phantom.heart import Heart, Surfaces

# Of the two hinges that a plane cuts, which is which: the first lies further along this heart axis (0 x, 1 y).
_HINGES = {
    View.LAX_2C: (Landmark.MITRAL_2C_ANTERIOR, Landmark.MITRAL_2C_INFERIOR, 1),
    View.LAX_4C: (Landmark.MITRAL_4C_SEPTAL, Landmark.MITRAL_4C_LATERAL, 0),
}
_APEX = {View.LAX_2C: Landmark.APEX_2C, View.LAX_4C: Landmark.APEX_4C}


def mark(heart: Heart, moments: Sequence[Surfaces], planes: Iterable[Planes]) -> Mapping[Landmark, NDArray[np.float64]]:
    """Landmarks of every plane that shows some.

    Args:
        heart: whose.
        moments: surfaces at every frame.
        planes: of the visit; the short axis gives insertions, 2C and 4C hinges and apex.

    Returns:
        (t, 3) patient RAS mm each.
    """
    found: dict[Landmark, NDArray[np.float64]] = {}
    for plane in planes:
        to_patient = plane.affine @ np.linalg.inv(plane.local)
        local: dict[Landmark, list[NDArray[np.float64]]] = {}
        for surfaces in moments:
            for name, point in _on_plane(heart, surfaces, plane).items():
                local.setdefault(name, []).append(point)
        found |= {name: apply_affine(to_patient, np.array(points)) for name, points in local.items()}
    return found


def _on_plane(heart: Heart, surfaces: Surfaces, plane: Planes) -> dict[Landmark, NDArray[np.float64]]:
    """Landmarks at one moment, heart coordinates."""
    if plane.view is View.SAX:
        return insertions(heart, surfaces, plane)
    if plane.view not in _HINGES:
        return {}
    first, second, axis = _HINGES[plane.view]
    hinges = sorted(hinge_points(heart, surfaces, plane), key=lambda point: -point[axis])
    return {first: hinges[0], second: hinges[1], _APEX[plane.view]: apex(heart, surfaces, plane)}


def mitral_rim(heart: Heart, surfaces: Surfaces) -> NDArray[np.float64]:
    """(THETAS, 3) where the endocardium of the left ventricle meets the mitral plane, heart coordinates, mm."""
    theta, columns = directions().astype(np.float64), np.arange(THETAS)
    z = np.full(THETAS, surfaces.base)
    for _ in range(4):  # the rim's height depends on its radius and the other way round; the slope is small
        rows = np.clip(np.rint((z - surfaces.z0) / Z_STEP).astype(int), 0, len(surfaces.endo) - 1)
        r = surfaces.endo[rows, columns].astype(np.float64)
        dx, dy = heart.axis_shift(z.astype(np.float32))
        x, y = r * np.cos(theta) + dx, r * np.sin(theta) + dy
        z = surfaces.base + surfaces.tilt[0] * x + surfaces.tilt[1] * y
    return np.stack([x, y, z], axis=-1)


def hinge_points(heart: Heart, surfaces: Surfaces, plane: Planes) -> list[NDArray[np.float64]]:
    """The two points where a plane cuts the mitral rim, heart coordinates, mm."""
    rim = mitral_rim(heart, surfaces)
    side = (rim - plane.local[:3, 3]) @ plane.normal
    following = np.roll(side, -1)
    found = []
    for at in np.flatnonzero((side < 0) != (following < 0)):
        share = side[at] / (side[at] - following[at])
        found.append((1 - share) * rim[at] + share * rim[(at + 1) % THETAS])
    if len(found) != 2:
        raise ValueError(f"a long-axis plane must cut the mitral rim twice, not {len(found)} times: plan it again")
    return found


def apex_height(heart: Heart) -> float:
    """Height of the endocardial apex at end-diastole, mm: below it there is no cavity."""
    height = np.arange(0.1, 0.6 * heart.lv.length, 0.1, dtype=np.float32)[:, None]
    endo = heart.lv.reference_radii(directions()[::16], height)[0].mean(axis=1)
    return float(height[int(np.argmax(endo > 0)), 0])


def apex(heart: Heart, surfaces: Surfaces, plane: Planes) -> NDArray[np.float64]:
    """The endocardial apex, which the wall carries along, brought into a plane; (3,) heart coordinates, mm."""
    z = apex_height(heart) * heart.lv.length_factor(surfaces.activation)
    dx, dy = heart.axis_shift(np.asarray(z, np.float32))
    point = np.array([float(dx), float(dy), z])
    return point - ((point - plane.local[:3, 3]) @ plane.normal) * plane.normal


def insertions(heart: Heart, surfaces: Surfaces, plane: Planes) -> dict[Landmark, NDArray[np.float64]]:
    """Where the right ventricle's free wall meets the left ventricle on the mid-ventricular slice.

    Args:
        heart: whose.
        surfaces: at one moment.
        plane: the stack; its slice nearest to half the length at end-diastole is used, where it stands in space.

    Returns:
        (3,) each, heart coordinates, mm, in the slice's plane; empty where the slice shows no right ventricle.
    """
    z = plane.slice_at(MIDDLE * heart.lv.length)
    origin, normal = plane.local[:3, :3] @ [0, 0, z] + plane.local[:3, 3], plane.normal
    columns, theta = np.arange(THETAS), directions().astype(np.float64)
    height = np.full(THETAS, origin @ normal / normal[2])
    for _ in range(3):
        rows = np.clip(np.rint((height - surfaces.z0) / Z_STEP).astype(int), 0, len(surfaces.epi) - 1)
        epi = surfaces.epi[rows, columns].astype(np.float64)
        dx, dy = heart.axis_shift(height.astype(np.float32))
        x, y = epi * np.cos(theta) + dx, epi * np.sin(theta) + dy
        height = ((origin - np.stack([x, y, 0 * x], axis=-1)) @ normal) / normal[2]
    there = np.flatnonzero(surfaces.rv[rows, columns] > epi + 0.3)
    if not len(there):
        return {}
    rim = np.stack([x, y, height], axis=-1) - plane.offset(z)
    return {Landmark.RV_INSERTION_ANTERIOR: rim[there[-1]], Landmark.RV_INSERTION_INFERIOR: rim[there[0]]}
