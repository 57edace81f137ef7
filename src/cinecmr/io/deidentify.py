"""A folder of DICOM files to a folder that can be passed on, and a list of those that a person must look at first.

No program can prove that a picture shows no name. What is likely to (screenshots, secondary captures, pictures that
say so themselves, or that hold strokes of one single bright value) is not written but listed: it is quarantined.
"""

from __future__ import annotations

import warnings
from collections import Counter
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from cinecmr.errors import RefusedInput
from cinecmr.io.archive import unpacked
from cinecmr.io.confidentiality import Uids, clean
from cinecmr.io.entries import swells
from cinecmr.io.files import write_atomically
from cinecmr.io.naming import Names, open_key
from cinecmr.io.subject import subject_name
from cinecmr.io.tables import csv_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
NO_PICTURES = (
    "SR",
    "PR",
    "KO",
    "DOC",
    "OT",
    "SC",
    "SEG",
    "RTSTRUCT",
)  # modalities; their content is free text or worse
STROKE_PIXELS, STROKE_GAP = 20, 0.85  # of one brightest value, and how far below it the next one lies
QUARANTINE, NAMES = "quarantine.csv", "names.csv"


@dataclass
class Shared:
    """What became of the files.

    Attributes:
        written: files that can be passed on. subjects: their people, by new name.
        quarantined: why files were held back, and how many. passed_over: files that are no DICOM.
    """

    written: int = 0
    subjects: set[str] = field(default_factory=set)
    quarantined: Counter[str] = field(default_factory=Counter)
    passed_over: int = 0


def share(
    source: Path,
    out: Path,
    private: Path,
    *,
    characteristics: bool = False,
    progress: Callable[[float], None] | None = None,
) -> Shared:
    """Write de-identified copies; sources are only read.

    Args:
        source: a folder, a file or a .zip.
        out: folder of the copies, named by hashes alone.
        private: folder for the key, the list of names and that of quarantined files; it must not be passed on.
        characteristics: see `confidentiality.clean`.
        progress: told the share that is done.

    Raises:
        RefusedInput: nothing there (`no-such-path`), no DICOM in it (`no-dicom`), or `out` lies within the source
            (`would-overwrite`).
    """
    if not source.exists():
        raise RefusedInput("no-such-path", f"there is no file or folder {source}; check the path")
    if source.resolve() in (out.resolve(), *out.resolve().parents):
        raise RefusedInput("would-overwrite", f"{out} lies within {source}; give an --out elsewhere")
    key = open_key(private)
    found, people, held = Shared(), dict[str, str](), list[tuple[str, str]]()
    with _opened(source) as place:
        paths = [path for path in sorted(place.rglob("*")) if path.is_file()] if place.is_dir() else [place]
        for number, path in enumerate(paths):
            ds = _read(path)
            if ds is None:
                found.passed_over += 1
            elif reason := suspicion(ds) or _copy(ds, out, key, people, characteristics):
                found.quarantined[reason] += 1
                held.append((reason, str(path.relative_to(place) if path != place else path.name)))
            else:
                found.written += 1
            if progress:
                progress((number + 1) / len(paths))
    if not found.written and not held:
        raise RefusedInput("no-dicom", f"no DICOM file in {source}: found {found.passed_over} others")
    found.subjects = set(people)
    _write_private(private / NAMES, ("name", "identifier"), sorted(people.items()))
    _write_private(private / QUARANTINE, ("reason", "file"), sorted(held))
    return found


@contextmanager
def _opened(source: Path) -> Iterator[Path]:
    zipped = source.is_file() and source.suffix.lower() == ".zip"
    with unpacked([source]) if zipped else nullcontext(source) as place:
        yield place


def _read(path: Path) -> Any:
    """The data set, or None where it is no DICOM file."""
    import pydicom

    with path.open("rb") as handle:
        start = handle.read(132)
        handle.seek(0)
        if swells(handle):
            return None
    if start[128:] != b"DICM" and not (start[:2] == b"\x08\x00" and start[3:4] == b"\x00"):
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # real headers break the standard in ways that do not matter here
        try:
            return pydicom.dcmread(path, force=True)
        except Exception:  # damaged bytes make pydicom raise almost anything
            return None


def suspicion(ds: Any) -> str:
    """Why a picture may show who was imaged, "" where nothing speaks for it. Its absence proves nothing.

    Args:
        ds: pydicom's data set with its pixels.
    """
    said = {str(part).upper() for part in (ds.get("ImageType") or ())}
    if str(ds.get("BurnedInAnnotation") or "").upper() == "YES":
        return "says that names are burned in"
    if str(ds.get("SOPClassUID") or "").startswith(SECONDARY_CAPTURE) or "SECONDARY" in said or "SCREEN SAVE" in said:
        return "secondary capture or screenshot"
    modality = str(ds.get("Modality") or "").upper()
    if modality in NO_PICTURES or "PixelData" not in ds:
        return "not a picture: its text cannot be judged"
    if int(ds.get("SamplesPerPixel") or 1) != 1:
        return "colour picture"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pixels = ds.pixel_array
    except Exception:  # whatever stops the decoder, nobody has seen this picture
        return "pixels that cannot be decoded"
    return "bright strokes, perhaps writing" if has_strokes(pixels) else ""


def has_strokes(pixels: NDArray[Any]) -> bool:
    """Whether many pixels share the very brightest value, and all others lie well below: so is writing burned in.

    Args:
        pixels: of any shape, as stored.

    >>> picture = np.arange(10000).reshape(100, 100) % 700
    >>> has_strokes(picture)
    False
    >>> picture[5, 5:40] = 4095
    >>> has_strokes(picture)
    True
    """
    values, counts = np.unique(pixels, return_counts=True)
    if len(values) < 3 or values[-1] <= 0:
        return False
    return bool(counts[-1] >= STROKE_PIXELS and values[-2] < STROKE_GAP * values[-1])


def _copy(ds: Any, out: Path, key: bytes, people: dict[str, str], characteristics: bool) -> str:
    """Write one file and note its patient; why it cannot be cleaned, "" where it was."""
    try:
        identifier = str(ds.get("PatientID") or ds.get("PatientName") or "")
        name = Names(key).subject(subject_name(identifier))
        _write(ds, out, name, Uids(key), characteristics)
    except OSError:
        raise  # the disk, not the file
    except Exception:  # damaged or nested without end: whatever it is, it is not passed on
        return "damaged: cannot be cleaned"
    people[name] = identifier
    return ""


def _write(ds: Any, out: Path, name: str, uids: Uids, characteristics: bool) -> None:
    import pydicom

    syntax = ds.file_meta.get("TransferSyntaxUID", pydicom.uid.ImplicitVRLittleEndian)
    clean(ds, uids, name, characteristics=characteristics)
    ds.file_meta = pydicom.dataset.FileMetaDataset()  # the old one names the sender's machine
    ds.file_meta.TransferSyntaxUID = syntax
    ds.preamble = bytes(128)  # 128 bytes in which anything may stand
    series, picture = (str(ds.get(tag) or "none")[-12:] for tag in ("SeriesInstanceUID", "SOPInstanceUID"))
    target = out / name / f"series-{series}" / f"{picture}.dcm"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        write_atomically(target, lambda temporary: ds.save_as(temporary, enforce_file_format=True))


def _write_private(path: Path, columns: tuple[str, str], rows: list[tuple[str, str]]) -> None:
    text = csv_text(columns, rows)
    write_atomically(path, lambda temporary: _fill(temporary, text))
    path.chmod(0o600)


def _fill(path: Path, text: str) -> None:
    path.write_text(text, "utf-8", "surrogateescape")
