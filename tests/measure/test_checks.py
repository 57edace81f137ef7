"""When a volume is withheld, and in which words."""

import numpy as np
import pytest

from cinecmr.anatomy import Structure
from cinecmr.errors import RefusedInput
from cinecmr.measure import checks
from cinecmr.measure.volumes import Chamber
from cinecmr.study import Facts, Severity


def severities(flags) -> dict[str, Severity]:
    return {flag.code: flag.severity for flag in flags}


def sliced(heart, keep) -> np.ndarray:
    return heart.labels[:, :, list(keep)]


def test_a_whole_heart_raises_no_flag(tiny_heart):
    assert checks.slice_flags("LV", tiny_heart.labels, 0, 10.0, 8.0) == []
    assert checks.slice_flags("RV", tiny_heart.labels, 0, 10.0, 8.0) == []


def test_three_slices_of_ventricle_give_no_volume(tiny_heart):
    few = sliced(tiny_heart, [0, 1, 3, 6, 7])
    flags = checks.slice_flags("LV", few, 0, 20.0, 8.0)
    assert severities(flags) == {"too-few-slices": Severity.REFUSE}
    assert "only 3 slices hold the LV" in flags[0].message


def test_four_slices_are_enough_only_where_the_gap_is_known(tiny_heart):
    few = sliced(tiny_heart, [0, 1, 3, 4, 6, 7])
    assert checks.slice_flags("LV", few, 0, 15.0, 8.0) == []
    assert severities(checks.slice_flags("LV", few, 0, 15.0, None)) == {"too-few-slices": Severity.REFUSE}


def test_a_single_missing_slice_is_bridged_and_flagged(tiny_heart):
    labels = tiny_heart.labels.copy()
    labels[:, :, 4] = Structure.UNSEEN
    flags = checks.slice_flags("LV", labels, 0, 10.0, 8.0)
    assert severities(flags) == {"missing-slice": Severity.FLAG}
    assert "slice 4 of the LV" in flags[0].message


def test_two_missing_neighbours_withhold_the_volume(tiny_heart):
    labels = tiny_heart.labels.copy()
    labels[:, :, 3:5] = Structure.UNSEEN
    assert severities(checks.slice_flags("LV", labels, 0, 10.0, 8.0)) == {"missing-neighbours": Severity.REFUSE}


def test_a_stack_that_ends_in_the_middle_of_the_ventricle_says_how_much_may_be_missing(tiny_heart):
    flags = checks.slice_flags("LV", sliced(tiny_heart, range(6)), 0, 10.0, 8.0)
    assert severities(flags) == {"stack-does-not-cover-heart": Severity.FLAG}
    area = (tiny_heart.labels[:, :, :6, 0] == Structure.LV).sum(axis=(0, 1))
    assert f"add {100 * area[5] / area.sum():.0f} %" in flags[0].message


def test_a_mid_ventricular_stack_gives_no_volume(tiny_heart):
    flags = checks.slice_flags("LV", sliced(tiny_heart, [2, 3, 3, 4, 4, 5]), 0, 10.0, 8.0)
    assert severities(flags) == {"stack-does-not-cover-heart": Severity.REFUSE}


@pytest.mark.parametrize(
    ("one", "said"),
    [
        (Chamber("LV", 100.0, 0, 97.0, 9), "LVEF of 3 %"),
        (Chamber("RV", 100.0, 0, 5.0, 9), "RVEF of 95 %"),
        (Chamber("LV", 1.0, 0), "LVEDV of 1.0 ml"),
        (Chamber("LV", 1500.0, 0, 700.0, 9), "LVEDV of 1500.0 ml"),
    ],
)
def test_values_no_living_heart_has_are_refused(one, said):
    (flag,) = checks.chamber_flags(one)
    assert (flag.code, flag.severity) == ("implausible", Severity.REFUSE)
    assert said in flag.message


def test_a_failing_heart_is_not_implausible():
    assert checks.chamber_flags(Chamber("LV", 400.0, 0, 368.0, 9)) == []


def test_mass_that_changes_over_the_beat_is_noted_and_mass_that_is_absent_is_refused():
    assert severities(checks.mass_flags(Chamber("LV", 100.0, 0, 40.0, 9, 80.0, 100.0))) == {
        "mass-differs": Severity.NOTE
    }
    assert severities(checks.mass_flags(Chamber("LV", 100.0, 0, 40.0, 9, 0.0, 50.0))) == {
        "implausible": Severity.REFUSE
    }
    assert checks.mass_flags(Chamber("LV", 100.0, 0, 40.0, 9, 80.0, 95.0)) == []


def test_stroke_volumes_that_disagree_are_noted_with_their_difference_and_flagged_where_that_is_seldom():
    left, right = Chamber("LV", 150.0, 0, 60.0, 9), Chamber("RV", 120.0, 0, 70.0, 9)
    (flag,) = checks.pair_flags({"LV": left, "RV": right})
    assert (flag.code, flag.severity) == ("stroke-volumes-differ", Severity.NOTE)
    assert "+40 ml" in flag.message
    (flag,) = checks.pair_flags({"LV": left, "RV": Chamber("RV", 100.0, 0, 70.0, 9)})
    assert (flag.code, flag.severity) == ("stroke-volumes-differ", Severity.FLAG)
    assert checks.pair_flags({"LV": left, "RV": Chamber("RV", 150.0, 0, 70.0, 9)}) == []
    assert checks.pair_flags({"LV": left}) == []


def test_labels_without_a_left_ventricle_are_refused(tiny_heart):
    labels = np.where(tiny_heart.labels == Structure.LV, 0, tiny_heart.labels)
    with pytest.raises(RefusedInput, match="no left ventricle was found"):
        checks.something_found(labels)


def test_what_nobody_said_is_named_with_the_option_that_says_it():
    flags = checks.knowledge_flags(Facts(height_m=1.7), None)
    assert [flag.code for flag in flags] == ["no-indexing", "no-heart-rate"]
    assert "weight unknown" in flags[0].message
    assert "--weight" in flags[0].message
    assert "--height" not in flags[0].message
    assert checks.knowledge_flags(Facts(1.7, 60.0), 900.0) == []
