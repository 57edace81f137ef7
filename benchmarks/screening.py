"""CPU-seconds and peak memory of screening one study, and of learning from one clip.

    python benchmarks/screening.py                  # one study at full size, two encoders
    python benchmarks/screening.py --training       # beside it, one clip forward and backward at every scale

CPU-seconds are of this process, all threads together, so a busy machine disturbs them little. The study is noise:
cost does not depend on what is in it.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time

import numpy as np
import torch

from cinecmr.anatomy import Contrast, View
from cinecmr.experiments.cc_cmr.scales import SCALES
from cinecmr.study import Facts, Image, Study
from cinecmr.tasks.screening_data import CINES, SAX, prepare
from cinecmr.tasks.screening_network import ScreeningNetwork


def study() -> Study:
    """A study as large as scanners make them: 25 frames, 12 slices of 256 x 256."""
    rng = np.random.default_rng(0)
    images = {}
    for view, slices in ((View.SAX, 12), (View.LAX_4C, 1)):
        data = rng.integers(0, 1200, (256, 256, slices, 25)).astype(np.int16)
        times = np.arange(25) * 0.036
        images[view, Contrast.CINE] = Image(data, np.diag([1.4, 1.4, 10.0, 1.0]), times, view, rr_ms=900.0)
    return Study("noise", images, Facts())


def peak_gib() -> float:
    """Largest memory of this process so far."""
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used / 2**30 if sys.platform == "darwin" else used / 2**20


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", default="full", choices=list(SCALES))
    parser.add_argument("--training", action="store_true", help="also a clip forward and backward at every scale")
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    config = SCALES[given.scale].settings.config
    network = ScreeningNetwork(config, CINES).eval()
    one, before = study(), peak_gib()
    start = time.process_time()
    prepared = prepare(one, config.window)
    cut = time.process_time() - start
    with torch.inference_mode():
        network({name: torch.from_numpy(clip)[None] for name, clip in prepared.clips.items()})
    asked = time.process_time() - start
    weights = sum(p.numel() for p in network.parameters())
    side = config.window.size
    print(f"one study at scale {given.scale}: {weights:,} weights, {config.window.frames} frames of {side} x {side}")
    print(f"  cut and standardise {cut:6.2f} CPU-s")
    print(f"  in all              {asked:6.2f} CPU-s (aim: under 15)")
    print(f"  peak memory         {peak_gib():6.2f} GiB, of which {before:.2f} before the study was read")
    for scale in SCALES.values() if given.training else ():
        training(scale.name)


def training(name: str, clips: int = 4) -> None:
    """One clip of the short axis forward and backward."""
    config = SCALES[name].settings.config
    clips = 1 if name in ("gpu", "full") else clips
    network = ScreeningNetwork(config, (SAX,)).train()
    given = torch.randn(clips, *config.window.shape(SAX))
    best = np.inf
    for _ in range(1 if clips == 1 else 3):
        start = time.process_time()
        network.features(SAX, given).square().sum().backward()
        best = min(best, (time.process_time() - start) / clips)
    print(f"  learning, {name:<7} {1000 * best:9.1f} CPU-ms a clip; peak so far {peak_gib():.2f} GiB")


if __name__ == "__main__":
    main()
