"""DICOM data sets without what tells who was imaged: the Basic Application Level Confidentiality Profile.

The actions stand in confidentiality.csv: DICOM PS3.15 2026c, table E.1-1, column Basic Prof. Where the table leaves a
choice (X/Z, X/D, ...), the value is replaced or emptied rather than removed, so that objects stay valid. Beyond the
table: private and unknown elements, curves and overlays go; so does free text, every name of a person and every date
that the table does not know; and what is left is searched for the words of the names and numbers that were taken out.
"""

from __future__ import annotations

import csv
import hashlib
import hmac
import re
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

EDITION = "2026c"
PROFILE = ("113100", "Basic Application Confidentiality Profile")
CHARACTERISTICS = ("113108", "Retain Patient Characteristics Option")
KEPT = ("PatientSex", "PatientAge", "PatientSize", "PatientWeight")  # with the option; ages of 90 and more are 90
_CHOICES = {"X/Z": "Z", "X/D": "D", "Z/D": "D", "X/Z/D": "D", "X/Z/U*": "U*"}
_DUMMY: dict[str, Any] = {
    "DA": "19000101", "TM": "000000", "DT": "19000101000000", "AE": "REMOVED", "CS": "REMOVED", "AS": "000Y",
    "DS": "0", "IS": "0", "FD": 0.0, "FL": 0.0, "SS": 0, "US": 0, "SL": 0, "UL": 0,
    **dict.fromkeys(("LO", "SH", "LT", "ST", "UT", "UC", "PN"), "removed"),
}  # fmt: skip
_FREE_TEXT = ("LT", "ST", "UT", "UC", "UR", "UN", "OB", "OW", "OF", "OD", "OL", "OV", "DA", "DT", "TM")
_WORDS_IN = ("LO", "SH", "CS", "AE")
_PIXELS = (0x7FE00008, 0x7FE00009, 0x7FE00010)
_LOOKUP = range(0x00281101, 0x00281204)  # palettes: numbers that a picture needs
_TELLING = {"PatientID", "OtherPatientIDs", "IssuerOfPatientID", "AccessionNumber", "InstitutionName",
            "InstitutionAddress", "InstitutionalDepartmentName", "StationName", "DeviceSerialNumber",
            "PatientBirthDate", "PatientAddress", "PatientTelephoneNumbers", "StudyID",
            "MilitaryRank", "AdmissionID"}  # fmt: skip
_SHORTEST_WORD = 4  # letters; shorter ones stand in too many words


@cache
def actions() -> dict[int, str]:
    """What the profile does with an element, by its tag: X remove, Z empty, D dummy, U new UID, U* new UIDs inside."""
    text = (files("cinecmr.io") / "confidentiality.csv").read_text("utf-8")
    return {
        int(row["tag"], 16): _CHOICES.get(row["action"], row["action"]) for row in csv.DictReader(text.splitlines())
    }


class Uids:
    """New UIDs for old ones: equal for equal, and not to be turned back without the key.

    >>> new = Uids(b"k")
    >>> new("1.2.3") == new("1.2.3") != new("1.2.4")
    True
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def __call__(self, old: str) -> str:
        """A UID made of 122 bits of a keyed hash, PS3.5 B.2; standard ones, such as of classes, stay."""
        if old.startswith("1.2.840.10008.") or not old:
            return old
        digest = bytearray(hmac.new(self._key, f"uid: {old}".encode(), hashlib.sha256).digest()[:16])
        digest[6], digest[8] = digest[6] & 0x0F | 0x40, digest[8] & 0x3F | 0x80  # a random UUID, by its form
        return f"2.25.{int.from_bytes(digest)}"


def clean(ds: Any, uids: Uids, pseudonym: str, *, characteristics: bool = False) -> None:
    """Take out of a data set, in place and to its depths, what tells who was imaged, where and when.

    Args:
        ds: pydicom's data set; its pixels are not looked at.
        uids: makes the new UIDs.
        pseudonym: stands for the name and number of the patient.
        characteristics: keep sex, age, height and weight, which measuring needs.
    """
    telling = words(ds)
    kept = _characteristics(ds) if characteristics else {}
    _clean_items(ds, uids)
    _forget_words(ds, telling)
    ds.PatientID = ds.PatientName = pseudonym
    for name, value in kept.items():
        setattr(ds, name, value)
    _say_so(ds, characteristics)


def _clean_items(ds: Any, uids: Uids) -> None:
    for tag in list(ds.keys()):
        element = _element(ds, tag)
        if element is None or not _is_known(tag):
            del ds[tag]
            continue
        action = actions().get(int(tag)) or _unlisted(element)
        if element.VR == "SQ" and action in ("", "U*", "U"):
            for item in element.value or ():
                _clean_items(item, uids)
        elif action == "X" or (element.VR == "SQ" and action == "D"):
            del ds[tag]
        elif action == "Z":
            element.value = [] if element.VR == "SQ" else _empty(element.VR)
        elif action == "U":
            element.value = _new(element.value, uids)
        elif action == "D":
            _put_dummy(ds, element, uids)


def _element(ds: Any, tag: Any) -> Any:
    try:
        return ds[tag]
    except Exception:  # a damaged value makes pydicom raise almost anything: what cannot be read is not passed on
        return None


def _is_known(tag: Any) -> bool:
    from pydicom.datadict import dictionary_has_tag

    group = int(tag) >> 16
    repeating = 0x5000 <= group < 0x5100 or 0x6000 <= group < 0x6100  # curves and overlays
    return not tag.is_private and not repeating and bool(dictionary_has_tag(tag))


def _unlisted(element: Any) -> str:
    """What to do with an element that the table does not know; "" leaves it."""
    if element.VR == "UI":
        return "U"
    if element.VR == "PN":
        return "Z"
    if int(element.tag) in _PIXELS or int(element.tag) in _LOOKUP:
        return ""
    return "X" if element.VR in _FREE_TEXT else ""


def _empty(vr: str) -> Any:
    return "" if vr in _DUMMY and isinstance(_DUMMY[vr], str) else None


def _new(value: Any, uids: Uids) -> Any:
    if value is None or isinstance(value, str):
        return uids(str(value or ""))
    return [uids(str(one)) for one in value]


def _put_dummy(ds: Any, element: Any, uids: Uids) -> None:
    if element.VR == "UI":
        element.value = _new(element.value, uids)
    elif element.VR in _DUMMY:
        element.value = _DUMMY[element.VR]
    else:
        del ds[element.tag]


def words(ds: Any) -> set[str]:
    """Words, in small letters, of the names, numbers and places in a data set, that must stand nowhere else."""
    found: set[str] = set()
    for element in _all(ds):
        if element.VR == "PN" or element.keyword in _TELLING:
            found |= set(re.findall(rf"[^\W_]{{{_SHORTEST_WORD},}}", str(element.value).casefold()))
    return found


def _all(ds: Any) -> Iterator[Any]:
    for tag in list(ds.keys()):
        element = _element(ds, tag)
        if element is None:
            continue
        yield element
        if element.VR == "SQ":
            for item in element.value or ():
                yield from _all(item)


def _forget_words(ds: Any, telling: Iterable[str]) -> None:
    """Empty what was left and holds such a word: people type names into any field."""
    for element in _all(ds):
        if element.VR in _WORDS_IN and any(word in str(element.value).casefold() for word in telling):
            element.value = ""


def _characteristics(ds: Any) -> dict[str, Any]:
    kept = {name: ds.get(name) for name in KEPT if ds.get(name) not in (None, "")}
    born, studied = str(ds.get("PatientBirthDate") or ""), str(ds.get("StudyDate") or "")
    if "PatientAge" not in kept and re.fullmatch(r"\d{8}", born) and re.fullmatch(r"\d{8}", studied):
        kept["PatientAge"] = f"{max(int(studied) - int(born), 0) // 10000:03d}Y"
    age = re.fullmatch(r"(\d{3})Y", str(kept.get("PatientAge", "")))
    if age and int(age[1]) >= 90:
        kept["PatientAge"] = "090Y"
    return kept


def _say_so(ds: Any, characteristics: bool) -> None:
    """Elements that PS3.15 E.1.1 asks for."""
    from pydicom.dataset import Dataset

    ds.PatientIdentityRemoved = "YES"
    ds.DeidentificationMethod = f"cinecmr, PS3.15 {EDITION} basic profile"
    codes = []
    for value, meaning in (PROFILE, *([CHARACTERISTICS] if characteristics else [])):
        code = Dataset()
        code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, "DCM", meaning
        codes.append(code)
    ds.DeidentificationMethodCodeSequence = codes
    ds.LongitudinalTemporalInformationModified = "REMOVED"
