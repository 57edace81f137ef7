"""What `cinecmr motion` and `motion-prior` write, from the tiny heart."""

import csv
import json
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest

from cinecmr.analyze import motion, motion_prior
from cinecmr.anatomy import Contrast, Structure, View
from cinecmr.errors import RefusedInput
from cinecmr.motion import published, register
from cinecmr.motion.field import WallMotion
from cinecmr.motion.prior import Prior
from cinecmr.study import Study

TINY = register.Sound((3, 2, 2), 2, pixels=400, face_points=250, tissue_points=150, levels=((1.0, 2),))


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(register, "Sound", lambda: TINY)
    small = published.Published(widths=(4, 8, 8, 3), steps=2, points=200)
    monkeypatch.setattr(published, "Published", lambda: small)


@pytest.fixture
def tracked(tiny_heart):
    return motion.track(tiny_heart.study, tiny_heart.labels)


def test_a_contracting_heart_shortens_around_and_thickens(tracked):
    curves = tracked.strain.whole()
    es = 4
    assert curves["GCS"][es] < -4
    assert curves["GRS"][es] > 2
    assert abs(curves["GCS"][tracked.ed]) < 1e-9
    np.testing.assert_allclose(tracked.since_ed[tracked.ed], 0)


def test_the_files_agree_with_each_other(tracked, tmp_path):
    written = motion.write(tmp_path, tracked)
    assert [path.name for path in written] == ["motion.json", "strain.csv", "strain.svg", "field.safetensors"]
    told = json.loads(written[0].read_text("utf-8"))
    rows = list(csv.DictReader(written[1].read_text("utf-8").splitlines()))
    np.testing.assert_allclose([float(row["GCS"]) for row in rows], told["curves"]["GCS"], atol=2e-3)
    assert len(rows) == 12
    assert told["global"]["GCS"]["peak"] == pytest.approx(min(told["curves"]["GCS"]), rel=0.2)
    assert told["quality"]["folding_share"] == 0
    assert told["global"]["GCS"]["systolic_rate_per_s"] < 0 < told["global"]["GCS"]["diastolic_rate_per_s"]
    assert set(told["segments"]["CS"]) == {str(number) for number in range(1, 18)}
    assert len(ElementTree.parse(written[2]).getroot().findall("{*}polyline")) == 3
    field = WallMotion.load(written[3])
    points = tracked.strain.wall.points[::50]
    np.testing.assert_allclose(field.displacement(points, 0.4), tracked.motion.displacement(points, 0.4))


def test_a_published_run_leaves_no_field_of_an_earlier_one(tiny_heart, tracked, tmp_path):
    motion.write(tmp_path, tracked)
    other = motion.track(tiny_heart.study, tiny_heart.labels, preset="published")
    motion.write(tmp_path, other)
    assert not (tmp_path / "field.safetensors").exists()
    assert "quality" not in json.loads((tmp_path / "motion.json").read_text("utf-8"))


def test_the_terminal_is_told_peaks_and_flags(tiny_heart, tiny_model):
    data = tiny_heart.image.data.copy()
    data[..., 8] = 0
    study = Study("t", {(View.SAX, Contrast.CINE): replace(tiny_heart.image, data=data)})
    found = motion.tracked_by(study, tiny_model, None, "sound", None, lambda what: None)
    assert [line.split()[0] for line in motion.told(found).splitlines()][:3] == ["GCS", "GRS", "GLS"]
    assert [flag.code for flag in found.flags] == ["black-frames"]
    assert motion.flagged(found)


def test_what_cannot_be_is_refused(tiny_heart, tiny_model, tmp_path):
    with pytest.raises(RefusedInput, match="no preset 'fast'"):
        motion.track(tiny_heart.study, tiny_heart.labels, preset="fast")
    with pytest.raises(RefusedInput, match="short-axis cine"):
        motion.tracked_by(Study("none", {}), tiny_model, None, "sound", None, lambda what: None)
    no_right = np.where(tiny_heart.labels == Structure.RV, 0, tiny_heart.labels).astype(np.uint8)
    with pytest.raises(RefusedInput, match="septum"):
        motion.track(tiny_heart.study, no_right)
    with pytest.raises(RefusedInput, match="there is no prior"):
        motion_prior.named(str(tmp_path / "none.safetensors"))
    (tmp_path / "bad.safetensors").write_bytes(b"x" * 40)
    with pytest.raises(RefusedInput, match="no motion prior"):
        motion_prior.named(str(tmp_path / "bad.safetensors"))
    with pytest.raises(RefusedInput, match="no folder"):
        motion_prior.build(str(tmp_path / "nowhere"), tmp_path / "p.safetensors")
    with pytest.raises(RefusedInput, match="no method"):
        motion_prior.build("phantom", tmp_path / "p.safetensors", method="median")


def test_a_prior_goes_on_where_it_was_and_starts_the_next_fit(tiny_heart, tmp_path, monkeypatch):
    asked = []

    def load(name):
        asked.append(name)
        if name.endswith("2"):
            raise RefusedInput("no-sax", "nothing in it")
        return tiny_heart.study, tiny_heart.labels

    monkeypatch.setattr(motion_prior, "synthetic", load)
    out, said = tmp_path / "prior.safetensors", []
    first = motion_prior.build("phantom", out, subjects=3, seed=0, say=said.append)
    assert (first.subjects, len(asked)) == (2, 3)
    assert "left out" in said[2]
    motion_prior.build("phantom", out, subjects=2, seed=0)
    assert len(asked) == 3  # both were kept
    prior = Prior.load(out)
    assert motion_prior.named("none") is None
    alone = motion.track(tiny_heart.study, tiny_heart.labels)
    helped = motion.track(tiny_heart.study, tiny_heart.labels, start=motion_prior.named(str(out)))
    assert helped.registration.costs[0] < 0.5 * alone.registration.costs[0]
    assert prior.ejected == pytest.approx(first.ejected)


def test_a_cohort_nobody_of_which_can_be_registered_gives_no_prior(tmp_path, monkeypatch):
    def load(name):
        raise RefusedInput("no-sax", "nothing in it")

    monkeypatch.setattr(motion_prior, "synthetic", load)
    with pytest.raises(RefusedInput, match="no study of the cohort"):
        motion_prior.build("phantom", tmp_path / "p.safetensors", subjects=2, method="meta")
