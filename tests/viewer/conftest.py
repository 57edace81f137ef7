"""A small analysis in a folder, as `cinecmr analyze` leaves it."""

import numpy as np
import pytest

from cinecmr.analyze import pipeline, report, session
from cinecmr.anatomy import Structure

MADE = {"model": "drawn", "papillary": "papillary_in_volume"}


@pytest.fixture
def folder(tiny_heart, tiny_model, tmp_path):
    """Of the tiny heart, labels drawn by hand."""
    found = pipeline.analyze(tiny_heart.study, tiny_model)
    report.write_outputs(tmp_path, tiny_heart.study, found, provenance=MADE)
    session.save(tmp_path, session.Session(tiny_heart.study, tiny_model.source, MADE))
    return tmp_path


@pytest.fixture
def grown(tiny_heart):
    """A plane whose cavity took one pixel all round from its wall: (row, column) as the screen shows it."""
    from scipy import ndimage

    def grow(desk, z, t):
        plane = desk.plane(z, t)
        ring = ndimage.binary_dilation(plane == Structure.LV) & (plane == Structure.MYO)
        return np.where(ring, Structure.LV, plane).astype(np.uint8), int(ring.sum())

    return grow
