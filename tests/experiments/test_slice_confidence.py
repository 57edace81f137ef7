"""How sure a model is of a slice, beside how right it is."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from cinecmr.anatomy import Contrast, Structure, View
from cinecmr.errors import RefusedInput
from cinecmr.experiments.slice_confidence import Slice, heart_dice, markdown, slices, summary
from cinecmr.experiments.small_studies import Sparing
from cinecmr.study import Findings
from cinecmr.tasks.reading import expected_dice

SAX = View.SAX, Contrast.CINE


def test_expected_dice_is_the_soft_dice_of_the_labels_against_their_own_shares():
    shares = torch.softmax(torch.from_numpy(np.random.default_rng(3).normal(0, 2, (4, 3, 9, 8))), 0)
    found = expected_dice(shares)
    for z in range(3):
        agreed = labelled = heart = 0.0
        for x in range(9):
            for y in range(8):
                p = [float(shares[c, z, x, y]) for c in range(4)]
                code = p.index(max(p))
                heart += sum(p[1:])
                labelled += code > 0
                agreed += p[code] if code else 0.0
        assert float(found[z]) == pytest.approx(2 * agreed / (labelled + heart))


def test_a_sure_slice_promises_one_and_an_empty_slice_nothing():
    shares = torch.zeros(4, 2, 6, 6)
    shares[0] = 1
    shares[:, 0, 2:4, 2:4] = 0
    shares[3, 0, 2:4, 2:4] = 1
    assert expected_dice(shares)[0] == 1
    assert torch.isnan(expected_dice(shares)[1])


class Knowing:
    """Draws the truth with a growing shift, and knows how far it is off."""

    def __init__(self, labels, frames, sure=True):
        self.labels, self.frames, self.sure = labels[..., frames], frames, sure

    def segment_surely(self, image, progress=None):
        assert image.frames == len(self.frames)
        off = [np.roll(self.labels[:, :, z], z, axis=0) for z in range(image.slices)]
        found = np.stack(off, axis=2)
        heart = (found > 0).any(axis=(0, 1))
        told = np.where(heart, 1 - 0.1 * np.arange(image.slices)[:, None], np.nan)
        return found, told if self.sure else None


def asked(model, heart):
    study = Sparing(model, (0, 6))
    labels, sure = study.segment_surely(heart.study[View.SAX])
    return Findings(labels={SAX: labels}, confidence={SAX: sure})


def test_a_model_that_knows_where_it_errs_has_a_rank_correlation_near_one(tiny_heart):
    truth = Findings(labels={SAX: tiny_heart.labels}, cycle={"LV_ED": 0, "LV_ES": 6})
    rows = list(slices("a", asked(Knowing(tiny_heart.labels, [0, 6]), tiny_heart), truth))
    assert {row.phase for row in rows} == {"ED", "ES"}
    first = next(row for row in rows if row.phase == "ED")
    moved = np.roll(tiny_heart.labels[:, :, first.number, 0], first.number, axis=0)
    assert first.true == heart_dice(moved, tiny_heart.labels[:, :, first.number, 0])
    assert summary(rows)["rank_correlation"] > 0.8


def test_frames_that_are_spared_are_unseen_and_a_model_must_tell_how_sure_it_is(tiny_heart):
    found = asked(Knowing(tiny_heart.labels, [0, 6]), tiny_heart)
    unread = [t for t in range(tiny_heart.labels.shape[3]) if t not in (0, 6)]
    assert (found.labels[SAX][..., unread] == Structure.UNSEEN).all()
    assert np.isnan(found.confidence[SAX][:, unread]).all()
    with pytest.raises(RefusedInput, match="how sure it is"):
        asked(Knowing(tiny_heart.labels, [0, 6], sure=False), tiny_heart)


def test_leaving_out_the_least_sure_tenth_is_counted():
    rows = [Slice("a", "ED", z, 0.9, 0.9) for z in range(9)] + [Slice("a", "ED", 9, 0.2, 0.0)]
    told = summary([replace(row, expected=row.expected + 1e-6 * row.number) for row in rows])
    assert told["error"] == pytest.approx(0.19)
    assert told["error_without_least_sure"] == pytest.approx(0.1)
    assert told["lower_by"] == pytest.approx(0.09 / 0.19)
    page = markdown({}, told, rows)
    assert page[-1] == "| 5 of 5 | 0.900 | 0.900 | 0.900 |"
    json.dumps(told, allow_nan=False)
