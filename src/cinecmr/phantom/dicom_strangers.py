"""Pictures and files in a study's folder that are not its cine: a registry of faults beside `dicom_faults`."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

from cinecmr.anatomy import View
from cinecmr.phantom.dicom_edit import Fault, copies, move, normal, sax, turn
from cinecmr.phantom.dicom_files import Frame, clock_text, decimal, get_pixels, put_pixels, uid

if TYPE_CHECKING:
    import numpy as np


def other_series(files: list[Frame], rng: np.random.Generator) -> list[Frame]:  # noqa: ARG001
    """Localiser, late enhancement, T1 map, perfusion, phase contrast, tagging, InlineVF, screenshot."""
    one = [f for f in sax(files) if f.z == 1]
    two = [f for f in sax(files) if f.z in (1, 2)]
    made = _other(one[:1], "loc", "localizer", ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    made += _other([f for f in sax(files) if f.t == 0], "lge", "PSIR sax", InversionTime=decimal(300))
    t1 = _other(one[:8], "t1", "MOLLI sax")
    for number, f in enumerate(t1):
        f.ds.InversionTime = decimal(100.0 + 80 * number)
    perfusion = _other(one, "perf", "dynamic sax", TriggerTime=decimal(120))
    for f in perfusion:
        f.ds.AcquisitionTime = f.ds.ContentTime = clock_text(36000.0 + 0.9 * f.t)
    made += t1 + perfusion
    made += _other(one, "flow", "ao", ImageType=["ORIGINAL", "PRIMARY", "P", "RETRO"])
    made += _other(two, "tag", "cine sax TAG")
    made += _other(two, "vf", "InlineVF", ImageType=["DERIVED", "PRIMARY", "M", "INLINEVF"])
    made += _other(one[:1], "shot", "report", BurnedInAnnotation="YES")
    return [*files, *made]


def _other(files: list[Frame], word: str, description: str, **entries: Any) -> list[Frame]:
    """Copies under another name, off their place a little so that nothing may take them for the cine."""
    made = copies(files, word, 600 + 20 * len(word), keep_view=False)
    for f in made:
        f.ds.SeriesDescription = f.ds.ProtocolName = description
        for keyword, value in entries.items():
            setattr(f.ds, keyword, value)
    return made


def right_ventricular_outflow(files: list[Frame], rng: np.random.Generator) -> list[Frame]:  # noqa: ARG001
    """Three parallel planes through the right ventricular outflow tract, three more through the aortic root."""
    long_axis = [f for f in files if f.view is View.LAX_4C]
    extra = []
    for number, (tilt, name) in enumerate(((50.0, "RVOT"), (-62.0, "aortic valve"))):
        for step in range(3):
            made = copies(long_axis, f"{name}{step}".replace(" ", "-"), 700 + 10 * number + step, keep_view=False)
            for f in made:
                turn(f, tilt, about=0)
                move(f, 8.0 * step * normal(f))
                f.ds.SeriesDescription = f.ds.ProtocolName = name
            extra += made
    return [*files, *extra]


def second_four_chamber(files: list[Frame], rng: np.random.Generator) -> list[Frame]:  # noqa: ARG001
    """Another plane called 4CH, turned 12 degrees and 8 mm off the axis."""
    extra = copies([f for f in files if f.view is View.LAX_4C], "second", 800, keep_view=False)
    for f in extra:
        turn(f, 12.0, about=1)
        move(f, 8.0 * normal(f))
    return [*files, *extra]


def duplicates(files: list[Frame], rng: np.random.Generator) -> list[Frame]:
    """A tenth of the files twice, under other names."""
    which = rng.choice(len(files), len(files) // 10, replace=False)
    return [*files, *(Frame(files[i].ds, None, -1, -1, f"copy/{i}") for i in which)]


def conflicting_files(files: list[Frame], rng: np.random.Generator) -> list[Frame]:  # noqa: ARG001
    """One identifier, two pictures."""
    ds = deepcopy(files[3].ds)
    put_pixels(ds, get_pixels(ds) // 2, bits=ds.BitsStored, signed=bool(ds.PixelRepresentation))
    return [*files, Frame(ds, None, -1, -1, "other/3")]


def second_patient(files: list[Frame], rng: np.random.Generator) -> list[Frame]:  # noqa: ARG001
    """One series of somebody else."""
    other = copies(files[:3], "other", 900, keep_view=False)
    for f in other:
        f.ds.PatientID, f.ds.PatientName = "PLANTED-OTHER", "PLANTED^OTHER"
        f.ds.StudyInstanceUID = uid(f.ds.StudyInstanceUID, "other")
    return [*files, *other]


def second_study(files: list[Frame], rng: np.random.Generator) -> list[Frame]:  # noqa: ARG001
    """One series of another day."""
    other = copies(files[:3], "other", 900, keep_view=False)
    for f in other:
        f.ds.StudyInstanceUID = uid(f.ds.StudyInstanceUID, "other")
    return [*files, *other]


STRANGERS: dict[str, Fault] = {
    "other-series": other_series,
    "outflow": right_ventricular_outflow,
    "second-4ch": second_four_chamber,
    "duplicates": duplicates,
    "conflicting-files": conflicting_files,
    "second-patient": second_patient,
    "second-study": second_study,
}
