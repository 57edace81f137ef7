"""The page on which a person looks a cohort over: what was refused, sites and scanners, and the oddest studies."""

from __future__ import annotations

import base64
from collections import Counter
from importlib.resources import files as package_files
from typing import TYPE_CHECKING, Any

from cinecmr.cohort import oddity, table
from cinecmr.cohort.ledger import STATES
from cinecmr.cohort.one import folder_of
from cinecmr.io.files import write_text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from cinecmr.cohort.oddity import Group, Odd

SHOWN = 100  # of the oddest
REASONS = 3  # of each
WIDTH = 320  # of a drawn range, pixels


def write(out: Path, path: Path | None = None) -> Path:
    """Write the page: one file, without anything from outside it.

    Args:
        out: folder of a cohort.
        path: of the page; None writes qc.html into `out`.
    """
    import jinja2

    rows = table.rows(out)
    groups = oddity.groups(rows)
    template = (package_files("cinecmr.cohort") / "static" / "qc.html.j2").read_text("utf-8")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    refused = Counter((row["state"], row["cause"]) for row in rows if row["state"] in ("refused", "failed"))
    page = environment.from_string(template).render(
        states={state: sum(row["state"] == state for row in rows) for state in STATES},
        causes=[(state, cause, count) for (state, cause), count in refused.most_common()],
        flags=Counter(code for row in rows for code in str(row.get("flags", "")).split()).most_common(),
        repeats=sum("same_input_as" in row for row in rows),
        measures=[(measure, _drawn(groups, measure)) for measure in oddity.MEASURES if _of(groups, measure)],
        differing=[group for group in groups if group.differs],
        odd=[_shown(one, out) for one in oddity.oddest(rows, SHOWN)],
        errors=oddity.UNLIKE,
        width=WIDTH,
    )
    target = out / "qc.html" if path is None else path
    write_text(target, page)
    return target


def _of(groups: Sequence[Group], measure: str) -> list[Group]:
    return [group for group in groups if group.measure == measure]


def _drawn(groups: Sequence[Group], measure: str) -> list[dict[str, Any]]:
    """Each group with the places of its quartiles on a common line, pixels."""
    mine = _of(groups, measure)
    low, high = min(group.low for group in mine), max(group.high for group in mine)
    scale = (WIDTH - 20) / ((high - low) or 1.0)
    drawn = []
    for group in mine:
        at = [round(10 + (value - low) * scale, 1) for value in (group.low, group.median, group.high)]
        drawn.append({"group": group, "left": at[0], "middle": at[1], "length": round(max(at[2] - at[0], 1), 1)})
    return drawn


def _shown(odd: Odd, out: Path) -> dict[str, Any]:
    path = folder_of(out, odd.study) / "picture.png"
    picture = base64.b64encode(path.read_bytes()).decode() if path.is_file() else ""
    why = sorted(odd.why.items(), key=lambda pair: -abs(pair[1][1]))[:REASONS]
    return {"odd": odd, "why": why, "picture": picture}
