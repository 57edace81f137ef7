"""Frames of many subjects on a network's grids, made once and read by every pre-training run.

A subject is a folder of one file a view, (t, x, y, z) uint8, and a note that is written last: making a pool can be
killed and goes on where it stopped. Subjects are named by a hash, so that a pool may be passed on.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from cinecmr.anatomy import View
from cinecmr.errors import RefusedInput
from cinecmr.io.files import write_atomically, write_text
from cinecmr.io.subject import subject_name
from cinecmr.learn.recipe import hash_of
from cinecmr.learn.samples import heart_centre, place

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from cinecmr.datasets import Case
    from cinecmr.learn.samples import Grid, Placing
    from cinecmr.study import Study

NOTE = "subject.json"


@dataclass(frozen=True)
class Entry:
    """One visit in a pool.

    Attributes:
        folder: of its files. name: of the visit. person: whose it is; both are hashes.
        inside: for each view, first and last-but-one grid index along x, y, z that the image reached.
    """

    folder: Path
    name: str
    person: str
    inside: Mapping[str, tuple[tuple[int, int], ...]]

    @property
    def views(self) -> tuple[str, ...]:
        """The views it has."""
        return tuple(self.inside)

    def frames(self, view: str) -> NDArray[np.uint8]:
        """(t, x, y, z), read as it is used."""
        loaded: NDArray[np.uint8] = np.load(self.folder / f"{view}.npy", mmap_mode="r", allow_pickle=False)
        return loaded

    def mask(self, view: str, shape: tuple[int, ...]) -> NDArray[np.bool_]:
        """(x, y, z): where the image was acquired, and not padded."""
        x, y, z = (slice(a, b) for a, b in self.inside[view])
        mask = np.zeros(shape, np.bool_)
        mask[x, y, z] = True
        return mask


def gather(
    cases: Iterable[Case],
    grids: Mapping[str, Grid],
    folder: Path,
    frames: int = 0,
    say: Callable[[str], None] = print,
) -> list[Entry]:
    """Bring the cines of cases onto grids, each frame scaled by itself, about the place where the views meet.

    Args:
        cases: visits; those without any of the views, and those that cannot be read, are told and left out.
        grids: by name of the view.
        folder: pools of other grids may lie in it too: each has its own sub-folder.
        frames: most frames of a visit, evenly spaced; 0 for all.
        say: told one line for each visit left out.

    Returns:
        The visits, by name.

    Raises:
        RefusedInput: no visit is left (`nothing-to-learn`).
    """
    root = folder / hash_of({"grids": dict(grids), "frames": frames})
    found: list[Entry] = []
    seen = 0
    for case in cases:
        seen += 1
        name = subject_name(case.subject)
        try:
            entry = _read(root / name) or _write(case, name, grids, root / name, frames)
        except RefusedInput as refusal:
            say(f"{name} is left out: {refusal.message}  [{refusal.code}]")
            continue
        if entry is not None:
            found.append(entry)
        else:
            say(f"{name} is left out: it has no cine of {', '.join(grids)}")
    if not found:
        raise RefusedInput("nothing-to-learn", f"none of {seen} visits has a readable cine of {', '.join(grids)}")
    return sorted(found, key=lambda entry: entry.name)


def _read(folder: Path) -> Entry | None:
    note = folder / NOTE
    if not note.is_file():
        return None
    told: dict[str, Any] = json.loads(note.read_text())
    inside = {view: tuple((a, b) for a, b in axes) for view, axes in told["inside"].items()}
    return Entry(folder, told["name"], told["person"], inside)


def _write(case: Case, name: str, grids: Mapping[str, Grid], folder: Path, frames: int) -> Entry | None:
    study, _ = case.load()
    inside: dict[str, tuple[tuple[int, int], ...]] = {}
    for view, grid in grids.items():
        if View(view) not in study:
            continue
        placing = place(study[View(view)], grid, heart_centre(study))
        stored = _stored(study, View(view), placing, frames)
        write_atomically(folder / f"{view}.npy", partial(_save, stored))
        inside[view] = _box(placing.inside)
    if not inside:
        return None
    entry = Entry(folder, name, subject_name(case.person or case.subject), inside)
    write_text(folder / NOTE, json.dumps({"name": name, "person": entry.person, "inside": inside}))
    return entry


def _save(stored: NDArray[np.uint8], path: Path) -> None:
    np.save(path, stored, allow_pickle=False)


def _stored(study: Study, view: View, placing: Placing, frames: int) -> NDArray[np.uint8]:
    data = study[view].data
    count = data.shape[3]
    wanted = range(count) if not 0 < frames < count else np.linspace(0, count, frames, endpoint=False).astype(int)
    return np.stack([np.rint(255 * placing.image(data[..., t])).astype(np.uint8) for t in wanted])


def _box(inside: NDArray[np.bool_]) -> tuple[tuple[int, int], ...]:
    reached = [np.flatnonzero(inside.any(axis=tuple({0, 1, 2} - {axis}))) for axis in range(3)]
    return tuple((int(at[0]), int(at[-1]) + 1) if len(at) else (0, 0) for at in reached)
