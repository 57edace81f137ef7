"""One thread for the matrix products of a fit.

They are many and small. OpenBLAS gives each to all cores, and on cores that others use too its threads wait for each
other in loops: 8 CPU-seconds of work became minutes. Its wheels offer a call that sets the number of threads; where
the libraries are others, nothing changes.
"""

from __future__ import annotations

import ctypes
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_NAMES = [
    (f"{prefix}openblas_get_num_threads{suffix}", f"{prefix}openblas_set_num_threads{suffix}")
    for prefix in ("scipy_", "")
    for suffix in ("64_", "")
]


@cache
def controls() -> tuple[tuple[Callable[[], int], Callable[[int], None]], ...]:
    """What tells and what sets the number of threads, of each OpenBLAS that numpy and scipy brought along."""
    import numpy
    import scipy

    found = []
    for package in (numpy, scipy):
        home = Path(str(package.__file__)).parent
        for folder in (home.parent / f"{home.name}.libs", home / ".dylibs"):
            for path in sorted(folder.glob("*openblas*")):
                found += _of(path)
    return tuple(found)


def _of(path: Path) -> list[tuple[Callable[[], int], Callable[[int], None]]]:
    try:
        library = ctypes.CDLL(str(path))
    except OSError:
        return []
    for tells, sets in _NAMES:
        if hasattr(library, tells) and hasattr(library, sets):
            return [(getattr(library, tells), getattr(library, sets))]
    return []


@contextmanager
def one_thread() -> Iterator[None]:
    """While it lasts, numpy and scipy multiply matrices in one thread; before and after, as they were told."""
    before = [tells() for tells, _ in controls()]
    try:
        for _, sets in controls():
            sets(1)
        yield
    finally:
        for (_, sets), count in zip(controls(), before, strict=True):
            sets(count)
