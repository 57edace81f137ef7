"""Intervals hold the truth as often as they promise, whatever the errors, and belong to their weights only."""

import dataclasses
import json

import numpy as np
import pytest

from cinecmr.analyze import pipeline, run, sureness
from cinecmr.errors import RefusedInput
from cinecmr.study import Measurement

SHA = "ab" * 32


def cohort(rng, studies, spread=0.05, bias=0.03):
    """Pairs of a model that measures too much, and errs the more the larger the heart; EF errs in points."""
    edv = rng.uniform(60, 300, studies)
    ef = rng.uniform(20, 70, studies)
    skewed = rng.gamma(2.0, 1.0, (2, studies)) - 1.0
    return {
        "LVEDV": [(float(v * (1 + bias + spread * e)), float(v)) for v, e in zip(edv, skewed[0], strict=True)],
        "LVEF": [(float(v + 3 * e), float(v)) for v, e in zip(ef, skewed[1], strict=True)],
    }


def test_over_many_calibrations_new_hearts_lie_inside_in_ninety_percent():
    """Split conformal, 39 learned from: each interval holds the next heart with probability 36 / 40 exactly."""
    rng = np.random.default_rng(3)
    held = {"LVEDV": 0, "LVEF": 0}
    rounds, fresh = 150, 40
    for _ in range(rounds):
        known = sureness.learn(cohort(rng, 39), "net", SHA, "made")
        checked = sureness.cover(known, cohort(rng, fresh))
        for name in held:
            held[name] += checked.limits[name].coverage.held
    for name, inside in held.items():
        assert inside / (rounds * fresh) == pytest.approx(0.9, abs=0.02), name


def test_the_limits_are_the_second_smallest_and_largest_errors_of_thirty_nine():
    rng = np.random.default_rng(0)
    pairs = cohort(rng, 39)
    limits = sureness.learn(pairs, "net", SHA, "made").limits
    shares = sorted((true - found) / found for found, true in pairs["LVEDV"])
    points = sorted(true - found for found, true in pairs["LVEF"])
    assert (limits["LVEDV"].low, limits["LVEDV"].high) == (shares[1], shares[-2])
    assert (limits["LVEF"].low, limits["LVEF"].high) == (points[1], points[-2])


def test_coverage_by_holding_out_counts_every_study_once_and_tells_its_exact_interval():
    known = sureness.learn(cohort(np.random.default_rng(1), 200), "net", SHA, "made")
    coverage = known.limits["LVEDV"].coverage
    assert coverage.studies == 200
    assert 165 <= coverage.held <= 195
    low, high = coverage.interval.low, coverage.interval.high
    assert low < coverage.held / 200 < high
    assert f"{coverage.held} of 200" in coverage.text()


def measurement(value, unit):
    return Measurement(value, unit, "summed", "labels of net@abababab")


def test_an_interval_holds_its_own_number_and_stays_within_what_can_be():
    limits = {
        "LVEDV": sureness.Limits(low=-0.10, high=-0.02, relative=True, studies=39),  # always measured too large
        "LVEF": sureness.Limits(low=-8.0, high=8.0, relative=False, studies=39),
    }
    sure = sureness.Sureness(model="net", sha256=SHA, level=0.9, data="made", limits=limits)
    told = sure.put({"LVEDV": measurement(200.0, "ml"), "LVEDVi": measurement(100.0, "ml/m2"),
                     "LVEF": measurement(95.0, "%"), "HR": measurement(60.0, "bpm")})  # fmt: skip
    assert told["LVEDV"].interval == pytest.approx((180.0, 200.0))
    assert told["LVEDVi"].interval == pytest.approx((90.0, 100.0))
    assert told["LVEF"].interval == pytest.approx((87.0, 100.0))
    assert told["HR"].interval is None


def test_too_few_studies_give_no_interval():
    with pytest.raises(RefusedInput, match="18 studies were measured, 19 are needed") as refusal:
        sureness.learn(cohort(np.random.default_rng(2), 18), "net", SHA, "made")
    assert refusal.value.code == "too-few-to-learn"


def evaluation(path, rng, studies, seed, model="net@abababab"):
    rows = [
        {"found": {"LVEDV": found, "LVEF": f}, "truth": {"LVEDV": true, "LVEF": t}}
        for (found, true), (f, t) in zip(*cohort(rng, studies).values(), strict=True)
    ]
    rows.append({"found": {}, "truth": {"LVEDV": 100.0, "LVEF": 50.0}})  # withheld: no number, no interval
    path.write_text(json.dumps({"about": {"model": model, "seed": str(seed)}, "studies": rows}))
    return path


def test_calibrating_writes_what_a_model_of_these_weights_reads_and_no_other(tmp_path):
    rng = np.random.default_rng(4)
    learned, other = evaluation(tmp_path / "a.json", rng, 60, 0), evaluation(tmp_path / "b.json", rng, 50, 1000)
    to = tmp_path / "weights" / "intervals" / "net.json"
    table = sureness.calibrate([learned], [other], "net", SHA, to)
    (line,) = [line for line in table if line.startswith("LVEDV")]
    assert "of 50" in line
    assert "seeds 0 to 60" in table[0]
    assert sureness.load(to, SHA).limits["LVEF"].coverage.studies == 50
    assert sureness.load(to, "cd" * 32) is None  # weights that were trained again
    assert sureness.load(tmp_path / "none.json", SHA) is None
    to.write_text("{}")
    with pytest.raises(RefusedInput, match="calibrate again"):
        sureness.load(to, SHA)


@pytest.mark.parametrize(
    ("seed", "model", "code"), [(30, "net@abababab", "same-subjects"), (1000, "net@cdcdcdcd", "other-weights")]
)
def test_coverage_on_the_same_hearts_or_of_other_weights_is_refused(tmp_path, seed, model, code):
    rng = np.random.default_rng(5)
    learned = evaluation(tmp_path / "a.json", rng, 60, 0)
    other = evaluation(tmp_path / "b.json", rng, 30, seed, model)
    with pytest.raises(RefusedInput, match=r"is in both|not of net") as refusal:
        sureness.calibrate([learned], [other], "net", SHA, tmp_path / "net.json")
    assert refusal.value.code == code
    assert not (tmp_path / "net.json").exists()


def test_an_analysis_tells_the_intervals_of_its_model_and_where_they_come_from(tiny_heart, tiny_model):
    plain = pipeline.analyze(tiny_heart.study, tiny_model).measurements
    assert all(one.interval is None for one in plain.values())
    tiny_model.sureness = sureness.learn(cohort(np.random.default_rng(6), 40), "drawn", SHA, "seeds 1 to 40")
    told = pipeline.analyze(tiny_heart.study, tiny_model).measurements
    assert {name: dataclasses.replace(one, interval=None) for name, one in told.items()} == plain
    for name in ("LVEDV", "LVEDVi", "LVEF"):
        low, high = told[name].interval
        assert low <= told[name].value <= high
        assert low < high
    assert told["RVEDV"].interval is None
    assert (
        "40 synthetic studies (seeds 1 to 40); not proven on real ones" in run.provenance(tiny_model, {})["intervals"]
    )


def test_what_is_expected_of_slices_is_put_right_by_slices_whose_truth_is_known():
    rng = np.random.default_rng(8)
    promised = rng.uniform(0.3, 1.0, 4000)
    pairs = list(zip(promised, promised**2 + rng.normal(0, 0.02, 4000), strict=True))  # it promises too much
    known = sureness.learn_slices(pairs)
    fresh = rng.uniform(0.4, 0.95, 500)
    np.testing.assert_allclose(known(fresh), fresh**2, atol=0.03)
    assert np.isnan(known(np.array([np.nan]))).all()
    assert (np.diff(known(np.linspace(0, 1, 50))) >= 0).all()
    assert sureness.learn_slices(pairs[:50]) is None


class Promising:
    """Draws the truth, and promises half of it in the first slice."""

    source = "drawn"

    def __init__(self, labels, known):
        self.labels, self.sureness = labels, known

    def segment_surely(self, image, progress=None):
        sure = np.full(image.data.shape[2:], 0.95)
        sure[2] = 0.5
        return self.labels, sure


def test_slices_the_model_is_not_sure_of_are_named_once_its_sureness_is_calibrated(tiny_heart):
    known = sureness.learn(cohort(np.random.default_rng(6), 40), "drawn", SHA, "seeds 1 to 40")
    told = pipeline.analyze(tiny_heart.study, Promising(tiny_heart.labels, known))
    assert "unsure-slices" not in {flag.code for flag in told.flags}
    line = sureness.SliceDice(expected=[0.5, 0.95], true=[0.3, 0.9], slices=100)
    told = pipeline.analyze(tiny_heart.study, Promising(tiny_heart.labels, known.model_copy(update={"slices": line})))
    (flag,) = [flag for flag in told.flags if flag.code == "unsure-slices"]
    assert "slice 2 at ED and slice 2 at ES" in flag.message
    assert set(told.confidence[pipeline.SAX_CINE].ravel()) == {0.3, 0.9}
