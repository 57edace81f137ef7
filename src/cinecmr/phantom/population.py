"""Who the synthetic subjects are: sizes and function, drawn in step with each other.

Left ventricular volumes of healthy subjects follow body surface area and sex (Petersen 2017, Hudsmith 2005 in
measure/normal_ranges.csv); every other group is that heart, remodelled. Shapes and contraction are set so that label
maps of a cohort have the medians of real ones (docs/explanation/phantom.md says how each group was set).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from cinecmr.anatomy import Disease, Sex, Structure
from cinecmr.phantom.beat import Beat
from cinecmr.phantom.heart import Heart, Person
from cinecmr.phantom.shape import LeftVentricle, Region, RightVentricle, Ripple

Range = tuple[float, float]  # mean and standard deviation of a normal draw, cut at two standard deviations


@dataclass(frozen=True)
class Group:
    """How one disease shapes the heart. Pairs are mean and standard deviation.

    Attributes:
        volume: end-diastolic volume of the left ventricle against a healthy one of the same body.
        hollow: endocardial over epicardial radius.
        slimness: long axis over epicardial diameter.
        ef: ejection fraction of the left ventricle, %.
        shortening: 1 - lambda at end-systole.
        fullness, taper: see `LeftVentricle`.
        rv_reach, rv_squeeze: see `RightVentricle` (the squeeze at the base; the apex follows).
        rv_apical: apical reach. rv_apex: height of its apex, share of the long axis.
        rv_angle: see `RightVentricle.angle`. flattening: of the septum.
    """

    volume: Range
    hollow: Range
    slimness: Range
    ef: Range
    shortening: Range
    fullness: Range
    taper: Range
    rv_reach: Range
    rv_squeeze: Range
    rv_apical: Range = (1.0, 0.1)
    rv_apex: Range = (0.10, 0.04)
    rv_angle: Range = (0.9, 0.06)
    flattening: Range = (0.05, 0.03)


GROUPS: dict[Disease, Group] = {
    Disease.NORMAL: Group(
        (1.0, 0.10),
        (0.765, 0.02),
        (1.24, 0.08),
        (61, 5),
        (0.15, 0.02),
        (2.4, 0.15),
        (0.03, 0.03),
        (0.98, 0.09),
        (0.80, 0.05),
    ),
    Disease.DCM: Group(
        (1.9, 0.35),
        (0.80, 0.02),
        (1.12, 0.08),
        (18, 7),
        (0.05, 0.02),
        (2.7, 0.25),
        (0.12, 0.05),
        (0.78, 0.20),
        (0.88, 0.08),
        (1.0, 0.2),
        (0.13, 0.06),
        (0.82, 0.07),
    ),
    Disease.HCM: Group(
        (0.92, 0.14),
        (0.68, 0.04),
        (1.14, 0.09),
        (69, 5),
        (0.14, 0.03),
        (2.4, 0.25),
        (0.08, 0.05),
        (0.74, 0.11),
        (0.73, 0.06),
        (0.7, 0.15),
        (0.20, 0.06),
        (0.74, 0.06),
    ),
    Disease.INFARCT: Group(
        (1.35, 0.3),
        (0.79, 0.025),
        (1.15, 0.09),
        (33, 8),
        (0.09, 0.03),
        (2.6, 0.25),
        (0.07, 0.05),
        (0.72, 0.16),
        (0.77, 0.08),
        (1.0, 0.2),
        (0.15, 0.06),
    ),
    Disease.ABNORMAL_RV: Group(
        (0.92, 0.16),
        (0.785, 0.025),
        (1.24, 0.10),
        (55, 8),
        (0.12, 0.03),
        (2.35, 0.2),
        (0.04, 0.04),
        (1.2, 0.22),
        (0.93, 0.06),
        (2.2, 0.5),
        (-0.02, 0.03),
        (0.9, 0.06),
        (0.09, 0.06),
    ),
}


def cut_normal(rng: np.random.Generator, mean_sd: Range, low: float = -np.inf, high: float = np.inf) -> float:
    """A normal draw within two standard deviations of its mean, and within limits."""
    mean, sd = mean_sd
    return float(np.clip(mean + sd * np.clip(rng.standard_normal(), -2, 2), low, high))


def draw_person(rng: np.random.Generator, disease: Disease) -> Person:
    """A body: height by sex, weight by a skewed body-mass index."""
    sex = Sex.MALE if rng.random() < 0.55 else Sex.FEMALE
    height = cut_normal(rng, (1.77, 0.07) if sex is Sex.MALE else (1.64, 0.065))
    bmi = 17.5 + float(rng.gamma(4.5, 2.0))
    return Person(
        sex, float(np.round(rng.uniform(20, 82))), round(height, 2), round(min(bmi, 45) * height**2, 1), disease
    )


def _ripple(rng: np.random.Generator, size: float, orders: range) -> Ripple:
    waves = tuple(orders)
    amplitude = size * rng.standard_normal(len(waves)) / np.arange(1, len(waves) + 1) ** 0.7
    return Ripple(
        tuple(map(float, amplitude)),
        waves,
        tuple(rng.uniform(0, 2 * np.pi, len(waves))),
        tuple(rng.uniform(-2.5, 2.5, len(waves))),
    )


def _still(rng: np.random.Generator, disease: Disease) -> tuple[Region, ...]:
    """Infarct territory: septum and anterior wall (LAD), lateral (LCX) or inferior (RCA)."""
    if disease is not Disease.INFARCT:
        return ()
    theta, height = [(0.7, 0.35), (2.6, 0.55), (-1.9, 0.6)][int(rng.choice(3, p=[0.55, 0.2, 0.25]))]
    return (
        Region(
            theta + rng.normal(0, 0.25),
            height + rng.normal(0, 0.08),
            rng.uniform(0.6, 1.2),
            rng.uniform(0.22, 0.45),
            rng.uniform(0.92, 1.06),
        ),
    )


def _thick(rng: np.random.Generator, disease: Disease) -> tuple[Region, ...]:
    """Hypertrophy: septal, apical or concentric; a thinned scar after some infarcts."""
    if disease is Disease.HCM:
        kind = rng.choice(3, p=[0.6, 0.2, 0.2])
        if kind == 0:
            return (
                Region(
                    rng.normal(0.3, 0.4),
                    rng.uniform(0.45, 0.8),
                    rng.uniform(0.7, 1.2),
                    rng.uniform(0.3, 0.6),
                    rng.uniform(0.25, 0.9),
                ),
            )
        if kind == 1:
            return (Region(0.0, 0.1, 50.0, rng.uniform(0.2, 0.4), rng.uniform(0.3, 0.9)),)
        return (Region(0.0, 0.6, 50.0, 1.0, rng.uniform(0.0, 0.25)),)
    return ()


def draw_heart(rng: np.random.Generator, disease: Disease | None = None) -> Heart:
    """A heart in a body.

    Args:
        rng: everything is drawn from it.
        disease: the group; drawn evenly when None.
    """
    disease = disease or list(Disease)[int(rng.integers(len(Disease)))]
    person, group = draw_person(rng, disease), GROUPS[disease]
    indexed = cut_normal(rng, (81, 11) if person.sex is Sex.MALE else (75, 10))
    target = indexed * person.bsa_m2 * cut_normal(rng, group.volume, 0.5)
    hollow, slimness = cut_normal(rng, group.hollow, 0.45, 0.88), cut_normal(rng, group.slimness, 0.95, 1.7)
    ef = cut_normal(rng, group.ef, 8, 80) / 100
    lv = LeftVentricle(
        epi=1.0,
        endo=hollow,
        length=2 * slimness,
        apex_wall=(1 - hollow) * (rng.uniform(0.4, 0.8) if disease is Disease.HCM else rng.uniform(0.25, 0.65)),
        fullness=cut_normal(rng, group.fullness, 1.9),
        taper=cut_normal(rng, group.taper, 0.0),
        shortening=1 - cut_normal(rng, group.shortening, 0.01),
        # A thick wall closes the apical half of its cavity.
        squeeze_slope=cut_normal(rng, (0.26, 0.07) if disease is Disease.HCM else (0.10, 0.03)),
        twist=float(np.radians(cut_normal(rng, (4 + 14 * ef, 3)))),
        flattening=cut_normal(rng, group.flattening, 0.0),
        tilt=(cut_normal(rng, (0, 0.10)), cut_normal(rng, (0, 0.10))),
        thick=_thick(rng, disease),
        still=_still(rng, disease),
        ripple=_ripple(rng, 0.045, range(2, 8)),
        wall_ripple=_ripple(rng, 0.06, range(1, 5)),
    )
    lv = _scaled(lv, target)
    lv = _ejecting(lv, ef)
    rv = _draw_right(rng, group, lv)
    rate = cut_normal(rng, (72, 11), 45, 115)
    beat = Beat(
        60 / rate,
        float(np.clip(0.36 + 0.0022 * (rate - 70) + rng.normal(0, 0.015), 0.28, 0.5)),
        float(np.clip(rng.normal(0.2, 0.05), 0.05, 0.35)),
        float(rng.uniform(0, 0.05)),
    )
    bend = (cut_normal(rng, (0, 2.0)), cut_normal(rng, (0, 2.0)))
    heart = Heart(person, beat, lv, rv, bend)
    # A dilated right ventricle leaks through its tricuspid valve: it moves more blood than it passes on.
    leak = rng.uniform(1.0, 1.4) if disease is Disease.ABNORMAL_RV else cut_normal(rng, (1.0, 0.04))
    return _balanced(heart, leak * (lv.cavity_ml(0.0) - lv.cavity_ml(1.0)))


def _scaled(lv: LeftVentricle, volume_ml: float) -> LeftVentricle:
    """The unit-sized ventricle grown to hold a volume at end-diastole: one step, as volume goes with the cube."""
    trial = replace(lv, epi=lv.epi * 33, endo=lv.endo * 33, length=lv.length * 33, apex_wall=lv.apex_wall * 33)
    grow = (volume_ml / trial.cavity_ml(0.0)) ** (1 / 3)
    return replace(
        trial,
        epi=trial.epi * grow,
        endo=trial.endo * grow,
        length=trial.length * grow,
        apex_wall=trial.apex_wall * grow,
    )


def _ejecting(lv: LeftVentricle, ef: float) -> LeftVentricle:
    """The ventricle with the squeeze that gives an ejection fraction, found step by step."""
    start = lv.cavity_ml(0.0)
    squeeze = float(np.sqrt((1 - ef) / lv.shortening))
    for _ in range(8):
        lv = replace(lv, squeeze=float(np.clip(squeeze, 0.3, 1.2)))
        found = lv.cavity_ml(1.0) / start
        squeeze = lv.squeeze * float(np.clip((1 - ef) / max(found, 1e-3), 0.6, 1.6) ** 0.7)
    return replace(lv, squeeze=float(np.clip(squeeze, 0.3, 1.2)))


def _balanced(heart: Heart, stroke_ml: float) -> Heart:
    """The heart whose right ventricle ejects a stroke volume.

    It squeezes more or less, and where that does not do it, it is larger or smaller: without shunt or regurgitation
    both ventricles pass on the same blood.
    """
    rv = heart.rv
    peak = heart.beat.systole + heart.beat.rv_delay
    for _ in range(6):
        trial = replace(heart, rv=rv)
        large, small = (trial.volumes_ml(t)[Structure.RV] for t in (0.0, peak))
        ratio = float(np.clip(stroke_ml / max(large - small, 1.0), 0.5, 2.0))
        if abs(ratio - 1) < 0.02:
            break
        basal, apical = (1 - (1 - s) * ratio for s in rv.squeeze)
        reached = (float(np.clip(basal, 0.55, 1.0)), float(np.clip(apical, 0.3, 1.0)))
        grow = 1.0 if reached == (basal, apical) else ratio**0.5
        rv = replace(rv, squeeze=reached, reach=rv.reach * grow, descent=rv.descent * ratio**0.3)
    return replace(heart, rv=rv)


def _draw_right(rng: np.random.Generator, group: Group, lv: LeftVentricle) -> RightVentricle:
    basal = cut_normal(rng, group.rv_squeeze, 0.6, 1.0)
    apical = float(np.clip(basal - rng.uniform(0.2, 0.45), 0.25, 1.0))
    size = lv.length / 90
    healthy = np.clip((1 - basal) / 0.16, 0.2, 1.3)
    return RightVentricle(
        reach=cut_normal(rng, group.rv_reach, 0.3),
        apical_reach=cut_normal(rng, group.rv_apical, 0.5),
        angle=cut_normal(rng, group.rv_angle),
        apex=lv.length * cut_normal(rng, group.rv_apex),
        base=lv.length * cut_normal(rng, (1.0, 0.06)),
        descent=size * cut_normal(rng, (17, 3), 4) * float(healthy),
        squeeze=(basal, apical),
        skew=cut_normal(rng, (0.25, 0.10)),
        centre=cut_normal(rng, (0.05, 0.10)),
        tilt=cut_normal(rng, (0.12, 0.10)),
        wall=cut_normal(rng, (3.2, 0.6), 2.0),
        ripple=_ripple(rng, 0.05, range(2, 7)),
    )
