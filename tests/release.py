"""Builds the package, installs it where no checkout is known, and runs it without a network.

    python tests/release.py --clean      every package installed anew from the index: minutes, and a gigabyte

Without `--clean`, as in the tests, only the package itself is installed anew, and this interpreter lends what it needs.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import venv
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SHUT = '''"""No way out: a connection beyond this computer is an error."""
import socket

_connect = socket.socket.connect


def connect(self, address):
    if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in ("127.0.0.1", "::1", "localhost"):
        raise OSError(f"tried to reach {address}")
    return _connect(self, address)


socket.socket.connect = connect
'''


@dataclass(frozen=True)
class Built:
    """An sdist, and the wheel that was built from it."""

    sdist: Path
    wheel: Path


def build(folder: Path) -> Built:
    """Build both from the files of this checkout, with the build tools that are installed."""
    words = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(words, check=True, capture_output=True, text=True)
    (sdist,), (wheel,) = folder.glob("*.tar.gz"), folder.glob("*.whl")
    return Built(sdist, wheel)


def lent(folder: Path, wheel: Path) -> Path:
    """An environment that has the wheel, and borrows everything else; its programs."""
    venv.create(folder, with_pip=False, symlinks=True)
    programs = folder / ("Scripts" if os.name == "nt" else "bin")
    site = Path(sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)}))
    # a path in a .pth file is added as it is: .pth files in there, one of which leads to this checkout, are not read
    (site / "lent.pth").write_text(sysconfig.get_path("purelib") + "\n")
    (site / "sitecustomize.py").write_text(SHUT)
    words = ["--python", str(programs / "python"), "install", "--quiet", "--no-deps", "--no-index", str(wheel)]
    subprocess.run([sys.executable, "-m", "pip", *words], check=True, capture_output=True, text=True)
    return programs


def clean(folder: Path, wheel: Path) -> Path:
    """An environment with the wheel and all it needs, installed from the package index; its programs."""
    venv.create(folder, with_pip=True)
    programs = folder / ("Scripts" if os.name == "nt" else "bin")
    words = ["install", "--quiet", "--constraint", str(ROOT / "constraints.txt"), "torch", str(wheel)]
    subprocess.run([str(programs / "python"), "-m", "pip", *words], check=True)
    site = Path(sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)}))
    (site / "sitecustomize.py").write_text(SHUT)
    return programs


def run(programs: Path, here: Path, *words: object) -> subprocess.CompletedProcess[str]:
    """`cinecmr WORDS` in a folder, with nothing of this environment, and without a network where that can be had."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "CINECMR", "VIRTUAL_ENV"))}
    alone = ["unshare", "-rn"] if shutil.which("unshare") and not subprocess.call(["unshare", "-rn", "true"]) else []
    command = [*alone, str(programs / "cinecmr"), *map(str, words)]
    return subprocess.run(command, cwd=here, env=kept, capture_output=True, text=True, timeout=1800)


def main() -> None:
    """Build, install, run `doctor` and `analyze phantom`, and say what came of it."""
    words = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    words.add_argument("--clean", action="store_true", help="install everything anew, from the package index")
    given = words.parse_args()
    with tempfile.TemporaryDirectory(prefix="release-") as place:
        folder = Path(place)
        built = build(folder / "dist")
        print(f"{built.sdist.name} {built.sdist.stat().st_size / 1e6:.1f} MB, {built.wheel.name} "
              f"{built.wheel.stat().st_size / 1e6:.1f} MB")  # fmt: skip
        programs = (clean if given.clean else lent)(folder / "environment", built.wheel)
        here = folder / "elsewhere"
        here.mkdir()
        for command, allowed in ((("doctor",), {0}), (("analyze", "phantom", "--out", "report"), {0, 4})):
            told = run(programs, here, *command)
            print(f"$ cinecmr {' '.join(command)}\n{told.stdout}{told.stderr}exit {told.returncode}")
            if told.returncode not in allowed:
                sys.exit(f"cinecmr {command[0]} failed in the new environment")


if __name__ == "__main__":
    main()
