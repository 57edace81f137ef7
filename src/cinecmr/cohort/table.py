"""The table of a cohort: one row a study, units in the names of the columns, by name of study.

It depends on the results alone: not on the time, the number of workers, or how often the run was stopped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cinecmr.analyze.words import TITLES
from cinecmr.cohort.ledger import outcomes
from cinecmr.cohort.one import FACTS, PROVENANCE
from cinecmr.errors import RefusedInput
from cinecmr.io.files import write_atomically, write_text
from cinecmr.io.tables import csv_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from cinecmr.cohort.ledger import Outcome

FIRST = ("study", "state", "cause", "same_input_as", "subject", "site", *FACTS)
LAST = ("slices", "frames", "slice_distance_mm", "pixel_mm", "missing_slices", "flags", "notes", *PROVENANCE)
WHOLE = ("slices", "frames", "missing_slices")
TEXT = ("study", "state", "cause", "same_input_as", "subject", "site", "sex", "vendor", "model", "flags", "notes",
        *PROVENANCE)  # fmt: skip


def rows(out: Path) -> list[dict[str, Any]]:
    """The rows, by name of study; a study whose pixels another one has too names the first of them.

    Args:
        out: folder of a cohort.
    """
    first: dict[str, str] = {}
    return [_row(one, first) for one in outcomes(out)]


def _row(one: Outcome, first: dict[str, str]) -> dict[str, Any]:
    row = {"study": one.name, "state": one.state, "cause": one.cause, **(one.row or {})}
    digest = row.get("input_sha256")
    if digest:
        earlier = first.setdefault(str(digest), one.name)
        if earlier != one.name:
            row["same_input_as"] = earlier
    return row


def columns(of: Iterable[Mapping[str, Any]]) -> list[str]:
    """All columns that any row has, in an order that does not depend on the order of rows."""
    there = {name for row in of for name in row}
    known = list(TITLES)

    def place(name: str) -> tuple[int, str]:
        measured = name.split("_")[0]
        return (known.index(measured) if measured in known else len(known), name)

    middle = sorted(there - {*FIRST, *LAST}, key=place)
    return [*FIRST, *middle, *LAST]


def write(out: Path, path: Path | None = None) -> list[Path]:
    """Write the table.

    Args:
        out: folder of a cohort.
        path: a .csv or .parquet file; None writes both into `out`.

    Raises:
        RefusedInput: another ending (`bad-table-name`), or Parquet without pyarrow (`no-cluster`).
    """
    paths = [out / "table.csv", out / "table.parquet"] if path is None else [path]
    writers = {".csv": _write_csv, ".parquet": _write_parquet}
    if any(one.suffix.lower() not in writers for one in paths):
        raise RefusedInput("bad-table-name", f"{path} is neither .csv nor .parquet")
    found = rows(out)
    names = columns(found)
    for one in paths:
        writers[one.suffix.lower()](one, names, found)
    return paths


def _write_csv(path: Path, names: list[str], found: list[dict[str, Any]]) -> None:
    write_text(path, csv_text(names, [[row.get(name) for name in names] for row in found]))


def _write_parquet(path: Path, names: list[str], found: list[dict[str, Any]]) -> None:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise RefusedInput("no-cluster", "Parquet needs pyarrow: pip install 'cinecmr[cluster]'") from None
    types = {name: pyarrow.string() for name in TEXT} | {name: pyarrow.int32() for name in WHOLE}
    fields = [
        (name, types.get(name, pyarrow.int32() if name.endswith("_frame") else pyarrow.float64())) for name in names
    ]
    held = pyarrow.Table.from_pylist(
        [{name: row.get(name) for name in names} for row in found], schema=pyarrow.schema(fields)
    )
    write_atomically(path, lambda temporary: parquet.write_table(held, temporary))
