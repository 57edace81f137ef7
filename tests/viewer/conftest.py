"""A small analysis in a folder, as `cinecmr analyze` leaves it."""

import shutil

import numpy as np
import pytest

from cinecmr.analyze import pipeline, report, session
from cinecmr.anatomy import Structure

MADE = {"model": "drawn", "papillary": "papillary_in_volume"}


@pytest.fixture(scope="session")
def analysed(tmp_path_factory):
    """Where the analysis lies that each test gets a copy of."""
    return tmp_path_factory.mktemp("analysed")


@pytest.fixture
def folder(tiny_heart, tiny_model, analysed, tmp_path):
    """Of the tiny heart, labels drawn by hand."""
    if not any(analysed.iterdir()):
        found = pipeline.analyze(tiny_heart.study, tiny_model)
        report.write_outputs(analysed, tiny_heart.study, found, provenance=MADE)
        session.save(analysed, session.Session(tiny_heart.study, tiny_model.source, MADE))
    shutil.copytree(analysed, tmp_path, dirs_exist_ok=True)
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
