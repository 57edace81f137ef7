"""What lies around a synthetic heart, drawn in step with the body: fat, chest wall, diaphragm, vessels, atria.

The ranges are wide on purpose: they are what a network sees of other people's chests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cinecmr.phantom.chest import Chest, Tissue, Tube
from cinecmr.phantom.population import cut_normal
from cinecmr.phantom.scene import smooth_noise
from cinecmr.phantom.shape import THETAS

if TYPE_CHECKING:
    from cinecmr.phantom.heart import Heart


def draw_chest(rng: np.random.Generator, heart: Heart) -> Chest:
    """Surroundings in step with the body: fat with body mass, vessels and atria with the heart."""
    bmi = heart.person.weight_kg / heart.person.height_m**2
    fat = np.clip((bmi - 18) / 12, 0.1, 2.0)
    scale = float(heart.lv.epi / 33)
    return Chest(
        diaphragm=cut_normal(rng, (-1.45, 0.3)),
        wall=cut_normal(rng, (0.55, 0.35)),
        diaphragm_gap=float(rng.gamma(2.0, 2.5)) + 2,
        wall_gap=float(rng.gamma(2.0, 4.0)) + 2,
        diaphragm_lean=rng.uniform(-0.25, 0.45),
        wall_radius=rng.uniform(90, 220),
        muscle_depth=rng.uniform(9, 20),
        fat_depth=float(6 + 16 * fat * rng.uniform(0.5, 1.4)),
        ribs=(rng.uniform(20, 36), rng.uniform(0, 30)),
        pericardial_fat=float(0.5 + 3.0 * fat * rng.uniform(0.2, 1.7)),
        fat_swing=rng.uniform(0.6, 1.6),
        fat_cover=rng.uniform(-1.0, 1.0),
        apical_fat=rng.uniform(3, 14),
        pericardium=float(np.clip(rng.uniform(-1.0, 1.8), 0, None)),
        lung_vessels=float(np.exp(rng.uniform(np.log(0.0008), np.log(0.05)))),
        liver_share=rng.normal(5, 25),
        mediastinum=rng.normal(0.6, 0.8),
        wall_waves=(float(rng.gamma(1.5, 2.0)), rng.uniform(10, 40), rng.uniform(0, 6.3)),
        tubes=_vessels_and_gut(rng, scale),
        atria=_atria(rng, heart, scale),
        papillary=_papillaries(rng, scale),
        trabecula_left=float(rng.gamma(3.0, 1.1)),
        trabecula_right=float(rng.gamma(3.0, 1.7)),
        lining=(rng.uniform(0.04, 0.095), rng.uniform(0.2, 1.6)),
        coat=rng.uniform(0.8, 2.9),
        texture=smooth_noise((48, 48, 48), rng.uniform(0.9, 2.2), rng),
        strands=smooth_noise((64, THETAS), (6.0, 8.0), rng),
    )


def _papillaries(rng: np.random.Generator, scale: float) -> tuple[tuple[float, float, float, float], ...]:
    def one(angle: float) -> tuple[float, float, float, float]:
        return (
            angle + rng.normal(0, 0.25),
            float(scale * rng.uniform(3.2, 6.8)),
            rng.uniform(0.15, 0.35),
            rng.uniform(0.6, 0.85),
        )

    extra = (one(rng.uniform(-np.pi, np.pi)),) if rng.random() < 0.3 else ()
    return (one(2.15), one(-2.25), *extra)


def _vessels_and_gut(rng: np.random.Generator, scale: float) -> tuple[Tube, ...]:
    """Descending aorta behind the heart; stomach and bowel loops below: bright rounds with a wall, as hearts have."""
    angle, far = rng.normal(-2.5, 0.25), scale * 33 + rng.uniform(18, 40)
    aorta = Tube(
        (float(far * np.cos(angle)), float(far * np.sin(angle))),
        60.0,
        (rng.uniform(9, 14),) * 2 + (np.inf,),
        1.2,
        Tissue.BLOOD_VESSEL,
        Tissue.MUSCLE,
        (rng.uniform(-0.3, 0.3), rng.uniform(-0.3, 0.3)),
    )
    loops = []
    for _ in range(int(rng.integers(0, 4))):
        size = rng.uniform(8, 34)
        angle, far = rng.normal(-1.7, 0.6), scale * 33 + size + rng.uniform(1, 40)
        content = Tissue(int(rng.choice([Tissue.GUT_CONTENT, Tissue.AIR, Tissue.SPLEEN, Tissue.FAT, Tissue.LIVER])))
        loops.append(
            Tube(
                (float(far * np.cos(angle)), float(far * np.sin(angle))),
                rng.uniform(0, 90),
                (size, size * rng.uniform(0.6, 1.4), size * rng.uniform(1, 3)),
                rng.uniform(1.5, 6),
                content,
                Tissue.GUT_WALL,
                (rng.uniform(-0.5, 0.5), rng.uniform(-0.5, 0.5)),
            )
        )
    return (*loops, *_stomach(rng, scale), aorta)


def _stomach(rng: np.random.Generator, scale: float) -> tuple[Tube, ...]:
    """In every third chest a stomach with a thick muscular wall lies close under the heart and looks much like one."""
    if rng.random() > 0.35:
        return ()
    size = rng.uniform(14, 36)
    wall = rng.uniform(3, 9)
    angle, far = rng.normal(-1.6, 0.5), scale * 33 + size + wall + rng.uniform(0, 14)
    content = Tissue(int(rng.choice([Tissue.GUT_CONTENT, Tissue.BLOOD_VESSEL, Tissue.AIR], p=[0.5, 0.3, 0.2])))
    return (
        Tube(
            (float(far * np.cos(angle)), float(far * np.sin(angle))),
            rng.uniform(-10, 60),
            (size, size * rng.uniform(0.6, 1.2), size * rng.uniform(1, 3)),
            wall,
            content,
            Tissue.MUSCLE if rng.random() < 0.5 else Tissue.GUT_WALL,
            (rng.uniform(-0.3, 0.3), rng.uniform(-0.3, 0.3)),
        ),
    )


def _atria(rng: np.random.Generator, heart: Heart, scale: float) -> tuple[Tube, ...]:
    """Left atrium, aortic root, right atrium and outflow tract above the valve planes; thin walls, no muscle ring."""
    reach = heart.rv.reach * heart.lv.epi
    lift = heart.rv.base - heart.lv.length
    left = rng.uniform(24, 36) * scale**0.5
    atrium = Tube(
        (rng.normal(-6, 4), rng.normal(-8, 4)),
        left * 0.75,
        (left, left * rng.uniform(0.75, 1.0), left),
        1.6,
        Tissue.BLOOD_ATRIUM,
        Tissue.MUSCLE,
        bottom=0.8,
        swell=0.12,
    )
    root = Tube(
        (rng.normal(12, 3), rng.normal(12, 4)),
        0.0,
        (rng.uniform(11, 16),) * 2 + (np.inf,),
        1.8,
        Tissue.BLOOD_LEFT,
        Tissue.MUSCLE,
        (rng.uniform(0.1, 0.5), rng.uniform(0, 0.4)),
        bottom=-1.0,
    )
    right = rng.uniform(24, 36)
    ra = Tube(
        (heart.lv.epi + 0.45 * reach + rng.normal(0, 4), rng.normal(-18, 6)),
        lift + right * 0.6,
        (right * 0.9, right, right * 1.2),
        1.5,
        Tissue.BLOOD_ATRIUM,
        Tissue.MUSCLE,
        bottom=lift - 25,
        swell=0.08,
    )
    outflow = Tube(
        (heart.lv.epi + 0.25 * reach + rng.normal(0, 4), heart.lv.epi * 0.7 + rng.normal(4, 5)),
        lift,
        (rng.uniform(12, 20), rng.uniform(12, 20), np.inf),
        1.8,
        Tissue.BLOOD_RIGHT,
        Tissue.MUSCLE,
        (rng.uniform(-0.8, -0.2), rng.uniform(0.0, 0.5)),
        bottom=lift - 20,
    )
    return (atrium, ra, outflow, root)
