"""How many subjects a question needs: to be asked before a study, and of the studies of others."""

from __future__ import annotations

import math

from cinecmr.evaluate.intervals import LEVEL, quantile

POWER = 0.8


def subjects_for_a_share(share: float, half_width: float, level: float = LEVEL) -> int:
    """Subjects whose share is told to a half width, by the normal approximation.

    Args:
        share: expected, such as a sensitivity of 0.95; of the diseased, only they count.
        half_width: wanted to either side.
        level: of the interval.

    >>> subjects_for_a_share(0.95, 0.05)
    73
    """
    _between(share, "share")
    _between(half_width, "half_width")
    return math.ceil(quantile(level) ** 2 * share * (1 - share) / half_width**2)


def subjects_for_a_gain(gain: float, discordant: float, power: float = POWER, level: float = LEVEL) -> int:
    """Subjects that two readers must both read for McNemar's test to see a gain in accuracy.

    Args:
        gain: expected difference of the shares read rightly.
        discordant: share of subjects that only one of the two reads rightly; at least the gain.
        power: probability of seeing it, over 0.5.
        level: 1 less the error allowed when there is none.

    Source: Connor, Biometrics 1987;43:207.

    >>> subjects_for_a_gain(0.943 - 0.900, 0.10)
    423
    """
    _between(discordant, "discordant")
    if not 0.5 < power < 1:
        raise ValueError(f"power lies over 0.5 and under 1, got {power}")
    if not 0 < abs(gain) <= discordant:
        raise ValueError(f"a gain of {gain} needs at least as large a share of subjects read otherwise: {discordant}")
    wanted = quantile(level) * math.sqrt(discordant) + quantile(2 * power - 1) * math.sqrt(discordant - gain**2)
    return math.ceil((wanted / gain) ** 2)


def _between(value: float, name: str) -> None:
    if not 0 < value < 1:
        raise ValueError(f"{name} lies over 0 and under 1, got {value}")
