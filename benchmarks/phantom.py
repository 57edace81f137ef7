"""How fast synthetic hearts are made on one core: training stacks, whole studies, and each contrast beside the cine.

python benchmarks/phantom.py                        # full size, about half a minute on an idle core
python benchmarks/phantom.py --matrix 96 --frames 10 --stacks 4

Seconds are of this process's own work (CPU), so that a busy machine counts for little. Ratios are to the short-axis
cine of the same study, frame for frame.
"""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING

from cinecmr.anatomy import Contrast, Disease
from cinecmr.phantom.stacks import GROUPS, training_stacks
from cinecmr.phantom.study import synthetic_study

if TYPE_CHECKING:
    from collections.abc import Callable

SEED = 9001
STUDY_AIM_S = 8.0  # short axis of 10 slices x 25 frames and three long axes, on one core


def seconds(work: Callable[[], object]) -> float:
    """CPU time of one call."""
    started = time.process_time()
    work()
    return time.process_time() - started


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stacks", type=int, default=2 * len(GROUPS), help="training stacks to make, two a subject")
    parser.add_argument("--matrix", type=int, help="pixels a side of the short axis; the scanner's when absent")
    parser.add_argument("--frames", type=int, default=25)
    asked = parser.parse_args()
    matrix = (asked.matrix, asked.matrix) if asked.matrix else None

    def study(*contrasts: Contrast, long_axis: bool = False) -> float:
        return seconds(
            lambda: synthetic_study(
                SEED, Disease.INFARCT, frames=asked.frames, matrix=matrix, long_axis=long_axis, contrasts=contrasts
            )
        )

    study(Contrast.CINE)  # what is imported and cached at first use counts for none
    subjects = max(asked.stacks // 2, 1)
    took = seconds(lambda: [training_stacks(10**6 + seed, moments=2) for seed in range(subjects)])
    print(f"training stacks            {2 * subjects / took:6.2f} a second and core  ({2 * subjects} made)")
    whole = study(Contrast.CINE, long_axis=True)
    bare = study()
    cine = study(Contrast.CINE) - bare
    print(
        f"study, SAX and three LAX   {whole:6.2f} s on one core   ({STUDY_AIM_S:g} s asked for, {asked.frames} frames)"
    )
    print(f"  heart, surfaces, truth   {bare:6.2f} s")
    print(f"  short-axis cine          {cine:6.2f} s")
    for contrast, frames in ((Contrast.TAGGED, asked.frames), (Contrast.LGE, 1), (Contrast.T2, 1)):
        own = study(contrast) - bare
        slices = 3 if contrast is Contrast.TAGGED else None
        print(f"  {contrast.value:<24} {own:6.2f} s, {own / cine:5.2f} of the cine"
              f"  ({'3 slices' if slices else 'all slices'}, {frames} frame{'s' * (frames > 1)})")  # fmt: skip


if __name__ == "__main__":
    main()
