"""A fitted motion: smooth functions on the wall times waves over the beat, with its exact gradient and inverse."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cinecmr.motion.shell import HeartFrame, Shell

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

    def _at(self, time: float) -> Array:
        waves = time_waves(time - self.ed, self.coefficients.shape[1] // 2)[:, 0]
        return np.asarray(np.einsum("k,bkc->bc", waves, self.coefficients))

    def displacement(self, points: Array, time: float) -> Array:
        """(n, 3) displacement, mm, of points at end-diastole, (n, 3) patient RAS mm, at a share of the cycle."""
        return np.asarray(self.shell.functions(points) @ self._at(time) @ self.shell.frame.turn)

    def gradient(self, points: Array, time: float) -> Array:
        """(n, 3, 3) deformation gradient at the same points and time."""
        _, slopes = self.shell.with_gradient(points)
        turn = self.shell.frame.turn
        return np.asarray(turn.T @ (np.eye(3) + np.einsum("nbj,bi->nij", slopes, self._at(time))) @ turn)

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
        from safetensors.numpy import save_file

        from cinecmr.io.files import write_atomically

        tensors = {name: np.ascontiguousarray(value) for name, value in self.tensors().items()}
        facts = {"kind": "cinecmr wall motion", "source": self.source, "units": "mm, patient RAS, shares of the cycle"}
        metadata = {"facts": json.dumps(facts)}
        write_atomically(path, lambda target: save_file(tensors, target, metadata=metadata))

    @classmethod
    def load(cls, path: Path) -> WallMotion:
        """Read what `save` wrote.

        Raises:
            ValueError: another kind of file.
        """
        from safetensors import safe_open

        with safe_open(path, "np") as file:
            facts = json.loads((file.metadata() or {}).get("facts", "{}"))
            if facts.get("kind") != "cinecmr wall motion":
                raise ValueError(f"{path.name} holds no wall motion of cinecmr")
            held = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
        focus, length, lowest, ed = (float(value) for value in held["scalars"])
        frame = HeartFrame(held["turn"], held["origin"], focus, length)
        around, along, through = (int(value) for value in held["orders"])
        shell = Shell(frame, lowest, held["endo"], held["epi"], (around, along, through))
        return cls(shell, held["coefficients"], ed, facts["source"])
