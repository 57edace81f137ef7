"""How well motion is found: errors against the phantom's true motion, and CPU-seconds, of our ways and of peers.

    python benchmarks/motion.py --subjects 12 --out results/motion/benchmark.jsonl --page results/motion/benchmark.md

Ways: `identity` (nothing moves: what there is to find), `labels` and `pictures` (one kind of evidence taken away),
`short-axis` (no long-axis views), `as-peers` (short-axis pictures alone, labels of end-diastole alone), `sound` (the
default without a prior), `prior` (with the prior given by --prior, a name or a file), `published` (the recipe of the
paper; minutes a subject), `published-prior` (from the prior of networks given by --network-prior), and the peers
`elastix`, `greedy` and `ants`, each in a process of its own (the extra `bench`, or an environment with
`benchmarks/peers.txt`, whose interpreter is given by --peers-python; one that is absent is left out, and said so).
Peers register the short-axis stack, cut about the heart, to end-diastole; they see neither labels nor long axes, which
are no part of what they do.

Subjects are seeded and of four diseases in turn, with 12 slices and 25 frames; labels are the phantom's own, as a
reader would draw them, so errors of a segmentation come on top. A prior must come from other seeds. Rows are kept one
a line: stopped and started again, it goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from cinecmr.analyze.motion_prior import named
from cinecmr.anatomy import Contrast, Disease, Structure, View
from cinecmr.errors import RefusedInput
from cinecmr.experiments import provenance
from cinecmr.experiments.tagged_prior.judging import against_truth
from cinecmr.geometry import apply_affine
from cinecmr.io.files import write_text
from cinecmr.motion.register import Sound, register
from cinecmr.phantom.stacks import VERSION
from cinecmr.phantom.study import synthetic_study

if TYPE_CHECKING:
    from cinecmr.motion.network_prior import NetworkPrior
    from cinecmr.motion.prior import Prior
    from cinecmr.study import Findings, Image, Study

KINDS = (Disease.NORMAL, Disease.DCM, Disease.HCM, Disease.INFARCT)
PEERS = ("elastix", "greedy", "ants")
NETWORKS = ("published", "published-prior")
WAYS = ("identity", "labels", "pictures", "short-axis", "as-peers", "sound", "prior", *NETWORKS, *PEERS)
SAX = (View.SAX, Contrast.CINE)
PADDING = 15  # pixels beyond the labels that peers see
CELLS = (30, 20, 3)  # of the wall that is judged


class Rest:
    """Nothing moves."""

    def displacement(self, points, _time):
        """See `study.Motion`."""
        return np.zeros_like(points)

    def gradient(self, points, _time):
        """See `study.Motion`."""
        return np.tile(np.eye(3), (len(points), 1, 1))


class OnGrid:
    """Displacements on the voxels of a stack, at some frames: splines in space, straight lines in time."""

    STEP_MM = 0.5  # of the differences that its gradient is

    def __init__(self, fields, frames, shares, ed, affine):
        """Fields (t, x, y, z, 3) in mm along the axes of the array; of frames; shares of the cycle of all frames."""
        self.to_index = np.linalg.inv(affine)
        self.ways = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
        since = np.mod(np.asarray(shares)[list(frames)] - shares[ed], 1.0)
        order = np.argsort(since)
        still = np.zeros_like(fields[:1])
        self.since = np.concatenate([[0.0], since[order], [1.0]])
        films = np.concatenate([still, fields[order], still])
        self.films = [
            [ndimage.spline_filter(film[..., axis], output=np.float32) for axis in range(3)] for film in films
        ]
        self.ed = shares[ed]

    def displacement(self, points, time):
        """See `study.Motion`."""
        place = apply_affine(self.to_index, points).T
        at = float(np.interp((time - self.ed) % 1.0, self.since, np.arange(len(self.since))))
        low = min(int(at), len(self.since) - 2)
        found = [
            [ndimage.map_coordinates(film, place, order=3, mode="nearest", prefilter=False) for film in self.films[n]]
            for n in (low, low + 1)
        ]
        both = np.stack(found)
        return ((1 - (at - low)) * both[0] + (at - low) * both[1]).T @ self.ways.T

    def gradient(self, points, time):
        """See `study.Motion`."""
        found = np.tile(np.eye(3), (len(points), 1, 1))
        for axis in range(3):
            way = self.STEP_MM * np.eye(3)[axis]
            change = self.displacement(points + way, time) - self.displacement(points - way, time)
            found[:, :, axis] += change / (2 * self.STEP_MM)
        return found


def by_peer(peer: str, image: Image, labels, cycle: dict[str, int], every: bool, python: str):
    """What a peer finds: its motion, seconds a study, and version.

    Raises:
        RuntimeError: the peer is absent or failed; its last words.
    """
    ed = cycle["LV_ED"]
    frames = [t for t in range(image.frames) if t != ed] if every else [cycle["LV_ES"]]
    seen = np.argwhere((labels[..., ed] != Structure.BACKGROUND) & (labels[..., ed] != Structure.UNSEEN))
    low = np.maximum(seen.min(axis=0)[:2] - PADDING, 0)
    high = np.minimum(seen.max(axis=0)[:2] + PADDING + 1, image.data.shape[:2])
    box = image.data[low[0] : high[0], low[1] : high[1]].astype(np.float32)
    dark, bright = np.percentile(box[..., ed], (1, 99))
    box = np.clip((box - dark) / max(bright - dark, 1e-6), 0, 1)
    affine = image.affine.copy()
    affine[:3, 3] = apply_affine(image.affine, np.array([low[0], low[1], 0.0]))
    one_thread = dict.fromkeys(("ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    python = str(Path(python).absolute()) if Path(python).exists() else python
    with tempfile.TemporaryDirectory() as folder:
        given, out = Path(folder) / "frames.npz", Path(folder) / "fields.npz"
        np.savez(given, frames=np.moveaxis(box[..., [ed, *frames]], 3, 0), spacing=image.spacing)
        command = [python, str(Path(__file__).resolve().with_name("motion_peers.py")), peer, str(given), str(out)]
        done = subprocess.run(  # elastix leaves a file where it stands
            command, capture_output=True, text=True, check=False, env=os.environ | one_thread, cwd=folder
        )
        if done.returncode or not out.exists():
            raise RuntimeError((done.stderr.strip().splitlines() or [f"it ended with {done.returncode}"])[-1])
        with np.load(out) as held:
            fields, seconds, version = held["fields"], float(held["cpu_s"]), str(held["version"])
    shares = np.arange(image.frames) / image.frames
    return OnGrid(fields, frames, shares, ed, affine), seconds / len(frames) * (image.frames - 1), version


def fitted(way: str, study: Study, truth: Findings, priors: dict[str, Prior | NetworkPrior | None], steps: int):
    """The motion that one of our ways finds."""
    labels, start = truth.labels[SAX], priors.get(way)
    if way == "identity":
        return Rest()
    if way in NETWORKS:
        from cinecmr.motion.published import Published, register_published

        settings = replace(start.settings, steps=steps) if start else Published(steps=steps)
        weights = start.weights if start else None
        return register_published(study[View.SAX], labels, start=weights, settings=settings)
    settings = Sound()
    if way == "labels":
        settings = replace(settings, short_axis=0.0, long_axis=0.0)
    if way in ("pictures", "as-peers"):
        settings = replace(settings, face=0.0)
    images = study[View.SAX] if way in ("short-axis", "as-peers") else study
    if way == "as-peers":
        labels = np.where(np.arange(labels.shape[3]) == truth.cycle["LV_ED"], labels, Structure.UNSEEN)
    return register(images, labels, settings=settings, start=start).motion


def row_of(
    way: str,
    study: Study,
    truth: Findings,
    priors: dict[str, Prior | NetworkPrior | None],
    given: argparse.Namespace,
) -> dict[str, object]:
    """Errors and cost of one way on one subject."""
    image = study[View.SAX]
    told: dict[str, object] = {}
    if way in PEERS:
        told["frames"] = image.frames - 1 if given.every_frame else 1
        motion, seconds, told["version"] = by_peer(
            way, image, truth.labels[SAX], truth.cycle, given.every_frame, given.peers_python
        )
    else:
        started = time.process_time()
        motion = fitted(way, study, truth, priors, given.steps)
        seconds = time.process_time() - started
    errors = against_truth(motion, truth, image.frames, CELLS)
    if way in PEERS and not given.every_frame:
        del errors["epe_mm"]  # of frames that were not registered
    if way in NETWORKS:
        told["steps"] = given.steps
    return told | {"cpu_s": round(seconds, 2)} | {name: round(value, 4) for name, value in errors.items()}


def kept(path: Path | None) -> dict[tuple[int, str], dict[str, object]]:
    """Rows of an earlier run on the same phantom."""
    lines = path.read_text("utf-8").splitlines() if path and path.is_file() else []
    rows = [row for row in map(json.loads, lines) if row.get("phantom") == VERSION]
    return {(row["seed"], row["way"]): row for row in rows}


COLUMNS = {
    "es_epe_mm": ("error, ES, mm", np.mean),
    "es_in_plane_mm": ("in plane, mm", np.mean),
    "epe_mm": ("over the beat, mm", np.mean),
    "es_GCS_error": ("GCS bias", np.mean),
    "es_GCS_error abs": ("GCS abs. error", np.mean),
    "es_GLS_error": ("GLS bias", np.mean),
    "es_GLS_error abs": ("GLS abs. error", np.mean),
    "es_GRS_error": ("GRS bias", np.mean),
    "volume_change": ("abs(det F - 1)", np.mean),
    "folding": ("folding, %", lambda values: 100 * np.mean(values)),
    "cpu_s": ("CPU s a study", np.median),
}


def cell(rows: list[dict[str, object]], name: str) -> str:
    """A figure over subjects."""
    key, _, absolute = name.partition(" ")
    values = [float(row[key]) for row in rows if key in row]
    if not values:
        return "-"
    digits = 1 if key == "cpu_s" else 3 if key in ("volume_change", "folding") else 2
    return f"{COLUMNS[name][1](np.abs(values) if absolute else values):.{digits}f}"


def page(rows: list[dict[str, object]], given: argparse.Namespace, absent: dict[str, str], started: float) -> str:
    """The table, over all subjects and for each disease."""
    used = list(dict.fromkeys(row["way"] for row in rows))
    facts = {
        "subjects": f"{len({row['seed'] for row in rows})} synthetic, seeds from {given.seed}, 12 slices, 25 frames",
        "phantom": f"version {VERSION}",
        "peers": "; ".join(sorted({str(row["version"]) for row in rows if "version" in row})) or "none",
        "priors": "; ".join(sorted({f"{row['way']} from {row['prior']}" for row in rows if "prior" in row})) or None,
        "absent": "; ".join(f"{peer}: {why}" for peer, why in absent.items()) or None,
    }
    head = ["way", "subjects", *(title for title, _ in COLUMNS.values())]
    lines = ["# Motion: ours and peers, side by side", ""]
    lines += [*provenance.as_lines(provenance.about(started, "torch", **facts)), __doc__.split("\n\n")[2].strip(), ""]
    for title in ("all", *(kind.value for kind in KINDS if kind.value in {row["disease"] for row in rows})):
        lines += [f"## {title}", "", f"| {' | '.join(head)} |", "|---|" + "---:|" * (len(head) - 1)]
        for way in used:
            these = [row for row in rows if row["way"] == way and title in ("all", row["disease"])]
            if these:
                cells = [cell(these, name) for name in COLUMNS]
                lines.append(f"| {' | '.join([way, str(len(these)), *cells])} |")
        lines.append("")
    lines += made_at(rows, used)
    steps = sorted({int(row["steps"]) for row in rows if "steps" in row})
    notes = [
        "Strain errors are of the global curves at their true peak, found minus true, % points.",
        "CPU seconds are the median; of peers those of the registrations alone, without starting the program.",
    ]
    if any(row.get("frames") == 1 for row in rows):
        notes.append(
            "Where a peer registered end-systole alone, its seconds are those of one frame times the other 24."
        )
    if steps:
        notes.append(f"`published` ran {', '.join(map(str, steps))} of the paper's 500 steps, on the subjects counted.")
    return "\n".join([*lines, *(f"- {note}" for note in notes), ""])


def made_at(rows: list[dict[str, object]], used: list[str]) -> list[str]:
    """How many subjects each way was judged on, the frames that peers registered, and the commits of its rows."""
    lines = [
        "## How the rows were made",
        "",
        "| way | subjects | frames registered to ED | commit |",
        "|---|---:|---|---|",
    ]
    for way in used:
        these = [row for row in rows if row["way"] == way]
        frames = Counter(row["frames"] for row in these if "frames" in row)
        said = ", ".join(f"{n} in {times}" for n, times in sorted(frames.items())) or "all"
        commits = ", ".join(sorted({str(row["commit"]) for row in these}))
        lines.append(f"| {way} | {len(these)} | {'-' if way == 'identity' else said} | {commits} |")
    return [*lines, ""]


def asked() -> argparse.Namespace:
    """The command line."""
    told = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    told.add_argument("--subjects", type=int, default=4)
    told.add_argument("--seed", type=int, default=900, help="of the first subject")
    told.add_argument("--ways", nargs="+", default=["identity", "sound"], choices=WAYS)
    told.add_argument("--prior", help="name of a shipped one, or a file")
    told.add_argument("--network-prior", help="of the published recipe: a file of `cinecmr motion-prior`")
    told.add_argument("--steps", type=int, default=500, help="of the published recipe")
    told.add_argument("--published", type=int, default=2, help="subjects that the published recipe runs on")
    told.add_argument("--every-frame", action="store_true", help="peers register every frame, not end-systole alone")
    told.add_argument("--peers-python", default=sys.executable, help="interpreter that has the peers")
    told.add_argument("--out", type=Path, help="rows, one a line; those there are not made again")
    told.add_argument("--page", type=Path, help="the table, Markdown")
    return told.parse_args()


def starts(given: argparse.Namespace) -> dict[str, Prior | NetworkPrior | None]:
    """The priors of the ways that begin from one."""
    priors = {"prior": named(given.prior), "published-prior": named(given.network_prior)}
    for way in set(priors) & set(given.ways):
        if priors[way] is None:
            raise SystemExit(f"--ways {way} needs a prior: --prior NAME, --network-prior FILE")
    return priors


def main() -> None:
    """Print a row for each subject and way."""
    given, started = asked(), time.perf_counter()
    priors = starts(given)
    done, absent, about = kept(given.out), {}, {"phantom": VERSION, "commit": provenance.commit()}
    for seed in range(given.seed, given.seed + given.subjects):
        disease = KINDS[seed % len(KINDS)]
        ways = [way for way in given.ways if (seed, way) not in done and way not in absent]
        ways = [way for way in ways if way not in NETWORKS or seed < given.seed + given.published]
        if not ways:
            continue
        study, truth = synthetic_study(seed, disease)
        for way in ways:
            try:
                found = row_of(way, study, truth, priors, given)
            except (RuntimeError, RefusedInput) as error:
                absent[way] = str(error)
                print(f"{way} left out: {error}", flush=True)
                continue
            start = priors.get(way)
            if start is not None:
                found = {"prior": f"{start.subjects} tagged hearts"} | found
            row = {"seed": seed, "disease": disease.value, "way": way} | about | found
            done[seed, way] = row
            print(" ".join(f"{name} {value}" for name, value in row.items()), flush=True)
            if given.out:
                write_text(given.out, "".join(json.dumps(one) + "\n" for one in done.values()))
            if given.page:
                write_text(given.page, page(list(done.values()), given, absent, started))
    if given.page:
        write_text(given.page, page(list(done.values()), given, absent, started))


if __name__ == "__main__":
    main()
