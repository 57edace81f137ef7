"""Losses, peaks and targets of the published networks' tasks: equal to recorded values or to a closed form."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from cinecmr.anatomy import Contrast, Disease, Landmark, Sex, Structure, View
from cinecmr.datasets import Case
from cinecmr.errors import RefusedInput
from cinecmr.learn.samples import Grid
from cinecmr.study import Facts, Findings, Image, Measurement, Study
from cinecmr.tasks._learner import Sample, phases
from cinecmr.tasks.architecture import Architecture
from cinecmr.tasks.classification import Classification, ClassificationSettings, class_of
from cinecmr.tasks.landmarks import (
    POINTS,
    Landmarks,
    LandmarkSettings,
    heatmap_loss,
    heatmaps,
    peak,
    relative_places,
    wing_loss,
)
from cinecmr.tasks.regression import Regression, RegressionSettings, value_of
from cinecmr.tasks.volume_segmentation import (
    IGNORED,
    VolumeSegmentation,
    VolumeSegmentationSettings,
    labelled_frames,
    soft_dice_loss,
)

RECORDED = Path(__file__).parent.parent / "fixtures" / "cinema"
SAX = (View.SAX, Contrast.CINE)


@pytest.fixture(scope="module")
def recorded():
    return json.loads((RECORDED / "values.json").read_text()), load_file(RECORDED / "losses.safetensors")


def test_segmentation_loss_is_the_published_one(recorded):
    values, tensors = recorded
    scores, labels = tensors["seg/logits"], tensors["seg/label"][:, 0].long()
    assert float(soft_dice_loss(scores, labels)) == pytest.approx(values["seg_loss"]["mean_dice_loss"], abs=1e-5)
    entropy = torch.nn.functional.cross_entropy(scores, labels, ignore_index=IGNORED)
    assert float(entropy) == pytest.approx(values["seg_loss"]["cross_entropy"], abs=1e-5)


def test_heatmap_loss_is_the_published_one(recorded):
    values, tensors = recorded
    dice, entropy = heatmap_loss(tensors["landmark/logits"], tensors["landmark/heatmap"])
    assert float(dice) == pytest.approx(values["landmark_loss"]["dice_loss"], abs=1e-5)
    assert float(entropy) == pytest.approx(values["landmark_loss"]["bce_loss"], abs=1e-5)


def test_wing_loss_of_places_and_relative_places_is_the_published_one(recorded):
    values, tensors = recorded
    assert float(wing_loss(tensors["wing/pred"], tensors["wing/true"])) == pytest.approx(values["wing_loss"], abs=1e-4)
    found, true = (tensors[f"wing/{name}"].reshape(-1, 3, 2) for name in ("pred", "true"))
    assert float(wing_loss(relative_places(found), relative_places(true))) == pytest.approx(
        values["wing_rel"], abs=1e-4
    )


def test_peaks_of_recorded_heatmaps_are_where_the_published_code_sees_them(recorded):
    values, tensors = recorded
    found = [peak(heat.numpy(), sub_pixel=False) for heat in tensors["landmark/heatmap"][0]]
    assert np.concatenate(found).tolist() == values["heatmap_argmax"][0]


def test_voxels_that_nobody_looked_at_change_no_loss():
    torch.manual_seed(0)
    scores, labels = torch.randn(2, 4, 6, 5, 3), torch.randint(0, 4, (2, 6, 5, 3))
    labels[:, 3:] = IGNORED
    other = scores.clone()
    other[:, :, 3:] += 7 * torch.randn(2, 4, 3, 5, 3)
    assert float(soft_dice_loss(scores, labels)) == pytest.approx(float(soft_dice_loss(other, labels)), abs=1e-6)
    assert float(soft_dice_loss(scores, labels)) == pytest.approx(
        float(soft_dice_loss(scores[:, :, :3], labels[:, :3])), abs=1e-6
    )


@pytest.mark.parametrize("place", [(10.0, 12.0), (10.3, 12.7), (4.5, 19.49), (0.2, 5.0)])
def test_a_gaussian_hill_is_found_between_pixels(place):
    hill = heatmaps(torch.tensor([[place]]), (24, 22), 3.0)[0, 0].numpy()
    np.testing.assert_allclose(peak(hill), place, atol=1e-4)
    np.testing.assert_allclose(peak(hill, sub_pixel=False), place, atol=0.51)


def test_a_map_without_a_hill_has_its_peak_at_the_highest_pixel():
    flat = np.zeros((6, 5), np.float32)
    flat[2, 3] = 1.0
    np.testing.assert_allclose(peak(flat), (2, 3), atol=0.01)
    assert peak(np.zeros((6, 5), np.float32)).tolist() == [0, 0]


def test_hinges_that_come_down_shorten_the_heart():
    ed = np.array([[-15.0, 0, 0], [15, 0, 0], [0, 0, -80]])
    es = ed + np.array([[0, 0, -12.0], [0, 0, -16], [0, 0, 0]])
    still = np.stack([ed, ed], axis=1)
    moving = np.stack([ed, es], axis=1)
    task = Landmarks(LandmarkSettings())
    found, truth = (Findings(landmarks=dict(zip(task.points, p, strict=True)), cycle=BEAT) for p in (still, moving))
    scores = task.score(found, truth)
    assert scores["mapse_true"] == pytest.approx(14)
    assert scores["gl_shortening_true"] == pytest.approx(100 * 14 / 80)
    assert scores["mapse_error"] == pytest.approx(14)
    assert scores["distance_valve1"] == pytest.approx(12 / 2)
    assert scores["distance_apex"] == 0


BEAT = {"LV_ED": 0, "LV_ES": 1}


def study(labels, **facts):
    image = Image(labels.astype(np.float32), np.diag([2.0, 2, 10, 1]), np.arange(labels.shape[3]) * 0.1)
    return Study("someone", {SAX: image}, Facts(**facts))


def two_frames(full=10, empty=4):
    labels = np.zeros((12, 12, 3, 2), np.uint8)
    labels[:full, 0, 1, 0] = Structure.LV
    labels[:empty, 0, 1, 1] = Structure.LV
    labels[:6, 1, 1] = Structure.MYO
    return labels


def test_the_target_is_what_was_measured_else_what_labels_tell():
    labels = two_frames()
    known = Findings(measurements={"LVEF": Measurement(61.0, "%", "exact", "phantom")}, cycle=BEAT)
    drawn = Findings(labels={SAX: labels}, cycle=BEAT)
    person = study(labels, height_m=2.0, weight_kg=80.0, age_y=41.0)
    told = {t: value_of(RegressionSettings(target=t), person, drawn) for t in ("LVEF", "BMI", "age")}
    assert told == {"LVEF": 60.0, "BMI": 20.0, "age": 41.0}
    assert value_of(RegressionSettings(), person, known) == 61.0
    assert value_of(RegressionSettings(), person, Findings(cycle=BEAT)) is None
    assert value_of(RegressionSettings(target="BMI"), study(labels, height_m=1.8), drawn) is None


def test_where_only_volumes_are_known_the_fraction_follows_from_them():
    volumes = {"LVEDV": Measurement(120.0, "ml", "", "expert"), "LVESV": Measurement(54.0, "ml", "", "expert")}
    known = Findings(measurements=volumes)
    assert value_of(RegressionSettings(), study(two_frames()), known) == pytest.approx(55)
    task = VolumeSegmentation(VolumeSegmentationSettings())
    found = Findings(measurements={"LVEF": Measurement(50.0, "%", "", "labels")})
    assert task.score(found, known) == pytest.approx({"lvef_error": 5, "lvef_found": 50, "lvef_true": 55})


def test_the_legacy_target_sums_codes_as_published_weights_learned_it():
    drawn = Findings(labels={SAX: two_frames()}, cycle=BEAT)
    weighted = value_of(RegressionSettings(target="legacy_weighted_ef"), study(two_frames()), drawn)
    assert weighted == pytest.approx(100 * (10 * 3 - 4 * 3) / (10 * 3 + 6 * 2))


def case(labels, group="", disease=None, **facts):
    found = study(labels, **facts), Findings(labels={SAX: labels}, cycle=BEAT)
    return Case(f"{group}{facts}", lambda: found, group=group, disease=disease)


def test_answers_are_scaled_by_the_cases_learned_from():
    cases = [case(two_frames(10, empty)) for empty in (2, 4, 6)]
    task = Regression(RegressionSettings(grid=Grid((16, 16, 3), (2.0, 2.0, 0.0))), cases)
    assert task.settings.mean == pytest.approx(60)
    assert task.settings.spread == pytest.approx(np.std([80, 60, 40]))
    targets = np.array([float(sample.target[0]) for sample in task.samples])
    np.testing.assert_allclose(targets.mean(), 0, atol=1e-6)
    np.testing.assert_allclose(targets.std(), 1, atol=1e-6)


def test_the_ill_are_all_who_are_not_normal():
    well, sick = (case(two_frames(), disease=d) for d in (Disease.NORMAL, Disease.DCM))
    assert [class_of("detection", c) for c in (well, sick)] == ["normal", "ill"]
    assert class_of("disease", case(two_frames(), group="FALL")) == "FALL"
    assert class_of("sex", case(two_frames(), sex=Sex.FEMALE)) == "F"
    assert class_of("vendor", case(two_frames())) == ""


def test_people_of_a_class_that_was_not_learned_leave_the_scores():
    task = Classification(ClassificationSettings(), [case(two_frames(), group=g) for g in ("DCM", "NOR")])
    stranger = task.truth(case(two_frames(), group="FALL"))
    known = task.truth(case(two_frames(), group="NOR"))
    assert task.score(known, stranger) == {}
    assert task.score(known, known)["class"] == 1.0
    assert task.score(task.truth(case(two_frames(), group="DCM")), known)["correct"] == 0.0


def test_one_class_only_is_refused():
    with pytest.raises(RefusedInput, match="two classes or more, and of 2 cases there is only DCM"):
        Classification(ClassificationSettings(), [case(two_frames(), group="DCM")] * 2)


def test_cases_without_labels_are_refused_when_there_are_no_others():
    bare = study(two_frames())
    task = VolumeSegmentation(VolumeSegmentationSettings(), [Case("a", lambda: (bare, Findings()))])
    with pytest.raises(RefusedInput, match="none of 1 cases has what VolumeSegmentation learns from"):
        task.batch(np.random.default_rng(0), 1)


def test_an_image_with_nan_is_refused():
    labels = two_frames()
    broken = study(labels)
    broken[View.SAX].data[0, 0, 0, 0] = np.nan
    one = Case("a", lambda: (broken, Findings(labels={SAX: labels}, cycle=BEAT)))
    task = VolumeSegmentation(VolumeSegmentationSettings(grid=Grid((16, 16, 3), (2.0, 2.0, 0.0))), [one])
    with pytest.raises(RefusedInput, match="no numbers"):
        task.batch(np.random.default_rng(0), 1)


def test_a_study_without_the_view_is_refused():
    settings = VolumeSegmentationSettings(View.LAX_4C, grid=Grid((32, 32, 1), (2.0, 2.0, 0.0)))
    with pytest.raises(RefusedInput, match="has no LAX_4C CINE"):
        VolumeSegmentation(settings).predict(torch.nn.Identity(), study(two_frames()))


def test_labels_learned_are_those_of_the_image_where_the_grid_lies():
    labels = np.zeros((16, 16, 3, 2), np.uint8)
    labels[4:9, 5:11, 1] = Structure.LV
    labels[4:9, 11, 1] = Structure.SCAR
    labels[:, :, 2] = Structure.UNSEEN
    grid = Grid((16, 16, 3), (2.0, 2.0, 0.0))
    task = VolumeSegmentation(VolumeSegmentationSettings(grid=grid), [case(labels)])
    target = task.samples[0].target
    np.testing.assert_array_equal(target[..., 1] == 3, labels[..., 1, 0] == Structure.LV)
    np.testing.assert_array_equal(target[..., 1] == 2, labels[..., 1, 0] == Structure.SCAR)
    assert (target[..., 2] == Structure.UNSEEN).all()


class Drawn(torch.nn.Module):
    """A network that answers with thresholds of what it sees."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def forward(self, image):
        lit = (image[:, 0] > 0.5).float()
        return 20 * torch.stack([1 - lit, 0 * lit, 0 * lit, lit], 1)


@pytest.mark.parametrize("deep", [2, 3, 5])
def test_a_network_that_sees_brightness_finds_it_whatever_its_depth(deep):
    labels = np.zeros((20, 18, 4, 2), np.uint8)
    labels[6:13, 5:12, 1:3, 0] = Structure.LV
    labels[8:11, 7:10, 1:3, 1] = Structure.LV
    task = VolumeSegmentation(VolumeSegmentationSettings(grid=Grid((16, 16, deep), (2.0, 2.0, 0.0))))
    seen, truth = study(labels), Findings(labels={SAX: labels}, cycle=BEAT)
    found = task.predict(Drawn(), seen)
    np.testing.assert_array_equal(found.labels[SAX], labels)
    scores = task.score(found, truth, seen)
    assert scores["dice_lv"] == 1
    assert scores["lvef_error"] == 0
    assert found.measurements["LVEDV"].value == pytest.approx(7 * 7 * 2 * 0.04)


def test_only_the_frames_that_are_asked_for_are_labelled_and_scored():
    labels = np.repeat(two_frames(), 2, axis=3)
    task = VolumeSegmentation(VolumeSegmentationSettings(grid=Grid((16, 16, 3), (2.0, 2.0, 0.0))))
    found = task.predict(Drawn(), study(labels), {"LV_ED": 0, "LV_ES": 3})
    assert labelled_frames(found.labels[SAX], {}) == [0, 3]
    labels[..., 1] = Structure.UNSEEN
    assert labelled_frames(labels, {}) == [0, 2, 3]
    assert labelled_frames(labels, {"LV_ED": 0, "LV_ES": 3}) == [0, 3]


def test_a_miss_is_an_infinite_distance_and_not_a_gap():
    labels = two_frames()
    task = VolumeSegmentation(VolumeSegmentationSettings())
    nothing = Findings(labels={SAX: np.zeros_like(labels)})
    scores = task.score(nothing, Findings(labels={SAX: labels}, cycle=BEAT), study(labels))
    assert scores["dice_lv"] == 0
    assert scores["hd95_lv"] == np.inf
    assert scores["volume_lv"] == pytest.approx((10 + 4) / 2 * 0.04)
    assert scores["lvef_error"] == pytest.approx(60)
    assert scores["hd95_rv"] == 0


def test_phases_are_guessed_by_what_changes_most_and_said_so():
    data = np.zeros((9, 9, 2, 5), np.float32)
    data[4, 4, :, 3] = 5
    image = Image(data, np.eye(4), np.arange(5) * 0.1)
    ed, es, flags = phases(image, None)
    assert (ed, es, [flag.code for flag in flags]) == (0, 3, ["phases-guessed"])
    assert phases(image, {"LV_ED": 1, "LV_ES": 2}) == (1, 2, [])


def test_networks_are_those_of_the_paper_by_default():
    with torch.device("meta"):
        net = Architecture(image_norm=True).build("sax", (192, 192, 16), 1, 4)
    assert sum(p.numel() for p in net.parameters()) / 1e6 == pytest.approx(127, abs=1)
    with pytest.raises(ValueError, match="no network 'vgg'"):
        Architecture("vgg")


def test_landmarks_of_a_view_have_the_names_of_that_view():
    assert [p.value.split("_")[1] for p in POINTS[View.LAX_2C]] == ["2c"] * 2 + ["2c"]
    assert POINTS[View.LAX_4C][2] is Landmark.APEX_4C


def test_a_point_that_a_move_would_take_out_of_the_image_stays():
    from cinecmr.learn.warp import Changes, Move

    far = Changes(gamma=None, noise=0.0, move=Move(turn=0.0, shift=400.0, size=0.0, chance=1.0))
    near = Changes(gamma=None, noise=0.0, move=Move(turn=90.0, shift=2.0, size=0.0, chance=1.0))
    image = np.zeros((1, 32, 32, 1), np.float32)
    points = np.array([[12.0, 12], [20, 12], [16, 20]], np.float32)
    for x, y in points.astype(int):
        image[0, x - 1 : x + 2, y - 1 : y + 2] = 1
    grid = Grid((32, 32, 1), (1.0, 1.0, 0.0))
    for changes in (far, near):
        task = Landmarks(LandmarkSettings(grid=grid, changes=changes))
        for seed in range(8):
            moved, there = task.changed(Sample(image, points), np.random.default_rng(seed))
            assert moved.shape == (1, 32, 32)
            assert (there >= 0).all()
            assert (there <= 31).all()
            assert all(moved[0, round(float(x)), round(float(y))] > 0.4 for x, y in there)


def test_labels_move_with_their_image():
    from cinecmr.learn.warp import Changes, Move

    labels = np.zeros((24, 24, 2, 2), np.uint8)
    labels[8:15, 9:17] = Structure.LV
    turn = Changes(gamma=None, noise=0.0, move=Move(turn=180.0, shift=3.0, size=0.1, chance=1.0))
    settings = VolumeSegmentationSettings(grid=Grid((24, 24, 2), (2.0, 2.0, 0.0)), changes=turn)
    task = VolumeSegmentation(settings, [case(labels)])
    for seed in range(4):
        image, target = task.sample(0, np.random.default_rng(seed))
        assert target.dtype == np.int64
        assert {*np.unique(target)} == {0, 3}
        assert ((image[0] > 0.5) == (target == 3)).mean() > 0.95
