"""The names and plain words of the report: measurements, statuses, severities.

Words only: what is said of a number that others measured.
"""

from __future__ import annotations

from cinecmr.study import Severity

TITLES: dict[str, str] = {
    "LVEDV": "LV end-diastolic volume",
    "LVEDVi": "LV end-diastolic volume, indexed",
    "LVESV": "LV end-systolic volume",
    "LVESVi": "LV end-systolic volume, indexed",
    "LVSV": "LV stroke volume",
    "LVSVi": "LV stroke volume, indexed",
    "LVEF": "LV ejection fraction",
    "LVM": "LV mass",
    "LVMi": "LV mass, indexed",
    "LVWT": "Wall thickness at end-diastole, thickest segment",
    "CO": "Cardiac output",
    "CI": "Cardiac index",
    "RVEDV": "RV end-diastolic volume",
    "RVEDVi": "RV end-diastolic volume, indexed",
    "RVESV": "RV end-systolic volume",
    "RVESVi": "RV end-systolic volume, indexed",
    "RVSV": "RV stroke volume",
    "RVSVi": "RV stroke volume, indexed",
    "RVEF": "RV ejection fraction",
    "MAPSE": "Mitral annular plane systolic excursion",
    "TAPSE": "Tricuspid annular plane systolic excursion",
    "gl_shortening": "Shortening of the LV's length",
    "GLS": "Global longitudinal strain, long-axis contours",
    "LAVmax": "Left atrial volume, largest",
    "LAVmaxi": "Left atrial volume, largest, indexed",
    "LAVmin": "Left atrial volume, smallest",
    "LAEF": "Left atrial emptying fraction",
    "RAVmax": "Right atrial volume, largest",
    "RAVmaxi": "Right atrial volume, largest, indexed",
    "RAVmin": "Right atrial volume, smallest",
    "RAEF": "Right atrial emptying fraction",
    "SVdiff": "LV minus RV stroke volume",
    "HR": "Heart rate",
    "BSA": "Body surface area",
}

CONVENTIONS: dict[str, str] = {
    "papillary_in_volume": "Papillary muscles and trabeculae count as volume",
    "papillary_in_mass": "Papillary muscles and trabeculae count as mass",
    "not stated": "Papillary convention not stated",
}

GROUPS = ("Left ventricle", "Right ventricle", "Long axis and atria", "Heart and body")
KEY_RESULTS = ("LVEDV", "LVESV", "LVEF", "LVM", "RVEDV", "RVESV", "RVEF")

UNITS: dict[str, str] = {"ml/m2": "ml/m²", "g/m2": "g/m²", "l/min/m2": "l/min/m²", "m2": "m²", "bpm": "/min"}

SEVERITY_WORDS: dict[Severity, str] = {
    Severity.NOTE: "Note",
    Severity.FLAG: "Check",
    Severity.REFUSE: "Withheld",
}


def title(name: str) -> str:
    """The name a clinician reads; a name without one stays as it is.

    >>> title("LVEF")
    'LV ejection fraction'
    """
    return TITLES.get(name, name)


def unit(unit: str) -> str:
    """A unit as it is printed.

    >>> unit("ml/m2")
    'ml/m²'
    """
    return UNITS.get(unit, unit)


def number(value: float, unit: str, *, fine: bool = False) -> str:
    """A value as a report prints it: whole ml, g and %, one decimal more in tables (`fine`).

    >>> number(131.46, "ml"), number(131.46, "ml", fine=True), number(1.834, "m2")
    ('131', '131.5', '1.83')
    """
    decimals = {"m2": 2, "mm": 1, "l/min": 1, "l/min/m2": 1}.get(unit, 0)
    if fine and decimals == 0 and unit != "bpm":
        decimals = 1
    text = f"{value:.{decimals}f}"
    return text.replace("-", "−") if float(text) else text.lstrip("-")


def group(name: str) -> str:
    """The heading under which a measurement stands in the table.

    >>> group("RVEF"), group("LAVmax"), group("SVdiff")
    ('Right ventricle', 'Long axis and atria', 'Heart and body')
    """
    if name in ("MAPSE", "TAPSE", "gl_shortening", "GLS") or name.startswith(("LA", "RA")):
        return "Long axis and atria"
    if name.startswith("LV"):
        return "Left ventricle"
    return "Right ventricle" if name.startswith("RV") else "Heart and body"


def status_sentence(status: str, checks: int, withheld: int) -> str:
    """The outcome in one line.

    Args:
        status: "done", "flags" or "refused".
        checks: number of flags of severity "flag".
        withheld: number of flags of severity "refuse".

    >>> status_sentence("flags", 2, 0)
    'Measured, with 2 points to check.'
    """
    if status == "refused":
        return "Not measured: no number could be given." + (" The reasons are below." if checks or withheld else "")
    if status == "done":
        return "Measured. No check raised a flag."
    parts = []
    if checks:
        parts.append(f"with {checks} point{'s' if checks > 1 else ''} to check")
    if withheld:
        parts.append(f"with some numbers withheld for {withheld} reason{'s' if withheld > 1 else ''}")
    return f"Measured, {' and '.join(parts)}."
