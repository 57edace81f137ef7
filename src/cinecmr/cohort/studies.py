"""The studies of a cohort: from a folder or a list, each once, under a name that can be published."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from cinecmr.datasets.tables import read_table
from cinecmr.datasets.ukb import ARCHIVE
from cinecmr.errors import RefusedInput
from cinecmr.io.nifti_study import is_nifti

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cinecmr.io.naming import Names

LISTS = (".txt", ".csv")
COLUMN = "study"
SAID = ("sex", "age", "height", "weight")  # facts a list may give, as the options of `analyze`: years, cm, kg
UKB_CINE = ("20208", "20209")  # long and short axes; the tagged slices of 20211 are not measured


@dataclass(frozen=True)
class Entry:
    """One study.

    Attributes:
        name: what stands in every output; see `naming.Names`.
        paths: a folder, a file, or the archives of one visit.
        site: as the list says.
        labels: file of labels to measure in place of the model's, "" for none.
        said: facts that the list gives, by the names of `SAID`.
    """

    name: str
    paths: tuple[str, ...]
    site: str = ""
    labels: str = ""
    said: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Listed:
    """All studies, by name, and how often one was listed again."""

    entries: tuple[Entry, ...]
    repeats: int


def listed(source: Path, names: Names) -> Listed:
    """The studies of a folder or a list.

    Args:
        source: a folder that holds one folder, NIfTI file or archive a study; or a list: a text file with one path a
            line, or a .csv with a column `study` and, where wanted, `site`, `sex`, `age` (years), `height` (cm),
            `weight` (kg) and `labels` (a NIfTI file to measure in place of what a model finds). Paths are relative
            to the list. Archives of UK Biobank of one visit are one study.
        names: makes their names, from the paths as listed, so that a cohort may be moved as a whole.

    Raises:
        RefusedInput: there is nothing there (`no-such-path`), or no study in it (`no-studies`).
    """
    if not source.exists():
        raise RefusedInput("no-such-path", f"there is no folder or list {source}; check the path")
    found = list(_of_folder(source) if source.is_dir() else _of_list(source))
    if not found:
        raise RefusedInput(
            "no-studies",
            f"{source} names no study: give a folder with a folder, NIfTI file or .zip for each, or a list of them",
        )
    return _each_once(found, names)


def _of_folder(folder: Path) -> Iterator[Entry]:
    for path in sorted(folder.iterdir()):
        if not path.name.startswith(".") and (path.is_dir() or is_nifti(path) or path.suffix.lower() == ".zip"):
            yield Entry(path.name, (str(path),))


def _of_list(path: Path) -> Iterator[Entry]:
    if path.suffix.lower() not in LISTS:
        raise RefusedInput("no-studies", f"{path} is no list of studies: give a .txt or .csv, or a folder")
    for row in _rows(path):
        said = tuple((key, row[key]) for key in SAID if row.get(key))
        labels = str(path.parent / row["labels"]) if row.get("labels") else ""
        place = str(path.parent / row[COLUMN])
        yield Entry(os.path.normpath(row[COLUMN]), (place,), row.get("site", ""), labels, said)


def _rows(path: Path) -> Iterable[dict[str, str]]:
    if path.suffix.lower() == ".csv":
        return [row for row in read_table(path, [COLUMN]) if row[COLUMN]]
    lines = (line.strip() for line in path.read_text("utf-8-sig", "surrogateescape").splitlines())
    return [{COLUMN: line} for line in lines if line and not line.startswith("#")]


def _each_once(found: Iterable[Entry], names: Names) -> Listed:
    """Join the archives of a visit, leave out repeats, and give names."""
    by_identity: dict[str, Entry] = {}
    repeats = 0
    for entry in found:
        visit = ARCHIVE.fullmatch(Path(entry.name).name)
        if visit is None:
            repeats += entry.name in by_identity
            by_identity.setdefault(entry.name, entry)
        elif visit["field"] in UKB_CINE:
            identity = str(Path(entry.name).parent / f"{visit['eid']}_{visit['instance']}")
            known = by_identity.setdefault(identity, replace(entry, paths=()))
            repeats += entry.paths[0] in known.paths
            together = tuple(sorted({*known.paths, *entry.paths}))
            by_identity[identity] = replace(known, paths=together)
    entries = [replace(entry, name=names.study(identity)) for identity, entry in by_identity.items()]
    return Listed(tuple(sorted(entries, key=lambda entry: entry.name)), repeats)
