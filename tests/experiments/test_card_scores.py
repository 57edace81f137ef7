"""Figures move from an evaluation into a card as they are."""

import json

import pytest

from cinecmr.analyze.models import Card
from cinecmr.errors import RefusedInput
from cinecmr.experiments.card_scores import figures, note

SHA = "ab" * 32


def a_card(folder):
    card = Card(
        name="tiny", summary="s", task="t", codes={0: "BACKGROUND"}, sha256=SHA, parameters=1, network={}, reading={},
        recipe={}, trained_on=["nothing"], scores=[], limits=[], made={},
    )  # fmt: skip
    path = folder / "tiny.json"
    path.write_text(card.model_dump_json())
    return path


def an_evaluation(folder, lv, weights=SHA):
    path = folder / "labels.json"
    path.write_text(json.dumps({"about": {"weights": weights, "commit": "c0ffee"}, "summaries": {"all": {"LV": lv}}}))
    return path


def test_a_second_evaluation_of_the_same_data_replaces_the_first(tmp_path):
    card = a_card(tmp_path)
    note(card, an_evaluation(tmp_path, 0.5), "hearts of A", "real")
    note(card, an_evaluation(tmp_path, 0.9), "hearts of A", "real")
    scores = note(card, an_evaluation(tmp_path, 0.7), "hearts of B", "real").scores
    assert [(s.data, s.figures, s.note) for s in scores] == [
        ("hearts of A", {"LV": 0.9}, "commit c0ffee"),
        ("hearts of B", {"LV": 0.7}, "commit c0ffee"),
    ]
    assert Card.model_validate_json(card.read_text()).scores == scores


def test_an_evaluation_of_other_weights_is_refused(tmp_path):
    with pytest.raises(RefusedInput, match="does not speak of the weights abababab"):
        note(a_card(tmp_path), an_evaluation(tmp_path, 0.9, weights="cd" * 32), "hearts", "real")


def test_a_kind_is_real_or_synthetic(tmp_path):
    with pytest.raises(RefusedInput, match="kind is one of synthetic, real"):
        note(a_card(tmp_path), an_evaluation(tmp_path, 0.9), "hearts", "guessed")


def test_agreement_gives_errors_in_units_and_percent():
    result = {
        "units": {"LVEDV": "ml", "LVEF": "%"},
        "agreement": {
            "LVEDV": {"abs_error": 3.0, "relative_error": 2.0},
            "LVEF": {"abs_error": 1.5, "relative_error": 2.5},
        },
    }
    assert figures(result) == {"LVEDV_abs_error": 3.0, "LVEDV_abs_error_percent": 2.0, "LVEF_abs_error": 1.5}
    with pytest.raises(RefusedInput, match="neither `summaries` nor `agreement`"):
        figures({})
