"""Overlap and distances, against closed forms and a slow formula."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from cinecmr.anatomy import Structure
from cinecmr.evaluate.overlap import Absent, asd, dice, hd95, overlap

LV = Structure.LV


def ball(radius: float, shift: int = 0, size: int = 24) -> np.ndarray:
    x, y, z = np.meshgrid(*[np.arange(size) - size / 2] * 3, indexing="ij")
    return np.where((x - shift) ** 2 + y**2 + z**2 <= radius**2, LV, 0).astype(np.uint8)


def slow_distances(found, truth, spacing):
    """Every surface voxel against every other, written without erosion or distance maps."""

    def surface(region):
        padded = np.pad(region, 1)
        points = []
        for index in np.argwhere(region):
            i = index + 1
            steps = [np.eye(3, dtype=int)[axis] * sign for axis in range(3) for sign in (-1, 1)]
            if not all(padded[tuple(i + step)] for step in steps):
                points.append(index * spacing)
        return np.array(points)

    a, b = surface(found == LV), surface(truth == LV)
    distance = np.linalg.norm(a[:, None] - b[None], axis=2)
    return distance.min(axis=1), distance.min(axis=0)


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (1.2, 1.4, 8.0)])
def test_surface_distances_are_those_of_the_slow_formula(spacing):
    rng = np.random.default_rng(3)
    found, truth = (np.where(rng.random((9, 8, 5)) < 0.4, LV, 0).astype(np.uint8) for _ in range(2))
    there, back = slow_distances(found, truth, np.array(spacing))
    assert hd95(found, truth, LV, spacing) == pytest.approx(max(np.percentile(there, 95), np.percentile(back, 95)))
    assert asd(found, truth, LV, spacing) == pytest.approx(np.concatenate([there, back]).mean())


def test_a_heart_compared_with_itself_is_perfect():
    heart = ball(8)
    assert (dice(heart, heart, LV), hd95(heart, heart, LV, (1, 1, 1)), asd(heart, heart, LV, (1, 1, 1))) == (1, 0, 0)


def test_dice_of_two_shifted_boxes_is_the_share_they_have_in_common():
    found, truth = np.zeros((2, 20, 4, 4), np.uint8)
    found[2:12], truth[5:15] = LV, LV
    assert dice(found, truth, LV) == pytest.approx(0.7)
    assert hd95(found, truth, LV, (2.0, 1.0, 1.0)) == pytest.approx(6.0)


def test_a_larger_ball_lies_one_millimetre_out():
    assert asd(ball(9), ball(8), LV, (1, 1, 1)) == pytest.approx(1.0, abs=0.25)


def test_a_structure_absent_from_both_is_perfect_and_from_one_is_missed():
    empty, heart = ball(-1.0) * 0, ball(6)
    assert (dice(empty, empty, LV), hd95(empty, empty, LV, (1, 1, 1)), asd(empty, empty, LV, (1, 1, 1))) == (1, 0, 0)
    for found, truth in ((empty, heart), (heart, empty)):
        assert dice(found, truth, LV) == 0
        assert hd95(found, truth, LV, (1, 1, 1)) == float("inf")
        assert asd(found, truth, LV, (1, 1, 1)) == float("inf")


def test_what_nobody_looked_at_is_not_scored():
    truth, found = ball(7), ball(7)
    truth[:, :, 14:] = Structure.UNSEEN
    found[:, :, 14:] = LV
    assert dice(found, truth, LV) == 1.0
    assert dice(found, ball(7), LV) < 0.9


def test_other_structures_do_not_count():
    truth = ball(7)
    assert dice(np.where(truth == 0, Structure.MYO, truth), truth, LV) == 1.0


def test_labels_of_different_shape_cannot_be_compared():
    with pytest.raises(ValueError, match="differ in shape"):
        dice(ball(3), ball(3)[:-1], LV)


FIXTURES = Path(__file__).resolve().parents[1] / "fixtures" / "cinema"
SCORES = json.loads((FIXTURES / "scores.json").read_text("utf-8"))


def drawn(name):
    """Found and true classes of a fixture: class numbers of CineMA are this package's codes here."""
    arrays = load_file(FIXTURES / "labels.safetensors")
    return arrays[f"{name}/found"], arrays[f"{name}/label"]


def compare(told, number, one):
    """Scores of the published code in float32; None where it tells NaN."""
    pairs = {
        "dice_score": one.dice,
        "iou_score": one.iou,
        "hausdorff_distance_95": one.hd95,
        "true_volume": one.true_ml,
        "pred_volume": one.found_ml,
    }
    for name, value in pairs.items():
        wanted = told[f"class_{number}_{name}"]
        assert value == pytest.approx(math.nan if wanted is None else wanted, rel=2e-6, nan_ok=True), name


def test_scores_of_cine_labels_are_those_of_the_published_code_present_or_absent():
    found, truth = drawn("seg")
    cases = {
        "seg_metrics_spacing_1_1_10": (found, truth),
        "seg_metrics_class1_absent_in_truth": (found, np.where(truth == 1, 0, truth)),
    }
    for name, (ours, theirs) in cases.items():
        for structure in (Structure.RV, Structure.MYO, Structure.LV):
            one = overlap(ours, theirs, structure, (1.0, 1.0, 10.0), Absent.PUBLISHED)
            compare(SCORES[name], int(structure), one)
    missed = overlap(np.where(found == 3, 0, found), truth, LV, (1.0, 1.0, 10.0), Absent.PUBLISHED)
    compare(SCORES["seg_metrics_class3_absent_in_pred"], 3, missed)


def test_scores_of_scar_labels_merge_structures_as_the_published_code_does():
    found, truth = drawn("emidec")
    for number, merged in enumerate(({1}, {2, 3, 4}, {3, 4}, {4}), 1):
        codes = [Structure(code) for code in merged]
        one = overlap(found, truth, codes, (1.458, 1.458, 10.0), Absent.PUBLISHED_SCAR)
        compare(SCORES["emidec_metrics"], number, one)


def test_all_scores_from_one_pass_are_the_single_ones():
    rng = np.random.default_rng(5)
    found, truth = rng.choice([0, 1, 2, 3], (2, 9, 8, 4)).astype(np.uint8)
    for structure in (LV, (Structure.MYO, LV)):
        one = overlap(found, truth, structure, (1.5, 1.5, 8.0))
        assert one.dice == dice(found, truth, structure)
        assert one.iou == pytest.approx(one.dice / (2 - one.dice))
        assert (one.hd95, one.asd) == tuple(score(found, truth, structure, (1.5, 1.5, 8.0)) for score in (hd95, asd))
        codes = [structure] if structure is LV else list(structure)
        assert one.true_ml == pytest.approx(sum((truth == code).sum() for code in codes) * 0.018)


@pytest.mark.parametrize(
    ("absent", "truth_empty", "found_empty", "both_empty"),
    [
        (Absent.SOUND, (0.0, math.inf), (0.0, math.inf), (1.0, 0.0)),
        (Absent.PUBLISHED, (math.nan, math.nan), (0.0, math.nan), (math.nan, math.nan)),
        (Absent.PUBLISHED_SCAR, (0.0, math.nan), (0.0, math.nan), (1.0, math.nan)),
    ],
)
def test_what_an_absent_structure_scores_is_stated(absent, truth_empty, found_empty, both_empty):
    empty, heart = ball(-1.0) * 0, ball(6)
    for found, truth, wanted in ((heart, empty, truth_empty), (empty, heart, found_empty), (empty, empty, both_empty)):
        one = overlap(found, truth, LV, (1, 1, 1), absent)
        assert (one.dice, one.hd95, one.asd) == pytest.approx((wanted[0], wanted[1], wanted[1]), nan_ok=True)
        assert dice(found, truth, LV, absent) == pytest.approx(wanted[0], nan_ok=True)
        for score in (hd95, asd):
            assert score(found, truth, LV, (1, 1, 1), absent) == pytest.approx(wanted[1], nan_ok=True)


def test_distances_do_not_depend_on_how_much_empty_room_is_around():
    small = ball(5, size=14), ball(6, size=14)
    large = [np.pad(one, ((3, 9), (0, 5), (7, 2))) for one in small]
    assert hd95(*small, LV, (1, 2, 3)) == hd95(*large, LV, (1, 2, 3))
    assert asd(*small, LV, (1, 2, 3)) == asd(*large, LV, (1, 2, 3))
