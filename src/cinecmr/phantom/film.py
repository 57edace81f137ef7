"""One slice of one visit at every moment of the beat: what stands still is looked at once.

The same pictures as `scanner.slice_signal` of a `Scene` a moment, several times faster: chest wall, abdomen and lung
do not move, so only pixels that the heart can reach are painted again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from cinecmr.phantom.chest import Tissue
from cinecmr.phantom.outlets import BELOW, REACH, TOP
from cinecmr.phantom.scene import Scene

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cinecmr.phantom.chest import Chest
    from cinecmr.phantom.heart import Heart
    from cinecmr.phantom.scanner import Look
    from cinecmr.phantom.scene import Spots

_THROUGH = 3  # points through a slice's thickness; odd, so that one lies in the middle, where labels are read


class Beats:
    """A heart in its chest at every moment of a film, and how far its beating reaches.

    Args:
        heart: the subject's.
        chest: around it; none of its `tubes` may swell.
        times: (t,) shares of the cycle.
    """

    def __init__(self, heart: Heart, chest: Chest, times: NDArray[np.float64]) -> None:
        if any(tube.swell for tube in chest.tubes):
            raise ValueError("a film's backdrop stands still: no tube of its chest may swell with the beat")
        self.heart, self.chest, self.times = heart, chest, times
        rest = heart.surfaces(0.0)
        self.scenes = [Scene(heart, chest, float(time), rest) for time in times]
        self._edge = np.max([scene.edge() for scene in self.scenes], axis=0)
        bases = [scene.surfaces.base for scene in self.scenes]
        self._lowest, self._highest = min(bases), max(bases)

    def reached(self, spots: Spots) -> NDArray[np.bool_]:
        """Where `Scene.paint_heart` changes anything at any of the moments."""
        there = spots.r < self._edge.ravel()[spots.at]
        if self.chest.chambers is not None:
            still = spots.above + np.float32(self.scenes[0].surfaces.base)
            there |= (still - self._lowest > -BELOW) & (still - self._highest < TOP) & (spots.r < REACH)
        return np.asarray(there)


@dataclass(frozen=True)
class _Reached:
    """The points through a slice's thickness that the heart can reach, layer after layer. n points in all.

    Attributes:
        near: for each layer its flat pixel indices, and where its points lie among the n.
        points: (n, 3) heart coordinates, mm. spots: of them.
        codes: (n,) `Tissue` of the backdrop. swirl: (2, n) sine and cosine part of the blood's flow pattern.
    """

    near: list[tuple[NDArray[np.intp], slice]]
    points: NDArray[np.float32]
    spots: Spots
    codes: NDArray[np.uint8]
    swirl: NDArray[np.float32]


class Film:
    """One slice, ready for every moment.

    Args:
        beats: heart and chest.
        points: (x, y, 3) centres of the pixels, heart coordinates, mm.
        normal: (3,) unit normal of the slice.
        thickness: mm.
        look: tissue signals.
    """

    def __init__(
        self, beats: Beats, points: NDArray[np.float32], normal: NDArray[np.float64], thickness: float, look: Look
    ) -> None:
        self.beats, self.look, self.shape = beats, look, points.shape[:2]
        self._signed = look.signals.copy()
        if look.opposed:
            self._signed[[Tissue.FAT, Tissue.MARROW]] *= -1
        self._still = np.zeros(points.shape[:2], np.float32).ravel()
        offsets = ((np.arange(_THROUGH) + 0.5) / _THROUGH - 0.5) * thickness
        layers = [points.reshape(-1, 3) + (offset * normal).astype(np.float32) for offset in offsets]
        self._reached = self._prepare(layers)

    def _prepare(self, layers: list[NDArray[np.float32]]) -> _Reached:
        """Adds what stands still to the still picture and keeps the rest."""
        scene, near, points, codes, begin = self.beats.scenes[0], [], [], [], 0
        for layer in layers:
            spots = scene.spots(layer)
            tissues = scene.backdrop(spots)
            moving = self.beats.reached(spots) | _is_blood(tissues)
            self._still += np.where(moving, 0, self._signed[tissues] * (1 + self.look.grain[tissues] * spots.noise))
            where = np.flatnonzero(moving)
            near.append((where, slice(begin, begin + len(where))))
            points.append(layer[where])
            codes.append(tissues[where])
            begin += len(where)
        kept = np.concatenate(points)
        phases = [kept @ w[:3] + w[3] for w in self.look.waves]
        swirl = np.stack([np.sum([f(p) for p in phases], axis=0) / 3 for f in (np.sin, np.cos)]).astype(np.float32)
        return _Reached(near, kept, scene.spots(kept), np.concatenate(codes), swirl)

    def signal(self, number: int) -> NDArray[np.float32]:
        """(x, y) signal at one of the moments, as `scanner.slice_signal` gives it."""
        scene, reached = self.beats.scenes[number], self._reached
        spots = replace(reached.spots, above=scene.surfaces.above_mitral(reached.points))
        codes = reached.codes.copy()
        scene.paint_heart(codes, spots)
        turn = 6.28 * scene.time
        swirl = reached.swirl[0] * np.float32(np.cos(turn)) + reached.swirl[1] * np.float32(np.sin(turn))
        flow = np.where(_is_blood(codes), 1 + np.float32(self.look.flow) * swirl, np.float32(1))
        value = self._signed[codes] * (1 + self.look.grain[codes] * scene.grain(codes, spots)) * flow
        total = self._still.copy()
        for where, part in reached.near:
            total[where] += value[part]
        return np.asarray(total / np.float32(_THROUGH), np.float32).reshape(self.shape)

    def labels(self, number: int, reader: bool) -> NDArray[np.uint8]:
        """(x, y) `Structure` codes at one of the moments.

        Args:
            number: of the moment.
            reader: as a reader contours short-axis slices: whole rings, no atria. Otherwise all that the plane cuts.
        """
        scene, (where, part) = self.beats.scenes[number], self._reached.near[_THROUGH // 2]
        heart, chambers = self.beats.heart, self.beats.chest.chambers
        points = self._reached.points[part]
        read = heart.reader_labels if reader else heart.labels_on
        found = read(points, scene.surfaces)
        if chambers is not None and not reader:
            chambers.label(found, points, heart, scene.surfaces, scene.time)
        codes = np.zeros(self.shape, np.uint8)
        codes.ravel()[where] = found
        return codes


def _is_blood(codes: NDArray[np.uint8]) -> NDArray[np.bool_]:
    return (codes >= Tissue.BLOOD_LEFT) & (codes <= Tissue.BLOOD_VESSEL)
