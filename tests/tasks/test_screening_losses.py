"""Losses of screening equal the recorded ones, and stay sound where a class is absent."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from cinecmr.tasks.screening_losses import (
    UncertaintyWeights,
    class_matrix,
    cosines,
    focal_loss,
    label_alignment,
    sample_alignment,
)

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures" / "cc_cmr"
RECORDED = json.loads((FIXTURES / "losses.json").read_text("utf-8"))
TENSORS = load_file(FIXTURES / "losses.safetensors")
CASES = sorted(RECORDED["cases"])
SEQUENCES = ("ch4", "sax", "lge")
PAIRS = (("ch4", "sax"), ("ch4", "lge"), ("sax", "lge"))


def given(case):
    """Labels, features and scores of a recorded case."""
    labels = TENSORS[f"{case}/labels"]
    features = {name: TENSORS[f"{case}/features/{name}"] for name in SEQUENCES}
    scores = {name: TENSORS[f"{case}/logits/{name}"] for name in SEQUENCES}
    return labels, features, scores


def all_losses(case):
    labels, features, scores = given(case)
    losses = {f"fsa:{a}-{b}": label_alignment(features[a], features[b], labels) for a, b in PAIRS}
    return losses | {f"cls:{name}": focal_loss(scores[name], labels) for name in SEQUENCES}


def balance_of(case, floor=1e-3, balance="uncertainty"):
    weights = UncertaintyWeights(RECORDED["cases"][case]["sigma_order"], floor, balance).double()
    weights.raw.data.copy_(TENSORS[f"{case}/raw_sigma"])
    return weights


@pytest.mark.parametrize("case", CASES)
def test_classification_equals_the_recorded_focal_loss_and_cross_entropy(case):
    labels, _, scores = given(case)
    for name in SEQUENCES:
        recorded = RECORDED["cases"][case]
        assert float(focal_loss(scores[name], labels)) == pytest.approx(recorded["focal_gamma2"][name], abs=1e-12)
        plain = recorded["focal_gamma0_equals_CE"][name]
        assert float(focal_loss(scores[name], labels, gamma=0.0)) == pytest.approx(plain, abs=1e-12)
        assert float(torch.nn.functional.cross_entropy(scores[name], labels)) == pytest.approx(plain, abs=1e-12)


@pytest.mark.parametrize("case", CASES)
def test_alignment_equals_the_recorded_one_by_class_and_by_patient(case):
    labels, features, _ = given(case)
    recorded = RECORDED["cases"][case]
    for a, b in PAIRS:
        found = label_alignment(features[a], features[b], labels)
        sharp = label_alignment(features[a], features[b], labels, temperature=0.07)
        if len(recorded["classes_present"]) == 1:
            assert found is None
            assert sharp is None
            assert recorded["fsa_label"][f"{a}-{b}"] == 0
        else:
            assert float(found) == pytest.approx(recorded["fsa_label"][f"{a}-{b}"], abs=1e-12)
            assert float(sharp) == pytest.approx(recorded["fsa_label_tau0.07"][f"{a}-{b}"], abs=1e-12)
        literal = recorded["fsa_sample_level_eq2_literal"][f"{a}-{b}"]
        assert float(sample_alignment(features[a], features[b])) == pytest.approx(literal, abs=1e-12)
        matrix = class_matrix(features[a], features[b], labels, labels)
        torch.testing.assert_close(matrix, TENSORS[f"{case}/label_matrix/{a}-{b}"], atol=1e-12, rtol=0)


@pytest.mark.parametrize("case", CASES)
def test_the_balanced_sum_equals_the_recorded_one_without_terms_of_absent_losses(case):
    recorded = RECORDED["cases"][case]
    weights = balance_of(case)
    torch.testing.assert_close(weights.sigma.detach(), TENSORS[f"{case}/sigma"], atol=1e-12, rtol=0)
    found = weights(all_losses(case))
    assert float(found.total.detach()) == pytest.approx(recorded["total_eq4_skipped_terms_masked"], abs=1e-12)
    kept = {name: torch.zeros((), dtype=torch.float64) if v is None else v for name, v in all_losses(case).items()}
    assert float(weights(kept).total.detach()) == pytest.approx(recorded["total_eq4"], abs=1e-12)
    plain = balance_of(case, balance="equal")(all_losses(case))
    assert float(plain.total.detach()) == pytest.approx(recorded["total_unweighted_sum"], abs=1e-12)
    assert set(plain.weights.values()) == {1.0}


@pytest.mark.parametrize("case", CASES)
def test_gradients_equal_the_recorded_finite_differences(case):
    labels, features, scores = given(case)
    logits = scores["ch4"].clone().requires_grad_()
    focal_loss(logits, labels).backward()
    torch.testing.assert_close(logits.grad, TENSORS[f"{case}/grad/focal_ch4"], atol=1e-7, rtol=0)
    key = f"{case}/grad/fsa_label_ch4-sax_wrt_ch4"
    if key in TENSORS:
        mine = features["ch4"].clone().requires_grad_()
        label_alignment(mine, features["sax"], labels).backward()
        torch.testing.assert_close(mine.grad, TENSORS[key], atol=1e-7, rtol=0)
    weights = balance_of(case)
    kept = {name: torch.zeros((), dtype=torch.float64) if v is None else v for name, v in all_losses(case).items()}
    weights(kept).total.backward()
    torch.testing.assert_close(weights.raw.grad, TENSORS[f"{case}/grad/raw_sigma"], atol=1e-7, rtol=0)


def test_alignment_averages_similarities_by_class_as_the_slow_formula_does():
    rng = np.random.default_rng(3)
    first, second = torch.from_numpy(rng.normal(size=(7, 5))), torch.from_numpy(rng.normal(size=(6, 5)))
    labels, others = torch.tensor([0, 2, 1, 0, 2, 4, 4]), torch.tensor([2, 2, 0, 1, 1, 3])
    cosine = cosines(first, second).numpy()
    there = [0, 1, 2]  # 4 has no partner in the second, 3 none in the first
    matrix = np.array([[cosine[np.ix_(labels == a, others == b)].mean() for b in there] for a in there])
    rows = matrix.diagonal() - np.log(np.exp(matrix).sum(1))
    columns = matrix.diagonal() - np.log(np.exp(matrix).sum(0))
    expected = -(rows.sum() + columns.sum()) / 6
    assert float(label_alignment(first, second, labels, others)) == pytest.approx(expected, abs=1e-12)


def test_alignment_does_not_depend_on_the_order_of_patients():
    labels, features, _ = given("five_class_missing_two")
    order = torch.tensor([3, 0, 6, 2, 5, 1, 4])
    whole = label_alignment(features["ch4"], features["lge"], labels)
    turned = label_alignment(features["ch4"][order], features["lge"][order], labels[order])
    assert float(turned) == pytest.approx(float(whole), abs=1e-12)


def test_two_classes_can_be_aligned_no_better_and_no_worse_than_the_known_bounds():
    away, labels = torch.tensor([[1.0, 0.0], [-1.0, 0.0]], dtype=torch.float64), torch.tensor([0, 1])
    best, worst = label_alignment(away, away, labels), label_alignment(away, -away, labels)
    assert float(best) == pytest.approx(np.log1p(np.exp(-2)), abs=1e-12)
    assert float(worst) == pytest.approx(np.log1p(np.exp(2)), abs=1e-12)
    assert float(best) == pytest.approx(RECORDED["anchors"]["fsa_two_class_floor"], abs=1e-12)
    nothing = torch.zeros(2, 2, dtype=torch.float64)
    blind = RECORDED["anchors"]["zero_norm_feature_fsa_label_two_class"]
    assert float(label_alignment(nothing, away, labels)) == pytest.approx(blind, abs=1e-12)


def test_sigma_stays_positive_when_a_loss_vanishes_for_a_thousand_steps():
    weights = UncertaintyWeights(("fsa:ch4-sax", "cls:ch4"), floor=0.1)
    assert torch.allclose(weights.sigma, torch.ones(2))
    optimiser = torch.optim.AdamW(weights.parameters(), lr=2e-2, weight_decay=0.0)
    for _ in range(1000):
        optimiser.zero_grad()
        weights({"fsa:ch4-sax": torch.zeros(()), "cls:ch4": torch.tensor(0.1)}).total.backward()
        optimiser.step()
    vanished, settled = weights.sigma.tolist()
    assert 0.1 <= vanished < 0.12
    # where the derivative of L / sigma^2 + log(1 + sigma) is 0
    assert settled == pytest.approx(RECORDED["anchors"]["optimal_sigma"]["0.1"]["sigma"], abs=1e-3)


def test_an_absent_loss_moves_no_sigma():
    weights = UncertaintyWeights(("fsa:ch4-sax", "cls:ch4"))
    weights({"fsa:ch4-sax": None, "cls:ch4": torch.tensor(0.3)}).total.backward()
    assert weights.raw.grad[0] == 0
    assert weights.raw.grad[1] != 0


def test_liebels_form_is_the_known_one():
    weights = UncertaintyWeights(("cls:ch4",), 0.2, "liebel")
    found = weights({"cls:ch4": torch.tensor(0.6)})
    assert float(found.total.detach()) == pytest.approx(0.6 / 2 + np.log(2), abs=1e-6)
    assert found.weights == {"cls:ch4": pytest.approx(0.5, abs=1e-6)}


def test_a_loss_that_nobody_balances_is_named():
    weights = UncertaintyWeights(("cls:ch4",))
    with pytest.raises(ValueError, match="no loss 'cls:sax'"):
        weights({"cls:sax": torch.tensor(1.0)})
    with pytest.raises(ValueError, match="no loss in this batch"):
        weights({"cls:ch4": None})
    with pytest.raises(ValueError, match="floor of sigma"):
        UncertaintyWeights(("cls:ch4",), floor=0.0)
