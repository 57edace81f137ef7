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
class _Layer:
    """One of the planes through a slice's thickness, where the heart can reach. n points.

    Attributes:
        near: (n,) flat pixel indices. points: (n, 3) heart coordinates, mm. spots: of them.
        codes: (n,) `Tissue` of the backdrop. swirl: (2, n) sine and cosine part of the blood's flow pattern.
    """

    near: NDArray[np.intp]
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
        self._layers = [self._layer(points + (o * normal).astype(np.float32)) for o in offsets]

    def _layer(self, points: NDArray[np.float32]) -> _Layer:
        """Adds what stands still to the still picture and keeps the rest."""
        scene = self.beats.scenes[0]
        flat = points.reshape(-1, 3)
        spots = scene.spots(flat)
        codes = scene.backdrop(spots)
        moving = self.beats.reached(spots) | _is_blood(codes)
        far = self._signed[codes] * (1 + self.look.grain[codes] * spots.noise)
        self._still += np.where(moving, 0, far)
        near = np.flatnonzero(moving)
        fields = ("x", "y", "z", "r", "above", "at", "row", "noise")
        spots = replace(spots, **{name: np.ascontiguousarray(getattr(spots, name)[near]) for name in fields})
        phases = [w[0] * spots.x + w[1] * spots.y + w[2] * spots.z + w[3] for w in self.look.waves]
        swirl = np.stack([np.sum([f(p) for p in phases], axis=0) / 3 for f in (np.sin, np.cos)]).astype(np.float32)
        return _Layer(near, flat[near], spots, codes[near], swirl)

    def signal(self, number: int) -> NDArray[np.float32]:
        """(x, y) signal at one of the moments, as `scanner.slice_signal` gives it."""
        scene = self.beats.scenes[number]
        total = self._still.copy()
        turn = 6.28 * scene.time
        for layer in self._layers:
            spots = replace(layer.spots, above=scene.surfaces.above_mitral(layer.points))
            codes = layer.codes.copy()
            scene.paint_heart(codes, spots)
            value = self._signed[codes] * (1 + self.look.grain[codes] * spots.noise)
            swirl = layer.swirl[0] * np.float32(np.cos(turn)) + layer.swirl[1] * np.float32(np.sin(turn))
            total[layer.near] += np.where(_is_blood(codes), value * (1 + np.float32(self.look.flow) * swirl), value)
        return np.asarray(total / np.float32(_THROUGH), np.float32).reshape(self.shape)

    def labels(self, number: int, reader: bool) -> NDArray[np.uint8]:
        """(x, y) `Structure` codes at one of the moments.

        Args:
            number: of the moment.
            reader: as a reader contours short-axis slices: whole rings, no atria. Otherwise all that the plane cuts.
        """
        layer, scene = self._layers[_THROUGH // 2], self.beats.scenes[number]
        heart, chambers = self.beats.heart, self.beats.chest.chambers
        read = heart.reader_labels if reader else heart.labels_on
        found = read(layer.points, scene.surfaces)
        if chambers is not None and not reader:
            chambers.label(found, layer.points, heart, scene.surfaces, scene.time)
        codes = np.zeros(self.shape, np.uint8)
        codes.ravel()[layer.near] = found
        return codes


def _is_blood(codes: NDArray[np.uint8]) -> NDArray[np.bool_]:
    return (codes >= Tissue.BLOOD_LEFT) & (codes <= Tissue.BLOOD_VESSEL)
