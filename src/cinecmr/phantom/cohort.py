"""Many synthetic subjects on disk, as DICOM or NIfTI, with their true volumes in one table.

A subject depends on its own seed only, so it is the same in a cohort of one and of a thousand, and with any number
of processes. Every finished subject holds `truth.json`, written last: a stopped run goes on behind it. Until then it
holds `unfinished`, which says that what lies there is ours and may be made again.
"""

from __future__ import annotations

import csv
import io
import json
import shutil
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any, TypeVar

from cinecmr import __version__
from cinecmr.anatomy import Contrast, Disease, View
from cinecmr.errors import RefusedInput
from cinecmr.io.files import write_text
from cinecmr.phantom.formats import Format
from cinecmr.phantom.scanner import PRESETS, machine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from cinecmr.phantom.scanner import Scanner
    from cinecmr.study import Findings, Study

Job = TypeVar("Job")
Result = TypeVar("Result")
UNFINISHED = "unfinished"
MEASURED = ("LVEDV", "LVESV", "LVSV", "LVEF", "LVM", "RVEDV", "RVESV", "RVSV", "RVEF")


@dataclass(frozen=True)
class Cohort:
    """What to write.

    Attributes:
        subjects: how many.
        seed: subject n has seed + n.
        format: see `Format`.
        disease: of every subject; None draws one for each.
        frames: of the cine; None takes the scanner's.
        matrix: pixels a side of the short axis; None takes the scanner's. Small ones make small tests.
        vendor: whose scanner, and whose habits of writing DICOM: a name of `dicom_files.VENDORS`; None draws.
        faults: of the DICOM files, names of `dicom_faults.FAULTS`.
        syntax: of the DICOM files, a name of `dicom_syntax.SYNTAXES`.
        contrasts: beside the cine, DICOM only.
        severity, linked: see `population.draw_heart`.
        rescan: which visit of the same persons, 0 the first.
        machine: the scanner, a name of `scanner.MACHINES`; None takes one of the vendor's, or draws.
    """

    subjects: int
    seed: int = 0
    format: Format = Format.DICOM
    disease: Disease | None = None
    frames: int | None = 25
    matrix: int | None = None
    vendor: str | None = None
    faults: tuple[str, ...] = ()
    syntax: str = "explicit"
    contrasts: tuple[Contrast, ...] = ()
    severity: float | None = None
    linked: bool = True
    rescan: int = 0
    machine: str | None = None

    def name(self, number: int) -> str:
        """Of subject `number`'s folder: a further visit has its own."""
        return subject_name(self.seed + number) + (f"-visit{self.rescan + 1}" if self.rescan else "")

    def check(self) -> None:
        """Whether it can be written, before anything is made.

        Raises:
            RefusedInput: an unknown vendor, fault or syntax, or one that cannot be had here (`no-such-habit`); a
                severity or visit that cannot be (`no-such-heart`); an unknown machine (`unknown-scanner`).
        """
        if self.machine is not None:
            machine(self.machine)
        if self.severity is not None and not 0 <= self.severity <= 1:
            raise RefusedInput("no-such-heart", f"severity goes from 0, healthy, to 1, got {self.severity:g}")
        if self.rescan < 0:
            raise RefusedInput("no-such-heart", f"visits are counted from 0, the first, got {self.rescan}")
        if self.format is not Format.DICOM:
            if self.vendor or self.faults or self.contrasts or self.syntax != "explicit":
                raise RefusedInput("no-such-habit", "vendor, faults, contrasts and syntax are those of DICOM files: "
                                   "drop them, or choose --format dicom")  # fmt: skip
            return
        from cinecmr.phantom.dicom_files import check

        try:
            check(self.vendor, self.faults, self.syntax)
        except ValueError as error:
            raise RefusedInput("no-such-habit", str(error)) from None

    def scanner(self, number: int) -> Scanner | None:
        """The one asked for, or one of the vendor's, the same for a subject whatever cohort it is in; else None."""
        if self.machine is not None:
            return machine(self.machine)
        maker = (self.vendor or "").split("-")[0]
        own = [one for one in PRESETS.values() if maker and one.vendor.lower().startswith(maker)]
        return own[(self.seed + number) % len(own)] if own else None

    def recipe(self, number: int) -> dict[str, Any]:
        """Everything subject `number` depends on; it stands in its truth.json."""
        disease = self.disease.value if self.disease else None
        return {
            "seed": self.seed + number,
            "format": self.format.value,
            "disease": disease,
            "frames": self.frames,
            "matrix": self.matrix,
            "vendor": self.vendor,
            "faults": list(self.faults),
            "syntax": self.syntax,
            "contrasts": [one.value for one in self.contrasts],
            "severity": self.severity,
            "linked": self.linked,
            "rescan": self.rescan,
            "machine": self.machine,
            "version": __version__,
        }


def write(out: Path, cohort: Cohort, *, workers: int = 1, progress: Callable[[float], None] | None = None) -> Path:
    """Write a cohort; subjects that are already there with the same recipe are kept.

    Args:
        out: folder; each subject gets its own folder in it.
        cohort: what to write.
        workers: processes; the files do not depend on it.
        progress: told the share that is done, 0 to 1.

    Returns:
        The table, truth.csv: one row a subject.

    Raises:
        RefusedInput: the cohort cannot be (see `Cohort.check`), or a subject's folder holds files that no run of this
            has written (`would-overwrite`).
        OSError: the folder cannot be written to.
    """
    cohort.check()
    jobs = [(out / cohort.name(number), cohort, number) for number in range(cohort.subjects)]
    rows: dict[int, dict[str, Any]] = {}
    for number, row in as_finished(_subject, jobs, workers):
        rows[number] = row
        if progress is not None:
            progress(len(rows) / len(jobs))
    write_text(out / "truth.csv", _table([rows[number] for number in sorted(rows)]))
    return out / "truth.csv"


def subject_name(seed: int) -> str:
    """Folder and subject name of a seed.

    >>> subject_name(9000)
    'phantom09000'
    """
    return f"phantom{seed:05d}"


def read_truth(folder: Path) -> dict[str, Any] | None:
    """What a subject's truth.json says, or None where it is not finished."""
    path = folder / "truth.json"
    if not path.is_file():
        return None
    truth: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return truth


def as_finished(work: Callable[[Job], Result], jobs: Sequence[Job], workers: int) -> Iterator[tuple[int, Result]]:
    """Number and result of each job, as they get finished.

    Args:
        work: a function of a module, for other processes have to find it.
        jobs: what it is called with, one at a time.
        workers: processes; with one, the jobs are done here and in order.
    """
    if workers <= 1:
        yield from enumerate(map(work, jobs))
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        made = {pool.submit(work, job): number for number, job in enumerate(jobs)}
        try:
            for future in as_completed(made):
                yield made[future], future.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)  # else a stop or a fault would wait for all that is queued
            raise


def _subject(job: tuple[Path, Cohort, int]) -> dict[str, Any]:
    """Write one subject unless it is there; return its truth."""
    folder, cohort, number = job
    recipe = cohort.recipe(number)
    there = read_truth(folder)
    if there is not None and there["recipe"] == recipe:
        (folder / UNFINISHED).unlink(missing_ok=True)  # a kill may have come between the last two steps
        return there
    from cinecmr.phantom.study import synthetic_study

    _begin(folder)
    study, truth = synthetic_study(
        recipe["seed"],
        cohort.disease,
        frames=cohort.frames,
        long_axis=cohort.format is Format.DICOM,  # NIfTI holds the short axis only
        scanner=cohort.scanner(number),
        matrix=(cohort.matrix, cohort.matrix) if cohort.matrix else None,
        contrasts=(Contrast.CINE, *cohort.contrasts),
        severity=cohort.severity,
        linked=cohort.linked,
        rescan=cohort.rescan,
    )
    if cohort.format is Format.DICOM:
        from cinecmr.phantom.dicom_files import write_dicom

        write_dicom(
            study,
            folder / "dicom",
            seed=recipe["seed"],
            vendor=cohort.vendor,
            faults=cohort.faults,
            syntax=cohort.syntax,
        )
    else:
        _write_nifti(folder, study, truth)
    known = _truth(folder.name, study, truth, recipe)
    write_text(folder / "truth.json", json.dumps(known, indent=2) + "\n")
    (folder / UNFINISHED).unlink()
    return known


def _begin(folder: Path) -> None:
    """From here on the subject is unfinished; files of another recipe would mix with those of this one, so they go."""
    ours = (folder / "truth.json").is_file() or (folder / UNFINISHED).is_file()
    if (folder / "dicom").exists() and not ours:
        raise RefusedInput(
            "would-overwrite", f"{folder / 'dicom'} was not written by this command: choose another folder for --out"
        )
    write_text(folder / UNFINISHED, "being made; start the command again to go on\n")
    (folder / "truth.json").unlink(missing_ok=True)
    shutil.rmtree(folder / "dicom", ignore_errors=True)


def _truth(name: str, study: Study, truth: Findings, recipe: dict[str, Any]) -> dict[str, Any]:
    facts = {key: getattr(value, "value", value) for key, value in asdict(study.facts).items()}
    return {
        "subject": name,
        "disease": study.provenance.get("disease", recipe["disease"]),
        "facts": facts,
        "cycle": dict(truth.cycle),
        "measurements": {key: one.value for key, one in truth.measurements.items()},
        "recipe": recipe,
    }


def _write_nifti(folder: Path, study: Study, truth: Findings) -> None:
    """4-D image and labels, and ED and ES of the LV as 3-D pairs, the layout of ACDC."""
    from cinecmr.io import nifti

    image, labels = study[View.SAX], truth.labels[View.SAX, Contrast.CINE]
    name = folder.name
    nifti.write_image(folder / f"{name}.nii.gz", image.data, image.affine, image.times)
    nifti.write_labels(folder / f"{name}_gt.nii.gz", labels, image.affine, image.times)
    for phase in ("ED", "ES"):
        frame = truth.cycle[f"LV_{phase}"]
        one, times = slice(frame, frame + 1), image.times[frame : frame + 1]
        nifti.write_image(folder / f"{name}_{phase}.nii.gz", image.data[..., one], image.affine, times)
        nifti.write_labels(folder / f"{name}_{phase}_gt.nii.gz", labels[..., one], image.affine, times)


def _table(rows: list[dict[str, Any]]) -> str:
    """One row a subject; units in the column names."""
    units = {name: "percent" if name.endswith("EF") else "g" if name == "LVM" else "ml" for name in MEASURED}
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    phases = ("LV_ED", "LV_ES", "RV_ED", "RV_ES")
    writer.writerow(
        ["subject", "seed", "disease", "sex", "age_y", "height_m", "weight_kg", *(f"{phase}_frame" for phase in phases)]
        + [f"{name}_{unit}" for name, unit in units.items()]
    )
    for row in rows:
        facts = [row["facts"].get(key) for key in ("sex", "age_y", "height_m", "weight_kg")]
        frames = [row["cycle"].get(phase) for phase in phases]
        values = [round(row["measurements"][name], 3) if name in row["measurements"] else None for name in units]
        writer.writerow([row["subject"], row["recipe"]["seed"], row["disease"], *facts, *frames, *values])
    return buffer.getvalue()
