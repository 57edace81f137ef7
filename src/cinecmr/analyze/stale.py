"""What an earlier run left in the folder of a study that is now refused, set aside: nobody shall take it for this one.

Nothing is deleted: labels somebody corrected may be among it.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from cinecmr.analyze import motion
from cinecmr.errors import RefusedInput
from cinecmr.io.files import write_text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

REFUSAL, EDITS = "refusal.json", "edits.jsonl"
_NUMBERS = ("report.html", "report.pdf", "findings.json", "measurements.csv", *motion.FILES)
_LONG_AXIS = ("labels_lax_2c.nii.gz", "labels_lax_3c.nii.gz", "labels_lax_4c.nii.gz")
OUTPUTS = (*_NUMBERS, "dicom", "study.npz", EDITS, *_LONG_AXIS, "labels_sax.nii.gz")


@contextmanager
def setting_aside(out: Path) -> Iterator[None]:
    """Around a run that writes to `out`: one that ends without a report leaves no earlier report in its place.

    After a refusal or an error, outputs of an earlier run are moved to `out`/earlier-DATE-TIME. After a refusal,
    refusal.json takes their place; it names the code alone, for messages quote paths, which may name people. A folder
    without earlier outputs is left as it is. After success, an old refusal.json is removed.

    Raises:
        RefusedInput: that of the run, its message ending with where the earlier outputs are now.
    """
    try:
        yield
    except RefusedInput as refusal:
        aside = _set_aside(out)
        if aside is None:
            raise
        write_text(out / REFUSAL, json.dumps({"refused": refusal.code, "earlier": aside.name}, indent=2) + "\n")
        message = f"{refusal.message}; the results of an earlier run are now in {aside}"
        raise RefusedInput(refusal.code, message) from None
    except Exception:
        _set_aside(out)
        raise
    (out / REFUSAL).unlink(missing_ok=True)


def keep_corrections(out: Path) -> None:
    """Before new outputs are written to `out`: an earlier analysis that somebody corrected is moved aside whole."""
    if (out / EDITS).is_file():
        _set_aside(out)


def _set_aside(out: Path) -> Path | None:
    """Move earlier outputs; where to, or None where there are none."""
    old = [out / name for name in OUTPUTS if (out / name).exists()]
    if not any(path.name != OUTPUTS[-1] for path in old):  # labels alone are somebody's own
        return None
    folder = out / datetime.now(UTC).strftime("earlier-%Y%m%d-%H%M%S-%f")
    folder.mkdir()
    for path in old:
        path.replace(folder / path.name)
    return folder
