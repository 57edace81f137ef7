"""The table of published networks, and figures that another implementation must find again."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from cinecmr.errors import RefusedInput
from cinecmr.experiments import published_networks
from cinecmr.experiments.published_networks import (
    Answer,
    answers,
    answers_markdown,
    hidden_by_rule,
    sizes,
    sizes_markdown,
)
from cinecmr.networks import kinds
from cinecmr.networks.fill import drawn, fill
from cinecmr.networks.kinds import PublishedConfig

TINY = {
    "scores": PublishedConfig("convunetr", ("lax_4c",), 2, sizes={"lax_4c": (32, 32)}),
    "drawing": PublishedConfig("mae", ("lax_2c", "lax_4c"), sizes={"lax_2c": (32, 32), "lax_4c": (32, 32)}),
    "baseline": PublishedConfig("unet", ("lax_4c",), 2, sizes={"lax_4c": (12, 12)}, chans=(2, 3)),
}


def test_every_count_is_within_a_million_of_the_one_the_paper_states():
    rows = sizes()
    assert len(rows) == 25
    assert [row.kind for row in rows if not row.agrees] == []
    assert not replace(rows[0], published_millions=127).agrees
    assert not replace(rows[-1], parameters=rows[-1].parameters + 1).agrees
    by_kind = {row.kind: row for row in rows}
    assert by_kind["pretrain_mae"].trainable == 121_738_240
    assert by_kind["siren"].parameters == 133_635
    assert by_kind["reg_ef_acdc_sax"].input_shapes == {"sax": (2, 192, 192, 16)}
    line = next(line for line in sizes_markdown(rows).splitlines() if line.startswith("| seg_sax "))
    assert line == "| seg_sax | convunetr | sax 1 x 192 x 192 x 16 | 127,390,694 | 125,621,222 | 127 | yes |"


@pytest.fixture
def tiny_kinds(monkeypatch):
    """Published kinds at a size for tests: the narrowest of each sort."""
    monkeypatch.setattr(kinds, "KINDS", TINY)
    narrow = kinds._multiview

    def narrower(config):
        return replace(narrow(config), stem_widths=(2, 3), stem_blocks=1, width=8, depth=1, heads=2)

    monkeypatch.setattr(kinds, "_multiview", narrower)


def test_answers_are_described_by_mean_deviation_and_first_values(monkeypatch):
    monkeypatch.setattr(kinds, "KINDS", {"baseline": TINY["baseline"]})
    (answer,) = answers(["baseline"], "A")
    network = kinds.build(TINY["baseline"]).eval()
    fill(network, "A")
    with torch.no_grad():
        wanted = network(torch.from_numpy(drawn("baseline", (1, 1, 12, 12)))).numpy()
    assert answer.shape == (1, 2, 12, 12)
    assert answer.mean == pytest.approx(wanted.mean(dtype=float))
    assert answer.deviation == pytest.approx(wanted.astype(float).std())
    assert answer.first == tuple(wanted.flatten()[:4].tolist())


def test_every_sort_of_network_answers(tiny_kinds):
    told = []
    found = list(answers(TINY, "B", told.append))
    assert [(a.kind, a.output, a.shape) for a in found] == [
        ("scores", "lax_4c", (1, 2, 32, 32)),
        ("drawing", "loss", (1,)),
        ("drawing", "lax_2c", (1, 3, 256)),
        ("drawing", "lax_4c", (1, 3, 256)),
        ("baseline", "logits", (1, 2, 12, 12)),
    ]
    assert all(np.isfinite([a.mean, a.deviation, *a.first]).all() for a in found)
    assert [line.split(":")[0] for line in told] == list(TINY)


def test_hidden_patches_of_the_rule_are_three_quarters_and_differ_by_view():
    hidden = hidden_by_rule("pretrain_mae", "lax_4c", 256)
    assert hidden.sum() == 192
    noise = drawn("pretrain_mae/lax_4c/hidden", (1, 256))
    assert noise[hidden.numpy()].min() > noise[~hidden.numpy()].max()
    assert not torch.equal(hidden, hidden_by_rule("pretrain_mae", "lax_2c", 256))


def test_answers_are_printed_with_where_they_come_from():
    row = Answer("seg_sax", "B", "sax", (1, 4, 2), 0.5, 1.25, (0.1, -2.0))
    text = answers_markdown([row], {"commit": "abc"})
    assert "- commit: abc" in text
    assert text.splitlines()[-1] == "| seg_sax | B | sax | 1 x 4 x 2 | 0.500000 | 1.250000 | 0.10000, -2.00000 |"
    assert published_networks.FIRST == 4


def test_the_command_prints_the_table_of_answers_and_keeps_it(monkeypatch, tmp_path):
    monkeypatch.setattr(kinds, "KINDS", {"baseline": TINY["baseline"]})
    monkeypatch.setattr(kinds, "OTHERS", {"siren": kinds.OTHERS["siren"]})
    told = []
    text = published_networks.run(["all"], "B", tmp_path / "table.md", told.append)
    assert (tmp_path / "table.md").read_text("utf-8") == text
    assert [line.split("|")[1].strip() for line in text.splitlines()[-2:]] == ["baseline", "siren"]
    assert "- rule: B" in text
    with pytest.raises(RefusedInput, match="no published network 'sirens'"):
        published_networks.run(["sirens"], "B", None, told.append)
    with pytest.raises(RefusedInput, match="no rule 'C' to fill weights by"):
        published_networks.run(["siren"], "C", None, told.append)


def test_networks_of_the_other_papers_answer_too(monkeypatch):
    small = {
        "ssp_unet": replace(kinds.OTHERS["ssp_unet"], widths=(2, 3, 4)),
        "video_swin_tiny": replace(kinds.OTHERS["video_swin_tiny"], width=4, depths=(1, 2), heads=(1, 2)),
    }
    monkeypatch.setattr(kinds, "OTHERS", small)
    inputs = {"ssp_unet": (1, 16, 16), "video_swin_tiny": (3, 4, 16, 16)}
    monkeypatch.setattr(published_networks, "OTHER_INPUTS", inputs)
    found = [(a.kind, a.output, a.shape) for a in answers(small)]
    assert found == [
        ("ssp_unet", "logits 0", (1, 4, 16, 16)),
        ("ssp_unet", "logits 1", (1, 4, 8, 8)),
        ("video_swin_tiny", "logits", (1, 8)),
    ]
