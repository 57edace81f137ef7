"""Landmark: two- and four-chamber frames with the mitral hinge points and the apex marked.

Layout:

    lax_2c.csv                       no header: cohort_name, uid, view, landmark_number, x, y
    lax_2c/images/0001__00.png       one frame, grey; the name is PATIENT__FRAME
    lax_2c/masks/0001__00.png        0, and a spot of 85, 170 and 255 at landmarks 1, 2 and 3
    lax_4c.csv, lax_4c/...           the same for the four-chamber view

Landmarks 1 and 2 are the hinge points, 3 the apex. The masks are what CineMA's code takes for true, and so does this
adapter; the table's x and y are only compared. Pictures are stored four times finer than the 1 mm to which CineMA
brings them, so a pixel is taken for 0.25 mm; no file states it, nor how the plane lies in the patient. Which hinge
point is number 1 is not written anywhere either: it is taken for the anterior one (2C) and the septal one (4C).

CineMA's parts (patients of each view shuffled with seed 0, 60/20/20) are "lax_2c/train" and so on; there one patient
may train one view and test the other. "train", "val" and "test" keep patients whole.

Source: Fu et al. (CineMA), appendix B; Xue et al. 2021, doi 10.1148/ryai.2021200197.
"""

from __future__ import annotations

from collections import defaultdict
from functools import partial
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np

from cinecmr.anatomy import Contrast, Disease, Landmark, View
from cinecmr.datasets._case import Case, Problem, chosen, ed_es, image_of, locate, present
from cinecmr.datasets._check import check_cases
from cinecmr.datasets.tables import number, text_of, write_table
from cinecmr.errors import RefusedInput
from cinecmr.geometry import apply_affine
from cinecmr.io.files import write_bytes
from cinecmr.io.nifti import frame_times
from cinecmr.study import Findings, Image, Study

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

NAME = "landmark"
TITLE = "Landmark, mitral hinge points and apex on long-axis frames"
LICENCE = "by agreement with its owners; no redistribution"
OBTAIN = "write to the authors of CineMA's landmark data (University College London)"
WANTED = "lax_2c.csv or lax_4c.csv beside lax_2c/images/PATIENT__FRAME.png"
KEEPS = "two- and four-chamber frames at ED and ES, as grey PNG of 8 bits enlarged four times; both hinge points and \
the apex, to half a stored pixel"
LOSES = "where planes lie in the patient, pixel size, frame times, other frames; short axis and three-chamber view; \
labels; disease; all facts of person and scanner; more than 256 grey values"
IMAGES = ((View.LAX_2C, Contrast.CINE), (View.LAX_4C, Contrast.CINE))
SPLITS = ("train", "val", "test")
GROUPS: dict[str, Disease] = {}
COLUMNS = ("cohort_name", "uid", "view", "landmark_number", "x", "y")
POINTS = {
    View.LAX_2C: (Landmark.MITRAL_2C_ANTERIOR, Landmark.MITRAL_2C_INFERIOR, Landmark.APEX_2C),
    View.LAX_4C: (Landmark.MITRAL_4C_SEPTAL, Landmark.MITRAL_4C_LATERAL, Landmark.APEX_4C),
}
GREYS = (85, 170, 255)
PIXEL_MM, FINER = 0.25, 4
SPOT = 2  # half a side of a written mark, pixels
APART = 3.0  # pixels between mask and table that `check` speaks of
_SHARE = 0.2
_COHORT = "phantom"


def splits(root: Path) -> tuple[str, ...]:
    """Parts that keep patients whole, and those of CineMA by view; see `Layout`."""
    root = _root(root)
    return (*SPLITS, *(f"{view.value}/{part}" for view in _views(root) for part in SPLITS))


def cases(root: Path, split: str | None = None) -> Iterator[Case]:
    """The patients, each with the frames of both views; of a part of one view, with those of that view."""
    there, root = splits(root), _root(root)
    for part in SPLITS if split is None else chosen(split, there):
        view, _, own = part.rpartition("/")
        views = tuple(one for one in _views(root) if view in ("", one.value))
        frames = {one: _frames(root, one) for one in views}
        patients = list(dict.fromkeys(patient for found in frames.values() for patient in found))
        for patient in sorted(name for name, held in _parts(patients).items() if held == own):
            mine = {one: found[patient] for one, found in frames.items() if patient in found}
            files = tuple(_file(root, one, what, uid) for one, uids in mine.items() for uid in uids
                          for what in ("images", "masks"))  # fmt: skip
            yield Case(patient, partial(_load, root, patient, mine), part, person=patient, files=files)


def write(root: Path, cases: Iterable[Case]) -> list[str]:
    """Write the ED and ES frames of cases; their parts follow from their numbers. See `Layout`."""
    rows: dict[View, list[tuple[Any, ...]]] = {view: [] for view in POINTS}
    given = []
    for count, case in enumerate(cases, 1):
        given.append(f"{count:04d}")
        study, truth = case.load()
        views = [view for view in POINTS if view in study] or list(POINTS)
        for view in views:
            image = image_of(study, view, Contrast.CINE, TITLE)
            rows[view] += _write(root, given[-1], image, truth)
    for view, found in rows.items():
        if found:
            write_table(root / f"{view.value}.csv", COLUMNS, found, header=False)
    return given


def check(root: Path, progress: Callable[[float], None] | None = None) -> list[Problem]:
    """What is wrong, by file; see `Layout`."""
    problems, root = check_cases(cases(root), _root(root), progress=progress), _root(root)
    for view in _views(root):
        for row in _rows(root, view):
            problems += _compare(root, view, row)
    return problems


def _root(folder: Path) -> Path:
    return locate(folder, TITLE, WANTED, lambda place: any(_has(place, view) for view in POINTS))


def _has(root: Path, view: View) -> bool:
    return (root / f"{view.value}.csv").is_file() and (root / view.value / "masks").is_dir()


def _views(root: Path) -> tuple[View, ...]:
    return tuple(view for view in POINTS if _has(root, view))


def _file(root: Path, view: View, what: str, uid: str) -> Path:
    return root / view.value / what / f"{uid}.png"


def _rows(root: Path, view: View) -> list[list[str]]:
    path = root / f"{view.value}.csv"
    rows = [[cell.strip() for cell in line.split(",")] for line in text_of(path).splitlines() if line.strip()]
    if any(len(row) != len(COLUMNS) for row in rows):
        raise RefusedInput("bad-table", f"{path} should have {len(COLUMNS)} columns ({', '.join(COLUMNS)}), no header")
    return rows


def _frames(root: Path, view: View) -> dict[str, list[str]]:
    """Frames of each patient, in the order of the table."""
    found: dict[str, list[str]] = defaultdict(list)
    for uid in dict.fromkeys(row[1] for row in _rows(root, view)):
        found[uid.split("_")[0]].append(uid)
    return {patient: sorted(uids) for patient, uids in found.items()}


def _parts(patients: list[str]) -> dict[str, str]:
    """Part of each patient, as CineMA's code draws them."""
    held = int(_SHARE * len(patients))
    order = np.array(patients, dtype=object)
    np.random.default_rng(0).shuffle(order)
    first_val = len(patients) - 2 * held
    names = ["train"] * first_val + ["val"] * held + ["test"] * held
    return dict(zip(order.tolist(), names, strict=True))


def _load(root: Path, patient: str, frames: dict[View, list[str]]) -> tuple[Study, Findings]:
    images: dict[tuple[View, Contrast], Image] = {}
    landmarks: dict[Landmark, NDArray[np.float64]] = {}
    flags: list[Any] = []
    for view, uids in frames.items():
        pictures = [_picture(_file(root, view, "images", uid)) for uid in uids]
        if len({picture.shape for picture in pictures}) > 1:
            raise RefusedInput("different-grids", f"frames of {view.value}/images/{uids[0]} and others differ in size")
        affine = np.diag([PIXEL_MM, PIXEL_MM, 1.0, 1.0])
        times, _, more = frame_times(0.0, "unknown", len(uids))
        flags += [flag for flag in more if flag not in flags]
        images[view, Contrast.CINE] = Image(np.stack(pictures, axis=-1)[:, :, None], affine, times, view)
        marks = np.stack([_marks(_file(root, view, "masks", uid)) for uid in uids])  # (t, 3 landmarks, 2)
        points = apply_affine(affine, np.concatenate([marks, np.zeros((*marks.shape[:2], 1))], axis=2))
        landmarks |= {landmark: points[:, number] for number, landmark in enumerate(POINTS[view])}
    return Study(patient, images, flags=tuple(flags), provenance={"format": NAME}), Findings(landmarks=landmarks)


def _picture(path: Path) -> NDArray[np.uint8]:
    """(x, y) grey values of a PNG file."""
    from PIL import Image as Picture
    from PIL import UnidentifiedImageError

    try:
        with Picture.open(present(path), formats=("PNG",)) as picture:
            return np.ascontiguousarray(np.asarray(picture.convert("L"), np.uint8).T)
    except (UnidentifiedImageError, OSError, SyntaxError, Picture.DecompressionBombError) as error:
        raise RefusedInput("bad-picture", f"{path} cannot be read as PNG ({error}); copy it again") from error


def _marks(path: Path) -> NDArray[np.float64]:
    """(3, 2) middle of each mark, pixels along x and y."""
    mask = _picture(path)
    spots = [np.argwhere(mask == grey) for grey in GREYS]
    missing = [str(number) for number, spot in enumerate(spots, 1) if not len(spot)]
    if missing:
        raise RefusedInput("no-landmark", f"{path} has no mark of landmark {', '.join(missing)} (grey 85, 170, 255)")
    return np.stack([spot.mean(axis=0) for spot in spots])


def _compare(root: Path, view: View, row: list[str]) -> list[Problem]:
    """Whether a row of the table and the mask tell of one place."""
    uid, which, x, y = row[1], number(row[3]), number(row[4]), number(row[5])
    path = _file(root, view, "masks", uid)
    if which not in (1, 2, 3) or x is None or y is None:
        return [Problem(f"{view.value}.csv", f"row of {uid} is not a landmark with x and y")]
    try:
        distance = float(np.hypot(*(_marks(path)[int(which) - 1] - (x, y))))
    except RefusedInput:  # told already, as a file that cannot be read
        return []
    if distance <= APART:
        return []
    return [Problem(f"{view.value}.csv", f"landmark {which:g} of {uid} lies {distance:.0f} pixels from its mask")]


def _write(root: Path, patient: str, image: Image, truth: Findings) -> list[tuple[Any, ...]]:
    """Two frames, their masks; returns the rows of the table."""
    rows = []
    grey = np.asarray(image.data[:, :, 0], float)
    grey = np.rint(grey * (255 / max(float(grey.max()), 1.0))).clip(0, 255).astype(np.uint8)
    if not truth.landmarks.keys() >= set(POINTS[image.view]):
        raise RefusedInput("no-such-labels", f"{TITLE} holds {image.view.name} landmarks, and a case has none")
    to_pixel = np.asarray(np.linalg.inv(image.affine), np.float64)
    for frame in ed_es(truth, TITLE):
        uid = f"{patient}__{frame:02d}"
        fine = grey[..., frame].repeat(FINER, axis=0).repeat(FINER, axis=1)
        mask = np.zeros_like(fine)
        for number_, landmark in enumerate(POINTS[image.view], 1):
            place = apply_affine(to_pixel, truth.landmarks[landmark][frame])[:2] * FINER + (FINER - 1) / 2
            x, y = (int(np.clip(np.rint(c), SPOT, n - 1 - SPOT)) for c, n in zip(place, mask.shape, strict=True))
            mask[x - SPOT : x + SPOT + 1, y - SPOT : y + SPOT + 1] = GREYS[number_ - 1]
            rows.append((_COHORT, uid, image.view.value, number_, f"{place[0]:.2f}", f"{place[1]:.2f}"))
        write_bytes(_file(root, image.view, "images", uid), _png(fine))
        write_bytes(_file(root, image.view, "masks", uid), _png(mask))
    return rows


def _png(grey: NDArray[np.uint8]) -> bytes:
    from PIL import Image as Picture

    buffer = BytesIO()
    Picture.fromarray(np.ascontiguousarray(grey.T)).save(buffer, format="PNG")
    return buffer.getvalue()
