"""How well motion is found: errors against the phantom's true motion, and CPU-seconds, of each of our ways.

    python benchmarks/motion.py --subjects 4 --seed 900 --out results/motion.json

Ways: `identity` (nothing moves: what there is to find), `labels` and `pictures` (one kind of evidence taken away),
`short-axis` (no long-axis views), `sound` (the default without a prior), `prior` (with the file given by --prior),
`published` (the recipe of the paper; minutes a subject). Subjects are seeded and of four diseases in turn, with 12
slices and 25 frames; labels are the phantom's own, as a reader would draw them, so errors of a segmentation come on
top. A prior must come from other seeds.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cinecmr.anatomy import Contrast, Disease, View
from cinecmr.evaluate.deformation import end_point_errors, jacobians, strain_error
from cinecmr.motion.prior import Prior
from cinecmr.motion.register import Sound, register
from cinecmr.phantom.study import synthetic_study
from cinecmr.phantom.wall import wall_points

if TYPE_CHECKING:
    from cinecmr.study import Findings, Study

KINDS = (Disease.NORMAL, Disease.DCM, Disease.HCM, Disease.INFARCT)
WAYS = ("identity", "labels", "pictures", "short-axis", "sound", "prior", "published")
SAX = (View.SAX, Contrast.CINE)


class Rest:
    """Nothing moves."""

    def displacement(self, points, _time):
        """See `study.Motion`."""
        return np.zeros_like(points)

    def gradient(self, points, _time):
        """See `study.Motion`."""
        return np.tile(np.eye(3), (len(points), 1, 1))


def fitted(way: str, study: Study, truth: Findings, prior: Prior | None):
    """The motion that one way finds."""
    labels = truth.labels[SAX]
    if way == "identity":
        return Rest()
    if way == "published":
        from cinecmr.motion.published import register_published

        return register_published(study[View.SAX], labels)
    settings = Sound()
    if way == "labels":
        settings = replace(settings, short_axis=0.0, long_axis=0.0)
    if way == "pictures":
        settings = replace(settings, face=0.0)
    images = study[View.SAX] if way == "short-axis" else study
    return register(images, labels, settings=settings, start=prior if way == "prior" else None).motion


def judged(motion, truth: Findings, frames: int) -> dict[str, float]:
    """Errors in mm and % points, weighted by the volume of the wall."""
    wall = wall_points(truth.motion.heart, truth.motion.affine, cells=(30, 20, 3))
    times = np.arange(1, frames, 2) / frames
    es = truth.cycle["LV_ES"] / frames
    weights = wall.weights / wall.weights.sum()
    gap = motion.displacement(wall.points, es) - truth.motion.displacement(wall.points, es)
    in_plane = gap - np.outer(gap @ wall.long_axis, wall.long_axis)
    strains = strain_error(motion, truth.motion, wall, [0.0, es])
    volume = jacobians(motion, wall.points, [es / 2, es])
    return {
        "epe_mm": float((end_point_errors(motion, truth.motion, wall.points, times) @ weights).mean()),
        "es_epe_mm": float(np.linalg.norm(gap, axis=1) @ weights),
        "es_in_plane_mm": float(np.linalg.norm(in_plane, axis=1) @ weights),
        **{f"es_{name}_error": value for name, value in strains.peaks.items()},
        "volume_change": volume.deviation,
        "folding": volume.folding,
    }


def main() -> None:
    """Print a row for each subject and way."""
    told = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    told.add_argument("--subjects", type=int, default=4)
    told.add_argument("--seed", type=int, default=900, help="of the first subject")
    told.add_argument("--ways", nargs="+", default=["identity", "sound"], choices=WAYS)
    told.add_argument("--prior", type=Path)
    told.add_argument("--out", type=Path)
    given = told.parse_args()
    if "prior" in given.ways and given.prior is None:
        told.error("--ways prior needs --prior FILE")
    prior = Prior.load(given.prior) if given.prior else None
    rows = []
    for seed in range(given.seed, given.seed + given.subjects):
        disease = KINDS[seed % len(KINDS)]
        study, truth = synthetic_study(seed, disease)
        for way in given.ways:
            started = time.process_time()
            motion = fitted(way, study, truth, prior)
            seconds = time.process_time() - started
            row = {"seed": seed, "disease": disease.value, "way": way, "cpu_s": round(seconds, 1)}
            row |= {name: round(value, 3) for name, value in judged(motion, truth, study[View.SAX].frames).items()}
            rows.append(row)
            print(" ".join(f"{name} {value}" for name, value in row.items()), flush=True)
    if given.out:
        from cinecmr.io.files import write_text

        write_text(given.out, json.dumps({"subjects": given.subjects, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
