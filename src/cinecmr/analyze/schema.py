"""`findings.json` as a strict model: what every run writes, and the only source of the report and the table.

`to_file_model` turns a `Study` and its `Findings` into a `FindingsFile`; `analyze.schema_reference` writes its page.
"""

from __future__ import annotations

import math
import platform
from importlib import metadata
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

import cinecmr
from cinecmr.anatomy import Contrast, View
from cinecmr.measure.volumes import CONVENTION
from cinecmr.study import Findings, Measurement, Severity, Study

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from cinecmr.study import Image

SCHEMA_VERSION: Literal["1.0"] = "1.0"
NOTICE = "Research use, not for diagnosis."


class _Strict(BaseModel):
    """Unknown keys are refused, and nothing is changed after it was made."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class FactsEntry(_Strict):
    """The person and the scanner; null where unknown."""

    height_m: FiniteFloat | None = Field(description="height, m")
    weight_kg: FiniteFloat | None = Field(description="weight, kg")
    age_y: FiniteFloat | None = Field(description="age, years")
    sex: Literal["F", "M"] | None = Field(description="sex as the header or the user states it")
    vendor: str | None = Field(description="scanner manufacturer")
    model: str | None = Field(description="scanner model name")
    field_t: FiniteFloat | None = Field(description="field strength, tesla")


class ImageEntry(_Strict):
    """One image that was used."""

    view: str = Field(description='"sax", "lax_2c", "lax_3c" or "lax_4c"')
    contrast: str = Field(description='"cine", "tagged", "lge" or "t2"')
    shape: tuple[int, int, int, int] = Field(description="voxels along x, y, z and frames")
    spacing_mm: tuple[FiniteFloat, FiniteFloat, FiniteFloat] = Field(
        description="voxel spacing along x, y, z, mm; z is the distance between slice centres"
    )
    thickness_mm: FiniteFloat | None = Field(description="thickness of the excited slab, mm; never used as spacing")
    frames: int = Field(description="number of time frames")
    times_s: list[FiniteFloat] = Field(description="time of each frame after the R wave, s")
    rr_ms: FiniteFloat | None = Field(description="length of the cardiac cycle, ms")
    missing_slices: list[int] = Field(description="z indices (from 0) that were never acquired")


class ReferenceEntry(_Strict):
    """A range of healthy people that matches sex, age and papillary convention."""

    low: FiniteFloat = Field(description="lower limit, in the unit of the measurement")
    high: FiniteFloat = Field(description="upper limit, in the unit of the measurement")
    population: str = Field(description="who was measured")
    citation: str = Field(description="the publication")
    doi: str = Field(description="its DOI")


class MeasurementEntry(_Strict):
    """One number with all that is needed to believe it."""

    value: FiniteFloat = Field(description="in `unit`; never null: a withheld number is absent and a flag says why")
    unit: str = Field(description='"ml", "%", "g", "mm", "ml/m2", "g/m2", "bpm", "l/min", "l/min/m2" or "m2"')
    interval: tuple[FiniteFloat, FiniteFloat] | None = Field(description="90 % interval, where one is known")
    method: str = Field(description="the conventions, in words")
    frame: int | None = Field(description="index (from 0) of the frame it was read from")
    source: str = Field(description="who found it, such as the model and its checksum")
    reference: ReferenceEntry | None = Field(description="reference range; null where none matches")


class CurveEntry(_Strict):
    """Volume of one ventricle or atrium over the cycle."""

    times_s: list[FiniteFloat] = Field(description="time of each frame after the R wave, s")
    volume_ml: list[FiniteFloat | None] = Field(description="volume at each frame, ml; null where nobody looked")


Point = tuple[FiniteFloat, FiniteFloat, FiniteFloat]


class FlagEntry(_Strict):
    """One thing the reader of the numbers must know."""

    code: str = Field(description="kebab-case name, listed in flags.md")
    severity: Literal["note", "flag", "refuse"] = Field(
        description='"note": every number stands; "flag": needs a second look; "refuse": a number is withheld'
    )
    message: str = Field(description="a sentence with the figures in it")


class Conventions(_Strict):
    """The choices without which volumes cannot be compared."""

    volumes: str = Field(description="how slices are summed, in words")
    basal_slice: str = Field(description="which basal slices count")
    papillary: str = Field(
        description='"papillary_in_volume" or "papillary_in_mass": where papillary muscles and trabeculae count; '
        "reference ranges must match it"
    )


class TrueValue(_Strict):
    """A value that is known because the heart is synthetic."""

    value: FiniteFloat = Field(description="in `unit`")
    unit: str = Field(description="as in measurements")


class Provenance(_Strict):
    """How the numbers came to be; the same input, options and versions give the same file."""

    versions: dict[str, str] = Field(description="versions of cinecmr, python, numpy and torch")
    model: str | None = Field(description="name of the weights")
    weights_sha256: str | None = Field(description="SHA-256 of the weights")
    phase_key: str | None = Field(description="header key that gave the frames their order")
    input_sha256: str | None = Field(description="hash of the input that was used")
    options: str | None = Field(description="options of the command")
    other: dict[str, str] = Field(description="whatever else the reader and the stages noted")


class FindingsFile(_Strict):
    """Everything that one run found."""

    schema_version: Literal["1.0"] = Field(description="version of this schema")
    cinecmr_version: str = Field(description="version of the package that wrote the file")
    notice: str = Field(description="what the file may not be used for")
    status: Literal["done", "flags", "refused"] = Field(
        description='"done": nothing to check; "flags": at least one flag of severity "flag" or "refuse"; '
        '"refused": nothing was measured'
    )
    subject: str = Field(description="a name safe to print: a hash unless the user asked to keep the identifier")
    facts: FactsEntry = Field(description="person and scanner")
    images: list[ImageEntry] = Field(description="the images used")
    conventions: Conventions = Field(description="conventions of the volumes")
    cycle: dict[str, int] = Field(description='frame index (from 0) of "LV_ED", "LV_ES", "RV_ED", "RV_ES"')
    measurements: dict[str, MeasurementEntry] = Field(description='by name, such as "LVEDV"')
    curves: dict[str, CurveEntry] = Field(
        description='of "LV" and "RV", and of "LA" and "RA" where the long axis shows them'
    )
    landmarks: dict[str, list[Point | None]] = Field(
        default={}, description="patient RAS, mm, at each frame of the landmark's own view; null where it was not found"
    )
    slice_confidence: dict[str, list[FiniteFloat | None]] = Field(
        default={},
        description='at "ED" and "ES" of the LV: the Dice that the model expects of its labels in each slice, 0 to 1; '
        "null where it found no heart",
    )
    segments: dict[str, list[FiniteFloat | None]] = Field(
        default={},
        description='of each of the 17 AHA segments in their order: "wall_thickness_ed_mm", "wall_thickness_es_mm" and '
        '"wall_thickening_percent"; null where no slice tells, and for the cap always',
    )
    slice_shift_mm: list[tuple[FiniteFloat, FiniteFloat] | None] = Field(
        default=[],
        description="of each short-axis slice along the picture's x and y: how far the heart lies from where the "
        "header puts it, by the long-axis views that cross it, relative to the middle slice; null where unknown",
    )
    flags: list[FlagEntry] = Field(description="in the order they were raised")
    truth: dict[str, TrueValue] | None = Field(description="true values of a synthetic heart, by name; else null")
    provenance: Provenance = Field(description="how the numbers came to be")

    def to_json(self) -> str:
        """The file's text: two-space indent, keys in the order of the model, no NaN, newline at the end."""
        return self.model_dump_json(indent=2) + "\n"


def to_file_model(
    study: Study, found: Findings, *, provenance: Mapping[str, str], truth: Findings | None = None
) -> FindingsFile:
    """Gather what is written of one study.

    Args:
        study: what was read; its flags come before those of `found`.
        found: what was measured.
        provenance: strings added to those of the study (a key in both must agree or the later wins). The keys
            "model", "weights_sha256", "phase_key", "input_sha256", "options", "basal_slice" and "papillary" have
            their own place; all others go to `other`.
        truth: findings of the phantom for the same study.

    Raises:
        pydantic.ValidationError: a measurement is not finite; a stage must withhold it and raise a flag instead.
    """
    notes = {**study.provenance, **provenance}
    conventions = Conventions(
        volumes=CONVENTION,
        basal_slice=notes.pop("basal_slice", "not stated"),
        papillary=notes.pop("papillary", "not stated"),  # then no reference range matches
    )
    flags = study.flags + tuple(flag for flag in found.flags if flag not in study.flags)
    return FindingsFile(
        schema_version=SCHEMA_VERSION,
        cinecmr_version=cinecmr.__version__,
        notice=NOTICE,
        status=_status(found, flags),
        subject=study.subject,
        facts=_facts(study),
        images=[_image(view, contrast, image) for (view, contrast), image in study.images.items()],
        conventions=conventions,
        cycle=dict(found.cycle),
        measurements={
            name: _measurement(name, measurement, study, conventions.papillary)
            for name, measurement in found.measurements.items()
        },
        curves=_curves(study, found),
        landmarks={name.value: [_point(at) for at in points] for name, points in found.landmarks.items()},
        slice_confidence=_confidence(found),
        segments={
            name: [round(float(v), 1) if math.isfinite(v) else None for v in row]
            for name, row in found.segments.items()
        },
        slice_shift_mm=_shifts(found),
        flags=[FlagEntry(code=f.code, severity=f.severity.value, message=f.message) for f in flags],
        truth=None if truth is None else _truth(truth),
        provenance=_provenance(notes),
    )


def _status(found: Findings, flags: tuple[Any, ...]) -> Literal["done", "flags", "refused"]:
    if not found.measurements:
        return "refused"
    severities = {flag.severity for flag in flags}
    return "flags" if severities & {Severity.FLAG, Severity.REFUSE} else "done"


def _facts(study: Study) -> FactsEntry:
    facts = study.facts
    return FactsEntry(
        height_m=facts.height_m,
        weight_kg=facts.weight_kg,
        age_y=facts.age_y,
        sex=facts.sex.value if facts.sex else None,
        vendor=facts.vendor,
        model=facts.model,
        field_t=facts.field_t,
    )


def _image(view: View, contrast: Contrast, image: Image) -> ImageEntry:
    x, y, z, t = image.data.shape
    dx, dy, dz = (float(round(step, 4)) for step in image.spacing)
    return ImageEntry(
        view=view.value,
        contrast=contrast.value,
        shape=(x, y, z, t),
        spacing_mm=(dx, dy, dz),
        thickness_mm=image.thickness_mm,
        frames=t,
        times_s=[round(float(time), 6) for time in image.times],
        rr_ms=image.rr_ms,
        missing_slices=list(image.missing_slices),
    )


def _measurement(name: str, measurement: Measurement, study: Study, papillary: str) -> MeasurementEntry:
    low_high = measurement.interval
    return MeasurementEntry(
        value=float(measurement.value),
        unit=measurement.unit,
        interval=None if low_high is None else (float(low_high[0]), float(low_high[1])),
        method=measurement.method,
        frame=None if measurement.frame is None else int(measurement.frame),
        source=measurement.source,
        reference=_reference(name, measurement, study, papillary),
    )


def _reference(name: str, measurement: Measurement, study: Study, papillary: str) -> ReferenceEntry | None:
    from cinecmr.measure import reference  # here, because it reads its table of ranges

    found = reference.find(name, study.facts, papillary)
    if found is None or found.unit != measurement.unit:  # a range in another unit says nothing of this number
        return None
    return ReferenceEntry(
        low=found.low, high=found.high, population=found.population, citation=found.citation, doi=found.doi
    )


def _confidence(found: Findings) -> dict[str, list[float | None]]:
    sure = found.confidence.get((View.SAX, Contrast.CINE))
    if sure is None:
        return {}
    frames = {phase: found.cycle[f"LV_{phase}"] for phase in ("ED", "ES") if f"LV_{phase}" in found.cycle}
    return {
        phase: [round(float(one), 3) if math.isfinite(one) else None for one in sure[:, frame]]
        for phase, frame in frames.items()
    }


def _shifts(found: Findings) -> list[tuple[float, float] | None]:
    shifts = found.slice_shifts.get((View.SAX, Contrast.CINE), ())
    return [(round(float(x), 1), round(float(y), 1)) if math.isfinite(x + y) else None for x, y in shifts]


def _curves(study: Study, found: Findings) -> dict[str, CurveEntry]:
    if View.SAX not in study:
        return {}
    times = [round(float(time), 6) for time in study[View.SAX].times]
    return {
        name: CurveEntry(times_s=times, volume_ml=[float(v) if math.isfinite(v) else None for v in curve])
        for name, curve in found.curves.items()
    }


def _point(at: NDArray[np.float64]) -> Point | None:
    return (float(at[0]), float(at[1]), float(at[2])) if all(map(math.isfinite, at)) else None


def _truth(truth: Findings) -> dict[str, TrueValue]:
    return {name: TrueValue(value=true.value, unit=true.unit) for name, true in truth.measurements.items()}


def _provenance(notes: dict[str, str]) -> Provenance:
    own = {key: notes.pop(key, None) for key in ("model", "weights_sha256", "phase_key", "input_sha256", "options")}
    return Provenance(versions=_versions(), other=notes, **own)


def _versions() -> dict[str, str]:
    """From the installed metadata: asking torch itself would take seconds."""
    versions = {"cinecmr": cinecmr.__version__, "python": platform.python_version()}
    for package in ("numpy", "torch"):
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = "not installed"
    return versions
