"""Person and scanner from a DICOM header; zero, empty and impossible values are unknown."""

from __future__ import annotations

import re
import warnings
from typing import TYPE_CHECKING

from cinecmr.anatomy import Sex
from cinecmr.io.entries import number, text
from cinecmr.study import Facts, Flag, Severity

if TYPE_CHECKING:
    from pathlib import Path

HEIGHT_M, WEIGHT_KG, AGE_Y = (0.3, 2.6), (0.3, 500.0), (0.0, 120.0)
_TAGS = ["PatientSex", "PatientAge", "PatientBirthDate", "StudyDate", "PatientSize", "PatientWeight", "Manufacturer",
         "ManufacturerModelName", "MagneticFieldStrength"]  # fmt: skip


def read_facts(path: Path) -> tuple[Facts, tuple[Flag, ...]]:
    """Facts of the person and the machine.

    Args:
        path: any DICOM file of the study.

    Returns:
        Facts in metres, kilograms, years and tesla, and flags for values whose unit had to be guessed.
    """
    import pydicom

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # empty and odd values are expected here
        ds = pydicom.dcmread(path, stop_before_pixels=True, force=True, specific_tags=_TAGS)
        height, more = _height(number(ds, "PatientSize"))
        weight, still_more = _weight(number(ds, "PatientWeight"))
        sex = {"M": Sex.MALE, "F": Sex.FEMALE}.get(text(ds, "PatientSex").upper()[:1])
        facts = Facts(
            height_m=height,
            weight_kg=weight,
            age_y=_age(text(ds, "PatientAge"), text(ds, "PatientBirthDate"), text(ds, "StudyDate")),
            sex=sex,
            vendor=text(ds, "Manufacturer") or None,
            model=text(ds, "ManufacturerModelName") or None,
            field_t=_field(number(ds, "MagneticFieldStrength")),
        )
    flags = [*more, *still_more]
    if sex is None:
        flags.append(Flag("no-sex", Severity.NOTE, "sex is not stated: no reference range is shown (give --sex)"))
    return facts, tuple(flags)


def _height(stated: float | None) -> tuple[float | None, list[Flag]]:
    if not stated or stated < 0:
        return None, []
    if HEIGHT_M[0] <= stated <= HEIGHT_M[1]:
        return stated, []
    if HEIGHT_M[0] * 100 <= stated <= HEIGHT_M[1] * 100:
        return stated / 100, [Flag("height-unit", Severity.FLAG, f"the header states a height of {stated:g} m; "
                                   "read as cm")]  # fmt: skip
    return None, [Flag("implausible-height", Severity.FLAG, f"the header's height of {stated:g} m is not used")]


def _weight(stated: float | None) -> tuple[float | None, list[Flag]]:
    if not stated or stated < 0:
        return None, []
    if WEIGHT_KG[0] <= stated <= WEIGHT_KG[1]:
        return stated, []
    return None, [Flag("implausible-weight", Severity.FLAG, f"the header's weight of {stated:g} kg is not used")]


def _age(stated: str, born: str, studied: str) -> float | None:
    match = re.fullmatch(r"(\d{1,3})([DWMY])", stated.upper())
    if match:
        years = int(match[1]) / {"D": 365.25, "W": 52.18, "M": 12.0, "Y": 1.0}[match[2]]
    elif re.fullmatch(r"\d{8}", born) and re.fullmatch(r"\d{8}", studied) and born[:4] > "1870":
        years = float((int(studied) - int(born)) // 10000)  # whole years, as people count them
    else:
        return None
    return years if AGE_Y[0] < years <= AGE_Y[1] else None


def _field(stated: float | None) -> float | None:
    """Tesla; some scanners state gauss."""
    if not stated or stated < 0:
        return None
    tesla = stated / 10000 if stated > 100 else stated
    return tesla if tesla < 20 else None
