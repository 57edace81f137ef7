"""The site is built from the repository's own pages, without a warning, and loads nothing from elsewhere."""

import importlib.util
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("material") is None or importlib.util.find_spec("mkdocstrings") is None,
        reason="mkdocs-material or mkdocstrings is not installed (extra: docs)",
    ),
]


class Page(HTMLParser):
    """What a page loads, where it leads, and its policy."""

    def __init__(self, path):
        super().__init__()
        self.loads, self.leads, self.policy = [], [], ""
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        if tag in ("script", "img", "iframe", "source") and given.get("src"):
            self.loads.append(given["src"])
        elif tag == "link" and given.get("rel") not in ("canonical", "next", "prev"):
            self.loads.append(given.get("href") or "")
        elif tag == "a":
            self.leads.append(given.get("href") or "")
        elif tag == "meta" and given.get("http-equiv") == "Content-Security-Policy":
            self.policy = given["content"]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    words = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    told = subprocess.run(
        words, cwd=ROOT, capture_output=True, text=True, timeout=900, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    )
    assert told.returncode == 0, told.stdout + told.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site):
    return {path.relative_to(site).as_posix(): Page(path) for path in site.rglob("*.html") if path.name != "404.html"}


def test_every_page_of_the_repository_is_in_the_site(pages):
    own = {path.relative_to(ROOT / "docs").with_suffix(".html").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    own = {re.sub(r"README\.html$", "index.html", path) for path in own}
    rooms = {f"reference/api/{path.parent.name}.html" for path in (ROOT / "src/cinecmr").glob("*/__init__.py")}
    tutorials = {f"tutorials/{path.stem}.html" for path in (ROOT / "docs/tutorials").glob("*.py")}
    assert (own | rooms | tutorials | {"index.html", "changes.html", "reference/cards/sax-unet.html"}) - set(
        pages
    ) == set()


def test_the_site_loads_nothing_from_elsewhere_and_lets_browsers_load_nothing(pages):
    assert [(name, one) for name, page in pages.items() for one in page.loads if "//" in one] == []
    assert {page.policy for page in pages.values()} == {
        "default-src 'self' 'unsafe-inline' data:; worker-src 'self' blob:"
    }


def test_whatever_a_page_loads_or_leads_to_is_in_the_site(site, pages):
    missing = []
    for name, page in pages.items():
        for target in [*page.loads, *page.leads]:
            path = re.split(r"[?#]", target)[0]
            if path and "://" not in path and not path.startswith(("data:", "mailto:")):
                place = (site / name).parent / path
                missing += [] if place.exists() else [(name, target)]
    assert missing == []


def test_a_function_is_told_with_its_shapes_units_and_errors(site):
    page = (site / "reference/api/measure.html").read_text("utf-8")
    assert 'id="cinecmr.measure.volumes.volume_curve"' in page
    told = page.split('id="cinecmr.measure.volumes.volume_curve"')[1].split('id="cinecmr.')[0]
    assert "(x, y, z, t)" in told
    assert "ml" in told


def test_a_tutorial_is_prose_and_the_program_that_the_tests_run(site):
    page = (site / "tutorials/analyze_a_study.html").read_text("utf-8")
    assert "Every number carries its unit" in page
    assert "synthetic_study" in page
    assert "# Every number carries" not in page
