"""Volume curves and contact sheets: what a person looks at to believe a number.

`volume_curves` is a drawing in SVG for the report; `contact_sheet` a PNG for documents and developers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cinecmr.analyze.display import CONTOUR_COLOURS, contours, display_axes, heart_box, slices_from_base

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from cinecmr.study import Image


@dataclass(frozen=True)
class Curve:
    """One line of a chart of volumes.

    Attributes:
        name: printed beside the line.
        times_ms: (t,) ms.
        volume_ml: (t,) ml, NaN where nobody looked.
        marks: (text, frame) of the frames to mark, such as ("ED", 0).
        style: class of the line in report.css: "lv", "rv", "lv-true" or "rv-true".
    """

    name: str
    times_ms: NDArray[np.float64]
    volume_ml: NDArray[np.float64]
    marks: Sequence[tuple[str, int]] = ()
    style: str = "lv"


_WIDTH, _HEIGHT = 460.0, 270.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 44.0, 14.0, 16.0, 38.0
_STROKES = {
    "lv": 'stroke="#b4540a" stroke-width="2.2"',
    "rv": 'stroke="#1d5fa8" stroke-width="2.2" stroke-dasharray="7 3"',
    "lv-true": 'stroke="#b4540a" stroke-width="1.2" stroke-dasharray="1.5 2.5"',
    "rv-true": 'stroke="#1d5fa8" stroke-width="1.2" stroke-dasharray="1.5 2.5"',
}
_INK = {"lv": "#8f4207", "rv": "#174d89", "lv-true": "#8f4207", "rv-true": "#174d89"}


def volume_curves(curves: Sequence[Curve]) -> str:
    """Volumes over the cycle as an SVG drawing without scripts or style attributes.

    Args:
        curves: at least one, with at least one finite volume.

    Returns:
        `<svg ...>`; its `data-x0` and `data-x1` are the drawing's x at the first and last time, and the line with
        id "cursor" stands at the first, so that a player can move it.

    Raises:
        ValueError: there is nothing finite to draw.
    """
    from html import escape

    finite = [curve.volume_ml[np.isfinite(curve.volume_ml)] for curve in curves]
    if not any(len(values) for values in finite):
        raise ValueError("no finite volume to draw a curve of; leave the chart out")
    step = _step(max(float(values.max()) for values in finite if len(values)))
    top = step * np.ceil(max(float(values.max()) for values in finite if len(values)) * 1.04 / step)
    t0, t1 = min(float(c.times_ms[0]) for c in curves), max(float(c.times_ms[-1]) for c in curves)
    chart = _Chart(t0, t1 if t1 > t0 else t0 + 1, top)
    parts = [
        f'<svg class="curves" viewBox="0 0 {_WIDTH:.0f} {_HEIGHT:.0f}" role="img" '
        f'aria-label="{escape(_spoken(curves), quote=True)}" data-x0="{chart.x(t0):.1f}" data-x1="{chart.x(t1):.1f}" '
        'font-family="system-ui, sans-serif" font-size="11">',
        *_axes(chart, step),
        f'<line id="cursor" x1="{chart.x(t0):.1f}" x2="{chart.x(t0):.1f}" y1="{_TOP}" y2="{_HEIGHT - _BOTTOM}" '
        'stroke="#4a5568" stroke-width="1"/>',
    ]
    for curve in curves:
        parts += _line(chart, curve)
    for curve in curves:
        parts += _marks(chart, curve, [other for other in curves if other is not curve])
    return "\n".join([*parts, "</svg>"])


@dataclass(frozen=True)
class _Chart:
    """Where a time and a volume lie on the drawing."""

    t0: float
    t1: float
    top: float

    def x(self, time: float) -> float:
        return _LEFT + (time - self.t0) / (self.t1 - self.t0) * (_WIDTH - _LEFT - _RIGHT)

    def y(self, volume: float) -> float:
        return _HEIGHT - _BOTTOM - volume / self.top * (_HEIGHT - _TOP - _BOTTOM)


def _step(largest: float) -> float:
    """A round step that gives three to six lines: 1, 2, 2.5 or 5 times a power of ten.

    >>> _step(170.0), _step(62.0)
    (50.0, 20.0)
    """
    rough = max(largest, 1e-6) / 4
    power = 10.0 ** np.floor(np.log10(rough))
    return float(min((m * power for m in (1, 2, 2.5, 5, 10)), key=lambda step: abs(np.log(step / rough))))


def _axes(chart: _Chart, step: float) -> list[str]:
    parts = ['<g fill="#4a5568">']
    for value in np.arange(0, chart.top + step / 2, step):
        y = chart.y(float(value))
        parts.append(f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#dfe4ea"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:.0f}</text>')
    time_step = _step(chart.t1 - chart.t0)
    for time in np.arange(np.ceil(chart.t0 / time_step) * time_step, chart.t1 + 1e-6, time_step):
        x = chart.x(float(time))
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{_HEIGHT - _BOTTOM}" y2="{_HEIGHT - 33}" stroke="#9aa5b1"/>')
        parts.append(f'<text x="{x:.1f}" y="{_HEIGHT - 21}" text-anchor="middle">{time:.0f}</text>')
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    parts.append(f'<text x="{middle:.0f}" y="{_HEIGHT - 5}" text-anchor="middle">time after the R wave, ms</text>')
    parts.append(f'<text x="4" y="{_TOP - 5}">ml</text></g>')
    return parts


def _line(chart: _Chart, curve: Curve) -> list[str]:
    """Polylines of the stretches where somebody looked; a lone frame becomes a dot."""
    known = np.isfinite(curve.volume_ml)
    parts, run = [], []
    for time, volume, here in zip(
        [*curve.times_ms, 0.0], [*curve.volume_ml, 0.0], [*known.tolist(), False], strict=True
    ):
        if here:
            run.append(f"{chart.x(time):.1f},{chart.y(volume):.1f}")
        elif run:
            points = " ".join(run if len(run) > 1 else run * 2)
            parts.append(
                f'<polyline class="{curve.style}" points="{points}" fill="none" stroke-linejoin="round" '
                f'stroke-linecap="round" {_STROKES[curve.style]}/>'
            )
            run = []
    return parts


def _marks(chart: _Chart, curve: Curve, others: Sequence[Curve]) -> list[str]:
    """Dots at ED and ES, each with its word on the side away from the other curves."""
    parts = []
    for text, frame in curve.marks:
        volume = float(curve.volume_ml[frame])
        if not np.isfinite(volume):
            continue
        x, y = chart.x(float(curve.times_ms[frame])), chart.y(volume)
        rivals = [float(o.volume_ml[frame]) for o in others if o.marks and len(o.volume_ml) > frame]
        above = not any(rival > volume for rival in rivals)
        anchor, dx = ("start", 0) if x < _LEFT + 30 else ("end", 0) if x > _WIDTH - 60 else ("middle", 0)
        parts.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="#fff" {_STROKES[curve.style].split(" stroke-d")[0]}/>'
        )
        parts.append(
            f'<text x="{x + dx:.1f}" y="{y + (-9 if above else 18):.1f}" text-anchor="{anchor}" '
            f'fill="{_INK[curve.style]}" font-weight="600">{text}</text>'
        )
    return parts


def _spoken(curves: Sequence[Curve]) -> str:
    """The chart in words, for those who do not see it."""
    said = []
    for curve in curves:
        at = [
            f"{curve.volume_ml[frame]:.0f} ml at {text} ({curve.times_ms[frame]:.0f} ms)"
            for text, frame in curve.marks
            if np.isfinite(curve.volume_ml[frame])
        ]
        said.append(f"{curve.name}: {', '.join(at)}" if at else curve.name)
    return "Volumes over the cardiac cycle. " + ". ".join(said) + "."


def contact_sheet(
    image: Image, labels: NDArray[np.uint8], frames: Mapping[str, int], path: Path, *, columns: int = 6
) -> None:
    """Every slice at the named frames, with contours, as one PNG.

    Args:
        image: short axis or any other.
        labels: (x, y, z, t) on the image's grid.
        frames: title to frame index, such as {"end-diastole": 0, "end-systole": 9}.
        path: of the PNG; written atomically.
        columns: slices a row.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from cinecmr.io.files import write_atomically

    axes_of, box = display_axes(image.affine), heart_box(labels, image)
    order = slices_from_base(image.affine, image.slices, labels)
    rows_each = -(-len(order) // columns)
    figure = Figure(figsize=(columns * 1.9, rows_each * len(frames) * 2.0), facecolor="#0b0e12", layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(rows_each * len(frames), columns, squeeze=False)
    low, high = np.percentile(image.data[box], (1, 99.5))
    for panel in panels.flat:
        panel.axis("off")
    for block, (title, frame) in enumerate(frames.items()):
        for place, z in enumerate(order):
            panel = panels[block * rows_each + place // columns, place % columns]
            plane = axes_of.apply(image.data[(*box, z, frame)])
            rows, columns_mm = (image.spacing[[1, 0]] if not axes_of.swap else image.spacing[[0, 1]])[:2]
            panel.imshow(plane, cmap="gray", vmin=low, vmax=max(high, low + 1e-6), aspect=rows / columns_mm)
            for name, lines in contours(axes_of.apply(labels[(*box, z, frame)])).items():
                for line in lines:
                    panel.plot(line[:, 0], line[:, 1], color=CONTOUR_COLOURS[name], linewidth=0.9)
            panel.set_title(f"{title}, z {z}", color="#c7d0da", fontsize=7, pad=2)
    write_atomically(path, lambda temporary: figure.savefig(temporary, format="png", dpi=110, facecolor="#0b0e12"))
