"""Who the synthetic subjects are."""

from dataclasses import replace

import numpy as np
import pytest

from cinecmr.anatomy import Disease, Sex, Structure
from cinecmr.phantom import population, stacks
from cinecmr.phantom.disease import MIXTURE
from cinecmr.phantom.population import GROUPS, draw_heart, draw_person
from cinecmr.phantom.surroundings import draw_chest

SEEDS = range(60, 64)
# Per group: end-diastolic volume ml/m2 and ejection fraction % of the left ventricle, mass g/m2: no subject outside.
PLAUSIBLE = {
    Disease.NORMAL: ((50, 125), (49, 74), (35, 100)),
    Disease.DCM: ((75, 280), (7, 40), (45, 190)),
    Disease.HCM: ((40, 120), (52, 82), (55, 210)),
    Disease.INFARCT: ((50, 230), (12, 58), (35, 150)),
    Disease.ABNORMAL_RV: ((35, 125), (35, 74), (25, 100)),
    Disease.ARVC: ((45, 125), (44, 70), (30, 100)),
    Disease.HYPERTENSIVE: ((50, 125), (51, 75), (50, 150)),
    Disease.ATHLETE: ((60, 150), (48, 70), (45, 125)),
    Disease.AMYLOID: ((40, 115), (37, 70), (55, 190)),
}


@pytest.fixture(scope="module")
def drawn():
    """Four hearts of every group with their volumes at end-diastole and at the left ventricle's end-systole."""

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
    monkeypatch.setattr(population, "_balanced", lambda heart, _: heart)


def test_without_a_disease_asked_for_every_group_is_drawn(at_rest):
    drawn = {draw_heart(np.random.default_rng(seed)).person.disease for seed in range(30)}
    assert drawn == set(MIXTURE)
    others = (Disease.ATHLETE, Disease.AMYLOID)
    drawn = {draw_heart(np.random.default_rng(seed), among=others).person.disease for seed in range(8)}
    assert drawn == set(others)


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
            assert bool(heart.rv.still) is (disease is Disease.ARVC)


def test_the_later_groups_differ_from_healthy_hearts_as_their_diseases_do(drawn):
    def medians(figure):
        return {disease: np.median([figure(*row) for row in rows]) for disease, rows in drawn.items()}

    per_body = medians(lambda heart, start, _: start[Structure.LV] / heart.person.bsa_m2)
    thick = medians(lambda _, start, __: start[Structure.MYO] / start[Structure.LV])
    right = medians(lambda heart, start, _: start[Structure.RV] / heart.person.bsa_m2)
    left_ef = medians(lambda _, start, end: ejection(start, end))
    right_ef = medians(lambda _, start, end: ejection(start, end, Structure.RV))
    axis = medians(lambda heart, *_: 1 - heart.lv.shortening)
    rate = medians(lambda heart, *_: 60 / heart.beat.rr_s)
    well = Disease.NORMAL
    # Athletes: larger, not weaker, slow.
    assert per_body[Disease.ATHLETE] > 1.1 * per_body[well]
    assert right[Disease.ATHLETE] > 1.1 * right[well]
    assert abs(left_ef[Disease.ATHLETE] - left_ef[well]) < 6
    assert rate[Disease.ATHLETE] < rate[well] - 7
    # Hypertension: concentric, ejection preserved, long axis less.
    assert thick[Disease.HYPERTENSIVE] > 1.2 * thick[well]
    assert abs(left_ef[Disease.HYPERTENSIVE] - left_ef[well]) < 6
    assert axis[Disease.HYPERTENSIVE] < axis[well]
    # Amyloid: thicker still, long axis worst of the three.
    assert thick[Disease.AMYLOID] > 1.1 * thick[Disease.HYPERTENSIVE]
    assert axis[Disease.AMYLOID] < 0.8 * axis[well]
    # ARVC: the right ventricle is large and weak, the left is not.
    assert right[Disease.ARVC] > 1.25 * right[well]
    assert right_ef[Disease.ARVC] < right_ef[well] - 10
    assert abs(left_ef[Disease.ARVC] - left_ef[well]) < 8


def test_amyloid_spares_the_apex_and_thickens_the_right_wall(drawn):
    def squeeze(heart, share):
        return float(heart.lv.squeeze_factor(np.float32([0.0]), np.float32([share]), 1.0)[0])

    for heart, _, _ in drawn[Disease.AMYLOID]:
        assert squeeze(heart, 0.9) - squeeze(heart, 0.1) > 0.15
        assert heart.rv.wall > 3.0


def test_the_free_wall_of_arvc_moves_out_where_it_fails(drawn):
    """The width of the right ventricle at the centre of a failing region, in diastole and systole."""
    for heart, _, _ in drawn[Disease.ARVC]:
        region = heart.rv.still[0]
        theta, flat = np.float32([[region.theta]]), np.zeros((1, 1), np.float32)
        widths = []
        for activation in (0.0, 1.0):
            z = heart.rv.apex + region.height * (heart.rv.top(activation) - heart.rv.apex)
            radius = heart.rv.outer_radius(theta, np.float32([[z]]), flat, flat + 30, activation)
            widths.append(float(radius[0, 0]))
        assert widths[1] >= 0.97 * widths[0]  # regions overlap a little; the rest of the wall squeezes by 15 % or more


def test_severity_leads_from_health_to_the_full_disease():
    def figures(disease, severity):
        heart = draw_heart(np.random.default_rng(4), disease, severity=severity)
        start, end = heart.volumes_ml(0.0), heart.volumes_ml(heart.beat.systole)
        return ejection(start, end), start[Structure.LV], start[Structure.MYO] / start[Structure.LV]

    steps = (0.0, 0.5, 1.0)
    ef, size, _ = zip(*(figures(Disease.DCM, s) for s in steps), strict=True)
    assert ef[0] > ef[1] + 10 > ef[2] + 20
    assert size[0] < size[1] < size[2]
    thick = [figures(Disease.AMYLOID, s)[2] for s in steps]
    assert thick[0] < thick[1] < thick[2]


def test_the_mildest_of_a_disease_is_a_healthy_heart(at_rest):
    healthy, mild = (draw_heart(np.random.default_rng(8), d, severity=0.0) for d in (Disease.NORMAL, Disease.DCM))
    assert mild.lv == healthy.lv
    assert mild.scar is None


def test_stacks_are_learned_from_every_group_there_is():
    assert stacks.GROUPS[: len(MIXTURE)] == MIXTURE
    assert len(stacks.GROUPS) == len(GROUPS)
    assert set(stacks.GROUPS) == set(GROUPS)


def test_full_severity_is_what_a_seed_of_the_first_groups_always_gave(at_rest):
    for disease in MIXTURE:
        one, same = (draw_heart(np.random.default_rng(2), disease, severity=s) for s in (None, 1.0))
        assert one == same


@pytest.mark.parametrize("severity", [-0.1, 1.5])
def test_a_severity_that_is_no_share_is_refused(severity):
    with pytest.raises(ValueError, match="severity is a share: 0 is a healthy heart, 1 the group's own"):
        draw_heart(np.random.default_rng(0), Disease.DCM, severity=severity)


def test_breaking_the_link_to_scar_changes_nothing_but_the_scar(at_rest):
    for seed in range(4):
        linked, apart = (draw_heart(np.random.default_rng(seed), Disease.INFARCT, linked=to) for to in (True, False))
        assert replace(linked, scar=None) == replace(apart, scar=None)
        assert linked.scar.patches[-1].region == linked.lv.still[0] != apart.scar.patches[-1].region


def test_a_heavier_body_lies_in_more_fat():
    heart = draw_heart(np.random.default_rng(3), Disease.NORMAL)
    person = heart.person
    light, heavy = (replace(person, weight_kg=round(bmi * person.height_m**2)) for bmi in (19.0, 38.0))
    thin, fat = (draw_chest(np.random.default_rng(1), replace(heart, person=p)) for p in (light, heavy))
    assert fat.fat_depth > thin.fat_depth
    assert fat.pericardial_fat > thin.pericardial_fat
