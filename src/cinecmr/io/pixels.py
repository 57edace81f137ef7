"""The pixels of the frames that are used, and of no others: decoded, checked, in their true grey order."""

from __future__ import annotations

import warnings
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from cinecmr.errors import RefusedInput

if TYPE_CHECKING:
    import hashlib
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from cinecmr.io.headers import Header

_JPEG = "1.2.840.10008.1.2.4."
PLUGINS = {  # transfer syntaxes, and the package that decodes them for pydicom
    tuple(f"{_JPEG}{last}" for last in (80, 81)): "pyjpegls",
    tuple(f"{_JPEG}{last}" for last in (50, 51, 57, 70)): "pylibjpeg-libjpeg",
    tuple(f"{_JPEG}{last}" for last in (90, 91, 201, 202, 203)): "pylibjpeg-openjpeg",
}


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
    try:
        ds = _opened(header)
        stored = stored_values(ds, header)
        slope, intercept = header.rescale or (_one(ds, "RescaleSlope", 1.0), _one(ds, "RescaleIntercept", 0.0))
    except RefusedInput:
        raise
    except Exception as error:  # damaged bytes make pydicom raise almost anything; its words may quote the header
        raise _damaged(header, error) from None
    inverted = str(ds.get("PhotometricInterpretation", "")).strip() == "MONOCHROME1"
    if inverted:
        stored = sum(_stored_range(ds)) - stored
    return (stored.astype(np.float32) * slope + intercept).astype(np.float32), inverted


def _opened(header: Header) -> Any:
    """The file; one of many frames is kept until another is asked for, so that it is not read for each frame."""
    import pydicom

    if header.frame is None:
        return pydicom.dcmread(header.path, force=True)
    return _many_frames(header.path)


@lru_cache(maxsize=1)
def _many_frames(path: Path) -> Any:
    import pydicom

    return pydicom.dcmread(path, force=True)


def forget() -> None:
    """Let go of the file that was kept open; to be called when a study has been read."""
    _many_frames.cache_clear()


def undecodable(headers: Sequence[Header]) -> RefusedInput | None:
    """Why the pixels of these frames cannot be decoded on this machine, told without reading them; None where they can.

    Uncompressed pixels need nothing, RLE only pydicom, JPEG and JPEG 2000 Pillow; others need a plugin.
    """
    from pydicom.pixels.decoders.base import get_decoder
    from pydicom.uid import UID

    for syntax in sorted({header.syntax for header in headers}):
        try:
            known = get_decoder(syntax).is_available
        except NotImplementedError:
            known = False
        if not known:
            number = next(header.series_number for header in headers if header.syntax == syntax)
            return _cannot_decode(number, UID(syntax).name, syntax)
    return None


def _cannot_decode(series: int | None, name: str, syntax: str) -> RefusedInput:
    plugin = next((plugin for codings, plugin in PLUGINS.items() if syntax in codings), None)
    way = f"install {plugin} (pip install {plugin}), or export" if plugin else "export"
    return RefusedInput(
        "undecodable",
        f"series {series} is stored as {name}, which cannot be decoded here: {way} the study uncompressed",
    )


def stored_values(ds: Any, header: Header) -> NDArray[np.int64]:
    """(y, x) stored values, with whatever stands above `BitsStored` taken away: old overlays hide there."""
    from pydicom.pixels.utils import pixel_array

    try:
        pixels = np.asarray(pixel_array(ds, index=header.frame)).astype(np.int64)
    except (RuntimeError, NotImplementedError) as error:  # pydicom's words for "no plugin can decode this"
        raise undecodable([header]) or _damaged(header, error) from error
    bits = int(ds.get("BitsStored") or ds.BitsAllocated)
    kept = pixels & ((1 << bits) - 1)
    if int(ds.get("PixelRepresentation") or 0) == 1:
        kept = np.where(kept >= 1 << (bits - 1), kept - (1 << bits), kept)
    return kept


def _damaged(header: Header, error: Exception) -> RefusedInput:
    return RefusedInput(
        "undecodable",
        f"the pixels of a frame of series {header.series_number} cannot be read ({type(error).__name__}); "
        "transfer the study again",
    )


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
