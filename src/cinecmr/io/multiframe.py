"""Enhanced multi-frame objects: what each frame says of itself, under the keywords of a classic file.

Enhanced MR keeps in nested groups, shared or one a frame, what classic MR keeps in one flat header. Here the groups
are laid flat, so that all that follows treats a frame like a file: geometry and times decide, never the order of frames
or of the dimension indices, in which vendors contradict themselves. What is stated nowhere stays unknown; nothing is
made up.

Source: DICOM PS3.3 C.7.6.16 (functional groups), A.36 (Enhanced MR), A.70 (Legacy Converted Enhanced MR).
"""

from __future__ import annotations

from collections import ChainMap
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from cinecmr.io.entries import UNREADABLE, many

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# Sequence of a functional group: keyword in its item -> keyword of the same entry in a classic header.
_GROUPS: dict[str, dict[str, str]] = {
    "PlanePositionSequence": {"ImagePositionPatient": "ImagePositionPatient"},
    "PlaneOrientationSequence": {"ImageOrientationPatient": "ImageOrientationPatient"},
    "PixelMeasuresSequence": {
        "PixelSpacing": "PixelSpacing",
        "SliceThickness": "SliceThickness",
        "SpacingBetweenSlices": "SpacingBetweenSlices",
    },
    "CardiacSynchronizationSequence": {
        "NominalPercentageOfCardiacPhase": "NominalPercentageOfCardiacPhase",
        "NominalCardiacTriggerDelayTime": "NominalCardiacTriggerDelayTime",
        "RRIntervalTimeNominal": "NominalInterval",
    },
    "FrameContentSequence": {
        "TemporalPositionIndex": "TemporalPositionIdentifier",
        "DimensionIndexValues": "DimensionIndexValues",
        "FrameAcquisitionDateTime": "AcquisitionDateTime",
    },
    "MRImageFrameTypeSequence": {"FrameType": "ImageType", "ComplexImageComponent": "ComplexImageComponent"},
    "MREchoSequence": {"EffectiveEchoTime": "EchoTime"},
    "MRModifierSequence": {"InversionTimes": "InversionTime"},
    "MRVelocityEncodingSequence": {"VelocityEncodingDirection": "VelocityEncodingDirection"},
    "PixelValueTransformationSequence": {"RescaleSlope": "RescaleSlope", "RescaleIntercept": "RescaleIntercept"},
}
# Legacy conversion keeps what found no group as it stood, already under its classic keyword.
_LEFT_OVER = ("UnassignedSharedConvertedAttributesSequence", "UnassignedPerFrameConvertedAttributesSequence")
_OF_EACH = {"ImagePositionPatient", "ImageOrientationPatient"}  # said once for many frames, it is true of none for sure


def frame_entries(ds: Any) -> list[Mapping[str, Any]]:
    """What each frame of an enhanced object says, under classic keywords.

    Args:
        ds: the pydicom data set of the object's header.

    Returns:
        One mapping a frame, in the order of the pixels. Empty where the object does not hold one group for each frame:
        which frame a group belongs to is then not known.
    """
    groups = list(ds.get("PerFrameFunctionalGroupsSequence") or [])
    if len(groups) != int(ds.get("NumberOfFrames") or 1):
        return []
    top = _entries(ds)
    if len(groups) > 1:
        top = {keyword: value for keyword, value in top.items() if keyword not in _OF_EACH}
    shared = _flat(list(ds.get("SharedFunctionalGroupsSequence") or [])[:1])
    return [ChainMap(_flat([group]), shared, top) for group in groups]


def _entries(ds: Any) -> dict[str, Any]:
    """Entries of a data set that can be read, sequences apart."""
    found = {}
    for tag in ds.keys():  # noqa: SIM118 - a data set iterates over elements, and stops at the first that is damaged
        with suppress(*UNREADABLE):
            if ds[tag].keyword and ds[tag].VR != "SQ":
                found[ds[tag].keyword] = ds[tag].value
    return _with_clock(found)


def _with_clock(found: dict[str, Any]) -> dict[str, Any]:
    """With the time of day taken from a date and time."""
    moment = str(found.get("AcquisitionDateTime") or "")
    return {**found, "AcquisitionTime": moment[8:]} if len(moment) > 8 else found


def _flat(groups: Sequence[Any]) -> dict[str, Any]:
    """The entries of one functional group."""
    found: dict[str, Any] = {}
    for group in groups:
        for sequence in _LEFT_OVER:
            for item in group.get(sequence) or []:
                found |= _entries(item)
        for sequence, words in _GROUPS.items():
            for item in list(group.get(sequence) or [])[:1]:
                found |= {classic: item.get(word) for word, classic in words.items() if item.get(word) is not None}
    if "InversionTime" in found:  # one frame may have had several
        found["InversionTime"] = next(iter(many(found["InversionTime"])), None)
    if not any(many(found.get("VelocityEncodingDirection"))):  # some state a direction of zeros where flow is not coded
        found.pop("VelocityEncodingDirection", None)
    return _with_clock(found)
