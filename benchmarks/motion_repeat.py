"""How well strain of real studies repeats itself when the same pictures come noisier, turned, or cut.

    cinecmr analyze STUDY --out out/one
    python benchmarks/motion_repeat.py one=out/one two=out/two --page results/motion/repeatability.md

Copies of a study: `noise` (that of the chest around the heart doubled: normal noise of as much spread as what a 3 x 3
median leaves), `rotation` (short-axis slices on a grid turned by 7 degrees in their plane: the same heart, other
pixels) and `crop` (every view cut to 20 pixels about the heart). Labels go along, `--segment` has the model find them
anew in every copy, as it would in another scan. `prior` is the study as it is, fitted from the prior of --prior. Rows
are kept one a line: stopped and started again, it goes on.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from cinecmr.analyze import motion, run, session
from cinecmr.analyze.motion_prior import named
from cinecmr.anatomy import Structure, View
from cinecmr.experiments import provenance
from cinecmr.geometry import apply_affine
from cinecmr.io.files import write_text
from cinecmr.io.label_files import read_labels

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cinecmr.motion.network_prior import NetworkPrior
    from cinecmr.motion.prior import Prior
    from cinecmr.study import Study


NAMES = ("GCS", "GRS", "GLS")
DEGREES, MARGIN = 7.0, 20
AIM = 5.0  # %, of issue 7


def noisier(study: Study, labels: NDArray[np.uint8], rng: np.random.Generator) -> tuple[Study, NDArray[np.uint8]]:
    """Every cine with as much normal noise again as its first frame has."""
    images = {}
    for key, image in study.images.items():
        plane = image.data[..., 0].astype(np.float32)
        left = plane - ndimage.median_filter(plane, (3, 3, 1))
        sigma = 1.4826 * float(np.median(np.abs(left[left != 0])))
        images[key] = replace(image, data=(image.data + rng.normal(0, sigma, image.data.shape)).astype(np.float32))
    return replace(study, images=images), labels


def turned(study: Study, labels: NDArray[np.uint8], _rng: np.random.Generator) -> tuple[Study, NDArray[np.uint8]]:
    """The short axis sampled on a grid turned about the heart; its affine says so, and the heart stays where it is."""
    key = next(one for one in study.images if one[0] is View.SAX)
    image = study.images[key]
    middle = np.argwhere(np.isin(labels, (Structure.LV, Structure.MYO)).any(axis=(2, 3))).mean(axis=0)
    angle = np.radians(DEGREES)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    step = image.spacing[:2]
    turn = turn * step / step[:, None]  # of millimetres, in pixels
    grid = np.stack(np.meshgrid(*(np.arange(n) for n in image.data.shape[:2]), indexing="ij"), -1)
    there = np.moveaxis((grid - middle) @ turn.T + middle, -1, 0)

    def sampled(array: NDArray[np.generic], order: int) -> NDArray[np.generic]:
        planes = array.reshape(*array.shape[:2], -1)
        rows = [
            ndimage.map_coordinates(planes[..., n], there, order=order, mode="nearest") for n in range(planes.shape[2])
        ]
        return np.stack(rows, axis=-1).reshape(array.shape)

    affine = image.affine.copy()
    affine[:3, :2] = image.affine[:3, :2] @ turn
    affine[:3, 3] = apply_affine(image.affine, np.array([*(middle - turn @ middle), 0.0]))
    other = replace(image, data=sampled(image.data.astype(np.float32), 3), affine=affine)
    return replace(study, images={**study.images, key: other}), sampled(labels, 0)


def cut(study: Study, labels: NDArray[np.uint8], _rng: np.random.Generator) -> tuple[Study, NDArray[np.uint8]]:
    """Every view without what lies far from the heart."""
    sax = study[View.SAX]
    heart = np.argwhere((labels != Structure.BACKGROUND) & (labels != Structure.UNSEEN))[:, :3].astype(np.float64)
    points = apply_affine(sax.affine, heart[:: max(1, len(heart) // 5000)])
    images, box = {}, {}
    for key, image in study.images.items():
        index = apply_affine(np.asarray(np.linalg.inv(image.affine), np.float64), points)[:, :2]
        low = np.clip(np.floor(index.min(axis=0)).astype(int) - MARGIN, 0, np.array(image.data.shape[:2]) - 2)
        high = np.clip(np.ceil(index.max(axis=0)).astype(int) + MARGIN, low + 2, image.data.shape[:2])
        box[key] = (slice(low[0], high[0]), slice(low[1], high[1]))
        affine = image.affine.copy()
        affine[:3, 3] = apply_affine(image.affine, np.array([*low, 0.0]))
        images[key] = replace(image, data=image.data[box[key]], affine=affine)
    key = next(one for one in study.images if one[0] is View.SAX)
    return replace(study, images=images), labels[box[key]]


FIRST, PRIOR = "as it is", "prior"
COPIES = {FIRST: None, PRIOR: None, "noise": noisier, "rotation": turned, "crop": cut}


def measured(study: Study, labels: NDArray[np.uint8], start: Prior | NetworkPrior | None) -> dict[str, object]:
    """Peak strains, and what was flagged."""
    told = motion.summary(motion.track(study, labels, start=start))
    peaks = {name: told["global"][name]["peak"] for name in NAMES}  # type: ignore[index]
    return {**peaks, "flags": [flag["code"] for flag in told["flags"]]}  # type: ignore[attr-defined]


def page(rows: list[dict[str, object]], labels: str, started: float) -> str:
    """The table."""
    about = provenance.about(started, "torch", labels=labels, aim=f"changes of at most {AIM:.0f} %")
    lines = ["# Strain of real studies, and of copies of them", "", *provenance.as_lines(about)]
    lines += [" ".join(__doc__.split("\n\n")[2].split()), ""]
    lines += ["| study | copy | GCS, % | GRS, % | GLS, % | largest change, % of the value | flags |"]
    lines += ["|---|---|---:|---:|---:|---:|---|"]
    first = {row["study"]: row for row in rows if row["copy"] == FIRST}
    worst: dict[str, list[float]] = {name: [] for name in NAMES}
    for row in rows:
        changes = {n: 100 * abs(float(row[n]) / float(first[row["study"]][n]) - 1) for n in NAMES}  # type: ignore[arg-type]
        if row["copy"] not in (FIRST, PRIOR):
            for name in NAMES:
                worst[name].append(changes[name])
        said = "" if row["copy"] == FIRST else f"{max(changes.values()):.1f} ({max(changes, key=changes.__getitem__)})"
        values = " | ".join(f"{float(row[n]):.1f}" for n in NAMES)  # type: ignore[arg-type]
        lines.append(f"| {row['study']} | {row['copy']} | {values} | {said} | {', '.join(row['flags'])} |")  # type: ignore[arg-type]
    lines.append("")
    for name, found in worst.items():
        if found:
            within = sum(change <= AIM for change in found)
            lines.append(
                f"- {name}: mean change {np.mean(found):.1f} %, largest {max(found):.1f} %; {within} of {len(found)} "
                f"copies within {AIM:.0f} %."
            )
    return "\n".join([*lines, ""])


def main() -> None:
    """Print a row for each study and copy."""
    told = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    told.add_argument("studies", nargs="+", metavar="NAME=FOLDER", help="what `cinecmr analyze` wrote")
    told.add_argument("--segment", metavar="MODEL", help="find the labels anew in every copy, with this model")
    told.add_argument("--prior", help="name of a shipped prior, or a file: what it changes")
    told.add_argument("--out", type=Path, help="rows, one a line; those there are not made again")
    told.add_argument("--page", type=Path, help="the table, Markdown")
    given, started = told.parse_args(), time.perf_counter()
    lines = given.out.read_text("utf-8").splitlines() if given.out and given.out.is_file() else []
    done = {(row["study"], row["copy"]): row for row in map(json.loads, lines)}
    start = named(given.prior)
    model = run.segmenter(given.segment, "cpu") if given.segment else None
    for name, folder in (one.split("=", 1) for one in given.studies):
        study = session.load(Path(folder)).study
        labels = read_labels(Path(folder) / "labels_sax.nii.gz", study[View.SAX])
        for copy, change in COPIES.items():
            if (name, copy) in done or (copy == PRIOR and given.prior is None):
                continue
            other, found = (study, labels) if change is None else change(study, labels, np.random.default_rng(0))
            if model is not None:
                found = np.array(model.segment(other[View.SAX]), np.uint8)
                found[:, :, list(other[View.SAX].missing_slices)] = Structure.UNSEEN
            done[name, copy] = {"study": name, "copy": copy} | measured(other, found, start if copy == PRIOR else None)
            print(" ".join(f"{key} {value}" for key, value in done[name, copy].items()), flush=True)
            if given.out:
                write_text(given.out, "".join(json.dumps(row) + "\n" for row in done.values()))
    if given.page:
        said = f"{given.segment}, anew in every copy" if given.segment else "of the study as it is, in every copy"
        write_text(given.page, page(list(done.values()), said, started))


if __name__ == "__main__":
    main()
