"""From the headers of a DICOM folder to what will be read: which planes, as which view, in which order of frames.

No pixels are read here (but for two files of one identifier), so `inspect` and `read` cannot disagree.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from cinecmr.anatomy import View
from cinecmr.errors import RefusedInput
from cinecmr.io import sifting, views
from cinecmr.io.frames import Timing, order
from cinecmr.io.headers import SKEW_MENDED, Header, scan
from cinecmr.io.pixels import same_pixels, undecodable
from cinecmr.io.planes import SAME_PLACE_MM, Run, group, tilt_deg
from cinecmr.study import Flag, Severity

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


@dataclass(frozen=True)
class Choice:
    """What will be read, and what will not.

    Attributes:
        sax: the short-axis stack, or None.
        long_axes: one plane for each view that was found.
        timing: order of frames of each view that will be read.
        left_out: headers that share their fate, the view they show ("" where unknown) and why they are not used.
        flags: what the headers alone tell.
        refusal: why nothing can be measured, where that is so.
        patient: identifier in the headers; never to be printed as it stands.
        ignored: reason to number of files that are no pictures.
        files: DICOM pictures found.
    """

    sax: views.Stack | None
    long_axes: Mapping[View, Run]
    timing: Mapping[View, Timing]
    left_out: tuple[tuple[tuple[Header, ...], str, str], ...]
    flags: tuple[Flag, ...]
    refusal: RefusedInput | None
    patient: str
    ignored: Mapping[str, int]
    files: int


@dataclass
class _Sieve:
    """Collects what falls through."""

    left: list[tuple[tuple[Header, ...], str, str]] = field(default_factory=list)
    flags: list[Flag] = field(default_factory=list)

    def out(self, run: Run, reason: str, view: str = "") -> None:
        self.left.append((run.headers, view, reason))

    def flag(self, code: str, severity: Severity, message: str) -> None:
        self.flags.append(Flag(code, severity, message))


def choose(path: Path, *, sax: str | None = None, rr_ms: float | None = None) -> Choice:
    """Decide what of a folder will be read.

    Args:
        path: folder, or one file.
        sax: series numbers (comma between), a series UID or a part of a description that the user names as short axis.
        rr_ms: R-R interval the user gave, ms.

    Raises:
        RefusedInput: nothing to choose from, two patients or studies in one folder, contradicting files, geometry
            that cannot be trusted, or an unknown `sax`. A folder without a short axis is not refused here: see
            `Choice.refusal`.
    """
    found = scan(path)
    sieve = _Sieve()
    if found.truncated:
        sieve.flag(
            "unreadable-file",
            Severity.FLAG,
            f"{found.truncated} DICOM files end too early or are damaged and were left out",
        )
    headers = _without_duplicates(found.headers, path, sieve)
    patient = _one_person(headers, path)
    runs = _without_twins(_cines(headers, path, sieve), sieve)
    wanted = _named(runs, sax) if sax else runs
    stack = views.find_short_axis(wanted, named=bool(sax))
    refusal: RefusedInput | None = None
    timing: dict[View, Timing] = {}
    if stack is not None:
        refusal = _askew(stack) or _missing_neighbours(stack) or _uneven(stack) or undecodable(_all(stack.runs))
        try:
            timing[View.SAX] = order(stack.runs, rr_ms)
        except RefusedInput as error:
            refusal = refusal or error
    long_axes, rest = _long_axes(runs, stack, sieve)
    for view, run in list(long_axes.items()):
        try:
            timing[view] = order([run], rr_ms)
        except RefusedInput as error:
            sieve.out(run, f"order of frames unknown: {error.message}", view.name)
            del long_axes[view]
    if stack is None:
        refusal = _no_short_axis(path, runs, rest, long_axes, sieve)
    return Choice(
        stack, long_axes, timing, tuple(sieve.left), tuple(sieve.flags), refusal, patient, found.passed_over,
        found.files,
    )  # fmt: skip


def _without_duplicates(headers: Sequence[Header], path: Path, sieve: _Sieve) -> list[Header]:
    """One header for each identifier; two files of one identifier must hold one picture."""
    by_uid: dict[str, list[Header]] = defaultdict(list)
    for header in headers:
        by_uid[header.uid].append(header)
    copies = [same for same in by_uid.values() if len(same) > 1]
    for first, *others in copies:
        for other in others:
            if not same_pixels(first, other):
                names = " and ".join(str(h.path.relative_to(path)) for h in (first, other))
                raise RefusedInput(
                    "conflicting-files",
                    f"{names} in {path} have one SOPInstanceUID but different pixels; remove the wrong one",
                )
    if copies:
        count = sum(len(same) - 1 for same in copies)
        sieve.flag("duplicate-files", Severity.NOTE, f"{count} files are exact copies of others; each is used once")
    return [same[0] for same in by_uid.values()]


def _one_person(headers: Sequence[Header], path: Path) -> str:
    """The patient identifier that all files share."""
    patients = {header.patient for header in headers} - {""}
    if len(patients) > 1:
        raise RefusedInput(
            "several-patients", f"{path} holds files of {len(patients)} patients; give the folder of one patient"
        )
    studies = {header.study for header in headers} - {""}
    if len(studies) > 1:
        raise RefusedInput(
            "several-studies", f"{path} holds {len(studies)} studies of one patient; give the folder of one study"
        )
    return next(iter(patients), next(iter(studies), "unnamed"))


def _cines(headers: Sequence[Header], path: Path, sieve: _Sieve) -> list[Run]:
    """Planes that show a moving heart."""
    rejected: dict[tuple[str, str], list[Header]] = defaultdict(list)
    kept = []
    for header in headers:
        reason = sifting.reason_against_file(header)
        if reason is None:
            kept.append(header)
        else:
            rejected[header.series, reason].append(header)
    for (_, reason), members in rejected.items():
        sieve.left.append((tuple(members), "", reason))
        if reason == "no pixel spacing in the header" and len(members) >= sifting.MIN_FRAMES:
            raise RefusedInput(
                "no-spacing",
                f"series {members[0].series_number} in {path} does not state its pixel spacing "
                "(ImagerPixelSpacing is not that of the patient); export it again with PixelSpacing",
            )
    runs = []
    for run in group(kept):
        reason = sifting.reason_against_run(run)
        if reason is None and run.place.skew > SKEW_MENDED:
            raise RefusedInput(
                "bad-orientation",
                f"series {run.first.series_number} in {path} states image axes that are not perpendicular unit vectors "
                f"(off by {run.place.skew:.2g}); export it again",
            )
        if reason is None:
            runs.append(run)
        else:
            sieve.out(run, reason)
    return runs


def _without_twins(runs: list[Run], sieve: _Sieve) -> list[Run]:
    """Each plane in one form: scanners and archives export the same pictures as classic and as enhanced objects."""
    classic = [run for run in runs if run.first.frame is None]
    kept = list(classic)
    for run in runs:
        if run.first.frame is None:
            continue
        twin = next((other for other in classic if _same_pictures(run, other)), None)
        if twin is None:
            kept.append(run)
        else:
            sieve.out(run, f"the same pictures as series {twin.first.series_number}, stored again in enhanced form")
    return [run for run in runs if any(run is other for other in kept)]


def _same_pictures(enhanced: Run, classic: Run) -> bool:
    """Whether two runs hold one acquisition: one plane, one grid, as many frames, and a picture of one in the other."""
    far = float(np.linalg.norm(enhanced.place.position - classic.place.position))
    alike = enhanced.grid == classic.grid and enhanced.frames == classic.frames
    if far > SAME_PLACE_MM or not alike or tilt_deg(enhanced.normal, classic.normal) > 1.0:
        return False
    return any(same_pixels(classic.first, header) for header in enhanced.headers)


def _all(runs: Sequence[Run]) -> list[Header]:
    return [header for run in runs for header in run.headers]


def _named(runs: Sequence[Run], sax: str) -> list[Run]:
    """The runs that the user means."""
    wanted = {part.strip().lower() for part in sax.split(",") if part.strip()}
    exact = [run for run in runs if {str(run.first.series_number), run.first.series.lower()} & wanted]
    named = exact or [run for run in runs if any(part in run.first.description.lower() for part in wanted)]
    if not named:
        there = ", ".join(sorted({f"{run.first.series_number} {run.first.description}".strip() for run in runs}))
        raise RefusedInput("no-such-series", f"no cine series is called {sax}: there are {there or 'none'}")
    return named


def _missing_neighbours(stack: views.Stack) -> RefusedInput | None:
    missing = stack.grid.missing
    pairs = [(a, b) for a, b in pairwise(missing) if b == a + 1]
    if not pairs:
        return None
    gap = (pairs[0][0], max(pairs[-1]))
    return RefusedInput(
        "missing-slices",
        f"short-axis slices {gap[0] + 1} to {gap[1] + 1} of {stack.grid.slices} (base to apex) are missing side by "
        "side: volumes cannot bridge them; find the missing files or name a whole stack with --sax SERIES",
    )


def _askew(stack: views.Stack) -> RefusedInput | None:
    tilt, run = max(((tilt_deg(run.normal, stack.normal), run) for run in stack.runs), key=lambda pair: pair[0])
    if tilt <= views.TILTED_DEG:
        return None
    return RefusedInput(
        "tilted-slices",
        f"the short-axis slice of series {run.first.series_number} is tilted to the others by {tilt:.0f} degrees, more "
        f"than {views.TILTED_DEG:.0f}: volumes cannot take it as parallel; name the series to use with --sax",
    )


def _uneven(stack: views.Stack) -> RefusedInput | None:
    between = sum(reason == views.BETWEEN for _, reason in stack.left_out)
    if between <= max(1, len(stack.runs) / 4):
        return None
    return RefusedInput(
        "uneven-slices",
        f"{between} short-axis planes lie between the {len(stack.runs)} that are evenly spaced: two stacks may be "
        "mixed; name the series of one with --sax",
    )


def _long_axes(
    runs: Sequence[Run], stack: views.Stack | None, sieve: _Sieve
) -> tuple[dict[View, Run], list[tuple[Run, str]]]:
    """Long-axis planes by their place to the stack, or to where the heart usually lies."""
    used = set() if stack is None else {id(run) for run in stack.runs} | {id(run) for run, _ in stack.left_out}
    rest = [run for run in runs if id(run) not in used]
    if stack is not None:
        for run, why in stack.left_out:
            sieve.out(run, why, "SAX")
        middle = np.mean([run.centre for run in stack.runs], axis=0)
        named, others = views.name_long_axes(rest, stack.normal, middle)
        for run, why in others:
            sieve.out(run, why)
        return named, others
    if not rest:
        return {}, []
    return views.name_long_axes(rest, views.APEX, np.mean([run.centre for run in rest], axis=0))


def _no_short_axis(
    path: Path, runs: Sequence[Run], rest: Sequence[tuple[Run, str]], long_axes: Mapping[View, Run], sieve: _Sieve
) -> RefusedInput:
    """What was found instead."""
    for run, why in rest:
        sieve.out(run, why)
    if any(reason == sifting.MOSAIC for _, _, reason in sieve.left):
        return RefusedInput(
            "mosaic",
            f"no short-axis cine in {path}, but mosaic pictures: their slices are tiled into one and do not say "
            "where each lies: export the series with one picture a slice",
        )
    if not runs:
        reasons = sorted({reason for _, _, reason in sieve.left})
        return RefusedInput(
            "no-cine",
            f"no cine in {path}: found {'; '.join(reasons) or 'nothing with a place in the patient'}; give the folder "
            f"with the short-axis cine, at least {sifting.MIN_FRAMES} frames a slice",
        )
    there = [f"{view.name.replace('_', ' ')} ({run.frames} frames)" for view, run in sorted(
        long_axes.items(), key=lambda pair: pair[0].value)]  # fmt: skip
    others = [run for run, _ in rest]
    if others:
        there.append(f"{len(others)} other cine plane{'s' * (len(others) > 1)} ({others[0].frames} frames)")
    return RefusedInput("no-sax", f"no short-axis cine in {path}: found {', '.join(there)}; name one with --sax SERIES")
