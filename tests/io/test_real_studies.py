"""Two scanners' own files, where they are there: shared/real is not part of the package."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pydicom
import pytest

from cinecmr import io
from cinecmr.anatomy import View

REAL = Path(__file__).resolve().parents[2].parent / "shared" / "real"
SIEMENS = REAL / "siemens_study"
SUNNYBROOK = [REAL / "sunnybrook" / name / "dicom" for name in ("SC-HF-I-1", "SC-HF-I-2")]

there = pytest.mark.skipif(not SIEMENS.is_dir(), reason="the real studies of ../shared/real are not on this machine")


@there
def test_the_siemens_study_has_six_slices_17_7_mm_apart_and_three_long_axes():
    found = io.read(SIEMENS)
    sax = found[View.SAX]
    assert (sax.slices, sax.frames, sax.thickness_mm) == (6, 25, 6.0)
    assert sax.spacing[2] == pytest.approx(17.7, abs=0.05)
    assert {flag.code for flag in found.flags} == {"slice-gap", "no-sex", "view-name-differs"}
    rows = io.inspect(SIEMENS).rows
    used = {row.series: row.view for row in rows if row.used and row.view != "SAX"}
    # 16001 is called 4CH, but its picture shows left ventricle and aorta: the three-chamber view.
    assert used == {"14001": "LAX_4C", "16001": "LAX_3C", "17001": "LAX_2C"}
    left = {row.series: row.reason for row in rows if not row.used}
    assert set(left) == {"19001", "22001"}  # a two-chamber view of the right ventricle, and its outflow tract


@there
@pytest.mark.parametrize("folder", SUNNYBROOK, ids=["1", "2"])
def test_every_sunnybrook_pixel_lies_where_its_own_header_says(folder):
    sax = io.read(folder)[View.SAX]
    assert (sax.frames, sax.slices) == (20, len(list(folder.iterdir())) // 20)
    to_index = np.linalg.inv(sax.affine)
    frames: dict[tuple[float, ...], list[float]] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        files = [pydicom.dcmread(path) for path in sorted(folder.iterdir())[::7]]
        every = [pydicom.dcmread(path, stop_before_pixels=True) for path in folder.iterdir()]
        for ds in every:
            frames.setdefault(tuple(ds.ImagePositionPatient), []).append(float(ds.TriggerTime))
        for ds in files:
            corner = to_index @ [*(np.array(ds.ImagePositionPatient, float) * [-1, -1, 1]), 1]
            np.testing.assert_allclose(corner[:3], np.rint(corner[:3]), atol=0.01)
            frame = sorted(frames[tuple(ds.ImagePositionPatient)]).index(float(ds.TriggerTime))
            np.testing.assert_array_equal(sax.data[:, :, round(corner[2]), frame], ds.pixel_array.T)
