"""The study of pre-training, whole and small: one command, one table, one answer in words."""

import csv
import json
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from cinecmr.errors import RefusedInput
from cinecmr.experiments.ssp import compare as question
from cinecmr.experiments.ssp import plan as planning
from cinecmr.experiments.ssp import published, report, runs, tables
from cinecmr.experiments.ssp.plan import EPOCHS, INITS, UPDATES, Job, Plan
from cinecmr.experiments.ssp.report import Cell
from cinecmr.experiments.ssp.subjects import cases_of, gather, load_subjects
from cinecmr.io import nifti

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures" / "ssp"
SMALL = Plan("smoke", "sound", ("scratch", "mim"), (1, 2), 2, (UPDATES, EPOCHS))


def heart(seed):
    """ED and ES of a heart of discs: images and labels, (x, y, z)."""
    rng = np.random.default_rng(seed)
    x, y = np.mgrid[:24, :24]
    centre = 12 + rng.uniform(-2, 2, 2)
    away = np.hypot(x - centre[0], y - centre[1])
    pair = {}
    for phase, radius in (("ED", 5.0), ("ES", 3.5)):
        codes = np.zeros((24, 24, 3), np.uint8)
        codes[away < radius + 2] = 2
        codes[away < radius] = 3
        codes[(np.hypot(x - centre[0] + 8, y - centre[1]) < 3) & (away >= radius + 2)] = 1
        bright = np.array([30.0, 200, 90, 220])[codes] + rng.normal(0, 8, codes.shape)
        pair[phase] = bright.clip(1).astype(np.float32), codes
    return pair


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Six subjects as SUBJECT/SUBJECT_ED.nii.gz with labels beside them, in two disease groups."""
    root = tmp_path_factory.mktemp("hearts")
    for number in range(6):
        name = f"anna{number}"
        for phase, (image, codes) in heart(number).items():
            affine = np.diag([4.0, 4.0, 10.0, 1.0])
            nifti.write_image(root / name / f"{name}_{phase}.nii.gz", image[..., None], affine, [0.0])
            nifti.write_labels(root / name / f"{name}_{phase}_gt.nii.gz", codes[..., None], affine, [0.0])
        (root / name / "Info.cfg").write_text(f"Group: {('NOR', 'DCM')[number % 2]}\n")
    return root


@pytest.fixture(scope="module")
def study(data, tmp_path_factory):
    """A whole comparison."""
    out = tmp_path_factory.mktemp("study")
    said = []
    request = question.Request((str(data),), out, workers=1)
    answer = question.compare(request, SMALL, said.append)
    return request, answer, said


def test_the_answer_is_a_table_a_figure_and_plain_words(study):
    request, answer, _ = study
    assert len(answer) == 4 + 2
    assert all("no pre-training is shown to help" in line or "helps" in line for line in answer[:4])
    assert all(line.startswith("With ") and "% of draws" in line for line in answer[4:])
    page = (request.out / "results.md").read_text("utf-8")
    assert answer[0] in page
    for word in ("commit", "scale: smoke", "real subjects: 4 to learn from, 2 to test on", "from scratch", "MIM"):
        assert word in page
    assert "<svg" in (request.out / "curve.svg").read_text("utf-8")
    rows = list(csv.DictReader((request.out / "results.csv").read_text("utf-8").splitlines()))
    assert [(r["protocol"], r["labels"], r["init"]) for r in rows[:4]] == [
        ("updates", "1", "scratch"), ("updates", "1", "mim"), ("updates", "2", "scratch"), ("updates", "2", "mim"),
    ]  # fmt: skip
    assert json.loads((request.out / "results.json").read_text("utf-8"))["sentences"] == answer


def test_no_name_of_a_subject_is_in_what_is_written(study, data):
    request, _, said = study
    text = "".join(p.read_text("utf-8") for p in request.out.rglob("*") if p.suffix in (".json", ".md", ".csv"))
    assert not [path.name for path in data.iterdir() if path.name in text + "".join(said)]


def test_the_cost_is_told_before_anything_is_trained(study):
    _, _, said = study
    cost = next(n for n, line in enumerate(said) if "this takes about" in line)
    assert cost < next(n for n, line in enumerate(said) if " of 16 " in line or "1 of " in line)
    assert any("trainings with labels of up to 3 updates" in line for line in said)


def test_a_finished_study_is_told_again_without_training(study):
    request, answer, _ = study
    said = []
    assert question.compare(request, SMALL, said.append) == answer
    assert not [line for line in said if " of " in line and "updates  about" in line]


def test_a_start_may_be_added_and_the_page_and_folder_of_results_are_filled(study, tmp_path):
    request, answer, _ = study
    page = tmp_path / "page.md"
    page.write_text("# Ours\n\n<!-- figures: begin -->\n<!-- figures: end -->\n")
    said = []
    more = replace(SMALL, inits=("scratch", "mim", "nnunet"))
    asked = replace(request, results=tmp_path / "results", page=page)
    told = question.compare(asked, more, said.append)
    assert len([line for line in said if "updates  about" in line]) == 2 * 3
    assert [line.split(";")[0] for line in told[:4]] == [line.split(";")[0] for line in answer[:4]]
    assert all("nnU-Net's way: " in line for line in told[:4])
    text = page.read_text("utf-8")
    assert "### The same updates" in text
    assert "![Dice against labelled subjects](results/curve.svg)" in text
    rows = list(csv.DictReader((tmp_path / "results" / "results.csv").read_text("utf-8").splitlines()))
    assert len(rows) == 2 * 2 * 3
    assert {r["init"] for r in rows} == {"scratch", "mim", "nnunet"}


def test_one_protocol_of_a_study_is_told_by_itself_without_training(study):
    request, answer, _ = study
    said = []
    assert question.compare(request, replace(SMALL, protocols=(UPDATES,)), said.append)[:2] == answer[:2]
    assert not [line for line in said if "updates  about" in line]


def test_nnunet_with_two_folds_is_two_networks_that_each_miss_a_subject(study):
    request, _, _ = study
    plan = replace(question.settled(request.out / question.PLAN, SMALL), inits=("scratch", "nnunet"))
    assert [plan.folds(Job(init, n, 0, 3)) for init, n in (("nnunet", 2), ("nnunet", 1), ("scratch", 2))] == [2, 1, 1]
    whole = runs.recipe_of(request.out, plan, Job("nnunet", 2, 0, plan.updates))
    keys = {planning.fold_of(whole, number, 2).key for number in range(2)}
    assert len(keys | {whole.key}) == 3
    assert planning.fold_of(whole, 0, 1) is whole
    paces = {"scratch": 2.0, "score": 1.0}
    job = Job("nnunet", 2, 0, 10)
    assert runs.costs(plan, job, paces, 5) == 2 * (10 * 2.0 + 5 * 4 * 1.0)
    assert runs.costs(plan, replace(job, init="scratch"), paces, 5) == 10 * 2.0 + 5 * 1.0


def test_nnunet_visits_all_of_a_slice_where_there_is_time_for_it(study):
    request, _, _ = study
    subjects = runs.subjects_of(request.out)
    for scale, visits in (("hour", False), ("laptop", False), ("gpu", True)):
        job = Job("nnunet", 2, 0, 3)
        own = planning.segmentation(Plan(scale), job, runs.labelled(subjects, list(subjects)[:1], job)).settings
        assert (own.sliding, own.mirrored, own.spline) == (visits, True, True)


def test_only_what_is_missing_is_trained_again_and_comes_out_the_same(study):
    request, answer, _ = study
    plan = question.settled(request.out / question.PLAN, SMALL)
    job = Job("mim", 2, 1, plan.updates)
    folder = request.out / runs.RUNS / runs.recipe_of(request.out, plan, job).key
    before = (folder / runs.SCORES).read_text("utf-8")
    (folder / runs.SCORES).unlink()
    said = []
    assert question.compare(request, SMALL, said.append) == answer
    assert len([line for line in said if "updates  about" in line]) == 1
    assert (folder / runs.SCORES).read_text("utf-8") == before


def test_trainings_that_two_protocols_share_are_made_once():
    plan = replace(SMALL, updates=100, pretrain_updates={"mim": 5})
    every = planning.jobs(plan, {1: 6.0, 2: 12.0})
    assert len(every) == len(set(every)) == 2 * 2 * 3
    assert {j.updates for j in every if j.labels == 1} == {50, 100}
    assert {j.updates for j in every if j.labels == 2} == {100}


def test_no_person_is_on_both_sides_and_longer_lists_hold_the_shorter(study):
    request, _, _ = study
    splits = runs.splits_of(request.out)
    subjects = runs.subjects_of(request.out)
    assert not {subjects[n].person for n in splits.train} & {subjects[n].person for n in splits.test}
    assert {subjects[n].group for n in splits.test} == {"normal", "dcm"}
    for seed in (0, 1):
        assert set(splits.labelled(seed, 1)) <= set(splits.labelled(seed, 2)) <= set(splits.train)


def test_a_fine_tuning_starts_from_the_pre_training_of_its_own_seed(study):
    request, _, _ = study
    plan = question.settled(request.out / question.PLAN, SMALL)
    keys = set()
    for seed in (0, 1):
        recipe = runs.recipe_of(request.out, plan, Job("mim", 2, seed, plan.updates))
        before = runs.recipe_of(request.out, plan, Job("mim", 0, seed, plan.pretrain_updates["mim"]))
        assert recipe.start.key == before.key
        keys.add(before.key)
    assert len(keys) == 2


def test_scores_are_dice_of_each_structure_on_the_hearts_own_grid(study):
    request, _, _ = study
    plan = question.settled(request.out / question.PLAN, SMALL)
    subject = next(iter(runs.subjects_of(request.out).values()))

    class Knows:
        def predict(self, network, study, frames):
            from cinecmr.study import Findings

            return Findings(labels={runs.SAX: subject.labels})

    rows = runs.score(Knows(), None, subject)
    assert [row["phase"] for row in rows] == ["ED", "ES"]
    assert {row[name] for row in rows for name in report.STRUCTURES} == {1.0}
    rows = runs.rows_of(request.out, plan, Job("scratch", 1, 0, plan.updates))
    assert len(rows) == 2 * 2


def test_pre_training_sees_no_labels_except_the_published_codes_centre(study):
    request, _, _ = study
    subjects = runs.subjects_of(request.out)
    blind = runs.unlabelled(subjects, subjects, SMALL)
    assert all(s.labels is None and s.centre is None for s in blind)
    leaking = runs.unlabelled(subjects, subjects, replace(SMALL, preset="official"))
    assert all(s.labels is None and s.centre is not None for s in leaking)
    assert len(leaking) == len(blind)


def test_a_budget_becomes_updates_with_the_same_time_for_every_method():
    plan = Plan("laptop", labels=(5, 10), seeds=2, protocols=(UPDATES,))
    paces = {"scratch": 0.5, "simclr": 1.0, "pcl": 1.0, "dino": 2.0, "mim": 0.5, "score": 0.1}

    def asked(settled):
        return planning.jobs(settled, {5: 100.0, 10: 200.0})

    found = runs.within(plan, paces, asked, 20, 3600, 2)
    times = [found.pretrain_updates[m] * paces[m] for m in planning.METHODS]
    assert max(times) - min(times) <= max(paces.values())
    assert runs.cost(found, paces, asked(found), 20, 2) == pytest.approx(0.9 * 3600, rel=0.05)
    with pytest.raises(RefusedInput, match="too little for 20 trainings"):
        runs.within(plan, paces, asked, 20, 30, 2)


@pytest.mark.parametrize("method", planning.METHODS)
def test_where_there_is_little_time_slices_are_changed_mildly_with_and_without_labels(method):
    for scale, turn in (("hour", 30.0), ("laptop", 30.0), ("gpu", 180.0)):
        plan = Plan(scale, pretrain_updates={method: 100})
        own = planning.pretraining(plan, method, ["any"]).settings
        geometry = own.large if method == "dino" else own.geometry
        assert (geometry.pixels, geometry.turn) == (plan.size.pixels, turn)
        if method != "dino":
            assert own.intensity.gamma_chance == (0.3 if plan.size.mild else 1.0)
            assert own.geometry.scale == ((0.8, 1.25) if plan.size.mild else (0.7, 1.4))


def test_full_scale_trains_the_published_epochs():
    plan = Plan("full", "published", labels=(296,), protocols=(EPOCHS,))
    found = runs.within(plan, {}, lambda _: [], 140, 1, 1, (90_618, 6_738))
    assert found.updates == 210_000
    assert found.pretrain_updates == {"simclr": 40_400, "pcl": 141_500, "dino": 141_500, "mim": 70_700}


def test_full_scale_learns_at_the_published_rates():
    plan = Plan("full", "published", updates=210_000, pretrain_updates={"dino": 141_500})
    told = planning.recipe(plan, Job("dino", 0, 0, 141_500), "a/a")
    assert told.optimiser.warmup == 10 * 1415
    assert told.optimiser.rate_at(14_149, 141_500) == pytest.approx(0.0075)
    assert told.schedule.batch == 64
    fine = planning.recipe(plan, Job("dino", 296, 0, 210_000), "a/b")
    assert (fine.optimiser.rate, fine.optimiser.step, fine.schedule.batch) == (0.005, 210, 32)
    assert fine.start.key == told.key
    assert planning.recipe(plan, Job("scratch", 296, 0, 210_000), "a/b").optimiser.rate == 0.01


def cell(init, scores, labels=10):
    return Cell(UPDATES, labels, init, 100, np.asarray(scores, float), (0.5, 0.5, 0.5))


def test_what_helps_harms_or_shows_nothing_is_called_so():
    rng = np.random.default_rng(0)
    base = rng.uniform(0.6, 0.8, (3, 20))
    gains = {"simclr": 0.0, "pcl": -0.1, "dino": 0.0, "mim": 0.1}
    group = [cell("scratch", base)] + [
        cell(init, base + gain + rng.normal(0, 0.02, base.shape)) for init, gain in gains.items()
    ]
    found = report.compared(group, 1000)
    assert {c.init: report.verdict(c) for c in found[1:]} == {
        "simclr": "not shown to help", "pcl": "harms", "dino": "not shown to help", "mim": "helps",
    }  # fmt: skip
    (line,) = report.sentences(found, 20)
    assert "With 10 labelled subjects" in line
    assert "MIM helps (+0.09" in line
    assert "PCL harms" in line
    (nothing,) = report.sentences([found[0], found[1]], 20)
    assert "no pre-training is shown to help (the best, SimCLR" in nothing


def test_p_is_adjusted_for_the_kinds_of_pre_training_and_nnunet_asks_its_own_question():
    rng = np.random.default_rng(1)
    base = rng.uniform(0.6, 0.8, (3, 20))
    better = base + 0.02 + rng.normal(0, 0.03, base.shape)
    found = report.compared([cell("scratch", base), cell("simclr", better), cell("mim", better)], 1000)
    alone = report.compared([cell("scratch", base), cell("nnunet", better)], 1000)
    assert found[1].p == found[2].p == pytest.approx(2 * found[1].gain.p)
    assert alone[1].p == alone[1].gain.p
    (line,) = report.sentences([*found, alone[1]], 20)
    assert "nnU-Net's way: not shown to help (+0.0" in line
    assert "nnU-Net" not in report.sentences(found, 20)[0]


def test_the_best_start_is_as_sure_as_draws_of_subjects_and_trainings_say():
    rng = np.random.default_rng(2)
    base = rng.uniform(0.6, 0.8, (3, 20))
    ahead = [cell("scratch", base), cell("mim", base + 0.2), cell("pcl", base - 0.2)]
    assert report.chances(ahead, 1000) == {"scratch": 0.0, "mim": 1.0, "pcl": 0.0}
    even = report.chances([cell("scratch", base), cell("mim", base[:, ::-1])], 4000)
    slow = 0
    for _ in range(4000):  # one draw after another
        subjects = rng.integers(0, 20, 20)
        ours, theirs = (s[rng.integers(0, 3, 3)][:, subjects].mean() for s in (base, base[:, ::-1]))
        slow += ours >= theirs
    assert even["scratch"] == pytest.approx(slow / 4000, abs=0.05)
    assert sum(even.values()) == pytest.approx(1)


def test_the_advice_says_what_to_start_from_and_whether_it_is_shown():
    rng = np.random.default_rng(0)
    base = rng.uniform(0.6, 0.8, (3, 20))

    def told(**gains):
        group = [cell(init, base + gain + rng.normal(0, 0.02, base.shape)) for init, gain in gains.items()]
        return report.advice(report.compared([cell("scratch", base), *group], 1000), 1000)[0]

    assert "MIM is the best in 100% of draws" in told(mim=0.1, pcl=0.0)
    assert "so use it" in told(mim=0.1, pcl=0.0)
    assert "expect little of it" in told(mim=0.004)
    assert "so train from scratch" in told(mim=-0.1)
    assert "was not asked for" in report.advice([cell("mim", base), cell("pcl", base - 0.1)], 1000)[0]


def test_a_pre_training_that_collapsed_is_called_so():
    ends = {
        Job("simclr", 0, 0, 5): {"loss": 3.4, "effective_rank": 1.2, "feature_spread": 0.01},
        Job("mim", 0, 0, 5): {"loss": 0.2},
        Job("mim", 5, 0, 5): {"loss": 0.9},
    }
    lines = report.left(ends)[3:]
    assert lines == ["| SimCLR | 0 | 3.400 | 1.20 | 0.01 | collapsed |", "| MIM | 0 | 0.200 |  |  |  |"]
    assert report.left({Job("scratch", 5, 0, 5): {"loss": 0.9}}) == []


def test_the_published_split_follows_from_the_identifiers():
    told = json.loads((FIXTURES / "splits.json").read_text("utf-8"))["ids"]
    assert set(published.test_subjects()) == set(told["test"])
    everyone = [*told["development"], *told["test"]]
    assert published.is_published(everyone)
    assert not published.is_published(everyone[1:])
    plan = Plan(labels=published.LABELS, seeds=3)
    splits = runs.published({name: f"x{name}" for name in everyone}, plan)
    assert (len(splits.train), len(splits.test)) == (296, 140)
    assert {len(splits.labelled(s, n)) for s in range(3) for n in published.LABELS} == set(published.LABELS)
    valid, train = published.development(everyone)
    assert len(valid) == 74
    assert {f"x{name}" for name in train} == set(splits.train)


@pytest.mark.parametrize("name", question.TABLES)
def test_every_table_has_the_papers_figures_and_runs_its_trainings_once(name):
    table = import_module(f"cinecmr.experiments.ssp.{name}").TABLE
    assert set(table.published) == {line.labels for line in table.lines}
    plan = replace(SMALL, updates=1000)
    counts = {tables.count_of(line, 296) for line in table.lines}
    made = tables.jobs(table, plan, {n: 20.0 * n for n in counts})
    assert len(made) == 2 * len(table.lines)
    assert {job.updates for job in made.values() if job.labels == 296} == {1000}
    assert {job.init for job in made.values()} <= set(INITS)


def test_table_1_asks_for_the_published_numbers_of_subjects():
    table = import_module("cinecmr.experiments.ssp.t1").TABLE
    assert {tables.count_of(line, 296) for line in table.lines} == {296, 50, 25, 15, 10}


def test_a_table_is_made_beside_the_papers(data, tmp_path):
    request = question.Request((str(data),), tmp_path, workers=1)
    (page,) = question.reproduce("t2", request, replace(SMALL, seeds=1), lambda line: None)
    text = Path(page).read_text("utf-8")
    assert "0.880 (0.001)" in text
    assert "ED, ours" in text
    assert Path(page).with_suffix(".csv").read_text("utf-8").count("\n") == 1 + 4 * 3


def test_columns_average_the_scores_they_name():
    rows = [
        {"phase": "ED", "vendor": "Siemens", "dice_rv": 0.2, "dice_myo": 0.4, "dice_lv": 0.9},
        {"phase": "ES", "vendor": "GE", "dice_rv": 0.5, "dice_myo": 0.5, "dice_lv": 0.5},
    ]
    assert tables.value(rows, "all") == pytest.approx(0.5)
    assert tables.value(rows, "ED") == pytest.approx(0.5)
    assert tables.value(rows, "LV") == pytest.approx(0.7)
    assert tables.value(rows, "C+D") == pytest.approx(0.5)
    assert tables.value(rows, "LV", over_subjects=True) == pytest.approx(np.std([0.9, 0.5], ddof=1))
    assert np.isnan(tables.value(rows[:1], "C+D"))


def test_a_table_learns_from_the_phase_and_vendors_of_its_row(study):
    request, _, _ = study
    subjects = runs.subjects_of(request.out)
    only = runs.labelled(subjects, subjects, Job("scratch", 6, 0, 1, phase="ES"))
    assert len(only) == 6 * 3
    assert not runs.labelled(subjects, subjects, Job("scratch", 6, 0, 1, vendors=("A",)))


def test_dry_only_tells_the_cost(data, tmp_path):
    said = []
    request = question.Request((str(data),), tmp_path, workers=1, dry=True)
    assert question.compare(request, SMALL, said.append) == []
    assert any("this takes about" in line for line in said)
    assert not (tmp_path / runs.RUNS).exists()


def test_what_was_read_is_kept_as_it_was(data, tmp_path):
    kept = gather(cases_of(str(data)), tmp_path, 0, lambda line: None)
    again = load_subjects(tmp_path)
    assert [s.name for s in kept] == [s.name for s in again]
    names = {p.name for p in data.iterdir()}
    assert len(kept) == len(names) == 6
    first = next(s for s in kept if s.labelled == [0, 1])
    assert first.image.data.shape == (24, 24, 3, 2)
    assert [first.phase(t) for t in (0, 1)] == ["ED", "ES"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"inits": ("scratch", "moco")}, "no initialisation 'moco': there are scratch, simclr, pcl, dino, mim"),
        ({"protocols": ("hours",)}, "no protocol 'hours'"),
        ({"scale": "huge"}, "no scale 'huge'"),
        ({"preset": "mine"}, "no preset 'mine'"),
        ({"labels": ()}, "one number of labels"),
    ],
)
def test_settings_that_do_not_exist_are_refused(change, message):
    with pytest.raises(RefusedInput, match=message):
        replace(SMALL, **change)


def test_data_and_numbers_that_do_not_fit_are_refused(data, tmp_path, study):
    request = question.Request((str(data),), tmp_path / "one", workers=1)
    with pytest.raises(RefusedInput, match="people cannot make 9 labelled subjects"):
        question.compare(request, replace(SMALL, labels=(9,)), lambda line: None)
    with pytest.raises(RefusedInput, match="laid out as none of the data sets"):
        cases_of(str(tmp_path))
    with pytest.raises(RefusedInput, match="'soon' is no time"):
        question.compare(replace(request, budget="soon"), SMALL, lambda line: None)
    with pytest.raises(RefusedInput, match="no table 't9': there are t1, t2"):
        question.reproduce("t9", request, SMALL, lambda line: None)
    with pytest.raises(RefusedInput, match="other settings; give a new folder"):
        question.compare(study[0], replace(SMALL, preset="nnunet"), lambda line: None)
    with pytest.raises(RefusedInput, match="holds another study"):
        question.compare(study[0], replace(SMALL, labels=(2,)), lambda line: None)
