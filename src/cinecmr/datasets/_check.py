"""What is wrong with a data set on disk, by file: what is missing, what cannot be read, what cannot be true."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cinecmr.anatomy import Structure
from cinecmr.datasets._case import Case, Problem
from cinecmr.errors import RefusedInput

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from cinecmr.study import Findings, Study


def check_cases(
    cases: Iterable[Case],
    root: Path,
    also: Callable[[Case, Study, Path], list[Problem]] | None = None,
    progress: Callable[[float], None] | None = None,
) -> list[Problem]:
    """Look for the files of every case, read it, and look at what was read.

    Args:
        cases: each is read once.
        root: problems name files as seen from here.
        also: what the layout itself can tell of a case that was read without a problem.
        progress: told the share of the cases that were read.
    """
    problems: list[Problem] = []
    twice: set[str] = set()
    cases = list(cases)
    for number, case in enumerate(cases, 1):
        name = f"{case.split}/{case.subject}"
        if name in twice:
            problems.append(Problem(name, "the subject is listed twice"))
        twice.add(name)
        problems += _check_case(case, root, also)
        if progress is not None:
            progress(number / len(cases))
    return problems


def _check_case(case: Case, root: Path, also: Callable[[Case, Study, Path], list[Problem]] | None) -> list[Problem]:
    missing = [file for file in case.files if not file.exists()]
    if missing:
        return [Problem(below(root, file), "is missing; unpack or copy the data set again") for file in missing]
    try:
        study, truth = case.load()
    except RefusedInput as refusal:
        told = refusal.message.replace(f"{root}/", "")
        return [Problem(_file_of(case, refusal.message, root), told)]
    odd = [Problem(_folder_of(case, root), message) for message in oddities(study, truth)]
    return odd + (also(case, study, root) if also is not None else [])


def oddities(study: Study, truth: Findings) -> list[str]:
    """What a study and its truth hold that cannot be right."""
    found = []
    for (view, contrast), image in study.images.items():
        name = f"{view.name} {contrast.name}"
        if not np.any(image.data):
            found.append(f"{name}: all pixels are zero")
        elif float(np.ptp(image.data)) == 0:
            found.append(f"{name}: all pixels are equal")
        labels = truth.labels.get((view, contrast))
        if labels is not None and labels.shape != image.data.shape:
            found.append(f"{name}: labels {labels.shape} do not lie on the image {image.data.shape}")
        elif labels is not None and not np.isin(labels, (Structure.LV, Structure.MYO)).any():
            found.append(f"{name}: labels without a left ventricle")
    edv, esv = (truth.measurements.get(name) for name in ("LVEDV", "LVESV"))
    if edv is not None and esv is not None and edv.value <= esv.value:
        found.append(f"end-diastolic volume {edv.value:g} ml is not above the end-systolic {esv.value:g} ml")
    return found


def below(root: Path, path: Path) -> str:
    """A path as seen from the root."""
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)


def _folder_of(case: Case, root: Path) -> str:
    return below(root, case.files[0].parent if len(case.files) > 1 else case.files[0]) if case.files else case.subject


def _file_of(case: Case, message: str, root: Path) -> str:
    """The file a refusal speaks of: by its whole path, else by its name; of several the longest."""
    for told in (str, lambda file: file.name):
        named = [file for file in case.files if told(file) in message]
        if named:
            return below(root, max(named, key=lambda file: len(file.name)))
    return _folder_of(case, root)
