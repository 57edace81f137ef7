"""Comma-separated tables whose cells stay what they are: text that a spreadsheet would run is made inert."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_STARTS = ("=", "+", "-", "@", "＝", "＋", "－", "＠")  # the wide forms too: some spreadsheets take them for the others


def inert(cell: str) -> str:
    r"""Keep a spreadsheet from running a cell, and a line break from making a row of its own.

    >>> inert("=1+1"), inert("ml"), inert("a\nb")
    ("'=1+1", 'ml', 'a b')
    """
    line = " ".join(cell.split()).replace("\0", "")
    return f"'{line}" if line.startswith(_STARTS) else line


def csv_text(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    r"""A table as text; None is an empty cell, and every text cell is `inert`.

    >>> csv_text(["name", "ml"], [["=cmd()", 1.5], [None, 2]])
    "name,ml\n'=cmd(),1.5\n,2\n"
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    for row in (columns, *rows):
        writer.writerow([inert(cell) if isinstance(cell, str) else cell for cell in row])
    return buffer.getvalue()
