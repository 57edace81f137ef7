"""Measurements as a DICOM structured report (TID 1500, Measurement Report), and the numbers of one read back.

One group (TID 1501) a ventricle and one for heart and body, with the codes of LOINC, SNOMED CT, DCM and UCUM. What the
standard has no code for bears one of this package's own scheme, `99CINECMR`.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from cinecmr.io.dicom_seg import MAKER, SERIAL, Maker, highdicom, stand_in
from cinecmr.io.files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from cinecmr.io.dicom_source import DicomSource
    from cinecmr.study import Flag, Measurement

OWN = "99CINECMR"
INDEXED = ("125313", "DCM", "Indexed")
QUALITY = ("flag", OWN, "Flag of the analysis")
CODES = {  # PS3.16 CID 3468, 3469, 3833, 3835, 12200 to 12204, 12304
    "LVEDV": ("8821-1", "LN", "Left Ventricular ED Volume"),
    "LVESV": ("8823-7", "LN", "Left Ventricular ES Volume"),
    "RVEDV": ("8822-9", "LN", "Right Ventricular ED Volume"),
    "RVESV": ("8824-5", "LN", "Right Ventricular ES Volume"),
    "LVEF": ("8811-2", "LN", "Left ventricular ejection fraction by MR"),
    "RVEF": ("8818-7", "LN", "Right ventricular ejection fraction by MR"),
    "LVSV": ("90096001", "SCT", "Stroke Volume"),
    "RVSV": ("429483009", "SCT", "RV Stroke Volume"),
    "LVSVi": ("277381004", "SCT", "Stroke Index"),
    "RVSVi": ("429619008", "SCT", "RV Stroke Index"),
    "LVM": ("18087-7", "LN", "Left Ventricle Mass"),
    "CO": ("82799009", "SCT", "Cardiac Output"),
    "CI": ("54993008", "SCT", "Cardiac Index"),
    "HR": ("8867-4", "LN", "Heart rate"),
    "BSA": ("8277-6", "LN", "Body Surface Area"),
    "GCS": ("130677", "DCM", "Circumferential Lagrangian Strain"),
    "GRS": ("130675", "DCM", "Radial Lagrangian Strain"),
    "GLS": ("130670", "DCM", "Longitudinal Lagrangian Strain"),
}
UNITS = {  # ours to UCUM
    "ml": "ml", "%": "%", "g": "g", "mm": "mm", "s": "s", "ms": "ms", "ml/m2": "ml/m2", "g/m2": "g/m2", "bpm": "/min",
    "l/min": "l/min", "l/min/m2": "l/min/m2", "m2": "m2",
}  # fmt: skip
SITES = {
    "LV": ("87878005", "SCT", "Left ventricle"),
    "RV": ("53085002", "SCT", "Right ventricle"),
    "": ("80891009", "SCT", "Heart"),
}
MEASUREMENT_GROUP, TRACKING, FINDING_SITE = "125007", "112039", "363698007"


def write_sr(
    path: Path,
    measurements: Mapping[str, Measurement],
    flags: Iterable[Flag],
    source: DicomSource,
    segs: Mapping[int, Any],
    maker: Maker,
) -> None:
    """Write a measurement report.

    Args:
        path: where to.
        measurements: by name, as `Findings` holds them.
        flags: told with each code and severity, so that no number travels without its caveats.
        source: see `dicom_source`.
        segs: frame index to the SEG object of that frame, as `write_seg` returns it: a number that was read from a
            frame names its object.
        maker: who answers for labels and numbers.

    Raises:
        RefusedInput: highdicom is not installed.
    """
    hd = highdicom()
    frames = sorted(segs) or [0]
    evidence = [*_evidence(source, frames), *segs.values()]
    grouped: dict[str, list[Any]] = {}
    for name, one in measurements.items():
        grouped.setdefault(name[:2] if name[:2] in SITES else "", []).append(_number(hd, name, one, segs))
    grouped.setdefault("", [])
    told = [_flag(hd, flag) for flag in flags]
    groups = [_group(hd, site, numbers, maker, [] if site else told) for site, numbers in grouped.items()]
    report = hd.sr.MeasurementReport(
        observation_context=_context(hd),
        procedure_reported=_code(hd, ("241620005", "SCT", "Magnetic resonance imaging of heart")),
        imaging_measurements=groups,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of highdicom and pydicom: about names in the source's header
        made = hd.sr.ComprehensiveSR(
            evidence=evidence,
            content=report,
            series_instance_uid=hd.UID(),
            series_number=901,
            sop_instance_uid=hd.UID(),
            instance_number=1,
            manufacturer=MAKER,
            manufacturer_model_name=MAKER,
            software_versions=maker.version,
            device_serial_number=SERIAL,
            series_description="cinecmr measurements, research use",
            is_complete=True,
        )
        write_atomically(path, lambda temporary: made.save_as(temporary))


def read_sr(path: Path) -> dict[str, tuple[float, str]]:
    """The numbers of a report that `write_sr` wrote.

    Returns:
        Name to value and UCUM unit; names as in `Findings`, from the tracking identifier of each number.
    """
    import pydicom

    found: dict[str, tuple[float, str]] = {}
    for item in _walk(pydicom.dcmread(path)):
        if item.get("ValueType") != "NUM" or not item.get("MeasuredValueSequence"):
            continue
        inside = item.get("ContentSequence", [])
        tracked = [i.TextValue for i in inside if _concept(i) == TRACKING]
        if tracked:
            measured = item.MeasuredValueSequence[0]
            value = float(measured.get("FloatingPointValue", measured.NumericValue))
            found[tracked[0]] = value, str(measured.MeasurementUnitsCodeSequence[0].CodeValue)
    return found


def _walk(item: Any) -> Iterable[Any]:
    for inner in item.get("ContentSequence", []):
        yield inner
        yield from _walk(inner)


def _concept(item: Any) -> str:
    names = item.get("ConceptNameCodeSequence", [])
    return str(names[0].CodeValue) if names else ""


def _code(hd: Any, code: tuple[str, str, str]) -> Any:
    return hd.sr.CodedConcept(*code)


def _concept_of(name: str) -> tuple[tuple[str, str, str], bool]:
    """The code of a measurement, and whether it is that of a number that was divided by the body surface area."""
    if name in CODES:
        return CODES[name], False
    if name.endswith("i") and name[:-1] in CODES:
        return CODES[name[:-1]], True
    return (name[:16], OWN, name[:64]), False


def _number(hd: Any, name: str, one: Measurement, segs: Mapping[int, Any]) -> Any:
    concept, indexed = _concept_of(name)
    unit = UNITS.get(one.unit, one.unit)
    seg = segs.get(one.frame) if one.frame is not None else None
    properties = None
    if one.interval is not None:
        low, high = one.interval
        properties = hd.sr.MeasurementProperties(
            upper_measurement_uncertainty=high - one.value, lower_measurement_uncertainty=one.value - low
        )
    return hd.sr.Measurement(
        name=_code(hd, concept),
        value=float(one.value),
        unit=_code(hd, (unit, "UCUM", unit)),
        tracking_identifier=hd.sr.TrackingIdentifier(hd.UID(), name),
        derivation=_code(hd, INDEXED) if indexed else None,
        properties=properties,
        referenced_images=None
        if seg is None
        else [hd.sr.SourceImageForMeasurement(seg.SOPClassUID, seg.SOPInstanceUID)],
    )


def _flag(hd: Any, flag: Flag) -> Any:
    """A flag as a coded finding: DICOM allows a meaning of 64 characters, so the message may end early."""
    meaning = f"{flag.severity.value}: {flag.message}"
    meaning = meaning if len(meaning) <= 64 else meaning[:61] + "..."
    value = _code(hd, (flag.code[:16], OWN, meaning))
    if len(flag.code) > 16:  # a code value holds 16 characters, a long code value more
        del value.CodeValue
        value.LongCodeValue = flag.code
    return hd.sr.QualitativeEvaluation(name=_code(hd, QUALITY), value=value)


def _group(hd: Any, site: str, numbers: list[Any], maker: Maker, told: list[Any]) -> Any:
    return hd.sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=hd.sr.TrackingIdentifier(hd.UID(), site or "heart and body"),
        algorithm_id=hd.sr.AlgorithmIdentification(name=MAKER, version=maker.version, parameters=[maker.source]),
        finding_sites=[hd.sr.FindingSite(_code(hd, SITES[site]))],
        measurements=numbers,
        qualitative_evaluations=told,
    )


def _context(hd: Any) -> Any:
    device = hd.sr.DeviceObserverIdentifyingAttributes(
        uid=hd.UID(), name=MAKER, manufacturer_name=MAKER, model_name=MAKER
    )
    kind = _code(hd, ("121007", "DCM", "Device"))
    return hd.sr.ObservationContext(
        observer_device_context=hd.sr.ObserverContext(observer_type=kind, observer_identifying_attributes=device)
    )


def _evidence(source: DicomSource, frames: Iterable[int]) -> list[Any]:
    """The source's pictures of these frames, each object once."""
    shape = (1, 1)  # nobody asks for the pictures' size
    made = {}
    for frame in frames:
        for picture in source.pictures(frame):
            ds = stand_in(source, frame, shape)
            ds.SOPClassUID, ds.SOPInstanceUID, ds.SeriesInstanceUID = picture.sop_class, picture.uid, picture.series
            made[picture.uid] = ds
    return list(made.values())
