"""What of a study would be used, what not, and why: for a person as a table, for a program as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cinecmr.study import Flag

_HEADINGS = ("series", "description", "shows", "planes", "frames", "matrix", "pixel mm", "used", "why")


@dataclass(frozen=True)
class Row:
    """One line: planes of one series that share their fate.

    Attributes:
        series: series number, or the name of a NIfTI file.
        description: as the header says it.
        view: "SAX", "LAX_2C", ... where it is known, else "".
        planes: different planes.
        frames: of each plane, such as "25" or "20-25".
        matrix: pixels, such as "256 x 208".
        pixel_mm: pixel spacing, such as "1.41 x 1.41".
        used: whether the study holds it.
        reason: why not, or for what.
        files: how many.
    """

    series: str
    description: str
    view: str
    planes: int
    frames: str
    matrix: str
    pixel_mm: str
    used: bool
    reason: str
    files: int

    def cells(self) -> tuple[str, ...]:
        """What the table shows."""
        return (self.series, self.description, self.view, str(self.planes), self.frames, self.matrix, self.pixel_mm,
                "yes" if self.used else "no", self.reason)  # fmt: skip


@dataclass(frozen=True)
class Inspection:
    """See the module.

    Attributes:
        subject: name safe to print.
        rows: used ones first.
        chosen: view to a sentence about the image made of it.
        flags: what reading noticed.
        facts: what is known of person and scanner.
        ignored: reason to number of files that are no pictures.
        refusal: code and message where the study cannot be measured, else None.
    """

    subject: str
    rows: tuple[Row, ...]
    chosen: Mapping[str, str] = field(default_factory=dict)
    flags: tuple[Flag, ...] = ()
    facts: Mapping[str, object] = field(default_factory=dict)
    ignored: Mapping[str, int] = field(default_factory=dict)
    refusal: tuple[str, str] | None = None

    def to_table(self) -> str:
        """Plain lines for a terminal."""
        cells = [_HEADINGS, *(row.cells() for row in self.rows)]
        widths = [max(len(_printable(line[i])) for line in cells) for i in range(len(_HEADINGS) - 1)]
        lines = [f"subject {self.subject}", ""]
        for line in cells:
            lines.append("  ".join([*(_printable(c).ljust(w) for c, w in zip(line, widths, strict=False)), line[-1]]))
        lines.append("")
        lines += [f"{view}: {text}" for view, text in self.chosen.items()]
        lines += [f"not a picture: {count} {reason}" for reason, count in self.ignored.items()]
        lines += [
            f"known: {', '.join(f'{key} {value}' for key, value in self.facts.items()) or 'nothing of the person'}"
        ]
        lines += [f"{flag.severity.value} {flag.code}: {flag.message}" for flag in self.flags]
        if self.refusal is not None:
            lines.append(f"would be refused: {self.refusal[1]}  [{self.refusal[0]}]")
        return "\n".join(line.rstrip() for line in lines)

    def to_json(self) -> str:
        """The same as JSON."""
        refusal = None if self.refusal is None else {"code": self.refusal[0], "message": self.refusal[1]}
        flags = [{"code": f.code, "severity": f.severity.value, "message": f.message} for f in self.flags]
        told = {
            "subject": self.subject, "rows": [asdict(row) for row in self.rows], "chosen": dict(self.chosen),
            "flags": flags, "facts": dict(self.facts), "ignored": dict(self.ignored), "refusal": refusal,
        }  # fmt: skip
        return json.dumps(told, indent=2, ensure_ascii=False)


def _printable(text: str) -> str:
    """Header text without control characters, which could move a terminal's cursor."""
    return "".join(c if c.isprintable() else "?" for c in text)
