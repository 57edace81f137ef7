"""MyoPS 2020: one balanced cine frame, late enhancement and T2 of 45 patients with infarction, on one grid.

Layout:

    train25/myops_training_101_C0.nii.gz          balanced SSFP; DE late enhancement, T2 with oedema bright
    train25_myops_gd/myops_training_101_gd.nii.gz 200 myocardium, 500 LV, 600 RV, 1220 oedema, 2221 scar
    test20/myops_test_201_C0.nii.gz               as in training; their labels were never published

The three stacks were aligned and resampled to one grid by the publishers, so one label map serves all.

Source: Li et al. 2023, doi 10.1016/j.media.2023.102808; Zhuang 2019, doi 10.1109/TPAMI.2018.2869576.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from cinecmr.anatomy import Contrast, Disease, Structure, View
from cinecmr.datasets._case import Case, Problem, chosen, image_of, known, labels_at, labels_of, locate
from cinecmr.datasets._check import check_cases
from cinecmr.datasets._images import read_code_frame, read_still, write_codes, write_frame
from cinecmr.errors import RefusedInput
from cinecmr.study import Findings, Image, Study

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

NAME = "myops"
TITLE = "MyoPS 2020, Myocardial Pathology Segmentation combining multi-sequence CMR"
LICENCE = "for research by the challenge's agreement; no redistribution"
OBTAIN = "https://zmiclab.github.io/zxh/0/myops20/ (sign the agreement)"
WANTED = "train25/myops_training_N_DE.nii.gz or test20/myops_test_N_DE.nii.gz"
KEEPS = "one short-axis frame each of balanced cine (ED), late enhancement and T2; one label map for the three: RV, \
MYO, LV, scar, oedema"
LOSES = "other frames and views; grids of their own (cine and T2 lie on that of late enhancement); no-reflow apart \
from scar; labels of the test part; all facts of the person; where slices shifted"
IMAGES = ((View.SAX, Contrast.CINE), (View.SAX, Contrast.LGE), (View.SAX, Contrast.T2))
SPLITS = ("train", "test")
GROUPS = {"infarct": Disease.INFARCT}  # all patients; no file says so
CODES = {
    0: Structure.BACKGROUND,
    200: Structure.MYO,
    500: Structure.LV,
    600: Structure.RV,
    1220: Structure.OEDEMA,
    2221: Structure.SCAR,
}
_WORDS = {"C0": Contrast.CINE, "DE": Contrast.LGE, "T2": Contrast.T2}
_PARTS = {"train": ("train25", "training", 101), "test": ("test20", "test", 201)}
_LABELS = "train25_myops_gd"


def splits(root: Path) -> tuple[str, ...]:
    """The parts that are there; see `Layout`."""
    root = _root(root)
    return tuple(split for split in SPLITS if _numbers(root, split))


def cases(root: Path, split: str | None = None) -> Iterator[Case]:
    """The patients; see `Layout`."""
    there, root = splits(root), _root(root)
    for part in chosen(split, there):
        for number, word in _numbers(root, part):
            yield _case(root, part, number, word)


def write(root: Path, cases: Iterable[Case]) -> list[str]:
    """Write cases from number 101 (training) and 201 (test); see `Layout`."""
    numbers, given = {part: first for part, (_, _, first) in _PARTS.items()}, []
    for case in cases:
        part = "test" if case.split == "test" else "train"
        given.append(str(numbers[part]))
        _write(root, part, numbers[part], case)
        numbers[part] += 1
    return given


def check(root: Path, progress: Callable[[float], None] | None = None) -> list[Problem]:
    """What is wrong, by file; see `Layout`."""
    return check_cases(cases(root), _root(root), progress=progress)


def _root(folder: Path) -> Path:
    return locate(folder, TITLE, WANTED, lambda place: any(place.glob("t*/myops_*_DE.nii.gz")))


def _numbers(root: Path, split: str) -> list[tuple[int, str]]:
    """Number and middle word of each patient; copies in the wild write `training` in the test part too."""
    named = [re.fullmatch(r"myops_(\w+)_(\d+)_\w+\.nii\.gz", path.name)
             for path in (root / _PARTS[split][0]).glob("myops_*.nii.gz")]  # fmt: skip
    return sorted({(int(match[2]), match[1]) for match in named if match})


def _case(root: Path, split: str, number: int, word: str) -> Case:
    stacks = tuple(root / _PARTS[split][0] / f"myops_{word}_{number}_{end}.nii.gz" for end in _WORDS)
    labels = (root / _LABELS / f"myops_{word}_{number}_gd.nii.gz",) if split == "train" else ()
    load = partial(_load, str(number), stacks, labels)
    return Case(str(number), load, split, "infarct", Disease.INFARCT, str(number), files=(*stacks, *labels))


def _load(name: str, stacks: tuple[Path, ...], labels: tuple[Path, ...]) -> tuple[Study, Findings]:
    images = {(View.SAX, contrast): read_still(path, View.SAX, contrast)
              for path, contrast in zip(stacks, _WORDS.values(), strict=True)}  # fmt: skip
    shapes = {image.data.shape for image in images.values()}
    if len(shapes) > 1:
        raise RefusedInput("different-grids", f"{stacks[0]} and its DE and T2 lie on different grids; copy them again")
    drawn = {}
    for path in labels:
        codes = labels_at({0: read_code_frame(path, CODES)}, next(iter(shapes)), path)
        drawn = dict.fromkeys(images, codes)
    study = Study(name, images, provenance={"format": NAME})
    return study, Findings(labels=drawn, diagnosis=known(Disease.INFARCT))


def _write(root: Path, split: str, number: int, case: Case) -> None:
    study, truth = case.load()
    folder, word, _ = _PARTS[split]
    late = image_of(study, View.SAX, Contrast.LGE, TITLE)
    for end, contrast in _WORDS.items():
        image = image_of(study, View.SAX, contrast, TITLE)
        frame = truth.cycle.get("LV_ED", 0) if contrast is Contrast.CINE else 0
        still = replace(image, data=image.data[..., frame : frame + 1], times=np.zeros(1))
        write_frame(root / folder / f"myops_{word}_{number}_{end}.nii.gz", _on_grid(still, late))
    if split == "train":
        path = root / _LABELS / f"myops_{word}_{number}_gd.nii.gz"
        write_codes(path, _joined(study, truth), CODES, late, 0)


def _joined(study: Study, truth: Findings) -> NDArray[np.uint8]:
    """One map of late enhancement and T2: scar wins over oedema, and oedema over what late enhancement shows there."""
    late = image_of(study, View.SAX, Contrast.LGE, TITLE)
    labels = labels_of(truth, View.SAX, Contrast.LGE, TITLE).copy()
    if (View.SAX, Contrast.T2) in truth.labels:
        wet = truth.labels[View.SAX, Contrast.T2] == Structure.OEDEMA
        grey = replace(study[View.SAX, Contrast.T2], data=wet.astype(np.float32))
        labels[(_on_grid(grey, late).data > 0.5) & (labels == Structure.MYO)] = Structure.OEDEMA
    return labels


def _on_grid(image: Image, target: Image) -> Image:
    """A still, linearly resampled onto another grid; untouched where the grids are one."""
    if image.data.shape[:3] == target.data.shape[:3] and np.allclose(image.affine, target.affine, atol=1e-3):
        return image
    steps = np.linalg.solve(image.affine, target.affine)
    moved = ndimage.affine_transform(
        np.asarray(image.data[..., 0], np.float32), steps[:3, :3], steps[:3, 3], output_shape=target.data.shape[:3],
        order=1, mode="nearest",
    )  # fmt: skip
    whole = np.rint(moved).astype(image.data.dtype) if image.data.dtype.kind in "iu" else moved
    return replace(image, data=whole[..., None], affine=target.affine, slice_shift_mm=None)
