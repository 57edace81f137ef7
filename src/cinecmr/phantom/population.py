"""Who the synthetic subjects are: sizes and function, drawn in step with each other.

Left ventricular volumes of healthy subjects follow body surface area and sex (Petersen 2017, Hudsmith 2005 in
measure/normal_ranges.csv); every other group is that heart, remodelled. Shapes and contraction are set so that label
maps of a cohort have the medians of real ones (docs/explanation/phantom.md says how each group was set).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from cinecmr.anatomy import Disease, Sex
from cinecmr.phantom.beat import Beat
from cinecmr.phantom.disease import CULPRITS, GROUPS, MIXTURE, TERRITORIES, THINNER, Group, Range
from cinecmr.phantom.heart import Heart, Person
from cinecmr.phantom.scar import draw_scar
from cinecmr.phantom.shape import LeftVentricle, Region, RightVentricle, Ripple

if TYPE_CHECKING:
    from collections.abc import Sequence

_HEALTHY_SQUEEZE = 0.7  # f of a healthy ventricle: what a mild infarct contracts like
FURTHEST = 0.26  # of the long axis: no tricuspid plane comes down further


def cut_normal(rng: np.random.Generator, mean_sd: Range, low: float = -np.inf, high: float = np.inf) -> float:
    """A normal draw within two standard deviations of its mean, and within limits."""
    mean, sd = mean_sd
    return float(np.clip(mean + sd * np.clip(rng.standard_normal(), -2, 2), low, high))


def draw_person(rng: np.random.Generator, disease: Disease) -> Person:
    """A body: sex and age as the disease has them, height by sex, weight by a skewed body-mass index."""
    group = GROUPS[disease]
    sex = Sex.MALE if rng.random() < group.male else Sex.FEMALE
    height = cut_normal(rng, (1.77, 0.07) if sex is Sex.MALE else (1.64, 0.065))
    bmi = 17.5 + float(rng.gamma(4.5, group.body))
    age = float(np.round(rng.uniform(*group.age)))
    return Person(sex, age, round(height, 2), round(min(bmi, 45) * height**2, 1), disease)


def _ripple(rng: np.random.Generator, size: float, orders: range) -> Ripple:
    waves = tuple(orders)
    amplitude = size * rng.standard_normal(len(waves)) / np.arange(1, len(waves) + 1) ** 0.7
    return Ripple(
        tuple(map(float, amplitude)),
        waves,
        tuple(rng.uniform(0, 2 * np.pi, len(waves))),
        tuple(rng.uniform(-2.5, 2.5, len(waves))),
    )


def _still(rng: np.random.Generator, disease: Disease, severity: float) -> tuple[Region, ...]:
    """Infarct territory: septum and anterior wall (LAD), lateral (LCX) or inferior (RCA)."""
    if disease is not Disease.INFARCT:
        return ()
    theta, height = list(TERRITORIES.values())[int(rng.choice(3, p=CULPRITS))]
    region = Region(
        theta + rng.normal(0, 0.25),
        height + rng.normal(0, 0.08),
        rng.uniform(0.6, 1.2),
        rng.uniform(0.22, 0.45),
        rng.uniform(0.92, 1.06),
    )
    if severity == 1:
        return (region,)
    return (
        replace(
            region,
            width_theta=region.width_theta * severity**0.5,
            width_height=region.width_height * severity**0.5,
            amount=_HEALTHY_SQUEEZE + severity * (region.amount - _HEALTHY_SQUEEZE),
        ),
    )[: int(severity > 0)]


def _thick(rng: np.random.Generator, disease: Disease) -> tuple[Region, ...]:
    """Hypertrophy: septal, apical or concentric."""
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
            return (Region(0.0, 0.1, 50.0, rng.uniform(0.2, 0.4), rng.uniform(0.3, 0.7)),)
        return (Region(0.0, 0.6, 50.0, 1.0, rng.uniform(0.0, 0.25)),)
    return ()


def draw_heart(
    rng: np.random.Generator,
    disease: Disease | None = None,
    *,
    severity: float | None = None,
    linked: bool = True,
    among: Sequence[Disease] = MIXTURE,
) -> Heart:
    """A heart in a body.

    Args:
        rng: everything is drawn from it. Scar and the severity of some groups come from a child of it (`spawn`), so
            that they never move the draws of shape and motion.
        disease: the group; drawn evenly from `among` when None.
        severity: 0 is a healthy heart of that group's bodies, 1 the group's full row in `disease.GROUPS`. None: 1 for
            the groups of `MIXTURE`, drawn between 0.5 and 1 for the others.
        linked: scar lies where the wall contracts badly. False draws it without looking at the motion: the control.
        among: groups to draw from.

    Raises:
        ValueError: `severity` is not a share.
    """
    aside = rng.spawn(1)[0]
    disease = disease or list(among)[int(rng.integers(len(among)))]
    if severity is None:
        severity = 1.0 if disease in MIXTURE else float(aside.uniform(0.5, 1.0))
    group = GROUPS[disease].at(severity)
    person = replace(draw_person(rng, disease), severity=severity)
    lv = _draw_left(rng, person, group)
    rv = _draw_right(rng, group, lv)
    if disease is Disease.ARVC:
        rv = _failing_right(aside, rv, severity)
    rate = cut_normal(rng, group.rate, 45, 115)
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
    heart = _balanced(heart, leak * (lv.cavity_ml(0.0) - lv.cavity_ml(1.0)))
    return replace(heart, scar=draw_scar(heart, aside, linked=linked))


def _draw_left(rng: np.random.Generator, person: Person, group: Group) -> LeftVentricle:
    """The left ventricle of a body: as large as it asks for, ejecting what the group does."""
    disease, severity = person.disease, person.severity
    indexed = cut_normal(rng, (81, 11) if person.sex is Sex.MALE else (75, 10))
    target = indexed * person.bsa_m2 * cut_normal(rng, group.volume, 0.5)
    thinner = THINNER if person.sex is Sex.FEMALE else -THINNER
    hollow, slimness = cut_normal(rng, group.hollow, 0.45, 0.88) + thinner, cut_normal(rng, group.slimness, 0.95, 1.7)
    ef = cut_normal(rng, group.ef, 8, 80) / 100
    lv = LeftVentricle(
        epi=1.0,
        endo=hollow,
        length=2 * slimness,
        apex_wall=(1 - hollow) * (rng.uniform(0.4, 0.8) if disease is Disease.HCM else rng.uniform(0.25, 0.65)),
        fullness=cut_normal(rng, group.fullness, 1.9),
        taper=cut_normal(rng, group.taper, 0.0),
        shortening=1 - cut_normal(rng, group.shortening, 0.01),
        squeeze_slope=cut_normal(rng, group.slope),
        twist=float(np.radians(cut_normal(rng, (4 + 14 * ef, 3)))),
        flattening=cut_normal(rng, group.flattening, 0.0),
        tilt=(cut_normal(rng, (0, 0.10)), cut_normal(rng, (0, 0.10))),
        thick=tuple(replace(region, amount=severity * region.amount) for region in _thick(rng, disease)),
        still=_still(rng, disease, severity),
        ripple=_ripple(rng, 0.045, range(2, 8)),
        wall_ripple=_ripple(rng, 0.06, range(1, 5)),
    )
    return _ejecting(_scaled(lv, target), ef)


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
        large, small = (trial.right_ml(t) for t in (0.0, peak))
        ratio = float(np.clip(stroke_ml / max(large - small, 1.0), 0.5, 2.0))
        if abs(ratio - 1) < 0.02:
            break
        basal, apical = (1 - (1 - s) * ratio for s in rv.squeeze)
        reached = (float(np.clip(basal, 0.55, 1.0)), float(np.clip(apical, 0.3, 1.0)))
        grow = 1.0 if reached == (basal, apical) else ratio**0.5
        descent = min(rv.descent * ratio**0.3, FURTHEST * heart.lv.length)
        rv = replace(rv, squeeze=reached, reach=rv.reach * grow, descent=descent)
    return replace(heart, rv=rv)


def _draw_right(rng: np.random.Generator, group: Group, lv: LeftVentricle) -> RightVentricle:
    basal = cut_normal(rng, group.rv_squeeze, 0.6, 1.0)
    apical = float(np.clip(basal - rng.uniform(1.5, 2.6) * (1 - basal), 0.22, 1.0))
    size = lv.length / 90
    healthy = np.clip((1 - basal) / 0.16, 0.2, 1.15)
    return RightVentricle(
        reach=cut_normal(rng, group.rv_reach, 0.3),
        apical_reach=cut_normal(rng, group.rv_apical, 0.5),
        angle=cut_normal(rng, group.rv_angle),
        apex=lv.length * cut_normal(rng, group.rv_apex),
        base=lv.length * cut_normal(rng, (0.98, 0.03)),
        descent=size * cut_normal(rng, (20, 2), 4) * float(healthy),
        squeeze=(basal, apical),
        skew=cut_normal(rng, (0.25, 0.10)),
        centre=cut_normal(rng, (0.05, 0.10)),
        wind=cut_normal(rng, group.rv_wind, 0.0, 1.1),
        tilt=cut_normal(rng, (0.12, 0.10)),
        wall=cut_normal(rng, group.rv_wall, 2.0),
        ripple=_ripple(rng, 0.05, range(2, 7)),
    )


def _failing_right(rng: np.random.Generator, rv: RightVentricle, severity: float) -> RightVentricle:
    """A free wall that stands still or moves outwards where ARVC begins: under the tricuspid valve, outflow, apex."""
    triangle = [(-0.75, 0.85), (0.65, 0.9), (0.0, 0.12)]
    still, bulge = [], []
    for theta, height in (triangle[i] for i in rng.permutation(3)[: 1 + round(2 * severity)]):
        at, up = theta + rng.normal(0, 0.08), height + rng.normal(0, 0.03)
        wide, high = rng.uniform(0.22, 0.4), rng.uniform(0.14, 0.24)
        still.append(Region(at, up, wide, high, 1.0 + 0.12 * severity * rng.random()))
        bulge.append(Region(at, up, 0.8 * wide, 0.8 * high, severity * rng.uniform(0.05, 0.25)))
    return replace(rv, still=tuple(still), bulge=tuple(bulge))
