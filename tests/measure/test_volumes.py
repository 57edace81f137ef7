"""Volumes and mass, against closed forms and slow sums."""

import numpy as np
import pytest

from cinecmr.anatomy import Structure
from cinecmr.measure.volumes import MYOCARDIUM_G_PER_ML, Chamber, chamber, measurements, volume_curve
from cinecmr.study import Facts


def ellipsoid(semi_mm: tuple[float, float, float], spacing: tuple[float, float, float]) -> np.ndarray:
    half = [int(np.ceil(a / s)) + 1 for a, s in zip(semi_mm, spacing, strict=True)]
    x, y, z = np.meshgrid(*(np.arange(-h, h + 1) * s for h, s in zip(half, spacing, strict=True)), indexing="ij")
    inside = (x / semi_mm[0]) ** 2 + (y / semi_mm[1]) ** 2 + (z / semi_mm[2]) ** 2 <= 1
    return (inside * Structure.LV).astype(np.uint8)[..., None]


def test_an_ellipsoid_has_the_volume_of_its_formula():
    labels = ellipsoid((25, 28, 45), (1.0, 1.0, 5.0))
    found = volume_curve(labels, Structure.LV, np.diag([1.0, 1.0, 5.0, 1.0]))
    assert found[0] == pytest.approx(4 / 3 * np.pi * 25 * 28 * 45 / 1000, rel=0.01)


def test_volume_does_not_depend_on_the_patients_orientation():
    labels = ellipsoid((10, 12, 20), (1.5, 1.5, 8.0))
    upright = np.diag([1.5, 1.5, 8.0, 1.0])
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0]
    oblique = np.eye(4)
    oblique[:3, :3] = turn @ upright[:3, :3] @ np.diag([-1, 1, -1])
    oblique[:3, 3] = (30, -80, 400)
    np.testing.assert_allclose(
        volume_curve(labels, Structure.LV, oblique), volume_curve(labels, Structure.LV, upright), rtol=1e-9
    )


def test_slice_gaps_count_because_a_slice_is_as_thick_as_the_distance_to_the_next(tiny_heart):
    wide = np.diag([2.0, 2.0, 17.7, 1.0])
    ratio = volume_curve(tiny_heart.labels, Structure.LV, wide) / volume_curve(
        tiny_heart.labels, Structure.LV, tiny_heart.image.affine
    )
    np.testing.assert_allclose(ratio, 1.77)


def test_every_frame_is_the_slow_sum_over_voxels(tiny_heart):
    for structure in (Structure.RV, Structure.MYO, Structure.LV):
        slow = [
            sum(int(v == structure) for v in frame.ravel()) * 0.04 for frame in np.moveaxis(tiny_heart.labels, 3, 0)
        ]
        np.testing.assert_allclose(volume_curve(tiny_heart.labels, structure, tiny_heart.image.affine), slow)


def test_a_slice_nobody_looked_at_counts_as_the_mean_of_its_neighbours(tiny_heart):
    labels = tiny_heart.labels.copy()
    labels[:, :, 3] = Structure.UNSEEN
    area = (tiny_heart.labels == Structure.LV).sum(axis=(0, 1))
    expected = (area.sum(axis=0) - area[3] + (area[2] + area[4]) / 2) * 0.04
    np.testing.assert_allclose(volume_curve(labels, Structure.LV, tiny_heart.image.affine), expected)


def test_slices_missing_beyond_the_stack_add_nothing(tiny_heart):
    labels = tiny_heart.labels.copy()
    labels[:, :, [0, 7]] = Structure.UNSEEN
    np.testing.assert_allclose(
        volume_curve(labels, Structure.LV, tiny_heart.image.affine),
        volume_curve(tiny_heart.labels, Structure.LV, tiny_heart.image.affine),
    )


def test_a_frame_nobody_looked_at_has_no_volume(tiny_heart):
    labels = tiny_heart.labels.copy()
    labels[..., 7] = Structure.UNSEEN
    curve = volume_curve(labels, Structure.LV, tiny_heart.image.affine)
    assert np.flatnonzero(np.isnan(curve)).tolist() == [7]


def test_labels_of_one_frame_must_say_so(tiny_heart):
    with pytest.raises(ValueError, match="give one frame as labels"):
        volume_curve(tiny_heart.labels[..., 0], Structure.LV, np.eye(4))


def test_mass_is_muscle_volume_times_its_density(tiny_heart):
    labels, affine = tiny_heart.labels[..., :6], tiny_heart.image.affine  # too few frames to find the mitral plane
    curve = volume_curve(labels, Structure.LV, affine)
    one = chamber("LV", labels, affine, curve, {"LV_ED": 0, "LV_ES": 4})
    assert one.mass_ed == pytest.approx((labels[..., 0] == Structure.MYO).sum() * 0.04 * 1.05)
    assert MYOCARDIUM_G_PER_ML == 1.05
    assert chamber("RV", labels, affine, curve, {"RV_ED": 0, "RV_ES": 5}).mass_ed is None


def test_every_number_follows_from_two_volumes_and_the_body():
    chambers = {
        "LV": Chamber("LV", 120.0, 0, 48.0, 9, 90.0, 92.0),
        "RV": Chamber("RV", 140.0, 1, 70.0, 10),
    }
    rows = measurements(chambers, Facts(1.80, 80.0), 1000.0, "labels of x")
    expected = {
        "LVEDV": 120, "LVESV": 48, "LVSV": 72, "LVEF": 60, "LVM": 90, "RVEDV": 140, "RVESV": 70, "RVSV": 70, "RVEF": 50,
        "SVdiff": 2, "HR": 60, "CO": 4.32, "BSA": 2, "LVEDVi": 60, "LVESVi": 24, "LVSVi": 36, "LVMi": 45, "RVEDVi": 70,
        "RVESVi": 35, "RVSVi": 35, "CI": 2.16,
    }  # fmt: skip
    assert {name: row.value for name, row in rows.items()} == pytest.approx(expected)
    units = {"LVEDV": "ml", "LVEF": "%", "LVM": "g", "HR": "bpm", "CO": "l/min", "CI": "l/min/m2", "LVMi": "g/m2"}
    assert {name: rows[name].unit for name in units} == units
    assert (rows["LVESV"].frame, rows["RVEDV"].frame) == (9, 1)


def test_every_volume_names_its_papillary_and_basal_convention_and_its_source():
    rows = measurements({"LV": Chamber("LV", 120.0, 0, 48.0, 9, 90.0)}, Facts(), None, "labels of x@1")
    assert set(rows) == {"LVEDV", "LVESV", "LVSV", "LVEF", "LVM"}
    for row in rows.values():
        assert "papillary muscles and trabeculae in the blood pool" in row.method
        assert "basal slice" in row.method
        assert row.source == "labels of x@1"


def test_without_end_systole_only_static_numbers_remain():
    rows = measurements({"LV": Chamber("LV", 120.0, 0, mass_ed=90.0)}, Facts(), 1000.0, "x")
    assert set(rows) == {"LVEDV", "LVM", "HR"}
    assert "not proven to be end-diastole" in rows["LVEDV"].method
