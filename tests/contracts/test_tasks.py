"""Every task of the published networks keeps the promises by which tables and commands use it."""

from functools import cache

import numpy as np
import pytest
import torch

from cinecmr.anatomy import Disease, Structure, View
from cinecmr.datasets import Case
from cinecmr.learn.samples import Grid
from cinecmr.phantom.study import synthetic_study
from cinecmr.tasks.architecture import Architecture
from cinecmr.tasks.classification import Classification, ClassificationSettings
from cinecmr.tasks.landmarks import Landmarks, LandmarkSettings
from cinecmr.tasks.regression import Regression, RegressionSettings
from cinecmr.tasks.volume_segmentation import VolumeSegmentation, VolumeSegmentationSettings

SMALL = {
    "width": 16, "depth": 1, "heads": 2, "stem": (4, 8), "decoder": (4, 8, 8, 8, 8), "levels": (4, 8),
    "layers": 18, "inplanes": (4, 8, 8, 8), "dropout": 0.0, "drop_path": 0.0,
}  # fmt: skip
STACK, PLANE = Grid((32, 32, 4), (6.0, 6.0, 0.0)), Grid((32, 32, 1), (6.0, 6.0, 0.0))


def network(kind):
    return Architecture(kind, **SMALL)


def settings():
    """One of every task and kind of network."""
    return {
        "segmentation-sax-unetr": VolumeSegmentationSettings(grid=STACK, architecture=network("convunetr")),
        "segmentation-sax-unet": VolumeSegmentationSettings(grid=STACK, architecture=network("unet")),
        "segmentation-4c": VolumeSegmentationSettings(View.LAX_4C, grid=PLANE, architecture=network("convunetr")),
        "ef": RegressionSettings(grid=STACK, architecture=network("convvit")),
        "age-resnet": RegressionSettings(View.LAX_4C, grid=PLANE, architecture=network("resnet"), target="age"),
        "disease": ClassificationSettings(grid=STACK, architecture=network("convvit")),
        "sex-resnet": ClassificationSettings(View.LAX_4C, grid=PLANE, architecture=network("resnet"), target="sex"),
        "heatmaps": LandmarkSettings(grid=PLANE, architecture=network("unet")),
        "coordinates": LandmarkSettings(View.LAX_2C, grid=PLANE, architecture=network("convvit")),
    }


TASKS = {
    VolumeSegmentationSettings: VolumeSegmentation,
    RegressionSettings: Regression,
    ClassificationSettings: Classification,
    LandmarkSettings: Landmarks,
}
FALLEN = 0.8  # loss after twenty steps, as a share of the first


@cache
def phantom(seed, disease):
    return synthetic_study(seed, disease, frames=3, matrix=(40, 40))


@cache
def cases():
    sick = (Disease.NORMAL, Disease.DCM, Disease.HCM, Disease.NORMAL)
    return tuple(
        Case(f"s{n}", lambda n=n, d=d: phantom(9300 + n, d), disease=d, person=f"s{n}") for n, d in enumerate(sick)
    )


def task(name, learn=True):
    chosen = settings()[name]
    return TASKS[type(chosen)](chosen, cases() if learn else ())


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


every_task = pytest.mark.parametrize("name", list(settings()))


@every_task
def test_twenty_steps_on_four_hearts_lower_the_loss(name):
    one = task(name)
    torch.manual_seed(0)
    net = one.network()
    optimiser = torch.optim.AdamW(net.parameters(), lr=2e-2 if one.settings.architecture.kind == "resnet" else 5e-3)
    batch = one.batch(np.random.default_rng(0), 4)
    curve = []
    for _ in range(20):
        loss = one.loss(net, batch)
        optimiser.zero_grad()
        loss.total.backward()
        optimiser.step()
        curve.append(float(loss.total.detach()))
    assert min(curve[-3:]) < FALLEN * curve[0]


@every_task
def test_the_same_draw_gives_the_same_batch_and_loss(name):
    one = task(name)
    torch.manual_seed(0)
    net = one.network().eval()
    first, again = (one.batch(np.random.default_rng(3), 2) for _ in range(2))
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    with torch.no_grad():
        assert float(one.loss(net, first).total) == float(one.loss(net, again).total)


@every_task
def test_truth_against_truth_scores_perfect(name):
    one = task(name)
    study, _ = cases()[1].load()
    truth = one.truth(cases()[1])
    scores = one.score(truth, truth, study)
    for key, value in scores.items():
        if key.startswith("dice") or key in ("correct", "share_of_true"):
            assert value == 1.0, key
        elif key.startswith(("hd95", "volume", "distance")) or key.endswith("error") or key == "closeness":
            assert value == 0.0, key
    assert scores


@every_task
def test_what_is_found_lies_on_the_studys_own_grid(name):
    one = task(name)
    torch.manual_seed(0)
    study, _ = cases()[2].load()
    image = study[one.settings.key]
    truth = one.truth(cases()[2])
    found = one.predict(one.network().eval(), study, truth.cycle)
    for labels in found.labels.values():
        assert labels.shape == image.data.shape
        asked = sorted(set(truth.cycle.values()))
        assert (labels[..., asked] != Structure.UNSEEN).all()
        assert {*np.unique(labels)} <= {0, 1, 2, 3, 255}
    for points in found.landmarks.values():
        assert points.shape == (image.frames, 3)
        index = np.linalg.solve(image.affine[:3, :3], points[0] - image.affine[:3, 3])
        assert abs(index[2]) < 1e-6
    assert found.labels or found.landmarks or found.measurements
    assert one.score(found, truth, study)


@every_task
def test_a_study_alone_is_enough_to_be_read(name):
    one = task(name)
    torch.manual_seed(0)
    study, _ = cases()[0].load()
    found = one.predict(one.network().eval(), study)
    if name.startswith(("ef", "age", "disease", "sex")):
        assert [flag.code for flag in found.flags] == ["phases-guessed"]
    for labels in found.labels.values():
        assert (labels != Structure.UNSEEN).all()


@every_task
def test_held_out_hearts_are_scored_and_the_first_score_is_the_better_the_higher(name):
    one = task(name)
    one.held_out = cases()[:2]
    torch.manual_seed(0)
    scores = one.check(one.network().eval())
    assert next(iter(scores)) in ("dice_mean", "closeness", "correct")
    assert all(np.isfinite(value) or key.startswith("hd95") for key, value in scores.items())
