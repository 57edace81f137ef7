"""How far a cohort is, in a few lines for the terminal."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from cinecmr.cohort.ledger import FAILED, STATES, WAITING, events, outcomes

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from cinecmr.cohort.ledger import Outcome

RECENT = timedelta(hours=1)  # before the last result, for the pace
NEWS = 5  # events shown


def lines(out: Path) -> list[str]:
    """What became of the studies so far, why some were not measured, and how long the rest will take.

    Args:
        out: folder of a cohort.

    Raises:
        RefusedInput: there is none.
    """
    known = outcomes(out)
    states = Counter(one.state for one in known)
    told = [f"{len(known)} studies: " + " | ".join(f"{state} {states[state]}" for state in STATES)]
    for state in ("refused", FAILED):
        causes = Counter(one.cause for one in known if one.state == state)
        if causes:
            told.append(f"{state}: " + ", ".join(f"{cause} {count}" for cause, count in causes.most_common()))
    told += _pace([one for one in known if one.state != WAITING], states[WAITING])
    notable = [event for event in events(out) if event[1] not in ("begun", "ended")]
    told += [f"{at[:19]}  {what}: {detail}" for at, what, detail in notable[-NEWS:]]
    return told


def _pace(finished: Sequence[Outcome], waiting: int) -> list[str]:
    if len(finished) < 2:
        return []
    times = sorted(datetime.fromisoformat(one.finished) for one in finished)
    recent = [time for time in times if times[-1] - time <= RECENT]
    seconds = sorted(one.seconds for one in finished)
    told = f"{seconds[len(seconds) // 2]:.1f} s a study (median), {seconds[-1]:.1f} s the longest, "
    told += f"{max(one.peak_mb for one in finished):.0f} MB the most"
    span = (recent[-1] - recent[0]).total_seconds()
    if len(recent) > 1 and span > 0:
        rate = (len(recent) - 1) / span
        told += f"; {rate * 3600:.0f} studies an hour lately"
        told += f", {timedelta(seconds=round(waiting / rate))} left at this pace" if waiting else ""
    return [told]
