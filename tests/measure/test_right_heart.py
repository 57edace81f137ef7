"""A right ventricle tapers, and its blood ends where its label ends; what does not is flagged or withheld."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from cinecmr.anatomy import Structure
from cinecmr.measure.right_heart import LIMITS, right_flags, right_signs
from cinecmr.study import Severity

ACDC = Path(__file__).resolve().parents[3] / "shared" / "real" / "acdc"
WIDE = (12, 15, 16, 15, 13, 11, 8, 4, 0, 0)  # rows of the right ventricle in every slice, base first


def heart(rows=WIDE, size=40):
    """A left ventricle in every slice, and beside it a block as many rows high as told, four pixels a row."""
    labels = np.zeros((size, size, len(rows)), np.uint8)
    labels[26:36, 10:30] = Structure.MYO
    labels[28:34, 13:27] = Structure.LV
    for z, count in enumerate(rows):
        labels[8 : 8 + count, 14:24, z] = Structure.RV
    return labels


def picture(labels):
    """Blood four times as bright as muscle, the rest black."""
    return np.choose(labels, [0, 400, 100, 410]).astype(np.float32)


def flagged(labels, phase="ED", seen=None):
    return {flag.code: flag for flag in right_flags(labels, seen, phase)}


def test_a_right_ventricle_that_tapers_is_left_alone_from_either_end():
    labels = heart()
    assert flagged(labels, "ED", picture(labels)) == {}
    assert flagged(labels[..., ::-1], "ED", picture(labels)[..., ::-1]) == {}


def test_the_signs_are_shares_of_the_largest_slice():
    found = right_signs(heart((12, 16, 10, 16, 15, 9, 4, 0)))
    assert found.abrupt == pytest.approx(4 / 16)
    assert found.fall == pytest.approx(6 / 16)  # from 16 to 10, and from 15 to 9
    np.testing.assert_allclose(found.jump[1:6], np.array([5, 6, 3.5, 2.5, 0.5]) / 16)
    assert np.isnan(found.jump[[0, 6, 7]]).all()


def test_slices_from_apex_to_base_have_the_same_signs():
    labels = heart((12, 15, 16, 15, 13, 11, 0, 0))
    seen = picture(heart())[..., :8]
    one, other = right_signs(labels, seen), right_signs(labels[..., ::-1], seen[..., ::-1])
    assert (one.abrupt, one.fall) == (other.abrupt, other.fall)
    np.testing.assert_allclose(one.jump, other.jump[::-1])
    np.testing.assert_allclose(one.goes_on, other.goes_on[::-1])


def test_a_ventricle_cut_at_mid_height_is_flagged_and_withheld_where_hardly_anything_is_left():
    cut = heart((12, 15, 16, 15, 13, 6, 0, 0, 0, 0))
    flag = flagged(cut)["rv-torn"]
    assert flag.severity is Severity.FLAG
    assert "it ends in a slice of 38 % of its largest while the LV goes on" in flag.message
    gross = flagged(heart((12, 15, 16, 0, 0, 0, 0, 0, 0, 0)))["rv-torn"]
    assert gross.severity is Severity.REFUSE
    assert gross.message.endswith("its numbers are withheld")


def test_a_ventricle_as_long_as_the_left_one_may_end_wide():
    assert right_signs(heart((12, 15, 16, 15, 13))).abrupt == 0


def test_blood_that_goes_on_below_the_label_is_told_with_its_slice():
    cut = heart((12, 15, 16, 15, 13, 11, 3, 0, 0, 0))
    whole = picture(heart((12, 15, 16, 15, 13, 11, 9, 5, 0, 0)))
    found = right_signs(cut, whole)
    assert found.goes_on[6] == pytest.approx((6 * 10 - 4) / 160)  # rows 3 to 8 but for four corners, which are specks
    assert "in slice 6" in flagged(cut, "ED", whole)["rv-goes-on"].message
    assert np.nanmax(right_signs(cut, picture(cut)).goes_on) == 0


def test_slices_that_nobody_looked_at_are_stepped_over():
    labels = heart()
    labels[..., 4] = Structure.UNSEEN
    found = right_signs(labels, picture(heart()))
    assert np.isnan(found.goes_on[4])
    assert flagged(labels, "ED", picture(heart())) == {}


def test_without_a_right_ventricle_there_is_no_sign_of_it():
    labels = np.where(heart() == Structure.RV, 0, heart()).astype(np.uint8)
    found = right_signs(labels, picture(labels))
    assert (found.abrupt, found.fall) == (0.0, 0.0)
    assert flagged(labels, "ED", picture(labels)) == {}


@pytest.mark.skipif(not ACDC.is_dir(), reason="needs the real label maps of ../shared/real/acdc")
def test_readers_of_real_right_ventricles_keep_the_rules():
    broken = []
    for folder in sorted(ACDC.iterdir())[:60:3]:
        for phase in LIMITS:
            labels, seen = (
                np.asarray(nib.load(folder / f"{folder.name}_{phase}{what}.nii.gz").dataobj) for what in ("_gt", "")
            )
            broken += right_flags(labels.astype(np.uint8), seen.reshape(labels.shape), phase)
    assert len(broken) <= 2  # of 40 maps
    assert not [flag for flag in broken if flag.severity is Severity.REFUSE]
