"""One analysis on the desk of a reader: labels are changed, everything that follows from them is made again.

Numbers come from `analyze.pipeline`, as those of `cinecmr analyze` do. After each change the labels, the numbers and
the log are on disk before the answer is given; the page and the DICOM objects, which take seconds, follow at once in
their own thread, and a mark in the folder tells that they are due until they are written. So does strain, where there
was some: that of the old labels is taken away with them.
"""

from __future__ import annotations

import base64
import json
import threading
import zlib
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from cinecmr.analyze import dicom_out, motion, pipeline, report, session, strain_page
from cinecmr.analyze.display import display_axes, heart_box, slices_from_base
from cinecmr.analyze.given import KeptLongAxis
from cinecmr.analyze.words import TITLES, group
from cinecmr.anatomy import Contrast, Structure, View
from cinecmr.errors import RefusedInput
from cinecmr.io.files import write_text
from cinecmr.io.label_files import read_labels
from cinecmr.study import Flag, Severity

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from cinecmr.analyze.motion import Tracked
    from cinecmr.analyze.session import Session
    from cinecmr.analyze.sureness import Sureness
    from cinecmr.study import Findings, Image

LOG, DUE, LABELS = "edits.jsonl", ".exports-due", "labels_sax.nii.gz"
_STRAIN = "strain is due"
PAINTED = (Structure.BACKGROUND, Structure.RV, Structure.MYO, Structure.LV)
SAX = (View.SAX, Contrast.CINE)


@dataclass(frozen=True)
class _Drawn:
    """Answers like a model, with the labels on the desk."""

    labels: NDArray[np.uint8]
    source: str
    sureness: Sureness | None  # of the model, as long as the labels are its own

    def segment(self, image: Image, progress: Callable[[float], None] | None = None) -> NDArray[np.uint8]:
        """(x, y, z, t), those on the desk."""
        del image, progress
        return self.labels.copy()


class Desk:
    """The analysis in a folder, open for correction.

    Args:
        out: what `cinecmr analyze` wrote.
        reader: who corrects, as the log shall name them; "" names nobody.

    Attributes:
        found: what follows from the labels as they are now.
        first: what followed from them when the folder was opened for the first time.

    Raises:
        RefusedInput: the folder holds no analysis, or its labels do not fit it.
    """

    def __init__(self, out: Path, reader: str = "") -> None:
        self.out, self.reader = out, reader
        self.session: Session = session.load(out)
        self.image = self.session.study[View.SAX]
        if not (out / LABELS).is_file():
            raise RefusedInput("no-session", f"no {LABELS} in {out}: nothing was measured that could be corrected")
        self.labels = read_labels(out / LABELS, self.image)
        self.axes = display_axes(self.image.affine)
        x, y = self.image.data.shape[:2]
        self.turned: NDArray[np.intp] = self.axes.apply(np.arange(x * y).reshape(x, y))
        self.log = self._read_log()
        self.ed, self.es = self._frames_chosen()
        self.lock, self.exporting, self.revision = threading.RLock(), threading.Lock(), 0
        reader_of_views = self.session.run.get("long_axis_model")
        self.long_axis = KeptLongAxis(out, reader_of_views) if reader_of_views else None
        self.found = self._measure()
        self.first = self._first_numbers()
        due = (out / DUE).read_text("utf-8") if (out / DUE).is_file() else ""
        self.strained = (out / motion.FILES[0]).is_file() or _STRAIN in due
        self.beyond = self._told().keys() - self.found.measurements.keys() - self.first.keys() - self._of_labels()
        if (out / DUE).exists() or not self._as_written():
            self._keep()
            self.export()

    # ---- what is seen ----
    @property
    def order(self) -> list[int]:
        """The z indices from base to apex."""
        return slices_from_base(self.image.affine, self.image.slices, self.labels)

    @property
    def box(self) -> list[int]:
        """Left, top, right and bottom of the part of a plane that holds the heart, as the screen shows it."""
        inside = np.zeros(self.image.data.shape[:2], bool)
        inside[heart_box(self.labels, self.image)] = True
        shown = self.axes.apply(inside)
        rows, columns = np.flatnonzero(shown.any(axis=1)), np.flatnonzero(shown.any(axis=0))
        return [int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1]

    def picture(self, z: int, t: int) -> NDArray[np.uint8]:
        """(row, column) grey, as the screen shows it; white is what the brightest hundredth of the study is."""
        plane = self.axes.apply(self.image.data[:, :, z, t])
        low, high = self._grey()
        return np.clip(np.rint((plane - low) * (255 / (high - low))), 0, 255).astype(np.uint8)

    def plane(self, z: int, t: int) -> NDArray[np.uint8]:
        """(row, column) labels, as the screen shows them."""
        return np.ascontiguousarray(self.axes.apply(self.labels[:, :, z, t]))

    def _grey(self) -> tuple[float, float]:
        if not hasattr(self, "_limits"):
            there = [z for z in range(self.image.slices) if z not in self.image.missing_slices]
            low, high = np.percentile(self.image.data[:, :, there], (0.5, 99.0))
            self._limits = float(low), max(float(high), float(low) + 1e-6)
        return self._limits

    # ---- what is changed ----
    def draw(self, z: int, t: int, plane: NDArray[np.uint8], tool: str) -> None:
        """Put a plane of labels, (row, column) as the screen shows it, in the place of one.

        Raises:
            RefusedInput: no such slice or frame, another size, or codes nobody can paint (`bad-edit`).
        """
        with self.lock:
            self._check_place(z, t)
            before = self.plane(z, t)
            if plane.shape != before.shape or not np.isin(plane, PAINTED).all():
                raise RefusedInput("bad-edit", f"labels of a plane are {before.shape} codes of 0, 1, 2 and 3")
            changed = int((plane != before).sum())
            if changed == 0:
                return
            self._put(z, t, plane)
            what = {"action": "labels", "tool": tool[:40], "slice": z, "frame": t, "pixels": changed,
                    "before": _packed(before), "after": _packed(plane)}  # fmt: skip
            self._record(what)

    def choose(self, ed: int | None, es: int | None) -> None:
        """Take these frames for ED and ES of both ventricles; None leaves the choice to the curves.

        Raises:
            RefusedInput: no such frames, or one for both (`no-such-frame`).
        """
        with self.lock:
            was = self.ed, self.es
            if (ed, es) == was:
                return
            self.ed, self.es = ed, es
            try:
                self._record({"action": "frames", "before": was, "after": [ed, es]})
            except RefusedInput:
                self.ed, self.es = was
                raise

    def undo(self) -> None:
        """Take the last change back that still stands; nothing happens where none does."""
        with self.lock:
            standing = self._standing()
            if not standing:
                return
            last = standing[-1]
            if last["action"] == "labels":
                before = _unpacked(last["before"], self.turned.shape)
                self._put(last["slice"], last["frame"], before)
            else:
                self.ed, self.es = last["before"]
            self._record({"action": "undo", "of": last["n"]})

    def _check_place(self, z: int, t: int) -> None:
        if z in self.image.missing_slices or not (0 <= z < self.image.slices and 0 <= t < self.image.frames):
            raise RefusedInput("bad-edit", f"slice {z}, frame {t} was never acquired: there is nothing to draw on")

    def _put(self, z: int, t: int, plane: NDArray[np.uint8]) -> None:
        flat = np.empty(self.turned.size, np.uint8)
        flat[self.turned.ravel()] = plane.ravel()
        self.labels[:, :, z, t] = flat.reshape(self.image.data.shape[:2])

    def _record(self, what: dict[str, Any]) -> None:
        """Measure again and write: the numbers before and after stand in the log."""
        before, self.log = self.found, [*self.log, what]
        what["n"], what["at"] = len(self.log), datetime.now(UTC).isoformat(timespec="seconds")
        if self.reader:
            what["reader"] = self.reader
        if self.beyond:
            what["withheld"], self.beyond = sorted(self.beyond), set()
        try:
            self.found = self._measure()
        except RefusedInput:
            self.log.pop()
            if what["action"] == "labels":  # the plane as it was: what cannot be measured is not kept
                self._put(what["slice"], what["frame"], _unpacked(what["before"], self.turned.shape))
            raise
        what["measurements"] = _differences(before, self.found)
        self._keep()

    # ---- what follows ----
    def _measure(self) -> Findings:
        drawn = any(one["action"] == "labels" for one in self._standing())
        kept = self.session
        source = f"{kept.source}, {dicom_out.CORRECTED}" if drawn else kept.source
        labels = _Drawn(self.labels, source, None if drawn else kept.sureness)
        found = pipeline.analyze(kept.study, labels, ed=self.ed, es=self.es, long_axis=self.long_axis)
        return replace(found, flags=found.flags + self._flags())

    def _flags(self) -> tuple[Flag, ...]:
        """What the corrections did beside changing numbers."""
        flags, count = [], len(self._standing())
        if count:
            message = f"{count} correction{'s' * (count > 1)} by a reader; {LOG} lists them"
            flags.append(Flag("labels-corrected", Severity.NOTE, message))
        lost = sorted({name for one in self.log for name in one.get("withheld", [])})
        if lost:
            message = f"{', '.join(lost)} do not follow from labels alone and are withheld since contours changed"
            flags.append(Flag("not-recomputed", Severity.REFUSE, f"{message}: analyse again with --labels {LABELS}"))
        return tuple(flags)

    def _keep(self) -> None:
        """Labels, numbers and log on disk; the rest is due."""
        self.revision += 1
        due = "the page and the DICOM objects are older than the labels\n"
        write_text(self.out / DUE, f"{due}{_STRAIN}\n" if self.strained else due)
        motion.remove(self.out)
        write_text(self.out / LOG, "".join(json.dumps(one) + "\n" for one in self.log))
        report.write_numbers(self.out, self.session.study, self.found, provenance=self.provenance(), truth=self.truth)

    def export(self) -> None:
        """Write the page and, where there were some, the DICOM objects; again where they became due meanwhile."""
        with self.exporting:
            while (self.out / DUE).exists():
                with self.lock:
                    found, provenance, revision = self.found, self.provenance(), self.revision
                report.write_page(self.out, self.session.study, found, provenance=provenance, truth=self.truth)
                dicom_out.write_again(self.out, found)
                if self.strained:
                    found, tracked = strain_page.follow(self.session.study, found)
                with self.lock:
                    if revision != self.revision:
                        continue
                    if self.strained:
                        self._keep_strain(found, tracked)
                    (self.out / DUE).unlink(missing_ok=True)

    def _keep_strain(self, found: Findings, tracked: Tracked | None) -> None:
        self.found = found
        study, about = self.session.study, self.provenance()
        report.write_outputs(self.out, study, found, provenance=about, truth=self.truth, strain=tracked)

    @property
    def truth(self) -> Findings | None:
        """Of a synthetic heart."""
        return self.session.truth

    def provenance(self) -> dict[str, str]:
        """That of the run, and the corrections."""
        count = len(self._standing())
        return {**self.session.run, **({"corrections": f"{count}, listed in {LOG}"} if count else {})}

    # ---- the log ----
    def _read_log(self) -> list[dict[str, Any]]:
        path = self.out / LOG
        if not path.is_file():
            return []
        try:
            return [json.loads(line) for line in path.read_text("utf-8").splitlines() if line]
        except (OSError, ValueError) as error:
            raise RefusedInput("no-session", f"{path} is damaged; move it away to begin a new log") from error

    def _standing(self) -> list[dict[str, Any]]:
        """Changes that were not taken back."""
        undone = {one["of"] for one in self.log if one["action"] == "undo"}
        return [one for one in self.log if one["action"] != "undo" and one["n"] not in undone]

    def _frames_chosen(self) -> tuple[int | None, int | None]:
        chosen = [one for one in self._standing() if one["action"] == "frames"]
        return tuple(chosen[-1]["after"]) if chosen else (self.session.ed, self.session.es)

    def _first_numbers(self) -> dict[str, float]:
        """Every number before the first change."""
        numbers = {name: one.value for name, one in self.found.measurements.items()}
        for entry in reversed(self.log):
            for name, (before, _) in entry["measurements"].items():
                if before is None:
                    numbers.pop(name, None)
                else:
                    numbers[name] = before
        return numbers

    def _told(self) -> dict[str, float]:
        """The numbers on disk."""
        try:
            kept = json.loads((self.out / "findings.json").read_text("utf-8"))["measurements"]
            return {name: float(one["value"]) for name, one in kept.items()}
        except (OSError, ValueError, KeyError, TypeError):
            return {}

    def _of_labels(self) -> set[str]:
        """Names of the numbers that follow from labels; where they do not, the number is withheld."""
        beside = set() if self.long_axis else {"Long axis and atria"}
        return {name for name in TITLES if group(name) not in beside}

    def _as_written(self) -> bool:
        """Whether the numbers on disk are those of the labels on disk; an editor may have changed the labels."""
        told, now = self._told(), {name: one.value for name, one in self.found.measurements.items()}
        if now.keys() - told.keys() or (told.keys() - now.keys()) & self._of_labels():  # as many, and none withheld
            return False
        return all(np.isclose(told[name], now[name], rtol=1e-9) for name in now)


def _differences(before: Findings, after: Findings) -> dict[str, list[float | None]]:
    """Measurements that changed: name to the value before and after, None where there is none."""
    old = {name: one.value for name, one in before.measurements.items()}
    new = {name: one.value for name, one in after.measurements.items()}
    return {n: [old.get(n), new.get(n)] for n in dict.fromkeys([*old, *new]) if old.get(n) != new.get(n)}


def _packed(plane: NDArray[np.uint8]) -> str:
    return base64.b64encode(zlib.compress(np.ascontiguousarray(plane).tobytes(), 9)).decode("ascii")


def _unpacked(text: str, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    size = int(np.prod(shape))
    data = zlib.decompressobj().decompress(base64.b64decode(text), size)
    if len(data) != size:
        raise RefusedInput("no-session", f"{LOG} holds a plane of another size: it belongs to another analysis")
    return np.frombuffer(data, np.uint8).reshape(shape)
