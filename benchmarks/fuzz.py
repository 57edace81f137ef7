"""Damaged and hostile input, without end: DICOM, NIfTI and archives changed at random and read.

    python benchmarks/fuzz.py --inputs 1000000 --out results/fuzz.json

Most inputs are one small file; one in fifty is a whole study of which one to three files are changed, so that what is
parsed is also put together. Every input must end as a study, or as a refusal, within ten seconds. Anything else is a
find: its bytes are kept beside the summary, under a name made of its number and kind. Stopped and started again, it
goes on where it was; input n is always the same, so a find can be made again with `--only N`. Seconds are those of the
processor, as it may run behind everything else.
"""

from __future__ import annotations

import argparse
import json
import logging
import random
import signal
import struct
import tempfile
import time
import traceback
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cinecmr.anatomy import Contrast, View
from cinecmr.errors import RefusedInput
from cinecmr.io import archive, nifti, reading
from cinecmr.io.files import write_bytes, write_text
from cinecmr.phantom.dicom_files import write_dicom
from cinecmr.phantom.study import synthetic_study

if TYPE_CHECKING:
    from cinecmr.study import Study

LONGEST_S = 10
EVERY = 1000  # inputs between two writings of the summary
WHOLE = 50  # one input in so many is a whole study
MEMORY = Path("/dev/shm")  # files that live for milliseconds need no disk
NASTY = (
    b"\0",
    b"\xff\xff\xff\xff",
    b"\x00\x00\x00\x80",
    b"\xfe\xff\x00\xe0",
    b"\xfe\xff\xdd\xe0",
    b"SQ\0\0",
    b"UN\0\0",
    struct.pack("<I", 0x7FFFFFFF),
    struct.pack("<d", float("nan")),
    b"../../x",
    b"=1+1",
    b"<script>",
)


@dataclass(frozen=True)
class Seeds:
    """What is changed: single files, each (ending, bytes), and the files of whole studies, by kind."""

    single: list[tuple[str, bytes]]
    studies: list[tuple[str, list[bytes]]]


def small_study() -> Study:
    """Four slices of nine frames of sixteen pixels: little more than makes a short axis."""
    study, _ = synthetic_study(3, frames=9, matrix=(16, 16), long_axis=False)
    image = study[View.SAX]
    few = replace(image, data=image.data[:, :, 3:7], slice_shift_mm=None)
    return replace(study, images={(View.SAX, Contrast.CINE): few})


def dicom(study: Study, folder: Path, **how: str) -> list[bytes]:
    """The DICOM files of a study, in the order of their names."""
    write_dicom(study, folder, seed=3, **how)
    return [path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()]


def seeds(folder: Path) -> Seeds:
    """Whole small files of each kind, and whole studies."""
    study = small_study()
    image = study[View.SAX]
    syntaxes = ("explicit", "implicit", "deflated", "rle")
    single = [(".dcm", dicom(study, folder / kind, syntax=kind)[0]) for kind in syntaxes]
    for ending in (".nii", ".nii.gz"):
        nifti.write_image(folder / f"x{ending}", image.data[:8, :8, :4], image.affine, image.times)
        single.append((ending, (folder / f"x{ending}").read_bytes()))
    archive.pack(folder / "x.zip", {"a.dcm": single[0][1], "b.dcm": single[3][1]})
    single.append((".zip", (folder / "x.zip").read_bytes()))
    vendors = ("siemens", "philips-enhanced", "ge", "legacy-converted", "philips", "siemens-xa")
    return Seeds(single, [(vendor, dicom(study, folder / vendor, vendor=vendor)) for vendor in vendors])


def changed(data: bytes, rng: random.Random) -> bytes:
    """One to eight changes: bits, pieces of nastiness, cuts, repeats; most of them near the begin."""
    new = bytearray(data)
    for _ in range(rng.randint(1, 8)):
        at = int(len(new) * rng.random() ** rng.choice((1, 4))) if new else 0
        kind = rng.random()
        if kind < 0.45 and new:
            new[at % len(new)] ^= 1 << rng.randrange(8)
        elif kind < 0.75:
            piece = rng.choice(NASTY)
            new[at : at + (len(piece) if rng.random() < 0.7 else 0)] = piece
        elif kind < 0.85:
            del new[at : at + rng.randint(1, 64)]
        elif kind < 0.93:
            new[at:at] = new[at : at + rng.randint(1, 256)]
        else:
            del new[at:]
    return bytes(new)


def altered(data: bytes, rng: random.Random) -> bytes:
    """A text or number of the header changed in place, all lengths kept: what parses well and says something odd."""
    new = bytearray(data)
    for _ in range(rng.randint(1, 6)):
        at = 132 + int((len(new) - 136) * rng.random())
        if rng.random() < 0.5 and chr(new[at]) in "0123456789.":
            new[at] = ord(rng.choice("0123456789.-E "))
        else:
            new[at] = rng.choice((0, 1, 0x20, 0x2D, 0x39, 0x5C, 0x7F, 0xFF, new[at] ^ (1 << rng.randrange(8))))
    return bytes(new)


def made(number: int, known: Seeds) -> tuple[str, list[bytes]]:
    """Input of that number: (ending, one file), or (kind of study, its files)."""
    rng = random.Random(number)
    if number % WHOLE:
        ending, data = known.single[number % len(known.single)]
        return ending, [changed(data, rng)]
    kind, files = known.studies[number // WHOLE % len(known.studies)]
    files = list(files)
    for at in rng.sample(range(len(files)), min(len(files), rng.randint(1, 3))):
        files[at] = (changed if rng.random() < 0.3 else altered)(files[at], rng)
    return kind, files


def put(place: Path, kind: str, files: list[bytes]) -> Path:
    """Write an input, and nothing else, under a folder; what to read."""
    if kind.startswith("."):
        path = place / f"input{kind}"
        path.write_bytes(files[0])
        return path
    folder = place / kind
    folder.mkdir(exist_ok=True)
    for number, data in enumerate(files):
        path = folder / f"{number:03d}.dcm"
        path.write_bytes(data)
    return folder


def outcome(path: Path) -> str:
    """What became of an input: "read", "refused CODE", or "find ..."."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            reading.read(path)
    except RefusedInput as refusal:
        return f"refused {refusal.code}"
    except Slow:
        return "find: slow"
    except Exception as error:
        ours = [at for at in traceback.extract_tb(error.__traceback__) if "cinecmr" in at.filename]
        return f"find: {type(error).__name__} at {Path(ours[-1].filename).name}:{ours[-1].lineno}"
    return "read"


class Slow(BaseException):
    """An input took too long; no handler of ordinary errors may take it for one."""


def _too_slow(*_: object) -> None:
    raise Slow


def keep(out: Path, number: int, kind: str, files: list[bytes]) -> None:
    """Store a find beside the summary; a study as an archive."""
    if kind.startswith("."):
        write_bytes(out.with_name(f"{out.stem}-{number}{kind}"), files[0])
    else:
        archive.pack(
            out.with_name(f"{out.stem}-{number}-{kind}.zip"), {f"{n:03d}.dcm": data for n, data in enumerate(files)}
        )


def begun(out: Path) -> dict[str, object]:
    """The summary so far."""
    nothing = {"inputs": 0, "whole_studies": 0, "seconds": 0.0, "slowest_s": 0.0, "outcomes": {}, "of_studies": {}}
    return json.loads(out.read_text()) if out.exists() else nothing


def run(inputs: int, out: Path, place: Path) -> dict[str, object]:
    """Go on to that number of inputs; the summary."""
    told, known = begun(out), seeds(place / "seeds")
    signal.signal(signal.SIGPROF, _too_slow)
    before, clock = told["seconds"], time.process_time()
    for number in range(told["inputs"], inputs):
        kind, files = made(number, known)
        path, started = put(place, kind, files), time.process_time()
        signal.setitimer(signal.ITIMER_PROF, LONGEST_S)
        what = outcome(path)
        signal.setitimer(signal.ITIMER_PROF, 0)
        count(told, number, kind, what, time.process_time() - started)
        if path.is_file():
            path.unlink()
        if what.startswith("find"):
            keep(out, number, kind, files)
        if told["inputs"] % EVERY == 0 or told["inputs"] == inputs:
            told["seconds"] = round(before + time.process_time() - clock, 1)
            for name in ("outcomes", "of_studies"):
                told[name] = dict(sorted(told[name].items(), key=lambda pair: -pair[1]))
            write_text(out, json.dumps(told, indent=2) + "\n")
    return told


def count(told: dict[str, object], number: int, kind: str, what: str, seconds: float) -> None:
    """Enter one input into the summary."""
    told["slowest_s"] = round(max(told["slowest_s"], seconds), 3)
    told["inputs"] = number + 1
    told["outcomes"][what] = told["outcomes"].get(what, 0) + 1
    if not kind.startswith("."):
        told["whole_studies"] += 1
        told["of_studies"][what] = told["of_studies"].get(what, 0) + 1


def main() -> None:
    """Run, and print the summary; an exit code of 1 where there was a find."""
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    words.add_argument("--inputs", type=int, default=2000)
    words.add_argument("--out", type=Path, default=Path("out/fuzz.json"))
    words.add_argument("--only", type=int, help="read this one input again, and show where it ends")
    given = words.parse_args()
    logging.disable(logging.CRITICAL)
    np.seterr(all="ignore")
    with tempfile.TemporaryDirectory(prefix="fuzz-", dir=MEMORY if MEMORY.is_dir() else None) as name:
        place = Path(name)
        tempfile.tempdir = name  # archives are unpacked there
        if given.only is not None:
            print(reading.read(put(place, *made(given.only, seeds(place / "seeds")))))
            return
        told = run(given.inputs, given.out, place)
    print(json.dumps(told, indent=2))
    raise SystemExit(any(what.startswith("find") for what in told["outcomes"]))


if __name__ == "__main__":
    main()
