"""A film, against the same slice looked at moment by moment."""

from dataclasses import replace

import numpy as np
import pytest

from cinecmr.anatomy import Disease, Structure, View
from cinecmr.phantom.film import Beats, Film
from cinecmr.phantom.outlets import inflow
from cinecmr.phantom.scanner import slice_signal
from cinecmr.phantom.scene import Scene
from cinecmr.phantom.visit import draw_visit, plan


@pytest.fixture(scope="module")
def visit():
    return draw_visit(31, Disease.NORMAL)


@pytest.fixture(scope="module")
def beats(visit):
    return Beats(visit.heart, visit.chest, np.array([0.0, 0.36, 0.5]))


@pytest.mark.parametrize("view", [View.SAX, View.LAX_4C, View.LAX_3C])
def test_a_film_shows_what_every_moment_alone_would_show(visit, beats, view):
    planes = plan(visit, (64, 64))[view]
    z = planes.slice_at(0.95 * visit.heart.lv.length) if view is View.SAX else 0
    points, normal = planes.points(z), planes.normal
    film = Film(beats, points, normal, planes.thickness, visit.look)
    for number, moment in enumerate(beats.times):
        scene = Scene(visit.heart, visit.chest, float(moment))
        alone = slice_signal(scene, points, normal.astype(np.float32), planes.thickness, visit.look)
        np.testing.assert_allclose(film.signal(number), alone, atol=1e-5)
        np.testing.assert_array_equal(film.labels(number, True), visit.heart.reader_labels(points, scene.surfaces))
        codes = visit.heart.labels_on(points, scene.surfaces)
        visit.atria.label(codes, points, visit.heart, scene.surfaces, scene.time)
        np.testing.assert_array_equal(film.labels(number, False), codes)


def test_long_axis_labels_hold_the_atria_and_short_axis_labels_do_not(visit, beats):
    planes = plan(visit, (48, 48))
    four = Film(beats, planes[View.LAX_4C].points(0), planes[View.LAX_4C].normal, 8.0, visit.look)
    assert set(np.unique(four.labels(1, False))) == {0, 1, 2, 3, 4, 5}
    assert set(np.unique(four.labels(1, True))) <= {0, 1, 2, 3}
    two = Film(beats, planes[View.LAX_2C].points(0), planes[View.LAX_2C].normal, 8.0, visit.look)
    labels = two.labels(1, False)
    assert (labels == Structure.LA).sum() > 20
    assert (labels == Structure.RA).sum() == 0


def test_both_atria_are_larger_at_end_systole_than_at_end_diastole(visit, beats):
    planes = plan(visit, (64, 64))[View.LAX_4C]
    film = Film(beats, planes.points(0), planes.normal, 8.0, visit.look)
    rest, tight = film.labels(0, False), film.labels(1, False)
    for atrium, ventricle in ((Structure.LA, Structure.LV), (Structure.RA, Structure.RV)):
        assert (tight == atrium).sum() > 1.15 * (rest == atrium).sum()
        assert (tight == ventricle).sum() < (rest == ventricle).sum()


def test_a_chest_that_swells_has_no_still_backdrop(visit):
    swelling = replace(visit.chest, tubes=(replace(visit.chest.tubes[0], swell=0.1),))
    with pytest.raises(ValueError, match="no tube of its chest may swell"):
        Beats(visit.heart, swelling, np.zeros(1))


def test_inflow_valves_are_shut_while_the_ventricles_eject_and_open_twice_after(visit):
    beat = visit.heart.beat
    assert [inflow(beat, t) for t in np.linspace(0.03, beat.systole, 5)] == [0] * 5
    early, still, late = (beat.systole + share * (1 - beat.systole) for share in (0.11, 0.6, 0.81))
    assert inflow(beat, early) > 0.9
    assert inflow(beat, late) > 0.7
    assert 0.3 < inflow(beat, still) < 0.6
