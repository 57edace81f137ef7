"""What screening looks at: three clips of one study, cut, resampled and standardised alike in training and in use.

Clips are (slices, moments, x, y): the four-chamber cine is one slice, the short-axis cine three from base to apex,
late enhancement six slices that take the place of moments. numpy only.

Source: CC-CMR (Yuan et al.), section 3.1; gaps filled as docs/explanation/screening.md says.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy import ndimage

from cinecmr.anatomy import Contrast, Structure, View
from cinecmr.errors import RefusedInput
from cinecmr.geometry import apply_affine, in_plane_window, sample_plane
from cinecmr.study import Flag, Severity

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from cinecmr.study import Findings, Image, Study

CH4, SAX, LGE = SEQUENCES = ("ch4", "sax", "lge")
CINES = (CH4, SAX)
KEYS = {CH4: (View.LAX_4C, Contrast.CINE), SAX: (View.SAX, Contrast.CINE), LGE: (View.SAX, Contrast.LGE)}
FEWEST_FRAMES = 8  # fewer show no beat
_DOWN = np.array([-0.65, 0.55, -0.50])  # from base to apex in the chest: left, forward, down
_HEART = (Structure.RV, Structure.MYO, Structure.LV)
_BLUR_MM = 4.0  # of the picture of movement, so that noise does not move its centre
_MOVING = 95.0  # percentile of movement above which a pixel counts


@dataclass(frozen=True)
class Window:
    """How clips are cut out of a study; the defaults are the published ones where they are stated.

    Attributes:
        size: pixels a side. spacing_mm: of a pixel.
        frames: moments of a beat, from end-diastole.
        sax_slices, lge_slices: central slices.
        clip: percentiles to which intensities are cut.
        centre: where labels do not show the heart: "motion", the middle of what moves in the short-axis cine, which the
            other images follow, or "image", the middle of each image, as published.
    """

    size: int = 224
    spacing_mm: float = 0.994
    frames: int = 25
    sax_slices: int = 3
    lge_slices: int = 6
    clip: tuple[float, float] = (0.1, 99.9)
    centre: Literal["motion", "image"] = "motion"

    def __post_init__(self) -> None:
        if min(self.size, self.frames, self.sax_slices, self.lge_slices) < 1 or self.spacing_mm <= 0:
            raise ValueError(f"sizes and counts of a window are 1 or more, its spacing above 0, got {self}")
        if not 0 <= self.clip[0] < self.clip[1] <= 100:
            raise ValueError(f"clip holds two rising percentiles, got {self.clip}")

    def shape(self, sequence: str) -> tuple[int, int, int, int]:
        """(slices, moments, x, y) of a clip; the slices of late enhancement stand in the place of moments."""
        slices, moments = {CH4: (1, self.frames), SAX: (self.sax_slices, self.frames), LGE: (1, self.lge_slices)}[
            sequence
        ]
        return slices, moments, self.size, self.size


@dataclass(frozen=True)
class Prepared:
    """The clips of one study.

    Attributes:
        clips: by sequence, (slices, moments, x, y) float32; a sequence that was not acquired is absent.
        flags: what was repeated or left out.
        frames: of each cine as acquired.
    """

    clips: Mapping[str, NDArray[np.float32]]
    flags: tuple[Flag, ...] = ()
    frames: Mapping[str, int] = field(default_factory=dict)


def prepare(
    study: Study, window: Window, known: Findings | None = None, *, needed: tuple[str, ...] = CINES
) -> Prepared:
    """Cut the clips out of a study.

    Args:
        study: as read.
        window: how.
        known: labels say where the heart is and which slices hold the ventricle, `cycle` which frame is
            end-diastole; without them the middle of what moves, all slices, and the first frame stand in.
        needed: sequences that must be there. Training takes what there is (`needed=()`).

    Raises:
        RefusedInput: a needed sequence is missing (`no-four-chamber`, `no-sax`, `no-lge`), a cine has under 8 frames
            (`too-few-frames`), or nothing of use is there (`no-image`).
    """
    for sequence in needed:
        _refuse_absent(study, sequence)
    there = [name for name in SEQUENCES if KEYS[name] in study.images]
    if not there:
        raise RefusedInput(
            "no-image", f"study {study.subject} has no four-chamber, short-axis or late-enhancement image"
        )
    clips: dict[str, NDArray[np.float32]] = {}
    flags: list[Flag] = []
    frames: dict[str, int] = {}
    place: NDArray[np.float64] | None = None  # of the heart's middle, patient RAS mm, once the short axis showed it
    for name in (SAX, CH4, LGE):
        if name not in there:
            continue
        image = study.images[KEYS[name]]
        if name in CINES:
            _refuse_short(image, name)
            frames[name] = image.frames
        labels = known.labels.get(KEYS[name]) if known is not None else None
        slices, repeated = choose_slices(image, _wanted(window, name), labels)
        flags += [_repeated(name, image, _wanted(window, name))] if repeated else []
        centre = _centre(image, slices, labels, window, place)
        if name == SAX:
            place = apply_affine(image.affine, np.array([*centre, float(np.mean(slices))], np.float64))
        ed = known.cycle.get("LV_ED", 0) if known is not None and name in CINES else 0
        moments = beat(image, window.frames, ed) if name in CINES else None
        clips[name] = _cut(image, slices, centre, window, moments)
    return Prepared({name: clips[name] for name in there}, tuple(flags), frames)


def _wanted(window: Window, name: str) -> int:
    return {CH4: 1, SAX: window.sax_slices, LGE: window.lge_slices}[name]


def _refuse_absent(study: Study, sequence: str) -> None:
    if KEYS[sequence] in study.images:
        return
    there = ", ".join(f"{v.name} {c.name}" for v, c in study.images) or "no images"
    if sequence == CH4:
        raise RefusedInput(
            "no-four-chamber",
            f"screening reads a four-chamber cine beside the short axis, and this study has {there}; "
            "where it was acquired under another name, `cinecmr inspect` shows what became of it",
        )
    if sequence == SAX:
        raise RefusedInput("no-sax", f"screening reads a short-axis cine, and this study has {there}")
    raise RefusedInput("no-lge", f"this training needs late enhancement of the short axis, and a study has {there}")


def _refuse_short(image: Image, name: str) -> None:
    if image.frames < FEWEST_FRAMES:
        what = "four-chamber" if name == CH4 else "short-axis"
        raise RefusedInput(
            "too-few-frames",
            f"the {what} cine has {image.frames} frames, and screening needs a beat of {FEWEST_FRAMES} or more: "
            "stills of ED and ES do not show how the wall moves",
        )


def _repeated(name: str, image: Image, wanted: int) -> Flag:
    what = "late enhancement" if name == LGE else "the short-axis cine"
    return Flag(
        "slices-repeated",
        Severity.FLAG,
        f"{what} has {image.slices - len(image.missing_slices)} slices where {wanted} are read: the outer ones are "
        "repeated, and the model has hardly seen such studies",
    )


def choose_slices(image: Image, wanted: int, labels: NDArray[np.uint8] | None = None) -> tuple[NDArray[np.intp], bool]:
    """The central slices, from base to apex.

    Args:
        image: slices that were never acquired are not chosen.
        wanted: how many.
        labels: (x, y, z, t); where they show the left ventricle in `wanted` slices or more, only those are chosen from.

    Returns:
        (wanted,) indices along z, and whether the outer slices had to be repeated.
    """
    usable = np.array([z for z in range(image.slices) if z not in image.missing_slices])
    if labels is not None:
        holding = usable[((labels == Structure.LV) | (labels == Structure.MYO)).any(axis=(0, 1, 3))[usable]]
        usable = holding if len(holding) >= wanted else usable
    if image.affine[:3, 2] @ _DOWN < 0:
        usable = usable[::-1]
    start = (len(usable) - wanted) // 2
    return usable[np.clip(np.arange(start, start + wanted), 0, len(usable) - 1)], len(usable) < wanted


def beat(image: Image, count: int, first: int = 0) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]:
    """Evenly spaced moments of a beat, each between two acquired frames; after the last frame comes the first.

    Args:
        image: a cine.
        count: moments wanted.
        first: frame at which they start.

    Returns:
        (count,) earlier frame, later frame, and weight of the later one.
    """
    n = image.frames
    lasts = image.times[-1] - image.times[0]
    rr = image.rr_ms / 1000 if image.rr_ms else 0.0
    # a beat no longer than its frames cannot be true of one beat: even shares then
    at = (image.times - image.times[0]) / rr if rr > lasts else np.arange(n) / n
    wanted = (at[first] + np.arange(count) / count) % 1.0
    before = (np.searchsorted(at, wanted + 1e-9, side="right") - 1) % n
    after = (before + 1) % n
    gap = (at[after] - at[before]) % 1.0
    weight = ((wanted - at[before]) % 1.0) / np.where(gap > 0, gap, 1.0)
    weight = np.where(weight > 1, 0.0, weight)  # a hair before a frame wraps round to almost one whole beat
    return before, after, weight.astype(np.float32)


def _centre(
    image: Image,
    slices: NDArray[np.intp],
    labels: NDArray[np.uint8] | None,
    window: Window,
    place: NDArray[np.float64] | None,
) -> tuple[float, float]:
    """Pixel indices of the middle of the window."""
    middle = ((image.data.shape[0] - 1) / 2, (image.data.shape[1] - 1) / 2)
    if labels is not None:
        x, y = np.nonzero(np.isin(labels[:, :, slices], _HEART).any(axis=(2, 3)))
        if len(x):
            return float(x.mean()), float(y.mean())
    if window.centre == "image":
        return middle
    if place is not None:
        x, y, _ = apply_affine(np.asarray(np.linalg.inv(image.affine), np.float64), place)
        if 0 <= x <= image.data.shape[0] - 1 and 0 <= y <= image.data.shape[1] - 1:
            return float(x), float(y)
    return (_moving(image, slices) if image.frames > 1 else None) or middle


def _moving(image: Image, slices: NDArray[np.intp]) -> tuple[float, float] | None:
    """Middle of what moves; None where nothing does."""
    movement = np.asarray(image.data[:, :, np.unique(slices)], np.float32).std(axis=3).mean(axis=2)
    movement = ndimage.gaussian_filter(movement, _BLUR_MM / image.spacing[:2])
    weight = np.clip(movement - np.percentile(movement, _MOVING), 0, None)
    if weight.sum() <= 0:
        return None
    x, y = ndimage.center_of_mass(weight)
    return float(x), float(y)


def _cut(
    image: Image,
    slices: NDArray[np.intp],
    centre: tuple[float, float],
    window: Window,
    moments: tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]] | None,
) -> NDArray[np.float32]:
    """(slices, moments, x, y), standardised; without moments the slices stand in their place."""
    frame = in_plane_window(image.affine, centre, window.size, window.spacing_mm)
    soft = np.clip(np.diag(frame)[:2] - 1, 0, None) / 2  # a coarser grid must not alias

    def plane(z: int, t: int) -> NDArray[np.float32]:
        source = np.asarray(image.data[:, :, z, t], np.float32)
        source = ndimage.gaussian_filter(source, soft) if soft.any() else source
        return np.asarray(sample_plane(source, frame, (window.size, window.size)), np.float32)

    if moments is None:
        stack = np.stack([plane(z, 0) for z in slices])[None]
    else:
        before, after, weight = moments
        rows = []
        for z in slices:
            taken = {t: plane(int(z), t) for t in np.unique(np.concatenate([before, after])).tolist()}
            rows.append([taken[b] * (1 - w) + taken[a] * w for b, a, w in zip(before, after, weight, strict=True)])
        stack = np.asarray(rows, np.float32)
    sides = (frame[i, i] * np.arange(window.size) + frame[i, 2] for i in (0, 1))
    seen = [(side >= 0) & (side <= n - 1) for side, n in zip(sides, image.data.shape, strict=False)]
    return standardised(stack, np.outer(*seen), window.clip)


def standardised(stack: NDArray[np.float32], seen: NDArray[np.bool_], clip: tuple[float, float]) -> NDArray[np.float32]:
    """Cut to percentiles, then mean 0 and standard deviation 1, both over what was acquired.

    Args:
        stack: (..., x, y).
        seen: (x, y), False where the window reaches beyond the image; set to the lowest value, as air is.
        clip: two percentiles.
    """
    inside = stack[..., seen]
    if not inside.size:
        return np.zeros_like(stack)
    low, high = np.percentile(inside, clip)
    inside = np.clip(inside, low, high)
    mean, spread = float(inside.mean()), max(float(inside.std()), 1e-6)
    out = (np.clip(stack, low, high) - mean) / spread
    out[..., ~seen] = (low - mean) / spread
    return np.asarray(out, np.float32)
