"""Values of DICOM entries as plain numbers and text, whatever stands there; and whether a file is whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

DEFLATED = "1.2.840.10008.1.2.1.99"
META_BYTES = 1 << 16  # in which the coding of a file is named
PIECE = 1 << 16  # unpacked at a time
MOST_UNPACKED = 512 << 20
MOST_FRAGMENTS = 100_000  # in one file; a damaged one could send the reader round for ever
# What pydicom raises for an entry that cannot be read; the last for a kind of value that does not exist.
UNREADABLE = (ValueError, TypeError, LookupError, OverflowError, NotImplementedError)


def clock(value: Any) -> float | None:
    """Seconds after midnight of a DICOM time, such as "083953.954421"."""
    said = str(value or "").split("&")[0].strip()
    try:
        hours, minutes, seconds = int(said[0:2]), int(said[2:4] or 0), float(said[4:] or 0)
    except ValueError:
        return None
    return hours * 3600.0 + minutes * 60.0 + seconds


def many(value: Any) -> list[Any]:
    """The values of an entry, none where it is empty."""
    if value is None or value == "":
        return []
    return [value] if isinstance(value, (str, int, float)) else list(value)


def numbers(ds: Any, tag: str | int, count: int) -> NDArray[np.float64] | None:
    """So many finite numbers under a tag, or None."""
    try:
        value = ds.get(tag)
        values = np.array([float(part) for part in many(getattr(value, "value", value))])  # private: a whole element
    except UNREADABLE:
        return None
    return values if values.shape == (count,) and bool(np.isfinite(values).all()) else None


def number(ds: Any, tag: str | int) -> float | None:
    """The one finite number under a tag, or None."""
    values = numbers(ds, tag, 1)
    return None if values is None else float(values[0])


def positive(value: float | None) -> float | None:
    """The value where it is above zero."""
    return value if value is not None and value > 0 else None


def text(ds: Any, tag: str) -> str:
    """The text under a tag, "" where there is none or it cannot be read."""
    try:
        value = ds.get(tag)
    except UNREADABLE:
        return ""
    return "" if value is None else str(value).strip()


def swells(handle: Any) -> bool:
    """Whether a deflated DICOM file unpacks to more than a study's file can hold; others never do.

    pydicom unpacks such a file whole before anything can be asked of it, so it is tried here first, a piece at a time.

    Args:
        handle: open, at its begin, and left there.
    """
    import zlib

    start = handle.tell()
    try:
        begin = _deflated_from(handle)
        if begin is None:
            return False
        handle.seek(begin)
        unpacker, total = zlib.decompressobj(-zlib.MAX_WBITS), 0
        while not unpacker.eof and (piece := unpacker.unconsumed_tail or handle.read(PIECE)):
            total += len(unpacker.decompress(piece, PIECE))
            if total > MOST_UNPACKED:
                return True
        return False
    except zlib.error:
        return False  # damaged; whoever reads it says so
    finally:
        handle.seek(start)


def _deflated_from(handle: Any) -> int | None:
    """Where the deflated part of a file begins; None where nothing is deflated."""
    from pydicom import filereader

    head = handle.read(META_BYTES)
    if DEFLATED.encode() not in head:
        return None
    handle.seek(0)
    try:
        filereader.read_preamble(handle, force=True)
        filereader._read_file_meta_info(handle)
    except Exception:  # damaged bytes make pydicom raise almost anything
        return None
    return int(handle.tell())


def is_whole(handle: Any, size: int, syntax: str, pixel_bytes: int) -> bool:
    """Whether a file holds all of its pixels.

    Args:
        handle: open, before the pixel data.
        size: of the file, bytes.
        syntax: transfer syntax UID.
        pixel_bytes: of uncompressed pixels.
    """
    from pydicom.uid import UID

    if syntax == DEFLATED:  # all of it was unpacked to read the header, which fails where the end is missing
        return True
    start = handle.tell()
    if not UID(syntax).is_compressed:
        return bool(size - start >= 8 + pixel_bytes)
    place = start + 12
    for _ in range(MOST_FRAGMENTS):  # fragments, each with its length, up to a delimiter
        handle.seek(place)
        item = handle.read(8)
        if item[:4] == b"\xfe\xff\xdd\xe0":
            return True
        if len(item) < 8 or item[:4] != b"\xfe\xff\x00\xe0":
            return False
        place += 8 + int.from_bytes(item[4:], "little")
    return False
