"""A beating ball with known volumes, cut as a scanner cuts a heart."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from cinecmr import io
from cinecmr.anatomy import Contrast, Sex, View
from cinecmr.phantom.dicom_files import write_dicom
from cinecmr.study import Facts, Image, Study

sys.path.insert(0, str(Path(__file__).parent))  # for `planted`

APEX = np.array([-0.60, 0.57, -0.56]) / np.linalg.norm([-0.60, 0.57, -0.56])
CENTRE = np.array([-35.0, 20.0, -30.0])  # RAS mm
FRAMES, SLICES, STEP_MM, RR_S, BRIGHT = 10, 6, 10.0, 0.8, 1000
CUTS = {View.LAX_4C: 30.0, View.LAX_2C: 92.0, View.LAX_3C: 148.0}  # degrees from lateral towards anterior


@dataclass(frozen=True)
class Ball:
    """A study and its truth: `ml` is the volume at every frame, slice by slice pi r^2 times the slice distance."""

    study: Study
    ml: np.ndarray

    @property
    def image(self) -> Image:
        return self.study[View.SAX]


def clock_face() -> tuple[np.ndarray, np.ndarray]:
    """Up and lateral in the short-axis plane, seen from the apex."""
    up = np.array([0.0, 0.0, 1.0]) - APEX[2] * APEX
    up /= np.linalg.norm(up)
    return up, np.cross(up, APEX)


def affine_of(x: np.ndarray, y: np.ndarray, z: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """Columns with their steps, the middle of the grid at CENTRE."""
    affine = np.eye(4)
    affine[:3, :3] = np.stack([x, y, z], axis=1)
    affine[:3, 3] = CENTRE - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return affine


def discs(shape: tuple[int, int], pixel: float, radii: np.ndarray) -> np.ndarray:
    """(x, y, *radii) anti-aliased discs: the sum over a disc is its area in pixels times BRIGHT."""
    fine = 8
    axes = [(np.arange(n * fine) + 0.5) / fine - n / 2 for n in shape]
    distance = np.hypot(*np.meshgrid(*axes, indexing="ij")) * pixel
    inside = distance[..., None, None] < radii
    coarse = inside.reshape(shape[0], fine, shape[1], fine, *radii.shape).mean(axis=(1, 3))
    return np.rint(BRIGHT * coarse).astype(np.int16)


def make_ball(frames: int = FRAMES, slices: int = SLICES, *, long_axis: bool = True, thickness: float = 8.0) -> Ball:
    up, right = clock_face()
    turn = np.radians(17.0)
    x, y = np.cos(turn) * right - np.sin(turn) * up, -np.sin(turn) * right - np.cos(turn) * up
    height = np.linspace(-0.75, 0.7, slices)[:, None]
    times = np.arange(frames) / frames
    radii = 24 * np.sqrt(1 - height**2) * (1 - 0.3 * np.sin(np.pi * np.minimum(1, times / 0.7)) ** 2)
    affine = affine_of(2.5 * x, 2.5 * y, STEP_MM * APEX, (26, 22, slices))
    data = discs((26, 22), 2.5, radii)
    flat = Image(data, affine, times * RR_S, rr_ms=1000 * RR_S, thickness_mm=thickness)
    images = {(View.SAX, Contrast.CINE): flat}
    for view, angle in CUTS.items() if long_axis else ():
        a = np.radians(angle)
        across = np.cos(a) * right + np.sin(a) * up
        plane = affine_of(3 * across, 3 * APEX, 8 * np.cross(across, APEX), (20, 20, 1))
        picture = discs((20, 20), 3.0, 20 + 3 * np.cos(2 * np.pi * times)[None])
        images[view, Contrast.CINE] = Image(picture, plane, times * RR_S, view, rr_ms=1000 * RR_S, thickness_mm=8.0)
    facts = Facts(height_m=1.72, weight_kg=68.0, age_y=54.0, sex=Sex.FEMALE, field_t=1.5)
    return Ball(Study("ball", images, facts), np.pi * (radii**2).sum(axis=0) * STEP_MM / 1000)


def ml(image: Image) -> np.ndarray:
    """Volume of the ball at every frame; a missing slice counts as the mean of its neighbours."""
    area = image.data.astype(float).sum(axis=(0, 1)) / BRIGHT
    for z in image.missing_slices:
        area[z] = (area[z - 1] + area[z + 1]) / 2
    return area.sum(axis=0) * abs(np.linalg.det(image.affine[:3, :3])) / 1000


@pytest.fixture(scope="session")
def ball() -> Ball:
    """Short axis and three long axes."""
    return make_ball()


@pytest.fixture(scope="session")
def short_ball() -> Ball:
    """Short axis only: fewer files."""
    return make_ball(long_axis=False)


@pytest.fixture(scope="session")
def new_ball():
    """See `make_ball`."""
    return make_ball


@pytest.fixture(scope="session")
def same_images():
    """Every pixel, every affine within 0.01 mm, every frame time within 0.1 ms."""

    def compare(found: Study, truth: Study) -> None:
        assert set(found.images) == set(truth.images)
        for key, image in truth.images.items():
            np.testing.assert_allclose(found[key].data, image.data, atol=1e-3)
            columns = slice(0, 2) if image.slices == 1 else slice(0, 3)
            np.testing.assert_allclose(found[key].affine[:, columns], image.affine[:, columns], atol=1e-4)
            np.testing.assert_allclose(found[key].affine[:, 3], image.affine[:, 3], atol=1e-2)
            np.testing.assert_allclose(found[key].times, image.times, atol=1e-4)

    return compare


@pytest.fixture
def scanned(tmp_path, short_ball):
    """Write the short-axis ball with faults and read it back."""

    def go(*faults: str, vendor: str = "siemens", study: Study | None = None, syntax: str = "explicit", **options):
        write_dicom(study or short_ball.study, tmp_path / "dicom", vendor=vendor, faults=faults, seed=3, syntax=syntax)
        return io.read(tmp_path / "dicom", **options)

    return go


@pytest.fixture
def volume():
    """See `ml`."""
    return ml
