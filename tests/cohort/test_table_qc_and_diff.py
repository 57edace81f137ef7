"""The table, the page and the comparison of cohorts, from ledgers with known results."""

import csv
import re

import numpy as np
import pytest
from pyarrow import parquet

from cinecmr.cohort import diff, qc, table
from cinecmr.cohort.ledger import Ledger, Outcome
from cinecmr.cohort.oddity import groups, oddest
from cinecmr.errors import RefusedInput


def rows(seed=0, count=60, shift=0.0):
    """Hearts of two sites; those of site B are 40 ml larger, and one of site A is far from all."""
    rng = np.random.default_rng(seed)
    for n in range(count):
        ml = 140 + 10 * rng.standard_normal() + (40 if n % 2 else 0) + (400 if n == 2 else 0)
        yield f"study-{n:02x}", {
            "site": "B" if n % 2 else "A", "vendor": "=cmd()", "field_t": 1.5, "LVEDV_ml": round(ml + shift, 3),
            "LVEF_percent": round(60 + rng.standard_normal(), 3), "LV_ED_frame": 0, "slices": 9, "cinecmr": "0.1",
            "input_sha256": f"{n:02x}" * 32, "flags": "slice-gap" if n == 4 else "", "subject": "<script>1</script>",
        }  # fmt: skip


def cohort(folder, entries, *more):
    with Ledger(folder / "ledger.sqlite") as ledger:
        ledger.record([Outcome(name, "done", row=row) for name, row in entries] + list(more))
    return folder


def read(path):
    return list(csv.DictReader(path.read_text().splitlines()))


def test_the_table_does_not_depend_on_the_order_in_which_studies_came(tmp_path):
    entries = list(rows(count=8))
    one = cohort(tmp_path / "one", entries, Outcome("study-x", "refused", "no-sax"))
    other = cohort(tmp_path / "other", entries[::-1], Outcome("study-x", "refused", "no-sax", seconds=9.0))
    assert [path.read_bytes() for path in table.write(one)] == [path.read_bytes() for path in table.write(other)]


def test_csv_and_parquet_say_the_same_with_units_in_the_columns(tmp_path):
    out = cohort(tmp_path, rows(count=5), Outcome("study-x", "refused", "no-sax"))
    found, held = read(table.write(out)[0]), parquet.read_table(out / "table.parquet").to_pylist()
    assert list(found[0]) == list(held[0])
    for text, typed in zip(found, held, strict=True):
        assert float(text["LVEDV_ml"] or "nan") == pytest.approx(typed["LVEDV_ml"] or np.nan, nan_ok=True)
        assert (text["state"], text["cause"]) == (typed["state"], typed["cause"])
    assert typed["LVEDV_ml"] is None
    assert isinstance(held[0]["slices"], int)
    assert {row["vendor"] for row in found[:-1]} == {"'=cmd()"}, "no cell is a formula"
    with pytest.raises(RefusedInput, match=r"neither \.csv nor \.parquet"):
        table.write(out, tmp_path / "table.xlsx")


def test_a_study_with_the_pixels_of_another_names_the_first(tmp_path):
    (_, row), *rest = rows(count=3)
    out = cohort(tmp_path, [("study-b", row), ("study-a", row), *rest])
    assert [one.get("same_input_as") for one in table.rows(out)][-2:] == [None, "study-a"]


def test_a_site_with_larger_hearts_and_the_odd_heart_are_found(tmp_path):
    found = table.rows(cohort(tmp_path, rows()))
    by_site = {group.name: group for group in groups(found) if (group.by, group.measure) == ("site", "LVEDV_ml")}
    assert by_site["B"].differs
    assert by_site["B"].errors == -by_site["A"].errors > 5
    values = [row["LVEDV_ml"] for row in found if row["site"] == "B"]
    assert by_site["B"].median == pytest.approx(np.median(values))
    assert not any(group.differs for group in groups(found) if group.measure == "LVEF_percent")
    assert oddest(found, 3)[0].study == "study-02"
    values = np.array([row["LVEDV_ml"] for row in found])
    scores = np.abs(values - np.median(values)) / (1.4826 * np.median(np.abs(values - np.median(values))))
    assert oddest(found, 1)[0].score == pytest.approx(scores.max())


def test_the_page_shows_both_and_runs_nothing_that_stands_in_a_header(tmp_path):
    out = cohort(tmp_path, rows(), Outcome("study-x", "refused", "<img src=x onerror=alert(1)>"))
    page = qc.write(out).read_text()
    assert "LVEDV_ml of site B" in page
    assert page.index("study-02") < page.index("study-3b")
    assert "<img src=x" not in page
    assert "&lt;img src=x" in page
    assert not re.search(r"<script|https?://|url\(", page)


def test_a_cohort_against_itself_has_not_moved(tmp_path):
    out = cohort(tmp_path, rows(count=9))
    found = diff.compare(out, out)
    assert found.outcomes == found.provenance == ()
    assert {one.moved for one in found.changes} == {0}
    assert diff.lines(found)[-1] == "no number moved"


def test_a_shift_and_a_new_refusal_are_found(tmp_path):
    before = cohort(tmp_path / "before", rows(count=20), Outcome("study-x", "done", row={"cinecmr": "0.1"}))
    entries = [(name, row | {"cinecmr": "0.2"}) for name, row in rows(count=20, shift=2.0)]
    entries[3][1]["LVEDV_ml"] += 30.0
    after = cohort(tmp_path / "after", entries, Outcome("study-x", "refused", "slice-gap"))
    found = diff.compare(before, after)
    (change,) = [one for one in found.changes if one.measure == "LVEDV_ml"]
    assert (change.n, change.moved) == (20, 20)
    assert change.bias == pytest.approx(2.0 + 30.0 / 20)
    assert change.movers[0][0] == "study-03"
    assert change.movers[0][2] - change.movers[0][1] == pytest.approx(32.0)
    assert found.outcomes == (("done", "refused slice-gap", 1),)
    assert ("cinecmr", "0.1", "0.2") in found.provenance
    assert any("0.1 -> 0.2" in line for line in diff.lines(found))


def test_cohorts_named_with_other_keys_cannot_be_compared(tmp_path):
    before, after = cohort(tmp_path / "a", rows(count=3)), cohort(tmp_path / "b", [("study-zz", {})])
    with pytest.raises(RefusedInput, match="run the second with --private of the first"):
        diff.compare(before, after)
