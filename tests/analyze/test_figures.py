import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from cinecmr import Contrast, View
from cinecmr.analyze.figures import Curve, contact_sheet, volume_curves

TIMES = np.arange(10) * 90.0


def beat(edv, esv):
    return esv + (edv - esv) * (1 + np.cos(2 * np.pi * np.arange(10) / 10)) / 2


def chart(*curves):
    return ElementTree.fromstring(volume_curves(curves))


def points(polyline):
    return np.array([[float(v) for v in pair.split(",")] for pair in polyline.get("points").split()])


def test_the_curve_lies_at_the_heights_of_its_axis():
    volume = beat(150, 60)
    drawing = chart(Curve("LV", TIMES, volume, [("ED", 0), ("ES", 5)]))
    ticks = [(float(t.text), float(t.get("y")) - 4) for t in drawing.iter("text") if t.get("text-anchor") == "end"
             and re.fullmatch(r"\d+", t.text)]  # fmt: skip
    to_ml = np.polyfit([y for _, y in ticks], [v for v, _ in ticks], 1)
    (line,) = drawing.iter("polyline")
    np.testing.assert_allclose(np.polyval(to_ml, points(line)[:, 1]), volume, atol=0.5)
    np.testing.assert_allclose(points(line)[[0, -1], 0], [float(drawing.get("data-x0")), float(drawing.get("data-x1"))])


def test_ed_and_es_are_marked_on_the_curve_and_said_in_words():
    drawing = chart(Curve("LV", TIMES, beat(150, 60), [("ED", 0), ("ES", 5)]))
    (line,) = drawing.iter("polyline")
    circles = np.array([[float(c.get("cx")), float(c.get("cy"))] for c in drawing.iter("circle")])
    np.testing.assert_allclose(circles, points(line)[[0, 5]])
    assert "LV: 150 ml at ED (0 ms), 60 ml at ES (450 ms)" in drawing.get("aria-label")


def test_frames_nobody_looked_at_break_the_curve():
    volume = beat(150, 60)
    volume[[3, 4]] = np.nan
    lengths = [len(points(line)) for line in chart(Curve("LV", TIMES, volume)).iter("polyline")]
    assert lengths == [3, 5]


def test_a_curve_nobody_saw_is_refused():
    with pytest.raises(ValueError, match="no finite volume to draw"):
        volume_curves([Curve("LV", TIMES, np.full(10, np.nan))])


def test_the_chart_holds_no_style_or_script_that_the_pages_policy_would_forbid():
    text = volume_curves([Curve("LV <b>", TIMES, beat(150, 60), [("ED", 0)])])
    assert "style=" not in text
    assert "<b>" not in text
    assert "&lt;b&gt;" in text


def test_the_contact_sheet_shows_contours_in_colour_on_every_slice_of_the_heart(heart, tmp_path):
    from matplotlib.image import imread

    image, labels = heart.study[View.SAX], heart.found.labels[View.SAX, Contrast.CINE]
    contact_sheet(image, labels, {"end-diastole": 0}, tmp_path / "with.png", columns=3)
    contact_sheet(image, np.zeros_like(labels), {"end-diastole": 0}, tmp_path / "without.png", columns=3)
    colourful = [np.ptp(imread(tmp_path / name)[..., :3], axis=-1) > 0.3 for name in ("with.png", "without.png")]
    assert colourful[0].sum() > 300
    assert colourful[1].sum() == 0
