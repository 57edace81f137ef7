"""Identifiers planted into every DICOM file of a study, in all kinds of places; and the search for them."""

from __future__ import annotations

import gzip
import zipfile
from io import BytesIO
from typing import TYPE_CHECKING

import pydicom
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

NAME = "Qwertzman"  # typed by somebody into fields that the standard takes for harmless, too
STANDARD = (
    "PatientID", "PatientBirthName", "OtherPatientNames", "PatientAddress", "PatientMotherBirthName", "MilitaryRank",
    "PatientTelephoneNumbers", "Occupation", "AdditionalPatientHistory", "PatientReligiousPreference",
    "PatientComments", "AccessionNumber", "InstitutionName", "InstitutionAddress", "InstitutionalDepartmentName",
    "ReferringPhysicianName", "PerformingPhysicianName", "OperatorsName", "StationName", "StudyDescription",
    "RequestingPhysician", "ImageComments", "DeviceSerialNumber", "StudyID", "PerformedProcedureStepDescription",
    "IssuerOfPatientID", "CurrentPatientLocation", "AdmissionID",
)  # fmt: skip
NESTED = ("RequestAttributesSequence", "ReferencedPatientSequence", "SourceImageSequence",
          "ContributingEquipmentSequence", "OriginalAttributesSequence", "ReferencedImageSequence")  # fmt: skip


def plant(folder: Path) -> list[str]:
    """Plant 50 identifiers into every DICOM file of a folder; the words to look for."""
    words: list[str] = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        ds = pydicom.dcmread(path)
        words = _plant(ds)
        ds.save_as(path)
    assert len(words) == len(set(words)) == 50
    return words


def _plant(ds: Dataset) -> list[str]:
    words = [f"Zq{number:02d}Xk" for number in range(47)]
    left = iter(words)
    ds.PatientName = f"{NAME}^Ada"
    ds.SequenceName = f"cine {NAME}"
    ds.PatientBirthDate = "19470309"
    for keyword in STANDARD:
        setattr(ds, keyword, next(left))
    for keyword in NESTED:
        item, inner = Dataset(), Dataset()
        item.PersonName, item.InstitutionName = next(left), words[0]
        inner.OperatorsName = next(left)
        item.ReferencedStudySequence = Sequence([inner])
        setattr(ds, keyword, Sequence([item]))
    private = ds.private_block(0x0029, "SOMEBODY", create=True)
    private.add_new(0x10, "LO", next(left))
    private.add_new(0x11, "UN", next(left).encode())
    deep = Dataset()
    deep.PatientName = next(left)
    private.add_new(0x12, "SQ", Sequence([deep]))
    ds.add_new(0x60003000, "OW", next(left).encode())
    ds.add_new(0x60001500, "LO", next(left))
    ds.file_meta.SourceApplicationEntityTitle = next(left)
    ds.preamble = next(left).encode().ljust(128, b"\0")
    assert next(left, None) is None
    return [*words, NAME, "19470309", "Ada"]


def found_in(folders: Iterable[Path], words: Iterable[str]) -> list[tuple[str, str]]:
    """(word, file) wherever a word stands in the name or the bytes of a file, in small or great letters.

    What is packed is looked into too: .gz, .npz and other zips, the text of a PDF.
    """
    found = []
    for path in sorted(path for folder in folders for path in folder.rglob("*")):
        held = [data.lower() for data in contents(path.read_bytes())] if path.is_file() else []
        for word in words:
            forms = (word.lower().encode(), word.lower().encode("utf-16-le"))
            inside = len(word) > 3 and any(form in data for form in forms for data in held)
            if word.lower() in path.name.lower() or inside:
                found.append((word, path.name))
    return found


def contents(data: bytes) -> Iterator[bytes]:
    """The bytes of a file as they are, and unpacked."""
    yield data
    if data.startswith(b"\x1f\x8b"):
        yield from contents(gzip.decompress(data))
    elif data.startswith(b"PK"):
        with zipfile.ZipFile(BytesIO(data)) as packed:
            for name in packed.namelist():
                yield name.encode()
                yield from contents(packed.read(name))
    elif data.startswith(b"%PDF"):
        from pypdf import PdfReader

        document = PdfReader(BytesIO(data))
        yield "".join(page.extract_text() for page in document.pages).replace("\n", "").encode()
        yield str(document.metadata).encode()
