"""The page report.html: every number from a `FindingsFile`, every picture from the `Study`, as one HTML text.

The page has no remote resource: frames, contours, style and script stand inside it, and its content security policy
allows nothing else. All text of headers and users is escaped.
"""

from __future__ import annotations

import base64
import hashlib
import json
from importlib.resources import files as package_files
from typing import TYPE_CHECKING, Any

import numpy as np

from cinecmr.analyze import words
from cinecmr.analyze.bulls_eye import of_wall
from cinecmr.analyze.display import ATRIA, CONTOUR_COLOURS, CONTOUR_TITLES
from cinecmr.analyze.figures import Curve, volume_curves
from cinecmr.analyze.player import COORDINATE, tiles
from cinecmr.anatomy import View
from cinecmr.study import Severity

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cinecmr.analyze.motion import Tracked
    from cinecmr.analyze.schema import FindingsFile, ImageEntry, MeasurementEntry
    from cinecmr.study import Findings, Study


def render(
    file: FindingsFile,
    study: Study,
    found: Findings,
    truth: Findings | None = None,
    strain: Tracked | None = None,
) -> str:
    """The page, HTML.

    Args:
        file: every number and word on it.
        study: frames of the player.
        found: labels of its contours, and the volume curves.
        truth: volume curves of the phantom.
        strain: of the same motion as that of `found`.
    """
    import jinja2
    from markupsafe import Markup

    static = package_files("cinecmr.analyze") / "static"
    style, script = ((static / name).read_text("utf-8") for name in ("report.css", "report.js"))
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string((static / "report.html.j2").read_text("utf-8"))
    chart = chart_of(study, found, truth)
    return template.render(
        file=file,
        policy=_policy(style, script),
        style=Markup(style),  # noqa: S704 - our own files, not the user's text
        script=Markup(script),  # noqa: S704
        data=Markup(_json_in_html(_player_data(file, study, found))),  # noqa: S704 - escaped in there
        chart=None if chart is None else Markup(chart),  # noqa: S704 - made of numbers and escaped text
        strain=None if strain is None else _strain(strain),
        wall=[(title, Markup(eye)) for title, eye in of_wall(file)],  # noqa: S704 - made of numbers and our own words
        colours={name: colour for name, colour in CONTOUR_COLOURS.items() if name not in ATRIA or _long_axis(found)},
        contour_titles=CONTOUR_TITLES,
        **words_of(file),
    )


def _strain(found: Tracked) -> dict[str, Any]:
    from markupsafe import Markup

    from cinecmr.analyze.strain_page import section

    made = section(found)
    curves, eyes = Markup(made["curves"]), [(title, Markup(eye)) for title, eye in made["eyes"]]  # noqa: S704 - ours
    return made | {"curves": curves, "eyes": eyes}


def _long_axis(found: Findings) -> bool:
    """Whether some long-axis view has contours."""
    return any(view is not View.SAX for view, _ in found.labels)


def _policy(style: str, script: str) -> str:
    """A content security policy: this style, this script, pictures inside the page, and nothing else."""
    sums = [base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode() for text in (style, script)]
    return (
        f"default-src 'none'; img-src data:; style-src 'sha256-{sums[0]}'; script-src 'sha256-{sums[1]}'; "
        "base-uri 'none'; form-action 'none'"
    )


def _json_in_html(data: Any) -> str:
    r"""JSON that cannot end the script element it stands in.

    >>> _json_in_html({"name": "</script>"})
    '{"name":"\\u003c/script\\u003e"}'
    """
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _player_data(file: FindingsFile, study: Study, found: Findings) -> dict[str, Any]:
    cines = [view for view in View if view in study]
    if not cines:
        return {"tiles": [], "times": [0], "period": 1000, "events": [], "coordinate": COORDINATE, "colours": {}}
    clock = study[cines[0]]  # the short axis where there is one: it comes first in View
    times = [round(float(time) * 1000, 1) for time in clock.times]
    step = (times[-1] - times[0]) / (len(times) - 1) if len(times) > 1 else 0.0
    period = clock.rr_ms or times[-1] - times[0] + step or 1000.0
    return {
        "tiles": tiles(study, found),
        "times": times,
        "period": round(period, 1),
        "events": _events(file.cycle),
        "coordinate": COORDINATE,
        "colours": CONTOUR_COLOURS,
    }


def _events(cycle: Mapping[str, int]) -> list[dict[str, Any]]:
    """ED and ES of both ventricles, those on the same frame together, in the order of the beat's phases.

    >>> [event["title"] for event in _events({"LV_ED": 0, "LV_ES": 9, "RV_ED": 0, "RV_ES": 10})]
    ['ED', 'LV ES', 'RV ES']
    """
    made: list[dict[str, Any]] = []
    for phase, name in (("ED", "end-diastole"), ("ES", "end-systole")):
        frames = {side: cycle[f"{side}_{phase}"] for side in ("LV", "RV") if f"{side}_{phase}" in cycle}
        if len(frames) == 2 and len(set(frames.values())) == 1:
            made.append({"title": phase, "name": f"{name} of both ventricles", "frame": frames["LV"], "phase": phase})
        else:
            for side, frame in frames.items():
                made.append({"title": f"{side} {phase}", "name": f"{side} {name}", "frame": frame, "phase": phase})
    return made


def chart_of(study: Study, found: Findings, truth: Findings | None) -> str | None:
    """Volume curves of both ventricles, true ones where known; None where there is nothing to draw."""
    if View.SAX not in study:
        return None
    times = study[View.SAX].times * 1000
    drawn = []
    for known, suffix in ((truth, "true"), (found, "")):
        for side in ("LV", "RV"):
            if known is None or side not in known.curves:
                continue
            volume = np.asarray(known.curves[side], np.float64)
            if len(volume) != len(times) or not np.isfinite(volume).any():
                continue
            cycle = {} if suffix else known.cycle
            marks = [(phase, cycle[f"{side}_{phase}"]) for phase in ("ED", "ES") if f"{side}_{phase}" in cycle]
            style = f"{side.lower()}-true" if suffix else side.lower()
            drawn.append(Curve(f"{side} {suffix}".strip(), times, volume, marks, style))
    return volume_curves(drawn) if drawn else None


def words_of(file: FindingsFile) -> dict[str, Any]:
    """What the template needs besides the file itself: words, cards and rows, ready to print."""
    checks = sum(flag.severity == Severity.FLAG.value for flag in file.flags)
    withheld = sum(flag.severity == Severity.REFUSE.value for flag in file.flags)
    order = [Severity.REFUSE.value, Severity.FLAG.value, Severity.NOTE.value]
    return {
        "papillary": words.CONVENTIONS.get(file.conventions.papillary, file.conventions.papillary),
        "any_withheld": withheld > 0,
        "sentence": words.status_sentence(file.status, checks, withheld),
        "flags": sorted(file.flags, key=lambda flag: order.index(flag.severity)),
        "severity_words": {severity.value: word for severity, word in words.SEVERITY_WORDS.items()},
        "facts": _facts(file),
        "cards": [_card(name, file) for name in words.KEY_RESULTS],
        "groups": _groups(file),
        "sources": list(dict.fromkeys(m.source for m in file.measurements.values())),
        "any_interval": any(m.interval is not None for m in file.measurements.values()),
        "citations": _citations(file),
        "images": [_image_line(image) for image in file.images],
        "provenance": _provenance(file),
    }


def _facts(file: FindingsFile) -> list[tuple[str, str]]:
    facts = file.facts
    scanner = " ".join(part for part in (facts.vendor, facts.model) if part)
    sex = {"F": "female", "M": "male", None: "unknown"}[facts.sex]
    rr = next((image.rr_ms for image in file.images if image.rr_ms), None)
    return [
        ("Sex", sex),
        ("Age", "unknown" if facts.age_y is None else f"{facts.age_y:.0f} y"),
        ("Height", "unknown" if facts.height_m is None else f"{100 * facts.height_m:.0f} cm"),
        ("Weight", "unknown" if facts.weight_kg is None else f"{facts.weight_kg:.0f} kg"),
        ("R-R interval", "unknown" if rr is None else f"{rr:.0f} ms"),
        ("Scanner", f"{scanner or 'unknown'}{f', {facts.field_t:g} T' if facts.field_t else ''}"),
    ]


def _card(name: str, file: FindingsFile) -> dict[str, Any]:
    card: dict[str, Any] = {"name": name, "title": words.title(name), "value": None}
    m = file.measurements.get(name)
    if m is not None:
        card |= {"value": words.number(m.value, m.unit), "unit": words.unit(m.unit), "reference": _range(m)}
        card["bar"] = _bar(m)
        indexed = file.measurements.get(f"{name}i")
        card["indexed"] = None if indexed is None else _with_unit(indexed)
    true = (file.truth or {}).get(name)
    card["true"] = None if true is None else words.number(true.value, true.unit, fine=True)
    return card


def _with_unit(m: MeasurementEntry) -> str:
    return f"{words.number(m.value, m.unit)} {words.unit(m.unit)}"


def _range(m: MeasurementEntry) -> dict[str, str] | None:
    """The reference range and where the value lies to it, in words."""
    if m.reference is None:
        return None
    low, high = m.reference.low, m.reference.high
    place = "below" if m.value < low else "above" if m.value > high else "within"
    return {"text": f"{words.number(low, m.unit)} to {words.number(high, m.unit)}", "place": place}


def _bar(m: MeasurementEntry) -> dict[str, float] | None:
    """Where range and value lie on a bar 100 wide that shows the range and half as much on either side."""
    if m.reference is None:
        return None
    width = (m.reference.high - m.reference.low) * 2
    at = (m.value - m.reference.low) / width * 100 + 25 if width else 50.0
    return {"low": 25.0, "width": 50.0, "value": round(min(98.0, max(2.0, at)), 1)}


def _method(m: MeasurementEntry, convention: str) -> tuple[str, bool]:
    """The method without the convention that all volumes share, and whether it had it: that stands once below."""
    short = m.method.removesuffix(convention)
    return short.rstrip("; "), short != m.method


def _citations(file: FindingsFile) -> list[tuple[str, str, str]]:
    ranges = [m.reference for m in file.measurements.values() if m.reference is not None]
    return list(dict.fromkeys((r.population, r.citation, r.doi) for r in ranges))


def _groups(file: FindingsFile) -> list[tuple[str, list[dict[str, Any]]]]:
    citations = _citations(file)
    groups: dict[str, list[dict[str, Any]]] = {title: [] for title in words.GROUPS}
    for name, m in file.measurements.items():
        row: dict[str, Any] = {
            "name": name,
            "title": words.title(name),
            "value": words.number(m.value, m.unit, fine=True),
            "unit": words.unit(m.unit),
            "interval": None if m.interval is None else " to ".join(words.number(v, m.unit) for v in m.interval),
            "frame": m.frame,
            "method": _method(m, file.conventions.volumes),
            "source": m.source,
            "reference": _range(m),
            "true": None,
        }
        if m.reference is not None:
            key = (m.reference.population, m.reference.citation, m.reference.doi)
            row["citation"] = "abcdefghijklmnopqrstuvwxyz"[citations.index(key) % 26]
        true = (file.truth or {}).get(name)
        if true is not None and true.unit == m.unit:
            row["true"] = words.number(true.value, m.unit, fine=True)
            row["difference"] = words.number(m.value - true.value, m.unit, fine=True)
        groups[words.group(name)].append(row)
    return [(title, rows) for title, rows in groups.items() if rows]


def _image_line(image: ImageEntry) -> str:
    """One image in a line: what it is, its grid, its frames."""
    x, y, z, t = image.shape
    dx, dy, dz = image.spacing_mm
    slices = f"{z} slices {dz:g} mm apart" if z > 1 else "1 slice"
    missing = f", {len(image.missing_slices)} not acquired" if image.missing_slices else ""
    title = View(image.view).title.capitalize()
    return f"{title}: {slices}{missing}, {t} frames, {x} × {y} pixels of {dx:.3g} × {dy:.3g} mm"


def _provenance(file: FindingsFile) -> list[tuple[str, str]]:
    p = file.provenance
    rows = [
        ("Model", p.model),
        ("Weights SHA-256", p.weights_sha256),
        ("Frames ordered by", p.phase_key),
        ("Input hash", p.input_sha256),
        ("Options", p.options),
        ("Versions", ", ".join(f"{name} {version}" for name, version in p.versions.items())),
        ("Schema of findings.json", file.schema_version),
        *((key.replace("_", " ").capitalize(), value) for key, value in p.other.items()),
    ]
    return [(name, value) for name, value in rows if value]
