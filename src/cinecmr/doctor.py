"""A look at the machine and the weights: is everything here that an analysis needs?"""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

OLDEST_PYTHON = (3, 11)
NEEDED_GB = 3.0
SCRATCH_GB = 4.0
EXTRAS = {  # what some commands need, and how it is had
    "highdicom": ("DICOM SEG and SR", "'cinecmr[dicom]'"),
    "distributed": ("cohorts", "'cinecmr[cluster]'"),
    "pyarrow": ("tables as Parquet", "'cinecmr[cluster]'"),
    "uvicorn": ("the viewer", "'cinecmr[view]'"),
    "weasyprint": ("report.pdf", "'cinecmr[pdf]'"),
    "openjpeg": ("JPEG 2000 pictures", "pylibjpeg-openjpeg"),
    "libjpeg": ("JPEG pictures", "pylibjpeg-libjpeg"),
    "jpeg_ls": ("JPEG-LS pictures", "pyjpegls"),
}


def examine() -> tuple[list[str], bool]:
    """Lines for a person, and whether an analysis can run here."""
    parts = [_python(), _torch(), _machine(), _scratch(), *_weights()]
    lines = [f"  {'ok     ' if well else 'MISSING'}  {text}" for text, well in parts]
    lines += [f"  {'ok     ' if there else 'absent '}  {text}" for text, there in _extras()]
    return [*lines, "  ok       no network is used, and no browser is needed to write a report"], all(
        well for _, well in parts
    )


def _python() -> tuple[str, bool]:
    return f"python {platform.python_version()} on {platform.system()} {platform.machine()}", sys.version_info >= (
        OLDEST_PYTHON
    )


def _torch() -> tuple[str, bool]:
    try:
        import torch
    except ImportError as error:
        return f"torch cannot be imported ({error}); install it with `pip install torch`", False
    gpu = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "no GPU (fine)"
    return f"torch {torch.__version__}, {gpu}", True


def _machine() -> tuple[str, bool]:
    gb = _memory_gb()
    memory = "memory unknown" if gb is None else f"{gb:.1f} GB of memory"
    enough = gb is None or gb >= NEEDED_GB
    return f"{os.cpu_count()} cores, {memory}{'' if enough else f' ({NEEDED_GB:g} GB are needed)'}", enough


def _memory_gb() -> float | None:
    """Of the machine, or of the container it runs in where that is less."""
    known = []
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        known.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9)
    limit = Path("/sys/fs/cgroup/memory.max")
    if limit.is_file() and (text := limit.read_text().strip()).isdigit():
        known.append(int(text) / 1e9)
    return min(known) if known else None


def _scratch() -> tuple[str, bool]:
    """Room where archives are unpacked."""
    gb = shutil.disk_usage(tempfile.gettempdir()).free / 1e9
    enough = gb >= SCRATCH_GB
    return f"{gb:.0f} GB free for unpacking{'' if enough else f' ({SCRATCH_GB:g} GB are needed; set TMPDIR)'}", enough


def _extras() -> list[tuple[str, bool]]:
    """Packages that only some commands need."""
    return [
        (f"{package}: {use}" + ("" if (there := find_spec(package) is not None) else f" (pip install {how})"), there)
        for package, (use, how) in EXTRAS.items()
    ]


def _weights() -> list[tuple[str, bool]]:
    """Loading a model checks its SHA-256."""
    from cinecmr.analyze.models import load, names

    if not names():
        return [("no weights in the package: it was installed incompletely; install it again", False)]
    found = []
    for name in names():
        try:
            found.append((f"weights {load(name).source}, SHA-256 as the card says", True))
        except Exception as error:  # whatever is wrong with them belongs into the list
            found.append((f"weights {name}: {error}", False))
    return found
