"""Coverage is counted on other hearts than the intervals were learned from, and told where it is not as promised."""

import json

import numpy as np
import pytest

from cinecmr.analyze import models, sureness
from cinecmr.errors import RefusedInput
from cinecmr.evaluate.intervals import clopper_pearson
from cinecmr.experiments import interval_coverage


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    """Name and checksum of the shipped model, its intervals in a folder of the test."""
    monkeypatch.setattr(models, "sureness_path", lambda weights: tmp_path / "intervals" / f"{weights.stem}.json")
    return "sax-unet", models.card("sax-unet").sha256


def evaluation(path, model, seed, count, spread, **about):
    rng = np.random.default_rng(seed)
    true, error = rng.uniform(60, 300, count), rng.normal(0, spread, count)
    rows = [{"found": {"LVEDV": t * (1 + e)}, "truth": {"LVEDV": t}} for t, e in zip(true, error, strict=True)]
    told = {"model": f"{model[0]}@{model[1][:8]}", "seed": str(seed), "commit": "c0ffee", **about}
    path.write_text(json.dumps({"about": told, "studies": rows}))
    return path


def test_small_whole_and_real_hearts_are_counted_apart_and_too_few_inside_is_told(tmp_path, shipped):
    learned = evaluation(tmp_path / "a.json", shipped, 0, 60, 0.05)
    sureness.calibrate([learned], [], *shipped, models.sureness_path(models.weights_path(shipped[0])))
    small = evaluation(tmp_path / "b.json", shipped, 1000, 50, 0.05, studies="small: of a test")
    wild = evaluation(tmp_path / "c.json", shipped, 2000, 50, 0.5)
    page = "\n".join(interval_coverage.run(shipped[0], [small, wild], tmp_path / "out"))
    told = json.loads((tmp_path / "out" / "coverage.json").read_text())
    counts = {group: of["LVEDV"] for group, of in told["coverage"].items()}
    limits = told["limits"]["LVEDV"]
    for group, file in ((interval_coverage.SMALL, small), (interval_coverage.WHOLE, wild)):
        pairs = [(row["found"]["LVEDV"], row["truth"]["LVEDV"]) for row in json.loads(file.read_text())["studies"]]
        inside = [min(limits["low"], 0) <= (t - f) / f <= max(limits["high"], 0) for f, t in pairs]
        exact = clopper_pearson(sum(inside), 50)
        assert counts[group] == {"held": sum(inside), "studies": 50, "low": exact.low, "high": exact.high}
    assert page.count(" %: no") == 1
    assert "seeds 1000 to 1049, measured at commit c0ffee" in page


def test_hearts_that_were_learned_from_and_a_model_without_intervals_are_refused(tmp_path, shipped):
    learned = evaluation(tmp_path / "a.json", shipped, 0, 60, 0.05)
    with pytest.raises(RefusedInput, match="has no intervals"):
        list(interval_coverage.run(shipped[0], [learned], tmp_path / "out"))
    sureness.calibrate([learned], [], *shipped, models.sureness_path(models.weights_path(shipped[0])))
    with pytest.raises(RefusedInput, match="learned from seed 0"):
        list(interval_coverage.run(shipped[0], [learned], tmp_path / "out"))


def test_real_ejection_fractions_must_be_of_the_same_weights(tmp_path, shipped):
    path = tmp_path / "labels.json"
    row = {"found": {"LVEF": 50.0}, "truth": {"LVEF": 54.0}}
    path.write_text(json.dumps({"about": {"weights_sha256": shipped[1]}, "ef": [row, row]}))
    assert interval_coverage.read_real(path, shipped[1]) == {"LVEF": [(50.0, 54.0), (50.0, 54.0)]}
    with pytest.raises(RefusedInput, match="of other weights"):
        interval_coverage.read_real(path, "ab" * 32)
    path.write_text("{}")
    with pytest.raises(RefusedInput, match=r"no labels\.json"):
        interval_coverage.read_real(path, shipped[1])
