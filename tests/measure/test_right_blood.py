"""Blood that goes on beside the right ventricle's label is found; fat, vessels and whole labels are let alone."""

import numpy as np
import pytest

from cinecmr.anatomy import Structure
from cinecmr.measure import right_blood
from cinecmr.measure.right_blood import blood_beside
from cinecmr.measure.right_heart import right_flags, right_signs
from cinecmr.study import Severity
from cinecmr.tasks.blood import with_blood_beside

SIZE, SLICES = 96, 8
X, Y = np.meshgrid(np.arange(SIZE), np.arange(SIZE), indexing="ij")
MUSCLE, BLOOD, FAT, LUNG = 100.0, 400.0, 900.0, 10.0


def heart():
    """A round left ventricle of 40 pixels across, smaller towards the apex, a right one as wide beside it."""
    labels = np.zeros((SIZE, SIZE, SLICES), np.uint8)
    for z in range(SLICES):
        size = 1 - 0.06 * z
        labels[np.hypot(X - 36, (Y - 48) / 1.2) < 24 * size, z] = Structure.RV
        labels[np.hypot(X - 64, Y - 48) < 20 * size, z] = Structure.MYO
        labels[np.hypot(X - 64, Y - 48) < 13 * size, z] = Structure.LV
    return labels


def picture(labels):
    return np.array([LUNG, BLOOD, MUSCLE, 1.05 * BLOOD], np.float32)[labels]


def cut(labels, at=56):
    """The reading of one who stops at a shadow: nothing below a straight line."""
    read = labels.copy()
    read[(read == Structure.RV) & (at <= Y)[..., None]] = Structure.BACKGROUND
    return read


def test_a_whole_label_has_nothing_beside_it():
    labels = heart()
    assert not blood_beside(labels, picture(labels)).any()
    assert np.array_equal(with_blood_beside(labels, picture(labels)), labels)


@pytest.mark.parametrize("factor", [0.01, 1.0, 37.0])
@pytest.mark.parametrize("turned", [False, True])
def test_what_was_cut_off_is_found_in_every_slice_but_the_most_basal(factor, turned):
    labels, way = heart(), slice(None, None, -1 if turned else 1)
    seen = factor * picture(labels)
    found = with_blood_beside(cut(labels)[..., way], seen[..., way])[..., way]
    assert np.array_equal(found[..., 0], cut(labels)[..., 0])
    missed = (found != labels)[..., 1:].sum()
    assert missed < 0.02 * (cut(labels) != labels)[..., 1:].sum()  # what the opening rounds off
    assert not ((found == Structure.RV) & (labels != Structure.RV)).any()


def test_a_pixel_of_any_size_finds_the_same():
    labels = heart()
    fine, coarse = (np.repeat(np.repeat(of, 2, 0), 2, 1) for of in (labels, cut(labels))), cut(labels)
    whole, read = fine
    once = blood_beside(coarse, picture(labels)).sum()
    assert blood_beside(read, picture(whole)).sum() == pytest.approx(4 * once, rel=0.03)


def test_a_wall_ends_the_ventricle_and_fat_is_no_blood():
    labels = heart()
    seen = picture(labels)
    seen[(Y >= 56)[..., None] & (labels == Structure.RV)] = FAT
    assert not blood_beside(cut(labels), seen).any()
    seen = picture(labels)
    seen[((Y >= 56) & (Y < 59))[..., None] & (labels == Structure.RV)] = MUSCLE
    assert not blood_beside(cut(labels), seen).any()


def test_a_vessel_that_touches_and_a_link_as_thin_as_a_half_seen_wall_are_left_out():
    labels = heart()
    seen = picture(labels)
    vessel = (np.hypot(X - 36, Y - 84) < 8)[..., None] & (labels == 0)  # round, below the ventricle: hardly touches it
    seen[vessel] = BLOOD
    seen[34:36, 60:90][labels[34:36, 60:90] == 0] = BLOOD
    assert not blood_beside(labels, seen).any()


def test_a_scrap_of_a_label_does_not_take_what_is_far_larger_than_itself(monkeypatch):
    labels = heart()
    scrap = cut(labels, 33)
    area = (scrap == Structure.RV).sum((0, 1))[1:7]
    found = blood_beside(scrap, picture(labels)).any((0, 1))[1:7]
    monkeypatch.setattr(right_blood, "MOST", np.inf)
    open_blood = blood_beside(scrap, picture(labels)).sum((0, 1))[1:7]
    assert found.tolist() == (open_blood <= 2.5 * area).tolist()
    assert 0 < found.sum() < open_blood.astype(bool).sum()


def test_nothing_is_decided_without_contrast_without_muscle_and_without_a_ventricle():
    labels = heart()
    flat = np.full(labels.shape, 3.0, np.float32)
    assert not blood_beside(cut(labels), flat).any()
    assert not blood_beside(cut(labels), np.zeros_like(flat)).any()
    for gone in (Structure.RV, Structure.MYO):
        less = np.where(labels == gone, 0, labels).astype(np.uint8)
        assert not blood_beside(less, picture(labels)).any()
    assert not blood_beside(np.zeros_like(labels), flat).any()
    unseen = np.full_like(labels, Structure.UNSEEN)
    assert not blood_beside(unseen, flat).any()


def test_half_a_ventricle_is_flagged_or_withheld_and_its_share_told():
    labels = heart()
    seen, read = picture(labels), cut(labels, 60)
    share = right_signs(read, seen).beside
    area = (read == Structure.RV).sum((0, 1)).max()
    missed = ((labels == Structure.RV) & (read != Structure.RV)).sum((0, 1))[1:]
    assert share == pytest.approx(np.median(missed) / area, rel=0.05)
    flags = {flag.code: flag for flag in right_flags(read, seen, "ED")}
    assert "lies open beside its label" in flags["rv-goes-on"].message
    assert flags["rv-goes-on"].severity is (Severity.REFUSE if share > 0.15 else Severity.FLAG)
    assert {flag.code: flag for flag in right_flags(cut(labels, 50), seen, "ED")}[
        "rv-goes-on"
    ].severity is Severity.REFUSE
    assert right_signs(read).beside == 0.0
