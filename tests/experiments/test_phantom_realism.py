"""Synthetic pictures beside pictures that are not: equal cohorts cannot be told apart, noisier ones can."""

import json

import numpy as np
import pytest

from cinecmr.anatomy import Disease
from cinecmr.errors import RefusedInput
from cinecmr.experiments import phantom_realism
from cinecmr.experiments.phantom_realism import compare, gives_away, healthy_in_range, run, synthetic_pictures
from cinecmr.io import nifti


@pytest.fixture(scope="module")
def pictures():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(phantom_realism, "SPACING_MM", 25.0)
        patch.setattr(phantom_realism, "RANGE_HEARTS", 4)
        yield synthetic_pictures(5, Disease.NORMAL) + synthetic_pictures(6, Disease.DCM)


def test_a_figure_tells_apart_what_never_overlaps_and_nothing_that_is_equal():
    values = np.array([1.0, 2.0, 2.0, 5.0])
    assert gives_away(values, values) == 0.5
    assert gives_away(values + 10, values) == 1.0
    # Written again, slowly: pairs in which the synthetic one is larger, ties half.
    a, b = np.array([1.0, 3.0, 4.0]), np.array([2.0, 3.0])
    share = np.mean([1.0 if y > x else 0.5 if y == x else 0.0 for x in a for y in b])
    assert gives_away(a, b) == pytest.approx(max(share, 1 - share))


def test_noise_gives_a_picture_away(pictures):
    rng = np.random.default_rng(0)
    noisy = [(phase, group, p + rng.normal(0, 0.4 * p.std(), p.shape), c) for phase, group, p, c in pictures]
    equal = {(f.phase, f.name): f.gives_away for f in compare(pictures, pictures)}
    assert set(equal.values()) == {0.5}
    found = {(f.phase, f.name): f for f in compare(pictures, noisy)}
    assert found["ED", "noise"].gives_away == 1.0
    assert found["ED", "noise"].synthetic[1] > found["ED", "noise"].real[1]


def test_end_systole_is_the_smaller_picture_of_the_same_heart(pictures):
    (_, _, _, start), (_, _, _, end) = pictures[:2]
    assert (end == 3).sum() < 0.7 * (start == 3).sum()


def test_the_page_the_figures_and_the_sheet_are_written(pictures, tmp_path):
    for subject, group, rows in (("a", "NOR", pictures[:2]), ("b", "DCM", pictures[2:])):
        for phase, _, picture, labels in rows:
            stem = tmp_path / "real" / subject / f"{subject}_{phase}"
            affine = np.diag([1.5, 1.5, 25.0, 1.0])
            nifti.write_image(stem.with_name(f"{stem.name}.nii.gz"), picture[..., None], affine, [0.0])
            nifti.write_labels(stem.with_name(f"{stem.name}_gt.nii.gz"), labels[..., None], affine, [0.0])
        (tmp_path / "real" / subject / "Info.cfg").write_text(f"Group: {group}\n")
    lines = list(run(tmp_path / "real", tmp_path / "out", 2, 5))
    told = json.loads((tmp_path / "out" / "realism.json").read_text())
    assert told["about"]["real_hearts"] == "2"
    assert {figure["name"] for figure in told["figures"]} >= {"myo", "noise", "edge_width", "edge_shift"}
    assert (tmp_path / "out" / "contact_sheet.png").read_bytes()[:4] == b"\x89PNG"
    assert "\n".join(lines) + "\n" == (tmp_path / "out" / "realism.md").read_text()


def test_labels_without_their_image_are_refused(pictures, tmp_path):
    labels = pictures[0][3]
    nifti.write_labels(tmp_path / "a" / "a_ED_gt.nii.gz", labels[..., None], np.eye(4), [0.0])
    (tmp_path / "a" / "Info.cfg").write_text("Group: NOR\n")
    with pytest.raises(RefusedInput, match="has no image a_ED"):
        list(run(tmp_path, tmp_path / "out", 1, 5))


def test_healthy_people_are_held_against_ranges_that_exist(monkeypatch):
    monkeypatch.setattr(phantom_realism, "RANGE_HEARTS", 6)
    for share, n in healthy_in_range(3).values():
        assert 0 <= share <= 1
        assert n >= 1
