"""Print CineMA's published networks: without arguments their sizes, with kinds (or "all") what each answers.

    python benchmarks/published_networks.py
    python benchmarks/published_networks.py seg_sax cls_cvd_acdc_sax --rule B

A full-size forward on two cores takes from seconds (2D) to a minute (the U-Net of stacks).
"""

from __future__ import annotations

import argparse
import sys
import time

from cinecmr.experiments import provenance
from cinecmr.experiments.published_networks import answers, answers_markdown, sizes, sizes_markdown
from cinecmr.networks.kinds import KINDS


def main() -> None:
    """Read the arguments, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kinds", nargs="*", choices=[*KINDS, "all"], metavar="KIND", help=", ".join([*KINDS, "all"]))
    parser.add_argument("--rule", choices=["A", "B"], default="B", help="by which weights are filled [B]")
    given = parser.parse_args()
    if not given.kinds:
        print(sizes_markdown(sizes()))
        return
    started = time.perf_counter()
    kinds = list(KINDS) if "all" in given.kinds else given.kinds
    rows = list(answers(kinds, given.rule, lambda text: print(text, file=sys.stderr)))
    print(answers_markdown(rows, provenance.about(started, "torch")))


if __name__ == "__main__":
    main()
