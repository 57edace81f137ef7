"""Normal ranges: shown where everything fits, otherwise not at all."""

import pytest

from cinecmr.anatomy import Sex
from cinecmr.errors import RefusedInput
from cinecmr.measure import body, reference
from cinecmr.measure.volumes import Chamber, measurements
from cinecmr.study import Facts

WOMAN = Facts(sex=Sex.FEMALE, age_y=60.0)
ROW = {
    "parameter": "LVEF", "unit": "%", "sex": "F", "age": "45-74", "n": "432", "mean": "61", "sd": "5", "lower": "",
    "upper": "", "limit_type": "mean_sd", "papillary_convention": "papillary_in_volume", "source": "Somebody 2000",
    "doi": "10.1/x", "verification": "primary_abstract",
}  # fmt: skip


def chosen(facts: Facts = WOMAN, **changes: str):
    return reference.choose([{**ROW, **changes}], "LVEF", facts, "papillary_in_volume")


def test_the_range_of_a_woman_of_sixty_is_that_of_the_uk_biobank():
    found = reference.find("LVEF", WOMAN)
    assert (found.low, found.high) == pytest.approx((61 - 1.96 * 5, 61 + 1.96 * 5))
    assert found.doi == "10.1186/s12968-017-0327-9"
    assert "Petersen 2017" in found.citation
    assert "432 healthy women, 45-74 years" in found.population


@pytest.mark.parametrize("facts", [Facts(), Facts(sex=Sex.MALE), Facts(age_y=60.0)])
def test_without_sex_and_age_there_is_no_range(facts):
    assert chosen(facts, sex="both", age="adult") is None


@pytest.mark.parametrize(
    "changes",
    [
        {"sex": "M"},
        {"verification": "secondary_transcription"},
        {"papillary_convention": "papillary_in_mass"},
        {"papillary_convention": "not_checked"},
        {"limit_type": "CI95_of_mean", "lower": "51", "upper": "70"},
        {"limit_type": "precision"},
        {"age": "patients"},
        {"age": "20-44"},
        {"doi": ""},
        {"sd": ""},
    ],
)
def test_a_row_that_misses_in_one_point_is_not_used(changes):
    assert chosen() is not None
    assert chosen(**changes) is None


@pytest.mark.parametrize(("age", "fits"), [(44.9, False), (45.0, True), (74.9, True), (75.0, False)])
def test_ages_are_counted_in_completed_years(age, fits):
    assert (chosen(Facts(sex=Sex.FEMALE, age_y=age)) is not None) is fits


def test_published_limits_are_taken_as_they_stand():
    found = chosen(limit_type="95pct_reference", lower="51", upper="70")
    assert (found.low, found.high) == (51.0, 70.0)


def test_children_are_not_adults():
    assert chosen(Facts(sex=Sex.FEMALE, age_y=17.9), age="adult") is None
    assert chosen(Facts(sex=Sex.FEMALE, age_y=18.0), age="adult") is not None


def test_every_range_that_can_be_shown_has_the_unit_of_its_measurement():
    chambers = {"LV": Chamber("LV", 120.0, 0, 48.0, 9, 90.0), "RV": Chamber("RV", 140.0, 0, 70.0, 9)}
    rows = measurements(chambers, Facts(1.7, 70.0), 900.0, "x")
    shown = {name: reference.find(name, WOMAN) for name in rows}
    assert {name for name, found in shown.items() if found} == {"LVEF", "LVMi"}
    for name, found in shown.items():
        assert found is None or found.unit == rows[name].unit


@pytest.mark.parametrize(("height", "weight", "bsa"), [(1.70, 70.0, 1.818), (1.60, 50.0, 1.491)])
def test_mosteller_is_the_root_of_the_product(height, weight, bsa):
    assert body.bsa_mosteller(height, weight) == pytest.approx(bsa, abs=1e-3)


def test_dubois_and_mosteller_agree_for_an_ordinary_body():
    assert body.bsa_dubois(1.75, 75.0) == pytest.approx(body.bsa_mosteller(1.75, 75.0), rel=0.02)


@pytest.mark.parametrize("value", [1.72, 251.0, float("nan")])
def test_a_height_in_metres_is_refused_with_the_limits(value):
    with pytest.raises(RefusedInput, match="is not between 50 and 250 cm"):
        body.check_fact("height", value, body.HEIGHT_CM, "cm")
