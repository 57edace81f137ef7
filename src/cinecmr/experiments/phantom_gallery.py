"""Six synthetic hearts as moving pictures, each in every view and contrast: the page that shows what is made.

`cinecmr gallery --out docs/explanation/gallery` writes one animated picture a heart, and the page that holds them.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from cinecmr.anatomy import Contrast, Disease, Structure, View
from cinecmr.experiments import provenance
from cinecmr.io.files import write_atomically, write_text
from cinecmr.phantom.study import synthetic_study

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from cinecmr.study import Findings, Image, Study

HEARTS = (Disease.NORMAL, Disease.DCM, Disease.HCM, Disease.INFARCT, Disease.ABNORMAL_RV, Disease.AMYLOID)
PANELS = (
    (View.SAX, Contrast.CINE),
    (View.LAX_4C, Contrast.CINE),
    (View.LAX_2C, Contrast.CINE),
    (View.LAX_3C, Contrast.CINE),
    (View.SAX, Contrast.TAGGED),
    (View.SAX, Contrast.LGE),
)
SIDE_MM = 150.0  # of the square that a panel shows
SIDE = 120  # pixels of a panel
FRAMES, GREYS = 16, 40
WHITE_AT = 99.0  # percentile of a panel shown white


def run(out: Path, seed: int, progress: Callable[[float], None] | None = None) -> Iterator[str]:
    """Make the hearts, write a moving picture of each, and README.md that shows them; the lines of that page.

    Args:
        out: gets DISEASE.gif and README.md.
        seed: of the first heart.
        progress: told the share of hearts done.
    """
    started = time.perf_counter()
    rows = []
    for number, disease in enumerate(HEARTS):
        study, truth = synthetic_study(
            seed + number, disease, frames=FRAMES, contrasts=(Contrast.CINE, Contrast.TAGGED, Contrast.LGE)
        )
        write_film(film(study, truth), out / f"{disease.value}.gif", study[View.SAX].rr_ms or 1000.0)
        rows.append(_row(disease, truth))
        if progress:
            progress((number + 1) / len(HEARTS))
    lines = _page(provenance.about(started, seed=seed), rows)
    write_text(out / "README.md", "\n".join(lines) + "\n")
    yield from lines


def film(study: Study, truth: Findings) -> NDArray[np.uint8]:
    """(frames, rows, columns) grey levels: the panels in two rows of three, as a reader sees them."""
    panels = [_panel(study[key], truth.labels[key]) for key in PANELS if key in study]
    blank = np.zeros((FRAMES, SIDE, SIDE), np.uint8)
    panels += [blank] * (len(PANELS) - len(panels))
    half = len(PANELS) // 2
    rows = [np.concatenate(panels[start : start + half], axis=2) for start in (0, half)]
    return np.concatenate(rows, axis=1)


def _panel(image: Image, labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(FRAMES, SIDE, SIDE) of one image: its middle slice of those that show muscle, a square around the heart."""
    heart = labels[..., 0] > 0
    muscle = np.flatnonzero((labels[..., 0] == Structure.MYO).any((0, 1)))
    z = int(muscle[len(muscle) // 2]) if len(muscle) else image.slices // 2
    where = np.argwhere(heart[..., z]) if heart[..., z].any() else np.array([image.data.shape[:2]]) // 2
    middle = where.mean(axis=0)
    steps = (np.arange(SIDE) - (SIDE - 1) / 2) * SIDE_MM / SIDE
    at = [
        np.clip(np.rint(middle[k] + steps / image.spacing[k]), 0, image.data.shape[k] - 1).astype(int) for k in (0, 1)
    ]
    frames = np.arange(FRAMES) * image.frames // FRAMES
    shown = image.data[:, :, z][np.ix_(at[0], at[1], frames)].astype(np.float64)
    low, high = min(float(shown.min()), 0.0), max(float(np.percentile(shown, WHITE_AT)), 1e-6)
    grey = np.clip((shown - low) / (high - low), 0, 1)
    return np.asarray(np.rint(grey * 255).transpose(2, 1, 0), np.uint8)


def write_film(frames: NDArray[np.uint8], path: Path, rr_ms: float) -> None:
    """An animated GIF that plays one beat in its own time, for ever.

    Args:
        frames: (frames, rows, columns) grey levels.
        path: of the file.
        rr_ms: length of the beat, ms.
    """
    from PIL import Image as Picture

    levels = np.rint(frames / 255 * (GREYS - 1)).astype(np.uint8)
    pictures = [Picture.fromarray(level, mode="P") for level in levels]
    palette = np.repeat(np.rint(np.linspace(0, 255, GREYS)).astype(np.uint8), 3).tobytes()
    for picture in pictures:
        picture.putpalette(palette)
    each = max(round(rr_ms / len(pictures) / 10) * 10, 20)  # GIF counts in hundredths of a second
    write_atomically(
        path,
        lambda part: pictures[0].save(
            part, format="GIF", save_all=True, append_images=pictures[1:], duration=each, loop=0, optimize=False
        ),
    )


def _row(disease: Disease, truth: Findings) -> str:
    """A table row of the figures that the geometry gives."""
    names = ("LVEDV", "LVEF", "LVM", "RVEDV", "RVEF")
    values = " | ".join(f"{truth.measurements[n].value:.0f} {truth.measurements[n].unit}" for n in names)
    return f"| {disease.value} | {values} |"


def _page(about: dict[str, str], rows: list[str]) -> list[str]:
    return [
        "# Six synthetic hearts",
        "",
        "Each picture: short axis, four-chamber and two-chamber cine; below three-chamber cine, short axis tagged, and",
        "late enhancement (a still). One beat in its own time. Written by `cinecmr gallery`.",
        "",
        "| group | LVEDV | LVEF | LV mass | RVEDV | RVEF |",
        "|---|---|---|---|---|---|",
        *rows,
        "",
        *[
            line
            for disease in HEARTS
            for line in (f"## {disease.value}", "", f"![{disease.value}]({disease.value}.gif)", "")
        ],
        *provenance.as_lines(about),
    ]
