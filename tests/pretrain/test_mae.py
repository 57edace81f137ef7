"""Masked autoencoding: views that lack, patches that hide, padding that does not count, pictures, the command."""

import json
from functools import partial

import numpy as np
import pytest
import torch

from cinecmr.anatomy import Contrast, View
from cinecmr.datasets import Case
from cinecmr.errors import RefusedInput
from cinecmr.pretrain import mae, pictures
from cinecmr.pretrain._masking import hidden_patches
from cinecmr.pretrain.pool import gather
from cinecmr.pretrain.run import cases_of, held_apart, pretrain
from cinecmr.study import Findings, Image, Study

ALL = (View.SAX, View.LAX_2C, View.LAX_3C, View.LAX_4C)
SMOKE = mae.plan("smoke").settings


def visit(number, views=ALL, frames=3, bad=False):
    rng = np.random.default_rng(number)
    images = {}
    for view in views:
        shape = (40, 36, 5 if view is View.SAX else 1, frames)
        data = rng.random(shape).astype(np.float32)
        data[10:20, 12:18] += 2
        if bad:
            data[0, 0, 0, 0] = np.nan
        images[view, Contrast.CINE] = Image(data, np.diag([5.0, 5.0, 20.0, 1.0]), np.arange(frames) * 0.1, view)
    return Study(f"s{number}", images), Findings()


def case(number, **more):
    return Case(f"patient {number}", partial(visit, number, **more), person=f"patient {number // 2}")


@pytest.fixture
def mixed(tmp_path):
    """Four visits: whole, whole, one without 2C, one with the short axis only."""
    cases = [case(0), case(1), case(2, views=(View.SAX, View.LAX_3C, View.LAX_4C)), case(3, views=(View.SAX,))]
    return gather(cases, SMOKE.grids(), tmp_path / "pool")


def test_hidden_patches_are_the_share_asked_for_and_each_as_often():
    drawn = np.stack([hidden_patches(np.random.default_rng(n), 36, 0.75) for n in range(400)])
    assert (drawn.sum(1) == 27).all()
    np.testing.assert_allclose(drawn.mean(0), 0.75, atol=0.1)
    for share in (0.0, 1.0, 0.999):
        with pytest.raises(ValueError, match="leaves nothing"):
            hidden_patches(np.random.default_rng(0), 36, share)


def test_visits_without_some_views_are_learned_from_with_those_they_have(mixed):
    objective = mae.MAE(mixed, mixed[:1], SMOKE)
    batch = objective.collate([objective.sample(n, np.random.default_rng(n)) for n in range(4)])
    sets = {tuple(views.images): len(views) for views in batch}
    assert sets == {("sax", "lax_2c", "lax_3c", "lax_4c"): 2, ("sax", "lax_3c", "lax_4c"): 1, ("sax",): 1}
    torch.manual_seed(0)
    network = objective.network()
    told = objective.loss(network, batch)
    alone = [float(objective.loss(network, [views]).total.detach()) * len(views) / 4 for views in batch]
    assert float(told.total.detach()) == pytest.approx(sum(alone), rel=1e-5)
    assert set(told.parts) == {"mse_sax", "mse_lax_2c", "mse_lax_3c", "mse_lax_4c"}


def test_the_loss_is_the_slow_mean_over_hidden_pixels_that_were_acquired(mixed):
    objective = mae.MAE(mixed, (), SMOKE)
    views = objective.collate([objective.sample(3, np.random.default_rng(5))])[0]
    torch.manual_seed(0)
    network = objective.network()
    drawn = network(views.images, views.hidden)["sax"][0]
    image, inside, hidden = (views.images["sax"][0, 0], views.inside["sax"][0, 0], views.hidden["sax"][0])
    total = count = 0.0
    grid, row = (2, 2, 4), 0
    for n, (x, y, z) in enumerate(np.ndindex(*grid)):
        if hidden[n]:
            for p in range(16):
                for q in range(16):
                    at = (16 * x + p, 16 * y + q, z)
                    if inside[at] > 0:
                        total += float((drawn[row, 16 * p + q] - image[at]).detach()) ** 2
                        count += 1
            row += 1
    assert objective.loss(network, [views]).parts["mse_sax"] == pytest.approx(total / count, rel=1e-4)
    assert 0 < float(inside.mean()) < 1


def test_padding_counts_where_the_published_code_counts_it(mixed):
    torch.manual_seed(0)
    network = mae.MAE(mixed, (), SMOKE).network()
    found = []
    for scores in (False, True):
        objective = mae.MAE(mixed, (), mae.replace(SMOKE, score_padding=scores))
        found.append(float(objective.loss(network, [objective.sample(3, np.random.default_rng(5))]).total.detach()))
    assert found[0] != pytest.approx(found[1], rel=1e-3)


def test_the_official_preset_shares_one_move_between_long_axis_views(mixed):
    settings = mae.replace(SMOKE, preset="official")
    objective = mae.MAE(mixed, (), settings)
    alike = differ = 0
    for seed in range(12):
        sample = objective.sample(0, np.random.default_rng(seed))
        masks = [sample.inside[view].sum() for view in ("lax_2c", "lax_3c", "lax_4c")]
        assert masks[0] == masks[1] == masks[2]
        differ += int(masks[0] != 30 * 30)
        alike += 1
    assert alike == 12


def test_the_check_hides_the_same_patches_every_time(mixed):
    objective = mae.MAE(mixed[1:], mixed[:1], SMOKE)
    torch.manual_seed(0)
    network = objective.network().eval()
    with torch.inference_mode():
        first, again = objective.check(network), objective.check(network)
    assert first == again
    assert next(iter(first)) == "psnr"
    errors = [value for name, value in first.items() if name.startswith("held_out_mse")]
    assert first["psnr"] == pytest.approx(-10 * np.log10(np.mean(errors)))
    assert mae.MAE(mixed, (), SMOKE).check(network) == {}


def test_a_pool_goes_on_where_it_stopped_and_hides_names(tmp_path):
    loaded = []

    def load(number):
        loaded.append(number)
        return visit(number)

    cases = [Case(f"patient {n}", partial(load, n), person=f"patient {n}") for n in range(3)]
    first = gather(cases[:2], SMOKE.grids(), tmp_path)
    whole = gather(cases, SMOKE.grids(), tmp_path)
    assert loaded == [0, 1, 2]
    assert {entry.name for entry in first} < {entry.name for entry in whole}
    assert not [path for path in tmp_path.rglob("*") if "patient" in path.name]
    assert len(whole[0].frames("sax")) == 3
    (few,) = gather(cases[:1], SMOKE.grids(), tmp_path, frames=2)
    assert len(few.frames("sax")) == 2


def test_visits_that_cannot_be_read_are_told_and_left_out(tmp_path):
    told = []
    cases = [case(0), case(1, bad=True), case(2, views=())]
    entries = gather(cases, SMOKE.grids(), tmp_path, say=told.append)
    assert len(entries) == 1
    assert ["not-finite" in line for line in told] == [True, False]
    assert "has no cine" in told[1]
    with pytest.raises(RefusedInput, match="none of 1 visits has a readable cine") as refused:
        gather([case(1, bad=True)], SMOKE.grids(), tmp_path / "other", say=told.append)
    assert refused.value.code == "nothing-to-learn"


def test_nobody_is_learned_from_and_checked_on(mixed):
    learned, held_out = held_apart(mixed, 0.25)
    assert held_out
    assert not {entry.person for entry in learned} & {entry.person for entry in held_out}
    assert len(learned) + len(held_out) == 4
    assert held_apart(mixed[:1], 0.25) == ([mixed[0]], [])


def test_pictures_show_what_was_hidden_and_what_was_drawn(mixed, tmp_path):
    objective = mae.MAE(mixed, (), SMOKE)
    torch.manual_seed(0)
    network = objective.network().eval()
    views = objective.fixed(mixed[0])
    for view, (image, shown, drawn, difference) in pictures.panels(network, views).items():
        seen = np.isfinite(shown)
        assert view == "sax" or seen.mean() == 0.25  # one of four patches is shown
        np.testing.assert_array_equal(drawn[seen], image[seen])
        np.testing.assert_allclose(difference, np.abs(drawn - image), atol=1e-6)
    (path,) = pictures.draw(network, objective, mixed[:1], tmp_path)
    assert path.read_bytes()[:4] == b"\x89PNG"


def test_the_command_learns_checks_draws_and_goes_on_where_it_was(tmp_path):
    told = []
    cases = [case(n) for n in range(6)]
    settings = ["updates=4", "settings.hidden=0.5", "optimiser.rate=1e-3"]
    weights = pretrain(cases, tmp_path, "smoke", given=settings, say=told.append)
    assert weights.is_file()
    made = json.loads((weights.parent / "made.json").read_text())
    assert made["scale"] == "smoke"
    assert made["psnr"] > 0
    assert list((weights.parent / "pictures").glob("*.png"))
    recipe = json.loads((weights.parent / "recipe.json").read_text())
    assert (recipe["objective"]["hidden"], recipe["schedule"]["updates"], recipe["optimiser"]["rate"]) == (0.5, 4, 1e-3)
    before = weights.stat().st_mtime_ns
    assert pretrain(cases, tmp_path, "smoke", given=settings, say=told.append) == weights
    assert weights.stat().st_mtime_ns == before
    assert "million weights" in told[0]


def test_scales_and_presets_are_those_of_the_paper_its_code_and_ours():
    published, official, sound = (mae.plan("full", preset) for preset in ("published", "official", "sound"))
    assert (published.batch, official.batch, published.epochs) == (128, 64, 800)
    assert published.settings.score_padding
    assert not sound.settings.score_padding
    network = mae.MAE((), (), mae.plan("full").settings)
    with torch.device("meta"):
        assert sum(p.numel() for p in network.network().parameters()) == 125_670_400
    with pytest.raises(ValueError, match="there are smoke, laptop, gpu, full"):
        mae.plan("huge")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"preset": "best"}, "no preset 'best'"),
        ({"views": ("sax", "lax_5c")}, "views are any of sax, lax_2c, lax_3c, lax_4c"),
        ({"hidden": 1.0}, "hidden is a share between 0 and 1"),
    ],
)
def test_settings_that_make_no_sense_are_refused(given, message):
    with pytest.raises(ValueError, match=message):
        mae.MAESettings(**given)


def test_data_that_is_no_data_set_is_refused_and_phantoms_are_seeded(tmp_path):
    with pytest.raises(RefusedInput, match="laid out as none of the data sets"):
        cases_of(str(tmp_path))
    assert [c.subject for c in cases_of("phantom", subjects=2, seed=5)] == ["phantom00005", "phantom00006"]
