"""Who the synthetic subjects are."""

from dataclasses import replace

import numpy as np
import pytest

from cinecmr.anatomy import Disease, Sex, Structure
from cinecmr.phantom import population
from cinecmr.phantom.population import GROUPS, draw_heart, draw_person
from cinecmr.phantom.surroundings import draw_chest

SEEDS = range(60, 66)
# Per group: end-diastolic volume ml/m2 and ejection fraction % of the left ventricle, mass g/m2: no subject outside.
PLAUSIBLE = {
    Disease.NORMAL: ((50, 125), (49, 74), (35, 100)),
    Disease.DCM: ((75, 280), (7, 40), (45, 190)),
    Disease.HCM: ((40, 120), (52, 82), (55, 210)),
    Disease.INFARCT: ((50, 230), (12, 58), (35, 150)),
    Disease.ABNORMAL_RV: ((35, 125), (35, 74), (25, 100)),
}


@pytest.fixture(scope="module")
def drawn():
    """Six hearts of every group with their volumes at end-diastole and at the left ventricle's end-systole."""

    def volumes(heart):
        return heart.volumes_ml(0.0), heart.volumes_ml(heart.beat.systole)

    hearts = {d: [draw_heart(np.random.default_rng(seed), d) for seed in SEEDS] for d in Disease}
    return {disease: [(heart, *volumes(heart)) for heart in group] for disease, group in hearts.items()}


def ejection(start, end, structure=Structure.LV):
    return 100 * (1 - end[structure] / start[structure])


@pytest.mark.parametrize("disease", list(Disease))
def test_every_left_ventricle_is_of_a_size_function_and_mass_its_group_has(drawn, disease):
    sizes, fractions, masses = PLAUSIBLE[disease]
    for heart, start, end in drawn[disease]:
        bsa = heart.person.bsa_m2
        assert sizes[0] < start[Structure.LV] / bsa < sizes[1]
        assert fractions[0] < ejection(start, end) < fractions[1]
        assert masses[0] < 1.05 * start[Structure.MYO] / bsa < masses[1]
        assert heart.person.disease is disease


@pytest.mark.parametrize("disease", list(Disease))
def test_every_right_ventricle_holds_and_ejects_blood(drawn, disease):
    for heart, start, end in drawn[disease]:
        assert 25 < start[Structure.RV] / heart.person.bsa_m2 < 330
        assert 4 < ejection(start, end, Structure.RV) < 80


def test_groups_differ_as_their_diseases_do(drawn):
    def median(disease, figure):
        return np.median([figure(*row) for row in drawn[disease]])

    def dilation(heart, start, _):
        return start[Structure.LV] / heart.person.bsa_m2

    def right(heart, start, _):
        return start[Structure.RV] / heart.person.bsa_m2

    def hollowness(_, start, __):
        return start[Structure.MYO] / start[Structure.LV]

    assert median(Disease.DCM, dilation) > 1.4 * median(Disease.NORMAL, dilation)
    assert median(Disease.ABNORMAL_RV, right) > 1.25 * median(Disease.NORMAL, right)
    assert median(Disease.HCM, hollowness) > 1.4 * median(Disease.NORMAL, hollowness)
    fractions = {d: np.median([ejection(s, e) for _, s, e in rows]) for d, rows in drawn.items()}
    assert fractions[Disease.DCM] < fractions[Disease.INFARCT] < fractions[Disease.NORMAL] < fractions[Disease.HCM]


@pytest.mark.parametrize(
    ("disease", "asked"), [(Disease.NORMAL, 60), (Disease.DCM, 18), (Disease.HCM, 70), (Disease.INFARCT, 35)]
)
def test_a_heart_ejects_what_was_asked_of_it(monkeypatch, disease, asked):
    monkeypatch.setitem(population.GROUPS, disease, replace(GROUPS[disease], ef=(asked, 0.0)))
    for seed in (1, 2):
        heart = draw_heart(np.random.default_rng(seed), disease)
        found = ejection(heart.volumes_ml(0.0), heart.volumes_ml(heart.beat.systole))
        assert found == pytest.approx(asked, abs=3)


def test_a_heart_holds_what_its_body_asks_for(at_rest, monkeypatch):
    monkeypatch.setitem(population.GROUPS, Disease.NORMAL, replace(GROUPS[Disease.NORMAL], volume=(1.0, 0.0)))
    indexed = [
        heart.volumes_ml(0.0)[Structure.LV] / heart.person.bsa_m2
        for heart in (draw_heart(np.random.default_rng(seed), Disease.NORMAL) for seed in range(8))
    ]
    assert all(75 - 2 * 11 - 1 < value < 81 + 2 * 11 + 1 for value in indexed)


def test_a_seed_gives_the_same_heart_and_another_seed_another():
    one, same, other = (draw_heart(np.random.default_rng(seed), Disease.INFARCT) for seed in (5, 5, 6))
    assert one == same
    assert one != other


def test_a_seed_gives_the_same_chest():
    heart = draw_heart(np.random.default_rng(5), Disease.NORMAL)
    one, same = (draw_chest(np.random.default_rng(9), heart) for _ in range(2))
    assert (one.tubes, one.atria, one.papillary, one.diaphragm) == (
        same.tubes,
        same.atria,
        same.papillary,
        same.diaphragm,
    )
    np.testing.assert_array_equal(one.texture, same.texture)
    np.testing.assert_array_equal(one.strands, same.strands)


@pytest.fixture
def at_rest(monkeypatch):
    """Hearts drawn without finding their squeeze, which takes most of the time."""
    monkeypatch.setattr(population, "_ejecting", lambda lv, _: lv)


def test_without_a_disease_asked_for_every_group_is_drawn(at_rest):
    drawn = {draw_heart(np.random.default_rng(seed)).person.disease for seed in range(30)}
    assert drawn == set(Disease)


def test_bodies_are_adult_and_men_are_taller():
    people = [draw_person(np.random.default_rng(seed), Disease.NORMAL) for seed in range(200)]
    for person in people:
        assert 18 <= person.age_y <= 85
        assert 1.45 < person.height_m < 1.95
        assert 17 < person.weight_kg / person.height_m**2 < 46
    tall = {sex: np.mean([p.height_m for p in people if p.sex is sex]) for sex in Sex}
    assert tall[Sex.MALE] > tall[Sex.FEMALE] + 0.08


def test_only_infarcts_have_wall_that_stands_still_and_only_hypertrophy_wall_added(drawn):
    for disease, rows in drawn.items():
        for heart, _, _ in rows:
            assert bool(heart.lv.still) is (disease is Disease.INFARCT)
            assert bool(heart.lv.thick) is (disease is Disease.HCM)


def test_a_heavier_body_lies_in_more_fat():
    heart = draw_heart(np.random.default_rng(3), Disease.NORMAL)
    person = heart.person
    light, heavy = (replace(person, weight_kg=round(bmi * person.height_m**2)) for bmi in (19.0, 38.0))
    thin, fat = (draw_chest(np.random.default_rng(1), replace(heart, person=p)) for p in (light, heavy))
    assert fat.fat_depth > thin.fat_depth
    assert fat.pericardial_fat > thin.pericardial_fat
