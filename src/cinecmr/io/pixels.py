"""The pixels of the frames that are used, and of no others: decoded, checked, in their true grey order."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from cinecmr.errors import RefusedInput

if TYPE_CHECKING:
    import hashlib
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cinecmr.io.headers import Header


def read_plane(headers: Sequence[Header], digest: hashlib._Hash) -> tuple[NDArray[np.float32], bool]:
    """Read the frames of one plane.

    Args:
        headers: frames in time, one size.
        digest: fed with the pixels of each frame, so that the report names its input.

    Returns:
        (x, y, t) intensities, bright blood bright; and whether they were stored inverted (MONOCHROME1).

    Raises:
        RefusedInput: a frame cannot be decoded (`undecodable`).
    """
    first = headers[0]
    stack = np.empty((*first.shape, len(headers)), np.float32)
    inverted = False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # odd headers were judged when they were scanned
        for t, header in enumerate(headers):
            plane, flipped = read_frame(header)
            stack[:, :, t] = plane.T
            inverted |= flipped
            digest.update(header.uid.encode())
            digest.update(np.ascontiguousarray(plane, "<f4").tobytes())
    return stack, inverted


def read_frame(header: Header) -> tuple[NDArray[np.float32], bool]:
    """(y, x) intensities of one file after slope and intercept, and whether they were stored inverted."""
    import pydicom

    try:
        ds = pydicom.dcmread(header.path, force=True)
        stored = stored_values(ds, header)
        slope, intercept = _one(ds, "RescaleSlope", 1.0), _one(ds, "RescaleIntercept", 0.0)
    except RefusedInput:
        raise
    except Exception as error:  # damaged bytes make pydicom raise almost anything; its words may quote the header
        raise RefusedInput(
            "undecodable",
            f"the pixels of a frame of series {header.series_number} cannot be read ({type(error).__name__}); "
            "transfer the study again",
        ) from None
    inverted = str(ds.get("PhotometricInterpretation", "")).strip() == "MONOCHROME1"
    if inverted:
        stored = sum(_stored_range(ds)) - stored
    return (stored.astype(np.float32) * slope + intercept).astype(np.float32), inverted


def stored_values(ds: Any, header: Header) -> NDArray[np.int64]:
    """(y, x) stored values, with whatever stands above `BitsStored` taken away: old overlays hide there."""
    try:
        pixels = np.asarray(ds.pixel_array).astype(np.int64)
    except (RuntimeError, NotImplementedError) as error:  # pydicom's words for "no plugin can decode this"
        syntax = ds.file_meta.get("TransferSyntaxUID")
        raise RefusedInput(
            "undecodable",
            f"series {header.series_number} is stored as {getattr(syntax, 'name', 'an unknown coding')}, "
            "which cannot be decoded here: export the study uncompressed, or install pylibjpeg with its plugins",
        ) from error
    bits = int(ds.get("BitsStored") or ds.BitsAllocated)
    kept = pixels & ((1 << bits) - 1)
    if int(ds.get("PixelRepresentation") or 0) == 1:
        kept = np.where(kept >= 1 << (bits - 1), kept - (1 << bits), kept)
    return kept


def _stored_range(ds: Any) -> tuple[int, int]:
    """Least and greatest value that can be stored."""
    bits = int(ds.get("BitsStored") or ds.BitsAllocated)
    if int(ds.get("PixelRepresentation") or 0) == 1:
        return -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    return 0, (1 << bits) - 1


def _one(ds: Any, tag: str, default: float) -> float:
    try:
        value = float(ds.get(tag, default))
    except (TypeError, ValueError):
        return default
    return value if np.isfinite(value) and (value != 0 or tag != "RescaleSlope") else default


def same_pixels(first: Header, second: Header) -> bool:
    """Whether two files of one identifier hold the same picture."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return bool(np.array_equal(read_frame(first)[0], read_frame(second)[0]))
