"""Affines, planes and resampling: true of any image, patient RAS in mm.

No file formats, no anatomy, no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


def apply_affine(affine: NDArray[np.float64], points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Map points.

    Args:
        affine: (4, 4).
        points: (..., 3).

    Returns:
        (..., 3), in the affine's output coordinates.

    >>> apply_affine(np.diag([2.0, 2.0, 2.0, 1.0]), np.array([1.0, 0.0, 3.0]))
    array([2., 0., 6.])
    """
    return np.asarray(points) @ affine[:3, :3].T + affine[:3, 3]


def plane_normal(affine: NDArray[np.float64]) -> NDArray[np.float64]:
    """(3,) unit normal of the x-y plane: the cross product of the in-plane axes, whatever the slice order."""
    normal = np.cross(affine[:3, 0], affine[:3, 1])
    return normal / np.linalg.norm(normal)


def angle_between(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Angle of two undirected lines, degrees, 0 to 90."""
    cosine = abs(float(np.dot(first, second))) / float(np.linalg.norm(first) * np.linalg.norm(second))
    return float(np.degrees(np.arccos(min(1.0, cosine))))


def lying_otherwise(affines: Sequence[NDArray[np.float64]]) -> list[int]:
    """Which images lie in their files otherwise than most: mirrored, turned by a quarter, or axes in another order.

    Args:
        affines: (4, 4) each, of one view.

    Returns:
        Numbers of the images of which some axis points more than 90 degrees away from the same axis of the image that
        agrees best with all.

    >>> lying_otherwise([np.eye(4), np.eye(4), np.diag([-1.0, 1.0, 1.0, 1.0])])
    [2]
    """
    if not len(affines):
        return []
    axes = np.stack([affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0) for affine in affines])
    alike = np.einsum("aik,bik->abk", axes, axes)  # cosine of each axis of every two images
    middle = int(alike.sum(axis=(1, 2)).argmax())
    return [int(n) for n in np.flatnonzero((alike[middle] < 0).any(axis=1))]


def voxel_volume_ml(affine: NDArray[np.float64]) -> float:
    """Volume of one voxel, ml. A slice is as thick as the distance to the next: slice gaps count."""
    return float(abs(np.linalg.det(affine[:3, :3]))) / 1000.0


def in_plane_window(
    affine: NDArray[np.float64],
    centre_xy: Sequence[float],
    size: int,
    spacing_mm: float,
) -> NDArray[np.float64]:
    """Affine from the pixels of a square window to the x-y indices of an image.

    Args:
        affine: (4, 4) of the image; only its in-plane spacing is used.
        centre_xy: centre of the window, in pixel indices of the image.
        size: pixels a side of the window.
        spacing_mm: pixel spacing of the window, mm, along the image's own x and y axes.

    Returns:
        (3, 3) homogeneous 2-D map, window index to image index.
    """
    step = spacing_mm / np.linalg.norm(affine[:3, :2], axis=0)
    window = np.eye(3)
    window[0, 0], window[1, 1] = step
    window[:2, 2] = np.asarray(centre_xy, float) - step * (size - 1) / 2
    return window


def sample_plane(
    plane: NDArray[Any], window: NDArray[np.float64], shape: tuple[int, int], order: int = 1, fill: float = 0.0
) -> NDArray[Any]:
    """Read a 2-D array at the pixels of a window.

    Args:
        plane: (x, y).
        window: (3, 3) output index to input index, as `in_plane_window` gives.
        shape: of the output.
        order: 0 nearest, 1 linear, 3 cubic.
        fill: value outside.

    Returns:
        `shape`, same dtype for order 0, float32 otherwise.
    """
    source = plane if order == 0 else np.asarray(plane, np.float32)
    moved = ndimage.affine_transform(
        source, window[:2, :2], window[:2, 2], output_shape=shape, order=order, mode="constant", cval=fill
    )
    return np.asarray(moved)


def wall_directions(
    out: NDArray[np.float64], around: NDArray[np.float64], along: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Normal of a layer and the way up it, from two tangents.

    Args:
        out: (n, 3) vectors that point to the outer side.
        around: (n, 3) unit tangents.
        along: (n, 3) other tangents, of any length.

    Returns:
        Unit normals to the outer side, and unit tangents square to `around` on the side of `along`, both (n, 3).
    """
    up = along - around * (along * around).sum(axis=1, keepdims=True)
    up = up / np.linalg.norm(up, axis=1, keepdims=True)
    normal = np.cross(around, up)
    return normal * np.sign((normal * out).sum(axis=1, keepdims=True)), up
