"""The corrupted corpus: what `cinecmr analyze` makes of studies that something has gone wrong with.

Small synthetic studies, one fault each, are analysed by the command itself, each in a process of its own with an end
to its time. What it measured is compared with the same study without the fault: a number that lies further off than
the bounds, and that no flag speaks of, is a silent wrong number, which there must be none of.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import re
import shutil
import sys
import time
from dataclasses import asdict, dataclass, replace
from multiprocessing import get_all_start_methods, get_context
from typing import TYPE_CHECKING, Any

import numpy as np

from cinecmr.anatomy import Disease
from cinecmr.errors import RefusedInput
from cinecmr.experiments import provenance
from cinecmr.experiments.fault_kinds import Kind, kinds
from cinecmr.io.files import write_bytes, write_text
from cinecmr.phantom.scanner import MACHINES
from cinecmr.phantom.study import synthetic_study

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from cinecmr.study import Image, Study

HEARTS = (Disease.NORMAL, Disease.DCM, Disease.HCM, Disease.ABNORMAL_RV, Disease.INFARCT, Disease.ATHLETE)
CLASSIC, FEW_FILES = ("siemens", "ge", "philips"), ("siemens-xa", "philips-enhanced")
# Small: 9 slices of 180 mm across, 10 frames, each read by the network once
SMALL: dict[str, Any] = {"slice_mm": 10.0, "gap_mm": 3.0, "pixel_mm": 1.4, "matrix": (128, 128)}
MACHINE, MATRIX, FRAMES = "siemens-1.5t", 72, 10
READING = {"turns": 1, "locate_frames": 1, "pixels": 96}
COMPARED = ("LVEDV", "LVESV", "LVEF", "LVM", "RVEDV", "RVESV", "RVEF")
SHARE, LEAST, POINTS = 0.10, 5.0, 5.0  # of a volume or the mass, and ml or g; of an EF
# Flags that speak of the person or of other views: they excuse no wrong volume.
BESIDE = {"no-sex", "height-unit", "implausible-weight", "view-left-out", "unusual-orientation"}
OUTCOMES = {
    "right": "every number given lies within the bounds; others are withheld with their reason",
    "flagged": "a number lies outside, and the report flags what is wrong",
    "refused": "no numbers: the command ends with a named refusal",
    "withheld": "no numbers: each is withheld with its reason",
    "silent": "a number lies outside and nothing says so",
    "error": "the command fails without saying what is wrong with the study",
    "too long": "stopped at the limit of time",
}
FINE = ("right", "flagged", "refused", "withheld")
QUICK = "corpus"


@dataclass(frozen=True)
class Row:
    """One study of the corpus.

    Attributes:
        number, heart: which.
        fault, words: what is wrong with it.
        outcome: one of `OUTCOMES`.
        message: of the refusal or of the first new flag.
        flags: codes of new flags that are more than notes.
        off: numbers beyond the bounds, with how far.
        seconds: of the command.
        commit: of the code that was asked; a run that is gone on with may hold several.
    """

    number: int
    heart: int
    fault: str
    words: str
    outcome: str
    message: str = ""
    flags: tuple[str, ...] = ()
    off: tuple[str, ...] = ()
    seconds: float = 0.0
    commit: str = ""


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code, None where it was stopped; what it said; its seconds."""

    code: int | None
    said: str
    seconds: float


def run(
    out: Path,
    studies: int = 200,
    seed: int = 7700,
    model: str = "sax-unet",
    limit_s: float = 300.0,
    only: str | None = None,
) -> Iterator[str]:
    """Make, analyse and judge; lines for the terminal as they are ready. Started again, it goes on.

    Args:
        out: gets rows.jsonl, faults.json and faults.md.
        studies: how many; the list of faults is gone through again and again, each time with another heart.
        seed: of the first heart.
        model: weights, asked once a frame and not for turned copies as well, which takes a quarter of the time.
        limit_s: of one command.
        only: one fault of the list.

    Raises:
        RefusedInput: no fault of that name (`no-such-fault`).
    """
    started = time.perf_counter()
    corpus = Corpus(out, seed, model, limit_s)
    done = corpus.done()
    for number, name, kind in plan(studies, only):
        if number in done and done[number].fault == name and done[number].outcome in FINE:
            continue
        done[number] = corpus.judge(number, name, kind)
        corpus.keep(done)
        yield line(done[number])
    rows = [done[number] for number, *_ in plan(studies, only)]
    about = provenance.about(started, "torch", "pydicom", model=corpus.source, seed=seed, studies=len(rows))
    about["commit"] = ", ".join(dict.fromkeys(row.commit for row in rows))
    write_text(out / "faults.json", provenance.as_json({"about": about, "studies": [asdict(row) for row in rows]}))
    write_text(out / "faults.md", markdown(about, rows))
    yield from summary(rows)


def plan(studies: int, only: str | None = None) -> list[tuple[int, str, Kind]]:
    """Number, fault and kind of every study, faults in an order that mixes their sorts."""
    known = kinds()
    if only is not None and only not in known:
        raise RefusedInput("no-such-fault", f"no fault {only!r}: there are {', '.join(known)}")
    names = [str(name) for name in np.random.default_rng(0).permutation(list(known))]
    chosen = [(number, names[number % len(names)]) for number in range(studies)]
    return [(number, name, known[name]) for number, name in chosen if only in (None, name)]


class Corpus:
    """Hearts, their healthy analyses, and the rows that are done."""

    def __init__(self, out: Path, seed: int, model: str, limit_s: float) -> None:
        self.out, self.seed, self.limit_s, self.commit = out, seed, limit_s, provenance.commit()
        self.models = out / "work" / "models"
        self.source = f"{quick_model(model, self.models)}, asked once a frame"
        self._hearts: dict[int, tuple[Study, tuple[int, int]]] = {}
        self._healthy: dict[int, dict[str, Any]] = {}
        preload()

    def heart(self, number: int) -> tuple[Study, tuple[int, int]]:
        """A healthy study, small, and its frames of ED and ES."""
        if number not in self._hearts:
            machine = replace(MACHINES[MACHINE], **SMALL)
            study, truth = synthetic_study(
                self.seed + number, HEARTS[number], frames=FRAMES, scanner=machine, matrix=(MATRIX, MATRIX)
            )
            self._hearts[number] = study, (truth.cycle["LV_ED"], truth.cycle["LV_ES"])
        return self._hearts[number]

    def healthy(self, number: int) -> dict[str, Any]:
        """findings.json of the study without a fault."""
        if number not in self._healthy:
            place = self.out / "work" / f"heart{number}"
            if not (place / "report" / "findings.json").is_file():
                self._write(Kind("none", vendor=CLASSIC[0]), number, place / "dicom", 0)
                ended = self._analyze(place / "dicom", place / "report")
                if ended.code not in (0, 4):
                    raise RefusedInput("nothing-measured", f"heart {number} without a fault: {ended.said[-300:]}")
            self._healthy[number] = _findings(place / "report")
        return self._healthy[number]

    def judge(self, number: int, name: str, kind: Kind) -> Row:
        """Make one study, analyse it, compare it."""
        heart = number % len(HEARTS) if number < len(kinds()) else (number + 1) % len(HEARTS)
        healthy = self.healthy(heart)
        place = self.out / "work" / f"study{number:03d}"
        shutil.rmtree(place, ignore_errors=True)
        if kind.vendor is None:
            vendors = CLASSIC if kind.picture is None else FEW_FILES
            kind = replace(kind, vendor=vendors[number % len(vendors)])
        (place / "study").mkdir(parents=True)
        self._write(kind, heart, place / "study", number)
        inside = list((place / "study").iterdir())
        alone = len(inside) == 1 and inside[0].suffix in (".zip", ".gz")
        ended = self._analyze(inside[0] if alone else place / "study", place / "report")
        row = Row(number, heart, name, kind.words, "", seconds=round(ended.seconds, 1), commit=self.commit)
        row = judged(row, ended, healthy, _findings(place / "report"))
        if row.outcome in FINE:  # others are kept to be looked at
            shutil.rmtree(place)
        return row

    def _write(self, kind: Kind, heart: int, folder: Path, seed: int) -> None:
        study, frames = self.heart(heart)
        other, _ = self.heart((heart + 1) % len(HEARTS))
        kind.write(study, folder, other, seed, frames)

    def _analyze(self, study: Path, report: Path) -> Ended:
        arguments = ["analyze", str(study), "--out", str(report), "--models", QUICK, "--models-dir", str(self.models)]
        return command(
            [*arguments, "--precision", "auto"], report.with_suffix(".log"), self.limit_s, self.out / "work" / "known"
        )

    def done(self) -> dict[int, Row]:
        """Rows of an earlier run."""
        path = self.out / "work" / "rows.jsonl"
        lines = path.read_text("utf-8").splitlines() if path.is_file() else []
        rows = [json.loads(one) for one in lines]
        return {one["number"]: Row(**{**one, "flags": tuple(one["flags"]), "off": tuple(one["off"])}) for one in rows}

    def keep(self, rows: Mapping[int, Row]) -> None:
        """Write the rows that are done."""
        text = "".join(json.dumps(asdict(rows[number])) + "\n" for number in sorted(rows))
        write_text(self.out / "work" / "rows.jsonl", text)


def quick_model(name: str, folder: Path) -> str:
    """A copy of some weights that is asked once a frame, under the name `QUICK`; who they are."""
    from cinecmr.analyze import models

    card = models.card(name)
    reading = {**card.reading, **READING}
    write_bytes(folder / f"{QUICK}.safetensors", models.weights_path(name).read_bytes())
    write_text(folder / f"{QUICK}.json", card.model_copy(update={"name": QUICK, "reading": reading}).model_dump_json())
    return f"{name}@{card.sha256[:8]}"


def preload() -> None:
    """Import what every command needs once, before processes are forked from this one."""
    for module in ("torch", "pydicom", "nibabel", "jinja2", "typer", "scipy.ndimage", "cinecmr.tasks.reading",
                   "cinecmr.networks.inference", "cinecmr.analyze.pipeline", "cinecmr.analyze.page",
                   "cinecmr.analyze.session", "cinecmr.analyze.dicom_out", "cinecmr.analyze.strain_page",
                   "cinecmr.io.dicom", "cinecmr.io.nifti_study"):  # fmt: skip
        importlib.import_module(module)


def command(arguments: list[str], log: Path, limit_s: float, known: Path | None = None) -> Ended:
    """Run `cinecmr ARGUMENTS` in a process of its own.

    Args:
        arguments: of the command line.
        log: gets what it prints.
        limit_s: after which it is ended.
        known: folder that the network's answers are kept in, so that it is asked once for the same pictures.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    context: Any = get_context("fork" if "fork" in get_all_start_methods() else "spawn")
    process = context.Process(target=_command, args=(arguments, log, known))
    started = time.perf_counter()
    process.start()
    process.join(limit_s)
    if process.is_alive():
        process.kill()
        process.join()
        return Ended(None, "", time.perf_counter() - started)
    return Ended(process.exitcode, log.read_text("utf-8", errors="replace"), time.perf_counter() - started)


def _command(arguments: list[str], log: Path, known: Path | None) -> None:
    import runpy

    import torch

    torch.set_num_threads(1)
    if known is not None:
        _remember(known)

    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    sys.stdout, sys.stderr = os.fdopen(1, "w", encoding="utf-8"), os.fdopen(2, "w", encoding="utf-8", buffering=1)
    sys.argv = ["cinecmr", *arguments]
    runpy.run_module("cinecmr.cli", run_name="__main__", alter_sys=True)


def _remember(known: Path) -> None:
    """In this process, take the network's answer for pictures it was asked for before; the same would come again."""
    from cinecmr.analyze.models import Model

    ask = Model.segment_surely

    def segment(
        model: Model, image: Image, progress: Callable[[float], None] | None = None
    ) -> tuple[NDArray[np.uint8], None]:
        told = np.ascontiguousarray(image.data, np.float32).tobytes() + np.round(image.spacing, 4).tobytes()
        path = known / f"{hashlib.sha256(told + repr(image.missing_slices).encode()).hexdigest()[:32]}.npy"
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, ask(model, image, progress)[0], allow_pickle=False)
        return np.asarray(np.load(path, allow_pickle=False)), None

    setattr(Model, "segment_surely", segment)  # noqa: B010 - mypy takes no assignment to a method


def _findings(report: Path) -> dict[str, Any]:
    path = report / "findings.json"
    return dict(json.loads(path.read_text("utf-8"))) if path.is_file() else {}


def judged(row: Row, ended: Ended, healthy: Mapping[str, Any], found: Mapping[str, Any]) -> Row:
    """The row with its outcome.

    Args:
        row: without one.
        ended: the command.
        healthy: findings.json of the study without the fault.
        found: the same with the fault; empty where there is none.
    """
    if ended.code is None:
        return replace(row, outcome="too long")
    if ended.code == 3:
        message, _, code = ended.said.strip().rpartition("  [")
        return replace(row, outcome="refused", flags=(code.rstrip("]"),), message=_short(message))
    if ended.code not in (0, 4) or not found:
        return replace(row, outcome="error", message=_short(ended.said.strip()))
    known = {_said(flag) for flag in healthy["flags"]}
    new = [flag for flag in found["flags"] if flag["severity"] != "note" and _said(flag) not in known]
    row = replace(row, flags=tuple(dict.fromkeys(flag["code"] for flag in new)), off=tuple(off(healthy, found)))
    told = [flag for flag in new if flag["code"] not in BESIDE]
    row = replace(row, message=_short(told[0]["message"]) if told else "")
    if not any(name in found["measurements"] for name in COMPARED):
        return replace(row, outcome="withheld")
    if not row.off:
        return replace(row, outcome="right")
    return replace(row, outcome="flagged" if told else "silent")


def _said(flag: Mapping[str, str]) -> tuple[str, ...]:
    """What a flag says, without its figures: its code, its severity, and of which slice, phase and ventricle."""
    return flag["code"], flag["severity"], *re.findall(r"slices? [\d, and]+|\bE[DS]\b|\b[LR]V", flag["message"])


def off(healthy: Mapping[str, Any], found: Mapping[str, Any]) -> Iterator[str]:
    """Numbers that lie beyond the bounds, such as "LVEDV -23 %" or "LVEF +6 points"."""
    for name in COMPARED:
        if name not in healthy["measurements"] or name not in found["measurements"]:
            continue
        right, value = (of["measurements"][name]["value"] for of in (healthy, found))
        more = value - right
        if name.endswith("EF"):
            if abs(more) > POINTS:
                yield f"{name} {more:+.0f} points"
        elif abs(more) > max(SHARE * right, LEAST):
            yield f"{name} {100 * more / right:+.0f} %"


def _short(text: str) -> str:
    """One line of at most 180 characters, without paths."""
    plain = re.sub(r"(?:/[\w.-]+){2,}", "...", text.replace("\n", " ").replace("|", "/")).removeprefix("refused: ")
    return plain if len(plain) <= 180 else plain[:177] + "..."


def line(row: Row) -> str:
    """For the terminal."""
    more = ", ".join(row.off) or row.message[:70]
    return f"{row.number:4d} {row.fault:<24} {row.outcome:<9} {' '.join(row.flags):<40} {more}  ({row.seconds:.0f} s)"


def summary(rows: list[Row]) -> list[str]:
    """How many ended how, and what must not be."""
    counts = {name: sum(row.outcome == name for row in rows) for name in OUTCOMES}
    bad = [f"{row.fault} (study {row.number})" for row in rows if row.outcome not in FINE]
    return [
        "",
        f"{len(rows)} studies, {len({row.fault for row in rows})} faults: "
        + ", ".join(f"{count} {name}" for name, count in counts.items() if count),
        "none of them a silent wrong number, an error, or too long"
        if not bad
        else f"not as it must be: {', '.join(bad)}",
    ]


def markdown(about: Mapping[str, str], rows: list[Row]) -> str:
    """The table as a page."""
    lines = [
        "# Studies with something wrong, and what `cinecmr analyze` makes of them",
        "",
        *provenance.as_lines(about),
    ]
    lines += [
        f"Numbers are compared with those of the same study without the fault; a volume or mass is wrong beyond "
        f"{100 * SHARE:.0f} % and {LEAST:g} ml or g, an ejection fraction beyond {POINTS:g} points. Flags that the "
        "healthy study raises too, of the same slice, phase and ventricle, do not count. Outcomes:",
        "",
    ]
    lines += [f"- {name}: {sum(row.outcome == name for row in rows)} ({words})" for name, words in OUTCOMES.items()]
    lines += [*summary(rows)[1:], "", "| | fault | | outcome | flags or refusal | numbers off | message |",
              "|---|---|---|---|---|---|---|"]  # fmt: skip
    for row in rows:
        cells = (row.number, row.fault, row.words, row.outcome, ", ".join(row.flags), ", ".join(row.off), row.message)
        lines.append("| " + " | ".join(str(cell) for cell in cells) + " |")
    return "\n".join(lines) + "\n"
