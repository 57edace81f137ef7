"""NIfTI images in, NIfTI images and label maps out, on exactly the grid they have.

NIfTI is already RAS and mm; what needs care is which of its two affines to believe, and the time axis.
"""

from __future__ import annotations

import logging
import math
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from cinecmr.anatomy import View
from cinecmr.errors import RefusedInput
from cinecmr.io.files import write_atomically
from cinecmr.study import Flag, Image, Severity

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import ArrayLike, NDArray

FRAME_S = (0.004, 0.2)  # time between frames that a cine can have, s
CYCLE_S = (0.3, 2.5)  # length of a beat, s
ASSUMED_RR_MS = 1000.0
MOST_VOXELS = 1 << 29  # 512 x 512 x 20 slices x 100 frames; a damaged header can claim any size
_UNIT_S = {"sec": 1.0, "msec": 1e-3, "usec": 1e-6}


def write_image(path: Path, data: NDArray[Any], affine: NDArray[np.float64], times: ArrayLike) -> None:
    """Write an image, whole or not at all.

    Args:
        path: ends in .nii or .nii.gz.
        data: (x, y, z, t); one frame is written as a 3-D file.
        affine: (4, 4) voxel index to patient RAS, mm.
        times: (t,) s. NIfTI holds a first time and one step only: uneven times become even.
    """
    nib = _nibabel()
    if data.ndim != 4:
        raise ValueError(f"data must be (x, y, z, t), got shape {data.shape}")
    times = np.asarray(times, float)
    image = nib.Nifti1Image(data[..., 0] if data.shape[3] == 1 else data, affine, dtype=data.dtype)
    image.set_sform(affine, 1)
    image.set_qform(affine, 1)
    image.header.set_xyzt_units("mm", "sec")
    if data.shape[3] > 1:
        image.header["pixdim"][4] = (times[-1] - times[0]) / (len(times) - 1)
    image.header["toffset"] = times[0]
    write_atomically(path, lambda temporary: nib.save(image, temporary))


def write_labels(path: Path, labels: NDArray[np.uint8], affine: NDArray[np.float64], times: ArrayLike) -> None:
    """Write a label map; arguments as `write_image`, `labels` holding `Structure` codes."""
    write_image(path, np.asarray(labels, np.uint8), affine, times)


def read_image(path: Path, *, rr_ms: float | None = None, view: View = View.SAX) -> Image:
    """Read one 3-D or 4-D file on exactly its own grid; see `read_flagged` for what was odd about it."""
    return read_flagged(path, rr_ms=rr_ms, view=view)[0]


def read_flagged(path: Path, *, rr_ms: float | None = None, view: View = View.SAX) -> tuple[Image, tuple[Flag, ...]]:
    """Read one file and say what was odd about its header.

    Args:
        path: .nii or .nii.gz.
        rr_ms: R-R interval, ms, used where the file does not know its frame times.
        view: what the image shows; the file does not say.

    Returns:
        The image, (x, y, z, t) as stored, and flags.

    Raises:
        RefusedInput: not readable (`unreadable-nifti`), not 3-D or 4-D grey values (`not-an-image`), a voxel
            without size (`bad-spacing`).
    """
    file, raw = _open(path)
    shape = _four_axes(file.shape, path)
    affine, flags = _affine(raw, path)
    step, unit = float(raw["pixdim"][4]) if len(file.shape) > 3 else 0.0, _time_unit(raw)
    times, rr, more = frame_times(step, unit, shape[3], rr_ms)
    offset = float(raw["toffset"]) * _UNIT_S.get(unit, 1.0)
    if not more and 0 < offset < CYCLE_S[1]:
        times = times + offset
    try:
        data = np.asarray(file.dataobj)
    except (OSError, EOFError, OverflowError, ValueError, zlib.error) as error:
        raise _unreadable(path, error) from error
    data, seen = _grey(data, path)
    image = Image(data.reshape(shape), affine, times, view, rr_ms=rr)
    return image, (*flags, *more, *seen)


def shape_of(path: Path) -> tuple[int, int, int, int]:
    """(x, y, z, t) of a file, from its header alone."""
    return _four_axes(_open(path)[0].shape, path)


def _open(path: Path) -> tuple[Any, Any]:
    """The file, its pixels not yet read, and its header as stored: nibabel mends a zero spacing to 1 without a word."""
    nib = _nibabel()
    try:
        with _quiet(nib.imageglobals.logger):  # what it would mend and say is ours to refuse and to say
            file = nib.load(path)
        with nib.openers.ImageOpener(path) as handle:
            raw = type(file.header).from_fileobj(handle, check=False)
    except (OSError, EOFError, ValueError, zlib.error, nib.filebasedimages.ImageFileError,
            nib.spatialimages.HeaderDataError) as error:  # fmt: skip
        raise _unreadable(path, error) from error
    return file, raw


def _nibabel() -> Any:
    """Imported late, and untyped: nibabel's own hints are incomplete."""
    import nibabel

    return nibabel


@contextmanager
def _quiet(logger: logging.Logger) -> Iterator[None]:
    """Keep a logger silent for a while."""
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(level)


def _unreadable(path: Path, error: Exception) -> RefusedInput:
    return RefusedInput("unreadable-nifti", f"{path} cannot be read as NIfTI ({error}); copy or convert it again")


def _four_axes(shape: Sequence[int], path: Path) -> tuple[int, int, int, int]:
    axes = tuple(int(n) for n in shape)
    while len(axes) > 4 and axes[-1] == 1:
        axes = axes[:-1]
    axes = axes + (1,) * (4 - len(axes))
    if len(axes) != 4 or min(axes) < 1 or min(axes[:2]) < 2:
        raise RefusedInput("not-an-image", f"{path} has shape {tuple(shape)}; give an image (x, y, z) or (x, y, z, t)")
    if math.prod(axes) > MOST_VOXELS:
        raise RefusedInput(
            "too-large", f"{path} claims {' x '.join(map(str, axes))} voxels; a cine has at most {MOST_VOXELS:,}"
        )
    return axes


def _time_unit(header: Any) -> str:
    try:
        return str(header.get_xyzt_units()[1])
    except KeyError:  # a unit code that NIfTI does not know
        return "unknown"


def _grey(data: NDArray[Any], path: Path) -> tuple[NDArray[Any], tuple[Flag, ...]]:
    """Intensities as integers or float32, every one a number."""
    if data.dtype.kind not in "iuf":
        raise RefusedInput(
            "not-an-image", f"{path} holds {data.dtype} values; give grey values, not colours or complex"
        )
    if data.dtype.kind != "f":
        return data, ()
    data = data.astype(np.float32)
    bad = int((~np.isfinite(data)).sum())
    if not bad:
        return data, ()
    flag = Flag("not-a-number", Severity.FLAG, f"{bad} voxels hold no number; read as 0")
    return np.nan_to_num(data, nan=0.0, posinf=0.0, neginf=0.0), (flag,)


def _affine(header: Any, path: Path) -> tuple[NDArray[np.float64], tuple[Flag, ...]]:
    """The affine to believe: the sform, unless only the qform has voxels of the size that the header states."""
    zooms = np.abs(np.array([float(header["pixdim"][i]) for i in (1, 2, 3)]))
    if not np.isfinite(zooms).all() or (zooms <= 0).any():
        size = " x ".join(f"{z:g}" for z in zooms)
        raise RefusedInput("bad-spacing", f"{path} has voxels of {size} mm; write the true voxel size into its header")
    sform = np.asarray(header.get_sform(), float) if int(header["sform_code"]) > 0 else None
    qform = _qform(header) if int(header["qform_code"]) > 0 else None
    if sform is None and qform is None:
        note = Flag("no-orientation", Severity.NOTE, "the file does not say how it lies in the patient; volumes stand")
        return np.asarray(header.get_base_affine(), float), (note,)
    if sform is None or _fits(sform, zooms):
        return (qform if sform is None else sform), ()  # type: ignore[return-value]
    sizes = " x ".join(f"{s:.3g}" for s in np.linalg.norm(sform[:3, :3], axis=0))
    stored = " x ".join(f"{z:.3g}" for z in zooms)
    if qform is not None and _fits(qform, zooms):
        message = f"sform says voxels of {sizes} mm, pixdim and qform {stored} mm: the qform is used"
        return qform, (Flag("sform-ignored", Severity.FLAG, message),)
    if np.allclose(np.linalg.norm(sform[:3, :3], axis=0), 1.0, atol=1e-3):  # an identity that nobody filled in
        message = f"sform says voxels of {sizes} mm, pixdim {stored} mm: pixdim is used"
        return sform @ np.diag([*zooms, 1.0]), (Flag("sform-ignored", Severity.FLAG, message),)
    if abs(np.linalg.det(sform[:3, :3])) < 1e-6:
        raise RefusedInput("bad-spacing", f"{path} has an sform that flattens space; write a true one into its header")
    message = f"sform says voxels of {sizes} mm, pixdim {stored} mm: the sform is used"
    return sform, (Flag("spacing-contradiction", Severity.FLAG, message),)


def _qform(header: Any) -> NDArray[np.float64] | None:
    """The qform; None where its quaternion is damaged: the sform stands in, for without one nothing was loaded."""
    try:
        return np.asarray(header.get_qform(), float)
    except (ValueError, _nibabel().spatialimages.HeaderDataError):
        return None


def _fits(affine: NDArray[np.float64], zooms: NDArray[np.float64]) -> bool:
    return bool(np.allclose(np.linalg.norm(affine[:3, :3], axis=0), zooms, rtol=0.01))


def frame_times(
    step: float, unit: str, frames: int, rr_ms: float | None = None
) -> tuple[NDArray[np.float64], float | None, tuple[Flag, ...]]:
    """Frame times from NIfTI's one time step, which many writers leave empty or in the wrong unit.

    Args:
        step: pixdim[4].
        unit: "sec", "msec", "usec" or "unknown".
        frames: number of frames.
        rr_ms: R-R interval the user gave, ms.

    Returns:
        (t,) times, s; the R-R interval, ms, if known; flags.

    >>> frame_times(40.0, "msec", 20)[1]
    800.0
    """
    index = np.arange(frames, dtype=float)
    if frames == 1:
        return index, rr_ms, ()
    stated = step * _UNIT_S.get(unit, 1.0)
    for seconds in (stated, step, step * 1e-3):
        if FRAME_S[0] <= seconds <= FRAME_S[1] and CYCLE_S[0] <= seconds * frames <= CYCLE_S[1]:
            message = f"time step {step:g} {unit} is not one of a heart; read as {1000 * seconds:g} ms"
            odd = () if np.isclose(seconds, stated) else (Flag("frame-time-unit", Severity.FLAG, message),)
            return index * seconds, rr_ms or round(1000 * seconds * frames, 3), odd
    if rr_ms is not None:
        return index * rr_ms / 1000 / frames, rr_ms, ()
    message = (
        f"the file's time step ({step:g} {unit}) is not one of a heart: frames are taken as even shares of a beat of "
        f"unknown length (give --rr-ms)"
    )
    return index * ASSUMED_RR_MS / 1000 / frames, None, (Flag("frame-times-unknown", Severity.FLAG, message),)
