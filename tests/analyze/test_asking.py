"""Models that draw no labels are asked by one command: landmarks in patient mm, classes, a number."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import save_file

from cinecmr import cli
from cinecmr.analyze import asking, models
from cinecmr.analyze.importing import Request, bring
from cinecmr.analyze.published_card import describe
from cinecmr.anatomy import Contrast, Landmark, View
from cinecmr.errors import RefusedInput
from cinecmr.geometry import apply_affine
from cinecmr.measure.hinges import POINTS
from cinecmr.networks.kinds import KINDS, build, read_config
from cinecmr.study import Image, Study
from cinecmr.tasks.published_answers import PublishedAnswerer, PublishedAnswerSettings

TURNED = np.array([[0.0, -2.0, 0, 30], [1.6, 0, 1.2, -20], [-1.2, 0, 1.6, 50], [0, 0, 0, 1]])


def plane(frames=3, shape=(20, 24), view=View.LAX_4C):
    data = np.random.default_rng(4).random((*shape, 1, frames)).astype(np.float32)
    return Image(data, TURNED, 0.1 * np.arange(frames), view)


def study_of(*images):
    return Study("somebody", {(image.view, Contrast.CINE): image for image in images})


class Fixed(torch.nn.Module):
    """Answers what it was given, and keeps what it was shown."""

    def __init__(self, answer):
        super().__init__()
        self.register_buffer("answer", torch.as_tensor(answer, dtype=torch.float32))
        self.register_buffer("shown", torch.zeros(0), persistent=False)

    def forward(self, image):
        self.shown.resize_(image.shape).copy_(image)
        return self.answer[None]


def hills(at, size=(32, 32)):
    x, y = np.indices(size)
    return np.stack([2 - 0.3 * np.hypot(x - px, y - py) ** 2 for px, py in at])


def answerer(answer, **settings):
    return PublishedAnswerer(Fixed(answer), PublishedAnswerSettings(**settings), "made-up@0")


def test_a_heatmaps_peak_comes_back_where_it_lies_in_the_patient():
    image, at = plane(), np.array([[4.0, 6.0], [13.0, 9.0], [20.0, 22.0]])
    asked = answerer(hills(at), answers="heatmaps", view="lax_4c", spacing=(1.0, 1.0), patch=(32, 32), frames=1)
    found, read = asked.findings(image, {"LV_ED": 0, "LV_ES": 2})
    # 20 x 24 pixels of 2 mm are 40 x 48 pixels of 1 mm; the patch lies in their middle, from (4, 8) on.
    own = (at + [4, 8] + 0.5) / 2 - 0.5
    truth = apply_affine(TURNED, np.column_stack([own, np.zeros(3)]))
    for name, point in zip(POINTS[View.LAX_4C], truth, strict=True):
        np.testing.assert_allclose(found.landmarks[name][[0, 2]], [point, point], atol=1e-3)
        assert np.isnan(found.landmarks[name][1]).all()
    assert read == {"LV_ED": 0, "LV_ES": 2}


def test_coordinates_are_shares_of_the_patch():
    shares = [0.25, 0.5, 0.75, 0.125, 0.5, 0.875]
    asked = answerer(shares, answers="coordinates", view="lax_2c", spacing=(2.0, 2.0), patch=(32, 32), frames=1)
    found, _ = asked.findings(plane(view=View.LAX_2C), {"LV_ED": 1, "LV_ES": 1})
    truth = apply_affine(TURNED, np.column_stack([np.reshape(shares, (3, 2)) * 32, np.zeros(3)]))
    np.testing.assert_allclose([found.landmarks[name][1] for name in POINTS[View.LAX_2C]], truth, atol=1e-5)


def test_a_network_of_pairs_is_shown_ed_before_es_between_zero_and_one_with_zeros_at_the_end():
    image = plane(4, (8, 6))
    network = Fixed([0.0, 1.0, 3.0])
    settings = PublishedAnswerSettings("classes", "lax_4c", (2.0, 2.0), (8, 8), 2, ("A", "B", "C"))
    asked = PublishedAnswerer(network, settings, "made-up@0")
    found, _ = asked.findings(image, {"LV_ED": 3, "LV_ES": 1})
    shown = asked._network.asked.shown.numpy()[0]
    assert shown.shape == (2, 8, 8)
    assert (shown[:, :, 6:] == 0).all()
    for channel, frame in zip(shown, (3, 1), strict=True):
        own = image.data[:, :, 0, frame]
        low, high = np.percentile(own, (0.95, 99.5))
        steps = np.floor(np.clip((own.astype(float) - low) / (high - low), 0, 1) * 255) / 255
        np.testing.assert_allclose(channel[:, :6], steps, atol=1e-6)
    shares = np.exp([0.0, 1.0, 3.0]) / np.exp([0.0, 1.0, 3.0]).sum()
    told = [found.measurements[f"class:{name}"].value for name in "ABC"]
    np.testing.assert_allclose(told, shares, rtol=1e-6)


def test_an_image_larger_than_the_patch_is_cut_about_the_heart():
    image = plane(1, (30, 30))
    asked = answerer([0.0], answers="number", view="lax_4c", spacing=(2.0, 2.0), patch=(8, 8), frames=1, column="age")
    seen, _, crop = asked.prepared(image, (0,), apply_affine(TURNED, np.array([20.0, 9.0, 0.0])))
    assert [(part.start, part.stop) for part in crop] == [(16, 24), (5, 13)]
    assert seen.shape == (1, 8, 8)
    assert asked.prepared(image, (0,))[2] == (slice(11, 19), slice(11, 19))


def test_a_stack_deeper_than_the_network_is_read_in_windows_whose_numbers_are_averaged():
    class Depth(torch.nn.Module):
        def forward(self, image):
            return image[:, 0, 0, 0, :1]

    data = np.zeros((4, 4, 6, 1), np.float32)
    data[0, 0] = np.array([0, 0.2, 0.4, 0.6, 0.8, 1.0])[:, None]
    image = Image(data, np.diag([1.0, 1.0, 10.0, 1.0]), np.zeros(1))
    settings = PublishedAnswerSettings("number", "sax", (1.0, 1.0, 10.0), (4, 4, 4), 1, (), "age", 50.0, 10.0)
    asked = PublishedAnswerer(Depth(), settings, "made-up@0")
    seen, _, _ = asked.prepared(image, (0,))
    found, _ = asked.findings(image)
    assert found.measurements["age_direct"].value == pytest.approx(50 + 10 * (seen[0, 0, 0, 0] + seen[0, 0, 0, 2]) / 2)
    assert found.measurements["age_direct"].unit == "years"


def test_frames_of_two_views_are_matched_by_their_share_of_the_beat():
    sax = Image(np.zeros((2, 2, 1, 10)), np.eye(4), 0.1 * np.arange(10), rr_ms=1000.0)
    lax = Image(np.zeros((2, 2, 1, 20)), np.eye(4), 0.04 * np.arange(20), View.LAX_4C, rr_ms=800.0)
    assert asking.frame_alike(sax, 4, lax) == 8
    assert asking.frame_alike(sax, 4, sax) == 4
    assert asking.frame_alike(lax, 19, sax) in (0, 9)
    bare = Image(np.zeros((2, 2, 1, 5)), np.eye(4), np.arange(5.0), View.LAX_4C)
    assert asking.frame_alike(sax, 4, bare) == 2


CONFIG = {
    "data": {"name": "acdc", "sax": {"spacing": [2.0, 2.0, 10.0], "patch_size": [32, 32, 8], "in_chans": 1},
             "lax": {"spacing": [2.0, 2.0], "patch_size": [32, 32], "in_chans": 1}},
    "model": {"name": "resnet", "views": "sax", "n_frames": 2,
              "resnet": {"depth": 18, "layer_inplanes": [2, 2, 2, 2]}},
}  # fmt: skip


def imported(folder, name, data=(), model=()):
    """A tiny network of the published form, imported under a name; its card."""
    read = json.loads(json.dumps(CONFIG))
    read["data"] |= dict(data)
    read["model"] |= dict(model)
    torch.manual_seed(3)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(dict(build(read_config(read)).state_dict()), folder / f"{name}.safetensors")
    (folder / "config.yaml").write_text(yaml.safe_dump(read))
    return bring(Request(str(folder / f"{name}.safetensors"), name=name), say=lambda _: None)


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    monkeypatch.setenv(models.FOLDER, str(tmp_path / "models"))
    return tmp_path / "hub"


def test_classes_of_a_study_add_to_one_and_are_read_at_the_frames_its_labels_give(shelf, tiny_heart, tiny_model):
    imported(shelf, "ill", {"class_column": "pathology", "pathology": ["DCM", "NOR"]})
    answer, found = asking.ask(tiny_heart.study, models.load("ill"), lambda: tiny_model)
    assert answer.frames == {"LV_ED": 0, "LV_ES": 4}
    assert sum(one.value for one in answer.measurements.values()) == pytest.approx(1)
    assert set(answer.measurements) == {"class:DCM", "class:NOR"}
    model = models.load("ill")
    seen, _, _ = model.answerer.prepared(tiny_heart.image, (0, 4))
    with torch.no_grad():
        shares = model.network.eval()(torch.from_numpy(seen)[None]).softmax(1)[0]
    assert answer.measurements["class:DCM"].value == pytest.approx(float(shares[0]), abs=1e-5)
    assert "DCM: " in "\n".join(asking.lines(answer, found))


def test_old_ejection_fractions_are_scaled_back_and_carry_the_warning(shelf, tiny_heart, tiny_model):
    imported(shelf, "ef", {"regression_column": "ef", "ef": {"mean": 27.7, "std": 10.8}})
    with pytest.warns(UserWarning, match="no ejection fraction"):
        model = models.load("ef")
    answer, found = asking.ask(tiny_heart.study, model, lambda: tiny_model)
    with torch.no_grad():
        score = model.network.eval()(torch.from_numpy(model.answerer.prepared(tiny_heart.image, (0, 4))[0])[None])
    assert set(answer.measurements) == {"legacy_weighted_ef"}
    assert answer.measurements["legacy_weighted_ef"].value == pytest.approx(27.7 + 10.8 * float(score), abs=1e-3)
    assert [flag.code for flag in found.flags if flag.severity.value == "flag"] == ["model-warning"]


LANDMARKS = {"name": "landmark"}
HEATMAPS = {"name": "unet", "views": "lax_4c", "n_frames": 1, "out_chans": 3, "unet": {"chans": [2, 3]}}


def test_the_command_writes_landmarks_in_mm_with_mapse_of_the_same_points(shelf, tmp_path, capsys, monkeypatch):
    imported(shelf, "points", LANDMARKS, HEATMAPS)
    study = study_of(plane(3, (32, 32)))
    monkeypatch.setattr("cinecmr.analyze.run.take", lambda *_, **__: (study, None))
    place = tmp_path / "answers.json"
    with pytest.raises(SystemExit) as end:
        cli.main(["ask", "somewhere", "--models", "points", "--ed", "0", "--es", "2", "--out", str(place)])
    assert not end.value.code
    told = asking.AnswersFile.model_validate_json(place.read_text())
    assert set(told.landmarks) == {name.value for name in POINTS[View.LAX_4C]}
    at = {name: {phase: np.array(p) for phase, p in places.items()} for name, places in told.landmarks.items()}
    hinges = [at[name.value] for name in POINTS[View.LAX_4C][:2]]
    apex = at[Landmark.APEX_4C.value]
    up = (hinges[0]["LV_ED"] + hinges[1]["LV_ED"]) / 2 - apex["LV_ED"]
    down = [(hinge["LV_ED"] - hinge["LV_ES"]) @ up / np.linalg.norm(up) for hinge in hinges]
    assert told.measurements["MAPSE"].value == pytest.approx(np.mean(down))
    shown = capsys.readouterr().out
    assert "mitral_4c_septal: LV_ED " in shown
    assert "MAPSE: " in shown


def test_frames_nobody_named_are_guessed_and_flagged(shelf):
    imported(shelf, "points", LANDMARKS, HEATMAPS)
    answer, found = asking.ask(study_of(plane(4, (32, 32))), models.load("points"), lambda: pytest.fail("no stack"))
    assert answer.frames["LV_ED"] == 0
    assert [flag.code for flag in found.flags] == ["phases-guessed"]


def refused(code, match, study, name, **given):
    with pytest.raises(RefusedInput, match=match) as told:
        asking.ask(study, models.load(name), lambda: pytest.fail("asked before it was refused"), **given)
    assert told.value.code == code


def test_what_cannot_be_asked_is_refused_before_any_network_runs(shelf, tiny_heart):
    imported(shelf, "points", LANDMARKS, HEATMAPS)
    refused("no-such-image", "points reads long axis, four-chamber, which the study has not: found short axis",
            tiny_heart.study, "points")  # fmt: skip
    four = study_of(plane(4, (32, 32)))
    refused("no-such-frame", "--es 4 is not one of the 4 frames", four, "points", ed=0, es=4)
    refused("no-such-frame", "name both --ed and --es", four, "points", ed=0)
    refused("no-answer", "sax-unet tells no class, number or landmark: .* `cinecmr analyze`", four, "sax-unet")
    imported(shelf, "unscaled", {"regression_column": "age"})
    refused("no-answer", "unscaled tells no class", tiny_heart.study, "unscaled")
    imported(shelf, "unnamed", model={"out_chans": 5})
    refused("no-answer", "5 classes or numbers, unnamed", tiny_heart.study, "unnamed")


@pytest.mark.parametrize("kind", KINDS)
def test_of_every_published_kind_the_card_says_whether_and_how_it_is_asked(kind):
    config = KINDS[kind]
    told = describe(config, kind, None, None, "a.safetensors")
    reading = told["reading"]
    asked = "landmark" in kind or kind.startswith(("cls", "reg"))
    assert ("answers" in reading) == asked
    if not asked:
        return
    settings = PublishedAnswerSettings(**models._frozen(reading))
    assert settings.frames == config.n_frames
    assert settings.patch == config.size(config.views[0])
    if settings.answers == "classes":
        assert len(settings.classes) == config.out_chans
    elif settings.answers == "number":
        assert settings.column == "ef"
        assert 0 < settings.std < settings.mean
        assert "no ejection fraction" in told["warnings"][0]
    else:
        assert config.out_chans == {"heatmaps": 3, "coordinates": 6}[settings.answers]
    together = describe(replace(config, in_chans=2), kind, None, None, "a.safetensors")
    assert "answers" not in together["reading"]
