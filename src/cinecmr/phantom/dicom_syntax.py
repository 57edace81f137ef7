"""How the bytes of a DICOM file are written: transfer syntaxes, all without loss."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

SYNTAXES = {
    "explicit": "1.2.840.10008.1.2.1",
    "implicit": "1.2.840.10008.1.2",
    "deflated": "1.2.840.10008.1.2.1.99",
    "rle": "1.2.840.10008.1.2.5",
    "jpeg2000": "1.2.840.10008.1.2.4.90",
    "jpeg-ls": "1.2.840.10008.1.2.4.80",
}


def can_write(name: str) -> str | None:
    """Why a syntax cannot be written on this machine; None where it can."""
    if name == "jpeg-ls":
        from pydicom.pixels.encoders.base import get_encoder

        if not get_encoder(SYNTAXES[name]).is_available:
            return "jpeg-ls needs the package pyjpegls (pip install pyjpegls)"
    if name == "jpeg2000":
        from PIL import features

        if not features.check("jpg_2000"):
            return "jpeg2000 needs a Pillow that was built with OpenJPEG"
    return None


def put_syntax(ds: Any, name: str, claimed: str | None = None) -> None:
    """Code the pixels of a data set; they must be uncompressed, 16 bits, one sample a pixel.

    Args:
        ds: changed.
        name: a name of `SYNTAXES`.
        claimed: transfer syntax to state over pixels that are no such thing, for readers that must refuse it.
    """
    if claimed is not None:
        _put_fragments(ds, [ds.PixelData])
        ds.file_meta.TransferSyntaxUID = claimed
        return
    if name in ("rle", "jpeg-ls"):
        ds.compress(SYNTAXES[name], generate_instance_uid=False)
    elif name == "jpeg2000":
        _put_jpeg2000(ds)
    ds.file_meta.TransferSyntaxUID = SYNTAXES[name]


def _put_jpeg2000(ds: Any) -> None:
    frames = np.frombuffer(ds.PixelData, "<u2")[: int(ds.get("NumberOfFrames", 1)) * ds.Rows * ds.Columns]
    _put_fragments(ds, [jpeg2000(frame) for frame in frames.reshape(-1, ds.Rows, ds.Columns)])


def _put_fragments(ds: Any, fragments: list[bytes]) -> None:
    from pydicom.encaps import encapsulate

    ds.PixelData = encapsulate(fragments)
    ds["PixelData"].VR = "OB"
    ds["PixelData"].is_undefined_length = True


def jpeg2000(frame: NDArray[np.uint16]) -> bytes:
    """(y, x) whole numbers as a JPEG 2000 code stream, without loss."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(frame)).save(buffer, format="JPEG2000", no_jp2=True, irreversible=False)
    return buffer.getvalue()
