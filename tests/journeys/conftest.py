"""The installed command, run as a user runs it."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from cinecmr.study import Findings, Study


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


@pytest.fixture(scope="session")
def cinecmr() -> Callable[..., Ended]:
    """Runs `cinecmr WORDS...` and returns its exit code and what it printed."""
    command = Path(sys.executable).with_name("cinecmr")

    def run(*words: object) -> Ended:
        told = subprocess.run([str(command), *map(str, words)], capture_output=True, text=True, timeout=900)
        return Ended(told.returncode, told.stdout, told.stderr)

    return run


@pytest.fixture(scope="session")
def small_study() -> tuple[Study, Findings]:
    """A whole synthetic study, small: 48 x 48 pixels, 8 frames, short and long axis; and its truth."""
    from cinecmr.phantom.study import synthetic_study

    return synthetic_study(3, frames=8, matrix=(48, 48))


@pytest.fixture(scope="session")
def small_dicom(small_study: tuple[Study, Findings], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`small_study` as DICOM files."""
    from cinecmr.phantom.dicom_files import write_dicom

    folder = tmp_path_factory.mktemp("small_dicom")
    write_dicom(small_study[0], folder, seed=3)
    return folder
