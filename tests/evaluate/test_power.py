"""Numbers of subjects, against simulated studies of that size."""

import math

import numpy as np
import pytest

from cinecmr.evaluate.intervals import mcnemar_p, wilson
from cinecmr.evaluate.power import subjects_for_a_gain, subjects_for_a_share


def test_a_share_of_so_many_subjects_is_told_as_well_as_asked():
    for share, half in ((0.95, 0.05), (0.8, 0.04), (0.5, 0.1)):
        n = subjects_for_a_share(share, half)
        assert wilson(round(share * n), n).width == pytest.approx(2 * half, rel=0.12)
        assert 1.96**2 * share * (1 - share) / n <= half**2 * 1.001


def test_studies_of_so_many_subjects_see_the_gain_four_times_in_five():
    """The gain of CC-CMR over plain fusion, at 10 % of subjects read otherwise: 70 subjects see it almost never."""
    gain, discordant = 0.043, 0.10
    rng = np.random.default_rng(0)
    seen = {}
    for n in (subjects_for_a_gain(gain, discordant), 70):
        ps = [(discordant + gain) / 2, (discordant - gain) / 2, 1 - discordant]
        seen[n] = np.mean([mcnemar_p(int(a), int(b)) < 0.05 for a, b, _ in rng.multinomial(n, ps, 600)])
    needed, small = seen.values()
    assert 0.70 < needed < 0.85  # the exact test is a little shyer than the formula
    assert small < 0.2


def test_more_is_asked_for_a_smaller_gain_a_larger_power_and_more_discord():
    least = subjects_for_a_gain(0.05, 0.1)
    assert subjects_for_a_gain(0.025, 0.1) > 3 * least
    assert subjects_for_a_gain(0.05, 0.1, power=0.9) > least
    assert subjects_for_a_gain(0.05, 0.2) > least
    assert subjects_for_a_gain(-0.05, 0.1) == least
    assert math.isclose(subjects_for_a_share(0.9, 0.01) / subjects_for_a_share(0.9, 0.02), 4, rel_tol=0.01)


def test_impossible_questions_are_refused():
    with pytest.raises(ValueError, match="needs at least as large a share"):
        subjects_for_a_gain(0.2, 0.1)
    with pytest.raises(ValueError, match="half_width lies over 0"):
        subjects_for_a_share(0.9, 0.0)
    with pytest.raises(ValueError, match="share lies over 0"):
        subjects_for_a_share(95, 0.05)
    with pytest.raises(ValueError, match="power lies over 0"):
        subjects_for_a_gain(0.05, 0.1, power=80)
