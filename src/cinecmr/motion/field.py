"""A fitted motion: smooth functions on the wall times waves over the beat, with its exact gradient and inverse."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from cinecmr.motion.shell import HeartFrame, Shell
from cinecmr.motion.tensors import read_tensors, write_tensors

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

CLOSE_MM = 1e-3
_STEPS = 30


def time_waves(shares: Array | float, count: int) -> Array:
    """(2 count, t) sin(2 pi k s) and cos(2 pi k s) - 1: periodic, and 0 where s is 0.

    Args:
        shares: (t,) shares of the cycle since end-diastole.
        count: of frequencies.
    """
    angle = 2 * np.pi * np.atleast_1d(np.asarray(shares, np.float64))
    return np.stack([row for k in range(1, count + 1) for row in (np.sin(k * angle), np.cos(k * angle) - 1)])


KIND = "cinecmr wall motion"


@dataclass(frozen=True)
class _Basis:
    """(n, functions) at points (n, 3), and their slopes, (3 n, functions), none where nobody asked."""

    points: Array
    values: Array
    slopes: NDArray[np.float32]


@dataclass(frozen=True)
class WallMotion:
    """u(X, t) = sum over functions b and waves k of f_b(X) T_k(t) C[b, k], in patient coordinates.

    Attributes:
        shell: the functions on the wall at end-diastole.
        coefficients: (functions, 2 frequencies, 3) mm, in heart coordinates.
        ed: share of the cycle at which the heart is at end-diastole: there u = 0.
        source: how it was found.
    """

    shell: Shell
    coefficients: Array
    ed: float = 0.0
    source: str = "sound"
    _held: list[_Basis] = field(default_factory=list, init=False, repr=False, compare=False)

    def _at(self, time: float) -> Array:
        waves = time_waves(time - self.ed, self.coefficients.shape[1] // 2)[:, 0]
        return np.asarray(np.einsum("k,bkc->bc", waves, self.coefficients))

    def _basis(self, points: Array, *, steep: bool) -> _Basis:
        """The functions at points; those asked for last are kept, for whoever follows the same points over a beat."""
        held = self._held[-1] if self._held else None
        if held is None or not np.array_equal(held.points, points) or (steep and not held.slopes.size):
            if steep:
                values, slopes = self.shell.with_gradient(points)
                rows = np.ascontiguousarray(slopes.transpose(0, 2, 1), dtype=np.float32)
                held = _Basis(np.array(points), values, rows.reshape(-1, rows.shape[2]))
            else:
                held = _Basis(np.array(points), self.shell.functions(points), np.empty((0, 0), np.float32))
            self._held[:] = [held]
        return held

    def displacement(self, points: Array, time: float) -> Array:
        """(n, 3) displacement, mm, of points at end-diastole, (n, 3) patient RAS mm, at a share of the cycle."""
        return np.asarray(self._basis(points, steep=False).values @ self._at(time) @ self.shell.frame.turn)

    def gradient(self, points: Array, time: float) -> Array:
        """(n, 3, 3) deformation gradient at the same points and time."""
        slopes = self._basis(points, steep=True).slopes
        by = (slopes @ self._at(time).astype(np.float32)).reshape(len(points), 3, 3).swapaxes(1, 2).astype(np.float64)
        turn = self.shell.frame.turn
        return np.asarray(turn.T @ (np.eye(3) + by) @ turn)

    def inverse(self, points: Array, time: float) -> tuple[Array, Array]:
        """Where points (n, 3) of a time were at end-diastole, and (n,) mm by which `displacement` misses them again."""
        found = points - self.displacement(points, time)
        for _ in range(_STEPS):
            gap = points - found - self.displacement(found, time)
            if np.linalg.norm(gap, axis=1).max(initial=0.0) < CLOSE_MM:
                break
            found = found + np.clip(np.linalg.solve(self.gradient(found, time), gap[..., None])[..., 0], -5, 5)
        missed = np.linalg.norm(points - found - self.displacement(found, time), axis=1)
        return found, missed

    def tensors(self) -> dict[str, Array]:
        """All numbers, by name."""
        shell, frame = self.shell, self.shell.frame
        return {
            "coefficients": self.coefficients,
            "turn": frame.turn,
            "origin": frame.origin,
            "endo": shell.endo,
            "epi": shell.epi,
            "scalars": np.array([frame.focus, frame.length, shell.lowest, self.ed]),
            "orders": np.array(shell.orders, np.float64),
        }

    def save(self, path: Path) -> None:
        """Write a safetensors file, whole or not at all."""
        facts = {"source": self.source, "units": "mm, patient RAS, shares of the cycle"}
        write_tensors(path, KIND, self.tensors(), facts)

    @classmethod
    def load(cls, path: Path) -> WallMotion:
        """Read what `save` wrote.

        Raises:
            ValueError: another kind of file.
        """
        held, facts = read_tensors(path, KIND)
        focus, length, lowest, ed = (float(value) for value in held["scalars"])
        frame = HeartFrame(held["turn"], held["origin"], focus, length)
        around, along, through = (int(value) for value in held["orders"])
        shell = Shell(frame, lowest, held["endo"], held["epi"], (around, along, through))
        return cls(shell, held["coefficients"], ed, facts["source"])
