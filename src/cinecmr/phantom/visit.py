"""One person in one machine on one day: everything that pictures and truth of a visit follow from, out of one seed.

Every part has a generator of its own, so that no image depends on which others are made, and a rescan keeps the heart.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from cinecmr.anatomy import Contrast, Disease, View
from cinecmr.phantom import views
from cinecmr.phantom.population import draw_heart
from cinecmr.phantom.scanner import PRESETS, Look, Scanner, draw_look
from cinecmr.phantom.surroundings import draw_chest
from cinecmr.phantom.torso import draw_torso

if TYPE_CHECKING:
    from cinecmr.phantom.atria import Atria
    from cinecmr.phantom.chest import Chest
    from cinecmr.phantom.heart import Heart
    from cinecmr.phantom.views import Placing, Planes

_TORSO, _PLAN, _NOISE = 77, 100, 200  # what each generator of a visit is for, beside the one of heart and chest


@dataclass(frozen=True)
class Visit:
    """One person in one machine on one day: all that pictures and truth follow from.

    Attributes:
        seed, rescan: of the person, and which visit of the same person this is.
        heart, chest: with atria. machine, look: how it is seen. placing: where it lies and what was planned.
    """

    seed: int
    rescan: int
    heart: Heart
    chest: Chest
    machine: Scanner
    look: Look
    placing: Placing

    @property
    def atria(self) -> Atria:
        """The chest's chambers, which every visit has."""
        if self.chest.chambers is None:
            raise ValueError("this chest has no atria: draw it with torso.draw_torso")
        return self.chest.chambers

    def noise(self, view: View, contrast: Contrast) -> np.random.Generator:
        """Of one image alone: no image depends on which others are made."""
        place = list(View).index(view), list(Contrast).index(contrast)
        return np.random.default_rng((7, self.seed, _NOISE + self.rescan, *place))


def draw_visit(
    seed: int,
    disease: Disease | None = None,
    *,
    rescan: int = 0,
    scanner: Scanner | None = None,
    severity: float | None = None,
    linked: bool = True,
) -> Visit:
    """Everything about a visit that a seed decides; see `synthetic_study`."""
    if rescan < 0:
        raise ValueError(f"rescan counts further visits of the same person from 0, got {rescan}")
    rng = np.random.default_rng((7, seed))
    heart = draw_heart(rng, disease, severity=severity, linked=linked)
    chest = draw_chest(rng, heart)
    machine = scanner or list(PRESETS.values())[int(rng.integers(len(PRESETS)))]
    look = draw_look(machine, rng)
    torso = draw_torso(np.random.default_rng((7, seed, _TORSO)), chest, heart)
    placing = views.draw_placing(np.random.default_rng((7, seed, _PLAN)))
    visit = Visit(seed, 0, heart, torso, machine, look, placing)
    return visit if rescan == 0 else _again(visit, rescan)


def _again(visit: Visit, rescan: int) -> Visit:
    """The same person on another day: same heart, another pulse, another place on the table, another plan."""
    rng = np.random.default_rng((7, visit.seed, _PLAN + rescan))
    beat = visit.heart.beat
    rate = float(np.exp(np.clip(rng.normal(0, 0.05), -0.12, 0.12)))
    heart = replace(visit.heart, beat=replace(beat, rr_s=float(np.clip(beat.rr_s * rate, 0.3, 2.0))))
    chest = replace(visit.chest, diaphragm_gap=max(visit.chest.diaphragm_gap + rng.normal(0, 2), 1.0))
    fresh = draw_look(visit.machine, rng)
    look = replace(visit.look, flow=fresh.flow, shading_direction=fresh.shading_direction, waves=fresh.waves)
    moved = visit.placing.to_patient.copy()
    moved[:3, 3] += rng.normal(0, 8, 3)
    return replace(visit, rescan=rescan, heart=heart, chest=chest, look=look, placing=views.replan(moved, rng))


def plan(visit: Visit, matrix: tuple[int, int] | None = None, *, long_axis: bool = True) -> dict[View, Planes]:
    """Every plane of a visit, the short axis first."""
    rng = np.random.default_rng((7, visit.seed, _PLAN + visit.rescan, 1))
    planes = {View.SAX: views.short_axis(visit.heart, visit.machine, visit.placing, rng, matrix)}
    if long_axis:
        for view in views.LONG_AXIS:
            planes[view] = views.long_axis(view, visit.heart, visit.atria, visit.machine, visit.placing, matrix)
    return planes
