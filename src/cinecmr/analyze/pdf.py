"""The page report.pdf: what a reader files, on one sheet of A4.

Every number comes from the same `FindingsFile` as report.html; the pictures are slices at base, middle and apex. What
headers and users wrote can do nothing but stand there: it is escaped, and nothing is loaded while the page is laid out.
"""

from __future__ import annotations

import base64
import io
from html import escape
from importlib.resources import files as package_files
from typing import TYPE_CHECKING, Any

import numpy as np

from cinecmr.analyze import words
from cinecmr.analyze.display import CONTOUR_COLOURS, contours, display_axes, heart_box, slices_from_base
from cinecmr.analyze.page import chart_of, words_of
from cinecmr.anatomy import Contrast, Structure, View
from cinecmr.errors import RefusedInput
from cinecmr.io import files

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from cinecmr.analyze.schema import FindingsFile
    from cinecmr.study import Findings, Image, Study

NAME = "report.pdf"
PLACES = {"base": 0.2, "middle": 0.5, "apex": 0.8}  # shares of the slices that hold the ventricle
FLAGS = (12, 8, 5, 3, 1)  # so many are told; the next fewer where they take more than the page
LONGEST = 400  # characters of a flag's message; report.html has all of it
ROWS = ("EDV", "ESV", "SV", "EF", "M")  # of each ventricle
BODY = ("HR", "BSA", "CO", "CI")


def library() -> Any:
    """The package that lays the page out, found before an hour is spent on measuring.

    Raises:
        RefusedInput: it is not installed, or lacks a library of the system (`no-pdf`).
    """
    from PIL import ImageFile

    strict = ImageFile.LOAD_TRUNCATED_IMAGES
    try:
        import weasyprint
    except ImportError as error:
        how = "install it with pip install 'cinecmr[pdf]', or leave --pdf out"
        raise RefusedInput("no-pdf", f"--pdf needs the package weasyprint; {how}") from error
    except OSError as error:  # what it needs beside Python
        how = "install Pango (on Debian libpango-1.0-0 and libpangoft2-1.0-0), or leave --pdf out"
        raise RefusedInput("no-pdf", f"--pdf needs weasyprint, which lacks a library here: {how}") from error
    finally:
        # weasyprint lets Pillow read half a picture, everywhere: a damaged file of a data set would be silent
        ImageFile.LOAD_TRUNCATED_IMAGES = strict
    return weasyprint


def write(out: Path, file: FindingsFile, study: Study, found: Findings, truth: Findings | None = None) -> Path:
    """Write report.pdf.

    Args:
        out: folder of the report.
        file: every number and word on it.
        study: pictures.
        found: contours, and the volume curves.
        truth: volume curves of the phantom.

    Raises:
        RefusedInput: see `library`.
        OSError: the folder cannot be written to.
    """
    made = render(file, study, found, truth)

    def put(temporary: Path) -> None:
        temporary.write_bytes(made)

    files.write_atomically(out / NAME, put)
    return out / NAME


def settle(
    out: Path, wanted: bool | None, file: FindingsFile, study: Study, found: Findings, truth: Findings | None = None
) -> None:
    """Write report.pdf where it is wanted, or None and one lies there; else none lies there: it would be another's.

    Raises:
        RefusedInput: it is wanted and cannot be made, see `library`.
    """
    again = wanted is None and (out / NAME).is_file()
    (out / NAME).unlink(missing_ok=True)
    if wanted or (again and _there()):
        write(out, file, study, found, truth)


def _there() -> bool:
    try:
        library()
    except RefusedInput:
        return False
    return True


def render(file: FindingsFile, study: Study, found: Findings, truth: Findings | None = None) -> bytes:
    """The page, PDF; see `write`."""
    maker = library()
    fetcher = maker.urls.URLFetcher(allowed_protocols=("data",))
    for most in FLAGS:
        page = maker.HTML(string=html(file, study, found, truth, most), url_fetcher=fetcher).render()
        if len(page.pages) == 1:
            break
    made: bytes = page.copy(page.pages[:1]).write_pdf()
    return made


def html(file: FindingsFile, study: Study, found: Findings, truth: Findings | None, most: int) -> str:
    """The page as HTML, telling at most so many flags, the gravest first; see `write`."""
    import jinja2
    from markupsafe import Markup

    static = package_files("cinecmr.analyze") / "static"
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    said = words_of(file)
    chart, flags = chart_of(study, found, truth), said["flags"]
    told = [(flag, _short(flag.message)) for flag in flags[:most]]
    return environment.from_string((static / "report_pdf.html.j2").read_text("utf-8")).render(
        file=file,
        style=Markup((static / "report_pdf.css").read_text("utf-8")),  # noqa: S704 - our own file
        chart=None if chart is None else Markup(chart),  # noqa: S704 - made of numbers and escaped text
        pictures=[(title, Markup(picture)) for title, picture in pictures(study, found)],  # noqa: S704 - see there
        chambers=_chambers(said["groups"]),
        body=_numbers(file, [name for name in file.measurements if name in BODY]),
        others=_numbers(file, _others(file)),
        told=told,
        untold=len(flags) - len(told),
        **said,
    )


def _short(message: str) -> str:
    return message if len(message) <= LONGEST else message[: LONGEST - 1] + "…"


def _chambers(groups: list[tuple[str, list[dict[str, Any]]]]) -> list[tuple[str, Any, Any]]:
    """Name, row and row of the index, or None, of the numbers of both ventricles."""
    rows = {row["name"]: row for _, inside in groups for row in inside}
    names = [f"{side}{name}" for side in ("LV", "RV") for name in ROWS]
    return [(name, rows[name], rows.get(f"{name}i")) for name in names if name in rows]


def _others(file: FindingsFile) -> list[str]:
    """Names of what stands neither in the table nor beside the facts."""
    told = {f"{side}{name}{index}" for side in ("LV", "RV") for name in ROWS for index in ("", "i")} | {*BODY}
    return [name for name in file.measurements if name not in told]


def _numbers(file: FindingsFile, names: list[str]) -> list[tuple[str, str]]:
    """Title and value of each."""
    there = [(words.title(name), file.measurements[name]) for name in names]
    return [(title, f"{words.number(one.value, one.unit)} {words.unit(one.unit)}") for title, one in there]


def pictures(study: Study, found: Findings) -> Iterator[tuple[str, str]]:
    """Title and drawing (SVG) of three slices of the short axis at ED and at ES of the left ventricle.

    Nothing of a header is in them: pixels of the study, borders of the labels.
    """
    labels = found.labels.get((View.SAX, Contrast.CINE))
    if View.SAX not in study or labels is None:
        return
    image = study[View.SAX]
    for phase in ("ED", "ES"):
        frame = found.cycle.get(f"LV_{phase}")
        for place, z in {} if frame is None else _slices(image, labels, frame):
            yield f"{phase}, {place}", _picture(image, labels, z, int(frame or 0))


def _slices(image: Image, labels: NDArray[np.uint8], frame: int) -> Any:
    """Place and z index of slices with left ventricle, from base to apex."""
    order = slices_from_base(image.affine, image.slices, labels)
    held = [z for z in order if (labels[:, :, z, frame] == Structure.LV).any()]
    return [(place, held[int(share * len(held))]) for place, share in PLACES.items()] if held else []


def _picture(image: Image, labels: NDArray[np.uint8], z: int, frame: int) -> str:
    from PIL import Image as Pictures

    axes, box = display_axes(image.affine), heart_box(labels, image, margin_mm=12.0)
    low, high = np.percentile(image.data[box], (0.5, 99.5))
    plane = axes.apply(image.data[(*box, z, frame)])
    grey = np.clip((plane - low) / max(float(high - low), 1e-6) * 255, 0, 255).astype(np.uint8)
    stored = io.BytesIO()
    Pictures.fromarray(grey).save(stored, "PNG")
    rows, columns = grey.shape
    mm = image.spacing[[0, 1]] if axes.swap else image.spacing[[1, 0]]  # of a row, of a column
    height, width = rows * float(mm[0]), columns * float(mm[1])
    uri = base64.b64encode(stored.getvalue()).decode()
    lines = [
        f'<polygon points="{_points(line, mm)}" fill="none" stroke="{CONTOUR_COLOURS[name]}" stroke-width="1"/>'
        for name, found in contours(axes.apply(labels[(*box, z, frame)])).items()
        for line in found
    ]
    return (
        f'<svg viewBox="0 0 {width:.1f} {height:.1f}"><image href="data:image/png;base64,{escape(uri)}" '
        f'width="{width:.1f}" height="{height:.1f}" preserveAspectRatio="none"/>{"".join(lines)}</svg>'
    )


def _points(line: NDArray[np.float64], mm: NDArray[np.float64]) -> str:
    """(n, 2) columns and rows as millimetres; a pixel's centre lies half a pixel in."""
    return " ".join(f"{(x + 0.5) * mm[1]:.1f},{(y + 0.5) * mm[0]:.1f}" for x, y in line)
