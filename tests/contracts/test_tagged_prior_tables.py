"""Every table of the fourth paper runs at the smallest scale, from tagged synthetic hearts to the page."""

import csv
import json
from itertools import pairwise

import pytest
import torch

from cinecmr.errors import RefusedInput
from cinecmr.experiments import tagged_prior
from cinecmr.experiments.tagged_prior import cohorts, scales, starts
from cinecmr.experiments.tagged_prior.laboratory import FITS, PRIORS, Laboratory, in_steps
from cinecmr.experiments.tagged_prior.starts import NETWORK, Start
from cinecmr.experiments.tagged_prior.study import reproduce

SMOKE = scales.SCALES["smoke"]


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield tmp_path_factory.mktemp("tagged_prior")
    torch.set_num_threads(before)


def kept(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


QUICK = {"tagged_prior_t1", "tagged_prior_fig_5", "tagged_prior_starts_own"}
TABLES = [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in tagged_prior.names()]


@pytest.mark.parametrize("name", TABLES)
def test_a_table_is_made_beside_the_published_one(name, out):
    table, told = tagged_prior.table(name, SMOKE), []
    page = reproduce(name, "smoke", out, say=told.append)
    text = page.read_text()
    assert table.title in text
    assert "- scale: smoke" in text
    assert any("fits to do" in line for line in told)
    with page.with_suffix(".csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(table.rows) * len(table.columns)
    printed = [cell for cells in table.published.values() for cell in cells if cell is not None]
    assert sorted(float(row["published"]) for row in rows if row["published"]) == sorted(printed)
    assert all(row["value"] not in ("", "nan") for row in rows)
    assert json.loads(page.with_suffix(".json").read_text())["about"]["table"] == name
    drawn = page.with_suffix(".svg")
    assert drawn.is_file() == ("fig_" in name or "starts" in name)
    assert (drawn.name in text) == drawn.is_file()


def test_made_again_nothing_is_fitted_and_the_figures_are_the_same(out):
    name, told = "tagged_prior_t1", []
    first = reproduce(name, "smoke", out, say=told.append).with_suffix(".csv").read_text()
    before = kept(out / FITS) | kept(out / PRIORS)
    assert reproduce(name, "smoke", out, say=told.append).with_suffix(".csv").read_text() == first
    assert kept(out / FITS) | kept(out / PRIORS) == before
    assert any(line.startswith("0 fits to do") for line in told)


def test_every_table_prints_what_the_paper_prints_at_full_scale():
    full = scales.SCALES["full"]
    cells = {name: len(tagged_prior.table(name, full).published) for name in tagged_prior.names()}
    assert (cells["tagged_prior_t1"], cells["tagged_prior_t2"], cells["tagged_prior_t3"]) == (2, 6, 5)


def test_nobody_is_in_two_cohorts():
    first = sorted(cohorts._FIRST.values())
    most = max(max(scale.sizes[-1], scale.tested) for scale in scales.SCALES.values())
    assert min(b - a for a, b in pairwise(first)) > most


def test_a_subject_of_the_tagged_cohort_shows_lines_and_one_of_the_tests_none():
    tagged, plain = (cohorts.subject(name, 0, SMOKE) for name in (cohorts.TAGGED, cohorts.HCM))
    changed = (tagged.image.data != tagged.study[cohorts.View.SAX].data).any(axis=(0, 1, 3))
    assert changed.sum() == 3
    assert plain.image is plain.study[cohorts.View.SAX]
    assert plain.truth.motion.heart.person.disease.value == "hcm"


def test_priors_from_one_start_keep_their_size_and_those_from_many_lose_it(out):
    lab = Laboratory(SMOKE, out)
    one = lab.network.network().state_dict()["layers.1.weight"].std()
    same, apart = (
        lab.weights(Start(NETWORK, kind, 2))["layers.1.weight"].std() for kind in (starts.MEAN, starts.APART)
    )
    assert same > 0.95 * one
    assert apart < 0.8 * one


def test_an_official_fit_is_none_of_the_others(out):
    start = Start(NETWORK, starts.XAVIER)
    plain, official = (Laboratory(SMOKE, out, flag) for flag in (False, True))
    assert official.network.volume == 0 < plain.network.volume
    assert plain.key(start) != official.key(start)


def test_steps_of_the_default_are_split_as_it_splits_its_own():
    assert in_steps(SMOKE.sound, 8).levels == ((2.0, 5), (1.0, 3)) == scales.SCALES["laptop"].sound.levels


@pytest.mark.parametrize(
    ("asked", "match"),
    [
        ({"name": "tagged_prior_t9"}, "no table 'tagged_prior_t9'"),
        ({"scale": "huge"}, "no scale 'huge'"),
        ({"preset": "ours"}, "no preset 'ours'"),
    ],
)
def test_what_there_is_not_is_refused_with_what_there_is(asked, match, out):
    given = {"name": "tagged_prior_t1", "scale": "smoke"} | asked
    with pytest.raises(RefusedInput, match=match):
        reproduce(given.pop("name"), given.pop("scale"), out, **given)
