"""What the commands `cinecmr datasets ...` do: list, recognise, check, write."""

from __future__ import annotations

import re
import zipfile
from typing import TYPE_CHECKING

from cinecmr import __version__
from cinecmr.datasets import dataset, names
from cinecmr.datasets._case import seen
from cinecmr.datasets._cohort import Begun, phantom_cases
from cinecmr.errors import RefusedInput

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from cinecmr.datasets._case import Problem

SHOWN = 2  # of entries that differ in digits only, before the dots
_NUMBER, _SUBJECT = re.compile(r"\d+"), re.compile(r"\d{6,}")
_UID = re.compile(r"[\d.]{20,}(?=\.dcm$)")


def catalogue(under: Path | None = None) -> list[str]:
    """Every data set: name, title, licence, how to obtain it; and where it was found.

    Args:
        under: a folder whose own folders are looked at too.
    """
    lines = []
    for name in names():
        layout = dataset(name)
        lines += [
            f"{name:<10}{layout.TITLE}",
            f"{'':<10}licence: {layout.LICENCE}",
            f"{'':<10}obtain:  {layout.OBTAIN}",
        ]
        if under is not None:
            where = places(name, under)
            lines.append(f"{'':<10}found:   {', '.join(map(str, where)) or 'not under ' + str(under)}")
    return lines


def places(name: str, under: Path) -> list[Path]:
    """Where a data set lies: in a folder, or in one of its folders."""
    if not under.is_dir():
        raise RefusedInput("no-such-path", f"there is no folder {under}; check the path")
    found = [folder for folder in sorted(under.iterdir()) if folder.is_dir() and _fits(name, folder)]
    return found or ([under] if _fits(name, under) else [])


def recognised(folder: Path) -> list[str]:
    """The data sets that a folder is laid out as."""
    return [name for name in names() if _fits(name, folder)]


def _fits(name: str, folder: Path) -> bool:
    try:
        return bool(dataset(name).splits(folder))
    except RefusedInput as refusal:
        return refusal.code not in ("other-layout", "no-such-path")


def check(
    folder: Path, name: str | None = None, progress: Callable[[float], None] | None = None
) -> tuple[str, int, list[Problem]]:
    """Look for what is wrong with a data set.

    Args:
        folder: where it is.
        name: what it should be; found out when None.
        progress: told the share of the visits that were read.

    Returns:
        The data set's name, the number of visits, and the problems.

    Raises:
        RefusedInput: the folder holds something else.
    """
    if name is None:
        found = recognised(folder)
        if len(found) != 1:
            raise _unclear(folder, found)
        name = found[0]
    layout = dataset(name)
    problems = layout.check(folder, progress)
    return name, sum(1 for _ in layout.cases(folder)), problems


def _unclear(folder: Path, found: list[str]) -> RefusedInput:
    if not folder.is_dir():
        return RefusedInput("no-such-path", f"there is no folder {folder}; check the path")
    what = "could be several data sets" if found else f"is laid out as none of the data sets; it holds {seen(folder)}"
    known = "; ".join(f"{one} ({dataset(one).WANTED})" for one in found or names())
    return RefusedInput("other-layout", f"{folder} {what}. Looked for: {known}. Name one with --name")


def write(
    name: str,
    out: Path,
    subjects: int,
    seed: int,
    *,
    frames: int = 25,
    matrix: int | None = None,
    workers: int = 1,
    progress: Callable[[float], None] | None = None,
) -> list[str]:
    """Write synthetic subjects in the layout of a data set; a stopped run goes on when it is started again.

    Args:
        name: the data set.
        out: a folder that is empty, or not there, or left by a stopped run of the same cohort.
        subjects: how many people.
        seed: of the first.
        frames: of a beat.
        matrix: pixels a side of the short axis; the scanner's when None.
        workers: processes; the files do not depend on it.
        progress: told the share done.

    Returns:
        The names the visits got.

    Raises:
        RefusedInput: the folder is not empty (`not-empty`), or there is no such data set.
    """
    layout = dataset(name)
    recipe = {"layout": name, "subjects": subjects, "seed": seed, "frames": frames, "matrix": matrix}
    begun = Begun(out, recipe | {"version": __version__})
    begun.claim()
    cases = phantom_cases(layout, subjects, seed, frames=frames, matrix=matrix)
    given = begun.written(layout, lambda: begun.made(cases, workers, progress))
    if progress is not None:
        progress(1.0)
    return given


def tree(root: Path) -> list[str]:
    """The files of a folder as an indented tree: of entries that differ in digits only, the first two.

    Archives are shown with what they hold, and folders that repeat the first are not opened again.
    """
    entries = sorted(root.iterdir(), key=lambda path: (path.is_dir(), _natural(path.name)))
    lines: list[str] = []
    for alike in _alike(entry.name + "/" * entry.is_dir() for entry in entries):
        path = root / alike[0].rstrip("/")
        lines.append(_together(alike))
        inner = tree(path) if path.is_dir() else _inside(path)
        lines += [f"    {line}" for line in inner]
    return lines


def _inside(path: Path) -> list[str]:
    if path.suffix != ".zip":
        return []
    with zipfile.ZipFile(path) as archive:
        return [_together(alike) for alike in _alike(sorted(archive.namelist(), key=_natural))]


def _alike(names_: Iterable[str]) -> list[list[str]]:
    """Names that are one but for their digits, together; identifiers of DICOM count as one word."""
    groups: dict[str, list[str]] = {}
    for name in names_:
        short = _UID.sub("UID", name)
        pattern = _SUBJECT if short.endswith(".zip") else _NUMBER  # archives of one subject hold different things
        groups.setdefault(pattern.sub("#", short), []).append(short)
    return list(groups.values())


def _together(alike: list[str]) -> str:
    shown = list(dict.fromkeys(alike[:SHOWN]))
    return ", ".join(shown) + (", ..." if len(alike) > len(shown) else "")


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", name)]
