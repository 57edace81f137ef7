"""What goes wrong with DICOM cine, one function each, to be done to the files of a healthy study.

Each takes the list of `Frame`s and a random generator and returns the list as it shall be written. The names are
those of `cinecmr.phantom.dicom_files.write_dicom(faults=...)`; docs of what a reader must make of each are the tests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cinecmr.anatomy import View
from cinecmr.phantom.dicom_edit import Fault, copies, move, normal, sax, slices, stated, together, without
from cinecmr.phantom.dicom_files import (
    Frame,
    clock_text,
    decimal,
    get_pixels,
    get_place,
    put_pixels,
    put_place,
    uid,
)
from cinecmr.phantom.dicom_objects import OBJECTS
from cinecmr.phantom.dicom_pictures import PICTURES
from cinecmr.phantom.dicom_strangers import STRANGERS

if TYPE_CHECKING:
    from collections.abc import Callable

# Slices and stacks


def repeated_slice(files: list[Frame], rng: np.random.Generator) -> list[Frame]:  # noqa: ARG001
    """The middle slice acquired again, later; the first try is dark."""
    middle = slices(files) // 2
    first = [f for f in sax(files) if f.z == middle]
    again = copies(first, "again", 500)
    for f in again:
        f.ds.AcquisitionTime = f.ds.SeriesTime = clock_text(10 * 3600.0)
    for f in first:
        put_pixels(f.ds, get_pixels(f.ds) // 4, bits=f.ds.BitsStored, signed=bool(f.ds.PixelRepresentation))
    return [*files, *again]


def repeated_within_series(files: list[Frame], rng: np.random.Generator) -> list[Frame]:
    """As `repeated_slice`, both tries in one series."""
    files = repeated_slice(files, rng)
    series = {f.ds.SeriesNumber: f.ds.SeriesInstanceUID for f in files}
    for f in files:
        if f.name.startswith("again"):
            f.ds.SeriesNumber = int(f.ds.SeriesNumber) - 500
            f.ds.SeriesInstanceUID = series[f.ds.SeriesNumber]
            f.ds.InstanceNumber = int(f.ds.InstanceNumber) + 500
    return files


def repeated_stack(files: list[Frame], rng: np.random.Generator) -> list[Frame]:  # noqa: ARG001
    """The whole stack acquired again, later and brighter by a tenth."""
    again = copies(sax(files), "again", 500)
    for f in again:
        f.ds.AcquisitionTime = f.ds.SeriesTime = clock_text(10 * 3600.0 + 25 * f.z)
        put_pixels(f.ds, get_pixels(f.ds) * 11 // 10, bits=f.ds.BitsStored, signed=bool(f.ds.PixelRepresentation))
    return [*files, *again]


def shifted_stack(files: list[Frame], rng: np.random.Generator) -> list[Frame]:
    """The whole stack acquired again 3 mm further along its normal, and one slice short."""
    again = [f for f in repeated_stack(files, rng) if f.name.startswith("again") and f.z > 0]
    for f in again:
        move(f, 3.0 * normal(f))
    return [*files, *again]


def half_way_slice(files: list[Frame], rng: np.random.Generator) -> list[Frame]:  # noqa: ARG001
    """One more slice half-way between two others."""
    middle = [f for f in sax(files) if f.z == slices(files) // 2]
    upper = next(f for f in sax(files) if f.z == middle[0].z - 1)
    half = (get_place(upper.ds)[0] - get_place(middle[0].ds)[0]) / 2
    extra = copies(middle, "half-way", 500)
    for f in extra:
        move(f, half)
    return [*files, *extra]


def mixed_matrix(files: list[Frame], rng: np.random.Generator) -> list[Frame]:  # noqa: ARG001
    """The last slice stored with rows and columns exchanged and a border of zeros, as after a phase-direction swap."""
    last = slices(files) - 1
    for f in sax(files):
        if f.z == last:
            corner, axes = get_place(f.ds)
            step = np.array(f.ds.PixelSpacing, float)[::-1]
            grown = np.pad(get_pixels(f.ds), ((3, 3), (5, 5)))
            put_pixels(f.ds, grown.T, bits=f.ds.BitsStored, signed=bool(f.ds.PixelRepresentation))
            put_place(f.ds, corner - 5 * step[0] * axes[0] - 3 * step[1] * axes[1], axes[::-1], (step[1], step[0]))
    return files


def apex_first(files: list[Frame], rng: np.random.Generator) -> list[Frame]:  # noqa: ARG001
    """Names, series and instances run the other way through the stack."""
    count = slices(files)
    for f in sax(files):
        f.name = f"{count - f.z:03d}/{f.name}"
        f.ds.SeriesNumber = 900 - int(f.ds.SeriesNumber)
        f.ds.InstanceNumber = 10000 - int(f.ds.InstanceNumber)
    return files


# Frames


def fewer_frames(files: list[Frame], rng: np.random.Generator) -> list[Frame]:  # noqa: ARG001
    """One slice with four fifths of the frames, evenly over the same beat: the pictures between are mixed."""
    mine = sorted((f for f in sax(files) if f.z == 1), key=lambda f: f.t)
    count, kept = len(mine), round(0.8 * len(mine))
    pixels = np.array([get_pixels(f.ds) for f in mine], float)
    step = float(mine[1].ds.TriggerTime) - float(mine[0].ds.TriggerTime)
    for t in range(kept):
        where = t * count / kept
        share = where - int(where)
        mixed = pixels[int(where)] * (1 - share) + pixels[(int(where) + 1) % count] * share
        put_pixels(mine[t].ds, np.rint(mixed), bits=mine[t].ds.BitsStored, signed=bool(mine[t].ds.PixelRepresentation))
        mine[t].ds.TriggerTime = decimal(round(where * step, 6))
    gone = {id(f) for f in mine[kept:]}
    return [f for f in files if id(f) not in gone]


def slow_beat(files: list[Frame], rng: np.random.Generator) -> list[Frame]:  # noqa: ARG001
    """One slice acquired at an R-R interval 30 % longer, its frames at the same shares of the beat."""
    for f in sax(files):
        if f.z == 1:
            f.ds.TriggerTime = decimal(round(float(f.ds.TriggerTime) * 1.3, 6))
            f.ds.NominalInterval = round(int(f.ds.NominalInterval) * 1.3)
    return files


def trigger_is_dynamic(files: list[Frame], rng: np.random.Generator) -> list[Frame]:  # noqa: ARG001
    """TriggerTime holds the start of each dynamic, one a second."""
    for f in files:
        f.ds.TriggerTime = decimal(1000.0 * f.t)
    return files


def reversed_in_time(files: list[Frame], rng: np.random.Generator) -> list[Frame]:  # noqa: ARG001
    """Instances and names run against time."""
    top = max(int(f.ds.InstanceNumber) for f in files) + 1
    for f in files:
        f.ds.InstanceNumber = top - int(f.ds.InstanceNumber)
        f.name = f"{int(f.ds.SeriesNumber):03d}/{int(f.ds.InstanceNumber):05d}.dcm"
    return files


def shuffled(files: list[Frame], rng: np.random.Generator) -> list[Frame]:
    """Names and instance numbers say nothing."""
    order = rng.permutation(len(files))
    for f, number in zip(files, order, strict=True):
        f.ds.InstanceNumber = int(number) + 1
        f.name = f"{number % 7}/{number:05d}"
    return files


def real_time(files: list[Frame], rng: np.random.Generator) -> list[Frame]:  # noqa: ARG001
    """Real-time imaging over two beats: trigger times start again, the clock runs on; the second beat ends early."""
    more = [f for f in copies(files, "beat2", 0) if f.t < 0.7 * len({g.t for g in files})]
    for f, first in zip(more, (f for f in files if f.t < 0.7 * len({g.t for g in files})), strict=True):
        f.ds.SeriesInstanceUID, f.ds.SeriesNumber = first.ds.SeriesInstanceUID, first.ds.SeriesNumber
        f.ds.InstanceNumber = int(f.ds.InstanceNumber) + 1000
    for f, beat in [(f, 0) for f in files] + [(f, 1) for f in more]:
        moment = 32400.0 + 20 * f.z + beat * int(f.ds.NominalInterval) / 1000 + float(f.ds.TriggerTime) / 1000
        f.ds.AcquisitionTime = f.ds.ContentTime = clock_text(moment)
    return [*files, *more]


# Values


def inverted(files: list[Frame], rng: np.random.Generator) -> list[Frame]:  # noqa: ARG001
    """MONOCHROME1: black is the largest value."""
    for f in files:
        put_pixels(f.ds, 4095 - get_pixels(f.ds), bits=12, signed=False)
        f.ds.PhotometricInterpretation = "MONOCHROME1"
    return files


def signed_with_slope(files: list[Frame], rng: np.random.Generator) -> list[Frame]:  # noqa: ARG001
    """12 signed bits; slope 2 and intercept 4000 give the intensities back."""
    for f in files:
        put_pixels(f.ds, (get_pixels(f.ds) - 4000) // 2 & 0xFFF, bits=12, signed=False)
        f.ds.PixelRepresentation = 1
        f.ds.RescaleSlope, f.ds.RescaleIntercept = decimal(2), decimal(4000)
    return files


def overlay_in_pixels(files: list[Frame], rng: np.random.Generator) -> list[Frame]:
    """An old overlay in a bit above those of the picture."""
    for f in files:
        drawn = rng.random((f.ds.Rows, f.ds.Columns)) < 0.3
        bits = int(f.ds.BitsStored)
        put_pixels(f.ds, get_pixels(f.ds) | (drawn.astype(int) << 13), bits=bits, signed=False)
        f.ds.add_new(0x60000100, "US", 16)  # OverlayBitsAllocated
        f.ds.add_new(0x60000102, "US", 13)  # OverlayBitPosition
    return files


def empty_slice(files: list[Frame], rng: np.random.Generator) -> list[Frame]:  # noqa: ARG001
    """One slice whose pixels are all zero."""
    for f in sax(files):
        if f.z == 1:
            put_pixels(f.ds, np.zeros_like(get_pixels(f.ds)), bits=12, signed=False)
    return files


def spacing_in_groups(files: list[Frame], rng: np.random.Generator) -> list[Frame]:  # noqa: ARG001
    """Pixel spacing only in a shared functional group, as in converted enhanced objects."""
    from pydicom.dataset import Dataset

    for f in files:
        measures, group = Dataset(), Dataset()
        measures.PixelSpacing = f.ds.PixelSpacing
        group.PixelMeasuresSequence = [measures]
        f.ds.SharedFunctionalGroupsSequence = [group]
        del f.ds.PixelSpacing
    return files


def imager_spacing_only(files: list[Frame], rng: np.random.Generator) -> list[Frame]:  # noqa: ARG001
    """Pixel spacing only as of a detector."""
    for f in files:
        f.ds.ImagerPixelSpacing = f.ds.PixelSpacing
        del f.ds.PixelSpacing
    return files


def bare_names(files: list[Frame], rng: np.random.Generator) -> list[Frame]:
    """No endings, odd endings, deep folders, no preamble in some."""
    for number, f in enumerate(files):
        ending = ("", ".IMA", ".dcm.bak")[int(rng.integers(3))]
        f.name = f"DICOM/{number % 3}/a b/{uid(f.ds.SOPInstanceUID)[-12:]}{ending}"
    return files


def _skew(size: float) -> Fault:
    def fault(files: list[Frame], rng: np.random.Generator) -> list[Frame]:  # noqa: ARG001
        for f in files:
            stated = np.array(f.ds.ImageOrientationPatient, float)
            stated[3:] += size * stated[:3]
            f.ds.ImageOrientationPatient = decimal(stated)
        return files

    return fault


def _cut(share: Callable[[Frame, int], bool]) -> Fault:
    def fault(files: list[Frame], rng: np.random.Generator) -> list[Frame]:  # noqa: ARG001
        count = slices(files)
        for f in files:
            f.cut = len(f.ds.PixelData) // 2 if share(f, count) else 0
        return files

    return fault


def _says(text: str) -> Fault:
    return together(stated("SeriesDescription", text), stated("ProtocolName", text))


FAULTS: dict[str, Fault] = {
    "missing-slice": without(lambda f, n: f.view is View.SAX and f.z == n // 2),
    "missing-neighbours": without(lambda f, n: f.view is View.SAX and f.z in (n // 2, n // 2 + 1)),
    "three-slices": without(lambda f, n: f.view is View.SAX and f.z not in (n // 2 - 1, n // 2, n // 2 + 1)),
    "no-sax": without(lambda f, n: f.view is View.SAX),  # noqa: ARG005
    "single-frame": without(lambda f, n: f.view is not View.SAX or f.z != n // 2 or f.t != 0),
    "five-frames": without(lambda f, n: f.t >= 5),  # noqa: ARG005
    "missing-phase": without(lambda f, n: f.view is View.SAX and f.z == 1 and f.t == 3),  # noqa: ARG005
    "prospective": without(lambda f, n: f.t >= 0.86 * int(f.ds.CardiacNumberOfImages)),  # noqa: ARG005
    "repeated-slice": repeated_slice, "repeated-within-series": repeated_within_series,
    "repeated-stack": repeated_stack, "shifted-stack": shifted_stack,
    "half-way-slice": half_way_slice, "mixed-matrix": mixed_matrix, "apex-first": apex_first,
    "fewer-frames": fewer_frames, "slow-beat": slow_beat, "real-time": real_time,
    "no-trigger-time": stated("TriggerTime", None), "zero-trigger-time": stated("TriggerTime", "0"),
    "tied-trigger-time": stated("TriggerTime", "40", lambda f: f.t in (1, 2)),
    "trigger-is-dynamic": trigger_is_dynamic, "reversed-in-time": reversed_in_time, "shuffled": shuffled,
    "no-clock": together(stated("ContentTime", None), stated("AcquisitionTime", None), stated("SeriesTime", None)),
    "no-rr": together(stated("NominalInterval", None), stated("HeartRate", None)),
    "wrong-spacing-tag": stated("SpacingBetweenSlices", "5"), "wrong-thickness": stated("SliceThickness", "3"),
    "no-descriptions": _says(""), "foreign-descriptions": _says("心臓シネ 短軸"),
    "trap-descriptions": _says("local_cine_t1_nav"),
    "inverted": inverted, "signed-with-slope": signed_with_slope, "overlay-in-pixels": overlay_in_pixels,
    "empty-slice": empty_slice,
    **STRANGERS, **OBJECTS, **PICTURES, "no-series-uid": stated("SeriesInstanceUID", None),
    "spacing-in-groups": spacing_in_groups, "imager-spacing-only": imager_spacing_only,
    "bare-names": bare_names, "skew-small": _skew(5e-4), "skew-large": _skew(5e-3),
    "one-truncated": _cut(lambda f, n: f.view is View.SAX and f.z == n // 2 and f.t == 2),
    "all-truncated": _cut(lambda f, n: True),  # noqa: ARG005
    "no-facts": together(stated("PatientSex", ""), stated("PatientSize", ""), stated("PatientWeight", "")),
    "zero-weight": stated("PatientWeight", "0"), "height-in-cm": stated("PatientSize", "172"),
}  # fmt: skip
