"""Tables of screening: rows share what they have in common, nobody is asked by a network that saw him, figures hold."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from cinecmr.anatomy import Contrast, Disease
from cinecmr.errors import RefusedInput
from cinecmr.evaluate.diagnosis import roc_auc
from cinecmr.experiments.cc_cmr import cohort as cohorts
from cinecmr.experiments.cc_cmr import figures, own, report, scales, statistics, study, tables, training
from cinecmr.experiments.cc_cmr.rows import CC_CMR, CONTROLS, FUSION, ROWS, TABLE_2
from cinecmr.phantom.study import synthetic_study
from cinecmr.tasks.screening_data import LGE, Window, prepare
from cinecmr.tasks.screening_model import checksum
from cinecmr.tasks.screening_start import read_weights

PAPER = json.loads((Path(__file__).resolve().parent.parent / "fixtures/cc_cmr/paper_tables.json").read_text("utf-8"))
SMOKE = replace(scales.SCALES["smoke"], folds=3, cohort=replace(scales.SCALES["smoke"].cohort, subjects=12))


def fake_cohort(out, recipe):
    """Subjects of noise in which patients are brighter on one half: the files that `cohort.make` would find there."""
    place = out / recipe.key
    place.mkdir(parents=True)
    for seed in recipe.seeds:
        rng = np.random.default_rng(seed)
        disease = recipe.disease(seed)
        clips = {}
        for name in (*("ch4", "sax", "lge"), cohorts.UNLINKED):
            shape = recipe.window.shape(LGE if name == cohorts.UNLINKED else name)
            clips[name] = rng.normal(size=shape).astype(np.float16)
            clips[name][..., :8, :] += 2 * (disease not in cohorts.CONTROLS)
        facts = {
            "subject": f"s{seed}",
            "disease": disease.value,
            "sex": "FM"[seed % 2],
            "vendor": "v",
            "scar_ml": seed % 3,
            "measured": {name: float(rng.normal()) for name in cohorts.MEASURED},
        }
        with cohorts.subject_path(place, seed).open("wb") as file:
            np.savez_compressed(file, facts=np.array(json.dumps(facts)), **clips)


def fake_subjects(out, scale=SMOKE):
    """Those of a table, and those whom encoders measure before."""
    fake_cohort(out / "cohort", scale.cohort)
    fake_cohort(out / "cohort", scale.start.cohort(scale.cohort))


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """Six rows, every kind of them, over three folds."""
    out = tmp_path_factory.mktemp("cc_cmr")
    fake_subjects(out)
    rows = [
        ROWS[name] for name in ("ch4", "fusion", "cc-cmr", "as-long", "shuffled", "unlinked", "auxiliary", "by-patient")
    ]
    said = []
    return out, study.run(out, SMOKE, rows, say=said.append), said


@pytest.fixture(scope="module")
def compared(done):
    """The method against every other row."""
    return statistics.compare(done[1], "cc-cmr", [name for name in done[1].said if name != "cc-cmr"])


def test_the_cost_is_told_before_anything_is_made(done):
    assert "12 subjects, 8 rows, 3 folds, 1 seeds" in done[2][0]


def test_encoders_begin_with_weights_that_measured_hearts_whom_no_table_asks(done):
    out, _, said = done
    (file,) = (out / "start").glob("*/encoder.safetensors")
    runs = (study.folder_of(out, SMOKE, "screening") / "runs").iterdir()
    told = [json.loads((run / "recipe.json").read_text())["objective"] for run in runs]
    assert {run["start"] for run in told if run["phase"] == 1} == {checksum(file)}
    assert "learning the measures of 3 hearts: 5 updates" in said
    other = SMOKE.start.cohort(SMOKE.cohort)
    assert not set(other.seeds) & set(SMOKE.cohort.seeds)
    with pytest.raises(RefusedInput, match=r"2 of 50002 subjects are among those .* ask 50000 at most"):
        SMOKE.start.cohort(replace(SMOKE.cohort, subjects=50_002))
    weights = load_file(file)
    begun = read_weights(SMOKE.settings.config, file)  # as `finetune screening --start` reads it
    for name in ("ch4", "sax", "lge"):
        for key, value in weights.items():
            assert torch.equal(begun[f"encoders.{name}.backbone.{key}"], value)


def test_what_a_scale_makes_lies_apart_from_what_other_settings_made():
    place = study.folder_of(Path("out"), SMOKE, "screening")
    others = [replace(SMOKE, rate=2e-3), replace(SMOKE, epochs=(2, 1, 2)), replace(SMOKE, start=None)]
    assert place not in {study.folder_of(Path("out"), other, "screening") for other in others}
    assert place == study.folder_of(Path("out"), replace(SMOKE, seeds=(0, 1), resamples=10), "screening")


def test_every_subject_is_asked_once_by_every_row_and_never_by_who_learned_from_it(done):
    out, made, _ = done
    for name, said in made.said.items():
        assert not np.isnan(said.test).any(), name
        np.testing.assert_allclose(said.test.sum(2), 1, atol=1e-5)
    place = study.folder_of(out, SMOKE, "screening") / "predictions" / "cc-cmr"
    asked = np.concatenate([np.load(path)["test"] for path in sorted(place.iterdir())])
    assert sorted(asked.tolist()) == list(range(12))
    held = cohorts.load(out / "cohort" / SMOKE.cohort.key, SMOKE.cohort)
    question = training.screening_question(held)
    for fold in range(3):
        job = training.Job(SMOKE, question, "x", out, fold, 0)
        assert not set(job.part.train) & (set(job.part.test) | set(job.part.inner))
        shuffled = job.samples(ROWS["shuffled"])
        for others in (job.part.test, job.part.inner):
            assert (shuffled.clips[LGE][others] == question.samples.clips[LGE][others]).all()
        moved = shuffled.clips[LGE][job.part.train] != question.samples.clips[LGE][job.part.train]
        assert moved.any()
        assert (job.samples(ROWS["unlinked"]).clips[LGE] == held.clips[cohorts.UNLINKED]).all()


def test_rows_share_the_phases_that_they_have_in_common(done):
    runs = [
        json.loads((p / "recipe.json").read_text())
        for p in (study.folder_of(done[0], SMOKE, "screening") / "runs").iterdir()
    ]
    phases = [run["objective"]["phase"] for run in runs]
    # by fold: three sequences, shuffled and unlinked enhancement; six kinds of interaction; seven fusions
    assert (phases.count(1), phases.count(2), phases.count(3)) == (3 * 5, 3 * 6, 3 * 7)


def test_weights_of_finished_second_phases_are_dropped_and_how_they_came_to_be_is_kept(done):
    for run in (study.folder_of(done[0], SMOKE, "screening") / "runs").iterdir():
        phase = json.loads((run / "recipe.json").read_text())["objective"]["phase"]
        assert (run / "log.jsonl").stat().st_size > 0
        assert (run / "checkpoint.safetensors").exists() == (phase != 2)


def test_the_stated_number_of_clips_is_the_number_that_are_learned_from(tmp_path, monkeypatch):
    from cinecmr.tasks import screening

    fake_subjects(tmp_path)
    seen, real = [], screening.draw

    def counted(*given):
        batch = real(*given)
        seen.append(sum(len(clips) for clips in batch.clips.values()))
        return batch

    monkeypatch.setattr(screening, "draw", counted)
    rows = [ROWS["cc-cmr"], ROWS["cines-aligned"]]
    study.run(tmp_path, SMOKE, rows, say=lambda _: None)
    assert sum(seen) == SMOKE.clips(rows)


def test_a_row_that_was_lost_is_made_again_to_the_last_digit(done):
    out, made, _ = done
    path = study.folder_of(out, SMOKE, "screening") / "predictions" / "cc-cmr" / "fold1-seed0.npz"
    path.unlink()
    again = study.run(out, SMOKE, [CC_CMR], say=lambda _: None)
    np.testing.assert_array_equal(again.said["cc-cmr"].test, made.said["cc-cmr"].test)


def test_the_table_is_written_with_figures_that_follow_from_what_was_said(done, compared):
    _, made, _ = done
    found = {name: statistics.row_figures(made, said) for name, said in made.said.items()}
    truth = made.classes
    for name, said in made.said.items():
        expected = np.mean([roc_auc(seed[:, 1], truth) for seed in said.test])
        assert found[name].auc.interval.estimate == pytest.approx(expected)
        called = said.test[..., 1].mean(0) >= said.threshold
        assert found[name].counts.tp == int((called & (truth == 1)).sum())
        assert found[name].counts.tp + found[name].counts.fn == 6
    one = compared["fusion"]
    gap = found["cc-cmr"].auc.interval.estimate - found["fusion"].auc.interval.estimate
    assert one.auc.difference.estimate == pytest.approx(gap)
    assert all(entry.adjusted >= entry.auc.p - 1e-12 for entry in compared.values())
    same = statistics.compare(made, "cc-cmr", ["cc-cmr"])["cc-cmr"]
    assert (same.auc.difference.estimate, same.mcnemar.p) == (0, 1)
    text = "\n".join(report.screening_lines(made, found) + report.comparison_lines(made, "cc-cmr", compared))
    assert "4CH + SAX, FIM with U-A (CC-CMR)" in text
    assert "LGE of other patients" in text
    assert "is it the further epochs?" in text
    more = "\n".join(report.further_lines(made, "cc-cmr", found["cc-cmr"]) + report.feature_lines(made))
    assert "positive predictive value by prevalence: 1 %" in more
    assert "vendor v" in more
    json.dumps(report.as_data(found, compared))


def test_the_verdict_says_that_controls_decide(done, compared):
    made = done[1]
    told = report.verdict(made, "cc-cmr", compared)
    lost = [name for name in ("as-long", "shuffled", "unlinked") if not compared[name].adjusted < 0.05]
    assert ("It does not beat" in told) == bool(lost)
    assert "12 synthetic subjects at scale smoke" in told
    alone = report.verdict(made, "cc-cmr", {"fusion": compared["fusion"]})
    assert "controls were not run" in alone


def test_the_papers_rows_are_those_of_its_table_and_three_of_its_intervals_exclude_their_estimate():
    for row, recorded in zip(TABLE_2, PAPER["rows"], strict=True):
        for name, figure in recorded["published"].items():
            assert row.published[name] == (figure["point"], *figure["ci"])
    text = "\n".join(report.published_lines(TABLE_2))
    assert text.count(") !") == 3
    assert "specificity of 4CH, sensitivity of SAX, sensitivity of 4CH + SAX, FIM without U-A" in text
    assert report.published_lines(CONTROLS) == []


def test_every_control_of_the_specification_is_a_row_of_table_2():
    names = {row.name for row in tables.PLANS["t2"].rows}
    assert names == {row.name for row in TABLE_2} | {
        "as-long", "cines-aligned", "shuffled", "auxiliary", "by-patient", "unlinked",
    }  # fmt: skip
    assert [row.name for row in tables.PLANS["t1"].rows] == [FUSION.name, CC_CMR.name]


def test_a_class_that_would_be_missing_from_a_fold_is_refused(tmp_path):
    fake_subjects(tmp_path)
    with pytest.raises(RefusedInput, match="fewer than the 3 folds") as refusal:
        study.run(tmp_path, SMOKE, [FUSION], asked="subtypes", say=lambda _: None)
    assert refusal.value.code == "class-missing-from-fold"


def test_five_groups_are_told_apart_in_batches_that_hold_two_of_each(tmp_path):
    scale = replace(SMOKE, cohort=replace(SMOKE.cohort, subjects=30), folds=3, epochs=(1, 1, 1))
    assert scale.schedule(1, 9, 5)[1].batch == 10
    fake_subjects(tmp_path, scale)
    with pytest.raises(RefusedInput, match="has 1 of 5 training subjects"):
        study.run(tmp_path, scale, [FUSION], asked="subtypes", say=lambda _: None)


def test_names_that_do_not_exist_are_refused_with_those_that_do(tmp_path):
    with pytest.raises(RefusedInput, match="there are smoke, laptop, gpu, full"):
        scales.chosen("large")
    with pytest.raises(RefusedInput, match="there are t1, t2, subtypes"):
        tables.plan_of("t9")
    with pytest.raises(RefusedInput, match="no row 'lge'"):
        tables.plan_of("t2", ["lge"])


def test_one_synthetic_subject_has_linked_and_unlinked_scar_over_the_same_cine(tmp_path):
    recipe = cohorts.CohortRecipe(10, window=Window(16, 9.0, 4, lge_slices=4), frames=8, matrix=32)
    seed = recipe.first_seed + 9
    path = cohorts.write_subject(tmp_path, recipe, seed)
    with np.load(path) as held:
        facts = json.loads(str(held["facts"]))
        assert {name: held[name].shape for name in ("ch4", "sax", "lge")} == {
            name: recipe.window.shape(name) for name in ("ch4", "sax", "lge")
        }
        assert (held["lge"] != held[cohorts.UNLINKED]).any()
    assert facts["disease"] == Disease.INFARCT.value
    assert 0.3 <= facts["severity"] <= 1.0
    truth = synthetic_study(seed, recipe.disease(seed), frames=8, severity=recipe.severity_of(seed), matrix=(32, 32))[1]
    for name in cohorts.MEASURED:
        assert facts["measured"][name] == pytest.approx(truth.measurements[name].value, abs=0.01), name
    before = path.stat().st_mtime_ns
    cohorts.write_subject(tmp_path, recipe, seed)
    assert path.stat().st_mtime_ns == before


def test_slices_made_alone_show_what_the_whole_stack_shows(tmp_path):
    recipe = cohorts.CohortRecipe(10, window=Window(16, 9.0, 4, lge_slices=4), frames=8, matrix=32)
    seed = recipe.first_seed + 2  # taken with little noise
    whole, _ = synthetic_study(
        seed,
        recipe.disease(seed),
        frames=8,
        matrix=(32, 32),
        contrasts=(Contrast.CINE, Contrast.LGE),
        severity=recipe.severity_of(seed),
    )
    expected = prepare(whole, recipe.window).clips
    with np.load(cohorts.write_subject(tmp_path, recipe, seed)) as held:
        for name, clip in expected.items():  # all but the noise
            assert np.corrcoef(held[name].astype(float).ravel(), clip.ravel())[0, 1] > 0.97, name


def test_half_of_any_cohort_are_controls_and_patients_are_ill_in_all_degrees_but_the_least():
    recipe = cohorts.CohortRecipe(500)
    diseases = [recipe.disease(seed) for seed in recipe.seeds]
    assert sum(disease in cohorts.CONTROLS for disease in diseases) == 250
    assert {diseases.count(disease) for disease in cohorts.SUBTYPES} == {50}
    drawn = [recipe.severity_of(seed) for seed in recipe.seeds]
    ill = [value for value in drawn if value is not None]
    assert len(ill) == 250
    assert 0.3 <= min(ill) < max(ill) <= 1.0
    assert recipe.key == replace(recipe, subjects=10).key != replace(recipe, frames=8).key


def test_workers_that_make_subjects_never_load_torch():
    code = "import cinecmr.experiments.cc_cmr.cohort, sys; print('torch' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert told.stdout.strip() == "False"


def test_a_temperature_mends_timid_probabilities():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 3, 4000)
    truth = (rng.random(4000) < 1 / (1 + np.exp(-logits))).astype(int)
    timid = 1 / (1 + np.exp(-logits / 2.5))
    shares = np.stack([1 - timid, timid], 1)
    found = own.best_temperature(shares, truth)
    assert found == pytest.approx(1 / 2.5, rel=0.1)
    np.testing.assert_allclose(own.sharpened(shares, 1 / 2.5)[:, 1], 1 / (1 + np.exp(-logits)), atol=1e-9)
    assert own.best_temperature(np.full((2, 2), np.nan), np.array([0, 1])) == 1.0


def features_of(rows, ch4, sax):
    return [study.Features(rows, np.ones(len(rows), bool), {"ch4": ch4, "sax": sax})]


def test_a_linear_probe_finds_scar_that_is_in_the_features_and_none_that_is_not(done):
    made = done[1]
    rng = np.random.default_rng(0)
    facts = [{**made.facts[0], "scar_ml": float(n % 2)} for n in range(60)]
    features = rng.normal(size=(60, 20)).astype(np.float32)
    told = features.copy()
    told[:, 0] += 4 * (np.arange(60) % 2)
    many, rows = replace(made, classes=np.ones(60, np.int64), facts=facts), np.arange(60)
    said = made.said["cc-cmr"]
    known = statistics.scar_probe(many, replace(said, features=features_of(rows, told, features)))
    blind = statistics.scar_probe(many, replace(said, features=features_of(rows, features, features)))
    assert known.estimate > 0.9
    assert 0.2 < blind.estimate < 0.8
    assert statistics.scar_probe(made, said) is None  # four patients a fold are too few


def test_closeness_of_features_is_1_where_both_cines_say_the_same(done):
    made = done[1]
    rng = np.random.default_rng(1)
    rows = rng.normal(0, 0.05, (12, 4)).astype(np.float32)
    rows[np.arange(12), made.classes] += 1
    same = features_of(np.arange(12), rows, rows)
    found = statistics.closeness(made, replace(made.said["cc-cmr"], features=same))
    assert found["cosine 0"] == pytest.approx(1)
    assert found["neighbours"] == 1
    assert found["separation ch4"] > 0.9
    swapped = np.concatenate([rows[made.classes == 1], rows[made.classes == 0]])
    order = np.concatenate([np.flatnonzero(made.classes == 0), np.flatnonzero(made.classes == 1)])
    other = np.empty_like(rows)
    other[order] = swapped
    apart = statistics.closeness(made, replace(made.said["cc-cmr"], features=features_of(np.arange(12), rows, other)))
    assert apart["neighbours"] == 0
    assert apart["cosine 0"] < 0.3


def test_features_of_a_fold_are_of_subjects_its_network_never_saw(done):
    made = done[1]
    for fold, held in enumerate(made.said["cc-cmr"].features):
        part = training.parts(made.classes, [str(f["disease"]) for f in made.facts], 3)[fold]
        assert not set(held.rows) & set(part.train)
        assert set(held.rows[held.test]) == set(part.test)
        assert held.of["sax"].shape == (len(held.rows), SMOKE.settings.config.features)


def test_figures_are_drawn_with_what_must_stand_beside_them(done, tmp_path):
    made = done[1]
    written = figures.draw(tmp_path, "t2-smoke", made)
    assert [path.name for path in written] == ["t2-smoke-curves.svg", "t2-smoke-features.svg"]
    curves, features = (path.read_text("utf-8") for path in written)
    assert "net benefit" in curves
    assert "silhouette" in features
    assert features.count("stroke-dasharray") >= 8  # an ellipse for each sequence and class, before and after
