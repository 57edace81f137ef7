"""Cohorts of tiny hearts with labels, quick to measure without a model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from cinecmr.anatomy import View
from cinecmr.io import nifti

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

KEY = bytes(range(32))


@dataclass(frozen=True)
class Hearts:
    """A list of studies on disk.

    Attributes:
        folder: of the files. list: of the studies. ml: true end-diastolic LV volume of each, by its folder's name.
    """

    folder: Path
    list: Path
    ml: dict[str, float]

    def add(self, *lines: str) -> None:
        """More lines of the list."""
        with self.list.open("a") as file:
            file.writelines(f"{line}\n" for line in lines)


@pytest.fixture
def hearts(tmp_path: Path, tiny_heart: Any) -> Callable[[int], Hearts]:
    """Makes a cohort of so many hearts of growing size, at sites 0 and 1 in turn, with labels in the list."""

    def make(count: int) -> Hearts:
        folder, ml = tmp_path / "source", {}
        folder.mkdir()
        lines = ["study,site,height,weight,labels"]
        for number in range(count):
            name = f"Smith^John_{number}"  # a folder is often called by a person
            image = tiny_heart.study[View.SAX]
            affine = image.affine @ np.diag([1 + 0.02 * number, 1, 1, 1])
            nifti.write_image(folder / name / "sax.nii.gz", image.data, affine, image.times)
            nifti.write_labels(folder / name / "sax_gt.nii.gz", tiny_heart.labels, affine, image.times)
            lines.append(f"{name},{number % 2},{170 + number},70,{name}/sax_gt.nii.gz")
            voxels = (tiny_heart.labels[..., 0] == 3).sum()
            ml[name] = float(voxels * abs(np.linalg.det(affine[:3, :3])) / 1000)
        (folder / "list.csv").write_text("\n".join(lines) + "\n")
        return Hearts(folder, folder / "list.csv", ml)

    return make
