"""What a study found: a table with paired intervals, plain sentences, and the curve over labelled subjects."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cinecmr.evaluate.bootstrap import Paired, paired
from cinecmr.evaluate.intervals import holm
from cinecmr.experiments.curves import save_svg
from cinecmr.experiments.provenance import as_json, as_lines, into_page
from cinecmr.experiments.ssp import plan as planning
from cinecmr.experiments.ssp.plan import EPOCHS, METHODS, NNUNET, SCRATCH, TITLES, UPDATES, Job, Plan
from cinecmr.experiments.ssp.runs import rows_of, splits_of
from cinecmr.io.files import write_text
from cinecmr.pretrain.collapse import CollapseWatch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

STRUCTURES = ("dice_rv", "dice_myo", "dice_lv")
LIMIT = 0.05  # of the adjusted p below which a difference is called shown
PROTOCOLS = {
    UPDATES: "the same updates for every number of labels",
    EPOCHS: "the same epochs, so few labels, few updates",
}


@dataclass(frozen=True)
class Cell:
    """One initialisation at one number of labelled subjects, under one protocol.

    Attributes:
        protocol, labels, init, updates: of the trainings.
        scores: (seeds, subjects) mean Dice of RV, MYO and LV over a test subject's frames.
        classes: mean Dice of each structure.
        gain: over training from scratch; None for that itself, or where it was not trained.
        p: of the gain, adjusted by Holm for the initialisations compared at this number of labels.
    """

    protocol: str
    labels: int
    init: str
    updates: int
    scores: NDArray[np.float64]
    classes: tuple[float, float, float]
    gain: Paired | None = None
    p: float = 1.0

    @property
    def mean(self) -> float:
        """Over seeds and subjects."""
        return float(self.scores.mean())

    @property
    def spread(self) -> float:
        """Standard deviation of the means of the seeds, as the paper has it; NaN with one."""
        means = self.scores.mean(axis=1)
        return float(means.std(ddof=1)) if len(means) > 1 else float("nan")

    @property
    def worst_tenth(self) -> float:
        """Mean of the worst tenth of the subjects, each the mean of its seeds."""
        ordered = np.sort(self.scores.mean(axis=0))
        return float(ordered[: max(1, len(ordered) // 10)].mean())


def cells(out: Path, plan: Plan, slices: dict[int, float]) -> list[Cell]:
    """Everything a study found.

    Differences are paired: the same test subjects, drawn again together with the trainings, so that an interval is
    that of a method and not of three runs of it.
    """
    found = []
    for protocol in plan.protocols:
        for count in plan.labels:
            group = [_cell(out, plan, protocol, count, init, slices) for init in plan.inits]
            found += compared(group, plan.size.resamples)
    return found


def _cell(out: Path, plan: Plan, protocol: str, count: int, init: str, slices: dict[int, float]) -> Cell:
    updates, splits = planning.updates_of(plan, protocol, count, slices), splits_of(out)
    by_seed = [rows_of(out, plan, Job(init, count, seed, updates), splits) for seed in range(plan.seeds)]
    names = sorted({row["subject"] for row in by_seed[0]})
    scores = [
        [np.mean([row[s] for row in rows if row["subject"] == name for s in STRUCTURES]) for name in names]
        for rows in by_seed
    ]
    of_class = tuple(float(np.mean([row[s] for rows in by_seed for row in rows])) for s in STRUCTURES)
    return Cell(protocol, count, init, updates, np.array(scores), of_class)  # type: ignore[arg-type]


def compared(group: Sequence[Cell], resamples: int) -> list[Cell]:
    """The same cells with their gain over training from scratch.

    p is adjusted for how many kinds of pre-training are compared; nnU-Net's way asks another question, by itself.
    """
    base = next((cell for cell in group if cell.init == SCRATCH), None)
    if base is None:
        return list(group)
    seeds = len(base.scores) > 1
    gains = {
        c.init: paired(c.scores, base.scores, resamples=resamples, draw_seeds=seeds) for c in group if c is not base
    }
    methods = [init for init in gains if init in METHODS]
    p = {init: gain.p for init, gain in gains.items()} | dict(
        zip(methods, holm([gains[init].p for init in methods]).tolist(), strict=True)
    )
    return [c if c is base else replace(c, gain=gains[c.init], p=p[c.init]) for c in group]


def verdict(cell: Cell) -> str:
    """Say "helps", "harms" or "not shown to help"."""
    if cell.gain is None:
        return ""
    low, high = cell.gain.difference.low, cell.gain.difference.high
    if cell.p < LIMIT and low > 0:
        return "helps"
    return "harms" if cell.p < LIMIT and high < 0 else "not shown to help"


def sentences(found: Sequence[Cell], tests: int) -> list[str]:
    """The answer in words, one sentence for each protocol and number of labels."""
    told = []
    for protocol, count in dict.fromkeys((cell.protocol, cell.labels) for cell in found):
        group = [c for c in found if (c.protocol, c.labels) == (protocol, count) and c.init in METHODS and c.gain]
        here = {c.init: c for c in found if (c.protocol, c.labels) == (protocol, count)}
        if SCRATCH not in here or not group:
            continue
        head = f"With {count} labelled subjects and {PROTOCOLS[protocol].split(',')[0]}, "
        good = sorted((c for c in group if verdict(c) == "helps"), key=lambda c: -c.mean)
        bad = [c for c in group if verdict(c) == "harms"]
        if good:
            body = " and ".join(f"{TITLES[c.init]} helps ({_gain(c)})" for c in good)
        else:
            body = "no pre-training is shown to help"
            best = max(group, key=lambda c: c.mean)
            body += f" (the best, {TITLES[best.init]}: {_gain(best)})"
        tail = f"; {' and '.join(TITLES[c.init] for c in bad)} harms" if bad else ""
        if NNUNET in here:
            tail += f"; nnU-Net's way: {verdict(here[NNUNET])} ({_gain(here[NNUNET])})"
        told.append(f"{head}{body}{tail}; from scratch Dice is {here[SCRATCH].mean:.3f} over {tests} subjects.")
    return told


def advice(found: Sequence[Cell], resamples: int) -> list[str]:
    """What to start from, and how sure that is: one sentence for each number of labels, of the first protocol."""
    told, protocol = [], found[0].protocol
    for count in dict.fromkeys(cell.labels for cell in found):
        group = [c for c in found if (c.protocol, c.labels) == (protocol, count)]
        sure = chances(group, resamples)
        first, *others = sorted(group, key=lambda c: -sure[c.init])
        shown = [c for c in group if verdict(c) == "helps"]
        if len(group) < 2:
            continue
        line = f"With {count} labelled subjects: {TITLES[first.init]} is the best in {sure[first.init]:.0%} of draws"
        line += f" ({', '.join(f'{TITLES[c.init]} {sure[c.init]:.0%}' for c in others)})"
        if first.init == SCRATCH:
            line += "; nothing is shown to beat it, so train from scratch"
        elif first.gain is None:
            line += "; training from scratch was not asked for"
        elif first in shown:
            line += "; it is shown to beat training from scratch, so use it"
        else:
            line += "; it is not shown to beat training from scratch, so expect little of it"
        told.append(line + ".")
    return told


def chances(group: Sequence[Cell], resamples: int, seed: int = 0) -> dict[str, float]:
    """How often each start has the best mean Dice when test subjects and trainings are drawn again.

    Args:
        group: cells of one number of labels and protocol; all tested on the same subjects, with as many seeds.
        resamples: draws.
        seed: of the draws.
    """
    rng, scores = np.random.default_rng(seed), np.stack([cell.scores for cell in group])
    starts, seeds, subjects = scores.shape
    weights = rng.multinomial(subjects, np.full(subjects, 1 / subjects), resamples)
    means = scores @ weights.T / subjects  # (starts, seeds, draws)
    picked = np.take_along_axis(means, rng.integers(0, seeds, means.shape), axis=1).mean(axis=1)
    best = np.bincount(picked.argmax(axis=0), minlength=starts) / resamples
    return {cell.init: float(share) for cell, share in zip(group, best, strict=True)}


def _gain(cell: Cell) -> str:
    gain = cell.gain.difference if cell.gain else None
    return f"{gain.estimate:+.3f} Dice, 95 % {gain.low:+.3f} to {gain.high:+.3f}" if gain else ""


def table(found: Sequence[Cell]) -> list[str]:
    """Markdown, one table a protocol."""
    lines = []
    for protocol in dict.fromkeys(cell.protocol for cell in found):
        lines += [f"## {PROTOCOLS[protocol].capitalize()}", "",
                  "| labelled | start | updates | Dice (sd over seeds) | RV | MYO | LV | worst tenth | "
                  "over scratch (95 %) | p, adjusted | |", "|---|---|---|---|---|---|---|---|---|---|---|"]  # fmt: skip
        for c in (cell for cell in found if cell.protocol == protocol):
            classes = " | ".join(f"{value:.3f}" for value in c.classes)
            gain = "" if c.gain is None else f"{c.gain.text().split(', p')[0]} | {c.p:.2g}"
            lines.append(
                f"| {c.labels} | {TITLES[c.init]} | {c.updates} | {c.mean:.3f} ({c.spread:.3f}) | {classes} | "
                f"{c.worst_tenth:.3f} | {gain or ' | '} | {verdict(c)} |"
            )
        lines.append("")
    return lines


def left(ends: Mapping[Job, Mapping[str, float]]) -> list[str]:
    """What each pre-training ended with, a table; collapsed ones are called so.

    Args:
        ends: last lines of the logs, by training.
    """
    lines = ["", "| pre-training | seed | loss at its end | directions of features | spread, 0 to 1 | |"]
    lines.append("|---|---|---|---|---|---|")
    for job, end in ends.items():
        if not job.pretraining:
            continue
        rank, width = end.get("effective_rank", math.nan), end.get("feature_spread", math.nan)
        word = "collapsed" if rank < CollapseWatch.rank or width < CollapseWatch.spread else ""
        seen = " | ".join("" if math.isnan(value) else f"{value:.2f}" for value in (rank, width))
        lines.append(f"| {TITLES[job.init]} | {job.seed} | {end['loss']:.3f} | {seen} | {word} |")
    return lines if len(lines) > 3 else []


def write(
    out: Path,
    found: Sequence[Cell],
    title: str,
    about: dict[str, str],
    notes: Sequence[str] = (),
    page: Path | None = None,
    resamples: int = 2000,
) -> list[str]:
    """Write results.md, results.csv, results.json and curve.svg; returns the sentences.

    Args:
        out: folder.
        found: see `cells`.
        title: of the page.
        about: how it came to be.
        notes: what its reader must know.
        page: of the documentation, that gets the same between its marks.
        resamples: draws, for how sure the advice is.
    """
    told = [*sentences(found, found[0].scores.shape[1]), *advice(found, resamples)]
    text = [*as_lines(about), *[f"- {line}" for line in told], "", *notes, "", *table(found)]
    drawn = "![Dice against labelled subjects]({})"
    write_text(out / "results.md", "\n".join([f"# {title}", "", *text, drawn.format("curve.svg"), ""]))
    if page is not None:
        beside = Path(os.path.relpath(out / "curve.svg", page.parent)).as_posix()
        deeper = [f"#{line}" if line.startswith("#") else line for line in text]
        into_page(page, [*deeper, drawn.format(beside), ""])
    rows = [_row(cell) for cell in found]
    header = ",".join(rows[0])
    write_text(out / "results.csv", "\n".join([header, *(",".join(map(str, r.values())) for r in rows)]) + "\n")
    write_text(out / "results.json", as_json({"about": about, "sentences": told, "cells": rows}))
    draw(out / "curve.svg", found)
    return told


def _row(cell: Cell) -> dict[str, object]:
    row: dict[str, object] = {
        "protocol": cell.protocol,
        "labels": cell.labels,
        "init": cell.init,
        "updates": cell.updates,
        "dice": round(cell.mean, 5),
        "sd_over_seeds": round(cell.spread, 5),
        "worst_tenth": round(cell.worst_tenth, 5),
        **{name: round(value, 5) for name, value in zip(STRUCTURES, cell.classes, strict=True)},
    }
    gain = cell.gain.difference if cell.gain else None
    told = (gain.estimate, gain.low, gain.high, cell.p) if gain else ()
    row |= dict.fromkeys(("gain", "low", "high", "p"), "") | {
        name: round(value, 5) for name, value in zip(("gain", "low", "high", "p"), told, strict=False)
    }
    return row | {"verdict": verdict(cell)}


def draw(path: Path, found: Sequence[Cell]) -> None:
    """Dice against the number of labelled subjects: a panel a protocol, a line a start, a dot a seed."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    protocols = list(dict.fromkeys(cell.protocol for cell in found))
    figure = Figure(figsize=(5.2 * len(protocols), 4), layout="constrained")
    FigureCanvasSVG(figure)
    axes = figure.subplots(1, len(protocols), sharey=True, squeeze=False)[0]
    inits = list(dict.fromkeys(cell.init for cell in found))
    for axis, protocol in zip(axes, protocols, strict=True):
        for number, init in enumerate(inits):
            line = sorted((c for c in found if (c.protocol, c.init) == (protocol, init)), key=lambda c: c.labels)
            x = np.array([c.labels for c in line]) * 1.03 ** (number - len(inits) / 2)
            axis.plot(x, [c.mean for c in line], "-o", color=f"C{number}", label=TITLES[init], markersize=4)
            for at, c in zip(x, line, strict=True):
                axis.plot([at] * len(c.scores), c.scores.mean(axis=1), ".", color=f"C{number}", alpha=0.4, markersize=4)
        axis.set_xscale("log")
        ticks = sorted({c.labels for c in found})
        axis.set_xticks(ticks, [str(t) for t in ticks])
        axis.minorticks_off()
        axis.set_xlabel("labelled subjects")
        axis.set_title(PROTOCOLS[protocol], fontsize=9)
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("mean Dice of RV, MYO and LV")
    axes[-1].legend(frameon=False, fontsize=8)
    save_svg(figure, path)
