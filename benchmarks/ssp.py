"""Slices a second of every pre-training, as ratios to a plain supervised step, and the share that augmentation takes.

python benchmarks/ssp.py --out results/ssp/speed.md     # the networks of `laptop`, one thread, a minute or two
python benchmarks/ssp.py --scale gpu --device cuda

Rounds of the methods alternate and the fastest of each counts, so that a busy machine slows all of them alike; on one
thread the processor's time counts and not the clock's. A slice is one that is shown: a pair of copies in contrast, or
all crops of one in DINO, count as one.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from cinecmr.experiments import provenance
from cinecmr.experiments.ssp import plan as planning
from cinecmr.experiments.ssp.plan import METHODS, SCRATCH, TITLES, Job, Plan
from cinecmr.io.files import write_text
from cinecmr.learn.slices import Intensities, Slice

if TYPE_CHECKING:
    from collections.abc import Callable


def slices(count: int = 24) -> list[Slice]:
    """Discs in noise, as large as acquired slices are."""
    rng = np.random.default_rng(0)
    x, y = np.mgrid[:216, :256]
    found = []
    for number in range(count):
        labels = np.digitize(-np.hypot(x - 108, y - 128), (-40, -30, -20)).astype(np.uint8)
        pixels = (60.0 * labels + rng.normal(40, 10, labels.shape)).clip(0).astype(np.float32)
        told = Intensities(float(pixels.mean()), float(pixels.std()), float(pixels.max()))
        found.append(Slice("disc", pixels, (1.5, 1.5), told, number % 10, 10, 0, labels, (108.0, 128.0)))
    return found


def on(batch: Any, device: str) -> Any:
    """A batch, moved."""
    parts = [part.to(device) for part in batch]
    return type(batch)(*parts) if hasattr(batch, "_fields") else tuple(parts)


def seconds(act: Callable[[], object], device: str) -> float:
    """Of one call; the device waited for."""
    clock = time.process_time if device == "cpu" and torch.get_num_threads() == 1 else time.perf_counter
    started = clock()
    act()
    if device == "cuda":
        torch.cuda.synchronize()
    return clock() - started


def main() -> None:
    """Print one line a method, and write them as a table."""
    started = time.perf_counter()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", default="laptop", choices=list(planning.SCALES))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, help="also write a page")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    plan, shown = Plan(given.scale, pretrain_updates=dict.fromkeys(METHODS, 1000)), slices()
    methods: dict[str, tuple[Any, int]] = {
        SCRATCH: (planning.segmentation(plan, Job(SCRATCH, 1, 0, 1), shown), plan.size.batch)
    }
    for name in METHODS:
        methods[name] = planning.pretraining(plan, name, shown), planning.pretrain_batch(plan.size, name)
    networks = {name: objective.network().to(given.device).train() for name, (objective, _) in methods.items()}
    best = {name: [np.inf, np.inf] for name in methods}
    for number in range(given.repeats):
        for name, (objective, size) in methods.items():
            made: list[Any] = []
            drawing = seconds(lambda: made.append(objective.batch(np.random.default_rng(number), size)), "cpu")  # noqa: B023
            batch = on(made[0], given.device)
            learning = seconds(lambda: objective.loss(networks[name], batch).total.backward(), given.device)  # noqa: B023
            best[name] = [min(a, b) for a, b in zip(best[name], (drawing, learning), strict=True)]
    plain = sum(best[SCRATCH]) / methods[SCRATCH][1]
    print(f"{given.scale}, {given.device}, {given.threads} threads: a supervised step {1 / plain:.1f} slices a second")
    rows = ["| | slices a second | of a supervised step's | share of augmentation |", "|---|---:|---:|---:|"]
    for name, (drawing, learning) in best.items():
        each = (drawing + learning) / methods[name][1]
        title = "with labels" if name == SCRATCH else TITLES[name]
        share = drawing / (drawing + learning)
        print(f"{title:<12}{plain / each:6.2f} of a supervised step's slices a second, augmentation {share:4.0%} of it")
        rows.append(f"| {title} | {1 / each:.1f} | {plain / each:.2f} | {share:.0%} |")
    if given.out:
        told = provenance.about(
            started, "torch", device_name=given.device, scale=given.scale, threads=given.threads, repeats=given.repeats
        )
        page = ["# How fast each method learns", "", *provenance.as_lines(told), *rows, "", __doc__.split("\n\n")[-1]]
        write_text(given.out, "\n".join(page))


if __name__ == "__main__":
    main()
