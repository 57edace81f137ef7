"""Small hearts for every test, and no way out to the network."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from cinecmr.anatomy import Contrast, Structure, View
from cinecmr.study import Facts, Image, Study

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Whole files that write and read many studies or start the installed command: not of the quick set.
SLOW = {
    "analyze/test_importing.py",
    "analyze/test_motion.py",
    "analyze/test_page_in_browser.py",
    "analyze/test_pdf.py",
    "cohort/test_isolation.py",
    "cohort/test_run.py",
    "contracts/test_datasets.py",
    "contracts/test_pretrain.py",
    "contracts/test_tables.py",
    "contracts/test_tagged_prior_tables.py",
    "contracts/test_tasks.py",
    "datasets/test_layouts.py",
    "experiments/test_cc_cmr.py",
    "experiments/test_killed.py",
    "experiments/test_phantom_realism.py",
    "experiments/test_phantom_shapes.py",
    "experiments/test_phantom_truth.py",
    "experiments/test_ssp.py",
    "experiments/test_ssp_vendors.py",
    "io/test_deidentify.py",
    "io/test_dicom_out.py",
    "io/test_dicom_pictures.py",
    "io/test_dicom_rows.py",
    "io/test_enhanced.py",
    "io/test_real_studies.py",
    "journeys/test_analyze.py",
    "journeys/test_bad_input.py",
    "journeys/test_dicom_out.py",
    "journeys/test_learning.py",
    "learn/test_devices.py",
    "learn/test_restart.py",
    "motion/test_register.py",
    "phantom/test_atria.py",
    "phantom/test_cohort.py",
    "phantom/test_population.py",
    "phantom/test_stacks.py",
    "pretrain/test_mae.py",
    "pretrain/test_slice_methods.py",
    "tasks/test_teaching.py",
    "viewer/test_desk.py",
    "viewer/test_editor_in_browser.py",
    "viewer/test_server.py",
}
TINY_NETWORKS = ("learn", "motion", "networks", "pretrain", "tasks")
LOOPBACK = ("127.0.0.1", "::1", "localhost")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test of the slow files."""
    for item in items:
        if "/".join(item.path.parts[-2:]) in SLOW:
            item.add_marker(pytest.mark.slow)


HERE = Path(__file__).resolve()
PLACES = (HERE.parent / "fixtures", HERE.parents[2] / "shared" / "fixtures")


@pytest.fixture(scope="session")
def fixture_file() -> Callable[[str], Path]:
    """Path of a fixture such as "ssp/unet_tiny.safetensors"; the test skips where it is absent."""

    def find(name: str) -> Path:
        found = [place / name for place in PLACES if (place / name).is_file()]
        if not found:
            pytest.skip(f"the fixture {name} is not on this computer")
        return found[0]

    return find


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that reaches beyond this computer fails; a browser on this computer may be reached."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in LOOPBACK:
            raise AssertionError(f"a test tried to reach {address}: tests use no network")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture(autouse=True)
def one_thread(request: pytest.FixtureRequest) -> Iterator[None]:
    """In rooms of tiny networks one thread: they wait for threads longer than they compute, and sums keep one order."""
    if request.path.parent.name not in TINY_NETWORKS:
        yield
        return
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@dataclass(frozen=True)
class TinyHeart:
    """A study and the labels that are true of it.

    Attributes:
        study: short-axis cine, 32 x 32 pixels of 2 mm, 8 slices 10 mm apart, 12 frames over 900 ms.
        labels: (x, y, z, t); the outermost slices are empty, the LV fills slices 1 to 6.
    """

    study: Study
    labels: np.ndarray

    @property
    def image(self) -> Image:
        return self.study[View.SAX]


def discs(radius: np.ndarray, wall: np.ndarray, rv: np.ndarray, size: int = 32) -> np.ndarray:
    """Labels of discs; radii (z, t) in pixels. Slices of radius 0 are empty."""
    x, y = np.meshgrid(np.arange(size), np.arange(size), indexing="ij")
    to_lv = np.hypot(x - 21, y - 16)[:, :, None, None]
    to_rv = np.hypot(x - 5.5, y - 16)[:, :, None, None]
    labels = np.zeros((size, size, *radius.shape), np.uint8)
    labels[(to_rv < rv) & (rv > 0)] = Structure.RV
    labels[(to_lv < radius + wall) & (radius > 0)] = Structure.MYO
    labels[(to_lv < radius) & (radius > 0)] = Structure.LV
    return labels


@pytest.fixture
def tiny_heart() -> TinyHeart:
    """Eight slices, twelve frames; largest at frame 0, smallest at frame 4 (LV) and 5 (RV)."""
    z = np.array([0, 3.6, 6, 7, 7, 6.5, 5, 0])[:, None]
    t = np.arange(12)
    squeeze_lv = 1 - 0.35 * np.exp(-(((t - 4) / 2.2) ** 2))
    squeeze_rv = 1 - 0.28 * np.exp(-(((t - 5) / 2.2) ** 2))
    labels = discs(z * squeeze_lv, np.sqrt(9 + 0.8 * z**2 * (1 - squeeze_lv)), 0.7 * z * squeeze_rv)
    rng = np.random.default_rng(5)
    bright = np.array([40.0, 180.0, 90.0, 200.0])[labels]
    image = Image(
        (bright + rng.normal(0, 5, bright.shape)).astype(np.float32),
        np.diag([2.0, 2.0, 10.0, 1.0]),
        t * 0.075,
        rr_ms=900.0,
        thickness_mm=8.0,
    )
    return TinyHeart(Study("tiny", {(View.SAX, Contrast.CINE): image}, Facts(1.80, 80.0)), labels)


class LabelsModel:
    """A model that answers with labels it was given."""

    source = "drawn-by-hand"
    name = "drawn"
    sha256 = "0" * 64

    def __init__(self, labels: np.ndarray) -> None:
        self.labels = labels

    def segment(self, image: Image, progress: Any = None) -> np.ndarray:
        if progress:
            progress(1.0)
        return self.labels.copy()


@pytest.fixture
def tiny_model(tiny_heart: TinyHeart) -> LabelsModel:
    """Finds exactly what is true of `tiny_heart`."""
    return LabelsModel(tiny_heart.labels)
