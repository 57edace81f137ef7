"""`read` and `inspect`: a path to a `Study`, whatever the files are."""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from cinecmr.errors import RefusedInput
from cinecmr.io import dicom, nifti_study
from cinecmr.io.archive import unpacked

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cinecmr.io.inspection import Inspection
    from cinecmr.study import Study


def read(path: Path | str, *, keep_id: bool = False, sax: str | None = None, rr_ms: float | None = None) -> Study:
    """Read the cine of one visit.

    Args:
        path: a DICOM folder (any nesting and names), a NIfTI file (3-D or 4-D), a folder of NIfTI files, or a .zip
            of any of these, or a folder of nothing but .zip (see `cinecmr.io.archive`).
        keep_id: name the subject by its identifier instead of a hash of it.
        sax: what to use as short axis where the choice is wrong: DICOM series numbers with commas between, a series
            UID or part of a description; part of a NIfTI file's name.
        rr_ms: R-R interval, ms; wins over DICOM headers, stands in where NIfTI lacks its frame times.

    Returns:
        A study with a short-axis cine, and the long-axis cines that were found. DICOM stacks run from base to apex,
        NIfTI stays on its grid.

    Raises:
        RefusedInput: with a code of docs/reference/flags.md.
    """
    with _opened(_existing(path)) as place:
        files = _nifti_files(place)
        if files:
            return nifti_study.read_nifti(files, place, keep_id=keep_id, sax=sax, rr_ms=rr_ms)
        return dicom.read_dicom(place, keep_id=keep_id, sax=sax, rr_ms=rr_ms)


def inspect(
    path: Path | str, *, keep_id: bool = False, sax: str | None = None, rr_ms: float | None = None
) -> Inspection:
    """What `read` would use, what not, and why; arguments as `read`.

    Raises:
        RefusedInput: there is nothing to list.
    """
    with _opened(_existing(path)) as place:
        files = _nifti_files(place)
        if files:
            return nifti_study.inspect_nifti(files, place, keep_id=keep_id, sax=sax, rr_ms=rr_ms)
        return dicom.inspect_dicom(place, keep_id=keep_id, sax=sax, rr_ms=rr_ms)


@contextmanager
def _opened(path: Path) -> Iterator[Path]:
    """Where the files lie: the path itself, or for archives a folder that is gone afterwards."""
    archives = _archives(path)
    if not archives:
        yield path
        return
    with unpacked(archives) as place:
        try:
            yield place
        except RefusedInput as refusal:  # the person knows the archive, not where it was unpacked
            raise RefusedInput(refusal.code, refusal.message.replace(str(place), str(path))) from None


def _archives(path: Path) -> list[Path]:
    """The archive itself, or those of a folder that holds nothing else."""
    found = [path] if path.is_file() else []
    for folder, _, names in os.walk(path):
        for name in names:
            if name.startswith("."):
                continue
            if not name.lower().endswith(".zip"):
                return []
            found.append(Path(folder) / name)
    return sorted(one for one in found if one.suffix.lower() == ".zip")


def _existing(path: Path | str) -> Path:
    path = Path(path)
    if not path.exists():
        raise RefusedInput("no-such-path", f"there is no file or folder {path}; check the path")
    return path


def _nifti_files(path: Path) -> list[Path]:
    """The NIfTI files at or under a path."""
    if path.is_file():
        return [path] if nifti_study.is_nifti(path) else []
    found = [Path(folder) / name for folder, _, names in os.walk(path) for name in names]
    return sorted(file for file in found if nifti_study.is_nifti(file) and not file.name.startswith("."))
