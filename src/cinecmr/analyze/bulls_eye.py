"""Drawings of the 17 segments of the left ventricle, as SVG made of numbers and escaped text."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

import numpy as np

from cinecmr.anatomy import AHA_SEGMENTS

if TYPE_CHECKING:
    from cinecmr.analyze.schema import FindingsFile

_PALE, _DARK = np.array([0xFA, 0xF3, 0xE6]), np.array([0x8F, 0x42, 0x07])
_WRONG = "#c9d6e6"  # of a segment that goes the wrong way
_RADII = (0.0, 26.0, 52.0, 78.0, 104.0)
# What is drawn of a wall: title with unit, palest and darkest value.
_OF_WALL = {
    "wall_thickness_ed_mm": ("Wall thickness at end-diastole, mm", 4.0, 16.0),
    "wall_thickness_es_mm": ("Wall thickness at end-systole, mm", 4.0, 24.0),
    "wall_thickening_percent": ("Thickening from ED to ES, %", 0.0, 80.0),
}


def of_wall(file: FindingsFile) -> list[tuple[str, str]]:
    """Title and drawing of everything that is told of the wall by segment."""
    drawn = []
    for name, (title, palest, darkest) in _OF_WALL.items():
        row = file.segments.get(name)
        if row is not None:
            values = {str(number): value for number, value in enumerate(row, 1)}
            drawn.append((title, bulls_eye(title, values, darkest, palest)))
    return drawn


def bulls_eye(title: str, values: dict[str, float | None], darkest: float, palest: float = 0.0) -> str:
    """The 17 segments as an SVG drawing, apex in the middle, anterior wall up, septum left.

    Args:
        title: what is shown, with its unit.
        values: under "1" to "17"; None where nobody measured.
        darkest: value of the darkest colour.
        palest: value of the palest; beyond it is a colour of its own.
    """
    parts = [
        '<svg viewBox="-110 -110 220 220" role="img" font-family="system-ui, sans-serif" font-size="12">',
        f"<title>{escape(_spoken(title, values))}</title>",
    ]
    for number in AHA_SEGMENTS:
        value = values.get(str(number))
        share = 0.0 if value is None else (value - palest) / (darkest - palest)
        fill = "#ffffff" if value is None else _WRONG if share < 0 else _shade(min(share, 1.0))
        ink = "#ffffff" if share > 0.6 else "#17212b"
        path, (x, y) = _place(int(number))
        parts.append(f'<path d="{path}" fill="{fill}" stroke="#ffffff" stroke-width="1.5"/>')
        text = "–" if value is None else f"{value:.0f}".replace("-", "−")
        parts.append(f'<text x="{x:.1f}" y="{y + 4:.1f}" text-anchor="middle" fill="{ink}">{text}</text>')
    return "\n".join([*parts, "</svg>"])


def _spoken(title: str, values: dict[str, float | None]) -> str:
    said = [f"segment {n} {v:.0f}" for n, v in values.items() if v is not None]
    return f"{title}: " + ", ".join(said)


def _shade(share: float) -> str:
    return "#" + "".join(f"{round(c):02x}" for c in _PALE + share * (_DARK - _PALE))


def _place(number: int) -> tuple[str, tuple[float, float]]:
    """Outline of a segment, and where its number stands; the first of each ring lies above."""
    if number == max(AHA_SEGMENTS):
        r = _RADII[1]
        return f"M {r} 0 A {r} {r} 0 1 0 {-r} 0 A {r} {r} 0 1 0 {r} 0 Z", (0.0, 0.0)
    ring, first, count = (3, 1, 6) if number < 7 else (2, 7, 6) if number < 13 else (1, 13, 4)
    inner, outer = _RADII[ring], _RADII[ring + 1]
    middle, half = np.pi / 2 + 2 * np.pi * (number - first) / count, np.pi / count
    (a, b), (c, d), (e, f), (g, h) = (
        (r * np.cos(angle), -r * np.sin(angle))
        for r, angle in ((inner, middle - half), (outer, middle - half), (outer, middle + half), (inner, middle + half))
    )
    path = (
        f"M {a:.1f} {b:.1f} L {c:.1f} {d:.1f} A {outer} {outer} 0 0 0 {e:.1f} {f:.1f} "
        f"L {g:.1f} {h:.1f} A {inner} {inner} 0 0 1 {a:.1f} {b:.1f} Z"
    )
    centre = (inner + outer) / 2
    return path, (centre * float(np.cos(middle)), -centre * float(np.sin(middle)))
