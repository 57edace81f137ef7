"""The commands, run as a user runs them, and what they work on."""

from __future__ import annotations

import io
import subprocess
import sys
import warnings
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cinecmr import cli

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
    """Runs `cinecmr WORDS...` in this process, as a start of torch costs seconds; its exit code and what it printed."""

    def run(*words: object) -> Ended:
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err), warnings.catch_warnings():
            try:
                cli.main([str(word) for word in words])
                code = 0
            except SystemExit as end:
                code = int(end.code or 0)
        return Ended(code, out.getvalue(), err.getvalue())

    return run


@pytest.fixture(scope="session")
def installed() -> Callable[..., Ended]:
    """The same of the installed command, in a process of its own."""
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
