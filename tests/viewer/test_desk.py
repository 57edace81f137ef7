"""Corrections: what follows from changed labels is what `analyze` would say of them, on disk and in the log."""

import contextlib
import json
import threading
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest

from cinecmr.analyze import motion, pipeline, report, session, stale, strain_page, sureness
from cinecmr.analyze.given import GivenLabels
from cinecmr.anatomy import Structure, View
from cinecmr.errors import RefusedInput
from cinecmr.motion import register
from cinecmr.viewer.desk import DUE, LOG, Desk

TINY = register.Sound((3, 2, 2), 2, pixels=400, face_points=250, tissue_points=150, levels=((1.0, 2),))


def on_disk(folder):
    return {
        name: one["value"] for name, one in json.loads((folder / "findings.json").read_text())["measurements"].items()
    }


def now(desk):
    return {name: one.value for name, one in desk.found.measurements.items()}


def test_an_analysis_that_nobody_corrected_is_opened_as_it_was(folder):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    desk = Desk(folder)
    assert now(desk) == on_disk(folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_larger_ventricle_at_one_frame_changes_that_volume_by_its_pixels_and_nothing_else_of_the_curve(folder):
    desk = Desk(folder)
    ed, curve = desk.found.cycle["RV_ED"], desk.found.curves["RV"].copy()
    plane = desk.plane(3, ed)
    plane[:2, :3] = Structure.RV
    desk.draw(3, ed, plane, "paint rv")
    added = desk.found.curves["RV"] - curve
    assert added[ed] == pytest.approx(6 * 0.04)  # 2 x 2 x 10 mm
    assert np.abs(np.delete(added, ed)).max() == 0
    esv = desk.found.measurements["RVESV"].value
    assert desk.found.measurements["RVEF"].value == pytest.approx(100 * (1 - esv / (curve[ed] + 0.24)))


def test_corrected_labels_give_the_numbers_that_analyze_gives_for_the_file_that_was_written(folder, grown, tiny_heart):
    desk = Desk(folder)
    desk.draw(3, 0, grown(desk, 3, 0)[0], "drag endo")
    desk.draw(4, 4, grown(desk, 4, 4)[0], "paint endo")
    again = pipeline.analyze(tiny_heart.study, GivenLabels(folder / "labels_sax.nii.gz"))
    assert {name: one.value for name, one in again.measurements.items()} == now(desk) == on_disk(folder)


def test_every_file_follows_a_change(folder, grown):
    desk = Desk(folder)
    page = (folder / "report.html").read_text()
    desk.draw(3, 0, grown(desk, 3, 0)[0], "drag endo")
    assert (folder / DUE).exists()
    desk.export()
    assert not (folder / DUE).exists()
    new = (folder / "report.html").read_text()
    assert new != page
    assert "1 correction by a reader" in new
    assert "drawn-by-hand, corrected by a reader" in new
    assert f"LVEDV,{round(now(desk)['LVEDV'], 6)}" in (folder / "measurements.csv").read_text()


def test_the_screen_turns_a_plane_and_back_to_the_very_voxel(folder):
    desk = Desk(folder)
    plane = desk.plane(2, 1)
    row, column = 5, 20
    plane[row, column] = Structure.RV
    before = desk.labels.copy()
    desk.draw(2, 1, plane, "paint rv")
    ((x, y, z, t),) = np.argwhere(desk.labels != before)
    assert (z, t) == (2, 1)
    assert desk.axes.apply(np.arange(32 * 32).reshape(32, 32))[row, column] == x * 32 + y


def test_the_log_tells_what_when_and_the_numbers_before_and_after(folder, grown):
    desk = Desk(folder, reader="AB")
    before = now(desk)
    _, pixels = grown(desk, 3, 0)
    desk.draw(3, 0, grown(desk, 3, 0)[0], "drag endo")
    (entry,) = [json.loads(line) for line in (folder / LOG).read_text().splitlines()]
    assert (entry["n"], entry["action"], entry["tool"], entry["slice"], entry["frame"]) == (
        1,
        "labels",
        "drag endo",
        3,
        0,
    )
    assert (entry["pixels"], entry["reader"]) == (pixels, "AB")
    assert entry["measurements"]["LVEDV"] == [before["LVEDV"], now(desk)["LVEDV"]]
    assert "RVEDV" not in entry["measurements"]


def test_undo_brings_back_every_voxel_and_number_also_after_a_new_start(folder, grown):
    desk = Desk(folder)
    labels, numbers = desk.labels.copy(), now(desk)
    desk.draw(3, 0, grown(desk, 3, 0)[0], "drag endo")
    desk.draw(4, 0, grown(desk, 4, 0)[0], "drag endo")
    desk.export()
    again = Desk(folder)
    assert now(again) == now(desk)
    assert again.first == numbers  # what the model said, however often the page was opened
    again.undo()
    again.undo()
    again.undo()  # nothing is left to take back
    np.testing.assert_array_equal(again.labels, labels)
    assert now(again) == numbers
    assert not [flag for flag in again.found.flags if flag.code == "labels-corrected"]
    assert again.found.measurements["LVEDV"].source == "labels of drawn-by-hand"


def test_chosen_frames_are_those_of_both_ventricles_and_stay_after_a_new_start(folder):
    desk = Desk(folder)
    desk.choose(1, 5)
    assert dict(desk.found.cycle) == {"LV_ED": 1, "LV_ES": 5, "RV_ED": 1, "RV_ES": 5}
    again = Desk(folder)
    assert (again.ed, again.es) == (1, 5)
    assert now(again) == on_disk(folder)
    again.choose(None, None)
    assert again.found.cycle["LV_ED"] == 0


def test_a_frame_that_does_not_exist_is_refused_and_nothing_changes(folder):
    desk = Desk(folder)
    with pytest.raises(RefusedInput, match="12"):
        desk.choose(12, 3)
    assert (desk.ed, desk.es, desk.log) == (None, None, [])


@pytest.mark.parametrize(
    ("z", "t", "make"),
    [
        (99, 0, lambda p: p),
        (0, 99, lambda p: p),
        (-1, 0, lambda p: p),
        (3, 0, lambda p: p[:-1]),
        (3, 0, lambda p: p + 9),
    ],
)
def test_a_change_that_does_not_fit_is_refused_and_nothing_changes(folder, z, t, make):
    desk = Desk(folder)
    before = desk.labels.copy()
    with pytest.raises(RefusedInput, match=r"never acquired|codes of") as refusal:
        desk.draw(z, t, make(desk.plane(3, 0)), "paint endo")
    assert refusal.value.code == "bad-edit"
    np.testing.assert_array_equal(desk.labels, before)


def test_a_slice_that_was_never_acquired_cannot_be_drawn_on(tiny_heart, folder):
    image = replace(tiny_heart.image, missing_slices=(2,))
    study = replace(tiny_heart.study, images=dict.fromkeys(tiny_heart.study.images, image))
    session.save(folder, session.Session(study, "drawn-by-hand", {}))
    desk = Desk(folder)
    with pytest.raises(RefusedInput, match="never acquired"):
        desk.draw(2, 0, np.zeros((32, 32), np.uint8), "erase")


def test_erasing_the_whole_heart_is_refused_and_taken_back(folder):
    desk = Desk(folder)
    keep, empty = desk.labels.copy(), np.zeros((32, 32), np.uint8)
    places = [(z, t) for t in range(12) for z in range(1, 7)]
    for z, t in places[:-1]:
        with contextlib.suppress(RefusedInput):  # some frames end the measurement before the last one does
            desk.draw(z, t, empty, "erase")
    with pytest.raises(RefusedInput, match="left ventricle"):
        desk.draw(*places[-1], empty, "erase")
    assert (desk.labels == Structure.LV).any()
    assert (keep != desk.labels).any()
    np.testing.assert_array_equal(np.asarray(nib.load(folder / "labels_sax.nii.gz").dataobj), desk.labels)


def test_labels_changed_in_another_editor_are_measured_when_the_folder_is_opened(folder, tiny_heart):
    path = folder / "labels_sax.nii.gz"
    image = nib.load(path)
    labels = np.asarray(image.dataobj).copy()
    labels[:, :, 3, 0][labels[:, :, 3, 0] == Structure.MYO] = Structure.LV
    nib.save(nib.Nifti1Image(labels, image.affine, image.header), path)
    desk = Desk(folder)
    assert now(desk) == on_disk(folder)
    assert now(desk)["LVEDV"] == pytest.approx(now(desk)["LVESV"] / (1 - now(desk)["LVEF"] / 100))
    assert not (folder / DUE).exists()


def test_what_was_due_when_the_program_was_killed_is_written_at_the_next_start(folder, grown):
    desk = Desk(folder)
    desk.draw(3, 0, grown(desk, 3, 0)[0], "drag endo")  # and no export
    Desk(folder)
    assert not (folder / DUE).exists()
    assert "1 correction by a reader" in (folder / "report.html").read_text()


def test_changes_from_two_threads_are_one_after_the_other(folder):
    desk = Desk(folder)

    def mark(z):
        plane = desk.plane(z, 0)
        plane[0, z] = Structure.RV
        desk.draw(z, 0, plane, "paint rv")

    threads = [threading.Thread(target=mark, args=(z,)) for z in (2, 3, 4, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [one["n"] for one in desk.log] == [1, 2, 3, 4]
    assert now(desk) == on_disk(folder)


def test_a_folder_without_an_analysis_is_refused_with_what_to_give(tmp_path):
    with pytest.raises(RefusedInput, match="give the folder that `cinecmr analyze` wrote"):
        Desk(tmp_path)


def test_a_damaged_session_is_refused_and_runs_nothing(folder):
    (folder / session.FILE).write_bytes((folder / session.FILE).read_bytes()[:200])
    with pytest.raises(RefusedInput, match="analyse the study again"):
        Desk(folder)


def test_what_is_kept_of_a_study_reads_back_equal(folder, tiny_heart):
    kept = session.load(folder).study
    assert replace(kept, images={}) == replace(tiny_heart.study, images={})
    image, truth = kept[View.SAX], tiny_heart.image
    np.testing.assert_allclose(image.data, truth.data, atol=np.ptp(truth.data) / 60000)
    np.testing.assert_array_equal(image.affine, truth.affine)
    np.testing.assert_array_equal(image.times, truth.times)
    assert (image.rr_ms, image.thickness_mm, image.missing_slices) == (900.0, 8.0, ())


def test_whole_intensities_are_kept_exactly(tiny_heart, tmp_path):
    image = replace(tiny_heart.image, data=np.rint(tiny_heart.image.data * 40).astype(np.int16))
    study = replace(tiny_heart.study, images=dict.fromkeys(tiny_heart.study.images, image))
    session.save(tmp_path, session.Session(study, "x", {}))
    np.testing.assert_array_equal(session.load(tmp_path).study[View.SAX].data, image.data)


def test_a_new_analysis_moves_corrected_work_aside_whole(folder, grown):
    desk = Desk(folder)
    desk.draw(3, 0, grown(desk, 3, 0)[0], "drag endo")
    desk.export()
    labels = (folder / "labels_sax.nii.gz").read_bytes()
    stale.keep_corrections(folder)
    (aside,) = folder.glob("earlier-*")
    assert (aside / "labels_sax.nii.gz").read_bytes() == labels
    assert (aside / LOG).is_file()
    assert not (folder / LOG).exists()
    assert Desk(aside).log


def test_numbers_that_labels_alone_do_not_give_stay_until_contours_change_and_are_then_withheld(folder, grown):
    content = json.loads((folder / "findings.json").read_text())
    content["measurements"]["GLS"] = content["measurements"]["LVEF"] | {"value": -18.0}
    (folder / "findings.json").write_text(json.dumps(content))
    assert "GLS" in on_disk(folder)
    desk = Desk(folder)
    assert "GLS" in on_disk(folder)
    desk.draw(3, 0, grown(desk, 3, 0)[0], "drag endo")
    assert "GLS" not in on_disk(folder)
    for again in (desk, Desk(folder)):
        (flag,) = [flag for flag in again.found.flags if flag.code == "not-recomputed"]
        assert flag.message.startswith("GLS do not follow from labels alone")


def test_numbers_that_labels_no_longer_give_do_not_stay_on_disk(folder, grown):
    path = folder / "labels_sax.nii.gz"
    labels = nib.load(path)
    kept = np.asarray(labels.dataobj)
    nib.save(
        nib.Nifti1Image(np.where(kept == Structure.RV, 0, kept).astype(np.uint8), labels.affine, labels.header), path
    )
    before = on_disk(folder)
    desk = Desk(folder)
    assert [name for name in on_disk(folder) if name.startswith("RV")] == []
    assert on_disk(folder)["LVEF"] == before["LVEF"]
    assert not desk.beyond


def test_the_models_intervals_hold_for_its_own_labels_only(folder, grown, tiny_heart):
    limits = {"LVEDV": sureness.Limits(low=-0.1, high=0.1, relative=True, studies=40)}
    sure = sureness.Sureness(model="drawn", sha256="ab" * 32, level=0.9, data="made", limits=limits)
    session.save(folder, session.Session(tiny_heart.study, "drawn-by-hand", {}, sureness=sure))
    desk = Desk(folder)
    assert desk.found.measurements["LVEDV"].interval == pytest.approx(
        (0.9 * now(desk)["LVEDV"], 1.1 * now(desk)["LVEDV"])
    )
    desk.draw(3, 0, grown(desk, 3, 0)[0], "drag endo")
    assert desk.found.measurements["LVEDV"].interval is None
    desk.undo()
    assert desk.found.measurements["LVEDV"].interval is not None


@pytest.fixture
def strained(folder, tiny_heart, tiny_model, monkeypatch):
    """The folder, had it been analysed with --strain."""
    monkeypatch.setattr(register, "Sound", lambda: TINY)
    found, tracked = strain_page.follow(tiny_heart.study, pipeline.analyze(tiny_heart.study, tiny_model))
    report.write_outputs(folder, tiny_heart.study, found, provenance={}, strain=tracked)
    return folder


def test_strain_of_contours_that_were_changed_is_gone_at_once_and_measured_again_of_the_new_ones(strained, grown):
    desk = Desk(strained)
    before = json.loads((strained / "motion.json").read_text())["curves"]
    for t in range(3):
        desk.draw(3, t, grown(desk, 3, t)[0], "drag endo")
    assert not any((strained / name).exists() for name in motion.FILES)
    desk.export()
    again = motion.track(desk.session.study, desk.labels, ed=desk.found.cycle["LV_ED"])
    written = json.loads((strained / "motion.json").read_text())["curves"]
    assert written == motion.summary(again)["curves"] != before
    assert "strain.csv" in {path.name for path in strained.iterdir()}
    assert 'id="h-strain"' in (strained / "report.html").read_text()


def test_strain_that_was_due_when_the_desk_was_left_is_measured_when_it_is_opened_again(strained, grown):
    desk = Desk(strained)
    desk.draw(3, 0, grown(desk, 3, 0)[0], "drag endo")
    assert not (strained / "motion.json").exists()
    Desk(strained)
    assert (strained / "motion.json").exists()
    assert not (strained / DUE).exists()


def test_an_analysis_without_strain_gets_none_by_corrections_and_a_new_one_leaves_no_old_strain(
    folder, strained, grown, tiny_heart, tiny_model
):
    report.write_outputs(folder, tiny_heart.study, pipeline.analyze(tiny_heart.study, tiny_model), provenance={})
    assert not any((folder / name).exists() for name in motion.FILES)
    desk = Desk(folder)
    desk.draw(3, 0, grown(desk, 3, 0)[0], "drag endo")
    desk.export()
    assert not (folder / "motion.json").exists()
