"""Where each slice and frame of the short-axis cine came from: what DICOM objects made of it refer to.

A SEG or SR belongs to a study of an archive, so it names the source's instances, its geometry to the last digit, and
the person. The person is named as in every other output: by a hash, unless the user asked to keep the identifier.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from cinecmr.anatomy import View
from cinecmr.errors import RefusedInput
from cinecmr.io.choice import choose
from cinecmr.io.headers import LPS_TO_RAS
from cinecmr.io.stack import common_beat
from cinecmr.io.subject import subject_name

if TYPE_CHECKING:
    from pathlib import Path

    from cinecmr.io.choice import Choice
    from cinecmr.io.frames import Ordered
    from cinecmr.io.headers import Header
    from cinecmr.io.planes import Run
    from cinecmr.study import Image

SAME_GRID_MM = 0.1  # a slice whose corner lies this near to where the stack expects it keeps its own position
SAME_AXES = 1e-3
IDENTITY = ("PatientName", "PatientID", "PatientBirthDate", "AccessionNumber", "StudyID", "StudyDate", "StudyTime",
            "ReferringPhysicianName", "StudyDescription")  # fmt: skip
KEPT = ("PatientSex", "StudyInstanceUID", "FrameOfReferenceUID", "PositionReferenceIndicator", "SpecificCharacterSet")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Instance(_Strict):
    """One picture of the source: a file, or with `frame` (from 1) one of its frames."""

    sop_class: str
    uid: str
    series: str
    frame: int | None


class Plane(_Strict):
    """One slice: its first pixel's centre in LPS, mm; whether its pixels are the source's; a picture for each frame."""

    position: tuple[float, float, float]
    aligned: bool
    pictures: list[Instance]


class DicomSource(_Strict):
    """What objects made of a study's short axis say of where it came from.

    Attributes:
        header: DICOM keyword to text, of the person and the study.
        orientation: direction cosines of rows and columns, LPS, as ImageOrientationPatient.
        spacing: PixelSpacing, mm: from row to row, from column to column.
        step: from slice to slice, mm.
        thickness: of a slice, mm, where known.
        planes: one for each z index; None where a slice was never acquired.
    """

    header: dict[str, str]
    orientation: tuple[float, float, float, float, float, float]
    spacing: tuple[float, float]
    step: float
    thickness: float | None
    planes: list[Plane | None]

    def pictures(self, frame: int) -> list[Instance]:
        """The source's pictures of one frame, base to apex."""
        return [plane.pictures[frame] for plane in self.planes if plane is not None]


def dicom_source(
    path: Path, image: Image, *, keep_id: bool = False, sax: str | None = None, rr_ms: float | None = None
) -> DicomSource:
    """Find the source of a short-axis cine that was read from a DICOM folder.

    Args:
        path: what was read; its headers are read again.
        image: the short-axis cine, as read.
        keep_id: name the person as the source does; else by a hash, and leave birth date, dates and numbers out.
        sax: as it was read with.
        rr_ms: as it was read with.

    Raises:
        RefusedInput: the files lack the identifiers that a reference needs (`no-dicom-source`), or cannot be read.
    """
    choice = choose(path, sax=sax, rr_ms=rr_ms)
    if choice.sax is None or choice.sax.grid.slices != image.slices:
        raise RefusedInput("no-dicom-source", f"{path} no longer holds the short axis that was read; analyse it again")
    planes: list[Plane | None] = [None] * image.slices
    orientation = np.concatenate([_unit(image.affine[:3, 0]), _unit(image.affine[:3, 1])])
    phases = common_beat(choice.timing[View.SAX]).phases
    for run, z, ordered in zip(choice.sax.runs, choice.sax.grid.index, choice.timing[View.SAX].planes, strict=True):
        planes[z] = _plane(run, ordered, z, image, phases)
    x, y, z_step = image.spacing
    return DicomSource(
        header=_header(choice, keep_id=keep_id),
        orientation=tuple(float(v) for v in orientation),
        spacing=(float(y), float(x)),
        step=float(z_step),
        thickness=image.thickness_mm,
        planes=planes,
    )


def _unit(direction: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.asarray(direction / np.linalg.norm(direction) * LPS_TO_RAS)


def _plane(run: Run, ordered: Ordered, z: int, image: Image, phases: np.ndarray[Any, Any]) -> Plane:
    """The slice as its own headers place it, where its pixels were taken as they are."""
    expected = image.affine[:3, 3] + z * image.affine[:3, 2]
    axes = np.array([column / np.linalg.norm(column) for column in image.affine[:3, :2].T])
    same_pixels = run.first.shape == image.data.shape[:2] and np.allclose(run.place.spacing, image.spacing[:2], 1e-3)
    near = np.linalg.norm(run.place.position - expected) < SAME_GRID_MM
    aligned = bool(same_pixels and near and np.abs(run.place.axes - axes).max() < SAME_AXES)
    position = (run.place.position if aligned else expected) * LPS_TO_RAS
    nearest = [int(np.abs(ordered.phases - phase).argmin()) for phase in phases]
    pictures = [_instance(ordered.headers[t]) for t in nearest]
    return Plane(position=tuple(float(v) for v in position), aligned=aligned, pictures=pictures)


def _instance(header: Header) -> Instance:
    uid = header.uid.split()[0] if header.frame is not None else header.uid
    if not _is_uid(uid) or not _is_uid(header.series) or not header.sop_class:
        raise RefusedInput(
            "no-dicom-source", f"series {header.series_number} lacks the identifiers (UIDs) that a SEG or SR refers to"
        )
    return Instance(
        sop_class=header.sop_class,
        uid=uid,
        series=header.series,
        frame=None if header.frame is None else header.frame + 1,
    )


def _is_uid(text: str) -> bool:
    return bool(text) and len(text) <= 64 and all(part.isdigit() for part in text.split("."))


def _header(choice: Choice, *, keep_id: bool) -> dict[str, str]:
    """What the new objects say of person and study."""
    import pydicom

    from cinecmr.io.entries import text

    assert choice.sax is not None  # noqa: S101 - its caller has looked
    ds = pydicom.dcmread(choice.sax.runs[0].first.path, stop_before_pixels=True, specific_tags=[*IDENTITY, *KEPT])
    said = {key: text(ds, key) for key in KEPT}
    said["SpecificCharacterSet"] = "ISO_IR 192"  # what is written is UTF-8, whatever was read
    for needed in ("StudyInstanceUID", "FrameOfReferenceUID"):
        if not _is_uid(said[needed]):
            raise RefusedInput(
                "no-dicom-source", f"the source states no {needed}, which a SEG needs; leave --dicom out or repair it"
            )
    name = subject_name(choice.patient)
    said |= {key: text(ds, key) for key in IDENTITY} if keep_id else {"PatientName": f"{name}^", "PatientID": name}
    return {key: value for key, value in said.items() if value}
