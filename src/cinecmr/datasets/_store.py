"""A study and what is known of it as one file, exactly: arrays in an npz archive, everything else as JSON inside it.

For work that was begun and shall go on; no layout of any data set holds all of a Study.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

import numpy as np

from cinecmr.anatomy import Contrast, Disease, Landmark, Sex, View
from cinecmr.io.files import write_atomically
from cinecmr.study import Facts, Findings, Flag, Image, Measurement, Severity, Study

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

_KINDS: dict[str, Any] = {
    kind.__name__: kind
    for kind in (Contrast, Disease, Landmark, Sex, View, Severity, Facts, Findings, Flag, Image, Measurement, Study)
}
_TEXT = "text"  # the archive's entry that holds the JSON


def keep(path: Path, study: Study, truth: Findings) -> None:
    """Write a study and its truth, all but the motion."""
    arrays: dict[str, NDArray[Any]] = {}
    text = json.dumps([_told(study, arrays), _told(truth, arrays)])
    arrays[_TEXT] = np.frombuffer(text.encode(), np.uint8)

    def write(target: Path) -> None:
        with target.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]  # its names are ours, none is an option of savez

    write_atomically(path, write)


def kept(path: Path) -> tuple[Study, Findings]:
    """What `keep` wrote."""
    with np.load(path, allow_pickle=False) as archive:
        study, truth = (_made(part, archive) for part in json.loads(archive[_TEXT].tobytes()))
    return study, truth


def _told(value: Any, arrays: dict[str, NDArray[Any]]) -> Any:
    """A value as JSON; its arrays go to `arrays`."""
    if isinstance(value, np.ndarray):
        name = f"array{len(arrays)}"
        arrays[name] = value
        return {"array": name}
    if isinstance(value, Enum):
        return {"kind": type(value).__name__, "name": value.name}
    if is_dataclass(value) and not isinstance(value, type):
        own = {
            entry.name: _told(getattr(value, entry.name), arrays) for entry in fields(value) if entry.name != "motion"
        }
        return {"kind": type(value).__name__, "fields": own}
    if isinstance(value, Mapping):
        return {"items": [[_told(key, arrays), _told(one, arrays)] for key, one in value.items()]}
    if isinstance(value, tuple):
        return {"tuple": [_told(one, arrays) for one in value]}
    return value.item() if isinstance(value, np.generic) else value


def _made(told: Any, archive: Mapping[str, NDArray[Any]]) -> Any:
    """The value that `_told` told."""
    if not isinstance(told, dict):
        return told
    if "array" in told:
        return archive[told["array"]]
    if "items" in told:
        return {_made(key, archive): _made(one, archive) for key, one in told["items"]}
    if "tuple" in told:
        return tuple(_made(one, archive) for one in told["tuple"])
    kind = _KINDS[told["kind"]]
    if "name" in told:
        return kind[told["name"]]
    return kind(**{name: _made(one, archive) for name, one in told["fields"].items()})
