"""Classic frames put together as enhanced multi-frame objects, as Philips, Siemens XA and archives write them.

The frames are made as classic files first, so that every fault and habit of those can be had in enhanced form too.

Source: DICOM PS3.3 A.36 (Enhanced MR), A.70 (Legacy Converted Enhanced MR), C.7.6.16 (functional groups), C.7.6.17
(dimensions).
"""

from __future__ import annotations

from collections import defaultdict
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cinecmr.phantom.dicom_files import DAY, Form, Frame, decimal, get_pixels, put_pixels, uid

if TYPE_CHECKING:
    from collections.abc import Sequence

ENHANCED_MR, LEGACY_MR = "1.2.840.10008.5.1.4.1.1.4.1", "1.2.840.10008.5.1.4.1.1.4.4"
STACK, SLICE, TIME = 0x00209056, 0x00209057, 0x00209128  # StackID, InStackPositionNumber, TemporalPositionIndex
FRAME_CONTENT = 0x00209111
OF_ONE_FRAME = (
    "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness", "SpacingBetweenSlices",
    "TriggerTime", "NominalInterval", "HeartRate", "TemporalPositionIdentifier", "AcquisitionTime", "InstanceNumber",
    "CardiacNumberOfImages", "EchoTime", "InversionTime", "RescaleSlope", "RescaleIntercept", "PixelData",
    "SOPInstanceUID", "RepetitionTime", "FlipAngle", "ScanningSequence", "SequenceVariant",
)  # fmt: skip
LEFT_OVER = ("TriggerTime", "NominalInterval", "HeartRate", "AcquisitionTime", "InstanceNumber", "EchoTime",
             "InversionTime")  # fmt: skip


@dataclass(frozen=True)
class _Place:
    """Indices of a frame within its object, from 1."""

    slice: int
    time: int


def put_together(files: Sequence[Frame]) -> list[Frame]:
    """Merge the frames that shall be enhanced, one object a series and pixel grid; the others stay files of their own.

    Args:
        files: classic frames; `form` says which shall be merged, and how.

    Returns:
        Files to write; an object has the name and place in the list of its first frame.
    """
    objects: dict[object, list[Frame]] = defaultdict(list)
    for f in files:
        series = f.ds.get("SeriesInstanceUID", "")
        kind = (series, f.form, f.ds.Rows, f.ds.Columns, str(f.ds.get("PixelSpacing"))) if f.form else id(f)
        objects[kind].append(f)
    return [_object(group, group[0].form) if group[0].form else group[0] for group in objects.values()]


def _object(files: list[Frame], form: Form) -> Frame:
    heights = sorted({f.z for f in files})
    places = {id(f): _Place(heights.index(f.z) + 1, f.t + 1) for f in files}

    def turn(f: Frame) -> tuple[int, int]:
        place = places[id(f)]
        return (place.time, place.slice) if form.time_first else (place.slice, place.time)

    files = sorted(files, key=turn)
    ds = _top(files, form)
    one = len({tuple(f.ds.ImagePositionPatient) for f in files}) == 1
    in_shared = form.place == "shared" and one
    ds.SharedFunctionalGroupsSequence = [_shared(files, form, place=in_shared)]
    groups = [_own(f, places[id(f)], form, place=form.place != "nowhere" and not in_shared) for f in files]
    ds.PerFrameFunctionalGroupsSequence = groups[: len(groups) - form.groups_lost]
    if form.dimensions:
        _put_dimensions(ds, form)
    return Frame(ds, files[0].view, files[0].z, files[0].t, files[0].name, sum(f.cut for f in files))


def _top(files: list[Frame], form: Form) -> Any:
    """What all frames share, and the pixels of all."""
    first = files[0].ds
    ds = deepcopy(first)
    for keyword in OF_ONE_FRAME:
        ds.pop(keyword, None)
    ds.SOPClassUID = LEGACY_MR if form.legacy else ENHANCED_MR
    ds.SOPInstanceUID = uid(first.SOPInstanceUID, "enhanced")
    ds.InstanceNumber, ds.NumberOfFrames = min(int(f.ds.InstanceNumber) for f in files), len(files)
    ds.ImageType = ["ORIGINAL" if form.legacy else str(first.ImageType[0]), "PRIMARY", "CARDIAC", "NONE"]
    ds.AcquisitionDateTime = DAY + str(first.get("AcquisitionTime") or "090000.000000")
    pixels = np.stack([get_pixels(f.ds) for f in files])
    put_pixels(ds, pixels[0], bits=int(first.BitsStored), signed=bool(first.PixelRepresentation))
    ds.PhotometricInterpretation = first.PhotometricInterpretation
    ds.PixelData = pixels.astype("<i2" if first.PixelRepresentation else "<u2").tobytes()
    return ds


def _shared(files: list[Frame], form: Form, *, place: bool) -> Any:
    first, group = files[0].ds, _item()
    if place:
        group.PlanePositionSequence = [_item(ImagePositionPatient=first.ImagePositionPatient)]
    measures = {k: first.get(k) for k in ("PixelSpacing", "SliceThickness", "SpacingBetweenSlices") if k in first}
    group.PixelMeasuresSequence = [_item(**measures)]
    slope, intercept = first.get("RescaleSlope", decimal(1)), first.get("RescaleIntercept", decimal(0))
    group.PixelValueTransformationSequence = [_item(RescaleSlope=slope, RescaleIntercept=intercept, RescaleType="US")]
    if not form.legacy:
        kind = [str(first.ImageType[0]), "PRIMARY", "CARDIAC", "NONE"]
        group.MRImageFrameTypeSequence = [_item(FrameType=kind, ComplexImageComponent="MAGNITUDE")]
        if "InversionTime" in first:
            group.MRModifierSequence = [_item(InversionTimes=[float(first.InversionTime)])]
        group.MREchoSequence = [_item(EffectiveEchoTime=float(first.get("EchoTime", 1.5)))]
    return group


def _own(f: Frame, indices: _Place, form: Form, *, place: bool) -> Any:
    """The functional group of one frame."""
    group = _item()
    if place:
        group.PlanePositionSequence = [_item(ImagePositionPatient=f.ds.ImagePositionPatient)]
    if form.place != "nowhere":
        group.PlaneOrientationSequence = [_item(ImageOrientationPatient=f.ds.ImageOrientationPatient)]
    content = _item(FrameAcquisitionDateTime=DAY + str(f.ds.get("AcquisitionTime") or "090000.000000"))
    if form.dimensions:
        content.StackID, content.InStackPositionNumber = "1", indices.slice
        content.TemporalPositionIndex = indices.time
        by_time = form.time_first != form.contradicts
        content.DimensionIndexValues = [1, indices.time, indices.slice] if by_time else [1, indices.slice, indices.time]
    group.FrameContentSequence = [content]
    if form.legacy:
        kept = {keyword: f.ds.get(keyword) for keyword in LEFT_OVER if keyword in f.ds}
        group.UnassignedPerFrameConvertedAttributesSequence = [_item(**kept)]
    else:
        _put_cardiac(group, f)
    return group


def _put_cardiac(group: Any, f: Frame) -> None:
    """When in the beat."""
    sync = _item()
    if "TriggerTime" in f.ds:
        sync.NominalCardiacTriggerDelayTime = float(f.ds.TriggerTime)
    if "NominalInterval" in f.ds:
        sync.RRIntervalTimeNominal = float(f.ds.NominalInterval)
    group.CardiacSynchronizationSequence = [sync]


def _put_dimensions(ds: Any, form: Form) -> None:
    """Which indices tell frames apart; some scanners state them in one order and give their values in another."""
    organisation = uid(ds.SOPInstanceUID, "dimensions")
    ds.DimensionOrganizationSequence = [_item(DimensionOrganizationUID=organisation)]
    pointers = (STACK, TIME, SLICE) if form.time_first else (STACK, SLICE, TIME)
    ds.DimensionIndexSequence = [
        _item(
            DimensionOrganizationUID=organisation, DimensionIndexPointer=pointer, FunctionalGroupPointer=FRAME_CONTENT
        )
        for pointer in pointers
    ]


def _item(**entries: Any) -> Any:
    from pydicom.dataset import Dataset

    item = Dataset()
    for keyword, value in entries.items():
        setattr(item, keyword, value)
    return item
