"""What a file of results says of itself."""

import json
import math
import re
import subprocess
import time

import pytest

from cinecmr.experiments import provenance


def test_the_commit_is_that_of_this_checkout_or_says_that_there_is_none(monkeypatch):
    assert re.fullmatch(r"[0-9a-f]{12}\+?|not a checkout", provenance.commit())

    def absent(*_, **__):
        raise FileNotFoundError("git")

    monkeypatch.setattr(subprocess, "run", absent)
    assert provenance.commit() == "not a checkout"


def test_a_table_tells_seed_commit_device_versions_and_time_and_leaves_out_what_is_unknown():
    told = provenance.about(time.perf_counter() - 7, "pytest", "no-such-package", seed=5, model=None)
    assert list(told) == ["seed", "commit", "device", "versions", "seconds"]
    assert told["seed"] == "5"
    assert int(told["seconds"]) == 7
    assert "numpy" in told["versions"]
    assert "pytest" in told["versions"]
    assert "no-such-package" not in told["versions"]
    assert provenance.as_lines({"seed": "5"}) == ["- seed: 5", ""]


def test_numbers_that_json_does_not_know_become_null():
    written = provenance.as_json({"a": math.nan, "b": [math.inf, 1.5], "c": {"d": (2, None)}})
    assert json.loads(written) == {"a": None, "b": [None, 1.5], "c": {"d": [2, None]}}


def test_a_page_gets_figures_between_its_marks_and_keeps_the_rest(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"before\n{provenance.BEGIN}\nold\n{provenance.END}\nafter\n")
    for _ in range(2):
        provenance.into_page(page, ["new"])
        assert page.read_text() == f"before\n{provenance.BEGIN}\n\nnew\n{provenance.END}\nafter\n"
    page.write_text("nothing")
    with pytest.raises(ValueError, match="to write between"):
        provenance.into_page(page, ["new"])
