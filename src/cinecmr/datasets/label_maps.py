"""Label maps laid out as ACDC lays them: SUBJECT/SUBJECT_{ED,ES}_gt.nii.gz, or plain SUBJECT_{ED,ES}.nii.gz.

ACDC's codes are `Structure`'s own. Source: Bernard et al. 2018, doi 10.1109/TMI.2018.2837502.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cinecmr.anatomy import Disease, Structure
from cinecmr.datasets.acdc import GROUPS
from cinecmr.errors import RefusedInput
from cinecmr.io import nifti
from cinecmr.io.files import write_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

PHASES = ("ED", "ES")
PER_GROUP = 20  # training subjects, numbered in the order of `GROUPS`
WHOLE = 1e-3  # a code stored as a scaled float is off by less
_CODES = (Structure.BACKGROUND, Structure.RV, Structure.MYO, Structure.LV)
_NAME = re.compile(r"(?P<subject>.+)_(?P<phase>ED|ES)(_gt)?\.nii(\.gz)?$")


@dataclass(frozen=True)
class Case:
    """The label maps of one subject.

    Attributes:
        subject: name.
        disease: its group; None where nothing tells it.
        labels: file of "ED" and "ES"; one may be absent.
    """

    subject: str
    disease: Disease | None
    labels: Mapping[str, Path]


def cases(folder: Path) -> list[Case]:
    """The subjects of a folder, sorted by name.

    Args:
        folder: SUBJECT/SUBJECT_ED_gt.nii.gz and so on; or, where there are no such, SUBJECT_ED.nii.gz and so on
            without folders. Other files are passed over.

    Raises:
        RefusedInput: nothing there is named so.
    """
    files = sorted(folder.glob("*/*_gt.nii*")) or sorted(folder.glob("*.nii*"))
    found: dict[str, dict[str, Path]] = {}
    for path in files:
        if named := _NAME.match(path.name):
            found.setdefault(named["subject"], {})[named["phase"]] = path
    if not found:
        raise RefusedInput(
            "no-label-maps",
            f"{folder} holds no label maps named SUBJECT/SUBJECT_ED_gt.nii.gz or SUBJECT_ED.nii.gz (ES likewise)",
        )
    return [Case(name, group_of(name, next(iter(maps.values())).parent), maps) for name, maps in sorted(found.items())]


def group_of(subject: str, folder: Path) -> Disease | None:
    """The group that Info.cfg names; else that of ACDC's numbering (patient001 to patient100); else None."""
    info = folder / "Info.cfg"
    if info.is_file() and (told := re.search(r"^Group:\s*(\w+)", info.read_text("utf-8", "replace"), re.MULTILINE)):
        return GROUPS.get(told[1])
    numbered = re.fullmatch(r"patient(\d{3})", subject)
    number = int(numbered[1]) - 1 if numbered else -1
    return list(GROUPS.values())[number // PER_GROUP] if 0 <= number < PER_GROUP * len(GROUPS) else None


def read_labels(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """One label map.

    Returns:
        (x, y, z) `Structure` codes, and the (4, 4) affine of the file.

    Raises:
        RefusedInput: not readable, not one frame, or other codes.
    """
    image = nifti.read_image(path)
    codes = image.data.round()
    if image.frames != 1 or not np.isin(codes, _CODES).all() or np.abs(codes - image.data).max() > WHOLE:
        raise RefusedInput("unknown-labels", f"{path} is not a label map of one frame: 0 background, 1 RV, 2 MYO, 3 LV")
    return codes[..., 0].astype(np.uint8), image.affine


def write_labels(
    folder: Path, subject: str, disease: Disease, labels: Mapping[str, NDArray[np.uint8]], affine: NDArray[np.float64]
) -> None:
    """Write the label maps of one subject in this layout, and its group in Info.cfg.

    Args:
        folder: gets SUBJECT/.
        subject: name.
        disease: group.
        labels: (x, y, z) of "ED" and "ES".
        affine: (4, 4) voxel index to mm.
    """
    name = next(name for name, group in GROUPS.items() if group is disease)
    for phase, codes in labels.items():
        nifti.write_labels(folder / subject / f"{subject}_{phase}_gt.nii.gz", codes[..., None], affine, [0.0])
    write_text(folder / subject / "Info.cfg", f"Group: {name}\n")
