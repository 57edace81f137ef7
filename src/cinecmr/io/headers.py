"""DICOM headers of a folder, found by content and read without their pixels.

This is where DICOM's LPS becomes RAS. Nothing here decides what a picture is; see `io.sifting` and `io.planes`.
"""

from __future__ import annotations

import os
import warnings
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cinecmr.errors import RefusedInput
from cinecmr.io.entries import MOST_FRAGMENTS, clock, is_whole, many, number, numbers, positive, swells, text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

LPS_TO_RAS = np.array([-1.0, -1.0, 1.0])
NO_GROUPS = "place of each frame of an enhanced object"
SKEW_MENDED = 1e-3  # departure from orthonormal that rounding in the header explains

DELAY_TAGS = ("NominalCardiacTriggerDelayTime", "TriggerTime")  # ms after the R wave
CLOCK_TAGS = ("AcquisitionTime", "ContentTime")
INDEX_TAGS = tuple(f"DimensionIndexValues {number}" for number in range(1, 7))  # one for each index of a frame
PHASE_TAGS = (
    "NominalPercentageOfCardiacPhase", *DELAY_TAGS, "TemporalPositionIdentifier", *INDEX_TAGS, *CLOCK_TAGS,
    "InstanceNumber",
)  # fmt: skip
ENHANCED = ("1.2.840.10008.5.1.4.1.1.4.1", "1.2.840.10008.5.1.4.1.1.4.4")  # Enhanced MR, Legacy Converted Enhanced MR
TILES_UIH = 0x00651050  # private: how many slices are tiled into one picture

TAGS: list[Any] = [
    *(tag for tag in PHASE_TAGS if tag not in INDEX_TAGS), "SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID",
    "StudyInstanceUID", "PatientID", "PatientName", "PatientBirthDate", "Modality", "SeriesNumber",
    "SeriesDescription", "ProtocolName", "ImageType", "ComplexImageComponent", "SequenceName", "SeriesTime",
    "AcquisitionDateTime", "AcquisitionNumber", "Rows", "Columns", "SamplesPerPixel", "BitsAllocated",
    "NumberOfFrames", "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness",
    "SpacingBetweenSlices", "NominalInterval", "HeartRate", "EchoTime", "InversionTime", "BurnedInAnnotation",
    "VelocityEncodingDirection", "LossyImageCompression", "RescaleSlope", "RescaleIntercept", TILES_UIH,
    "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence",
]  # fmt: skip


@dataclass(frozen=True)
class Place:
    """Where a picture lies.

    Attributes:
        position: (3,) centre of the first pixel, RAS mm.
        axes: (2, 3) unit vectors along x (column index) and y (row index), RAS.
        spacing: mm along x and y.
        skew: largest departure of the stored axes from orthonormal, before they were mended.
    """

    position: NDArray[np.float64]
    axes: NDArray[np.float64]
    spacing: tuple[float, float]
    skew: float = 0.0


@dataclass(frozen=True)
class Header:
    """What one DICOM file says of its picture; `None`, empty or absent where it says nothing.

    Attributes:
        shape: pixels along x and y.
        place: where it lies; None where the header does not say all of it.
        lacks: what of the place the header does not say.
        keys: the values of `PHASE_TAGS` that are there; clock times as seconds after midnight.
        acquired: seconds after midnight when the acquisition began, for telling a repeat from the first try.
        frames_in_file: NumberOfFrames.
        frame: which frame of an enhanced multi-frame object it is, counted from 0; None for a file of one picture.
        rescale: slope and intercept of that frame; None where they stand in the file itself.
        syntax: transfer syntax UID, how the pixels are coded.
        tiled: whether slices lie side by side in one picture (mosaic).
        lossy: whether the pixels were compressed with loss.
    """

    path: Path
    uid: str
    sop_class: str
    series: str
    study: str
    patient: str
    modality: str
    series_number: int | None
    description: str
    sequence_name: str
    image_type: tuple[str, ...]
    shape: tuple[int, int]
    place: Place | None
    lacks: str
    thickness: float | None
    spacing_between: float | None
    rr_ms: float | None
    echo_ms: float | None
    inversion_ms: float | None
    acquired: float
    frames_in_file: int
    colour: bool
    burned_in: bool
    velocity: bool
    keys: Mapping[str, float] = field(default_factory=dict)
    frame: int | None = None
    rescale: tuple[float, float] | None = None
    syntax: str = "1.2.840.10008.1.2"
    tiled: bool = False
    lossy: bool = False

    @property
    def delay(self) -> float | None:
        """Time after the R wave, ms, where one is stated."""
        return next((self.keys[tag] for tag in DELAY_TAGS if tag in self.keys), None)


@dataclass(frozen=True)
class Scan:
    """All headers under one path, one a frame, and a count of files that were passed over, by reason."""

    headers: tuple[Header, ...]
    truncated: int
    passed_over: Mapping[str, int]

    @property
    def files(self) -> int:
        """DICOM pictures found, whole or not."""
        return len({header.path for header in self.headers}) + self.truncated


def scan(path: Path) -> Scan:
    """Read the headers of every DICOM file at or under `path`, whatever the files are called.

    Args:
        path: a folder, searched to its depths, or one file.

    Raises:
        RefusedInput: nothing is there (`empty`), nothing is DICOM (`no-dicom`), no file is whole (`truncated`).
    """
    headers: list[Header] = []
    passed: Counter[str] = Counter()
    files = list(_files(path))
    if not files:
        raise RefusedInput("empty", f"no files in {path}: give the folder that holds the study's DICOM or NIfTI files")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # real headers break the standard in ways that do not matter here
        for file in files:
            found = _read(file)
            if isinstance(found, str):
                passed[found] += 1
            else:
                headers += found
    headers.sort(key=lambda h: (h.uid, h.path))  # nothing may depend on file names, so start from the identifiers
    truncated = passed.pop("truncated", 0)
    if not headers:
        _refuse(path, len(files), truncated, passed)
    return Scan(tuple(headers), truncated, dict(passed))


def _refuse(path: Path, files: int, truncated: int, passed: Mapping[str, int]) -> None:
    if truncated:
        raise RefusedInput(
            "truncated",
            f"no whole DICOM picture in {path}: {truncated} of {files} files end too early or are damaged; "
            "transfer the study again",
        )
    what = ", ".join(f"{count} {reason}" for reason, count in sorted(passed.items()))
    raise RefusedInput("no-dicom", f"no DICOM picture in {path}: found {what}; give the folder with the cine files")


def _files(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
        return
    for folder, inner, names in os.walk(path):
        inner.sort()
        for name in sorted(names):
            file = Path(folder) / name
            if file.is_file():
                yield file


def _read(path: Path) -> list[Header] | str:
    """The header of each frame, or why the file is passed over."""
    try:
        with path.open("rb") as handle:
            start = handle.read(132)
            handle.seek(0)
            if start[:2] == b"PK":
                return "zip archive, not opened"
            bare = start[:2] == b"\x08\x00" and start[3:4] == b"\x00"  # DICOM written without its preamble
            if start[128:] != b"DICM" and not bare:
                return "not DICOM"
            if swells(handle):
                return "unpacks to more than a picture can hold"
            return _parse(path, handle)
    except OSError:
        return "not readable"


def _parse(path: Path, handle: Any) -> list[Header] | str:
    import pydicom

    from cinecmr.io.multiframe import frame_entries

    try:
        ds = pydicom.dcmread(handle, stop_before_pixels=True, force=True, specific_tags=TAGS)
        meta = ds.file_meta
        sop_class = str(ds.get("SOPClassUID") or meta.get("MediaStorageSOPClassUID") or "")
        if sop_class == "1.2.840.10008.1.3.10":
            return "DICOMDIR index"
        if not ds.get("Rows") or not ds.get("Columns"):
            return "truncated" if _cut_in_header(sop_class, ds) else "DICOM without a picture"
        syntax = str(meta.get("TransferSyntaxUID", "1.2.840.10008.1.2"))
        if not is_whole(handle, path.stat().st_size, syntax, _pixel_bytes(ds)):
            return "truncated"
        if sop_class not in ENHANCED and "PerFrameFunctionalGroupsSequence" not in ds:
            return [_header(path, ds, sop_class, syntax)]
        entries = frame_entries(ds)
        if not entries:  # what cannot be told apart is one picture without a place
            return [replace(_header(path, ds, sop_class, syntax), place=None, lacks=NO_GROUPS)]
        return [_frame_header(path, one, sop_class, syntax, which) for which, one in enumerate(entries)]
    except pydicom.errors.InvalidDicomError:
        return "not DICOM"
    except Exception:  # damaged bytes make pydicom raise almost anything; whatever it is, this file is lost
        return "truncated"


def _cut_in_header(sop_class: str, ds: Any) -> bool:
    """A picture class whose header ends before the picture's size."""
    return sop_class.startswith("1.2.840.10008.5.1.4.1.1.4") or (not sop_class and "Modality" not in ds)


def _pixel_bytes(ds: Any) -> int:
    pixels = int(ds.Rows) * int(ds.Columns) * int(ds.get("SamplesPerPixel") or 1)
    return pixels * int(ds.get("NumberOfFrames") or 1) * int(ds.get("BitsAllocated") or 16) // 8


def _header(path: Path, ds: Any, sop_class: str, syntax: str) -> Header:
    """From anything that answers `get(keyword)` and `in`: a file's data set, or the entries of one frame."""
    place, lacks = _place(ds)
    description = " ".join(dict.fromkeys(text(ds, tag) for tag in ("SeriesDescription", "ProtocolName"))).strip()
    series_number = number(ds, "SeriesNumber")
    return Header(
        path=path,
        uid=text(ds, "SOPInstanceUID") or str(path),
        sop_class=sop_class,
        series=text(ds, "SeriesInstanceUID") or f"no UID, {series_number}, {description}",
        study=text(ds, "StudyInstanceUID"),
        patient=text(ds, "PatientID") or "/".join((text(ds, "PatientName"), text(ds, "PatientBirthDate"))).strip("/"),
        modality=text(ds, "Modality"),
        series_number=None if series_number is None else int(series_number),
        description=description,
        sequence_name=text(ds, "SequenceName"),
        image_type=tuple(str(part).upper() for part in many(ds.get("ImageType"))),
        shape=(int(ds.get("Columns")), int(ds.get("Rows"))),
        place=place,
        lacks=lacks,
        thickness=positive(number(ds, "SliceThickness")),
        spacing_between=positive(number(ds, "SpacingBetweenSlices")),
        rr_ms=_rr_ms(ds),
        echo_ms=number(ds, "EchoTime"),
        inversion_ms=number(ds, "InversionTime"),
        acquired=_first(clock(ds.get(tag)) for tag in ("AcquisitionTime", "ContentTime", "SeriesTime")),
        frames_in_file=int(number(ds, "NumberOfFrames") or 1),
        colour=int(ds.get("SamplesPerPixel") or 1) != 1,
        burned_in=text(ds, "BurnedInAnnotation").upper() == "YES",
        velocity="VelocityEncodingDirection" in ds or text(ds, "ComplexImageComponent").upper() == "PHASE",
        keys=_phase_keys(ds),
        syntax=syntax,
        tiled=(number(ds, TILES_UIH) or 0) > 1,
        lossy=text(ds, "LossyImageCompression") == "01",
    )


def _frame_header(path: Path, entries: Mapping[str, Any], sop_class: str, syntax: str, which: int) -> Header:
    """The header of one frame of an enhanced object."""
    header = _header(path, entries, sop_class, syntax)
    slope, intercept = number(entries, "RescaleSlope") or 1.0, number(entries, "RescaleIntercept") or 0.0
    indices = dict(zip(INDEX_TAGS, (float(v) for v in many(entries.get("DimensionIndexValues"))), strict=False))
    own = header.keys.get("InstanceNumber", 0.0) * MOST_FRAGMENTS + which  # objects in turn, frames within
    keys = {**header.keys, **indices, "InstanceNumber": own}
    return replace(header, uid=f"{header.uid} {which}", keys=keys, frame=which, rescale=(slope, intercept))


def _place(ds: Any) -> tuple[Place | None, str]:
    """Where the picture lies, in RAS, or what is not said of it."""
    position, stored, spacing = numbers(ds, "ImagePositionPatient", 3), _orientation(ds), _spacing(ds)
    if position is None or stored is None:
        return None, "position or orientation"
    if spacing is None:
        return None, "pixel spacing"
    skew = float(np.abs(stored @ stored.T - np.eye(2)).max())
    left, _, right = np.linalg.svd(stored, full_matrices=False)  # the nearest pair of perpendicular unit vectors
    return Place(position * LPS_TO_RAS, (left @ right) * LPS_TO_RAS, spacing, skew), ""


def _orientation(ds: Any) -> NDArray[np.float64] | None:
    stored = numbers(ds, "ImageOrientationPatient", 6)
    return None if stored is None or not stored.any() else stored.reshape(2, 3)


def _spacing(ds: Any) -> tuple[float, float] | None:
    """Pixel spacing along x and y, mm; only a spacing measured in the patient counts, never `ImagerPixelSpacing`."""
    stored = numbers(ds, "PixelSpacing", 2)
    for tag in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        groups = ds.get(tag)
        if stored is None and groups:
            measures = groups[0].get("PixelMeasuresSequence")
            stored = numbers(measures[0], "PixelSpacing", 2) if measures else None
    if stored is None or (stored <= 0).any():
        return None
    return float(stored[1]), float(stored[0])  # DICOM states rows first, which is the distance along y


def _rr_ms(ds: Any) -> float | None:
    interval = number(ds, "NominalInterval")
    if interval is not None and 200 <= interval <= 3000:
        return interval
    rate = number(ds, "HeartRate")
    return 60000.0 / rate if rate is not None and 20 <= rate <= 300 else None


def _phase_keys(ds: Any) -> dict[str, float]:
    tags = (tag for tag in PHASE_TAGS if tag not in INDEX_TAGS)
    values = {tag: clock(ds.get(tag)) if tag in CLOCK_TAGS else number(ds, tag) for tag in tags}
    return {tag: value for tag, value in values.items() if value is not None}


def _first(values: Iterator[float | None]) -> float:
    return next((value for value in values if value is not None), 0.0)
