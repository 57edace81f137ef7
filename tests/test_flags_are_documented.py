"""Every code a reader can meet is explained in docs/reference/flags.md."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "reference" / "flags.md"


@cache
def codes_in_source() -> set[str]:
    """First argument of every Flag(...) and RefusedInput(...) of the package; {} stands for a part made at run time."""
    found = set()
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            called = getattr(node, "func", None)
            if getattr(called, "attr", getattr(called, "id", "")) in ("Flag", "RefusedInput"):
                given = node.args[0] if node.args else next((k.value for k in node.keywords if k.arg == "code"), None)
                if isinstance(given, ast.Constant):
                    found.add(given.value)
                elif isinstance(given, ast.JoinedStr):
                    found.add("".join(p.value if isinstance(p, ast.Constant) else "{}" for p in given.values))
    return found


def codes_on_the_page() -> set[str]:
    first_cells = [line.split("|")[1] for line in PAGE.read_text("utf-8").splitlines() if line.startswith("| `")]
    return {code for cell in first_cells for code in re.findall(r"`([a-z0-9-]+)`", cell)}


@pytest.mark.skipif(not PAGE.is_file(), reason="installed without the documentation")
def test_every_code_is_explained_on_the_page_of_flags():
    explained = codes_on_the_page()
    unexplained = {
        code for code in codes_in_source() if not any(re.fullmatch(code.replace("{}", "[a-z-]+"), e) for e in explained)
    }
    assert unexplained == set()


@pytest.mark.skipif(not PAGE.is_file(), reason="installed without the documentation")
def test_codes_are_kebab_case():
    assert all(re.fullmatch(r"[a-z0-9{}]+(-[a-z0-9{}]+)*", code) for code in codes_in_source())
