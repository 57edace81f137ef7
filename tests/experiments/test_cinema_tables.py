"""The first paper's tables as they were printed, and who learns from whom; nothing is trained here."""

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cinecmr.anatomy import Disease
from cinecmr.cli import app
from cinecmr.cli.reproducing import given_folders
from cinecmr.datasets import Case
from cinecmr.errors import RefusedInput
from cinecmr.experiments import cinema
from cinecmr.experiments.cinema.cohorts import few, parted, shared
from cinecmr.learn.splits import group_of, person_of

ACDC = Path(__file__).resolve().parents[3] / "shared" / "real" / "acdc"
PAPER = Path(__file__).resolve().parents[3] / "shared" / "papers" / "cinema_foundation_model.txt"
GROUPS = (Disease.NORMAL, Disease.DCM, Disease.HCM, Disease.INFARCT, Disease.ABNORMAL_RV)


def people(count, split="train", groups=GROUPS):
    return [
        Case(f"s{split}{n:03d}", lambda: None, split, disease=groups[n % len(groups)], person=f"p{split}{n:03d}")
        for n in range(count)
    ]


@pytest.mark.skipif(not PAPER.is_file(), reason="the paper's text is not beside this checkout")
@pytest.mark.parametrize("name", [name for name in cinema.names() if cinema.table(name).published])
def test_published_figures_stand_in_the_paper(name):
    words = set(PAPER.read_text().split())
    told = [cell for cells in cinema.table(name).published.values() for cell in cells if cell is not None]
    assert told
    assert [cell for cell in told if f"{cell:.2f}" not in words] == []


@pytest.mark.skipif(not PAPER.is_file(), reason="the paper's text is not beside this checkout")
def test_rows_of_the_segmentation_table_stand_in_the_paper_in_their_order():
    text = " ".join(PAPER.read_text().split())
    for cells in cinema.table("d04").published.values():
        assert " ".join(f"{cell:.2f}" for cell in cells[:8]) in text
    for cells in cinema.table("d12").published.values():
        assert " ".join(f"{cell:.2f}" for cell in cells) in text


def test_listing_tables_needs_no_torch():
    code = "from cinecmr.experiments import cinema; [cinema.table(n) for n in cinema.names()]; import sys; "
    code += "print('torch' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert told.stdout.strip() == "False"


def test_tables_are_listed_by_the_command():
    told = CliRunner().invoke(app, ["reproduce"])
    assert told.exit_code == 0
    listed = [line.split()[0] for line in told.stdout.splitlines()]
    assert listed[: len(cinema.names())] == list(cinema.names())
    assert "tagged_prior_t1" in listed


def test_few_labelled_subjects_are_nested_balanced_and_never_tested():
    everyone = people(60)
    lists = {n: few(everyone, n, 0) for n in (5, 10, 20, 40)}
    tested = {n: {person_of(c) for c in found[1]} for n, found in lists.items()}
    assert all(found == tested[5] for found in tested.values())
    assert len(tested[5]) == 20
    assert {sum(group_of(c) == g.value for c in lists[5][1]) for g in GROUPS} == {4}
    learned = {n: {person_of(c) for c in found[0]} for n, found in lists.items()}
    assert learned[5] < learned[10] < learned[20] < learned[40]
    assert not learned[40] & tested[5]
    for n, found in lists.items():
        assert {sum(group_of(c) == g.value for c in found[0]) for g in GROUPS} == {n // 5}
    assert {person_of(c) for c in few(everyone, 5, 1)[0]} != learned[5]
    assert {person_of(c) for c in few(everyone, 5, 1)[1]} == tested[5]


def test_too_few_subjects_are_refused():
    with pytest.raises(RefusedInput, match="2 people cannot be learned from and tested on"):
        few(people(2), 5, 0)


def test_parts_that_a_data_set_lacks_are_drawn_by_people():
    both = [*people(50), *people(20, "test")]
    parts = parted(both, "acdc")
    assert {part: len(cases) for part, cases in parts.items()} == {"train": 45, "val": 5, "test": 20}
    assert not {person_of(c) for c in parts["train"]} & {person_of(c) for c in parts["val"]}
    assert {group_of(c) for c in parts["val"]} == {g.value for g in GROUPS}
    own = parted(people(20, "all"), "acdc")
    assert [len(own[part]) for part in ("train", "val", "test")] == [12, 4, 4]
    visits = parted(people(6, "test_retest_100"), "rescan")
    assert [len(visits[part]) for part in ("train", "val", "test")] == [0, 0, 6]


def test_a_share_of_the_subjects_differs_from_seed_to_seed():
    everyone = people(30)
    halves = [frozenset(person_of(c) for c in shared(everyone, 0.5, seed)) for seed in range(4)]
    assert {len(half) for half in halves} == {15}
    assert len(set(halves)) == 4
    assert shared(everyone, 1.0, 3) == everyone


def test_data_are_given_by_name(tmp_path):
    assert given_folders([f"acdc={tmp_path}"], cinema.GIVEN) == {"acdc": tmp_path}
    with pytest.raises(RefusedInput, match="NAME=FOLDER"):
        given_folders([str(tmp_path)], cinema.GIVEN)
    with pytest.raises(RefusedInput, match="--data knows acdc"):
        given_folders([f"acd={tmp_path}"], cinema.GIVEN)
    with pytest.raises(RefusedInput, match="there is no folder"):
        given_folders([f"acdc={tmp_path}/nowhere"], cinema.GIVEN)


@pytest.mark.skipif(not ACDC.is_dir(), reason="the real subjects are not beside this checkout")
def test_few_real_subjects_are_learned_from_and_twenty_others_tested(tmp_path):
    from cinecmr.experiments.cinema.bench import bench

    laptop = bench("laptop", tmp_path, {"acdc": ACDC}, "sound", lambda line: None)
    for training in cinema.table("few_labels").trainings:
        learned, checked, tested = laptop.parts(training, 0)
        assert len({person_of(c) for c in learned}) == training.labelled
        assert checked == []
        assert {sum(group_of(c) == g.value for c in tested) for g in GROUPS} == {4}
    unet = cinema.table("few_labels").trainings[0]
    recipe = laptop.job(unet, 0).recipe
    assert recipe.objective["data"] == "ACDC, 60 subjects"
    assert recipe.stopping is None
    assert laptop.job(unet, 0).recipe.key == recipe.key != laptop.job(unet, 1).recipe.key
