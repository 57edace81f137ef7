"""The paper's tables on synthetic hearts that pose as M&Ms, from machines of its four vendors."""

import csv
from functools import partial
from importlib import import_module
from math import isnan
from pathlib import Path

import pytest

from cinecmr.anatomy import Disease
from cinecmr.datasets import Case, dataset
from cinecmr.experiments.ssp import compare as question
from cinecmr.experiments.ssp import published, runs
from cinecmr.experiments.ssp.plan import Plan
from cinecmr.phantom.scanner import machine
from cinecmr.phantom.study import synthetic_study

MACHINES = ("siemens-1.5t", "philips-1.5t", "ge-1.5t", "canon-1.5t")
FOUR_EACH = 16


def visit(seed, name):
    return synthetic_study(seed, Disease.NORMAL, frames=4, long_axis=False, scanner=machine(name), matrix=(32, 32))


@pytest.fixture(scope="module")
def mnms(tmp_path_factory):
    """A folder laid out as M&Ms, with four hearts of each vendor."""
    root = tmp_path_factory.mktemp("mnms")
    hearts = [(9700 + n, MACHINES[n % 4]) for n in range(FOUR_EACH)]
    dataset("mnms").write(
        root, [Case(f"heart-{seed}", partial(visit, seed, name), disease=Disease.NORMAL) for seed, name in hearts]
    )
    return root


@pytest.fixture(scope="module")
def made(mnms, tmp_path_factory):
    """Every table at smoke scale: the table, its folder, the rows of its CSV, its page."""
    found = {}
    for name in question.TABLES:
        out = tmp_path_factory.mktemp(name)
        request = question.Request((str(mnms),), out, workers=1)
        (page,) = question.reproduce(name, request, Plan("smoke", seeds=1), lambda line: None)
        rows = list(csv.DictReader(Path(page).with_suffix(".csv").read_text("utf-8").splitlines()))
        found[name] = import_module(f"cinecmr.experiments.ssp.{name}").TABLE, out, rows, Path(page).read_text("utf-8")
    return found


@pytest.mark.parametrize("name", question.TABLES)
def test_every_cell_of_every_table_is_a_dice_of_ours_beside_the_papers(name, made):
    table, _, rows, page = made[name]
    assert len(rows) == len(table.lines) * len(table.columns)
    for row in rows:
        assert 0 <= float(row["ours"]) <= 1
    printed = [cell for cells in table.published.values() for cell in cells]
    told = [(float(row["paper"]), float(row["paper_sd"])) for row in rows]
    assert [cell for cell in told if not isnan(cell[0])] == [cell for cell in printed if not isnan(cell[0])]
    assert "scale: smoke" in page
    assert table.title in page


def test_all_four_vendors_are_learned_from_and_tested(made):
    _, out, _, _ = made["t3"]
    splits, subjects = runs.splits_of(out), runs.subjects_of(out)
    assert len(subjects) == FOUR_EACH
    for names in (splits.train, splits.test):
        assert {published.vendor_letter(subjects[n].vendor) for n in names} == set("ABCD")


def test_a_row_of_two_vendors_is_learned_from_their_hearts_alone(made):
    table, out, _, _ = made["t3"]
    subjects, splits = runs.subjects_of(out), runs.splits_of(out)
    for line in table.lines:
        job = runs.Job(line.init, len(splits.train), 0, 1, vendors=line.vendors)
        seen = {one.subject for one in runs.labelled(subjects, splits.train, job)}
        assert {published.vendor_letter(subjects[n].vendor) for n in seen} == set(line.vendors)
    both = [sum(published.vendor_letter(subjects[n].vendor) in line.vendors for n in splits.train)
            for line in table.lines[::2]]  # fmt: skip
    assert sum(both) == len(splits.train)


def test_the_columns_of_vendors_and_phases_are_means_over_their_own_hearts(made):
    _, out, rows, _ = made["t4"]
    splits, subjects = runs.splits_of(out), runs.subjects_of(out)
    told = {row["column"]: float(row["ours"]) for row in rows[:5]}
    tested = [published.vendor_letter(subjects[n].vendor) for n in splits.test]
    old, new = (sum(letter in group for letter in tested) for group in ("AB", "CD"))
    assert told["all"] == pytest.approx((old * told["A+B"] + new * told["C+D"]) / (old + new), abs=1e-4)
    assert told["all"] == pytest.approx((told["ED"] + told["ES"]) / 2, abs=1e-4)
