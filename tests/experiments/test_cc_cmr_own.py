"""From subjects to a model that is asked: the commands of screening, on clips and files of a few pixels."""

import json

import numpy as np
import pytest

from cinecmr.anatomy import Contrast, View
from cinecmr.cli import main
from cinecmr.errors import RefusedInput
from cinecmr.experiments.cc_cmr import own, scales
from cinecmr.io import nifti
from cinecmr.study import Facts, Image, Study
from cinecmr.tasks import screening_model

SMOKE = scales.SCALES["smoke"]


def image(view, slices, frames, bright=0.0, seed=0, contrast=Contrast.CINE):
    data = np.random.default_rng(seed).normal(100, 20, (18, 18, slices, frames)).astype(np.float32)
    data[:9] += 100 * bright
    return Image(data, np.diag([9.0, 9.0, 8.0, 1.0]), np.arange(frames) * 0.1, view, contrast, rr_ms=900.0)


def write_subject(folder, number, bright, enhanced=True):
    shapes = {"ch4": (View.LAX_4C, 1, 9), "sax": (View.SAX, 5, 9), "lge": (View.SAX, 5, 1)}
    for key, (view, slices, frames) in shapes.items():
        if key != "lge" or enhanced:
            one = image(view, slices, frames, bright, number)
            nifti.write_image(folder / f"{key}.nii.gz", one.data, one.affine, one.times)


def write_cohort(root, each, enhanced=True):
    lines = ["subject,class"]
    for number in range(2 * each):
        write_subject(root / f"p{number}", number, number % 2, enhanced)
        lines.append(f"p{number},{('control', 'hcm')[number % 2]}")
    (root / "subjects.csv").write_text("\n".join(lines) + "\n")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    root = tmp_path_factory.mktemp("own")
    write_cohort(root / "data", 5)
    said = []
    card = own.finetune(str(root / "data"), root / "triage", "smoke", say=said.append)
    return root, card, said


def test_a_model_of_ones_own_subjects_says_what_it_learned_from_and_how_it_did(trained):
    _, card, said = trained
    told = screening_model.load(card.parent).card
    assert told.classes == ["control", "hcm"]
    assert told.diseases == ["normal", "hcm"]
    assert told.name == "triage"
    (start,) = (card.parent / "start").glob("*/encoder.safetensors")
    assert told.trained_on == [
        "6 of 10 subjects of the user's own; seed 0, scale smoke",
        f"encoders began with weights {screening_model.checksum(start)[:8]}, the measures of 3 synthetic hearts",
    ]
    assert told.data == "2 subjects kept apart, of 10 subjects of the user's own"
    point = told.point
    assert point.tp + point.fn == point.tn + point.fp == 1
    assert 0.05 <= told.temperature <= 20
    assert "training on 6, threshold on 2, asking 2" in said


def test_no_name_of_a_subject_reaches_what_is_written_or_said(trained):
    root, _, said = trained
    written = "".join(path.read_text() for path in (root / "triage").rglob("*.json*"))
    assert not any(f'"p{number}"' in written or f"p{number}:" in written for number in range(10))
    assert not any("p1" in line for line in said)


def test_training_again_goes_on_from_what_is_there_and_gives_the_same_weights(trained):
    root, card, _ = trained
    before = json.loads(card.read_text())["sha256"]
    again = own.finetune(str(root / "data"), root / "triage", "smoke", say=lambda _: None)
    assert json.loads(again.read_text())["sha256"] == before


def test_weights_that_are_given_are_begun_with_and_no_heart_is_made(trained, tmp_path):
    root, card, _ = trained
    (start,) = (card.parent / "start").glob("*/encoder.safetensors")
    given = own.finetune(str(root / "data"), tmp_path / "m", "smoke", start=start, say=lambda _: None)
    assert not (given.parent / "start").exists()
    told = json.loads(given.read_text())
    assert told["trained_on"][1] == f"encoders began with weights {screening_model.checksum(start)[:8]}"
    assert told["sha256"] == json.loads(card.read_text())["sha256"]  # the same weights, the same training


def test_without_enhancement_the_cines_are_aligned_alone_and_it_is_said(trained, tmp_path):
    assert any("too few, so the cines are aligned alone" in line for line in trained[2])  # five of a class are few
    write_cohort(tmp_path / "data", 5, enhanced=False)
    card = own.finetune(str(tmp_path / "data"), tmp_path / "m", "smoke", say=lambda _: None)
    assert "alignment of the two cines alone" in screening_model.load(card.parent).card.summary


@pytest.mark.parametrize("row", ["lge", "shuffled", "sax"])
def test_controls_and_single_cines_are_not_kept_as_models(tmp_path, row):
    with pytest.raises(RefusedInput, match="no way of training called") as refusal:
        own.finetune("phantom", tmp_path, "smoke", row=row)
    assert refusal.value.code == "no-such-row"


def test_too_few_of_a_class_are_refused(tmp_path):
    write_cohort(tmp_path, 4)
    with pytest.raises(RefusedInput, match="fewer than the 5 folds"):
        own.finetune(str(tmp_path), tmp_path / "m", "smoke", say=lambda _: None)


def test_the_command_asks_a_study_and_prints_triage_with_its_operating_point(trained, monkeypatch, capsys):
    from cinecmr.analyze import run

    images = {
        (View.SAX, Contrast.CINE): image(View.SAX, 5, 9),
        (View.LAX_4C, Contrast.CINE): image(View.LAX_4C, 1, 9),
    }
    monkeypatch.setattr(run, "take", lambda *_, **__: (Study("someone", images, Facts()), None))
    with pytest.raises(SystemExit) as ended:
        main(["screen", "there", "--models", str(trained[1].parent)])
    assert not ended.value.code
    told = capsys.readouterr().out
    assert "control: " in told
    assert "threshold of" in told
    assert "triage@" in told
    assert "not a diagnosis" in told


def test_the_command_refuses_where_there_is_no_model_and_no_four_chamber_view(trained, tmp_path, monkeypatch, capsys):
    from cinecmr.analyze import run

    with pytest.raises(SystemExit) as ended:
        main(["screen", "there", "--models", str(tmp_path)])
    assert ended.value.code == 3
    assert "none is shipped" in capsys.readouterr().err
    images = {(View.SAX, Contrast.CINE): image(View.SAX, 5, 9)}
    monkeypatch.setattr(run, "take", lambda *_, **__: (Study("someone", images, Facts()), None))
    with pytest.raises(SystemExit) as ended:
        main(["screen", "there", "--models", str(trained[1].parent)])
    assert ended.value.code == 3
    assert "[no-four-chamber]" in capsys.readouterr().err
