"""Found label maps against true ones: the formulas written again, and the script that defines them where present."""

import json
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from cinecmr.errors import RefusedInput
from cinecmr.experiments import label_scores
from cinecmr.experiments.label_scores import Beat, Row, ejection_fraction, summary

SCRIPT = Path(__file__).resolve().parents[3] / "shared" / "checks" / "score_acdc.py"
AFFINE = np.diag([1.5, 1.5, 8.0, 1.0])


def save(path, codes):
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(codes.astype(np.uint8), AFFINE), path)


def boxes(lv=6, wall=2, rv=5, size=28):
    """A square heart: LV of `lv` pixels a side within MYO, RV beside it; four slices, the outer two empty."""
    codes = np.zeros((size, size, 4), np.uint8)
    codes[2 : 2 + rv, 8 : 8 + rv, 1:3] = 1
    codes[10 - wall : 10 + lv + wall, 8 - wall : 8 + lv + wall, 1:3] = 2
    codes[10 : 10 + lv, 8 : 8 + lv, 1:3] = 3
    return codes


CASES = {  # subject: phase: (found, true); None where no map was found
    "patient001": {"ED": (boxes(7), boxes(8)), "ES": (boxes(5, rv=4), boxes(5))},
    "patient061": {"ED": (boxes(6, rv=0), boxes(6)), "ES": (np.roll(boxes(3), 9, axis=0), boxes(3, rv=0))},
}


@pytest.fixture
def written(tmp_path):
    for subject, phases in CASES.items():
        for phase, (found, true) in phases.items():
            save(tmp_path / "found" / f"{subject}_{phase}.nii.gz", found)
            save(tmp_path / "truth" / subject / f"{subject}_{phase}_gt.nii.gz", true)
    return tmp_path


def scored(folder, **options):
    lines = list(label_scores.run(folder / "found", folder / "truth", folder / "out", **options))
    return json.loads((folder / "out" / "labels.json").read_text()), lines


def slow_dice(found, true, code):
    ours, theirs = set(zip(*np.nonzero(found == code), strict=True)), set(zip(*np.nonzero(true == code), strict=True))
    return 1.0 if not ours and not theirs else 2 * len(ours & theirs) / (len(ours) + len(theirs))


def slow_ef(ed, es, code):
    full = np.count_nonzero(ed == code)
    return 100 * (full - np.count_nonzero(es == code)) / full if full else 0


def test_dice_and_ejection_fractions_are_those_of_the_formula_written_again(written):
    told, _ = scored(written)
    for name, code in (("RV", 1), ("MYO", 2), ("LV", 3)):
        expected = [slow_dice(*pair, code) for phases in CASES.values() for pair in phases.values()]
        assert told["summaries"]["all"][name] == pytest.approx(np.mean(expected))
        assert told["summaries"]["all"][f"{name}_worst_decile"] == pytest.approx(min(expected))
        assert [row["dice"][name] for row in told["rows"]] == pytest.approx(expected)
    for name, code in (("LVEF", 3), ("RVEF", 1)):
        errors = [slow_ef(p["ED"][0], p["ES"][0], code) - slow_ef(p["ED"][1], p["ES"][1], code) for p in CASES.values()]
        assert told["summaries"]["all"][f"{name}_abs_error"] == pytest.approx(np.mean(np.abs(errors)))
        assert told["summaries"]["all"][f"{name}_bias"] == pytest.approx(np.mean(errors))
    assert told["summaries"]["all"]["gross_failures"] == 0.25  # the heart that was found elsewhere


def test_phases_and_groups_are_told_apart(written):
    summaries = scored(written)[0]["summaries"]
    assert list(summaries) == ["all", "ED", "ES", "dcm", "normal"]
    assert [summaries[name]["images"] for name in summaries] == [4, 2, 2, 2, 2]
    assert "LVEF_abs_error" not in summaries["ED"]
    assert summaries["normal"]["LV"] == pytest.approx(np.mean([1.0, slow_dice(*CASES["patient061"]["ES"], 3)]))


def test_distances_are_in_mm_and_a_missed_structure_is_counted_apart(written):
    told, lines = scored(written)
    first, second, third, _ = told["rows"]
    assert first["hd95"]["LV"] == pytest.approx(1.5)  # one pixel more on two sides
    assert third["hd95"]["RV"] is None
    assert told["summaries"]["all"]["RV_hd95_missed"] == 2  # one not found, one found where there is none
    assert told["summaries"]["all"]["RV_hd95"] == pytest.approx(np.mean([first["hd95"]["RV"], second["hd95"]["RV"]]))
    assert any("(2 missed)" in line for line in lines)


def test_without_true_spacing_nothing_is_given_in_mm(written):
    told, lines = scored(written, spacing=False)
    assert not any("hd95" in figure for figure in told["summaries"]["all"])
    assert not any(row["hd95"] for row in told["rows"])
    assert not any("LV hd95" in line for line in lines)


def test_a_map_that_is_missing_scores_as_one_without_labels(written):
    (written / "found" / "patient001_ED.nii.gz").unlink()
    told, _ = scored(written)
    assert told["summaries"]["all"]["missing"] == 1
    assert told["rows"][0]["missing"]
    assert set(told["rows"][0]["dice"].values()) == {0.0}
    beat = told["ef"][0]
    assert beat["found"] == {"LVEF": 0.0, "RVEF": 0.0}


def test_the_weights_are_named_where_a_file_beside_the_maps_names_them(written):
    assert scored(written)[0]["about"]["model"] == "unknown"
    (written / "found" / "provenance.json").write_text('{"model": "sax-unet@01234567", "weights_sha256": "0123"}')
    about = scored(written)[0]["about"]
    assert (about["model"], about["weights_sha256"]) == ("sax-unet@01234567", "0123")


def test_truth_against_itself_is_perfect_and_a_found_folder_may_be_truth(written):
    for path in (written / "truth").glob("*/*.nii.gz"):
        path.rename(written / "found" / path.name.replace("_gt", ""))
    lines = list(label_scores.run(written / "found", written / "found", written / "out"))
    told = json.loads((written / "out" / "labels.json").read_text())["summaries"]["all"]
    assert (told["LV"], told["MYO"], told["RV"], told["LV_hd95"], told["LVEF_abs_error"]) == (1, 1, 1, 0, 0)
    assert (written / "out" / "labels.md").read_text() == "\n".join(lines) + "\n"


def test_what_cannot_be_compared_is_refused(written):
    with pytest.raises(RefusedInput, match=r"holds none of the 2 subjects, such as patient001_ED\.nii\.gz"):
        list(label_scores.run(written / "truth", written / "truth", written / "out"))
    save(written / "found" / "patient001_ED.nii.gz", boxes(size=30))
    with pytest.raises(RefusedInput, match=r"grid \(30, 30, 4\), its truth \(28, 28, 4\)"):
        scored(written)


def test_the_worst_tenth_is_of_the_worst_maps():
    rows = [Row("s", "g", "ED", False, {"LV": d, "MYO": d, "RV": d}, {}) for d in np.arange(1, 21) / 20]
    told = summary(rows, [Beat("s", "g", {"LVEF": 50.0, "RVEF": 40.0}, {"LVEF": 53.0, "RVEF": 44.0})])
    assert told["LV_worst_decile"] == pytest.approx((0.05 + 0.10) / 2)
    assert told["gross_failures"] == pytest.approx(9 / 20)
    assert (told["LVEF_abs_error"], told["RVEF_bias"]) == (3, -4)


def test_a_heart_of_which_nothing_was_found_ejects_nothing():
    assert ejection_fraction(np.zeros((2, 2, 2), np.uint8), boxes(), 3) == 0


@pytest.mark.skipif(not SCRIPT.is_file(), reason="the script that defines the scores is not beside this checkout")
def test_every_figure_is_that_of_the_script_that_defines_it(written):
    (written / "found" / "patient061_ES.nii.gz").unlink()
    words = [
        sys.executable,
        SCRIPT,
        written / "found",
        "--truth",
        written / "truth",
        "--json",
        written / "by_script.json",
    ]
    subprocess.run(words, check=True, capture_output=True, timeout=60)
    script = json.loads((written / "by_script.json").read_text())["summary"]
    ours = scored(written)[0]["summaries"]["all"]
    assert ours["images"] == script.pop("images")
    for name, value in script.items():
        assert ours[name.replace("mean_abs_error", "abs_error")] == pytest.approx(
            value, abs=6e-3 if "EF" in name else 6e-5
        )
