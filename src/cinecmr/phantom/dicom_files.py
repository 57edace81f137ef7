"""A `Study` as a DICOM file set, in the habits of one vendor, with faults on request.

The headers hold a planted name and identifier (`PLANTED...`), so that tests can search what the package writes for
a leak. Nothing in these files is of a living person.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from cinecmr.anatomy import Contrast, View
from cinecmr.io.files import write_bytes

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from pathlib import Path

    from numpy.typing import NDArray

    from cinecmr.study import Facts, Image, Study

MR_IMAGE = "1.2.840.10008.5.1.4.1.1.4"
EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
OTHER_CONTRASTS = {  # words added to a series' description, and its sequence
    Contrast.TAGGED: ("TAG", "*fl2d1tag"),
    Contrast.LGE: ("PSIR LGE", "*fl2d1"),
    Contrast.T2: ("T2 STIR", "*tse2d1"),
}
RAS_TO_LPS = np.array([-1.0, -1.0, 1.0])
PLANTED_NAME, PLANTED_ID = "PLANTED^NAME", "PLANTED-ID"
BIRTH, DAY, NINE_OCLOCK = "19601231", "20240105", 9 * 3600.0


@dataclass(frozen=True)
class Form:
    """How frames are put together as an enhanced multi-frame object (`dicom_enhanced`).

    Attributes:
        legacy: Legacy Converted Enhanced MR, as archives make of classic files; else Enhanced MR, as scanners write.
        time_first: frames are stored time by time, and the dimension indices state time before slice.
        contradicts: the values of the dimension indices stand in another order than the sequence that explains them.
        dimensions: whether dimension indices are stated at all.
        place: where the position of a frame is stated: "frame" (its own group), "shared" (the group of all frames,
            where they share one plane) or "nowhere".
        groups_lost: groups of frames that are missing at the end.
    """

    legacy: bool = False
    time_first: bool = False
    contradicts: bool = False
    dimensions: bool = True
    place: str = "frame"
    groups_lost: int = 0


@dataclass(frozen=True)
class Vendor:
    """What a manufacturer's files look like.

    Attributes:
        manufacturer: as in the header.
        series_per_slice: else one series holds the whole stack.
        names: description of each view.
        spacing_between: whether SpacingBetweenSlices is stated.
        heart_rate: whether HeartRate is stated.
        temporal_position: whether TemporalPositionIdentifier is stated.
        signed: 16-bit signed pixels, else 12-bit unsigned.
        half_step: whether the first frame lies half a frame after the R wave.
        slope: rescale slope; the stored values are divided by it.
        form: of the enhanced objects it writes, one a series; None where it writes a file a frame.
    """

    manufacturer: str
    series_per_slice: bool
    names: dict[View, str]
    spacing_between: bool = False
    heart_rate: bool = False
    temporal_position: bool = False
    signed: bool = False
    half_step: bool = False
    slope: float = 1.0
    form: Form | None = None


def _names(sax: str, two: str, three: str, four: str) -> dict[View, str]:
    return {View.SAX: sax, View.LAX_2C: two, View.LAX_3C: three, View.LAX_4C: four}


_SIEMENS = Vendor("Siemens Healthineers", True, _names("cine_trufi_retro", "cine 2CH", "cine 3CH", "cine 4CH"))
_PHILIPS = Vendor(
    "Philips Medical Systems",
    False,
    _names("sBTFE_BH SA", "sBTFE_BH 2ch", "sBTFE_BH 3ch", "sBTFE_BH 4ch"),
    spacing_between=True,
    heart_rate=True,
    temporal_position=True,
    slope=0.5,
)
VENDORS = {
    "siemens": _SIEMENS,
    "siemens-xa": replace(_SIEMENS, form=Form()),
    "ge": Vendor(
        "GE MEDICAL SYSTEMS",
        False,
        _names("FIESTA SAX", "FIESTA 2CH", "FIESTA 3CH", "FIESTA 4CH"),
        spacing_between=True,
        heart_rate=True,
        signed=True,
        half_step=True,
    ),
    "philips": _PHILIPS,
    "philips-enhanced": replace(_PHILIPS, form=Form()),
    "legacy-converted": replace(_PHILIPS, form=Form(legacy=True, dimensions=False)),
}


@dataclass
class Frame:
    """One file to be: its header and pixels, where it belongs, and its name below the folder.

    Attributes:
        ds: the pydicom data set.
        view, z, t: what it shows.
        name: path below the folder.
        cut: bytes cut off the end of the file.
        form: how it shall be put together with the others of its series; None leaves it a file of its own.
        coding: a transfer syntax to state in place of that of the pixels; None states the true one.
    """

    ds: Any
    view: View | None
    z: int
    t: int
    name: str
    cut: int = 0
    form: Form | None = None
    coding: str | None = None


def write_dicom(
    study: Study,
    folder: Path,
    *,
    seed: int = 0,
    vendor: str | None = None,
    faults: Iterable[str] = (),
    syntax: str = "explicit",
) -> None:
    """Write a study as DICOM files: one a frame, or enhanced objects of many frames, as the vendor does.

    Args:
        study: cines and any other contrasts; slices named in `missing_slices` are not written.
        folder: made if absent.
        seed: of identifiers and of what the faults draw.
        vendor: a name of `VENDORS`; that of the study's own scanner, where one is known, when None.
        faults: names of `dicom_faults.FAULTS`, applied in order.
        syntax: a name of `dicom_syntax.SYNTAXES`.

    Raises:
        ValueError: an unknown vendor, fault or syntax, or one that cannot be had here (see `check`).
    """
    from cinecmr.phantom.dicom_enhanced import put_together
    from cinecmr.phantom.dicom_faults import FAULTS
    from cinecmr.phantom.dicom_syntax import put_syntax

    vendor, faults = vendor or _vendor_of(study), tuple(faults)
    check(vendor, faults, syntax)
    files = frames_of(study, VENDORS[vendor], seed)
    rng = np.random.default_rng(seed)
    for fault in faults:
        files = FAULTS[fault](files, rng)
    coded: set[int] = set()
    for file in put_together(files):
        if id(file.ds) not in coded:  # a copy of a file shares its data set
            put_syntax(file.ds, syntax, file.coding)
            coded.add(id(file.ds))
        data = encode(file.ds)
        write_bytes(folder / PurePosixPath(file.name), data[: len(data) - file.cut])


def check(vendor: str | None, faults: Iterable[str], syntax: str) -> None:
    """Whether a study can be written so, before anything is made.

    Raises:
        ValueError: an unknown vendor, fault or syntax; a fault of enhanced objects where the vendor writes none; a
            syntax for which no encoder is installed.
    """
    from cinecmr.phantom.dicom_faults import FAULTS
    from cinecmr.phantom.dicom_objects import OF_ENHANCED
    from cinecmr.phantom.dicom_syntax import SYNTAXES, can_write

    asked: list[tuple[str, str | None, Collection[str]]] = [("vendor", vendor, VENDORS), ("syntax", syntax, SYNTAXES)]
    asked += [("fault", fault, FAULTS) for fault in faults]
    for what, name, known in asked:
        if name is not None and name not in known:
            near = get_close_matches(name, known, 3) or known
            raise ValueError(f"no {what} {name!r}: there are {', '.join(near)}{' ...' * (len(near) < len(known))}")
    enhanced = [name for name, one in VENDORS.items() if one.form is not None]
    needy = [fault for fault in faults if fault in OF_ENHANCED]
    if needy and vendor not in enhanced:
        raise ValueError(f"fault {needy[0]!r} is one of enhanced objects: choose a vendor of {', '.join(enhanced)}")
    if reason := can_write(syntax):
        raise ValueError(f"the pixels cannot be written so: {reason}")


def _vendor_of(study: Study) -> str:
    stated = (study.facts.vendor or "").lower()
    return next((name for name in VENDORS if stated.startswith(name)), "siemens")


def frames_of(study: Study, vendor: Vendor, seed: int) -> list[Frame]:
    """Every frame of every image, cines first, in the order a scanner would send them."""
    files: list[Frame] = []
    series, clock = 1, NINE_OCLOCK
    for (view, contrast), image in sorted(study.images.items(), key=lambda pair: pair[0][1] is not Contrast.CINE):
        pixels, slope = _stored(image.data, vendor)
        number = 0
        for z in range(image.slices):
            if z in image.missing_slices:
                continue
            for t in range(image.frames):
                number += 1
                ds = _dataset(study, image, view, z, t, vendor, f"{seed}/{study.subject}", series, number)
                _put_pixels(ds, pixels[:, :, z, t].T, vendor, slope)
                _put_contrast(ds, contrast)
                _put_clock(ds, clock, clock + 12 + 0.03 * t)
                shows = view if contrast is Contrast.CINE else None  # faults are those of cines
                files.append(Frame(ds, shows, z, t, f"{series:03d}/{number:05d}.dcm", form=vendor.form))
            clock += 25.0
            if vendor.series_per_slice:
                series, number = series + 1, 0
        series += not vendor.series_per_slice
    return files


def uid(*words: object) -> str:
    """An identifier that follows from what it names."""
    digits = int(hashlib.sha256("/".join(map(str, words)).encode()).hexdigest()[:30], 16)
    return f"2.25.{digits}"


def encode(ds: Any) -> bytes:
    """The file."""
    buffer = io.BytesIO()
    ds.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def decimal(values: Any) -> Any:
    """Numbers as DICOM's decimal strings, as exact as 16 characters allow."""
    from pydicom.valuerep import DSfloat

    if np.ndim(values) == 0:
        return DSfloat(float(values), auto_format=True)
    return [DSfloat(float(value), auto_format=True) for value in values]


def clock_text(seconds: float) -> str:
    """Seconds after midnight as DICOM time."""
    return f"{int(seconds // 3600):02d}{int(seconds % 3600 // 60):02d}{seconds % 60:09.6f}"


def _dataset(
    study: Study, image: Image, view: View, z: int, t: int, vendor: Vendor, root: str, series: int, number: int
) -> Any:
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import UID

    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.ImageType = ["ORIGINAL", "PRIMARY", "M", "RETRO"]
    ds.SOPClassUID = MR_IMAGE
    ds.SOPInstanceUID = uid(root, series, number)
    ds.StudyInstanceUID = uid(root, "study")
    ds.SeriesInstanceUID = uid(root, series)
    ds.FrameOfReferenceUID = uid(root, "frame of reference")
    ds.StudyDate, ds.SeriesNumber, ds.InstanceNumber = DAY, series, number
    ds.Modality, ds.SeriesDescription, ds.ProtocolName = "MR", vendor.names[view], vendor.names[view]
    ds.SequenceName, ds.ScanningSequence, ds.SequenceVariant = "*tfi2d1_10", "GR", "SS"
    _put_person(ds, study.subject, study.facts, vendor)
    _put_place(ds, image, z)
    _put_phase(ds, image, t, vendor)
    ds.EchoTime, ds.RepetitionTime, ds.FlipAngle = decimal(1.5), decimal(3.0), decimal(50)
    ds.SliceThickness = decimal(image.thickness_mm or image.spacing[2])
    if vendor.spacing_between:
        ds.SpacingBetweenSlices = decimal(image.spacing[2])
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = UID(EXPLICIT_LITTLE)  # the rest of it follows when the file is written
    return ds


def _put_contrast(ds: Any, contrast: Contrast) -> None:
    """What tells another contrast from a cine: its name, its sequence, how it was prepared."""
    if contrast is Contrast.CINE:
        return
    words, sequence = OTHER_CONTRASTS[contrast]
    ds.SeriesDescription = ds.ProtocolName = f"{ds.SeriesDescription} {words}"
    ds.SequenceName, ds.ImageType = sequence, ["ORIGINAL", "PRIMARY", "M", "NORM"]
    if contrast is Contrast.LGE:
        ds.InversionTime = decimal(300)
    elif contrast is Contrast.T2:
        ds.EchoTime = decimal(55)


def _put_person(ds: Any, subject: str, facts: Facts, vendor: Vendor) -> None:
    ds.PatientName, ds.PatientID, ds.PatientBirthDate = PLANTED_NAME, f"{PLANTED_ID}-{subject}", BIRTH
    ds.PatientSex = facts.sex.value if facts.sex else ""
    ds.PatientAge = "" if facts.age_y is None else f"{int(facts.age_y):03d}Y"
    ds.PatientSize = None if facts.height_m is None else decimal(round(facts.height_m, 4))
    ds.PatientWeight = None if facts.weight_kg is None else decimal(round(facts.weight_kg, 3))
    ds.Manufacturer, ds.ManufacturerModelName = facts.vendor or vendor.manufacturer, facts.model or "phantom"
    ds.MagneticFieldStrength = decimal(facts.field_t or 1.5)


def _put_place(ds: Any, image: Image, z: int) -> None:
    corner = image.affine[:3, 3] + z * image.affine[:3, 2]
    axes = (image.affine[:3, :2] / image.spacing[:2]).T
    put_place(ds, corner, axes, (image.spacing[0], image.spacing[1]))


def put_place(ds: Any, corner: NDArray[np.float64], axes: NDArray[np.float64], spacing: tuple[float, float]) -> None:
    """State where a picture lies.

    Args:
        ds: changed.
        corner: (3,) centre of the first pixel, RAS mm.
        axes: (2, 3) unit vectors along x and y, RAS.
        spacing: along x and y, mm.
    """
    ds.ImagePositionPatient = decimal(corner * RAS_TO_LPS)
    ds.ImageOrientationPatient = decimal((axes * RAS_TO_LPS).ravel())
    ds.PixelSpacing = decimal([spacing[1], spacing[0]])


def get_place(ds: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Corner and axes as `put_place` takes them."""
    corner = np.array(ds.ImagePositionPatient, float) * RAS_TO_LPS
    return corner, np.array(ds.ImageOrientationPatient, float).reshape(2, 3) * RAS_TO_LPS


def _put_phase(ds: Any, image: Image, t: int, vendor: Vendor) -> None:
    times = image.times * 1000
    step = float(np.median(np.diff(times))) if image.frames > 1 else 0.0
    ds.TriggerTime = decimal(round(times[t] + (step / 2 if vendor.half_step else 0.0), 6))
    ds.CardiacNumberOfImages = image.frames
    if image.rr_ms:
        ds.NominalInterval = round(image.rr_ms)
        if vendor.heart_rate:
            ds.HeartRate = round(60000 / image.rr_ms)
    if vendor.temporal_position:
        ds.TemporalPositionIdentifier = t + 1


def _put_clock(ds: Any, acquired: float, written: float) -> None:
    ds.SeriesTime = ds.AcquisitionTime = clock_text(acquired)
    ds.ContentTime = clock_text(written)


def _stored(data: NDArray[Any], vendor: Vendor) -> tuple[NDArray[np.float64], float]:
    """Whole numbers to store, and the slope that gives the intensities back."""
    values = np.asarray(data, float)
    top = float(np.abs(values).max(initial=0.0))
    slope = vendor.slope
    if top / slope > 4095 or not np.array_equal(np.rint(values / slope), values / slope):
        slope = top / 4000 if top else 1.0
    return np.rint(values / slope), slope


def _put_pixels(ds: Any, stored: NDArray[np.float64], vendor: Vendor, slope: float) -> None:
    """Store (y, x) whole numbers."""
    bits = 16 if vendor.signed else 12
    put_pixels(ds, stored, bits=bits, signed=vendor.signed)
    if slope != 1.0:
        ds.RescaleSlope, ds.RescaleIntercept = decimal(slope), decimal(0)


def put_pixels(ds: Any, stored: NDArray[Any], *, bits: int, signed: bool) -> None:
    """Store (y, x) whole numbers in 16 bits, of which `bits` are used."""
    ds.Rows, ds.Columns = stored.shape
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, bits, bits - 1, int(signed)
    ds.PixelData = np.ascontiguousarray(stored).astype("<i2" if signed else "<u2").tobytes()


def get_pixels(ds: Any) -> NDArray[np.int64]:
    """(y, x) stored numbers."""
    kind = "<i2" if ds.PixelRepresentation else "<u2"
    return np.frombuffer(ds.PixelData, kind)[: ds.Rows * ds.Columns].reshape(ds.Rows, ds.Columns).astype(np.int64)
