"""DICOM of layouts that say which view a file shows: read without guessing, and written under the layout's names."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

from cinecmr.anatomy import Contrast, View
from cinecmr.errors import RefusedInput
from cinecmr.io.dicom import ONE_SLICE
from cinecmr.io.facts import read_facts
from cinecmr.io.frames import order
from cinecmr.io.headers import scan
from cinecmr.io.planes import group, heights
from cinecmr.io.sifting import reason_against_file
from cinecmr.io.stack import build, spacing_flags, timing_flags
from cinecmr.io.views import find_short_axis

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from cinecmr.io.headers import Header
    from cinecmr.phantom.dicom_files import Frame
    from cinecmr.study import Facts, Flag, Image, Study


def headers_by_folder(folder: Path) -> dict[str, list[Header]]:
    """Headers of every picture under a folder, by the name of the folder each lies in."""
    found: dict[str, list[Header]] = {}
    for header in scan(folder).headers:
        found.setdefault(header.path.parent.name, []).append(header)
    return found


def read_view(
    headers: Sequence[Header], view: View, contrast: Contrast, where: Path
) -> tuple[Image, tuple[Flag, ...], Facts]:
    """The image that some files hold.

    Args:
        headers: of all files of one view; of repeated slices one is taken, as `cinecmr.io` does.
        view: what they show; a short axis may have any number of slices and any direction.
        contrast: likewise.
        where: their place, for refusals.

    Returns:
        The image, its slices from base to apex; what was odd; what the headers say of person and scanner.

    Raises:
        RefusedInput: no pictures with a place in the patient (`no-cine`), or as `cinecmr.io.read`.
    """
    runs = group(header for header in headers if reason_against_file(header) is None)
    if not runs:
        raise RefusedInput("no-cine", f"{where} holds no {view.name} pictures with a place in the patient")
    stack = find_short_axis(runs, named=True) if view is View.SAX and len(runs) > 1 else None
    if stack is None:
        run = max(runs, key=lambda one: (one.frames, one.acquired))
        timing = order([run])
        image, flags = build([run], ONE_SLICE, run.normal, timing, view, hashlib.sha256())
        flags += timing_flags(timing)
    else:
        timing = order(stack.runs)
        image, flags = build(stack.runs, stack.grid, stack.normal, timing, view, hashlib.sha256())
        flags += timing_flags(timing) + spacing_flags(stack.runs, stack.grid, heights(stack.runs, stack.normal))
    facts, more = read_facts(runs[0].first.path)
    return replace(image, contrast=contrast), (*flags, *more), facts


def frames_as(
    study: Study, view: View, contrast: Contrast, describe: Callable[[int], str], seed: int
) -> Iterator[tuple[Frame, str]]:
    """The files of one image of a study, and the description each got.

    Args:
        study: holds the image.
        view: which.
        contrast: which.
        describe: SeriesDescription of each slice.
        seed: of identifiers.
    """
    from cinecmr.phantom.dicom_files import VENDORS, frames_of, uid

    # Only the names tell a tagged cine from a plain one, and those are the layout's.
    alone = replace(
        study, images={(view, Contrast.CINE): replace(study.images[view, contrast], contrast=Contrast.CINE)}
    )
    for frame in frames_of(alone, VENDORS["siemens"], seed):
        ds = frame.ds
        ds.SeriesDescription = ds.ProtocolName = describe(frame.z)
        words = (study.subject, seed, view.value, contrast.value, frame.z)
        ds.StudyInstanceUID, ds.SeriesInstanceUID = uid(study.subject, seed, "study"), uid(*words)
        ds.SOPInstanceUID = uid(*words, frame.t)
        yield frame, ds.SeriesDescription
