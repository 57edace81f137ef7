"""Strain in the report of one study: what is drawn, where arrows point, and what is said where there is none."""

import json
import re
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest

from cinecmr.analyze import arrows, pipeline, report, strain_page
from cinecmr.analyze.display import DisplayAxes
from cinecmr.anatomy import Contrast, Structure, View
from cinecmr.motion import register
from cinecmr.study import Study

SAX = (View.SAX, Contrast.CINE)
TINY = register.Sound((3, 2, 2), 2, pixels=400, face_points=250, tissue_points=150, levels=((1.0, 2),))


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(register, "Sound", lambda: TINY)


@pytest.fixture
def measured(tiny_heart, tiny_model):
    return pipeline.analyze(tiny_heart.study, tiny_model)


def test_strain_adds_to_what_was_measured_and_changes_none_of_it(tiny_heart, measured):
    found, tracked = strain_page.follow(tiny_heart.study, measured)
    assert tracked is not None
    assert found.motion is tracked.motion
    assert found.measurements == measured.measurements
    assert found.cycle == measured.cycle
    assert found.flags[: len(measured.flags)] == measured.flags
    assert tracked.ed == measured.cycle["LV_ED"]


def test_the_report_draws_curves_three_bulls_eyes_and_arrows(tiny_heart, measured, tmp_path):
    found, tracked = strain_page.follow(tiny_heart.study, measured)
    written = report.write_outputs(tmp_path, tiny_heart.study, found, provenance={}, strain=tracked)
    assert {"motion.json", "strain.csv", "findings.json", "report.html"} <= {path.name for path in written}
    text = (tmp_path / "report.html").read_text("utf-8")
    peak = json.loads((tmp_path / "motion.json").read_text("utf-8"))["global"]["GCS"]["peak"]
    assert f"{peak:.1f} %".replace("-", "−") in text
    assert text.count('viewBox="-110 -110 220 220"') == 3 + 3  # of strain, and of the wall
    told = json.loads((tmp_path / "motion.json").read_text("utf-8"))["synchrony"]
    assert 12 <= told["segments"] <= 16
    assert f"{told['deviation_ms']:.0f} ms" in text
    data = json.loads(re.search(r'id="data">(.*?)</script>', text)[1])
    drawn = [tile["arrows"] for tile in data["tiles"] if "arrows" in tile]
    assert len(drawn) > 3
    for one in drawn:
        assert len(one["by"]) == 12
        assert len(one["by"][0]) == len(one["from"])
        assert not np.any(one["by"][tracked.ed])
        assert np.any(one["by"][4])


def test_a_report_without_strain_says_nothing_of_it(tiny_heart, measured, tmp_path):
    report.write_outputs(tmp_path, tiny_heart.study, measured, provenance={})
    text = (tmp_path / "report.html").read_text("utf-8")
    assert 'id="h-strain"' not in text
    assert '"arrows":' not in text
    assert not (tmp_path / "motion.json").exists()


def test_where_nothing_can_be_followed_the_report_says_why(tiny_heart, measured):
    few = replace(tiny_heart.image, data=tiny_heart.image.data[..., :2], times=tiny_heart.image.times[:2])
    found, tracked = strain_page.follow(Study("two", {SAX: few}), measured)
    assert tracked is None
    assert found.flags[-1].code == "no-strain"
    assert "2 frames" in found.flags[-1].message
    no_right = np.where(tiny_heart.labels == Structure.RV, 0, tiny_heart.labels).astype(np.uint8)
    found, tracked = strain_page.follow(tiny_heart.study, replace(measured, labels={SAX: no_right}))
    assert tracked is None
    assert "septum" in found.flags[-1].message


@pytest.mark.parametrize("swap", [False, True])
@pytest.mark.parametrize("flips", [(False, False), (True, False), (False, True)])
def test_an_arrow_points_from_where_the_pixel_is_shown_to_where_it_goes(swap, flips):
    axes = DisplayAxes(swap, *flips, edges=("", "", "", ""))
    start, end, crop = (5, 7), (6, 10), (slice(2, 12), slice(3, 15))
    places, by = np.array([start], float), np.array([[np.subtract(end, start)]], float)
    told = arrows.on_screen((places, by), crop, axes, 16)
    for (x, y), where in ((start, np.array(told["from"])), (end, np.array(told["from"]) + told["by"][0])):
        plane = np.zeros((20, 20))
        plane[x, y] = 1
        row, column = np.argwhere(axes.apply(plane[crop]))[0]
        assert where.tolist() == [16 * column, 16 * row]


def test_a_bulls_eye_has_the_anterior_wall_above_and_the_septum_to_the_left():
    values = {str(n): -float(n) for n in range(1, 17)} | {"17": None}
    drawing = ElementTree.fromstring(strain_page.bulls_eye("Circumferential", values, -30.0))
    texts = {text.text: (float(text.get("x")), float(text.get("y"))) for text in drawing.findall("{*}text")}
    assert len(texts) == 17
    assert texts["−1"] == pytest.approx((0, -87), abs=1)
    assert max(texts["−2"][0], texts["−3"][0]) < -50
    assert texts["−4"][1] > 50
    assert texts["−14"][0] < 0 < texts["−16"][0]
    assert texts["–"][0] == 0
    fills = [path.get("fill") for path in drawing.findall("{*}path")]
    assert fills[16] == "#ffffff"
    darker = [int(fill[1:3], 16) for fill in fills[:16]]
    assert darker == sorted(darker, reverse=True)
