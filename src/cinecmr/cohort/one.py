"""One study of a cohort: read, measured, written, and its row of the table.

Whatever goes wrong is an outcome with a cause. A cause is the code of a refusal, or the kind and place of a fault; it
never quotes a message, because messages quote paths and headers.
"""

from __future__ import annotations

import errno
import time
import traceback
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cinecmr.analyze import pipeline, run
from cinecmr.analyze.given import GivenLabels
from cinecmr.analyze.schema import to_file_model
from cinecmr.anatomy import Contrast, Sex, View
from cinecmr.errors import RefusedInput
from cinecmr.io.files import write_text
from cinecmr.io.naming import Names

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cinecmr.analyze.long_axis import LongAxisModel
    from cinecmr.analyze.pipeline import Segmenter
    from cinecmr.analyze.schema import FindingsFile
    from cinecmr.study import Findings, Study

LABELS = "labels"  # in place of a model's name
UNITS = {"%": "percent", "ml/m2": "ml_per_m2", "g/m2": "g_per_m2", "l/min": "l_per_min", "l/min/m2": "l_per_min_per_m2"}
FACTS = ("sex", "age_y", "height_m", "weight_kg", "vendor", "model", "field_t")
PROVENANCE = ("cinecmr", "weights", "weights_sha256", "input_sha256", "phase_key", "options")


@dataclass(frozen=True)
class Settings:
    """What every study of a cohort is measured with.

    Attributes:
        models: see `cinecmr analyze`; `LABELS` for none: the list gives labels for every study.
        device, precision, models_dir: see `cinecmr analyze`.
        sax, rr_ms: see `cinecmr.io.read`.
        threads: of one study's process; the sums of a network, and so the last digits, depend on it.
        keep: what is written of a study beside its row: "row" nothing, "findings" findings.json and a small picture,
            "report" everything that `analyze` writes, too.
        time_limit_s, memory_limit_mb: of one study.
        long_axis: what reads 2C, 3C and 4C views, see `cinecmr analyze`; nothing does where `models` is `LABELS`.
    """

    models: str = "sax-unet"
    device: str = "cpu"
    precision: str = "fp32"
    models_dir: str | None = None
    sax: str | None = None
    rr_ms: float | None = None
    threads: int = 1
    keep: str = "findings"
    time_limit_s: float = 900.0
    memory_limit_mb: float = 4096.0
    long_axis: str = "lax-unet"

    def told(self) -> dict[str, str]:
        """What the numbers depend on, as it is told in the results."""
        views = None if self.models == LABELS else self.long_axis
        given = {
            "models": self.models,
            "long-axis": views,
            "device": self.device.partition(":")[0],
            "precision": self.precision,
            "threads": self.threads,
            "sax": self.sax,
            "rr-ms": self.rr_ms,
        }
        return {name: str(value) for name, value in given.items() if value is not None}


def folder_of(out: Path, name: str) -> Path:
    """Where the files of a study lie: in one of 256 folders, so that none gets too many entries."""
    return out / "studies" / name.removeprefix("study-")[:2] / name


def measure(
    request: Mapping[str, Any], settings: Settings, model: Segmenter | None, views: LongAxisModel | None = None
) -> dict[str, Any]:
    """Measure one study.

    Args:
        request: "name", "paths", "site", "labels" and "said" of `studies.Entry`; "out", the cohort's folder; "key",
            of its names, as hexadecimal digits.
        settings: see `Settings`.
        model: loaded once, by the process; None for `LABELS`.
        views: reads the long axis; loaded once, too.

    Returns:
        "state", "cause", "row" and "seconds", as in `ledger.Outcome`.
    """
    started = time.perf_counter()
    row: dict[str, Any] = {"site": request["site"]} if request["site"] else {}
    try:
        state, cause, more = _measured(request, settings, model, views)
        row |= more
    except RefusedInput as refusal:
        state, cause = "refused", refusal.code
    except MemoryError:
        state, cause = "failed", "memory-limit"
    except OSError as error:
        state, cause = "failed", "disk-full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else _place(error)
    except Exception as error:
        state, cause = "failed", _place(error)
    return {"state": state, "cause": cause, "row": row, "seconds": time.perf_counter() - started}


def _measured(
    request: Mapping[str, Any], settings: Settings, model: Segmenter | None, views: LongAxisModel | None
) -> tuple[str, str, dict[str, Any]]:
    from cinecmr.io.reading import read

    names = Names(bytes.fromhex(request["key"]))
    with _source(request["paths"]) as place:
        study = read(place, sax=settings.sax, rr_ms=settings.rr_ms)
    asked = GivenLabels(Path(request["labels"])) if request["labels"] else model
    if asked is None:
        raise RefusedInput("no-labels", "the list gives no labels for this study, and no model is to find them")
    study = run.with_facts(replace(study, subject=names.subject(study.subject)), _said(request["said"]))
    found = pipeline.analyze(study, asked, long_axis=views)
    provenance = run.provenance(asked, settings.told(), views)
    file = to_file_model(study, found, provenance=provenance)
    _write(folder_of(Path(request["out"]), request["name"]), file, study, found, provenance, settings.keep)
    withheld = [flag.code for flag in file.flags if flag.severity == "refuse"]
    state = {"done": "done", "flags": "flagged", "refused": "refused"}[file.status]
    return state, (withheld or [""])[0] if state == "refused" else "", row_of(file)


@contextmanager
def _source(paths: list[str]) -> Iterator[Path]:
    """The one path, or the archives of a visit in a folder that is gone afterwards."""
    from cinecmr.io.archive import unpacked

    if len(paths) == 1:
        yield Path(paths[0])
        return
    with unpacked([Path(path) for path in paths]) as place:
        yield place


def _said(said: list[list[str]]) -> dict[str, Any]:
    """Facts of the list, checked as options of `analyze` are."""
    given = dict(said)
    try:
        sex = Sex(given["sex"].upper()[:1]) if "sex" in given else None
        height, weight, age = (float(given[key]) if key in given else None for key in ("height", "weight", "age"))
    except ValueError:
        raise RefusedInput("bad-fact", "the list gives a sex other than F or M, or a fact that is no number") from None
    return run.facts_given(height_cm=height, weight_kg=weight, sex=sex, age_y=age)


def _write(
    folder: Path, file: FindingsFile, study: Study, found: Findings, provenance: Mapping[str, str], keep: str
) -> None:
    if keep == "row":
        return
    if keep == "report":
        from cinecmr.analyze.report import write_outputs

        write_outputs(folder, study, found, provenance=provenance)
    else:
        write_text(folder / "findings.json", file.to_json())
    labels = found.labels.get((View.SAX, Contrast.CINE))
    if labels is not None:
        from cinecmr.cohort.picture import draw

        draw(folder / "picture.png", study[View.SAX], labels, found.cycle)


def row_of(file: FindingsFile) -> dict[str, Any]:
    """The cells of a study by column: every number with its unit in the column's name, and how it came to be."""
    row: dict[str, Any] = {"subject": file.subject}
    row |= {name: value for name in FACTS if (value := getattr(file.facts, name)) is not None}
    for name, one in file.measurements.items():
        column = f"{name}_{UNITS.get(one.unit, one.unit)}"
        row[column] = round(one.value, 6)
        if one.interval is not None:
            row[f"{column}_low"], row[f"{column}_high"] = (round(end, 6) for end in one.interval)
    row |= {f"{phase}_frame": frame for phase, frame in file.cycle.items()}
    image = next((image for image in file.images if (image.view, image.contrast) == ("sax", "cine")), None)
    if image is not None:
        row |= {"slices": image.shape[2], "frames": image.frames, "slice_distance_mm": image.spacing_mm[2]}
        row |= {"pixel_mm": image.spacing_mm[0], "missing_slices": len(image.missing_slices)}
    row["flags"] = " ".join(dict.fromkeys(flag.code for flag in file.flags if flag.severity != "note"))
    row["notes"] = " ".join(dict.fromkeys(flag.code for flag in file.flags if flag.severity == "note"))
    made = file.provenance
    told = (file.cinecmr_version, made.model, made.weights_sha256, made.input_sha256, made.phase_key, made.options)
    return row | {name: value for name, value in zip(PROVENANCE, told, strict=True) if value}


def _place(error: BaseException) -> str:
    """Kind of a fault and the last line of ours that it passed.

    >>> try:
    ...     int("x")
    ... except ValueError as error:
    ...     _place(error)
    'ValueError'
    """
    ours = [at for at in traceback.extract_tb(error.__traceback__) if "cinecmr" in Path(at.filename).parts]
    if not ours:
        return type(error).__name__
    path = Path(ours[-1].filename)
    return f"{type(error).__name__} at {path.parent.name}/{path.name}:{ours[-1].lineno}"
