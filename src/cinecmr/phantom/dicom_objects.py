"""How the files of a study are stored and exported: a registry of faults beside `dicom_faults`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from cinecmr.anatomy import View
from cinecmr.phantom.dicom_edit import Fault, copies, sax, slices
from cinecmr.phantom.dicom_files import Form, Frame, decimal, get_pixels, put_pixels

if TYPE_CHECKING:
    from collections.abc import Callable


def _formed(**changes: Any) -> Fault:
    """A fault of how frames are put together."""

    def fault(files: list[Frame], rng: np.random.Generator) -> list[Frame]:  # noqa: ARG001
        for f in files:
            if f.form is not None:
                f.form = replace(f.form, **changes)
        return files

    return fault


def _in_form(enhanced: Callable[[Frame], bool]) -> Fault:
    def fault(files: list[Frame], rng: np.random.Generator) -> list[Frame]:  # noqa: ARG001
        for f in files:
            f.form = (f.form or Form()) if enhanced(f) else None
        return files

    return fault


def stored_twice(files: list[Frame], rng: np.random.Generator) -> list[Frame]:  # noqa: ARG001
    """Every series both as classic files and as enhanced objects, as an archive that was sent both holds them."""
    again = copies(files, "enhanced", 500)
    for f in files:
        f.form = None
    for f in again:
        f.form = f.form or Form()
    return [*files, *again]


def scrambled_export(files: list[Frame], rng: np.random.Generator) -> list[Frame]:
    """Classic export of enhanced software: one series for the stack, numbered in no order, one clock for all."""
    mine = sax(files)
    for f, number in zip(mine, rng.permutation(len(mine)), strict=True):
        f.form = None
        f.ds.SeriesInstanceUID, f.ds.SeriesNumber = mine[0].ds.SeriesInstanceUID, mine[0].ds.SeriesNumber
        f.ds.InstanceNumber = int(number) + 1
        f.ds.AcquisitionTime = f.ds.ContentTime = mine[0].ds.AcquisitionTime
        f.ds.pop("TemporalPositionIdentifier", None)
        f.name = f"export/{int(number):05d}.dcm"
    return files


def mosaic(files: list[Frame], rng: np.random.Generator) -> list[Frame]:  # noqa: ARG001
    """All slices of a moment tiled into one picture, which states the place of its own first pixel only."""
    made = []
    side = int(np.ceil(np.sqrt(slices(files))))
    for t in sorted({f.t for f in sax(files)}):
        tiles = sorted((f for f in sax(files) if f.t == t), key=lambda f: f.z)
        rows, columns = tiles[0].ds.Rows, tiles[0].ds.Columns
        whole = np.zeros((rows * side, columns * side), np.int64)
        for number, f in enumerate(tiles):
            y, x = divmod(number, side)
            whole[y * rows : (y + 1) * rows, x * columns : (x + 1) * columns] = get_pixels(f.ds)
        ds = tiles[0].ds
        put_pixels(ds, whole, bits=int(ds.BitsStored), signed=bool(ds.PixelRepresentation))
        ds.ImageType = ["ORIGINAL", "PRIMARY", "M", "MOSAIC"]
        made.append(tiles[0])
    return [f for f in files if f.view is not View.SAX] + made


def grid_of_uih(files: list[Frame], rng: np.random.Generator) -> list[Frame]:
    """As `mosaic`, told by a private entry only (United Imaging)."""
    count = slices(files)
    made = mosaic(files, rng)
    for f in sax(made):
        f.ds.ImageType = ["ORIGINAL", "PRIMARY", "M", "VFRAME"]
        block = f.ds.private_block(0x0065, "Image Private Header", create=True)
        block.add_new(0x50, "DS", decimal(count))
    return made


def no_series_identity(files: list[Frame], rng: np.random.Generator) -> list[Frame]:  # noqa: ARG001
    """Neither UID nor number nor description of a series, as in data sets that were stripped for publication."""
    for f in files:
        for keyword in ("SeriesInstanceUID", "SeriesNumber", "SeriesDescription", "ProtocolName", "SeriesTime"):
            f.ds.pop(keyword, None)
    return files


def once_lossy(files: list[Frame], rng: np.random.Generator) -> list[Frame]:  # noqa: ARG001
    """The pixels are said to have been compressed with loss, once."""
    for f in files:
        f.ds.LossyImageCompression, f.ds.LossyImageCompressionRatio = "01", decimal(8)
    return files


def unknown_coding(files: list[Frame], rng: np.random.Generator) -> list[Frame]:  # noqa: ARG001
    """The short axis is coded as video, which no installation decodes frame by frame."""
    for f in sax(files):
        f.coding = "1.2.840.10008.1.2.4.102"
    return files


# Faults that only objects of many frames can have.
OF_ENHANCED: dict[str, Fault] = {
    "dimension-order-swapped": _formed(time_first=True),
    "dimension-order-contradicts": _formed(contradicts=True),
    "no-dimension-values": _formed(dimensions=False),
    "shared-place": _formed(place="shared"),
    "no-frame-place": _formed(place="nowhere"),
    "frame-groups-lost": _formed(groups_lost=1),
}
OBJECTS: dict[str, Fault] = {
    **OF_ENHANCED,
    "stored-twice": stored_twice,
    "mixed-objects": _in_form(lambda f: f.view is View.SAX),
    "scrambled-export": scrambled_export,
    "mosaic": mosaic,
    "mosaic-private": grid_of_uih,
    "no-series-identity": no_series_identity,
    "said-to-be-lossy": once_lossy,
    "video-coded": unknown_coding,
}
