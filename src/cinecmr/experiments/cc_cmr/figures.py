"""Drawings beside the tables: curves of the probabilities, and where the features of the two cines lie.

The second is the paper's figure 3: t-SNE with dashed ellipses of mean and standard deviation. Its distances mean
little, so what can be measured among the features themselves is printed into it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cinecmr.evaluate import calibration, diagnosis
from cinecmr.evaluate.features import ellipses
from cinecmr.evaluate.tsne import tsne
from cinecmr.experiments.cc_cmr import statistics
from cinecmr.experiments.cc_cmr.rows import CC_CMR, FUSION
from cinecmr.experiments.curves import save_svg
from cinecmr.tasks.screening_data import CINES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from cinecmr.experiments.cc_cmr.study import Said, Study

_COLOURS = {("ch4", 0): "#1d5fa8", ("ch4", 1): "#b4540a", ("sax", 0): "#6aa5dd", ("sax", 1): "#e39a5c"}
_NAMES = {"ch4": "4CH", "sax": "SAX"}
_KINDS = {0: "controls", 1: "patients"}
_ACTED = np.linspace(0.02, 0.9, 45)


def draw(out: Path, name: str, study: Study) -> list[Path]:
    """Draw what the rows allow; returns the files, NAME-curves.svg and NAME-features.svg."""
    written = [_save(out / f"{name}-curves.svg", curves(study, list(study.said.values())))]
    if {FUSION.name, CC_CMR.name} <= study.said.keys():
        written.append(_save(out / f"{name}-features.svg", features(study)))
    return written


def curves(study: Study, rows: Sequence[Said]) -> Any:
    """Operating points, calibration and net benefit of each row's mean probability."""
    figure, axes = _figure(1, 3)
    for said in rows:
        mean = statistics.ensemble(said)
        points = diagnosis.roc(mean, study.classes)
        bold = 2.0 if said.row.name == CC_CMR.name else 0.8
        axes[0].plot(1 - points.specificity, points.sensitivity, linewidth=bold, label=said.row.title)
        if said.row.name in (CC_CMR.name, FUSION.name):
            bins = calibration.calibration_bins(mean, study.classes, 8, equal_counts=True)
            axes[1].plot([one.said for one in bins], [one.seen.estimate for one in bins], "o-", label=said.row.title)
            for one in bins:
                axes[1].plot([one.said] * 2, [one.seen.low, one.seen.high], color="#999999", linewidth=0.7)
            curve = calibration.decision_curve(mean, study.classes, _ACTED)
            axes[2].plot(curve.thresholds, curve.model, label=said.row.title)
    everybody = calibration.decision_curve(statistics.ensemble(rows[0]), study.classes, _ACTED)
    axes[2].plot(everybody.thresholds, everybody.all, ":", color="#777777", label="refer everybody")
    axes[2].axhline(0, color="#777777", linewidth=0.7)
    for axis in axes[:2]:
        axis.plot([0, 1], [0, 1], color="#bbbbbb", linewidth=0.7)
    _name(axes[0], "1 - specificity", "sensitivity")
    _name(axes[1], "probability said", "share seen ill (Wilson)")
    _name(axes[2], "threshold to act at", "net benefit")
    axes[2].set_ylim(-0.1, max(0.05, float(np.mean(study.classes)) + 0.05))
    return figure


def features(study: Study, fold: int = 0) -> Any:
    """Both cines' features of one fold's subjects, before and after the interaction, in one t-SNE each.

    Features of different folds come from different networks and cannot be shown together.
    """
    figure, axes = _figure(1, 2)
    for axis, name in zip(axes, (FUSION.name, CC_CMR.name), strict=True):
        held = study.said[name].features[fold]
        classes = study.classes[held.rows[held.test]]
        groups = [(sequence, int(kind)) for sequence in CINES for kind in classes]
        picture = tsne(np.concatenate([held.of[sequence][held.test] for sequence in CINES]))
        around = ellipses(picture.points, groups)
        for group in dict.fromkeys(groups):
            own, (sequence, kind) = np.array([one == group for one in groups]), group
            label = f"{_NAMES[sequence]}, {_KINDS[kind]}"
            axis.scatter(*picture.points[own].T, s=9, color=_COLOURS[group], label=label)
            axis.add_patch(_ellipse(around[group].centre, around[group].half_axes, _COLOURS[group]))
        told = statistics.closeness(study, study.said[name])
        axis.set_title(study.said[name].row.title, fontsize=9)
        _name(
            axis,
            f"silhouette {told['separation ch4']:.2f} (4CH), {told['separation sax']:.2f} (SAX); "
            f"cosine of centres {told['cosine 0']:.2f}, {told['cosine 1']:.2f}",
            f"t-SNE, loses {picture.divergence:.2f}",
        )
        axis.set_xticks([])
        axis.set_yticks([])
    return figure


def _ellipse(centre: tuple[float, float], half: tuple[float, float], colour: str) -> Any:
    from matplotlib.patches import Ellipse

    wide, high = (2 * side if np.isfinite(side) else 0.0 for side in half)
    return Ellipse(centre, wide, high, fill=False, linestyle="--", edgecolor=colour)


def _figure(rows: int, columns: int) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.6 * columns, 4.2 * rows), layout="constrained")
    return figure, figure.subplots(rows, columns)


def _name(axis: Any, x: str, y: str) -> None:
    axis.set_xlabel(x, fontsize=8)
    axis.set_ylabel(y, fontsize=8)
    axis.tick_params(labelsize=7)
    axis.legend(fontsize=6)


def _save(path: Path, figure: Any) -> Path:
    save_svg(figure, path)
    return path
