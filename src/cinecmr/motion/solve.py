"""Gauss-Newton for a motion whose parameters are a table (functions of space) x (waves of time) x (three axes).

The normal equations are never formed: conjugate gradients need only products, which are a few matrix products of the
factors. What makes 6 of them enough is the preconditioner: the same equations with the slopes averaged over time are a
Kronecker product, solved by one Cholesky factor for each wave.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import cho_factor, cho_solve, eigh

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cinecmr.motion.evidence import Evidence

    Fast = NDArray[np.float32]


LEAST = 0.15  # det F of any tissue point after a step: below, log det F goes on as a straight line
_HALVINGS = 12
_ROWS = 3  # residuals of a tissue point: its volume, and two shears


@dataclass(frozen=True)
class Tissue:
    """Points of muscle at end-diastole, which keep their volume, and whose layers glide little on each other.

    Residuals are log det F, which no fold can pay for, and C_rs and C_rt of C = F'F: r across the wall, s and t along.

    Attributes:
        slopes: (n, 3, functions) of the functions by heart coordinates, 1/mm.
        across: (n, 3, 3) rows r, s, t, unit vectors in heart coordinates.
        volume: weight of a residual log det F.
        glide: weight of a residual C_rs or C_rt.
    """

    slopes: Fast
    across: Fast
    volume: float
    glide: float

    def gradients(self, table: Fast, waves: Fast) -> Fast:
        """(n, t, 3, 3) grad u of a table (functions, waves, 3)."""
        n, _, functions = self.slopes.shape
        by = (self.slopes.reshape(-1, functions) @ table.reshape(functions, -1)).reshape(n, 3, len(waves), 3)
        over = np.matmul(waves.T, by.transpose(0, 2, 1, 3).reshape(n, len(waves), 9))
        return np.asarray(over.reshape(n, -1, 3, 3).swapaxes(-1, -2))

    def determinants(self, table: Fast, waves: Fast) -> Fast:
        """(n, t) det F."""
        return _determinant(self.gradients(table, waves) + np.eye(3, dtype=np.float32))[0]

    def joined(self, other: Tissue) -> Tissue:
        """The points of both."""
        slopes, across = (np.concatenate([getattr(one, k) for one in (self, other)]) for k in ("slopes", "across"))
        return Tissue(slopes, across, self.volume, self.glide)

    def linearise(self, table: Fast, waves: Fast) -> tuple[Fast, Fast]:
        """Residuals (n, t, 3), and their slopes (n, t, 3, 9) by d u_i / d X_j, j before i."""
        f = self.gradients(table, waves) + np.eye(3, dtype=np.float32)
        shape = f.shape[:2]
        residuals, slopes = np.empty((*shape, _ROWS), np.float32), np.empty((*shape, _ROWS, 9), np.float32)
        determinant, cofactors = _determinant(f)
        near = np.maximum(determinant, LEAST)
        residuals[..., 0] = self.volume * (np.log(near) + (determinant - near) / near)
        slopes[..., 0, :] = (cofactors * (self.volume / near)[..., None, None]).swapaxes(-1, -2).reshape(*shape, 9)
        lines = np.matmul(f, self.across.swapaxes(-1, -2)[:, None])  # columns F r, F s, F t
        for row in (1, 2):
            residuals[..., row] = self.glide * (lines[..., 0] * lines[..., row]).sum(axis=-1)
            slope = self._outer(0, lines[..., row]) + self._outer(row, lines[..., 0])
            slopes[..., row, :] = self.glide * slope.reshape(*shape, 9)
        return residuals, slopes

    def _outer(self, row: int, line: Fast) -> Fast:
        return np.asarray(self.across[:, None, row, :, None] * line[:, :, None, :])

    def at_rest(self) -> Fast:
        """(3 n, 3 functions): the residuals of a small table that moves nothing else."""
        r = self.slopes.swapaxes(1, 2)  # by d u_i / d X_j with i = j
        rows = [self.volume * r]
        along = np.einsum("njb,nrj->nrb", self.slopes, self.across)
        for row in (1, 2):
            first = along[:, 0, :, None] * self.across[:, row, None, :]
            rows.append(self.glide * (first + along[:, row, :, None] * self.across[:, 0, None, :]))
        return np.concatenate(rows).reshape(_ROWS * len(self.slopes), -1)

    def back(self, pulled: Fast, waves: Fast) -> Fast:
        """(functions, waves 3): the adjoint of `gradients`, of (n, t, 9)."""
        n, _, functions = self.slopes.shape
        over = np.matmul(waves, pulled).reshape(n, len(waves), 3, 3).transpose(0, 2, 1, 3)
        return np.asarray(self.slopes.reshape(-1, functions).T @ over.reshape(3 * n, -1))


def _determinant(f: Fast) -> tuple[Fast, Fast]:
    """Det F, and its slopes by F: the cofactors."""
    rows = (f[..., 0, :], f[..., 1, :], f[..., 2, :])
    cofactors = np.stack([np.cross(rows[1], rows[2]), np.cross(rows[2], rows[0]), np.cross(rows[0], rows[1])], -2)
    return (rows[0] * cofactors[..., 0, :]).sum(axis=-1), cofactors


@dataclass(frozen=True)
class Stiffness:
    """What a table costs: the sum of space[b] time[k] (C - mean)[b, k, :]^2.

    Attributes:
        space: (functions,). time: (waves,).
        mean: table to which nothing is cheaper, or None for rest.
    """

    space: Fast
    time: Fast
    mean: Fast | None = None

    def pull(self, table: Fast) -> Fast:
        """Half the slope of the cost of a difference (functions, waves, 3) from the mean."""
        return np.asarray(self.space[:, None, None] * self.time[:, None] * table)


def displaced(values: Fast, table: Fast, waves: Fast) -> Fast:
    """(n, t, 3) mm of a table at points whose functions are `values`."""
    u = (values @ table.reshape(len(table), -1)).reshape(len(values), len(waves), 3)
    return np.asarray(np.matmul(waves.T, u))


def _pulled(values: Fast, pull: Fast, waves: Fast) -> Fast:
    """The adjoint of `displaced`."""
    return np.asarray((values.T @ np.matmul(waves, pull).reshape(len(values), -1)).reshape(-1, len(waves), 3))


Blocks = list[tuple["Fast", "Fast", "Fast", "Fast"]]  # functions, waves, residuals, slopes


Solver = Callable[["Fast"], "Fast"]


def step(
    table: Fast,
    evidence: Sequence[Evidence],
    tissue: Tissue,
    stiffness: Stiffness,
    waves: Fast,
    inner: int,
    solver: Solver | None = None,
) -> tuple[Fast, float, Solver]:
    """One Gauss-Newton step, shortened until no tissue point folds.

    Args:
        table: (functions, waves, 3) now; no tissue point has det F below `LEAST`.
        evidence: pictures and faces.
        tissue: that keeps its volume.
        stiffness: of the motion.
        waves: (waves, t) at the frames.
        inner: steps of conjugate gradients.
        solver: preconditioner of an earlier step; a new one is made when None.

    Returns:
        The new table, the cost before it, and the preconditioner.
    """
    blocks: Blocks = []
    for one in evidence:
        own = waves if one.waves is None else one.waves
        blocks.append((one.values, own, *one.linearise(displaced(one.values, table, own))))
    residual, slopes = tissue.linearise(table, waves)
    off = table if stiffness.mean is None else table - stiffness.mean
    pull = stiffness.pull(off)
    cost = float((off * pull).sum()) + float((residual**2).sum()) + sum(float((r**2).sum()) for _, _, r, _ in blocks)
    wanted = -pull - tissue.back((residual[..., None] * slopes).sum(axis=2), waves).reshape(table.shape)
    for values, own, gap, slope in blocks:
        wanted = wanted - _pulled(values, gap[..., None] * slope, own)

    def product(x: Fast) -> Fast:
        out = stiffness.pull(x)
        for values, own, _, slope in blocks:
            along = (displaced(values, x, own) * slope).sum(axis=-1)
            out = out + _pulled(values, along[..., None] * slope, own)
        changes = tissue.gradients(x, waves).swapaxes(-1, -2).reshape(*slopes.shape[:2], 9, 1)
        pulled = np.matmul(np.matmul(slopes, changes).swapaxes(-1, -2), slopes)[:, :, 0]
        return np.asarray(out + tissue.back(pulled, waves).reshape(x.shape))

    solver = solver or _preconditioner(blocks, tissue, stiffness, waves)
    change = _conjugate_gradients(product, wanted.astype(np.float32), solver, inner)
    return unfolded(table, change, tissue, waves), cost, solver


def unfolded(table: Fast, change: Fast, tissue: Tissue, waves: Fast) -> Fast:
    """The table with as much of a change, halved again and again, as squeezes no tissue point below `LEAST`.

    Where points lie below it already, they may be no further below it, taken together, than they are.
    """
    before = _squeezed(table, tissue, waves)
    for halved in range(_HALVINGS):
        there = np.asarray(table + np.float32(0.5**halved) * change)
        if _squeezed(there, tissue, waves) <= before:
            return there
    return table


def _squeezed(table: Fast, tissue: Tissue, waves: Fast) -> float:
    """By how much det F lies below `LEAST`, in all."""
    return float(np.maximum(LEAST - tissue.determinants(table, waves), 0).sum())


def _preconditioner(blocks: Blocks, tissue: Tissue, stiffness: Stiffness, waves: Fast) -> Solver:
    """Solves the equations as if every slope were the same at all times."""
    functions = tissue.slopes.shape[2]
    whole = np.zeros((functions, 3, functions, 3), np.float32)
    for values, _, _, slope in blocks:
        for i in range(3):
            for j in range(i, 3):
                part = values.T @ (values * (slope[..., i] * slope[..., j]).mean(axis=1)[:, None])
                whole[:, i, :, j] += part
                if i != j:
                    whole[:, j, :, i] += part
    flow = tissue.at_rest()
    space = whole.reshape(3 * functions, 3 * functions) + flow.T @ flow
    shares, modes = eigh(waves.astype(np.float64) @ waves.T, np.diag(stiffness.time.astype(np.float64)))
    stiff = np.diag(np.repeat(stiffness.space, 3))
    factors = [cho_factor(np.float32(s) * space + stiff, lower=True, check_finite=False) for s in shares]
    modes = modes.astype(np.float32)

    def solve(y: Fast) -> Fast:
        turned = np.einsum("bkc,kl->lbc", y, modes).reshape(len(factors), -1)
        solved = [cho_solve(f, row, check_finite=False) for f, row in zip(factors, turned, strict=True)]
        return np.asarray(np.einsum("lbc,kl->bkc", np.stack(solved).reshape(len(factors), functions, 3), modes))

    return solve


def _conjugate_gradients(
    product: Callable[[Fast], Fast], wanted: Fast, solve: Callable[[Fast], Fast], steps: int
) -> Fast:
    x, left = np.zeros_like(wanted), wanted
    way = scaled = solve(left)
    size = float((left * scaled).sum())
    for _ in range(steps):
        if size <= 0:
            break
        across = product(way)
        share = np.float32(size / float((way * across).sum()))
        x, left = x + share * way, left - share * across
        scaled = solve(left)
        size, before = float((left * scaled).sum()), size
        way = scaled + np.float32(size / before) * way
    return x
