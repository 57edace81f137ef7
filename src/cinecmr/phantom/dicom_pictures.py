"""What goes wrong while a patient lies in the scanner: a registry of faults beside `dicom_faults`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cinecmr.anatomy import View
from cinecmr.phantom.dicom_edit import Fault, sax, slices, turn
from cinecmr.phantom.dicom_files import Frame, decimal, get_pixels, put_pixels

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

SHIFT_PIXELS = (3, -2)  # rows, columns


def _tilted(degrees: float) -> Fault:
    def fault(files: list[Frame], rng: np.random.Generator) -> list[Frame]:  # noqa: ARG001
        for f in sax(files):
            if f.z == slices(files) // 2:
                turn(f, degrees, about=0)
        return files

    return fault


def irregular_beat(files: list[Frame], rng: np.random.Generator) -> list[Frame]:
    """Atrial fibrillation: every slice at a beat of its own length, 0.7 to 1.4 of the usual."""
    factors = rng.uniform(0.7, 1.4, slices(files))
    factors[:2] = 0.7, 1.4  # whatever is drawn, the spread is wide
    for f in sax(files):
        f.ds.TriggerTime = decimal(round(float(f.ds.TriggerTime) * factors[f.z], 6))
        f.ds.NominalInterval = round(int(f.ds.NominalInterval) * factors[f.z])
    return files


def fewer_long_axis_frames(files: list[Frame], rng: np.random.Generator) -> list[Frame]:  # noqa: ARG001
    """The two-chamber cine has every other frame only."""
    for f in files:
        if f.view is View.LAX_2C:
            f.ds.CardiacNumberOfImages = (int(f.ds.CardiacNumberOfImages) + 1) // 2
    return [f for f in files if f.view is not View.LAX_2C or f.t % 2 == 0]


def _pictured(change: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> Fault:
    """A fault of the pixels of one middle slice."""

    def fault(files: list[Frame], rng: np.random.Generator) -> list[Frame]:  # noqa: ARG001
        for f in sax(files):
            if f.z == slices(files) // 2:
                signed = bool(f.ds.PixelRepresentation)
                top = (1 << (int(f.ds.BitsStored) - signed)) - 1
                changed = np.clip(np.rint(change(get_pixels(f.ds).astype(float))), 0, top)
                put_pixels(f.ds, changed, bits=int(f.ds.BitsStored), signed=signed)
        return files

    return fault


def _shifted(picture: NDArray[np.float64]) -> NDArray[np.float64]:
    """The patient breathed in: the anatomy lies elsewhere, the header says nothing."""
    return np.roll(picture, SHIFT_PIXELS, axis=(0, 1))


def _from_middle(picture: NDArray[np.float64]) -> NDArray[np.float64]:
    y, x = (np.arange(n) - (n - 1) / 2 for n in picture.shape)
    return np.asarray(np.hypot(y[:, None], x[None]) / min(picture.shape))


def _metal(picture: NDArray[np.float64]) -> NDArray[np.float64]:
    """A void where a metal clip or wire spoils the field, with a bright rim of piled-up signal."""
    away = _from_middle(picture)
    rim = (away > 0.2) & (away < 0.24)
    return np.where(away <= 0.2, 0.02 * picture, np.where(rim, 2 * picture, picture))


def _banded(picture: NDArray[np.float64]) -> NDArray[np.float64]:
    """Dark bands of off-resonance in balanced SSFP, as at 3 tesla with a poor shim."""
    rows = np.arange(picture.shape[0])[:, None] / picture.shape[0]
    return np.asarray(picture * np.clip(np.abs(np.sin(3 * np.pi * rows)) * 2.2 - 0.4, 0.02, 1))


PICTURES: dict[str, Fault] = {
    "tilted-slice": _tilted(8.0),
    "badly-tilted-slice": _tilted(20.0),
    "irregular-beat": irregular_beat,
    "fewer-long-axis-frames": fewer_long_axis_frames,
    "shifted-slice": _pictured(_shifted),
    "metal-artefact": _pictured(_metal),
    "banding": _pictured(_banded),
    "dark-slice": _pictured(lambda picture: 0.2 * picture),
}
