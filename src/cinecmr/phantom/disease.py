"""What each disease does to a heart: one row of figures a group, and how severity scales it.

Pairs are mean and standard deviation of a normal draw cut at two standard deviations. The first five groups were set
so that label maps of a cohort have the medians of real ones; the others follow published figures
(docs/explanation/phantom.md names them).
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

from cinecmr.anatomy import Disease

Range = tuple[float, float]  # mean and standard deviation of a normal draw, cut at two standard deviations

# A mixture of phantoms is drawn from these unless others are asked for, and these are drawn at full severity unless
# another is asked for, so that a seed keeps the heart it always had.
MIXTURE = (Disease.NORMAL, Disease.DCM, Disease.HCM, Disease.INFARCT, Disease.ABNORMAL_RV)
THINNER = 0.008  # added to the hollow of women, taken from that of men: their walls differ more than their cavities
_WHO = ("age", "male", "body")  # who has a disease does not depend on how severe it is


@dataclass(frozen=True)
class Group:
    """How one disease shapes the heart. Pairs are mean and standard deviation; what is not said is a healthy heart's.

    Attributes:
        volume: end-diastolic volume of the left ventricle against a healthy one of the same body.
        hollow: endocardial over epicardial radius; `THINNER` sets women and men apart.
        slimness: long axis over epicardial diameter.
        ef: ejection fraction of the left ventricle, %.
        shortening: 1 - lambda at end-systole.
        fullness, taper: see `LeftVentricle`.
        rv_reach, rv_squeeze: see `RightVentricle` (the squeeze at the base; the apex follows).
        rv_apical: apical reach. rv_apex: height of its apex, share of the long axis.
        rv_angle, rv_wind: see `RightVentricle`. flattening: of the septum.
        slope: see `LeftVentricle.squeeze_slope`; large where the apex is spared or closes.
        rv_wall: thickness of the right free wall, mm.
        rate: heart rate, beats a minute.
        age: youngest and oldest, years. male: share of men. body: scale of the body-mass index above 17.5 kg/m2,
            whose mean is 17.5 + 4.5 times this.
    """

    volume: Range = (1.0, 0.1)
    hollow: Range = (0.777, 0.014)
    slimness: Range = (1.24, 0.08)
    ef: Range = (61, 5)
    shortening: Range = (0.15, 0.02)
    fullness: Range = (2.4, 0.15)
    taper: Range = (0.03, 0.03)
    rv_reach: Range = (0.96, 0.06)
    rv_squeeze: Range = (0.8, 0.05)
    rv_apical: Range = (1.0, 0.1)
    rv_apex: Range = (0.03, 0.04)
    rv_angle: Range = (0.9, 0.06)
    rv_wind: Range = (0.52, 0.14)
    flattening: Range = (0.05, 0.03)
    slope: Range = (0.10, 0.03)
    rv_wall: Range = (3.2, 0.6)
    rate: Range = (72, 11)
    age: tuple[float, float] = (20, 82)
    male: float = 0.55
    body: float = 2.0

    def at(self, severity: float) -> Group:
        """This group between health and its own row.

        Args:
            severity: 0 is the healthy row, 1 this one.

        Raises:
            ValueError: `severity` is not a share.

        >>> GROUPS[Disease.DCM].at(0.0).ef == GROUPS[Disease.NORMAL].ef
        True
        """
        if not 0 <= severity <= 1:
            raise ValueError(f"severity is a share: 0 is a healthy heart, 1 the group's own, got {severity}")
        if severity == 1:
            return self  # exactly: the hearts of a seed hang on it
        healthy = GROUPS[Disease.NORMAL]
        between: dict[str, Range] = {}
        for name in (entry.name for entry in fields(self) if entry.name not in _WHO):
            start, end = getattr(healthy, name), getattr(self, name)
            between[name] = (
                start[0] + severity * (end[0] - start[0]),
                start[1] + severity * (end[1] - start[1]),
            )
        return replace(self, **between)  # type: ignore[arg-type]  # only pairs are replaced


GROUPS: dict[Disease, Group] = {
    Disease.NORMAL: Group(),
    Disease.DCM: Group(
        volume=(1.9, 0.35),
        hollow=(0.8, 0.02),
        slimness=(1.12, 0.08),
        ef=(18, 7),
        shortening=(0.05, 0.02),
        fullness=(2.7, 0.25),
        taper=(0.12, 0.05),
        rv_reach=(0.78, 0.2),
        rv_squeeze=(0.88, 0.08),
        rv_apical=(1.0, 0.2),
        rv_apex=(0.07, 0.06),
        rv_angle=(0.84, 0.07),
        rv_wind=(0.42, 0.15),
    ),
    Disease.HCM: Group(
        volume=(0.92, 0.14),
        hollow=(0.705, 0.035),
        slimness=(1.14, 0.09),
        ef=(69, 5),
        shortening=(0.14, 0.03),
        fullness=(2.4, 0.25),
        taper=(0.08, 0.05),
        rv_reach=(0.74, 0.11),
        rv_squeeze=(0.73, 0.06),
        rv_apical=(0.5, 0.15),
        rv_apex=(0.17, 0.06),
        rv_angle=(0.78, 0.06),
        rv_wind=(0.72, 0.16),
        slope=(0.26, 0.07),  # a thick wall closes the apical half of its cavity
    ),
    Disease.INFARCT: Group(
        volume=(1.35, 0.3),
        hollow=(0.79, 0.025),
        slimness=(1.15, 0.09),
        ef=(33, 8),
        shortening=(0.09, 0.03),
        fullness=(2.6, 0.25),
        taper=(0.07, 0.05),
        rv_reach=(0.72, 0.16),
        rv_squeeze=(0.77, 0.08),
        rv_apical=(1.0, 0.2),
        rv_apex=(0.08, 0.06),
        rv_wind=(0.66, 0.18),
    ),
    Disease.ABNORMAL_RV: Group(
        volume=(0.92, 0.16),
        hollow=(0.785, 0.025),
        slimness=(1.24, 0.1),
        ef=(55, 8),
        shortening=(0.12, 0.03),
        fullness=(2.35, 0.2),
        taper=(0.04, 0.04),
        rv_reach=(1.04, 0.2),
        rv_squeeze=(0.93, 0.06),
        rv_apical=(2.7, 0.5),
        rv_apex=(-0.03, 0.03),
        rv_wind=(0.4, 0.12),
        flattening=(0.09, 0.06),
    ),
    # The left ventricle is near normal; the right one is wide, thin and moves out where it should move in.
    Disease.ARVC: Group(
        volume=(1.0, 0.12),
        hollow=(0.775, 0.02),
        ef=(56, 5),
        shortening=(0.13, 0.02),
        rv_reach=(1.3, 0.15),
        rv_squeeze=(0.92, 0.04),
        rv_apical=(1.7, 0.3),
        rv_apex=(0.02, 0.03),
        rv_angle=(0.93, 0.05),
        rv_wall=(2.6, 0.3),
        age=(18, 62),
        male=0.65,
    ),
    # Concentric: more wall around the same cavity; the ejection fraction holds, the long axis shortens less.
    Disease.HYPERTENSIVE: Group(
        hollow=(0.7, 0.02),
        slimness=(1.2, 0.07),
        ef=(63, 4),
        shortening=(0.115, 0.02),
        taper=(0.04, 0.03),
        rv_reach=(0.92, 0.09),
        slope=(0.13, 0.04),
        age=(42, 84),
        body=2.5,
    ),
    # Balanced: both cavities and the wall grow together, at the same ejection fraction and a slow pulse.
    Disease.ATHLETE: Group(
        volume=(1.27, 0.08),
        hollow=(0.755, 0.015),
        slimness=(1.22, 0.07),
        ef=(59, 4),
        shortening=(0.155, 0.02),
        rv_reach=(1.04, 0.08),
        rv_squeeze=(0.8, 0.04),
        rate=(55, 6),
        age=(18, 42),
        body=1.2,
    ),
    # Thick, stiff walls of both ventricles around a small cavity; base and long axis fail, the apex is spared.
    Disease.AMYLOID: Group(
        volume=(0.85, 0.12),
        hollow=(0.64, 0.025),
        slimness=(1.18, 0.07),
        ef=(53, 6),
        shortening=(0.075, 0.02),
        taper=(0.04, 0.03),
        rv_reach=(0.8, 0.09),
        rv_squeeze=(0.85, 0.05),
        slope=(0.24, 0.04),
        rv_wall=(6.5, 0.9),
        rate=(78, 10),
        age=(52, 88),
        male=0.7,
    ),
}

# Where the territories of the coronary arteries are centred: angle, rad, and height, share of the long axis.
# Septum and anterior wall (LAD), lateral wall (LCX), inferior wall (RCA); how often each is the culprit.
TERRITORIES = {"LAD": (0.7, 0.35), "LCX": (2.6, 0.55), "RCA": (-1.9, 0.6)}
CULPRITS = (0.55, 0.2, 0.25)
