"""The chest of a whole visit: that of a stack, with atria, arteries and spine that long-axis planes can look at.

Drawn by a generator of its own, so that the stacks which networks learn from keep the chests their seeds made.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from cinecmr.phantom.atria import draw_atria
from cinecmr.phantom.chest import Chest, Tissue, Tube

if TYPE_CHECKING:
    from cinecmr.phantom.heart import Heart

_LEAN = 0.8  # mm of y per mm of z: the body's axis against the heart's, less than it is so that stacks meet the aorta


def draw_torso(rng: np.random.Generator, chest: Chest, heart: Heart) -> Chest:
    """A chest with atria and great arteries, in which the descending aorta and the spine pass behind the heart.

    Args:
        rng: not the one that drew `chest`.
        chest: from `surroundings.draw_chest`; its atria are replaced, and its aorta, the last of its tubes.
        heart: whose chest it is.
    """
    atria = draw_atria(rng, heart)
    aorta = _descending(rng, chest.tubes[-1], heart)
    spine = Tube(
        (aorta.centre[0] - rng.uniform(2, 10), aorta.centre[1] - rng.uniform(34, 42)),
        aorta.z0 + 22.0,
        (rng.uniform(19, 23), rng.uniform(27, 33), np.inf),
        2.5,
        Tissue.MARROW,
        Tissue.MUSCLE,
        (0.0, _LEAN),
    )
    return replace(
        chest,
        chambers=atria,
        atria=(),
        tubes=(*chest.tubes[:-1], spine, aorta),
        wall_lean=rng.uniform(0.8, 1.6),
        apical_fat=rng.uniform(2, 5),
    )


def _descending(rng: np.random.Generator, drawn: Tube, heart: Heart) -> Tube:
    """Behind and to the left of the left atrium, crossing the heart's axis as the body does."""
    radius = drawn.radii[0]
    return replace(
        drawn,
        centre=(-heart.lv.epi - radius - rng.uniform(1, 7), rng.normal(4, 4)),
        z0=heart.lv.length + 40.0,
        radii=(radius, radius * float(np.hypot(1, _LEAN)), np.inf),
        lean=(rng.normal(-0.05, 0.06), _LEAN),
    )
