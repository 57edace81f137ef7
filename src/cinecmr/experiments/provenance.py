"""How a table came to be: commit, device, versions, time; and the table as JSON that any reader takes.

Every file of results carries `about`, so that a figure can be made again or doubted.
"""

from __future__ import annotations

import json
import math
import platform
import subprocess
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cinecmr.io.files import write_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

NO_CHECKOUT = "not a checkout"
BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"


def commit() -> str:
    """The commit of the checkout this package runs from, "+" where files differ from it; `NO_CHECKOUT` elsewhere."""
    here = Path(__file__).parent
    asked = ["git", "-C", str(here), "describe", "--always", "--dirty=+", "--abbrev=12", "--exclude=*"]
    try:
        told = subprocess.run(asked, capture_output=True, text=True, timeout=10, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return NO_CHECKOUT
    return told.stdout.strip() if told.returncode == 0 else NO_CHECKOUT


def device(name: str = "cpu") -> str:
    """Where it ran: the device asked for, the processor and the system; never the machine's own name."""
    return f"{name}, {platform.machine()}, {platform.system()}"


def versions(*packages: str) -> str:
    """Versions of python and of the packages that decide the figures, in one line; absent ones are left out."""
    found = [f"python {platform.python_version()}"]
    for package in ("cinecmr", "numpy", "scipy", *packages):
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    return ", ".join(found)


def about(started: float, *packages: str, device_name: str = "cpu", **facts: object) -> dict[str, str]:
    """What every file of results says of itself.

    Args:
        started: `time.perf_counter()` at the beginning.
        packages: whose versions matter besides cinecmr, numpy and scipy.
        device_name: where a network ran.
        facts: seed, model, data and whatever else decides the figures; those that are None are left out.
    """
    return {
        **{key: str(value) for key, value in facts.items() if value is not None},
        "commit": commit(),
        "device": device(device_name),
        "versions": versions(*packages),
        "seconds": f"{time.perf_counter() - started:.0f}",
    }


def into_page(page: Path, lines: Sequence[str]) -> None:
    """Put lines between the two marks of a page of the documentation.

    Raises:
        ValueError: the page lacks the marks.
    """
    text = page.read_text("utf-8")
    if BEGIN not in text or END not in text:
        raise ValueError(f"{page} has no {BEGIN} and {END} to write between")
    before, rest = text.split(BEGIN, 1)
    after = rest.split(END, 1)[1]
    write_text(page, "\n".join([before + BEGIN, "", *lines, END + after]))


def as_json(content: Mapping[str, Any]) -> str:
    """Strict JSON: NaN and infinity are not JSON and become null."""
    return json.dumps(_finite(content), indent=2, allow_nan=False) + "\n"


def as_lines(told: Mapping[str, str]) -> list[str]:
    """`about` as the list under a Markdown heading."""
    return [*(f"- {key}: {value}" for key, value in told.items()), ""]


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
