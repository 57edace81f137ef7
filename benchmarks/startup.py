"""How long the package and its help take to start, beside a bare interpreter and beside torch, in one run.

python benchmarks/startup.py
"""

from __future__ import annotations

import subprocess
import sys
import time

CASES = {
    "python -c pass": "pass",
    "import cinecmr": "import cinecmr",
    "cinecmr --help": "from cinecmr.cli import app; app(['--help'], standalone_mode=False)",
    "import torch": "import torch",
}


def seconds(code: str, times: int = 5) -> float:
    """The fastest of some runs in a fresh interpreter."""
    took = []
    for _ in range(times):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
        took.append(time.perf_counter() - started)
    return min(took)


if __name__ == "__main__":
    found = {name: seconds(code) for name, code in CASES.items()}
    bare = found["python -c pass"]
    for name, took in found.items():
        print(f"{name:<18}{took:7.2f} s   {took / bare:6.1f} times a bare interpreter")
