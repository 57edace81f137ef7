"""What a chest is made of: tissues, vessels, and what surrounds one heart; `scene` paints it, `surroundings` draws."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np

from cinecmr.phantom.shape import THETAS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cinecmr.phantom.atria import Atria


class Tissue(IntEnum):
    """What a point is made of, as far as bSSFP can tell."""

    AIR = 0
    LUNG = 1
    LUNG_VESSEL = 2
    FAT = 3
    MUSCLE = 4
    LIVER = 5
    GUT_WALL = 6
    GUT_CONTENT = 7
    MYOCARDIUM = 8
    BLOOD_LEFT = 9
    BLOOD_RIGHT = 10
    BLOOD_ATRIUM = 11
    BLOOD_VESSEL = 12
    PERICARDIUM = 13
    MARROW = 14
    SPLEEN = 15


@dataclass(frozen=True)
class Tube:
    """A vessel or hollow organ: a leaning ellipsoid or an endless cylinder with a wall.

    Attributes:
        centre: (x, y) at height z0, mm. z0: mm. lean: mm of x and y per mm of height.
        radii: (x, y, z), mm; z = inf is a cylinder.
        wall: thickness, mm. content, coat: tissues inside and of the wall.
        bottom: nothing below this height, mm.
        swell: growth of the radii from end-diastole to end-systole, share.
    """

    centre: tuple[float, float]
    z0: float
    radii: tuple[float, float, float]
    wall: float
    content: Tissue
    coat: Tissue
    lean: tuple[float, float] = (0.0, 0.0)
    bottom: float = -np.inf
    swell: float = 0.0


@dataclass(frozen=True)
class Chest:
    """What surrounds the heart of one subject.

    Attributes:
        diaphragm, wall: directions from the axis to the diaphragm and to the chest wall, rad.
        diaphragm_gap, wall_gap: space between muscle and either, mm.
        diaphragm_lean: rise of the diaphragm towards the apex, mm per mm.
        wall_radius: radius of the chest's curve, mm.
        muscle_depth, fat_depth: layers of the chest wall, mm.
        wall_waves: height mm, length mm and phase of the chest wall's undulation.
        ribs: distance from rib to rib, mm, and phase.
        pericardial_fat: thickness where it lies, mm. fat_swing: how unevenly it lies. fat_cover: how much of the
            heart it covers: -1 hardly any (muscle meets lung), 1 nearly all.
        apical_fat: fat below the apex, mm.
        pericardium: thickness of the dark line, mm (0: not seen).
        lung_vessels: share of the lung's cross-section.
        mediastinum: how much of the space above the ventricles is not fat: a level of `texture`.
        liver_share: where along the diaphragm the liver ends and stomach or spleen begins, mm.
        tubes: vessels and hollow organs, painted in order. Those marked `above` follow the base.
        atria: as `tubes`, heights measured from the mitral plane, moving with it.
        papillary: (angle rad, radius mm, lowest, highest share of the axis) of each papillary muscle.
        trabecula_left, trabecula_right: depth of the trabeculae, mm.
        lining: depth of the finest trabeculae, which look like wall and which readers count as cavity: a share of the
            left ventricle's radius, and mm in the right ventricle.
        coat: muscle-like layer outside the epicardium (visceral pericardium, fluid, pleura), mm.
        texture: (48, 48, 48) smooth noise, unit variance, periodic.
        strands: (64, THETAS) smooth noise over height and angle, unit variance.
        clutter: tissues that stand in random patches where the anatomy outside the pericardium was, for training
            networks that must not lean on it. Empty: the anatomy stands.
        clutter_step: size of the patches, mm a voxel of `texture`.
        chambers: atria and great arteries with a geometry of their own, in place of `atria` and of ventricles that
            go on above their valves. Training stacks have none.
        wall_lean: how much the chest wall closes in below the apex, mm per mm; above the base it recedes half as much.
    """

    diaphragm: float = -1.5
    wall: float = 0.6
    diaphragm_gap: float = 6.0
    wall_gap: float = 10.0
    diaphragm_lean: float = 0.15
    wall_radius: float = 130.0
    muscle_depth: float = 14.0
    fat_depth: float = 15.0
    ribs: tuple[float, float] = (28.0, 0.0)
    pericardial_fat: float = 4.0
    fat_swing: float = 0.6
    fat_cover: float = 1.0
    apical_fat: float = 10.0
    pericardium: float = 1.2
    lung_vessels: float = 0.03
    mediastinum: float = 0.5
    wall_waves: tuple[float, float, float] = (0.0, 30.0, 0.0)
    liver_share: float = 10.0
    tubes: tuple[Tube, ...] = ()
    atria: tuple[Tube, ...] = ()
    papillary: tuple[tuple[float, float, float, float], ...] = ((2.2, 4.5, 0.25, 0.7), (-2.2, 4.5, 0.25, 0.7))
    trabecula_left: float = 2.0
    trabecula_right: float = 3.0
    lining: tuple[float, float] = (0.04, 0.8)
    coat: float = 1.2
    texture: NDArray[np.float32] = field(default_factory=lambda: np.zeros((48, 48, 48), np.float32), repr=False)
    strands: NDArray[np.float32] = field(default_factory=lambda: np.zeros((64, THETAS), np.float32), repr=False)
    clutter: tuple[Tissue, ...] = ()
    clutter_step: float = 6.0
    chambers: Atria | None = None
    wall_lean: float = 0.0
