"""Synthetic hearts beside real ones: the same heart beside itself, a known shift, a known mix."""

import json

import numpy as np
import pytest

from cinecmr.anatomy import Disease, Structure
from cinecmr.datasets import label_maps
from cinecmr.errors import RefusedInput
from cinecmr.experiments import phantom_shapes
from cinecmr.experiments.phantom_shapes import chance, compare, mix, reader_stack, write_heart
from cinecmr.phantom.population import draw_heart


def case(name: str, disease: Disease | None) -> label_maps.Case:
    return label_maps.Case(name, disease, {})


def test_synthetic_hearts_take_the_mix_of_the_real_ones():
    cases = [case("a", Disease.NORMAL), case("b", Disease.DCM), case("c", Disease.DCM), case("d", Disease.DCM)]
    drawn = mix(cases, 8)
    assert (drawn.count(Disease.DCM), drawn.count(Disease.NORMAL)) == (6, 2)
    with pytest.raises(RefusedInput, match="no group is known for e"):
        mix([*cases, case("e", None)], 8)


def test_differences_are_counted_in_interquartile_ranges_of_the_real_hearts():
    def rows(values):
        return {("ED", Disease.HCM): [{"rv_lv": value} for value in values]}

    (cell,) = compare(rows([1.0, 2.0, 3.0, 4.0, 5.0, np.nan]), rows([4.0, 4.0, 9.0]))
    assert (cell.real, cell.real_iqr, cell.real_n, cell.synthetic) == (3.0, 2.0, 5, 4.0)
    assert cell.difference == pytest.approx(0.5)
    assert cell.within
    assert not compare(rows([1.0, 2.0, 3.0, 4.0, 5.0]), rows([4.1]))[0].within
    same, other = compare(rows([2.0, 2.0]), rows([2.0]))[0], compare(rows([2.0, 2.0]), rows([1.9]))[0]
    assert (same.difference, same.within, other.difference, other.within) == (0.0, True, -np.inf, False)
    assert compare(rows([1.0]), {}) == []


def test_chance_is_that_of_two_cohorts_of_one_population():
    rng = np.random.default_rng(8)
    first, second = rng.normal(size=(4000, 12)), rng.normal(size=(4000, 12))
    gap = np.abs(np.median(first, axis=1) - np.median(second, axis=1))
    true = (gap <= 0.5 * np.subtract(*np.percentile(second, (75, 25), axis=1))).mean()
    assert np.mean([chance(rng.normal(size=12), 12) for _ in range(30)]) == pytest.approx(true, abs=0.06)
    assert chance(rng.normal(size=500), 500) == 1
    assert chance(np.full(12, 3.0), 12) == 1


def test_stacks_of_a_heart_hold_its_volumes():
    heart = draw_heart(np.random.default_rng((7, 4)), Disease.NORMAL)
    heights = np.arange(heart.lv.length - 1.0, 0.0, -2.0)
    for moment in (0.0, heart.beat.systole):
        counted = (reader_stack(heart, moment, heights) == Structure.LV).sum() * 1.5 * 1.5 * 2.0 / 1000
        assert counted == pytest.approx(heart.volumes_ml(moment)[Structure.LV], rel=0.06)


def test_a_heart_is_cut_from_just_below_its_mitral_plane_to_above_its_apex(tmp_path):
    write_heart(tmp_path, 11, Disease.DCM)
    (written,) = label_maps.cases(tmp_path)
    labels, affine = label_maps.read_labels(written.labels["ED"])
    heart = draw_heart(np.random.default_rng((7, 11)), Disease.DCM)
    spacing = -affine[2, 2]
    assert written.disease is Disease.DCM
    assert spacing in (5.0, 10.0)
    assert 0 <= heart.lv.length - affine[2, 3] <= spacing
    assert 0 < affine[2, 3] - spacing * (labels.shape[2] - 1) <= spacing + 0.02 * heart.lv.length
    assert (labels[..., 0] == Structure.LV).any()
    assert not labels[[0, -1]].any()  # the grid is large enough
    assert not labels[:, [0, -1]].any()


def test_hearts_beside_themselves_differ_nowhere_and_any_script_can_read_them(tmp_path):
    list(phantom_shapes.run(_seeded(tmp_path / "real"), tmp_path / "first", 3, 40))
    lines = list(phantom_shapes.run(tmp_path / "first" / "labels", tmp_path / "again", 3, 40))
    told = json.loads((tmp_path / "again" / "shapes.json").read_text())
    count = told["count"]["cells"]
    assert count == told["count"]["within"] > 30
    assert {cell["difference"] for cell in told["cells"]} == {0.0}
    assert told["about"]["seed"] == "40"
    assert lines[-1] == f"{count} of {count} cells within 0.5 of an interquartile range"
    assert (tmp_path / "again" / "shapes.md").read_text() == "\n".join(lines) + "\n"
    assert "**" not in (tmp_path / "again" / "shapes.md").read_text()
    assert (tmp_path / "again" / "labels" / "phantom00040" / "phantom00040_ES_gt.nii.gz").is_file()


def _seeded(folder):
    """Three hearts, two diseases, that stand for real ones."""
    for seed, disease in ((1, Disease.DCM), (2, Disease.DCM), (3, Disease.NORMAL)):
        write_heart(folder, seed, disease)
    return folder
