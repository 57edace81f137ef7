"""Tables as data sets ship them: comma or semicolon, a mark before the first word, words for "unknown"."""

from __future__ import annotations

import csv
import io
import re
from typing import TYPE_CHECKING, Any

from cinecmr.errors import RefusedInput
from cinecmr.io.files import write_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

_UNKNOWN = {"", "na", "n/a", "nan", "none", "null", "-", "unknown"}


def read_table(path: Path, needs: Sequence[str]) -> list[dict[str, str]]:
    """Rows by column name; rows without any entry are left out.

    Args:
        path: a .csv file with a header.
        needs: columns that must be there; their case does not matter, and they are named as here.

    Raises:
        RefusedInput: not there (`missing-file`), not text, or a column is missing (`bad-table`).
    """
    if not path.is_file():
        raise RefusedInput("missing-file", f"{path} is missing; unpack or copy the data set again")
    text = text_of(path)
    first = text.partition("\n")[0]
    reader = csv.DictReader(io.StringIO(text), delimiter=";" if first.count(";") > first.count(",") else ",")
    there = {(name or "").strip().lower(): name for name in reader.fieldnames or ()}
    missing = [name for name in needs if name.lower() not in there]
    if missing:
        raise RefusedInput("bad-table", f"{path} has no column {', '.join(missing)}: there are {first.strip()!r}")
    exact = {there[name.lower()]: name for name in needs}
    rows = [{exact.get(k, k or "").strip(): (v or "").strip() for k, v in row.items() if k is not None}
            for row in reader]  # fmt: skip
    return [row for row in rows if any(row.values())]


def text_of(path: Path) -> str:
    """A text file, whatever wrote it.

    Raises:
        RefusedInput: it holds binary data (`bad-table`).
    """
    data = path.read_bytes()
    if b"\0" in data:
        raise RefusedInput("bad-table", f"{path} is not a text file; copy it again")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Sequence[Any]], header: bool = True) -> None:
    """Write rows; None is an empty cell."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    if header:
        writer.writerow(columns)
    writer.writerows(rows)
    write_text(path, buffer.getvalue())


def number(text: str | None) -> float | None:
    """A number, or None where there is none.

    >>> number("1,5"), number("N/A"), number(" 70 ")
    (1.5, None, 70.0)
    """
    stripped = (text or "").strip()
    if stripped.lower() in _UNKNOWN:
        return None
    found = re.fullmatch(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)(e[+-]?\d+)?", stripped, re.IGNORECASE)
    return float(stripped.replace(",", ".")) if found else None


def whole(text: str | None, what: str, path: Path) -> int:
    """A whole number that must be there.

    Raises:
        RefusedInput: it is not one (`bad-table`).
    """
    value = number(text)
    if value is None or value != int(value):
        raise RefusedInput("bad-table", f"{path} states {text!r} for {what}; it should be a whole number")
    return int(value)


def metres(text: str | None) -> float | None:
    """A height stated in centimetres or in metres, in metres; None where it is no height.

    >>> metres("184.0"), metres("1.84"), metres("")
    (1.84, 1.84, None)
    """
    value = number(text)
    height = value / 100 if value and value > 3 else value
    return height if height and 0.3 <= height <= 2.6 else None
