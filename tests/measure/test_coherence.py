"""Rules of shape: a heart keeps them, and each way of breaking one is told with its slice and figure."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from cinecmr.anatomy import Structure
from cinecmr.measure.coherence import (
    brighter,
    coherence_flags,
    dark_flags,
    length_flags,
    proportion_flags,
    proportions,
    signs,
)
from cinecmr.study import Severity

AFFINE = np.diag([1.5, 1.5, 10.0, 1.0])
ACDC = Path(__file__).resolve().parents[3] / "shared" / "real" / "acdc"


def heart(radii=(8, 12, 14, 14, 13, 11, 8, 4), size=72):
    """Discs of these radii, pixels, in a wall of six."""
    x, y = np.meshgrid(np.arange(size), np.arange(size), indexing="ij")
    labels = np.zeros((size, size, len(radii)), np.uint8)
    for z, radius in enumerate(radii):
        far = np.hypot(x - size / 2, y - size / 2)
        labels[..., z][far < radius + 6] = Structure.MYO
        labels[..., z][far < radius] = Structure.LV
    return labels


def codes(labels, phase="ED"):
    return [flag.code for flag in coherence_flags(labels, AFFINE, phase)]


def test_a_heart_keeps_every_rule():
    found = signs(heart(), AFFINE)
    assert coherence_flags(heart(), AFFINE, "ED") == []
    assert np.nanmax(found.open_share) == 0
    assert np.nanmax(found.second_piece) == 0


def test_the_jump_is_the_departure_from_the_mean_of_the_neighbours_as_a_share_of_the_largest():
    labels = heart()
    labels[:, :, 3] = 0
    area = (labels == Structure.LV).sum(axis=(0, 1))
    expected = (area[2] + area[4]) / 2 / area.max()
    assert signs(labels, AFFINE).jump[3] == pytest.approx(expected)
    (flag,) = coherence_flags(labels, AFFINE, "ED")
    assert flag.code == "area-jump"
    assert flag.message.startswith(f"slice 3 at ED: the LV's area lies {100 * expected:.0f} % of the largest off")


def test_a_contracted_heart_may_taper_in_larger_steps():
    labels = heart((8, 12, 14, 14, 13.5, 9, 8, 4))
    worst = np.nanmax(signs(labels, AFFINE).jump)
    assert 0.22 < worst < 0.3
    assert codes(labels, "ED") == ["area-jump"]
    assert codes(labels, "ES") == []


def test_half_a_wall_is_half_the_border_in_the_open():
    labels = heart()
    plane = labels[:, :, 4]
    plane[36:][plane[36:] == Structure.MYO] = 0
    assert signs(labels, AFFINE).open_share[4] == pytest.approx(0.5, abs=0.02)
    assert codes(labels) == ["open-wall"]


def test_a_lost_slice_withholds_the_ventricle_and_half_a_wall_does_not():
    torn, lost = heart(), heart()
    torn[36:, :, 4][torn[36:, :, 4] == Structure.MYO] = 0
    lost[:, :, 4] = 0
    (gap,) = coherence_flags(lost, AFFINE, "ED")
    assert (gap.code, gap.severity) == ("area-jump", Severity.REFUSE)
    assert gap.message.endswith("its numbers are withheld")
    (hole,) = coherence_flags(torn, AFFINE, "ED")
    assert (hole.code, hole.severity) == ("open-wall", Severity.FLAG)
    assert hole.message.endswith("look at its contours")


def test_a_ventricle_is_about_as_long_as_wide_and_a_wrong_voxel_size_shows():
    assert proportions(heart(), AFFINE) == pytest.approx((80.0, 2 * 20 * 1.5), rel=0.01)
    assert proportion_flags(heart(), AFFINE) == []
    for scale in ((0.65, 0.65, 1.0), (1.0, 1.0, 0.55), (2.0, 2.0, 1.0)):
        (flag,) = proportion_flags(heart(), AFFINE @ np.diag([*scale, 1.0]))
        assert flag.code == "odd-proportions"
    assert proportion_flags(np.zeros_like(heart()), AFFINE) == []
    (flag,) = proportion_flags(heart(), AFFINE @ np.diag([1.33, 1.0, 1.0, 1.0]))
    assert "2.00 by 1.50 mm" in flag.message


def test_a_cavity_that_is_not_brighter_than_the_muscle_is_no_cavity():
    labels = heart((8, 10, 6), size=40)
    rng = np.random.default_rng(1)
    seen = np.choose(labels, [20, 300, 100, 150]) + 40.0 * rng.standard_normal(labels.shape)
    blood, muscle = seen[labels == Structure.LV], seen[labels == Structure.MYO]
    assert brighter(labels, seen) == pytest.approx((blood[:, None] > muscle).mean())
    (flag,) = dark_flags(labels, seen, "ES")
    assert (flag.code, flag.severity) == ("dark-cavity", Severity.FLAG)
    assert dark_flags(labels, np.choose(labels, [20, 300, 100, 150]).astype(float), "ED") == []
    (gross,) = dark_flags(labels, 300 - seen, "ES")
    assert gross.severity is Severity.REFUSE
    assert brighter(labels, 0 * seen) == 0.5
    assert dark_flags(np.zeros_like(labels), seen, "ED") == []


def test_a_ventricle_that_ends_wide_where_the_stack_goes_on_was_cut():
    labels = heart((12, 13, 14, 14, 13, 11, 8, 4))
    assert signs(labels, AFFINE).cut[[0, 7]] == pytest.approx([np.nan, np.nan], nan_ok=True)  # it fills the stack
    labels[..., 5:] = 0
    area = (labels > 0).sum(axis=(0, 1))
    found = signs(labels, AFFINE).cut
    assert found[4] == pytest.approx(area[0] / area.max())
    assert np.isnan(np.delete(found, 4)).all()
    assert codes(labels) == ["lv-cut"]
    assert codes(labels[..., ::-1]) == ["lv-cut"]
    assert codes(labels[..., :5]) == []  # the stack itself ends there: another check speaks of that


def test_the_outflow_tract_and_the_apex_may_be_open():
    labels = heart()
    for z in (0, 7):
        labels[..., z][labels[..., z] == Structure.MYO] = 0
    assert codes(labels) == []


def test_a_second_piece_of_the_cavity_is_told_with_its_size():
    labels = heart()
    labels[5:12, 5:12, 4] = Structure.LV
    labels[3:14, 3:14, 4][labels[3:14, 3:14, 4] == 0] = Structure.MYO
    share = 49 / (heart()[..., 4] == Structure.LV).sum()
    assert signs(labels, AFFINE).second_piece[4] == pytest.approx(share)
    assert codes(labels) == ["several-pieces"]


def test_slices_that_nobody_looked_at_break_no_rule():
    labels = heart()
    labels[:, :, 3] = Structure.UNSEEN
    assert codes(labels) == []
    assert coherence_flags(np.full_like(labels, Structure.UNSEEN), AFFINE, "ED") == []
    assert coherence_flags(np.zeros_like(labels), AFFINE, "ED") == []


@pytest.mark.parametrize(("mm", "flagged"), [(80.0, False), (109.0, False), (111.0, True), (51.0, False), (49.0, True)])
def test_short_and_long_axis_may_differ_by_a_slice_and_twenty_millimetres(mm, flagged):
    found = length_flags(heart(), AFFINE, mm)  # 8 slices of 10 mm
    assert [flag.code for flag in found] == ["lengths-differ"] * flagged
    assert length_flags(heart(), AFFINE, float("nan")) == []


def wounded(labels, kind):
    """Expert labels with one gross fault in their middle."""
    labels = labels.copy()
    held = np.flatnonzero((labels == Structure.LV).any(axis=(0, 1)))
    plane = labels[:, :, held[len(held) // 2]]
    if kind == "lost":
        plane[:] = 0
    elif kind == "swapped":
        plane[:] = np.choose(plane, [0, 3, 2, 1])
    elif kind == "no wall":
        plane[: int(np.argwhere(plane == Structure.LV)[:, 0].mean())][
            plane[: int(np.argwhere(plane == Structure.LV)[:, 0].mean())] == Structure.MYO
        ] = 0
    else:
        plane[ndimage.binary_dilation(plane == Structure.LV, iterations=6)] = Structure.LV
    return labels


@pytest.mark.skipif(not ACDC.is_dir(), reason="needs the real label maps of ../shared/real/acdc")
def test_readers_of_real_hearts_keep_the_rules_and_gross_faults_in_their_labels_are_caught():
    kept, caught, tried = [], 0, 0
    for folder in sorted(ACDC.iterdir())[:10]:
        file = nib.load(folder / f"{folder.name}_ED_gt.nii.gz")
        labels = np.asarray(file.dataobj).astype(np.uint8)
        affine = np.diag([*map(float, file.header.get_zooms()[:3]), 1.0])
        kept.append(not coherence_flags(labels, affine, "ED"))
        for kind in ("lost", "swapped", "no wall", "wide"):
            tried += 1
            caught += bool(coherence_flags(wounded(labels, kind), affine, "ED"))
    assert sum(kept) >= 9
    assert caught >= 0.95 * tried
