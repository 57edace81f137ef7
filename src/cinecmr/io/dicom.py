"""A DICOM folder to a `Study`, and to an `Inspection` of what would be read."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from typing import TYPE_CHECKING

from cinecmr.anatomy import Contrast, View
from cinecmr.errors import RefusedInput
from cinecmr.io.choice import Choice, choose
from cinecmr.io.facts import read_facts
from cinecmr.io.inspection import Inspection, Row
from cinecmr.io.pixels import forget
from cinecmr.io.planes import Lattice, heights
from cinecmr.io.quality import quality_flags
from cinecmr.io.stack import build, common_beat, spacing_flags, timing_flags
from cinecmr.io.subject import subject_name
from cinecmr.io.views import BETWEEN, CUTS, is_named
from cinecmr.study import Facts, Flag, Image, Severity, Study

if TYPE_CHECKING:
    from pathlib import Path

    from cinecmr.io.headers import Header
    from cinecmr.io.planes import Run

ONE_SLICE = Lattice(0.0, 1.0, (0,), ())


def read_dicom(path: Path, *, keep_id: bool = False, sax: str | None = None, rr_ms: float | None = None) -> Study:
    """Read the cine of a DICOM study; see `cinecmr.io.read`."""
    choice = choose(path, sax=sax, rr_ms=rr_ms)
    if choice.refusal is not None or choice.sax is None:
        raise choice.refusal or RefusedInput("no-sax", f"no short-axis cine in {path}")
    stack, digest = choice.sax, hashlib.sha256()
    image, flags = build(stack.runs, stack.grid, stack.normal, choice.timing[View.SAX], View.SAX, digest)
    flags += quality_flags(image)
    images: dict[tuple[View, Contrast], Image] = {(View.SAX, Contrast.CINE): image}
    used = {header.path for run in stack.runs for header in run.headers}
    for view, run in sorted(choice.long_axes.items(), key=lambda pair: pair[0].value):
        try:
            images[view, Contrast.CINE], _ = build([run], ONE_SLICE, run.normal, choice.timing[view], view, digest)
            used |= {header.path for header in run.headers}
        except RefusedInput as error:  # a long-axis view is a help, never a condition
            flags.append(Flag("view-left-out", Severity.FLAG, f"{view.title}: {error.message}"))
    forget()
    facts, fact_flags = read_facts(stack.runs[0].first.path)
    return Study(
        subject=subject_name(choice.patient, keep_id=keep_id),
        images=images,
        facts=facts,
        flags=(*_flags(choice), *flags, *fact_flags),
        provenance={
            "format": "DICOM",
            "phase_key": choice.timing[View.SAX].key,
            "files_used": str(len(used)),
            "files_ignored": str(choice.files - len(used) + sum(choice.ignored.values())),
            "input_sha256": digest.hexdigest(),
        },
    )


def inspect_dicom(
    path: Path, *, keep_id: bool = False, sax: str | None = None, rr_ms: float | None = None
) -> Inspection:
    """What `read_dicom` would use; only headers are read. See `cinecmr.io.inspect`."""
    choice = choose(path, sax=sax, rr_ms=rr_ms)
    rows, chosen = [], {}
    if choice.sax is not None:
        rows += _rows([run.headers for run in choice.sax.runs], "SAX", used=True, reason="short-axis stack")
        chosen["SAX"] = _stack_text(choice)
    for view, run in sorted(choice.long_axes.items(), key=lambda pair: pair[0].value):
        rows += _rows([run.headers], view.name, used=True, reason=_long_axis_text(run, view))
        chosen[view.name] = f"{run.frames} frames, ordered by {choice.timing[view].key}"
    fates: dict[tuple[str, str], list[tuple[Header, ...]]] = defaultdict(list)
    for headers, view_name, reason in choice.left_out:
        fates[view_name, reason].append(headers)
    for (view_name, reason), groups in fates.items():
        rows += _rows(groups, view_name, used=False, reason=reason)
    facts, fact_flags = (Facts(), ()) if choice.sax is None else read_facts(choice.sax.runs[0].first.path)
    refusal = choice.refusal and (choice.refusal.code, choice.refusal.message)
    return Inspection(
        subject=subject_name(choice.patient, keep_id=keep_id),
        rows=tuple(rows),
        chosen=chosen,
        flags=(*_flags(choice), *fact_flags),
        facts={key: getattr(value, "value", value) for key, value in vars(facts).items() if value is not None},
        ignored=choice.ignored,
        refusal=refusal or None,
    )


def _flags(choice: Choice) -> list[Flag]:
    """What the headers of the chosen planes tell."""
    flags = list(choice.flags)
    stack = choice.sax
    if stack is None or View.SAX not in choice.timing:
        return flags
    flags += spacing_flags(stack.runs, stack.grid, heights(stack.runs, stack.normal))
    flags += timing_flags(choice.timing[View.SAX])
    between = sum(reason == BETWEEN for _, reason in stack.left_out)
    if between:
        message = f"{between} short-axis planes lie between the evenly spaced slices and are not used"
        flags.append(Flag("slice-off-lattice", Severity.FLAG, message))
    repeats = len(stack.left_out) - between
    if repeats:
        message = f"{repeats} short-axis planes are repeats of slices that are used; `cinecmr inspect` lists them"
        flags.append(Flag("repeated-slices", Severity.NOTE, message))
    for view, run in choice.long_axes.items():
        if "though" in (told := _long_axis_text(run, view)):
            message = f"series {run.first.series_number} is the {told}"
            flags.append(Flag("view-name-differs", Severity.NOTE, message))
    if any(header.lossy for run in stack.runs for header in run.headers):
        message = "pixels of the short axis were compressed with loss; fine edges may have moved"
        flags.append(Flag("lossy-pixels", Severity.NOTE, message))
    if stack.unusual:
        message = "the short-axis stack lies in an unusual direction in the chest; check that it is one"
        flags.append(Flag("unusual-orientation", Severity.FLAG, message))
    return flags


def _long_axis_text(run: Run, view: View) -> str:
    other = next((o for o in CUTS if o is not view and is_named(run, o) and not is_named(run, view)), None)
    return view.title + (f" by its place, though its name says {other.title}" if other else "")


def _stack_text(choice: Choice) -> str:
    stack = choice.sax
    if stack is None or View.SAX not in choice.timing:
        return "frames could not be ordered"
    beat = common_beat(choice.timing[View.SAX])
    rr = f"R-R {beat.rr_ms:.0f} ms" if beat.rr_ms else "R-R unknown"
    missing = f" ({len(stack.grid.missing)} missing)" if stack.grid.missing else ""
    return (f"{stack.grid.slices} slices{missing}, {stack.grid.step:.1f} mm apart, {len(beat.phases)} frames, {rr}, "
            f"frames ordered by {choice.timing[View.SAX].key}")  # fmt: skip


def _rows(groups: list[tuple[Header, ...]], view: str, *, used: bool, reason: str) -> list[Row]:
    """One row for each series among planes that share their fate."""
    by_series: dict[str, list[tuple[Header, ...]]] = defaultdict(list)
    for headers in groups:
        by_series[headers[0].series].append(headers)
    rows = []
    for planes in by_series.values():
        first = planes[0][0]
        counts = sorted({len(plane) for plane in planes})
        spacing = " x ".join(f"{s:.2f}" for s in first.place.spacing) if first.place else ""
        rows.append(
            Row(
                series="?" if first.series_number is None else str(first.series_number),
                description=first.description,
                view=view,
                planes=len(planes),
                frames=str(counts[0]) if len(counts) == 1 else f"{counts[0]}-{counts[-1]}",
                matrix=f"{first.shape[0]} x {first.shape[1]}",
                pixel_mm=spacing,
                used=used,
                reason=reason,
                files=len({header.path for plane in planes for header in plane}),
            )
        )
    return sorted(rows, key=lambda row: (len(row.series), row.series))
