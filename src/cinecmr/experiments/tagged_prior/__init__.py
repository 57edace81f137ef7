"""The fourth paper's tables and figures, and our own questions to its prior. A table is one file of this room.

Source: "Tagged-Informed Prior for Motion Quantification in Cine CMR Using Implicit Neural Representations"
(Alvarez-Florez et al.); specification, all sections.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from cinecmr.errors import RefusedInput

if TYPE_CHECKING:
    from types import ModuleType

    from cinecmr.experiments.table import Table
    from cinecmr.experiments.tagged_prior.scales import Scale

PREFIX = "tagged_prior_"
FILES = ("t1", "t2", "t3", "fig_3", "fig_4", "fig_5", "starts_network", "starts_own")


def names() -> tuple[str, ...]:
    """The tables, as they are asked for."""
    return tuple(PREFIX + file for file in FILES)


def titles() -> dict[str, str]:
    """What each table tells, by its name."""
    return {name: str(_module(name).TITLE) for name in names()}


def table(name: str, scale: Scale) -> Table:
    """One table at a scale: sizes of priors and numbers of steps are its rows.

    Raises:
        RefusedInput: there is none of that name (`no-such-table`).
    """
    if name not in names():
        raise RefusedInput("no-such-table", f"no table {name!r}: there are {', '.join(names())}")
    found: Table = _module(name).made(scale)
    return found


def _module(name: str) -> ModuleType:
    return import_module(f"cinecmr.experiments.tagged_prior.{name.removeprefix(PREFIX)}")
