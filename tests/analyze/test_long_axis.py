"""What is measured from 2C, 3C and 4C views, with labels and landmarks that are true."""

import json
from dataclasses import replace

import numpy as np
import pytest

from cinecmr.analyze import long_axis, pipeline, player, report, run, session
from cinecmr.analyze.given import KeptLongAxis
from cinecmr.anatomy import Contrast, Disease, Landmark, Structure, View
from cinecmr.errors import RefusedInput
from cinecmr.measure.hinges import POINTS, TRICUSPID, lateral_end, valve_ends
from cinecmr.phantom.study import synthetic_study
from cinecmr.study import Findings, Severity
from cinecmr.viewer.desk import Desk

LONG = (View.LAX_2C, View.LAX_3C, View.LAX_4C)


class Known:
    """Answers with what is true, as long as nobody changes it."""

    source = "truth"

    def __init__(self, truth):
        self.labels = {view: truth.labels[view, Contrast.CINE] for view in LONG}
        self.marks = dict(truth.landmarks)

    def segment(self, image, progress=None):
        return self.sax.copy()

    def read(self, image, progress=None):
        labels = self.labels[image.view]
        marks = {name: self.marks[name] for name in POINTS.get(image.view, ())}
        if image.view is View.LAX_4C:
            ends = valve_ends(labels, image.affine, Structure.RV, Structure.RA)
            lateral = lateral_end(ends, labels, image.affine)
            marks |= dict(zip(TRICUSPID, (ends.sum(axis=1) - lateral, lateral), strict=True))
        return labels, marks


@pytest.fixture(scope="module")
def known():
    study, truth = synthetic_study(40, Disease.NORMAL, frames=12, matrix=(88, 88))
    model = Known(truth)
    model.sax = truth.labels[pipeline.SAX_CINE]
    return study, truth, model


@pytest.fixture(scope="module")
def measured(known):
    study, _, model = known
    return pipeline.analyze(study, model, long_axis=model)


def codes(found):
    return {flag.code: flag for flag in found.flags}


def test_true_views_give_the_excursion_and_the_atria_of_the_heart(known, measured):
    _, truth, _ = known
    told = measured.measurements
    assert told["MAPSE"].value == pytest.approx(truth.measurements["MAPSE"].value, abs=0.5)
    for name in ("LAVmax", "LAVmin"):  # no atrium is an ellipsoid
        assert told[name].value == pytest.approx(truth.measurements[name].value, rel=0.3)
    assert told["LAVmaxi"].unit == "ml/m2"
    assert -30 < told["GLS"].value < -8
    assert "mean of 2C, 3C and 4C" in told["GLS"].method
    assert 5 < told["TAPSE"].value < 40
    assert told["MAPSE"].source == "contours of truth"
    assert measured.curves["LA"].shape == measured.curves["LV"].shape
    assert {(view, Contrast.CINE) for view in LONG} <= measured.labels.keys()


def test_without_a_model_of_the_long_axis_the_right_ventricle_is_the_same_and_nothing_of_the_views_is_told(
    known, measured
):
    study, _, model = known
    plain = pipeline.analyze(study, model)
    assert not any((view, Contrast.CINE) in plain.labels for view in LONG)
    for name in ("RVEDV", "RVESV", "RVEF", "HR", "BSA"):
        assert plain.measurements[name] == measured.measurements[name]
    more = {name for name in measured.measurements if name not in plain.measurements}
    assert more == {"MAPSE", "TAPSE", "gl_shortening", "GLS", "LAVmax", "LAVmin", "LAEF", "LAVmaxi",
                    "RAVmax", "RAVmin", "RAEF", "RAVmaxi"}  # fmt: skip


def test_the_left_ventricle_ends_at_the_hinges_that_the_views_show(known, measured):
    study, truth, model = known
    plain = pipeline.analyze(study, model)
    assert "base-from-long-axis" in codes(measured)
    assert "base-from-long-axis" not in codes(plain)

    def errors(found):
        return [abs(found.measurements[name].value - truth.measurements[name].value) for name in ("LVEDV", "LVESV")]

    assert sum(errors(measured)) < max(sum(errors(plain)), 4.0)
    far = changed(model)
    far.marks = {name: points + 40 * measured_axis(truth) for name, points in model.marks.items()}
    apart = pipeline.analyze(study, model, long_axis=far)
    assert "base-differs" in codes(apart)
    assert apart.measurements["LVEDV"] == plain.measurements["LVEDV"]


def measured_axis(truth):
    up = (
        np.mean([truth.landmarks[n][0] for n in POINTS[View.LAX_4C][:2]], axis=0) - truth.landmarks[Landmark.APEX_4C][0]
    )
    return up / np.linalg.norm(up)


def test_a_study_without_long_axis_views_is_measured_as_ever(known):
    study, _, model = known
    short = replace(study, images={pipeline.SAX_CINE: study[View.SAX]})
    found = pipeline.analyze(short, model, long_axis=model)
    assert found.measurements == pipeline.analyze(short, model).measurements


def test_views_with_half_the_frames_are_put_onto_the_clock_of_the_short_axis(known, measured):
    study, _, model = known
    halved = Known.__new__(Known)
    halved.sax = model.sax
    halved.labels = {view: labels[..., ::2] for view, labels in model.labels.items()}
    halved.marks = {name: points[::2] for name, points in model.marks.items()}
    images = dict(study.images)
    for view in LONG:
        images[view, Contrast.CINE] = replace(
            study[view], data=study[view].data[..., ::2], times=study[view].times[::2]
        )
    found = pipeline.analyze(replace(study, images=images), halved, long_axis=halved)
    assert found.measurements["MAPSE"].value == pytest.approx(measured.measurements["MAPSE"].value, abs=1.5)
    assert found.measurements["LAVmax"].value == pytest.approx(measured.measurements["LAVmax"].value, rel=0.06)
    assert len(found.curves["LA"]) == study[View.SAX].frames


def changed(model, **labels):
    other = Known.__new__(Known)
    other.sax, other.labels, other.marks = model.sax, dict(model.labels), dict(model.marks)
    for view, made in labels.items():
        other.labels[View[view]] = made
    return other


def test_a_view_in_which_no_heart_is_found_is_flagged_and_left_out(known, measured):
    study, _, model = known
    empty = changed(model, LAX_2C=np.zeros_like(model.labels[View.LAX_2C]))
    found = pipeline.analyze(study, model, long_axis=empty)
    assert "two-chamber" in codes(found)["no-long-axis-heart"].message
    assert "mean of 2 mitral hinges" in found.measurements["MAPSE"].method
    assert "four-chamber view alone" in found.measurements["LAVmax"].method
    assert Landmark.APEX_2C not in found.landmarks


def test_a_point_that_is_hardly_ever_seen_takes_its_view_along(known):
    study, _, model = known
    lost = changed(model)
    lost.marks[Landmark.APEX_2C] = np.where(np.arange(12)[:, None] % 2 == 0, np.nan, lost.marks[Landmark.APEX_2C])
    found = pipeline.analyze(study, model, long_axis=lost)
    assert "apex 2c was found in 50 %" in codes(found)["landmark-lost"].message
    assert codes(found)["landmark-lost"].severity is Severity.NOTE
    assert "mean of 2 mitral hinges" in found.measurements["MAPSE"].method


def test_a_hinge_that_leaps_for_a_frame_does_not_move_the_excursion(known, measured):
    study, _, model = known
    leaping = changed(model)
    es = measured.cycle["LV_ES"]
    points = leaping.marks[Landmark.MITRAL_4C_LATERAL].copy()
    points[es] += 30.0
    leaping.marks[Landmark.MITRAL_4C_LATERAL] = points
    found = pipeline.analyze(study, model, long_axis=leaping)
    assert found.measurements["MAPSE"].value == pytest.approx(measured.measurements["MAPSE"].value, abs=0.8)


def test_an_excursion_that_no_heart_has_is_withheld_with_its_reason(known):
    study, _, model = known
    wrong = changed(model)
    es = 4
    for name in (*POINTS[View.LAX_2C][:2], *POINTS[View.LAX_4C][:2]):
        points = wrong.marks[name].copy()
        axis = points[0] - wrong.marks[Landmark.APEX_4C][0]
        wrong.marks[name] = points - 60 * np.sin(np.pi * np.arange(12) / (2 * es)).clip(0)[:, None] * axis / 100
    found = pipeline.analyze(study, model, long_axis=wrong)
    assert "MAPSE" not in found.measurements
    flag = codes(found)["long-axis-implausible"]
    assert flag.severity is Severity.REFUSE
    assert "withheld, look at the long-axis contours" in flag.message


def test_views_that_disagree_on_the_ventricles_length_are_flagged(known):
    study, _, model = known
    short = changed(model)
    middle = np.mean([short.marks[name] for name in POINTS[View.LAX_2C][:2]], axis=0)
    short.marks[Landmark.APEX_2C] = middle + 0.7 * (short.marks[Landmark.APEX_2C] - middle)
    found = pipeline.analyze(study, model, long_axis=short)
    assert "mm in the long axis, two-chamber" in codes(found)["foreshortened"].message


def test_what_a_run_wrote_of_the_long_axis_gives_the_same_numbers_again(known, measured, tmp_path):
    study, _, model = known
    report.write_numbers(tmp_path, study, measured, provenance={})
    kept = json.loads((tmp_path / "findings.json").read_text())
    assert len(kept["landmarks"]["apex_4c"]) == 12
    again = pipeline.analyze(study, model, long_axis=KeptLongAxis(tmp_path, "truth"))
    assert again.measurements == measured.measurements
    for view in LONG:
        np.testing.assert_array_equal(again.labels[view, Contrast.CINE], model.labels[view])
    (tmp_path / "labels_lax_2c.nii.gz").unlink()
    fewer = pipeline.analyze(study, model, long_axis=KeptLongAxis(tmp_path, "truth"))
    assert (View.LAX_2C, Contrast.CINE) not in fewer.labels
    (tmp_path / "findings.json").write_text("{")
    with pytest.raises(RefusedInput, match="is damaged: analyse the study again"):
        KeptLongAxis(tmp_path, "truth")


def test_corrections_in_the_browser_keep_what_the_long_axis_gave(known, measured, tmp_path):
    study, _, model = known
    told = {"long_axis_model": model.source}
    report.write_numbers(tmp_path, study, measured, provenance=told)
    session.save(tmp_path, session.Session(study, model.source, told))
    desk = Desk(tmp_path)
    assert desk.found.measurements == measured.measurements
    z, t = study[View.SAX].slices // 2, measured.cycle["RV_ED"]
    plane = desk.plane(z, t)
    plane[:2, :3] = Structure.RV
    desk.draw(z, t, plane, "paint rv")
    kept = json.loads((tmp_path / "findings.json").read_text())
    assert kept["measurements"]["MAPSE"]["value"] == measured.measurements["MAPSE"].value
    assert kept["measurements"]["RVEDV"]["value"] > measured.measurements["RVEDV"].value
    assert (tmp_path / "labels_lax_4c.nii.gz").is_file()
    assert "not-recomputed" not in {flag["code"] for flag in kept["flags"]}


def test_the_player_shows_atria_and_landmarks_where_they_lie(known, measured):
    study, truth, _ = known
    tiles = {tile["view"]: tile for tile in player.tiles(study, measured)}
    four = tiles["lax_4c"]
    assert set(four["contours"]) == {"endo", "epi", "rv", "la", "ra"}
    assert "marks" not in tiles["sax"]
    labels = truth.labels[View.LAX_4C, Contrast.CINE]
    turned = player.display_axes(study[View.LAX_4C].affine).apply(
        labels[player.heart_box(labels, study[View.LAX_4C])][:, :, 0, 3]
    )
    septal, lateral, apex = np.array(four["marks"][3], float).reshape(-1, 2)[:3] / player.COORDINATE
    for x, y in (septal, lateral, apex):
        row, column = round(y), round(x)
        near = set(np.unique(turned[row - 2 : row + 3, column - 2 : column + 3]))
        assert {int(Structure.LV), int(Structure.MYO)} <= near


def test_a_model_that_reads_something_else_is_refused_and_none_may_be_asked_for():
    with pytest.raises(RefusedInput, match="sax-unet does not read 2C, 3C and 4C views"):
        run.long_axis("sax-unet", "cpu")
    assert run.long_axis("none", "cpu") is None


def test_nothing_is_measured_of_views_that_nobody_read(known):
    study, _, _ = known
    assert long_axis.find(study, None) == Findings()
    assert long_axis.measure(study, Findings(cycle={"LV_ED": 0, "LV_ES": 4}), "nobody").measurements == {}
