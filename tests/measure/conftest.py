"""Long-axis planes of synthetic hearts, drawn finely from the geometry: what long-axis measures are tested on."""

from dataclasses import dataclass

import numpy as np
import pytest

from cinecmr.anatomy import Disease, View
from cinecmr.phantom.atria import draw_atria
from cinecmr.phantom.landmarks import mark
from cinecmr.phantom.population import draw_heart
from cinecmr.phantom.scanner import Scanner
from cinecmr.phantom.views import draw_placing, long_axis

TIMES = (0.0, 0.2, 0.38, 0.7)
HEARTS = {15: Disease.NORMAL, 3: Disease.DCM, 8: Disease.HCM}
PIXELS = 150


@dataclass(frozen=True)
class Beating:
    """A heart at four moments.

    Attributes:
        heart, moments, marks: its geometry, surfaces and landmarks.
        axis: from apex to base, patient RAS.
        seen: (x, y, 1, t) labels and affine of the two- and the four-chamber view.
        atria_ml: volumes of LA and RA at each moment, closed form.
    """

    heart: object
    moments: list
    marks: dict
    axis: np.ndarray
    seen: dict
    atria_ml: list


@pytest.fixture(scope="session", params=HEARTS, ids=[disease.value for disease in HEARTS.values()])
def beating(request) -> Beating:
    heart = draw_heart(np.random.default_rng(request.param), HEARTS[request.param])
    atria = draw_atria(np.random.default_rng(request.param + 1), heart)
    placing = draw_placing(np.random.default_rng(request.param + 2))
    moments = [heart.surfaces(time) for time in TIMES]
    size = (PIXELS, PIXELS)
    planes = {view: long_axis(view, heart, atria, Scanner(), placing, size) for view in (View.LAX_2C, View.LAX_4C)}
    at = np.stack(np.meshgrid(np.arange(PIXELS), np.arange(PIXELS), [0], indexing="ij"), axis=-1).astype(float)
    seen = {}
    for view, plane in planes.items():
        points = (at @ plane.local[:3, :3].T + plane.local[:3, 3]).astype(np.float32)
        labels = np.zeros((PIXELS, PIXELS, 1, len(TIMES)), np.uint8)
        for frame, (surfaces, time) in enumerate(zip(moments, TIMES, strict=True)):
            codes = heart.labels_on(points, surfaces).copy()
            atria.label(codes, points, heart, surfaces, time)
            labels[..., frame] = codes
        seen[view] = labels, plane.affine
    volumes = [atria.volumes_ml(heart, surfaces, time) for surfaces, time in zip(moments, TIMES, strict=True)]
    return Beating(heart, moments, mark(heart, moments, planes.values()), placing.to_patient[:3, 2], seen, volumes)
