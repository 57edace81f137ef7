"""The stages of `pipeline` that read 2C, 3C and 4C views: labels and landmarks, and what is measured from them.

A view that is missing, or in which no heart is found, takes its numbers along and nothing else. The views are taken in
other breath-holds, with other numbers of frames, than the short axis; all are put onto its clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from cinecmr.anatomy import Contrast, Landmark, Structure, View
from cinecmr.geometry import apply_affine
from cinecmr.measure import long_axis, long_axis_checks
from cinecmr.measure.clock import at_shares, beat_shares
from cinecmr.measure.crossings import Seen, slice_shifts
from cinecmr.measure.hinges import POINTS, TRICUSPID, mitral_ends, settled
from cinecmr.measure.long_axis_strain import border_lengths, global_strain
from cinecmr.study import Findings, Flag, Measurement, Severity

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from cinecmr.measure.base import Base
    from cinecmr.study import Image, Study

    Array = NDArray[np.float64]

VIEWS = (View.LAX_2C, View.LAX_3C, View.LAX_4C)
_KNOWN_SHARE = 0.7  # of the frames in which a point must be found


class LongAxisModel(Protocol):
    """What finds structures and points in the long axis: a model (`models.Model`), or what somebody drew."""

    @property
    def source(self) -> str:
        """Who answers, such as "lax-unet@3f2a9c10"."""
        ...

    def read(
        self, image: Image, progress: Callable[[float], None] | None = None
    ) -> tuple[NDArray[np.uint8], dict[Landmark, Array]]:
        """(x, y, 1, t) `Structure` codes on the image's own grid, and (t, 3) patient RAS mm of each landmark."""
        ...


def find(study: Study, model: LongAxisModel | None) -> Findings:
    """Labels and landmarks of every long-axis cine; a view without a left ventricle keeps its labels and is flagged."""
    labels: dict[tuple[View, Contrast], NDArray[np.uint8]] = {}
    marks: dict[Landmark, Array] = {}
    flags: list[Flag] = []
    if model is None:
        return Findings()
    for view in VIEWS:
        if view not in study or study[view].slices != 1 or study[view].frames < 2 or not _reads(model, study[view]):
            continue
        codes, points = model.read(study[view])
        labels[view, Contrast.CINE] = codes
        if not _shows_heart(codes):
            message = f"no left ventricle was found in the {view.title}: nothing is measured from it"
            flags.append(Flag("no-long-axis-heart", Severity.FLAG, message))
            continue
        kept, said = _followed(view, points)
        marks |= kept
        flags += said
    return Findings(labels=labels, landmarks=marks, flags=tuple(flags))


def _shows_heart(codes: NDArray[np.uint8]) -> bool:
    """Whether most frames hold a left cavity; a thick ventricle may close in systole."""
    return float((codes == Structure.LV).any(axis=(0, 1, 2)).mean()) >= _KNOWN_SHARE


def _reads(model: LongAxisModel, image: Image) -> bool:
    """Whether there is an answer for the view: what an earlier run kept may lack some."""
    asked: Callable[[Image], bool] | None = getattr(model, "reads", None)
    return asked is None or asked(image)


def _followed(view: View, points: Mapping[Landmark, Array]) -> tuple[dict[Landmark, Array], list[Flag]]:
    """Points of one view without gaps and leaps; a view of which one is hardly ever seen has none of the valve's."""
    kept: dict[Landmark, Array] = {}
    flags: list[Flag] = []
    for names in (POINTS.get(view, ()), TRICUSPID):
        there = [name for name in names if name in points]
        shares = {name: float(np.isfinite(points[name]).all(axis=1).mean()) for name in there}
        if not there:
            continue
        worst = min(shares, key=lambda name: shares[name])
        if shares[worst] < _KNOWN_SHARE:
            what = worst.value.replace("_", " ")
            message = f"{what} was found in {100 * shares[worst]:.0f} % of the frames: nothing is measured from it"
            flags.append(Flag("landmark-lost", Severity.NOTE, message))
            continue
        kept |= {name: settled(points[name]) for name in there}
    return kept, flags


@dataclass(frozen=True)
class _Beat:
    """What is measured of the views, on the clock of the short axis."""

    study: Study
    found: Findings
    source: str

    @property
    def clock(self) -> Array:
        """(t,) shares of the beat of the short axis' frames."""
        return beat_shares(self.study[View.SAX])

    def on_clock(self, values: Array, view: View) -> Array:
        """(t, ...) of a view's own frames, at the frames of the short axis."""
        return at_shares(values, beat_shares(self.study[view]), self.clock)

    def bridged(self, values: Array, view: View) -> Array:
        """As `on_clock`, bridging frames at which the value is not known."""
        known = np.isfinite(values)
        return at_shares(values[known], beat_shares(self.study[view])[known], self.clock)

    def labels(self, view: View) -> NDArray[np.uint8] | None:
        """Of a view in which a heart was found."""
        codes = self.found.labels.get((view, Contrast.CINE))
        return None if codes is None or not _shows_heart(codes) else codes

    def marks(self) -> dict[Landmark, Array]:
        """Every landmark at the frames of the short axis."""
        names = {View.LAX_2C: POINTS[View.LAX_2C], View.LAX_4C: (*POINTS[View.LAX_4C], *TRICUSPID)}
        return {name: self.on_clock(self.found.landmarks[name], view)
                for view, all_ in names.items() for name in all_ if name in self.found.landmarks}  # fmt: skip

    def ends(self, view: View) -> Array | None:
        """(t, 2, 3) mitral hinges at the view's own frames: the landmarks, or in a 3C view the ends of the opening."""
        codes = self.labels(view)
        if codes is None:
            return None
        if view not in POINTS:
            return mitral_ends(codes, self.study[view].affine)
        names = POINTS[view][:2]
        if not all(name in self.found.landmarks for name in names):
            return None
        return np.stack([self.found.landmarks[name] for name in names], axis=1)

    def borders(self) -> dict[str, Array]:
        """(t,) lengths of the endocardial border by view."""
        told = {}
        for view in VIEWS:
            ends, codes = self.ends(view), self.labels(view)
            if ends is not None and codes is not None:
                lengths = border_lengths(codes, self.study[view].affine, ends)
                told[view.value[-2:].upper()] = self.on_clock(lengths, view)
        return told

    def atrium(self, structure: Structure) -> tuple[Array, str] | None:
        """(t,) ml of an atrium and the planes it was read from; None without a four-chamber view of it."""
        shown = {}
        for view in (View.LAX_2C, View.LAX_4C) if structure is Structure.LA else (View.LAX_4C,):
            ends = self.ends(view) if structure is Structure.LA else self._tricuspid()
            codes = self.labels(view)
            if ends is None or codes is None or not (codes == structure).any():
                continue
            affine = self.study[view].affine
            seen = long_axis.begins_at_valve(codes, affine, structure, ends)
            if seen.mean() < _KNOWN_SHARE:
                continue
            one = long_axis.outline(codes, affine, structure, ends)
            area, length = (np.where(seen, values, np.nan) for values in (one.area, one.length))
            shown[view] = long_axis.Outline(self.bridged(area, view), self.bridged(length, view))
        if View.LAX_4C not in shown:
            return None
        planes = "two- and four-chamber view" if View.LAX_2C in shown else "four-chamber view alone, taken for round"
        return long_axis.atrial_curve(shown.get(View.LAX_2C), shown[View.LAX_4C]), planes

    def _tricuspid(self) -> Array | None:
        if not all(name in self.found.landmarks for name in TRICUSPID):
            return None
        return np.stack([self.found.landmarks[name] for name in TRICUSPID], axis=1)


def _unseen(structure: Structure) -> Flag:
    side = "left" if structure is Structure.LA else "right"
    message = (
        f"in the four-chamber view the {side} atrium's contour does not begin at its valve in enough frames, or the "
        "valve was not found: its volumes are not told"
    )
    return Flag("atrium-not-seen", Severity.NOTE, message)


def breath_holds(study: Study, found: Findings) -> Array | None:
    """(z, 2) mm by which slices of the short axis lie elsewhere than their header says; None where no views tell."""
    sax = (View.SAX, Contrast.CINE)
    views = [
        Seen(study[view], codes)
        for view in VIEWS
        if view in study and (codes := found.labels.get((view, Contrast.CINE))) is not None and _shows_heart(codes)
    ]
    if len(views) < 2 or sax not in found.labels:
        return None
    shifts = slice_shifts(study[View.SAX], found.labels[sax], views)
    return shifts if np.isfinite(shifts).any() else None


def base_heights(study: Study, marks: Mapping[Landmark, Array]) -> Array | None:
    """(t,) height of the mitral hinges in slices of the short axis, at its frames; None where no view shows them."""
    sax = study[View.SAX]
    into, clock = np.linalg.inv(sax.affine), beat_shares(sax)
    heights = [
        at_shares(apply_affine(np.asarray(into, np.float64), marks[name])[:, 2], beat_shares(study[view]), clock)
        for view, names in POINTS.items()
        for name in names[:2]
        if view in study and name in marks
    ]
    if not heights:
        return None
    mean = np.mean(heights, axis=0)
    return mean if np.isfinite(mean).all() else None


def base_flags(seen: Array | None, base: Base | None) -> tuple[Flag, ...]:
    """What the reader of the volumes must know of the height of their base."""
    if seen is None or base is None:
        return ()
    if base.offset_mm is None:
        message = (
            "the mitral hinges of the long axis lie elsewhere than the basal slices of the short axis: volumes end "
            "where the short axis alone says; look at the basal slices"
        )
        return (Flag("base-differs", Severity.FLAG, message),)
    message = (
        f"the LV ends at the mitral hinges of the long-axis views, moved by {base.offset_mm:+.0f} mm along the axis to "
        "the breath-hold of the short axis"
    )
    return (Flag("base-from-long-axis", Severity.NOTE, message),)


def measure(study: Study, found: Findings, source: str) -> Findings:
    """MAPSE, TAPSE, shortening, GLS and atrial volumes; what no living heart has is withheld with its reason.

    Args:
        study: with a short axis, whose frames the cycle counts.
        found: labels and landmarks of the views, and the cycle.
        source: who found them.
    """
    beat = _Beat(study, found, f"contours of {source}")
    marks = beat.marks()
    if not any((view, Contrast.CINE) in found.labels for view in VIEWS):
        return Findings()
    told: dict[str, Measurement] = {}
    told |= long_axis.measurements(marks, found.cycle, beat.source, marks.get(Landmark.TRICUSPID_4C_LATERAL))
    told |= global_strain(beat.borders(), found.cycle, beat.source)
    curves = {}
    for structure in (Structure.LA, Structure.RA):
        atrium = beat.atrium(structure)
        if atrium is not None:
            curves[structure.name] = atrium[0]
            told |= long_axis.atrial_measurements(structure.name, atrium[0], beat.source, atrium[1])
    kept, flags = long_axis_checks.believable(told)
    flags += [
        _unseen(one)
        for one in (Structure.LA, Structure.RA)
        if one.name not in curves and beat.labels(View.LAX_4C) is not None
    ]
    flags += long_axis_checks.length_flags(marks, found.cycle.get("LV_ED"))
    kept |= long_axis.indexed(kept, study.facts)
    return Findings(measurements=kept, curves=curves, flags=tuple(flags))
