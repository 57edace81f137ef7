"""The subjects of a study of pre-training: read once, kept small, drawn apart.

A subject keeps the frames that experts labelled and a few more; the rest of a cine is left on its disk.

Source: de Mooij et al., section 2.1; specification of its code, sections 1.2 to 1.5.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cinecmr.anatomy import Contrast, Structure, View
from cinecmr.datasets import Case, dataset, label_maps
from cinecmr.datasets.run import recognised
from cinecmr.errors import RefusedInput
from cinecmr.io import nifti
from cinecmr.io.files import write_atomically, write_text
from cinecmr.io.subject import subject_name
from cinecmr.learn.slices import slices_of
from cinecmr.learn.splits import group_of, person_of
from cinecmr.study import Facts, Findings, Image, Study

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from cinecmr.learn.slices import Slice

SAX = (View.SAX, Contrast.CINE)
HEART = (Structure.RV, Structure.MYO, Structure.LV)
INDEX = "subjects.json"
_PAIRED = re.compile(r"(?P<subject>.+)_(?P<phase>ED|ES)\.nii(\.gz)?$")


@dataclass(frozen=True, eq=False)
class Subject:
    """One visit, as the study keeps it.

    Attributes:
        name: a hash. person: whose visit it is, hashed too. group, vendor: as the data say, "" where they do not.
        image: frames that are kept. labels: (x, y, z, t), `UNSEEN` in frames that nobody drew.
        ed: which of the kept frames is end-diastole.
    """

    name: str
    person: str
    group: str
    vendor: str
    image: Image
    labels: NDArray[np.uint8]
    ed: int

    @property
    def labelled(self) -> list[int]:
        """Frames with labels."""
        return [t for t in range(self.image.frames) if np.isin(self.labels[..., t], HEART).any()]

    def phase(self, frame: int) -> str:
        """Name of a frame: "ED" or "ES"."""
        return "ED" if frame == self.ed else "ES"

    def slices(self, every_frame: bool, phase: str = "") -> list[Slice]:
        """Slices of all kept frames without labels; or those with labels, perhaps of one phase."""
        if every_frame:
            return [one.without_labels() for one in self._cut(range(self.image.frames))]
        frames = [t for t in self.labelled if phase in ("", self.phase(t))]
        return [one for one in self._cut(frames) if one.labels is not None]

    def _cut(self, frames: Iterable[int]) -> list[Slice]:
        return slices_of(self.name, self.image, self.labels, self.ed, frames)


def cases_of(data: str, layout: str | None = None, subjects: int = 60, frames: int = 4) -> list[Case]:
    """Visits of a data set on disk, of a folder SUBJECT/SUBJECT_ED.nii.gz with _ED_gt beside it, or synthetic ones.

    Args:
        data: the folder, or the word "phantom".
        layout: the data set it is; found out when None.
        subjects: how many synthetic ones.
        frames: of a synthetic beat.

    Raises:
        RefusedInput: the folder is not there, or laid out as none of these, or as several (`other-layout`).
    """
    if data == "phantom":
        return [Case(f"phantom-{seed}", partial(_synthetic, seed, frames)) for seed in range(9500, 9500 + subjects)]
    folder = Path(data)
    if layout is None and folder.is_dir() and any(folder.glob("*/*_ED_gt.nii*")):
        return list(_pairs(folder))
    found = [layout] if layout else recognised(folder) if folder.is_dir() else []
    if len(found) != 1:
        what = f"could be {', '.join(found)}" if found else "is laid out as none of the data sets"
        raise RefusedInput("other-layout", f"{folder} {what}; `cinecmr datasets` lists them, name one with --layout")
    return list(dataset(found[0]).cases(folder))


def _synthetic(seed: int, frames: int) -> tuple[Study, Findings]:
    from cinecmr.phantom.study import synthetic_study

    study, truth = synthetic_study(seed, frames=frames, long_axis=False)
    ed, es = truth.cycle["LV_ED"], truth.cycle["LV_ES"]
    labels = np.full_like(truth.labels[SAX], Structure.UNSEEN)
    labels[..., [ed, es]] = truth.labels[SAX][..., [ed, es]]
    return study, Findings(labels={SAX: labels}, cycle=dict(truth.cycle))


def _pairs(folder: Path) -> Iterator[Case]:
    for drawn in label_maps.cases(folder):
        images = {m["phase"]: path for path in next(iter(drawn.labels.values())).parent.iterdir()
                  if (m := _PAIRED.match(path.name)) and m["subject"] == drawn.subject}  # fmt: skip
        if set(images) == set(drawn.labels) == {"ED", "ES"}:
            load = partial(_load_pair, drawn.subject, images, drawn.labels)
            group = "" if drawn.disease is None else drawn.disease.value
            yield Case(drawn.subject, load, group=group, disease=drawn.disease, person=drawn.subject)


def _load_pair(name: str, images: dict[str, Path], labels: Mapping[str, Path]) -> tuple[Study, Findings]:
    read = {phase: nifti.read_image(images[phase]) for phase in ("ED", "ES")}
    codes = [label_maps.read_labels(labels[phase])[0] for phase in ("ED", "ES")]
    if read["ED"].data.shape != read["ES"].data.shape:
        raise RefusedInput("different-grids", f"ED and ES of {images['ED'].parent} lie on different grids")
    data = np.concatenate([read["ED"].data, read["ES"].data], axis=3)
    image = Image(data, read["ED"].affine, np.array([0.0, 0.35]))
    truth = Findings(labels={SAX: np.stack(codes, axis=3)}, cycle={"LV_ED": 0, "LV_ES": 1})
    return Study(subject_name(name), {SAX: image}), truth


def gather(cases: Sequence[Case], folder: Path, others: int, say: Callable[[str], None]) -> list[Subject]:
    """Read every case once, keep what the study needs in `folder`, and go on where a killed run stopped.

    Args:
        cases: with a short-axis cine and labels of two frames or more; others are left out and told.
        folder: gets one file a subject and a list.
        others: frames without labels that are kept of each, evenly spaced.
        say: told one line at a time.

    Raises:
        RefusedInput: no case can be used (`nothing-to-learn`).
    """
    known: dict[str, dict[str, str]] = {}
    if (folder / INDEX).is_file():
        known = json.loads((folder / INDEX).read_text("utf-8"))
    for number, case in enumerate(cases):
        name = subject_name(case.subject)
        if name in known:
            continue
        known[name] = {"person": person_of(case), "group": group_of(case), "vendor": "", "skipped": ""}
        try:
            known[name]["vendor"] = _keep(case, folder / f"{name}.npz", others)
        except RefusedInput as refusal:
            known[name]["skipped"] = refusal.code
            say(f"left out {name}: {refusal.code}")
        write_text(folder / INDEX, json.dumps(known, indent=1) + "\n")
        if (number + 1) % 20 == 0:
            say(f"read {number + 1} of {len(cases)} subjects")
    return load_subjects(folder)


def load_subjects(folder: Path) -> list[Subject]:
    """What `gather` kept, by name.

    Raises:
        RefusedInput: nothing that can be learned from (`nothing-to-learn`).
    """
    known = json.loads((folder / INDEX).read_text("utf-8"))
    found = []
    for name, told in sorted(known.items()):
        if told["skipped"]:
            continue
        with np.load(folder / f"{name}.npz", allow_pickle=False) as kept:
            image = Image(kept["data"], kept["affine"], kept["times"], missing_slices=tuple(kept["missing"].tolist()))
            found.append(
                Subject(name, told["person"], told["group"], told["vendor"], image, kept["labels"], int(kept["ed"]))
            )
    if not found:
        raise RefusedInput("nothing-to-learn", "no subject has a short-axis cine with labels of RV, MYO and LV")
    return found


def _keep(case: Case, path: Path, others: int) -> str:
    """Write what is kept of a case; returns its vendor."""
    study, truth = case.load()
    if SAX not in study.images or SAX not in truth.labels:
        raise RefusedInput("no-such-labels", f"{case.subject} has no short-axis cine with labels; leave it out")
    image, labels = study.images[SAX], truth.labels[SAX]
    drawn = [t for t in range(image.frames) if np.isin(labels[..., t], HEART).any()]
    if not drawn:
        raise RefusedInput("no-heart", f"no label of {case.subject} shows RV, MYO or LV; check the codes")
    ed = truth.cycle.get("LV_ED", drawn[0])
    spaced = np.linspace(0, image.frames, others, endpoint=False).astype(int).tolist()
    frames = sorted({*drawn, ed, *spaced})
    data = image.data[..., frames]
    whole = data.astype(np.int16) if _are_small_whole_numbers(data) else data.astype(np.float32)
    arrays: dict[str, Any] = {
        "data": whole,
        "affine": image.affine,
        "times": image.times[frames],
        "labels": labels[..., frames],
        "ed": np.array(frames.index(ed)),
        "missing": np.array(image.missing_slices, int),
    }

    def write(target: Path) -> None:
        with target.open("wb") as file:
            np.savez_compressed(file, **arrays)

    write_atomically(path, write)
    return (study.facts or Facts()).vendor or case.metadata.get("VendorName", "") or case.metadata.get("Vendor", "")


def _are_small_whole_numbers(data: NDArray[np.generic]) -> bool:
    values = np.asarray(data, np.float32)
    return bool(np.isfinite(values).all() and np.abs(values).max() < 32_767 and (values == np.rint(values)).all())
