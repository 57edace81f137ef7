"""One study in, findings out: a fold over stages.

Each stage takes the study and what is known so far and returns what it adds; a stage never replaces a finding.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np

from cinecmr.analyze import long_axis
from cinecmr.anatomy import Contrast, Landmark, Structure, View
from cinecmr.errors import RefusedInput
from cinecmr.measure import checks
from cinecmr.measure.coherence import coherence_flags, dark_flags, length_flags, proportion_flags
from cinecmr.measure.cycle import find_cycle as cycle_of
from cinecmr.measure.long_axis import lengths, marked_views
from cinecmr.measure.right_heart import right_flags
from cinecmr.measure.shifts import shift_flags
from cinecmr.measure.thickness import insertion_points, middle_slice, wall_thickness
from cinecmr.measure.volumes import CAVITIES, CONVENTION, chamber, left_curve, measurements, mitral_plane, volume_curve
from cinecmr.study import Findings, Flag, Measurement, Severity

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from cinecmr.analyze.long_axis import LongAxisModel
    from cinecmr.measure.base import Base
    from cinecmr.measure.volumes import Chamber
    from cinecmr.study import Image, Study

PAIR = "two-frames"  # flag of reading: an ED and an ES still, in this order
SAX_CINE = (View.SAX, Contrast.CINE)


class Segmenter(Protocol):
    """What finds the structures: a model, or labels somebody drew (`analyze.given.GivenLabels`)."""

    @property
    def source(self) -> str:
        """Who answers for the labels, such as "sax-unet@3f2a9c10"."""
        ...

    def segment(self, image: Image, progress: Callable[[float], None] | None = None) -> NDArray[np.uint8]:
        """(x, y, z, t) `Structure` codes on the image's own grid."""
        ...


@dataclass(frozen=True)
class Context:
    """What the stages need besides the study.

    Attributes:
        model: see `Segmenter`.
        ed, es: frames the user chose, for both ventricles.
        progress: told the share of the segmentation that is done, 0 to 1.
        convention: what the labels count, in words.
        long_axis: reads 2C, 3C and 4C views; None leaves them unread.
    """

    model: Segmenter
    ed: int | None = None
    es: int | None = None
    progress: Callable[[float], None] | None = None
    convention: str = CONVENTION
    long_axis: LongAxisModel | None = None


def segment(study: Study, found: Findings, context: Context) -> Findings:
    """Find the structures in the short-axis cine. Slices that were never acquired stay `UNSEEN`."""
    if SAX_CINE in found.labels:
        return Findings()
    image = study[View.SAX]
    ask = getattr(context.model, "segment_surely", None)  # models tell how sure they are, people do not
    drawn, sure = (
        (context.model.segment(image, context.progress), None) if ask is None else ask(image, context.progress)
    )
    labels = np.array(drawn, np.uint8)
    if labels.shape != image.data.shape:
        raise ValueError(f"{context.model.source} gave labels {labels.shape} for an image {image.data.shape}")
    labels[:, :, list(image.missing_slices)] = Structure.UNSEEN
    checks.something_found(labels)
    known = _slice_dice(context)
    if sure is not None and known is not None:
        sure = known(sure)
    return Findings(labels={SAX_CINE: labels}, confidence={} if sure is None else {SAX_CINE: sure})


def _slice_dice(context: Context) -> Callable[[NDArray[np.float64]], NDArray[np.float64]] | None:
    """What puts right how sure the model is of slices, where that was learned."""
    return getattr(getattr(context.model, "sureness", None), "slices", None)


def find_cycle(study: Study, found: Findings, context: Context) -> Findings:
    """Volume curves of both ventricles, and the frames of ED and ES of each."""
    image, labels = study[View.SAX], found.labels[SAX_CINE]
    seen = long_axis.base_heights(study, found.landmarks)
    base = mitral_plane(labels, image.affine, seen)
    curves = {
        "LV": left_curve(labels, Structure.LV, image.affine, base),
        "RV": volume_curve(labels, Structure.RV, image.affine),
    }
    there = {name: curve for name, curve in curves.items() if np.nanmax(curve, initial=0.0) > 0}
    ed, es, who = context.ed, context.es, "the user"
    if ed is None and es is None and any(flag.code == PAIR for flag in study.flags):
        ed, es, who = 0, 1, "the names of the files"
    cycle, flags = cycle_of(there, image.times, image.rr_ms, ed=ed, es=es, given_by=who)
    lost = tuple(
        Flag("not-found", Severity.REFUSE, f"no {name} blood pool was found in any slice: nothing of it is measured")
        for name in curves.keys() - there.keys()
    )
    flags += long_axis.base_flags(seen, base)
    return Findings(cycle=cycle, curves=curves, flags=_news(study, lost + flags))


def find_shifts(study: Study, found: Findings, context: Context) -> Findings:
    """Breath-hold shifts of the short-axis slices, where long-axis views cross them."""
    del context
    shifts = long_axis.breath_holds(study, found)
    return Findings(slice_shifts={} if shifts is None else {SAX_CINE: shifts})


def measure_volumes(study: Study, found: Findings, context: Context) -> Findings:
    """Volumes, ejection fractions, mass and indices; what cannot be believed is withheld with its reason."""
    image = study[View.SAX]
    seen = long_axis.base_heights(study, found.landmarks)
    chambers: dict[str, Chamber] = {}
    flags: list[Flag] = []
    for name in CAVITIES:
        one = chamber(name, found.labels[SAX_CINE], image.affine, found.curves[name], found.cycle, seen)
        if one is None:
            continue
        kept, said = _believable(one, image, found.labels[SAX_CINE])
        flags += said
        if kept is not None:
            chambers[name] = kept
    flags += checks.pair_flags(chambers)
    if "LV" in chambers:
        flags += _shape_flags(found, chambers["LV"], image)
    if _slice_dice(context) is not None and SAX_CINE in found.confidence:
        flags += checks.unsure_flags(found.confidence[SAX_CINE], found.cycle)
    flags += checks.knowledge_flags(study.facts, image.rr_ms)
    source = f"labels of {context.model.source}"
    told = measurements(chambers, study.facts, image.rr_ms, source, context.convention)
    sure = getattr(context.model, "sureness", None)  # a person's labels have none
    return Findings(
        measurements=told if sure is None else sure.put(told),
        flags=_news(study, tuple(flags)),
    )


def measure_wall(study: Study, found: Findings, context: Context) -> Findings:
    """Thickness of the wall by segment, and where the right ventricle joins it in the middle slice, frame by frame.

    Only of a wall whose mass is believed.
    """
    if "LVM" not in found.measurements:
        return Findings()
    image, labels = study[View.SAX], found.labels[SAX_CINE]
    frames = {phase: found.cycle[f"LV_{phase}"] for phase in ("ED", "ES") if f"LV_{phase}" in found.cycle}
    base = mitral_plane(labels, image.affine, long_axis.base_heights(study, found.landmarks))
    try:
        told = {phase: wall_thickness(_ventricle(labels, base, at), image.affine) for phase, at in frames.items()}
        points = _insertions(labels, image, frames["ED"])
    except RefusedInput as refusal:
        return Findings(flags=_news(study, (Flag("no-wall-thickness", Severity.NOTE, refusal.message),)))
    segments = {f"wall_thickness_{phase.lower()}_mm": mm for phase, mm in told.items()}
    if "ES" in told:
        segments["wall_thickening_percent"] = 100 * (told["ES"] / told["ED"] - 1)
    source = f"labels of {context.model.source}"
    measured = {}
    if np.isfinite(told["ED"]).any():
        thickest = int(np.nanargmax(told["ED"]))
        method = f"mean of segment {thickest + 1}, the thickest that is told, in the plane of the slices"
        measured["LVWT"] = Measurement(float(told["ED"][thickest]), "mm", method, source, frame=frames["ED"])
    return Findings(segments=segments, measurements=measured, landmarks=points)


def _ventricle(labels: NDArray[np.uint8], base: Base | None, frame: int) -> NDArray[np.uint8]:
    """(x, y, z) labels of one frame without slices that the mitral plane cuts: their wall is not all ventricle."""
    if base is None:
        return labels[..., frame]
    return np.where(base.below(frame, labels.shape[2]), labels[..., frame], np.uint8(Structure.BACKGROUND))


def _insertions(labels: NDArray[np.uint8], image: Image, ed: int) -> dict[Landmark, NDArray[np.float64]]:
    """(t, 3) of both insertion points; NaN at frames that do not show them, nothing where none does."""
    z = middle_slice(labels[..., ed])
    if z is None:
        return {}
    names = (Landmark.RV_INSERTION_ANTERIOR, Landmark.RV_INSERTION_INFERIOR)
    points = np.full((2, labels.shape[3], 3), np.nan)
    for t in range(labels.shape[3]):
        if middle_slice(labels[..., t]) is not None and (labels[:, :, z, t] == Structure.LV).any():
            points[:, t] = insertion_points(labels[..., t], image.affine, z)
    return {name: at for name, at in zip(names, points, strict=True) if np.isfinite(at).any()}


def read_long_axis(study: Study, found: Findings, context: Context) -> Findings:
    """Structures, hinges and apex of the long-axis views, where there are some and a model that reads them."""
    del found
    return long_axis.find(study, context.long_axis)


def measure_long_axis(study: Study, found: Findings, context: Context) -> Findings:
    """Excursion of the valves, shortening, and atrial volumes, from what was found in the long-axis views."""
    if context.long_axis is None:
        return Findings()
    return long_axis.measure(study, found, context.long_axis.source)


STAGES: tuple[Callable[[Study, Findings, Context], Findings], ...] = (
    segment,
    read_long_axis,
    find_cycle,
    find_shifts,
    measure_volumes,
    measure_wall,
    measure_long_axis,
)


def analyze(
    study: Study,
    model: Segmenter,
    *,
    ed: int | None = None,
    es: int | None = None,
    progress: Callable[[float], None] | None = None,
    long_axis: LongAxisModel | None = None,
) -> Findings:
    """Measure one study.

    Args:
        study: with a short-axis cine.
        model: finds the structures; see `Segmenter`.
        ed: the user's own end-diastolic frame, counted from 0, for both ventricles.
        es: the user's own end-systolic frame.
        progress: told the share of the segmentation that is done, 0 to 1.
        long_axis: reads the 2C, 3C and 4C views; see `analyze.long_axis.LongAxisModel`. None leaves them unread.

    Returns:
        Labels, curves, cycle, measurements and flags; the flags of reading stand first.

    Raises:
        RefusedInput: no short-axis cine, no left ventricle in it, or frames that do not exist.
    """
    if View.SAX not in study:
        there = ", ".join(view.title for view in study.views) or "no cine at all"
        raise RefusedInput("no-sax", f"no short-axis cine in the study: found {there}; name one with --sax")
    context = Context(model, ed, es, progress, long_axis=long_axis)
    found = Findings(flags=study.flags)
    for stage in STAGES:
        found |= stage(study, found, context)
    return found


def _believable(one: Chamber, image: Image, labels: NDArray[np.uint8]) -> tuple[Chamber | None, list[Flag]]:
    flags = checks.slice_flags(one.name, labels, one.ed, float(image.spacing[2]), image.thickness_mm)
    flags += checks.chamber_flags(one)
    flags += _looks(one, image, labels)
    if checks.refused(flags):
        return None, flags
    of_mass = checks.mass_flags(one)
    return (replace(one, mass_ed=None, mass_es=None) if checks.refused(of_mass) else one), flags + of_mass


def _looks(one: Chamber, image: Image, labels: NDArray[np.uint8]) -> list[Flag]:
    """What does not look like this ventricle at its ED and ES; where it is gross, its numbers are withheld."""
    flags: list[Flag] = []
    for phase, frame in (("ED", one.ed), ("ES", one.es)):
        if frame is None:
            continue
        if one.name == "LV":
            flags += coherence_flags(labels[..., frame], image.affine, phase)
            flags += dark_flags(labels[..., frame], image.data[..., frame], phase)
        else:
            flags += right_flags(labels[..., frame], image.data[..., frame], phase)
    return flags


def _shape_flags(found: Findings, left: Chamber, image: Image) -> list[Flag]:
    """What does not look like one heart: slices shifted, a cavity longer or shorter than the long axis shows."""
    labels = found.labels[SAX_CINE]
    flags = shift_flags(labels[..., left.ed], image.affine, found.slice_shifts.get(SAX_CINE))
    flags += proportion_flags(labels[..., left.ed], image.affine)
    views = marked_views(found.landmarks)
    if views:
        told = [lengths(found.landmarks, view)[0] for view in views]  # at the R wave, which is the same in all views
        flags += length_flags(labels[..., left.ed], image.affine, float(np.nanmax(told)))
    return flags


def _news(study: Study, flags: tuple[Flag, ...]) -> tuple[Flag, ...]:
    """Flags whose code reading has not raised already: the reader knows the header, and says it once."""
    known = {flag.code for flag in study.flags}
    return tuple(flag for flag in flags if flag.code not in known)
