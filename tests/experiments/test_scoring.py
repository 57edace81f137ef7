"""From scores of cases to figures: by hand, by a slow formula, and with what failed counted."""

import math

import numpy as np
import pytest

from cinecmr.experiments.scoring import Scored, difference, figure, outputs
from cinecmr.experiments.table import AUC, CV, F1_MACRO, MCC, Column, Row, Table, Training
from cinecmr.experiments.telling import csv_text, page

DICE = Column("dice", "Dice (%)", 100, higher_is_better=True, limit=0.5)


def run(values, key="dice"):
    return [Scored(f"case{n}", f"person{n}", {} if v is None else {key: v}) for n, v in enumerate(values)]


def test_a_figure_is_the_mean_over_seeds_of_the_mean_over_cases():
    found = figure([run([0.8, 0.9]), run([0.6, 0.5])], DICE, 100)
    assert found.value == pytest.approx(70)
    assert found.interval.low <= 70 <= found.interval.high
    assert found.summary.n == 2
    assert found.summary.failures == 0


def test_a_column_may_be_the_mean_of_scores_of_which_none_may_miss():
    both = Column("all", "Both", 100, parts=("a", "b"))
    cases = [{"a": 0.2, "b": 0.6}, {"a": 0.3, "b": 0.9}, {"a": 1.0}]
    runs = [[Scored(f"case{n}", f"person{n}", scores) for n, scores in enumerate(cases)]]
    found = figure(runs, both, 100)
    assert found.value == pytest.approx(50)
    assert found.summary.n == 2


def test_misses_leave_the_mean_and_are_counted():
    found = figure([run([0.8, math.inf, 0.4])], DICE, 100)
    assert found.value == pytest.approx(60)
    assert found.summary.unscored == 1
    assert found.summary.failures == 2


def test_cases_that_a_figure_does_not_apply_to_are_no_failures():
    found = figure([run([0.8, None, 0.6])], DICE, 100)
    assert found.value == pytest.approx(70)
    assert (found.summary.n, found.summary.failures) == (2, 0)
    assert figure([run([None, None])], DICE, 100) is None


def test_where_everything_was_missed_there_is_no_figure_but_failures():
    found = figure([run([math.inf, math.inf])], DICE, 100)
    assert math.isnan(found.value)
    assert found.summary.failures == 2


def test_two_visits_make_a_coefficient_of_variation():
    scores = {"a": (60.0, 58.0), "b": (55.0, 57.0), "c": (40.0, 45.0), "d": (30.0, 29.0)}
    one = [Scored(f"{p}{k}", p, {"ef": v}) for p, pair in scores.items() for k, v in enumerate(pair)]
    one.append(Scored("alone", "e", {"ef": 50.0}))
    found = figure([one], Column("ef", "CV (%)", statistic=CV), 100)
    assert found.value == pytest.approx(4.66563645566519)  # recorded from the published code


def classes(shares, true):
    told = []
    for n, (given, t) in enumerate(zip(shares, true, strict=True)):
        by_class = {f"share_{k}": value for k, value in enumerate(given)}
        told.append(Scored(f"c{n}", f"p{n}", {"class": float(t), "share_of_true": given[t], **by_class}))
    return told


def test_areas_and_f1_are_those_of_hand():
    shares, true = [(0.9, 0.1), (0.6, 0.4), (0.7, 0.3), (0.2, 0.8)], [0, 0, 1, 1]
    one = classes(shares, true)
    assert figure([one], Column("class", "AUC", statistic=AUC), 10).value == pytest.approx(3 / 4)
    assert figure([one], Column("class", "F1", statistic=F1_MACRO), 10).value == pytest.approx((4 / 5 + 2 / 3) / 2)
    assert figure([one], Column("class", "MCC", statistic=MCC), 10).value == pytest.approx(1 / math.sqrt(3))


def test_people_of_a_class_that_was_not_learned_are_not_in_the_area():
    one = [*classes([(0.9, 0.1), (0.2, 0.8)], [0, 1]), Scored("c9", "p9", {})]
    given, people = outputs([one], Column("class", "AUC", statistic=AUC))
    assert given.shape == (1, 2, 3)
    assert people == ["p0", "p1"]


def test_a_difference_is_paired_by_patient():
    rng = np.random.default_rng(0)
    base = rng.uniform(0.3, 0.9, 40)
    better, worse = run(base + 0.02 + rng.normal(0, 0.002, 40)), run(base)
    told = difference([better], [worse], DICE, 1000)
    assert told.difference.low > 0.018
    assert told.p < 0.01
    assert difference([run([None])], [run([0.5])], DICE, 1000) is None
    assert (
        difference([classes([(1, 0)], [0])], [classes([(1, 0)], [0])], Column("class", "A", statistic=AUC), 50) is None
    )


def test_seeds_that_saw_other_cases_are_not_mixed():
    with pytest.raises(ValueError, match="different cases"):
        outputs([run([0.1, 0.2]), run([0.1])], DICE)


def small_table(published):
    rows = tuple(Row(("ACDC", model), Training("segmentation", "acdc", model)) for model in ("UNet", "CineMA"))
    return Table("small", "A table", ("Data", "Model"), rows, (DICE,), published=published, notes=("a note",))


def test_the_page_tells_ours_theirs_differences_and_failures():
    table = small_table({("ACDC", "UNet"): (89.5,)})
    scored = {("ACDC", "UNet"): [run([0.8, 0.9])], ("ACDC", "CineMA"): [run([0.9, math.inf])]}
    figures = {labels: [figure(runs, DICE, 100)] for labels, runs in scored.items()}
    told = difference(scored["ACDC", "CineMA"], scored["ACDC", "UNet"], DICE, 1000)
    text = page(table, figures, {(("ACDC", "CineMA"), ("ACDC", "UNet")): [told]}, {"scale": "smoke"})
    assert "| ACDC | UNet | 85.00 (80.00 to 90.00) | 89.50 |" in text
    assert "| ACDC | CineMA | 90.00 (90.00 to 90.00) | - |" in text
    assert "CineMA minus UNet" in text
    assert "90.00; 1 of 2" in text
    assert text.endswith("- a note\n")
    lines = csv_text(table, figures).splitlines()
    assert lines[0].startswith("Data,Model,column,value")
    assert lines[1].startswith("ACDC,UNet,Dice (%),85.0")
    assert lines[1].endswith(",89.5")


def test_what_was_published_must_fit_the_table():
    with pytest.raises(ValueError, match="no row"):
        small_table({("ACDC", "nnU-Net"): (1.0,)})
    with pytest.raises(ValueError, match="published with 2 figures"):
        small_table({("ACDC", "UNet"): (1.0, 2.0)})
    with pytest.raises(ValueError, match="share is above 0"):
        Training("segmentation", "acdc", "UNet", share=0.0)


def test_a_curve_has_a_line_a_model_by_the_number_of_subjects(tmp_path):
    from cinecmr.experiments.curves import draw, number_of, points

    training = Training("segmentation", "acdc", "UNet")
    rows = tuple(Row(("ACDC", f"{n} %", m), training.on(m)) for n in (50, 5) for m in ("UNet", "CineMA"))
    table = Table("c", "A curve", ("Data", "Labelled", "Model"), rows, (DICE,), curve=True)
    values = {5: 0.6, 50: 0.8}
    figures = {row.labels: [figure([run([values[int(number_of(row.labels[1]))]])], DICE, 100)] for row in rows}
    figures["ACDC", "50 %", "CineMA"] = [None]
    told = points(table, figures, 0)
    assert [(x, round(y, 6)) for x, y, *_ in told["UNet"]] == [(5.0, 60.0), (50.0, 80.0)]
    assert [x for x, *_ in told["CineMA"]] == [5.0]
    draw(table, figures, tmp_path / "c.svg")
    drawn = (tmp_path / "c.svg").read_text()
    assert ">CineMA</text>" in drawn, "words stay words"
    draw(table, figures, tmp_path / "again.svg")
    assert (tmp_path / "again.svg").read_text() == drawn
    with pytest.raises(ValueError, match="no number of subjects"):
        number_of("all")
