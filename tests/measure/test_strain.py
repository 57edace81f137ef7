"""Strain and twist against motions whose strain is known in closed form."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from cinecmr.anatomy import AHA_SEGMENTS
from cinecmr.measure.strain import Convention, long_axis_shortening, mapse, strain, twist
from cinecmr.phantom.heart import Heart
from cinecmr.phantom.motion import HeartMotion
from cinecmr.phantom.shape import LeftVentricle
from cinecmr.phantom.wall import wall_points


@dataclass(frozen=True)
class Linear:
    """x -> (1 - t) x + t A x + t b: any strain that is the same everywhere."""

    matrix: np.ndarray
    shift: np.ndarray

    def displacement(self, points, time):
        return time * (points @ (self.matrix - np.eye(3)).T + self.shift)

    def gradient(self, points, time):
        return np.tile(np.eye(3) + time * (self.matrix - np.eye(3)), (len(points), 1, 1))


def spec_heart(endo, epi, length, apex_wall, shortening, squeeze, degrees):
    """A case of the phantom's specification, section 8: half ellipsoids, the same f everywhere."""
    return Heart(
        lv=LeftVentricle(
            epi=epi,
            endo=endo,
            length=length,
            apex_wall=apex_wall,
            fullness=2.0,
            taper=0.0,
            squeeze_slope=0.0,
            shortening=shortening,
            squeeze=squeeze,
            twist=float(np.radians(degrees)),
        )
    )


CASES = {  # radii, length, apical wall, lambda, f, twist; EF, mid GCS and GRS (engineering), Ecc of the layers (Green)
    "normal": ((23, 32, 85, 9, 0.85, 0.70, 13), 0.59, -15.8, 40, (-25.5, -15.4, -9.4)),
    "dcm": ((34, 42, 100, 8, 0.94, 0.90, 4), 0.25, -7.0, 14, (-9, -7, -5)),
    "hcm": ((20, 36, 82, 12, 0.88, 0.60, 14), 0.69, -13.5, 33, (-30, -12, -5)),
}


def es_strain(heart, convention=Convention.ENGINEERING, **options):
    wall = wall_points(heart, cells=(24, 40, 9), **options)
    return strain(HeartMotion(heart, np.eye(4)), wall, [heart.beat.systole], convention)


def mid(wall):
    return (wall.segments >= 7) & (wall.segments <= 12)


@pytest.mark.parametrize("case", ["normal", "dcm"])
def test_the_cases_of_the_specification_have_its_strains(case):
    shape, _, gcs, grs, _ = CASES[case]
    found = es_strain(spec_heart(*shape), follow_wall=False)
    means = found.curves(mid(found.wall))
    assert means["CS"][0] == pytest.approx(gcs, abs=0.7)
    assert means["RS"][0] == pytest.approx(grs, abs=2.5)


@pytest.mark.parametrize("case", CASES)
def test_the_cases_of_the_specification_eject_one_minus_lambda_f_squared(case):
    shape, ef, *_ = CASES[case]
    heart = spec_heart(*shape)
    found = 1 - heart.lv.cavity_ml(1.0) / heart.lv.cavity_ml(0.0)
    assert found == pytest.approx(1 - shape[4] * shape[5] ** 2, abs=1e-6)
    assert found == pytest.approx(ef, abs=0.015)


@pytest.mark.parametrize("case", CASES)
def test_circumferential_strain_through_the_wall_is_the_closed_form(case):
    shape, *_, layers = CASES[case]
    endo, epi, _, _, shorter, f, _ = shape
    found = es_strain(spec_heart(*shape), follow_wall=False, convention=Convention.GREEN_LAGRANGE)
    rim = found.wall.points[:, 2] > 0.97 * shape[2]
    radius = np.hypot(*found.wall.points[:, :2].T)[rim]
    now2 = radius**2 / shorter + endo**2 * (f**2 - 1 / shorter)
    np.testing.assert_allclose(found.circumferential[0][rim], 50 * (now2 / radius**2 - 1), atol=0.8)
    for share, told in zip((0.0, 0.5, 1.0), layers, strict=True):
        at = endo + share * (epi - endo)
        assert 50 * (1 / shorter + endo**2 * (f**2 - 1 / shorter) / at**2 - 1) == pytest.approx(
            told, abs=2.1
        )  # measured on voxels there


def test_a_wall_that_only_shortens_has_the_strains_of_its_stretches():
    lengths = np.array([0.9, 0.9, 0.8])
    wall = wall_points(Heart(), follow_wall=False, cells=(24, 20, 3))
    for convention, value in ((Convention.ENGINEERING, lengths - 1), (Convention.GREEN_LAGRANGE, (lengths**2 - 1) / 2)):
        found = strain(Linear(np.diag(lengths), np.array([3.0, 1, 2])), wall, [0.0, 1.0], convention)
        whole = {name: curve[1] for name, curve in found.whole().items()}
        assert whole == pytest.approx({"GCS": 100 * value[0], "GRS": 100 * value[1], "GLS": 100 * value[2]})
        assert max(abs(curve[0]) for curve in found.whole().values()) < 1e-9
        for values in found.segments().values():
            assert values.shape == (2, len(AHA_SEGMENTS))
            assert np.ptp(values[1]) < 1e-9


def test_strain_does_not_see_how_the_patient_lies_or_that_the_heart_turns_as_a_whole():
    heart, turn = Heart(), np.linalg.qr(np.random.default_rng(4).normal(size=(3, 3)))[0]
    turn *= np.sign(np.linalg.det(turn))
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = turn, (-30.0, 12.0, 5.0)
    upright = es_strain(heart)
    tilted = strain(HeartMotion(heart, affine), wall_points(heart, affine, cells=(24, 40, 9)), [heart.beat.systole])
    for name, curve in upright.whole().items():
        np.testing.assert_allclose(tilted.whole()[name], curve, atol=1e-6)
    rigid = strain(Linear(turn, np.zeros(3)), upright.wall, [1.0]).whole()
    np.testing.assert_allclose(np.array(list(rigid.values())), 0.0, atol=1e-9)


def test_volume_weighted_means_are_slow_means():
    found = es_strain(Heart())
    chosen = np.flatnonzero(found.wall.segments == 8)
    slow = sum(found.radial[0, i] * found.wall.weights[i] for i in chosen) / sum(found.wall.weights[i] for i in chosen)
    assert found.segments()["RS"][0, 7] == pytest.approx(slow)
    assert np.isnan(found.curves(found.wall.segments == 99)["CS"][0])


def test_the_inner_layer_squeezes_most():
    layers = es_strain(Heart()).layers()
    inner, middle, outer = (layers[name]["CS"][0] for name in ("endo", "mid", "epi"))
    assert inner < middle - 2 < outer - 4


def test_the_apex_turns_against_the_base_by_the_twist_of_their_heights():
    heart = Heart()
    wall = wall_points(heart, cells=(36, 60, 3))
    found = twist(HeartMotion(heart, np.eye(4)), wall, [0.0, heart.beat.systole])
    assert found.twist[0] == pytest.approx(0.0, abs=1e-9)
    # The phantom's tau turns the apex from septum to inferior wall: counter-clockwise for one who looks from the apex,
    # which counts positive.
    slope = np.degrees(heart.lv.twist) / heart.lv.length
    assert found.twist[1] == pytest.approx(slope * found.distance_mm, abs=0.05)
    assert found.torsion[1] == pytest.approx(10 * slope, rel=0.01)


def test_a_turn_of_the_whole_heart_is_no_twist():
    angle = 0.2
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    found = twist(Linear(turn, np.array([4.0, -2, 0])), wall_points(Heart(), cells=(36, 60, 3)), [1.0])
    assert found.apical[0] == pytest.approx(-np.degrees(angle), abs=1e-6)
    assert found.twist[0] == pytest.approx(0.0, abs=1e-6)


def test_twist_without_an_apex_is_refused():
    wall = wall_points(Heart(), cells=(36, 12, 1))
    wall = replace(wall, segments=np.where(wall.segments > 12, 17, wall.segments).astype(np.uint8))
    with pytest.raises(ValueError, match="twist needs apical and basal rings"):
        twist(Linear(np.eye(3), np.zeros(3)), wall, [1.0])


def test_the_mitral_ring_comes_down_by_the_shortening_of_the_axis():
    heart = Heart()
    length, radius = heart.lv.length, heart.lv.endo * (1 - heart.lv.taper)
    hinges = np.array([[radius, 0, length], [-radius, 0, length], [0, radius, length], [0, -radius, length]])
    motion, times = HeartMotion(heart, np.eye(4)), [0.0, heart.beat.systole]
    np.testing.assert_allclose(
        mapse(motion, hinges, np.zeros(3), times), [0, (1 - heart.lv.shortening) * length], atol=1e-6
    )
    np.testing.assert_allclose(
        long_axis_shortening(motion, hinges, np.zeros(3), times), [0, 100 * (1 - heart.lv.shortening)], atol=1e-6
    )
