"""One study and a model that draws no labels: what it says of classes, of one number, of landmarks, and as JSON.

Where the study has a short-axis cine, the frames of ED and ES and the middle of the heart come from its labels, as in
`pipeline`; else from `--ed` and `--es` and from where the planes of its views meet.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

import cinecmr
from cinecmr.analyze import pipeline, words
from cinecmr.analyze.schema import NOTICE, FlagEntry, MeasurementEntry
from cinecmr.analyze.summary import flag_lines
from cinecmr.anatomy import View
from cinecmr.errors import RefusedInput
from cinecmr.learn.samples import heart_centre, labelled_centre
from cinecmr.measure import long_axis
from cinecmr.measure.clock import beat_shares
from cinecmr.study import Findings, Flag, Severity

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from cinecmr.analyze.models import Model
    from cinecmr.analyze.pipeline import Segmenter
    from cinecmr.study import Image, Study


class AnswersFile(BaseModel):
    """Everything that a model said of one study."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cinecmr_version: str = Field(description="version of the package that wrote the file")
    notice: str = Field(description="what the file may not be used for")
    subject: str = Field(description="a name safe to print")
    model: str = Field(description="name of the weights and first digits of their SHA-256")
    task: str = Field(description="what they answer, as their card says")
    view: str = Field(description="the view that was read")
    frames: dict[str, int] = Field(description='frames that were read (from 0), "LV_ED" and "LV_ES"')
    landmarks: dict[str, dict[str, tuple[FiniteFloat, FiniteFloat, FiniteFloat]]] = Field(
        description="patient RAS, mm, of each landmark at each of the frames"
    )
    measurements: dict[str, MeasurementEntry] = Field(
        description='probabilities as "class:NAME"; numbers; of landmarks "MAPSE" and "gl_shortening"'
    )
    flags: list[FlagEntry] = Field(description="in the order they were raised")


@dataclass(frozen=True)
class Known:
    """What is known of a study before the model is asked.

    Attributes:
        cycle: "LV_ED" and "LV_ES" among the frames of the view, None where nobody knows.
        centre: (3,) middle of the left ventricle, patient RAS, mm.
        flags: of finding them.
    """

    cycle: dict[str, int] | None
    centre: NDArray[np.float64]
    flags: tuple[Flag, ...]


def ask(
    study: Study, model: Model, locate: Callable[[], Segmenter], *, ed: int | None = None, es: int | None = None
) -> tuple[AnswersFile, Findings]:
    """Ask a model about a study.

    Args:
        study: with a cine of the model's view.
        model: imported, of classes, numbers or landmarks.
        locate: gives what labels the short axis; called only where there is one.
        ed: the user's own end-diastolic frame, counted from 0, of the short axis where there is one, else of the view.
        es: the user's own end-systolic frame.

    Returns:
        What is written, and the same as findings of the study.

    Raises:
        RefusedInput: the model answers no such question (`no-answer`), its view is not there (`no-such-image`), or
            frames that do not exist.
    """
    answerer = model.answerer
    view = View(answerer.settings.view)
    if view not in study:
        there = ", ".join(one.title for one in study.views) or "no cine at all"
        raise RefusedInput("no-such-image", f"{model.name} reads {view.title}, which the study has not: found {there}")
    image = study[view]
    known = _known(study, view, locate, ed, es)
    found, read = answerer.findings(image, known.cycle, known.centre)
    if found.landmarks:
        found |= Findings(measurements=long_axis.measurements(found.landmarks, read, model.source))
    warned = tuple(Flag("model-warning", Severity.FLAG, text) for text in model.card.warnings)
    found |= Findings(cycle=read, flags=known.flags + warned)
    return _written(study, model, view, found), found


def _known(study: Study, view: View, locate: Callable[[], Segmenter], ed: int | None, es: int | None) -> Known:
    image = study[view]
    if View.SAX not in study:
        return Known(_given(image, ed, es), heart_centre(study), study.flags)
    context = pipeline.Context(locate(), ed, es)
    found = Findings(flags=study.flags)
    for stage in (pipeline.segment, pipeline.find_cycle):
        found |= stage(study, found, context)
    sax = study[View.SAX]
    cycle = {name: found.cycle[name] for name in ("LV_ED", "LV_ES") if name in found.cycle}
    centre = heart_centre(study)
    if "LV_ED" in cycle:
        centre = labelled_centre(found.labels[pipeline.SAX_CINE][..., cycle["LV_ED"]], sax)
    return Known(
        {name: frame_alike(sax, frame, image) for name, frame in cycle.items()} if len(cycle) > 1 else None,
        centre,
        found.flags,
    )


def _given(image: Image, ed: int | None, es: int | None) -> dict[str, int] | None:
    """Frames as the user names them: both, or neither."""
    if ed is None and es is None:
        return None
    if ed is None or es is None:
        raise RefusedInput("no-such-frame", "name both --ed and --es: there is no short-axis cine to find the other in")
    for name, frame in (("--ed", ed), ("--es", es)):
        if not 0 <= frame < image.frames:
            raise RefusedInput("no-such-frame", f"{name} {frame} is not one of the {image.frames} frames, from 0")
    return {"LV_ED": ed, "LV_ES": es}


def frame_alike(of: Image, frame: int, other: Image) -> int:
    """The frame of another image nearest in the beat, whose length the two may have differently.

    Args:
        of: the image in which `frame` is known.
        frame: its index.
        other: where the like is sought.
    """
    if of is other:
        return frame
    mine, theirs = beat_shares(of)[frame], beat_shares(other)
    apart = np.abs(theirs - mine)
    return int(np.minimum(apart, 1 - apart).argmin())


def _written(study: Study, model: Model, view: View, found: Findings) -> AnswersFile:
    return AnswersFile(
        cinecmr_version=cinecmr.__version__,
        notice=NOTICE,
        subject=study.subject,
        model=model.source,
        task=model.card.task,
        view=view.value,
        frames=dict(found.cycle),
        landmarks={
            landmark.value: {name: tuple(map(float, points[frame])) for name, frame in found.cycle.items()}
            for landmark, points in found.landmarks.items()
        },
        measurements={
            name: MeasurementEntry(**asdict(one), reference=None) for name, one in found.measurements.items()
        },
        flags=[FlagEntry(code=f.code, severity=f.severity.value, message=f.message) for f in found.flags],
    )


def lines(answer: AnswersFile, found: Findings) -> list[str]:
    """What a person is told."""
    told = [answer.subject, f"  {answer.model}: {answer.task}"]
    told.append("  read at " + ", ".join(f"{name} frame {frame}" for name, frame in answer.frames.items()))
    for name, places in answer.landmarks.items():
        at = "; ".join(f"{phase} " + ", ".join(f"{c:.1f}" for c in point) for phase, point in places.items())
        told.append(f"  {name}: {at} mm (right-anterior-superior)")
    for name, one in answer.measurements.items():
        word = f"{100 * one.value:.0f} %" if one.unit == "1" else f"{one.value:.1f} {words.unit(one.unit)}"
        told.append(f"  {name.removeprefix('class:')}: {word}")
    return [*told, *flag_lines(found.flags), f"  {NOTICE}"]
