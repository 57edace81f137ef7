"""From a data set to a tested model: people stay apart, the split is kept, every score is told with its failures."""

import csv
import json
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from cinecmr.anatomy import Contrast, Disease, Structure, View
from cinecmr.datasets import Case
from cinecmr.errors import RefusedInput
from cinecmr.io.subject import subject_name
from cinecmr.learn.start import leave
from cinecmr.pretrain import mae
from cinecmr.study import Findings, Image, Study
from cinecmr.tasks.taught import settings_of
from cinecmr.tasks.teaching import lesson, split_of, teach

ILL = (Disease.NORMAL, Disease.DCM)


def visit(number):
    """A bright disc in a darker ring, at ED and ES."""
    rng = np.random.default_rng(number)
    x, y = np.meshgrid(np.arange(40), np.arange(40), indexing="ij")
    r = np.hypot(x - 18 - rng.uniform(0, 4), y - 18 - rng.uniform(0, 4))
    labels = np.zeros((40, 40, 4, 2), np.uint8)
    for t, size in enumerate((9, 6)):
        labels[r < size + 4, :, t] = Structure.MYO
        labels[r < size, :, t] = Structure.LV
        labels[(r >= size + 4) & (x > 32), :, t] = Structure.RV
    grey = np.array([0.1, 0.7, 0.3, 1.0])[labels] + rng.normal(0, 0.02, labels.shape)
    image = Image(grey.astype(np.float32), np.diag([5.0, 5.0, 24.0, 1.0]), np.array([0.0, 0.3]))
    key = (View.SAX, Contrast.CINE)
    return Study(f"s{number}", {key: image}), Findings(labels={key: labels}, cycle={"LV_ED": 0, "LV_ES": 1})


def unlabelled(number):
    return visit(number)[0], Findings()


def cases(count=6, **more):
    return [
        Case(f"ward7 {n}", partial(visit, n), disease=ILL[n % 2], person=f"ward7 {n}", **more) for n in range(count)
    ]


def test_segmentation_is_learned_tested_and_told(tmp_path):
    told = []
    weights = teach("segmentation", cases(), tmp_path, lesson("segmentation", "smoke"), given=["updates=40",
                    "optimiser.rate=3e-3", "patience=0"], say=told.append)  # fmt: skip
    lines = [json.loads(line) for line in (weights.parent / "log.jsonl").read_text().splitlines()]
    assert lines[-1]["loss"] < 0.8 * lines[0]["loss"]
    rows = list(csv.DictReader((weights.parent / "scores.csv").read_text().splitlines()))
    split = json.loads((tmp_path / "splits.json").read_text())
    assert {row["subject"] for row in rows} == set(split["parts"]["test"])
    assert all(0 <= float(row["dice_lv"]) <= 1 for row in rows)
    summary = json.loads((weights.parent / "summary.json").read_text())
    assert summary["split"] == split["sha256"]
    assert summary["scores"]["dice_lv"]["mean"] == pytest.approx(np.mean([float(row["dice_lv"]) for row in rows]))
    assert "lvef_found" not in summary["scores"]
    assert any("worst tenth" in line for line in told)
    assert "ward7" not in "".join(path.read_text() for path in tmp_path.rglob("*.json"))


def test_fewer_labelled_people_learn_under_the_same_split(tmp_path):
    told, of = [], lesson("segmentation", "smoke", "unet")
    few = teach("segmentation", cases(10), tmp_path, of, given=["updates=1"], labelled=2, say=told.append)
    many = teach("segmentation", cases(10), tmp_path, of, given=["updates=1"], say=told.append)
    sizes = [json.loads((p.parent / "recipe.json").read_text())["objective"]["samples"] for p in (few, many)]
    assert sizes == [2 * 2, 2 * 6]
    assert few.parent.name != many.parent.name


def test_a_task_starts_from_a_masked_autoencoder_of_the_same_scale(tmp_path):
    torch.manual_seed(5)
    weights = tmp_path / "mae.safetensors"
    leave(weights, mae.MAE((), (), mae.plan("smoke").settings).network(), "mae")
    of = lesson("segmentation", "smoke", pretrained=True)
    assert of.optimiser.layer_decay == 0.75
    found = teach("segmentation", cases(), tmp_path, of, given=["updates=1"], start=weights, say=lambda _: None)
    assert "start" in json.loads((found.parent / "recipe.json").read_text())
    with pytest.raises(RefusedInput, match="cannot start from those weights"):
        teach("segmentation", cases(), tmp_path / "unet", lesson("segmentation", "smoke", "unet"), start=weights,
              say=lambda _: None)  # fmt: skip


def test_visits_without_labels_are_told_and_in_no_part(tmp_path):
    told = []
    bare = [Case(f"bare {n}", partial(unlabelled, n), person=f"bare {n}") for n in range(3)]
    teach("segmentation", cases() + bare, tmp_path, lesson("segmentation", "smoke", "unet"),
          given=["updates=1", "patience=0"], say=told.append)  # fmt: skip
    parts = json.loads((tmp_path / "splits.json").read_text())["parts"]
    assert sum(map(len, parts.values())) == 6
    assert told[0].startswith("3 visits lack what is learned here and are left out: sub-")


def test_images_that_cannot_be_read_or_lie_otherwise_are_told_by_hashed_names(tmp_path):
    def spoilt():
        study, truth = visit(8)
        study[View.SAX].data[3, 3, 0, 0] = np.nan
        return study, truth

    def mirrored():
        study, truth = visit(9)
        image = study[View.SAX]
        turned = Image(image.data, np.diag([-5.0, 5.0, 24.0, 1.0]), image.times)
        return Study("m", {(View.SAX, Contrast.CINE): turned}), truth

    told = []
    others = [Case("ward7 nan", spoilt, person="a"), Case("ward7 mirror", mirrored, person="b")]
    teach("segmentation", cases() + others, tmp_path, lesson("segmentation", "smoke", "unet"),
          given=["updates=1", "patience=0"], say=told.append)  # fmt: skip
    name = {word: subject_name(f"ward7 {word}") for word in ("nan", "mirror")}
    assert told[0].startswith(f"{name['nan']} cannot be read: an image holds values that are no numbers")
    assert told[1] == f"1 visits lack what is learned here and are left out: {name['nan']}"
    assert told[2].startswith("1 of 7 images lie in their files otherwise than most")
    assert told[2].endswith(name["mirror"])
    assert "ward7" not in "".join(told)


def test_classes_are_learned_from_a_table_of_diseases(tmp_path):
    weights = teach("classification", cases(10), tmp_path, lesson("classification", "smoke"), given=["updates=2"],
                    say=lambda _: None)  # fmt: skip
    scores = json.loads((weights.parent / "summary.json").read_text())["scores"]
    assert set(scores) == {"correct", "share_of_true"}


def test_a_data_sets_own_parts_are_kept_and_validation_comes_from_training(tmp_path):
    own = [
        *cases(10, split="train"),
        *(Case(f"t{n}", partial(visit, n), split="test", person=f"t{n}") for n in range(3)),
    ]
    made = split_of(own, tmp_path / "splits.json", 0)
    assert {case.split for case in made.of(own, "test")} == {"test"}
    assert {case.split for case in made.of(own, "train", "val")} == {"train"}
    assert (len(made.parts["train"]), len(made.parts["val"]), len(made.parts["test"])) == (8, 2, 3)
    assert split_of(own, tmp_path / "splits.json", 99).sha256 == made.sha256
    shared = [*own, Case("again", partial(visit, 0), split="test", person="ward7 0")]
    with pytest.raises(RefusedInput, match="is in several parts"):
        split_of(shared, tmp_path / "other.json", 0)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("segmentation", "huge"), "at smoke, laptop, gpu, full"),
        (("tracking", "smoke"), "there are segmentation, classification, regression, landmarks"),
        (("segmentation", "smoke", "gan"), "no network 'gan'"),
        (("landmarks", "smoke", None, False, View.SAX), "landmarks are learned on LAX_2C and LAX_4C, not SAX"),
    ],
)
def test_a_lesson_that_does_not_exist_is_refused(given, message):
    with pytest.raises(RefusedInput, match=message):
        lesson(*given)


def test_samples_are_changed_as_published_over_ranges_in_millimetres():
    published = lesson("segmentation", "full").settings.changes
    assert (published.move.turn, published.move.shift, published.hole) == (180.0, 60.0, (40, 40, 2))
    short = lesson("segmentation", "laptop").settings.changes
    assert (short.move.turn, short.move.shift, short.hole) == (30.0, 20.0 / 2.0, (20, 20, 2))
    plane = lesson("segmentation", "full", view=View.LAX_4C).settings
    assert (plane.shape, plane.changes.move.shift, plane.changes.hole) == ((256, 256), 80.0, (50, 50, 1))
    assert lesson("regression", "laptop").settings.changes.hole is None
    assert lesson("landmarks", "laptop").settings.shape == (96, 96)


def test_settings_are_the_same_after_a_recipe_was_written_and_read():
    for task in ("segmentation", "classification", "regression", "landmarks"):
        own = lesson(task, "smoke").settings
        told = json.loads(json.dumps(own.as_json() | {"samples": 3, "data": "x"}))
        assert replace(settings_of(type(own)(), told), changes=own.changes) == own
    with pytest.raises(ValueError, match="Settings has no colour: they are of another version"):
        settings_of(type(own)(), told | {"colour": 1})


def test_data_that_cannot_teach_are_refused(tmp_path):
    with pytest.raises(RefusedInput, match="2 people cannot make 3 parts"):
        teach("segmentation", cases(2), tmp_path, lesson("segmentation", "smoke"))
    blank = [Case(f"b{n}", lambda: (Study("b", {}), Findings()), person=f"b{n}") for n in range(6)]
    with pytest.raises(RefusedInput, match="none of"):
        teach("segmentation", blank, tmp_path / "blank", lesson("segmentation", "smoke"))
    same = [Case(f"s{n}", partial(visit, n), disease=Disease.DCM, person=f"s{n}") for n in range(6)]
    with pytest.raises(RefusedInput, match="two classes or more"):
        teach("classification", same, tmp_path / "same", lesson("classification", "smoke"))
