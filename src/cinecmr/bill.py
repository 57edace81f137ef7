"""What the package is made of: every package it needs, with version and licence, for those who must know.

Everything is read from the metadata of what is installed; nothing is looked up.
"""

from __future__ import annotations

import json
import re
import uuid
from dataclasses import dataclass
from importlib import metadata
from typing import Any

import cinecmr

UNKNOWN = "not stated"


@dataclass(frozen=True)
class Part:
    """One package.

    Attributes:
        name, version: as installed.
        licence: SPDX expression or words, as its metadata says; `UNKNOWN` where it says nothing.
        needs: names of the parts it needs itself.
    """

    name: str
    version: str
    licence: str
    needs: tuple[str, ...]


def parts(extras: tuple[str, ...] = ()) -> list[Part]:
    """The package and all that it needs here, by name.

    Args:
        extras: of the package, such as "cluster".

    >>> {"cinecmr", "numpy", "torch"} <= {part.name for part in parts()}
    True
    """
    found: dict[str, Part] = {}
    waiting = [("cinecmr", frozenset(extras))]
    asked: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        name, wanted = waiting.pop()
        if (name, wanted) in asked:
            continue
        asked.add((name, wanted))
        try:
            held = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue  # of another system or Python
        needs = _needs(held, wanted)
        known = found[name].needs if name in found else ()
        together = tuple(sorted({*known, *(need for need, _ in needs if _is_there(need))}))
        found[name] = Part(name, held.version, _licence(held), together)
        waiting += needs
    return [found[name] for name in sorted(found)]


def _needs(held: metadata.Distribution, extras: frozenset[str]) -> list[tuple[str, frozenset[str]]]:
    from packaging.requirements import Requirement

    needs = []
    for text in held.requires or ():
        one = Requirement(text)
        marker = one.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in (*extras, "")):
            needs.append((_normal(one.name), frozenset(one.extras)))
    return needs


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _is_there(name: str) -> bool:
    try:
        metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def _licence(held: metadata.Distribution) -> str:
    """The SPDX expression, else the classifiers, else the first line of the words."""
    told = held.metadata
    if "License-Expression" in told:
        return str(told["License-Expression"])
    classes = [line.rpartition(" :: ")[2] for line in told.get_all("Classifier") or () if line.startswith("License ::")]
    classes = [name for name in classes if name != "OSI Approved"]
    words = next(iter(told.get_all("License") or ()), "").strip().partition("\n")[0]
    return ", ".join(classes) or words or UNKNOWN


def lines(found: list[Part]) -> list[str]:
    """One line a package, for the terminal."""
    width = max(len(part.name) + len(part.version) for part in found) + 3
    return [f"{f'{part.name} {part.version}':{width}}{part.licence}" for part in found]


def cyclonedx(found: list[Part]) -> str:
    """The parts as a CycloneDX 1.5 document, JSON; equal installations give equal documents."""
    components = [_component(part) for part in found if part.name != "cinecmr"]
    content: dict[str, Any] = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(components))}",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application", "bom-ref": _reference("cinecmr", cinecmr.__version__), "name": "cinecmr",
                "version": cinecmr.__version__, "licenses": [{"expression": "Apache-2.0"}],
            }
        },
        "components": components,
        "dependencies": _dependencies(found),
    }  # fmt: skip
    return json.dumps(content, indent=2) + "\n"


def _component(part: Part) -> dict[str, Any]:
    licence = {} if part.licence == UNKNOWN else {"licenses": [{"license": {"name": part.licence}}]}
    reference = _reference(part.name, part.version)
    return {"type": "library", "bom-ref": reference, "name": part.name, "version": part.version, "purl": reference,
            **licence}  # fmt: skip


def _reference(name: str, version: str) -> str:
    return f"pkg:pypi/{name}@{version}"


def _dependencies(found: list[Part]) -> list[dict[str, Any]]:
    versions = {part.name: part.version for part in found}
    return [
        {
            "ref": _reference(part.name, part.version),
            "dependsOn": [_reference(need, versions[need]) for need in part.needs if need in versions],
        }
        for part in found
    ]
