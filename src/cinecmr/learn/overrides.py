"""`--set optimiser.rate=1e-3`: one setting of nested frozen dataclasses, given by its name."""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass, replace
from difflib import get_close_matches
from enum import Enum
from typing import TYPE_CHECKING, Any, TypeVar

from cinecmr.errors import RefusedInput

if TYPE_CHECKING:
    from collections.abc import Iterable

T = TypeVar("T")


def overridden(settings: T, given: Iterable[str]) -> T:
    """A copy of settings with some of them changed.

    Args:
        settings: a dataclass, of dataclasses and plain values.
        given: each "name=value" or "part.name=value"; the value as in JSON, words without quotation marks, several
            with commas between.

    Raises:
        RefusedInput: no "=", no such setting, a value of another kind (`no-such-setting`), or one that the settings
            themselves refuse (`bad-setting`).
    """
    for one in given:
        name, equals, value = one.partition("=")
        if not equals:
            raise RefusedInput("no-such-setting", f"--set {one} states no value; write it as name=value")
        try:
            settings = _changed(settings, name.strip().split("."), value.strip(), name)
        except (ValueError, TypeError) as error:
            raise RefusedInput("bad-setting", f"--set {one} is not possible: {error}") from error
    return settings


def names_of(settings: Any, before: str = "") -> list[str]:
    """The names of all settings, parts and all.

    >>> from cinecmr.learn.recipe import Stopping
    >>> names_of(Stopping("dice"))
    ['score', 'patience', 'progress', 'smaller_is_better']
    """
    found = []
    for entry in fields(settings):
        value = getattr(settings, entry.name)
        found += names_of(value, f"{before}{entry.name}.") if is_dataclass(value) else [before + entry.name]
    return found


def _changed(settings: Any, path: list[str], value: str, whole: str) -> Any:
    known = {entry.name for entry in fields(settings)}
    if path[0] not in known or (len(path) > 1 and not is_dataclass(getattr(settings, path[0]))):
        near = get_close_matches(path[0], sorted(known), 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise RefusedInput("no-such-setting", f"no setting {whole!r}: there are {', '.join(names_of(settings))}{hint}")
    own = getattr(settings, path[0])
    if len(path) > 1:
        return replace(settings, **{path[0]: _changed(own, path[1:], value, whole)})
    if is_dataclass(own):
        raise RefusedInput("no-such-setting", f"{whole} has parts: {', '.join(names_of(own, whole + '.'))}")
    return replace(settings, **{path[0]: _read(value, own)})


def _read(text: str, own: Any) -> Any:
    """A value of the kind that stands there now."""
    if isinstance(own, tuple):
        items = text.strip("[]() ").split(",")
        return tuple(_read(item.strip(), own[0] if own else "") for item in items if item.strip())
    if isinstance(own, Enum):
        return _member(type(own), text)
    if isinstance(own, str):
        return text
    value = json.loads(text)
    if isinstance(own, bool) != isinstance(value, bool) or not isinstance(value, (bool, int, float)):
        raise ValueError(f"it should be like {own}")
    if isinstance(own, int) and not isinstance(own, bool):
        if value != int(value):
            raise ValueError("it should be a whole number")
        return int(value)
    return float(value) if isinstance(own, float) else value


def _member(kind: type[Enum], text: str) -> Enum:
    """A member by its name or its value, in either case."""
    for member in kind:
        if text.lower() in (member.name.lower(), str(member.value).lower()):
            return member
    raise ValueError(f"there are {', '.join(member.name.lower() for member in kind)}")
