"""The time course of one beat: how far contraction has gone at every moment of the cycle.

Shares of the R-R interval in, activation between 0 (end-diastole) and 1 (end-systole) out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.interpolate import PchipInterpolator

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Knots of the default beat (specification of the phantom, section 8): isovolumic contraction, ejection,
# early filling, diastasis, atrial kick.
_KNOT_TIMES = np.array([0.0, 0.05, 0.20, 0.36, 0.48, 0.58, 0.72, 0.80, 0.92, 1.0])
_KNOT_LEVELS = np.array([0.0, 0.05, 0.62, 1.0, 0.62, 0.27, 0.20, 0.19, 0.03, 0.0])


@dataclass(frozen=True)
class Beat:
    """Timing of one subject's cycle.

    Attributes:
        rr_s: length of the cycle, s.
        systole: share of the cycle at which the left ventricle is smallest, 0.25 to 0.55. It grows with
            heart rate, because diastole shortens more than systole.
        kick: share of the filling done by the atrial kick, 0 to 0.4.
        rv_delay: how much later the right ventricle is smallest, share of the cycle.
    """

    rr_s: float = 0.9
    systole: float = 0.36
    kick: float = 0.19
    rv_delay: float = 0.02

    def __post_init__(self) -> None:
        if not 0.25 <= self.systole <= 0.55:
            raise ValueError(f"systole is the share of the cycle at end-systole, 0.25 to 0.55, got {self.systole}")
        if not 0 <= self.kick <= 0.4:
            raise ValueError(f"kick is the share of filling by the atria, 0 to 0.4, got {self.kick}")
        if not 0.3 <= self.rr_s <= 2.0:
            raise ValueError(f"rr_s is a cycle length of 0.3 to 2 s, got {self.rr_s}")

    def activation(self, time: NDArray[np.float64] | float, delay: float = 0.0) -> NDArray[np.float64]:
        """Contraction at a time.

        Args:
            time: shares of the cycle; whole beats are taken off.
            delay: shift of end-systole, share of the cycle.

        Returns:
            Same shape, 0 at end-diastole and 1 at end-systole.

        >>> [round(float(v), 3) for v in Beat().activation(np.array([0.0, 0.36, 1.0]))]
        [0.0, 1.0, 0.0]
        """
        peak = self.systole + delay
        early = _KNOT_TIMES <= 0.36
        times = np.where(early, _KNOT_TIMES / 0.36 * peak, peak + (_KNOT_TIMES - 0.36) / 0.64 * (1 - peak))
        levels = _KNOT_LEVELS.copy()
        diastasis = (levels < 0.5) & ~early & (levels > 0.1)
        levels[diastasis] *= self.kick / 0.19
        return np.asarray(PchipInterpolator(times, levels)(np.mod(time, 1.0)))
