"""What an analysis must keep so that its contours can be corrected later: the images and facts, never an identifier.

`study.npz` beside the report: one array an image, and what is not an array as JSON. Reading it runs no code.
"""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, FiniteFloat, ValidationError

from cinecmr.analyze.sureness import Sureness  # noqa: TC001 - pydantic reads annotations at run time
from cinecmr.anatomy import Contrast, Sex, View
from cinecmr.errors import RefusedInput
from cinecmr.io.files import write_bytes
from cinecmr.study import Facts, Findings, Flag, Image, Measurement, Severity, Study

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

FILE = "study.npz"
VERSION: Literal["1"] = "1"
ABOUT = "about"
LEVELS = 65534  # of the 16-bit numbers that intensities with fractions are kept as


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Image(_Strict):
    view: str
    contrast: str
    affine: list[list[FiniteFloat]]
    times: list[FiniteFloat]
    rr_ms: FiniteFloat | None
    missing_slices: list[int]
    thickness_mm: FiniteFloat | None
    slice_shift_mm: list[list[FiniteFloat]] | None
    scale: tuple[FiniteFloat, FiniteFloat]  # kept number * first + second is the intensity


class _Flag(_Strict):
    code: str
    severity: str
    message: str


class _True(_Strict):
    value: FiniteFloat
    unit: str


class _About(_Strict):
    version: Literal["1"]
    subject: str
    facts: dict[str, FiniteFloat | str | None]
    flags: list[_Flag]
    provenance: dict[str, str]
    source: str
    run: dict[str, str]
    images: list[_Image]
    frames: tuple[int | None, int | None]
    truth: dict[str, _True] | None
    true_curves: dict[str, list[float]]
    sureness: Sureness | None


@dataclass(frozen=True)
class Session:
    """An analysis that can be gone on with.

    Attributes:
        study: as read, with what the user said of the person.
        source: who answers for the labels, such as "sax-unet@3f2a9c10".
        run: provenance of the run, see `cinecmr.analyze.run.provenance`.
        ed, es: frames the user chose.
        truth: measurements and curves of a synthetic heart; None for a real one.
        sureness: intervals of the model's own numbers, where they were calibrated.
    """

    study: Study
    source: str
    run: Mapping[str, str]
    ed: int | None = None
    es: int | None = None
    truth: Findings | None = None
    sureness: Sureness | None = None


def save(out: Path, session: Session) -> Path:
    """Write what `load` reads; whole intensities are kept exactly, others to a 65,000th of their range.

    Returns:
        The file.
    """
    study, arrays, images = session.study, dict[str, Any](), []
    for number, ((view, contrast), image) in enumerate(study.images.items()):
        kept, scale = _whole(image.data)
        arrays[f"image_{number}"] = kept
        images.append(_described(view, contrast, image, scale))
    truth = session.truth
    about = _About(
        version=VERSION,
        subject=study.subject,
        facts={key: getattr(value, "value", value) for key, value in vars(study.facts).items()},
        flags=[_Flag(code=f.code, severity=f.severity.value, message=f.message) for f in study.flags],
        provenance=dict(study.provenance),
        source=session.source,
        run=dict(session.run),
        images=images,
        frames=(session.ed, session.es),
        truth=None if truth is None else {n: _True(value=m.value, unit=m.unit) for n, m in truth.measurements.items()},
        true_curves={} if truth is None else {name: list(map(float, curve)) for name, curve in truth.curves.items()},
        sureness=session.sureness,
    )
    arrays[ABOUT] = np.frombuffer(about.model_dump_json().encode("utf-8"), np.uint8)
    write_bytes(out / FILE, _packed(arrays))
    return out / FILE


def _packed(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """As `numpy.savez_compressed` packs them, at the fastest level: noise hardly packs better in thrice the time."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, array in arrays.items():
            one = io.BytesIO()
            np.lib.format.write_array(one, array, allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), one.getvalue(), zipfile.ZIP_DEFLATED, 1)
    return buffer.getvalue()


def load(out: Path) -> Session:
    """Read what `save` wrote.

    Raises:
        RefusedInput: there is none, or it is damaged (`no-session`).
    """
    path = out / FILE
    if not path.is_file():
        raise RefusedInput(
            "no-session", f"no {FILE} in {out}: give the folder that `cinecmr analyze` wrote its report to"
        )
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as kept:
            about = _About.model_validate_json(bytes(kept[ABOUT]))
            images = {}
            for number, one in enumerate(about.images):
                key = View(one.view), Contrast(one.contrast)
                images[key] = _image(kept[f"image_{number}"], one, key)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, ValidationError) as error:
        raise RefusedInput("no-session", f"{path} is damaged: analyse the study again ({error})") from error
    said = dict(about.facts)
    facts = Facts(**{**said, "sex": said["sex"] and Sex(said["sex"])})  # type: ignore[arg-type]
    flags = tuple(Flag(f.code, Severity(f.severity), f.message) for f in about.flags)
    truth = None
    if about.truth is not None:
        truth = Findings(
            measurements={n: Measurement(t.value, t.unit, "known", "phantom") for n, t in about.truth.items()},
            curves={name: np.array(curve) for name, curve in about.true_curves.items()},
        )
    study = Study(about.subject, images, facts, flags, about.provenance)
    return Session(study, about.source, about.run, *about.frames, truth, about.sureness)


def _whole(data: NDArray[Any]) -> tuple[NDArray[np.uint16], tuple[float, float]]:
    """Intensities as 16-bit numbers, and the factor and offset that give them back."""
    low, high = float(data.min(initial=0)), float(data.max(initial=0))
    exact = high - low <= LEVELS and low == np.floor(low) and bool((data == np.floor(data)).all())
    step = 1.0 if exact else (high - low) / LEVELS or 1.0
    return np.rint((data.astype(np.float64) - low) / step).astype(np.uint16), (step, low)


def _described(view: View, contrast: Contrast, image: Image, scale: tuple[float, float]) -> _Image:
    shift = image.slice_shift_mm
    return _Image(
        view=view.value,
        contrast=contrast.value,
        affine=image.affine.tolist(),
        times=image.times.tolist(),
        rr_ms=image.rr_ms,
        missing_slices=list(image.missing_slices),
        thickness_mm=image.thickness_mm,
        slice_shift_mm=None if shift is None else shift.tolist(),
        scale=scale,
    )


def _image(kept: NDArray[Any], one: _Image, key: tuple[View, Contrast]) -> Image:
    data = (kept * one.scale[0] + one.scale[1]).astype(np.float32)
    shift = one.slice_shift_mm
    return Image(
        data,
        np.array(one.affine, np.float64),
        np.array(one.times, np.float64),
        *key,
        rr_ms=one.rr_ms,
        missing_slices=tuple(one.missing_slices),
        thickness_mm=one.thickness_mm,
        slice_shift_mm=None if shift is None else np.array(shift, np.float64),
    )
