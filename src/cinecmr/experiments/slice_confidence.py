"""Is the model less right where it is less sure? The Dice it expects of each slice beside the true one.

Synthetic stacks at end-diastole and end-systole, on which readers' labels are known in every slice.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from cinecmr.anatomy import Structure, View
from cinecmr.experiments import provenance, small_studies
from cinecmr.io.files import write_text
from cinecmr.study import Findings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray


PARTS = 5  # of the slices, from the least to the most sure
LEFT_OUT = 0.1  # of the slices, the least sure: what is gained without them


@dataclass(frozen=True)
class Slice:
    """One slice of one stack: what the model expects of its labels, and what is true. Both Dice, 0 to 1."""

    subject: str
    phase: str
    number: int
    expected: float
    true: float


def run(
    out: Path, subjects: int, seed: int, model_name: str,
    progress: Callable[[float], None] | None = None,
) -> Iterator[str]:  # fmt: skip
    """Make, label, compare; lines for the terminal.

    Args:
        out: gets confidence.json and confidence.md.
        subjects: how many.
        seed: of the first; choose seeds no training used.
        model_name: see `cinecmr models`.
        progress: told the share done.

    Raises:
        RefusedInput: the model does not tell how sure it is (`no-confidence`).
    """
    started = time.perf_counter()
    model = small_studies.model_of(model_name)
    rows: list[Slice] = []
    for number in range(subjects):
        study, truth, frames = small_studies.make(seed + number)
        labels, sure = small_studies.Sparing(model, frames).segment_surely(study[View.SAX])
        found = Findings(labels={small_studies.SAX: labels}, confidence={small_studies.SAX: sure})
        rows += slices(study.subject, found, truth)
        if progress:
            progress((number + 1) / subjects)
    about = provenance.about(started, "torch", model=model.source, seed=seed, subjects=subjects, slices=len(rows))
    told = summary(rows)
    content = {"about": about, "summary": told, "slices": [asdict(row) for row in rows]}
    write_text(out / "confidence.json", provenance.as_json(content))
    page = markdown(about, told, rows)
    write_text(out / "confidence.md", "\n".join(page) + "\n")
    yield from page


def slices(subject: str, found: Findings, truth: Findings) -> Iterator[Slice]:
    """The slices of a stack at the LV's ED and ES in which heart was found."""
    sure = found.confidence[small_studies.SAX]
    ours, theirs = (of.labels[small_studies.SAX] for of in (found, truth))
    for phase in ("ED", "ES"):
        t = truth.cycle[f"LV_{phase}"]
        for z in np.flatnonzero(np.isfinite(sure[:, t])):
            true = heart_dice(ours[:, :, z, t], theirs[:, :, z, t])
            yield Slice(subject, phase, int(z), float(sure[z, t]), true)


def heart_dice(found: NDArray[np.uint8], true: NDArray[np.uint8]) -> float:
    """Dice of all structures together, a pixel of the wrong structure counting as wrong.

    >>> heart_dice(np.array([[1, 2, 3, 0]], np.uint8), np.array([[1, 2, 2, 2]], np.uint8))
    0.5714285714285714
    """
    ours, theirs = (np.isin(one, (Structure.RV, Structure.MYO, Structure.LV)) for one in (found, true))
    both = int((ours & (found == true)).sum())
    return 2 * both / max(int(ours.sum() + theirs.sum()), 1)


def summary(rows: list[Slice]) -> dict[str, float]:
    """Spearman's rank correlation over all slices, and errors with and without the least sure ones."""
    from scipy import stats

    expected, true = (np.array([getattr(row, name) for row in rows]) for name in ("expected", "true"))
    kept = expected > np.quantile(expected, LEFT_OUT)
    error, left = float((1 - true).mean()), float((1 - true)[kept].mean())
    return {
        "rank_correlation": float(stats.spearmanr(expected, true).statistic),
        "error": error,
        "error_without_least_sure": left,
        "lower_by": (error - left) / error,
        "expected_less_true": float((expected - true).mean()),
    }


def markdown(about: dict[str, str], told: dict[str, float], rows: list[Slice]) -> list[str]:
    """The page."""
    order = sorted(rows, key=lambda row: row.expected)
    parts = [part for part in np.array_split(np.arange(len(order)), PARTS) if len(part)]
    lines = [
        "# How sure the model is of a slice, and how right",
        "",
        *provenance.as_lines(about),
        f"Rank correlation of expected and true Dice over {len(rows)} slices: {told['rank_correlation']:.2f}. Without "
        f"the tenth of the slices it is least sure of, its error (1 - Dice) falls from {told['error']:.3f} to "
        f"{told['error_without_least_sure']:.3f}, by {100 * told['lower_by']:.0f} %. It expects "
        f"{told['expected_less_true']:+.3f} more than is true.",
        "",
        "| slices, from the least sure | expected Dice, mean | true Dice, mean | true Dice, worst |",
        "|---|---|---|---|",
    ]
    for number, part in enumerate(parts, 1):
        mine = [order[i] for i in part]
        true = [row.true for row in mine]
        expected = np.mean([row.expected for row in mine])
        lines.append(f"| {number} of {len(parts)} | {expected:.3f} | {np.mean(true):.3f} | {min(true):.3f} |")
    return lines
