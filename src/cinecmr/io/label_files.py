"""Label maps as NIfTI that stand beside an image: written on its grid, read back onto it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cinecmr.anatomy import Structure
from cinecmr.errors import RefusedInput
from cinecmr.io.files import write_atomically

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from cinecmr.study import Image

GRID_TOLERANCE = 0.05  # of a voxel, over the whole grid


def write_labels_like(path: Path, labels: NDArray[np.uint8], template: Path) -> None:
    """Write a label map with the grid of the image file it belongs to.

    Args:
        path: where to.
        labels: (x, y, z, t) `Structure` codes, in the voxel order of the template.
        template: NIfTI image; its shape (3-D or 4-D), affines and their codes are kept, and nothing else of it.

    Raises:
        ValueError: the labels do not have the template's shape.
    """
    nib = _nibabel()
    image = nib.load(template)
    if labels.shape != (*image.shape, 1, 1)[:4]:
        raise ValueError(f"labels {labels.shape} do not fit {template.name}, which is {image.shape}")
    header = nib.Nifti1Header()
    header.set_data_dtype(np.uint8)
    header.set_data_shape(image.shape)
    header.set_zooms(image.header.get_zooms())
    header.set_xyzt_units(*image.header.get_xyzt_units())
    made = nib.Nifti1Image(labels.reshape(image.shape), None, header)
    made.set_sform(*image.get_sform(coded=True))
    made.set_qform(*image.get_qform(coded=True))
    write_atomically(path, lambda temporary: nib.save(made, temporary))


def read_labels(path: Path, image: Image) -> NDArray[np.uint8]:
    """Read a label map onto an image's grid; axes an editor has turned or swapped are turned back.

    Args:
        path: NIfTI, 3-D or 4-D, whole numbers that are `Structure` codes.
        image: whose voxels the labels name.

    Returns:
        (x, y, z, t).

    Raises:
        RefusedInput: not readable, other codes, or another grid.
    """
    nib = _nibabel()
    try:
        file = nib.load(path)
        values = np.asarray(file.dataobj)
    except (OSError, nib.filebasedimages.ImageFileError, EOFError, ValueError) as error:
        raise RefusedInput("unreadable-labels", f"{path} cannot be read as NIfTI labels: {error}") from error
    codes = np.unique(values)
    if not np.isin(codes, [int(code) for code in Structure]).all():
        odd = ", ".join(f"{code:g}" for code in codes[~np.isin(codes, [int(code) for code in Structure])][:5])
        raise RefusedInput("unknown-labels", f"{path} holds {odd}; labels are 0 background, 1 RV, 2 MYO, 3 LV")
    labels = values.astype(np.uint8).reshape((*values.shape, 1)[:4] if values.ndim == 3 else values.shape)
    turned = _onto(labels, file.affine, image.affine) if labels.ndim == 4 else None
    if turned is None or turned.shape != image.data.shape or not _same_grid(turned, file.affine, labels, image):
        raise RefusedInput(
            "other-grid",
            f"{path} has grid {values.shape}, the short-axis cine {image.data.shape}; give labels drawn on that image, "
            "such as a corrected labels_sax.nii.gz",
        )
    return np.ascontiguousarray(turned)


def _steps(from_affine: NDArray[np.float64], to_affine: NDArray[np.float64]) -> NDArray[np.float64]:
    """(4, 4) map of voxel indices of one grid to those of another."""
    return np.asarray(np.linalg.solve(to_affine, from_affine), np.float64)


def _onto(
    labels: NDArray[np.uint8], from_affine: NDArray[np.float64], to_affine: NDArray[np.float64]
) -> NDArray[np.uint8] | None:
    """Swap and flip axes as the image has them; None where the axes are not parallel to the image's."""
    axes = _steps(from_affine, to_affine)[:3, :3]
    order = np.abs(axes).argmax(axis=1)  # row: image axis; entry: the label axis along it
    if sorted(order) != [0, 1, 2]:
        return None
    turned = labels.transpose(*order, 3)
    flips = [axis for axis in range(3) if axes[axis, order[axis]] < 0]
    return np.flip(turned, tuple(flips))


def _same_grid(
    turned: NDArray[np.uint8], from_affine: NDArray[np.float64], labels: NDArray[np.uint8], image: Image
) -> bool:
    """Whether the corners of both grids, the labels' turned, lie on each other."""
    steps = _steps(from_affine, image.affine)
    corners = np.array(np.meshgrid(*([0, n - 1] for n in labels.shape[:3]), indexing="ij")).reshape(3, -1)
    there = steps[:3, :3] @ corners + steps[:3, 3:]
    spans = np.array([[0.0, n - 1.0] for n in turned.shape[:3]])
    low_high = np.stack([there.min(axis=1), there.max(axis=1)], axis=1)
    return bool(np.abs(low_high - spans).max() < GRID_TOLERANCE)


def _nibabel() -> Any:
    """The module, untyped (its types cover a part of it) and only when a file is touched."""
    import nibabel

    return nibabel
