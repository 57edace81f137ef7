"""How often the truth lies in the intervals that a model's numbers come with.

On synthetic studies that the intervals were not learned from, small or whole; and, as a second look that nothing is
promised of, on readings of real hearts, whose experts are no geometry.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from cinecmr.analyze import models, sureness
from cinecmr.errors import RefusedInput
from cinecmr.experiments import provenance
from cinecmr.io.files import write_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from cinecmr.analyze.sureness import Coverage, Pairs, Sureness

SMALL, WHOLE, REAL = "small synthetic studies", "whole synthetic studies", "real hearts"


def run(name: str, evaluations: Sequence[Path], out: Path, real: Path | None = None) -> Iterator[str]:
    """Count, write, and the lines for the terminal.

    Args:
        name: of the model.
        evaluations: evaluation.json of `cinecmr evaluate phantom` of hearts that the intervals were not learned from.
        out: gets coverage.json and coverage.md.
        real: labels.json of `cinecmr evaluate labels`, whose ejection fractions are looked at.

    Raises:
        RefusedInput: no intervals of these weights (`no-intervals`), evaluations of others, or of the same hearts.
    """
    started = time.perf_counter()
    weights, sha256 = models.weights_path(name), models.card(name).sha256
    known = sureness.load(models.sureness_path(weights), sha256)
    if known is None:
        raise RefusedInput("no-intervals", f"{name} has no intervals: learn them with `cinecmr models calibrate`")
    told, words = {}, {}
    for group, files in _grouped(evaluations).items():
        pairs, data, seeds = sureness.gather(files, name, sha256)
        if seeds & known.seeds():
            raise RefusedInput(
                "same-subjects", f"the intervals were learned from seed {min(seeds & known.seeds())}: give other hearts"
            )
        commits = sorted({json.loads(file.read_text("utf-8"))["about"]["commit"] for file in files})
        told[group], words[group] = _covered(known, pairs), f"{data}, measured at commit {', '.join(commits)}"
    if real is not None:
        told[REAL], words[REAL] = _covered(known, read_real(real, sha256)), "no ml: their pixel size is not recorded"
    about = provenance.about(started, model=f"{name}@{sha256[:8]}", learned_from=known.data)
    about |= {group.replace(" ", "_"): data for group, data in words.items()}
    write_text(out / "coverage.json", provenance.as_json({"about": about, "limits": _limits(known), "coverage": told}))
    page = markdown(about, known, told)
    write_text(out / "coverage.md", "\n".join(page) + "\n")
    yield from page


def _grouped(evaluations: Sequence[Path]) -> dict[str, list[Path]]:
    groups: dict[str, list[Path]] = {}
    for file in evaluations:
        sureness.read_pairs(file)  # refuses what is none
        small = "studies" in json.loads(file.read_text("utf-8"))["about"]
        groups.setdefault(SMALL if small else WHOLE, []).append(file)
    return groups


def read_real(labels: Path, sha256: str) -> dict[str, Pairs]:
    """Ejection fractions found and read by experts.

    Raises:
        RefusedInput: of other weights (`other-weights`), or no labels.json (`no-evaluation`).
    """
    pairs: dict[str, Pairs] = {}
    try:
        content = json.loads(labels.read_text("utf-8"))
        theirs = content["about"]["weights_sha256"]
        for one in content["ef"]:
            for name, value in one["found"].items():
                pairs.setdefault(name, []).append((float(value), float(one["truth"][name])))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RefusedInput("no-evaluation", f"{labels} is no labels.json of `cinecmr evaluate labels`") from error
    if theirs != sha256:
        raise RefusedInput("other-weights", f"{labels} is of other weights: label again with these")
    return pairs


def _covered(known: Sureness, pairs: Mapping[str, Pairs]) -> dict[str, dict[str, float]]:
    found = sureness.cover(known, pairs)
    return {name: _figures(one.coverage) for name, one in found.limits.items() if pairs.get(name) and one.coverage}


def _figures(of: Coverage) -> dict[str, float]:
    return {"held": of.held, "studies": of.studies, "low": of.interval.low, "high": of.interval.high}


def _limits(known: Sureness) -> dict[str, Any]:
    return {
        name: {"low": one.low, "high": one.high, "relative": one.relative, "studies": one.studies}
        for name, one in known.limits.items()
    }


def markdown(
    about: dict[str, str], known: Sureness, told: Mapping[str, Mapping[str, Mapping[str, float]]]
) -> list[str]:
    """The page."""
    lines = [
        f"# Do the {100 * known.level:.0f} % intervals hold the truth?",
        "",
        *provenance.as_lines(about),
        'Share of studies in which the truth lies in the interval, with its exact 95 % interval; "no" where that '
        f"does not contain {100 * known.level:.0f} %. Limits are of true minus found. Nothing is promised of real "
        "hearts: there an expert's reading stands for the truth.",
        "",
        "| | limits | learned from | " + " | ".join(told) + " |",
        "|---" * (3 + len(told)) + "|",
    ]
    for name, one in known.limits.items():
        factor, unit = (100, "%") if one.relative else (1, "points")
        cells = [f"{factor * one.low:+.1f} to {factor * one.high:+.1f} {unit}", str(one.studies)]
        cells += [_cell(group.get(name), known.level) for group in told.values()]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return lines


def _cell(one: Mapping[str, float] | None, level: float) -> str:
    if one is None:
        return ""
    share, low, high = (100 * one[key] / (one["studies"] if key == "held" else 1) for key in ("held", "low", "high"))
    verdict = "" if low <= 100 * level <= high else ": no"
    return f"{one['held']:.0f} of {one['studies']:.0f}, {share:.1f} ({low:.1f} to {high:.1f}) %{verdict}"
