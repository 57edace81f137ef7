"""NIfTI files and folders of them as a `Study`: which file is the short axis, and what the names say."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cinecmr.anatomy import Contrast, View
from cinecmr.errors import RefusedInput
from cinecmr.io import nifti
from cinecmr.io.inspection import Inspection, Row
from cinecmr.io.quality import quality_flags
from cinecmr.io.subject import subject_name
from cinecmr.study import Flag, Image, Severity, Study

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

ENDINGS = (".nii", ".nii.gz")
_LABELS = re.compile(r"(^|[_\-.])(gt|label|labels|seg|segmentation|mask|contours?)([_\-.]|$)", re.IGNORECASE)
_SAX = re.compile(r"(^|[_\-.])(sax|sa|short)([_\-.]|$)", re.IGNORECASE)
_PHASE = re.compile(r"[_\-.](ED|ES)$", re.IGNORECASE)
_LONG = {
    View.LAX_2C: re.compile(r"(^|[_\-.])(2ch?|vla)([_\-.]|$)", re.IGNORECASE),
    View.LAX_3C: re.compile(r"(^|[_\-.])(3ch?)([_\-.]|$)", re.IGNORECASE),
    View.LAX_4C: re.compile(r"(^|[_\-.])(4ch?|hla)([_\-.]|$)", re.IGNORECASE),
}


@dataclass(frozen=True)
class _Picked:
    """Files by what they are; `pair` holds ED and ES where only those are there."""

    sax: Path | None
    pair: tuple[Path, Path] | None
    long_axes: dict[View, Path]
    shapes: dict[Path, tuple[int, int, int, int]]
    reasons: dict[Path, str]


def is_nifti(path: Path) -> bool:
    """By its name: NIfTI has no other sign that survives compression."""
    return path.name.lower().endswith(ENDINGS)


def stem(path: Path) -> str:
    """File name without its ending."""
    return re.sub(r"\.nii(\.gz)?$", "", path.name, flags=re.IGNORECASE)


def read_nifti(
    files: Sequence[Path], where: Path, *, keep_id: bool = False, sax: str | None = None, rr_ms: float | None = None
) -> Study:
    """Read a study from NIfTI files; see `cinecmr.io.read`."""
    picked = _pick(files, where, sax)
    images: dict[tuple[View, Contrast], Image] = {}
    if picked.pair is not None:
        image, flags = read_two_frames(*picked.pair)
        main, used = picked.pair[0], list(picked.pair)
    elif picked.sax is not None:
        image, flags = nifti.read_flagged(picked.sax, rr_ms=rr_ms)
        main, used = picked.sax, [picked.sax]
    else:
        raise _no_short_axis(picked, where)
    images[View.SAX, Contrast.CINE] = image
    if image.frames == 1:
        message = "one frame only: volumes of that frame, no ejection fraction"
        flags = (*flags, Flag("single-frame", Severity.FLAG, message))
    if image.data.min() >= 0:  # where 0 is no signal
        flags = (*flags, *quality_flags(image))
    for view, path in picked.long_axes.items():
        images[view, Contrast.CINE] = nifti.read_flagged(path, rr_ms=rr_ms, view=view)[0]
        used.append(path)
    digest = hashlib.sha256()
    for path in used:
        digest.update(path.read_bytes())
    return Study(
        subject=subject_name(_PHASE.sub("", stem(main)), keep_id=keep_id),
        images=images,
        flags=flags,
        provenance={
            "format": "NIfTI",
            "phase_key": "ED and ES files" if picked.pair else "order in the file",
            "files_used": str(len(used)),
            "files_ignored": str(len(files) - len(used)),
            "input_sha256": digest.hexdigest(),
        },
    )


def inspect_nifti(
    files: Sequence[Path], where: Path, *, keep_id: bool = False, sax: str | None = None, rr_ms: float | None = None
) -> Inspection:
    """What `read_nifti` would use; see `cinecmr.io.inspect`."""
    picked = _pick(files, where, sax)
    views = {path: view.name for view, path in picked.long_axes.items()}
    views |= dict.fromkeys([path for path in (picked.sax, *(picked.pair or ())) if path], "SAX")
    rows = []
    for path in files:
        x, y, z, t = picked.shapes.get(path, (0, 0, 0, 0))
        rows.append(
            Row(
                path.name,
                "",
                views.get(path, ""),
                z,
                str(t),
                f"{x} x {y}",
                "",
                path in views,
                picked.reasons.get(path, ""),
                1,
            )
        )
    rows.sort(key=lambda row: (not row.used, row.series))
    name = subject_name(_PHASE.sub("", stem(files[0])), keep_id=keep_id)
    try:
        study = read_nifti(files, where, keep_id=keep_id, sax=sax, rr_ms=rr_ms)
    except RefusedInput as refusal:
        return Inspection(name, tuple(rows), refusal=(refusal.code, refusal.message))
    chosen = {view.name: repr(image) for (view, _), image in study.images.items()}
    return Inspection(study.subject, tuple(rows), chosen, study.flags)


def _pick(files: Sequence[Path], where: Path, sax: str | None) -> _Picked:
    """Which file is what. One 4-D file of a stack is the short axis; names decide only among several."""
    shapes: dict[Path, tuple[int, int, int, int]] = {}
    reasons: dict[Path, str] = {}
    whole: list[Path] = []
    still: list[Path] = []
    long_axes: dict[View, Path] = {}
    for path in sorted(files):
        if len(files) > 1 and _LABELS.search(stem(path)) and not (sax and sax in path.name):
            reasons[path] = "labels, by its name"
            continue
        shapes[path] = nifti.shape_of(path)
        z, t = shapes[path][2:]
        view = next((view for view, name in _LONG.items() if name.search(stem(path))), None)
        if z < 3 and t > 1 and view is not None and view not in long_axes:
            long_axes[view], reasons[path] = path, f"{view.title}, by its name"
        elif z < 3 and len(files) > 1:
            reasons[path] = "fewer than 3 slices, and no view in its name"
        else:
            (whole if t > 1 else still).append(path)
    chosen, pair = _choose_sax(whole, still, where, sax)
    for path in (*whole, *still):
        used = path == chosen or path in (pair or ())
        reasons[path] = "short-axis stack" if used else "the short-axis cine is another file"
    return _Picked(chosen, pair, long_axes, shapes, reasons)


def _choose_sax(
    whole: list[Path], still: list[Path], where: Path, sax: str | None
) -> tuple[Path | None, tuple[Path, Path] | None]:
    """The 4-D file; or ED and ES; or the only still."""
    for candidates in (whole, still):
        wanted = [path for path in candidates if sax is None or sax in path.name]
        if len(wanted) > 1:
            wanted = [path for path in wanted if _SAX.search(stem(path))] or wanted
        if len(wanted) == 1:
            return wanted[0], None
        pair = _pair(wanted) if candidates is still else None
        if pair:
            return None, pair
        if len(wanted) > 1:
            names = ", ".join(path.name for path in wanted[:6]) + (", ..." if len(wanted) > 6 else "")
            raise RefusedInput(
                "several-images",
                f"{where} holds {len(wanted)} images that could be the short axis ({names}); name one with --sax FILE",
            )
    return None, None


def _pair(paths: Sequence[Path]) -> tuple[Path, Path] | None:
    phases = {phase: (heart, path) for path in paths for heart, phase in [heart_and_phase(path)]}
    if len(paths) == 2 and set(phases) == {"ED", "ES"}:
        (one, ed), (other, es) = phases["ED"], phases["ES"]
        return (ed, es) if one == other else None
    return None


def heart_and_phase(path: Path) -> tuple[str, str]:
    """What a file is named after, and "ED" or "ES" where the name ends so; "" otherwise.

    >>> from pathlib import Path
    >>> heart_and_phase(Path("one_ED.nii.gz")), heart_and_phase(Path("one.nii"))
    (('one', 'ED'), ('one', ''))
    """
    match = _PHASE.search(stem(path))
    return (stem(path)[: match.start()], match[1].upper()) if match else (stem(path), "")


def read_two_frames(ed: Path, es: Path) -> tuple[Image, tuple[Flag, ...]]:
    """ED and ES stills as an image of two frames.

    Raises:
        RefusedInput: not readable, or on different grids (`different-grids`).
    """
    (first, flags), (second, more) = nifti.read_flagged(ed), nifti.read_flagged(es)
    if first.data.shape != second.data.shape or not np.allclose(first.affine, second.affine, atol=1e-3):
        raise RefusedInput("different-grids", f"{ed.name} and {es.name} lie on different grids; give one of them")
    message = f"{ed.name} and {es.name} are read as two frames; their true times are unknown"
    note = Flag("two-frames", Severity.FLAG, message)
    data = np.concatenate([first.data, second.data], axis=3)
    times = np.array([0.0, 0.35])  # the usual share of systole in a beat of one second
    return Image(data, first.affine, times), (*flags, *(flag for flag in more if flag not in flags), note)


def _no_short_axis(picked: _Picked, where: Path) -> RefusedInput:
    there = [
        f"{view.name.replace('_', ' ')} ({picked.shapes[path][3]} frames)" for view, path in picked.long_axes.items()
    ]
    return RefusedInput(
        "no-sax", f"no short-axis stack in {where}: found {', '.join(there) or 'none'}; name one with --sax FILE"
    )
