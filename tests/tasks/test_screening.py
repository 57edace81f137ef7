"""Screening learns from three sequences and answers from two; every phase is exact about who it sees."""

import numpy as np
import pytest
import torch

from cinecmr.errors import RefusedInput
from cinecmr.learn.fit import fit
from cinecmr.learn.recipe import Optimiser, Recipe, Schedule
from cinecmr.networks.video_swin import VideoSwinConfig
from cinecmr.tasks.screening import (
    FusionPhase,
    Interaction,
    JointPhase,
    ScreeningSettings,
    SequencePhase,
    balanced_accuracy,
    features_of,
    fused_features,
    probabilities,
    started,
)
from cinecmr.tasks.screening_data import Window
from cinecmr.tasks.screening_network import CinemaEncoder, ScreeningConfig, ScreeningNetwork, VitShape
from cinecmr.tasks.screening_samples import NO_AUGMENT, Augment, Samples, balanced_rows, draw, parts

WINDOW = Window(size=16, spacing_mm=8.0, frames=4, sax_slices=3, lge_slices=6)
SWIN = VideoSwinConfig(width=4, depths=(1, 1), heads=(1, 2), window=(2, 2, 2), drop_path=0.0)
CONFIG = ScreeningConfig(window=WINDOW, swin=SWIN, hidden=8, dropout=0.0)
SETTINGS = ScreeningSettings(CONFIG, NO_AUGMENT, draws=1, backbone_rate=1.0)
SEQUENCES = ("ch4", "sax", "lge")


def cohort(n=12, classes=2, lacking=(), seed=0):
    """Noise; the class shifts the brightness of one half of every clip."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % classes
    clips, there = {}, {}
    for name in SEQUENCES:
        data = rng.normal(size=(n, *WINDOW.shape(name))).astype(np.float16)
        data[..., :8, :] += labels[:, None, None, None, None].astype(np.float16)
        clips[name], there[name] = data, np.ones(n, bool)
    for name, row in lacking:
        clips[name][row], there[name][row] = 0, False
    return Samples(tuple(f"s{i}" for i in range(n)), labels, clips, there)


def network(seed=0, **changes):
    torch.manual_seed(seed)
    return ScreeningNetwork(ScreeningConfig(**{"window": WINDOW, "swin": SWIN, "hidden": 8, **changes})).eval()


def test_the_answer_needs_the_cines_alone_and_never_looks_at_late_enhancement():
    whole, samples = network(), cohort(4)
    clips = {name: samples.clip(name, range(4)) for name in SEQUENCES}
    answer = whole(clips)
    assert answer.shape == (4, 2)
    for parameter in whole.encoders["lge"].parameters():
        parameter.data.fill_(float("nan"))
    torch.testing.assert_close(whole({name: clips[name] for name in ("ch4", "sax")}), answer)
    for_use = ScreeningNetwork(CONFIG, ("ch4", "sax"))
    for_use.load_state_dict({k: v for k, v in whole.state_dict().items() if k in for_use.state_dict()})
    torch.testing.assert_close(for_use.eval()(clips), answer)
    assert not [name for name in for_use.state_dict() if "lge" in name]


def test_slices_are_channels_and_a_single_slice_is_copied_to_all_of_them():
    whole, samples = network(), cohort(2)
    one = samples.clip("ch4", range(2))
    three = one.expand(-1, 3, -1, -1, -1)
    torch.testing.assert_close(whole.features("ch4", one), whole.encoders["ch4"].backbone(three))


@pytest.mark.parametrize("micro", [1, 3])
def test_gradients_of_few_clips_at_a_time_are_those_of_the_whole_batch(micro):
    found = []
    for size in (0, micro):
        phase = JointPhase(cohort(), cohort(4), ScreeningSettings(CONFIG, NO_AUGMENT, micro=size))
        torch.manual_seed(1)
        joint = phase.network().double()
        batch = phase.batch(np.random.default_rng(0), 8)
        batch = batch._replace(clips={name: clip.double() for name, clip in batch.clips.items()})
        phase.loss(joint, batch).total.backward()
        found.append({name: p.grad for name, p in joint.named_parameters() if p.grad is not None})
    assert found[0].keys() == found[1].keys()
    for name, gradient in found[0].items():
        torch.testing.assert_close(found[1][name], gradient, atol=1e-6, rtol=1e-4, msg=name)
    assert any(name.startswith("screening.encoders.lge") and (g != 0).any() for name, g in found[1].items())


def test_dropped_paths_fall_alike_when_features_are_computed_a_second_time():
    dropping = VideoSwinConfig(width=4, depths=(1, 1), heads=(1, 2), window=(2, 2, 2), drop_path=0.6)
    torch.manual_seed(0)
    one = ScreeningNetwork(ScreeningConfig(window=WINDOW, swin=dropping), ("sax",)).train()
    clips, grads = cohort(6).clip("sax", range(6)), []
    for again in (False, True):
        torch.manual_seed(7)
        parts_ = [one.encoders["sax"](part) for part in clips.split(2)]
        features = one.features("sax", clips, micro=2) if again else torch.cat(parts_)
        if again:
            torch.manual_seed(7)
            features = one.features("sax", clips, micro=2)
        grads.append(torch.autograd.grad(features.square().sum(), one.encoders["sax"].backbone.patch_embed.proj.weight))
    torch.testing.assert_close(grads[0][0], grads[1][0])


def test_losses_of_the_joint_phase_are_named_and_their_weights_logged():
    phase = JointPhase(cohort(), cohort(4), SETTINGS)
    loss = phase.loss(phase.network(), phase.batch(np.random.default_rng(0), 8))
    names = ["fsa:ch4-sax", "fsa:ch4-lge", "fsa:sax-lge", "cls:ch4", "cls:sax", "cls:lge"]
    assert list(loss.parts) == names + [f"weight {name}" for name in names]
    assert loss.parts["weight cls:lge"] == pytest.approx(1, abs=1e-5)
    expected = sum(loss.parts[name] for name in names) + 6 * np.log(2)
    assert float(loss.total.detach()) == pytest.approx(expected, abs=1e-4)


def test_alignment_keeps_single_precision_where_encoders_run_in_half():
    phase = JointPhase(cohort(), cohort(4), SETTINGS)
    batch = phase.batch(np.random.default_rng(0), 8)
    features = {name: torch.randn(8, 8, generator=torch.Generator().manual_seed(n)) for n, name in enumerate(SEQUENCES)}
    plain = phase._alignment(batch, features, "ch4", "lge")
    with torch.autocast("cpu", torch.bfloat16):
        assert phase._alignment(batch, features, "ch4", "lge") == plain
        found = phase.loss(phase.network(), batch)
    assert found.total.dtype is torch.float32


def test_the_controls_leave_out_what_they_say():
    rng = np.random.default_rng(0)
    cines = JointPhase(cohort(), cohort(4), SETTINGS, interaction=Interaction(("ch4", "sax")))
    assert cines.interaction.losses == ("fsa:ch4-sax", "cls:ch4", "cls:sax")
    assert "lge" not in cines.network().screening.encoders
    assert "lge" not in cines.batch(rng, 8).clips
    alone = Interaction(("ch4", "sax"), (), balance="equal")
    assert alone.losses == ("cls:ch4", "cls:sax")
    guided = JointPhase(cohort(), cohort(4), SETTINGS, interaction=Interaction(pairs=(("sax", "lge"),), guide=True))
    joint, batch = guided.network(), guided.batch(rng, 8)
    features = {name: joint.screening.features(name, batch.clips[name]) for name in ("sax", "lge")}
    guided._alignment(batch, features, "sax", "lge").backward()
    assert all(p.grad is None for p in joint.screening.encoders["lge"].parameters())
    assert any(p.grad is not None for p in joint.screening.encoders["sax"].parameters())


def test_shuffled_enhancement_keeps_every_clip_and_gives_it_to_another():
    samples = cohort(8, lacking=[("lge", 2)])
    shuffled = samples.with_shuffled("lge", seed=3)
    rows = [0, 1, 3, 4, 5, 6, 7]
    key = lambda clips: sorted(clips[rows].astype(float).sum((1, 2, 3, 4)).tolist())  # noqa: E731
    assert key(shuffled.clips["lge"]) == key(samples.clips["lge"])
    assert (shuffled.clips["lge"][rows] != samples.clips["lge"][rows]).any()
    assert (shuffled.clips["lge"][2] == 0).all()
    assert shuffled.clips["sax"] is samples.clips["sax"]


def test_a_patient_without_one_sequence_still_teaches_with_the_others():
    samples = cohort(8, lacking=[("lge", row) for row in range(1, 7)] + [("ch4", 0)])
    phase = JointPhase(samples, cohort(4), SETTINGS, interaction=Interaction())
    batch = phase.batch(np.random.default_rng(2), 8)
    assert {name: len(rows) for name, rows in batch.rows.items()} == {"ch4": 7, "sax": 8, "lge": 2}
    loss = phase.loss(phase.network(), batch)
    assert loss.parts["fsa:sax-lge"] > 0
    none = cohort(8, lacking=[("lge", row) for row in range(8)])
    phase = JointPhase(none, cohort(4), SETTINGS)
    loss = phase.loss(phase.network(), phase.batch(np.random.default_rng(2), 8))
    assert (loss.parts["fsa:sax-lge"], loss.parts["weight cls:lge"]) == (0.0, 0.0)
    assert torch.isfinite(loss.total)
    by_patient = JointPhase(samples, cohort(4), SETTINGS, interaction=Interaction(form="sample"))
    batch = by_patient.batch(np.random.default_rng(2), 8)
    loss = by_patient.loss(by_patient.network(), batch)
    assert loss.parts["fsa:sax-lge"] > 0  # two patients have both
    assert loss.parts["fsa:ch4-lge"] + 1 > 0  # one patient: nothing to contrast, and no fault


def test_every_batch_holds_two_of_each_class_however_rare():
    classes = np.array([0] * 30 + [1] * 3)
    rng = np.random.default_rng(0)
    for _ in range(20):
        rows = balanced_rows(classes, 9, rng)
        assert (classes[rows] == 1).sum() >= 4
        assert len(rows) == 9
    assert len(set(balanced_rows(np.arange(10) % 2, 8, rng).tolist())) >= 7
    with pytest.raises(ValueError, match="batch of 8 does not hold 2 of each of 5 classes"):
        balanced_rows(np.arange(20) % 5, 8, rng)


def test_a_class_without_members_is_refused_before_training():
    thin = cohort(12).take(np.array([0, 2, 4, 6, 8, 10, 1]))
    with pytest.raises(RefusedInput, match="class 1 has 1 of 7 training subjects") as refusal:
        SequencePhase(thin, cohort(4), SETTINGS)
    assert refusal.value.code == "too-few-of-a-class"


def test_folds_share_no_subject_and_ask_everybody_once():
    classes = np.array([0] * 23 + [1] * 17)
    strata = [f"site{i % 3}" for i in range(40)]
    turns = parts(classes, strata, folds=5, seed=1)
    for turn in turns:
        together = np.concatenate([turn.train, turn.inner, turn.test])
        assert sorted(together.tolist()) == list(range(40))
        assert 3 <= (classes[turn.test] == 1).sum() <= 4
    for name in ("inner", "test"):
        assert sorted(np.concatenate([getattr(turn, name) for turn in turns]).tolist()) == list(range(40))
    same = parts(classes, strata, folds=5, seed=1)
    assert all((a.test == b.test).all() for a, b in zip(turns, same, strict=True))
    with pytest.raises(RefusedInput, match="class 1 has 4 subjects, fewer than the 5 folds") as refusal:
        parts(np.array([0] * 9 + [1] * 4), [""] * 13)
    assert refusal.value.code == "class-missing-from-fold"
    with pytest.raises(ValueError, match="make 3"):
        parts(classes, strata, folds=2)


def test_augmentation_keeps_a_still_disc_in_place_and_rolls_the_beat():
    clip = torch.zeros(5, 1, 8, 32, 32)
    clip[:, :, :, 12:20, 12:20] = 1
    for t in range(8):
        clip[:, :, t] *= t
    turned = Augment(turn_deg=45, scale=0, shift=0, offset=0, gain=0, bias=0, noise=0)
    found = turned(clip, "sax", np.random.default_rng(0))
    torch.testing.assert_close(found.sum((1, 3, 4)), clip.sum((1, 3, 4)), atol=2.0, rtol=0.05)
    assert (found - clip).abs().max() > 0.5
    torch.testing.assert_close(NO_AUGMENT(clip, "sax", np.random.default_rng(0)), clip)
    rolled = Augment(0, 0, 0, 0.5, 0, 0, 0)
    starts = rolled(clip, "sax", np.random.default_rng(0))[:, 0, :, 16, 16].argmin(1)
    assert len(set(starts.tolist())) > 1
    torch.testing.assert_close(rolled(clip, "lge", np.random.default_rng(0)), clip)  # slices are no beat
    a, b = (draw(cohort(), SEQUENCES, 6, np.random.default_rng(4), Augment()) for _ in range(2))
    torch.testing.assert_close(a.clips["lge"], b.clips["lge"])


def test_weights_pass_from_phase_to_phase_and_the_fusion_does_not():
    samples, recipe = cohort(), Optimiser(rate=1e-3, average=0.0)
    first = SequencePhase(samples, cohort(4), SETTINGS, sequence="sax").network()
    joint = JointPhase(samples, cohort(4), SETTINGS, first.state_dict()).network()
    for name, weight in first.state_dict().items():
        own = joint.screening.state_dict()[name]
        assert torch.equal(own, weight) != name.startswith("fusion.") or (weight == 0).all()
    groups = JointPhase(samples, cohort(4), SETTINGS).parameter_groups(joint, recipe)
    assert sum(p.numel() for g in groups for p in g["params"]) == sum(p.numel() for p in joint.parameters())
    spared = {id(p) for g in groups if g["weight_decay"] == 0 for p in g["params"]}
    assert id(joint.balance.raw) in spared
    with pytest.raises(ValueError, match="has shape"):
        started(network(classes=5), first.state_dict())
    with pytest.raises(ValueError, match="none of the weights"):
        started(network(), {"other.weight": torch.zeros(1)})


def test_frozen_encoders_do_not_learn_while_the_fusion_does_and_all_phases_go_on_after_a_stop(tmp_path):
    samples, inner = cohort(16), cohort(6, seed=1)
    whole = network()
    before = {name: value.clone() for name, value in whole.state_dict().items()}
    phase = FusionPhase(samples, inner, SETTINGS, whole)
    recipe = Recipe({"task": "t"}, Optimiser(2e-2, 0.0, 2, average=0.0), Schedule(30, 8, 10, 30))
    lines = []
    fusion = fit(recipe, phase, tmp_path / "run", lines.append)
    assert lines[-1]["loss"] < lines[0]["loss"]
    assert all(torch.equal(value, before[name]) for name, value in whole.state_dict().items())
    again = fit(recipe, phase, tmp_path / "run")
    for name, value in fusion.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], value, atol=0, rtol=0)
    whole.fusion.load_state_dict(fusion.state_dict())
    found = probabilities(whole, inner)
    torch.testing.assert_close(
        torch.from_numpy(found), fusion(fused_features(whole, inner)).double().softmax(1).detach(), atol=1e-6, rtol=0
    )
    assert balanced_accuracy(found.argmax(1), inner.classes) >= 0.5


def test_probabilities_of_subjects_who_lack_a_cine_are_not_known():
    whole, samples = network(), cohort(5, lacking=[("sax", 1), ("lge", 2)])
    found = probabilities(whole, samples)
    assert np.isnan(found).all(1).tolist() == [False, True, False, False, False]
    alone = probabilities(whole, samples, "ch4")
    assert not np.isnan(alone).any()
    np.testing.assert_allclose(alone.sum(1), 1)
    assert (features_of(whole, samples, "lge")[2] == 0).all()


def test_cinemas_transformer_reads_end_diastole_and_what_differs_most():
    vit = VitShape((4, 8), 12, 1, 2)
    config = ScreeningConfig(window=WINDOW, encoder="cinema", vit=vit)
    torch.manual_seed(0)
    clip = cohort(2).clip("sax", range(2))
    clip[:, :, 2] += 9
    encoder = CinemaEncoder("sax", config)
    pair = encoder.two_moments(clip)
    assert pair.shape == (2, 2, 16, 16, 3)
    torch.testing.assert_close(pair[:, 0].movedim(-1, 1), clip[:, :, 0])
    torch.testing.assert_close(pair[:, 1].movedim(-1, 1), clip[:, :, 2])
    assert CinemaEncoder("ch4", config).two_moments(cohort(2).clip("ch4", range(2))).shape == (2, 2, 16, 16)
    whole = ScreeningNetwork(config).eval()
    clips = {name: cohort(2).clip(name, range(2)) for name in SEQUENCES}
    assert whole.features("lge", clips["lge"]).shape == (2, 12)
    assert whole(clips).shape == (2, 2)
    with pytest.raises(ValueError, match="no encoder"):
        ScreeningConfig(encoder="other")
