"""Damaged and hostile input, without end: DICOM, NIfTI and archives changed at random and read.

    python benchmarks/fuzz.py --inputs 1000000 --out results/fuzz.json

Every input must end as a study, or as a refusal, within ten seconds. Anything else is a find: its bytes are kept beside
the summary, under a name made of its number and kind. Stopped and started again, it goes on where it was; input n is
always the same, so a find can be made again with `--only N`.
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
from pathlib import Path

import numpy as np

from cinecmr.errors import RefusedInput
from cinecmr.io import archive, nifti, reading
from cinecmr.io.files import write_bytes, write_text

LONGEST_S = 10
EVERY = 1000  # inputs between two writings of the summary
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


def seeds(folder: Path) -> list[tuple[str, bytes]]:
    """Whole small files of each kind: (ending, bytes)."""
    from cinecmr.anatomy import View
    from cinecmr.phantom.dicom_files import write_dicom
    from cinecmr.phantom.study import synthetic_study

    study, _ = synthetic_study(3, frames=8, matrix=(32, 32), long_axis=False)
    found = []
    for syntax in ("explicit", "implicit", "deflated", "rle"):
        write_dicom(study, folder / syntax, seed=3, syntax=syntax)
        first = next(path for path in sorted((folder / syntax).rglob("*")) if path.is_file())
        found.append((".dcm", first.read_bytes()))
    image = study[View.SAX]
    for ending in (".nii", ".nii.gz"):
        nifti.write_image(folder / f"x{ending}", image.data[:8, :8, :4], image.affine, image.times)
        found.append((ending, (folder / f"x{ending}").read_bytes()))
    archive.pack(folder / "x.zip", {"a.dcm": found[0][1], "b.dcm": found[3][1]})
    return [*found, (".zip", (folder / "x.zip").read_bytes())]


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


def made(number: int, whole: list[tuple[str, bytes]]) -> tuple[str, bytes]:
    """Input of that number: (ending, bytes)."""
    rng = random.Random(number)
    ending, data = whole[number % len(whole)]
    return ending, changed(data, rng)


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


def run(inputs: int, out: Path) -> dict[str, object]:
    """Go on to that number of inputs; the summary."""
    told = (
        json.loads(out.read_text()) if out.exists() else {"inputs": 0, "seconds": 0.0, "slowest_s": 0.0, "outcomes": {}}
    )
    signal.signal(signal.SIGALRM, _too_slow)
    with tempfile.TemporaryDirectory(prefix="fuzz-") as place:
        whole, begun = seeds(Path(place)), time.monotonic()
        before = told["seconds"]
        for number in range(told["inputs"], inputs):
            ending, data = made(number, whole)
            path = Path(place) / f"input{ending}"
            path.write_bytes(data)
            started = time.monotonic()
            signal.alarm(LONGEST_S)
            what = outcome(path)
            signal.alarm(0)
            told["slowest_s"] = round(max(told["slowest_s"], time.monotonic() - started), 3)
            told["outcomes"][what] = told["outcomes"].get(what, 0) + 1
            told["inputs"] = number + 1
            path.unlink()
            if what.startswith("find"):
                write_bytes(out.with_name(f"{out.stem}-{number}{ending}"), data)
            if told["inputs"] % EVERY == 0 or told["inputs"] == inputs:
                told["seconds"] = round(before + time.monotonic() - begun, 1)
                told["outcomes"] = dict(sorted(told["outcomes"].items(), key=lambda pair: -pair[1]))
                write_text(out, json.dumps(told, indent=2) + "\n")
    return told


def main() -> None:
    """Run, and print the summary; an exit code of 1 where there was a find."""
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    words.add_argument("--inputs", type=int, default=2000)
    words.add_argument("--out", type=Path, default=Path("out/fuzz.json"))
    words.add_argument("--only", type=int, help="read this one input again, and show where it ends")
    given = words.parse_args()
    logging.disable(logging.CRITICAL)
    np.seterr(all="ignore")
    if given.only is not None:
        with tempfile.TemporaryDirectory() as place:
            ending, data = made(given.only, seeds(Path(place)))
            (Path(place) / f"input{ending}").write_bytes(data)
            reading.read(Path(place) / f"input{ending}")
        return
    told = run(given.inputs, given.out)
    print(json.dumps(told, indent=2))
    raise SystemExit(any(what.startswith("find") for what in told["outcomes"]))


if __name__ == "__main__":
    main()
