"""A cohort of small synthetic studies: throughput, memory, cost of the ledger, and what kills do to the table.

    python benchmarks/cohort.py --studies 1000 --workers 2 --out results/cohort.json
    python benchmarks/cohort.py --studies 300 --kills 20

Studies are small short-axis stacks with their true labels, measured with `--models labels`: what is timed is the
cohort, not a network. With `--kills`, workers, studies' processes or the whole run are killed (SIGKILL) at random
moments, the run is started again, and its table is compared, byte for byte, with that of an undisturbed run.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import psutil

from cinecmr.anatomy import Structure
from cinecmr.cohort import qc, status, table
from cinecmr.cohort.ledger import Ledger, Outcome, outcomes
from cinecmr.io import nifti

COMMAND = [sys.executable, "-m", "cinecmr.cli", "cohort", "run"]


def write_studies(folder: Path, count: int, side: int) -> Path:
    """Short-axis stacks of discs, each of another size, with noise; and their list."""
    x, y = np.meshgrid(np.arange(side), np.arange(side), indexing="ij")
    lines = ["study,site,height,weight,labels"]
    for number in range(count):
        rng = np.random.default_rng(number)
        name = f"heart{number:05d}"
        radius = side / 8 * (1 + 0.2 * rng.random())
        squeeze = 1 - 0.35 * np.sin(np.pi * np.minimum(np.arange(10) / 7, 1)) ** 2
        size = radius * np.array([0, 0.6, 0.9, 1, 1, 0.9, 0.7, 0])[:, None] * squeeze
        far = np.hypot(x - 0.6 * side, y - 0.5 * side)[:, :, None, None]
        labels = np.zeros((side, side, *size.shape), np.uint8)
        labels[np.hypot(x - 0.2 * side, y - 0.5 * side)[:, :, None, None] < 0.8 * size] = Structure.RV
        labels[(far < size + side / 12) & (size > 0)] = Structure.MYO
        labels[far < size] = Structure.LV
        bright = np.array([40, 180, 90, 200])[labels] + rng.normal(0, 5, labels.shape)
        affine = np.diag([48 / side * 1.9, 48 / side * 1.9, 10.0, 1.0])
        times = np.arange(10) * 0.09
        nifti.write_image(folder / name / "sax.nii.gz", bright.astype(np.int16), affine, times)
        nifti.write_labels(folder / name / "sax_gt.nii.gz", labels, affine, times)
        lines.append(f"{name},{number % 3},172,70,{name}/sax_gt.nii.gz")
    (folder / "list.csv").write_text("\n".join(lines) + "\n")
    return folder / "list.csv"


def begin(listed: Path, out: Path, private: Path, workers: int) -> subprocess.Popen[bytes]:
    """Start a run in a session of its own."""
    words = [str(listed), "--out", str(out), "--private", str(private), "--workers", str(workers)]
    words += ["--models", "labels", "--keep", "findings"]
    return subprocess.Popen([*COMMAND, *words], stdout=subprocess.DEVNULL, start_new_session=True)


def watch(process: subprocess.Popen[bytes], out: Path, curve: list[dict[str, float]]) -> None:
    """Memory of the run and all its processes, and how many studies are done, every two seconds."""
    started = time.monotonic()
    while process.poll() is None:
        try:
            top = psutil.Process(process.pid)
            used = sum(one.memory_info().rss for one in [top, *top.children(recursive=True)]) / 1e6
            done = sum(one.state != "waiting" for one in outcomes(out))
            curve.append({"s": round(time.monotonic() - started, 1), "mb": round(used, 1), "done": done})
        except Exception:  # it has just ended, or has not begun
            pass
        time.sleep(2)


def undisturbed(listed: Path, out: Path, private: Path, workers: int) -> dict[str, object]:
    """One run from begin to end, measured."""
    curve: list[dict[str, float]] = []
    started = time.monotonic()
    process = begin(listed, out, private, workers)
    watching = threading.Thread(target=watch, args=(process, out, curve))
    watching.start()
    process.wait()
    watching.join()
    wall = time.monotonic() - started
    known = outcomes(out)
    measuring = sum(one.seconds for one in known)
    ends = [np.datetime64(one.finished[:26], "us").astype(float) / 1e6 for one in known]
    span = max(ends) - min(end - one.seconds for end, one in zip(ends, known, strict=True))  # after all has started
    settled = [point["mb"] for point in curve if point["done"] >= min(100, 0.2 * len(known))][:-1]
    return {
        "studies": len(known), "workers": workers, "wall_s": round(wall, 1), "exit": process.returncode,
        "states": {state: sum(one.state == state for one in known) for state in {one.state for one in known}},
        "studies_a_minute": round(60 * len(known) / wall, 1),
        "share_in_analysis": round(measuring / (workers * span), 3),
        "memory_growth_mb": _growth(settled),
        "memory_curve": curve,
    }  # fmt: skip


def _growth(settled: list[float]) -> float | None:
    """Median of the last third less that of the first: processes come and go at both ends."""
    third = len(settled) // 3
    return round(float(np.median(settled[-third:]) - np.median(settled[:third])), 1) if third else None


def ledger_cost(folder: Path, row: dict[str, object], count: int = 200) -> float:
    """Milliseconds an entry."""
    with Ledger(folder / "cost" / "ledger.sqlite") as ledger:
        started = time.perf_counter()
        for number in range(count):
            ledger.record([Outcome(f"study-{number}", "done", row=dict(row))])
        return 1000 * (time.perf_counter() - started) / count


def disturbed(listed: Path, out: Path, private: Path, workers: int, kills: int, seed: int) -> dict[str, int]:
    """Runs that are killed at random, each started again, until nothing is left to measure."""
    rng, struck = random.Random(seed), dict.fromkeys(("run", "worker", "study"), 0)
    while True:
        process = begin(listed, out, private, workers)
        while process.poll() is None:
            time.sleep(rng.uniform(2, 12))
            if process.poll() is None and sum(struck.values()) < kills:
                struck[strike(process, rng)] += 1
        if process.returncode == 0:
            return struck


def strike(process: subprocess.Popen[bytes], rng: random.Random) -> str:
    """Kill the run, one of its workers, or one process of a study."""
    below = psutil.Process(process.pid).children(recursive=True)
    studies = [one for one in below if "cinecmr.cohort.child" in " ".join(one.cmdline())]
    workers = [one for one in below if "spawn_main" in " ".join(one.cmdline())]
    what = rng.choice(["run", "worker", "study"])
    chosen = {"worker": workers, "study": studies}.get(what)
    if not chosen:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return "run"
    rng.choice(chosen).kill()
    return what


def main() -> None:
    """Measure, and print what was found."""
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    words.add_argument("--studies", type=int, default=20)
    words.add_argument("--workers", type=int, default=2)
    words.add_argument("--side", type=int, default=48)
    words.add_argument("--kills", type=int, default=0)
    words.add_argument("--seed", type=int, default=0)
    words.add_argument("--out", type=Path, help="of the figures, .json; the page and the table are put beside it")
    given = words.parse_args()
    with tempfile.TemporaryDirectory(prefix="cohort-benchmark-") as place:
        folder = Path(place)
        listed = write_studies(folder / "in", given.studies, given.side)
        found = undisturbed(listed, folder / "whole", folder / "private", given.workers)
        found["ledger_ms"] = round(ledger_cost(folder, table.rows(folder / "whole")[0]), 2)
        whole = table.write(folder / "whole", folder / "whole.csv")[0].read_bytes()
        if given.kills:
            struck = disturbed(listed, folder / "cut", folder / "private", given.workers, given.kills, given.seed)
            cut = table.write(folder / "cut", folder / "cut.csv")[0].read_bytes()
            found["kills"] = {**struck, "tables_equal": cut == whole}
        told = "\n".join(status.lines(folder / "whole"))
        page = qc.write(folder / "whole")
        if given.out:
            given.out.parent.mkdir(parents=True, exist_ok=True)
            given.out.write_text(json.dumps(found, indent=2) + "\n")
            shutil.copy(page, given.out.with_suffix(".qc.html"))
    print(told)
    print(json.dumps({key: value for key, value in found.items() if key != "memory_curve"}, indent=2))


if __name__ == "__main__":
    main()
