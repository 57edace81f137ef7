"""Where cases come from: public layouts, a user's own folder, and the synthetic heart. Never imports torch.

A data set is one file here; the file's name is the name by which commands and recipes call it.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import cast

from cinecmr.datasets._case import Case, Layout, Problem
from cinecmr.errors import RefusedInput

__all__ = ["Case", "Layout", "Problem", "dataset", "names"]

# public files of this room that are no layout
_OTHERS = {"label_maps", "long_axis_frames", "page", "run", "synthetic", "tables"}


def names() -> tuple[str, ...]:
    """The data sets, by the names of their files.

    >>> names()[:3]
    ('acdc', 'emidec', 'folder')
    """
    found = sorted(path.stem for path in Path(__file__).parent.glob("*.py"))
    return tuple(name for name in found if not name.startswith("_") and name not in _OTHERS)


def dataset(name: str) -> Layout:
    """The adapter of one data set.

    Raises:
        RefusedInput: there is none of that name.
    """
    if name not in names():
        raise RefusedInput("no-such-dataset", f"no {name!r} in datasets: there are {', '.join(names())}")
    return cast("Layout", import_module(f"cinecmr.datasets.{name}"))
