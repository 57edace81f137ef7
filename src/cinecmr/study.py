"""What was acquired (`Study`) and what is known of it (`Findings`): the waist of the package.

Reading makes Studies; every stage takes a Study and what is known and adds Findings; evaluating compares two
Findings; reporting writes one. One array order, (x, y, z, t), and one coordinate system, patient RAS in mm.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from enum import Enum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from cinecmr.anatomy import Contrast, Disease, Landmark, Sex, View

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray


class Severity(Enum):
    """How much a flag matters to the reader of a number."""

    NOTE = "note"  # worth knowing; every number stands
    FLAG = "flag"  # some number needs a second look; the command ends with exit code 4
    REFUSE = "refuse"  # a number is withheld because of it


@dataclass(frozen=True)
class Flag:
    """One thing the reader of the numbers must know.

    Attributes:
        code: kebab-case name, listed in docs/reference/flags.md, such as "slice-gap".
        severity: see `Severity`.
        message: a sentence with the figures in it; no patient identifier.
    """

    code: str
    severity: Severity
    message: str


@dataclass(frozen=True)
class Image:
    """One acquisition of one view.

    Attributes:
        data: (x, y, z, t) intensities, always four axes: a long-axis view has z = 1, a still has t = 1.
        affine: (4, 4) voxel index to patient RAS, mm; acts on the first three axes as they stand.
        times: (t,) seconds after the R wave, increasing; (0.,) for a still.
        view: how the plane lies to the heart.
        contrast: what the sequence makes visible.
        rr_ms: length of the cardiac cycle, ms, where known.
        missing_slices: z indices that were never acquired; their intensities are 0, their labels stay
            `Structure.UNSEEN`, and volumes bridge them. The affine so stays true for all others.
        thickness_mm: thickness of the excited slab, mm, where known. Never used as spacing.
        slice_shift_mm: (z, 2) in-plane shift of each slice along x and y, mm, where known.
    """

    data: NDArray[Any]
    affine: NDArray[np.float64]
    times: NDArray[np.float64]
    view: View = View.SAX
    contrast: Contrast = Contrast.CINE
    rr_ms: float | None = None
    missing_slices: tuple[int, ...] = ()
    thickness_mm: float | None = None
    slice_shift_mm: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        if self.data.ndim != 4:
            raise ValueError(f"image data must be (x, y, z, t), got shape {self.data.shape}")
        if np.shape(self.affine) != (4, 4):
            raise ValueError(f"affine must be (4, 4), got shape {np.shape(self.affine)}")
        if np.shape(self.times) != (self.data.shape[3],):
            raise ValueError(
                f"times must hold one time a frame: {self.data.shape[3]} frames, {np.shape(self.times)} times"
            )
        if self.data.shape[3] > 1 and not np.all(np.diff(self.times) > 0):
            raise ValueError("frame times must increase; sort the frames by time first")

    @property
    def spacing(self) -> NDArray[np.float64]:
        """(3,) voxel spacing along x, y, z, mm; along z the distance from slice centre to slice centre."""
        return np.asarray(np.linalg.norm(self.affine[:3, :3], axis=0), np.float64)

    @property
    def frames(self) -> int:
        """Number of time frames."""
        return int(self.data.shape[3])

    @property
    def slices(self) -> int:
        """Number of slices along z."""
        return int(self.data.shape[2])

    def __repr__(self) -> str:
        x, y, z, t = self.data.shape
        spacing = " x ".join(f"{s:.4g}" for s in self.spacing)
        return f"Image({self.view.name} {self.contrast.name}, {x} x {y}, {z} slices, {t} frames, {spacing} mm)"


@dataclass(frozen=True)
class Facts:
    """What is known of the person and the machine; each may be unknown.

    Attributes:
        height_m, weight_kg, age_y: metres, kilograms, years.
        sex: as stated by header or user.
        vendor, model: scanner manufacturer and model name.
        field_t: field strength, tesla.
    """

    height_m: float | None = None
    weight_kg: float | None = None
    age_y: float | None = None
    sex: Sex | None = None
    vendor: str | None = None
    model: str | None = None
    field_t: float | None = None


@dataclass(frozen=True)
class Study:
    """One visit: the images of one subject on one day.

    Attributes:
        subject: a name safe to print; readers make it from a salted hash, never from the header as it stands.
        images: the image chosen for each view and contrast.
        facts: person and scanner.
        flags: what reading noticed (gaps, phase key used, missing height, ...).
        provenance: strings for the report: phase key, input hash, source format.
    """

    subject: str
    images: Mapping[tuple[View, Contrast], Image]
    facts: Facts = Facts()
    flags: tuple[Flag, ...] = ()
    provenance: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "images", MappingProxyType(dict(self.images)))
        object.__setattr__(self, "provenance", MappingProxyType(dict(self.provenance)))

    def __getitem__(self, key: View | tuple[View, Contrast]) -> Image:
        """`study[View.SAX]` is the cine of that view; `study[View.SAX, Contrast.LGE]` another contrast."""
        view, contrast = (key, Contrast.CINE) if isinstance(key, View) else key
        if (view, contrast) not in self.images:
            there = ", ".join(f"{v.name} {c.name}" for v, c in self.images) or "no images"
            raise KeyError(f"no {view.name} {contrast.name} in study {self.subject}: there is {there}")
        return self.images[view, contrast]

    def __contains__(self, key: View | tuple[View, Contrast]) -> bool:
        return ((key, Contrast.CINE) if isinstance(key, View) else key) in self.images

    @property
    def views(self) -> tuple[View, ...]:
        """The views of which there is a cine."""
        return tuple(view for view, contrast in self.images if contrast is Contrast.CINE)


@dataclass(frozen=True)
class Measurement:
    """One number with all that is needed to believe it.

    Attributes:
        value: in `unit`.
        unit: "ml", "%", "g", "mm", "ml/m2", "g/m2", "bpm", "l/min", "l/min/m2", "m2".
        method: conventions in words, such as "papillaries in volume".
        source: who found it, such as "labels of sax-unet@3f2a", "expert", "phantom".
        interval: 90 % interval in `unit`, where one is known.
        frame: index of the frame it was read from, where there is one.
    """

    value: float
    unit: str
    method: str
    source: str
    interval: tuple[float, float] | None = None
    frame: int | None = None


class Motion(Protocol):
    """How the heart moves; the phantom (closed form) and registration (fitted) both implement it."""

    def displacement(self, points: NDArray[np.float64], time: float) -> NDArray[np.float64]:
        """(n, 3) displacement, mm, at a share of the cycle, of points given at end-diastole, (n, 3) patient RAS mm."""
        ...

    def gradient(self, points: NDArray[np.float64], time: float) -> NDArray[np.float64]:
        """(n, 3, 3) deformation gradient F = d(position)/d(reference) at the same points and time."""
        ...


@dataclass(frozen=True)
class WallPoints:
    """Points of the left ventricular wall at end-diastole, and the directions in which their strain is told.

    Around means along the wall's layers in the short-axis plane, counter-clockwise for one who looks from the base.
    Outwards and along are either across the layer and up the layer towards the base, as long-axis views see it
    (`follow_wall` of those who make these points), or within the short-axis plane and along the axis.

    Attributes:
        points: (n, 3) patient RAS, mm.
        radial, circumferential, longitudinal: (n, 3) unit vectors in patient RAS.
        segments: (n,) AHA segments, 1 to 17; 0 where nothing is told of a point's own.
        depth: (n,) share of the way through the wall, 0 at the endocardium, 1 at the epicardium.
        weights: (n,) volume each point stands for, mm3.
        long_axis: (3,) unit vector from apex to base.
    """

    points: NDArray[np.float64]
    radial: NDArray[np.float64]
    circumferential: NDArray[np.float64]
    longitudinal: NDArray[np.float64]
    segments: NDArray[np.uint8]
    depth: NDArray[np.float64]
    weights: NDArray[np.float64]
    long_axis: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.points)


@dataclass(frozen=True)
class Findings:
    """What is known of a study, whoever found it. `found | more` adds and refuses to overwrite.

    Attributes:
        labels: (x, y, z, t) `Structure` codes on the image's own grid; 255 where nobody looked.
        landmarks: (t, 3) patient RAS, mm.
        motion: see `Motion`.
        measurements: by name, such as "LVEF".
        diagnosis: probability of each disease.
        cycle: frame index of "LV_ED", "LV_ES", "RV_ED", "RV_ES".
        flags: in the order they were raised.
        curves: (t,) volume of each ventricle in ml, under "LV" and "RV", NaN where nobody looked.
        confidence: (z, t) Dice that the model expects of its own labels in each slice, 0 to 1; NaN without a heart.
        segments: (17,) value of each AHA segment, such as "wall_thickness_ed_mm"; NaN where nobody could tell.
        slice_shifts: (z, 2) mm as `Image.slice_shift_mm`, measured; NaN where nobody could tell.
    """

    labels: Mapping[tuple[View, Contrast], NDArray[np.uint8]] = field(default_factory=dict)
    landmarks: Mapping[Landmark, NDArray[np.float64]] = field(default_factory=dict)
    motion: Motion | None = None
    measurements: Mapping[str, Measurement] = field(default_factory=dict)
    diagnosis: Mapping[Disease, float] = field(default_factory=dict)
    cycle: Mapping[str, int] = field(default_factory=dict)
    flags: tuple[Flag, ...] = ()
    curves: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    confidence: Mapping[tuple[View, Contrast], NDArray[np.float64]] = field(default_factory=dict)
    segments: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    slice_shifts: Mapping[tuple[View, Contrast], NDArray[np.float64]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in (entry.name for entry in fields(self) if entry.name not in ("motion", "flags")):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))

    def __or__(self, more: Findings) -> Findings:
        """Everything both know.

        Raises:
            ValueError: both hold the same entry.
        """
        merged: dict[str, Any] = {}
        for entry in fields(self):
            mine, theirs = getattr(self, entry.name), getattr(more, entry.name)
            if entry.name == "flags":
                merged["flags"] = mine + tuple(flag for flag in theirs if flag not in mine)
            elif entry.name == "motion":
                if mine is not None and theirs is not None:
                    raise ValueError("motion found twice; a stage adds findings and never replaces them")
                merged["motion"] = mine if mine is not None else theirs
            else:
                twice = mine.keys() & theirs.keys()
                if twice:
                    names = ", ".join(sorted(str(key) for key in twice))
                    raise ValueError(
                        f"{entry.name} [{names}] found twice; a stage adds findings and never replaces them"
                    )
                merged[entry.name] = {**mine, **theirs}
        return Findings(**merged)
