"""A pre-training step: time, memory and loss beside the plain eager fp32 step, and how much of it is loading.

python benchmarks/learning.py                        # small grids, a minute on one core
python benchmarks/learning.py --size published --variants plain seen bf16 both --out results/learning.md
python benchmarks/learning.py --size published --device cuda --batch 16 --variants plain seen bf16 compiled

Each variant runs in a process of its own, so that its peak of memory is its own; all start from the same weights and
see the same samples. On a CPU the seconds are those of the processor, which other programs do not lengthen much.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cinecmr.experiments import provenance
from cinecmr.io.files import write_text
from cinecmr.learn.loading import ahead, moved
from cinecmr.networks._depthwise import Depthwise2d, Depthwise3d
from cinecmr.networks.inference import computes_half
from cinecmr.pretrain import mae
from cinecmr.pretrain.pool import Entry

VARIANTS = {
    "plain": "every patch computed, gradients PyTorch's own, fp32, eager",
    "whole": "every patch computed, gradients of depthwise convolutions as convolutions",
    "seen": "hidden patches never computed besides: the default",
    "bf16": "the default, in bf16",
    "compiled": "the default, compiled",
    "both": "the default, in bf16 and compiled",
    "recomputed": "the default, blocks computed again in the backward pass",
}


NOTE = """Fastest step of each variant in a process of its own, one after another, from the same weights and samples;
seconds are the processor's own. The change is that of a loss beside the first variant's, of one sample, in shares."""


def settings_of(size: str) -> mae.MAESettings:
    """Of the network: `laptop` of the plans, or the published one."""
    return mae.plan("full" if size == "published" else "laptop").settings


def entries(settings: mae.MAESettings, folder: Path, visits: int = 4) -> list[Entry]:
    """Random pictures as a pool on disk: what is in them costs no time."""
    rng, made = np.random.default_rng(0), []
    for number in range(visits):
        place = folder / f"visit{number}"
        place.mkdir(parents=True)
        inside = {}
        for view, grid in settings.grids().items():
            np.save(place / f"{view}.npy", rng.integers(0, 255, (2, *grid.size), dtype=np.uint8))
            inside[view] = tuple((0, n) for n in grid.size)
        made.append(Entry(place, f"visit{number}", f"visit{number}", inside))
    return made


def clock(device: str) -> float:
    """Processor seconds of this process on a CPU, seconds on a device."""
    if device.startswith("cuda"):
        torch.cuda.synchronize()
        return time.perf_counter()
    return time.process_time()


def measured(variant: str, size: str, steps: int, batch: int, device: str, threads: int) -> dict[str, Any]:
    """One variant: seconds a step, peak memory, losses, seconds to make a batch."""
    torch.set_num_threads(threads)
    settings = replace(settings_of(size), checkpointing=variant == "recomputed")
    with tempfile.TemporaryDirectory() as folder:
        objective = mae.MAE(entries(settings, Path(folder)), (), settings)
        torch.manual_seed(0)
        network = objective.network().to(device)
        for stem in network.enc_down_dict.values():  # type: ignore[union-attr]
            stem.seen_only = variant not in ("plain", "whole")
        for layer in network.modules():
            if isinstance(layer, Depthwise2d | Depthwise3d):
                layer.by_hand = variant != "plain"
        if variant in ("compiled", "both"):
            network.compile()
        optimiser = torch.optim.AdamW(network.parameters(), 1e-4, (0.9, 0.95))
        losses, times, making = [], [], []

        def made(step: int) -> Any:
            before = time.thread_time()
            drawn = objective.batch(np.random.default_rng(step), batch)
            making.append(time.thread_time() - before)
            return drawn

        half = torch.autocast(device.split(":")[0], torch.bfloat16) if variant in ("bf16", "both") else nullcontext()
        for drawn in ahead(range(steps + 1), made, 0):
            there = moved(drawn, device)
            before = clock(device)
            with half:
                loss = objective.loss(network, there).total
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
            optimiser.step()
            times.append(clock(device) - before)
            losses.append(float(loss.detach()))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    if device.startswith("cuda"):
        memory = torch.cuda.max_memory_allocated() / 2**20
    return {"seconds": min(times[1:]), "mib": memory, "losses": losses, "making": float(np.median(making[1:]))}


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=("small", "published"), default="small")
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=["plain", "seen", "recomputed"])
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, help="also write a page")
    parser.add_argument("--only", choices=VARIANTS, help=argparse.SUPPRESS)
    told = parser.parse_args()
    if told.only:
        print(json.dumps(measured(told.only, told.size, told.steps, told.batch, told.device, told.threads)))
        return
    started, found = time.perf_counter(), {}
    given = [f"--{name}={getattr(told, name)}" for name in ("size", "steps", "batch", "device", "threads")]
    for variant in told.variants:
        run = subprocess.run([sys.executable, __file__, *given, "--only", variant], check=True,
                             capture_output=True, text=True)  # fmt: skip
        found[variant] = json.loads(run.stdout.splitlines()[-1])
    rows = as_rows(found)
    print(f"{told.size} autoencoder, batch {told.batch}, {told.device}, fastest of {told.steps} steps", *rows, sep="\n")
    if told.out:
        half = "in the processor" if computes_half(told.device) else "not in the processor"
        about = provenance.about(
            started, "torch", device_name=told.device, size=told.size, batch=told.batch, steps=told.steps,
            threads=told.threads, bf16=half,
        )  # fmt: skip
        write_text(told.out, "\n".join(["# A step of pre-training", "", *provenance.as_lines(about), *rows, "", NOTE]))


def as_rows(found: dict[str, dict[str, Any]]) -> list[str]:
    """A Markdown table; every variant beside the first."""
    base = next(iter(found.values()))
    rows = ["| variant | s a step | times as fast | MiB | largest change of a loss | loading | |"]
    rows.append("|---|---|---|---|---|---|---|")
    for variant, one in found.items():
        off = max(abs(a - b) / abs(b) for a, b in zip(one["losses"], base["losses"], strict=True))
        seconds, share = one["seconds"], one["making"] / (one["making"] + one["seconds"])
        figures = f"{seconds:.3f} | {base['seconds'] / seconds:.2f} | {one['mib']:.0f} | {off:.1e} | {share:.1%}"
        rows.append(f"| {variant} | {figures} | {VARIANTS[variant]} |")
    return rows


if __name__ == "__main__":
    main()
