"""Labels of one frame as a DICOM Segmentation that refers to the source's pictures, and back.

One BINARY object a phase: highdicom refuses a whole cine as one object, and archives refuse LABELMAP.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cinecmr.anatomy import Structure
from cinecmr.errors import RefusedInput
from cinecmr.io.files import write_atomically

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from cinecmr.io.dicom_source import DicomSource, Instance

MAKER, SERIAL = "cinecmr", "0"
CLASSIC_MR = "1.2.840.10008.5.1.4.1.1.4"
DERIVED_BY = ("113076", "DCM", "Segmentation")
PURPOSE = ("121322", "DCM", "Source image for image processing operation")
SEGMENTS = {  # label; SNOMED CT code and meaning; colour as the report draws it
    Structure.RV: ("RV blood pool", "53085002", "Right ventricle", (108, 184, 255)),
    Structure.MYO: ("LV myocardium", "49848007", "Left Ventricle Myocardium", (56, 214, 164)),
    Structure.LV: ("LV blood pool", "87878005", "Left ventricle", (255, 167, 38)),
    Structure.LA: ("LA blood pool", "82471001", "Left atrium", (226, 140, 214)),
    Structure.RA: ("RA blood pool", "73829009", "Right atrium", (170, 160, 255)),
}


@dataclass(frozen=True)
class Maker:
    """Who answers for labels and numbers.

    Attributes:
        source: such as "sax-unet@3f2a9c10".
        version: of this package.
        automatic: whether a model found them; else a person drew or corrected them.
    """

    source: str
    version: str
    automatic: bool = True


def write_seg(
    path: Path, labels: NDArray[np.uint8], source: DicomSource, frame: int, title: str, maker: Maker, series: str
) -> Any:
    """Write the labels of one frame.

    Args:
        path: where to.
        labels: (x, y, z) `Structure` codes on the grid of the source; `UNSEEN` is written as nothing.
        source: see `dicom_source`.
        frame: index of the frame, from 0.
        title: what the frame is, such as "LV end-diastole".
        maker: who answers for the labels.
        series: UID of the series that the SEG objects of one run share.

    Returns:
        The data set, without its pixels.

    Raises:
        RefusedInput: highdicom is not installed.
        ValueError: the labels are not on the source's grid.
    """
    if labels.ndim != 3 or labels.shape[2] != len(source.planes):
        raise ValueError(f"labels must be (x, y, z) with {len(source.planes)} slices, got shape {labels.shape}")
    hd = highdicom()
    there = [z for z, plane in enumerate(source.planes) if plane is not None]
    codes = [int(code) for code in SEGMENTS if code <= max(Structure.LV, _highest(labels))]
    pixels = np.where(np.isin(labels, codes), labels, 0)[:, :, there].T.astype(np.uint8)  # (z, row, column)
    measures = hd.PixelMeasuresSequence(
        pixel_spacing=source.spacing,
        slice_thickness=source.thickness or source.step,
        spacing_between_slices=source.step,
    )
    positions = [source.planes[z] for z in there]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of highdicom and pydicom: about names in the source's header
        made = hd.seg.Segmentation(
            source_images=[stand_in(source, frame, labels.shape[:2])],
            pixel_array=np.ascontiguousarray(pixels),
            segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
            segment_descriptions=[_segment(hd, code, maker) for code in codes],
            series_instance_uid=series,
            series_number=900,
            sop_instance_uid=hd.UID(),
            instance_number=frame + 1,
            **_device(maker),
            series_description="cinecmr labels, research use",
            content_label=f"FRAME_{frame}",
            content_description=f"Labels of frame {frame} ({title})"[:64],
            pixel_measures=measures,
            plane_orientation=hd.PlaneOrientationSequence("PATIENT", source.orientation),
            plane_positions=[hd.PlanePositionSequence("PATIENT", one.position) for one in positions if one],
        )
        _refer(made, source, frame, there)
        write_atomically(path, lambda temporary: made.save_as(temporary))
    del made.PixelData
    return made


def read_seg(path: Path, source: DicomSource) -> NDArray[np.uint8]:
    """The labels of a SEG object on the grid of its source.

    Args:
        path: as `write_seg` writes it.
        source: see `dicom_source`.

    Returns:
        (x, y, z) `Structure` codes, `UNSEEN` in slices that were never acquired.

    Raises:
        ValueError: a frame lies where the source has no slice.
    """
    import pydicom

    ds = pydicom.dcmread(path)
    labels = np.zeros((ds.Columns, ds.Rows, len(source.planes)), np.uint8)
    frames = np.asarray(ds.pixel_array).reshape(-1, ds.Rows, ds.Columns)
    by_label = {str(item.SegmentNumber): item.SegmentLabel for item in ds.SegmentSequence}
    codes = {label: code for code, (label, *_) in SEGMENTS.items()}
    for pixels, group in zip(frames, ds.PerFrameFunctionalGroupsSequence, strict=True):
        number = group.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        z = _slice_at(group.PlanePositionSequence[0].ImagePositionPatient, source)
        labels[:, :, z][pixels.T > 0] = codes[by_label[str(number)]]
    labels[:, :, [z for z, plane in enumerate(source.planes) if plane is None]] = Structure.UNSEEN
    return labels


def highdicom() -> Any:
    """The module, only when a DICOM object is made.

    Raises:
        RefusedInput: it is not installed.
    """
    try:
        import highdicom
    except ImportError as error:
        raise RefusedInput("no-highdicom", "writing DICOM needs highdicom: pip install 'cinecmr[dicom]'") from error
    return highdicom


def stand_in(source: DicomSource, frame: int, shape: tuple[int, int]) -> Any:
    """A classic picture without pixels that says of person, study and place what the new object shall say."""
    from pydicom.dataset import Dataset

    first = source.pictures(frame)[0]
    ds = Dataset()
    for key in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID",
                "StudyDate", "StudyTime", "ReferringPhysicianName"):  # fmt: skip
        setattr(ds, key, source.header.get(key, ""))
    for key, value in source.header.items():
        setattr(ds, key, value)
    ds.SOPClassUID, ds.SOPInstanceUID, ds.SeriesInstanceUID = CLASSIC_MR, first.uid, first.series
    ds.Modality = "MR"
    ds.Columns, ds.Rows = shape
    ds.PixelSpacing, ds.SliceThickness = list(source.spacing), source.thickness or source.step
    ds.ImageOrientationPatient = list(source.orientation)
    ds.ImagePositionPatient = list(next(plane.position for plane in source.planes if plane is not None))
    return ds


def coded(code: tuple[str, str, str]) -> Any:
    """A data set of code value, scheme and meaning."""
    from pydicom.dataset import Dataset

    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code
    return item


def _highest(labels: NDArray[np.uint8]) -> int:
    return int(labels[labels != Structure.UNSEEN].max(initial=0))


def _device(maker: Maker) -> dict[str, str]:
    return {
        "manufacturer": MAKER,
        "manufacturer_model_name": MAKER,
        "software_versions": maker.version,
        "device_serial_number": SERIAL,
    }


def _segment(hd: Any, code: int, maker: Maker) -> Any:
    from pydicom.sr.codedict import codes

    label, value, meaning, rgb = SEGMENTS[Structure(code)]
    kinds = hd.seg.SegmentAlgorithmTypeValues
    algorithm = hd.AlgorithmIdentificationSequence(
        name=MAKER,
        family=codes.DCM.ArtificialIntelligence,
        version=f"{maker.version}, {maker.source}"[:64],
        source=MAKER,
    )
    return hd.seg.SegmentDescription(
        segment_number=code,
        segment_label=label,
        segmented_property_category=codes.SCT.AnatomicalStructure,
        segmented_property_type=hd.sr.CodedConcept(value, "SCT", meaning),
        algorithm_type=kinds.AUTOMATIC if maker.automatic else kinds.MANUAL,
        algorithm_identification=algorithm if maker.automatic else None,
        tracking_uid=hd.UID(),
        tracking_id=f"{label}",
        display_color=hd.color.CIELabColor.from_rgb(*rgb),
    )


def _slice_at(position: Any, source: DicomSource) -> int:
    where = np.array([float(v) for v in position])
    far = [np.inf if plane is None else float(np.linalg.norm(where - plane.position)) for plane in source.planes]
    if min(far) > 0.01:
        raise ValueError(f"a frame lies at {where} mm, where the source has no slice")
    return int(np.argmin(far))


def _refer(made: Any, source: DicomSource, frame: int, there: list[int]) -> None:
    """Replace the references to the stand-in by those to the pictures that each plane was drawn on."""
    from pydicom.dataset import Dataset

    for group in made.PerFrameFunctionalGroupsSequence:
        plane = source.planes[_slice_at(group.PlanePositionSequence[0].ImagePositionPatient, source)]
        assert plane is not None  # noqa: S101 - `_slice_at` gives acquired slices only
        derivation = Dataset()
        derivation.SourceImageSequence = [_reference(plane.pictures[frame], aligned=plane.aligned)]
        derivation.DerivationCodeSequence = [coded(DERIVED_BY)]
        group.DerivationImageSequence = [derivation]
    made.ReferencedSeriesSequence = referenced_series([source.planes[z].pictures[frame] for z in there])  # type: ignore[union-attr]


def _reference(picture: Instance, *, aligned: bool) -> Any:
    item = reference(picture)
    item.PurposeOfReferenceCodeSequence = [coded(PURPOSE)]
    item.SpatialLocationsPreserved = "YES" if aligned else "NO"
    return item


def reference(picture: Instance) -> Any:
    """A data set that names one picture."""
    from pydicom.dataset import Dataset

    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = picture.sop_class, picture.uid
    if picture.frame is not None:
        item.ReferencedFrameNumber = picture.frame
    return item


def referenced_series(pictures: list[Instance]) -> list[Any]:
    """One item a series, each naming its instances once."""
    from pydicom.dataset import Dataset

    series: dict[str, dict[str, Any]] = {}
    for picture in pictures:
        item = reference(picture)
        if "ReferencedFrameNumber" in item:  # the whole object here; which frame stands at each plane
            del item.ReferencedFrameNumber
        series.setdefault(picture.series, {})[picture.uid] = item
    made = []
    for uid, items in series.items():
        one = Dataset()
        one.SeriesInstanceUID = uid
        one.ReferencedInstanceSequence = list(items.values())
        made.append(one)
    return made
