"""What was acquired and what is known of it."""

import numpy as np
import pytest

from cinecmr.anatomy import Contrast, Disease, Landmark, Structure, View
from cinecmr.study import Findings, Flag, Image, Measurement, Severity, Study

SAX = (View.SAX, Contrast.CINE)


def an_image(shape=(6, 5, 4, 3), **facts):
    return Image(np.zeros(shape, np.float32), np.diag([1.5, 1.4, 10.0, 1.0]), np.arange(shape[3]) * 0.04, **facts)


def a_measurement(value=58.0):
    return Measurement(value, "%", "slices summed", "by hand")


def test_an_image_knows_its_spacing_frames_and_slices():
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag([1.5, -1.4, 10.0])
    image = Image(np.zeros((6, 5, 4, 3)), affine, np.arange(3.0))
    np.testing.assert_allclose(image.spacing, [1.5, 1.4, 10.0])
    assert (image.frames, image.slices) == (3, 4)


@pytest.mark.parametrize(
    ("data", "affine", "times", "message"),
    [
        (np.zeros((4, 4, 4)), np.eye(4), np.zeros(1), r"must be \(x, y, z, t\), got shape \(4, 4, 4\)"),
        (np.zeros((4, 4, 4, 1)), np.eye(3), np.zeros(1), r"affine must be \(4, 4\), got shape \(3, 3\)"),
        (np.zeros((4, 4, 4, 2)), np.eye(4), np.zeros(3), "one time a frame: 2 frames"),
        (np.zeros((4, 4, 4, 2)), np.eye(4), np.array([0.1, 0.1]), "frame times must increase"),
        (np.zeros((4, 4, 4, 2)), np.eye(4), np.array([0.1, 0.0]), "sort the frames by time first"),
    ],
)
def test_an_image_that_contradicts_itself_is_refused(data, affine, times, message):
    with pytest.raises(ValueError, match=message):
        Image(data, affine, times)


def test_an_image_is_told_in_a_line_without_its_pixels():
    assert repr(an_image()) == "Image(SAX CINE, 6 x 5, 4 slices, 3 frames, 1.5 x 1.4 x 10 mm)"


def test_a_study_gives_the_cine_of_a_view_unless_another_contrast_is_asked_for():
    cine, late = an_image(), an_image(contrast=Contrast.LGE)
    study = Study("s", {SAX: cine, (View.SAX, Contrast.LGE): late, (View.LAX_2C, Contrast.LGE): late})
    assert study[View.SAX] is cine
    assert study[View.SAX, Contrast.LGE] is late
    assert View.SAX in study
    assert View.LAX_2C not in study
    assert (View.LAX_2C, Contrast.LGE) in study
    assert study.views == (View.SAX,)


def test_a_view_that_was_not_acquired_is_told_with_what_was():
    study = Study("s", {SAX: an_image()})
    with pytest.raises(KeyError, match="no LAX_4C CINE in study s: there is SAX CINE"):
        study[View.LAX_4C]
    with pytest.raises(KeyError, match="there is no images"):
        Study("s", {})[View.SAX]


def test_a_study_cannot_be_changed_behind_its_back():
    images = {SAX: an_image()}
    study = Study("s", images)
    images.clear()
    assert View.SAX in study
    with pytest.raises(TypeError, match="does not support item assignment"):
        study.images[SAX] = an_image()


def test_findings_add_up():
    labels, curve = np.zeros((6, 5, 4, 3), np.uint8), np.array([150.0, 60.0, 120.0])
    one = Findings(labels={SAX: labels}, cycle={"LV_ED": 0})
    other = Findings(
        measurements={"LVEF": a_measurement()},
        cycle={"LV_ES": 1},
        curves={"LV": curve},
        landmarks={Landmark.APEX_2C: np.zeros((3, 3))},
        diagnosis={Disease.DCM: 0.2},
    )
    both = one | other
    assert both.labels[SAX] is labels
    assert dict(both.cycle) == {"LV_ED": 0, "LV_ES": 1}
    assert both.curves["LV"] is curve
    assert both.measurements["LVEF"].value == 58.0
    assert both.diagnosis[Disease.DCM] == 0.2
    assert Landmark.APEX_2C in both.landmarks
    assert dict(one.cycle) == {"LV_ED": 0}  # adding changes neither


@pytest.mark.parametrize(
    ("findings", "message"),
    [
        (Findings(measurements={"LVEF": a_measurement()}), r"measurements \[LVEF\] found twice"),
        (Findings(cycle={"LV_ED": 0, "LV_ES": 9}), r"cycle \[LV_ED, LV_ES\] found twice"),
        (Findings(curves={"RV": np.zeros(3)}), r"curves \[RV\] found twice; a stage adds findings and never replaces"),
        (Findings(labels={SAX: np.zeros((1, 1, 1, 1), np.uint8)}), r"labels \[.*View.SAX.*\] found twice"),
    ],
)
def test_a_finding_is_never_replaced(findings, message):
    with pytest.raises(ValueError, match=message):
        findings | findings


class StandsStill:
    def displacement(self, points, time):
        return 0 * points

    def gradient(self, points, time):
        return np.broadcast_to(np.eye(3), (len(points), 3, 3))


def test_one_motion_is_kept_and_two_are_refused():
    still = StandsStill()
    moving = Findings(motion=still)
    assert (moving | Findings()).motion is still
    assert (Findings() | moving).motion is still
    with pytest.raises(ValueError, match="motion found twice"):
        moving | Findings(motion=StandsStill())


def test_a_flag_raised_twice_is_told_once_in_the_order_raised():
    gap, height = (Flag(code, Severity.FLAG, code) for code in ("slice-gap", "no-indexing"))
    assert (Findings(flags=(gap,)) | Findings(flags=(height, gap))).flags == (gap, height)


def test_nothing_added_to_nothing_is_nothing():
    nothing = Findings() | Findings()
    assert not any((nothing.labels, nothing.measurements, nothing.cycle, nothing.curves, nothing.flags))


def test_label_codes_are_those_of_acdc_and_unseen_is_none_of_them():
    assert [Structure.BACKGROUND, Structure.RV, Structure.MYO, Structure.LV] == [0, 1, 2, 3]
    assert np.uint8(255) == Structure.UNSEEN


def test_every_view_has_a_name_a_clinician_reads():
    assert {view.title.split(",")[0] for view in View} == {"short axis", "long axis"}
    assert len({view.title for view in View}) == len(View)
